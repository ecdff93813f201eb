"""Who may do what: the one check before every route.

Rights are judged on names alone, before any look-up, so that an answer never tells
whether what was asked for exists. Without users, the network is the boundary: who can
reach the port, and by which Host. With users, a browser that knows a password may be
made to send it: where a change comes from counts all the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Protocol

from ..environment.overlay import Lookup
from ..environment.properties import flatten
from ..environment.values import is_encrypted
from ..errors import Forbidden, InvalidRequest, Unauthenticated, WrongHost
from ..label_folders import LabelFolders
from .messages import Request
from .rights import ALL_RIGHTS, DECRYPT, READ
from .sender import EVERYONE, User

__all__ = ["Access", "Authority", "check_content", "is_loopback"]

_NOBODY = EVERYONE(())
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]|::1")
_ORIGIN = r"https?://(?P<host>[^/]+)"
_CONTROLS = r"(?i)spring\.(?:config|profiles)\b"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Authority(Protocol):
    """What knows users by the Authorization header that they send."""

    def remembered(self, authorization: str) -> User | None:
        """The user, where that takes no time."""
        ...

    async def verify(self, authorization: str, source: str) -> User:
        """The user; raises Unauthenticated, TooManyAttempts."""
        ...


class Access:
    """What those who reach this server may do.

    *allow_hosts* are the Hosts it answers for beside loopback names, `*` for any; None
    switches the rule off, for servers behind a framework that has its own. *authority*
    knows the users; without one all are strangers who have *rights*. *shows_details*
    says whether /health tells strangers more than up or down.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] | None = None,
        authority: Authority | None = None,
        rights: Collection[str] = ALL_RIGHTS,
        shows_details: bool = False,
    ) -> None:
        self._authority = authority
        self._stranger = EVERYONE(rights)
        self._shows_details = shows_details
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

    def sender(self, request: Request) -> User | None:
        """Who sends *request*, where that is known without a look at a password."""
        if self._authority is None:
            return self._stranger
        authorization = request.headers.get("authorization")
        return (authorization and self._authority.remembered(authorization)) or None

    async def authenticate(self, request: Request, *, is_public: bool = False) -> User:
        """Who sends *request*; for what *is_public* that may be nobody.

        Raises Unauthenticated, TooManyAttempts.
        """
        sender = self.sender(request)
        if sender is not None or self._authority is None:
            return sender or self._stranger
        authorization = request.headers.get("authorization")
        if authorization is not None:
            return await self._authority.verify(authorization, request.peer)
        if is_public:
            return _NOBODY
        raise Unauthenticated("send the name and the password of a user, or a token")

    def check(
        self,
        request: Request,
        sender: User,
        right: str,
        lookup: Lookup | None = None,
        path: str | None = None,
        *,
        folders: LabelFolders | None = None,
    ) -> None:
        """Raise Forbidden unless *sender* has *right* over all that is named.

        *path* is that of a plain file. Where labels are *folders*, they are judged as
        parts of it. A change that comes from another site's page is
        refused, too.
        """
        if right and right not in sender.rights:
            whom = "this user" if sender.name else "everyone here"
            raise Forbidden(f"the right to {right} is not given to {whom}")
        if (
            sender.is_restricted
            and lookup is not None
            and not _covers(sender, lookup, path, folders)
        ):
            raise Forbidden(f"this user may not {right} what has these names")
        if request.method not in _SAFE_METHODS:
            _check_origin(request)

    def may_see_details(self, sender: User, right: str) -> bool:
        """Whether *sender* is told what concerns all applications, by *right*."""
        if self._authority is None:
            return self._shows_details
        return right in sender.rights and not sender.is_restricted


def is_loopback(name: str) -> bool:
    """Whether a host, by name or address, is this machine seen from itself."""
    return bool(_LOOPBACK.fullmatch(name))


def _is_known(host: str, hosts: Collection[str]) -> bool:
    name = _name(host)
    return is_loopback(name) or name in hosts


def _name(host: str) -> str:
    """A Host without its port, in lower case, without the dot that ends a full name."""
    return re.sub(r":[0-9]+$", "", host).lower().removesuffix(".")


def check_content(user: User, properties: Mapping[str, Any]) -> None:
    """Raise Forbidden for what *user* may not save, also under names that are theirs.

    Keys of Spring Boot's own bring in other profiles and other files, which would then
    be read under these names. A text that is encrypted is opened by each read. Raises
    InvalidRequest for more than a save may hold; much takes a while.
    """
    would_open = user.may(READ) and not user.may(DECRYPT)
    if not (user.is_restricted or would_open):
        return
    try:
        flat = flatten(properties)
    except ValueError as error:
        raise InvalidRequest("properties", str(error)) from error
    if would_open and any(map(is_encrypted, flat.values())):
        raise Forbidden("who may read saves {cipher} values only with right decrypt")
    if user.is_restricted and any(re.match(_CONTROLS, key) for key in flat):
        raise Forbidden(
            "keys below spring.config and spring.profiles are saved only by users of "
            "all names"
        )


def _covers(
    user: User, lookup: Lookup, path: str | None, folders: LabelFolders | None
) -> bool:
    names = lookup.applications, lookup.profiles
    if path is None:
        if folders and folders.reach_bundles and folders.others(lookup):
            return False
        return user.covers(*names)
    labels = folders.others(lookup) if folders else []
    paths = (path, *(f"{label}/{path}" for label in labels))
    return all(user.covers_file(*names, at) for at in paths)


def _check_origin(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None:
        found = re.fullmatch(_ORIGIN, origin.lower())
        if found is None or found["host"] != request.host.lower():
            raise Forbidden(
                "a change may not come from a page of another site (Origin)"
            )
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise Forbidden(
            "a change may not come from a page of another site (Sec-Fetch-Site)"
        )
