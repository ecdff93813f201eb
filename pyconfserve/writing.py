"""One file gets new bytes, durably and at once, or stays as it was.

Whoever calls this holds the folder's lock, so a file with a temporary name that is met
here is nobody's any more.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import NamedTuple

__all__ = ["is_temporary", "replace", "sweep"]

_TEMPORARY = ".pyconfserve-tmp"  # ends the hidden names of files being written
_NAME = re.compile(r"\.[0-9a-f]{16}\.pyconfserve-tmp")
_TICK = 1_000_000_000  # ns: no clock of a file system is coarser, but FAT's


def is_temporary(name: str) -> bool:
    """Whether *name* is one that a file of ours has while it is written."""
    return bool(_NAME.fullmatch(name))


def sweep(folder: int) -> None:
    """Remove what killed writers left in *folder*, a descriptor; raises OSError."""
    with os.scandir(folder) as entries:
        left = [
            entry.name
            for entry in entries
            if is_temporary(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for name in left:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def replace(folder: int, name: str, data: bytes | None) -> None:
    """Give the file *name* in *folder*, a descriptor, new bytes, or remove it.

    The file's mode is kept. Its time, and the folder's, are later than they were, even
    within one tick of the clock. When this raises OSError, all is as it was, as far as
    the disk still lets it.
    """
    before = _before(folder, name)
    try:
        if data is None:
            os.unlink(name, dir_fd=folder)
            than = before.folder_time
        else:
            than = max(before.folder_time, _write(folder, name, data, before) - 1)
        try:
            _make_later(folder, than)
            os.fsync(folder)
        except OSError:
            _put_back(folder, name, before)
            raise
    finally:
        before.close()


class _Before(NamedTuple):
    """What was there: the file's descriptor and mode, None where there was none."""

    folder_time: int
    time: int
    mode: int | None
    file: int | None

    def close(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # it was only read
                os.close(self.file)


def _before(folder: int, name: str) -> _Before:
    folder_time = os.fstat(folder).st_mtime_ns
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return _Before(folder_time, 0, None, None)
    if not stat.S_ISREG(found.st_mode):  # a link's own mode says nothing
        return _Before(folder_time, found.st_mtime_ns, None, None)
    file = None
    with suppress(PermissionError):  # what may not be read may be replaced
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(name, flags, dir_fd=folder)
    return _Before(folder_time, found.st_mtime_ns, stat.S_IMODE(found.st_mode), file)


def _write(folder: int, name: str, data: bytes, before: _Before) -> int:
    """Have *data* in the file *name*, on the disk; gives its time in ns."""
    temporary = f".{os.urandom(8).hex()}{_TEMPORARY}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        try:
            if before.mode is not None:
                os.fchmod(descriptor, before.mode)
            _write_all(descriptor, data)
            time = _make_later(descriptor, max(before.time, before.folder_time))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with suppress(OSError):  # the error that counts is the first
            os.unlink(temporary, dir_fd=folder)
        raise
    return time


def _write_all(descriptor: int, data: bytes) -> None:
    """Write *data* whole: one call may take only a part of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _make_later(descriptor: int, than: int) -> int:
    """Let what is open be modified later *than* that; gives when it was, in ns.

    Two changes within a tick of the clock would else look alike where the system gives
    the new file the number of the old one. A time far ahead is another one anyhow.
    """
    found = os.fstat(descriptor)
    if not 0 <= than - found.st_mtime_ns < _TICK:
        return found.st_mtime_ns
    with suppress(PermissionError):  # another's folder, open to our group
        os.utime(descriptor, ns=(found.st_atime_ns, than + 1))
    return than + 1


def _put_back(folder: int, name: str, before: _Before) -> None:
    """Undo a change that may not last, so that nobody takes it for a lasting one."""
    with suppress(OSError):
        if before.file is None:
            if before.mode is None and not before.time:  # there was nothing
                os.unlink(name, dir_fd=folder)
            return
        parts = []
        offset = 0
        while part := os.pread(before.file, 1 << 20, offset):
            parts.append(part)
            offset += len(part)
        _write(folder, name, b"".join(parts), before)
