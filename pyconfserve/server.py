"""ConfigServer: bundles over any backend, for any edge; it knows no web framework."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .backend import (
    ClosingBackend,
    ConfigBackend,
    ConfigSource,
    Found,
    HealthBackend,
    OpeningBackend,
    PlainFile,
    PlainFileBackend,
    RequestBackend,
    default_label_of,
    find,
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
from .errors import (
    ConfigError,
    ConfigNotFound,
    Conflict,
    DocumentError,
    InvalidRequest,
    ReadOnlyBackend,
)

if TYPE_CHECKING:
    from .environment.cipher import Cipher

__all__ = ["ConfigServer"]

_logger = logging.getLogger("pyconfserve.server")
_NAMES = attrgetter("application", "profile", "label")
_MOST_PROBLEMS = 100  # kept for /health; the log has them all
# Spring reads these as an answer's format.
_FORMAT_ENDINGS = (".yml", ".yaml", ".json", ".properties")


class ConfigServer:
    """Serves the bundles of *backend*.

    The answer to (application, profile, label) is an overlay of them. *dialect* is OWN
    or SPRING; *accept_empty* says whether nothing found is an answer without sources
    (None: as the dialect does); *read_only* refuses every save, and SPRING implies it.
    *overrides* are flat properties above all others. *cipher* opens `{cipher}` values
    in answers; without *decrypts* they are handed on.
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
    ) -> None:
        self.backend = backend
        self.dialect = dialect
        self.accept_empty = accept_empty
        self.is_read_only = read_only or dialect.is_read_only
        self.cipher = cipher
        self._decrypts = decrypts
        self._overrides = _overriding(overrides)
        self.saves = 0  # what was begun before the last save may be older than it
        # Told of each, by its thread.
        self.after_save: set[Callable[[ConfigSource], None]] = set()
        self._problems: dict[str, Lookup] = {}  # and a lookup that meets each

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
        ReadOnlyBackend, BackendError.
        """
        if self.is_read_only:
            raise ReadOnlyBackend
        source = ConfigSource(*_single_names(application, profile, label), properties)
        if names.is_reserved(source.application):
            raise Conflict(f"applications named {source.application!r} are reserved")
        await self.backend.save(source)
        self.saves += 1
        for tell in tuple(self.after_save):
            tell(source)
        return {"saved": True}

    async def list(self) -> list[dict[str, str]]:
        """`[{"application", "profile", "label"}]` for every bundle, in order."""
        return [
            {
                "application": source.application,
                "profile": source.profile,
                "label": source.label,
            }
            for source in sorted(await self.backend.list(), key=_NAMES)
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
        server.backend = self.backend.for_request(token, state)
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
            found = await find(self.backend, lookup)
        except DocumentError as error:
            self._forget_problems(lookup, but=str(error))
            self._note_problem(lookup, error)
            raise
        self._forget_problems(lookup)
        if self._decrypts and _has_ciphers(found.sources):
            found = found._replace(sources=await self._decrypted(found.sources))
        found = found._replace(sources=(*self._overrides, *found.sources))
        dialect = self.dialect
        shown = dialect.shows_default_label and lookup.label is None
        profiles = (
            (",".join(lookup.profiles),) if dialect.joins_profiles else lookup.profiles
        )
        environment = Environment(
            name=lookup.name,
            profiles=profiles,
            label=found.label if shown else lookup.label,
            version=found.version or rendering.content_version(found.sources),
            state=found.state,
            sources=found.sources,
        )
        return environment, found

    async def _decrypted(
        self, sources: tuple[PropertySource, ...]
    ) -> tuple[PropertySource, ...]:
        """*sources* with their `{cipher}` values opened, off the loop: RSA takes ms."""
        from .environment.cipher import decrypt_sources  # few have any

        return await asyncio.to_thread(decrypt_sources, sources, self.cipher)

    async def file(self, lookup: Lookup, path: str) -> PlainFile | None:
        """The plain file at *path* for *lookup*, None where there is none."""
        if isinstance(self.backend, PlainFileBackend):
            return await self.backend.file(lookup, path)
        return None

    async def health(self) -> dict[str, Any]:
        """Details for the owner: the backend, and files that were met and do not parse.

        Raises BackendError when the backend can answer nobody.
        """
        for lookup in set(self._problems.values()):  # some may be mended by now
            with suppress(ConfigError):
                await self.environment(lookup)
        details = (
            self.backend.health() if isinstance(self.backend, HealthBackend) else {}
        )
        problems = sorted(self._problems)
        return {"backend": type(self.backend).__name__, **details, "problems": problems}

    def _note_problem(self, lookup: Lookup, error: DocumentError) -> None:
        """Log a broken file once, and keep it for `health` until it is mended."""
        if str(error) not in self._problems:
            _logger.error("a file does not parse: %s", error)
        self._problems.setdefault(str(error), lookup)
        if len(self._problems) > _MOST_PROBLEMS:
            del self._problems[next(iter(self._problems))]

    def _forget_problems(self, lookup: Lookup, but: str = "") -> None:
        """Those that *lookup* met and does not meet any more."""
        met = [problem for problem, by in self._problems.items() if by == lookup]
        for problem in met:
            if problem != but:
                del self._problems[problem]


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


def _single_names(application: str, profile: str, label: str) -> tuple[str, str, str]:
    for field, text in (
        ("application", application),
        ("profile", profile),
        ("label", label),
    ):
        if "," in text:
            raise InvalidRequest(field, "a save takes one name, not a list")
    if profile.endswith(_FORMAT_ENDINGS):
        raise InvalidRequest(
            "profile", f"a name that ends in {', '.join(_FORMAT_ENDINGS)} is not saved"
        )
    return names.application(application), names.profile(profile), names.label(label)
