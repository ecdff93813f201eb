"""JSON (RFC 8259), read strictly and with the place of every value.

The standard library's reader keeps no positions, takes NaN, duplicate keys and lone
surrogates, and recurses as deep as the input asks; this one is its string scanner under
a reader of our own.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable
from json import decoder
from typing import Any

from ...errors import DocumentError, SchemaViolation
from ..properties import Tree, flatten
from .document import DEEPEST, Document, Entry, check_integer, make_document

__all__ = ["parse", "read_tree", "write"]

# The standard library has no stub for its own C scanner of strings.
_scan_string: Callable[..., tuple[str, int]] = decoder.scanstring  # type: ignore[attr-defined]
_BLANKS = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


def parse(text: str) -> tuple[Document, ...]:
    """The one document of a JSON text; raises DocumentError with line and column."""
    if not text.strip(" \t\n\r"):
        return ()
    starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def mark(value: Any, index: int) -> Entry:
        line = bisect_right(starts, index)
        return Entry(None if value == [] else value, line, index - starts[line - 1] + 1)

    tree = _Reader(text, mark).map()
    try:
        return (make_document(flatten(tree)),)
    except ValueError as error:
        raise DocumentError(str(error)) from error


def read_tree(text: str) -> dict[str, Tree]:
    """The map that a JSON text holds, nested as written.

    Raises DocumentError with line and column.
    """
    return _Reader(text, lambda value, _: value).map()


def write(tree: dict[str, Tree]) -> str:
    """*tree* as indented JSON; raises SchemaViolation for infinities and NaN."""
    try:
        return json.dumps(tree, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise SchemaViolation("json holds finite numbers only") from error


class _Reader:
    """A recursive descent over one text.

    *mark* turns a scalar or an empty list, and its index in the text, into a leaf.
    """

    def __init__(self, text: str, mark: Callable[[Any, int], Any]) -> None:
        self._text = text
        self._mark = mark
        self._at = 0

    def map(self) -> dict[str, Any]:
        """The map at the top.

        Raises DocumentError for anything else, and for what follows it.
        """
        if self._peek() != "{":
            raise self._error("expected a map at the top")
        tree: dict[str, Any] = self._value(1)
        if self._peek():
            raise self._error("expected nothing after the map")
        return tree

    def _value(self, depth: int) -> Any:
        start, first = self._at, self._peek()
        if first in ("{", "[") and depth > DEEPEST:
            raise self._error(f"nested more than {DEEPEST} deep")
        if first == "{":
            return self._members(depth)
        if first == "[":
            start = self._at
            return self._items(depth) or self._mark([], start)
        start = self._at
        return self._mark(self._scalar(first), start)

    def _scalar(self, first: str) -> Any:
        if first == '"':
            return self._string()
        if first in _WORDS:
            word, value = _WORDS[first]
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        return self._number()

    def _members(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        self._at += 1
        if self._take("}"):
            return members
        while True:
            if self._peek() != '"':
                raise self._error("expected a key in double quotes")
            start = self._at
            key = self._string()
            if key in members:
                self._at = start
                raise self._error("a key is there twice")
            self._expect(":")
            members[key] = self._value(depth + 1)
            if self._take("}"):
                return members
            self._expect(",")

    def _items(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self._at += 1
        if self._take("]"):
            return items
        while True:
            items.append(self._value(depth + 1))
            if self._take("]"):
                return items
            self._expect(",")

    def _string(self) -> str:
        try:
            text, end = _scan_string(self._text, self._at + 1, True)
        except ValueError as error:
            raise self._error(
                "a text does not end, or holds a bad escape or a control byte"
            ) from error
        if not text.isascii() and any(
            "\ud800" <= character <= "\udfff" for character in text
        ):
            raise self._error("a text holds a lone surrogate")
        self._at = end
        return text

    def _number(self) -> int | float:
        found = _NUMBER.match(self._text, self._at)
        if not found:
            raise self._error("expected a value")
        try:
            number = (
                float(found[0]) if found[1] or found[2] else check_integer(found[0])
            )
        except ValueError as error:
            raise self._error(str(error)) from error
        if not math.isfinite(number):
            raise self._error("a number is too large")
        self._at = found.end()
        return number

    def _peek(self) -> str:
        found = _BLANKS.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> bool:
        if self._peek() != character:
            return False
        self._at += 1
        return True

    def _expect(self, character: str) -> None:
        if not self._take(character):
            raise self._error(f"expected '{character}'")

    def _error(self, problem: str) -> DocumentError:
        line = self._text.count("\n", 0, self._at) + 1
        return DocumentError(
            problem, line, self._at - self._text.rfind("\n", 0, self._at)
        )
