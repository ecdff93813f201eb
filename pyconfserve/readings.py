"""One pass over files for one answer, and its record.

The record is what was read, missed or listed, with its stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from itertools import count

from .backend import Found, PlainFile
from .environment import formats
from .environment.formats.document import Document
from .environment.overlay import Dialect, PropertySource
from .errors import DocumentError
from .files import FileTree
from .kept import LastUsed
from .turns import turn

__all__ = ["LARGEST_PLAIN_FILE", "Reading", "Seen", "read_settled"]

LARGEST_PLAIN_FILE = 16 * 1024 * 1024  # bytes: it is held in memory to be answered
_MOST_READINGS = 5  # of one lookup while its files change
_MOST_PARSED = 16 * 1024 * 1024  # bytes of documents that are kept, of all backends
_MOST_MET = 1024 * 1024  # bytes of the hashes of five thousand files
_ENTRY_SIZE = 256  # bytes of one of their entries, beside its key and its text

Seen = tuple[tuple[FileTree, tuple[str, ...]], ...]

# A file that many lookups share, or that stays while others change, is kept parsed
# when it is met again: those of one lookup alone would only burden the collector.
_parsed: LastUsed[tuple[bytes, str, str], tuple[Document, ...]] = LastUsed(_MOST_PARSED)
_met: LastUsed[int, bool] = LastUsed(_MOST_MET)


class Reading:
    """One pass over files; a file is read and parsed once in it.

    A stamp is taken before its file is read, so that no later change hides behind it;
    what is absent is covered by the stamp of the folder it would be in.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._stamps: dict[FileTree, dict[str, Hashable]] = {}
        self._documents: dict[tuple[FileTree, str], tuple[Document, ...] | None] = {}

    def documents(self, tree: FileTree, path: str) -> tuple[Document, ...] | None:
        """The documents of a file, None when there is no such file.

        Raises DocumentError with its path, BackendError.
        """
        key = (tree, path)
        if key not in self._documents:
            self._documents[key] = self._read(tree, path)
        return self._documents[key]

    def _read(self, tree: FileTree, path: str) -> tuple[Document, ...] | None:
        found = tree.read(path) if self._is_there(tree, path) else None
        if found is None:
            return None
        suffix = path.rpartition("/")[2].rpartition(".")[2]
        try:
            return _parse(found.data, suffix, self.dialect.properties_charset)
        except DocumentError as error:
            raise error.at(path) from error

    def file(self, tree: FileTree, path: str) -> PlainFile | None:
        """The plain file at *path*, not parsed; None where there is none."""
        is_there = self._is_there(tree, path)
        return tree.read(path, LARGEST_PLAIN_FILE) if is_there else None

    def _is_there(self, tree: FileTree, path: str) -> bool:
        """Whether anything is at *path*; the stamps that say so are noted.

        What is absent is not: one request may name a hundred files, and folders tell.
        """
        stamps = self._stamps.setdefault(tree, {})
        folder = path.rpartition("/")[0]
        if folder not in stamps:
            stamps[folder] = tree.stamp((folder,), fresh=True)[0]
        if stamps[folder] is None:
            return False
        stamp = tree.stamp((path,), fresh=True)[0]
        if stamp is not None:
            stamps[path] = stamp
        return stamp is not None

    def note(self, listed: Mapping[tuple[FileTree, str], Hashable]) -> None:
        """Count folders among what was seen, with the stamps they had before."""
        for (tree, folder), stamp in listed.items():
            self._stamps.setdefault(tree, {})[folder] = stamp

    def stamps_in(self, tree: FileTree) -> Mapping[str, Hashable]:
        """The paths of one tree that were looked at, with their stamps."""
        return self._stamps.get(tree, {})

    def seen(self) -> Seen:
        """All that the answer depends on."""
        return tuple((tree, tuple(stamps)) for tree, stamps in self._stamps.items())

    def stamp(self) -> tuple[tuple[Hashable, ...], ...]:
        """The stamps of `seen()`, as they were before each was read."""
        return tuple(tuple(stamps.values()) for stamps in self._stamps.values())

    def still_holds(self) -> bool:
        """Whether nothing that was seen has changed since.

        Then all of it stood at one moment.
        """
        return self.stamp() == tuple(
            tree.stamp(paths, fresh=True) for tree, paths in self.seen()
        )


def read_settled(
    read: Callable[[Reading], list[PropertySource]], dialect: Dialect, label: str
) -> Found:
    """What *read* gives, read again while files change; the last one counts anyhow."""
    for attempt in count(1):
        reading = Reading(dialect)
        try:
            sources = read(reading)
        except DocumentError:
            if attempt == _MOST_READINGS or reading.still_holds():
                raise
            continue
        if attempt == _MOST_READINGS or reading.still_holds():
            break
    return Found(tuple(sources), label, seen=reading.seen(), stamp=reading.stamp())


def _parse(data: bytes, suffix: str, charset: str) -> tuple[Document, ...]:
    """What formats.parse gives, remembered by content; raises DocumentError."""
    key = (data, suffix, charset)
    documents = _parsed.get(key)
    if documents is None:
        with turn(data):
            documents = formats.parse(data, suffix, charset)
        if _met.get(hash(key)):
            _parsed.keep(key, documents, len(data) + _size(documents))
        _met.keep(hash(key), True, 0)
    return documents


def _size(documents: tuple[Document, ...]) -> int:
    """The bytes that *documents* take, about, beside the texts of their values."""
    return sum(
        _ENTRY_SIZE + len(key) for document in documents for key in document.entries
    )
