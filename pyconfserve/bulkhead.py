"""Places for work that may hang, so that what hangs takes only its own.

A `Bulkhead` is for what a server asks of its backend: it ends in time, and few pieces
of it wait for one application. `Threads` are for what a backend does that blocks: its
own, so that no other backend waits for them. A thread cannot be stopped: its place
stays taken until it comes back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from .errors import BackendTimeout, BackendUnavailable

__all__ = ["LATE", "MOST_AT_ONCE", "MOST_STUCK", "MOST_THREADS", "Bulkhead", "Threads"]

LATE = "the store did not answer in time"
MOST_STUCK = 16  # pieces of work for one name of which none has ended for a while
MOST_AT_ONCE = 256  # for one name: its profiles and labels, all asked for at a start
_MOST = 10_000  # for all names: as many applications; some 15 KB each (measured)
_PATIENCE = 1.0  # seconds without an end after which a name counts as stuck
MOST_THREADS = 32  # of one backend, which begin when they are needed
_MOST_OF_ONE = 4  # of them for one name, so that seven that hang leave some to others
_IDLE = 10.0  # seconds after which a thread without work ends
_LAST_WORDS = 5.0  # seconds for what runs when its backend is closed

_FULL = "too many requests wait for this application"

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
        return task.result()

    def _enter(self, names: Sequence[str]) -> None:
        now = self._clock()
        with self._lock:
            for name in names:
                held = self._held.get(name)
                if held is not None and held.is_full(now):
                    raise BackendUnavailable(_FULL)
            if self._all >= _MOST:
                raise BackendUnavailable("too many requests wait for the store")
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


class _Call:
    """One call for a thread."""

    __slots__ = ("arguments", "future", "is_given_up", "names", "work")

    def __init__(
        self, names: tuple[str, ...], work: Callable[..., Any], arguments: Any
    ) -> None:
        self.names = names
        self.work = work
        self.arguments = arguments
        self.future: Future[Any] = Future()
        self.is_given_up = False  # nobody waits, but a thread is still at it

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.work(*self.arguments)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Threads:
    """Threads of one owner, at most *most*, for calls that block; thread-safe.

    At most four are at calls for one name; the names whose calls wait take turns. One
    whose four calls nobody waits for any more gets no more. A process that ends does
    not wait for them.
    """

    def __init__(self, name: str, most: int = MOST_THREADS) -> None:
        self._name = name
        self._most = most
        self._waiting: OrderedDict[tuple[str, ...], deque[_Call]] = OrderedDict()
        self._unfinished: set[_Call] = set()
        self._running: Counter[str] = Counter()  # threads, by name
        self._given_up: Counter[str] = Counter()  # those of them nobody waits for
        self._queued = self._threads = self._idle = 0
        self._patience = _IDLE
        self._changed = threading.Condition()

    async def run(
        self, names: tuple[str, ...], work: Callable[..., Value], *arguments: Any
    ) -> Value:
        """What `work(*arguments)`, for *names*, gives, called in a thread.

        Raises BackendUnavailable at once where there is no place, and what *work*
        raises.
        """
        call = self._begun(_Call(names, work, arguments))
        try:
            result: Value = await asyncio.wrap_future(call.future)
        except asyncio.CancelledError:
            self._give_up(call)
            raise
        return result

    async def close(self) -> None:
        """End the threads that wait, and wait a while for those that do not.

        Calling this twice is fine.
        """
        with self._changed:
            self._patience = 0.0
            self._changed.notify_all()
            futures = [call.future for call in self._unfinished if not call.is_given_up]
        if futures:
            ends = [asyncio.wrap_future(future) for future in futures]
            _, late = await asyncio.wait(ends, timeout=_LAST_WORDS)
            for end in late:
                end.cancel()

    def _begun(self, call: _Call) -> _Call:
        """Put *call* in its queue, and see to it that a thread comes for it."""
        with self._changed:
            stuck = [self._given_up[name] for name in call.names]
            if max(stuck, default=0) >= min(_MOST_OF_ONE, self._most):
                raise BackendUnavailable(_FULL)
            if len(self._unfinished) >= _MOST:
                raise BackendUnavailable("too many requests wait for the store")
            if self._queued >= self._idle and self._threads < self._most:
                self._start()
            self._queued += 1
            self._unfinished.add(call)
            self._waiting.setdefault(call.names, deque()).append(call)
            self._changed.notify()
        return call

    def _start(self) -> None:
        """One more thread; raises BackendUnavailable where there are none at all."""
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise BackendUnavailable("no thread can be started") from error
            return
        self._threads += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.run()
            self._end(call)
            del call  # and what it holds, while this waits for the next

    def _next(self) -> _Call | None:
        """The next call, None when there was none for a while."""
        with self._changed:
            call = self._taken()
            while call is None:
                self._idle += 1
                is_told = self._changed.wait(self._patience)
                self._idle -= 1
                call = self._taken()
                if call is None and not is_told:
                    self._threads -= 1
                    break
            return call

    def _taken(self) -> _Call | None:
        """A call of the first names that have a thread left, which then come last."""
        for names, calls in self._waiting.items():
            if all(self._running[name] < _MOST_OF_ONE for name in names):
                call = calls.popleft()
                self._queued -= 1
                self._running.update(names)
                if calls:
                    self._waiting.move_to_end(names)
                else:
                    del self._waiting[names]
                return call
        return None

    def _end(self, call: _Call) -> None:
        with self._changed:
            self._unfinished.discard(call)
            _subtract(self._running, call.names)
            if call.is_given_up:
                _subtract(self._given_up, call.names)

    def _give_up(self, call: _Call) -> None:
        """Nobody waits for *call* any more: it leaves its queue, or it is counted."""
        with self._changed:
            calls = self._waiting.get(call.names, ())
            if call in calls:
                assert isinstance(calls, deque)
                calls.remove(call)
                if not calls:
                    del self._waiting[call.names]
                self._queued -= 1
                self._unfinished.discard(call)
            elif call in self._unfinished:
                call.is_given_up = True
                self._given_up.update(call.names)


def _subtract(counter: Counter[str], names: tuple[str, ...]) -> None:
    """Count *names* down; what is at zero is forgotten."""
    for name in names:
        counter[name] -= 1
        if not counter[name]:
            del counter[name]
