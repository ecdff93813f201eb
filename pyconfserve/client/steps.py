"""What to ask next, when to wait, and what an answer means: pure generators of steps.

A driver performs each step and sends its result back, or throws its error into the
generator; all rules are here, and no driver has one. This module does no input or
output: clocks and chance come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from ..errors import ExchangeError, FetchError
from ..http.dates import parse_http_date
from ..http.messages import Request, Response
from .target import Server

__all__ = [
    "RETRIED", "Answer", "Deferred", "Emit", "Patience", "Send", "Step", "Steps",
    "Wait", "Warn", "Work", "ask", "backoff", "header", "is_final", "is_visible",
    "understand",
]  # fmt: skip

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})  # what may pass by itself
_LONGEST_PAUSE = 5.0  # seconds between attempts, without Retry-After
_FIRST_PAUSE = 0.25  # seconds, doubled with each attempt
_MOST_TIMEOUTS = 3  # all attempts and pauses together take at most so many
_HINTS = {
    401: "the credentials are missing or wrong",
    403: "these credentials may not read it",
    404: "nothing is stored under these names",
}

Result = TypeVar("Result")


class Send(NamedTuple):
    """Send *request* to *url*; the result is a Response, the error an ExchangeError."""

    url: str
    request: Request
    timeout: float


class Wait(NamedTuple):
    """Let so many seconds pass."""

    seconds: float


class Work(NamedTuple):
    """Call this, off the event loop: it reads or writes files."""

    call: Callable[[], Any]


class Warn(NamedTuple):
    """Log this as a warning."""

    text: str


class Emit(NamedTuple):
    """Hand this to who asked for the steps to be taken."""

    value: Any


Step = Send | Wait | Work | Warn | Emit
Steps = Generator[Step, Any, Result]


class Patience(NamedTuple):
    """How long and how often; times are in seconds.

    `clock` is monotonic, `now` the time since the epoch, `random` below 1.
    """

    timeout: float
    retries: int
    poll_interval: float
    clock: Callable[[], float]
    now: Callable[[], float]
    random: Callable[[], float]


class Answer(NamedTuple):
    """What a server said: `content` is None for 304, `etag` None without one."""

    url: str
    etag: str | None
    body: bytes
    content: Any


def ask(
    servers: tuple[Server, ...],
    request: Callable[[Server], Request],
    read: Callable[[bytes], Any],
    patience: Patience,
    *,
    held: float = 0.0,
) -> Steps[Answer]:
    """The first answer of *servers*, in order, that `read` understands.

    A server that gives none, a status of RETRIED or above 499, or a body for which
    `read` raises ValueError, leaves it to the next. Where trying again may help, all
    are asked again, after a pause of full jitter on an exponential backoff, and of the
    shortest Retry-After, unless that is beyond the time. It takes at most three times
    the timeout, and *held* seconds more when servers are asked to wait so long.

    Raises FetchError: the last failure, or at once that of a server that has spoken.
    """
    left = patience.timeout * _MOST_TIMEOUTS + held * len(servers)
    end = patience.clock() + left
    attempt = 0
    while True:
        pauses = []
        for number, server in enumerate(servers):
            left = (end - patience.clock()) / (len(servers) - number)
            timeout = max(0.0, min(patience.timeout + held, left))
            try:
                sent = request(server)
                response = yield Send(server.url, sent, timeout)
                return understand(server.url, sent, response, read)
            except ExchangeError as failure:
                error, asked = FetchError(server.url, failure.reason), 0.0
            except FetchError as failure:
                if is_final(failure):
                    raise
                error = failure
                asked = _retry_after(response, patience.now())
            if error.status is None or error.status in RETRIED:
                pauses.append(asked)
        asked = min(pauses, default=0.0)
        pause = asked + backoff(attempt, patience.random())
        is_over = patience.clock() + pause >= end or attempt == patience.retries
        if is_over or not pauses:
            raise _deferred(error, asked) if asked else error
        yield Wait(pause)
        attempt += 1


class Deferred(FetchError):
    """A FetchError of a server that asks for a pause of *retry_after* seconds."""

    retry_after = 0.0


def understand(
    url: str, sent: Request, response: Response, read: Callable[[bytes], Any]
) -> Answer:
    """What a response to *sent* says; raises FetchError where it is not an answer."""
    etag = header(response, "etag")
    if etag is not None and not is_visible(etag):
        etag = None  # no request could carry it
    if response.status == 304 and "if-none-match" in sent.headers:
        return Answer(url, etag, b"", None)
    if response.status != 200:
        hint = _HINTS.get(response.status, "")
        if 300 <= response.status < 400 and response.status != 304:
            hint = "it redirects elsewhere, which is not followed"
        problem = f"answered {response.status}{': ' if hint else ''}{hint}"
        raise FetchError(url, problem, response.status)
    try:
        return Answer(url, etag, response.body, read(response.body))
    except ValueError as error:
        problem = f"the answer is no configuration: {error}"
        raise FetchError(url, problem, 200) from None


def is_visible(text: str) -> bool:
    """Whether it is visible ASCII, as an ETag is (RFC 9110 §8.8.3), and not empty."""
    return text != "" and all("!" <= character <= "~" for character in text)


def is_final(error: FetchError) -> bool:
    """Whether the server has spoken: asking others, or a snapshot, would be wrong.

    Not without an answer, for 5xx and what RETRIED holds, for a body that is none.
    """
    status = error.status
    return not (status is None or status == 200 or status >= 500 or status in RETRIED)


def backoff(attempt: int, chance: float, longest: float = _LONGEST_PAUSE) -> float:
    """Seconds until the next attempt, with full jitter: *chance* is from 0 to 1."""
    return chance * min(longest, _FIRST_PAUSE * 2.0 ** min(attempt, 30))


def _deferred(error: FetchError, seconds: float) -> Deferred:
    deferred = Deferred(error.url, error.problem, error.status)
    deferred.retry_after = seconds
    return deferred


def _retry_after(response: Response, now: float) -> float:
    """Seconds that a response asks for (RFC 9110 §10.2.3)."""
    text = (header(response, "retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    date = parse_http_date(text) if text else None
    return 0.0 if date is None else max(0.0, date - now)


def header(response: Response, name: str) -> str | None:
    """The first header of a name, which is in lower case."""
    for key, value in response.headers:
        if key.lower() == name:
            return value
    return None
