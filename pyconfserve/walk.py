"""A walk through a folder that cannot leave it: by descriptors, links by hand."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

__all__ = ["ABSENT", "Walk"]

_MOST_LINKS = 40  # in one path: the kernel's own limit
ABSENT = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENXIO,
    errno.EINVAL,  # a link that became a file before it was read
)


class Walk:
    """A walk from a root through one path.

    It holds the descriptors of the folders it stands in.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._folders: list[int] = []
        self._last: int | None = None

    def to(self, path: str) -> int | None:
        """A descriptor of *path* that lives until close().

        None for what is absent or out of reach. Raises OSError for what the system
        refuses.
        """
        parts = [part for part in reversed(path.split("/")) if part]
        links = 0
        try:
            self._folders.append(
                os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            )
            while parts:
                target = self._step(parts.pop(), is_last=not parts)
                if target is None:
                    continue
                links += 1
                if links > _MOST_LINKS or target.startswith("/"):
                    return None
                parts += [
                    part
                    for part in reversed(target.split("/"))
                    if part not in ("", ".")
                ]
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise
        return self._last if self._last is not None else self._folders[-1]

    def close(self) -> None:
        """Close what the walk opened; calling this twice is fine.

        They were only read through: that one does not close takes nothing back.
        """
        for descriptor in (*self._folders, self._last):
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)
        self._folders, self._last = [], None

    def _step(self, part: str, *, is_last: bool) -> str | None:
        """Go into *part*; gives the target instead where it is a link."""
        here = self._folders[-1]
        if part == "..":  # only in the target of a link
            if len(self._folders) == 1:
                raise OSError(errno.ELOOP, "a link leaves the root")
            os.close(self._folders.pop())
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(part, flags, dir_fd=here)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                return os.readlink(part, dir_fd=here)
            raise
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._folders.append(descriptor)
        else:
            self._last = descriptor
            if not is_last:
                raise OSError(errno.ENOTDIR, "a file is no folder")
        return None
