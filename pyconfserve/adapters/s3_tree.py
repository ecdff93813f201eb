"""The objects of a bucket as a tree of files: reads from memory, guarded writes.

A listing tells each file's ETag, and the bytes of configuration are held beside it, so
that no answer waits for S3. Each write names the ETag it was made for: nobody
overwrites what another server wrote, as far as the endpoint keeps its promise.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..backend import PlainFile
from ..environment.formats.document import LARGEST_FILE
from ..errors import (
    BackendError,
    BackendUnavailable,
    DocumentError,
    VersionConflict,
)
from ..files import Folder, check_expected
from ..last_state import LastState
from ..replica import POLL, STALE_AFTER, Replica
from .s3_client import Bucket, Object
from .s3_files import Files
from .s3_followed import FollowedBucket

__all__ = ["S3Tree"]

_MOST_READINGS = 3  # of a large file while it changes


class S3Tree:
    """The files of *bucket*, looked at every *poll* seconds.

    With *last* the last good state is kept in a file, for a start while S3 is away.
    *stale_after* is how many seconds `health` bears with a store that is away.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        poll: float = POLL,
        last: LastState | None = None,
        stale_after: float = STALE_AFTER,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.uri = f"{bucket.address}/"
        self._bucket = bucket
        self._followed = FollowedBucket(bucket)
        self._replica: Replica[Files] = Replica(
            self._followed, poll=poll, last=last, stale_after=stale_after, now=now
        )
        self._now = now

    @property
    def is_due(self) -> bool:
        """Whether somebody saved something that is not seen yet; never waits."""
        return self._replica.is_due

    def open(self) -> None:
        """Look at the store, and again and again from now on; raises BackendError."""
        self._replica.open()

    def close(self) -> None:
        """End the thread, and close the connections; calling this twice is fine."""
        self._replica.close()

    def look(self) -> None:
        """Take in what the store has now; raises BackendError."""
        self._replica.look()

    def look_at(self, starts: Sequence[str]) -> None:
        """Take in the files whose paths begin so, as they are now; raises BackendError.

        It costs a request for each, and not one for each thousand files. Where others
        have changed them, all is looked at before the next answer: what else they wrote
        before belongs to it.
        """
        self._present()
        with self._replica.lock:
            before = self._present()
            found = self._replica.attempt(
                lambda: self._followed.read_at(before, starts)
            )
            if found.has_other_content(before):
                self.look_again()
            self._replica.take(found)

    def look_again(self) -> None:
        """Believe nothing from before now; never waits."""
        self._replica.look_again()
        self._followed.hint()

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Call *tell* before anything is read that others were seen to have changed."""
        self._replica.sights.add(tell)

    def health(self) -> dict[str, Any]:
        """What is served and how old it is; raises BackendError for nothing."""
        return self._replica.health()

    def _present(self) -> Files:
        """What the last look found; the first one opens it. Raises BackendError."""
        return self._replica.followed_state or self._replica.open()

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The file at *path*; what is not held in memory comes from the store.

        Raises DocumentError above *limit* bytes, BackendError.
        """
        for _ in range(_MOST_READINGS):
            files = self._present()
            found = files.objects.get(path)
            if found is None:
                return None
            if found.size > limit:
                raise DocumentError(f"larger than {limit} bytes", location=path)
            data = files.held.get(path)
            if data is not None:
                return PlainFile(data, found.modified)
            with suppress(VersionConflict):
                data = self._bucket.get(path, found.etag, limit).data
                return PlainFile(data, found.modified)
            self._replica.look()
        raise self._replica.unavailable("a file changes faster than it is read")

    def list(self, folder: str) -> Folder | None:
        """What was in *folder*; keys that are no paths are left out."""
        return self._present().folder(folder)

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """The ETag of each file, as the last look found it, *fresh* or not."""
        files = self._present()
        return tuple([files.stamp(path) for path in paths])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one of this process who changes the tree; ETags keep others off.

        Raises BackendError when nothing was read yet, and the store is away.
        """
        self._present()
        with self._replica.lock:
            yield

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Write files, then remove others, each while it is as it was last seen.

        Of removals alone the first comes last, as it may hide the others. Raises
        VersionConflict, when what is new was taken in; ValueTooLarge, InvalidRequest,
        BackendError.
        """
        written = {path: data for path, data in changes.items() if data is not None}
        removed = [path for path in changes if path not in written]
        self._present()
        with self._replica.lock:
            check_expected(self, expected)
            for path, data in written.items():
                with self._judged_anew(path):
                    self._put(path, data)
            for path in reversed(removed):
                # Beside what was written it is hidden, and stays if it was changed.
                with suppress(VersionConflict) if written else self._judged_anew(path):
                    self._remove(path)

    @contextmanager
    def _judged_anew(self, path: str) -> Iterator[None]:
        """See what others wrote, in any format, before who asked is told of it."""
        try:
            yield
        except VersionConflict:
            with suppress(BackendError):
                self.look_at([f"{path.rpartition('.')[0]}."])
            raise

    def _put(self, path: str, data: bytes) -> None:
        files = self._present()
        before = files.objects.get(path)
        change = secrets.token_hex(12)
        try:
            etag = self._bucket.put(path, data, before and before.etag, change)
        except BackendUnavailable as lost:
            etag = self._made(path, change, lost)
        found = Object(etag, len(data), self._now())
        self._replica.take(files.with_file(path, found, data))

    def _made(self, path: str, change: str, lost: BackendError) -> str:
        """The ETag that a write left whose answer never came; raises *lost* if none."""
        with suppress(BackendError, VersionConflict):
            there = self._bucket.get(path)
            if there.change == change:
                return there.etag
        raise lost

    def _remove(self, path: str) -> None:
        files = self._present()
        before = files.objects.get(path)
        if before is not None:
            self._bucket.delete(path, before.etag)
            self._replica.take(files.without(path))
