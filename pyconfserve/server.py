"""ConfigServer: bundles over any backend, for any edge; it knows no web framework."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from .backend import (
    ClosingBackend,
    ConfigBackend,
    ConfigSource,
    Found,
    FoundFile,
    HealthBackend,
    OpeningBackend,
    PlainFile,
    RequestBackend,
    default_label_of,
)
from .environment import names, rendering
from .environment.formats.document import Entry
from .environment.overlay import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    OWN,
    Dialect,
    Environment,
    Lookup,
    PropertySource,
    make_lookup,
)
from .environment.values import is_encrypted
from .errors import ConfigError, ConfigNotFound, DocumentError, ReadOnlyBackend
from .problems import Problems
from .saveable import saveable
from .saves import Saves
from .threads import Threads
from .timely import TIMEOUT, TimelyBackend
from .weights import is_large

if TYPE_CHECKING:
    from .environment.cipher import Cipher

__all__ = ["ConfigServer"]

_NAMES = attrgetter("application", "profile", "label")
_LOOK = 5.0  # seconds in which health looks whether what was broken still is

Value = TypeVar("Value")


class ConfigServer:
    """Serves the bundles of *backend*.

    The answer to (application, profile, label) is an overlay of them. *dialect* is OWN
    or SPRING; *accept_empty* says whether nothing found is an answer without sources
    (None: as the dialect does); *read_only* refuses every save, and SPRING implies it.
    *overrides* are flat properties above all others. *cipher* opens `{cipher}` values
    in answers; without *decrypts* they are handed on.

    The backend has *timeout* seconds for each answer, None for any time, and what waits
    for one application takes few places. *saves* is a count that is shared with the
    servers of other processes over the same store.
    """

    def __init__(
        self,
        backend: ConfigBackend,
        *,
        dialect: Dialect = OWN,
        accept_empty: bool | None = None,
        read_only: bool = False,
        cipher: Cipher | None = None,
        decrypts: bool = True,
        overrides: Mapping[str, str] = MappingProxyType({}),
        timeout: float | None = TIMEOUT,
        saves: Saves | None = None,
    ) -> None:
        self.timely = TimelyBackend(backend, timeout, saves)
        self.dialect = dialect
        self.accept_empty = accept_empty
        self.is_read_only = read_only or dialect.is_read_only
        self.cipher = cipher
        self._decrypts = decrypts
        self._overrides = _overriding(overrides)
        # Told of each save that is made here, by its thread.
        self.after_save: set[Callable[[ConfigSource], None]] = set()
        self._worker = Threads("pyconfserve-answers", 1)
        self._problems = Problems()

    @property
    def backend(self) -> ConfigBackend:
        """What is served."""
        return self.timely.backend

    @property
    def saves(self) -> Saves:
        """The count of saves: what was begun before the last may be older than it."""
        return self.timely.saves

    async def fetch(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> dict[str, Any] | None:
        """The document of an answer, None when nothing is stored.

        It is `{name, profiles, label, version, state, propertySources}`. Each argument
        may be a comma list. Sources are named `orders-prod`, `orders-default`,
        `application-prod`, `application-default`, highest precedence first, with flat
        keys in the order of their files.

        Raises InvalidRequest for malformed names, DocumentError for a file that does
        not parse, BackendError for a store that fails.
        """
        try:
            environment, _ = await self.environment(
                self.lookup(application, profile, label)
            )
        except ConfigNotFound:
            return None
        is_answer = environment.sources or self.accepts_empty()
        return environment.as_dict() if is_answer else None

    async def save(
        self,
        application: str,
        profile: str,
        properties: Mapping[str, Any],
        label: str = DEFAULT_LABEL,
    ) -> dict[str, Any]:
        """Replace one bundle; gives `{"saved": True}` when it is durable.

        Properties may be nested. Raises InvalidRequest for lists, malformed names and
        values, Conflict for reserved names and for a stored file that cannot be
        replaced, SchemaViolation and ValueTooLarge for what its file cannot hold,
        ReadOnlyBackend, BackendError; a save that took too long may still happen.
        """
        if self.is_read_only:
            raise ReadOnlyBackend
        source = saveable(application, profile, properties, label)
        await self.timely.save(source, self.tell)
        return {"saved": True}

    def tell(self, source: ConfigSource) -> None:
        """Tell all who want to know that *source* was saved here."""
        for tell in tuple(self.after_save):
            tell(source)

    async def list(self) -> list[dict[str, str]]:
        """`[{"application", "profile", "label"}]` for every bundle, in order."""
        return [
            dict(zip(("application", "profile", "label"), _NAMES(source), strict=True))
            for source in sorted(await self.timely.list(), key=_NAMES)
        ]

    async def open(self) -> None:
        """Let the backend get ready before the first request; raises BackendError."""
        if isinstance(self.backend, OpeningBackend):
            await self.backend.open()

    async def close(self) -> None:
        """Release what the backend holds open; calling this twice is fine."""
        if isinstance(self.backend, ClosingBackend):
            await self.backend.close()

    def lookup(
        self, application: str, profile: str = DEFAULT_PROFILE, label: str | None = None
    ) -> Lookup:
        """The lookup for texts as they were asked.

        Raises InvalidRequest, and ConfigNotFound for reserved names.
        """
        lookup = make_lookup(application, profile, label, self.dialect)
        if any(names.is_reserved(name) for name in lookup.applications):
            raise ConfigNotFound("no such route")
        return lookup

    def accepts_empty(self, default: bool | None = None) -> bool:
        """Whether nothing found is an answer.

        *default* replaces the dialect's rule, not the setting.
        """
        rule = self.dialect.accepts_empty if default is None else default
        return rule if self.accept_empty is None else self.accept_empty

    def for_request(self, token: str | None, state: str | None) -> ConfigServer:
        """This server, or one for a request with credentials that its backend takes."""
        if not (token or state) or not isinstance(self.backend, RequestBackend):
            return self
        server = copy(self)
        server.timely = self.timely.over(self.backend.for_request(token, state))
        return server

    @property
    def default_label(self) -> str:
        """The label of requests that name none.

        It counts where the dialect leaves it to the backend.
        """
        return default_label_of(self.backend)

    async def environment(self, lookup: Lookup) -> tuple[Environment, Found]:
        """The whole answer, and what it was made from.

        It has no sources when nothing is stored. Raises DocumentError, BackendError.
        """
        try:
            found = await self.timely.find(lookup)
        except DocumentError as error:
            self._problems.note(lookup, error)
            raise
        self._problems.forget(lookup)
        if self._decrypts and _has_ciphers(found.sources):
            found = found._replace(sources=await self._decrypted(found.sources))
        found = found._replace(sources=(*self._overrides, *found.sources))
        dialect = self.dialect
        shown = dialect.shows_default_label and lookup.label is None
        label = found.label if shown else lookup.label
        profiles = (
            (",".join(lookup.profiles),) if dialect.joins_profiles else lookup.profiles
        )
        sources, version, written = found.sources, found.version, None
        if not version:
            written = await self.work_on(sources, rendering.sources_json, sources)
            version = rendering.version_of(written)
        environment = Environment(
            lookup.name, profiles, label, version, found.state, sources, written
        )
        return environment, found

    async def _decrypted(
        self, sources: tuple[PropertySource, ...]
    ) -> tuple[PropertySource, ...]:
        """*sources* with their `{cipher}` values opened, off the loop: RSA takes ms."""
        from .environment.cipher import decrypt_sources  # few have any

        return await asyncio.to_thread(decrypt_sources, sources, self.cipher)

    async def stored(self, lookup: Lookup) -> Found:
        """What an answer is made from, file by file and as stored, never decrypted."""
        found = await self.timely.find(lookup._replace(by_file=True))
        return found._replace(sources=(*self._overrides, *found.sources))

    async def file(self, lookup: Lookup, path: str) -> PlainFile | FoundFile | None:
        """The plain file at *path* for *lookup*, None where there is none."""
        return await self.timely.file(lookup, path)

    async def work_on(
        self,
        sources: Sequence[PropertySource],
        work: Callable[..., Value],
        *arguments: Any,
    ) -> Value:
        """What *work* makes of *arguments*; off the loop where *sources* are large."""
        if is_large(sources):
            return await self._worker.run((), work, *arguments)
        return work(*arguments)

    async def health(self) -> dict[str, Any]:
        """Details for the owner: the backend, and files that were met and do not parse.

        Raises BackendError when the backend can answer nobody.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await self._meet_again()
        details = (
            self.backend.health() if isinstance(self.backend, HealthBackend) else {}
        )
        problems = self._problems.texts()
        return {"backend": type(self.backend).__name__, **details, "problems": problems}

    async def _meet_again(self) -> None:
        """Read what was broken: some of it may be mended by now."""
        for lookup in self._problems.lookups():
            with suppress(ConfigError):
                await self.environment(lookup)


def _has_ciphers(sources: Iterable[PropertySource]) -> bool:
    return any(
        is_encrypted(entry.value)
        for source in sources
        for entry in source.entries.values()
    )


def _overriding(properties: Mapping[str, str]) -> tuple[PropertySource, ...]:
    """The source of overrides, where there are any."""
    if not properties:
        return ()
    entries = {key: Entry(value) for key, value in properties.items()}
    return (PropertySource("overrides", entries, "Config server overrides"),)
