"""The Java server's own settings, read unchanged: files, relaxed names, its variables.

Every key under `spring.cloud.config.server` is known here, with an effect or with a
warning that it has none; an unknown one is an error with the nearest name. What would
protect something in Java and cannot do so here yet is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .backend import ConfigBackend
from .composite import CompositeConfigBackend
from .environment import placeholders
from .environment.overlay import SPRING
from .environment.values import text_of
from .errors import SettingsError
from .filesystem import FilesystemConfigBackend
from .settings import Settings, boolean
from .settings_sources import nearest, relaxed

__all__ = ["SpringSettings", "read_spring", "spring_backend", "spring_options"]

_logger = logging.getLogger("pyconfserve.spring_settings")
_SERVER = "spring.cloud.config.server."
_OVERRIDES = f"{_SERVER}overrides."

# What a Settings field takes from it.
_FIELDS = {
    "server.port": "port",
    "server.address": "host",
    "encrypt.key": "encrypt_key",
    "encrypt.salt": "encrypt_salt",
    "encrypt.key-store.location": "encrypt_key_store",
    "encrypt.key-store.password": "encrypt_key_store_password",
    "encrypt.key-store.alias": "encrypt_key_store_alias",
    f"{_SERVER}encrypt.enabled": "encrypt_enabled",
}
_NATIVE = ("search-locations", "add-label-locations", "default-label", "version")
_MEMBER = (*_NATIVE, "type", "order", "fail-on-error")  # of a composite
_READ = (
    "spring.profiles.active",
    "server.servlet.context-path",
    *(f"{_SERVER}{name}" for name in ("prefix", "default-label", "accept-empty")),
    f"{_SERVER}fail-on-composite-error",
    *(f"{_SERVER}native.{name}" for name in _NATIVE),
)
_WITHOUT_EFFECT = (
    "encrypt.fail-on-error",
    *(
        f"{_SERVER}{name}"
        for name in (
            "bootstrap",
            "default-application-name",
            "default-profile",
            "strip-document-from-yaml",
            "reverse-location-order",
            "native.fail-on-error",
            "native.order",
        )
    ),
)
_KNOWN = (*_FIELDS, *_READ, *_WITHOUT_EFFECT)
_NAMES = {relaxed(name): name for name in _KNOWN}
_FREE = ("overrides.", "health.", "git.", "composite[", "encrypt.")  # below _SERVER
_NOT_YET = {
    "spring.security.user.": "users are not there yet, and this would protect nothing",
    "server.ssl.": "TLS is not there yet, and this would encrypt nothing",
}
_SPELLED = re.compile(rf"^{re.escape(_SERVER)}[a-z]+", re.IGNORECASE)
_BRACKETED = re.compile(rf"^{re.escape(_OVERRIDES[:-1])}\[(.+)\]$")
_COMPOSITE = re.compile(rf"{re.escape(_SERVER)}composite\[(\d+)\]\.(.+)")


class SpringSettings(NamedTuple):
    """A Java server's settings: `fields` are ours, `values` all of them by key."""

    fields: dict[str, Any]  # of Settings, as texts
    values: dict[str, str]
    overrides: dict[str, str]

    @property
    def outer_path(self) -> str:
        """What /monitor and /actuator stand below: the prefix is not for them."""
        return self.values.get("server.servlet.context-path", "")


def read_spring(
    flat: Mapping[str, Any], environ: Mapping[str, str], *, is_asked: bool
) -> SpringSettings | None:
    """What *flat* says to a Java server, None when nothing and it was not asked for.

    Raises SettingsError.
    """
    start = relaxed(_SERVER)
    if not is_asked and not any(relaxed(key).startswith(start) for key in flat):
        return None
    raw = {**_lists_joined(flat), **_variables(environ)}
    values = {}
    for key, value in raw.items():
        name = _name(key)
        _check(name, key)
        if name in _KNOWN or name.startswith(_SERVER):
            values[name] = _filled(name, text_of(value), raw, environ)
    for key in values:
        if key in _WITHOUT_EFFECT or key.startswith(f"{_SERVER}health."):
            _logger.warning("%s has no effect here", key)
    fields = {field: values[key] for key, field in _FIELDS.items() if key in values}
    paths = [values.get("server.servlet.context-path"), values.get(f"{_SERVER}prefix")]
    base_path = "/".join(part for path in paths if (part := (path or "").strip("/")))
    if base_path:
        fields["base_path"] = base_path
    overrides = {
        key.removeprefix(_OVERRIDES): _unescaped(value)
        for key, value in values.items()
        if key.startswith(_OVERRIDES)
    }
    return SpringSettings(fields, values, _in_java_order(overrides))


def _unescaped(text: str) -> str:
    return text.replace("\\${", "${").replace("\\{", "{")


def spring_backend(spring: SpringSettings, settings: Settings) -> ConfigBackend:
    """The backend that `spring.profiles.active` names; raises SettingsError."""
    if settings.locations:
        return _native({}, ",".join(settings.locations), settings)
    values = spring.values
    profiles = values.get("spring.profiles.active", "git").replace(" ", "").split(",")
    if "composite" in profiles:
        members = [_member(member, settings) for member in _members(values)]
        fails = _is_on(values, f"{_SERVER}fail-on-composite-error")
        return CompositeConfigBackend(members, is_lenient=not fails)
    if "native" in profiles and "git" not in profiles:
        start = f"{_SERVER}native."
        given = {"default-label": values.get(f"{_SERVER}default-label", "")}
        given |= {
            key.removeprefix(start): value
            for key, value in values.items()
            if key.startswith(start)
        }
        return _native(given, given.get("search-locations", ""), settings)
    raise SettingsError("git repositories are not served yet", "spring.profiles.active")


def spring_options(spring: SpringSettings) -> dict[str, Any]:
    """The keyword arguments of ConfigServer that these settings give."""
    key = f"{_SERVER}accept-empty"
    return {
        "dialect": SPRING,
        "accept_empty": _is_on(spring.values, key) if key in spring.values else None,
        "overrides": spring.overrides,
    }


def _native(
    given: Mapping[str, str], locations: str, settings: Settings
) -> ConfigBackend:
    places = [place.strip() for place in locations.split(",") if place.strip()]
    if not places:
        raise SettingsError("expected folders", f"{_SERVER}native.search-locations")
    folders = [place.removeprefix("file://").removeprefix("file:") for place in places]
    return FilesystemConfigBackend(
        folders[0],
        folders,
        label=given.get("default-label") or settings.label,
        refresh_interval=settings.refresh_interval,
        label_folders=_is_on(given, "add-label-locations"),
        makes_folders=False,
        version=given.get("version"),
    )


def _members(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The members of a composite with their settings, in order."""
    found: dict[int, dict[str, str]] = {}
    names = {relaxed(name): name for name in _MEMBER}
    for key, value in values.items():
        match = _COMPOSITE.fullmatch(key)
        if match:
            name = names.get(relaxed(match[2]), match[2])
            found.setdefault(int(match[1]), {})[name] = value
    if not found:
        raise SettingsError("expected backends", f"{_SERVER}composite")
    return [found[index] for index in sorted(found)]


def _member(member: Mapping[str, str], settings: Settings) -> ConfigBackend:
    kind = member.get("type", "")
    if kind != "native":
        problem = f"backends of type {kind or 'none'} are not served yet"
        raise SettingsError(problem, f"{_SERVER}composite")
    if unknown := [name for name in member if name not in _MEMBER]:
        raise SettingsError("unknown setting", f"{_SERVER}composite[].{unknown[0]}")
    return _native(member, member.get("search-locations", ""), settings)


def _is_on(values: Mapping[str, str], key: str) -> bool:
    """What a switch that is on by default says."""
    try:
        return boolean(values.get(key, "true"))
    except ValueError as error:
        raise SettingsError(str(error), key) from error


def _name(key: str) -> str:
    """The name we know *key* by, however its words are spelled and joined."""
    key = _SPELLED.sub(lambda match: match[0].lower(), key)
    key = _BRACKETED.sub(rf"{_OVERRIDES}\1", key)
    return _NAMES.get(relaxed(key), key)


def _check(name: str, key: str) -> None:
    """Refuse what is not known, and what protects in Java and would not here."""
    for start, reason in _NOT_YET.items():
        if relaxed(name).startswith(start):
            raise SettingsError(reason, key)
    if not name.startswith(_SERVER) or name in _KNOWN:
        return
    if name.removeprefix(_SERVER).startswith(_FREE):
        return
    known = [name for name in _KNOWN if name.startswith(_SERVER)]
    raise SettingsError(nearest(name, known), key)


def _lists_joined(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Lists of scalars as texts with commas, the way Spring binds either."""
    joined: dict[str, Any] = {}
    for key, value in flat.items():
        name, _, index = key.rpartition("[")
        if index[:-1].isdigit() and not key.lower().startswith(_OVERRIDES):
            before = f"{joined[name]}," if name in joined else ""
            joined[name] = before + text_of(value)
        else:
            joined[key] = value
    return joined


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Spring's names for the environment: `SPRING_CLOUD_CONFIG_SERVER_PREFIX`."""
    for start, reason in _NOT_YET.items():
        for name in environ:
            if name.startswith(start.upper().replace(".", "_")):
                raise SettingsError(reason, name)
    return {
        key: environ[name]
        for key in (*_FIELDS, *_READ)
        for name in (
            key.upper().replace(".", "_").replace("-", ""),
            key.upper().replace(".", "_").replace("-", "_"),
        )
        if name in environ
    }


def _filled(
    key: str, text: str, raw: Mapping[str, Any], environ: Mapping[str, str]
) -> str:
    if key.startswith(_OVERRIDES):
        return text  # its placeholders are the clients' to fill in

    def find(name: str) -> str | None:
        return environ.get(name, text_of(raw[name]) if name in raw else None)

    try:
        filled = placeholders.fill(text, find)
    except placeholders.PlaceholderError as error:
        raise SettingsError(str(error), key) from error
    if "${" in filled:
        raise SettingsError("a placeholder names nothing that is set", key)
    return filled


def _in_java_order(properties: Mapping[str, str]) -> dict[str, str]:
    """As java.util.HashMap iterates, in which Spring keeps overrides (measured)."""
    size = 1
    while size < int(len(properties) / 0.75 + 1):  # as a copied map is made
        size *= 2
    return dict(sorted(properties.items(), key=lambda item: _bucket(item[0], size)))


def _bucket(key: str, size: int) -> int:
    code = 0
    units = key.encode("utf-16-be")
    for index in range(0, len(units), 2):
        code = (code * 31 + units[index] * 256 + units[index + 1]) & 0xFFFFFFFF
    return (code ^ code >> 16) & (size - 1)
