"""The backend that a Java server's settings of its table of properties describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend import ConfigBackend
from .errors import SettingsError
from .setting_kinds import boolean, checked

__all__ = ["DATASOURCE", "JDBC_NAMES", "jdbc_backend"]

DATASOURCE = tuple(
    f"spring.datasource.{name}" for name in ("url", "username", "password")
)
JDBC_NAMES = (
    *("sql", "sql-without-profile", "default-label", "config-incomplete"),
    *("fail-on-error", "order", "enabled"),
)
_SWITCHES = {
    "config-incomplete": ("config_incomplete", "false"),
    "fail-on-error": ("fail_on_error", "true"),
}
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

    switches: dict[str, Any] = {
        word: checked(boolean, given.get(name, default), start + name)
        for name, (word, default) in _SWITCHES.items()
    }

    return JdbcConfigBackend(
        url,
        username=username or None,
        password=password or None,
        **switches,
        **options,
    )
