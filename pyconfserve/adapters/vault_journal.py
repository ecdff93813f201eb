"""Which bundles in Vault changed last, and which are being written: one document.

Vault tells nobody of changes, and cannot change two keys at once. So who writes says so
before, and again when it is done: who dies in between leaves a mark by which the others
look at that one key. This module does no input or output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Journal"]

_MOST = 100  # changes that are kept: who is further behind reads all
_OLD = 600.0  # seconds after which nothing is written any more by who said so


class Journal(NamedTuple):
    """The document as it is at its *version* in Vault, 0 for none.

    `log` has an id and a key for each note, newest last; `writing` a key and a time
    (epoch seconds) for each mark.
    """

    version: int = 0
    log: tuple[tuple[str, str], ...] = ()
    writing: Mapping[str, tuple[str, float]] = {}  # never changed

    @property
    def id(self) -> str:
        """What no other state of any journal has; "" for an empty one."""
        return self.log[-1][0] if self.log else ""

    @property
    def keys_being_written(self) -> list[str]:
        """Those of marks, in order."""
        return sorted({key for key, _ in self.writing.values()})

    def since(self, id: str) -> set[str] | None:
        """The keys that may have changed since the journal had *id*.

        None where it does not go back to that.
        """
        ids = [known for known, _ in self.log]
        if id not in ids:
            return None
        later = {key for _, key in self.log[ids.index(id) + 1 :]}
        return later.union(self.keys_being_written)

    def begun(self, mark: str, id: str, key: str, now: float) -> Journal:
        """The journal when *key* is about to be written; old marks are gone."""
        kept = {
            known: (one, then)
            for known, (one, then) in self.writing.items()
            if now - then < _OLD
        }
        ended = [
            (id, one) for known, (one, _) in self.writing.items() if known not in kept
        ]
        return self._noted([*ended, (id, key)], {**kept, mark: (key, now)})

    def ended(self, mark: str, id: str, key: str) -> Journal:
        """The journal when it was, or will not be."""
        left = {known: one for known, one in self.writing.items() if known != mark}
        return self._noted([(id, key)], left)

    def _noted(
        self, notes: list[tuple[str, str]], writing: Mapping[str, tuple[str, float]]
    ) -> Journal:
        return Journal(self.version, (*self.log, *notes)[-_MOST:], writing)

    def text(self) -> str:
        """It as a text for `parse`."""
        return json.dumps({"log": self.log, "writing": self.writing})

    @classmethod
    def parse(cls, text: str, version: int) -> Journal:
        """The journal of a text; one that others wrote is an empty one."""
        try:
            tree = json.loads(text)
            log = tuple((str(id), str(key)) for id, key in tree["log"])
            writing = {
                str(mark): (str(key), float(then))
                for mark, (key, then) in tree["writing"].items()
            }
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return cls(version)
        return cls(version, log, writing)
