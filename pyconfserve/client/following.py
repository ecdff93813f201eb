"""A watch in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..http.dialing import Line

__all__ = ["Follower"]


class _Stopped(Exception):
    """Ends a wait, and with it the thread."""


class Follower:
    """Calls *callback* with each change until `stop`, in a thread begun at once.

    *changes* gives an iterator of changes from a function that sleeps and a line to
    hang up on. An error of the callback is logged, and ends nothing. The thread does
    not keep the process alive, and is not there in a child that forks off: follow in
    each worker.
    """

    def __init__(
        self,
        changes: Callable[[Callable[[float], None], Line], Iterator[Any]],
        callback: Callable[[Any], object],
    ) -> None:
        from threading import Event, Thread

        self._line = Line()
        self._stopping = Event()
        self._changes = changes
        self._callback = callback
        self._thread = Thread(target=self._run, name="pyconfserve-follow", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether changes are still followed."""
        return self._thread.is_alive()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread, waiting for it at most *timeout* seconds.

        The exchange that runs is cut off. Calling this twice is fine, and so is calling
        it from the callback.
        """
        from threading import current_thread

        self._stopping.set()
        self._line.hang_up()
        if self._thread is not current_thread():
            self._thread.join(timeout)

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _Stopped

    def _run(self) -> None:
        import logging

        logger = logging.getLogger("pyconfserve.client")
        changes = self._changes(self._sleep, self._line)
        try:
            for change in changes:
                if self._stopping.is_set():
                    break
                try:
                    self._callback(change)
                except Exception:
                    logger.exception("a callback of follow has failed")
        except _Stopped:
            pass
        except Exception:
            logger.exception("following changes has ended")
