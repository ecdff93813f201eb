"""The objects of a repository by id: trees and blobs, read by `git cat-file --batch`.

An object never changes, so what was read is kept, the last used first, within a limit
in bytes. Ids come from refs and trees, never from a client.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from ...environment.formats.document import LARGEST_FILE
from ...errors import BackendUnavailable, DocumentError
from ...kept import LastUsed
from .process import Git, Process

__all__ = ["FOLDER", "Commit", "Entry", "Objects"]

_DEADLINE = 30.0  # seconds for one object
_MOST_IDLE = 8  # processes that wait for the next reader
_MOST_BLOBS = 32 * 1024 * 1024  # bytes that are kept of files
_MOST_TREES = 64 * 1024 * 1024  # and of folders: of a quarter of a million names
_MOST_COMMITS = 1024 * 1024  # and of commits: four thousand
_LARGEST_TREE = 16 * 1024 * 1024  # bytes: four hundred thousand names in one folder
_ENTRY_SIZE = 200  # bytes of a kept entry beside its name (measured)
_REGULAR = "100"  # begins the modes of regular files, with their permissions behind
FOLDER = "40000"  # the mode of a tree in a tree

# `<mode> <name>\0<id>`, again and again, by the size of an id (gitformat: tree).
_NAMES = {
    size: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % size, re.DOTALL)
    for size in (20, 32)
}
# After the address; in old commits it is missing, glued to that, or too large.
_TIME = re.compile(rb"> *([0-9]{1,12})(?![0-9])")


class Entry(NamedTuple):
    """One name in a tree: its mode in octal digits, as git writes it, and its id."""

    mode: str
    id: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, not a link or a submodule."""
        return self.mode.startswith(_REGULAR)

    @property
    def is_folder(self) -> bool:
        return self.mode == FOLDER


class Commit(NamedTuple):
    """A commit: the id of its tree, and when it was made, seconds since the epoch."""

    tree: str
    time: float


class _Object(NamedTuple):
    id: str
    kind: str
    size: int
    data: bytes | None  # None: larger than was asked for


class _Died(Exception):
    """A process has ended before its answer."""


class Objects:
    """The objects of the repository that *git* runs over; thread-safe.

    *deadline* is in seconds, for one object. `is_damaged` is set when one was missed
    that has to be there.
    """

    def __init__(self, git: Git, deadline: float = _DEADLINE) -> None:
        self._git = git
        self._deadline = deadline
        self.is_damaged = False
        self._missed: set[str] = set()
        self._idle: list[Process] = []
        self._most_idle = _MOST_IDLE
        self._lock = threading.Lock()
        self._trees: LastUsed[str, Mapping[str, Entry]] = LastUsed(_MOST_TREES)
        self._blobs: LastUsed[str, bytes] = LastUsed(_MOST_BLOBS)
        self._large: LastUsed[str, int] = LastUsed(_MOST_COMMITS)  # sizes of files
        self._commits: LastUsed[str, Commit] = LastUsed(_MOST_COMMITS)

    def commit(self, id: str) -> Commit:
        """The commit *id*; raises BackendUnavailable when it is missing."""
        commit = self._commits.get(id)
        if commit is None:
            commit = _parse_commit(self._whole(id, "commit"))
            self._commits.keep(id, commit, len(id))
        return commit

    def commit_of(self, id: str) -> str | None:
        """The commit that *id*, of a commit or a tag, stands for; None for others."""
        found = self._read(f"{id}^{{commit}}", _LARGEST_TREE)
        return found.id if found else None

    def tree(self, id: str) -> Mapping[str, Entry]:
        """The entries of a tree by name, in git's order.

        Raises BackendUnavailable when it is missing.
        """
        tree = self._trees.get(id)
        if tree is None:
            data = self._whole(id, "tree")
            tree = _parse_tree(data, len(id) // 2)
            size = len(data) + _ENTRY_SIZE * len(tree)
            self._trees.keep(id, tree, size)
        return tree

    def blob(self, id: str, limit: int = LARGEST_FILE) -> bytes:
        """The bytes of a file.

        Raises DocumentError for more than *limit* of them, BackendUnavailable when it
        is missing.
        """
        data = self._blobs.get(id)
        if data is None:
            data = self._read_blob(id, limit)
        if data is None or len(data) > limit:
            raise DocumentError(f"larger than {limit} bytes")
        return data

    def look_again(self) -> None:
        """See what is still missed once objects were fetched; raises BackendError."""
        self._missed = {id for id in [*self._missed] if self._read(id, 0) is None}
        self.is_damaged = bool(self._missed)

    def close(self) -> None:
        """End the processes that wait; calling this twice is fine."""
        with self._lock:
            idle, self._idle, self._most_idle = self._idle, [], 0
        for process in idle:
            self._git.stop(process)

    def _read_blob(self, id: str, limit: int) -> bytes | None:
        """The bytes of a file, None for more than *limit*; then its size is kept.

        So a file that is too large costs one process, not one for each request.
        """
        if (self._large.get(id) or 0) > limit:
            return None
        found = self._existing(id, "blob", limit)
        if found.data is None:
            self._large.keep(id, found.size, len(id))
        else:
            self._blobs.keep(id, found.data, found.size)
        return found.data

    def _whole(self, id: str, kind: str) -> bytes:
        found = self._existing(id, kind, _LARGEST_TREE)
        if found.data is None:
            raise BackendUnavailable("an object of the repository is too large")
        return found.data

    def _existing(self, id: str, kind: str, limit: int) -> _Object:
        found = self._read(id, limit)
        if found is None:
            self.is_damaged = True
            self._missed.add(id)
            raise BackendUnavailable("an object of the repository is missing")
        if found.kind != kind:
            raise _corrupt()
        return found

    def _read(self, query: str, limit: int) -> _Object | None:
        """One object; for a process that died while it waited another is asked."""
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is not None:
            with suppress(_Died):
                return self._ask(process, query, limit)
        try:
            return self._ask(self._git.start("cat-file", "--batch"), query, limit)
        except _Died as error:
            raise _silent() from error

    def _ask(self, process: Process, query: str, limit: int) -> _Object | None:
        """What *process* says; one that failed is ended and not asked again.

        Raises _Died for a process that is gone, BackendUnavailable.
        """
        is_usable = False
        try:
            found = _ask(process, query, limit, time.monotonic() + self._deadline)
            is_usable = found is None or found.data is not None
            return found
        except (EOFError, BrokenPipeError) as error:
            raise _Died from error
        except (OSError, ValueError, IndexError) as error:
            raise _silent() from error
        finally:
            self._put_back(process, is_usable=is_usable)

    def _put_back(self, process: Process, *, is_usable: bool) -> None:
        with self._lock:
            if is_usable and len(self._idle) < self._most_idle:
                self._idle.append(process)
                return
        self._git.stop(process)


def _ask(process: Process, query: str, limit: int, until: float) -> _Object | None:
    """Ask for one object; above *limit* its bytes are not read (git-cat-file)."""
    assert process.running.stdin is not None
    process.running.stdin.write(f"{query}\n".encode("ascii"))
    got = b""
    while b"\n" not in got:
        got += _more(process, until)
    head, _, data = got.partition(b"\n")
    words = head.decode("ascii").split(" ")
    if words[-1] in ("missing", "ambiguous"):
        return None
    id, kind, size = words[0], words[1], int(words[2])
    if size > limit:
        return _Object(id, kind, size, None)
    parts, left = [data], size + 1 - len(data)
    while left > 0:
        parts.append(_more(process, until))
        left -= len(parts[-1])
    return _Object(id, kind, size, b"".join(parts)[:size])


def _more(process: Process, until: float) -> bytes:
    part = process.read(until)
    if not part:
        raise EOFError
    return part


def _parse_commit(data: bytes) -> Commit:
    """The head of a commit: lines up to the first empty one (gitformat: commit)."""
    head = data.partition(b"\n\n")[0]
    lines = dict(line.partition(b" ")[::2] for line in reversed(head.split(b"\n")))
    try:
        tree, committer = lines[b"tree"].decode("ascii"), lines[b"committer"]
    except (KeyError, ValueError) as error:
        raise _corrupt() from error
    made = _TIME.search(committer)
    return Commit(tree, float(made[1]) if made else 0.0)


def _parse_tree(data: bytes, id_size: int) -> dict[str, Entry]:
    found = _NAMES[id_size].findall(data)
    if sum(len(mode) + len(name) for mode, name, _ in found) != (
        len(data) - len(found) * (id_size + 2)
    ):
        raise _corrupt()
    # One text for all modes alike, without the zero in front that some programs wrote.
    modes = {mode: sys.intern(mode.decode("ascii").lstrip("0")) for mode, _, _ in found}
    return {
        # What is no UTF-8 is kept for whoever writes the tree, and no name asked for.
        name.decode("utf-8", "surrogateescape"): Entry(modes[mode], id.hex())
        for mode, name, id in found
    }


def _corrupt() -> BackendUnavailable:
    return BackendUnavailable("an object of the repository is corrupt")


def _silent() -> BackendUnavailable:
    return BackendUnavailable("git cat-file did not answer")
