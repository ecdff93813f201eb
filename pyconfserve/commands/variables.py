"""Flat keys as environment variables: `db.pool-size` is DB_POOL_SIZE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..environment.values import text_of

__all__ = ["Variables", "to_variables"]

_JOINTS = re.compile(r"[.\-\[\]]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOADERS = ("LD_", "DYLD_")  # what these name is code, loaded into every program


class Variables(NamedTuple):
    """`values` by name, the `keys` they come from, and `problems` with the others."""

    values: dict[str, str]
    keys: dict[str, str]
    problems: list[str]


def to_variables(flat: Mapping[str, Any]) -> Variables:
    """The variables of flat properties.

    Dots, dashes and indexes become `_`: `a[0].b` is A_0_B. Of two keys with one name
    the first counts. A problem names its key and never its value.
    """
    found = Variables({}, {}, [])
    for key, value in flat.items():
        text = text_of(value)
        name = _JOINTS.sub("_", key.rstrip("]"))
        if not _NAME.fullmatch(name):
            problem = "is no name of a variable"
        elif name.upper().startswith(_LOADERS):
            problem = f"would be {name.upper()}, which loads code into programs"
        elif (taken := found.keys.get(name.upper())) is not None:
            problem = f"would be {name.upper()}, which {taken} is already"
        elif not _can_hold(text):
            problem = "has a value that no variable can hold"
        else:
            found.values[name.upper()], found.keys[name.upper()] = text, key
            continue
        found.problems.append(f"{key!r} is left out: it {problem}")
    return found


def _can_hold(text: str) -> bool:
    """Whether a process can get *text*: no NUL in it, no half of a surrogate pair."""
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False
