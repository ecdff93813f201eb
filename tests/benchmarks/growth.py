"""How costs grow with the number of bundles, keys, profiles and clients, as rows and as one picture.

Costs are times of the processor, not of the clock: they are those of our process alone.
"""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from chart import drawn
from curves import FLAT, LINEAR, Curve, Panel
from fixed_rate import connections
from loading import loaded
from measuring import (
    EFFORT,
    HERE,
    LAYERS,
    fetched,
    fixture,
    pyconfserve,
    tool,
    write_keys,
    write_layers,
)
from processes import allow_descriptors, processor_time
from rows import Row, figure

PICTURE = HERE / "growth.svg"
BUNDLES = (1, 10, 100, 1_000, 10_000, 100_000)
KEYS = (10, 100, 1_000, 10_000, 50_000)
PROFILES = (1, 2, 4, 8, 16, 32)
CLIENTS = (1, 10, 100, 1_000, 10_000)
LEAST = 0.1  # seconds a round that a cost is measured for
ASKING, ANSWERS = 64, 5_000  # clients at a time, and answers in a round at least
PATH = "/orders/prod"


def growth(work: Path) -> Iterator[Row]:
    """Each curve as a row, whose ratio is the exponent; the picture is written at the end."""
    tool("wrk")
    panels = []
    for measure in (bundles, keys, profiles, clients):
        panel, goals = measure(work)
        panels.append(panel)
        for curve, goal in zip(panel.curves, goals, strict=True):
            yield row(panel, curve, goal)
    PICTURE.write_text(drawn(panels), "utf-8")
    print(f"drawn: {PICTURE}", file=sys.stderr)


def row(panel: Panel, curve: Curve, goal: float) -> Row:
    """What a curve says: from the least to the greatest size, and by which power."""
    (small, least), (large, most) = curve.points[0], curve.points[-1]
    what = f"{curve.name}, {small:,.0f} to {large:,.0f} {panel.title}, {panel.unit}"
    return Row(what, f"{figure(least)} to {figure(most)}", "exponent", round(curve.exponent, 2), f"≤ {goal}")


def bundles(work: Path) -> tuple[Panel, tuple[float, ...]]:
    """Bundles beside the one that is asked for: nothing of it depends on them."""
    folder = fixture(work / "bundles")
    cold, saved, cached = [], [], []
    have = 1
    for count in BUNDLES:
        for number in range(have, count):
            (folder / f"other-{number}.yml").write_text("a: 1\n")
        have = count
        cold.append((count, cold_cost(folder, partial(write_layers, folder))))
        saved.append((count, cold_cost(folder, partial(replace_layers, folder))))
        cached.append((count, cached_cost(folder)))
    names = ("files read anew", "the same after a rename", "cached")
    curves = tuple(Curve(name, tuple(each)) for name, each in zip(names, (cold, saved, cached), strict=True))
    return Panel("bundles", "µs of a GET", curves), (FLAT, FLAT, FLAT)


def keys(work: Path) -> tuple[Panel, tuple[float, ...]]:
    """Keys of the one file that is asked for."""
    folder = work / "keys"
    folder.mkdir()
    cold, cached = [], []
    for count in KEYS:
        write = partial(write_new_keys, folder / "orders.yml", count)
        write()
        cold.append((count, cold_cost(folder, write)))
        cached.append((count, cached_cost(folder)))
    curves = Curve("files read anew", tuple(cold)), Curve("cached", tuple(cached))
    return Panel("keys", "µs of a GET", curves), (LINEAR, LINEAR)


def profiles(work: Path) -> tuple[Panel, tuple[float, ...]]:
    """Profiles of one request, each of which has a file of ten keys."""
    folder = work / "profiles"
    folder.mkdir()
    cold, cached = [], []
    for count in PROFILES:
        names = [f"p{number}" for number in range(count)]

        def write(names: list[str] = names) -> None:
            for name in names:
                write_new_keys(folder / f"orders-{name}.yml", 10)

        write()
        cold.append((count, cold_cost(folder, write, ",".join(names))))
        cached.append((count, cached_cost(folder, f"/orders/{','.join(names)}")))
    curves = Curve("files read anew", tuple(cold)), Curve("cached", tuple(cached))
    return Panel("profiles", "µs of a GET", curves), (LINEAR, LINEAR)


def clients(work: Path) -> tuple[Panel, tuple[float, ...]]:
    """Clients that are connected, and ask each in its turn."""
    allow_descriptors(CLIENTS[-1] + 200)
    folder = fixture(work / "clients")
    cached = [(count, connected_cost(folder, count)) for count in CLIENTS]
    return Panel("clients", "µs of a GET", (Curve("cached", tuple(cached)),)), (FLAT,)


def write_new_keys(file: Path, count: int) -> None:
    """*count* keys with values that were never there before."""
    write_keys(file, count, f"at {time.time_ns()}")


def replace_layers(folder: Path) -> None:
    """The layers as an editor or a save writes them: the folder itself is changed."""
    for layer in LAYERS:
        write_new_keys(folder / "temporary", 50)
        (folder / "temporary").rename(folder / f"{layer}.yml")


def cold_cost(folder: Path, write: Callable[[], None], profile: str = "prod") -> float:
    """µs of the processor for a fetch of files that *write* has just written."""
    from pyconfserve import ConfigServer, FilesystemConfigBackend

    server = ConfigServer(FilesystemConfigBackend(folder))

    async def measure() -> float:
        await server.fetch("orders", profile)
        took, times = 0.0, 0
        while took < LEAST * EFFORT.rounds or times < EFFORT.rounds:
            write()
            began = time.process_time()
            await server.fetch("orders", profile)
            took += time.process_time() - began
            times += 1
        return took / times * 1e6

    return asyncio.run(measure())


def cached_cost(folder: Path, path: str = PATH) -> float:
    """µs of the processor for an answer of our server that is there already, under wrk."""
    with pyconfserve(folder, first=path) as (url, pid, _), loaded(f"{url}{path}"):
        time.sleep(LEAST)
        before, spent = answered(url), processor_time(pid)
        time.sleep(EFFORT.seconds / 2)
        count, took = answered(url) - before, processor_time(pid) - spent
        return took / count * 1e6


def answered(url: str) -> float:
    """The answers so far, by the server's own count."""
    text = fetched(f"{url}/metrics")[0].decode()
    return sum(float(number) for number in re.findall(r"^pyconfserve_requests_total{.*} (\S+)$", text, re.MULTILINE))


def connected_cost(folder: Path, count: int) -> float:
    """The same with so many clients connected, who ask in turn, ASKING of them at a time."""
    with pyconfserve(folder) as (url, pid, _):
        host, port = url.removeprefix("http://").split(":")
        request = f"GET {PATH} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        opened, length = connections(host, int(port), request, count)
        spent, answers = processor_time(pid), 0
        while answers < ANSWERS * EFFORT.rounds:
            for start in range(0, count, ASKING):
                some = opened[start : start + ASKING]
                for client in some:
                    client.sendall(request)
                for client in some:
                    client.recv(length, socket.MSG_WAITALL)
            answers += count
        took = processor_time(pid) - spent
        for client in opened:
            client.close()
        return took / answers * 1e6
