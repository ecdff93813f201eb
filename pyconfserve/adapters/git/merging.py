"""What a fetch does to the branches and tags that are served.

A branch follows origin. One that has saves of ours is merged with what came from
there; where that fails nothing is lost or overwritten: it stays as it is, and the
reason is kept. With `verifies`, so does a branch whose next commit has a file that does
not parse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ...environment import formats
from ...environment.overlay import OWN
from ...errors import DocumentError
from .objects import Objects
from .process import Git
from .refs import (
    BASES,
    BRANCHES,
    FETCHED_TAGS,
    NOTHING,
    ORIGIN,
    TAGS,
    Change,
    Refs,
)

__all__ = ["MERGES_SINCE", "Plan", "Rules", "plan_changes"]

MERGES_SINCE = (2, 38)  # git merge-tree --write-tree
_SHORT = 12  # digits of a commit's id that people read


class Rules(NamedTuple):
    """How branches follow origin.

    `verifies` says of a path whether it has to parse; None when none has to.
    """

    verifies: Callable[[str], bool] | None
    deletes_branches: bool
    author: Mapping[str, str]  # the environment of git commit-tree


class Plan(NamedTuple):
    """What to change, and which branches stay behind and why."""

    changes: Sequence[Change]
    held: Mapping[str, str]  # branch to the file that does not parse
    conflicts: Mapping[str, str]  # branch to the file that both sides changed


class _Stays(Exception):
    """A branch does not move; the text says why, `is_conflict` for whom."""

    def __init__(self, reason: str, *, is_conflict: bool) -> None:
        super().__init__(reason)
        self.is_conflict = is_conflict


def plan_changes(git: Git, objects: Objects, refs: Refs, rules: Rules) -> Plan:
    """What has to change so that what is served follows origin; raises BackendError."""
    local, theirs, bases = (refs.below(at) for at in (BRANCHES, ORIGIN, BASES))
    changes: list[Change] = []
    held: dict[str, str] = {}
    conflicts: dict[str, str] = {}
    for branch in sorted({*theirs, *bases}):
        ours, base = local.get(branch, NOTHING), bases.get(branch, NOTHING)
        there = theirs.get(branch, NOTHING)
        if there == base and ours:
            continue
        try:
            new = _next(git, objects, rules, ours, base, there)
        except _Stays as stays:
            (conflicts if stays.is_conflict else held)[branch] = str(stays)
            continue
        changes.append(Change(BRANCHES + branch, ours, new))
        if there or not new:
            changes.append(Change(BASES + branch, base, there))
    changes += _tag_changes(refs, rules)
    wanted = [one for one in changes if one.old != one.new]
    blocked = _blocked(refs, wanted)
    conflicts |= {
        _label(name): f"{_label(other)}, which stays, leaves no room for the name"
        for name, other in blocked.items()
    }
    possible = [one for one in wanted if not {one.name, _twin(one.name)} & {*blocked}]
    return Plan(possible, held, conflicts)


def _tag_changes(refs: Refs, rules: Rules) -> list[Change]:
    ours, theirs = refs.below(TAGS), refs.below(FETCHED_TAGS)
    return [
        Change(TAGS + tag, ours.get(tag, NOTHING), theirs.get(tag, NOTHING))
        for tag in sorted({*ours, *theirs})
        if tag in theirs or rules.deletes_branches
    ]


def _blocked(refs: Refs, changes: Sequence[Change]) -> dict[str, str]:
    """New refs that cannot be beside one that stays, as `a/b` beside `a`; and that one.

    git keeps refs as files, and a file is no folder.
    """
    stay = refs.ids.keys() - {change.name for change in changes if not change.new}
    folders = {folder: name for name in stay for folder in _folders(name)}
    new = [change.name for change in changes if change.new and not change.old]
    found = {}
    for name in new:
        above = (folder for folder in _folders(name) if folder in stay)
        other = folders.get(name) or next(above, None)
        if other:
            found[name] = other
    return found


def _folders(name: str) -> list[str]:
    """`refs`, `refs/heads` and `refs/heads/a` for `refs/heads/a/b`."""
    return [name[:at] for at, character in enumerate(name) if character == "/"]


def _twin(name: str) -> str:
    """A branch for what it took in last, and the other way round."""
    if name.startswith(BRANCHES):
        return BASES + name.removeprefix(BRANCHES)
    return BRANCHES + name.removeprefix(BASES)


def _label(name: str) -> str:
    for prefix in (BRANCHES, BASES, TAGS):
        name = name.removeprefix(prefix)
    return name


def _next(
    git: Git, objects: Objects, rules: Rules, ours: str, base: str, there: str
) -> str:
    """The commit that a branch goes to, NOTHING when it goes away; raises _Stays."""
    if not there:  # origin has it no more
        has_saves = ours != base
        return ours if has_saves or not rules.deletes_branches else NOTHING
    if not ours or ours == there:
        return there
    if ours == base or _is_ancestor(git, ours, there):
        _verify(git, objects, rules, ours, there)
        return there
    if _is_ancestor(git, there, ours):
        return ours
    return _merge(git, objects, rules, ours, there)


def _is_ancestor(git: Git, older: str, newer: str) -> bool:
    done = git.run("merge-base", "--is-ancestor", older, newer)
    if done.code not in (0, 1):
        raise done.reason("git merge-base")
    return done.code == 0


def _verify(git: Git, objects: Objects, rules: Rules, old: str, new: str) -> None:
    """Raise _Stays for a file that *new* changes and that does not parse."""
    problem = _problem(git, objects, rules, old, new)
    if problem:
        raise _Stays(f"{new[:_SHORT]}: {problem}", is_conflict=False)


def _problem(git: Git, objects: Objects, rules: Rules, old: str, new: str) -> str:
    """The first file in which *new* differs from *old* and that does not parse."""
    if rules.verifies is None:
        return ""
    for path, id in _changed_files(git, old, new):
        suffix = path.rpartition(".")[2]
        if suffix in OWN.suffixes and rules.verifies(path):
            try:
                formats.parse(objects.blob(id), suffix, OWN.properties_charset)
            except DocumentError as error:
                return str(error.at(path))
    return ""


def _changed_files(git: Git, old: str, new: str) -> list[tuple[str, str]]:
    """(path, blob) of each regular file that *new* adds or changes (git diff-tree)."""
    listed = git.output("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new)
    parts = listed.decode("utf-8", "replace").split("\0")
    found = []
    for about, path in zip(parts[::2], parts[1::2], strict=False):
        _, mode, _, id, _ = about.removeprefix(":").split(" ")
        if mode in ("100644", "100755"):
            found.append((path, id))
    return found


def _merge(git: Git, objects: Objects, rules: Rules, ours: str, there: str) -> str:
    """A commit that has both sides; raises _Stays on a conflict."""
    if git.version() < MERGES_SINCE:
        text = "origin moved, and git before 2.38 cannot merge it with what was saved"
        raise _Stays(text, is_conflict=True)
    how = ("--write-tree", "-z", "--name-only", "--no-messages")
    merged = git.run("merge-tree", *how, "--allow-unrelated-histories", ours, there)
    tree, *files = merged.output.decode("utf-8", "replace").rstrip("\0").split("\0")
    if merged.code == 1:
        text = f"{', '.join(dict.fromkeys(files))}: changed here and at origin"
        raise _Stays(text, is_conflict=True)
    if merged.code or not re.fullmatch(r"[0-9a-f]{40,64}", tree):
        raise merged.reason("git merge-tree")
    problem = _problem(git, objects, rules, ours, tree)
    if problem:
        raise _Stays(f"{problem}, once merged with origin", is_conflict=True)
    parents = ("-p", ours, "-p", there)
    made = git.output(
        *("commit-tree", tree, *parents),
        data=b"merge origin\n",
        env=rules.author,
    )
    return made.decode("ascii").strip()
