"""The backend that a Java server's settings of its secrets in Vault describe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .backend import ConfigBackend
from .errors import SettingsError
from .setting_kinds import boolean, checked

__all__ = ["VAULT_NAMES", "vault_backend"]

_READ = (
    *("host", "port", "scheme", "backend", "default-key", "profile-separator"),
    *("kv-version", "path-to-key", "full-key-path", "enable-label", "default-label"),
    *("token", "namespace", "authentication"),
    *("app-role.role-id", "app-role.secret-id", "app-role.app-role-path"),
    *("order", "enabled"),
)
_HOW = "set authentication to TOKEN or APPROLE"
_TLS = "those whom this machine trusts are trusted"
_REFUSED = {
    "skip-ssl-validation": "the server's certificate is always looked at",
    "ssl.trust-store": f"stores of keys are not read: {_TLS}",
    "ssl.key-store": f"stores of keys are not read: {_HOW}",
    "app-role.role": f"a role is not looked up: set its role-id and {_HOW}",
    "app-role.initial-token": f"nothing is unwrapped: {_HOW}",
    "proxy.https.host": "no proxy is asked",
    "proxy.http.host": "no proxy is asked",
}
VAULT_NAMES = (*_READ, *_REFUSED)
_TEXTS = {
    "default-key": "default_key",
    "profile-separator": "profile_separator",
    "path-to-key": "path_to_key",
    "default-label": "default_label",
    "namespace": "namespace",
}
_SWITCHES = {"enable-label": "enable_label", "full-key-path": "full_key_path"}
_ROLE = {
    "app-role.role-id": "role_id",
    "app-role.secret-id": "secret_id",
    "app-role.app-role-path": "role_path",
}
_WAYS = ("TOKEN", "APPROLE")
_VERSIONS = {"1": 1, "2": 2, "auto": None}


def vault_backend(
    given: Mapping[str, str], start: str, values: Mapping[str, str]
) -> ConfigBackend:
    """The backend of the settings *given* by name below *start*.

    Without a token or a role, each request brings its token. Raises SettingsError.
    """
    for name, problem in _REFUSED.items():
        text = given.get(name, "").strip()
        if text and text.lower() != "false":
            raise SettingsError(problem, start + name)
    version = given.get("kv-version", "1").strip().lower()
    if version not in _VERSIONS:
        raise SettingsError("expected 1, 2 or auto", f"{start}kv-version")
    texts: dict[str, Any] = {
        word: given[name] for name, word in _TEXTS.items() if name in given
    }
    switches: dict[str, Any] = {
        word: checked(boolean, given.get(name, "false"), start + name)
        for name, word in _SWITCHES.items()
    }
    from .adapters.vault_paths import VaultConfigBackend

    try:
        return VaultConfigBackend(
            _uri(given, start),
            kv_version=_VERSIONS[version],
            **switches,
            **texts,
            **_login(given, start),
        )
    except SettingsError as error:
        if error.key.startswith(start):
            raise
        names = {"token": "token", **{word: name for name, word in _TEXTS.items()}}
        key = names.get(error.key, "host")
        raise SettingsError(error.problem, start + key) from error


def _uri(given: Mapping[str, str], start: str) -> str:
    """The address that the parts make; raises SettingsError."""
    scheme = given.get("scheme", "http").strip().lower()
    if scheme not in ("http", "https"):
        raise SettingsError("expected http or https", f"{start}scheme")
    port = given.get("port", "8200").strip()
    if not re.fullmatch("[0-9]{1,5}", port):
        raise SettingsError("expected a whole number", f"{start}port")
    host = given.get("host", "").strip() or "127.0.0.1"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    backend = given.get("backend", "").strip().strip("/") or "secret"
    kind = "vaults" if scheme == "https" else "vault"
    return f"{kind}://{host}:{port}/{quote(backend, safe='')}"


def _login(given: Mapping[str, str], start: str) -> dict[str, Any]:
    """Who asks: a token, a role, or, with neither, each request; raises SettingsError.

    Java takes a token without `authentication`, and a role with it alone.
    """
    way = given.get("authentication", "").strip().upper()
    if way and way not in _WAYS:
        raise SettingsError(f"expected {' or '.join(_WAYS)}", f"{start}authentication")
    if way == "APPROLE":
        if not given.get("app-role.role-id"):
            raise SettingsError("expected the id of a role", f"{start}app-role.role-id")
        return {word: given[name] for name, word in _ROLE.items() if given.get(name)}
    token = given.get("token", "")
    if way and not token:
        raise SettingsError("expected a token", f"{start}token")
    return {"token": token}
