"""Waiting for answers to change: one look at each distinct answer, whoever waits.

Stamps are looked at ten times a second and at once after a save here, or a change that
the backend tells of, what that names first; a backend without one is asked again each
second. While nobody waits, nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress

from .answers import NOTHING_STORED, Answer, Answers, Key, answer_key
from .backend import ConfigSource, TellingBackend
from .environment.overlay import Lookup
from .errors import ConfigError, ConfigNotFound
from .server import ConfigServer

__all__ = ["MOST_ANSWERS", "MOST_WATCHERS", "Watches"]

MOST_WATCHERS = 20_000  # as many as connections are: some 8 KB each
MOST_ANSWERS = 2_000  # each is looked at, and read again when its folder changes
_LOOK_INTERVAL = 0.1  # seconds between looks at stamps, which folders believe as long
_LONGEST_INTERVAL = 0.5  # where looking takes so long that it would cost a core much
_ASK_INTERVAL = 1.0  # seconds between readings of a backend that has no stamp
_MOST_READINGS = 8  # at once: the threads that read are those of requests, too
_LOOKS = 64  # of one turn of the loop: each is some ten stats of files
_WAKES = 64  # of one turn: with the answer's way out, some 50 µs each

_logger = logging.getLogger("pyconfserve.watches")

Outcome = Answer | ConfigError | None  # None: no change
Waiter = asyncio.Future[Outcome]


class _Watch:
    """One answer, and those who wait for another in its place."""

    __slots__ = ("answer", "due", "key", "lookup", "reading", "renderer", "waiters")

    def __init__(self, lookup: Lookup, renderer: str, answer: Answer) -> None:
        self.lookup = lookup
        self.renderer = renderer
        self.answer = answer
        # An older answer to the same lookup is watched apart.
        self.key: tuple[Key, str] = answer_key(lookup, renderer), answer.etag
        self.due = 0.0  # when it is read again if it has no stamp
        self.reading: asyncio.Task[None] | None = None
        self.waiters: set[Waiter] = set()


class _Saved:
    """The names of what was saved between two looks."""

    def __init__(self) -> None:
        self.applications: set[str] = set()
        self.profiles: set[str] = set()

    def distance(self, watch: _Watch) -> tuple[bool, bool]:
        """Least for what names both, then for what names the application."""
        lookup = watch.lookup
        return (
            self.applications.isdisjoint(lookup.applications),
            self.profiles.isdisjoint(lookup.profiles),
        )


class Watches:
    """Those who wait for *answers* of *server* to change.

    They are *most* at a time, who wait for *most_answers* different ones.
    """

    def __init__(
        self,
        server: ConfigServer,
        answers: Answers,
        most: int = MOST_WATCHERS,
        most_answers: int = MOST_ANSWERS,
    ) -> None:
        self.waiting = 0
        self._server = server
        self._answers = answers
        self._most = most
        self._most_answers = most_answers
        self._watches: dict[tuple[Key, str], _Watch] = {}
        self._waking: deque[tuple[Waiter, Outcome]] = deque()
        self._looking: asyncio.Task[None] | None = None
        self._is_draining = False

    async def change(
        self, lookup: Lookup, renderer: str, answer: Answer, until: float
    ) -> Answer | None:
        """What takes the place of *answer*, the present one to *lookup*.

        None when nothing does before *until*, a time of the loop, or before `drain`,
        and at once when all places are taken. Raises ConfigNotFound when nothing is
        stored any more, DocumentError, BackendError.
        """
        if self._is_draining or self.waiting >= self._most:
            return None
        if not self.waiting:
            self._waking.clear()  # of a loop that was broken off
        watch = self._watch(lookup, renderer, answer)
        if watch is None:
            return None
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        timer = loop.call_at(until, _settle, waiter, None)
        watch.waiters.add(waiter)
        self.waiting += 1
        try:
            outcome = await waiter
        finally:
            timer.cancel()
            self.waiting -= 1
            watch.waiters.discard(waiter)
            if not watch.waiters:
                self._forget(watch)
        if isinstance(outcome, ConfigError):
            raise outcome.with_traceback(None)  # it is raised for all who waited
        return outcome

    def drain(self) -> None:
        """End all waiting, and let nobody wait from now on."""
        self._is_draining = True
        for watch in [*self._watches.values()]:
            self._tell(watch, None)

    # who waits for what

    def _watch(self, lookup: Lookup, renderer: str, answer: Answer) -> _Watch | None:
        """The watch of an answer; None for one more than there may be."""
        watch = _Watch(lookup, renderer, answer)
        is_full = len(self._watches) >= self._most_answers
        if is_full and watch.key not in self._watches:
            return None
        watch = self._watches.setdefault(watch.key, watch)
        if self._looking is None:
            self._looking = asyncio.ensure_future(self._look_on())
        return watch

    def _forget(self, watch: _Watch) -> None:
        if self._watches.get(watch.key) is watch:
            del self._watches[watch.key]
        if not self._watches and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _tell(self, watch: _Watch, outcome: Outcome) -> None:
        """Wake all who wait, in slices: thousands at once would hold up the others."""
        is_waking = bool(self._waking)
        self._waking.extend([(waiter, outcome) for waiter in watch.waiters])
        watch.waiters.clear()
        self._forget(watch)
        if not is_waking:
            self._wake()

    def _wake(self) -> None:
        for _ in range(min(_WAKES, len(self._waking))):
            _settle(*self._waking.popleft())
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake)

    # looking for changes

    async def _look_on(self) -> None:
        """Look again and again, until it is cancelled."""
        loop = asyncio.get_running_loop()
        is_saved, turns = asyncio.Event(), asyncio.Semaphore(_MOST_READINGS)
        saved = _Saved()

        def note(source: ConfigSource) -> None:
            saved.applications.add(source.application)
            saved.profiles.add(source.profile)
            is_saved.set()

        def tell(source: ConfigSource) -> None:
            with suppress(RuntimeError):  # that loop is closed
                loop.call_soon_threadsafe(note, source)

        self._server.after_save.add(tell)
        backend = self._server.backend
        end = backend.on_change(tell) if isinstance(backend, TellingBackend) else None
        took = 0.0
        try:
            while True:
                await asyncio.sleep(took)  # half of the time is for others
                pause = max(_LOOK_INTERVAL, min(10 * took, _LONGEST_INTERVAL))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await is_saved.wait()
                is_saved.clear()
                before, saved = saved, _Saved()
                began = loop.time()
                await self._look(turns, before)
                took = loop.time() - began
        finally:
            self._server.after_save.discard(tell)
            if end is not None:
                end()

    async def _look(self, turns: asyncio.Semaphore, saved: _Saved) -> None:
        """Read what may have changed, first what was *saved*."""
        now = asyncio.get_running_loop().time()
        watches = [*self._watches.values()]
        if saved.applications:
            watches.sort(key=saved.distance)
        for number, watch in enumerate(watches, 1):
            is_due = bool(saved.applications) or now >= watch.due
            if watch.reading is None and self._may_be_stale(watch.answer, is_due):
                watch.reading = asyncio.ensure_future(self._read(watch, turns))
            if number % _LOOKS == 0:
                await asyncio.sleep(0)

    def _may_be_stale(self, answer: Answer, is_due: bool) -> bool:
        try:
            is_valid = self._answers.is_valid(answer)
        except Exception:  # whoever reads it will meet it again
            return True
        return is_due if is_valid is None else not is_valid

    async def _read(self, watch: _Watch, turns: asyncio.Semaphore) -> None:
        """Ask for the answer anew, and tell when it is another."""
        try:
            async with turns:
                saves = self._server.saves.value()
                outcome = await self._outcome(watch)
        finally:
            watch.reading = None
        if isinstance(outcome, ConfigError) or outcome.etag != watch.answer.etag:
            self._tell(watch, outcome)
            return
        watch.answer = outcome.known()
        if (
            saves == self._server.saves.value()
        ):  # else it may be that of before the save
            watch.due = asyncio.get_running_loop().time() + _ASK_INTERVAL

    async def _outcome(self, watch: _Watch) -> Answer | ConfigError:
        try:
            answer = await self._answers.get(watch.lookup, watch.renderer)
        except ConfigError as error:
            return error
        except Exception:
            _logger.exception("a look at an answer failed in an unforeseen way")
            return ConfigError("this server has failed")
        return answer or ConfigNotFound(NOTHING_STORED)


def _settle(waiter: Waiter, outcome: Outcome) -> None:
    if not waiter.done():
        waiter.set_result(outcome)
