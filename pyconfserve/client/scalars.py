"""One value to one plain type: what text, numbers and booleans may become.

A reader takes the type and a scalar, and raises ValueError, TypeError or
ArithmeticError where it does not fit. This module does no input or output.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..environment.values import text_of

__all__ = ["SCALARS"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d)")
_UNITS = {
    "us": "microseconds", "ms": "milliseconds", "s": "seconds",
    "m": "minutes", "h": "hours", "d": "days",
}  # fmt: skip


def _text(kind: Any, value: Any) -> str:
    return text_of(value)


def _boolean(kind: Any, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    if not isinstance(value, bool):
        raise ValueError
    return value


def _integer(kind: Any, value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if type(value) is not int:
        raise ValueError
    return value


def _number(kind: Any, value: Any) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if type(value) not in (int, float):
        raise ValueError
    return float(value)


def _duration(kind: Any, value: Any) -> Any:
    """`1h30m`, `10s`; a bare number is refused: in Spring it would be milliseconds."""
    text = value if isinstance(value, str) else ""
    if not text or _DURATION.sub("", text):
        raise ValueError
    amounts: dict[str, float] = {}
    for number, unit in _DURATION.findall(text):
        amounts[_UNITS[unit]] = amounts.get(_UNITS[unit], 0) + float(number)
    return kind(**amounts)


def _from_text(kind: Any, value: Any) -> Any:
    return kind(text_of(value))


def _from_iso(kind: Any, value: Any) -> Any:
    return kind.fromisoformat(text_of(value))


SCALARS: dict[str, Callable[[Any, Any], Any]] = {
    "bool": _boolean,
    "datetime.date": _from_iso,
    "datetime.datetime": _from_iso,
    "datetime.time": _from_iso,
    "datetime.timedelta": _duration,
    "decimal.Decimal": _from_text,
    "float": _number,
    "int": _integer,
    "pathlib.Path": _from_text,
    "pathlib.PurePath": _from_text,
    "str": _text,
    "uuid.UUID": _from_text,
}
