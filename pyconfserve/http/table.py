"""A route table: rows with patterns of segments, which of them a path fits, a call."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import EllipsisType, MappingProxyType
from typing import Any, NamedTuple

from ..environment.overlay import Lookup
from .messages import Request, Response
from .sender import User

__all__ = ["Call", "Part", "Route", "Table", "fits", "methods"]

Part = str | re.Pattern[str] | None | EllipsisType


class Call(NamedTuple):
    """A request for one row of the table: by whom, and what it is about.

    `segments` are those below the row's base, decoded. `lookup` has the names by which
    rights are judged, and `path` that of a plain file, "" for one that is never served;
    None where a row is not about any.
    """

    request: Request
    segments: tuple[str, ...]
    sender: User
    lookup: Lookup | None = None
    path: str | None = None


class Route(NamedTuple):
    """One row of the table.

    In `pattern` a text is a segment, None any one, an expression one that matches, and
    `...` at its end one or more of any. `right` is what a sender needs, "" for nothing.
    `about` fills in what a call is about, from its segments alone.
    """

    method: str
    pattern: tuple[Part, ...]
    right: str
    handler: Callable[[Any, Call], Awaitable[Response]]
    about: Callable[[Any, Call], Call] = lambda _, call: call


class Table:
    """The *rows* of a server, after those of *rooms*.

    A room is what gives the rows for all paths with one first segment; it is asked for
    them when somebody asks for such a path.
    """

    def __init__(
        self,
        rows: tuple[Route, ...],
        rooms: Mapping[str, Callable[[], tuple[Route, ...]]] = MappingProxyType({}),
    ) -> None:
        self._rows = rows
        self._rooms = rooms

    def fitting(self, segments: tuple[str, ...]) -> list[Route]:
        """The rows that the segments of a path fit, in order."""
        room = self._rooms.get(segments[0]) if segments else None
        rows = (*room(), *self._rows) if room else self._rows
        return [route for route in rows if fits(route, segments)]

    def all_rows(self) -> tuple[Route, ...]:
        """Every row there is."""
        rooms = dict.fromkeys(self._rooms.values())  # one may have several words
        return (*[row for room in rooms for row in room()], *self._rows)


def fits(route: Route, segments: tuple[str, ...]) -> bool:
    """Whether the segments of a path are those of a row."""
    pattern = route.pattern
    if pattern[-1] is ...:
        pattern = (*pattern[:-1], *[None] * max(1, len(segments) - len(pattern) + 1))
    return len(pattern) == len(segments) and all(
        _matches(part, segment) for part, segment in zip(pattern, segments, strict=True)
    )


def _matches(part: Part, segment: str) -> bool:
    if isinstance(part, re.Pattern):
        return part.fullmatch(segment) is not None
    return part in (None, segment)


def methods(routes: Iterable[Route]) -> tuple[str, ...]:
    """The methods that rows for one path take, for an Allow header."""
    found = {route.method: None for route in routes}
    if "GET" in found:
        found["HEAD"] = None
    return (*sorted(found), "OPTIONS")
