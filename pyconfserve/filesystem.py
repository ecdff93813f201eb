"""FilesystemConfigBackend: bundles as files in one folder, or in several tiers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from .backend import ConfigSource, Found, FoundFile
from .bundles import read_bundle, read_file, read_sources, stamp_of
from .environment.overlay import DEFAULT_LABEL, Lookup, make_lookup
from .errors import BackendError, BackendUnavailable, Conflict
from .files import BundleName, WritableTree, bundle_name
from .folder import REFRESH_INTERVAL, FolderTree, reported
from .label_folders import LabelFolders
from .listing import MOST_LISTED, list_bundles
from .locations import Located, Place, find_locations, split_pattern
from .threads import Threads
from .versions import ANYTHING, Changed, Expected, Stored, Work

__all__ = ["FilesystemConfigBackend"]

_LIST = ("_list",)  # no application's name
_SWEEP = ("_sweep",)  # nor this
_SOON = 0.5  # seconds of a start for what killed saves left: thousands of folders

Folder = str | os.PathLike[str] | WritableTree


class FilesystemConfigBackend:
    """Bundles as files `<root>/<label>/<application>-<profile>.yaml`.

    *search_locations* are folders in tiers, highest precedence first, merged key by
    key; without them *root* is the only one. Saves and listings go to the first. They
    may hold `{application}`, `{profile}`, `{label}` and wildcards; a tree of files
    stands for itself. Folders that are missing are made, as an empty place to save to,
    unless *makes_folders* is off. *label* is the default label; without *label_folders*
    no folder is a label's. *version* replaces the content's own. With
    *reverses_plain_files* a plain file comes from the last location that has it.

    Reading is safe while files change; an edit on disk shows within *refresh_interval*
    seconds. Raises BackendError for a folder that cannot be made.
    """

    def __init__(
        self,
        root: Folder,
        search_locations: Sequence[Folder] | None = None,
        *,
        label: str | None = None,
        refresh_interval: float = REFRESH_INTERVAL,
        label_folders: bool = True,
        makes_folders: bool = True,
        version: str | None = None,
        reverses_plain_files: bool = False,
    ) -> None:
        self._makes_folders = makes_folders
        self._refresh_interval = refresh_interval
        self._places = [self._place(folder) for folder in search_locations or [root]]
        self._label = label
        self._label_folders = label_folders
        self._version = version
        self._reverses_plain_files = reverses_plain_files
        self.default_label = label or DEFAULT_LABEL
        self._readers = Threads("pyconfserve-folder")
        # One: a save is judged by what its folder holds, and readers starve none.
        self._saver = Threads("pyconfserve-folder-save", 1)
        self._saved: dict[str, BundleName] = {}

    async def sources(self, lookup: Lookup) -> Found:
        """All that the folders have for it; raises DocumentError, BackendError."""
        return await self._readers.run(lookup.applications, self._sources, lookup)

    def _sources(self, lookup: Lookup) -> Found:
        blocks, listed = self._locate(lookup)
        label = self._label_for(lookup)
        found = read_sources(lookup, blocks, label, listed)
        if not found.sources and self._makes_folders:
            self.health()  # a folder that went away is no answer of nothing
        return found._replace(version=self._version)

    async def file(self, lookup: Lookup, path: str) -> FoundFile | None:
        """The plain file at *path*; raises DocumentError if too large, BackendError."""
        return await self._readers.run(lookup.applications, self._file, lookup, path)

    def _file(self, lookup: Lookup, path: str) -> FoundFile | None:
        blocks, listed = self._locate(lookup)
        last_wins = self._reverses_plain_files
        return read_file(lookup, blocks, path, listed, is_reversed=last_wins)

    def stamp(self, seen: Hashable) -> Hashable:
        """The stamps of the files that an answer was made from."""
        return stamp_of(seen)

    def look_again(self) -> None:
        """Believe no stamp from before now."""
        for tree, _ in self._places:
            if isinstance(tree, FolderTree):
                tree.look_again()

    @property
    def label_folders(self) -> LabelFolders | None:
        """Bundles of others where a location is one application's, or one profile's."""
        named = ("{application}", "{profile}")
        reach = any(name in place.pattern for place in self._places for name in named)
        return LabelFolders(self.default_label, reach) if self._label_folders else None

    async def open(self) -> None:
        """Remove what killed saves left; a large folder is looked through later."""
        tree, pattern = self._places[0]
        if isinstance(tree, FolderTree) and not pattern:
            sweep = asyncio.ensure_future(self._readers.run(_SWEEP, _sweep, tree))
            await asyncio.wait((sweep,), timeout=_SOON)

    async def close(self) -> None:
        """End the threads; calling this twice is fine."""
        await asyncio.gather(self._readers.close(), self._saver.close())

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The one bundle, its locations merged.

        Raises InvalidRequest, DocumentError, BackendError.
        """
        name = bundle_name(application, profile, label)
        return await self._readers.run((name.application,), self._fetch, name)

    def _fetch(self, name: BundleName) -> ConfigSource | None:
        lookup = make_lookup(name.application, name.profile, name.label)
        locations = self._locate(lookup).blocks[0]
        return read_bundle(name, locations)

    async def save(self, source: ConfigSource) -> None:
        """Write the bundle to the first location, durably.

        Raises InvalidRequest, Conflict, SchemaViolation, ValueTooLarge, BackendError.
        """
        names = source.application, source.profile, source.label
        await self.change(*names, lambda _: source.properties)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """What the one file holds that a save would replace; nothing is merged."""
        from .saving import stored_bundle  # few ask for it

        name = bundle_name(application, profile, label)
        tree, folders = self._writable(), self._folders(name)
        readers = (name.application,)
        return await self._readers.run(readers, stored_bundle, tree, folders, name)

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Change that file, durably; its lock is held while its bytes are compared."""
        name = bundle_name(application, profile, label)
        return await self._saver.run(
            (), self._change, self._writable(), name, work, expected
        )

    def _change(
        self, tree: WritableTree, name: BundleName, work: Work, expected: Expected
    ) -> Changed:
        from .saving import change_bundle  # few save

        path, changed = change_bundle(tree, self._folders(name), name, work, expected)
        self._saved.pop(path, None)
        if changed.version is not None:
            self._saved[path] = name
        if len(self._saved) > MOST_LISTED:
            del self._saved[next(iter(self._saved))]
        return changed

    def _folders(self, name: BundleName) -> list[str]:
        """Where the file of a bundle may be; a new one goes to the first."""
        own = f"{name.label}/"
        return [own, ""] if name.label == self.default_label else [own]

    def health(self) -> Mapping[str, Any]:
        """The folders; raises BackendUnavailable when none of them is there."""
        present = {
            tree.uri: tree.stamp(("",), fresh=True) != (None,)
            for tree, _ in self._places
        }
        if not any(present.values()):
            raise BackendUnavailable("no location is there")
        return {
            "locations": {
                uri: "UP" if is_there else "DOWN" for uri, is_there in present.items()
            }
        }

    def _label_for(self, lookup: Lookup) -> str:
        return self._label or lookup.dialect.default_label

    def _locate(self, lookup: Lookup) -> Located:
        return find_locations(
            self._places,
            lookup,
            self._label_for(lookup),
            label_folders=self._label_folders,
        )

    def _writable(self) -> WritableTree:
        """The tree that saves go to; raises Conflict where its folder is a pattern."""
        tree, pattern = self._places[0]
        if pattern:
            raise Conflict("the first search location is a pattern: nothing is saved")
        return cast("WritableTree", tree)

    def _place(self, folder: Folder) -> Place:
        if not isinstance(folder, str | os.PathLike):
            return Place(folder)
        root, pattern = split_pattern(os.fspath(folder))
        if self._makes_folders:
            with reported(root):
                os.makedirs(root, exist_ok=True)
        return Place(FolderTree(root, self._refresh_interval), pattern)

    async def list(self) -> list[ConfigSource]:
        """The names of the bundles in the first location; properties are left empty.

        Raises BackendError.
        """
        tree = self._places[0].tree
        bundles = await self._readers.run(
            _LIST, list_bundles, tree, self.default_label, dict(self._saved)
        )
        return [ConfigSource(*name) for name in dict.fromkeys(bundles)]


def _sweep(tree: FolderTree) -> None:
    with suppress(BackendError):  # others write for long: the first save does it
        tree.sweep()
