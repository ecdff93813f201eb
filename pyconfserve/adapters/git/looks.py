"""Looks at what other processes moved: now and then in the background, or at once."""

from __future__ import annotations

from collections.abc import Callable

from .chores import Chore

__all__ = ["Looks"]


class Looks:
    """Calls *look*, which may block and does one thing at a time; thread-safe."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._wanted = self._taken = 0
        self._chore = Chore("pyconfserve-git-catch-up", self.take)

    @property
    def is_due(self) -> bool:
        """Whether what is served is known to be older than the last wish."""
        return self._taken != self._wanted

    def wish(self) -> None:
        """Have one that begins after this; never waits."""
        self._wanted += 1
        self.start()

    def start(self) -> None:
        """Look in the background, unless that is under way."""
        self._chore.start()

    def take(self) -> None:
        """Look now; what fails is not due any more."""
        wanted = self._wanted
        try:
            self._look()
        finally:
            self._taken = wanted
