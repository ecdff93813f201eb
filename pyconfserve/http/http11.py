"""HTTP/1.1 bytes to messages and back (RFC 9112); no input or output happens here.

grammar.py says what a head may be; here are the stream, the bodies and the answers.
After a ProtocolError nothing more is read: what follows could mean anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from ..errors import ProtocolError
from .grammar import (
    LARGEST_BODY,
    LARGEST_HEADERS,
    LONGEST_LINE,
    MOST_HEADERS,
    check_sizes,
    parse_head,
    parse_header,
)
from .memo import HeadMemo
from .messages import Request, Response, reason
from .refusals import BodyTooLarge, HeadersTooLarge, TargetTooLong

__all__ = ["CONTINUE", "Parser", "serialize"]

_LONGEST_CHUNK_LINE = 256  # bytes; extensions are counted and ignored
_MOST_CHUNKS = 128 * 1024  # some 300 ms, over several readings
_MOST_BLANK_LINES = 2  # before a request line: RFC 9112 §2.2 asks to skip one

CONTINUE = Response(100)
_NO_REQUEST = Request("", "")

_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t\x20-\x7e\x80-\xff]*)?")

Event = Request | Response | None


class Parser:
    """The requests in a stream of bytes; `feed` it and take what `next_event` gives.

    Input may come in any pieces: the events and errors are the same. After a
    ProtocolError it is spent.
    """

    def __init__(self, memo: HeadMemo | None = None) -> None:
        self._memo = memo or HeadMemo()
        self._buffer = bytearray()
        self._searched = 0
        self._blank_lines = 0
        self._state: Callable[[], Event] = self._read_head
        self._request = _NO_REQUEST
        self._body = bytearray()
        self._left = 0
        self._chunks = 0

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun."""
        return self._state == self._read_head and not self._buffer

    @property
    def is_in_body(self) -> bool:
        """Whether a head is complete and its body is not."""
        return self._state != self._read_head

    @property
    def buffered(self) -> int:
        """How many bytes wait to be read."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        self._buffer += data

    def next_event(self) -> Event:
        """The next Request, CONTINUE when the client waits for it, None to feed more.

        Raises ProtocolError, whose status says what to answer, and the same again when
        asked again.
        """
        try:
            return self._step()
        except ProtocolError as error:
            error.path = error.path or self._request.path
            self._state = self._spent(error)
            raise

    def _step(self) -> Event:
        state = None
        while state != self._state:
            state = self._state
            event = state()
            if event is not None:
                return event
        return None

    @staticmethod
    def _spent(error: ProtocolError) -> Callable[[], Event]:
        """The state after *error*: whatever is fed, it is raised again."""

        def raise_again() -> Event:
            raise error

        return raise_again

    # the states, in the order of a request

    def _read_head(self) -> Event:
        self._skip_blank_lines()
        found = _HEAD_END.search(self._buffer, max(0, self._searched - 2))
        if found is None:
            self._check_unfinished_head()
            self._searched = len(self._buffer)
            return None
        head = bytes(self._buffer[: found.end()])
        request = self._memo.get(head)
        if request is None:
            check_sizes(head)
            request = parse_head(head)
        self._take(found.end())
        return self._begin_body(head, request)

    def _begin_body(self, head: bytes, request: Request) -> Event:
        framing = request.headers
        if "transfer-encoding" in framing:
            self._chunks = 0
            self._state = self._read_chunk_size
        elif int(framing.get("content-length", "0")):
            self._left = int(framing["content-length"])
            self._state = self._read_body
        else:
            self._memo.keep(head, request)
            return request
        self._request = request
        return CONTINUE if "expect" in framing else None

    def _read_body(self) -> Event:
        if len(self._buffer) < self._left:
            return None
        self._body += self._take(self._left)
        return self._finish()

    def _read_chunk_size(self) -> Event:
        line = self._line(_LONGEST_CHUNK_LINE)
        if line is None:
            return None
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise ProtocolError("a chunk begins with its size in hex digits")
        self._left = int(found[1], 16)
        if len(self._body) + self._left > LARGEST_BODY:
            raise BodyTooLarge(f"a body is at most {LARGEST_BODY} bytes")
        self._chunks += 1
        if self._chunks > _MOST_CHUNKS:
            raise BodyTooLarge(f"a body has at most {_MOST_CHUNKS} chunks")
        self._state = self._read_chunk if self._left else self._read_trailers
        return None

    def _read_chunk(self) -> Event:
        if len(self._buffer) < self._left + 2:
            return None
        self._body += self._take(self._left)
        if self._take(2) != b"\r\n":
            raise ProtocolError("a chunk ends with CRLF")
        self._state = self._read_chunk_size
        return None

    def _read_trailers(self) -> Event:
        """Check trailers like headers and throw them away.

        They must not change what a request means.
        """
        while (line := self._line(LONGEST_LINE)) is not None:
            if not line:
                return self._finish()
            self._left += 1
            if self._left > MOST_HEADERS:
                raise HeadersTooLarge(f"more than {MOST_HEADERS} trailers")
            parse_header(line)
        return None

    def _finish(self) -> Request:
        request = self._request
        body = bytes(self._body)
        self._body.clear()
        self._state, self._request = self._read_head, _NO_REQUEST
        return request._replace(body=body)

    # the buffer

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._searched = 0
        return data

    def _line(self, longest: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, longest + 2)
        if end < 0:
            if len(self._buffer) > longest + 1:
                raise ProtocolError(f"a line of a body is longer than {longest} bytes")
            if b"\n" in self._buffer:
                raise ProtocolError("lines end with CRLF")
            return None
        return self._take(end + 2)[:-2]

    def _check_unfinished_head(self) -> None:
        start = self._buffer.rfind(b"\n", 0, self._searched) + 1
        for line in self._buffer[start:].split(b"\n"):
            if len(line) > LONGEST_LINE + 1:
                kind = HeadersTooLarge if start else TargetTooLong
                raise kind(f"a line of a head is at most {LONGEST_LINE} bytes")
            start += len(line) + 1
        if len(self._buffer) > LARGEST_HEADERS:
            raise HeadersTooLarge(f"a head is at most {LARGEST_HEADERS} bytes")

    def _skip_blank_lines(self) -> None:
        while self._buffer.startswith(b"\r\n"):
            self._blank_lines += 1
            if self._blank_lines > _MOST_BLANK_LINES:
                raise ProtocolError("expected a request line")
            self._take(2)
        if len(self._buffer) > 1:
            self._blank_lines = 0


def serialize(
    response: Response,
    *,
    date: str,
    keep_alive: bool = True,
    says_keep_alive: bool = False,
    with_body: bool = True,
    extra: str = "",
) -> bytes:
    """The bytes of an answer; *date* is the value of its Date header (RFC 9110 §5.6.7).

    *says_keep_alive* is for clients of HTTP/1.0, *with_body* False for the answer to
    HEAD. *extra* is header lines with their ends, of this answer alone.
    """
    status, headers, body = response
    if status < 200:
        return _head(status, (), None) + b"\r\n"
    length = None if status in (204, 304) else len(body)
    connection = ""
    if not keep_alive:
        connection = "Connection: close\r\n"
    elif says_keep_alive:
        connection = "Connection: keep-alive\r\n"
    about = f"Date: {date}\r\n{extra}{connection}\r\n".encode("ascii")
    shown = body if with_body and length else b""
    return b"".join((_head(status, headers, length), about, shown))


@lru_cache(4096)
def _head(
    status: int, headers: tuple[tuple[str, str], ...], length: int | None
) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason(status)}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")
