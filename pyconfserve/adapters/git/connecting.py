"""A bound on connecting, which git leaves to the system: minutes, on many.

A plain connection is made and dropped before git makes its own. How it fails does not
matter, git says that itself; only silence ends here.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from .address import Address

__all__ = ["answers", "place_of"]

_PORTS = {"http": 80, "https": 443, "git": 9418}
_PROXY_PORT = 1080  # where a proxy's URL has none (curl)
_POLL = 100.0  # milliseconds after which a server that is closed is seen to be
# Upper case is not for http: it may be a header of a client (httpoxy).
_PROXIES = {"http": ("http_proxy",), "https": ("https_proxy", "HTTPS_PROXY")}


def place_of(at: Address, proxy: str | None) -> tuple[str, int] | None:
    """Host and port that git connects to for *at*, None where nobody knows.

    *proxy* is a URL, "" for none and None for that of the environment.
    """
    if at.scheme not in _PORTS:
        return None
    if proxy is None:
        proxy = _proxy_of_environment(at)
    if not proxy:
        return at.host, int(at.port or _PORTS[at.scheme])
    with suppress(ValueError):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = url.port or {"https": 443}.get(url.scheme, _PROXY_PORT)
        return (url.hostname, port) if url.hostname else None
    return None


def _proxy_of_environment(at: Address) -> str:
    passed_by = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    host = f".{at.host.lower()}"
    for name in passed_by.lower().replace(",", " ").split():
        if name == "*" or host.endswith(f".{name.lstrip('.')}"):
            return ""
    named = (os.environ.get(name) for name in _PROXIES.get(at.scheme, ()))
    return next((proxy for proxy in named if proxy), "")


def answers(
    place: tuple[str, int], timeout: float, gives_up: Callable[[], bool]
) -> bool:
    """Whether one of the host's addresses says yes or all say no, in *timeout* seconds.

    True also for a host that is not known, and when *gives_up* says so.
    """
    try:
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True
    with ExitStack() as opened:
        connecting = []
        for family, kind, protocol, _, address in found:
            with suppress(OSError):
                one = opened.enter_context(socket.socket(family, kind, protocol))
                one.setblocking(False)
                if one.connect_ex(address) in (0, errno.EINPROGRESS):
                    connecting.append(one)
        return _one_answers(connecting, time.monotonic() + timeout, gives_up)


def _one_answers(
    connecting: Sequence[socket.socket], until: float, gives_up: Callable[[], bool]
) -> bool:
    waiting = {one.fileno(): one for one in connecting}
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLOUT)
    while waiting and not gives_up():
        left = (until - time.monotonic()) * 1000
        if left <= 0:
            return False
        for number, _ in poll.poll(min(left, _POLL)):
            one = waiting.pop(number)
            poll.unregister(number)
            if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return True
    return True
