"""What the git backend costs: 200 labels of 50 applications, and what a refresh does to them."""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loading import loads
from measuring import EFFORT, fixture, need, pyconfserve, tool
from rows import Row, compared, scaled

LABELS, APPLICATIONS, KEYS, CLIENTS = 200, 50, 20, 64
PUSHES = 0.5  # seconds from one to the next, and from one refresh to the next
ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(folder: Path, *arguments: str, data: str = "") -> None:
    subprocess.run(
        [tool("git"), "--git-dir", folder, *arguments],
        input=data.encode(),
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )


def repository(folder: Path, commits: str) -> Path:
    """A bare repository that `git fast-import` makes of *commits*."""
    need("git", install="'pyconfserve[git]'")
    git(folder, "init", "--bare", "--quiet", "--initial-branch=main")
    git(folder, "fast-import", "--quiet", data=commits)
    return folder


def commit(label: str, files: dict[str, str], *, follows: bool = False) -> str:
    """A commit of *files* as fast-import takes it, all of them text in ASCII."""
    parent = f"from refs/heads/{label}^0\n" if follows else ""
    changes = "".join(f"M 644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items())
    return f"commit refs/heads/{label}\ncommitter a <a@b> {int(time.time())} +0000\ndata 1\nx\n{parent}{changes}\n"


def document(about: str) -> str:
    """A document of KEYS keys that all tell what it is about."""
    keys = "".join(f"  key-{i}: value {i} {about}\n" for i in range(KEYS - 3))
    return f"server:\n  port: 8080\n  is-open: true\n  name: {about}\nkeys:\n{keys}"


def many_labels(folder: Path) -> Path:
    """A repository of LABELS branches with APPLICATIONS files each; no two files are the same."""
    return repository(
        folder,
        "".join(
            commit(
                f"label-{label}",
                {
                    **{f"app-{n}.yml": document(f"of app-{n} in {label}") for n in range(APPLICATIONS)},
                    "application.yml": document(f"of all in {label}"),
                },
            )
            for label in range(LABELS)
        ),
    )


@contextmanager
def serving(work: Path, origin: Path, first: str, **options: object) -> Iterator[str]:
    """Our server over a clone of *origin*, which a later one uses again."""
    settings = work / f"{origin.name}.json"
    backend = {
        "type": "pyconfserve.adapters.git:GitConfigBackend",
        "options": {"uri": origin.as_uri(), "clone_dir": f"{work}/clone-of-{origin.name}", **options},
    }
    settings.write_text(json.dumps({"pyfly": {"config-server": {"backend": backend}}}))
    with pyconfserve("--settings", settings, first=first) as (url, _, _):
        yield url


def git_answers(work: Path) -> Iterator[Row]:
    """A cached answer from a repository, against the same from a folder."""
    folder = fixture(work / "cfg")
    files = {path.name: path.read_text() for path in folder.iterdir()}
    origin = repository(work / "origin", commit("main", files))
    with (
        serving(work, origin, "/orders/prod") as ours,
        pyconfserve(folder) as (peer, _, _),
    ):
        pairs = loads(f"{ours}/orders/prod", f"{peer}/orders/prod")
    yield compared("git: cached GET, answers a second", "a folder", pairs, "≥ 0.9")


def git_refresh(work: Path) -> Iterator[Row]:
    """A fetch that brings nothing new to 200 labels: against git's own, and what it costs answers."""
    yield from asyncio.run(_refreshes(many_labels(work / "origin"), work / "clone"))


async def _refreshes(origin: Path, clone: Path) -> list[Row]:
    from pyconfserve import ConfigServer
    from pyconfserve.adapters.git import GitConfigBackend
    from pyconfserve.answers import Answers
    from pyconfserve.environment.rendering import JSON

    backend = GitConfigBackend(origin.as_uri(), clone_dir=str(clone), refresh_rate=0)
    server = ConfigServer(backend)
    answers = Answers(server)
    lookups = [server.lookup("app-1", "default", f"label-{label}") for label in range(LABELS)]

    async def read() -> float:
        began = time.perf_counter()
        for lookup in lookups:
            await answers.get(lookup, JSON)
        return (time.perf_counter() - began) / LABELS

    cold = await read()
    fetches, reads = [], []
    for _ in range(EFFORT.rounds):
        before = await read()
        began = time.perf_counter()
        await backend.refresh()
        took = time.perf_counter() - began
        reads.append((await read(), before))
        began = time.perf_counter()
        await asyncio.to_thread(git, clone, "fetch", "--quiet", "--atomic", "--prune", "--no-tags", "origin")
        fetches.append((took, time.perf_counter() - began))
    await backend.close()
    what, against = "git: GET after a refresh without news, µs", f"before it; {cold * 1e6:,.0f} when cold"
    return [
        compared(what, against, scaled(reads, 1e6), "≤ 1.2"),
        compared("git: a refresh without news, ms", "git fetch alone", scaled(fetches, 1e3), "≤ 2"),
    ]


def git_load(work: Path) -> Iterator[Row]:
    """Each of the 10,000 bundles read once by 64 clients, without and with a push each half second."""
    origin = many_labels(work / "origin")
    quiet, pushed = [], []
    for _ in range(EFFORT.rounds):
        with serving(work, origin, "/app-0/default/label-0", refresh_rate=0) as url:
            quiet.append(_read_all(url))
        with serving(work, origin, "/app-0/default/label-0", refresh_rate=PUSHES) as url:
            with _pushing(origin) as pushes:
                pushed.append(_read_all(url))
                seen = pushes[0]
            _check_pushed(url, seen)
    rates = [(rate, 1000.0) for rate, _, _ in quiet]
    yield compared("git: different bundles read cold, a second", "the goal", rates, "≥ 1")
    waits = [(p99, median) for _, median, p99 in quiet]
    yield compared("git: 99th percentile of those, ms", "their median", scaled(waits, 1e3), "≤ 3")
    pairs = [(busy[2], calm[2]) for busy, calm in zip(pushed, quiet, strict=True)]
    what = f"git: 99th percentile under pushes and refreshes each {PUSHES} s, ms"
    yield compared(what, "without", scaled(pairs, 1e3), "< 2")


def _read_all(url: str) -> tuple[float, float, float]:
    """Bundles a second, the median and the 99th percentile of the seconds that one took."""
    pairs = [(app, label) for app in range(APPLICATIONS) for label in range(LABELS)][1:]
    random.Random(5).shuffle(pairs)
    lines = [
        f'/app-{app}/default/label-{label} "server.name":"of app-{app} in {label}"' for app, label in pairs
    ]
    script = Path(__file__).with_name("readers.py")
    done = subprocess.run(
        [sys.executable, script, url, str(CLIENTS)],
        input="\n".join(lines),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    cuts = statistics.quantiles(found["latencies"], n=100)
    return len(lines) / found["seconds"], cuts[49], cuts[98]


@contextmanager
def _pushing(origin: Path) -> Iterator[list[tuple[str, str]]]:
    """Commits come to *origin* until the end, one branch after the other: (label, value)."""
    is_done = threading.Event()
    pushes: list[tuple[str, str]] = []

    def push() -> None:
        while not is_done.wait(PUSHES):
            label, value = f"label-{len(pushes) % LABELS}", f"at-{time.time_ns()}"
            files = {"pushed.yml": f"value: {value}\n"}
            git(origin, "fast-import", "--quiet", data=commit(label, files, follows=True))
            pushes.append((label, value))

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield pushes
    finally:
        is_done.set()
        thread.join()


def _check_pushed(url: str, push: tuple[str, str]) -> None:
    """Fail unless a push from the beginning of the load is served at its end."""
    label, value = push
    body = urllib.request.urlopen(f"{url}/pushed/default/{label}").read()
    if value.encode() not in body:
        raise SystemExit(f"{label} is not what was pushed: {body!r}")
