"""A backend as a server asks it: in time, few at a time, once for all who ask at once.

This is where a server's deadline, its bulkhead and the count of saves meet; what kind
of backend it has is nobody's concern here either.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from copy import copy
from typing import Any, TypeVar

from .backend import (
    AnnouncingBackend,
    ConfigBackend,
    ConfigSource,
    Found,
    FoundFile,
    LookingBackend,
    PlainFile,
    PlainFileBackend,
    find,
    versioned,
)
from .bulkhead import LATE, Bulkhead
from .environment.overlay import Lookup
from .flights import Flights
from .saves import OwnSaves, Saves
from .versions import Changed, Expected, Stored, Work

__all__ = ["TIMEOUT", "TimelyBackend"]

TIMEOUT = 30.0  # seconds for one answer: as long as most clients wait
_LATE_SAVE = f"{LATE}; the save may still happen"
_LIST = ("_list",)  # no application's name

Value = TypeVar("Value")


class TimelyBackend:
    """Asks *backend*, which has *timeout* seconds for each answer, None for any time.

    *saves* is shared with whoever else saves to the same store. Everything here raises
    BackendTimeout when time is up, BackendUnavailable at once for one more than may
    wait for an application, and what the backend raises.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        timeout: float | None = TIMEOUT,
        saves: Saves | None = None,
    ) -> None:
        self.backend = backend
        self.saves = saves or OwnSaves()
        self._counted: Hashable = None  # the saves that the backend was told of
        self._reading, self._saving = Bulkhead(timeout), Bulkhead(timeout)
        self._flights: Flights[Any] = Flights()
        if saves is not None and isinstance(backend, AnnouncingBackend):
            backend.on_sight(saves.raise_)  # no other process answers what was before

    def over(self, backend: ConfigBackend) -> TimelyBackend:
        """The same places for a form of the backend for one request.

        What was found with the credentials of one request is shared with no other.
        """
        other = copy(self)
        other.backend, other._counted, other._flights = backend, None, Flights()
        return other

    async def find(self, lookup: Lookup) -> Found:
        """What the backend has for *lookup*."""

        async def ask() -> Found:
            return await self._reading.run(
                lookup.applications, lambda: find(self.backend, lookup)
            )

        return await self._shared(lookup, ask)

    async def file(self, lookup: Lookup, path: str) -> PlainFile | FoundFile | None:
        """The plain file at *path*, None where there is none."""
        backend = self.backend
        if not isinstance(backend, PlainFileBackend):
            return None

        async def ask() -> PlainFile | FoundFile | None:
            return await self._reading.run(
                lookup.applications, lambda: backend.file(lookup, path)
            )

        return await self._shared((lookup, path), ask)

    async def list(self) -> list[ConfigSource]:
        """All that is stored."""
        self._look()
        return await self._reading.run(_LIST, self.backend.list)

    async def save(
        self, source: ConfigSource, tell: Callable[[ConfigSource], None]
    ) -> None:
        """Save, and *tell* when it is done; one that is late goes on."""

        await self._save(source, lambda: self.backend.save(source), tell)

    async def stored(self, source: ConfigSource) -> Stored | None:
        """What is stored under the names of *source*; raises MethodNotAllowed, too."""
        names = source.application, source.profile, source.label
        backend = versioned(self.backend)
        self._look()
        return await self._reading.run(names[:1], lambda: backend.stored(*names))

    async def change(
        self,
        source: ConfigSource,
        work: Work,
        expected: Expected,
        tell: Callable[[ConfigSource], None],
    ) -> Changed:
        """Change what is stored under the names of *source*; the rest is as in `save`.

        Raises MethodNotAllowed, too.
        """
        names = source.application, source.profile, source.label
        backend = versioned(self.backend)
        self._look()
        return await self._save(
            source, lambda: backend.change(*names, work, expected), tell
        )

    async def _save(
        self,
        source: ConfigSource,
        save: Callable[[], Coroutine[Any, Any, Value]],
        tell: Callable[[ConfigSource], None],
    ) -> Value:
        async def work() -> Value:
            try:
                saved = await save()
            finally:  # one that failed may have changed something
                self.saves.raise_()
            tell(source)
            return saved

        names = (source.application,)
        return await self._saving.run(names, work, stops=False, late=_LATE_SAVE)

    async def _shared(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Value]]
    ) -> Value:
        """What *work* gives, for all who want it at once and since the last save."""
        shared: Value = await self._flights.join((key, self._look()), work)
        return shared

    def _look(self) -> Hashable:
        """The count of saves; the backend is told of one that it may not have seen."""
        saves = self.saves.value()
        if saves != self._counted:
            if isinstance(self.backend, LookingBackend):
                self.backend.look_again()
            self._counted = saves  # not before: other threads would believe it
        return saves
