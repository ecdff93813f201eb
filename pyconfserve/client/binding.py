"""Values to dataclasses: relaxed names, and one conversion for each type of a field.

What cannot be converted is a SettingsError, which names the key and two types, and
never the value. This module does no input or output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from ..environment.nesting import nest
from ..environment.properties import flatten
from ..environment.values import text_of
from ..errors import InvalidRequest, SettingsError
from .scalars import SCALARS

__all__ = ["bind"]

Kind = TypeVar("Kind")
_ABSENT: Any = object()


def bind(kind: type[Kind], values: Mapping[str, Any], prefix: str = "") -> Kind:
    """An instance of the dataclass *kind* from flat *values* below *prefix*.

    A field that has no value takes its default; without one it must be optional. Keys
    without a field are left alone. Raises SettingsError.
    """
    if not hasattr(kind, "__dataclass_fields__"):
        raise SettingsError(f"expected a dataclass to bind to, got {_name(kind)}")
    below, spelled = _below(values, prefix) if prefix else (values, "")
    try:
        tree = nest(below)
    except InvalidRequest as error:
        raise SettingsError(error.problem, prefix) from error
    return cast("Kind", _dataclass(kind, tree, spelled))


def _below(values: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], str]:
    """What stands below *prefix* in any spelling, and the spelling of the last."""
    wanted, spelled, below = _relaxed(prefix), prefix, {}
    for key, value in values.items():
        for dot in re.finditer(r"\.", key):
            if _relaxed(key[: dot.start()]) == wanted:
                spelled = key[: dot.start()]
                below[key[dot.end() :]] = value
    return below, spelled


def _relaxed(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


def _member(tree: Any, name: str, key: str) -> tuple[Any, str]:
    """The value and the key of the member that *name* means; _ABSENT without one."""
    found = name
    if isinstance(tree, dict) and name not in tree:
        wanted = _relaxed(name)
        found = next((each for each in tree if _relaxed(each) == wanted), name)
    value = tree.get(found, _ABSENT) if isinstance(tree, dict) else _ABSENT
    return value, f"{key}.{found}" if key else found


def _dataclass(kind: Any, tree: Any, key: str) -> Any:
    from dataclasses import MISSING, fields
    from typing import get_type_hints

    if not isinstance(tree, dict):
        _refuse("a map", tree, key)
    hints = get_type_hints(kind)
    given = {}
    for field in fields(kind):
        if not field.init:
            continue
        hint = hints[field.name]
        value, where = _member(tree, field.name, key)
        if value is not _ABSENT:
            given[field.name] = _convert(hint, value, where)
        elif field.default is MISSING and field.default_factory is MISSING:
            given[field.name] = _absent(hint, where)
    return kind(**given)


def _absent(hint: Any, key: str) -> Any:
    """What a field without value and default gets."""
    if _is_optional(hint):
        return None
    if hasattr(hint, "__dataclass_fields__"):
        return _dataclass(hint, {}, key)
    raise SettingsError(f"expected {_name(hint)}, and nothing is set", key)


def _convert(hint: Any, value: Any, key: str) -> Any:
    """*value* as what *hint* says; raises SettingsError."""
    from typing import get_args, get_origin

    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    if hint in (Any, object):
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if hasattr(hint, "__dataclass_fields__"):
        return _dataclass(hint, value, key)
    place = _place(origin or hint)
    if place in _GENERICS:
        return _GENERICS[place](hint, arguments, value, key)
    if place in SCALARS:
        return _scalar(hint, SCALARS[place], value, key)
    if hasattr(hint, "__members__"):
        return _enum(hint, value, key)
    raise SettingsError(f"a field of type {_name(hint)} cannot be bound", key)


def _place(kind: Any) -> str:
    """A type by name: those of modules that nobody has imported need not be here."""
    module = getattr(kind, "__module__", "").partition("._")[0]
    name = getattr(kind, "__qualname__", "") or getattr(kind, "_name", "")
    return f"{module}.{name}".removeprefix("builtins.")


def _scalar(hint: Any, read: Callable[[Any, Any], Any], value: Any, key: str) -> Any:
    if isinstance(value, dict | list):
        _refuse(_name(hint), value, key)
    try:
        return read(hint, value)
    except (ValueError, TypeError, ArithmeticError):
        _refuse(_name(hint), value, key)


def _union(hint: Any, arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    """The first member that takes the value; nothing set is None where that is one."""
    kinds = [kind for kind in arguments if kind is not type(None)]
    if len(kinds) < len(arguments) and (
        value is None or (value == "" and str not in kinds)
    ):
        return None
    if type(value) in kinds:
        return value
    if len(kinds) == 1:
        return _convert(kinds[0], value, key)
    for kind in kinds:
        try:
            return _convert(kind, value, key)
        except SettingsError:
            continue
    _refuse(_name(hint), value, key)


def _is_optional(hint: Any) -> bool:
    from typing import get_args

    return type(None) in get_args(hint)


def _literal(hint: Any, arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    for member in arguments:
        if member == value and type(member) is type(value):
            return member
    for member in arguments:
        if not isinstance(value, dict | list) and text_of(member) == text_of(value):
            return member
    _refuse(_name(hint), value, key)


def _enum(hint: Any, value: Any, key: str) -> Any:
    """By value, else by relaxed name."""
    for member in hint:
        if member.value == value or text_of(member.value) == value:
            return member
    for member in hint:
        if isinstance(value, str) and _relaxed(member.name) == _relaxed(value):
            return member
    _refuse(_name(hint), value, key)


def _items(hint: Any, arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    """A list, or a text with commas."""
    from typing import get_origin

    if isinstance(value, str):
        value = [item.strip() for item in value.split(",")] if value else []
    if not isinstance(value, list):
        _refuse(_name(hint), value, key)
    kind = get_origin(hint) or hint
    kinds: list[Any] = [arguments[0] if arguments else Any] * len(value)
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(value):
            _refuse(_name(hint), value, key)
        kinds = list(arguments)
    items = [
        _convert(each, item, f"{key}[{number}]")
        for number, (each, item) in enumerate(zip(kinds, value, strict=True))
    ]
    return kind(items) if kind in (tuple, set, frozenset) else items


def _map(hint: Any, arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    """Members by name; dotted keys where values are plain: `logging.level.com.x`."""
    if value == "":
        value = {}
    if not isinstance(value, dict):
        _refuse(_name(hint), value, key)
    kind = arguments[1] if arguments else Any
    if _place(kind) in SCALARS:
        value = flatten(value)
    return {name: _convert(kind, each, f"{key}.{name}") for name, each in value.items()}


_GENERICS: dict[str, Callable[[Any, tuple[Any, ...], Any, str], Any]] = {
    "collections.abc.Mapping": _map,
    "collections.abc.Sequence": _items,
    "dict": _map,
    "frozenset": _items,
    "list": _items,
    "set": _items,
    "tuple": _items,
    "types.UnionType": _union,
    "typing.Literal": _literal,
    "typing.Union": _union,
}


def _name(kind: Any) -> str:
    """`int`, `list[int]`, `str | None`, the name of a class."""
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        return kind.__name__
    return str(kind).replace("typing.", "")


def _refuse(expected: str, value: Any, key: str) -> NoReturn:
    kind = "map" if isinstance(value, dict) else type(value).__name__
    raise SettingsError(f"expected {expected}, got {kind}", key) from None
