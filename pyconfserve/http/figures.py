"""What a server counts: numbers on a board that all its processes read.

Each process counts in its own row, and whoever is asked adds the rows. All labels are
from this page: no name, path or user can add one.
"""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..board import LocalBoard
from .messages import Request
from .observing import Exchange

__all__ = ["BOUNDS", "COLUMNS", "METHODS", "Figures", "Gauges", "Sums", "age_of"]

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "other")
# From the time of a kept answer to that of a slow store.
_MILLISECONDS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
BOUNDS = tuple(bound / 1000 for bound in _MILLISECONDS)  # seconds
_INTERVAL = 1.0  # seconds between looks at what is not counted, but read
_FIRST_STATUS = 100
_STATUSES = 500

# The columns of a row.
_BUCKETS = len(METHODS) * _STATUSES  # after a number for each method and status
_NANOSECONDS = _BUCKETS + len(BOUNDS) + 1  # the last bucket has what is above all
_KEPT, _MADE, _SAVED = range(_NANOSECONDS + 1, _NANOSECONDS + 4)
_GAUGES = _SAVED + 1
_WORKERS, _CONNECTIONS, _WATCHERS, _AGE = range(_GAUGES, _GAUGES + 4)
COLUMNS = _AGE + 1

_OFFSETS = {
    method: number * _STATUSES - _FIRST_STATUS for number, method in enumerate(METHODS)
}
_OTHER = _OFFSETS["other"]


class Gauges(NamedTuple):
    """Where to read what goes up and down in this process; `report` is a backend's."""

    connections: Callable[[], int] = lambda: 0
    watchers: Callable[[], int] = lambda: 0
    report: Callable[[], Mapping[str, Any]] = dict


class Sums(NamedTuple):
    """What all processes counted together.

    `buckets` are how many requests took up to each of BOUNDS and no less, and how many
    longer than all, without those that waited for a change; `seconds` is their sum.
    `age` is that of the oldest state of a remote backend, None where there is none.
    """

    requests: Mapping[tuple[str, int], int]
    buckets: tuple[int, ...]
    seconds: float
    kept: int
    made: int
    saves: int
    workers: int
    connections: int
    watchers: int
    age: float | None


class Figures:
    """Counts in one row of *board* what this process does; it is an Observer.

    Counts of a process that died go on in its row, its gauges do not.
    """

    def __init__(self, board: LocalBoard | None = None, row: int = 0) -> None:
        self._board = board or LocalBoard(COLUMNS)
        self._row = self._board.row(row)
        self._gauges = Gauges()
        self._timer: asyncio.TimerHandle | None = None
        self._saving = threading.Lock()
        self._clear()

    # counting

    def new_id(self, request: Request) -> str:
        """No id: one that is only counted needs none."""
        return ""

    def answered(self, exchange: Exchange) -> None:
        """Count an answer."""
        row = self._row
        method = exchange.request.method
        row[_OFFSETS.get(method, _OTHER) + exchange.response.status] += 1
        if not exchange.has_waited:
            seconds = exchange.seconds
            row[_BUCKETS + bisect_left(BOUNDS, seconds)] += 1
            row[_NANOSECONDS] += int(seconds * 1e9)

    def kept(self) -> None:
        """Count an answer that was there already."""
        self._row[_KEPT] += 1

    def made(self) -> None:
        """Count an answer that was made from what the backend has."""
        self._row[_MADE] += 1

    def saved(self, *_: object) -> None:
        """Count a save; any thread may tell of one."""
        with self._saving:
            self._row[_SAVED] += 1

    # what is read

    def start(self, gauges: Gauges) -> None:
        """Read *gauges* now and once a second, in the running loop, until `stop`."""
        self._gauges = gauges
        self._row[_WORKERS] = 1
        self._look()

    def stop(self) -> None:
        """Read no more: this process is none of the server's now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._clear()

    def sums(self) -> Sums:
        """What all processes counted, this one until now."""
        if self._timer is not None:
            self._read()
        rows = [row.tolist() for row in self._board.rows()]
        sums = [sum(column) for column in zip(*rows, strict=True)]
        age = max(row[_AGE] for row in rows)
        return Sums(
            dict(_requests(sums)),
            tuple(sums[_BUCKETS:_NANOSECONDS]),
            sums[_NANOSECONDS] / 1e9,
            kept=sums[_KEPT],
            made=sums[_MADE],
            saves=sums[_SAVED],
            workers=sums[_WORKERS],
            connections=sums[_CONNECTIONS],
            watchers=sums[_WATCHERS],
            age=(age - 1) / 1000 if age else None,
        )

    def _look(self) -> None:
        # First of all: an error in what is read must not end this.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_INTERVAL, self._look)
        self._read()

    def _read(self) -> None:
        self._row[_CONNECTIONS] = self._gauges.connections()
        self._row[_WATCHERS] = self._gauges.watchers()
        age = self._age()
        self._row[_AGE] = 0 if age is None else int(age * 1000) + 1

    def _age(self) -> float | None:
        try:
            return age_of(self._gauges.report())
        except Exception:  # health says why it cannot answer
            return None

    def _clear(self) -> None:
        for column in range(_GAUGES, COLUMNS):
            self._row[column] = 0


def age_of(report: object) -> float | None:
    """The most seconds that a backend's report, or a part of it, is behind its origin.

    None where nothing in it is a copy of something remote.
    """
    if isinstance(report, Mapping):
        parts: Iterable[object] = report.values()
        own = report.get("fetched-seconds-ago")
    elif isinstance(report, list):
        parts, own = report, None
    else:
        return None
    ages = [own, *map(age_of, parts)]
    return max((age for age in ages if isinstance(age, int | float)), default=None)


def _requests(sums: list[int]) -> Iterable[tuple[tuple[str, int], int]]:
    for number, count in enumerate(sums[:_BUCKETS]):
        if count:
            method, status = divmod(number, _STATUSES)
            yield (METHODS[method], status + _FIRST_STATUS), count
