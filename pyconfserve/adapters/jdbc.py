"""Spring's own table PROPERTIES, read as its JDBC backend reads it; nothing is saved.

Each answer is asked for anew, since the table tells nobody of its changes; while the
database is away the last good answer to the same request is given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..backend import ConfigSource, Found, bundles_of
from ..environment.formats.document import Entry
from ..environment.overlay import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    SPRING,
    Lookup,
    PropertySource,
)
from ..environment.properties import merge
from ..errors import (
    BackendError,
    BackendMisconfigured,
    ReadOnlyBackend,
)
from ..files import BundleName, bundle_name
from ..last_answers import LastAnswers
from ..threads import Threads
from .jdbc_slots import JdbcSlot, spring_slots
from .jdbc_urls import named, sessions_of
from .sql_sessions import Session

__all__ = ["SQL", "SQL_WITHOUT_PROFILE", "JdbcConfigBackend"]

# JdbcEnvironmentProperties; PostgreSQL keeps the case of what is quoted alone.
SQL = (
    'SELECT "KEY", "VALUE" from PROPERTIES '
    "where APPLICATION=? and PROFILE=? and LABEL=?"
)
SQL_WITHOUT_PROFILE = (
    'SELECT "KEY", "VALUE" from PROPERTIES '
    "where APPLICATION=? and PROFILE is null and LABEL=?"
)
_TABLE = (
    "CREATE TABLE PROPERTIES (APPLICATION TEXT, PROFILE TEXT, LABEL TEXT, "
    '"KEY" TEXT, "VALUE" TEXT)'
)
_LIST = "SELECT DISTINCT APPLICATION, PROFILE, LABEL from PROPERTIES"
_READS = {  # how a transaction begins that sees one moment, by the scheme of the URL
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "sqlite": "BEGIN",
}

_logger = logging.getLogger("pyconfserve.jdbc")


class JdbcConfigBackend:
    """The bundles in the database at *url*, such as `jdbc:postgresql://host/database`.

    The options are those of `spring.cloud.config.server.jdbc` and of
    `spring.datasource`: *sql* takes application, profile and label, and
    *sql_without_profile* application and label, at each `?` in turn; with
    *config_incomplete* profile `default` takes the place of the rows without one.
    Without *fail_on_error* a source that cannot be read is left out.

    Raises SettingsError for another kind of database, MissingDependency.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        sql: str = SQL,
        sql_without_profile: str = SQL_WITHOUT_PROFILE,
        label: str = SPRING.default_label,
        config_incomplete: bool = False,
        fail_on_error: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.default_label = label
        self._sessions = sessions_of(url, username, password)
        self._reads = _READS[self._sessions.address.partition(":")[0]]
        self._sql = named(sql, ("application", "profile", "label"), "sql")
        self._plain_sql = named(
            sql_without_profile, ("application", "label"), "sql-without-profile"
        )
        self._is_listed = sql == SQL
        if self._is_listed and sql_without_profile == SQL_WITHOUT_PROFILE:
            self._sessions.makers = (_TABLE,)
        self._is_incomplete = config_incomplete
        self._fails = fail_on_error
        self._last = LastAnswers(self._sessions.address, _logger, now=now)
        self._threads = Threads("pyconfserve-jdbc", 8)

    async def open(self) -> None:
        """Ask once, so that what is wrong is known; raises BackendError."""
        name = BundleName(SHARED_APPLICATION, DEFAULT_PROFILE, self.default_label)
        await self._threads.run((), self._fetch, name)

    async def close(self) -> None:
        """Close the connections; calling this twice is fine."""
        await self._threads.close()
        self._sessions.close()

    async def fetch(
        self, application: str, profile: str, label: str = SPRING.default_label
    ) -> ConfigSource | None:
        """The rows of one profile; those of `default` lie above those without one."""
        name = bundle_name(application, profile, label)
        return await self._threads.run((name.application,), self._fetch, name)

    def _fetch(self, name: BundleName) -> ConfigSource | None:
        with self._sessions.transaction(self._reads) as session:
            rows = self._bundle(session, JdbcSlot("", *name))
        return ConfigSource(*name, rows) if rows else None

    async def sources(self, lookup: Lookup) -> Found:
        """All rows for *lookup*, from one moment; raises BackendError."""
        return await self._threads.run(lookup.applications, self._sources, lookup)

    def _sources(self, lookup: Lookup) -> Found:
        try:
            found = Found(tuple(self._asked(lookup)), self.default_label)
        except BackendError as error:
            return self._last.instead(lookup, error)
        return self._last.kept(lookup, found)

    def _asked(self, lookup: Lookup) -> Iterator[PropertySource]:
        """The sources of an answer; empty ones are left out, as Spring does."""
        if lookup.dialect.has_profile_less_slot:
            slots = spring_slots(lookup, self.default_label, self._is_incomplete)
            ask = self._rows
        else:
            names = bundles_of(lookup, self.default_label)
            slots = [JdbcSlot(source, *name) for name, source in names.items()]
            ask = self._bundle
        with self._moment() as session:
            for slot in slots:
                if rows := self._tolerated(ask, session, slot):
                    entries = {key: Entry(value) for key, value in rows.items()}
                    yield PropertySource(slot.source_name, entries)

    def _bundle(self, session: Session, slot: JdbcSlot) -> dict[str, Any]:
        """The rows of a profile; those without one belong to `default`."""
        rows = self._rows(session, slot)
        if slot.profile != DEFAULT_PROFILE or self._is_incomplete:
            return rows
        return merge([rows, self._rows(session, slot._replace(profile=None))])

    def _rows(self, session: Session, slot: JdbcSlot) -> dict[str, Any]:
        sql = self._plain_sql if slot.profile is None else self._sql
        found = session.ask(sql, slot._asdict()).fetchall()
        return {str(key): "" if value is None else value for key, value, *_ in found}

    def _tolerated(
        self,
        ask: Callable[[Session, JdbcSlot], dict[str, Any]],
        session: Session | None,
        slot: JdbcSlot,
    ) -> dict[str, Any]:
        """What *ask* gives; without a session it has one of its own, and may fail."""
        if session is not None:
            return ask(session, slot)
        try:
            with self._sessions.session() as own:
                return ask(own, slot)
        except BackendError as error:
            _logger.warning("%s is left out: %s", slot.source_name, error)
            return {}

    def _moment(self) -> AbstractContextManager[Session | None]:
        """A transaction for a whole answer, where a part that fails makes all fail."""
        return self._sessions.transaction(self._reads) if self._fails else nullcontext()

    def health(self) -> Mapping[str, Any]:
        """The database, and what is wrong with it.

        Raises BackendError while it fails and nothing that it said is known.
        """
        return self._last.health()

    async def save(self, source: ConfigSource) -> None:
        """Raise ReadOnlyBackend: the table is another's."""
        raise ReadOnlyBackend

    async def list(self) -> list[ConfigSource]:
        """The names that have rows; properties are left empty.

        Raises BackendMisconfigured where *sql* is not Spring's: it names no table.
        """
        if not self._is_listed:
            raise BackendMisconfigured("with an SQL of its own nothing is listed")
        return [*await self._threads.run((), self._listed)]

    def _listed(self) -> Sequence[ConfigSource]:
        with self._sessions.session() as session:
            rows = session.ask(_LIST).fetchall()
        names = {
            (app, profile or DEFAULT_PROFILE, label) for app, profile, label in rows
        }
        return [ConfigSource(*name) for name in sorted(names) if all(name)]
