"""Stamps that are believed for a moment: all answers share one look at each path."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

__all__ = ["Stamps"]


class _Believed(NamedTuple):
    """What was found since one moment: for each path, and for those of one answer."""

    by_path: dict[str, Hashable]
    by_paths: dict[tuple[str, ...], tuple[Hashable, ...]]


class Stamps:
    """What *look* gives for paths, asked anew *interval* seconds after the first."""

    def __init__(
        self,
        look: Callable[[str], Hashable],
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look
        self._interval = interval
        self._clock = clock
        self._until = 0.0
        self._believed = _Believed({}, {})

    def __len__(self) -> int:
        """Of how many paths a stamp is believed."""
        return len(self._believed.by_path)

    def of(self, paths: Sequence[str], most: int) -> tuple[Hashable, ...]:
        """The stamp of each path, at most so old; raises what *look* raises.

        Of more than *most* paths, all are forgotten.
        """
        now = self._clock()
        if now >= self._until:
            self.forget()
            self._until = now + self._interval
        together = tuple(paths)
        found = self._believed.by_paths.get(together)
        return self._looked(together, most) if found is None else found

    def forget(self) -> None:
        """Believe nothing from before now, whatever the interval."""
        self._believed = _Believed({}, {})

    def _looked(self, paths: tuple[str, ...], most: int) -> tuple[Hashable, ...]:
        if len(self._believed.by_path) > most or len(self._believed.by_paths) > most:
            self.forget()
        # What another thread has forgotten meanwhile must not come back.
        by_path, by_paths = self._believed
        for path in paths:
            if path not in by_path:
                by_path[path] = self._look(path)
        found = by_paths[paths] = tuple([by_path[path] for path in paths])
        return found
