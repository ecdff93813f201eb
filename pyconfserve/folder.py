"""A folder as a tree of files.

It is read through descriptors from its root, a component at a time without following
links; a link is followed by hand, so that it cannot leave the root (hardening.md 0.2)
and a mounted Kubernetes ConfigMap works all the same.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
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
)
from .files import Folder, check_expected, is_shown
from .walk import ABSENT, Walk

__all__ = ["REFRESH_INTERVAL", "FolderTree", "reported"]

REFRESH_INTERVAL = 0.1  # seconds for which a stamp is believed
_MOST_STAMPS = 100_000  # believed at a time: 40 MB, where the interval is long
_UNSETTLED = 50_000_000  # ns in which a change may leave no trace in times
_TEMPORARY = ".pyconfserve-tmp"  # ends the hidden names of files being written
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PASSING = (
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EINTR,
)


class FolderTree:
    """The folder *root* as a tree; stamps are at most *refresh_interval* s old."""

    def __init__(
        self, root: str | os.PathLike[str], refresh_interval: float = REFRESH_INTERVAL
    ) -> None:
        self.root = os.path.abspath(root)
        self.uri = f"file:{self.root}/"
        self._interval = refresh_interval
        self._stamps: dict[str, Hashable] = {}
        self._stamps_until = 0.0
        self._writing = threading.Lock()

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

        It is (device, inode, size, modified, changed, settled).
        """
        if fresh:
            return tuple([self._stat(path) for path in paths])
        stamps = self._stamps
        now = time.monotonic()
        if now >= self._stamps_until or len(stamps) > _MOST_STAMPS:
            stamps = self._stamps = {}
            self._stamps_until = now + self._interval
        for path in paths:
            if path not in stamps:
                stamps[path] = self._stat(path)
        return tuple([stamps[path] for path in paths])

    def look_again(self) -> None:
        """Believe no stamp from before now, whatever the interval."""
        self._stamps = {}

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Write and remove files durably (design: saves).

        Temporary file, fsync, rename, fsync of the folder. Raises VersionConflict,
        BackendError.
        """
        with self._writing:
            check_expected(self, expected)
            try:
                for path, data in changes.items():
                    with reported(path), self._folder_of(path) as folder:
                        _replace(folder, path.rpartition("/")[2], data)
            finally:
                self._stamps = {}

    def _stat(self, path: str) -> Hashable:
        try:
            status = os.stat(f"{self.root}/{path}")
        except ValueError:
            return None
        except OSError as error:
            if error.errno in ABSENT:
                return self._link(path)
            with reported(path):  # a guess would serve other values
                raise
        settled = abs(time.time_ns() - status.st_ctime_ns) > _UNSETTLED
        return (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            settled,
        )

    def _link(self, path: str) -> Hashable:
        """The stamp of a link to nothing: what it leads to may come, and no folder that
        was looked at would tell.
        """
        try:
            status = os.lstat(f"{self.root}/{path}")
        except OSError:
            return None
        return (status.st_ino, status.st_ctime_ns)

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


def _read_all(descriptor: int, limit: int) -> bytes:
    """All bytes of a file, at most one above the limit."""
    parts = []
    left = limit + 1
    while left and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _replace(folder: int, name: str, data: bytes | None) -> None:
    """Give the file *name* in *folder* new bytes, or remove it, durably."""
    if data is None:
        os.unlink(name, dir_fd=folder)
        os.fsync(folder)
        return
    temporary = f".{os.urandom(8).hex()}{_TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            with suppress(FileNotFoundError):
                mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                if stat.S_ISREG(mode):  # a link's own says nothing
                    os.fchmod(descriptor, stat.S_IMODE(mode))
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write *data* whole: one call may take only a part of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


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
