"""A commit as a tree of files.

Only ids are read, only regular files are there: a link or a submodule is absent. What
a commit holds never changes, so neither do its stamps; that a label moved is for the
backend to see.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from ...backend import PlainFile
from ...environment.formats.document import LARGEST_FILE
from ...errors import DocumentError
from ...files import Folder, is_shown
from .objects import FOLDER, Entry, Objects

__all__ = ["GitTree"]


class GitTree:
    """The files of one *commit*; `uri` begins the names of its sources."""

    def __init__(self, objects: Objects, commit: str, uri: str) -> None:
        self.uri = uri
        self.commit = commit
        self._objects = objects
        self._folders: dict[str, Mapping[str, Entry] | None] = {}
        self.root, self._modified = objects.commit(commit)

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The regular file at *path*, modified when the commit was made.

        Raises DocumentError above *limit* bytes, BackendError.
        """
        entry = self._entry(path)
        if entry is None or not entry.is_file:
            return None
        try:
            return PlainFile(self._objects.blob(entry.id, limit), self._modified)
        except DocumentError as error:
            raise error.at(path) from error

    def list(self, folder: str) -> Folder | None:
        """What is in *folder*: regular files and folders."""
        entries = self._folder(folder)
        if entries is None:
            return None
        shown = [one for one in sorted(entries.items()) if is_shown(one[0])]
        return Folder(
            tuple(name for name, entry in shown if entry.is_file),
            tuple(name for name, entry in shown if entry.is_folder),
        )

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """The id of what is at each path."""
        return tuple([entry and entry.id for entry in map(self._entry, paths)])

    def _entry(self, path: str) -> Entry | None:
        if not path:
            return Entry(FOLDER, self.root)
        folder, slash, name = path.rpartition("/")
        if slash and not folder:
            return None
        entries = self._folder(folder)
        return entries.get(name) if entries else None

    def _folder(self, path: str) -> Mapping[str, Entry] | None:
        """The entries of the folder at *path*, None when it is no folder."""
        if path not in self._folders:
            self._folders[path] = self._find(path)
        return self._folders[path]

    def _find(self, path: str) -> Mapping[str, Entry] | None:
        id = self.root
        for part in path.split("/") if path else ():
            entry = self._objects.tree(id).get(part)
            if entry is None or not entry.is_folder:
                return None
            id = entry.id
        return self._objects.tree(id)
