"""Sockets: those that listen, a cap on connections, deadlines, an orderly end.

One timer serves all deadlines. The modules of TLS are loaded where TLS is served.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from .connection import Connection, Deadlines
from .dates import http_date
from .memo import HeadMemo
from .routes import Routes
from .sockets import MOST_CONNECTIONS, bind, connection_limit

if TYPE_CHECKING:
    import socket

    from .observing import Observer
    from .secured import Secured
    from .tls import Certificates

__all__ = ["Listener", "new_event_loop"]

_logger = logging.getLogger("pyconfserve.listener")
_BACKLOG = 1024  # connections that wait to be accepted
_ACCEPTED_AT_ONCE = 8  # by asyncio, before it is known whether there is a place
_MOST_LINGERING = 16  # of those who find no place: descriptors belong to saves
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
    """Serves *routes* until `close`, by TLS where it has *tls*."""

    def __init__(
        self,
        routes: Routes,
        *,
        deadlines: Deadlines | None = None,
        tls: Certificates | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.routes = routes
        self.deadlines = deadlines or Deadlines()
        self.observer = observer
        self.memo = HeadMemo()
        self.connections: set[Connection] = set()
        self.timed: set[Connection] = set()
        self.handshakes: set[Secured] = set()
        self.is_draining = False
        self.tls = tls  # may be another one, for those who come from then on
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle
        self._empty = asyncio.Event()
        self._most = MOST_CONNECTIONS
        self._came = 0  # connections so far
        self._date = (0, "")

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Accept connections on *host* and *port*; gives the address in use.

        Port 0 is any free one. Raises OSError when it cannot listen.
        """
        # In a thread, as to look up a name takes its time.
        return await self.start_on(await asyncio.to_thread(bind, host, port))

    async def start_on(self, sockets: Sequence[socket.socket]) -> tuple[str, int]:
        """Accept connections on *sockets*, which `bind` gave; the address of the first.

        They may be shared with other processes. They are closed here by `close`, and
        where it cannot listen: raises OSError.
        """
        loop = asyncio.get_running_loop()
        self._most = connection_limit()
        address = sockets[0].getsockname()
        try:
            for sock in sockets:
                server = await loop.create_server(
                    self._accepted, sock=sock, backlog=_ACCEPTED_AT_ONCE
                )
                self._servers.append(server)
                sock.listen(_BACKLOG)
        except OSError:
            for server in self._servers:
                server.close()
            self._servers.clear()
            for sock in sockets:
                sock.close()
            raise
        self._sweep()
        return address[0], address[1]

    async def close(self) -> None:
        """Accept no more, answer what was accepted, and close.

        It takes at most `deadlines.drain` seconds.
        """
        servers, self._servers = self._servers, []
        if not servers:
            return
        await self._accept_all()
        # asyncio loses a connection that it has accepted and not made when it closes.
        for server in servers:
            for sock in server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        await _last_passes()
        for server in servers:
            server.close()
        self.is_draining = True
        self.routes.drain()
        for handshake in list(self.handshakes):
            handshake.end_soon()
        for connection in list(self.connections):
            connection.end_when_answered()
        await self._emptied()
        self._sweeper.cancel()

    async def _accept_all(self) -> None:
        """Accept who has come: until nobody does, or as many as may have waited."""
        for _ in range(_BACKLOG // _ACCEPTED_AT_ONCE):
            before = self._came
            await _last_passes()
            if self._came == before:
                return

    async def _emptied(self) -> None:
        """Wait until all is answered, and cut off what is not by the deadline."""
        if self.connections or self.handshakes:
            try:
                await asyncio.wait_for(self._empty.wait(), self.deadlines.drain)
            except TimeoutError:
                left = len(self.connections) + len(self.handshakes)
                _logger.warning("%d connections were cut off", left)
        clients: list[Connection | Secured] = [*self.handshakes, *self.connections]
        for client in clients:
            client.abort()

    def _accepted(self) -> asyncio.Protocol:
        """What takes a new connection."""
        self._came += 1
        if self.tls is None:
            return Connection(self)
        from .secured import Secured

        return Secured(self, self.tls.context())

    def began(self, handshake: Secured) -> bool:
        """Count a handshake; False when there is no place for it."""
        self.handshakes.add(handshake)
        return self._has_places()

    def finished(self, handshake: Secured) -> Connection:
        """Forget a handshake; gives the connection that takes its place."""
        self.handshakes.discard(handshake)
        connection = Connection(self)
        if self.is_draining:
            asyncio.get_running_loop().call_later(
                self.deadlines.linger, connection.end_when_answered
            )
        return connection

    def failed(self, handshake: Secured) -> None:
        """Forget a handshake that came to nothing."""
        self.handshakes.discard(handshake)
        self._note_end()

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False when there is no place for it."""
        self.connections.add(connection)
        self.timed.add(connection)
        return self._has_places()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        self.timed.discard(connection)
        self._note_end()

    @property
    def is_crowded(self) -> bool:
        """Whether more than a few are being told that there is no place."""
        return not self._has_places(_MOST_LINGERING)

    def _has_places(self, more: int = 0) -> bool:
        count = len(self.connections) + len(self.handshakes)
        return count <= self._most + more

    def _note_end(self) -> None:
        if self.is_draining and not (self.connections or self.handshakes):
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
        expired: list[Connection | Secured] = []
        nearest = now + shortest
        clients: Iterable[Connection | Secured] = chain(self.timed, self.handshakes)
        for client in clients:
            if client.deadline <= now:
                expired.append(client)
            elif client.deadline < nearest:
                nearest = client.deadline
        # First of all: an error in one connection must not end this for the others.
        pause = max(nearest - now, min(1.0, shortest / 4))
        self._sweeper = loop.call_later(pause, self._sweep)
        for client in expired:
            client.expire()


async def _last_passes() -> None:
    """Let the loop accept and read what has arrived, which then counts as accepted."""
    for _ in range(_LAST_PASSES):
        await asyncio.sleep(0)
