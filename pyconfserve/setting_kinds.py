"""What the values of settings may be: each function makes one from a text or a tree.

They raise ValueError, which says what was expected; `checked` names the setting, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .environment import names
from .errors import InvalidRequest, SettingsError

__all__ = [
    "boolean",
    "checked",
    "count",
    "interval",
    "label",
    "locations",
    "members",
    "one_of",
    "options",
    "port",
    "seconds",
    "text",
    "texts",
    "users",
]

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")
_MOST = 256  # of anything that is counted

Value = TypeVar("Value")


def checked(
    kind: Callable[[Any], Value], value: Any, key: str, source: str = ""
) -> Value:
    """What *kind* makes of a value at *key* of *source*; raises SettingsError."""
    try:
        return kind(value)
    except ValueError as error:
        raise SettingsError(str(error), key, source) from error


def text(value: Any) -> str:
    """Any text, without the blanks around it."""
    return str(value).strip()


def texts(value: Any) -> tuple[str, ...]:
    """A list, or a text with commas."""
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(found for item in items if (found := text(item)))


def boolean(value: Any) -> bool:
    """A switch's word, `yes` or `off`."""
    word = text(value).lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError("expected true or false")
    return word in _TRUE


def one_of(choices: tuple[str, ...], value: Any) -> str:
    """One of *choices*."""
    if value not in choices:
        raise ValueError(f"expected {' or '.join(choices)}")
    return str(value)


def locations(value: Any) -> tuple[str, ...]:
    """Folders, without the `file:` that Spring's settings have in front."""
    return tuple(
        found.removeprefix("file://").removeprefix("file:") for found in texts(value)
    )


def label(value: Any) -> str:
    """The name of a label."""
    try:
        return names.label(text(value))
    except InvalidRequest as error:
        raise ValueError(error.problem) from error


def port(value: Any) -> int:
    """A port of TCP."""
    return _number(value, 0, 65535, "a port")


def count(value: Any) -> int:
    """How many there are of something, at least one."""
    return _number(value, 1, _MOST, "a number")


def seconds(value: Any, least: float = 0) -> float:
    """Seconds, at most a day."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not least <= number <= 86_400:
        raise ValueError(f"expected seconds from {least} to 86400")
    return number


def interval(value: Any) -> float:
    """Seconds between two looks: with none in between they would take a processor."""
    return seconds(value, 0.1)


def options(value: Any) -> dict[str, Any]:
    """Keyword arguments."""
    if not isinstance(value, Mapping):
        raise ValueError("expected names and values")
    return {str(name).replace("-", "_"): option for name, option in value.items()}


def members(value: Any) -> tuple[str | dict[str, Any], ...]:
    """Backends in order: each is settings, or a text that stands where ROOT does."""
    found = value if isinstance(value, list | tuple) else texts(value)
    if not all(isinstance(one, str | Mapping) for one in found):
        raise ValueError("expected a list of backends, each with its settings")
    return tuple(one if isinstance(one, str) else dict(one) for one in found)


def users(value: Any) -> str | tuple[Any, ...]:
    """The path of a file of users, or the list that stands in one."""
    found = tuple(value) if isinstance(value, list | tuple) else text(value)
    if not found:
        raise ValueError("expected a file or a list of users")
    return found


def _number(value: Any, least: int, most: int, what: str) -> int:
    digits = text(value)
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= 9
    if not (is_number and least <= int(digits) <= most):
        raise ValueError(f"expected {what} from {least} to {most}")
    return int(digits)
