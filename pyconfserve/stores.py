"""Settings to the backend of a store that servers share: SQL or etcd.

This is the one place that knows which kind of store is which adapter, and what each
needs of the settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from .addresses import STORES, store_type
from .backend import ConfigBackend
from .environment.overlay import DEFAULT_LABEL
from .errors import SettingsError
from .settings import PREFIX, Settings
from .store import Store
from .store_backend import StoreBackend

__all__ = ["KINDS", "password_of", "postgresql_uri", "store_backend"]


def store_backend(settings: Settings) -> ConfigBackend:
    """The backend of the store that *settings* name.

    Raises SettingsError, MissingDependency without the store's library.
    """
    return StoreBackend(
        KINDS[settings.backend_type](_address(settings), settings),
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

    return EtcdStore(
        uri,
        username=settings.store_username,
        password=password_of(settings),
        ca_file=settings.store_ca_file or None,
        client_cert=settings.store_client_cert or None,
        client_key=settings.store_client_key or None,
    )


def _redis(uri: str, settings: Settings) -> Store:
    from .adapters.redis import RedisStore

    return RedisStore(
        uri,
        username=settings.store_username,
        password=password_of(settings),
        ca_file=settings.store_ca_file or None,
        client_cert=settings.store_client_cert or None,
        client_key=settings.store_client_key or None,
    )


KINDS: dict[str, Callable[[str, Settings], Store]] = {
    "etcd": _etcd,
    "postgresql": _postgresql,
    "redis": _redis,
    "sqlite": _sqlite,
}
