"""One line for each request on standard error: who asked for which path, and the end.

A line holds no query, no header, no value. Lines are made in the loop and written by a
thread: whoever does not read them holds up nobody, but loses some, and is told so.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .messages import Request
from .observing import NO_HTTP, Exchange, RequestIds

__all__ = ["FORMS", "AccessLog"]

_STANDARD_ERROR = 2
_MOST_LINES = 10_000  # that wait to be written: 3 MB as a rule, 30 MB at most
_LONGEST = 1024  # characters of a path or a name: a line stays below _PIPE
_PIPE = 4096  # bytes that come out in one piece, whoever else writes (PIPE_BUF)
_PAUSE = 0.05  # seconds between writings, so that a busy server's come in large pieces
_PATIENCE = 2.0  # seconds for the last lines
_MARKS = frozenset(' "\\')  # have a meaning in a line
_MONTHS = tuple("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())  # noqa: SIM905

_quoted = json.JSONEncoder().encode


class _Moment(NamedTuple):
    """A second as both forms write it, made once."""

    second: int
    common: str
    json: str


class AccessLog:
    """Writes a line of *form*, one of FORMS, for each answer; it is an Observer.

    *name_of* gives the name of the user who sends a request, "" for none. Lines go to
    the file *descriptor*, at most *most* wait for it. *clock* is in seconds since the
    epoch. It is made in the process that uses it, as it has a thread.
    """

    def __init__(
        self,
        form: str,
        *,
        name_of: Callable[[Request], str] = lambda _: "",
        descriptor: int = _STANDARD_ERROR,
        most: int = _MOST_LINES,
        ids: RequestIds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._line, note = FORMS[form]
        self._name_of = name_of
        self._clock = clock
        self._moment = _moment(0)
        self.new_id = (ids or RequestIds()).id_of
        self._writer = _Writer(
            descriptor, most, lambda text: note(self._now()[0], text)
        )

    def answered(self, exchange: Exchange) -> None:
        """Have a line written."""
        user = self._name_of(exchange.request)
        self._writer.put(self._line(*self._now(), exchange, user))

    def close(self) -> None:
        """Wait until all is written, but not for a reader that takes nothing."""
        self._writer.close()

    def _now(self) -> tuple[_Moment, int]:
        """The second, and the milliseconds in it."""
        now = self._clock()
        second = int(now)
        moment = self._moment
        if second != moment.second:
            moment = self._moment = _moment(second)
        return moment, int((now - second) * 1000)


class _Writer:
    """Writes lines in a thread of its own; *note* makes one of what is to be said."""

    def __init__(self, descriptor: int, most: int, note: Callable[[str], str]) -> None:
        self._descriptor = descriptor
        self._most = most
        self._note = note
        self._lines: deque[str] = deque()
        self._dropped = 0  # written by the loop alone
        self._failed = 0  # and these two by the thread
        self._said = 0
        self._is_wanted = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="access-log", daemon=True
        )
        self._thread.start()

    def put(self, line: str) -> None:
        """Have a line written, unless too many wait."""
        if len(self._lines) >= self._most:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._is_wanted.is_set():
            self._is_wanted.set()

    def close(self) -> None:
        """Wait for the thread, which ends when all is written."""
        self._is_closing.set()
        self._is_wanted.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._is_closing.is_set() or self._lines:
            self._is_wanted.wait()
            self._is_wanted.clear()
            left = len(self._lines)  # what comes meanwhile is for the next time
            while left > 0:
                text, count = self._next_lines()
                self._write(text, count)
                left -= count
            self._tell_losses()
            self._is_closing.wait(_PAUSE)

    def _next_lines(self) -> tuple[str, int]:
        """As many as come out in one piece, and how many that are."""
        lines = [self._lines.popleft()]
        size = len(lines[0])
        while self._lines and size + len(self._lines[0]) <= _PIPE:
            lines.append(self._lines.popleft())
            size += len(lines[-1])
        return "".join(lines), len(lines)

    def _write(self, text: str, count: int) -> bool:
        """Write *count* lines; False where they are lost."""
        left = text.encode("ascii", "backslashreplace")
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # whoever started us made it so
                time.sleep(_PAUSE)
            except OSError:  # no reader, or no place
                self._failed += count
                return False
        return True

    def _tell_losses(self) -> None:
        lost = self._dropped + self._failed
        if lost > self._said:
            text = f"{lost - self._said} lines of the access log were lost"
            if self._write(self._note(text), 0):
                self._said = lost


def _moment(second: int) -> _Moment:
    year, month, day, hour, minute, sec, *_ = time.gmtime(second)
    of_day = f"{hour:02}:{minute:02}:{sec:02}"
    return _Moment(
        second,
        f"{day:02}/{_MONTHS[month - 1]}/{year}:{of_day} +0000",
        f"{year}-{month:02}-{day:02}T{of_day}",
    )


def _length(exchange: Exchange) -> int:
    """How many bytes of a body were sent."""
    if exchange.request.method == "HEAD":
        return 0
    return len(exchange.response.body)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _common(moment: _Moment, millis: int, exchange: Exchange, user: str) -> str:
    """The Common Log Format, then the request's id and its milliseconds.

    The version is that of the answer, which is always the same.
    """
    request, response, seconds, id_, peer, _ = exchange
    asked = f"{request.method} {_plain(request.path) or '-'} HTTP/1.1"
    if request.method == NO_HTTP and not request.path:
        asked = "-"
    return (
        f"{peer or '-'} - {_plain(user) or '-'} [{moment.common}] "
        f'"{asked}" {response.status} {_length(exchange) or "-"} '
        f"{id_ or '-'} {seconds * 1000:.3f}\n"
    )


def _plain(text: str) -> str:
    """ASCII that ends neither a field nor a line."""
    if text.isascii() and text.isprintable() and not _MARKS.intersection(text):
        return _short(text)
    short = _short(text).encode("unicode_escape").decode("ascii")
    return short.replace('"', '\\"').replace(" ", "\\x20")


def _json(moment: _Moment, millis: int, exchange: Exchange, user: str) -> str:
    """`{"time", "level", "logger"}` as the other logs have them, then the request."""
    request, response, seconds, id_, peer, _ = exchange
    return (
        f'{{"time": "{moment.json}.{millis:03d}Z", '
        '"level": "info", "logger": "pyconfserve.access", '
        f'"id": {_quoted(id_)}, "peer": {_quoted(peer)}, '
        f'"user": {_quoted(_short(user)) if user else "null"}, '
        f'"method": {_quoted(request.method)}, '
        f'"path": {_quoted(_short(request.path))}, '
        f'"status": {response.status}, "bytes": {_length(exchange)}, '
        f'"milliseconds": {seconds * 1000:.3f}}}\n'
    )


def _common_note(moment: _Moment, text: str) -> str:
    return f"WARNING pyconfserve.access: {text}\n"


def _json_note(moment: _Moment, text: str) -> str:
    return (
        f'{{"time": "{moment.json}.000Z", "level": "warning", '
        f'"logger": "pyconfserve.access", "message": {_quoted(text)}}}\n'
    )


_Line = Callable[[_Moment, int, Exchange, str], str]
_Note = Callable[[_Moment, str], str]

# For each form: the line of a request, and one that says something.
FORMS: dict[str, tuple[_Line, _Note]] = {
    "common": (_common, _common_note),
    "json": (_json, _json_note),
}
