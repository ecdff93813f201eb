"""Sockets to listen on, and how many connections there may be."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

__all__ = ["MOST_CONNECTIONS", "bind", "connection_limit", "host_of"]

_RESERVED_DESCRIPTORS = 64  # for files, the loop and the standard streams
MOST_CONNECTIONS = 20_000  # as many as watchers are allowed: some 10 KB each
# `localhost` has an address of IPv6 also where there is no IPv6.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(
    host: str, port: int, look_up: Callable[..., list[Any]] = socket.getaddrinfo
) -> list[socket.socket]:
    """Sockets bound to each address of *host* here, for `Listener.start_on`.

    Nobody can connect before that. Port 0 is any free one, the same for all of them.
    Raises OSError.
    """
    # As bytes, as what is ASCII has no need of the codec that a text goes through.
    name = host.encode() if host.isascii() else host
    found = look_up(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in found:
        if sockets and not port:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
        try:
            sockets.append(_bound(family, address))
        except OSError as error:
            missing = error
            if error.errno not in _NOT_HERE:
                break
    if missing is not None and (not sockets or missing.errno not in _NOT_HERE):
        for sock in sockets:
            sock.close()
        raise missing
    return sockets


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    """A socket bound to *address*; raises OSError, which names that."""
    with ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        if os.name == "posix":  # elsewhere it would let two listen on one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # IPv4 has a socket of its own
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            sock.bind(address)
        except OSError as error:
            where = f"{address[0]} port {address[1]}"
            problem = f"cannot listen on {where}: {error.strerror}"
            raise OSError(error.errno, problem) from None
        sock.setblocking(False)
        undo.pop_all()
    return sock


def host_of(address: Any) -> str:
    """The host of a socket's address, "" for what is no internet address.

    A client of IPv4 has one name, on whatever socket it came.
    """
    return address[0].removeprefix("::ffff:") if isinstance(address, tuple) else ""


def connection_limit() -> int:
    """How many connections fit below the limit of descriptors.

    That limit is raised as far as it goes.
    """
    try:
        import resource
    except ImportError:  # not a Unix
        return MOST_CONNECTIONS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _RESERVED_DESCRIPTORS
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(1, min(MOST_CONNECTIONS, max(soft, limit) - _RESERVED_DESCRIPTORS))
