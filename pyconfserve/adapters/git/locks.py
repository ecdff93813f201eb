"""Locks between the processes that share one clone, and what a killed one left behind.

They are flock locks that a running git holds too, so that it keeps them when its server
is killed. The number of one that fetches stands in the lock's file, and who wants the
lock ends it; others end by themselves. A lock file of git's own is stale while nobody
holds ours.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ...errors import BackendUnavailable

__all__ = ["FETCH_LOCK", "REFS_LOCK", "Lock", "hold", "is_ours", "sweep"]

FETCH_LOCK = "pyconfserve-fetch.lock"  # held by the one who fetches
REFS_LOCK = "pyconfserve-refs.lock"  # held by the one who changes what is served
_START_TIME = 19  # among the fields of /proc/<pid>/stat behind the name (proc(5))
_POLLS = (0.002, 0.05)  # seconds between attempts: flock has no deadline of its own
_SOON = 2.0  # seconds for which the shorter of them is kept up
_OWN = "pyconfserve"  # what our own files in a clone begin with
_TEMPORARY = ("tmp_", "incoming-")  # what an unfinished fetch leaves
_UNLOCKED = ("tmp_obj_", ".tmp-")  # what others may be writing without a lock of ours
_SETTLED = 300.0  # seconds after which no local command that wrote a file still runs


class Lock:
    """A lock that is held through *descriptor*; a *signed* one says by whom."""

    def __init__(self, descriptor: int, *, signed: bool) -> None:
        self.descriptor = descriptor
        self._signed = signed

    def sign(self, group: int = 0) -> None:
        """Note who holds it: this process, and a process group that it started."""
        if not self._signed:
            return
        server = os.getpid()
        signed = {
            "server": [server, _started(server)],
            "group": [group, _started(group)],
            "host": _host(),
        }
        self.clear()
        os.pwrite(self.descriptor, json.dumps(signed).encode("ascii"), 0)

    def clear(self) -> None:
        """Take back what was noted: its numbers may soon be another's."""
        if self._signed:
            os.ftruncate(self.descriptor, 0)


def is_ours(folder: str) -> bool:
    """Whether *folder* was begun as a clone before."""
    return os.path.lexists(f"{folder}/{FETCH_LOCK}")


@contextmanager
def hold(
    folder: str,
    name: str,
    *,
    deadline: float,
    gives_up: Callable[[], bool] = lambda: False,
) -> Iterator[Lock]:
    """Hold the lock *name* of the clone in *folder*, alone.

    Raises BackendUnavailable when others hold it for *deadline* seconds more or until
    *gives_up*, OSError for a folder that cannot be written.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(f"{folder}/{name}", flags, 0o600)
    lock = Lock(descriptor, signed=name == FETCH_LOCK)
    try:
        _take(descriptor, deadline, gives_up)
        try:
            lock.sign()
            yield lock
        finally:
            lock.clear()
    finally:
        os.close(descriptor)


def _take(descriptor: int, deadline: float, gives_up: Callable[[], bool]) -> None:
    began = time.monotonic()
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                raise
        waited = time.monotonic() - began
        patience = _SOON if _end_orphan(descriptor) else 0.0  # for it to be gone
        if waited >= max(deadline, patience) or gives_up():
            raise BackendUnavailable("another process works on the clone")
        time.sleep(_POLLS[waited > _SOON])


def _end_orphan(descriptor: int) -> bool:
    """End the git that holds the lock when the server that started it is gone.

    Gives whether it was so.
    """
    try:
        signed = json.loads(os.pread(descriptor, 1000, 0))
        (server, begun), (group, formed) = signed["server"], signed["group"]
        if signed["host"] != _host() or _is_running(int(server), begun):
            return False
    except (ValueError, KeyError, TypeError):
        return False  # whoever holds it has not signed yet
    if int(group) > 1 and _is_running(int(group), formed):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(group), signal.SIGKILL)
    return True


def _is_running(number: int, started: str) -> bool:
    """Whether the process *number* is still the one that was *started* then."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's, and alive
    return _started(number) == started


def _started(number: int) -> str:
    """When a process was started, in ticks since the boot, "" where nobody tells."""
    with suppress(OSError), open(f"/proc/{number}/stat", encoding="latin-1") as file:
        return file.read().rpartition(") ")[2].split()[_START_TIME]
    return ""


def _host() -> str:
    """Where numbers of processes mean the same: one boot of a host, one container."""
    parts = [os.uname().nodename]
    with suppress(OSError):  # no Linux, or no /proc
        parts.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            parts.append(file.read().strip())
    return " ".join(parts)


def sweep(folder: str) -> None:
    """Remove what killed processes left: git's lock files and half-written objects.

    The caller holds FETCH_LOCK, and REFS_LOCK alone. Raises OSError.
    """
    _remove(folder, [name for name in os.listdir(folder) if _is_left(folder, name)])
    for place, _, names in os.walk(f"{folder}/refs"):  # a branch may be named tmp_x
        _remove(place, [name for name in names if name.endswith(".lock")])
    for place, folders, names in os.walk(f"{folder}/objects"):
        left = [name for name in folders + names if _is_left(place, name)]
        _remove(place, left)


def _is_left(place: str, name: str) -> bool:
    """Whether it is a lock or a temporary file, and nobody's any more."""
    if name.startswith(_UNLOCKED):
        with suppress(FileNotFoundError):
            written = os.stat(os.path.join(place, name)).st_mtime
            return abs(time.time() - written) > _SETTLED
    is_lock = name.endswith(".lock") and not name.startswith(_OWN)
    return is_lock or name.startswith(_TEMPORARY)


def _remove(place: str, names: list[str]) -> None:
    for name in names:
        path = os.path.join(place, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
