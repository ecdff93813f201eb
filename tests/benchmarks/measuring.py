"""What every benchmark needs: our server as a process, load on it, and rows of the table."""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PACKAGE_ROOT))

# Python keeps compiled modules, as pip makes them for an installed package.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

ROUNDS = 3
LOAD_SECONDS = 3
LAYERS = ("orders-prod", "orders", "application-prod", "application")


@dataclass(frozen=True)
class Row:
    """One line of the table; `goal` is what the ratio is held against, as text."""

    work: str
    ours: str
    peer: str
    ratio: float
    goal: str


class Missing(Exception):
    """A peer or a tool that is not installed."""


def fixture(folder: Path, applications: int = 1) -> Path:
    """A folder whose answer to /orders/prod has four overlays of 50 keys, and other applications beside."""
    folder.mkdir()
    write_layers(folder)
    for number in range(applications - 1):
        (folder / f"other-{number}.yml").write_text("a: 1\n")
    return folder


def write_layers(folder: Path) -> None:
    """The four overlays, with content that was never there before: nobody can remember it."""
    now = time.time_ns()
    for layer in LAYERS:
        keys = "".join(f"  key-{i}: value {i} of {layer} {now}\n" for i in range(49))
        (folder / f"{layer}.yml").write_text(f"server:\n  port: 8080\nkeys:\n{keys}")


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Missing(f"{name} is not installed (apt-get install {name})")
    return found


@contextmanager
def pyconfserve(
    *arguments: object, first: str = "/orders/prod", authorization: str = ""
) -> Iterator[tuple[str, int, float]]:
    """Our server: its URL, its process id, and the seconds from start to the answer to *first*."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pyconfserve", *map(str, arguments), "--port", "0"],
        cwd=PACKAGE_ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" on ")[1].strip()
        headers = {"Authorization": authorization} if authorization else {}
        urllib.request.urlopen(urllib.request.Request(f"{url}{first}", headers=headers)).read()
        yield url, process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def load(url: str, *headers: str) -> float:
    """Answers a second under wrk with one thread and 16 connections; fails on any answer but 200."""
    lines = [option for header in headers for option in ("-H", header)]
    command = [tool("wrk"), "-t1", "-c16", f"-d{LOAD_SECONDS}s", *lines, url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"{url} did not answer everything:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None
    return float(found[1])


def scaled(
    pairs: list[tuple[float, float]], factor: float
) -> list[tuple[float, float]]:
    return [(ours * factor, peer * factor) for ours, peer in pairs]


def compared(work: str, peer: str, pairs: list[tuple[float, float]], goal: str) -> Row:
    """The row of several rounds: medians, and the median of the rounds' ratios."""
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return Row(work, f"{ours:,.1f}", f"{theirs:,.1f} ({peer})", round(ratio, 2), goal)
