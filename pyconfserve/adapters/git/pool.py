"""Backends opened when a client names them: bounded, shared, closed after use.

A name that nobody has costs one look a while, however often it is asked for, and a
flood of such names runs few git processes at a time and closes no open backend. One
host that does not answer holds up nobody who asks for another's repositories.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import BackendError, BackendMisconfigured, SettingsError
from .patterns import host_of

if TYPE_CHECKING:
    from .backend import GitConfigBackend

__all__ = ["MOST_BACKENDS", "Key", "Member", "Pool"]

MOST_BACKENDS = 100  # each has a folder, a process for objects and one for fetches
_MOST_OPENING = 32  # at once: each is a clone, and a few processes
_MOST_OF_A_HOST = 8  # of them, as it may hang until the deadline
_MOST_MISSES = 1000  # remembered, so that a flood of names does not fill memory
_MISS = 60.0  # seconds that an absent repository is not looked for again
_FAILURE = 5.0  # seconds for a failure that may pass

_logger = logging.getLogger("pyconfserve.git.pool")


class Key(NamedTuple):
    """One backend: which of the repositories in the settings, and its filled-in URI."""

    number: int
    uri: str


class Member:
    """A backend that is open, and how many requests use it."""

    def __init__(self, key: Key, backend: GitConfigBackend) -> None:
        self.key = key
        self.backend = backend
        self.mark = object()  # tells it from a later one of the same key
        self.users = 0
        self.is_out = False  # closed as soon as nobody uses it


class _Miss(NamedTuple):
    until: float
    error: BackendError


class Pool:
    """The open backends, at most *limit*, those used last.

    *make* gives the backend of a key, not yet opened. *tidy* is called in a thread when
    the one of a key was opened, or could not be, or was closed: there may be more on
    the disk than should be. *clock* is a monotonic one.
    """

    def __init__(
        self,
        make: Callable[[Key], GitConfigBackend],
        tidy: Callable[[Key], None],
        limit: int,
        clock: Callable[[], float],
    ) -> None:
        self._make = make
        self._tidy = tidy
        self._limit = limit
        self._clock = clock
        self._open: OrderedDict[Key, Member] = OrderedDict()
        self._misses: OrderedDict[Key, _Miss] = OrderedDict()
        self._flights: dict[Key, asyncio.Task[None]] = {}
        self._opening = asyncio.Semaphore(_MOST_OPENING)
        self._opening_of: dict[str, asyncio.Semaphore] = {}  # by host
        self._later: set[asyncio.Task[None]] = set()
        self._was_full = False

    def __iter__(self) -> Iterator[Member]:
        return iter([*self._open.values()])

    @asynccontextmanager
    async def borrowed(self, key: Key) -> AsyncIterator[Member]:
        """The backend of *key*, which stays open meanwhile; raises BackendError."""
        while (member := self.get(key)) is None:
            self._raise_missed(key)
            await asyncio.shield(self._flight(key))
        member.users += 1
        try:
            yield member
        finally:
            member.users -= 1
            self._close_unused(member)

    def get(self, key: Key) -> Member | None:
        """The backend of *key* if it is open; this counts as a use of it."""
        member = self._open.get(key)
        if member is not None:
            self._open.move_to_end(key)
        return member

    def missed_until(self, key: Key) -> float | None:
        """Until when *key* is not looked for again, None where it would be."""
        miss = self._misses.get(key)
        return miss.until if miss and miss.until > self._clock() else None

    def forget_misses(self) -> None:
        """Look for everything again when it is next asked for."""
        self._misses.clear()

    async def close(self) -> None:
        """Close all backends; calling this twice is fine."""
        flights = [*self._flights.values()]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for member in self:
            self._put_out(member)
            member.users = 0
            self._close_unused(member)
        await asyncio.gather(*self._later, return_exceptions=True)

    def _raise_missed(self, key: Key) -> None:
        if self.missed_until(key) is not None:
            error = self._misses[key].error
            raise type(error)(str(error)) from error

    def _flight(self, key: Key) -> asyncio.Task[None]:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(self._open_new(key))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: Key, flight: asyncio.Task[None]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # taken note of, even when all who waited have left

    async def _open_new(self, key: Key) -> None:
        try:
            async with self._place_of(key), self._opening:
                backend = await self._opened(key)
        except BackendError as error:
            self._remember(key, error)
            raise
        self._misses.pop(key, None)
        self._open[key] = Member(key, backend)
        self._evict()
        self._do_later(asyncio.to_thread(self._tidy, key))

    def _place_of(self, key: Key) -> asyncio.Semaphore:
        """Its host's: names are in no host, so there are as many as in the settings."""
        host = host_of(key.uri)
        return self._opening_of.setdefault(host, asyncio.Semaphore(_MOST_OF_A_HOST))

    async def _opened(self, key: Key) -> GitConfigBackend:
        try:
            backend = self._make(key)
        except SettingsError as error:  # of the names filled in: the rest was vetted
            raise BackendMisconfigured("no such repository") from error
        try:
            await backend.open()
        except BaseException:
            await backend.close()
            await asyncio.to_thread(self._tidy, key)
            raise
        return backend

    def _remember(self, key: Key, error: BackendError) -> None:
        is_absent = isinstance(error, BackendMisconfigured)
        until = self._clock() + (_MISS if is_absent else _FAILURE)
        self._misses.pop(key, None)
        self._misses[key] = _Miss(until, error)
        if len(self._misses) > _MOST_MISSES:
            self._misses.popitem(last=False)

    def _evict(self) -> None:
        if len(self._open) <= self._limit:
            return
        if not self._was_full:
            self._was_full = True
            text = "more than %d repositories are in use: each new one closes another"
            _logger.warning(text, self._limit)
        oldest = next(iter(self._open.values()))
        self._put_out(oldest)
        self._close_unused(oldest)

    def _put_out(self, member: Member) -> None:
        del self._open[member.key]
        member.is_out = True

    def _close_unused(self, member: Member) -> None:
        """Close what is out and unused, without keeping a request waiting."""
        if member.is_out and not member.users:
            self._do_later(self._close(member))

    def _do_later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _close(self, member: Member) -> None:
        try:
            await member.backend.close()
        except Exception as error:
            _logger.error("a repository was not closed: %s", type(error).__name__)
        await asyncio.to_thread(self._tidy, member.key)
