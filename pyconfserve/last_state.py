"""The last good state of a store in a file, for a start while the store is away.

The file is readable by its owner alone, is replaced whole and durably, and names the
store it is of, so that another's is never served.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from .errors import BackendMisconfigured, InvalidRequest

__all__ = ["LastState"]

_FORMAT = 2
_LARGEST = 1 << 30  # bytes: far above what fits in a replica's memory
_CONFIRM_EVERY = 60.0  # seconds in which the age of an unchanged state is not renewed
_ORPHANED = 3600.0  # seconds after which an unfinished file is of a process that died
_CHANGE_EVERY = 1.0  # seconds between writes: each waits for the disk

State = TypeVar("State")


class LastState:
    """The file at *path*, for the store of *identity* alone; its folder must exist."""

    def __init__(self, path: str | os.PathLike[str], identity: str) -> None:
        self.path = os.fspath(path)
        self._identity = identity
        self._written: tuple[str, float] | None = None  # token, and when it was read

    def read(self, unpacked: Callable[[Any], State]) -> tuple[State, float] | None:
        """What *unpacked* makes of what is kept, and when it was read (epoch seconds).

        None without a file. Raises BackendMisconfigured for one that is not to be
        served.
        """
        try:
            document = json.loads(self._read())
            if document["format"] != _FORMAT:
                raise self._refused("has another format")
            if document["store"] != self._identity:
                raise self._refused("is of another store")
            return unpacked(document["state"]), float(document["read"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror}") from error
        except (
            *(ValueError, LookupError, TypeError, AttributeError),
            *(ArithmeticError, InvalidRequest, RecursionError),
        ) as error:
            raise self._refused("is corrupt") from error

    def _read(self) -> bytes:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise self._refused("is no regular file")
            if about.st_mode & 0o022 or about.st_uid not in (0, os.geteuid()):
                raise self._refused("may have been written by others")
            return file.read(_LARGEST)

    def seconds_left(self, token: str, read_at: float) -> float:
        """How long a state that was read at *read_at* need not be kept yet."""
        if self._written is None:
            return 0.0
        written, moment = self._written
        pause = _CONFIRM_EVERY if token == written else _CHANGE_EVERY
        left = moment + pause - read_at
        return left if 0 < left <= pause else 0.0

    def keep(self, token: str, state: Any, read_at: float) -> None:
        """Replace what is kept by *state*, which is JSON; raises OSError."""
        document = {
            "format": _FORMAT,
            "store": self._identity,
            "read": read_at,
            "state": state,
        }
        _replace(self.path, document)
        self._written = token, read_at

    def _refused(self, problem: str) -> BackendMisconfigured:
        return BackendMisconfigured(f"the snapshot file {problem}")


def _replace(path: str, document: Any) -> None:
    """Put *document* in place of the file at *path*, whole or not at all."""
    folder, name = os.path.split(os.path.abspath(path))
    _sweep(folder, name)
    unfinished = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(unfinished, flags, 0o600), "w") as file:
            json.dump(document, file)  # in parts, so that other threads go on
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: str, name: str) -> None:
    """Remove what processes left that died while they wrote."""
    for entry in os.listdir(folder):
        if entry.startswith(f".{name}.") and entry.endswith(".tmp"):
            unfinished = os.path.join(folder, entry)
            with suppress(OSError):
                if time.time() - os.stat(unfinished).st_mtime > _ORPHANED:
                    os.unlink(unfinished)
