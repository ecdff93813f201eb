"""Where settings come from: mappings, files, objects with `get`, the environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import Field, fields
from functools import partial
from typing import Any

from .addresses import store_type
from .environment import formats, placeholders, properties
from .environment.activation import is_active
from .errors import ConfigError, InvalidRequest, SettingsError
from .setting_kinds import checked
from .settings import PREFIX, Settings, variable_of

__all__ = [
    "collect",
    "collect_below",
    "collect_variables",
    "nearest",
    "parse_fields",
    "parse_setting",
    "read_file",
    "read_settings",
    "relaxed",
]

_FIELDS: tuple[Field[Any], ...] = fields(Settings)


def relaxed(key: str) -> str:
    """A key without the differences between its spellings: `basePath`, `BASE_PATH`."""
    return key.replace("-", "").replace("_", "").lower()


_KEYS = [PREFIX + setting.metadata["key"] for setting in _FIELDS]
_KNOWN = {relaxed(key): setting for key, setting in zip(_KEYS, _FIELDS, strict=True)}
_MAPS = ("backend.options", "backend.members", "users")
_TREES = [relaxed(PREFIX + key) for key in _MAPS]


def parse_setting(setting: Field[Any], value: Any, source: str) -> Any:
    """The value of one setting as its type; raises SettingsError with *source*."""
    about = setting.metadata
    return checked(about["parse"], value, PREFIX + about["key"], source)


def parse_fields(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values by field name as their types; raises SettingsError with *source*."""
    return {
        setting.name: parse_setting(setting, values[setting.name], source)
        for setting in _FIELDS
        if setting.name in values
    }


def read_settings(source: Any, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from a mapping, a file's path, or an object with `get(key, default)`.

    A mapping may be nested or flat; a Settings comes back as it is. `${NAME:default}`
    in texts is filled in from *environ*, the process's environment. Raises
    SettingsError for unknown keys, malformed values, files that do not parse, and names
    that are not set.
    """
    if isinstance(source, Settings):
        return source
    return Settings(**collect(source, os.environ if environ is None else environ))


def collect(source: Any, environ: Mapping[str, str], where: str = "") -> dict[str, Any]:
    """The parsed settings that *source* has, by field name; raises SettingsError."""
    if isinstance(source, str | os.PathLike):
        where = os.fspath(source)
        source = read_file(where)
    found = (
        _of_mapping(source, where)
        if isinstance(source, Mapping)
        else _of_getter(source)
    )
    fill = partial(_filled, environ=environ, source=where)
    return _typed(
        {
            setting.name: parse_setting(setting, fill(value), where)
            for setting, value in found
        }
    )


def collect_below(
    start: str, tree: Mapping[str, Any], also: Iterable[str] = ()
) -> dict[str, Any]:
    """The parsed settings that a *tree* of those below *start* has, by field name.

    Its texts are filled in already. Names *also* known there are the caller's. Raises
    SettingsError.
    """
    start = f"{PREFIX}{start}."
    known = [key for key in _KEYS if key.startswith(start)]
    below = {start + name: value for name, value in tree.items()}
    found = _of_mapping(below, "", [*known, *(start + name for name in also)])
    return _typed(
        {setting.name: parse_setting(setting, value, "") for setting, value in found}
    )


def collect_variables(environ: Mapping[str, str]) -> dict[str, Any]:
    """The parsed settings of the environment, by field name; raises SettingsError.

    `PYCONFSERVE_PORT=tcp://10.0.0.1:8888` is none: Kubernetes sets it in every pod
    beside a Service of the name `pyconfserve`.
    """
    return _typed(
        {
            setting.name: parse_setting(setting, environ[variable], variable)
            for setting in _FIELDS
            if (variable := variable_of(setting)) in environ
            and not environ[variable].startswith("tcp://")
        }
    )


def _typed(fields: dict[str, Any]) -> dict[str, Any]:
    """*fields*, with the type of backend that the address of a store says."""
    kind = store_type(fields.get("store_uri", ""))
    return {"backend_type": kind, **fields} if kind else fields


def read_file(path: str) -> dict[str, Any]:
    """The flat settings of a file, its conditional documents left out.

    Raises SettingsError.
    """
    suffix = os.path.splitext(path)[1].removeprefix(".")
    if suffix not in formats.FORMATS:
        known = ", ".join(f".{name}" for name in formats.FORMATS)
        raise SettingsError(f"expected a file of one of {known}", source=path)
    try:
        with open(path, "rb") as file:
            documents = formats.parse(file.read(), suffix)
        active = [
            document.entries
            for document in reversed(documents)
            if is_active(document, ())
        ]
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", source=path) from error
    except ConfigError as error:
        raise SettingsError(str(error), source=path) from error
    return {key: entry.value for key, entry in properties.merge(active).items()}


def _of_mapping(
    source: Mapping[str, Any], where: str, known: Iterable[str] = _KEYS
) -> Iterable[tuple[Field[Any], Any]]:
    """The settings in a mapping, nested, flat or both; what is not ours is left alone.

    Raises SettingsError for an unknown key below PREFIX, with the nearest *known* one.
    """
    values: dict[str, Any] = {}
    trees: dict[str, dict[str, Any]] = {}
    for key, value in _leaves(source):
        name = relaxed(key.partition("[")[0])
        tree, below = _tree(key)
        if below:
            trees.setdefault(tree, {})[tree.rpartition(".")[2] + below] = value
        elif name in _KNOWN and "[" in key:
            values.setdefault(name, []).append(value)
        elif name in _KNOWN:
            values[name] = value
        elif f"{name}.".startswith(relaxed(PREFIX)):
            raise SettingsError(nearest(key, known), key, where)
    if trees:
        from .environment.nesting import nest  # few settings are trees
    for tree, flat in trees.items():
        try:
            [values[tree]] = nest(flat).values()
        except InvalidRequest as error:
            key = PREFIX + _KNOWN[tree].metadata["key"]
            raise SettingsError(error.problem, key, where) from error
    return [(_KNOWN[name], value) for name, value in values.items()]


def _tree(key: str) -> tuple[str, str]:
    """The setting of maps or lists that *key* lies in, and the rest: `[0].name`."""
    for tree in _TREES:
        parts = key.split(".")
        size = tree.count(".") + 1
        head, bracket, index = ".".join(parts[:size]).partition("[")
        if relaxed(head) == tree:
            return tree, ".".join([bracket + index, *parts[size:]])
    return "", ""


def _leaves(source: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    """The flat keys of a mapping as far as settings go: theirs may be lists or maps."""
    for name, value in source.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and relaxed(key) not in _KNOWN:
            yield from _leaves(value, f"{key}.")
        else:
            yield key, value


def _of_getter(source: Any) -> Iterable[tuple[Field[Any], Any]]:
    """The settings of an object that can only be asked for one key at a time."""
    if not callable(getattr(source, "get", None)):
        raise SettingsError(
            "expected Settings, a mapping, a file's path or an object with get"
        )
    asked = [
        (setting, source.get(PREFIX + setting.metadata["key"], None))
        for setting in _FIELDS
    ]
    return [(setting, value) for setting, value in asked if value is not None]


def nearest(key: str, known: Iterable[str]) -> str:
    """What is wrong with an unknown *key*: the nearest of the *known* ones."""
    from difflib import get_close_matches  # costs the start, and is for mistakes only

    near = get_close_matches(key, list(known), n=1, cutoff=0)
    return f"unknown setting, the nearest known one is {near[0]}"


def _filled(value: Any, *, environ: Mapping[str, str], source: str) -> Any:
    fill = partial(_filled, environ=environ, source=source)
    if isinstance(value, list | tuple):
        return [fill(item) for item in value]
    if isinstance(value, Mapping):
        return {name: fill(item) for name, item in value.items()}
    if not isinstance(value, str):
        return value
    try:
        text = placeholders.fill(value, environ.get)
    except placeholders.PlaceholderError as error:
        raise SettingsError(str(error), source=source) from error
    if "${" in text:
        raise SettingsError(
            "a placeholder names a variable that is not set and has no default",
            source=source,
        )
    return text
