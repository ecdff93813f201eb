"""FilesystemConfigBackend: bundles as files in one folder, or in several tiers."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from .backend import ConfigSource, Found, PlainFile
from .bundles import read_bundle, read_file, read_sources, save_bundle, stamp_of
from .environment import names
from .environment.overlay import DEFAULT_LABEL, Lookup
from .environment.properties import check_tree
from .errors import BackendUnavailable
from .files import BundleName, Location, WritableTree
from .folder import REFRESH_INTERVAL, FolderTree, reported
from .listing import list_bundles

__all__ = ["FilesystemConfigBackend"]


Place = str | os.PathLike[str] | WritableTree


class FilesystemConfigBackend:
    """Bundles as files `<root>/<label>/<application>-<profile>.yaml`.

    *search_locations* are folders in tiers, highest precedence first, merged key by
    key; without them *root* is the only one. Saves and listings go to the first.
    Folders that are missing are made, as an empty place to save to; a tree of files
    stands for itself. Reading is safe while files change; an edit on disk shows within
    *refresh_interval* seconds. Raises BackendError for a folder that cannot be made.
    """

    def __init__(
        self,
        root: Place,
        search_locations: Sequence[Place] | None = None,
        *,
        label: str | None = None,
        refresh_interval: float = REFRESH_INTERVAL,
    ) -> None:
        places = list(search_locations or [root])
        self._trees = [_tree(place, refresh_interval) for place in places]
        self._label = label
        self.default_label = label or DEFAULT_LABEL
        self._saving = threading.Lock()
        self._saved: dict[str, BundleName] = {}

    async def sources(self, lookup: Lookup) -> Found:
        """All that the folders have for it; raises DocumentError, BackendError."""
        label = self._label_for(lookup)
        return await asyncio.to_thread(
            read_sources, lookup, self._blocks(lookup), label
        )

    async def file(self, lookup: Lookup, path: str) -> PlainFile | None:
        """The plain file at *path*; raises DocumentError if too large, BackendError."""
        return await asyncio.to_thread(read_file, lookup, self._blocks(lookup), path)

    def stamp(self, seen: Hashable) -> Hashable:
        """The stamps of the files that an answer was made from."""
        return stamp_of(seen)

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The one bundle, its locations merged.

        Raises InvalidRequest, DocumentError, BackendError.
        """
        name = _name(application, profile, label)
        locations = [_with_label_folder(tree, name.label) for tree in self._trees]
        return await asyncio.to_thread(read_bundle, name, locations)

    async def save(self, source: ConfigSource) -> None:
        """Write the bundle to the first location, durably.

        Raises InvalidRequest, Conflict, SchemaViolation, ValueTooLarge, BackendError.
        """
        name = _name(source.application, source.profile, source.label)
        check_tree(source.properties)
        tree = self._trees[0]
        folders = [f"{name.label}/"]
        if name.label == self.default_label:
            folders.append("")
        await asyncio.to_thread(self._save, tree, folders, name, source.properties)

    def _save(
        self,
        tree: WritableTree,
        folders: Sequence[str],
        name: BundleName,
        properties: Mapping[str, Any],
    ) -> None:
        with self._saving:  # one at a time: a save is judged by what its folder holds
            path = save_bundle(tree, folders, name, dict(properties))
            self._saved[path] = name

    def health(self) -> Mapping[str, Any]:
        """The folders; raises BackendUnavailable when none of them is there."""
        present = {
            tree.uri: tree.stamp(("",), fresh=True) != (None,) for tree in self._trees
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

    def _blocks(self, lookup: Lookup) -> list[list[Location]]:
        labels = tuple(reversed(lookup.labels)) or (self._label_for(lookup),)
        if not lookup.dialect.label_folder_beside:
            return [
                [_with_label_folder(tree, label) for tree in self._trees]
                for label in labels
            ]
        plain = [Location(tree, uri=tree.uri) for tree in self._trees]
        labelled = [
            Location(tree, (f"{label}/",), f"{tree.uri}{label}/")
            for label in labels
            for tree in self._trees
        ]
        return [plain + labelled]

    async def list(self) -> list[ConfigSource]:
        """The names of the bundles in the first location; properties are left empty.

        Raises BackendError.
        """
        bundles = await asyncio.to_thread(
            list_bundles, self._trees[0], self.default_label, dict(self._saved)
        )
        return [ConfigSource(*name) for name in dict.fromkeys(bundles)]


def _tree(place: Place, refresh_interval: float) -> WritableTree:
    """A place as a tree; a folder that is missing is made."""
    if not isinstance(place, str | os.PathLike):
        return place
    with reported(os.fspath(place)):
        os.makedirs(place, exist_ok=True)
    return FolderTree(place, refresh_interval)


def _with_label_folder(tree: WritableTree, label: str) -> Location:
    return Location(tree, (f"{label}/", ""))


def _name(application: str, profile: str, label: str) -> BundleName:
    return BundleName(
        names.application(application), names.profile(profile), names.label(label)
    )
