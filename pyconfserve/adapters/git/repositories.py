"""Many repositories as one backend: by pattern, and with names filled into their URIs.

This is what Spring's MultipleJGitEnvironmentRepository does (spring.md 7). The first
repository with a pattern for the lookup answers; where it is missing, has not the label
or cannot be reached, the next one does, and last the default one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterator,
    Mapping,
    MutableSequence,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...addresses import shown
from ...backend import ConfigSource, Found, FoundFile, LookingBackend
from ...environment.overlay import DEFAULT_LABEL, Lookup, make_lookup
from ...errors import (
    BackendError,
    BackendMisconfigured,
    ConfigNotFound,
    ReadOnlyBackend,
)
from ...listing import MOST_LISTED, too_many
from ...threads import Threads
from .history import FirstPast
from .patterns import Repository, check_uri, is_template, matches, uris
from .pool import MOST_BACKENDS, Key, Member, Pool

if TYPE_CHECKING:
    from .backend import GitConfigBackend

__all__ = ["GitRepositories", "Repository"]

Value = TypeVar("Value")
Answered = TypeVar("Answered", Found, FoundFile | None)


class _Seen(NamedTuple):
    """What an answer depends on.

    `missed` are absent repositories that it passed by; the one that answered is named,
    not held, so that a kept answer keeps no closed backend.
    """

    missed: tuple[tuple[Key, float], ...]
    key: Key
    mark: object
    seen: Hashable  # of the member's answer


class GitRepositories:
    """The *repositories* with patterns, in their order, and behind them *default*.

    *make* gives the backend for a URI and the options of its repository, not yet
    opened. Backends of URIs with placeholders are made when they are asked for, at most
    *limit* at a time; *tidy* is told so, to keep no more of their folders than that.
    Saves are refused. Raises SettingsError for a placeholder that is not in a path.
    """

    def __init__(
        self,
        default: Repository,
        repositories: Sequence[Repository] = (),
        *,
        make: Callable[[str, Any], GitConfigBackend],
        tidy: Callable[[str, Any, int], None] = lambda *_: None,  # no folder was given
        limit: int = MOST_BACKENDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._default = default
        self._all = (*repositories, default)
        self._make = make
        self._tidy = tidy
        self._limit = limit
        for repository in self._all:
            check_uri(repository.uri)
        self._chores = Threads("pyconfserve-git-tidy", 1)
        self._pool = Pool(self._make_backend, self._tidy_folders, limit, clock)
        self._fixed = {
            key: Member(key, self._make_backend(key))
            for number, repository in enumerate(self._all)
            if not is_template(repository.uri)
            for key in [Key(number, repository.uri)]
        }
        self._used: set[Key] = set()  # of the fixed ones: the others are not open

    def _make_backend(self, key: Key) -> GitConfigBackend:
        return self._make(key.uri, self._all[key.number].options)

    def _tidy_folders(self, key: Key) -> None:
        self._tidy(key.uri, self._all[key.number].options, self._limit)

    @property
    def default_label(self) -> str:
        """The default repository's."""
        fixed = self._fixed_default()
        return fixed.backend.default_label if fixed else self._default.default_label

    @property
    def past(self) -> FirstPast:
        """That of the repository that answers."""
        return FirstPast(self._first)

    async def open(self) -> None:
        """Open those with one URI that are to be opened first; raises BackendError.

        Folders that an earlier server left are bounded.
        """
        for number, repository in enumerate(self._all):
            if is_template(repository.uri):
                key = Key(number, repository.uri)
                await self._chores.run((), self._tidy_folders, key)
        first = [
            member
            for key, member in self._fixed.items()
            if self._all[key.number].is_opened_first
        ]
        self._used.update(member.key for member in first)
        await _all_done(member.backend.open() for member in first)

    async def sources(self, lookup: Lookup) -> Found:
        """What the first repository that answers has.

        An answer for which a repository was passed by is kept only while that one is
        known to be absent. Raises what the default repository raises.
        """

        return await self._found(lookup, lambda one: one.backend.sources(lookup))

    def stamp(self, seen: Hashable) -> Hashable:
        """The stamp of the repository that answered, None once another might."""
        parts: _Seen = seen  # type: ignore[assignment]  # Found.seen
        member = self._fixed.get(parts.key) or self._pool.get(parts.key)
        if member is None or member.mark is not parts.mark:
            return None
        if any(self._pool.missed_until(key) != until for key, until in parts.missed):
            return None
        return member.backend.stamp(parts.seen)

    def look_again(self) -> None:
        """Let each open repository look."""
        for member in self._open():
            if isinstance(member.backend, LookingBackend):
                member.backend.look_again()

    async def file(self, lookup: Lookup, path: str) -> FoundFile | None:
        """The plain file of the repository that answers *lookup*."""
        return await self._found(lookup, lambda one: one.backend.file(lookup, path))

    async def _found(
        self, lookup: Lookup, ask: Callable[[Member], Awaitable[Answered]]
    ) -> Answered:
        """What the first repository says that answers; what that depends on is ours."""
        missed: list[tuple[Key, float | None]] = []

        async def ask_one(member: Member) -> tuple[Answered, Member]:
            return await ask(member), member

        found, member = await self._first(lookup, ask_one, missed)
        kept = tuple((key, until) for key, until in missed if until is not None)
        if found is None or found.seen is None or len(kept) < len(missed):
            return found and found._replace(seen=None)
        return found._replace(seen=_Seen(kept, member.key, member.mark, found.seen))

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The bundle of the first repository that has it."""

        async def ask(member: Member) -> ConfigSource:
            found = await member.backend.fetch(application, profile, label)
            if found is None:
                raise ConfigNotFound("no such bundle")
            return found

        try:
            return await self._first(make_lookup(application, profile, label), ask)
        except ConfigNotFound:
            return None

    async def save(self, source: ConfigSource) -> None:
        """Nothing is saved: which repository it belongs to would be a guess."""
        raise ReadOnlyBackend("many repositories as one are read-only")

    async def list(self) -> list[ConfigSource]:
        """What the default repository and those that are open hold, once each.

        Raises BackendError, also above listing.MOST_LISTED.
        """
        default = self._fixed_default()
        if default:
            self._used.add(default.key)
        named: dict[tuple[str, str, str], ConfigSource] = {}
        for one in self._open():  # one after the other: each may be a long list
            if one.is_out:  # it was closed meanwhile
                continue
            async with self._borrowed(one.key) as member:
                sources = await member.backend.list()
            for source in sources:
                name = (source.application, source.profile, source.label)
                named.setdefault(name, source)
            if len(named) > MOST_LISTED:
                raise too_many()
        return [*named.values()]

    async def refresh(self) -> None:
        """Fetch for all that is open; raises the first BackendError after all."""
        self._pool.forget_misses()
        await _all_done(member.backend.refresh() for member in self._open())

    def health(self) -> Mapping[str, Any]:
        """How each open repository is.

        Raises BackendError when the default one cannot answer.
        """
        default = self._fixed_default()
        reports = [] if default is None else [_report(default)]
        others = [one for one in self._open() if one is not default]
        for member in others:
            try:
                reports.append(_report(member))
            except BackendError as error:
                uri = shown(member.key.uri)
                reports.append({"repository": uri, "problem": str(error)})
        return {"repositories": reports}

    async def close(self) -> None:
        """Close all; calling this twice is fine."""
        await self._pool.close()
        await _all_done(member.backend.close() for member in self._fixed.values())

    def _fixed_default(self) -> Member | None:
        return self._fixed.get(Key(len(self._all) - 1, self._default.uri))

    def _open(self) -> Sequence[Member]:
        fixed = [one for key, one in self._fixed.items() if key in self._used]
        return [*fixed, *self._pool]

    async def _first(
        self,
        lookup: Lookup,
        ask: Callable[[Member], Awaitable[Value]],
        missed: MutableSequence[tuple[Key, float | None]] | None = None,
    ) -> Value:
        """What the first repository says that answers; others are noted in *missed*.

        There they are with the time until which they are known to be absent.
        """
        *matching, last = self._keys(lookup)
        for key in matching:
            try:
                async with self._borrowed(key) as member:
                    return await ask(member)
            except (BackendError, ConfigNotFound):
                if missed is not None and key is not None:
                    missed.append((key, self._pool.missed_until(key)))
        async with self._borrowed(last) as member:
            return await ask(member)

    def _keys(self, lookup: Lookup) -> Iterator[Key | None]:
        """The backends to ask, in order; None is one that cannot be."""
        for number, repository in enumerate(self._all):
            if repository is self._default or matches(repository, lookup):
                for uri in uris(repository, lookup):
                    yield Key(number, uri) if uri else None

    @asynccontextmanager
    async def _borrowed(self, key: Key | None) -> AsyncIterator[Member]:
        if key is None:
            raise BackendMisconfigured("no such repository")
        if key in self._fixed:
            self._used.add(key)
            yield self._fixed[key]
        else:
            async with self._pool.borrowed(key) as member:
                yield member


async def _all_done(tasks: Any) -> None:
    """Wait for all of *tasks*; raises the first error after all."""
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        if error is not None:
            raise error


def _report(member: Member) -> dict[str, Any]:
    return {"repository": shown(member.key.uri), **member.backend.health()}
