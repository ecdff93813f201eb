"""Whether the files of a commit parse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...environment import formats
from ...environment.overlay import OWN
from ...errors import DocumentError
from .objects import Objects
from .process import Git
from .refs import NOTHING

__all__ = ["first_problem", "short", "unverified"]

_SHORT = 12  # digits of a commit's id that people read
_REGULAR = ("100644", "100755")  # modes of files, neither of links nor of submodules


def short(commit: str) -> str:
    """The beginning of an id, for people."""
    return commit[:_SHORT]


def unverified(
    git: Git,
    objects: Objects,
    verifies: Callable[[str], bool] | None,
    labels: Mapping[str, str],
) -> dict[str, str]:
    """What is wrong with the first of *labels*, by that label; {} for nothing.

    *labels* maps them to commits. Raises BackendError.
    """
    for label, commit in labels.items():
        problem = first_problem(git, objects, verifies, NOTHING, commit)
        return {label: f"{short(commit)}: {problem}"} if problem else {}
    return {}


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


def _changed_files(git: Git, old: str, new: str) -> list[tuple[str, str]]:
    """(path, blob) of each regular file that *new* adds or changes (git diff-tree)."""
    if not old:
        return _all_files(git, new)
    listed = git.output("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new)
    parts = listed.decode("utf-8", "replace").split("\0")
    found = []
    for about, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, id, _ = about.removeprefix(":").split(" ")
        if mode in _REGULAR:
            found.append((path, id))
    return found


def _all_files(git: Git, commit: str) -> list[tuple[str, str]]:
    listed = git.output("ls-tree", "-r", "-z", "--full-tree", commit)
    found = []
    for line in listed.decode("utf-8", "replace").split("\0")[:-1]:
        about, _, path = line.partition("\t")
        mode, _, id = about.split(" ")
        if mode in _REGULAR:
            found.append((path, id))
    return found
