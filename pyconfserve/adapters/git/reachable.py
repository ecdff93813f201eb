"""Which commits a branch or a tag reaches, found once for each; this does no I/O."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

__all__ = ["Reachable"]

_MOST_COMMITS = 10_000  # remembered, those asked for last


class Reachable:
    """What is known of commits by id, for one state of the refs; thread-safe.

    At most *limit* are remembered.
    """

    def __init__(self, limit: int = _MOST_COMMITS) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Future[bool]] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, commit: str, look: Callable[[str], bool]) -> bool:
        """Whether *commit* is reachable, as *look* finds it.

        Who asks while another one looks waits for that. Raises what *look* raises, and
        forgets it.
        """
        with self._lock:
            known = self._known.get(commit)
            found = known or Future()
            if known is None:
                self._known[commit] = found
            self._known.move_to_end(commit)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        if known is None:
            self._look(commit, look, found)
        return found.result()

    def _look(
        self, commit: str, look: Callable[[str], bool], found: Future[bool]
    ) -> None:
        try:
            found.set_result(look(commit))
        except BaseException as error:
            with self._lock:
                if self._known.get(commit) is found:
                    del self._known[commit]
            found.set_exception(error)
