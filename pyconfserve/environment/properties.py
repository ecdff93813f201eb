"""Trees to flat properties, and the one merge that all share.

Server, formats and client merge by precedence here. Flat keys are `a.b[0].c`; their
order is the order of the tree. The rules for null, empty lists and empty maps, and for
keys in brackets, are Spring's (OriginTrackedYamlLoader, YamlProcessor; cases
yaml-types).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..errors import InvalidRequest
from .formats.document import (
    DEEPEST,
    LARGEST_FLAT,
    LONGEST_INTEGER,
    LONGEST_KEY,
    MOST_NODES,
    Entry,
    flat_size,
)

__all__ = ["Tree", "check_tree", "flatten", "merge"]

Tree = Any  # None, bool, int, float, str, list of trees, dict of str to tree
Value = TypeVar("Value")


def flatten(tree: Mapping[str, Tree]) -> dict[str, Any]:
    """The flat form of a tree.

    `{"a": {"b": [1, None]}}` gives `{"a.b[0]": 1, "a.b[1]": ""}`: null and an empty
    list are the empty text, an empty map is nothing at all. Of two spellings of one
    flat key the later value wins, at the place of the first. A tree that is flat
    already comes out as it is. Raises ValueError when it holds more than MOST_NODES
    values, or LARGEST_FLAT characters once flat.
    """
    flat: dict[str, Any] = {}
    budget = [MOST_NODES, LARGEST_FLAT]
    for key, value in tree.items():
        _flatten(key, value, flat, budget)
    return flat


def _flatten(key: str, value: Tree, flat: dict[str, Any], budget: list[int]) -> None:
    if isinstance(value, dict):
        for name, child in value.items():
            _flatten(
                key + name if name.startswith("[") else f"{key}.{name}",
                child,
                flat,
                budget,
            )
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            _flatten(f"{key}[{index}]", child, flat, budget)
    else:
        flat[key] = "" if value is None or value == [] else value
        content = value.value if isinstance(value, Entry) else value
        budget[1] -= flat_size(key, content)
    budget[0] -= 1
    if budget[0] < 0:
        raise ValueError(f"more than {MOST_NODES} values")
    if budget[1] < 0:
        raise ValueError(f"more than {LARGEST_FLAT} characters once it is flat")


def merge(sources: Iterable[Mapping[str, Value]]) -> dict[str, Value]:
    """One flat mapping from several, highest precedence first.

    The first source that has a key wins. A list comes from one source: it replaces all
    that lower sources have under the same text before the first `[`, and so does a
    plain value. A map does not: keys are taken one by one. A key, or a list as one,
    stands where the lowest source that has it put it, as in Spring's own merge (case
    alt-formats/prod-eu-yml).
    """
    layers = list(sources)
    if len(layers) == 1:
        return dict(layers[0])
    groups: dict[str, dict[str, Value]] = {}  # a list's keys are one, named `list[`
    for layer in reversed(layers):
        own: dict[str, dict[str, Value]] = {}
        for key, value in layer.items():
            base, bracket, _ = key.partition("[")
            own.setdefault(base + bracket, {})[key] = value
        for name, group in own.items():
            replaced = name[:-1] if name.endswith("[") else f"{name}["
            if replaced not in own:
                groups.pop(replaced, None)
            groups[name] = group
    return {key: value for group in groups.values() for key, value in group.items()}


def check_tree(tree: Tree) -> None:
    """Raise InvalidRequest unless every format and client can take *tree*.

    The tree is a map. Keys are text of at most LONGEST_KEY bytes once flat; values are
    null, booleans, integers of at most LONGEST_INTEGER bits, finite numbers, text
    without lone surrogates, lists and maps, DEEPEST deep.
    """
    if not isinstance(tree, Mapping):
        raise InvalidRequest("properties", f"expected a map, got {type(tree).__name__}")
    _check_map(tree, 1)
    try:
        flat = flatten(tree)
    except ValueError as error:
        raise InvalidRequest("properties", str(error)) from error
    for key in flat:
        if len(key.encode("utf-8")) > LONGEST_KEY:
            raise InvalidRequest(
                "properties", f"a key is longer than {LONGEST_KEY} bytes"
            )


def _check_map(tree: Mapping[Any, Tree], depth: int) -> None:
    for key, value in tree.items():
        if not isinstance(key, str):
            raise InvalidRequest(
                "properties", f"expected text as key, got {type(key).__name__}"
            )
        _check_value(key, depth)
        _check_value(value, depth)


def _check_value(value: Tree, depth: int) -> None:
    if isinstance(value, dict | list) and depth >= DEEPEST:
        raise InvalidRequest("properties", f"nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        _check_map(value, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth + 1)
    elif isinstance(value, str):
        if not value.isascii() and any(
            "\ud800" <= character <= "\udfff" for character in value
        ):
            raise InvalidRequest("properties", "text holds a lone surrogate")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidRequest("properties", "expected finite numbers")
    elif isinstance(value, int):
        if value.bit_length() > LONGEST_INTEGER:
            raise InvalidRequest(
                "properties", f"an integer has more than {LONGEST_INTEGER} bits"
            )
    elif value is not None:
        raise InvalidRequest(
            "properties", f"a value of type {type(value).__name__} cannot be stored"
        )
