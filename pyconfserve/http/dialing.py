"""Connections: opened by a deadline, and ended from another thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .urls import Origin

if TYPE_CHECKING:
    from threading import Event

__all__ = ["Deadline", "Line", "addresses_of", "dial"]

Address = Any  # as getaddrinfo gives it: family, kind, protocol, name, address


class Deadline:
    """A moment, asked for as what is left until then."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """The seconds that are left; raises TimeoutError when none are."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class Line:
    """What another thread can hang up on: its exchanges end at once, with an error."""

    def __init__(self) -> None:
        self.is_cut = False
        self._sock: socket.socket | None = None
        self._waited_for: Event | None = None

    def hang_up(self) -> None:
        """End the exchange that runs and those to come; calling this twice is fine."""
        self.is_cut = True
        if self._waited_for is not None:
            self._waited_for.set()
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # below that of TLS

    def hold(self, sock: socket.socket | None) -> None:
        """Let *sock* be what `hang_up` ends; raises ConnectionError after it."""
        self._sock = sock
        if self.is_cut and sock is not None:
            raise ConnectionAbortedError

    def wait(self, event: Event, seconds: float) -> None:
        """Wait for *event*; raises ConnectionError after `hang_up`, which sets it."""
        self._waited_for = event
        if not self.is_cut:
            event.wait(seconds)
        self._waited_for = None
        if self.is_cut:
            raise ConnectionAbortedError


def dial(addresses: list[Address], deadline: Deadline, line: Line) -> socket.socket:
    """A socket connected to the first of *addresses* that takes it.

    Raises OSError when none does by *deadline*.
    """
    for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
        sock = socket.socket(family, kind, protocol)
        try:
            line.hold(sock)
            # One that does not answer leaves time for the others.
            sock.settimeout(deadline.left() / (len(addresses) - number + 1))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except BaseException as error:
            line.hold(None)
            sock.close()
            if number == len(addresses) or not isinstance(error, OSError):
                raise
    raise OSError("the host has no address")


def addresses_of(
    origin: Origin,
    deadline: Deadline,
    line: Line,
    look_up: Callable[..., list[Address]] = socket.getaddrinfo,
) -> list[Address]:
    """What *look_up* knows of an origin's host.

    A name is looked up in a thread, as nothing else ends that by a deadline. Raises
    OSError, TimeoutError above all, and when *line* is hung up.
    """
    host, port = origin.host, origin.port
    with suppress(socket.gaierror):
        flags = 0 if host == "localhost" else socket.AI_NUMERICHOST
        return look_up(host, port, type=socket.SOCK_STREAM, flags=flags)
    from threading import Event, Thread

    found: list[list[Address] | Exception] = []
    has_ended = Event()

    def find() -> None:
        try:
            found.append(look_up(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            found.append(error)
        finally:
            has_ended.set()

    Thread(target=find, daemon=True).start()
    line.wait(has_ended, deadline.left())
    if not found:
        raise TimeoutError
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]
