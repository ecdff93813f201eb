"""Places for what a server asks of its backend, so that what hangs takes only its own.

It ends in time, and few pieces of it wait for one application.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from .errors import BackendTimeout, BackendUnavailable

__all__ = [
    "FULL",
    "LATE",
    "MOST",
    "MOST_AT_ONCE",
    "MOST_STUCK",
    "TOO_MANY",
    "Bulkhead",
]

LATE = "the store did not answer in time"
MOST_STUCK = 16  # pieces of work for one name of which none has ended for a while
MOST_AT_ONCE = 256  # for one name: its profiles and labels, all asked for at a start
MOST = 10_000  # for all names: as many applications; some 15 KB each (measured)
_PATIENCE = 1.0  # seconds without an end after which a name counts as stuck

FULL = "too many requests wait for this application"
TOO_MANY = "too many requests wait for the store"

Value = TypeVar("Value")


class _Held:
    """How many places a name has taken, and when one last became free."""

    __slots__ = ("count", "moved")

    def __init__(self, moved: float) -> None:
        self.count = 0
        self.moved = moved

    def is_full(self, now: float) -> bool:
        is_stuck = self.count >= MOST_STUCK and now - self.moved >= _PATIENCE
        return is_stuck or self.count >= MOST_AT_ONCE


class Bulkhead:
    """Runs work that may hang, for at most *seconds* each; None is for ever.

    A name has at most MOST_STUCK pieces of work that have not ended when none of them
    has for a second, and never more than MOST_AT_ONCE. *clock* is a monotonic one.
    """

    def __init__(
        self, seconds: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._all = 0
        self._lock = threading.Lock()  # servers are used by loops of several threads

    async def run(
        self,
        names: Sequence[str],
        work: Callable[[], Coroutine[Any, Any, Value]],
        *,
        stops: bool = True,
        late: str = LATE,
    ) -> Value:
        """What *work*, for *names*, gives; it is cancelled when nobody waits any more.

        Without *stops* it goes on whoever waits. Raises BackendTimeout with the text
        *late* when time is up, BackendUnavailable at once where there is no place, and
        what *work* raises.
        """
        self._enter(names)
        task = asyncio.ensure_future(work())
        task.add_done_callback(lambda done: self._leave(names, done))
        try:
            await asyncio.wait((task,), timeout=self._seconds)
        finally:
            if stops and not task.done():
                task.cancel()
        if not task.done():
            raise BackendTimeout(late)
        if task.cancelled():  # by the backend: nobody else has a hold on it
            raise BackendUnavailable("the store broke off its answer")
        return task.result()

    def _enter(self, names: Sequence[str]) -> None:
        now = self._clock()
        with self._lock:
            for name in names:
                if name in self._held and self._held[name].is_full(now):
                    raise BackendUnavailable(FULL)
            if self._all >= MOST:
                raise BackendUnavailable(TOO_MANY)
            self._all += 1
            for name in names:
                self._held.setdefault(name, _Held(now)).count += 1

    def _leave(self, names: Sequence[str], task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # taken note of, even when nobody waits any more
        now = self._clock()
        with self._lock:
            self._all -= 1
            for name in names:
                held = self._held[name]
                held.count -= 1
                held.moved = now
                if not held.count:
                    del self._held[name]
