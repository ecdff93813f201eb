"""TOML 1.0 by the standard library's tomllib, which keeps no positions.

It is read, not written. Dates stay text as written, as in every format here.
"""

from __future__ import annotations

import re
import tomllib

from ...errors import Conflict, DocumentError
from ..properties import Tree, flatten
from .document import DEEPEST, LONGEST_INTEGER, Document, Entry, make_document

__all__ = ["parse", "write"]

# Texts and comments first, so that what they hold is not taken for anything else.
_TOKEN = re.compile(
    r"\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}"
    r"|\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|#[^\n]*"
    r"|(?<![\w.+:-])(?P<moment>\d{4}-\d\d-\d\d"
    r"(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)?)?"
    r"|\d\d:\d\d:\d\d(?:\.\d+)?)(?![\w.:-])",
    re.DOTALL,
)
# From the start of a word and without going back: a long word would cost its square.
_DEEP_KEY = re.compile(rf"(?<![\w-])(?:(?:[\w-]++|\"\")[ \t]*+\.[ \t]*+){{{DEEPEST}}}")
_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse(text: str) -> tuple[Document, ...]:
    """The one document of a TOML text.

    Raises DocumentError, with the line of a syntax error.
    """
    try:
        if _DEEP_KEY.search(_TOKEN.sub('""', text)):  # tomllib is quadratic in these
            raise ValueError("too deep")
        tree = tomllib.loads(text)
        _check_limits(tree)
        if any(found["moment"] for found in _TOKEN.finditer(text)):
            tree = tomllib.loads(_TOKEN.sub(_quote_moment, text))
        flat = flatten(tree)
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


def _quote_moment(found: re.Match[str]) -> str:
    """A date or time made text as it is written; a bare key stays the same key."""
    return f'"{found[0]}"' if found["moment"] else found[0]


def _check_limits(tree: Tree, depth: int = 1) -> None:
    if isinstance(tree, dict | list):
        if depth > DEEPEST:
            raise ValueError("too deep")
        for child in tree.values() if isinstance(tree, dict) else tree:
            _check_limits(child, depth + 1)
    elif isinstance(tree, int) and tree.bit_length() > LONGEST_INTEGER:
        raise ValueError("too large")
