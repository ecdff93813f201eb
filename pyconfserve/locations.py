"""Where the files of a lookup are: places of the settings, their patterns filled in.

A place is a tree and a pattern of folders below it, in which `{application}`,
`{profile}` and `{label}` stand for the names asked for and a folder name may hold `*`
(spring.md 1). Names are validated long before, so that a pattern cannot lead outside.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from itertools import product
from typing import NamedTuple

from .environment.overlay import Lookup
from .files import FileTree, Location

__all__ = ["Located", "Place", "find_locations", "split_pattern"]

_SPECIAL = re.compile(r"[{*?]")
_MOST_FOLDERS = 1000  # of one place: a wildcard over more would be a mistake


class Place(NamedTuple):
    """A tree, and a pattern of folders below it: "" or one that ends in a slash."""

    tree: FileTree
    pattern: str = ""


class Located(NamedTuple):
    """Locations in blocks, one a label, and the folders that were listed for them."""

    blocks: list[list[Location]]
    listed: dict[tuple[FileTree, str], Hashable]  # with their stamps before


def split_pattern(path: str) -> tuple[str, str]:
    """A path as the folder that all of it lies below, and the pattern of the rest."""
    found = _SPECIAL.search(path)
    if found is None:
        return path, ""
    root, _, rest = path[: found.start()].rpartition("/")
    pattern = f"{rest}{path[found.start() :]}"
    return root or "/", pattern if pattern.endswith("/") else f"{pattern}/"


def find_locations(
    places: Sequence[Place],
    lookup: Lookup,
    default_label: str,
    *,
    label_folders: bool = True,
) -> Located:
    """The locations of *lookup*, in the order of *places*; may block.

    With *label_folders* a label's folder is read too: in the place of its location's
    files where it has them, or, under SPRING, as one more location after all others,
    the first label of a list last, so that it wins.
    """
    labels = tuple(reversed(lookup.labels)) or (default_label,)
    listed: dict[tuple[FileTree, str], Hashable] = {}
    if not lookup.dialect.label_folder_beside:
        blocks = [
            [
                Location(
                    tree, (f"{folder}{label}/", folder) if label_folders else (folder,)
                )
                for tree, folder in _folders(places, lookup, (label,), listed)
            ]
            for label in labels
        ]
        return Located(blocks, listed)
    plain = _folders(places, lookup, labels, listed)
    below = labels if label_folders else ()
    folders = [
        *plain,
        *((tree, f"{at}{label}/") for label in below for tree, at in plain),
    ]
    return Located(
        [[Location(tree, (at,), f"{tree.uri}{at}") for tree, at in folders]], listed
    )


def _folders(
    places: Sequence[Place],
    lookup: Lookup,
    labels: Sequence[str],
    listed: dict[tuple[FileTree, str], Hashable],
) -> list[tuple[FileTree, str]]:
    """The folders that the patterns stand for, each once, as (tree, folder)."""
    found: dict[tuple[FileTree, str], None] = {}
    for tree, pattern in places:
        for profile, application, label in product(
            lookup.profiles, lookup.applications, labels
        ):
            filled = (
                pattern.replace("{profile}", profile)
                .replace("{application}", application)
                .replace("{label}", label)
            )
            found |= dict.fromkeys((tree, at) for at in _matching(tree, filled, listed))
    return list(found)


def _matching(
    tree: FileTree, pattern: str, listed: dict[tuple[FileTree, str], Hashable]
) -> list[str]:
    """The folders that a pattern with wildcards matches, in alphabetical order."""
    folders = [""]
    for part in pattern.split("/")[:-1]:
        if "*" not in part and "?" not in part:
            folders = [f"{at}{part}/" for at in folders]
            continue
        from fnmatch import fnmatchcase  # few places are patterns

        folders = [
            f"{at}{name}/"
            for at in folders
            for name in _listed(tree, at.rstrip("/"), listed)
            if fnmatchcase(name, part)
        ][:_MOST_FOLDERS]
    return folders


def _listed(
    tree: FileTree, folder: str, listed: dict[tuple[FileTree, str], Hashable]
) -> tuple[str, ...]:
    """The names of the folders in *folder*, which is noted with its stamp."""
    if (tree, folder) not in listed:
        listed[tree, folder] = tree.stamp((folder,), fresh=True)[0]
    content = tree.list(folder)
    return content.folders if content else ()
