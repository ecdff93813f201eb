"""Connections to a database: kept for the next who asks, and closed when they fail."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from ..errors import ConfigError

__all__ = ["Cursor", "Session", "Sessions"]

_MOST_IDLE = 4  # connections that are kept open


class Cursor(Protocol):
    """What a query gives."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        ...


class Session(Protocol):
    """One connection, inside of a transaction or not."""

    def ask(self, query: str, parameters: Mapping[str, Any] | None = None) -> Cursor:
        """What *query* gives, with `:name` for parameters."""
        ...

    def close(self) -> None:
        """End it, and whatever transaction it is in."""
        ...


class Sessions(ABC):
    """The connections to one database; thread-safe.

    `address` names it without credentials. What is done inside of a session raises
    errors of the tree instead of the library's. `makers` are statements that make the
    tables, where they are known: they are told where there are none, or no right.
    """

    address: str
    makers: Sequence[str] = ()

    def __init__(self) -> None:
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self.is_closed = False

    @abstractmethod
    def connect(self) -> Any:
        """A new connection."""

    @abstractmethod
    def is_usable(self, session: Any) -> bool:
        """Whether one that was kept still works, as far as is known without asking."""

    @abstractmethod
    def translated(self, about: str = "") -> AbstractContextManager[None]:
        """Raises BackendError, with the address and *about*, for the library's own."""

    @contextmanager
    def session(self, about: str = "") -> Iterator[Session]:
        """A connection for single queries, about what is for errors."""
        try:
            with self.translated(about):
                session = self._taken()
                try:
                    yield session
                except BaseException:
                    session.close()
                    self._drop()  # what ends one may have ended all
                    raise
                self._give_back(session)
        except ConfigError as error:
            error.place = self.address
            raise

    @contextmanager
    def transaction(self, begin: str, about: str = "") -> Iterator[Session]:
        """A connection whose changes are durable in the end, or not made at all."""
        refused: ConfigError | None = None
        with self.session(about) as session:
            session.ask(begin)
            try:
                yield session
            except ConfigError as error:
                session.ask("ROLLBACK")
                refused = error
            else:
                session.ask("COMMIT")
        if refused is not None:
            raise refused

    def advise(self, error: ConfigError) -> None:
        """Add to *error*, about tables, what makes them; its text stays as it is."""
        if self.makers:
            statements = "".join(f"\n{one};" for one in self.makers)
            error.add_note(f"its tables are made by:{statements}")

    def close(self) -> None:
        """Close all that nobody uses, and let none be kept; twice is fine."""
        self.is_closed = True
        self._drop()

    def _taken(self) -> Session:
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            if self.is_usable(kept):
                return kept
            kept.close()
            self._drop()
        made: Session = self.connect()
        return made

    def _give_back(self, session: Session) -> None:
        with self._lock:
            is_kept = not self.is_closed and len(self._idle) < _MOST_IDLE
            if is_kept:
                self._idle.append(session)
        if not is_kept:
            session.close()

    def _drop(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()
