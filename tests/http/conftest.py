"""A listener in a thread of its own, and its answers as a client reads them."""

import asyncio
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

PATIENCE = 10  # seconds after which a test that waits has failed


@dataclass(frozen=True)
class Reply:
    """One answer as a client reads it; `headers` are without Date, which changes."""

    status: int
    headers: dict
    body: bytes
    date: str | None = None


def split_replies(data, *, with_bodies=True):
    """The answers in a stream of bytes, which ends where an answer ends."""
    replies = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        assert end, f"an answer is cut off: {data[:80]!r}"
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("Content-Length", 0)) if with_bodies else 0
        assert len(rest) >= length, "a body is cut off"
        date = headers.pop("Date", None)
        replies.append(Reply(int(first.split()[1]), headers, rest[:length], date))
        data = rest[length:]
    return replies


class Served:
    """A listener that runs until `stop`, and ways to talk to it and to its loop."""

    def __init__(self, routes, deadlines=None):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.listener = self.run(_make_listener(routes, deadlines))
        self.address = self.run(self.listener.start("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.address[1]}"

    def run(self, coroutine):
        """The result of *coroutine*, run on the listener's loop."""
        return self.begin(coroutine).result(PATIENCE)

    def begin(self, coroutine):
        """A future of *coroutine*, which runs on the listener's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def call(self, function, *arguments):
        """Call *function* on the listener's loop and wait for what it gives."""

        async def called():
            return function(*arguments)

        return self.run(called())

    def wait_until(self, holds):
        """Wait until *holds()* is true, a turn of the loop at a time."""
        give_up = time.monotonic() + PATIENCE
        while not self.call(holds):
            assert time.monotonic() < give_up, "waited in vain"

    def connect(self):
        """A connected socket whose waits end in an error."""
        client = socket.create_connection(self.address, timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def exchange(self, *pieces, half_closes=True, with_bodies=True):
        """The answers to *pieces*, sent on one connection and read until it closes."""
        with self.connect() as client:
            try:
                for piece in pieces:
                    client.sendall(piece)
                if half_closes:
                    client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused and closed before all was sent
            return split_replies(read_all(client), with_bodies=with_bodies)

    def stop(self):
        """Close the listener, its connections and its loop, also after a failed test."""
        for connection in self.call(list, self.listener.connections):
            self.call(connection.abort)
        self.run(self.listener.close())
        self.run(_cancel_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()


async def _make_listener(routes, deadlines):
    return Listener(routes, deadlines=deadlines)


async def _cancel_tasks():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # for the transports that close in the loop's next turn


def read_all(client):
    """All that comes until the other side closes."""
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def _serving():
    with ExitStack() as cleanup:

        def serve(server=None, *, deadlines=None, access=None):
            served = Served(
                Routes(server or ConfigServer(InMemoryConfigBackend()), access=access),
                deadlines,
            )
            cleanup.callback(served.stop)
            return served

        yield serve


@pytest.fixture
def serve():
    """`serve(server, deadlines=…, access=…)` starts a listener for one test."""
    with _serving() as start:
        yield start


@pytest.fixture(scope="module")
def serve_for_module():
    """`serve`, for a listener that all tests of a module share."""
    with _serving() as start:
        yield start


@pytest.fixture(scope="session")
def replies():
    """`replies(data)` splits what was read into answers."""
    return split_replies


@pytest.fixture(scope="session")
def everything():
    """`everything(client)` reads a socket until the other side closes."""
    return read_all
