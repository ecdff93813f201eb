"""Connections to PostgreSQL by psycopg 3, which answer in time or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import selectors
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote

from ..errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnavailable,
    MissingDependency,
    SettingsError,
    StorageFull,
)
from .sql_sessions import Cursor, Sessions

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.pq import Conninfo
except ModuleNotFoundError as error:
    what = "a PostgreSQL store", "pyconfserve[postgresql]"
    raise MissingDependency.instead_of(error, "psycopg", *what) from error

__all__ = ["PATIENCE", "PostgresqlSession", "PostgresqlSessions"]

PATIENCE = 10.0  # seconds for the answer to one query, and for a connection
_LIMITS = {  # of each session, as parts of that: what nobody waits for any more ends
    "statement_timeout": 0.9,
    "lock_timeout": 0.5,
    "idle_in_transaction_session_timeout": 1.5,
}
_DEFAULTS: Mapping[str, Any] = {  # of a connection; those of the address count more
    "application_name": "pyconfserve",
    **{"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3},
    "client_encoding": "UTF8",
}
# What says which bundles are found: a user may have a search path of its own.
_TELLING = ("host", "hostaddr", "port", "dbname", "user", "options", "service")
_PLACE = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|::|:(\w+)|%""")

# Else libpq takes the rest of a password for a host or a database, which are shown.
_SECRET_IN_PLACE = re.compile(r"postgres(?:ql)?://[^?@]*[/@][^?]*@")

_AWAY = BackendUnavailable, "it cannot be reached"
# By the beginning of SQLSTATE.
_ERRORS: dict[str, tuple[type[BackendError], str]] = {
    "08": _AWAY,
    "25006": (BackendUnavailable, "it takes no changes: it is a standby or read-only"),
    "28": (BackendDenied, "it does not take this user"),
    "3D": (BackendMisconfigured, "there is no such database"),
    "40": (BackendUnavailable, "another transaction came between"),
    "42501": (BackendDenied, "this user has not the right to it"),
    "42": (BackendMisconfigured, "a table or a column is not there"),
    "53100": (StorageFull, "its disk is full"),
    "53": (BackendUnavailable, "it has no room for more"),
    "54": (BackendMisconfigured, "it is too much for it"),
    "55P03": (BackendUnavailable, "another transaction keeps it locked"),
    "57014": (BackendTimeout, "it did not answer in time"),
    "57P": (BackendUnavailable, "it is shutting down or starting up"),
}
_OF_TABLES = ("42501", "42703", "42P01")
# A connection that fails has no SQLSTATE, only a text.
_REFUSALS: dict[str, tuple[type[BackendError], str]] = {
    "password authentication failed": (BackendDenied, "it does not take this user"),
    "no password supplied": (BackendDenied, "it wants a password"),
    "no pg_hba.conf entry": (BackendDenied, "it does not take this user from here"),
    "not permitted to log in": (BackendDenied, "it does not take this user"),
    "permission denied for database": (BackendDenied, "it does not take this user"),
    'role "': (BackendDenied, "it does not take this user"),
    '" does not exist': (BackendMisconfigured, "there is no such database"),
    "certificate verify failed": (BackendMisconfigured, "its certificate is not good"),
    "does not support SSL": (BackendMisconfigured, "it speaks no TLS"),
}


class PostgresqlSession(psycopg.Connection[Any]):
    """A connection that answers each query in *patience* seconds, or not at all."""

    patience = PATIENCE

    def wait(
        self, gen: Any, interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """What *gen* gives; raises TimeoutError."""
        began = time.monotonic()
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except psycopg.OperationalError as error:
            if time.monotonic() - began >= (timeout or self.patience):
                raise TimeoutError from error
            raise

    def ask(self, query: str, parameters: Mapping[str, Any] | None = None) -> Cursor:
        """What *query* gives, with `:name` for parameters."""
        return self.execute(_placed(query), parameters or {})


class PostgresqlSessions(Sessions):
    """Connections to the database at *url*: an address, or `key=value` pairs of libpq.

    *user* and *password* stand for those of the address; *patience* is the seconds that
    one answer may take. `identity` is another for each store, also where `address` is
    not. Raises SettingsError for an address that is malformed, which is not quoted.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__()
        given = {"user": user, "password": password}
        if _SECRET_IN_PLACE.match(url):
            raise SettingsError("in a user or a password write %40 for @ and %2F for /")
        try:
            found = conninfo_to_dict(url)
        except psycopg.Error:
            expected = "expected postgresql://user@host:5432/database"
            raise SettingsError(expected) from None
        found |= {key: value for key, value in given.items() if value is not None}
        limits = {
            "connect_timeout": max(2, round(patience)),  # libpq takes no less
            "tcp_user_timeout": round(patience * 1000),
        }
        self._parameters: dict[str, Any] = {**_DEFAULTS, **limits, **found}
        self._patience = patience
        self._settings = "; ".join(
            f"SET {name} = {round(part * patience * 1000)}"
            for name, part in _LIMITS.items()
        )
        known = _defaults() | found
        self.address = _shown(found if "service" in found else known)
        telling = json.dumps([known.get(name, "") for name in _TELLING])
        digest = hashlib.sha256(telling.encode()).hexdigest()
        self.identity = f"{self.address} {digest}"

    def connect(self) -> PostgresqlSession:
        """A new connection; raises psycopg's errors."""
        parameters = {**self._parameters, "prepare_threshold": None}
        session = PostgresqlSession.connect(autocommit=True, **parameters)
        session.patience = self._patience
        try:
            session.execute(self._settings)
        except BaseException:
            session.close()
            raise
        return session

    def is_usable(self, session: PostgresqlSession) -> bool:
        """Whether the server has not ended it: else there is something to read."""
        if session.closed:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(session.fileno(), selectors.EVENT_READ)
            return not selector.select(0)

    @contextmanager
    def translated(self, about: str = "") -> Iterator[None]:
        """What psycopg raises, told as errors of the tree; its texts are not quoted."""
        what = f"{self.address}: {about}: " if about else f"{self.address}: "
        try:
            yield
        except psycopg.Error as error:
            kind, problem = _meaning(error)
            ours = kind(f"{what}{problem}")
            if error.sqlstate in _OF_TABLES:
                self.advise(ours)
            raise ours from error
        except TimeoutError as error:
            raise BackendTimeout(f"{what}it did not answer in time") from error
        except OSError as error:
            raise BackendUnavailable(f"{what}it cannot be reached") from error


def _meaning(error: psycopg.Error) -> tuple[type[BackendError], str]:
    """The error of the tree that *error* is, and what it says."""
    state = error.sqlstate
    if state is not None:
        found = [value for key, value in _ERRORS.items() if state.startswith(key)]
        kind, problem = found[0] if found else (BackendError, "it fails")
        return kind, f"{problem} (SQLSTATE {state})"
    if not isinstance(error, psycopg.OperationalError):
        return BackendError, f"it fails ({type(error).__name__})"
    text = str(error)
    return next((value for key, value in _REFUSALS.items() if key in text), _AWAY)


def _defaults() -> dict[str, str]:
    """What libpq takes from its environment, and of the service that this names."""
    found = {one.keyword: one.val for one in Conninfo.get_defaults()}
    return {key.decode(): value.decode() for key, value in found.items() if value}


def _shown(parameters: Mapping[str, Any]) -> str:
    """The address without user and password; a service may have the rest of it."""
    service = str(parameters.get("service") or "")
    default = "" if service else "localhost"
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or default)
    ports = str(parameters.get("port") or "5432").split(",")
    places = [
        f"{host}:{ports[min(number, len(ports) - 1)]}" if host else ""
        for number, host in enumerate(hosts.split(","))
    ]
    name = parameters.get("dbname") or (not service and parameters.get("user")) or ""
    end = f"?service={quote(service, safe='')}" if service else ""
    return f"postgresql://{','.join(places)}/{name}{end}"


@cache
def _placed(query: str) -> str:
    """*query* with the placeholders of psycopg, to which each other % is two."""
    return _PLACE.sub(
        lambda found: f"%({found[1]})s" if found[1] else found[0].replace("%", "%%"),
        query,
    )
