"""Which file is of which application, and which is of none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..environment.overlay import DEFAULT_PROFILE, OWN, Dialect
from ..locations import Place as SearchPlace
from .inventory import Listed, StoredFile
from .naming import (
    SCHEMA,
    Names,
    looks_like,
    near_profiles,
    reaches,
    shadowed,
    split_stems,
    spots,
)
from .problems import Place, Problem

__all__ = ["SortedFiles", "profile_of", "sort_files"]


class SortedFiles(NamedTuple):
    """Files by application, and those that no request can reach.

    `labels` are those of the folders that an application has files in.
    """

    applications: dict[str, list[StoredFile]]
    unreached: list[StoredFile]
    labels: dict[str, list[str]]
    problems: list[Problem]


def sort_files(
    places: Sequence[SearchPlace], dialect: Dialect, ignored: Sequence[str] = ()
) -> SortedFiles:
    """All that looks like configuration in the listed trees of *places*.

    *ignored* are patterns of names and paths that nothing is said of.
    """
    result = SortedFiles({}, [], {}, [])
    files: list[StoredFile] = []
    for file in _stored(places, ignored):
        wrong = looks_like(file.suffix, dialect) if file.stem else ""
        if wrong:
            # One of our own is served by Java's rules too, as a plain file.
            is_error = file.suffix not in OWN.suffixes
            result.problems.append(Problem(Place(file.shown), wrong, is_error))
        elif file.stem and file.suffix in dialect.suffixes:
            files.append(file)
    names = split_stems({file.stem for file in files})
    for file in files:
        _sort(file, names[file.stem], places, result)
    profiles: dict[str, list[str]] = {}
    for application, members in result.applications.items():
        for file in members:
            profile = profile_of(file, application)
            profiles.setdefault(profile, []).append(file.shown)
        result.problems.extend(_shadowed(application, members, dialect))
    result.problems.extend(near_profiles(profiles))
    return result


def profile_of(file: StoredFile, application: str) -> str:
    """The profile that the name of an application's file says."""
    return file.stem.removeprefix(application).removeprefix("-") or DEFAULT_PROFILE


def _stored(
    places: Sequence[SearchPlace], ignored: Sequence[str]
) -> Iterator[StoredFile]:
    trees = {id(place.tree): place.tree for place in places}
    for tree in trees.values():
        assert isinstance(tree, Listed)
        for folder, content in tree.folders.items():
            for name in content.files:
                file = StoredFile(tree, folder, name)
                if not name.endswith(SCHEMA) and not any(
                    fnmatchcase(name, pattern) or fnmatchcase(file.path, pattern)
                    for pattern in ignored
                ):
                    yield file


def _sort(
    file: StoredFile,
    found: Names | None,
    places: Sequence[SearchPlace],
    result: SortedFiles,
) -> None:
    labels = _labels(file, found.application, places) if found else []
    if found is None or not labels:
        result.unreached.append(file)
        place = "name" if found is None else "place"
        text = f"no request can reach a file of this {place}"
        result.problems.append(Problem(Place(file.shown), text))
        return
    result.applications.setdefault(found.application, []).append(file)
    known = result.labels.setdefault(found.application, [])
    known += [label for label in labels if label and label not in known]


def _labels(
    file: StoredFile, application: str, places: Sequence[SearchPlace]
) -> list[str]:
    """The labels that lead to a file, "" for any; none where no request does."""
    return [
        spot.label
        for tree, pattern in places
        if tree is file.tree
        for spot in spots(file.folder, pattern)
        if reaches(spot, application)
    ]


def _shadowed(
    application: str, files: Iterable[StoredFile], dialect: Dialect
) -> Iterator[Problem]:
    slots: dict[tuple[Listed, str], list[StoredFile]] = {}
    for file in files:
        slot = (file.tree, profile_of(file, application))
        slots.setdefault(slot, []).append(file)
    for (tree, _), members in slots.items():
        pairs: Mapping[tuple[str, str], None] = dict.fromkeys(
            (file.folder, file.name) for file in members
        )
        for path, other in shadowed(pairs, application, dialect):
            text = f"is never read: {other} beside it is read instead"
            yield Problem(Place(tree.shown(path)), text)
