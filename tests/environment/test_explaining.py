"""explaining: which source wins a key, where that is written, and what it hides."""

import random

import pytest

from pyconfserve.environment.explaining import (
    Place,
    Reason,
    Stated,
    explain,
    explanation,
)
from pyconfserve.environment.formats.document import MOST_NODES, Entry
from pyconfserve.environment.overlay import Part, PropertySource, make_lookup
from pyconfserve.environment.properties import merge
from pyconfserve.environment.rendering import content_version
from pyconfserve.errors import ConfigNotFound, InvalidRequest


def layers(*each):
    """Sources `s0`, `s1`, … with these values, none of them in a file."""
    return [
        PropertySource(f"s{number}", {key: Entry(value) for key, value in flat.items()})
        for number, flat in enumerate(each)
    ]


def told(sources, only=None):
    """`{key: (its source, its value, [(source, key, value) that it hides])}`."""
    return {
        key: (
            reason.winner.place.source,
            reason.winner.value,
            [(one.place.source, one.key, one.value) for one in reason.hides],
        )
        for key, reason in explain(sources, only).items()
    }


ROWS = {
    "one source": ([{"a": 1}], {"a": ("s0", 1, [])}),
    "nothing": ([], {}),
    "the same key below": (
        [{"a": 1}, {"a": 2}, {"a": 3}],
        {"a": ("s0", 1, [("s1", "a", 2), ("s2", "a", 3)])},
    ),
    "maps are merged key by key": (
        [{"a.b": 1}, {"a.c": 2}],
        {"a.c": ("s1", 2, []), "a.b": ("s0", 1, [])},
    ),
    "a key in the middle": (
        [{"b": 0}, {"a": 2}, {"a": 3, "b": 4}],
        {"a": ("s1", 2, [("s2", "a", 3)]), "b": ("s0", 0, [("s2", "b", 4)])},
    ),
    "a longer list below": (
        [{"a[0]": "x"}, {"a[0]": 1, "a[1]": 2, "a[2]": 3}],
        {"a[0]": ("s0", "x", [("s1", "a[0]", 1), ("s1", "a[1]", 2), ("s1", "a[2]", 3)])},
    ),
    "a shorter list below": (
        [{"a[0]": "x", "a[1]": "y"}, {"a[0]": 1}],
        {"a[0]": ("s0", "x", [("s1", "a[0]", 1)]), "a[1]": ("s0", "y", [("s1", "a[0]", 1)])},
    ),
    "a list of maps": (
        [{"a[0].n": "x"}, {"a[0].m": 1, "a[0].n": 2}],
        {"a[0].n": ("s0", "x", [("s1", "a[0].n", 2), ("s1", "a[0].m", 1)])},
    ),
    "a value in the place of a list": (
        [{"a": "x,y"}, {"a[0]": 1, "a[1]": 2}],
        {"a": ("s0", "x,y", [("s1", "a[0]", 1), ("s1", "a[1]", 2)])},
    ),
    "a list in the place of a value": (
        [{"a[0]": 1, "a[1]": 2}, {"a": "x,y"}],
        {"a[0]": ("s0", 1, [("s1", "a", "x,y")]), "a[1]": ("s0", 2, [("s1", "a", "x,y")])},
    ),
    "both spellings in one source": (
        [{"a": 1, "a[0]": 2}, {"a[1]": 3}],
        {"a[0]": ("s0", 2, [("s1", "a[1]", 3)]), "a": ("s0", 1, [("s1", "a[1]", 3)])},
    ),
    "an encrypted value": (
        [{"a": "{cipher}0f"}, {"a": "{cipher}0e"}],
        {"a": ("s0", "{cipher}0f", [("s1", "a", "{cipher}0e")])},
    ),
}


@pytest.mark.parametrize(("sources", "expected"), ROWS.values(), ids=ROWS)
def test_who_wins_and_what_is_hidden(sources, expected):
    """In the order of the merged answer; each alone is the same."""
    assert list(told(layers(*sources)).items()) == list(expected.items())
    for key, reason in expected.items():
        assert told(layers(*sources), key) == {key: reason}


@pytest.mark.parametrize("only", ["b", "a", "a[3]", "a[1]", ""])
def test_a_key_that_is_not_there_has_no_reason(only):
    """Nor has one that is hidden, or a list as one."""
    assert told(layers({"a[0]": 1}, {"a[1]": 2}), only) == {}


def test_every_winner_is_the_value_of_the_merged_answer():
    """For random overlays: keys, their order, values; each lower value is told of."""
    chance = random.Random(8)
    keys = ["a", "a[0]", "a[1]", "a[2]", "a[0].b", "b", "b.c", "b.c[0]", "b.c[0][1]", "c[10]", "[x]", "d.e"]
    for _ in range(1500):
        sources = layers(
            *(
                {key: chance.randrange(10**9) for key in chance.sample(keys, chance.randrange(len(keys)))}
                for _ in range(chance.randrange(6))
            )
        )
        merged = merge([source.properties for source in sources])
        reasons = told(sources)
        assert [(key, value) for key, (_, value, _) in reasons.items()] == list(merged.items())
        stored = [(one.name, key, entry.value) for one in sources for key, entry in one.entries.items()]
        heard = {(name, key, value) for key, (name, value, _) in reasons.items()}
        heard |= {statement for _, _, hides in reasons.values() for statement in hides}
        assert heard == set(stored)
        for key in keys:
            assert told(sources, key) == ({key: reasons[key]} if key in reasons else {})


def test_a_list_costs_no_more_than_its_keys():
    """Not one statement for each index and each index below it."""
    sources = layers(*({f"a[{index}]": 0 for index in range(1000)} for _ in range(3)))
    assert sum(len(hides) for _, _, hides in told(sources).values()) == 2000


def test_too_much_for_one_answer():
    """Is refused, as each entry takes some three hundred bytes; a key alone is not."""
    half = {f"k{number}": 0 for number in range(MOST_NODES // 2)}
    assert len(explain(layers(half, half))) == MOST_NODES // 2
    sources = layers(half, half, {"a": 1})
    with pytest.raises(InvalidRequest) as error:
        explain(sources)
    assert str(error.value) == "key: there is too much for one answer: name a key"
    assert told(sources, "a") == {"a": ("s2", 1, [])}


def test_items_that_hide_the_same_lists_again_and_again_are_counted():
    """A few thousand entries would make millions of lines."""
    top = {f"a[{number}]": number for number in range(1000)}
    sources = layers(top, *[{"a[0]": "x"}] * (MOST_NODES // 1000 - 1))
    assert len(explain(sources)) == 1000
    sources += layers({"a[0]": "y"})
    with pytest.raises(InvalidRequest) as error:
        explain(sources)
    assert str(error.value) == "key: there is too much for one answer: name a key"
    assert len(explain(sources, "a[999]")["a[999]"].hides) == MOST_NODES // 1000


def test_a_place_says_what_is_known():
    """File, document, profile, line and column; the commit, or a hash of its source."""
    part = Part("file:/srv/config/", "eu/orders-prod.yml", 2, "prod", "c0ffee")
    written = PropertySource("orders-prod", {"a": Entry(1, 3, 5)}, part=part)
    unplaced = PropertySource("orders-default", {"a": Entry(2, 0, 0)}, part=part._replace(document=None, version=None))
    nowhere = PropertySource("overrides", {"b": Entry("x")}, "Config server overrides")
    assert explain([written, unplaced, nowhere]) == {
        "b": Reason(Stated("b", "x", Place("overrides", None, None, None, None, None, content_version([nowhere]))), ()),
        "a": Reason(
            Stated("a", 1, Place("orders-prod", "eu/orders-prod.yml", 2, "prod", 3, 5, "c0ffee")),
            (Stated("a", 2, Place("orders-default", "eu/orders-prod.yml", None, "prod", None, None, content_version([unplaced]))),),
        ),
    }


@pytest.mark.parametrize(
    ("roots", "files"),
    [
        (["file:/srv/config/"], ["x.yml"]),
        (["file:/srv/config/", "file:/srv/config/"], ["x.yml", "x.yml"]),
        (["file:/srv/one/", "file:/srv/two/"], ["one/x.yml", "two/x.yml"]),
        (["file:/srv/one/cfg/", "file:/srv/two/cfg/"], ["one/cfg/x.yml", "two/cfg/x.yml"]),
        (["https://host/a.git/", "https://host/b.git/", "dict:"], ["a.git/x.yml", "b.git/x.yml", "dict:/x.yml"]),
        (["file:/cfg/", "file:/srv/cfg/"], ["file:/cfg/x.yml", "srv/cfg/x.yml"]),
    ],
    ids=["one", "one twice", "their last folders", "two folders", "repositories", "one ends the other"],
)
def test_a_file_is_told_from_those_of_other_roots(roots, files):
    """By as few folders as do, so that no more of the server's disk is shown."""
    sources = [
        PropertySource(f"s{number}", {f"k{number}": Entry(1)}, part=Part(root, "x.yml"))
        for number, root in enumerate(roots)
    ]
    reasons = explain(sources)
    assert [reasons[f"k{number}"].winner.place.file for number in range(len(roots))] == files


def test_an_explanation_is_a_document():
    """With the names asked for, the label that counted, and texts for infinities."""
    sources = layers({"a": float("inf"), "b": 1.5}, {"a": None})
    first, second = (content_version([source]) for source in sources)
    nowhere = {"file": None, "document": None, "profile": None, "line": None, "column": None}
    at_first = {"source": "s0", **nowhere, "version": first}
    at_second = {"source": "s1", **nowhere, "version": second}
    reasons = {
        "a": {"value": "Infinity", "from": at_first, "hides": [{"key": "a", "value": None, "from": at_second}]},
        "b": {"value": 1.5, "from": at_first, "hides": []},
    }
    assert explanation(make_lookup("orders", "eu,prod"), sources, "main") == {
        "name": "orders", "profiles": ["eu", "prod"], "label": "main", "properties": reasons,
    }  # fmt: skip
    assert explanation(make_lookup("orders", "prod", "v(_)2"), sources, "main", "b") == {
        "name": "orders", "profiles": ["prod"], "label": "v/2", "properties": {"b": reasons["b"]},
    }  # fmt: skip


def test_an_explanation_of_a_key_that_is_absent():
    """Says so, and quotes nothing."""
    with pytest.raises(ConfigNotFound) as error:
        explanation(make_lookup("orders"), layers({"a": 1}), "main", "b")
    assert str(error.value) == "there is no such key in this configuration"
