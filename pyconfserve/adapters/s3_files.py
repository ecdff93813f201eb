"""The objects of a bucket as files in folders; this module does no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType

from ..environment.formats.document import LARGEST_FILE
from ..environment.overlay import OWN
from ..files import Folder, is_shown
from .s3_client import Object

__all__ = ["Files", "is_path", "is_wanted"]

_NO_NAMES = ("", ".", "..")


def is_path(key: str) -> bool:
    """Whether a key is a path: any object may be called `a//b` or `../c`."""
    return key.isprintable() and not any(part in _NO_NAMES for part in key.split("/"))


def is_wanted(path: str, found: Object) -> bool:
    """Whether a file is one of configuration, whose bytes are held in memory."""
    suffix = path.rpartition("/")[2].rpartition(".")[2]
    return suffix in OWN.suffixes and found.size <= LARGEST_FILE


class Files:
    """All files of a moment, with the bytes of those that are *held*.

    Nobody changes it, so that threads may share it.
    """

    def __init__(
        self,
        objects: Mapping[str, Object],
        held: Mapping[str, bytes] = MappingProxyType({}),
        ignored: int = 0,
    ) -> None:
        self.objects, self.held, self.ignored = objects, held, ignored
        self._folders = _folders(objects)
        self._stamps = {name: hash(one) for name, one in self._folders.items()}

    @cached_property
    def token(self) -> str:
        """Another one for other objects."""
        digest = hashlib.blake2b(digest_size=16)
        for path, one in sorted(self.objects.items()):
            digest.update(f"{path}\n{one.etag}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def folder(self, path: str) -> Folder | None:
        """What is in a folder; None when it is none, and the top is always there."""
        return self._folders.get(path)

    def stamp(self, path: str) -> Hashable:
        """What changes with a file or a folder, None where neither is.

        Both may have one name here.
        """
        found, folder = self.objects.get(path), self._stamps.get(path)
        if found is None:
            return folder
        return found.etag if folder is None else (found.etag, folder)

    def has_other_content(self, other: Files) -> bool:
        """Whether a file came, went or changed between the two."""
        mine, theirs = self.objects, other.objects
        return mine.keys() != theirs.keys() or any(
            one.etag != theirs[path].etag for path, one in mine.items()
        )

    def with_file(self, path: str, found: Object, data: bytes) -> Files:
        """The same, with one file written."""
        held = {**self.held, path: data} if is_wanted(path, found) else self.held
        return Files({**self.objects, path: found}, held, self.ignored)

    def without(self, path: str) -> Files:
        """The same, with one file removed."""
        objects = {key: one for key, one in self.objects.items() if key != path}
        held = {key: data for key, data in self.held.items() if key != path}
        return Files(objects, held, self.ignored)


def _folders(paths: Iterable[str]) -> dict[str, Folder]:
    """Each folder with what a listing of it shows."""
    files: dict[str, set[str]] = {"": set()}
    folders: dict[str, set[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        files.setdefault(folder, set()).add(name)
        while folder and folder not in folders.get(folder.rpartition("/")[0], ()):
            folders.setdefault(folder.rpartition("/")[0], set()).add(folder)
            folder = folder.rpartition("/")[0]
    return {
        path: Folder(
            tuple(sorted(filter(is_shown, files.get(path, ())))),
            tuple(
                name
                for one in sorted(folders.get(path, ()))
                if is_shown(name := one.rpartition("/")[2])
            ),
        )
        for path in {*files, *folders}
    }
