"""Where a save goes among files, and what it may not replace."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from typing import NamedTuple

from .environment import formats, names
from .environment.formats.document import LARGEST_FILE, Document
from .environment.overlay import OWN, Slot
from .environment.properties import Tree, check_tree
from .errors import (
    Conflict,
    DocumentError,
    InvalidRequest,
    ValueTooLarge,
    VersionConflict,
)
from .files import BundleName, FileTree, Location, LockedTree, WritableTree, candidates
from .turns import turn
from .versions import ANYTHING, Changed, Expected, Stored, Work, planned

__all__ = ["Written", "change_bundle", "save_bundle", "stored_bundle"]

_SEPARATOR = re.compile(rb"\S\s*?[\r\n][#!]?---(?:\s|\Z)")  # something is before it
_MOST_SAVES = 100  # attempts: each that fails is a change of the same file by others


class Written(NamedTuple):
    """The path of the file that a change was for, and what it made."""

    path: str
    changed: Changed


def save_bundle(
    tree: WritableTree,
    folders: Sequence[str],
    name: BundleName,
    tree_of_values: Mapping[str, Tree],
) -> str:
    """Write a bundle where a read of its label finds it; gives the file's path.

    See change_bundle.
    """
    return change_bundle(tree, folders, name, lambda _: tree_of_values).path


def stored_bundle(
    tree: FileTree, folders: Sequence[str], name: BundleName
) -> Stored | None:
    """What the one file of a bundle holds, None when there is none.

    Raises Conflict for a file of several documents, DocumentError, BackendError.
    """
    own = _own_file(tree, folders, name)
    version = own.version
    if version is None:
        return None
    parts = own.documents()
    flat = {key: entry.value for part in parts for key, entry in part.entries.items()}
    return Stored(flat, version)


def change_bundle(
    tree: WritableTree,
    folders: Sequence[str],
    name: BundleName,
    work: Work,
    expected: Expected = ANYTHING,
) -> Written:
    """Store what *work* makes of a bundle where a read of its label finds it.

    The file keeps its format, and loses its comments. A new bundle is
    `<first folder>/<application>-<profile>.yaml`, `.json` where PyYAML is missing.
    Files of the same name in other formats, which the first found would hide, are
    removed; what other files have under the same names is not.

    Raises Conflict for a file of several documents, SchemaViolation for a value its
    format cannot hold, ValueTooLarge, InvalidRequest for names too long for a file,
    VersionConflict, ConfigNotFound: all of them change nothing. Raises BackendError
    when the store fails.
    """
    with tree.alone() if isinstance(tree, LockedTree) else nullcontext():
        for _ in range(_MOST_SAVES):  # others may take no lock
            own = _own_file(tree, folders, name)
            own.check_replaceable()
            values = planned(work, expected, own.version, own.values)
            if values is not None and values is own.read:
                return Written(own.path, Changed(own.version))
            data = None if values is None else own.data_of(values)
            if _is_stored(tree, own, data, f"{name.application}/{name.profile}"):
                changed = Changed(own.version_of(data), is_new=own.data is None)
                return Written(own.path, changed)
    raise Conflict("the bundle is being written by others")


def _is_stored(tree: WritableTree, own: _Own, data: bytes | None, what: str) -> bool:
    """Give the file new bytes, unless what it was judged by is no longer so."""
    purpose = f"{'delete' if data is None else 'save'} {what}"
    changes = {own.path: data, **dict.fromkeys(_twins(tree, own.path))}
    try:
        tree.change(changes, purpose, own.judged_by)
    except VersionConflict:
        return False
    return True


class _Own:
    """The file at *path* that a bundle is stored in; *data* None: that it would be.

    `judged_by` are the stamps and the bytes that made it so.
    """

    def __init__(
        self, path: str, data: bytes | None, judged_by: Mapping[str, Hashable]
    ) -> None:
        self.path, self.data, self.judged_by = path, data, judged_by
        self.version = self.version_of(data)
        self.read: dict[str, Tree] | None = None  # the tree that was handed out

    def version_of(self, data: bytes | None) -> str | None:
        if data is None:
            return None
        digest = hashlib.blake2b(data, digest_size=16)
        digest.update(f"\0{self.path}".encode())
        return digest.hexdigest()

    def documents(self) -> tuple[Document, ...]:
        """Those of the file; raises DocumentError, Conflict for several."""
        assert self.data is not None  # else nobody asks
        suffix = self.path.rpartition(".")[2]
        try:
            with turn(self.data):
                documents = formats.parse(self.data, suffix, OWN.properties_charset)
        except DocumentError as error:
            if _SEPARATOR.search(self.data):
                raise self._several() from error
            raise error.at(self.path) from error
        if len(documents) > 1:
            raise self._several()
        return documents

    def check_replaceable(self) -> None:
        """Raise Conflict for a file of several documents; a broken one is replaced."""
        if self.data is not None:
            try:
                self.documents()
            except DocumentError:
                return

    def values(self) -> dict[str, Tree] | None:
        """What the file holds, nested as it is written.

        Raises Conflict for a file that does not parse: only a whole one replaces it.
        """
        if self.data is None:
            return None
        suffix = self.path.rpartition(".")[2]
        try:
            self.read = formats.read_tree(self.data, suffix, OWN.properties_charset)
        except DocumentError as error:
            raise Conflict(f"{self.path} does not parse: replace it whole") from error
        return self.read

    def data_of(self, values: Mapping[str, Tree]) -> bytes:
        """The file's bytes once it holds *values*."""
        check_tree(values)
        if len(self.path.rpartition("/")[2].encode("utf-8")) > names.LONGEST_NAME:
            raise InvalidRequest("profile", "too long for a file, with its application")
        data = formats.write(dict(values), self.path.rpartition(".")[2])
        if len(data) > LARGEST_FILE:
            raise ValueTooLarge(f"a bundle is at most {LARGEST_FILE} bytes as a file")
        return data

    def _several(self) -> Conflict:
        return Conflict(f"{self.path} holds several documents: edit the file")


def _own_file(tree: FileTree, folders: Sequence[str], name: BundleName) -> _Own:
    """The file of a bundle: the first found, else where a new one goes."""
    slot = Slot(name.application, name.profile, Location(tree, tuple(folders)))
    judged_by: dict[str, Hashable] = {}
    for path in candidates(slot, OWN):
        judged_by[path] = tree.stamp((path,), fresh=True)[0]
        found = None if judged_by[path] is None else tree.read(path)
        if found is not None:
            judged_by[path] = found.data
            return _Own(path, found.data, judged_by)
    suffix = "yaml" if find_spec("yaml") else "json"
    path = f"{folders[0]}{name.application}-{name.profile}.{suffix}"
    return _Own(path, None, judged_by)


def _twins(tree: FileTree, path: str) -> list[str]:
    """The files of the same name in other formats."""
    stem, _, suffix = path.rpartition(".")
    others = [f"{stem}.{other}" for other in OWN.suffixes if other != suffix]
    return [
        other
        for other in others
        if tree.stamp((other,), fresh=True) != (None,) and tree.list(other) is None
    ]
