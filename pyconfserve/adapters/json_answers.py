"""Answers of stores that speak JSON: their tree, and what they say went wrong.

This module does no input or output.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, AnyStr, NamedTuple

from ..errors import ConfigError
from ..http.messages import Response

__all__ = ["Problem", "header_of", "meaning_of", "parsed"]


class Problem(NamedTuple):
    """An error, and words of ours for it."""

    kind: type[ConfigError]
    words: str


def meaning_of(
    meanings: Iterable[tuple[int, AnyStr, Problem]], code: int, said: AnyStr
) -> Problem | None:
    """The problem of the first row with that code and words that were *said*."""
    for known, words, problem in meanings:
        if known == code and words in said:
            return problem
    return None


def parsed(body: bytes) -> Any:
    """The tree of a body in JSON; raises ValueError for what is none."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def header_of(response: Response, name: str) -> str:
    """The first value of a header, "" without one; *name* is in lower case."""
    found = (value for key, value in response.headers if key.lower() == name)
    return next(found, "")
