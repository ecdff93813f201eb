"""The processes of one server: begun, watched, replaced, and ended together.

The parent serves nothing. It hands on what it is told by signals, and a worker that
dies has another in its place. Workers that die as soon as they begin are an error. A
worker whose parent is gone ends by itself.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import ConfigError
from .worker import SIGNALS, Worker, Workplace

__all__ = ["Worker", "supervise"]

_logger = logging.getLogger("pyconfserve.workers")
_YOUNG = 10.0  # seconds: who dies before that could not serve
_MOST_DEATHS = 5  # of young workers, within …
_LOOP = 30.0  # … this many seconds
_PAUSE = 0.1  # seconds until another takes the place of a young one; each time twice
_PATIENCE = 40.0  # seconds for all to end: the drain of a listener, and some more
_INTERVAL = 1.0  # seconds between two looks
_RETRY = 1.0  # seconds after which a fork that failed is tried again


def supervise(
    count: int,
    run: Callable[[Worker], None],
    *,
    announce: Callable[[], None] = lambda: None,
    reload: Callable[[], None] = lambda: None,
    release: Callable[[], None] = lambda: None,
    look: Callable[[], None] | None = None,
) -> None:
    """Keep *count* processes that *run*, until SIGTERM or SIGINT ends them all.

    What *run* does ends when its own process gets SIGTERM. The first worker begins
    alone, so that what cannot work is said once. *announce* is called when all accept;
    *reload* at SIGHUP, before the workers get it; *release* when the end begins, for
    what is held for workers to come; *look* once a second. A second signal kills.

    Raises the error for which the first could not begin, ConfigError when workers die
    as soon as they begin, SystemExit when they were killed.
    """
    gc.freeze()  # so that workers go on to share the memory of what is there now
    _Parent(count, run, announce, reload, release, look).supervise()


class _Parent:
    """What the parent knows, and one pass of its loop after another."""

    def __init__(
        self,
        count: int,
        run: Callable[[Worker], None],
        announce: Callable[[], None],
        reload: Callable[[], None],
        release: Callable[[], None],
        look: Callable[[], None] | None,
    ) -> None:
        self._run, self._announce = run, announce
        self._reload, self._release, self._look = reload, release, look
        self._next_look = math.inf if look is None else 0.0
        self._places = [Workplace(number) for number in range(count)]
        self._deaths: deque[float] = deque()  # of young workers
        self._alive = os.pipe()  # whose writing end only the parent has
        self._wakes = os.pipe()  # the numbers of signals that came
        self._is_announced = False
        self._failure: ConfigError | None = None
        self._kill_at: float | None = None  # set when the end has begun

    def supervise(self) -> None:
        try:
            with _handled(*self._wakes):
                while self._kill_at is None or self._living():
                    self._pass()
        finally:
            self._send(signal.SIGKILL)  # to nobody, but after an error of ours
            for descriptor in (*self._alive, *self._wakes):
                os.close(descriptor)
        if self._failure is not None:
            raise self._failure

    def _pass(self) -> None:
        for number in self._wait():
            self._act(number)
        for place in self._living():
            place.hear()
            ending = place.bury()
            if ending and self._kill_at is None:
                self._note_death(place, str(place.failure or ending))
        if self._look is not None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _INTERVAL
            _guarded(self._look)
        if self._kill_at is None:
            self._fill()
        elif time.monotonic() >= self._kill_at:
            _logger.error("workers that did not end in time are killed")
            self._kill_at += _PATIENCE
            self._send(signal.SIGKILL)

    def _living(self) -> list[Workplace]:
        return [place for place in self._places if place.process]

    def _wait(self) -> bytes:
        """Sleep until something is to be done; gives the signals that came."""
        reports = [place.report for place in self._living() if place.report is not None]
        due = [place.due for place in self._places if not place.process]
        if self._kill_at is not None:
            due = [self._kill_at]
        elif not self._is_begun():
            due = []
        until = min([*due, self._next_look])
        pause = None if until == math.inf else max(0.0, until - time.monotonic())
        select.select([self._wakes[0], *reports], [], [], pause)
        try:
            return os.read(self._wakes[0], 1024)
        except BlockingIOError:
            return b""

    def _is_begun(self) -> bool:
        """Whether the first of all accepts, or did: then the others may begin."""
        first = self._places[0]
        return self._is_announced or first.accepts or not first.process

    def _act(self, number: int) -> None:
        if number == signal.SIGHUP:
            _guarded(self._reload)
            self._send(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            if self._kill_at is not None:
                raise SystemExit(1)
            self._end()

    def _end(self, failure: ConfigError | None = None) -> None:
        """Let every worker end its work; *failure* is raised after that."""
        self._failure = failure
        self._kill_at = time.monotonic() + _PATIENCE
        self._release()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for place in self._living():
            place.send(number)

    def _fill(self) -> None:
        """Begin a worker in every place that is free and due, but first the first."""
        for place in self._places:
            if not place.process and time.monotonic() >= place.due:
                self._begin(place)
            if not self._is_begun():
                return
        if not self._is_announced and all(place.accepts for place in self._places):
            self._is_announced = True
            self._announce()

    def _begin(self, place: Workplace) -> None:
        try:
            place.begin(self._run, self._alive[0], self._forget)
        except OSError as error:
            problem = f"a worker cannot begin: {os.strerror(error.errno or 0).lower()}"
            if not self._is_announced:
                raise ConfigError(problem) from error
            _logger.error(problem)
            place.due = time.monotonic() + _RETRY

    def _forget(self) -> None:
        """Let go, in a worker, of what is the parent's."""
        for place in self._places:
            place.close()
        for descriptor in (self._alive[1], *self._wakes):
            os.close(descriptor)

    def _note_death(self, place: Workplace, reason: str) -> None:
        """See to it that another takes the place, if that can help."""
        if not self._is_announced:
            unsaid = ConfigError(f"a worker {reason} before it accepted connections")
            self._end(place.failure or unsaid)
            return
        _logger.warning("worker %d %s: another takes its place", place.number, reason)
        now = time.monotonic()
        if now - place.begun >= _YOUNG:
            place.due = now
            return
        while self._deaths and self._deaths[0] < now - _LOOP:
            self._deaths.popleft()
        place.due = now + _PAUSE * 2 ** len(self._deaths)
        self._deaths.append(now)
        if len(self._deaths) == _MOST_DEATHS:
            problem = "died within seconds of their beginning"
            self._end(ConfigError(f"{_MOST_DEATHS} workers {problem}"))


def _guarded(work: Callable[[], None]) -> None:
    """Do *work*; an error in it must not end all that is served."""
    try:
        work()
    except Exception:
        _logger.exception("the parent of the workers failed in an unforeseen way")


@contextmanager
def _handled(reading: int, writing: int) -> Iterator[None]:
    """Have the numbers of signals written to a pipe, and nothing else happen."""
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
