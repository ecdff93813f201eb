"""What waiting for a change costs: 10,000 connections that watch 50 answers."""

from __future__ import annotations

import json
import selectors
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring import EFFORT, fixture, pyconfserve
from processes import allow_descriptors, processor_time, resident
from rows import Row, compared

MANY, FEW, ANSWERS = 10_000, 100, 50
QUIET = 10  # seconds in which nothing changes
GOAL_KB, GOAL_SECONDS = 20, 1


class Watchers:
    """*count* connections that wait for one of ANSWERS to change."""

    def __init__(self, url: str, count: int) -> None:
        self.url = url
        self._host = url.removeprefix("http://")
        self._selector = selectors.DefaultSelector()
        etags = [self._etag(number) for number in range(ANSWERS)]
        name, port = self._host.split(":")
        for number in range(count):
            client = socket.create_connection((name, int(port)))
            about = number % ANSWERS, number
            self._ask(client, about, etags[about[0]])
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ, about)
            if number % 100 == 0:  # more at once than the backlog holds would be lost
                self._etag(0)
        self._settle()

    def _etag(self, number: int) -> str:
        with urllib.request.urlopen(f"{self.url}/app{number}/prod") as answer:
            return str(answer.headers["ETag"])

    def _settle(self) -> None:
        """Give the server the time to read what was sent."""
        for _ in range(3):
            self._etag(0)
            time.sleep(0.3)

    def _ask(self, client: socket.socket, about: tuple[int, int], etag: str) -> None:
        lines = [
            f"GET /app{about[0]}/prod?wait=60 HTTP/1.1",
            f"Host: {self._host}",
            f"If-None-Match: {etag}",
            f"User-Agent: instance-{about[1]}",  # heads differ as those of strangers do
            "Accept: application/json",
        ]
        client.sendall("\r\n".join([*lines, "", ""]).encode())

    def change(self, value: int) -> float:
        """Seconds until the last has a change of what all answers share; all ask again."""
        left = len(self._selector.get_map())
        answered = []
        began = time.perf_counter()
        save(self.url, value)
        while left:
            for key, _ in self._selector.select(10):
                data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                answered.append((key, data))
                left -= 1
        took = time.perf_counter() - began
        for key, data in answered:
            assert data.startswith(b"HTTP/1.1 200"), data[:200]
            assert f'"shared":{value}'.encode() in data, data
            etag = data.partition(b"ETag: ")[2].partition(b"\r\n")[0].decode()
            self._ask(key.fileobj, key.data, etag)  # type: ignore[arg-type]
        self._settle()
        return took

    def close(self) -> None:
        for key in [*self._selector.get_map().values()]:
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


@contextmanager
def watching(url: str, count: int) -> Iterator[Watchers]:
    watchers = Watchers(url, count)
    try:
        yield watchers
    finally:
        watchers.close()


def save(url: str, value: int) -> None:
    """Save what all answers share."""
    body = json.dumps({"shared": value}).encode()
    about = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/application/default", body, about)
    urllib.request.urlopen(request).read()


def quiet_time(pid: int) -> float:
    """Seconds of the processor while nothing changes."""
    before = processor_time(pid)
    time.sleep(QUIET)
    return processor_time(pid) - before


def watchers(work: Path) -> Iterator[Row]:
    """Memory, delay and work of 10,000 who wait, against the goals and against 100 who wait."""
    allow_descriptors(MANY + 200)
    folder = fixture(work / "cfg")
    for number in range(ANSWERS):
        keys = "".join(f"key-{i}: value {i}\n" for i in range(50))
        (folder / f"app{number}-prod.yml").write_text(keys)
    with pyconfserve(folder) as (url, pid, _):
        save(url, 0)
        with watching(url, FEW) as few:
            few.change(1)
            before = resident(pid)
            idle = quiet_time(pid)
        with watching(url, MANY) as many:
            size = (resident(pid) - before) / MANY / 1024
            busy = quiet_time(pid)
            delays = [many.change(number) for number in range(2, 2 + EFFORT.rounds)]
    what = f"{MANY:,} watchers of {ANSWERS} answers"
    delays = [(delay * 1e3, GOAL_SECONDS * 1e3) for delay in delays]
    yield compared(f"{what}, KB each", "the goal", [(size, GOAL_KB)], "≤ 1")
    yield compared(f"{what}, ms until the last has a change", "the goal", delays, "≤ 1")
    what = f"{what}, ms of processor in {QUIET} s"
    yield compared(what, f"{FEW} watchers", [(busy * 1e3, idle * 1e3)], "≤ 1.5")
