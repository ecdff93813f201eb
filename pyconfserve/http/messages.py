"""Request and Response: the frozen values that every edge speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Request", "Response"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was sent: `path` is raw, still percent-encoded, without the
    query.

    `headers` maps names in lower case to values; a header that stood there several
    times is joined by `, `. `host` is what the request was sent to: the authority of
    its target, else its Host header.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    host: str = ""
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `headers` are those of the content, edges add their own (Date,
    Connection, length).
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
