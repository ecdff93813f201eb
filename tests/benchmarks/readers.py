"""Clients that read paths, one each at a time over connections that stay open: python readers.py URL CLIENTS < PATHS.

A process of its own, so that it takes nothing from the server's. A line on standard input is a path and,
after a blank, what the answer has to hold. On standard output stands {"seconds", "latencies"} as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit


class Client(asyncio.Protocol):
    """One connection; it asks for the next of *paths* when it has an answer."""

    def __init__(self, host: str, paths: Iterator[str], latencies: list[float]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._host = host
        self._paths = paths
        self._latencies = latencies
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        line = next(self._paths, None)
        if line is None:
            self._transport.close()
            self.done.set_result(None)
            return
        path, _, self._expected = line.partition(" ")
        self._asked = time.perf_counter()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        if not blank:
            return
        length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._latencies.append(time.perf_counter() - self._asked)
        if not head.startswith(b"HTTP/1.1 200 ") or self._expected.encode() not in body:
            self.done.set_exception(SystemExit(f"not {self._expected}: {self._got!r}"))
            return
        self._got = b""
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(SystemExit(f"the connection was lost: {error}"))


async def read(url: str, clients: int, lines: list[str]) -> dict[str, object]:
    address = urlsplit(url)
    paths = iter(lines)
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    opened = [
        await loop.create_connection(lambda: Client(address.netloc, paths, latencies), address.hostname, address.port)
        for _ in range(clients)
    ]
    await asyncio.gather(*(client.done for _, client in opened))
    return {"seconds": time.perf_counter() - began, "latencies": latencies}


if __name__ == "__main__":
    json.dump(asyncio.run(read(sys.argv[1], int(sys.argv[2]), sys.stdin.read().splitlines())), sys.stdout)
