"""Addresses of what lies elsewhere: on the web or not, and as people may see them."""

from __future__ import annotations

import re

__all__ = ["WEB", "is_web", "shown"]

WEB = ("http", "https")
# On the web a user alone may be a token; for ssh it says who asks, and is no secret.
_SECRET = re.compile(
    r"(?<=://)[^/]*:[^/]*@|(?<=http://)[^/]*@|(?<=https://)[^/]*@", re.IGNORECASE
)


def is_web(uri: str) -> bool:
    """Whether *uri* is one of http or https."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme.lower() in WEB


def shown(uri: str) -> str:
    """*uri* without the credentials that it may hold, for people and logs."""
    return _SECRET.sub("", uri)
