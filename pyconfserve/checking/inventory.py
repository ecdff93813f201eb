"""The files below search locations: listed once, and each read and parsed once.

What is not read any more is let go, so that ten thousand files need no more memory than
those of one application and the shared ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from ..backend import PlainFile
from ..environment import formats
from ..environment.formats.document import LARGEST_FILE, Document
from ..environment.overlay import OWN, Dialect
from ..errors import BackendError, ConfigError, DocumentError
from ..files import FileTree, Folder
from ..folder import FolderTree
from ..readings import Reading
from .documents import sound
from .problems import Place, Problem
from .repeats import repeated_keys

__all__ = ["Files", "Listed", "StoredFile", "list_root", "reason"]

_DEEPEST = 40  # folders in folders: more segments no path of a request has


class StoredFile(NamedTuple):
    """A file whose name looks like configuration."""

    tree: Listed
    folder: str
    name: str

    @property
    def path(self) -> str:
        """Its path below the root of its tree."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def shown(self) -> str:
        """Its path for people, as they named the root."""
        return self.tree.shown(self.path)

    @property
    def stem(self) -> str:
        """Its name without its suffix."""
        return self.name.rpartition(".")[0]

    @property
    def suffix(self) -> str:
        """Its suffix as it is written, without the dot."""
        return self.name.rpartition(".")[2]


class Listed:
    """A tree of files that was listed once; nothing asks the disk what is there."""

    def __init__(self, tree: FileTree, root: str) -> None:
        self.uri = tree.uri
        self.folders: dict[str, Folder] = {}
        self.paths: set[str] = set()
        self._tree = tree
        self._root = root

    def shown(self, path: str) -> str:
        """A path for people: below the root as they named it."""
        return os.path.normpath(os.path.join(self._root, path)).replace("\\", "/")

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """What the tree has; raises DocumentError, BackendError."""
        return self._tree.read(path, limit)

    def list(self, folder: str) -> Folder | None:
        """What was there when it was listed."""
        return self.folders.get(folder)

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """Nothing: one look is all there is."""
        return tuple(None for _ in paths)


def list_root(root: str, tree: FileTree | None = None) -> tuple[Listed, list[Problem]]:
    """The tree of the folder *root*, and the places in it that cannot be listed."""
    listed = Listed(tree or FolderTree(root), root)
    source = tree or FolderTree(root)
    problems: list[Problem] = []
    waiting = [("", 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            content = source.list(folder)
        except BackendError as error:
            problems.append(Problem(Place(listed.shown(folder)), reason(error)))
            continue
        if content is None or depth > _DEEPEST:
            continue
        prefix = f"{folder}/" if folder else ""
        listed.folders[folder] = content
        listed.paths.update(f"{prefix}{name}" for name in content.files)
        waiting += [(f"{prefix}{name}", depth + 1) for name in content.folders]
        if tree is None:
            problems += _hidden(root, prefix, content, listed)
    return listed, problems


def _hidden(root: str, prefix: str, content: Folder, listed: Listed) -> list[Problem]:
    """What lies in the folder, looks like configuration, and is never shown."""
    known = {*content.files, *content.folders}
    try:
        found = os.listdir(os.path.join(root, prefix))
    except OSError:
        return []
    return [
        Problem(
            Place(listed.shown(f"{prefix}{name}")),
            "no request can reach it: no file, or a link that leads nowhere or out, "
            "or a name that cannot be printed",
        )
        for name in sorted(found)
        if name not in known
        and not name.startswith(".")
        and name.rpartition(".")[2] in OWN.suffixes
        and not os.path.isdir(os.path.join(root, prefix, name))
    ]


class Files(Reading):
    """A reading of listed trees that notes what is wrong and goes on."""

    def __init__(self, dialect: Dialect, note: Callable[[Problem], None]) -> None:
        super().__init__(dialect)
        self._note = note
        self._kept: dict[tuple[FileTree, str], tuple[Document, ...]] = {}
        self._shared: dict[tuple[FileTree, str], tuple[Document, ...]] = {}

    def documents(self, tree: FileTree, path: str) -> tuple[Document, ...] | None:
        """The sound documents of a file; none where it does not parse."""
        assert isinstance(tree, Listed)
        if path not in tree.paths:
            return None
        key = (tree, path)
        found = self._kept.get(key, self._shared.get(key))
        if found is None:
            found = self._kept[key] = self._parsed(tree, path)
        return found

    def share(self) -> None:
        """Keep what was read until now, whatever is let go."""
        self._shared |= self._kept
        self._kept = {}

    def let_go(self) -> None:
        """Forget what was read since, and is not shared."""
        self._kept = {}

    def _parsed(self, tree: Listed, path: str) -> tuple[Document, ...]:
        shown, suffix = tree.shown(path), path.rpartition(".")[2]
        charset = self.dialect.properties_charset
        try:
            found = tree.read(path)
            data = found.data if found else b""
            every = formats.parse(data, suffix, charset)
        except DocumentError as error:
            place = Place(shown, error.line or 1, error.column or 1)
            self._note(Problem(place, error.problem))
            return ()
        except BackendError as error:
            self._note(Problem(Place(shown), reason(error)))
            return ()
        text = data.decode(charset if suffix == "properties" else "utf-8")
        documents, problems = sound(shown, every)
        for problem in (*problems, *repeated_keys(shown, suffix, text, every)):
            self._note(problem)
        return documents


def reason(error: ConfigError) -> str:
    """Why something cannot be read, without its path."""
    return f"cannot be read: {str(error).rpartition(': ')[2]}"
