"""Requests that wait for their answer to change: `?wait=30` with If-None-Match."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..answers import Answer
from ..environment.overlay import Lookup
from ..errors import InvalidRequest
from ..watches import Watches
from .asked import parameters_of
from .messages import Request, Response
from .replies import conditional

__all__ = [
    "LONGEST_WAIT",
    "Handler",
    "answer_changed",
    "answer_while_there",
    "asks_to_wait",
    "wait_of",
    "without_wait",
]

LONGEST_WAIT = 60.0  # seconds: proxies end what is silent for longer

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def wait_of(request: Request) -> float:
    """The seconds for which a request would wait for a change, 0 for not at all.

    Raises InvalidRequest for what is no number.
    """
    text = parameters_of(request).get("wait")
    if text is None:
        return 0.0
    if not _SECONDS.fullmatch(text):
        raise InvalidRequest("wait", "expected a number of seconds")
    return min(float(text), LONGEST_WAIT)


def asks_to_wait(request: Request) -> bool:
    """Whether its answer may be long in coming, and nothing is lost when it is not."""
    if request.method not in ("GET", "HEAD") or "if-none-match" not in request.headers:
        return False
    try:
        return wait_of(request) > 0
    except InvalidRequest:
        return False


def without_wait(request: Request) -> Request:
    """The same request from one who does not wait."""
    from urllib.parse import unquote_plus  # for the few who wait where nobody may

    parts = request.query.split("&")
    rest = [part for part in parts if unquote_plus(part.partition("=")[0]) != "wait"]
    return request._replace(query="&".join(rest))


async def answer_changed(
    watches: Watches,
    request: Request,
    lookup: Lookup,
    renderer: str,
    answer: Answer,
    seconds: float,
) -> Response:
    """The first answer after *answer*, known to *request*, that is not; 304 in the end.

    Raises what Watches.change raises.
    """
    until = asyncio.get_running_loop().time() + seconds
    while (found := await watches.change(lookup, renderer, answer, until)) is not None:
        response = conditional(request, found)
        if response.status != 304:
            return response
        answer = found.known()
    return conditional(request, answer)


class Handler(Protocol):
    """What Routes are."""

    async def handle(self, request: Request) -> Response:
        """The response to any request."""
        ...


async def answer_while_there(
    routes: Handler, request: Request, receive: Callable[[], Awaitable[Any]]
) -> Response | None:
    """The response; None when *receive*, ASGI's, says first that the client has left.

    The body has been received before.
    """
    if not asks_to_wait(request):
        return await routes.handle(request)
    answering = asyncio.ensure_future(routes.handle(request))
    leaving = asyncio.ensure_future(receive())
    first = asyncio.FIRST_COMPLETED
    try:
        await asyncio.wait({answering, leaving}, return_when=first)
        return answering.result() if answering.done() else None
    finally:
        answering.cancel()
        leaving.cancel()
