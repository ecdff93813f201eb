"""A JSON merge patch (RFC 7396) on flat keys, applied to a tree as it is written.

A patch is taken flat: `{"a": {"b": 1}}` and `{"a.b": 1}` mean the same. A value takes
the place of all that is stored under its key and below it, null removes that; a list is
replaced whole. All else stays: other keys, their order, how they are nested, and their
types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InvalidRequest
from .properties import Tree, flatten

__all__ = ["patched"]

_INDEX = re.compile(r"\[\d+\]")
_STEP = re.compile(r"[.\[]")  # where a part of a flat key may end


def patched(tree: Mapping[str, Tree], patch: Mapping[str, Tree]) -> Mapping[str, Tree]:
    """*tree*, nested or flat, changed by *patch*; itself where nothing changes.

    Of two keys of which one is below the other both count. Raises InvalidRequest for a
    key of an item of a list, and for more than flat properties may hold.
    """
    leaves = dict(_leaves(patch))
    if any(map(_INDEX.search, leaves)):
        raise InvalidRequest(
            "properties", "a list is patched whole: name it without an index"
        )
    try:
        before = flatten(tree)
        wanted = _flat_with(before, leaves)
    except ValueError as error:
        raise InvalidRequest("properties", str(error)) from error
    if _is_same(before, wanted):
        return tree
    nested = _nested_with(tree, leaves)
    return nested if _means(nested, wanted) else wanted


def _leaves(
    tree: Mapping[str, Tree], prefix: str | None = None
) -> Iterator[tuple[str, Tree]]:
    """The flat keys of a patch; its lists and its nulls are values."""
    for name, value in tree.items():
        key = _joined(prefix, name)
        if isinstance(value, dict):
            yield from _leaves(value, key)
        else:
            yield key, value


def _joined(prefix: str | None, name: str) -> str:
    """A flat key, as properties.flatten makes it; *prefix* None is the top."""
    if prefix is None:
        return name
    return prefix + name if name.startswith("[") else f"{prefix}.{name}"


def _above(key: str) -> Iterator[str]:
    """The keys that *key* is below of, and itself last."""
    for step in _STEP.finditer(key):
        if step.start() or step[0] == ".":  # `[a]` is below no empty key
            yield key[: step.start()]
    yield key


def _flat_with(flat: Mapping[str, Any], leaves: Mapping[str, Tree]) -> dict[str, Any]:
    """What the patch means."""
    kept = {
        key: value
        for key, value in flat.items()
        if not any(above in leaves for above in _above(key))
    }
    new = {key: value for key, value in leaves.items() if value is not None}
    return kept | flatten(new)


def _nested_with(
    tree: Mapping[str, Tree], leaves: Mapping[str, Tree]
) -> dict[str, Tree]:
    """The same of a tree as it is written, where that can be."""
    missing = {key: value for key, value in leaves.items() if value is not None}
    changed = _replaced(tree, None, leaves, missing)
    is_flat = any("." in name for name in tree)
    for key, value in missing.items():
        _put(changed, key, value, is_flat=is_flat)
    return changed


def _replaced(
    tree: Mapping[str, Tree],
    prefix: str | None,
    leaves: Mapping[str, Tree],
    missing: dict[str, Tree],
) -> dict[str, Tree]:
    """A copy with new values in their places, which are then no longer *missing*.

    What is below them goes, and so do maps that nothing is left of.
    """
    kept: dict[str, Tree] = {}
    for name, child in tree.items():
        key = _joined(prefix, name)
        if key in missing:
            kept[name] = missing.pop(key)
        elif any(above in leaves for above in _above(key)):
            continue
        elif isinstance(child, dict):
            inner = _replaced(child, key, leaves, missing)
            if inner or not child:
                kept[name] = inner
        else:
            kept[name] = child
    return kept


def _put(tree: dict[str, Tree], key: str, value: Tree, *, is_flat: bool) -> None:
    """Add a member: in the map that the beginning of its key names, else at the end.

    It is nested, unless the tree is written flat.
    """
    for above in _above(key):
        child = tree.get(above)
        if isinstance(child, dict) and child and above != key:
            rest = key.removeprefix(above).removeprefix(".")
            return _put(child, rest, value, is_flat=is_flat)
    parts = key.split(".")
    if is_flat or "[" in key or "" in parts or parts[0] in tree:
        tree[key] = value
    else:
        for part in reversed(parts[1:]):
            value = {part: value}
        tree[parts[0]] = value


def _means(nested: Mapping[str, Tree], wanted: Mapping[str, Any]) -> bool:
    """Whether a tree is *wanted* once it is flat, within the limits of one."""
    try:
        return _is_same(flatten(nested), wanted)
    except ValueError:  # its maps count, too
        return False


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether they have the same values of the same types; 1, 1.0 and true are not."""
    return one == other and all(type(one[key]) is type(other[key]) for key in one)
