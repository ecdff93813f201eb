"""What a YAML 1.1 scalar means, by SnakeYAML's rules as Spring uses them.

The rules are in spring.md 3; PyYAML is not needed. Dates stay text; a tag says what its
text must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from .document import LONGEST_INTEGER, check_integer

__all__ = ["CONVERTERS", "resolve"]

_WORDS = {
    spelling: value
    for words, value in (
        (("true", "yes", "on"), True),
        (("false", "no", "off"), False),
        (("~", "null"), None),
    )
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
_NUMERIC = "0123456789-+."  # what a number begins with
_LONGEST_REMEMBERED = 64  # characters: longer ones are rarely met twice
_INFINITE = ("inf", "Inf", "INF")
_SPECIAL = {
    f"{sign}.{word}": float(sign + word)
    for sign, words in (
        ("", (*_INFINITE, "nan", "NaN", "NAN")),
        ("+", _INFINITE),
        ("-", _INFINITE),
    )
    for word in words
}
_INTEGER = re.compile(
    r"[-+]?(?:(?P<binary>0b_*[01][01_]*)|(?P<octal>0_*[0-7][0-7_]*)|(?P<hex>0x_*[0-9a-fA-F][0-9a-fA-F_]*)"
    r"|(?P<sexagesimal>[1-9][0-9_]*(?::[0-5]?[0-9])+)|(?P<decimal>0|[1-9][0-9_]*))"
)
_BASES = {"binary": 2, "octal": 8, "hex": 16, "decimal": 10}
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|(?P<sexagesimal>[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*))"
)
_TIMESTAMP = (  # few files have the tag that asks for one
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"[ \t]*(?:Z|([-+])(\d\d?)(?::?(\d\d))?)?)?"
)


def resolve(text: str) -> Any:
    """What a plain scalar means: `017` is 15, `yes` is True (spring.md 3).

    `2024-01-01` stays text. Raises ValueError for an integer above the limit.
    """
    if text[:1] not in _NUMERIC:
        return _WORDS.get(text, text)
    if not text:
        return None
    return (_remembered if len(text) <= _LONGEST_REMEMBERED else _resolve_number)(text)


def _resolve_number(text: str) -> Any:
    if found := _INTEGER.fullmatch(text):
        return _integer(found, text)
    if found := _FLOAT.fullmatch(text):
        digits = text.replace("_", "")
        return _sexagesimal(digits, float) if found["sexagesimal"] else float(digits)
    return _SPECIAL.get(text, text)


_remembered = lru_cache(8192)(_resolve_number)


def _integer(found: re.Match[str], text: str) -> int:
    digits = text.replace("_", "")
    if found["sexagesimal"]:
        return int(_sexagesimal(digits, check_integer))
    return check_integer(digits, _BASES[str(found.lastgroup)])


def _sexagesimal(digits: str, convert: Any) -> Any:
    """`1:30` is 90: every part counts sixty of the next."""
    total = 0
    for part in digits.lstrip("+-").split(":"):
        total = total * 60 + convert(part)
        if isinstance(total, int) and total.bit_length() > LONGEST_INTEGER:
            raise ValueError(f"an integer has more than {LONGEST_INTEGER} bits")
    return -total if digits.startswith("-") else total


def _tagged(kind: type, name: str) -> Any:
    def convert(text: str) -> Any:
        value = resolve(text)
        if type(value) is not kind:
            raise ValueError(f"not {name}")
        return value

    return convert


def _tagged_float(text: str) -> float:
    value = resolve(text)
    if type(value) not in (int, float):
        raise ValueError("not a number")
    return float(value)


def _binary(text: str) -> str:
    packed = "".join(text.split())
    if not re.fullmatch(
        r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", packed
    ):
        raise ValueError("not base64")
    return packed


def _timestamp(text: str) -> str:
    """The moment in UTC with milliseconds, as Java's Instant writes a Date."""
    import datetime

    found = re.fullmatch(_TIMESTAMP, text)
    if not found:
        raise ValueError("not a timestamp")
    year, month, day, hour, minute, second = (
        int(part or 0) for part in found.groups()[:6]
    )
    fraction = (found[7] or "").ljust(3, "0")[:3]
    moment = datetime.datetime(year, month, day, hour, minute, second)
    offset = datetime.timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    moment = moment + offset if found[8] == "-" else moment - offset
    return f"{moment.isoformat()}.{fraction}Z"


CONVERTERS: dict[str, Callable[[str], Any]] = {
    "!": str,
    "str": str,
    "null": lambda _: None,
    "bool": _tagged(bool, "a boolean"),
    "int": _tagged(int, "an integer"),
    "float": _tagged_float,
    "binary": _binary,
    "timestamp": _timestamp,
    "value": str,
}
