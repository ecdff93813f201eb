"""What stores in SQL share: tables, queries, and the order in which changes are made.

The text is the same for SQLite and PostgreSQL. A change first raises the one row of
pyconfserve_revision, whose lock lasts to the end of its transaction: so changes are
seen in the order of their revisions, which a sequence does not promise. Who writes with
other tools must do the same, and give each bundle that it changes another version.

What was is kept in pyconfserve_change; its rows may be deleted at any time.
"""

from __future__ import annotations

import re
import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..environment.formats.document import LARGEST_FILE
from ..errors import (
    BackendMisconfigured,
    ConfigNotFound,
    InvalidRequest,
    VersionConflict,
)
from ..files import BundleName
from ..store import PastChange, Record, Snapshot, key_of
from . import sql_queries as queries
from .sql_sessions import Session, Sessions

__all__ = ["SqlStore"]

_MOST_CHANGES = 1000  # that are taken in one by one; more are read as a whole
_LAST = (1 << 63) - 1  # above every revision
_ID = re.compile(r"([0-9a-f]{16})([0-9a-f]{24})")


class _Id(NamedTuple):
    """The id of a change: its revision, and a mark that no other database has.

    As text it is as long as a commit's of git, and sorts by revision.
    """

    revision: int
    mark: str

    def __str__(self) -> str:
        return f"{self.revision:016x}{self.mark}"

    @classmethod
    def of(cls, text: str) -> _Id | None:
        """The id that *text* is, None for any other text."""
        found = _ID.fullmatch(text)
        return None if found is None else cls(min(int(found[1], 16), _LAST), found[2])


class SqlStore(ABC):
    """A store in the database of *sessions*; a subclass hears of changes.

    *reads* and *writes* begin a transaction: one that sees a single moment, one whose
    queries see what was durable before each of them. Tables that are missing are made
    with *makes*. What it raises is that of Store and HistoricStore;
    BackendMisconfigured for tables that are missing or not those of pyconfserve.
    """

    limit = LARGEST_FILE
    finds: str  # a query with a row where there are tables

    def __init__(
        self, sessions: Sessions, reads: str, writes: str, *, makes: bool = True
    ) -> None:
        self.address = sessions.address
        self._sessions = sessions
        sessions.makers = queries.tables(secrets.token_hex(12))
        self._reads, self._writes = reads, writes
        self._preparing = threading.Lock()
        self._is_prepared = not makes

    @abstractmethod
    def wait(self, token: str, seconds: float) -> None:
        """Return when there may be another token."""

    def _notify(self, session: Session, revision: int) -> None:  # noqa: B027
        """Have those hear of it who wait, once it is durable."""

    def _lock(self, session: Session) -> None:  # noqa: B027
        """Let nobody else make tables until the transaction ends."""

    def close(self) -> None:
        """Close the connections that nobody uses; calling this twice is fine."""
        self._sessions.close()

    def is_made(self) -> bool:
        """Whether there are tables; makes none."""
        with self._sessions.session() as session:
            return bool(session.ask(self.finds).fetchall())

    def _session(self) -> AbstractContextManager[Session]:
        self._prepare()
        return self._sessions.session()

    def _reading(self) -> AbstractContextManager[Session]:
        self._prepare()
        return self._sessions.transaction(self._reads)

    def _prepare(self) -> None:
        """Once, make what is missing of the tables."""
        if self._is_prepared:
            return
        with self._preparing:
            if not self._is_prepared and not self._has_tables():
                with self._sessions.transaction(self._writes) as session:
                    self._lock(session)
                    for statement in self._sessions.makers:
                        session.ask(statement)
            self._is_prepared = True

    def _has_tables(self) -> bool:
        try:
            with self._sessions.session() as session:
                return bool(session.ask(queries.TOKEN).fetchall())
        except BackendMisconfigured:
            return False

    def token(self) -> str:
        """The id of the last change."""
        with self._session() as session:
            return str(_last(session))

    def read(self) -> Snapshot:
        """All bundles, from one moment."""
        with self._reading() as session:
            token = str(_last(session))
            rows = session.ask(queries.ALL).fetchall()
        return Snapshot(
            token,
            {
                BundleName(*names): Record(body, version)
                for *names, version, body in rows
            },
        )

    def since(self, token: str) -> Snapshot | None:
        """The bundles that changed; None where *token* is not of this past."""
        known = _Id.of(token)
        if known is None:
            return None
        at = {"revision": known.revision}
        with self._reading() as session:
            last = _last(session)
            marks = session.ask(queries.MARK, at).fetchall()
            count = last.revision - known.revision
            if marks != [(known.mark,)] or not 0 <= count <= _MOST_CHANGES:
                return None
            rows = session.ask(queries.SINCE, at).fetchall()
        if len(rows) != count:
            return None
        records = {
            BundleName(*names): (
                None if body is None else Record(body, str(_Id(revision, mark)))
            )
            for revision, mark, *names, body in rows
        }
        return Snapshot(str(last), records)

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Compare and set; the version is the id of the change."""
        mark = secrets.token_hex(12)
        self._prepare()
        with self._sessions.transaction(self._writes, key_of(name)) as session:
            rows = session.ask(queries.BUMP, {"mark": mark}).fetchall()
            revision = rows[0][0] if rows else _missing()
            made = str(_Id(revision, mark))
            change = {
                **name._asdict(),
                **{"version": made, "expected": version, "body": text},
                **{"now": _now(), "revision": revision, "mark": mark},
            }
            query = _query(text, version)
            if session.ask(query, change).rowcount != 1:
                raise VersionConflict("the bundle has another version")
            session.ask(queries.REMEMBER, change)
            self._notify(session, revision)
        return None if text is None else made

    def changes(
        self, names: Sequence[BundleName], limit: int, before: str | None
    ) -> list[PastChange]:
        """The changes of all that these names are combined to, newest first."""
        columns = [dict.fromkeys(column) for column in zip(*names, strict=True)]
        values: dict[str, Any] = {"limit": limit, "before": _LAST}
        places = []
        for letter, column in zip("apl", columns, strict=True):
            keys = {f"{letter}{number}": one for number, one in enumerate(column)}
            places.append(", ".join(f":{key}" for key in keys))
            values |= keys
        with self._reading() as session:
            if before is not None:
                values["before"] = _known(session, "before", before).revision
            rows = session.ask(queries.PAST.format(*places), values).fetchall()
        return [
            PastChange(
                str(_Id(revision, mark)), time, BundleName(*parts), bool(is_gone)
            )
            for revision, mark, time, *parts, is_gone in rows
        ]

    def text_at(self, name: BundleName, change: str) -> str | None:
        """The text just after *change*, which may be one of another bundle."""
        with self._reading() as session:
            revision = _known(session, "commit", change).revision
            found = {**name._asdict(), "revision": revision}
            rows = session.ask(queries.THEN, found).fetchall()
        return rows[0][0] if rows else None

    def label_of(self, change: str) -> str:
        """The label of the bundle that *change* changed."""
        with self._reading() as session:
            at = {"revision": _known(session, "commit", change).revision}
            [(label,)] = session.ask(queries.LABEL, at).fetchall()
        return str(label)


def _query(text: str | None, version: str | None) -> str:
    """The change that is meant."""
    if version is None:
        return queries.CREATE
    return queries.REMOVE if text is None else queries.REPLACE


def _last(session: Session) -> _Id:
    rows = session.ask(queries.TOKEN).fetchall()
    return _Id(*(rows[0] if rows else _missing()))


def _missing() -> Any:
    raise BackendMisconfigured("pyconfserve_revision has no row: restore the database")


def _known(session: Session, field: str, change: str) -> _Id:
    """The id of a change that was made here."""
    known = _Id.of(change)
    if known is None:
        raise InvalidRequest(field, "expected the full id of a commit")
    if session.ask(queries.MARK, {"revision": known.revision}).fetchall() != [
        (known.mark,)
    ]:
        raise ConfigNotFound(f"the commit {change} is not in this history")
    return known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
