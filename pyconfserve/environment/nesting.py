"""Flat properties to a tree again, for the formats that nest: the inverse of flatten.

The rules, odd ones too, are those of Spring's EnvironmentController as measured in the
cases yaml-types and alt-formats (spring.md 5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidRequest
from .properties import Tree

__all__ = ["nest"]

_SPARE_INDEXES = 1000  # an index may be so far above the number of keys; more is a bomb
_STEP = re.compile(r"([^.\[]*(?:\[(?!\d+\])[^.\[]*)*)((?:\[\d+\])*)(\.|$)")
_INDEX = re.compile(r"\[(\d+)\]")


def nest(flat: Mapping[str, Any]) -> dict[str, Tree]:
    """The tree of flat properties: `{"a.b[1]": 1}` gives `{"a": {"b": [None, 1]}}`.

    A key below one that has a value stays flat beside it; a value put over a map
    replaces it. Raises InvalidRequest for keys with empty parts, for text after an
    index, for a list in the place of a value, and for indexes far above the number of
    keys.
    """
    tree: dict[str, Tree] = {}
    for key, value in flat.items():
        _put(tree, _steps(key, len(flat) + _SPARE_INDEXES), value)
    return tree


def _steps(key: str, longest_list: int) -> list[str | int]:
    """The path of a key: names of map members, and indexes of list items."""
    steps: list[str | int] = []
    at = 0
    while at <= len(key):
        found = _STEP.match(key, at)
        if found is None or not found[1]:
            raise InvalidRequest("format", "a key has an empty part or a bad index")
        steps.append(found[1])
        for index in _INDEX.findall(found[2]):
            if len(index) > 9 or int(index) > longest_list:
                raise InvalidRequest("format", "an index is far above the list's end")
            steps.append(int(index))
        if not found[3]:
            break
        at = found.end()
    return steps


def _put(tree: dict[str, Tree], steps: list[str | int], value: Any) -> None:
    """Walk down *steps*, making maps and lists on the way, and set *value*."""
    here: Any = tree
    beside = ""  # names of values met on the way, which go in front of the last name
    for position, step in enumerate(steps[:-1]):
        wanted: type = list if isinstance(steps[position + 1], int) else dict
        child = _child(here, step)
        if child is None:
            child = wanted()
            _set(here, step, child)
        elif not isinstance(child, wanted):
            if wanted is list or not isinstance(step, str):
                raise InvalidRequest(
                    "format", "a key is a list in one place, not in another"
                )
            beside = f"{beside}{step}."
            continue
        here = child
    last = steps[-1]
    _set(here, f"{beside}{last}" if isinstance(last, str) else last, value)


def _child(parent: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return parent[step] if step < len(parent) else None
    return parent.get(step)


def _set(parent: Any, step: str | int, value: Any) -> None:
    if isinstance(step, int):
        parent.extend([None] * (step + 1 - len(parent)))
    parent[step] = value
