"""The head of a request by RFC 9112 and 9110: grammar, framing, and their limits.

Strict where the RFC leaves room, because what two readers understand differently is how
requests are smuggled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import ProtocolError
from .messages import Parsed, Request, joined
from .refusals import (
    BodyTooLarge,
    ExpectationFailed,
    HeadersTooLarge,
    LengthRequired,
    TargetTooLong,
    UnknownMethod,
    UnknownTransferCoding,
    UnknownVersion,
)

__all__ = [
    "LARGEST_BODY",
    "LARGEST_HEADERS",
    "LONGEST_LINE",
    "METHODS",
    "MOST_HEADERS",
    "check_sizes",
    "parse_head",
    "parse_header",
]

LONGEST_LINE = 8 * 1024  # bytes, of the request or one header: nginx, Tomcat
LARGEST_HEADERS = 64 * 1024  # bytes of a head
MOST_HEADERS = 100  # Apache's LimitRequestFields
LARGEST_BODY = 1024 * 1024  # bytes: a bundle of ten thousand keys

METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(
    rb"(%s) ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])" % _TOKEN
)
# Blanks around a value are taken off by hand: a pattern would try each place for them.
_HEADER = re.compile(rb"(%s):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(r"https?://([^/?]*)([/?].*)?", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")
_ONCE = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "content-type",
        "authorization",
        "expect",
    }
)


def check_sizes(head: bytes) -> None:
    """Raise TargetTooLong or HeadersTooLarge for a head above the limits.

    Lines are judged in their order, so that pieces and the whole fare alike.
    """
    lines = head.split(b"\n")
    if len(lines[0]) > LONGEST_LINE + 1:
        raise TargetTooLong(f"a request line is at most {LONGEST_LINE} bytes")
    if len(head) > LARGEST_HEADERS or any(
        len(line) > LONGEST_LINE + 1 for line in lines
    ):
        raise HeadersTooLarge(
            f"a header is at most {LONGEST_LINE} bytes, all of them {LARGEST_HEADERS}"
        )
    if len(lines) - 3 > MOST_HEADERS:
        raise HeadersTooLarge(f"more than {MOST_HEADERS} headers")


def parse_head(head: bytes) -> Request:
    """The request that a head announces, without its body; raises ProtocolError."""
    if not head.endswith(b"\r\n\r\n"):
        raise ProtocolError("lines end with CRLF")
    lines = head[:-4].split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(lines[0])
    if found is None:
        raise ProtocolError(
            "expected a method, a target and HTTP/1.1, each after one blank"
        )
    if (found[3], found[4]) not in ((b"1", b"1"), (b"1", b"0")):
        raise UnknownVersion("this server speaks HTTP/1.0 and HTTP/1.1")
    is_1_1 = found[4] == b"1"
    method = found[1].decode("ascii")
    fields = [parse_header(line) for line in lines[1:]]
    once = [name for name, _ in fields if name in _ONCE]
    for name in once:
        if once.count(name) > 1:
            raise ProtocolError(f"more than one {name} header")
    headers = joined(fields)
    if not is_1_1:
        headers.pop("expect", None)  # RFC 9110 §10.1.1
    if method not in METHODS:
        raise UnknownMethod("a method that no route has")
    path, query, host = _parse_target(
        method, found[2].decode("ascii"), headers.get("host"), is_1_1
    )
    try:
        _check_framing(method, headers, is_1_1)
    except ProtocolError as error:
        error.path = path
        raise
    return Parsed(
        method, path, query, headers, b"", host, _keeps_alive(headers, is_1_1)
    )


def parse_header(line: bytes) -> tuple[str, str]:
    """Name in lower case and value of one header line; raises ProtocolError."""
    found = _HEADER.fullmatch(line)
    if found is None:
        raise ProtocolError(
            "a header is a name, a colon and a value without control bytes"
        )
    return found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")


def _parse_target(
    method: str, target: str, host: str | None, is_1_1: bool
) -> tuple[str, str, str]:
    """Path, query and host; an absolute target's authority counts before Host."""
    if host is None and is_1_1:
        raise ProtocolError("a request of HTTP/1.1 names its Host")
    if host is not None:
        _check_host(host)
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host, target = absolute[1], absolute[2] or "/"
        _check_host(host)
        target = target if target.startswith("/") else f"/{target}"
    if not target.startswith("/") and (method, target) != ("OPTIONS", "*"):
        raise ProtocolError("a target begins with a slash")
    path, _, query = target.partition("?")
    return path, query, host or ""


def _check_host(host: str) -> None:
    found = _HOST.fullmatch(host)
    if found is None or int(found[1] or 0) > 65535:
        raise ProtocolError("a Host is a name or an address, with a port or without")


def _check_framing(method: str, headers: Mapping[str, str], is_1_1: bool) -> None:
    """RFC 9112 §6: how long the body is, or a refusal."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None or not is_1_1:
            raise ProtocolError("Transfer-Encoding with Content-Length, or in HTTP/1.0")
        if coding.lower() != "chunked":
            known = "chunked" in coding.lower()
            raise (ProtocolError if known else UnknownTransferCoding)(
                "the only transfer coding is one chunked"
            )
    elif length is not None:
        if not _DIGITS.fullmatch(length):
            raise ProtocolError("a Content-Length is a number in digits")
        if (
            len(length.lstrip("0")) > len(str(LARGEST_BODY))
            or int(length) > LARGEST_BODY
        ):
            raise BodyTooLarge(f"a body is at most {LARGEST_BODY} bytes")
    elif method in _WITH_BODY:
        raise LengthRequired(
            "a body without its length: send Content-Length, 0 for none"
        )
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise ExpectationFailed("the only expectation is 100-continue")


def _keeps_alive(headers: Mapping[str, str], is_1_1: bool) -> bool:
    options = [
        option.strip().lower() for option in headers.get("connection", "").split(",")
    ]
    return "close" not in options if is_1_1 else "keep-alive" in options
