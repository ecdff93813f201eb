"""A branch as a tree that takes changes: each is a commit, and nobody's is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress

from ...backend import PlainFile
from ...environment.formats.document import LARGEST_FILE
from ...errors import ConfigNotFound, Conflict, SettingsError, VersionConflict
from ...files import Folder, check_expected
from ...folder import reported
from .locks import Lock
from .objects import FOLDER, Entry
from .refs import BRANCHES, Change, change_refs
from .repository import Repository
from .tree import GitTree

__all__ = ["BranchTree", "author_environment"]

_AUTHOR = re.compile(r"([^<>\x00-\x1f]+?) *<([^<>\x00-\x20]*)>")
_FILE = "100644"
_SUBMODULE = "160000"
_TO_BLOB = ("hash-object", "-w", "--stdin")
_TO_TREE = ("mktree", "-z")


class BranchTree:
    """The files of *branch* as it stands at each call; changes are commits on it.

    *author* is the environment of git commit-tree; *lock* is held for as long as the
    tree is used, so that nobody else moves the branch.
    """

    def __init__(
        self,
        repository: Repository,
        branch: str,
        author: Mapping[str, str],
        lock: Lock,
    ) -> None:
        self.uri = repository.uri
        self._repository = repository
        self._branch = branch
        self._author = author
        self._lock = lock
        self._made: list[str] = []

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The regular file at *path*, None for anything else."""
        return self._tree().read(path, limit)

    def list(self, folder: str) -> Folder | None:
        """What is in *folder*, None when it is no folder."""
        return self._tree().list(folder)

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """The id of what is at each path."""
        return self._tree().stamp(paths)

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Make one commit of *changes* and move the branch to it, if it did not move.

        All is on the disk when this returns (core.fsync). Raises VersionConflict,
        ConfigNotFound for a branch that is gone, BackendError.
        """
        tree = self._tree()
        check_expected(tree, expected)
        blobs = {
            path: data if data is None else self._make(*_TO_BLOB, data=data)
            for path, data in changes.items()
        }
        new = self._changed(tree.root, blobs) or self._make(*_TO_TREE)
        if new == tree.root:
            return
        commit = ("commit-tree", new, "-p", tree.commit)
        made = self._make(*commit, data=f"{message}\n".encode())
        change = Change(BRANCHES + self._branch, tree.commit, made)
        with reported("the clone"):
            self._settle()
            self._move(change)
            folder = os.path.dirname(f"{self._repository.git.folder}/{change.name}")
            with suppress(FileNotFoundError):  # the ref was packed meanwhile
                _sync(folder)
        self._repository.moved()

    def _make(self, *arguments: str, data: bytes = b"") -> str:
        """The id of the object that a command makes."""
        git = self._repository.git
        id = git.word(*arguments, data=data, env=self._author)
        self._made.append(id)
        return id

    def _move(self, change: Change) -> None:
        try:
            change_refs(self._repository.git, [change], self._lock)
        except VersionConflict:  # by one who takes no lock: plain git
            self._repository.reload()
            raise

    def _settle(self) -> None:
        """Have what was made on the disk, with its name (git mktree syncs nothing).

        An object that was packed meanwhile is there already.
        """
        objects = f"{self._repository.git.folder}/objects"
        for id in dict.fromkeys(self._made):
            with suppress(FileNotFoundError):
                _sync(f"{objects}/{id[:2]}/{id[2:]}")
                _sync(f"{objects}/{id[:2]}")

    def _tree(self) -> GitTree:
        state = self._repository.current()
        commit = state.refs.ids.get(BRANCHES + self._branch)
        if commit is None:
            raise ConfigNotFound("there is no such branch")
        return self._repository.tree(commit)

    def _changed(self, old: str | None, blobs: Mapping[str, str | None]) -> str | None:
        """The id of the tree *old* with *blobs* in it, None when nothing is left."""
        entries = dict(self._repository.objects.tree(old)) if old else {}
        below: dict[str, dict[str, str | None]] = {}
        for path, blob in blobs.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = blob
            elif blob is None:
                if name in entries and entries[name].is_file:
                    del entries[name]
            else:
                there = entries.get(name)
                if there and there.mode in (FOLDER, _SUBMODULE):
                    raise Conflict(f"{name} is a folder")
                mode = there.mode if there and there.is_file else _FILE
                entries[name] = Entry(mode, blob)
        for name, inner in below.items():
            entry = entries.pop(name, None)
            if entry is not None and not entry.is_folder:
                raise Conflict(f"{name} is not a folder")
            changed = self._changed(entry and entry.id, inner)
            if changed:
                entries[name] = Entry(FOLDER, changed)
        lines = [_line(name, entry) for name, entry in entries.items()]
        data = "".join(lines).encode("utf-8", "surrogateescape")
        return self._make(*_TO_TREE, data=data) if lines else None


def author_environment(author: str) -> dict[str, str]:
    """*author* as git commit-tree takes it: `Name <address>`."""
    found = _AUTHOR.fullmatch(author.strip())
    if found is None:
        raise SettingsError("expected an author as Name <address>")
    return {
        f"GIT_{role}_{part}": text
        for role in ("AUTHOR", "COMMITTER")
        for part, text in (("NAME", found[1]), ("EMAIL", found[2]))
    }


def _line(name: str, entry: Entry) -> str:
    """An entry as git mktree takes it."""
    kind = {FOLDER: "tree", _SUBMODULE: "commit"}.get(entry.mode, "blob")
    return f"{entry.mode} {kind} {entry.id}\t{name}\0"


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
