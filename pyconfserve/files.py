"""Trees of files: the seam below every backend that keeps its bundles in files.

A `FileTree` is a place with files at relative paths; bundles.py is written on top of it
once, so that a folder, a commit of git, a prefix of S3 and a dict behave alike.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol, runtime_checkable

from .backend import PlainFile
from .environment import names
from .environment.formats.document import LARGEST_FILE
from .environment.overlay import DEFAULT_PROFILE, Dialect, Slot
from .errors import VersionConflict

__all__ = [
    "BundleName",
    "DictTree",
    "FileTree",
    "Folder",
    "Location",
    "LockedTree",
    "WritableTree",
    "bundle_name",
    "candidates",
    "check_expected",
    "is_shown",
]


class Folder(NamedTuple):
    """The names in a folder, in alphabetical order.

    Those that begin with a dot are left out.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]


def is_shown(name: str) -> bool:
    """Whether a listing shows *name*: not hidden, and a name for every client."""
    return not name.startswith(".") and name.isprintable()


class BundleName(NamedTuple):
    """The three names of a bundle, canonical."""

    application: str
    profile: str
    label: str


def bundle_name(application: str, profile: str, label: str) -> BundleName:
    """The names of a bundle made canonical; raises InvalidRequest for a bad one."""
    return BundleName(
        names.application(application), names.profile(profile), names.label(label)
    )


class FileTree(Protocol):
    """Files at relative paths such as `main/orders-prod.yml`; "" is the top folder.

    Methods may block. `uri` is what Spring's names of sources begin with, ending in a
    slash or a colon.
    """

    uri: str

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The regular file at *path*; None for anything else.

        Raises BackendError when it cannot tell.
        """
        ...

    def list(self, folder: str) -> Folder | None:
        """What is in *folder*; None when it is no folder."""
        ...

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """A value for each path that changes with its content, None where nothing is.

        A folder's changes when a name in it comes or goes. Without *fresh* it may be as
        old as the tree's refresh interval. Fast: it is called for every request.
        """
        ...


class WritableTree(FileTree, Protocol):
    """A tree that takes changes."""

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Write files, and remove those whose bytes are None.

        All is durable when this returns. *message* says what for, where the tree keeps
        a history. Raises VersionConflict, with nothing changed, when a path of
        *expected* no longer has that stamp, or those bytes where it names bytes;
        BackendError when the store fails.
        """
        ...


@runtime_checkable
class LockedTree(Protocol):
    """A tree that may be kept from changing while a change of it is judged."""

    def alone(self) -> AbstractContextManager[None]:
        """Be the only one who changes the tree, of all threads and processes."""
        ...


class DictTree:
    """A tree over a dict of paths to bytes.

    It is for tests, and to embed files without a disk.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._files = {path: (data, 0) for path, data in (files or {}).items()}
        self._changes = 0
        self._writing = threading.Lock()
        self.uri = "dict:"

    def read(self, path: str, limit: int = LARGEST_FILE) -> PlainFile | None:
        """The bytes under *path*, modified at the epoch."""
        found = self._files.get(path)
        return PlainFile(found[0], 0.0) if found else None

    def list(self, folder: str) -> Folder | None:
        """The names below *folder*; None when no path begins with it."""
        prefix = f"{folder}/" if folder else ""
        below = [
            path.removeprefix(prefix)
            for path in tuple(self._files)  # threads may add to it meanwhile
            if path.startswith(prefix)
        ]
        if folder and not below:
            return None
        shown = [path for path in below if not path.startswith(".")]
        files = {path for path in shown if "/" not in path}
        folders = {path.partition("/")[0] for path in shown if "/" in path}
        return Folder(tuple(sorted(files)), tuple(sorted(folders)))

    def stamp(
        self, paths: Sequence[str], *, fresh: bool = False
    ) -> tuple[Hashable, ...]:
        """The number of the change that last wrote each file.

        A folder's stamp is what it holds.
        """
        return tuple(
            found[1] if (found := self._files.get(path)) else self.list(path)
            for path in paths
        )

    def change(
        self,
        changes: Mapping[str, bytes | None],
        message: str,
        expected: Mapping[str, Hashable] | None = None,
    ) -> None:
        """Apply *changes* at once; raises VersionConflict."""
        with self._writing:
            check_expected(self, expected)
            self._changes += 1
            for path, data in changes.items():
                if data is None:
                    self._files.pop(path, None)
                else:
                    self._files[path] = (data, self._changes)


def check_expected(tree: FileTree, expected: Mapping[str, Hashable] | None) -> None:
    """Raise VersionConflict unless every path of *expected* still has its stamp.

    Bytes are what the file must hold: stamps may miss two changes within a tick of the
    system's clock.
    """
    for path, wanted in (expected or {}).items():
        if isinstance(wanted, bytes):
            found = tree.read(path)
            is_same = found is not None and found.data == wanted
        else:
            is_same = tree.stamp((path,), fresh=True) == (wanted,)
        if not is_same:
            raise VersionConflict("the files were changed by someone else meanwhile")


class Location(NamedTuple):
    """A place in a tree where bundles are looked for.

    The first of `folders` that has one counts. A folder is "" or ends in a slash. `uri`
    is how Spring's source names begin, with its last slash.
    """

    tree: FileTree
    folders: tuple[str, ...] = ("",)
    uri: str = ""


def candidates(slot: Slot[Location], dialect: Dialect) -> Iterator[str]:
    """The paths at which the files of a slot may be, the first that counts first."""
    stems = [
        slot.application
        if slot.profile is None
        else f"{slot.application}-{slot.profile}"
    ]
    if slot.profile == DEFAULT_PROFILE and not dialect.has_profile_less_slot:
        stems.append(slot.application)
    for folder in slot.location.folders:
        for stem in stems:
            for suffix in dialect.suffixes:
                yield f"{folder}{stem}.{suffix}"
