"""How fast anybody may try passwords: few hashes at a time, and slower after failures.

Nothing here knows which names exist, so that nothing here can tell. What is kept is
bounded, whatever is sent.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import sys
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import NamedTuple

from ..errors import TooManyAttempts
from .passwords import PasswordHash

__all__ = ["Hashing", "Pair", "Place", "Slowing", "network_of"]

_THREADS = 2  # of 32 MiB each; more would only take the processor from answers
_LONGEST_QUEUE = 32  # hashes that wait: less than two seconds of work
_SHARE = 16  # of them for one source, so that others get in beside it
_QUEUE_IS_WORKED_OFF = 2  # seconds
_NICE = 5  # answers go first where the processor is busy

_FREE = 5  # failures of a name from a source before its attempts wait
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 2.0  # seconds
_WAITING = 8  # attempts of a name from a source
_WAITING_IN_ALL = 1024
_FORGOTTEN = 15 * 60.0  # seconds after the last failure
_PAIRS = 10_000  # remembered; each costs who fills the table a hash


class Pair(NamedTuple):
    """Whom somebody says to be, as a digest, and where from, as a network."""

    name: bytes
    network: str


def network_of(source: str) -> str:
    """What counts as one source: an IPv4 address, and a whole /64 of IPv6."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source[:64]
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or f"{int(address) >> 64:x}::/64")


class _Job(NamedTuple):
    future: concurrent.futures.Future[bool]
    work: Callable[[], bool]
    network: str


class Hashing:
    """Checks of passwords in two threads of their own, made when first needed."""

    def __init__(self) -> None:
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._known: deque[_Job] = deque()
        self._others: deque[_Job] = deque()
        self._of_network: Counter[str] = Counter()

    def submit(
        self, secret: PasswordHash, password: str, network: str, *, is_known: bool
    ) -> asyncio.Future[bool]:
        """Whether *password* fits *secret*, later.

        A password that *is_known* was right before: it goes first, and always has a
        place, so that those who guess keep no one out who was in. Raises
        TooManyAttempts when there is no place.
        """
        job = _Job(concurrent.futures.Future(), lambda: secret.fits(password), network)
        with self._lock:
            if is_known:
                self._known.append(job)
            elif (
                len(self._others) >= _LONGEST_QUEUE
                or self._of_network[network] >= _SHARE
            ):
                raise TooManyAttempts(_QUEUE_IS_WORKED_OFF)
            else:
                self._others.append(job)
                self._of_network[network] += 1
        if self._threads is None:
            self._threads = concurrent.futures.ThreadPoolExecutor(
                _THREADS, "pyconfserve-passwords", _give_way
            )
        self._threads.submit(self._work)
        return asyncio.wrap_future(job.future)

    def _work(self) -> None:
        """Do the first job, which may be another than this was submitted for."""
        future, work, _ = self._next()
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    def _next(self) -> _Job:
        with self._lock:
            if self._known:
                return self._known.popleft()
            job = self._others.popleft()
            self._of_network[job.network] -= 1
            if not self._of_network[job.network]:
                del self._of_network[job.network]
            return job


def _give_way() -> None:
    """Lower the priority of this thread, which Linux has for threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, nice + _NICE)


class _Line:
    """The attempts of one pair that are under way."""

    def __init__(self) -> None:
        self.length = self.waiting = 0
        self.turn = asyncio.Lock()


class Slowing:
    """Failures by pair, and the lines of those who try again."""

    def __init__(
        self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._clock, self.sleep = clock, sleep
        self._failures: OrderedDict[Pair, tuple[int, float]] = OrderedDict()
        self._lines: dict[Pair, _Line] = {}
        self._waiting = 0

    def join(self, pair: Pair, *, is_known: bool) -> Place:
        """A place for one attempt; raises TooManyAttempts when all are taken.

        Attempts under way count as failures: who sends a hundred at once waits, too.
        Who *is_known*, because the password was right before, never waits.
        """
        line = self._lines.get(pair) or _Line()
        is_slowed = not is_known and self.failures(pair) + line.length >= _FREE
        if is_slowed:
            if line.waiting >= _WAITING or self._waiting >= _WAITING_IN_ALL:
                raise TooManyAttempts(math.ceil(self.wait(pair) * _WAITING))
            line.waiting += 1
            self._waiting += 1
        line.length += 1
        self._lines[pair] = line
        return Place(self, pair, line, is_slowed, is_known)

    def leave(self, place: Place) -> None:
        """Give a place back."""
        line = place.line
        line.length -= 1
        line.waiting -= place.is_slowed
        self._waiting -= place.is_slowed
        if not line.length:
            del self._lines[place.pair]

    def failures(self, pair: Pair) -> int:
        """How many there were, without fifteen minutes of peace after them."""
        count, last = self._failures.get(pair, (0, 0.0))
        return count if self._clock() - last < _FORGOTTEN else 0

    def wait(self, pair: Pair) -> float:
        """The seconds that an attempt of a slowed pair waits."""
        doublings = min(max(self.failures(pair) - _FREE, 0), 10)
        return min(_FIRST_WAIT * 2.0**doublings, _LONGEST_WAIT)

    def fail(self, pair: Pair) -> None:
        """Count a failure; the pair that had none for the longest time may go."""
        self._failures[pair] = self.failures(pair) + 1, self._clock()
        self._failures.move_to_end(pair)
        if len(self._failures) > _PAIRS:
            self._failures.popitem(last=False)

    def forgive(self, pair: Pair) -> None:
        """Forget the failures of who got in."""
        self._failures.pop(pair, None)


class Place(NamedTuple):
    """The place of one attempt in the line of its pair."""

    slowing: Slowing
    pair: Pair
    line: _Line
    is_slowed: bool
    is_known: bool

    async def __aenter__(self) -> None:
        if self.is_slowed:
            await self.line.turn.acquire()
            try:
                await self.slowing.sleep(self.slowing.wait(self.pair))
            except BaseException:
                self.line.turn.release()
                raise

    async def __aexit__(self, *_: object) -> None:
        if self.is_slowed:
            self.line.turn.release()

    def leave(self) -> None:
        """Give it back."""
        self.slowing.leave(self)
