"""Who may do what: the one check before every route.

Rights are judged on names alone, before any look-up, so that an answer never tells
whether what was asked for exists. Without users, the network is the boundary: who can
reach the port, and by which Host.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from ..errors import Forbidden, WrongHost
from .messages import Request

__all__ = [
    "ALL_RIGHTS",
    "DECRYPT",
    "ENCRYPT",
    "LIST",
    "MONITOR",
    "READ",
    "READ_ONLY_RIGHTS",
    "WRITE",
    "Access",
    "is_loopback",
]

READ, WRITE, LIST, MONITOR = "read", "write", "list", "monitor"
ENCRYPT, DECRYPT = "encrypt", "decrypt"
ALL_RIGHTS = frozenset({READ, WRITE, LIST, MONITOR, ENCRYPT, DECRYPT})
READ_ONLY_RIGHTS = frozenset({READ, MONITOR})  # a webhook brings its own signature

_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]|::1")
_ORIGIN = re.compile(r"https?://(?P<host>[^/]+)")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Access:
    """What anyone who reaches this server may do.

    *allow_hosts* are the Hosts it answers for beside loopback names, `*` for any; None
    switches the rule off, for servers behind a framework that has its own. *rights* are
    those of everyone, as no one is known by name. *shows_details* says whether /health
    tells more than up or down.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] | None = None,
        rights: Collection[str] = ALL_RIGHTS,
        shows_details: bool = False,
    ) -> None:
        self._rights = frozenset(rights)
        self.shows_details = shows_details
        hosts = (
            None
            if allow_hosts is None or "*" in allow_hosts
            else frozenset(map(_name, allow_hosts))
        )
        self._is_known_host = lru_cache(1024)(
            lambda host: hosts is None or _is_known(host, hosts)
        )

    def check_host(self, request: Request) -> None:
        """Raise WrongHost for a Host that is not ours.

        A page of another site may have been rebound to us.
        """
        if not self._is_known_host(request.host):
            raise WrongHost(
                "this server does not answer for that Host: allow it with --allow-host"
            )

    def check(self, request: Request, right: str) -> None:
        """Raise Forbidden unless the sender has *right*.

        A change that comes from another site's page is refused, too.
        """
        if right and right not in self._rights:
            raise Forbidden(f"the right to {right} is not given to everyone here")
        if request.method not in _SAFE_METHODS:
            _check_origin(request)


def is_loopback(name: str) -> bool:
    """Whether a host, by name or address, is this machine seen from itself."""
    return bool(_LOOPBACK.fullmatch(name))


def _is_known(host: str, hosts: Collection[str]) -> bool:
    name = _name(host)
    return is_loopback(name) or name in hosts


def _name(host: str) -> str:
    """A Host without its port, in lower case, without the dot that ends a full name."""
    return re.sub(r":[0-9]+$", "", host).lower().removesuffix(".")


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None:
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None or found["host"] != request.host.lower():
            raise Forbidden(
                "a change may not come from a page of another site (Origin)"
            )
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden(
            "a change may not come from a page of another site (Sec-Fetch-Site)"
        )
