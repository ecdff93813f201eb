"""Clones of repositories that clients name: held while in use, bounded in number.

They are read-only, so nothing is lost with them. Who serves from one holds a shared
lock on its folder, and who removes it has to have it alone: other processes may use it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from typing import Any

from ...errors import BackendError, BackendUnavailable
from ...folder import reported
from .backend import GitConfigBackend
from .clone import Clone
from .locks import FETCH_LOCK, hold
from .outcome import closed
from .place import own_folder

__all__ = ["NamedBackend", "named_folder", "tidy"]

_PREFIX = "named-"
_GOING = ".going"  # ends the name of a folder that is being removed
_PATIENCE = 10.0  # seconds for one who removes it: that renames it
_POLL = 0.01
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_tidying = threading.Lock()  # two at once would each remove what is too many


class NamedBackend(GitConfigBackend):
    """A GitConfigBackend of a URI that a client's names filled in.

    Whoever makes up a name must not fill the log: its problems are no warnings.
    """

    _problem_level = logging.INFO

    def __init__(
        self, uri: str, *, clone_dir: str | None = None, **options: Any
    ) -> None:
        super().__init__(uri, clone_dir=clone_dir, **options)
        self._use = _Use(clone_dir) if clone_dir else None

    async def open(self) -> None:
        """As that of any other; its folder stays until `close`."""
        if self._use is not None and not self._use.is_held:
            await asyncio.to_thread(self._use.begin)
        await super().open()

    async def close(self) -> None:
        """End what runs; then others may remove its folder."""
        await super().close()
        if self._use is not None:
            await asyncio.to_thread(self._use.end)


class _Use:
    """The use of a folder by this process; its time of change is that of the last."""

    def __init__(self, folder: str) -> None:
        self._folder = os.path.abspath(folder)
        self._descriptor: int | None = None
        self._is_over = False
        self._changing = threading.Lock()

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def begin(self) -> None:
        """Make the folder unless it is there, and keep others from removing it.

        Raises BackendError.
        """
        give_up = time.monotonic() + _PATIENCE
        while not self.is_held:
            with self._changing, reported("the clone"), suppress(FileNotFoundError):
                if self._is_over:
                    raise closed()
                own_folder(self._folder)
                self._descriptor = _locked(self._folder, fcntl.LOCK_SH)
                os.utime(self._folder)
            if not self.is_held:
                if time.monotonic() > give_up:
                    raise BackendUnavailable("another process removes the clone")
                time.sleep(_POLL)

    def end(self) -> None:
        """Let others remove it; calling this twice is fine."""
        with self._changing:
            self._is_over = True
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.utime(descriptor)
            os.close(descriptor)


def _locked(folder: str, kind: int) -> int | None:
    """A descriptor that holds a lock of *kind* on *folder*; None where others hold it,
    or where another folder, or none, is there by now. Raises OSError.
    """
    descriptor = os.open(folder, _FOLDER)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
            return descriptor
    os.close(descriptor)
    return None


def named_folder(basedir: str, name: str) -> str:
    """The folder in *basedir* of the clone that is known by *name*."""
    return os.path.join(basedir, f"{_PREFIX}{name}")


def tidy(folder: str, most: int) -> None:
    """Leave at most *most* such folders beside *folder*, those used last.

    *folder* itself goes if nothing was ever fetched into it. None goes that is in use.
    """
    basedir = os.path.dirname(os.path.abspath(folder))
    if Clone(folder, None, folder).fetched() is None:
        _remove(folder)
    with _tidying, suppress(OSError):
        paths = _oldest_first(basedir)
        extra = len(paths) - most
        for path in paths:
            if extra <= 0:
                break
            extra -= _remove(path)


def _oldest_first(basedir: str) -> list[str]:
    """The folders that named clones have, and no more what removals left."""
    with os.scandir(basedir) as entries:
        found = [entry for entry in entries if entry.name.startswith(_PREFIX)]
    used = []
    for entry in found:
        if entry.name.endswith(_GOING):
            shutil.rmtree(entry.path, ignore_errors=True)
            continue
        with suppress(FileNotFoundError):
            used.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    return [path for _, path in sorted(used)]


def _remove(folder: str) -> bool:
    """Remove *folder* unless it is in use or not ours; gives whether it was removed.

    It gets another name first: half a clone would never be one again.
    """
    going = f"{folder}.{secrets.token_hex(4)}{_GOING}"
    try:
        descriptor = _locked(folder, fcntl.LOCK_EX)
        if descriptor is None:
            return False
        try:
            if os.fstat(descriptor).st_uid != os.geteuid():
                return False
            with hold(folder, FETCH_LOCK, deadline=0):
                os.rename(folder, going)
        finally:
            os.close(descriptor)
    except (OSError, BackendError):
        return False
    shutil.rmtree(going, ignore_errors=True)
    return True
