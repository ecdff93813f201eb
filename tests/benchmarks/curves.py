"""Curves of cost against size, and what may be said of them: flat, linear, or more than that."""

from __future__ import annotations

import math
from dataclasses import dataclass

FLAT, LINEAR = 0.1, 1.15  # the largest exponents of what is called so, and …
LESS = 0.9  # … the largest of what is less than linear


@dataclass(frozen=True)
class Curve:
    """The cost of one thing, (size, cost) from small to large."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def exponent(self) -> float:
        """That of the power of size which costs grow by: 0 is flat, 1 is linear.

        It is fitted to the larger half of the points by least squares of logarithms: before that, costs are those
        of anything at all.
        """
        points = self.points[len(self.points) // 2 - 1 :]
        sizes, costs = ([math.log(value) for value in values] for values in zip(*points, strict=True))
        mean, middle = sum(sizes) / len(sizes), sum(costs) / len(costs)
        above = sum((size - mean) * (cost - middle) for size, cost in zip(sizes, costs, strict=True))
        return above / sum((size - mean) ** 2 for size in sizes)

    @property
    def judgement(self) -> str:
        """The exponent as a word."""
        if self.exponent <= FLAT:
            return "flat"
        if self.exponent <= LESS:
            return "less than linear"
        return "linear" if self.exponent <= LINEAR else "more than linear"


@dataclass(frozen=True)
class Panel:
    """Curves that share their sizes: *title* names what grows, *unit* what it costs."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
