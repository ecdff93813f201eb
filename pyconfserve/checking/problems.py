"""What a rule finds: where, how bad, and what, in one line that quotes no value."""

from __future__ import annotations

from typing import NamedTuple

from ..environment.formats.document import Entry

__all__ = ["Place", "Problem", "place_of"]


class Place(NamedTuple):
    """A line and a column of a file, from 1; a format that tells none has 1 and 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One mistake, or with *is_error* off something that is likely to be one."""

    place: Place
    text: str
    is_error: bool = True


def place_of(path: str, entry: Entry) -> Place:
    """Where an entry of the file at *path* stands."""
    return Place(path, entry.line or 1, entry.column or 1)
