"""A private folder for as long as a backend lives: keys, and a clone nobody keeps.

A killed server cannot remove its own. Each is held by a lock, so that the next server
of the same user knows those that nobody holds any more, and removes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress

__all__ = ["Scratch"]

_PREFIX = "pyconfserve-git-"
_NEW = "pyconfserve-new-"  # until it is held
_LOCK = "held"


class Scratch:
    """A folder of mode 0700 below the system's temporary one; raises OSError."""

    def __init__(self) -> None:
        _remove_left()
        new = tempfile.mkdtemp(prefix=_NEW)
        self._lock = os.open(f"{new}/{_LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        parent, name = os.path.split(new)
        self.path = os.path.join(parent, _PREFIX + name.removeprefix(_NEW))
        os.rename(new, self.path)

    def remove(self) -> None:
        """Remove it with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left() -> None:
    with os.scandir(tempfile.gettempdir()) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in found:
        with suppress(OSError):  # held, another user's, or gone by now
            _remove_unheld(path)


def _remove_unheld(path: str) -> None:
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    lock = os.open(f"{path}/{_LOCK}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)
