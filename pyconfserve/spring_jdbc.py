"""The backend that a Java server's settings of its table of properties describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend import ConfigBackend
from .errors import SettingsError
from .setting_kinds import boolean

__all__ = ["DATASOURCE", "JDBC_NAMES", "jdbc_backend"]

DATASOURCE = tuple(
    f"spring.datasource.{name}" for name in ("url", "username", "password")
)
JDBC_NAMES = (
    *("sql", "sql-without-profile", "default-label", "config-incomplete"),
    *("fail-on-error", "order", "enabled"),
)
_KEYWORDS = {
    "sql": "sql",
    "sql-without-profile": "sql_without_profile",
    "default-label": "label",
}


def jdbc_backend(
    given: Mapping[str, str], start: str, values: Mapping[str, str]
) -> ConfigBackend:
    """The backend of the settings *given* by name below *start*.

    The database is that of `spring.datasource` in *values*, of all settings. Raises
    SettingsError, MissingDependency without psycopg.
    """
    url, username, password = (values.get(name, "") for name in DATASOURCE)
    if not url:
        raise SettingsError("expected the address of a database", DATASOURCE[0])
    options: dict[str, Any] = {
        keyword: given[name] for name, keyword in _KEYWORDS.items() if given.get(name)
    }
    from .adapters.jdbc import JdbcConfigBackend

    return JdbcConfigBackend(
        url,
        username=username or None,
        password=password or None,
        config_incomplete=_is_on(given, "config-incomplete", start, default="false"),
        fail_on_error=_is_on(given, "fail-on-error", start, default="true"),
        **options,
    )


def _is_on(given: Mapping[str, str], name: str, start: str, *, default: str) -> bool:
    try:
        return boolean(given.get(name, default))
    except ValueError as error:
        raise SettingsError(str(error), start + name) from error
