"""A bucket read as Spring's server reads it, by the layout that its settings describe.

The order is that of AwsS3EnvironmentRepository in 5.0.2 (cases spring-s3): the first
profile wins, and what has no profile in its name comes again for each one asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..backend import Found, FoundFile
from ..bundles import read_file
from ..environment.formats.document import Document, Entry
from ..environment.overlay import SHARED_APPLICATION, Lookup, Part, PropertySource
from ..files import FileTree, Location
from ..readings import Reading, read_settled

__all__ = ["BY_NAME", "Layout", "spring_file", "spring_sources"]

_ON_PROFILE = (
    "spring.config.activate.on-profile",
    "spring.config.activate.onProfile",
)


class Layout(NamedTuple):
    """What Spring's settings say of keys.

    With *in_folders* an application is a folder of files `application[-profile].yml`.
    *label* is that of requests which name none: "" is the top of the bucket.
    """

    in_folders: bool = False
    label: str = ""


BY_NAME = Layout()


class _Files(NamedTuple):
    """The files of an application, with a profile in their names or without one."""

    folder: str
    application: str
    profile: str | None
    layout: Layout

    def stem(self) -> str:
        return f"{self.folder}{self._file(self.profile)}"

    def name(self, profile: str | None) -> str:
        return f"s3:{self._file(profile)}"

    def _file(self, profile: str | None) -> str:
        own = f"/{SHARED_APPLICATION}" if self.layout.in_folders else ""
        ending = "" if profile is None else f"-{profile}"
        return f"{self.application}{own}{ending}"


def spring_sources(tree: FileTree, layout: Layout, lookup: Lookup) -> Found:
    """The sources of *lookup*, highest precedence first.

    Raises DocumentError for a file that does not parse, which Spring would leave out;
    BackendError.
    """
    applications = [*reversed(lookup.applications)]
    if SHARED_APPLICATION not in applications:
        applications.append(SHARED_APPLICATION)

    def read(reading: Reading) -> list[PropertySource]:
        with_profile: list[PropertySource] = []
        without: list[PropertySource] = []
        for folder in _folders(layout, lookup):
            for profile in lookup.profiles:
                for name in applications:
                    own = _Files(folder, name, profile, layout)
                    with_profile += _of_profile(tree, own, reading)
                    plain = own._replace(profile=None)
                    without += _of_all(tree, plain, profile, reading)
        return [*with_profile, *without]

    found = read_settled(read, lookup.dialect, layout.label)
    if lookup.by_file:
        return found
    sources = tuple([source._replace(part=None) for source in found.sources])
    return found._replace(sources=sources)


def spring_file(
    tree: FileTree, layout: Layout, lookup: Lookup, path: str
) -> FoundFile | None:
    """The plain file at *path* in a label's folder.

    Raises DocumentError, BackendError.
    """
    blocks = [[Location(tree, (folder,))] for folder in _folders(layout, lookup)]
    return read_file(lookup, blocks, path)


def _folders(layout: Layout, lookup: Lookup) -> list[str]:
    """Where the labels of *lookup* are, each with a slash; "" is the top."""
    labels = tuple(reversed(lookup.labels)) or (layout.label,)
    return [f"{label}/" if label else "" for label in labels]


def _of_profile(
    tree: FileTree, files: _Files, reading: Reading
) -> Iterator[PropertySource]:
    """What files of one profile hold; documents of another one are left out."""
    yield from _first(tree, files, ("properties", "json"), files.profile, reading)
    path, documents = _found(tree, files, ("yml", "yaml"), reading)
    if path:
        kept = [one for one in documents if _on_profile(one) in (None, files.profile)]
        yield _source(tree, files.name(files.profile), path, kept, files.profile)


def _of_all(
    tree: FileTree, files: _Files, profile: str, reading: Reading
) -> Iterator[PropertySource]:
    """What files without a profile hold: the documents of *profile* above the others.

    Documents of an expression such as `!dev` are never active.
    """
    yield from _first(tree, files, ("properties", "json"), None, reading)
    path, documents = _found(tree, files, ("yml", "yaml"), reading)
    if path:
        own = [one for one in documents if _on_profile(one) == profile]
        if any(one.entries for one in own):
            yield _source(tree, files.name(profile), path, own, profile)
        plain = [one for one in documents if _on_profile(one) is None]
        yield _source(tree, files.name(None), path, plain, None)


def _first(
    tree: FileTree,
    files: _Files,
    suffixes: tuple[str, ...],
    profile: str | None,
    reading: Reading,
) -> Iterator[PropertySource]:
    path, documents = _found(tree, files, suffixes, reading)
    if path:
        yield _source(tree, files.name(profile), path, documents, profile)


def _found(
    tree: FileTree, files: _Files, suffixes: tuple[str, ...], reading: Reading
) -> tuple[str, tuple[Document, ...]]:
    """The first file that is there, with its documents; "" where none is."""
    for suffix in suffixes:
        path = f"{files.stem()}.{suffix}"
        documents = reading.documents(tree, path)
        if documents is not None:
            return path, documents
    return "", ()


def _on_profile(document: Document) -> object:
    """What a document says when it is active, None where it is always."""
    for key in _ON_PROFILE:
        if key in document.entries:
            return document.entries[key].value
    return None


def _source(
    tree: FileTree,
    name: str,
    path: str,
    documents: Iterable[Document],
    profile: str | None,
) -> PropertySource:
    """Documents as one source: each key of a later one wins; keys are in order."""
    entries: dict[str, Entry] = {}
    for document in documents:
        entries |= document.entries
    part = Part(tree.uri, path, None, profile)
    return PropertySource(name, dict(sorted(entries.items())), part=part)
