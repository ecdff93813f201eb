"""The files of a bucket in memory, kept up with it by a thread.

S3 tells nobody of changes: it is asked every so often, and before each save. While it
is away the last good state stands, with its age. All here blocks, but what says that it
does not.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from copy import copy
from itertools import count
from typing import Any

from ..errors import BackendError, BackendUnavailable
from ..replica import PATIENCE, POLL, STALE_AFTER
from .s3_client import Bucket
from .s3_fetching import Fetcher
from .s3_files import Files

__all__ = ["Follower"]

_LONGEST_PAUSE = 30.0  # seconds between attempts at a store that is away
_LAST_WORDS = 2.0  # seconds for the thread to end

_logger = logging.getLogger("pyconfserve.s3")


class Follower:
    """The files of *bucket*, looked at every *poll* seconds by a thread.

    *stale_after* is how many seconds `health` bears with a store that is away.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        poll: float = POLL,
        stale_after: float = STALE_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bucket = bucket
        self._fetcher = Fetcher(bucket)
        self._poll, self._stale_after, self._now = poll, stale_after, now
        self.files: Files | None = None
        self._read_at = 0.0  # when the files were those of the store
        self._problem: BackendError | None = None
        self._wishes = count(1)
        self._due = self._looked = 0  # wishes
        self._late = 0.0  # when nobody waits any more for what is due
        self.lock = threading.RLock()  # for a look, and for a change
        self._opening = threading.Lock()
        self._is_closing = False
        self._is_woken = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_due(self) -> bool:
        """Whether somebody saved something that is not seen yet; never waits."""
        return (
            self._looked < self._due
            and self._problem is None
            and time.monotonic() < self._late
        )

    def open(self) -> Files:
        """Look at the store, and again and again from now on; twice is fine.

        Raises BackendError when it cannot be reached.
        """
        with self._opening:
            if self._is_closing:
                raise self.unavailable("it was closed here")
            files = self.files or self.look()
            if self._thread is None:
                name = "pyconfserve-s3-follow"
                self._thread = threading.Thread(
                    target=self._follow, name=name, daemon=True
                )
                self._thread.start()
        return files

    def present(self) -> Files:
        """What the last look found; the first one opens it. Raises BackendError."""
        files = self.files
        return self.open() if files is None or self._thread is None else files

    def close(self) -> None:
        """End the thread, and close the connections; calling this twice is fine."""
        self._is_closing = True
        self._is_woken.set()
        if self._thread is not None:
            self._thread.join(_LAST_WORDS)
        self._fetcher.close()
        self._bucket.close()

    def look_again(self) -> None:
        """Believe nothing from before now; never waits."""
        if self._looked >= self._due:
            self._late = time.monotonic() + PATIENCE
        self._due = next(self._wishes)
        self._is_woken.set()

    def look(self) -> Files:
        """The files of a moment after this call began; raises BackendError.

        Who calls while another looks shares the look after that one.
        """
        wish = next(self._wishes)
        with self.lock:
            if self._looked < wish:
                began = next(self._wishes)
                try:
                    self._take_in()
                finally:  # one that failed would fail again for all who wait
                    self._looked, self._late = began, time.monotonic() + PATIENCE
            if self._problem is not None:
                raise copy(self._problem) from self._problem
            assert self.files is not None  # else there is a problem
            return self.files

    def _take_in(self) -> None:
        try:
            self.files = self._fetched(None)
        except BackendError as error:
            self._note(error)
        except Exception as error:
            if not self._is_closing:
                _logger.exception("a look at %s failed", self._bucket.address)
            self._note(self.unavailable(type(error).__name__))
        else:
            self._read_at = self._now()
            self._note(None)

    def _fetched(self, starts: Sequence[str] | None) -> Files:
        """What a look gives; one failure may be that of a connection that was kept."""
        if self._is_closing:
            raise self.unavailable("it was closed here")
        try:
            return self._fetcher.fetch(self.files, starts)
        except BackendUnavailable:
            if self._problem is not None:
                raise
            return self._fetcher.fetch(self.files, starts)

    def look_at(self, starts: Sequence[str]) -> None:
        """Take in the files whose paths begin so, as they are now; raises BackendError.

        It costs a request for each, and not one for each thousand files. Where others
        have changed them, all is looked at before the next answer: what else they wrote
        before belongs to it.
        """
        self.present()
        with self.lock:
            found = self._fetched(starts)
            if self.files is not None and found.has_other_content(self.files):
                self.look_again()
            self.files = found

    def _note(self, problem: BackendError | None) -> None:
        """Keep how the last look went, and log what is new in it."""
        was, self._problem = self._problem, problem
        is_known = self.files is None or self._is_closing  # by who opens or closes it
        if problem is not None and str(problem) != str(was) and not is_known:
            _logger.warning("%s", problem)
        elif problem is None and was is not None:
            _logger.info("%s: up to date again", self._bucket.address)

    def unavailable(self, problem: str) -> BackendUnavailable:
        """What to raise when the store cannot tell now."""
        error = BackendUnavailable(f"{self._bucket.address}: {problem}")
        error.place = self._bucket.address
        return error

    def _follow(self) -> None:
        """Look every so often, until it is closed; a store that is away is asked less
        and less.
        """
        failures = 0
        while True:
            pause = self._poll
            if failures:
                pause = min(2.0 ** min(failures, 5), _LONGEST_PAUSE)
                pause *= random.uniform(0.5, 1.0)
            self._is_woken.wait(pause)
            self._is_woken.clear()
            if self._is_closing:
                return
            try:
                self.look()
                failures = 0
            except BackendError:
                failures += 1

    def health(self) -> dict[str, Any]:
        """What is served and how old it is; never waits.

        Raises BackendError when nothing was read, or not for too long.
        """
        files, problem = self.files, self._problem
        if files is None:
            raise problem or self.unavailable("it was not read yet")
        age = max(0.0, self._now() - self._read_at)
        if age > self._stale_after + (0.0 if problem else self._poll):
            why = problem or "its answer does not end"
            raise self.unavailable(f"what is served is {age:.0f} s old: {why}")
        return {
            "store": self._bucket.address,
            "files": len(files.objects),
            "read-seconds-ago": round(age),
            **({"problem": str(problem)} if problem else {}),
            **({"ignored-keys": files.ignored} if files.ignored else {}),
        }
