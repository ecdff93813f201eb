"""What every format is read into, and the limits they all keep.

Limits are SnakeYAML's in Spring where it has one, so that a file it reads is read here
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...errors import DocumentError

__all__ = [
    "DEEPEST",
    "LARGEST_FILE",
    "LARGEST_FLAT",
    "LONGEST_INTEGER",
    "LONGEST_KEY",
    "MOST_ALIASES",
    "MOST_DOCUMENTS",
    "MOST_NODES",
    "Document",
    "Entry",
    "check_integer",
    "flat_size",
    "make_document",
]

DEEPEST = 50  # nested collections: SnakeYAML's nestingDepthLimit
MOST_ALIASES = 50  # to collections, a file: SnakeYAML's maxAliasesForCollections
MOST_DOCUMENTS = 100  # in a file: each is judged and merged for every answer
MOST_NODES = 200_000  # of a file, aliases expanded: a second of work and 50 MB
LARGEST_FILE = 3 * 1024 * 1024  # bytes: SnakeYAML's codePointLimit
LARGEST_FLAT = 64 * 1024 * 1024  # characters of all keys and texts, lists and
# aliases expanded: as much as the cache holds; a long key above many items is a bomb
LONGEST_KEY = 1024  # bytes of a flat key: room for any real one, not for a bomb
LONGEST_INTEGER = 1024  # bits: larger ones cost every reader quadratic time

_DIGITS_OF_LONGEST = 400  # longer in base 8 and above than any allowed


class Entry(NamedTuple):
    """One value of a document, and the line and column where it starts.

    Both count from 1; 0 is unknown.
    """

    value: Any
    line: int = 0
    column: int = 0


class Document(NamedTuple):
    """One part of a file: `entries` maps flat keys to Entry, in the order of the file.

    When it is active, and what it includes and imports, is said by its own keys:
    activation.py reads them.
    """

    entries: Mapping[str, Entry]


def make_document(entries: dict[str, Entry]) -> Document:
    """The document of flat *entries*, null made the empty text.

    Raises DocumentError for a key above the limit.
    """
    for key, entry in entries.items():
        if len(key) * 4 > LONGEST_KEY and len(key.encode("utf-8")) > LONGEST_KEY:
            raise DocumentError(
                f"a key is longer than {LONGEST_KEY} bytes", entry.line, entry.column
            )
        if entry.value is None:
            entries[key] = entry._replace(value="")
    return Document(entries)


def flat_size(key: str, value: Any) -> int:
    """The characters that one flat property adds to an answer."""
    return len(key) + (len(value) if isinstance(value, str) else 0)


def check_integer(text: str, base: int = 10) -> int:
    """The integer that *text* writes; ValueError above LONGEST_INTEGER bits."""
    if len(text) <= (LONGEST_INTEGER + 2 if base == 2 else _DIGITS_OF_LONGEST):
        number = int(text, base)
        if number.bit_length() <= LONGEST_INTEGER:
            return number
    raise ValueError(f"an integer has more than {LONGEST_INTEGER} bits")
