"""A bucket as what a replica keeps up with. S3 tells nobody of changes: it is asked."""

from __future__ import annotations

import threading
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from ..errors import BackendUnavailable
from ..files import BundleName
from .s3_client import Bucket, Object
from .s3_fetching import Fetcher
from .s3_files import Files

__all__ = ["FollowedBucket"]


class FollowedBucket:
    """The files of *bucket*."""

    def __init__(self, bucket: Bucket) -> None:
        self.address = bucket.address
        self._bucket = bucket
        self._fetcher = Fetcher(bucket)
        self._hint = threading.Event()
        self._is_closed = False

    def read(self, before: Files | None) -> tuple[Files, tuple[BundleName, ...]]:
        """All files there are, and no names: a file may be of any bundle."""
        return self.read_at(before, None), ()

    def read_at(self, before: Files | None, starts: Sequence[str] | None) -> Files:
        """The same, or with *starts* those whose paths begin so beside the others.

        Raises BackendError.
        """
        if self._is_closed:
            raise BackendUnavailable(f"{self.address}: it was closed here")
        return self._fetcher.fetch(before, starts)

    def wait(self, state: Files, seconds: float) -> None:
        """Return when somebody of this machine has saved, and after *seconds*."""
        self._hint.wait(seconds)
        self._hint.clear()

    def hint(self) -> None:
        """End a wait."""
        self._hint.set()

    def close(self) -> None:
        """End what runs, and close the connections; calling this twice is fine."""
        self._is_closed = True
        self._hint.set()
        self._fetcher.close()
        self._bucket.close()

    def about(self, state: Files) -> dict[str, Any]:
        """How many files there are, and how many keys are no paths."""
        ignored = {"ignored-keys": state.ignored} if state.ignored else {}
        return {"files": len(state.objects)} | ignored

    def packed(self, state: Files) -> dict[str, Any]:
        """Each object by its path, with its bytes where they are held."""
        held = {path: b64encode(data).decode() for path, data in state.held.items()}
        return {
            "objects": {
                path: (*one, held.get(path)) for path, one in state.objects.items()
            },
            "ignored": state.ignored,
        }

    def unpacked(self, document: Any) -> Files:
        """The files that were `packed`; raises what a wrong document leads to."""
        objects, held = {}, {}
        for path, (etag, size, modified, data) in document["objects"].items():
            objects[path] = Object(str(etag), int(size), float(modified))
            if data is not None:
                held[path] = b64decode(data, validate=True)
        return Files(objects, held, int(document["ignored"]))
