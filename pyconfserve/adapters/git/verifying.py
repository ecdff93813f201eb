"""Whether the files of a commit parse."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...environment import formats
from ...environment.overlay import OWN
from ...errors import DocumentError
from .objects import Entry, Objects
from .process import Git

__all__ = ["first_problem"]

# The id of a tree of nothing by the length of ids: git knows it without having one.
_EMPTY = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}


def first_problem(
    git: Git,
    objects: Objects,
    verifies: Callable[[str], bool] | None,
    old: str,
    new: str,
) -> str:
    """The first file in which *new* differs from *old* and that does not parse.

    With NOTHING as *old* the first of all files; "" for none. Raises BackendError.
    """
    if verifies is None:
        return ""
    for path, id in _changed_files(git, old, new):
        suffix = path.rpartition(".")[2]
        if suffix in OWN.suffixes and verifies(path):
            try:
                formats.parse(objects.blob(id), suffix, OWN.properties_charset)
            except DocumentError as error:
                return str(error.at(path))
    return ""


def _changed_files(git: Git, old: str, new: str) -> Iterator[tuple[str, str]]:
    """(path, blob) of each regular file that *new* adds or changes (git diff-tree)."""
    old = old or _EMPTY[len(new)]
    listed = git.output("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new)
    parts = listed.decode("utf-8", "replace").split("\0")
    for about, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, id, _ = about.split(" ")
        if Entry(mode, id).is_file:
            yield path, id
