"""Several backends as one: their sources one after another, the first wins."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from .backend import (
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
    StampedBackend,
    default_label_of,
    find,
    versioned,
)
from .environment.overlay import DEFAULT_LABEL, Lookup
from .errors import BackendError, ConfigNotFound
from .label_folders import LabelFolders, label_folders_of
from .versions import ANYTHING, Changed, Expected, Stored, Work

__all__ = ["CompositeConfigBackend"]


class CompositeConfigBackend:
    """The bundles of *members*, highest precedence first; saves go to the first.

    A member that has not the label asked for fails the lookup, unless *is_lenient*:
    then it contributes nothing (Spring's `fail-on-composite-error: false`).
    """

    def __init__(
        self, members: Sequence[ConfigBackend], *, is_lenient: bool = False
    ) -> None:
        self.members = tuple(members)
        self._is_lenient = is_lenient

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The bundle of the first member that has it."""
        for member in self.members:
            found = await member.fetch(application, profile, label)
            if found is not None:
                return found
        return None

    async def save(self, source: ConfigSource) -> None:
        """Save to the first member."""
        await self.members[0].save(source)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """What the first member has stored; MethodNotAllowed if it has no versions."""
        return await versioned(self.members[0]).stored(application, profile, label)

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Change what the first member has stored; raises MethodNotAllowed, too."""
        first = versioned(self.members[0])
        return await first.change(application, profile, label, work, expected)

    async def sources(self, lookup: Lookup) -> Found:
        """The sources of all members; kept only when each of theirs can be."""
        parts = await asyncio.gather(*(self._find(one, lookup) for one in self.members))
        versions = [part.version for part in parts if part.version]
        seen = tuple(part.seen for part in parts)
        return Found(
            sources=tuple(source for part in parts for source in part.sources),
            label=parts[0].label,
            version=",".join(versions) if len(versions) == len(parts) else None,
            seen=None if None in seen else seen,
            stamp=tuple(part.stamp for part in parts),
        )

    async def _find(self, member: ConfigBackend, lookup: Lookup) -> Found:
        try:
            return await find(member, lookup)
        except ConfigNotFound:
            if self._is_lenient:
                return Found(())
            raise

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

    async def file(self, lookup: Lookup, path: str) -> PlainFile | None:
        """The plain file of the first member that has it."""
        for member in self.members:
            if isinstance(member, PlainFileBackend):
                found = await member.file(lookup, path)
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
        """How each member is; raises BackendError when none can answer."""
        reports: list[Mapping[str, Any]] = []
        errors: list[BackendError] = []
        for member in self.members:
            try:
                details = member.health() if isinstance(member, HealthBackend) else {}
                reports.append({"backend": type(member).__name__, **details})
            except BackendError as error:
                errors.append(error)
                reports.append(
                    {"backend": type(member).__name__, "problem": str(error)}
                )
        if len(errors) == len(self.members):
            raise errors[0]
        return {"members": reports}

    async def open(self) -> None:
        """Open each member that has to; raises BackendError."""
        able = [one for one in self.members if isinstance(one, OpeningBackend)]
        await asyncio.gather(*(one.open() for one in able))

    async def close(self) -> None:
        """Close each member that holds something open."""
        able = [one for one in self.members if isinstance(one, ClosingBackend)]
        await asyncio.gather(*(one.close() for one in able))

    async def list(self) -> list[ConfigSource]:
        """What any member has stored, once each."""
        found: dict[tuple[str, str, str], ConfigSource] = {}
        for member in self.members:
            for source in await member.list():
                name = (source.application, source.profile, source.label)
                found.setdefault(name, source)
        return [*found.values()]
