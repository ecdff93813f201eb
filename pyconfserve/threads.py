"""Threads of a backend for what blocks: its own, so that no other waits for them.

A thread cannot be stopped: its place stays taken until it comes back. Threads that work
hinder each other, as they share one interpreter; those that wait do not. So more than
two begin one after another, where none comes back or this process uses little time of
processors.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from .bulkhead import FULL, MOST, TOO_MANY
from .errors import BackendError, BackendUnavailable

__all__ = ["MOST_THREADS", "Threads"]

MOST_THREADS = 32  # of one backend, which begin when they are needed
_AT_ONCE = 2  # of them that begin without a look at what they do
_WATCHED = 0.01  # seconds of the first look at that, while a call waits for a thread
_LONGEST_WATCH = 1.0  # and of the last ones
_STUCK = 0.1  # seconds without the end of a call: more than most work takes
_BUSY = 0.5  # processors: who uses less is waiting for something else
_MOST_OF_ONE = 4  # of them for one name, so that seven that hang leave some to others
_IDLE = 10.0  # seconds after which a thread without work ends
_LAST_WORDS = 5.0  # seconds for what runs when its backend is closed

Value = TypeVar("Value")


class _Call:
    """One call for a thread."""

    __slots__ = ("arguments", "future", "is_given_up", "names", "watch", "work")

    def __init__(
        self, names: tuple[str, ...], work: Callable[..., Any], arguments: Any
    ) -> None:
        self.names = names
        self.work = work
        self.arguments = arguments
        self.future: Future[Any] = Future()
        self.is_given_up = False  # nobody waits, but a thread is still at it
        self.watch: asyncio.TimerHandle | None = None  # who sees whether it waits long

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
    not wait for them. *used* gives the seconds of processors that it has used.
    """

    def __init__(
        self,
        name: str,
        most: int = MOST_THREADS,
        *,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._name = name
        self._most = most
        self._used = used
        self._waiting: dict[tuple[str, ...], deque[_Call]] = {}  # in turn
        self._unfinished: set[_Call] = set()
        self._running: Counter[str] = Counter()  # threads, by name
        self._given_up: Counter[str] = Counter()  # those of them nobody waits for
        self._threads = self._idle = 0
        self._started = self._moved = 0.0  # when a thread began, or a call ended, too
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
        if self._most > _AT_ONCE:
            self._watch(call, asyncio.get_running_loop())
        try:
            result: Value = await asyncio.wrap_future(call.future)
            return result
        except asyncio.CancelledError:
            self._give_up(call)
            raise
        finally:
            if call.watch is not None:
                call.watch.cancel()

    async def soon(
        self, seconds: float, work: Callable[..., Value], *arguments: Any
    ) -> Value | None:
        """What `run` gives; None where that fails by the backend, or takes longer."""
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(seconds):
                return await self.run((), work, *arguments)
        return None

    async def close(self) -> None:
        """End the threads that wait, and wait a while for those that do not.

        Calling this twice is fine.
        """
        with self._changed:
            self._patience = 0.0
            self._changed.notify_all()
            calls = [call for call in self._unfinished if not call.is_given_up]
        if calls:
            ends = [asyncio.wrap_future(call.future) for call in calls]
            done, late = await asyncio.wait(ends, timeout=_LAST_WORDS)
            for end in done:
                if not end.cancelled():
                    end.exception()  # told to who waits for the call
            for end in late:
                end.cancel()

    def _begun(self, call: _Call) -> _Call:
        """Put *call* in its queue, and see to it that a thread comes for it."""
        with self._changed:
            most = min(_MOST_OF_ONE, self._most)
            if any(self._given_up[name] >= most for name in call.names):
                raise BackendUnavailable(FULL)
            if len(self._unfinished) >= MOST:
                raise BackendUnavailable(TOO_MANY)
            self._unfinished.add(call)
            self._waiting.setdefault(call.names, deque()).append(call)
            try:
                self._hire()
            except BackendUnavailable:
                self._withdraw(call)
                self._unfinished.discard(call)
                raise
        return call

    def _watch(
        self, call: _Call, loop: asyncio.AbstractEventLoop, seconds: float = _WATCHED
    ) -> None:
        """Look in a while whether *call* waits for threads that wait themselves."""
        before = time.monotonic(), self._used()
        call.watch = loop.call_later(
            seconds, self._relieve, call, loop, seconds, *before
        )

    def _relieve(
        self,
        call: _Call,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        began: float,
        used: float,
    ) -> None:
        """Have one more thread come if *call* still waits, and that would help it."""
        if call.future.running() or call.future.done():
            return
        now = time.monotonic()
        is_idle = self._used() - used < _BUSY * (now - began)
        since = self._started + _WATCHED if is_idle else self._moved + _STUCK
        if now < since:
            seconds = min(2 * seconds, _LONGEST_WATCH)  # thousands may wait, for long
        else:
            seconds = _WATCHED
            with self._changed:
                self._hire(self._most)
        self._watch(call, loop, seconds)

    def _hire(self, most: int = _AT_ONCE) -> None:
        """Have one more thread come if there is a call for it, *most* in all."""
        if self._free() is None:
            return
        self._changed.notify()  # one that is told already has the next one come
        if not self._idle and self._threads < min(most, self._most):
            self._start()

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
        self._started = self._moved = time.monotonic()

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
                    return None
            self._hire()  # the end of a call may have made room for several
            return call

    def _free(self) -> tuple[str, ...] | None:
        """The first names that wait and have a thread left."""
        for names in self._waiting:
            if all(self._running[name] < _MOST_OF_ONE for name in names):
                return names
        return None

    def _taken(self) -> _Call | None:
        if (names := self._free()) is None:
            return None
        self._running.update(names)
        call = self._waiting[names][0]
        self._withdraw(call)
        return call

    def _withdraw(self, call: _Call) -> None:
        """Take *call* from its queue; the others of its names come last."""
        calls = self._waiting.pop(call.names)
        calls.remove(call)
        if calls:
            self._waiting[call.names] = calls

    def _end(self, call: _Call) -> None:
        with self._changed:
            self._moved = time.monotonic()
            self._unfinished.remove(call)
            _subtract(self._running, call.names)
            if call.is_given_up:
                _subtract(self._given_up, call.names)

    def _give_up(self, call: _Call) -> None:
        """Nobody waits for *call* any more: it leaves its queue, or it is counted."""
        with self._changed:
            if call in self._waiting.get(call.names, ()):
                self._withdraw(call)
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
