"""Rows of a route table: patterns of segments, and which rows a path fits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from types import EllipsisType
from typing import Any, NamedTuple

from .messages import Request, Response

__all__ = ["Part", "Route", "fits", "methods"]

Part = str | re.Pattern[str] | None | EllipsisType


class Route(NamedTuple):
    """One row of the table.

    In `pattern` a text is a segment, None any one, an expression one that matches, and
    `...` at its end one or more of any.
    """

    method: str
    pattern: tuple[Part, ...]
    right: str
    handler: Callable[[Any, Request, tuple[str, ...]], Awaitable[Response]]


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
