"""The last good answer in a file, for a start while the server is down.

The file is JSON of one format and version, readable by its owner alone; it is replaced
whole, durably, and never written in place. It names what it is an answer for, so that
another's is never served, and holds no credentials. One process at a time leads: it
asks the server for all that share the file.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from ..http.exchange import LARGEST_ANSWER
from .documents import Document, read_document
from .steps import is_visible
from .target import Target

__all__ = ["CONFIRM_EVERY", "Kept", "Snapshot"]

_FORMAT = 1
_LARGEST = LARGEST_ANSWER + 64 * 1024  # bytes: an answer, and what is said about it
CONFIRM_EVERY = 60.0  # seconds in which the time of an unchanged answer is not renewed
_BINARY: int = getattr(os, "O_BINARY", 0)  # Windows writes other line ends without it
_AHEAD = 300.0  # seconds by which the clock of who wrote it may be ahead
_AFTER = 253_402_300_800  # the first second that datetime cannot hold
_ORPHANED = 3600.0  # seconds after which an unfinished file is of a process that died


class Kept(NamedTuple):
    """What a snapshot holds; `saved` is when a server last said so (epoch seconds)."""

    url: str
    etag: str | None
    saved: float
    body: bytes
    document: Document


class Snapshot:
    """The file at *path*, for *target* alone; *now* gives seconds since the epoch.

    Its folder must exist. An answer older than *max_stale* seconds is not served.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: Target,
        max_stale: float | None,
        now: Callable[[], float],
    ) -> None:
        self.path = os.fspath(path)
        self._identity = {
            "application": target.application,
            "profile": target.profile,
            "label": target.label,
            "urls": list(target.urls),
        }
        self._max_stale = max_stale
        self._now = now
        self._lock: Any = None
        self._written: tuple[Any, float] = (None, 0.0)  # its stamp, and when it was
        self.is_failing = False

    def read(self) -> Kept | None:
        """What is kept, None where there is no file.

        Raises ValueError for one that is not to be served, in words without its
        content.
        """
        try:
            data = self._read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"it cannot be read: {error.strerror}") from error
        kept = _parse(data, self._identity)
        age = self._now() - kept.saved
        if self._max_stale is not None and age > self._max_stale:
            raise ValueError(f"it is {age:.0f} s old, {self._max_stale:g} are allowed")
        if self._max_stale is not None and age < -_AHEAD:
            raise ValueError(f"it is {-age:.0f} s younger than now")
        return kept

    def _read(self) -> bytes:
        flags = os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(self.path, flags)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("it is not a regular file")
            if os.name == "posix" and (
                about.st_mode & 0o022 or about.st_uid not in (0, os.geteuid())
            ):
                raise ValueError("others may have written it")
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError("it is too large")
        return data

    def keep(self, url: str, etag: str | None, body: bytes) -> str:
        """Replace what is kept, durably; gives what went wrong, once, else "".

        An answer that is there already is written again when a minute has passed, or
        when another process wrote the file.
        """
        stamp, written = self._written
        if stamp == (etag, body, self.stamp()) and self._is_recent(written):
            return ""
        head = {
            "format": _FORMAT, "saved": self._now(), "for": self._identity,
            "url": url, "etag": etag,
        }  # fmt: skip
        text = json.dumps(head)[:-1].encode("ascii")
        try:
            _replace(self.path, text + b', "document": ' + body + b"}\n", self._now())
        except OSError as error:
            is_new, self.is_failing = not self.is_failing, True
            problem = f"the snapshot {self.path} is not written: {error.strerror}"
            return problem if is_new else ""
        self.is_failing = False
        self._written = (etag, body, self.stamp()), self._now()
        return ""

    def _is_recent(self, moment: float) -> bool:
        return 0 <= self._now() - moment < CONFIRM_EVERY

    def stamp(self) -> tuple[int, int, int] | None:
        """A value that differs when the file was replaced, None without a file."""
        try:
            about = os.stat(self.path)
        except OSError:
            return None
        return about.st_ino, about.st_size, about.st_mtime_ns

    def lead(self) -> bool:
        """Whether this process asks the server for all that share the file.

        It does once no other process that runs does; without file locks each leads.
        """
        try:
            import fcntl
        except ImportError:  # not a Unix
            return True
        if self._lock is None:
            try:
                self._lock = self._open_lock()
            except OSError:
                return True  # where no file can be made, none is shared
        try:
            # Of the process: flock's would live on in children that have forked off.
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _open_lock(self) -> Any:
        """The file of the lock, one for each identity; raises OSError."""
        from hashlib import sha256

        identity = json.dumps(self._identity, sort_keys=True).encode("ascii")
        name = f"{self.path}.{sha256(identity).hexdigest()[:12]}.lock"
        file = open(name, "ab", opener=_private)  # noqa: SIM115
        about = os.fstat(file.fileno())
        is_ours = os.name != "posix" or about.st_uid == os.geteuid()
        if stat.S_ISREG(about.st_mode) and is_ours:
            return file
        file.close()
        raise OSError("it is no file of our own")

    def release(self) -> None:
        """Let another process lead; calling this twice is fine."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


def _parse(data: bytes, identity: dict[str, Any]) -> Kept:
    """What the bytes of a snapshot hold; raises ValueError."""
    try:
        tree = json.loads(data)
        is_ours = isinstance(tree, dict) and type(tree.get("format")) is int
    except (ValueError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ValueError("it is corrupt")
    if tree["format"] != _FORMAT:
        raise ValueError(
            f"it has format {tree['format']}, this version reads {_FORMAT}"
        )
    if tree.get("for") != identity:
        raise ValueError("it is of another application, profile, label or server")
    url, etag, saved = tree.get("url"), tree.get("etag"), tree.get("saved")
    if (
        not isinstance(url, str)
        or not (etag is None or (isinstance(etag, str) and is_visible(etag)))
        or type(saved) not in (int, float)
        or not 0 <= saved < _AFTER  # NaN is not
    ):
        raise ValueError("it is corrupt")
    body = json.dumps(tree.get("document")).encode("ascii")
    try:
        return Kept(url, etag, float(saved), body, read_document(body))
    except ValueError as error:
        raise ValueError(f"it is corrupt: {error}") from None


def _private(path: str, flags: int) -> int:
    """Opened for its owner alone: no link is followed, and no pipe is waited for."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | _BINARY, 0o600)


def _replace(path: str, data: bytes, now: float) -> None:
    """Put *data* in place of the file at *path*, whole or not at all."""
    folder, name = os.path.split(os.path.abspath(path))
    _sweep(folder, name, now)
    unfinished = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(_private(unfinished, flags), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, os.path.join(folder, name))
    except OSError:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(folder: str, name: str, now: float) -> None:
    """Remove what processes left that died while they wrote."""
    for entry in os.listdir(folder):
        if entry.startswith(f".{name}.") and entry.endswith(".tmp"):
            unfinished = os.path.join(folder, entry)
            with suppress(OSError):
                if now - os.stat(unfinished).st_mtime > _ORPHANED:
                    os.unlink(unfinished)
