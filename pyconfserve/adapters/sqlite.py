"""A store in one SQLite file, for many processes of one machine (standard library).

The file is in WAL mode and every change is on the disk when it is answered. There are
no notices: a counter of SQLite's in shared memory is looked at instead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from ..errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
    ValueTooLarge,
)
from .sql import SqlStore
from .sql_sessions import Cursor, Sessions

__all__ = ["PATIENCE", "SqliteSession", "SqliteSessions", "SqliteStore"]

PATIENCE = 10.0  # seconds for a change by another process to end
_LOOK = 0.025  # seconds between looks at the counter: some 20 µs each

# By the beginning of SQLite's own name of the error.
_ERRORS: dict[str, tuple[type[BackendError], str]] = {
    "SQLITE_BUSY": (BackendUnavailable, "another process keeps it locked"),
    "SQLITE_LOCKED": (BackendUnavailable, "it is locked"),
    "SQLITE_CANTOPEN": (BackendUnavailable, "it cannot be opened"),
    "SQLITE_IOERR": (BackendUnavailable, "the disk fails"),
    "SQLITE_PROTOCOL": (BackendUnavailable, "it is locked"),
    "SQLITE_FULL": (StorageFull, "the disk is full"),
    "SQLITE_READONLY": (BackendDenied, "it may not be written"),
    "SQLITE_PERM": (BackendDenied, "it may not be opened"),
    "SQLITE_AUTH": (BackendDenied, "it may not be opened"),
    "SQLITE_NOTADB": (BackendMisconfigured, "the file is no SQLite database"),
    "SQLITE_CORRUPT": (BackendMisconfigured, "the database is damaged"),
    "SQLITE_ERROR": (BackendMisconfigured, "a table or a column is not there"),
}
_OF_TABLES = "SQLITE_ERROR"


class SqliteSession:
    """One connection, and which file it is to."""

    def __init__(self, database: sqlite3.Connection, file: tuple[int, int]) -> None:
        self._database, self.file = database, file

    def ask(self, query: str, parameters: Mapping[str, Any] | None = None) -> Cursor:
        """What *query* gives, with `:name` for parameters."""
        return self._database.execute(query, parameters or {})

    def close(self) -> None:
        """End it."""
        self._database.close()


class SqliteSessions(Sessions):
    """Connections to the file at *path*, which is made at the first with *makes*.

    One that goes away later is not: it would be taken for a store without bundles. A
    change by another process is waited for *patience* seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        makes: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__()
        self._patience = patience
        # POSIX keeps two slashes at the start, and SQLite reads a host after them.
        self._path = os.path.abspath(os.fspath(path)).replace("//", "/", 1)
        self._makes = makes
        self.address = f"sqlite://{self._path}"

    def connect(self) -> SqliteSession:
        """A connection to the file that is there now."""
        if self._makes:
            self._make()
        file = self._file()
        database = sqlite3.connect(
            f"file:{quote(self._path)}?mode=rw",
            uri=True,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            database.execute("PRAGMA synchronous = FULL")
            if self._makes:
                database.execute("PRAGMA journal_mode = WAL")
                self._makes = False
        except BaseException:
            database.close()
            raise
        return SqliteSession(database, file)

    @property
    def is_missing(self) -> bool:
        """Whether nothing is at the path, in a folder that is there."""
        folder = os.path.dirname(self._path)
        return not os.path.lexists(self._path) and os.path.isdir(folder)

    def _make(self) -> None:
        """Make the file, readable by its owner alone: it may hold secrets."""
        with suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self._path, flags, 0o600))

    def is_usable(self, session: SqliteSession) -> bool:
        """Whether the file is still the one at the path."""
        with suppress(OSError):
            return session.file == self._file()
        return False

    def _file(self) -> tuple[int, int]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino

    @contextmanager
    def translated(self, about: str = "") -> Iterator[None]:
        """What happens with the file, told as errors of the tree."""
        what = f"{self.address}: {about}: " if about else f"{self.address}: "
        try:
            yield
        except sqlite3.Error as error:
            code: str = getattr(error, "sqlite_errorname", None) or type(error).__name__
            if code == "SQLITE_TOOBIG":
                raise ValueTooLarge(f"{what}it is too large for SQLite") from error
            found = [value for key, value in _ERRORS.items() if code.startswith(key)]
            kind, problem = found[0] if found else (BackendError, "it fails")
            ours = kind(f"{what}{problem} ({code})")
            if code == _OF_TABLES:
                self.advise(ours)
            raise ours from error
        except PermissionError as error:
            raise BackendDenied(f"{what}it may not be opened") from error
        except OSError as error:
            problem = f"it cannot be opened: {error.strerror}"
            raise BackendUnavailable(f"{what}{problem}") from error


class SqliteStore(SqlStore):
    """Bundles in the file at *path*, which is made where there is none with *makes*.

    A change by another process is waited for *patience* seconds. All methods raise
    BackendUnavailable when the file went away or others keep it locked, BackendDenied,
    StorageFull, and BackendMisconfigured for what is no database of pyconfserve.
    """

    finds = "SELECT 1 FROM sqlite_master WHERE name = 'pyconfserve_revision'"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        makes: bool = True,
        patience: float = PATIENCE,
    ) -> None:
        self._files = SqliteSessions(path, makes=makes, patience=patience)
        super().__init__(self._files, "BEGIN", "BEGIN IMMEDIATE", makes=makes)
        self._closing = threading.Event()
        self._watching: SqliteSession | None = None
        self._watch = threading.Lock()
        self._seen: tuple[tuple[int, int], int] | None = None

    def is_made(self) -> bool:
        """Whether there are a file and tables; makes neither."""
        return not self._files.is_missing and super().is_made()

    def wait(self, token: str, seconds: float) -> None:
        """Return when any process has changed the file; looked at 40 times a second."""
        for _ in range(max(1, round(seconds / _LOOK))):
            with self._watch, self._files.translated():
                if self._closing.is_set():
                    return
                before, self._seen = self._seen, self._counter()
            if self._seen != before:
                return
            self._closing.wait(_LOOK)

    def _counter(self) -> tuple[tuple[int, int], int]:
        """The file, and a number that is another after a change of it by others."""
        if self._watching is None or not self._files.is_usable(self._watching):
            self._unwatch()
            self._watching = self._files.connect()
        ((number,),) = self._watching.ask("PRAGMA data_version").fetchall()
        return self._watching.file, number

    def _unwatch(self) -> None:
        if self._watching is not None:
            self._watching.close()
        self._watching = None

    def close(self) -> None:
        """Close the connections that nobody uses; calling this twice is fine."""
        self._closing.set()
        with self._watch:
            self._unwatch()
        super().close()
