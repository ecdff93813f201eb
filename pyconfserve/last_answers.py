"""The last good answers of a store that is asked for each: given while it is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Any

from .backend import Found
from .environment.overlay import Lookup
from .errors import BackendError, BackendTimeout, BackendUnavailable

__all__ = ["LastAnswers"]

_MOST = 1000  # answers that are kept
_AWAY = (BackendUnavailable, BackendTimeout)


class LastAnswers:
    """What the store at *address* said last to each request; thread-safe.

    How it went is logged by *logger* where it is news, and told by `health`.
    """

    def __init__(
        self,
        address: str,
        logger: logging.Logger,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._address = address
        self._logger = logger
        self._now = now
        self._found: dict[Lookup, Found] = {}  # the newest last
        self._lock = threading.Lock()
        self._problem: BackendError | None = None
        self._answered = 0.0  # when the store last did

    def kept(self, lookup: Lookup, found: Found) -> Found:
        """*found*, which is the answer to *lookup* from now on."""
        with self._lock:
            self._problem, self._answered = None, self._now()
            self._found.pop(lookup, None)
            self._found[lookup] = found
            if len(self._found) > _MOST:
                del self._found[next(iter(self._found))]
        return found

    def instead(self, lookup: Lookup, problem: BackendError) -> Found:
        """The last answer to *lookup* while the store is away.

        Raises *problem* where there is none, and where it is another one.
        """
        with self._lock:
            was, self._problem = self._problem, problem
            last = self._found.get(lookup)
        if str(problem) != str(was):
            self._logger.warning("%s", problem)
        if last is None or not isinstance(problem, _AWAY):
            raise problem
        return last

    def health(self) -> dict[str, Any]:
        """The store, what is wrong with it, and since when.

        Raises BackendError while it fails and nothing that it said is known.
        """
        problem = self._problem
        if problem is None:
            return {"store": self._address}
        if not self._found:
            raise copy(problem) from problem
        return {
            "store": self._address,
            "problem": str(problem),
            "answered-seconds-ago": max(0, round(self._now() - self._answered)),
        }
