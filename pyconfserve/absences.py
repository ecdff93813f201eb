"""Members of a composite that may be away: who waits for them, and for how long.

Nobody waits long for such a member: what it was asked goes on behind the others, and
its end tells whether it is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from .bulkhead import LATE
from .errors import BackendError, ConfigError, Forbidden

__all__ = ["Absences"]

_PATIENCE = 1.0  # seconds of a request for one that was away

_logger = logging.getLogger("pyconfserve.composite")

Value = TypeVar("Value")
Work = Callable[[], Coroutine[Any, Any, Value]]


class Absences:
    """Which of the *optional* members, by their numbers, are away.

    The start waits *opening* seconds for one. While it is away, one request in *pause*
    seconds asks it, and waits for it a moment; there is one such attempt at a time. Any
    other member fails what it fails.
    """

    def __init__(
        self, optional: Mapping[int, str], pause: float, opening: float
    ) -> None:
        self._names = optional
        self._pause = pause
        self._opening = opening
        self._away: dict[int, float] = {}  # when they are asked again
        self._attempts: dict[int, asyncio.Task[Any]] = {}

    def is_optional(self, number: int) -> bool:
        """Whether that member may be away."""
        return number in self._names

    async def ask(self, number: int, work: Work[Value], nothing: Value) -> Value:
        """What *work* on a member gives; *nothing* where it may be away, and is."""
        until = self._away.get(number)
        if until is None:
            return await self._asked(number, work, nothing)
        if number in self._attempts or time.monotonic() < until:
            return nothing
        return await self._in_time(_PATIENCE, number, work, nothing)

    async def open(self, number: int, work: Work[None]) -> None:
        """Let *work* open a member: in time, or behind the others, if it may."""
        if not self.is_optional(number):
            await work()
        elif number not in self._attempts:
            await self._in_time(self._opening, number, work, None)

    async def close(self) -> None:
        """End what still waits for a member."""
        attempts = [*self._attempts.values()]
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)

    async def _in_time(
        self, seconds: float, number: int, work: Work[Value], nothing: Value
    ) -> Value:
        """What *work* gives so soon; *nothing* where it does not, and it goes on."""
        attempt = asyncio.ensure_future(self._asked(number, work, nothing))
        self._attempts[number] = attempt
        attempt.add_done_callback(lambda _: self._attempts.pop(number))
        try:
            await asyncio.wait({attempt}, timeout=seconds)
        finally:  # who waited may be gone, too
            if not attempt.done():
                attempt.add_done_callback(lambda late: self._log(number, late))
        if attempt.done() and not attempt.cancelled():
            return attempt.result()
        self._lack(number, LATE)
        return nothing

    async def _asked(self, number: int, work: Work[Value], nothing: Value) -> Value:
        """What *work* gives, and what it tells of the member."""
        began = time.monotonic()
        try:
            answer = await work()
        except asyncio.CancelledError:
            was_long = time.monotonic() - began > _PATIENCE
            if was_long and number in self._names:  # the time of who asked was up
                self._lack(number, LATE)
            raise
        except ConfigError as error:
            if number not in self._names:
                raise
            if isinstance(error, BackendError):
                self._lack(number, error.in_full)
                self._away[number] = time.monotonic() + self._pause
                return nothing
            # It is of this request alone: the next one finds out.
            if number in self._away:
                self._away[number] = 0.0
            if isinstance(error, Forbidden):
                return nothing
            raise
        self._away.pop(number, None)
        return answer

    def _lack(self, number: int, problem: str) -> None:
        """Go on without a member, and say so once."""
        if number not in self._away:
            name = self._names[number]
            _logger.warning("going on without a member, %s: %s", name, problem)
            self._away[number] = 0.0

    def _log(self, number: int, attempt: asyncio.Task[Any]) -> None:
        """Say of a bug what nobody who waited is told."""
        error = None if attempt.cancelled() else attempt.exception()
        if error is not None and not isinstance(error, ConfigError):
            name = self._names[number]
            _logger.error("asking a member, %s, failed", name, exc_info=error)
