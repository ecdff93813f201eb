"""TOML 1.0, read by the standard library's tomllib, which keeps no positions; it is not
written.

Dates stay text as written, as in every format here.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from typing import Any

from ...errors import Conflict, DocumentError
from ..properties import Tree, flatten
from .document import DEEPEST, LONGEST_INTEGER, Document, Entry, make_document

__all__ = ["parse", "write"]

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?)?"
    r"|\d\d:\d\d:\d\d(?:\.\d+)?"
)
_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse(text: str) -> tuple[Document, ...]:
    """The one document of a TOML text; raises DocumentError, with the line of a syntax
    error.
    """
    try:
        tree = tomllib.loads(text)
        written = {
            _identity(tomllib.loads(f"x = {found}")["x"]): found
            for found in _moments(text)
        }
        flat = flatten(_plain(tree, written))
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line, column = (int(place[1] or 0), int(place[2] or 0)) if place else (0, 0)
        raise DocumentError("not TOML", line, column) from error
    except (ValueError, RecursionError) as error:
        raise DocumentError("a value is too large or nested too deep") from error
    return (
        (make_document({key: Entry(value) for key, value in flat.items()}),)
        if flat
        else ()
    )


def write(tree: dict[str, Tree]) -> str:
    """Raise Conflict: neither the standard library nor we write TOML."""
    raise Conflict("a toml file is read only here; store the bundle as yaml or json")


def _moments(text: str) -> list[str]:
    """What looks like a date or a time in *text*, and is one."""
    return [
        found for found in dict.fromkeys(_MOMENT.findall(text)) if _is_moment(found)
    ]


def _is_moment(text: str) -> bool:
    try:
        return isinstance(
            tomllib.loads(f"x = {text}")["x"], datetime.date | datetime.time
        )
    except ValueError:
        return False


def _identity(moment: Any) -> tuple[type, str]:
    return type(moment), moment.isoformat()


def _plain(tree: Tree, written: dict[tuple[type, str], str], depth: int = 1) -> Tree:
    """*tree* with its dates and times as the text they were written in."""
    if depth > DEEPEST + 1:
        raise ValueError("too deep")
    if isinstance(tree, dict):
        return {key: _plain(value, written, depth + 1) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plain(value, written, depth + 1) for value in tree]
    if isinstance(tree, datetime.date | datetime.time):
        return written.get(_identity(tree), tree.isoformat())
    if isinstance(tree, int) and tree.bit_length() > LONGEST_INTEGER:
        raise ValueError("too large")
    return tree
