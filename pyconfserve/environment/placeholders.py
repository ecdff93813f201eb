"""`${name:default}` in texts, filled in as Spring does.

The default stands after the first colon; name and default may hold placeholders. Where
a name is looked up is the caller's: a mapping of settings, of an answer's own
properties, the process's environment. A value that was filled in is filled in itself;
`\\${` stands for a plain `${`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidRequest
from .values import text_of

__all__ = ["PlaceholderError", "closing", "fill", "fill_from"]

_DEEPEST = 32  # placeholders inside placeholders
_LONGEST = 1024 * 1024  # characters of a filled text
_MOST = 10_000  # placeholders filled in for one text


class PlaceholderError(ValueError):
    """A placeholder leads back to itself, or to a text without end."""


def fill(text: str, find: Callable[[str], str | None]) -> str:
    """*text* with what *find* gives in place of its placeholders.

    A name that *find* does not know gives its default; a placeholder without either
    stays as it stands. Raises PlaceholderError for circles, and above the limits of
    depth and length.
    """
    return _fill(text, find, (), [_MOST])


def fill_from(text: str, properties: Mapping[str, Any]) -> str:
    """*text* filled in from flat *properties* and nothing else.

    Raises InvalidRequest for circles: who asked may ask for the text as it is.
    """

    def find(name: str) -> str | None:
        return text_of(properties[name]) if name in properties else None

    try:
        return fill(text, find)
    except PlaceholderError as error:
        raise InvalidRequest("resolvePlaceholders", str(error)) from error


def _fill(
    text: str,
    find: Callable[[str], str | None],
    within: tuple[str, ...],
    budget: list[int],
) -> str:
    if "${" not in text:
        return text
    if len(within) > _DEEPEST:
        raise PlaceholderError("placeholders are nested too deep")
    filled, at, length = [], 0, len(text)
    while (start := text.find("${", at)) >= 0:
        if start > at and text[start - 1] == "\\":
            filled += [text[at : start - 1], "${"]
            at = start + 2
            continue
        end = closing(text, start + 2)
        if end < 0:
            break
        value = _value(text[start + 2 : end], find, within, budget)
        filled += [text[at:start], value]
        length += len(value)
        if length > _LONGEST + len(text):
            raise PlaceholderError("placeholders lead to a text without end")
        at = end + 1
    return "".join([*filled, text[at:]])


def _value(
    inner: str,
    find: Callable[[str], str | None],
    within: tuple[str, ...],
    budget: list[int],
) -> str:
    """What stands for `${inner}`."""
    budget[0] -= 1
    if budget[0] < 0:
        raise PlaceholderError("placeholders lead to a text without end")
    inner_filled = _fill(inner, find, (*within, "${"), budget)
    name, colon, default = inner_filled.partition(":")
    if name in within:
        raise PlaceholderError("a placeholder leads back to itself")
    for candidate in (inner_filled, name):
        value = find(candidate)
        if value is not None:
            return _fill(value, find, (*within, candidate), budget)
    return default if colon else f"${{{inner}}}"


def closing(text: str, start: int) -> int:
    """The index of the brace that closes a placeholder, -1 without one.

    *start* is where its inside begins.
    """
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            if not depth:
                return index
            depth -= 1
    return -1
