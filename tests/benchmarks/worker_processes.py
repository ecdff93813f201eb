"""What a second worker adds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from loading import load
from measuring import fixture, interleaved, pyconfserve
from processes import on_cores
from rows import Row, compared

PATH = "/orders/prod"
CLIENTS = 64  # so that chance gives each worker as many


def workers(work: Path) -> Iterator[Row]:
    """Two workers against one, where both have the same load, and where each worker has a core for it and its load."""
    folder = fixture(work / "cfg")
    with pyconfserve(folder, "--workers", 2) as (two, _, _), pyconfserve(folder) as (one, _, _):
        pairs = interleaved(*(partial(load, f"{url}{PATH}", connections=CLIENTS) for url in (two, one)))
    what = "--workers 2, {}, answers a second"
    peer = "one worker on one core, the load on the other"
    yield compared(what.format("two cores for them and the load"), peer, pairs)
    with ExitStack() as stack:
        two, _, _ = stack.enter_context(pyconfserve(folder, "--workers", 2))
        with on_cores(1):
            one, _, _ = stack.enter_context(pyconfserve(folder))
        pairs = interleaved(partial(on, 2, two), partial(on, 1, one))
    peer = "one worker and its load on one core"
    yield compared(what.format("a core for each and its load"), peer, pairs, "≥ 1.6")


def on(cores: int, url: str) -> float:
    """Answers a second under a load of as many cores."""
    with on_cores(cores):
        return load(f"{url}{PATH}", connections=CLIENTS, threads=cores)
