"""The users of a file, read again when it changes.

A file that no longer holds users leaves those of before in force, and says so once:
neither a typing error nor a full disk opens or shuts a server.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable

from ..environment import formats
from ..environment.formats.document import LARGEST_FILE
from ..environment.nesting import nest
from ..errors import ConfigError, DocumentError, InvalidRequest, SettingsError
from .users import Users, parse_users

__all__ = ["UsersFile", "parse", "read"]

_log = logging.getLogger("pyconfserve.users")

_SUFFIXES = ("yaml", "yml", "json", "toml")
_INTERVAL = 1.0  # seconds between two looks: a revoked user is out a moment later
_NO_WAITING: int = getattr(os, "O_NONBLOCK", 0)  # for a writer of a FIFO
# In a file of users a map is a user; an empty one would be gone, its key with it.
_EMPTY_MAP = re.compile(
    rb"\{(?:\s|#[^\n]*\n)*\}|^[ \t]*\[+[ \t]*users[ \t]*\.", re.MULTILINE
)
_YOUNG = 2 * 10**9  # nanoseconds in which a file may change and keep its stamp


class UsersFile:
    """The users in the file at *path*, YAML, JSON or TOML by its suffix.

    *clock* gives seconds, *now* nanoseconds since 1970. Raises SettingsError when there
    are none, or when others may write the file; MissingDependency for YAML without
    PyYAML.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path, self._clock, self._now = path, clock, now
        self._reading = threading.Lock()
        self._stamp = self._look()
        self._seen: bytes | str = read(path)  # or what was wrong
        self._users = parse(self._seen, path)
        self._next_look = clock() + _INTERVAL

    def current(self) -> Users:
        """The users of now, the same object until they change.

        Looks at the file at most once a second, and reads it in a thread.
        """
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _INTERVAL
            stamp = self._look()
            is_new = stamp is None or stamp != self._stamp
            if is_new and not self._reading.locked():
                threading.Thread(target=self.reload, daemon=True).start()
        return self._users

    def reload(self) -> None:
        """Read the file now; blocks. What is broken is logged, and changes nothing."""
        with self._reading:
            self._stamp = self._look()
            try:
                data = read(self.path)
                if data != self._seen:
                    self._take(parse(data, self.path))
                self._seen = data
            except ConfigError as error:
                problem = str(error)
                if problem != self._seen:
                    _log.error("%s; the users of before stay in force", problem)
                self._seen = problem

    def _take(self, users: Users) -> None:
        if users != self._users:  # an edit of comments is no change
            self._users = users
            _log.info("%s: changed, users: %d", self.path, len(users.by_name))

    def _look(self) -> tuple[int, ...] | None:
        """What changes with the file, None while it is young.

        A file may change twice within one tick of the clock of its file system.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            return ()
        changed = max(found.st_mtime_ns, found.st_ctime_ns)
        if abs(self._now() - changed) < _YOUNG:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, changed


def read(path: str) -> bytes:
    """The bytes of a file of users.

    Raises SettingsError when it cannot be read, or when others may write it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_WAITING)
        with open(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise SettingsError("is no file", source=path)
            if os.name == "posix" and mode & stat.S_IWOTH:
                raise SettingsError("others may write it: chmod o-w", source=path)
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SettingsError(f"cannot be read: {error.strerror}", source=path) from error


def parse(data: bytes, path: str) -> Users:
    """The users in the bytes of the file at *path*.

    Raises SettingsError, MissingDependency.
    """
    suffix = os.path.splitext(path)[1].removeprefix(".")
    if suffix not in _SUFFIXES:
        known = ", ".join(f".{name}" for name in _SUFFIXES)
        raise SettingsError(f"expected a file of one of {known}", source=path)
    if _EMPTY_MAP.search(data):  # a pattern forgotten is all names
        problem = "holds a map where a list or a text is expected"
        raise SettingsError(problem, source=path)
    try:
        documents = formats.parse(data, suffix)
        if len(documents) > 1:
            raise SettingsError("expected one document", source=path)
        flat = documents[0].entries if documents else {}
        tree = nest({key: entry.value for key, entry in flat.items()})
    except (DocumentError, InvalidRequest) as error:
        raise SettingsError(str(error), source=path) from error
    return parse_users(tree, path)
