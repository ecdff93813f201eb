"""Settings to the backend of a store that servers share.

This is the one place that knows which kind of store is which adapter, and what each
needs of the settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from .addresses import STORES, store_type
from .backend import ConfigBackend
from .environment.overlay import DEFAULT_LABEL
from .errors import SettingsError
from .setting_kinds import boolean, checked, text
from .settings import PREFIX, Settings
from .store import Store
from .store_backend import StoreBackend

__all__ = [
    "KINDS",
    "LAYOUTS",
    "bucket_options",
    "password_of",
    "postgresql_uri",
    "store_backend",
]

Kind = Callable[[Any], Any]  # of setting_kinds


def store_backend(settings: Settings) -> ConfigBackend:
    """The backend of the store that *settings* name.

    Raises SettingsError, MissingDependency without the store's library.
    """
    address, kind = _address(settings), settings.backend_type
    if settings.store_layout:
        return _as_others_wrote_it(address, settings)
    if kind == "s3":
        return _s3(address, settings)
    return StoreBackend(
        KINDS[kind](address, settings),
        label=settings.label or DEFAULT_LABEL,
        poll=settings.store_poll,
        snapshot_file=settings.snapshot or None,
    )


def password_of(settings: Settings) -> str:
    """The password of the store's user, "" where settings have none.

    Raises SettingsError for a file that cannot be read.
    """
    path = settings.store_password_file
    if settings.store_password or not path:
        return settings.store_password
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        key = f"{PREFIX}backend.password-file"
        raise SettingsError(f"cannot be read: {why}", key) from error


def _address(settings: Settings) -> str:
    """The address of the store; raises SettingsError unless it is one of its kind."""
    kind, uri = settings.backend_type, settings.store_uri or ""
    if store_type(uri) == kind:
        return uri
    starts = [f"{scheme}://" for scheme, name in STORES.items() if name == kind]
    raise SettingsError(
        f"backend.type {kind} needs an address that begins with {' or '.join(starts)}",
        f"{PREFIX}backend.uri",
    )


def _sqlite(uri: str, settings: Settings) -> Store:
    from .adapters.sqlite import SqliteStore

    path = unquote(uri.partition("://")[2])
    if not path or set("?#") & {*uri}:
        raise SettingsError(
            "expected sqlite:// and the path of a file", f"{PREFIX}backend.uri"
        )
    return SqliteStore(path, makes=not settings.read_only)


def _postgresql(uri: str, settings: Settings) -> Store:
    from .adapters.postgresql import PostgresqlStore

    return PostgresqlStore(
        postgresql_uri(uri, settings),
        makes=not settings.read_only,
        password=password_of(settings) or None,
    )


def postgresql_uri(uri: str, settings: Settings) -> str:
    """*uri* with the user and the files of *settings*, as libpq takes them.

    A certificate authority that is named means that it is looked at.
    """
    scheme, _, rest = uri.partition("://")
    if settings.store_username:
        place = re.sub("^[^/?]*@", "", rest)
        rest = f"{quote(settings.store_username, safe='')}@{place}"
    options = {
        "sslrootcert": settings.store_ca_file,
        "sslcert": settings.store_client_cert,
        "sslkey": settings.store_client_key,
    }
    if settings.store_ca_file and "sslmode=" not in rest:
        options["sslmode"] = "verify-full"
    given = "&".join(
        f"{name}={quote(text, safe='')}" for name, text in options.items() if text
    )
    if not given:
        return f"{scheme}://{rest}"
    return f"{scheme}://{rest}{'&' if '?' in rest else '?'}{given}"


def _etcd(uri: str, settings: Settings) -> Store:
    from .adapters.etcd import EtcdStore

    return EtcdStore(uri, **_user(settings), **_files(settings))


def _redis(uri: str, settings: Settings) -> Store:
    from .adapters.redis import RedisStore

    return RedisStore(uri, **_user(settings), **_files(settings))


def _consul(uri: str, settings: Settings) -> Store:
    from .adapters.consul import ConsulStore

    return ConsulStore(uri, **_token(settings), **_files(settings))


def _vault(uri: str, settings: Settings) -> Store:
    from .adapters.vault import VaultStore

    return VaultStore(uri, **_login(settings), **_files(settings))


def _as_others_wrote_it(uri: str, settings: Settings) -> ConfigBackend:
    """A backend that reads a layout which is not ours; raises SettingsError."""
    kind, layout = settings.backend_type, settings.store_layout
    layouts, known = LAYOUTS.get(kind, ((), {}))
    if layout not in layouts:
        expected = f"expected {' or '.join(layouts)}" if layouts else "there is none"
        raise SettingsError(f"{expected} for {kind}", f"{PREFIX}backend.layout")
    options = _options(settings, known)
    if kind == "vault":
        if settings.snapshot:
            problem = "the secrets of others are never kept in a file"
            raise SettingsError(problem, f"{PREFIX}backend.snapshot")
        from .adapters.vault_paths import VaultConfigBackend

        return VaultConfigBackend(
            uri, **_login(settings), **_files(settings), **options
        )
    from .adapters.consul_layouts import ConsulConfigBackend

    return ConsulConfigBackend(
        uri,
        layout=layout,
        poll=settings.store_poll,
        snapshot_file=settings.snapshot or None,
        **_token(settings),
        **_files(settings),
        **options,
    )


def _options(settings: Settings, known: Mapping[str, Kind]) -> dict[str, Any]:
    """What backend.options say of a layout; raises SettingsError."""
    found = {}
    for name, value in settings.backend_options.items():
        spelt = name.replace("_", "-")
        key = f"{PREFIX}backend.options.{spelt}"
        if spelt not in known:
            raise SettingsError(f"expected {' or '.join(known)}", key)
        found[name] = checked(known[spelt], value, key)
    return found


def _s3(uri: str, settings: Settings) -> ConfigBackend:
    from .adapters.s3 import S3ConfigBackend

    return S3ConfigBackend(
        uri,
        label=settings.label or DEFAULT_LABEL,
        poll=settings.store_poll,
        snapshot_file=settings.snapshot or None,
        **bucket_options(settings),
    )


def bucket_options(settings: Settings) -> dict[str, Any]:
    """Where a bucket is, and who asks; raises SettingsError for a file of a secret."""
    return {
        "endpoint": settings.store_endpoint,
        "region": settings.store_region,
        "access_key": settings.store_username,
        "secret_key": password_of(settings),
        "ca_file": settings.store_ca_file or None,
    }


def _files(settings: Settings) -> dict[str, Any]:
    """The files of TLS."""
    return {
        "ca_file": settings.store_ca_file or None,
        "client_cert": settings.store_client_cert or None,
        "client_key": settings.store_client_key or None,
    }


def _user(settings: Settings) -> dict[str, Any]:
    return {"username": settings.store_username, "password": password_of(settings)}


def _token(settings: Settings) -> dict[str, Any]:
    return {"token": settings.store_token, "token_file": settings.store_token_file}


def _login(settings: Settings) -> dict[str, Any]:
    """A token of Vault, or a role and its secret."""
    return {
        **_token(settings),
        "role_id": settings.store_username,
        "secret_id": password_of(settings),
        "namespace": settings.store_namespace,
    }


KINDS: dict[str, Callable[[str, Settings], Store]] = {
    "consul": _consul,
    "etcd": _etcd,
    "postgresql": _postgresql,
    "redis": _redis,
    "sqlite": _sqlite,
    "vault": _vault,
}
_NAMES: dict[str, Kind] = {"profile-separator": text}
# What each kind of store has of others, and the options of that.
LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, Kind]]] = {
    "consul": (
        ("key-value", "yaml", "properties", "files"),
        {**_NAMES, "data-key": text},
    ),
    "vault": (
        ("spring",),
        {
            **_NAMES,
            "default-key": text,
            "path-to-key": text,
            "enable-label": boolean,
            "full-key-path": boolean,
        },
    ),
}
