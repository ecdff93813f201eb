"""Where bundles live: the interface, what more a store may do, the store in memory.

A backend that has just the three methods of ConfigBackend works everywhere. What more
one can do is a small Protocol of its own, looked for by `find` and never required, so
that no caller asks what kind it has.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .capabilities import (
    AnnouncingBackend,
    ClosingBackend,
    FoundFile,
    HealthBackend,
    LabelledBackend,
    LookingBackend,
    OpeningBackend,
    PlainFile,
    PlainFileBackend,
    RefreshingBackend,
    StampedBackend,
    VersionedBackend,
    versioned,
)
from .environment import names
from .environment.formats.document import Entry
from .environment.overlay import (
    DEFAULT_LABEL,
    DEFAULT_PROFILE,
    Lookup,
    PropertySource,
    Slot,
    plan,
)
from .environment.properties import check_tree, flatten
from .versions import ANYTHING, Changed, Expected, Stored, Work, planned

__all__ = [
    "AnnouncingBackend",
    "ClosingBackend",
    "ConfigBackend",
    "ConfigSource",
    "Found",
    "FoundFile",
    "HealthBackend",
    "InMemoryConfigBackend",
    "LabelledBackend",
    "LookingBackend",
    "LookupBackend",
    "OpeningBackend",
    "PlainFile",
    "PlainFileBackend",
    "RefreshingBackend",
    "RequestBackend",
    "StampedBackend",
    "TellingBackend",
    "VersionedBackend",
    "bundles_of",
    "default_label_of",
    "find",
    "versioned",
]


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """The properties stored for one (application, profile, label): a bundle."""

    application: str
    profile: str
    label: str = DEFAULT_LABEL
    properties: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class ConfigBackend(Protocol):
    """The whole of what a place for bundles must do.

    Names are single ones, never lists.
    """

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The bundle with flat properties, None when nothing is stored.

        Raises BackendError when the store fails.
        """
        ...

    async def save(self, source: ConfigSource) -> None:
        """Replace the bundle by *source*; it is durable when this returns.

        Properties may be nested. Raises BackendError when the store fails.
        """
        ...

    async def list(self) -> list[ConfigSource]:
        """One source for each stored bundle.

        It has the bundle's names; a backend may leave the properties empty. Raises
        BackendError when the store fails.
        """
        ...


class Found(NamedTuple):
    """What a backend has for a lookup.

    `version` None lets the server take a hash of the content. `stamp` is what the
    backend's `stamp(seen)` gave for the state that was read; `seen` None means that the
    answer cannot be kept.
    """

    sources: tuple[PropertySource, ...]  # highest precedence first
    label: str = DEFAULT_LABEL  # the one that counted where the request named none
    version: str | None = None
    state: str | None = None
    seen: Hashable = None
    stamp: Hashable = None


@runtime_checkable
class LookupBackend(Protocol):
    """A backend that fills the slots of a lookup itself."""

    async def sources(self, lookup: Lookup) -> Found:
        """All that is stored for *lookup*; no sources when nothing is."""
        ...


@runtime_checkable
class RequestBackend(Protocol):
    """A backend that takes the credentials of a single request."""

    def for_request(self, token: str | None, state: str | None) -> ConfigBackend:
        """A form of itself for X-Config-Token and X-Config-State, used once."""
        ...


@runtime_checkable
class TellingBackend(Protocol):
    """A backend that knows at once of changes, also of those made by others."""

    def on_change(self, tell: Callable[[ConfigSource], None]) -> Callable[[], None]:
        """Call *tell* with the names of each bundle that changes.

        It may be called by any thread, and never waits. The function that this gives
        ends it.
        """
        ...


def default_label_of(backend: ConfigBackend) -> str:
    """The label of requests that name none, where the backend has a say in it."""
    return (
        backend.default_label if isinstance(backend, LabelledBackend) else DEFAULT_LABEL
    )


async def find(backend: ConfigBackend, lookup: Lookup) -> Found:
    """What *backend* has for *lookup*.

    A LookupBackend is asked for its own `sources`; any other with one `fetch` a slot,
    side by side. Raises what the backend raises.
    """
    if isinstance(backend, LookupBackend):
        return await backend.sources(lookup)
    default = default_label_of(backend)
    stamped = isinstance(backend, StampedBackend)
    stamp = backend.stamp(()) if isinstance(backend, StampedBackend) else None
    bundles = bundles_of(lookup, default)
    fetched = await asyncio.gather(*(backend.fetch(*bundle) for bundle in bundles))
    sources = tuple(
        PropertySource(
            name,
            {key: Entry(value) for key, value in flatten(bundle.properties).items()},
        )
        for name, bundle in zip(bundles.values(), fetched, strict=True)
        if bundle is not None
    )
    return Found(sources, default, seen=() if stamped else None, stamp=stamp)


def bundles_of(lookup: Lookup, default_label: str) -> dict[tuple[str, str, str], str]:
    """The names of the bundles that make the answer to *lookup*, and their sources'.

    Highest precedence first; files without a profile are those of `default`.
    """
    labels = tuple(reversed(lookup.labels)) or (default_label,)
    slots = [
        slot
        for label in labels
        for slot in plan(lookup.applications, lookup.profiles, [label], lookup.dialect)
    ]
    return {_bundle(slot): slot.source_name for slot in slots}


def _bundle(slot: Slot[str]) -> tuple[str, str, str]:
    return slot.application, slot.profile or DEFAULT_PROFILE, slot.location


class InMemoryConfigBackend:
    """Bundles in a dict, for tests and for embedding.

    It is the reference that the other backends are held to.
    """

    def __init__(self) -> None:
        self._bundles: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._versions: dict[tuple[str, str, str], str] = {}
        self._changes = 0
        self._changing = (
            threading.Lock()
        )  # it may be shared by loops of several threads

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The bundle as it was saved, flat; raises InvalidRequest for a bad name."""
        key = _key(application, profile, label)
        properties = self._bundles.get(key)
        return None if properties is None else ConfigSource(*key, dict(properties))

    async def save(self, source: ConfigSource) -> None:
        """Keep a flat copy of the properties.

        Raises InvalidRequest for malformed names or values.
        """
        names = source.application, source.profile, source.label
        await self.change(*names, lambda _: source.properties)

    async def list(self) -> list[ConfigSource]:
        """All bundles, in the order of their first save."""
        return [ConfigSource(*key, dict(flat)) for key, flat in self._bundles.items()]

    def stamp(self, seen: Hashable) -> Hashable:
        """The number of changes so far."""
        return self._changes

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """The bundle, and the number of the change that stored it."""
        key = _key(application, profile, label)
        with self._changing:
            flat = self._bundles.get(key)
            return None if flat is None else Stored(dict(flat), self._versions[key])

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Store what *work* makes; raises InvalidRequest, VersionConflict."""
        key = _key(application, profile, label)
        with self._changing:
            flat, version = self._bundles.get(key), self._versions.get(key)
            tree = planned(work, expected, version, lambda: flat)
            if tree is flat:
                return Changed(version)
            if tree is not None:
                check_tree(tree)
            self._changes += 1
            if tree is None:
                del self._bundles[key], self._versions[key]
                return Changed(None)
            self._bundles[key] = flatten(tree)
            self._versions[key] = f"{self._changes}"
            return Changed(self._versions[key], is_new=version is None)


def _key(application: str, profile: str, label: str) -> tuple[str, str, str]:
    return names.application(application), names.profile(profile), names.label(label)
