"""Addresses of what lies elsewhere: on the web or not, and as people may see them."""

from __future__ import annotations

import re

__all__ = ["STORES", "WEB", "is_web", "no_folder", "shown", "slashless", "store_type"]

WEB = ("http", "https")
# What the address of a store begins with, and the store that it is.
STORES = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "etcd": "etcd",
    "etcds": "etcd",
    "redis": "redis",
    "rediss": "redis",
    "consul": "consul",
    "consuls": "consul",
    "vault": "vault",
    "vaults": "vault",
    "s3": "s3",
}
_STORE = re.compile(rf"({'|'.join(STORES)})://", re.IGNORECASE)
_SLASHLESS = re.compile(rf"({'|'.join((*STORES, *WEB))}):(?!//)", re.IGNORECASE)
# A password may hold any of these, where nobody has escaped it.
_STORE_SECRET = re.compile(r"(?<=://).*@|\?.*", re.DOTALL)
_SLASHLESS_SECRET = re.compile(r"(?<=:).*@|\?.*", re.DOTALL)
# On the web a user alone may be a token; for ssh it says who asks, and is no secret.
_SECRET = re.compile(
    r"(?<=://)[^/]*:[^/]*@|(?<=http://)[^/]*@|(?<=https://)[^/]*@", re.IGNORECASE
)


def is_web(uri: str) -> bool:
    """Whether *uri* is one of http or https."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme.lower() in WEB


def store_type(uri: str) -> str | None:
    """The kind of store at *uri*, None where it is none's address."""
    found = _STORE.match(uri)
    return STORES[found[1].lower()] if found else None


def shown(uri: str) -> str:
    """*uri* without the credentials that it may hold, for people and logs.

    That of a store is shown without its options, too: some of them are passwords. So is
    what lacks the slashes of an address.
    """
    secret = _STORE_SECRET if store_type(uri) else _SECRET
    if _SLASHLESS.match(uri):
        secret = _SLASHLESS_SECRET
    return secret.sub("", uri)


def slashless(uri: str) -> str:
    """What is wrong with *uri* where the slashes of an address are missing, else ""."""
    found = _SLASHLESS.match(uri)
    return f"after {found[1]}: two slashes are missing" if found else ""


def no_folder(location: str) -> str:
    """What to say of *location*, where a folder should be and none is."""
    why = slashless(location)
    return f"{shown(location)} is not a folder{f': {why}' if why else ''}"
