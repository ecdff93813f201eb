"""The figures of the last run, kept for the next one to be compared with.

They stand in $XDG_CACHE_HOME/pyconfserve/benchmarks.json (~/.cache without it), one for each row ever measured: a run
of some benchmarks leaves those of the others as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rows import Row

NOISE, LEAST = 0.1, 0.05  # the part of a ratio, and the least difference, that say something


def place(environment: Mapping[str, str] = os.environ) -> Path:
    """The file in which they are kept."""
    cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pyconfserve" / "benchmarks.json"


def kept(file: Path) -> dict[str, Any]:
    """What was kept, by the work of each row: {"ratio", "machine"}; nothing where there is no such file."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(file: Path, rows: Iterable[Row], machine: str) -> None:
    """Put *rows* in the place of what was kept for the same work."""
    news = {row.work: {"ratio": row.ratio, "machine": machine} for row in rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept(file) | news, indent=1, ensure_ascii=False)
    file.write_text(text, "utf-8")


def change(row: Row, before: Mapping[str, Any]) -> str:
    """How a row differs from the last run: "was 0.92", with a mark for what is more than noise, "new" for a new one."""
    if row.work not in before:
        return "new"
    was = before[row.work]["ratio"]
    is_noise = abs(row.ratio - was) <= max(NOISE * abs(was), LEAST)
    return f"was {was:.2f}{'' if is_noise else ' *'}"


def comparison(rows: Iterable[Row], before: Mapping[str, Any], machine: str) -> list[str]:
    """A line for each row that differs by more than noise, then the machines that others were measured on."""
    rows = list(rows)
    lines = [
        f"{row.work}: {row.ratio:.2f}, {change(row, before).rstrip(' *')}"
        for row in rows
        if change(row, before).endswith("*")
    ]
    machines = {before[row.work]["machine"] for row in rows if row.work in before}
    return lines + [f"the last run was on another machine: {other}" for other in sorted(machines - {machine})]
