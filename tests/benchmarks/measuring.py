"""What every benchmark needs: our server as a process, what it serves, and rounds in which measures take turns."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE_ROOT = HERE.parents[1]

# Python keeps compiled modules, as pip makes them for an installed package.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
LAYERS = ("orders-prod", "orders", "application-prod", "application")


class Missing(Exception):
    """A peer or a tool that is not installed."""


class Wrong(Exception):
    """What was to be measured is not what was found."""


@dataclass
class Effort:
    """How often and how long it is measured."""

    rounds: int = 3
    seconds: int = 2  # of one load


EFFORT = Effort()


def interleaved(
    *measures: Callable[[], float], more: int = 1
) -> list[tuple[float, ...]]:
    """What each of *measures* gives in each round, and in *more* times as many of a short one.

    Machines are noisy: they take turns, and who was last is first in the next round.
    """
    rounds = []
    for number in range(EFFORT.rounds * more):
        order = range(len(measures))
        found = {i: measures[i]() for i in (reversed(order) if number % 2 else order)}
        rounds.append(tuple(found[i] for i in order))
    return rounds


def tool(name: str) -> str:
    """The path of a program; raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Missing(f"{name} is not installed (apt-get install {name})")
    return found


def need(*modules: str, install: str) -> None:
    """Raise Missing, which names what to *install*, unless all *modules* are there."""
    if any(find_spec(module) is None for module in modules):
        raise Missing(f"{' or '.join(modules)} is not installed (pip install {install})")


# what is served


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
        write_keys(folder / f"{layer}.yml", 50, f"of {layer} {now}")


def write_keys(file: Path, count: int, about: str) -> None:
    """A YAML file of *count* keys that all tell what they are *about*."""
    keys = [f"  key-{i}: value {i} {about}\n" for i in range(count - 1)]
    file.write_text("".join(["server:\n  port: 8080\nkeys:\n", *keys]))


# our server


def environment(loop: str) -> dict[str, str]:
    """The environment in which our server runs on *loop*, asyncio or uvloop; raises Missing."""
    if loop == "uvloop":
        need("uvloop", install="'pyconfserve[uvloop]'")
        return ENVIRONMENT
    paths = [str(HERE / "without_uvloop"), ENVIRONMENT.get("PYTHONPATH", "")]
    return ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def pyconfserve(
    *arguments: object,
    first: str = "/orders/prod",
    authorization: str = "",
    loop: str = "asyncio",
    before: str = "",
) -> Iterator[tuple[str, int, float]]:
    """Our server: its URL, its process id, and the seconds from start to the answer to *first*.

    *before* is code that runs before it does.
    """
    main = "import sys; from pyconfserve.commands import main; sys.exit(main(sys.argv[1:]))"
    run = ["-c", f"{before}; {main}"] if before else ["-m", "pyconfserve"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *run, *map(str, arguments), "--port", "0"],
        cwd=PACKAGE_ROOT,
        env=environment(loop),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split(" on ")[1].strip()
        headers = {"Authorization": authorization} if authorization else {}
        fetched(f"{url}{first}", headers)
        yield url, process.pid, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def fetched(url: str, headers: dict[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """The body and the headers that *url* answers 200 with; any certificate is taken."""
    context = ssl._create_unverified_context() if url.startswith("https") else None
    request = urllib.request.Request(url, headers=headers or {})
    with urllib.request.urlopen(request, context=context) as answer:
        return answer.read(), dict(answer.headers)
