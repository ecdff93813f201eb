"""URLs of servers: their parts, their credentials, and where a redirect may lead.

This module does no input or output.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

__all__ = ["Origin", "Url", "basic_auth", "parse_url", "redirected"]

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Who is at the other end of a connection."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As the header Host has it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Url(NamedTuple):
    """A URL in its parts; `userinfo` is decoded, and empty without any.

    Its text is the URL without credentials.
    """

    origin: Origin
    base: str
    userinfo: str

    def __str__(self) -> str:
        return f"{self.origin.scheme}://{self.origin.authority}{self.base}"


def parse_url(url: str) -> Url:
    """The parts of `scheme://[user:password@]host[:port][/base]`.

    Raises ValueError, which does not quote it: a URL may hold a password.
    """
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        userinfo = unquote(parts.netloc.rpartition("@")[0])
        userinfo.encode("utf-8")
    except ValueError:  # UnicodeError too
        raise ValueError("a url is malformed") from None
    if scheme not in _PORTS:
        raise ValueError("a url begins with http:// or https://")
    has_more = parts.query or parts.fragment or "@" in parts.path  # of a password
    if not host or has_more or not _is_plain(host + parts.path):
        raise ValueError("a url is scheme://host[:port][/path] and nothing else")
    origin = Origin(scheme, host, _PORTS[scheme] if port is None else port)
    return Url(origin, parts.path.rstrip("/"), userinfo)


def _is_plain(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def basic_auth(userinfo: str) -> str:
    """The value of `Authorization` for `user:password` (RFC 7617, in UTF-8)."""
    from binascii import b2a_base64

    pair = userinfo if ":" in userinfo else f"{userinfo}:"
    encoded = b2a_base64(pair.encode("utf-8"), newline=False)
    return f"Basic {encoded.decode('ascii')}"


def redirected(origin: Origin, target: str, location: str) -> str | None:
    """The target that *location* leads to from *target* on the same *origin*.

    None where it leads elsewhere: another scheme, host or port, or with credentials.
    """
    here = f"{origin.scheme}://{origin.authority}{target}"
    try:
        parts = urlsplit(urljoin(here, location))
        port = _PORTS.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        return None
    there = (parts.scheme, parts.hostname, port)
    if there != (origin.scheme, origin.host.lower(), origin.port) or parts.username:
        return None
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
