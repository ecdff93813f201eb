"""Load by wrk, a Debian package: as many answers as its connections can get, one after the other."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from measuring import EFFORT, HERE, Wrong, interleaved, tool

IN_TURN = HERE / "in_turn.lua"


def load(url: str, *headers: str, connections: int = 16, threads: int = 1, paths: Path | None = None) -> float:
    """Answers a second under wrk; *paths* is a file of those to ask for in turn."""
    options = [f"-t{threads}", f"-c{connections}", f"-d{EFFORT.seconds}s"]
    for header in headers:
        options += ["-H", header]
    answers, seconds = under(url, options, paths)
    return answers / seconds


@contextmanager
def loaded(url: str) -> Iterator[None]:
    """A load that lasts as long as the block, and at most five minutes."""
    command = [tool("wrk"), "-t1", "-c8", "-d300s", url]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)


def under(url: str, options: list[str], paths: Path | None = None) -> tuple[int, float]:
    """The answers under wrk, and the seconds they took; fails on any that is an error."""
    what = ["-s", str(IN_TURN), url, "--", str(paths)] if paths else [url]
    command = [tool("wrk"), *options, "--timeout=20s", *what]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise Wrong(f"{url} did not answer everything:\n{output}")
    found = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", output)
    assert found is not None
    return int(found[1]), float(found[2]) * {"ms": 1e-3, "s": 1, "m": 60}[found[3]]


def loads(ours: str, peer: str) -> list[tuple[float, ...]]:
    """Answers a second of two URLs, in rounds."""
    return interleaved(partial(load, ours), partial(load, peer))
