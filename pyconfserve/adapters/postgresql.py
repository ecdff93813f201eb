"""A store in PostgreSQL; its NOTIFY tells of changes.

Notices need a session of their own: what gives sessions to transactions (pgbouncer)
loses them, and then changes are seen by the poll alone.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

from .postgresql_sessions import PATIENCE, PostgresqlSession, PostgresqlSessions
from .sql import SqlStore
from .sql_sessions import Session

__all__ = ["PostgresqlStore"]

_CHANNEL = "pyconfserve"
_LOCK = 0x7079636F6E66  # of those who make the tables: "pyconf"


class PostgresqlStore(SqlStore):
    """Bundles in the database at *url*: an address, or `key=value` pairs of libpq.

    Tables that are missing are made with *makes*. *user* and *password* stand for those
    of the address; an answer may take *patience* seconds. Raises SettingsError for an
    address that is malformed. All methods raise BackendUnavailable when it cannot be
    reached, BackendTimeout, BackendDenied, StorageFull, and BackendMisconfigured for a
    database or tables that are not there.
    """

    finds = "SELECT 1 WHERE to_regclass('pyconfserve_revision') IS NOT NULL"

    def __init__(
        self,
        url: str,
        *,
        makes: bool = True,
        user: str | None = None,
        password: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._database = PostgresqlSessions(
            url, user=user, password=password, patience=patience
        )
        self.identity = self._database.identity
        super().__init__(
            self._database,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            makes=makes,
        )
        self._listening: PostgresqlSession | None = None
        self._listen = threading.Lock()  # held while notices are waited for
        # That ends a wait; made by who waits, as a process that forks shares it.
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def wait(self, token: str, seconds: float) -> None:
        """Return when a notice has come, and at once after it has connected."""
        with self._listen, self._database.translated():
            if self._ends is None and not self._database.is_closed:
                self._ends = socket.socketpair()
            if self._ends is None or self._database.is_closed:
                return
            session, self._listening = self._listening, None
            is_new = session is None
            session = session or self._database.connect()
            try:
                if is_new:
                    session.ask(f"LISTEN {_CHANNEL}")
                elif not self._hears(session, self._ends[0], seconds):
                    session.ask("SELECT 1")  # else one that is dead stays silent
            except BaseException:
                session.close()
                raise
            self._listening = session

    def _hears(
        self, session: PostgresqlSession, end: socket.socket, seconds: float
    ) -> bool:
        """Whether anything comes in time: a notice, an end, or that this is closed."""
        with selectors.DefaultSelector() as selector:
            selector.register(session.fileno(), selectors.EVENT_READ)
            selector.register(end, selectors.EVENT_READ)
            if not selector.select(seconds):
                return False
        session.pgconn.consume_input()
        while session.pgconn.notifies():
            pass
        return True

    def close(self) -> None:
        """Close the connections that nobody uses; calling this twice is fine."""
        super().close()
        if self._ends is not None:
            with suppress(OSError):
                self._ends[1].send(b".")
        with self._listen:
            if self._listening is not None:
                self._listening.close()
            self._listening = None
            for end in self._ends or ():
                end.close()

    def _notify(self, session: Session, revision: int) -> None:
        values = {"channel": _CHANNEL, "revision": f"{revision}"}
        session.ask("SELECT pg_notify(:channel, :revision)", values)

    def _lock(self, session: Session) -> None:
        session.ask("SELECT pg_advisory_xact_lock(:key)", {"key": _LOCK})
