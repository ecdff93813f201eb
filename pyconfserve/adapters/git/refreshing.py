"""The thread that opens a repository and fetches, so that no request waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from ...errors import BackendUnavailable, ConfigError
from .outcome import closed
from .repository import Repository

__all__ = ["Refresher"]

_logger = logging.getLogger("pyconfserve.git")
_LAST_WORDS = 2.0  # seconds for what was ended to be gone
_PAUSE = 5.0  # seconds after an opening that failed in which none is tried again


class Refresher:
    """Opens and refreshes *repository*, every *rate* seconds and when asked.

    With a rate of 0 only when asked. The thread begins with the first wish.
    """

    def __init__(self, repository: Repository, rate: float) -> None:
        self._repository = repository
        self._rate = rate
        self._changed = threading.Condition()
        self._openings: list[Future[None]] = []
        self._refreshes: list[Future[None]] = []
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self._failed: tuple[float, ConfigError] | None = None  # when, how

    def open(self) -> Future[None]:
        """A future of the repository being open; it raises BackendError.

        Just after a failure it has the same one at once.
        """
        done: Future[None] = Future()
        failed = self._failed
        if failed is not None and time.monotonic() < failed[0] + _PAUSE:
            done.set_exception(type(failed[1])(str(failed[1])))
            return done
        return self._wish(self._openings, done)

    def refresh(self) -> Future[None]:
        """A future of a fetch that begins after this call; raises BackendError."""
        return self._wish(self._refreshes, Future())

    def stop(self) -> None:
        """End the thread and the repository; calling this twice is fine."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
        self._repository.close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_LAST_WORDS)

    def _wish(self, wishes: list[Future[None]], wish: Future[None]) -> Future[None]:
        with self._changed:
            if self._is_stopped:
                wish.set_exception(closed())
                return wish
            wishes.append(wish)
            if self._thread is None:
                name = "pyconfserve-git"
                self._thread = threading.Thread(
                    target=self._run, name=name, daemon=True
                )
                self._thread.start()
            self._changed.notify_all()
        return wish

    def _run(self) -> None:
        due = time.monotonic()
        while not self._is_stopped:
            if self._grant(*self._next_wishes(due)):
                due = time.monotonic() + self._rate
        _finish([*self._openings, *self._refreshes], closed())

    def _next_wishes(self, due: float) -> tuple[list[Future[None]], list[Future[None]]]:
        """Wait for wishes, or until *due*."""
        left = max(0.0, due - time.monotonic()) if self._rate else None
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_stopped or self._openings or self._refreshes, left
            )
            openings, self._openings = self._openings, []
            refreshes, self._refreshes = self._refreshes, []
        return openings, refreshes

    def _grant(
        self, openings: list[Future[None]], refreshes: list[Future[None]]
    ) -> bool:
        """Open the repository unless it is, and fetch; gives whether it fetched.

        A wish for the first alone does not wait for a fetch.
        """
        error, is_fetched = None, False
        if not self._repository.is_open:
            error, is_fetched = self._open()
        _finish(openings, error)
        if is_fetched and error is None:  # by the first clone
            self._try(self._repository.verify)
        if openings and not refreshes:
            return is_fetched
        if error is None and not is_fetched:
            error = self._try(self._repository.refresh)
        _finish(refreshes, error)
        return True

    def _open(self) -> tuple[ConfigError | None, bool]:
        fetched: list[bool] = []
        error = self._try(lambda: fetched.append(self._repository.open()))
        self._failed = (time.monotonic(), error) if error else None
        return error, error is not None or fetched[0]

    def _try(self, work: Callable[[], object]) -> ConfigError | None:
        if self._is_stopped:
            return closed()
        try:
            work()
        except ConfigError as error:
            return error
        except Exception as error:  # the thread goes on: else nothing is ever fetched
            _logger.exception("a refresh failed")
            return BackendUnavailable(f"a refresh failed: {type(error).__name__}")
        return None


def _finish(wishes: list[Future[None]], error: ConfigError | None) -> None:
    for wish in wishes:
        if not wish.set_running_or_notify_cancel():
            continue
        if error is None:
            wish.set_result(None)
        else:
            wish.set_exception(error)
