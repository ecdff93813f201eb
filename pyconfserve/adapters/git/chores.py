"""Work in the background that nobody waits for, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Chore"]


class Chore:
    """*work* in a thread named *name*; a start while it runs does nothing."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._running = threading.Lock()

    def start(self) -> None:
        """Begin unless it runs, or no thread can be started: then a later call does."""
        if not self._running.acquire(blocking=False):
            return
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        started = False
        with suppress(RuntimeError):
            thread.start()
            started = True
        if not started:
            self._running.release()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._running.release()
