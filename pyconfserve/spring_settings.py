"""The Java server's own settings, read unchanged: files, relaxed names, its variables.

Every key under `spring.cloud.config.server` is known here, with an effect or with a
warning that it has none; an unknown one is an error with the nearest name. So is what
protects something in Java and would not here: `spring.security.*`, `server.ssl.*`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .environment import placeholders
from .environment.values import text_of
from .errors import SettingsError
from .settings_sources import nearest, relaxed
from .spring_git_names import GIT_NAMES, canonical, variable_names
from .spring_jdbc import DATASOURCE, JDBC_NAMES
from .spring_redis import REDIS, REDIS_NAMES
from .spring_s3 import S3_NAMES
from .spring_tls import TLS, TLS_NAMES, tls_fields
from .spring_users import USER_NAMES, users_of
from .spring_vault import VAULT_NAMES

__all__ = ["NATIVE_NAMES", "SERVER", "SpringSettings", "profiles_of", "read_spring"]

_logger = logging.getLogger("pyconfserve.spring_settings")
SERVER = "spring.cloud.config.server."  # in front of most names
_GIT = f"{SERVER}git."
_OVERRIDES = f"{SERVER}overrides."

# What a Settings field takes from it.
_FIELDS = {
    "server.port": "port",
    "server.address": "host",
    "encrypt.key": "encrypt_key",
    "encrypt.salt": "encrypt_salt",
    "encrypt.key-store.location": "encrypt_key_store",
    "encrypt.key-store.password": "encrypt_key_store_password",
    "encrypt.key-store.alias": "encrypt_key_store_alias",
    f"{SERVER}encrypt.enabled": "encrypt_enabled",
}
NATIVE_NAMES = ("search-locations", "add-label-locations", "default-label", "version")
_READ = (
    "spring.profiles.active",
    "server.servlet.context-path",
    *(f"{SERVER}{name}" for name in ("prefix", "default-label", "accept-empty")),
    *(f"{SERVER}{name}" for name in ("fail-on-composite-error", "native.order")),
    f"{SERVER}reverse-location-order",
    *(f"{SERVER}native.{name}" for name in NATIVE_NAMES),
    *(f"{SERVER}jdbc.{name}" for name in JDBC_NAMES),
    *DATASOURCE,
    *(f"{SERVER}redis.{name}" for name in REDIS_NAMES),
    *(f"{SERVER}vault.{name}" for name in VAULT_NAMES),
    *(f"{SERVER}awss3.{name}" for name in S3_NAMES),
    *REDIS,
    *USER_NAMES,
    *TLS_NAMES,
)
_WITHOUT_EFFECT = (
    "encrypt.fail-on-error",
    *(
        f"{SERVER}{name}"
        for name in (
            "bootstrap",
            "default-application-name",
            "default-profile",
            "strip-document-from-yaml",
            "native.fail-on-error",
        )
    ),
)
_KNOWN = (*_FIELDS, *_READ, *_WITHOUT_EFFECT)
_NAMES = {relaxed(name): name for name in _KNOWN}
# Where the stores of profiles are, if no key below SERVER has to say anything.
_PLACES = {"jdbc": DATASOURCE, "redis": REDIS}
_FREE = ("overrides.", "health.", "git.", "composite[", "encrypt.")  # below SERVER
_SECURITY = "spring.security."  # what is not known there would protect nothing
_SPELLED = re.compile(rf"^{re.escape(SERVER)}[a-z]+", re.IGNORECASE)
_JOINED = re.compile(r"\]?[.\[]")
_MEMBER = re.compile(rf"{re.escape(SERVER)}(?:git|composite\[\d+\])\.")
_BRACKETED = re.compile(rf"^{re.escape(_OVERRIDES[:-1])}\[(.+)\]$")


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
    flat: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    is_asked: bool,
    file_wins: bool = False,
) -> SpringSettings | None:
    """What *flat* says to a Java server, None when nothing and it was not asked for.

    Variables beat it, unless *file_wins*. Raises SettingsError.
    """
    joined = _lists_joined(flat)
    if not is_asked and not _are_springs(joined):
        return None
    variables = _variables(environ, joined)
    raw = {**variables, **joined} if file_wins else {**joined, **variables}
    values = {}
    for key, value in raw.items():
        name = _name(key)
        _check(name, key)
        if name in _KNOWN or name.startswith(SERVER) or relaxed(name).startswith(TLS):
            values[name] = _filled(name, text_of(value), raw, environ)
    for key in values:
        if key in _WITHOUT_EFFECT or key.startswith(f"{SERVER}health."):
            _logger.warning("%s has no effect here", key)
    fields: dict[str, Any] = {
        field: values[key] for key, field in _FIELDS.items() if key in values
    }
    fields |= tls_fields(values)
    if users := users_of(values):
        fields["users"] = users
    paths = [values.get("server.servlet.context-path"), values.get(f"{SERVER}prefix")]
    base_path = "/".join(part for path in paths if (part := (path or "").strip("/")))
    if base_path:
        fields["base_path"] = base_path
    overrides = {
        key.removeprefix(_OVERRIDES): _unescaped(value)
        for key, value in values.items()
        if key.startswith(_OVERRIDES)
    }
    return SpringSettings(fields, values, _in_java_order(overrides))


def profiles_of(values: Mapping[str, Any]) -> list[str]:
    """The active profiles: git where none is set."""
    text = text_of(values.get("spring.profiles.active", "git"))
    return text.replace(" ", "").split(",")


def _are_springs(flat: Mapping[str, Any]) -> bool:
    """Whether settings are a Java server's: its own, or a store's with the profile."""
    if any(relaxed(key).startswith(relaxed(SERVER)) for key in flat):
        return True
    values = {_NAMES.get(relaxed(key), key): value for key, value in flat.items()}
    profiles = profiles_of(values)
    return any(
        kind in profiles and not values.keys().isdisjoint(names)
        for kind, names in _PLACES.items()
    )


def _unescaped(text: str) -> str:
    return text.replace("\\${", "${").replace("\\{", "{")


def _name(key: str) -> str:
    """The name we know *key* by, however its words are spelled and joined.

    Raises SettingsError for an unknown one of git's.
    """
    key = _SPELLED.sub(lambda match: match[0].lower(), key)
    if key.startswith(_GIT):
        return _GIT + canonical(key.removeprefix(_GIT), _GIT)
    key = _BRACKETED.sub(rf"{_OVERRIDES}\1", key)
    return _NAMES.get(relaxed(key), key)


def _check(name: str, key: str) -> None:
    """Refuse what is not known, as far as it is ours or protects something in Java."""
    if name in _KNOWN:
        return
    if relaxed(name).startswith(_SECURITY):
        raise SettingsError(
            f"{nearest(name, USER_NAMES)}; it would protect nothing", key
        )
    if not name.startswith(SERVER):
        return
    if name.removeprefix(SERVER).startswith(_FREE):
        return
    known = [name for name in _KNOWN if name.startswith(SERVER)]
    known += [_GIT + name for name in GIT_NAMES]
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


def _variables(environ: Mapping[str, str], flat: Iterable[str]) -> dict[str, str]:
    """Spring's names for the environment: `SPRING_CLOUD_CONFIG_SERVER_PREFIX`.

    Of repositories and of a composite's members only those that *flat* has.
    """
    known = {
        name: key
        for key in (*_FIELDS, *_READ, *_git_keys(flat))
        for plain in (_JOINED.sub("_", key.upper()),)
        for name in (plain.replace("-", ""), plain.replace("-", "_"))
    }
    for start in (_SECURITY, TLS):
        for name in environ:
            if name.startswith(_JOINED.sub("_", start.upper())) and name not in known:
                raise SettingsError(nearest(name, known), name)
    return {key: environ[name] for name, key in known.items() if name in environ}


def _git_keys(flat: Iterable[str]) -> list[str]:
    """The keys of git that a variable may set."""
    found: dict[str, list[str]] = {_GIT: []}
    for key in map(_name, flat):
        if member := _MEMBER.match(key):
            found.setdefault(member[0], []).append(key.removeprefix(member[0]))
    return [
        start + name for start, given in found.items() for name in variable_names(given)
    ]


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
