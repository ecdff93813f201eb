"""patching: a JSON merge patch on flat keys leaves alone what it does not name."""

import pytest

from pyconfserve.environment.patching import patched
from pyconfserve.environment.properties import flatten
from pyconfserve.errors import InvalidRequest

NESTED = {
    "server": {"port": 1, "ssl": {"on": True}},
    "list": [1, {"a": None}],
    "n": None,
}


@pytest.mark.parametrize(
    ("tree", "patch", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        (NESTED, {"server.port": 8}, {**NESTED, "server": {"port": 8, "ssl": {"on": True}}}),
        (NESTED, {"server": {"port": 8}}, {**NESTED, "server": {"port": 8, "ssl": {"on": True}}}),
        (NESTED, {"server": None}, {"list": NESTED["list"], "n": None}),
        (NESTED, {"server.ssl.on": None}, {**NESTED, "server": {"port": 1}}),
        (NESTED, {"server": 5}, {**NESTED, "server": 5}),
        (NESTED, {"list": [None]}, {**NESTED, "list": [None]}),
        (NESTED, {"list": None}, {"server": NESTED["server"], "n": None}),
        (NESTED, {"server.ssl.key.store": "x"}, {**NESTED, "server": {"port": 1, "ssl": {"on": True, "key": {"store": "x"}}}}),
        ({"a": {"b": 1}}, {"c.d": 2}, {"a": {"b": 1}, "c": {"d": 2}}),
        ({"a.b": 1}, {"a.c": 2}, {"a.b": 1, "a.c": 2}),
        ({"a[0]": "x", "a[1]": "y", "b": 1}, {"a": ["z"]}, {"b": 1, "a": ["z"]}),
        ({"a": 1}, {"a.b": 2}, {"a": 1, "a.b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a.b": 3, "a": None}, {"a": {"b": 3}}),
        ({"a": {"[x.y]": 1}}, {"a[x.y]": 2, "a[z]": 3}, {"a": {"[x.y]": 2, "[z]": 3}}),
        ({"a": 1}, {"a": 1.0}, {"a": 1.0}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"ab": 1, "a": 2}, {"a": None}, {"ab": 1}),
        ({}, {"a": {"b": [1, {}]}}, {"a": {"b": [1, {}]}}),
        ({}, {"a": {"b": [{}]}}, {}),
        ({"[x.y]": 1, "a": 2}, {"": 3}, {"[x.y]": 1, "a": 2, "": 3}),
        ({"[x]": 1, ".a": 2}, {"": None}, {"[x]": 1}),
        ({"b": 1}, {"": {"b": 2}}, {"b": 1, ".b": 2}),
        ({"": {"b": 1}, "b": 2}, {"b": 3}, {"": {"b": 1}, "b": 3}),
    ],
)  # fmt: skip
def test_a_patch_changes_what_it_names(tree, patch, expected):
    """In its place, and the rest stays in its order and of its types."""
    found = patched(tree, patch)
    assert (expected, repr(expected)) == (found, repr(found))


@pytest.mark.parametrize(
    "patch", [{}, {"a": {}}, {"x": None}, {"a": {"b": 1}}, {"a.b": 1}]
)
def test_a_patch_that_changes_nothing_gives_the_tree_itself(patch):
    """So that nothing is written for it."""
    tree = {"a": {"b": 1}, "c": None}
    assert patched(tree, patch) is tree


def test_a_tree_is_not_changed_in_place():
    """It may be what a store keeps."""
    before = repr(NESTED)
    patched(NESTED, {"server": {"ssl": {"on": None, "new": 1}, "port": 2}, "list": [3]})
    assert before == repr(NESTED)


def test_two_spellings_of_one_key_are_one():
    """Which of them counts is not left to the place where they stand."""
    tree = {"a": {"b": 1}, "a.b": 2, "c": 3}
    assert patched(tree, {"a.b": 5}) == {"a": {"b": 5}, "c": 3}
    assert patched(tree, {"a.b": None}) == {"c": 3}


@pytest.mark.parametrize("key", ["a[0]", "a[0].b", "a.b[12]"])
def test_an_item_of_a_list_is_not_patched(key):
    """Which items come after it would be a guess."""
    with pytest.raises(InvalidRequest):
        patched({"a": [1]}, {key: 2})


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({f"k{number}{'.x' * 20}": 1 for number in range(15_000)}, 15_001),
        ({"list": [1] * 150_000}, 150_001),
    ],
    ids=["flat", "list"],
)
def test_what_is_too_much_as_a_tree_stays_flat(patch, expected):
    """Its maps count as values, too."""
    found = patched({"a": {"b": 1}}, patch)
    assert len(flatten(found)) == expected


def test_more_than_flat_properties_hold_is_refused():
    """By the patch alone; by the whole it is where it is stored."""
    with pytest.raises(InvalidRequest, match="more than 200000 values"):
        patched({}, {"a": [1] * 200_001})


def test_a_patch_of_thousands_of_keys_takes_no_square_of_time():
    """Ten thousand of them on a bundle of as many."""
    tree = {f"key{number}": {"a": number} for number in range(10_000)}
    patch = {f"key{number}.b": 1 for number in range(10_000)}
    assert len(patched(tree, patch)) == 10_000
