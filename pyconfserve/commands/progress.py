"""A progress bar for long work."""

from __future__ import annotations

import sys
import time

__all__ = ["Bar"]

_BETWEEN = 0.1  # seconds between two states of it
_WIDTH = 30  # characters


class Bar:
    """How many *things* are done, on standard error where that is a terminal."""

    def __init__(self, things: str) -> None:
        self._things = things
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._until = time.monotonic() + _BETWEEN
        self._has_drawn = False

    def show(self, done: int, total: int) -> None:
        """Draw it, but not more often than anyone can see."""
        now = time.monotonic()
        if not self._is_shown or now < self._until or not total:
            return
        self._until, self._has_drawn = now + _BETWEEN, True
        full = _WIDTH * done // total
        bar = f"[{'#' * full}{' ' * (_WIDTH - full)}] {done} of {total} {self._things}"
        print(f"\r{bar}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave no trace of it."""
        if self._has_drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
