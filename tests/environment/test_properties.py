"""properties: trees to flat keys, and the merge with precedence."""

import math

import pytest

from pyconfserve.environment import properties
from pyconfserve.errors import InvalidRequest


@pytest.mark.parametrize(
    ("tree", "flat"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, id="flat"),
        pytest.param({"a": {"b": {"c": 1}}}, {"a.b.c": 1}, id="maps"),
        pytest.param({"a.b": {"c.d": 1}}, {"a.b.c.d": 1}, id="dots in keys"),
        pytest.param({"a": [1, [2, 3], {"x": 4}]}, {"a[0]": 1, "a[1][0]": 2, "a[1][1]": 3, "a[2].x": 4}, id="lists"),
        pytest.param({"a": None, "b": [None]}, {"a": "", "b[0]": ""}, id="null"),
        pytest.param({"a": [], "b": [[], 1]}, {"a": "", "b[0]": "", "b[1]": 1}, id="empty lists"),
        pytest.param({"a": {}, "b": [{}, 1], "c": {"d": {}}}, {"b[1]": 1}, id="empty maps"),
        pytest.param({"a": {"[b]": 1, "[c.d]": {"[0]": 2}}}, {"a[b]": 1, "a[c.d][0]": 2}, id="brackets"),
        pytest.param({"[a]": {"b": 1}}, {"[a].b": 1}, id="brackets at the top"),
        pytest.param({"": 1, "a": {"": 2}}, {"": 1, "a.": 2}, id="empty keys"),
        pytest.param(
            {"a": {"b": 1}, "x": 0, "a.b": 2}, {"a.b": 2, "x": 0}, id="two spellings: the later value, at the first place"
        ),
        pytest.param({"a": [1], "a[0]": 2}, {"a[0]": 2}, id="two spellings of an item"),
        pytest.param({"a": 0, "b": False, "c": ""}, {"a": 0, "b": False, "c": ""}, id="falsy values stay"),
    ],
)
def test_a_tree_is_flattened(tree, flat):
    """Flat keys stand in the order of the tree, with the values as they were."""
    assert list(flat.items()) == list(properties.flatten(tree).items())
    assert [type(value) for value in flat.values()] == [
        type(value) for value in properties.flatten(tree).values()
    ]


def test_what_is_flat_stays():
    """Flattening twice is flattening once."""
    flat = properties.flatten({"a": {"b": [1, {"c": None}]}, "[d]": 2})
    assert flat == properties.flatten(flat)


def test_a_tree_that_blows_up_is_not_flattened():
    """Shared lists count each time they are met."""
    tree = ["x"] * 10
    for _ in range(9):
        tree = [tree] * 10
    with pytest.raises(ValueError, match=r"^more than 200000 values$"):
        properties.flatten({"a": tree})


@pytest.mark.parametrize(
    ("sources", "merged"),
    [
        pytest.param([], {}, id="no layer"),
        pytest.param([{"a": 1, "l[0]": 2}], {"a": 1, "l[0]": 2}, id="one layer"),
        pytest.param([{"a": 1}, {"a": 2}], {"a": 1}, id="the first wins"),
        pytest.param([{"a": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3, "c": 3}], {"a": 1, "b": 2, "c": 3}, id="three layers"),
        pytest.param([{"a": ""}, {"a": 2}], {"a": ""}, id="an empty text wins too"),
        pytest.param([{"m.x": 1}, {"m.y": 2, "m.x": 2}], {"m.y": 2, "m.x": 1}, id="a map hides no other keys"),
        pytest.param([{"m": 1}, {"m.y": 2}], {"m.y": 2, "m": 1}, id="a plain value hides no map"),
        pytest.param([{"l[0]": "x"}, {"l[0]": "a", "l[1]": "b"}], {"l[0]": "x"}, id="a list replaces a list whole"),
        pytest.param([{"l[1]": "x"}, {"l[0]": "a"}], {"l[1]": "x"}, id="a list with a gap is a list"),
        pytest.param([{"l": ""}, {"l[0]": "a", "l[1]": "b"}], {"l": ""}, id="an empty list replaces a list"),
        pytest.param([{"l": "x"}, {"l[0].a": 1}], {"l": "x"}, id="a plain value replaces a list"),
        pytest.param([{"l[0]": "x"}, {"l": "a,b"}], {"l[0]": "x"}, id="a list replaces a plain value"),
        pytest.param([{"l[0].a": 1}, {"l[0].b": 2, "l[1].a": 3}], {"l[0].a": 1}, id="a list of maps replaces whole"),
        pytest.param([{"l[0][0]": 1}, {"l[0][1]": 2}], {"l[0][0]": 1}, id="a list of lists"),
        pytest.param([{"m.l[0]": 1}, {"m.l[0]": 2, "m.l[1]": 2, "m.k": 2}], {"m.l[0]": 1, "m.k": 2}, id="a list in a map"),
        pytest.param([{"a.l[0]": 1}, {"b.l[0]": 2}], {"b.l[0]": 2, "a.l[0]": 1}, id="another list stays"),
        pytest.param([{"lx[0]": 1}, {"l[0]": 2}], {"l[0]": 2, "lx[0]": 1}, id="a longer name is another list"),
        pytest.param([{}, {"l[0]": 1, "l[1]": 2}], {"l[0]": 1, "l[1]": 2}, id="an empty layer hides nothing"),
        pytest.param(
            [{"l[0]": 1}, {"l": ""}, {"l[0]": 3, "l[1]": 3}], {"l[0]": 1}, id="a list above an emptied list"
        ),
        pytest.param(
            [{"x": 1}, {"l[0]": 2}, {"l[0]": 3, "l[1]": 3}], {"l[0]": 2, "x": 1}, id="the middle list wins"
        ),
        pytest.param([{"l": 1, "l[0]": 2}, {"k": 0}], {"k": 0, "l": 1, "l[0]": 2}, id="one layer's own conflict stays"),
        pytest.param(
            [{"b": 1, "n": 1}, {"a": 2, "b": 2, "c": 2}], {"a": 2, "b": 1, "c": 2, "n": 1}, id="keys stand as in the lowest"
        ),
    ],
)
def test_sources_are_merged(sources, merged):
    """The first source that has a key wins; lists come from one source."""
    before = [dict(source) for source in sources]
    assert list(merged.items()) == list(properties.merge(sources).items())
    assert before == sources


def test_one_layer_is_copied():
    """What merge gives may be changed without changing what it was given."""
    source = {"a": 1}
    properties.merge([source])["a"] = 2
    assert source == {"a": 1}


def test_sources_may_come_from_any_iterable():
    """Sources are read once."""
    assert properties.merge(iter([{"a": 1}, {"a": 2}])) == {"a": 1}


def nested(depth, innermost):
    """*innermost* below a map that makes it *depth* collections deep."""
    for _ in range(depth):
        innermost = {"a": innermost}
    return innermost


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"a": None, "b": True, "c": 1, "d": 1.5, "e": "x", "f": [], "g": {}},
        {"a": [{"b": [1, "x", None]}]},
        {"a": 2**1024 - 1, "b": -(2**1024) + 1},
        {"k" * 1024: 1},
        {"é" * 512: 1},
        nested(50, "x"),
        nested(49, ["x"]),
        nested(49, {}),
    ],
    ids=lambda tree: str(tree)[:30],
)
def test_a_tree_that_every_format_takes(tree):
    """Maps of JSON's types within the limits pass."""
    assert properties.check_tree(tree) is None


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ([], "expected a map, got list"),
        ("x", "expected a map, got str"),
        (None, "expected a map, got NoneType"),
        ({1: 2}, "expected text as key, got int"),
        ({"a": {None: 2}}, "expected text as key, got NoneType"),
        ({"a": {1, 2}}, "a value of type set cannot be stored"),
        ({"a": [b"x"]}, "a value of type bytes cannot be stored"),
        ({"a": (1,)}, "a value of type tuple cannot be stored"),
        ({"a": math.nan}, "expected finite numbers"),
        ({"a": [math.inf]}, "expected finite numbers"),
        ({"a": "x\ud800"}, "text holds a lone surrogate"),
        ({"x\udfff": 1}, "text holds a lone surrogate"),
        ({"a": 2**1024}, "an integer has more than 1024 bits"),
        ({"k" * 1025: 1}, "a key is longer than 1024 bytes"),
        ({"é" * 513: 1}, "a key is longer than 1024 bytes"),
        ({"k" * 600: {"k" * 600: 1}}, "a key is longer than 1024 bytes"),
        (nested(51, "x"), "nested more than 50 deep"),
        (nested(50, ["x"]), "nested more than 50 deep"),
        (nested(50, {}), "nested more than 50 deep"),
        (nested(50, []), "nested more than 50 deep"),
        ({"a": ["x"] * 200_001}, "more than 200000 values"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_tree_that_cannot_be_stored(tree, problem):
    """What some format or client could not take is refused, and said."""
    with pytest.raises(InvalidRequest) as caught:
        properties.check_tree(tree)
    assert f"properties: {problem}" == str(caught.value)


def test_a_long_key_above_many_items_is_not_flattened():
    """Each item repeats it: a body of 1 MiB would be 30 GB."""
    with pytest.raises(ValueError, match=r"^more than 67108864 characters"):
        properties.flatten({"k" * 200_000: [0] * 150_000})
    with pytest.raises(InvalidRequest):
        properties.check_tree({"k" * 200_000: [0] * 150_000})
