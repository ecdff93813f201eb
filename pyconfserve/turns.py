"""Turns at reading large documents, so that few threads at a time want the interpreter.

The event loop is one thread among those that run Python. Each that parses may keep it
from its turn for some milliseconds, again and again: eight of them, for half a second
(measured). A small document does not wait for a large one.
"""

from __future__ import annotations

import threading
from bisect import bisect_left

__all__ = ["turn"]

_SIZES = (16 * 1024, 128 * 1024)  # bytes: some 10 ms and 100 ms of work
_locks = [threading.Lock() for _ in range(len(_SIZES) + 1)]


def turn(data: bytes) -> threading.Lock:
    """What to hold while *data* is parsed; that of the large for what may grow.

    An alias of YAML, `*name`, may stand for thousands of values.
    """
    if b"*" in data:
        return _locks[-1]
    return _locks[bisect_left(_SIZES, len(data))]
