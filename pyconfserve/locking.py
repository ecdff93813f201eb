"""The lock of a folder: one writer at a time, of all threads and processes.

It is a flock lock on the folder itself, so that nothing is left behind, and it ends
with the process that holds it, however that ends. Readers take none.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .errors import BackendUnavailable

__all__ = ["PATIENCE", "WriteLock"]

PATIENCE = 5.0  # seconds that the saves before ours may take, well below an answer's
_TOGETHER = 0.5  # seconds after a vain wait in which who waited behind it comes
_POLL = 0.002  # seconds between attempts: flock has no deadline of its own
_FILE = ".pyconfserve-lock"  # is locked where a folder cannot be
# NFS wants a lock's descriptor open for writing, and others lock no folders at all.
_NO_FOLDERS = (errno.EBADF, errno.EINVAL, errno.EISDIR, errno.EOPNOTSUPP, errno.ENOSYS)


class WriteLock:
    """The lock of the folder *root*, for *patience* seconds of waiting at most.

    A thread that holds it may take it again. Those who come one after another, as they
    waited for each other, are patient once: who comes right after one that waited in
    vain tries just once.
    """

    def __init__(self, root: str, patience: float = PATIENCE) -> None:
        self._root = root
        self._patience = patience
        self._threads = threading.RLock()
        self._is_held = False
        self._in_vain = -math.inf  # when the last vain wait ended

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only writer.

        Raises BackendUnavailable when others write for too long or the root is not
        there, OSError.
        """
        until = time.monotonic() + self._patience
        if not self._threads.acquire(timeout=self._patience):
            raise BackendUnavailable("the folder is locked by another save")
        try:
            if self._is_held:
                yield
                return
            descriptor = self._taken(until - self._lost())
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False
                _release(descriptor)
        finally:
            self._threads.release()

    def _lost(self) -> float:
        """The seconds of patience that were lost behind one who waited in vain."""
        is_behind = time.monotonic() - self._in_vain < _TOGETHER
        return self._patience if is_behind else 0.0

    def _taken(self, until: float) -> int:
        """A descriptor that holds the lock of what is at the root's path by now."""
        while True:
            root = self._opened()
            try:
                descriptor = _locked(root, until)
                is_ours = descriptor == root and self._is_at_its_path(root)
            except BaseException as error:
                if isinstance(error, BackendUnavailable):
                    self._in_vain = time.monotonic()
                os.close(root)
                raise
            if descriptor != root:
                os.close(root)
                return descriptor
            if is_ours:
                return root
            os.close(root)  # another folder was put in its place while we waited

    def _opened(self) -> int:
        try:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BackendUnavailable("the root is not there") from error

    def _is_at_its_path(self, root: int) -> bool:
        try:
            return os.path.samestat(os.fstat(root), os.stat(self._root))
        except FileNotFoundError:
            return False


def _locked(root: int, until: float) -> int:
    """The descriptor that holds the lock: *root*, or one of a file in it."""
    try:
        _wait(root, until)
        return root
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_FILE, flags, 0o600, dir_fd=root)
    try:
        _wait(descriptor, until)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _release(descriptor: int) -> None:
    """End the lock; what was written under it is no worse when that fails."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    with suppress(OSError):
        os.close(descriptor)


def _wait(descriptor: int, until: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                problem = "the folder is locked by another process"
                raise BackendUnavailable(problem) from error
        time.sleep(_POLL)
