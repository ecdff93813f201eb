"""A folder as a tree of files.

It is read through descriptors from its root, a component at a time without following
links; a link is followed by hand, so that it cannot leave the root (hardening.md 0.2)
and a mounted Kubernetes ConfigMap works all the same.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from .backend import PlainFile
from .environment.formats.document import LARGEST_FILE
from .errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    DocumentError,
    StorageFull,
    VersionConflict,
)
from .files import Folder, check_expected, is_shown
from .locking import WriteLock
from .stamps import Stamps
from .walk import ABSENT, Walk
from .writing import is_temporary, replace, sweep

__all__ = ["REFRESH_INTERVAL", "FolderTree", "reported"]

REFRESH_INTERVAL = 0.1  # seconds for which a stamp is believed
_MOST_STAMPS = 100_000  # believed at a time: 40 MB, where the interval is long
_UNSETTLED = 50_000_000  # ns in which a change may leave no trace in times
_MOST_SWEPT = 10_000  # folders that are remembered to have no litter
_DEEPEST = 40  # folders below each other that the sweep at the start looks into
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING = (
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EINTR,
    errno.ENOLCK,
)


class FolderTree:
    """The folder *root* as a tree; stamps are at most *refresh_interval* s old."""

    def __init__(
        self, root: str | os.PathLike[str], refresh_interval: float = REFRESH_INTERVAL
    ) -> None:
        self.root = os.path.abspath(root)
        self.uri = f"file:{self.root}/"
        self._stamps = Stamps(self._stat, refresh_interval)
        self._lock = WriteLock(self.root)
        self._swept: set[str] = set()

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The regular file at *path*; None for anything else.

        Raises DocumentError above *limit* bytes, BackendError.
        """
        with reported(path), self._opened(path) as descriptor:
            if descriptor is None:
                return None
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            is_large = status.st_size > limit
            data = b"" if is_large else _read_all(descriptor, limit)
            if is_large or len(data) > limit:  # it may grow while it is read
                raise DocumentError(f"larger than {limit} bytes", location=path)
            return PlainFile(data, status.st_mtime)

    def list(self, folder: str) -> Folder | None:
        """What is in *folder*: what `read` gives and what `list` does.

        Links to files below the root count, links to folders do not.
        """
        with reported(folder), self._opened(folder) as descriptor:
            if descriptor is None or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                return None
            with os.scandir(descriptor) as entries:
                found = sorted(
                    (entry.name, self._kind(folder, entry))
                    for entry in entries
                    if is_shown(entry.name)
                )
        return Folder(
            tuple(name for name, kind in found if kind == "file"),
            tuple(name for name, kind in found if kind == "folder"),
        )

    def _kind(self, folder: str, entry: os.DirEntry[str]) -> str:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if not entry.is_symlink():
            return "file" if entry.is_file(follow_symlinks=False) else "other"
        with suppress(PermissionError), self._opened(f"{folder}/{entry.name}") as found:
            if found is None or not stat.S_ISREG(os.fstat(found).st_mode):
                return "other"
        return "file"  # also one that may not be read: a read says so

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """What changes with each path, None where nothing is.

        It is (a hash of device, inode, size, modified and changed, settled).
        """
        if fresh:
            return tuple([self._stat(path) for path in paths])
        return self._stamps.of(paths, _MOST_STAMPS)

    def look_again(self) -> None:
        """Believe no stamp from before now, whatever the interval."""
        self._stamps.forget()

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Write and remove files durably (design: saves).

        Temporary file, fsync, rename, fsync of the folder. Of removals alone the first
        comes last, as it may hide the others. Raises VersionConflict, BackendError.
        """
        with self.alone():
            self._check(expected)
            way = -1 if set(changes.values()) == {None} else 1
            try:
                for path, data in list(changes.items())[::way]:
                    with reported(path), self._folder_of(path) as folder:
                        self._sweep_once(path.rpartition("/")[0], folder)
                        replace(folder, path.rpartition("/")[2], data)
            finally:
                self._stamps.forget()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one, of all threads and processes, who changes the tree.

        What is read meanwhile stays so, but for those who take no lock. It may be
        nested. Raises BackendUnavailable when others are alone for too long.
        """
        with reported(""), self._lock.held():
            yield

    def _check(self, expected: Mapping[str, Hashable] | None) -> None:
        """As check_expected, but a change may have settled meanwhile.

        Each of ours leaves a time of its own, and none but bytes tell of all others.
        """
        for path, wanted in (expected or {}).items():
            if isinstance(wanted, bytes):
                check_expected(self, {path: wanted})
            elif _lasting(self._stat(path)) != _lasting(wanted):
                raise VersionConflict("the files were changed meanwhile")

    def sweep(self) -> None:
        """Remove the temporary files that killed writers left, in every folder.

        What cannot be looked into or removed is left. Raises BackendUnavailable when
        others write for too long.
        """
        with suppress(OSError):
            for place, folders, files, folder in os.fwalk(self.root):
                if any(map(is_temporary, files)):
                    with self.alone(), suppress(OSError):
                        sweep(folder)
                is_deep = place.removeprefix(self.root).count("/") >= _DEEPEST
                folders[:] = [] if is_deep else filter(is_shown, folders)

    def _sweep_once(self, path: str, folder: int) -> None:
        """Sweep a folder before the first file is written in it."""
        if path not in self._swept:
            with suppress(PermissionError):
                sweep(folder)
            if len(self._swept) >= _MOST_SWEPT:
                self._swept.clear()
            self._swept.add(path)

    def _stat(self, path: str) -> Hashable:
        place, link = f"{self.root}/{path}", None
        try:
            status = os.lstat(place)  # most candidates are absent: one call for those
            if stat.S_ISLNK(status.st_mode):
                link = status
                status = os.stat(place)
        except ValueError:
            return None
        except OSError as error:
            if error.errno in ABSENT:
                return _of_nothing(link)
            with reported(path):  # a guess would serve other values
                raise
        settled = abs(time.time_ns() - status.st_ctime_ns) > _UNSETTLED
        # Their hash, of 64 bits: answers that are kept have many of them.
        inode, times = status[1:3], (status.st_mtime_ns, status.st_ctime_ns)
        return hash((inode, status.st_size, times)), settled

    @contextmanager
    def _opened(self, path: str) -> Iterator[int | None]:
        """A descriptor of what is at *path*, None when it is absent.

        A link that leads out of the root counts as absent.
        """
        walk = Walk(self.root)
        try:
            yield walk.to(path)
        finally:
            walk.close()

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[int]:
        """A descriptor of the folder that *path* lies in, made when it is missing."""
        folder = path.rpartition("/")[0]
        walk = Walk(self.root)
        try:
            descriptor = walk.to(folder)
            if descriptor is None:
                walk.close()
                self._make_folders(folder)
                descriptor = walk.to(folder)
            if descriptor is None:
                raise BackendMisconfigured(f"{folder} is not a folder below the root")
            yield descriptor
        finally:
            walk.close()

    def _make_folders(self, folder: str) -> None:
        if not folder:
            raise BackendUnavailable("the root is not there")
        name = folder.rpartition("/")[2]
        with self._folder_of(folder) as descriptor:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=descriptor)
            os.fsync(descriptor)


def _lasting(stamp: Hashable) -> Hashable:
    """A stamp without what changes by itself: whether the last change has settled."""
    is_whole = isinstance(stamp, tuple) and isinstance(stamp[-1], bool)
    return tuple(stamp)[:-1] if is_whole else stamp  # type: ignore[arg-type]


def _of_nothing(link: os.stat_result | None) -> Hashable:
    """The stamp of what is absent, or of a *link* to that: what it leads to may come,
    and no folder that was looked at would tell.
    """
    return None if link is None else (link.st_ino, link.st_ctime_ns)


def _read_all(descriptor: int, limit: int) -> bytes:
    """All bytes of a file, at most one above the limit."""
    parts = []
    left = limit + 1
    while left and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


@contextmanager
def reported(path: str) -> Iterator[None]:
    """Turn the system's errors into ours, naming *path* as it is below the root."""
    try:
        yield
    except OSError as error:
        kind: type[BackendError] = BackendMisconfigured
        if error.errno in _FULL:
            kind = StorageFull
        elif error.errno in _PASSING:
            kind = BackendUnavailable
        raise kind(
            f"{path or 'the root'}: {os.strerror(error.errno or 0).lower()}"
        ) from error
