"""What Consul's answers hold where nothing went wrong.

Whatever is not as Consul writes it is a LookupError, a TypeError or a ValueError. This
module does no input or output.
"""

from __future__ import annotations

from binascii import a2b_base64
from operator import index
from typing import Any, NamedTuple

from ..http.messages import Response
from .json_answers import header_of, parsed

__all__ = ["Pair", "is_made", "pair_of", "rows_of", "verdict_of"]


class Pair(NamedTuple):
    """What is at one key: bytes, and the index of the change that made them."""

    value: bytes
    modified: int


def rows_of(response: Response) -> tuple[int, list[Any]]:
    """The index of a list, and its rows; a 404 is an empty one."""
    newest = header_of(response, "x-consul-index")
    if not (newest.isascii() and newest.isdecimal()):
        raise ValueError("it has no index")
    rows = [] if response.status == 404 else parsed(response.body)
    if not isinstance(rows, list):
        raise TypeError("it is no list")
    return int(newest), rows


def pair_of(row: Any) -> Pair:
    """The pair of a row."""
    return Pair(a2b_base64(row["Value"] or ""), index(row["ModifyIndex"]))


def verdict_of(response: Response) -> bool:
    """Whether a guarded change was made: Consul answers 200 to both."""
    return {b"true": True, b"false": False}[response.body.strip()]


def is_made(response: Response) -> bool:
    """Whether a transaction was made: its answer is 200, or 409 for an old index."""
    return {200: True, 409: False}[response.status]
