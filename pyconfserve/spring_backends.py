"""The backends that a Java server's settings name: folders, git, tables, several."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .backend import ConfigBackend
from .composite import CompositeConfigBackend
from .environment.overlay import DEFAULT_LABEL, SPRING
from .errors import SettingsError
from .filesystem import FilesystemConfigBackend
from .setting_kinds import boolean, checked
from .settings import Settings
from .settings_sources import nearest, relaxed
from .spring_git import GitDefaults, make_git_backend
from .spring_git_names import canonical
from .spring_jdbc import JDBC_NAMES, jdbc_backend
from .spring_redis import REDIS_NAMES, redis_backend
from .spring_s3 import S3_NAMES, s3_backend
from .spring_settings import NATIVE_NAMES, SERVER, SpringSettings, profiles_of
from .spring_vault import VAULT_NAMES, vault_backend

__all__ = ["spring_backend", "spring_options"]

_MEMBER = (*NATIVE_NAMES, "type", "order", "fail-on-error")  # of a composite
_GIT_MEMBER = ("type", "fail-on-error")  # beside git's own
_COMPOSITE = re.compile(rf"{re.escape(SERVER)}composite\[(\d+)\]\.(.+)")
_LAST = 2**31 - 1  # the order of what has none, in Java
# Other profiles of Spring's that are stores: what they hold must not be left out.
_OTHER_STORES = (
    *("subversion", "mongodb", "credhub"),
    *("awsparamstore", "awssecretsmanager", "secret-manager"),
)


def spring_backend(spring: SpringSettings, settings: Settings) -> ConfigBackend:
    """The backend that `spring.profiles.active` names.

    Raises SettingsError, MissingDependency for git without GitPython.
    """
    if settings.locations:
        return _native({}, ",".join(settings.locations), settings)
    values = spring.values
    if settings.backend_type == "git":
        return _git({**values, **_as_springs(settings)}, settings)
    profiles = profiles_of(values)
    if others := [name for name in profiles if name in _OTHER_STORES]:
        problem = f"backends of type {others[0]} are not served yet"
        raise SettingsError(problem, "spring.profiles.active")
    if "composite" in profiles:
        members = [
            _member(member, f"{SERVER}composite[{index}].", values, settings)
            for index, member in _members(values).items()
        ]
        return _composite(members, values)
    # In Java's order where none is set; the default of all is git.
    named = [
        kind
        for kind in _PROFILES
        if kind in profiles and _is_on(values, f"{SERVER}{kind}.enabled")
    ] or ["git"]
    named.sort(key=lambda kind: _order(values, kind))
    backends = [_PROFILES[kind](values, settings) for kind in named]
    return backends[0] if len(backends) == 1 else _composite(backends, values)


def spring_options(spring: SpringSettings) -> dict[str, Any]:
    """The keyword arguments of ConfigServer that these settings give."""
    key = f"{SERVER}accept-empty"
    return {
        "dialect": SPRING,
        "accept_empty": _is_on(spring.values, key) if key in spring.values else None,
        "overrides": spring.overrides,
    }


def _composite(
    members: list[ConfigBackend], values: Mapping[str, str]
) -> CompositeConfigBackend:
    fails = _is_on(values, f"{SERVER}fail-on-composite-error")
    return CompositeConfigBackend(
        members, optional=() if fails else range(len(members))
    )


def _below(values: Mapping[str, str], start: str) -> dict[str, str]:
    return {
        key.removeprefix(start): value
        for key, value in values.items()
        if key.startswith(start)
    }


def _git(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    start = f"{SERVER}git."
    return make_git_backend(_below(values, start), start, _defaults(values, settings))


def _jdbc(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    start = f"{SERVER}jdbc."
    return jdbc_backend(_below(values, start), start, values)


def _redis(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    return redis_backend(values)


def _vault(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    start = f"{SERVER}vault."
    return vault_backend(_below(values, start), start, values)


def _s3(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    start = f"{SERVER}awss3."
    return s3_backend(_below(values, start), start, values)


def _as_springs(settings: Settings) -> dict[str, str]:
    """Our own settings of a repository, such as ROOT, by Spring's names for them."""
    given = {"uri": settings.git_uri or "", "clone-on-start": "true"}
    if settings.git_clone_dir:
        given["basedir"] = settings.git_clone_dir
    if settings.git_refresh_rate != Settings().git_refresh_rate:
        given["refresh-rate"] = str(int(settings.git_refresh_rate) or -1)
    return {f"{SERVER}git.{name}": text for name, text in given.items()}


def _defaults(values: Mapping[str, str], settings: Settings) -> GitDefaults:
    return GitDefaults(
        default_label=values.get(f"{SERVER}default-label", ""),
        label=settings.label or DEFAULT_LABEL,
        reverses_plain_files=_reverses(values),
    )


def _reverses(values: Mapping[str, str]) -> bool:
    return _is_on(values, f"{SERVER}reverse-location-order", "false")


def _only_native(values: Mapping[str, str], settings: Settings) -> ConfigBackend:
    given = {"default-label": values.get(f"{SERVER}default-label", "")}
    given |= _below(values, f"{SERVER}native.")
    locations = given.get("search-locations", "")
    return _native(given, locations, settings, _reverses(values))


def _native(
    given: Mapping[str, str],
    locations: str,
    settings: Settings,
    reverses: bool = False,
) -> ConfigBackend:
    places = [place.strip() for place in locations.split(",") if place.strip()]
    if not places:
        raise SettingsError("expected folders", f"{SERVER}native.search-locations")
    folders = [place.removeprefix("file://").removeprefix("file:") for place in places]
    return FilesystemConfigBackend(
        folders[0],
        folders,
        label=given.get("default-label") or settings.label,
        refresh_interval=settings.refresh_interval,
        label_folders=_is_on(given, "add-label-locations"),
        makes_folders=False,
        version=given.get("version"),
        reverses_plain_files=reverses,
    )


def _members(values: Mapping[str, str]) -> dict[int, dict[str, str]]:
    """The members of a composite with their settings, in order."""
    found: dict[int, dict[str, str]] = {}
    for key, value in values.items():
        if match := _COMPOSITE.fullmatch(key):
            found.setdefault(int(match[1]), {})[match[2]] = value
    if not found:
        raise SettingsError("expected backends", f"{SERVER}composite")
    return {index: found[index] for index in sorted(found)}


def _member(
    member: Mapping[str, str],
    start: str,
    values: Mapping[str, str],
    settings: Settings,
) -> ConfigBackend:
    kind = next((text for key, text in member.items() if relaxed(key) == "type"), "")
    if kind == "native":
        given = {_known(name, _MEMBER, start): text for name, text in member.items()}
        locations = given.get("search-locations", "")
        return _native(given, locations, settings, _reverses(values))
    if kind == "git":
        given = {_of_git(name, start): text for name, text in member.items()}
        return make_git_backend(given, start, _defaults(values, settings))
    if kind in _NAMED:
        names, backend = _NAMED[kind]
        known = (*names, "type")
        given = {_known(name, known, start): text for name, text in member.items()}
        return backend(given, start, values)
    if kind == "redis":
        for name in member:
            _known(name, (*REDIS_NAMES, "type"), start)
        return redis_backend(values)
    problem = f"backends of type {kind or 'none'} are not served yet"
    raise SettingsError(problem, f"{SERVER}composite")


def _of_git(name: str, start: str) -> str:
    if relaxed(name) in map(relaxed, _GIT_MEMBER):
        return _known(name, _GIT_MEMBER, start)
    return canonical(name, start)


def _known(name: str, names: tuple[str, ...], start: str) -> str:
    for one in names:
        if relaxed(one) == relaxed(name):
            return one
    raise SettingsError(
        nearest(start + name, [start + one for one in names]), start + name
    )


def _order(values: Mapping[str, str], kind: str) -> int:
    key = f"{SERVER}{kind}.order"
    text = values.get(key, str(_LAST - 10 if kind == "jdbc" else _LAST)).strip()
    if not re.fullmatch(r"-?[0-9]{1,10}", text):
        raise SettingsError("expected a whole number", key)
    return int(text)


def _is_on(values: Mapping[str, str], key: str, default: str = "true") -> bool:
    return checked(boolean, values.get(key, default), key)


_PROFILES = {
    "native": _only_native,
    "git": _git,
    "jdbc": _jdbc,
    "redis": _redis,
    "vault": _vault,
    "awss3": _s3,
}
# Members of a composite by their own names, below their start.
_NAMED = {
    "jdbc": (JDBC_NAMES, jdbc_backend),
    "vault": (VAULT_NAMES, vault_backend),
    "awss3": (S3_NAMES, s3_backend),
}
