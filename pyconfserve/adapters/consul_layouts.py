"""Configuration in Consul as Spring Cloud Consul's clients read it; nothing is saved.

All of it is in memory, taken in again after each notice, so answers never wait for
Consul, and the last good state is served while that is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from ..backend import ConfigSource, Found
from ..environment.formats import parse
from ..environment.overlay import DEFAULT_LABEL, Lookup
from ..environment.properties import merge
from ..errors import DocumentError, InvalidRequest, ReadOnlyBackend, SettingsError
from ..files import BundleName, DictTree, bundle_name
from ..listing import list_folder
from ..replica import POLL
from ..store import Record, Snapshot, encode, key_of
from ..store_backend import StoreBackend
from .consul_answers import Pair
from .consul_documents import (
    LAYOUTS,
    bundles_of,
    contexts_of,
    properties_of,
    version_of,
)
from .consul_keys import ConsulKeys
from .json_http import TIMEOUT
from .tokens import GivenToken

__all__ = ["ConsulConfigBackend"]

_PREFIX = "config"
_MOST_NAMED = 10  # problems in its health


_Read = tuple[Record, DocumentError | None]


class _Layout:
    """The keys of others as the records of a store, which takes none itself.

    `contexts` are what was read last, and `problems` of those that do not parse.
    """

    limit = 0

    def __init__(
        self, keys: ConsulKeys, layout: str, separator: str, data_key: str
    ) -> None:
        self.address = keys.address
        self.problems: Mapping[BundleName, DocumentError] = {}
        self.contexts: Iterable[str] | None = None
        self.identity = " ".join((keys.address, layout, separator, data_key))
        self.wait = keys.wait
        self.close = keys.close
        self._keys = keys
        self.name = layout
        self._separator = separator
        self._data_key = data_key
        self._known: Mapping[tuple[str, ...], _Read] = {}

    def token(self) -> str:
        """That of Consul; "" where a snapshot was taken for what nobody has read."""
        return "" if self.contexts is None else self._keys.token()

    def read(self) -> Snapshot:
        """All bundles of one moment; what is as it was is not parsed again."""
        token, pairs = self._keys.read()
        contexts = contexts_of(self.name, pairs, self._data_key)
        self.contexts = contexts
        bundles = bundles_of(contexts, self._separator)
        read: dict[tuple[str, ...], _Read] = {}  # which several bundles may share
        for own in {*bundles.values()}:
            layers = {one: {key: pairs[key] for key in contexts[one]} for one in own}
            version, known = version_of(layers), self._known.get(own)
            if known is None or known[0].version != version:
                known = self._read(layers, version)
            read[own] = known
        self._known = read
        found = {name: read[own] for name, own in bundles.items()}
        self.problems = {name: error for name, (_, error) in found.items() if error}
        return Snapshot(token, {name: record for name, (record, _) in found.items()})

    def _read(self, layers: Mapping[str, Mapping[str, Pair]], version: str) -> _Read:
        """What a bundle of some contexts holds, as a store has it, or why not."""
        try:
            sources = [
                properties_of(self.name, context, pairs)
                for context, pairs in layers.items()
            ]
            return Record(encode(merge(sources), ""), version), None
        except DocumentError as error:
            problem = error.at(f"{self._keys.prefix}{error.location}")
        except InvalidRequest as error:
            place = f"{self._keys.prefix}{next(iter(layers))}"
            problem = DocumentError(str(error), location=place)
        return Record("", version), problem

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Raise ReadOnlyBackend: the keys are another's."""
        raise ReadOnlyBackend


class ConsulConfigBackend:
    """The keys below `consul[s]://host:8500/config`, in one of the formats that people
    have there: `key-value`, `yaml`, `properties` or `files`.

    They have no labels. *profile_separator* stands before a profile, but in `files`,
    where that is a `-`; *data_key* holds a document of `yaml` and `properties`. The
    other options are those of ConsulStore and StoreBackend. Raises SettingsError, and
    MissingDependency for YAML without PyYAML.
    """

    default_label = DEFAULT_LABEL

    def __init__(
        self,
        uri: str,
        *,
        layout: str = LAYOUTS[0],
        token: str = "",
        token_file: str = "",
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = TIMEOUT,
        poll: float = POLL,
        snapshot_file: str | os.PathLike[str] | None = None,
        profile_separator: str = ",",
        data_key: str = "data",
    ) -> None:
        if layout not in LAYOUTS:
            raise SettingsError(f"expected {', '.join(LAYOUTS)}", "layout")
        if not profile_separator or "/" in profile_separator:
            raise SettingsError("expected some characters but /", "profile_separator")
        if layout in ("yaml", "files"):
            parse(b"", "yaml")  # raises what it would at the first document
        keys = ConsulKeys(
            uri,
            _PREFIX,
            token=GivenToken(token, token_file),
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        separator = "-" if layout == "files" else profile_separator
        self._layout = _Layout(keys, layout, separator, data_key)
        self._bundles = StoreBackend(
            self._layout, poll=poll, snapshot_file=snapshot_file
        )

    async def open(self) -> None:
        """Read all, and follow it; raises BackendError when Consul is away."""
        await self._bundles.open()

    async def refresh(self) -> None:
        """Take in what Consul has now; raises BackendError when it is away."""
        await self._bundles.refresh()

    async def close(self) -> None:
        """End what runs, and hang up; calling this twice is fine."""
        await self._bundles.close()

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """What is there for one profile; `default` has what is there for none, too.

        Raises InvalidRequest, DocumentError, BackendError.
        """
        name = bundle_name(application, profile, label)
        try:
            found = await self._bundles.fetch(application, profile, DEFAULT_LABEL)
        except DocumentError as error:
            raise self._told(error) from error
        return None if found is None else ConfigSource(*name, found.properties)

    async def sources(self, lookup: Lookup) -> Found:
        """All that is there for *lookup*, at one moment; raises what `fetch` does."""
        try:
            return await self._bundles.sources(lookup._replace(labels=()))
        except DocumentError as error:
            raise self._told(error) from error

    def _told(self, error: DocumentError) -> DocumentError:
        """What is wrong with the keys, for an error of the bundle made of them."""
        for name, problem in self._layout.problems.items():
            if error.location == key_of(name):
                return problem.with_traceback(None)  # it is raised again and again
        return error

    def stamp(self, seen: Hashable) -> Hashable:
        """The versions of the bundles that an answer was made from."""
        return self._bundles.stamp(seen)

    def look_again(self) -> None:
        """Believe no stamp until Consul was looked at."""
        self._bundles.look_again()

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Call *tell* before answers have what others were seen to have changed."""
        self._bundles.on_sight(tell)

    def on_change(self, tell: Callable[[ConfigSource], None]) -> Callable[[], None]:
        """Call *tell* for each bundle that changes, until what this gives is called."""
        return self._bundles.on_change(tell)

    def health(self) -> Mapping[str, Any]:
        """The store, the age of what is served, and what does not parse.

        Raises BackendUnavailable when nothing was read, or too long ago.
        """
        health = dict(self._bundles.health())
        if "broken" in health:
            told = {str(problem): None for problem in self._layout.problems.values()}
            health["broken"] = [*told][:_MOST_NAMED]
        return health

    async def save(self, source: ConfigSource) -> None:
        """Raise ReadOnlyBackend: the keys are another's."""
        raise ReadOnlyBackend

    async def list(self) -> list[ConfigSource]:
        """All bundles, those of `files` named as they would be in a folder.

        Any dash of theirs may stand before a profile.
        """
        bundles = await self._bundles.list()
        if self._layout.name != "files" or self._layout.contexts is None:
            return bundles
        files = DictTree({f"{context}.yml": b"" for context in self._layout.contexts})
        names = {*list_folder(files, "", DEFAULT_LABEL, {})}
        return [
            one for one in bundles if (one.application, one.profile, one.label) in names
        ]
