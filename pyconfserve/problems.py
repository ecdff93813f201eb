"""Broken files that were met: logged once each, and told until they are mended."""

from __future__ import annotations

import logging
import threading

from .environment.overlay import Lookup
from .errors import DocumentError

__all__ = ["Problems"]

_logger = logging.getLogger("pyconfserve.server")
_MOST = 100  # kept; the log has them all


class Problems:
    """What does not parse, as text, each with a lookup that meets it."""

    def __init__(self) -> None:
        self._met: dict[str, Lookup] = {}
        self._lock = threading.Lock()  # servers are used by loops of several threads

    def texts(self) -> list[str]:
        """What is known to be broken, in order."""
        with self._lock:
            return sorted(self._met)

    def lookups(self) -> set[Lookup]:
        """Those that meet all of it, or would have met it by now."""
        with self._lock:
            return set(self._met.values())

    def note(self, lookup: Lookup, error: DocumentError) -> None:
        """*lookup* meets *error* and nothing else; it is logged the first time."""
        text = str(error)
        self.forget(lookup, but=text)
        with self._lock:
            is_new = text not in self._met
            self._met.setdefault(text, lookup)
            if len(self._met) > _MOST:
                del self._met[next(iter(self._met))]
        if is_new:
            _logger.error("a file does not parse: %s", text)

    def forget(self, lookup: Lookup, but: str = "") -> None:
        """What *lookup* met and does not meet any more."""
        if not self._met:
            return
        with self._lock:
            met = [text for text, by in self._met.items() if by == lookup]
            for text in met:
                if text != but:
                    del self._met[text]
