"""How often was saved: what servers of several processes tell each other.

`board.SaveCount` is the one that processes share.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import count
from typing import Protocol

__all__ = ["OwnSaves", "Saves"]


class Saves(Protocol):
    """A count of the saves of all servers that share it; thread-safe."""

    def value(self) -> Hashable:
        """A value that is another one after each save; fast."""
        ...

    def raise_(self) -> None:
        """Count a save, when it is durable and before it is answered."""
        ...


class OwnSaves:
    """The count of a server that shares its store with no other."""

    def __init__(self) -> None:
        self._next = count(1)
        self._value = 0

    def value(self) -> Hashable:
        """The number of saves so far."""
        return self._value

    def raise_(self) -> None:
        """Count a save."""
        self._value = next(self._next)
