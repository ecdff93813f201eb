"""What the targets of requests mean, remembered: names need to be judged only once."""

from __future__ import annotations

from typing import NamedTuple

from ..answers import Key
from ..environment.overlay import Lookup
from .asked import Target, target_of
from .messages import Parsed, Request

__all__ = ["Meaning", "Targets"]

_MOST = 16_384  # targets with their Accept: ten thousand applications
_LONGEST = 1024  # characters of one: 16 MB of all


class Meaning(NamedTuple):
    """The key of an answer, and the names in it.

    `seconds` are those to wait for a change, `path` is that of a plain file.
    """

    key: Key
    lookup: Lookup
    seconds: float = 0.0
    path: str | None = None


class Targets:
    """Meanings by target; all are forgotten when there are too many."""

    def __init__(self) -> None:
        self._meanings: dict[Target, Meaning] = {}

    def meaning_of(self, request: Request) -> Meaning | None:
        """What *request* means, None for one that may have no answer that is kept."""
        if isinstance(request, Parsed) and isinstance(request.meaning, Meaning):
            return request.meaning
        meaning = self._meanings.get(target_of(request))
        if meaning is None or request.method not in ("GET", "HEAD"):
            return None
        headers = request.headers  # answers to credentials of its own are not kept
        if "x-config-token" in headers or "x-config-state" in headers:
            return None
        if isinstance(request, Parsed):
            request.meaning = meaning
        return meaning

    def keep(self, request: Request, meaning: Meaning) -> None:
        """Remember what *request* means, unless it is long."""
        target = target_of(request)
        if sum(map(len, target)) <= _LONGEST:
            if len(self._meanings) >= _MOST:
                self._meanings.clear()
            self._meanings[target] = meaning
