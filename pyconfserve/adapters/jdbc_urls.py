"""What Spring's settings say of a database, in the words of its Python library."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, quote, urlencode

from ..errors import SettingsError
from .sql_sessions import Sessions
from .sqlite import SqliteSessions

__all__ = ["named", "sessions_of"]

_URL = "spring.datasource.url"
_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|--[^\n]*|\?""")
_SAME = ("user", "password", "sslmode", "sslrootcert")  # options with libpq's own names


def sessions_of(url: str, user: str | None, password: str | None) -> Sessions:
    """The connections to what a URL of JDBC names.

    Raises SettingsError for one of another kind, MissingDependency without psycopg.
    """
    if url.startswith("jdbc:sqlite:"):
        return SqliteSessions(url.removeprefix("jdbc:sqlite:"))
    if url.startswith("jdbc:postgresql:"):
        from .postgresql_sessions import PostgresqlSessions

        address, _, options = url.removeprefix("jdbc:").partition("?")
        given = dict(_option(*one) for one in parse_qsl(options, True))
        query = f"?{urlencode(given, quote_via=quote)}" if given else ""
        return PostgresqlSessions(address + query, user=user, password=password)
    raise SettingsError("expected jdbc:postgresql://… or jdbc:sqlite:…", _URL)


def _option(name: str, value: str) -> tuple[str, str]:
    """An option of a JDBC URL for PostgreSQL, as libpq knows it."""
    if name == "currentSchema":
        return "options", f"-csearch_path={value}"
    if name == "ssl":
        return "sslmode", "verify-full" if value in ("", "true") else "disable"
    if name not in _SAME:
        raise SettingsError(f"the option {name} is not known here", _URL)
    return name, value


def named(sql: str, names: Sequence[str], key: str) -> str:
    """*sql* with a name in place of each `?`.

    Raises SettingsError, about Spring's setting *key*, unless there are as many.
    """
    if _TOKEN.findall(sql).count("?") != len(names):
        problem = f"expected {len(names)} ?, for {', '.join(names)}"
        raise SettingsError(problem, f"spring.cloud.config.server.jdbc.{key}")
    left = [*names]
    return _TOKEN.sub(
        lambda found: f":{left.pop(0)}" if found[0] == "?" else found[0], sql
    )
