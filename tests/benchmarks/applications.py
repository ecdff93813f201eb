"""Ten thousand applications of one server: asked for in turn, and kept in memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from loading import load
from measuring import HERE, Wrong, fetched, interleaved, pyconfserve, tool, write_keys
from processes import resident
from rows import Row, compared

MANY = 10_000
OWN, SHARED = 10, 62  # keys of a file; an answer has 6 KB
IN_TURN = f"{MANY:,} applications in turn, {{}}, answers a second"
SMALL = 1 << 20  # bytes: not two hundred of them
SMALL_CACHE = f"from pyconfserve.answers import Answers; Answers.__init__.__defaults__ = ({SMALL},)"


def applications(work: Path) -> Iterator[Row]:
    """All asked in turn, with all of them cached and with a cache too small for them; and what they take."""
    tool("wrk")
    folder = many(work / "cfg")
    paths, one = listed(work / "all", range(MANY)), listed(work / "one", [0])
    with pyconfserve(folder, first="/app-0/prod") as (url, pid, _):
        idle = resident(pid)
        size = read_all(url)
        memory = resident(pid)
        turns = InTurn(url, paths)
        pairs = interleaved(turns, partial(load, url, paths=one))
    note = "" if turns.kept > 0.999 else f"; only {turns.kept:.0%} came from the cache"
    yield compared(IN_TURN.format("all cached"), f"one application{note}", pairs, "≥ 0.7")
    with pyconfserve(folder, first="/app-0/prod", before=SMALL_CACHE) as (url, _, _):
        turns = InTurn(url, paths)
        pairs = interleaved(turns, partial(load, url, paths=one))
    if turns.kept > 0.05:
        raise Wrong(f"{turns.kept:.0%} came from a cache that was to be too small")
    yield compared(IN_TURN.format("a cache too small for them"), "one application", pairs, "≥ 0.1")
    what = f"memory with {MANY:,} answers of 6 KB asked for, MB"
    both = [(memory / 1e6, (size + idle) / 1e6)]
    yield compared(what, "the bytes themselves and the memory when idle", both, "≤ 1.5")


class InTurn:
    """Answers a second for *paths* in turn; `kept` is the part of the last ones that came from the cache."""

    def __init__(self, url: str, paths: Path) -> None:
        self._url, self._paths = url, paths
        self.kept = 0.0

    def __call__(self) -> float:
        kept, made = from_cache(self._url)
        rate = load(self._url, paths=self._paths)
        kept_now, made_now = from_cache(self._url)
        self.kept = (kept_now - kept) / max(1, kept_now - kept + made_now - made)
        return rate


def many(folder: Path) -> Path:
    """Applications that have most in common: two files for all, and one of ten keys for each."""
    folder.mkdir()
    for name in ("application", "application-prod"):
        write_keys(folder / f"{name}.yml", SHARED, f"of {name}")
    for number in range(MANY):
        write_keys(folder / f"app-{number}.yml", OWN, f"of app-{number}")
    return folder


def listed(file: Path, numbers: range | list[int]) -> Path:
    """A file of paths."""
    file.write_text("".join(f"/app-{number}/prod\n" for number in numbers))
    return file


def read_all(url: str) -> int:
    """Ask for each once; the bytes of all bodies."""
    lines = "\n".join(f'/app-{number}/prod of app-{number}"' for number in range(MANY))
    command = [sys.executable, str(HERE / "readers.py"), url, "16"]
    done = subprocess.run(command, input=lines, text=True, stdout=subprocess.PIPE, check=True)
    count = len(json.loads(done.stdout)["latencies"])
    sample = [len(fetched(f"{url}/app-{number}/prod")[0]) for number in range(0, MANY, 100)]
    return count * sum(sample) // len(sample)


def from_cache(url: str) -> tuple[float, float]:
    """The answers so far that were kept, and those that were made."""
    text = fetched(f"{url}/metrics")[0].decode()
    kept, made = (
        float(re.findall(rf'^pyconfserve_answers_total{{from="{each}"}} (\S+)$', text, re.MULTILINE)[0])
        for each in ("cache", "backend")
    )
    return kept, made
