"""Request and Response: the frozen values that every edge speaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Parsed", "Request", "Response", "joined", "reason"]


# The usual one, and RFC 9110's names, which HTTPStatus has since Python 3.13.
_NAMES = {
    200: "OK",
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}


class Request(NamedTuple):
    """One request as it was sent.

    `path` is raw, still percent-encoded, without the query. `headers` maps names in
    lower case to values; a header that stood there several times is joined by `, `.
    `host` is what the request was sent to: the authority of its target, else its Host
    header. `peer` is the address that it came from, where the edge tells.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""
    host: str = ""
    keep_alive: bool = True
    peer: str = ""


class Parsed(Request):
    """A request as its head says, which may be met again; it is a Request by value.

    `meaning` is what was found out from its head alone, by whoever wants to know.
    """

    meaning: object = None


class Response(NamedTuple):
    """One answer; `headers` are those of the content.

    Edges add their own (Date, Connection, length).
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields as one mapping: what stands there several times, joined by `, `."""
    headers: dict[str, str] = {}
    for name, value in fields:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def reason(status: int) -> str:
    """The reason phrase of a status, the same on every version of Python."""
    if status in _NAMES:
        return _NAMES[status]
    from http import HTTPStatus  # takes as long as five of our modules

    return HTTPStatus(status).phrase
