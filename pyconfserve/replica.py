"""All that some place holds, in memory, kept up with it by a thread.

Notices are hints: after each notice, each reconnect and each poll the place is looked
at, and what changed is taken in at once. While it is away the last good state stands,
with its age. All here blocks, but what says that it does not.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from copy import copy
from itertools import count
from typing import Any, Generic, TypeVar

from .errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
)
from .files import BundleName
from .followed import Followed, State
from .last_state import LastState

__all__ = ["PATIENCE", "POLL", "STALE_AFTER", "Replica"]

POLL = 30.0  # seconds between looks, whatever notices say
STALE_AFTER = 3600.0  # seconds after which health says that the place is away too long
PATIENCE = 1.0  # seconds that readers wait for the place to tell what changed
_LONGEST_PAUSE = 30.0  # seconds between attempts at a place that is away
_LAST_WORDS = 2.0  # seconds for the thread to end

_logger = logging.getLogger("pyconfserve.store")

Tell = Callable[[BundleName], None]
Result = TypeVar("Result")


class Replica(Generic[State]):
    """All of *followed*, looked at after each notice and every *poll* seconds.

    With *last* the last good state is kept in a file, for a start while the place is
    away. *stale_after* is how many seconds `health` bears with one that is. Whoever
    changes the place may hold the *lock* meanwhile, and have it `take` what it left.
    """

    def __init__(
        self,
        followed: Followed[State],
        *,
        poll: float = POLL,
        last: LastState | None = None,
        stale_after: float = STALE_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.followed = followed
        self.state: State | None = None
        self.lock = threading.RLock()  # for a look, and for a change
        self.tells: set[Tell] = set()  # called by the thread that saw a change
        self.sights: set[Callable[[], None]] = set()  # so, before others see it here
        self._poll = poll
        self._last = last
        self._stale_after = stale_after
        self._now = now
        self._read_at = 0.0  # when the state was that of the place
        self._problem: BackendError | None = None
        self._deafness = ""  # why no notices come
        self._wishes = count(1)
        self._due = self._looked = 0  # wishes
        self._due_at = 0.0  # when somebody first knew of what is due
        self._is_asked = False  # a look is under way, or waited for
        self._opening = threading.Lock()
        self._is_closing = threading.Event()
        self._is_back = threading.Event()  # the place, or it is closed
        self._thread: threading.Thread | None = None

    @property
    def followed_state(self) -> State | None:
        """The state, None where the place is not followed yet."""
        return None if self._thread is None else self.state

    @property
    def is_due(self) -> bool:
        """Whether somebody saved something that is not seen yet; never waits."""
        return (
            self._looked < self._due
            and self._problem is None
            and (not self._is_asked or time.monotonic() < self._due_at + PATIENCE)
        )

    def look_again(self) -> None:
        """Believe nothing from before now; never waits.

        Whoever saved has reached the place: where it was away it is asked again now.
        """
        if self._looked >= self._due:
            self._due_at = time.monotonic()
        self._due = next(self._wishes)
        if self._problem is not None:
            self._is_back.set()

    def open(self) -> State:
        """Read all, and follow it from now on; twice is fine.

        Raises BackendError when it cannot be reached and no file has its last state.
        """
        with self._opening:
            if self._is_closing.is_set():
                raise self.unavailable("it was closed here")
            if self.state is None:
                try:
                    self.look()
                except BackendError:
                    if not self._remember():
                        raise
            if self._thread is None:
                name = "pyconfserve-store-follow"
                self._thread = threading.Thread(
                    target=self._follow, name=name, daemon=True
                )
                self._thread.start()
        assert self.state is not None  # one of both has set it
        return self.state

    def close(self) -> None:
        """End the thread and release the place; calling this twice is fine."""
        self._is_closing.set()
        self._is_back.set()
        self.followed.close()  # which ends a wait for notices
        if self._thread is not None:
            self._thread.join(_LAST_WORDS)
            self.followed.close()  # what the thread opened meanwhile

    def look(self) -> State:
        """The state of a moment after this call began; raises BackendError.

        Who calls while another looks shares the look after that one.
        """
        self._is_asked = True  # also while a change is under way
        wish = next(self._wishes)  # after that: the look that grants it takes it back
        with self.lock:
            if self._looked < wish:
                began = next(self._wishes)
                self._is_asked = True
                try:
                    self._take_in()
                finally:  # one that failed would fail again for all who wait
                    self._looked, self._is_asked = began, False
            if self._problem is not None:
                raise copy(self._problem) from self._problem
            assert self.state is not None  # else there is a problem
            return self.state

    def _take_in(self) -> None:
        """Take in what is there now, and tell of what changed."""
        try:
            self.take(*self.attempt(lambda: self.followed.read(self.state)))
        except BackendError as error:
            error.place = error.place or self.followed.address
            self._note(error)
        except Exception as error:
            if not self._is_closing.is_set():
                _logger.exception("a look at %s failed", self.followed.address)
            self._note(self.unavailable(type(error).__name__))
        else:
            self._read_at = self._now()
            self._note(None)

    def attempt(self, work: Callable[[], Result]) -> Result:
        """What *work* gives; one failure may be that of a connection that was kept."""
        try:
            return work()
        except BackendUnavailable:
            if self._problem is not None:
                raise
            return work()

    def take(self, state: State, changed: Iterable[BundleName] = ()) -> None:
        """Let *state* be what is there; whoever calls this holds the lock."""
        before = self.state
        if before is not None and before.token != state.token:
            for sight in tuple(self.sights):
                sight()
        self.state = state
        tells = () if before is None else tuple(self.tells)
        for name in changed if tells else ():
            for tell in tells:
                tell(name)

    def _note(self, problem: BackendError | None) -> None:
        """Keep how the last look went, and log what is new in it."""
        was, self._problem = self._problem, problem
        if problem is not None and str(problem) != str(was):
            if self.state is not None and not self._is_closing.is_set():
                _logger.warning("%s", problem)  # else who opens or closes it knows
        elif problem is None and was is not None:
            self._is_back.set()
            _logger.info("%s: up to date again", self.followed.address)

    def unavailable(self, problem: str) -> BackendUnavailable:
        """What to raise when the place cannot tell now."""
        error = BackendUnavailable(f"{self.followed.address}: {problem}")
        error.place = self.followed.address
        return error

    # the thread

    def _follow(self) -> None:
        """Look after each notice, until it is closed; a place away is asked less."""
        failures = 0
        is_away = False
        state = self.state if self._problem is None else None  # it was read just now
        while not self._is_closing.is_set():
            try:
                state = state or self.look()
                if is_away:  # what is left of a connection may fail once, and at once
                    failures, is_away = 0, False
                self.followed.wait(state, self._keep(state))
                failures, self._deafness = 0, ""
            except ConfigError as error:
                is_away = state is None
                if state is not None and failures:  # it is there, and tells nothing
                    self._bear(error)
                failures += 1
                longest = _LONGEST_PAUSE if is_away else self._poll
                self._is_back.wait(min(_pause(failures), longest))
                self._is_back.clear()
            except Exception:  # the thread goes on: else nothing is ever seen
                _logger.exception("following %s failed", self.followed.address)
                self._is_closing.wait(_LONGEST_PAUSE)
            state = None
        self._keep(self.state, at_once=True)

    def _bear(self, error: ConfigError) -> None:
        if str(error) != self._deafness:
            self._deafness = str(error)
            _logger.warning("no notices: %s", error)

    def _keep(self, state: State | None, *, at_once: bool = False) -> float:
        """Have the file hold *state*; gives the seconds until it may be written."""
        if self._last is None or state is None:
            return self._poll
        left = 0.0 if at_once else self._last.seconds_left(state.token, self._read_at)
        if left:
            return min(left, self._poll)
        try:
            self._last.keep(state.token, self.followed.packed(state), self._read_at)
        except OSError as error:
            _logger.warning("the snapshot file is not written: %s", error.strerror)
        return self._poll

    def _remember(self) -> bool:
        """Take the state that the file has, if it has one; gives whether it has."""
        found = None if self._last is None else self._last.read(self.followed.unpacked)
        if found is None:
            return False
        self.state, self._read_at = found
        _logger.warning("%s: its last state is served", self._problem)
        return True

    def health(self) -> dict[str, Any]:
        """What is served and how old it is; never waits.

        Raises BackendError when nothing was read, or not for too long.
        """
        state, problem = self.state, self._problem
        if state is None:
            raise problem or self.unavailable("it was not read yet")
        age = max(0.0, self._now() - self._read_at)
        if age > self._stale_after + (0.0 if problem else self._poll):
            why = problem or f"{self.followed.address}: its answer does not end"
            raise BackendUnavailable(f"{why}; what is served is {age:.0f} s old")
        return {
            "store": self.followed.address,
            **self.followed.about(state),
            "read-seconds-ago": round(age),
            **({"problem": str(problem)} if problem else {}),
            **({"no-notices": self._deafness} if self._deafness else {}),
        }


def _pause(failures: int) -> float:
    """Seconds until the next attempt: 0.1, then 1 to 30, each at its own moment."""
    if failures == 1:  # it may have been a connection that was kept
        return 0.1
    longest = min(_LONGEST_PAUSE, 2.0 ** min(failures - 1, 5))
    return max(1.0, longest * random.uniform(0.5, 1.0))
