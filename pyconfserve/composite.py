"""Several backends as one: their sources one after another, the first wins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

from .absences import Absences
from .backend import (
    AnnouncingBackend,
    ClosingBackend,
    ConfigBackend,
    ConfigSource,
    Found,
    HealthBackend,
    LookingBackend,
    OpeningBackend,
    PlainFile,
    PlainFileBackend,
    RefreshingBackend,
    RequestBackend,
    StampedBackend,
    TellingBackend,
    default_label_of,
    find,
    versioned,
)
from .environment.overlay import DEFAULT_LABEL, Lookup
from .environment.rendering import content_version
from .errors import BackendError, ConfigNotFound
from .label_folders import LabelFolders, label_folders_of
from .versions import ANYTHING, Changed, Expected, Stored, Work
from .weights import is_large

__all__ = ["CompositeConfigBackend"]

_PAUSE = 1.0  # seconds between attempts at an optional member that is away
_OPENING = 10.0  # seconds for one at the start: a repository is cloned then


class CompositeConfigBackend:
    """The bundles of *members*, highest precedence first; saves go to one of them.

    That is the one at *writable*, counted from 0. A member that is away, or has not the
    label asked for, fails the lookup; one of those at *optional* contributes nothing
    then (Spring's `fail-on-composite-error: false`, for all of them): the start waits
    *opening* seconds for it, and while it is away only one request in *pause* seconds
    does, a moment.
    """

    def __init__(
        self,
        members: Sequence[ConfigBackend],
        *,
        writable: int = 0,
        optional: Collection[int] = (),
        pause: float = _PAUSE,
        opening: float = _OPENING,
    ) -> None:
        self.members = tuple(members)
        self._writable = writable
        names = {number: type(self.members[number]).__name__ for number in optional}
        self._absences = Absences(names, pause, opening)
        if any(isinstance(member, RequestBackend) for member in self.members):
            # Only then is it one: answers of a RequestBackend are never kept.
            self.for_request = self._for_request

    def _for_request(
        self, token: str | None, state: str | None
    ) -> CompositeConfigBackend:
        """A form of itself whose members take the credentials of one request."""
        form = copy(self)
        form.members = tuple(
            one.for_request(token, state) if isinstance(one, RequestBackend) else one
            for one in self.members
        )
        return form

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The bundle of the first member that has it."""
        for number, member in enumerate(self.members):
            fetch = partial(member.fetch, application, profile, label)
            found = await self._absences.ask(number, fetch, None)
            if found is not None:
                return found
        return None

    async def save(self, source: ConfigSource) -> None:
        """Save to the writable member."""
        await self._target.save(source)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """What the writable member has; MethodNotAllowed if it has no versions."""
        return await versioned(self._target).stored(application, profile, label)

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Change what the writable member has; raises MethodNotAllowed, too."""
        target = versioned(self._target)
        return await target.change(application, profile, label, work, expected)

    @property
    def _target(self) -> ConfigBackend:
        return self.members[self._writable]

    async def sources(self, lookup: Lookup) -> Found:
        """The sources of all members; kept only when each of theirs can be.

        Versions are joined; where only some members have one, a hash of the content
        stands for the others'.
        """
        parts = await asyncio.gather(
            *(self._find(number, lookup) for number in range(len(self.members)))
        )
        seen = tuple(part.seen for part in parts)
        sources = tuple(source for part in parts for source in part.sources)
        if is_large(sources):
            version = await asyncio.to_thread(_joined, parts)
        else:
            version = _joined(parts)
        return Found(
            sources=sources,
            label=parts[0].label,
            version=version,
            seen=None if None in seen else seen,
            stamp=tuple(part.stamp for part in parts),
        )

    async def _find(self, number: int, lookup: Lookup) -> Found:
        """What one member has; nothing where it may be away, and is."""

        async def found() -> Found:
            try:
                return await find(self.members[number], lookup)
            except ConfigNotFound:
                if not self._absences.is_optional(number):
                    raise
            return Found(())

        return await self._absences.ask(number, found, Found(()))

    def stamp(self, seen: Hashable) -> Hashable:
        """The stamps of the members' answers."""
        parts: tuple[Hashable, ...] = seen  # type: ignore[assignment]  # Found.seen
        return tuple(
            member.stamp(part) if isinstance(member, StampedBackend) else None
            for member, part in zip(self.members, parts, strict=True)
        )

    @property
    def label_folders(self) -> LabelFolders | None:
        """What labels may reach in any member."""
        found = [one for one in map(label_folders_of, self.members) if one is not None]
        reach = any(one.reach_bundles for one in found)
        return LabelFolders(default_label_of(self), reach) if found else None

    def look_again(self) -> None:
        """Let each member look that can."""
        for member in self.members:
            if isinstance(member, LookingBackend):
                member.look_again()

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Hand on what members see that can."""
        for member in self.members:
            if isinstance(member, AnnouncingBackend):
                member.on_sight(tell)

    def on_change(self, tell: Callable[[ConfigSource], None]) -> Callable[[], None]:
        """Hand on what members tell that can."""
        able = [one for one in self.members if isinstance(one, TellingBackend)]
        ends = [one.on_change(tell) for one in able]

        def end() -> None:
            for each in ends:
                each()

        return end

    async def file(self, lookup: Lookup, path: str) -> PlainFile | None:
        """The plain file of the first member that has it."""
        for number, member in enumerate(self.members):
            if isinstance(member, PlainFileBackend):
                read = partial(member.file, lookup, path)
                found = await self._absences.ask(number, read, None)
                if found is not None:  # nobody tells when one before has it, too
                    return PlainFile(found.data, found.modified)
        return None

    async def refresh(self) -> None:
        """Refresh each member that can; raises the first BackendError after all."""
        able = [one for one in self.members if isinstance(one, RefreshingBackend)]
        refreshes = [one.refresh() for one in able]
        done = await asyncio.gather(*refreshes, return_exceptions=True)
        for error in done:
            if error is not None:
                raise error

    def health(self) -> Mapping[str, Any]:
        """How each member is.

        Raises BackendError when one that is needed can answer nobody, or all cannot.
        """
        reports: list[Mapping[str, Any]] = []
        errors: dict[int, BackendError] = {}
        for number, member in enumerate(self.members):
            report: Mapping[str, Any] = {}
            try:
                report = member.health() if isinstance(member, HealthBackend) else {}
            except BackendError as error:
                errors[number] = error
                report = {"problem": str(error)}
            reports.append({"backend": type(member).__name__, **report})
        needed = [
            error
            for number, error in errors.items()
            if not self._absences.is_optional(number)
        ]
        if needed or len(errors) == len(self.members):
            raise (needed or [*errors.values()])[0]
        return {"members": reports}

    async def open(self) -> None:
        """Open each member that has to; raises BackendError of one that is needed.

        One that is optional may open later.
        """
        await asyncio.gather(
            *(
                self._absences.open(number, member.open)
                for number, member in enumerate(self.members)
                if isinstance(member, OpeningBackend)
            )
        )

    async def close(self) -> None:
        """Close each member that holds something open."""
        await self._absences.close()
        able = [one for one in self.members if isinstance(one, ClosingBackend)]
        await asyncio.gather(*(one.close() for one in able))

    async def list(self) -> list[ConfigSource]:
        """What any member has stored, once each."""
        found: dict[tuple[str, str, str], ConfigSource] = {}
        for number, member in enumerate(self.members):
            nothing: list[ConfigSource] = []
            for source in await self._absences.ask(number, member.list, nothing):
                name = (source.application, source.profile, source.label)
                found.setdefault(name, source)
        return [*found.values()]


def _joined(parts: Sequence[Found]) -> str | None:
    """The versions of all parts; None where no part has one."""
    if not any(part.version for part in parts):
        return None
    return ",".join(part.version or content_version(part.sources) for part in parts)
