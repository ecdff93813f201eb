"""One client over TLS: the handshake, then its connection behind it.

To the socket this is a protocol, to the connection a transport. Unlike asyncio's own
over TLS it ends each half by itself: a client that sends no more still gets its
answers, and what one sends after its last answer is thrown away, where a reset would
destroy that answer. Only as much is encrypted as the client takes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from .connection import Connection, Deadlines

__all__ = ["Keeper", "Secured"]

_logger = logging.getLogger("pyconfserve.secured")
_PIECE = 64 * 1024  # bytes encrypted or decrypted at once


class Keeper(Protocol):
    """What a handshake needs of the listener that it belongs to."""

    deadlines: Deadlines

    def began(self, handshake: Secured) -> bool:
        """Count a handshake; False when there is no place for it."""
        ...

    def finished(self, handshake: Secured) -> Connection:
        """Forget a handshake; gives the connection that takes its place."""
        ...

    def failed(self, handshake: Secured) -> None:
        """Forget a handshake that came to nothing."""
        ...


class Secured(asyncio.Transport, asyncio.Protocol):
    """A client's socket under TLS: a handshake by its deadline, then a transport."""

    def __init__(self, keeper: Keeper, context: ssl.SSLContext) -> None:
        super().__init__()
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport
        self._connection: Connection | None = None  # comes with the handshake's end
        self._unsent: deque[memoryview] = deque()  # until the client takes more
        self._is_silent = True  # not a byte has come
        self._is_blocked = False  # the client does not take what was written
        self._has_told = False  # … and the connection knows
        self._is_held = False  # the connection wants no more for now
        self._is_reading = True
        self._is_cut = False  # the socket brings no more
        self._has_ended = False  # … and the connection knows
        self._is_ending = False  # nothing is written after what is unsent
        self._is_closing = False  # … and then the socket is closed
        self._is_deaf = False  # what still comes means nothing
        self.deadline = math.inf

    # to the listener: a handshake

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        self.abort()

    def end_soon(self) -> None:
        """Take part in a drain: whoever has begun has a moment to finish, and to ask.

        A client of TLS 1.3 asks before it knows that it has been let in.
        """
        if self._is_silent:
            self.abort()
        linger = self._keeper.deadlines.linger
        self.deadline = min(self.deadline, self._loop.time() + linger)

    # to the socket: a protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, but do all that they do.
        self._transport = cast("asyncio.Transport", transport)
        self.deadline = self._loop.time() + self._keeper.deadlines.handshake
        if not self._keeper.began(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._is_silent = False
        if self._is_deaf:
            return
        self._incoming.write(data)
        if self._connection is not None or self._shakes_hands():
            self._read()

    def eof_received(self) -> bool:
        """Take the socket's end for that of TLS: HTTP itself shows what is cut off."""
        if self._connection is None:
            return False
        self._is_cut = True
        if self._is_deaf:
            self._hear_end()
        else:
            self._read()
        return True

    def pause_writing(self) -> None:
        self._is_blocked = True
        self._tell()

    def resume_writing(self) -> None:
        self._is_blocked = False
        self._send()
        self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closing = self._is_deaf = True
        self._unsent.clear()
        connection, self._connection = self._connection, None
        if connection is None:
            self._keeper.failed(self)
        else:
            connection.connection_lost(error)

    # to the connection: a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()

    def pause_reading(self) -> None:
        self._is_held = True
        self._steer()

    def resume_reading(self) -> None:
        if self._is_held:
            self._is_held = False
            self._steer()
            self._loop.call_soon(self._read)  # what was decrypted no further

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not (self._is_ending or self.is_closing()):
            self._unsent.append(memoryview(data))
            self._send()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent)) + self._transport.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._is_ending = True
        self._finish()

    def close(self) -> None:
        self._is_closing = True
        self._finish()

    def abort(self) -> None:
        self._is_closing = self._is_deaf = True
        self._transport.abort()

    # between the two

    def _shakes_hands(self) -> bool:
        """Go on with the handshake; True at its end."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._refuse(error)
            return False
        self._flush()
        self._connection = self._keeper.finished(self)
        self._connection.connection_made(self)
        return True

    def _refuse(self, error: ssl.SSLError) -> None:
        """End a handshake, with a moment for the client to read why."""
        _logger.debug("a handshake failed: %s", error.reason)
        self._is_deaf = True
        self.deadline = self._loop.time() + self._keeper.deadlines.linger
        self._flush()
        self._transport.write_eof()

    def _read(self) -> None:
        """Hand on what can be decrypted, as long as the connection wants it."""
        connection = self._connection
        while connection and not (self._is_deaf or self._is_held or self._has_ended):
            try:
                data = self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                if self._is_cut:
                    self._hear_end()
                break
            except ssl.SSLError as error:
                _logger.debug("a connection failed: %s", error.reason)
                self._flush()  # says so to the client
                self.abort()
                return
            if not data:
                self._hear_end()
                continue
            connection.data_received(data)
            if not (self._incoming.pending or self._tls.pending() or self._is_cut):
                break  # another look would find nothing, which costs an exception
        self._flush()

    def _hear_end(self) -> None:
        """Tell the connection, once, that its client sends no more."""
        if not (self._has_ended or self._connection is None):
            self._has_ended = True
            if not self._connection.eof_received():
                self.close()

    def _send(self) -> None:
        """Encrypt and write what is unsent, as far as the client takes it."""
        while self._unsent and not self._is_blocked:
            data = self._unsent[0]
            try:
                count = self._tls.write(data[:_PIECE])
            except ssl.SSLError as error:
                _logger.debug("a connection failed: %s", error.reason)
                self.abort()
                return
            if count < len(data):
                self._unsent[0] = data[count:]
            else:
                self._unsent.popleft()
            self._flush()
        self._finish()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def _finish(self) -> None:
        """End our half once all is sent, and the socket where it is to be closed."""
        if self._unsent or not (self._is_ending or self._is_closing):
            return
        if not self._is_deaf:
            self._is_deaf = True
            with suppress(ssl.SSLError):  # nobody waits for the client's own end
                self._tls.unwrap()
            self._flush()
            if not self._is_closing:
                self._transport.write_eof()
        if self._is_closing:
            self._transport.close()

    def _tell(self) -> None:
        """Let the connection know whether the client takes what is written."""
        self._steer()
        if self._connection is None or self._has_told is self._is_blocked:
            return
        self._has_told = self._is_blocked
        if self._is_blocked:
            self._connection.pause_writing()
        else:
            self._connection.resume_writing()

    def _steer(self) -> None:
        """Read the socket while what comes is wanted, and answers to it are taken."""
        is_wanted = not (self._is_held or self._is_blocked)
        if is_wanted is self._is_reading or self._transport.is_closing():
            return
        self._is_reading = is_wanted
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
