"""Flat properties to trees, with Spring's odd cases."""

from __future__ import annotations

from typing import Any

import pytest

from pyconfserve.environment.nesting import nest
from pyconfserve.environment.properties import flatten
from pyconfserve.errors import InvalidRequest


@pytest.mark.parametrize(
    ("flat", "tree"),
    [
        ({}, {}),
        ({"a": 1, "b.c": 2}, {"a": 1, "b": {"c": 2}}),
        ({"a[0]": 1, "a[2]": 3}, {"a": [1, None, 3]}),
        ({"a[0].b": 1, "a[0].c[1]": 2}, {"a": [{"b": 1, "c": [None, 2]}]}),
        ({"a[0][1]": 1}, {"a": [[None, 1]]}),
        ({"a": 1, "a.b": 2, "a.b.c": 3}, {"a": 1, "a.b": 2, "b": {"a.c": 3}}),
        ({"z.y": 1, "z": 2}, {"z": 2}),
        ({"map[x/y]": 1, "open[": 2}, {"map[x/y]": 1, "open[": 2}),
        ({"map[a.b]": 1}, {"map[a": {"b]": 1}}),
        ({"[null]": 1}, {"[null]": 1}),
    ],
    ids=str,
)
def test_properties_are_nested(flat: dict[str, Any], tree: dict[str, Any]) -> None:
    """As Spring's controller does it, oddities included."""
    assert tree == nest(flat)


@pytest.mark.parametrize(
    ("flat", "problem"),
    [
        ({".a": 1}, "a key has an empty part or a bad index"),
        ({"a..b": 1}, "a key has an empty part or a bad index"),
        ({"a.": 1}, "a key has an empty part or a bad index"),
        ({"": 1}, "a key has an empty part or a bad index"),
        ({"[0]": 1}, "a key has an empty part or a bad index"),
        ({"a[0]b": 1}, "a key has an empty part or a bad index"),
        ({"a": 1, "a[0]": 2}, "a key is a list in one place, not in another"),
        ({"a[0]": 1, "a[0].b": 2}, "a key is a list in one place, not in another"),
        ({"x[2000000000]": 1}, "an index is far above the list's end"),
        ({"x[1002]": 1}, "an index is far above the list's end"),
    ],
    ids=str,
)
def test_what_is_no_tree_is_refused(flat: dict[str, Any], problem: str) -> None:
    """A client learns that the format cannot show it; a huge index costs nothing."""
    with pytest.raises(InvalidRequest) as caught:
        nest(flat)
    assert f"format: {problem}" == str(caught.value)


def test_nesting_undoes_flattening() -> None:
    """A tree without empty maps, lists and nulls comes back as it was."""
    tree = {"a": {"b": [1, {"c": [["x"], "y"]}]}, "d": True}
    assert tree == nest(flatten(tree))
