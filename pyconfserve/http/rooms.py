"""Routes that few ask for: the module of a room is loaded by its first request.

A room is all routes whose paths begin with one of some words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

from ..server import ConfigServer
from .table import Route

__all__ = ["make_rooms"]

_Rows = tuple[Route, ...]


def make_rooms(
    server: ConfigServer, *, all_routes: bool
) -> Mapping[str, Callable[[], _Rows]]:
    """What gives the rows of *server* for paths that begin so, the same each time.

    Those of encryption are there with *all_routes*.
    """
    rooms = {word: cache(partial(make, server)) for word, make in _ROOMS.items()}
    if all_routes:
        encryption = cache(partial(_encryption, server))
        rooms |= dict.fromkeys(("encrypt", "decrypt", "key"), encryption)
    return rooms


def _bundle(server: ConfigServer) -> _Rows:
    from .bundle import bundle_routes

    return bundle_routes(server)


def _history(server: ConfigServer) -> _Rows:
    from .history import history_routes

    return history_routes(server)


def _explain(server: ConfigServer) -> _Rows:
    from .explain import explain_routes

    return explain_routes(server)


def _encryption(server: ConfigServer) -> _Rows:
    from .encryption import encryption_routes

    return encryption_routes(server)


_ROOMS = {"_bundle": _bundle, "_history": _history, "_explain": _explain}
