"""What was used last, within a number of bytes; this module does no I/O."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["LastUsed"]

_OVERHEAD = 200  # bytes that one kept value takes beside its own
_LARGEST_SHARE = 4  # a value that takes more than this part of all is not kept

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LastUsed(Generic[Key, Value]):
    """Values by key, those asked for last, of *limit* bytes in all; thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value kept under *key*, None when there is none."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def keep(self, key: Key, value: Value, size: int) -> None:
        """Keep a value of *size* bytes, for which others may go; the first one stays.

        One that would drive out too many is not kept.
        """
        size += _OVERHEAD
        with self._lock:
            if key in self._kept or size > self._limit // _LARGEST_SHARE:
                return
            self._kept[key] = (value, size)
            self._size += size
            while self._size > self._limit:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._size -= dropped
