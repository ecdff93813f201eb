"""Where a save goes among files, and what it may not replace."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from importlib.util import find_spec

from .bundles import files_of
from .environment import formats, names, properties
from .environment.formats.document import LARGEST_FILE
from .environment.overlay import OWN, Slot
from .errors import (
    Conflict,
    DocumentError,
    InvalidRequest,
    ValueTooLarge,
    VersionConflict,
)
from .files import BundleName, FileTree, Location, WritableTree
from .readings import Reading

__all__ = ["save_bundle"]

_SEPARATOR = re.compile(rb"\S\s*?[\r\n][#!]?---(?:\s|\Z)")  # something is before it
_MOST_SAVES = 10  # attempts while others write the same files


def save_bundle(
    tree: WritableTree,
    folders: Sequence[str],
    name: BundleName,
    tree_of_values: properties.Tree,
) -> str:
    """Write a bundle where a read of its label finds it; gives the file's path.

    The file keeps its format. A new bundle is
    `<first folder>/<application>-<profile>.yaml`, `.json` where PyYAML is missing.
    Files of the same name in other formats, which the first found would hide, are
    removed.

    Raises Conflict for a file of several documents, SchemaViolation for a value its
    format cannot hold, ValueTooLarge, InvalidRequest for names too long for a file: all
    of them change nothing. Raises BackendError when the store fails.
    """
    for _ in range(_MOST_SAVES):
        path, expected = _own_file(tree, folders, name)
        if len(path.rpartition("/")[2].encode("utf-8")) > names.LONGEST_NAME:
            raise InvalidRequest("profile", "too long for a file, with its application")
        stem, _, suffix = path.rpartition(".")
        data = formats.write(tree_of_values, suffix)
        if len(data) > LARGEST_FILE:
            raise ValueTooLarge(f"a bundle is at most {LARGEST_FILE} bytes as a file")
        twins = [f"{stem}.{other}" for other in OWN.suffixes if other != suffix]
        changes: dict[str, bytes | None] = {
            twin: None
            for twin in twins
            if tree.stamp((twin,), fresh=True) != (None,) and tree.list(twin) is None
        }
        try:
            tree.change(
                {path: data, **changes},
                f"save {name.application}/{name.profile}",
                expected,
            )
        except VersionConflict:
            continue
        return path
    raise Conflict("the bundle is being written by others")


def _own_file(
    tree: FileTree, folders: Sequence[str], name: BundleName
) -> tuple[str, Mapping[str, Hashable]]:
    """The path a save goes to, and the stamps of what this was judged by."""
    reading = Reading(OWN)
    suffix = "yaml" if find_spec("yaml") else "json"
    path = f"{folders[0]}{name.application}-{name.profile}.{suffix}"
    try:
        slot = Slot(name.application, name.profile, Location(tree, tuple(folders)))
        found = next(files_of(slot, reading), None)
    except DocumentError as error:
        path = error.location
        broken = tree.read(path, LARGEST_FILE)
        if broken is not None and _SEPARATOR.search(broken.data):
            raise Conflict(f"{path} holds several documents: edit the file") from error
        return path, reading.stamps_in(tree)  # it is replaced whole
    if found is not None:
        path, documents = found
        if len(documents) > 1:
            raise Conflict(f"{path} holds several documents: edit the file")
    return path, reading.stamps_in(tree)
