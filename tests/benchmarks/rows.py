"""The table: its rows, what they are held against, and how it is printed."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HEAD = "| work | ours | against | ratio | goal |\n| --- | --- | --- | --- | --- |"
HOLDS = {"≥": operator.ge, "≤": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `work` is the same in each run, so that runs can be compared. `goal` is what the ratio is held against, as
    text; there may be none. `ratios` are those of the rounds.
    """

    work: str
    ours: str
    peer: str
    ratio: float
    goal: str = ""
    ratios: tuple[float, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether the goal is."""
        if not self.goal:
            return True
        sign, bound = self.goal.split()
        return HOLDS[sign](self.ratio, float(bound))

    def __str__(self) -> str:
        return f"| {self.work} | {self.ours} | {self.peer} | {self.ratio:.2f} | {self.goal} |"


def compared(work: str, peer: str, pairs: Sequence[Sequence[float]], goal: str = "") -> Row:
    """The row of several rounds of (ours, the peer's): medians, and the median of the rounds' ratios."""
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratios = tuple(round(mine / its, 3) for mine, its in pairs)
    against = f"{figure(theirs)} ({peer})"
    return Row(work, figure(ours), against, round(statistics.median(ratios), 2), goal, ratios)


def figure(value: float) -> str:
    """A figure with as many digits as mean anything."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def scaled(pairs: Iterable[Sequence[float]], factor: float) -> list[tuple[float, ...]]:
    """The pairs in another unit."""
    return [tuple(value * factor for value in pair) for pair in pairs]


def unreached(rows: Iterable[Row]) -> list[str]:
    """A line for each goal that is not reached."""
    return [f"{row.work}: {row.ratio:.2f}, and the goal is {row.goal}" for row in rows if not row.is_reached]
