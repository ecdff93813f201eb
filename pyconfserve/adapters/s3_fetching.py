"""A look at a bucket: a listing, and the bytes of what is new in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    VersionConflict,
)
from .s3_client import Bucket, Object
from .s3_files import Files, is_path, is_wanted

__all__ = ["MOST_HELD", "Fetcher"]

MOST_HELD = 64 * 1024 * 1024  # bytes in memory; more is read when it is asked for
_MOST_LOOKS = 5  # at once, while objects change
_PAGE = 1000  # keys, of one moment
_SIDE_BY_SIDE = 8  # objects

_Held = dict[str, tuple[str, bytes]]  # ETags and bytes by path


class Fetcher:
    """Looks at *bucket*, one after another."""

    def __init__(self, bucket: Bucket, most: int = MOST_HELD) -> None:
        self._bucket = bucket
        self._most = most
        self._denied: dict[str, str] = {}  # ETags of what may not be read, by path
        self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, "pyconfserve-s3-fetch")

    def fetch(self, before: Files | None, starts: Sequence[str] | None = None) -> Files:
        """All files as a listing has them, and what *before* lacks of their bytes.

        With *starts* it lists those whose paths begin so, beside the others of
        *before*; that is what it gives where nothing changed. Raises BackendError.
        """
        held = {} if before is None else _held(before)
        for looks in range(1, _MOST_LOOKS + 1):
            listed = self._listed(before, starts)
            found = {key: one for key, one in listed.items() if is_path(key)}
            if before is not None and found == before.objects:
                return before
            wanted = self._affordable(found)
            if not self._is_whole(wanted, found, held):
                continue
            if starts or looks == _MOST_LOOKS or self._is_of_one_moment(listed):
                kept = [path for path in wanted if _has(held, path, found)]
                data = {path: held[path][1] for path in kept}
                ignored = before.ignored if before and starts else _ignored(listed)
                return Files(found, data, ignored)
        problem = "its objects change faster than they are read"
        raise BackendUnavailable(f"{self._bucket.address}: {problem}")

    def _listed(
        self, before: Files | None, starts: Sequence[str] | None
    ) -> dict[str, Object]:
        if before is None or starts is None:
            return dict(self._bucket.objects())
        every = before.objects.items()
        found = {key: one for key, one in every if not key.startswith(tuple(starts))}
        for start in starts:
            found |= dict(self._bucket.objects(start))
        return found

    def _is_of_one_moment(self, listed: Mapping[str, Object]) -> bool:
        """Whether nothing changed between the pages of a listing."""
        return len(listed) <= _PAGE or listed == dict(self._bucket.objects())

    def close(self) -> None:
        """End the threads; calling this twice is fine."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_whole(
        self, wanted: Iterable[str], found: Mapping[str, Object], held: _Held
    ) -> bool:
        """Whether all that is *wanted* is *held* now; else an object has changed."""
        missing = [path for path in wanted if not _has(held, path, found)]
        try:
            for path, data in zip(missing, self._read(missing, found), strict=True):
                if data is not None:
                    held[path] = found[path].etag, data
        except VersionConflict:
            return False
        return True

    def _affordable(self, found: Mapping[str, Object]) -> list[str]:
        """The files whose bytes are to be held."""
        paths, size = [], 0
        for path, one in found.items():
            if is_wanted(path, one) and self._denied.get(path) != one.etag:
                size += one.size
                if size <= self._most:
                    paths.append(path)
        return paths

    def _read(
        self, paths: Iterable[str], found: Mapping[str, Object]
    ) -> Iterable[bytes | None]:
        return self._threads.map(lambda path: self._one(path, found[path].etag), paths)

    def _one(self, path: str, etag: str) -> bytes | None:
        """An object's bytes, None where it may not be read: who asks for it is told."""
        try:
            return self._bucket.get(path, etag).data
        except (BackendUnavailable, BackendMisconfigured):
            raise
        except BackendError:  # denied, or refused: its key of encryption is not ours
            self._denied[path] = etag
            return None


def _has(held: _Held, path: str, found: Mapping[str, Object]) -> bool:
    return path in held and held[path][0] == found[path].etag


def _held(files: Files) -> _Held:
    every = files.held.items()
    return {path: (files.objects[path].etag, data) for path, data in every}


def _ignored(listed: Iterable[str]) -> int:
    """How many keys are no paths; a folder that somebody made ends in a slash."""
    return sum(not is_path(key) and not key.endswith("/") for key in listed)
