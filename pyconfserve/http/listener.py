"""Sockets: one that listens, a cap on its connections, deadlines, an orderly end.

One timer serves all deadlines.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from .connection import Connection, Deadlines
from .dates import http_date
from .http11 import HeadMemo
from .routes import Routes

__all__ = ["Listener", "new_event_loop"]

_logger = logging.getLogger("pyconfserve.listener")
_RESERVED_DESCRIPTORS = 64  # for files, the loop and the standard streams
_MOST_CONNECTIONS = 20_000  # as many as watchers are allowed: some 10 KB each
_BACKLOG = 1024  # connections that wait to be accepted
_LAST_PASSES = 4  # of the loop: accept, make the connection, watch it, read


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Listener:
    """Serves *routes* on one socket until `close`."""

    def __init__(self, routes: Routes, *, deadlines: Deadlines | None = None) -> None:
        self.routes = routes
        self.deadlines = deadlines or Deadlines()
        self.memo = HeadMemo()
        self.connections: set[Connection] = set()
        self.timed: set[Connection] = set()
        self.is_draining = False
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle
        self._empty = asyncio.Event()
        self._most = _MOST_CONNECTIONS
        self._date = (0, "")

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Accept connections on *host* and *port*; gives the address in use.

        Port 0 is any free one. Raises OSError when it cannot listen.
        """
        loop = asyncio.get_running_loop()
        self._most = _connection_limit()
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, backlog=_BACKLOG, reuse_address=True
        )
        self._sweep()
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def close(self) -> None:
        """Accept no more, answer what was accepted, and close.

        It takes at most `deadlines.drain` seconds.
        """
        server, self._server = self._server, None
        if server is None:
            return
        await _last_passes()
        # asyncio loses a connection that it has accepted and not made when it closes.
        for sock in server.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
        await _last_passes()
        server.close()
        self.is_draining = True
        self.routes.drain()
        for connection in list(self.connections):
            connection.end_when_answered()
        if self.connections:
            try:
                await asyncio.wait_for(self._empty.wait(), self.deadlines.drain)
            except TimeoutError:
                _logger.warning("%d connections were cut off", len(self.connections))
        for connection in list(self.connections):
            connection.abort()
        self._sweeper.cancel()

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False when there is no place for it."""
        self.connections.add(connection)
        self.timed.add(connection)
        return len(self.connections) <= self._most

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self.timed.discard(connection)
        if self.is_draining and not self.connections:
            self._empty.set()

    def date(self) -> str:
        """The time as a Date header has it; made once a second."""
        second = int(time.time())
        if second != self._date[0]:
            self._date = (second, http_date(second))
        return self._date[1]

    def _sweep(self) -> None:
        """End the connections whose deadline is over; one timer for all of them.

        What begins from now on has at least the shortest deadline: it comes again for
        that, or for the nearest of those there are.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        shortest = min(self.deadlines._replace(drain=math.inf))
        expired, nearest = [], now + shortest
        for connection in self.timed:
            if connection.deadline <= now:
                expired.append(connection)
            elif connection.deadline < nearest:
                nearest = connection.deadline
        # First of all: an error in one connection must not end this for the others.
        pause = max(nearest - now, min(1.0, shortest / 4))
        self._sweeper = loop.call_later(pause, self._sweep)
        for connection in expired:
            connection.expire()


async def _last_passes() -> None:
    """Let the loop accept and read what has arrived, which then counts as accepted."""
    for _ in range(_LAST_PASSES):
        await asyncio.sleep(0)


def _connection_limit() -> int:
    """How many connections fit below the limit of descriptors.

    That limit is raised as far as it goes.
    """
    try:
        import resource
    except ImportError:  # not a Unix
        return _MOST_CONNECTIONS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS + _RESERVED_DESCRIPTORS
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return min(_MOST_CONNECTIONS, max(soft, limit) - _RESERVED_DESCRIPTORS)
