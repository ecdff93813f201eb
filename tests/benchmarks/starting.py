"""What it costs to start, and to be idle, against an interpreter that imports what any server needs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from measuring import ENVIRONMENT, fixture, interleaved, pyconfserve
from processes import resident
from rows import Row, compared, scaled

PEER = "a bare interpreter with asyncio, json and yaml"
CODE = "import asyncio, json, yaml, sys; print('ready', flush=True); sys.stdin.read()"


def start(work: Path) -> Iterator[Row]:
    """The start to the first answer, and the memory after it."""
    folder = fixture(work / "cfg")
    memory: dict[str, list[float]] = {"ours": [], "peer": []}

    def ours() -> float:
        with pyconfserve(folder) as (_, pid, took):
            memory["ours"].append(resident(pid))
            return took

    def peer() -> float:
        took, size = bare_interpreter()
        memory["peer"].append(size)
        return took

    seconds = interleaved(ours, peer, more=5)
    sizes = [*zip(memory["ours"], memory["peer"], strict=True)]
    yield compared("start to first answer, asyncio, ms", PEER, scaled(seconds, 1e3), "≤ 1.3")
    yield compared("memory when idle, asyncio, MB", PEER, scaled(sizes, 1e-6), "≤ 1.3")


def bare_interpreter() -> tuple[float, float]:
    """Seconds and bytes of an interpreter that says when it has imported them."""
    began = time.perf_counter()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", CODE], env=ENVIRONMENT, **pipes)
    assert process.stdout is not None
    process.stdout.readline()
    took = time.perf_counter() - began
    memory = resident(process.pid)
    process.communicate()
    return took, memory
