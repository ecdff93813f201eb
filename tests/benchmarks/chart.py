"""Panels of curves as one SVG picture, both axes by powers.

The ground is clear and the colours are of middle brightness, so that it can be read on white and on black.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curves import Curve, Panel

WIDTH, HEIGHT = 340, 180  # of a panel, within …
LEFT, RIGHT, ABOVE, BELOW = 64, 30, 36, 78  # … what stands around it
COLOURS = ("#3b82d6", "#d9772b", "#2f9e6e")
STYLE = """
text { font: 12px sans-serif; fill: #808890 }
.title { font-weight: bold }
.end { text-anchor: end }
.middle { text-anchor: middle }
path { stroke: #808890; stroke-opacity: 0.35 }
polyline { fill: none; stroke-width: 2 }
"""


def drawn(panels: Sequence[Panel], columns: int = 2) -> str:
    """The picture as text."""
    across, up = LEFT + WIDTH + RIGHT, ABOVE + HEIGHT + BELOW
    size = f"{columns * across} {math.ceil(len(panels) / columns) * up}"
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">']
    parts.append(f"<style>{STYLE}</style>")
    for number, panel in enumerate(panels):
        place = f"{LEFT + number % columns * across} {ABOVE + number // columns * up}"
        parts += [f'<g transform="translate({place})">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> Iterator[str]:
    sizes = sorted({size for curve in panel.curves for size, _ in curve.points})
    costs = [cost for curve in panel.curves for _, cost in curve.points]
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
    powers = [10.0**power for power in range(low, max(high, low + 1) + 1)]
    yield from (_text(0, -12, panel.title, "title"), _text(WIDTH, -12, panel.unit, "end"))
    for size in sizes:
        x = _place(size, sizes, WIDTH)
        yield f'<path d="M{x:.1f} 0V{HEIGHT}"/>{_text(x, HEIGHT + 16, f"{size:,.0f}", "middle")}'
    for power in powers:
        y = HEIGHT - _place(power, powers, HEIGHT)
        yield f'<path d="M0 {y:.1f}H{WIDTH}"/>{_text(-6, y + 4, f"{power:,.15g}", "end")}'
    for number, (curve, colour) in enumerate(zip(panel.curves, COLOURS, strict=False)):
        points = [
            (_place(size, sizes, WIDTH), HEIGHT - _place(cost, powers, HEIGHT)) for size, cost in curve.points
        ]
        yield from _line(points, colour)
        yield _text(0, HEIGHT + 36 + 16 * number, _words(curve), colour=colour)


def _line(points: Sequence[tuple[float, float]], colour: str) -> Iterator[str]:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{joined}" stroke="{colour}"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'


def _words(curve: Curve) -> str:
    """What stands in the legend."""
    return f"{curve.name}: {curve.judgement} (exponent {curve.exponent:.2f})"


def _text(x: float, y: float, words: str, kind: str = "", colour: str = "") -> str:
    about = f' class="{kind}"' if kind else ""
    about += f' style="fill: {colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{about}>{escape(words)}</text>'


def _place(value: float, ends: Sequence[float], length: float) -> float:
    """Where *value* stands on an axis of *length* from the first of *ends* to the last, by its logarithm."""
    return math.log(value / ends[0]) / math.log(ends[-1] / ends[0]) * length
