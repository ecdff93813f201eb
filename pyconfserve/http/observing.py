"""What is told of each answer to those who count or log; nothing here knows how."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, Protocol

from .messages import Request, Response

__all__ = ["NO_HTTP", "Exchange", "Observer", "Observers", "RequestIds"]

NO_HTTP = "-"  # in the place of a method: bytes that are no request, or not a whole one

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Exchange(NamedTuple):
    """One request and its answer.

    `seconds` are those from the whole request to the answer on its way, `id` is what
    X-Request-Id said, "" without one, and `peer` the address that the request came
    from. `has_waited` is for a request that asked to wait for a change, and could.
    """

    request: Request
    response: Response
    seconds: float
    id: str = ""
    peer: str = ""
    has_waited: bool = False


class Observer(Protocol):
    """Who wants to know of each answer; called by the loop, so it must not wait."""

    def new_id(self, request: Request) -> str:
        """The X-Request-Id of the answer to *request*, "" for none."""
        ...

    def answered(self, exchange: Exchange) -> None:
        """Take note of an answer that is written."""
        ...


class Observers:
    """Several observers as one; the first that has an id gives it."""

    def __init__(self, members: Sequence[Observer]) -> None:
        self._members = tuple(members)

    def new_id(self, request: Request) -> str:
        """The X-Request-Id of the answer to *request*, "" for none."""
        for member in self._members:
            if found := member.new_id(request):
                return found
        return ""

    def answered(self, exchange: Exchange) -> None:
        """Tell each member."""
        for member in self._members:
            member.answered(exchange)


class RequestIds:
    """Ids of requests: the client's own where it is harmless, else a new one.

    That is *prefix*, by which processes differ, and a number.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix or os.urandom(6).hex()
        self._numbers = count(1)

    def id_of(self, request: Request) -> str:
        """The id of *request*; another one for each call where it brings none."""
        given = request.headers.get("x-request-id")
        if given is not None and _ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers)}"
