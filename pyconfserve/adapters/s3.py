"""Bundles and files in a bucket of S3, as in a folder that several servers share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from ..backend import ConfigSource, Found, FoundFile
from ..environment.overlay import DEFAULT_LABEL, OWN, Lookup, Slot
from ..files import BundleName, Location, WritableTree, bundle_name, candidates
from ..filesystem import FilesystemConfigBackend
from ..last_state import LastState
from ..replica import PATIENCE, POLL
from ..threads import Threads
from ..versions import Changed, Expected, Stored, Work
from .s3_client import TIMEOUT, Bucket
from .s3_spring import BY_NAME, Layout, spring_file, spring_sources
from .s3_tree import S3Tree

__all__ = ["S3ConfigBackend"]


class S3ConfigBackend(FilesystemConfigBackend):
    """Objects `<prefix>/<label>/<application>-<profile>.yaml` of `s3://bucket/prefix`.

    They are read as files in a folder are, and looked at every *poll* seconds; other
    objects are plain files. Answers to clients of Spring are laid out as its server
    reads a bucket, by *layout*. Without *access_key* boto3 finds the credentials; with
    *endpoint* any S3 is asked. While it is away the last good state is served, for a
    start from *snapshot_file*, where that is given. Raises SettingsError.
    """

    def __init__(
        self,
        uri: str,
        *,
        endpoint: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        label: str = DEFAULT_LABEL,
        poll: float = POLL,
        ca_file: str | None = None,
        timeout: float = TIMEOUT,
        snapshot_file: str | os.PathLike[str] | None = None,
        layout: Layout = BY_NAME,
    ) -> None:
        bucket = Bucket(
            uri,
            endpoint=endpoint,
            region=region,
            access_key=access_key,
            secret_key=secret_key,
            ca_file=ca_file,
            timeout=timeout,
        )
        last = LastState(snapshot_file, bucket.identity) if snapshot_file else None
        self._tree = S3Tree(bucket, poll=poll, last=last)
        self._layout = layout
        self._looks = Threads("pyconfserve-s3-look", 2)  # no save keeps it waiting
        super().__init__(self._tree, label=label)

    async def refresh(self) -> None:
        """Take in what the bucket has now; raises BackendError."""
        await self.open()
        await self._looks.run((), self._tree.look)

    async def open(self) -> None:
        """List the bucket, and follow it from now on; raises BackendError."""
        await self._looks.run((), self._tree.open)

    async def close(self) -> None:
        """End what runs, and close the connections; calling this twice is fine."""
        await asyncio.gather(super().close(), self._looks.close())
        await asyncio.to_thread(self._tree.close)

    def look_again(self) -> None:
        """Believe nothing from before now; never waits."""
        self._tree.look_again()

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Call *tell* before answers have what others were seen to have changed."""
        self._tree.on_sight(tell)

    async def _latest(self) -> None:
        """See what others are known to have saved, if the bucket tells soon."""
        if self._tree.is_due:
            await self._looks.soon(PATIENCE, self._tree.look)

    async def sources(self, lookup: Lookup) -> Found:
        """All that the bucket has for it; raises DocumentError, BackendError."""
        await self._latest()
        if not lookup.dialect.has_profile_less_slot:
            return await super().sources(lookup)
        work = spring_sources, self._tree, self._layout, lookup
        return await self._readers.run(lookup.applications, *work)

    async def file(self, lookup: Lookup, path: str) -> FoundFile | None:
        """The plain file at *path*; raises DocumentError if too large, BackendError."""
        await self._latest()
        if not lookup.dialect.has_profile_less_slot:
            return await super().file(lookup, path)
        work = spring_file, self._tree, self._layout, lookup, path
        return await self._readers.run(lookup.applications, *work)

    def stamp(self, seen: Hashable) -> Hashable:
        """The ETags of what an answer was made from, None until they are looked at."""
        return None if self._tree.is_due else super().stamp(seen)

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The one bundle; raises InvalidRequest, DocumentError, BackendError."""
        await self._latest()
        return await super().fetch(application, profile, label)

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """The bundle as the bucket has it now; while that is away, as it had it."""
        starts = self._starts(bundle_name(application, profile, label))
        await self._looks.soon(PATIENCE, self._tree.look_at, starts)
        return await super().stored(application, profile, label)

    def _change(
        self, tree: WritableTree, name: BundleName, work: Work, expected: Expected
    ) -> Changed:
        self._tree.look_at(self._starts(name))
        return super()._change(tree, name, work, expected)

    def _starts(self, name: BundleName) -> list[str]:
        """What the keys begin with that the files of a bundle may have."""
        location = Location(self._tree, tuple(self._folders(name)))
        slot = Slot(name.application, name.profile, location)
        paths = candidates(slot, OWN)
        return [*dict.fromkeys(f"{path.rpartition('.')[0]}." for path in paths)]

    async def list(self) -> list[ConfigSource]:
        """The names of the bundles; properties are left empty. Raises BackendError."""
        await self._latest()
        return await super().list()

    def health(self) -> Mapping[str, Any]:
        """The bucket and the age of what is served.

        Raises BackendError when nothing was read, or too long ago.
        """
        return self._tree.health()
