"""Bundles as files in trees: which file is whose, how it is read, where a save goes.

Nothing here knows a disk or a repository, only FileTree; and no order of precedence,
which is overlay.plan's. All functions may block: backends call them off the event loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from .backend import ConfigSource, Found, FoundFile
from .environment import activation, properties
from .environment.formats.document import Document, Entry
from .environment.overlay import (
    DEFAULT_PROFILE,
    OWN,
    Lookup,
    Part,
    PropertySource,
    Slot,
    plan,
)
from .errors import DocumentError
from .files import BundleName, FileTree, Location, candidates
from .readings import LARGEST_PLAIN_FILE, Reading, Seen, read_settled

__all__ = [
    "LARGEST_PLAIN_FILE",
    "files_of",
    "read_bundle",
    "read_file",
    "read_sources",
    "stamp_of",
]

_MOST_IMPORTS = 16  # one inside another

# One block a label, highest precedence first; each in the order of settings.
Blocks = Sequence[Sequence[Location]]
# A file, the number of one of its documents if it has several, that one's entries.
_Found = tuple[str, int | None, Mapping[str, Entry]]


@runtime_checkable
class _OfCommit(Protocol):
    """A tree whose files are those of one commit."""

    commit: str


def read_sources(
    lookup: Lookup,
    blocks: Blocks,
    default_label: str,
    listed: Mapping[tuple[FileTree, str], Hashable] = MappingProxyType({}),
) -> Found:
    """All that files hold for *lookup*, as it stood at one moment.

    Locations of one bundle are merged, unless the lookup is `by_file`. *listed* are
    folders, with their stamps, that *blocks* were found by.

    Raises DocumentError, with the file's path in its tree, for a file that does not
    parse; BackendError.
    """

    def read(reading: Reading) -> list[PropertySource]:
        sources: list[PropertySource] = []
        fill = _by_file if lookup.by_file else _merged
        reading.note(listed)
        for locations in blocks:
            profiles = _extended(lookup, locations, reading)
            slots = plan(lookup.applications, profiles, locations, lookup.dialect)
            sources += fill(slots, profiles, reading)
        return _without_repeats(sources) if _share_files(blocks) else sources

    return read_settled(read, lookup.dialect, default_label)


def read_bundle(name: BundleName, locations: Sequence[Location]) -> ConfigSource | None:
    """The one bundle under *name*, its locations merged key by key.

    Raises DocumentError, BackendError.
    """
    slots = [Slot(name.application, name.profile, location) for location in locations]
    found = read_settled(
        lambda reading: _merged(slots, (name.profile,), reading), OWN, name.label
    )
    return ConfigSource(*name, found.sources[0].properties) if found.sources else None


def stamp_of(seen: Hashable) -> Hashable:
    """The present stamps of all that an answer was made from.

    *seen* is `Found.seen` of the functions here.
    """
    trees: Seen = seen  # type: ignore[assignment]  # stamp() takes any hashable
    return tuple([tree.stamp(paths) for tree, paths in trees])


def read_file(
    lookup: Lookup,
    blocks: Blocks,
    path: str,
    listed: Mapping[tuple[FileTree, str], Hashable] = MappingProxyType({}),
    *,
    is_reversed: bool = False,
) -> FoundFile | None:
    """The plain file at *path*, in the variant of a profile where there is one.

    The first location that has any wins, in both dialects, *is_reversed* the last:
    `nginx-prod.conf`, by the order of the profiles asked for, then `nginx.conf` (cases
    plain-text, git-reverse). *listed* is as in read_sources.
    """
    reading = Reading(lookup.dialect)
    reading.note(listed)
    folder, slash, file = path.rpartition("/")
    stem, dot, suffix = file.rpartition(".")
    name, ending = (stem, f".{suffix}") if dot else (file, "")
    variants = [
        f"{folder}{slash}{name}-{profile}{ending}"
        for profile in lookup.profiles
        if profile != DEFAULT_PROFILE
    ]
    for locations in blocks:
        for location in reversed(locations) if is_reversed else locations:
            for start in location.folders:
                for variant in (*variants, path):
                    found = reading.file(location.tree, f"{start}{variant}")
                    if found is not None:
                        return FoundFile(*found, reading.seen(), reading.stamp())
    return None


def _extended(
    lookup: Lookup, locations: Sequence[Location], reading: Reading
) -> tuple[str, ...]:
    """The profiles asked for and those that the profile-less files add."""
    base = plan(lookup.applications, (), locations, lookup.dialect)
    files = [file for slot in base for file in files_of(slot, reading)]
    try:
        documents = [document for _, found in files for document in found]
        return activation.extend_profiles(lookup.profiles, documents)
    except DocumentError:
        for path, found in files:  # it is one of these, and its reader wants its name
            with _located(path):
                activation.extend_profiles(lookup.profiles, found)
        raise


@contextmanager
def _located(path: str) -> Iterator[None]:
    """Tell an error in a document which file it is in."""
    try:
        yield
    except DocumentError as error:
        raise error.at(path) from error


def _merged(
    slots: Sequence[Slot[Location]], profiles: Sequence[str], reading: Reading
) -> list[PropertySource]:
    """The sources that fill *slots*; neighbours of one name are merged into one.

    Such neighbours are the locations of one bundle.
    """
    sources: list[PropertySource] = []
    for slot in slots:
        for source in _slot_sources(slot, profiles, reading):
            if sources and sources[-1].name == source.name:
                both = properties.merge([sources[-1].entries, source.entries])
                sources[-1] = PropertySource(source.name, both)
            else:
                sources.append(source)
    return sources


def _slot_sources(
    slot: Slot[Location], profiles: Sequence[str], reading: Reading
) -> Iterator[PropertySource]:
    for path, documents in files_of(slot, reading):
        active = _active(path, documents, profiles)
        if reading.dialect.reads_every_format:
            for found in _with_imports(slot.location, path, profiles, reading):
                yield PropertySource(_file_name(slot.location, *found[:2]), found[2])
        elif active or not documents:
            layers: list[Mapping[str, Entry]] = [
                document.entries for _, document in reversed(active)
            ]
            yield PropertySource(slot.source_name, properties.merge(layers))


def _by_file(
    slots: Sequence[Slot[Location]], profiles: Sequence[str], reading: Reading
) -> list[PropertySource]:
    """The sources that fill *slots*, one for each document, with its part."""
    return [
        source for slot in slots for source in _part_sources(slot, profiles, reading)
    ]


def _part_sources(
    slot: Slot[Location], profiles: Sequence[str], reading: Reading
) -> Iterator[PropertySource]:
    location = slot.location
    is_named_by_file = reading.dialect.reads_every_format
    commit = location.tree.commit if isinstance(location.tree, _OfCommit) else None
    for file, documents in files_of(slot, reading):
        found = [*_with_imports(location, file, profiles, reading)]
        if not documents and not is_named_by_file:
            found = [(file, None, {})]
        for path, number, entries in found:
            name = slot.source_name
            if is_named_by_file:
                name = _file_name(location, path, number)
            part = Part(location.tree.uri, path, number, slot.profile, commit)
            yield PropertySource(name, entries, part=part)


def _with_imports(
    location: Location,
    path: str,
    profiles: Sequence[str],
    reading: Reading,
    within: tuple[str, ...] = (),
) -> Iterator[_Found]:
    """The active documents of a file, the last first; what each imports before it."""
    documents = reading.documents(location.tree, path) or ()
    folder = path.rpartition("/")[0]
    for number, document in reversed(_active(path, documents, profiles)):
        imports = (
            activation.imports(document) if reading.dialect.follows_imports else ()
        )
        for imported in reversed(imports):
            target = f"{folder}/{imported}" if folder else imported
            is_readable = imported.rpartition(".")[2] in reading.dialect.suffixes
            if is_readable and target not in within and len(within) < _MOST_IMPORTS:
                chain = (*within, path, target)
                yield from _with_imports(location, target, profiles, reading, chain)
        yield path, number if len(documents) > 1 else None, document.entries


def _active(
    path: str, documents: Sequence[Document], profiles: Sequence[str]
) -> list[tuple[int, Document]]:
    """The active documents of a file with their numbers."""
    with _located(path):
        return [
            (number, document)
            for number, document in enumerate(documents)
            if activation.is_active(document, profiles)
        ]


def files_of(
    slot: Slot[Location], reading: Reading
) -> Iterator[tuple[str, tuple[Document, ...]]]:
    """The files of a slot: the first found, or all, as the dialect says."""
    for path in candidates(slot, reading.dialect):
        documents = reading.documents(slot.location.tree, path)
        if documents is not None:
            yield path, documents
            if not reading.dialect.reads_every_format:
                return


def _file_name(location: Location, path: str, number: int | None) -> str:
    """A source's name in Spring's dialect: its file, and its document's number.

    *number* is None where the file has one document.
    """
    file = path.removeprefix(location.folders[0])
    if number is None:
        return f"{location.uri}{file}"
    if not location.uri.startswith("file:/") or location.uri.startswith("file://"):
        return f"{location.uri}{file} (document #{number})"  # of a repository
    folder = location.uri.removeprefix("file:")
    place = f"'file [{folder}{file}]' via location '{location.uri}'"
    return f"Config resource {place} (document #{number})"


def _share_files(blocks: Blocks) -> bool:
    """Whether labels are folders of the same trees, which share their other files."""
    trees = [{location.tree for location in locations} for locations in blocks]
    return len(set().union(*trees)) < sum(map(len, trees))


def _without_repeats(sources: Sequence[PropertySource]) -> list[PropertySource]:
    """*sources* without what an earlier block had: files that several labels share."""
    kept: list[PropertySource] = []
    for source in sources:
        if source not in kept:
            kept.append(source)
    return kept
