"""How long answers take at half of the greatest load, asked for at a fixed rate."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from loading import load
from measuring import EFFORT, HERE, fetched, fixture, interleaved, pyconfserve
from nginx import nginx
from rows import Row, compared, figure, scaled

PATH = "/orders/prod"
FASTEST = 20_000  # answers a second that the client itself can ask for without being late


def latency(loop: str) -> Callable[[Path], Iterator[Row]]:
    """The 99th percentile, against nginx's at the same rate."""

    def run(work: Path) -> Iterator[Row]:
        late: list[float] = []
        with pyconfserve(fixture(work / "cfg"), loop=loop) as (url, _, _):
            body, _ = fetched(f"{url}{PATH}")
            with nginx(work, {PATH: body}) as peer:
                rate = min(load(f"{url}{PATH}") / 2, FASTEST) // 100 * 100
                pairs = interleaved(partial(p99, url, rate, late), partial(p99, peer, rate, late), more=2)
        what = f"99th percentile at half the greatest load, {loop}, ms"
        own = figure(statistics.median(late) * 1e3)
        against = f"nginx, both at {rate:,.0f} a second; the client itself late by {own}"
        yield compared(what, against, scaled(pairs, 1e3), "≤ 2")

    return run


def p99(url: str, rate: float, late: list[float]) -> float:
    """The seconds in which 99 of 100 answers come; *late* gets those in which 99 of 100 requests were sent."""
    address = urlsplit(url)
    about = address.hostname, address.port, PATH, rate, EFFORT.seconds
    command = [sys.executable, HERE / "fixed_rate.py", *about]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    late.append(statistics.quantiles(found["late"], n=100)[98])
    return statistics.quantiles(found["latencies"], n=100)[98]
