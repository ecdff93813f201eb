"""Java's `.properties`, as Spring's OriginTrackedPropertiesLoader reads them.

All values are text, as in java.util.Properties. A line `#---` or `!---` begins the next
document; `items[]=a,b` is a list.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import DocumentError, SchemaViolation
from ..properties import Tree, flatten
from ..values import text_of
from .document import (
    LARGEST_FLAT,
    MOST_DOCUMENTS,
    MOST_NODES,
    Document,
    Entry,
    flat_size,
    make_document,
)

__all__ = ["parse", "write"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_KEY = re.compile(r"((?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.)|$)", re.DOTALL)
_ITEM = re.compile(r"[ \t\f]*((?:[^\\,]|\\.)*),?", re.DOTALL)
_MEANING = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_BLANKS = " \t\f"
_SEPARATORS = ("#---", "!---")

_WRITTEN = {
    "\\": "\\\\",
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "\f": "\\f",
    "\ufeff": "\\uFEFF",  # at the beginning of a file it would be skipped
}
_IN_VALUE = re.compile(r"[\\\t\n\r\f]|^ ")
_IN_KEY = re.compile(r"[\\\t\n\r\f =:\ufeff]|^[#!]")


class _Line(NamedTuple):
    """A logical line: its text, and where its parts stand in the file.

    `places` has (offset in the text, line, column) for each natural line.
    """

    text: str
    places: list[tuple[int, int, int]]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset in the text."""
        after = bisect_right(self.places, offset, key=lambda place: place[0])
        start, line, column = self.places[after - 1]
        return line, column + offset - start


def parse(text: str) -> tuple[Document, ...]:
    """The documents of a `.properties` text.

    Raises DocumentError for a bad `\\u` escape, a lone surrogate and the limits.
    """
    parts: list[dict[str, Entry]] = [{}]
    for line in _logical_lines(text):
        if not line.places:
            parts.append({})
        else:
            _read_line(line, parts[-1])
    if len(parts) > MOST_DOCUMENTS:
        raise DocumentError(f"more than {MOST_DOCUMENTS} documents")
    for part in parts:  # nothing here comes by flatten, which counts for the others
        size = sum(flat_size(key, entry.value) for key, entry in part.items())
        if size > LARGEST_FLAT:
            raise DocumentError(f"more than {LARGEST_FLAT} characters once it is flat")
    return tuple(make_document(part) for part in parts if part)


def write(tree: dict[str, Tree]) -> str:
    """*tree* as `key=value` lines.

    Raises SchemaViolation for null, empty lists and empty maps, and for a key that ends
    with `[]`.
    """
    for value in tree.values():
        _refuse_empty(value)
    flat = flatten(tree)
    if any(key.endswith("[]") for key in flat):
        raise SchemaViolation("a .properties file cannot hold a key that ends with []")
    return "".join(
        f"{_escape(_IN_KEY, key)}={_escape(_IN_VALUE, text_of(value))}\n"
        for key, value in flat.items()
    )


def _logical_lines(text: str) -> Iterator[_Line]:
    """The lines that say something, joined where continued, without leading blanks.

    A line that begins a document has no places.
    """
    natural = iter(enumerate(_LINE_END.split(text), 1))
    for number, line in natural:
        content = line.lstrip(_BLANKS)
        if content[:1] in ("", "#", "!"):
            if line in _SEPARATORS:
                yield _Line(line, [])
            continue
        places = [(0, number, len(line) - len(content) + 1)]
        parts, length = [content], len(content)
        while _is_continued(parts[-1]):
            number, line = next(natural, (number, ""))
            parts[-1] = parts[-1][:-1]
            parts.append(line.lstrip(_BLANKS))
            length -= 1
            places.append((length, number, len(line) - len(parts[-1]) + 1))
            length += len(parts[-1])
        yield _Line("".join(parts), places)


def _is_continued(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _read_line(line: _Line, entries: dict[str, Entry]) -> None:
    found = _KEY.match(line.text)
    assert found is not None  # every part of it may be empty
    place = line.place(found.end())
    key = _unescape(found[1], place)
    if key.endswith("[]"):
        for index, item in enumerate(_items(line.text, found.end())):
            if index >= MOST_NODES:
                raise DocumentError(f"more than {MOST_NODES} items", *place)
            place = line.place(item.start(1))
            entries[f"{key[:-2]}[{index}]"] = Entry(_unescape(item[1], place), *place)
    else:
        entries[key] = Entry(_unescape(line.text[found.end() :], place), *place)


def _items(text: str, start: int) -> Iterator[re.Match[str]]:
    """The items of a comma list; a comma at the end begins no other, as in Spring."""
    item = _ITEM.match(text, start)
    while item:
        yield item
        item = _ITEM.match(text, item.end()) if item.end() < len(text) else None


def _unescape(text: str, place: tuple[int, int]) -> str:
    if "\\" not in text:
        return text

    def meaning(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        if found[2] == "u":
            raise DocumentError("\\u is not followed by four hex digits", *place)
        return _MEANING.get(found[2] or "", found[2] or "")

    plain = _ESCAPE.sub(meaning, text)
    try:  # a pair of escapes may write one character beyond the basic plane
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise DocumentError("a text holds a lone surrogate", *place) from error


def _escape(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda found: _WRITTEN.get(found[0], "\\" + found[0]), text)


def _refuse_empty(tree: Tree) -> None:
    if tree is None or tree == [] or tree == {}:
        raise SchemaViolation(
            "a .properties file cannot hold null, an empty list or an empty map"
        )
    for child in (
        tree.values()
        if isinstance(tree, dict)
        else tree
        if isinstance(tree, list)
        else ()
    ):
        _refuse_empty(child)
