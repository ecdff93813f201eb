"""What a fetch does to the branches and tags that are served.

A branch follows origin. One that has saves of ours is merged with what came from
there; where that fails nothing is lost or overwritten: it stays as it is, and the
reason is kept. With `verifies`, so does a branch whose next commit has a file that does
not parse. What origin took back is taken out here too, and what was saved stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from logging import WARNING
from typing import NamedTuple

from ...past import COMMIT
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
from .verifying import first_problem

__all__ = ["CANNOT_MERGE", "MERGES_SINCE", "Plan", "Planner", "Rules"]

MERGES_SINCE = (2, 38)  # git merge-tree --write-tree
CANNOT_MERGE = "git before {}.{} cannot merge".format(*MERGES_SINCE)
_DELETED = "origin deleted it, and it has saves that origin has not"
_REWRITTEN = "origin was rewritten"
_SHORT = 12  # digits of a commit's id that people read


class Rules(NamedTuple):
    """How branches follow origin.

    `verifies` says of a path whether it has to parse; None when none has to.
    """

    verifies: Callable[[str], bool] | None
    deletes_branches: bool
    author: Mapping[str, str]  # the environment of git commit-tree
    level: int = WARNING  # at which it is logged that one cannot


class Plan(NamedTuple):
    """What to change, and which branches stay behind and why."""

    changes: Sequence[Change]
    held: Mapping[str, str]  # branch to the file that does not parse
    conflicts: Mapping[str, str]  # branch to the file that both sides changed
    kept: Mapping[str, str]  # branch to why its saves are all there is of them


class _Sides(NamedTuple):
    """The commits of one branch, NOTHING for none."""

    ours: str
    base: str  # of origin, the one that ours took in last
    there: str


class _Stays(Exception):
    """A branch does not move; the text says why, `is_conflict` for whom."""

    def __init__(self, reason: str, *, is_conflict: bool) -> None:
        super().__init__(reason)
        self.is_conflict = is_conflict


class Planner:
    """Plans what becomes of the refs that *git* has, by *rules*."""

    def __init__(self, git: Git, objects: Objects, rules: Rules) -> None:
        self._git = git
        self._objects = objects
        self._rules = rules
        self._first_problem = partial(first_problem, git, objects, rules.verifies)

    def plan(self, refs: Refs) -> Plan:
        """What has to change so that what is served follows origin.

        Raises BackendError.
        """
        local, theirs, bases = (refs.below(at) for at in (BRANCHES, ORIGIN, BASES))
        changes: list[Change] = []
        held: dict[str, str] = {}
        conflicts: dict[str, str] = {}
        kept: dict[str, str] = {}
        for branch in sorted({*theirs, *bases}):
            ours, base = local.get(branch, NOTHING), bases.get(branch, NOTHING)
            there = theirs.get(branch, NOTHING)
            if there == base and ours:
                continue
            sides = _Sides(ours, base, there)
            is_rewritten = self._is_rewritten(sides)
            try:
                new = self._next(sides, is_rewritten=is_rewritten)
            except _Stays as stays:
                (conflicts if stays.is_conflict else held)[branch] = str(stays)
                continue
            if new == ours and not there and ours != base:
                kept[branch] = _DELETED
            elif is_rewritten and new != there:
                kept[branch] = f"{_REWRITTEN}, and merged with what was saved here"
            changes.append(Change(BRANCHES + branch, ours, new))
            if there or not new:
                changes.append(Change(BASES + branch, base, there))
        changes += _tag_changes(refs, self._rules)
        wanted = [one for one in changes if one.old != one.new]
        blocked = _blocked(refs, wanted)
        conflicts |= {
            _label(name): f"{_label(other)}, which stays, leaves no room for the name"
            for name, other in blocked.items()
        }
        stay = {*blocked}
        possible = [one for one in wanted if not {one.name, _twin(one.name)} & stay]
        return Plan(possible, held, conflicts, kept)

    def first(self) -> str:
        """A commit of nothing, on which a store without origin takes its first save."""
        return self._commit(self._git.word("mktree", "-z"), (), b"begin\n")

    def problem(self, commit: str, old: str = NOTHING) -> str:
        """What is wrong with the first file of *commit* that does not parse.

        Files that *old* has too are left out; "" for nothing. Raises BackendError.
        """
        problem = self._first_problem(old, commit)
        return problem and f"{commit[:_SHORT]}: {problem}"

    def _is_rewritten(self, sides: _Sides) -> bool:
        """Whether origin took back commits that a branch with saves has."""
        ours, base, there = sides
        has_saves = ours not in (NOTHING, base, there)
        return bool(has_saves and base and there) and not self._is_ancestor(base, there)

    def _next(self, sides: _Sides, *, is_rewritten: bool) -> str:
        """The commit that a branch goes to, NOTHING where it ends; raises _Stays."""
        ours, base, there = sides
        if not there:  # origin has it no more
            has_saves = ours != base
            return ours if has_saves or not self._rules.deletes_branches else NOTHING
        if not ours or ours == there:
            return there
        if ours == base or self._is_ancestor(ours, there):
            self._verify(ours, there)
            return there
        if not is_rewritten and self._is_ancestor(there, ours):
            return ours
        return self._merge(sides, is_rewritten=is_rewritten)

    def _is_ancestor(self, older: str, newer: str) -> bool:
        done = self._git.run("merge-base", "--is-ancestor", older, newer)
        if done.code not in (0, 1):
            raise done.reason("git merge-base")
        return done.code == 0

    def _verify(self, old: str, new: str) -> None:
        """Raise _Stays for a file that *new* changes and that does not parse."""
        if problem := self.problem(new, old):
            raise _Stays(problem, is_conflict=False)

    def _merge(self, sides: _Sides, *, is_rewritten: bool) -> str:
        """A commit that has both sides, origin's own where that is all there is.

        Raises _Stays on a conflict.
        """
        ours, base, there = sides
        why = _REWRITTEN if is_rewritten else "origin moved"
        if self._git.version() < MERGES_SINCE:
            text = f"{why}, and {CANNOT_MERGE} it with what was saved"
            raise _Stays(text, is_conflict=True)
        if is_rewritten:  # so that what origin took back is a change of theirs
            ours, there = self._child(base, ours), self._child(base, there)
        tree, files = self._merged(ours, there)
        if files:
            text = f"{', '.join(dict.fromkeys(files))}: changed here and at origin"
            text = f"{_REWRITTEN}, {text}" if is_rewritten else text
            raise _Stays(text, is_conflict=True)
        ours, _, there = sides
        if problem := self._first_problem(ours, tree):
            self._verify(base or ours, there)  # is it theirs alone?
            raise _Stays(f"{problem}, once merged with origin", is_conflict=True)
        if tree == self._objects.commit(there).tree:
            return there
        return self._commit(tree, (ours, there), b"merge origin\n")

    def _merged(self, ours: str, there: str) -> tuple[str, list[str]]:
        """The tree of a merge, and the files in which it has conflicts."""
        how = ("--write-tree", "-z", "--name-only", "--no-messages")
        both = ("--allow-unrelated-histories", ours, there)
        merged = self._git.run("merge-tree", *how, *both)
        tree, *files = merged.output.decode("utf-8", "replace").rstrip("\0").split("\0")
        if merged.code not in (0, 1) or not COMMIT.fullmatch(tree):
            raise merged.reason("git merge-tree")
        return tree, files if merged.code else []

    def _child(self, parent: str, id: str) -> str:
        """The content of a commit as if it had been made on *parent*.

        So a merge has a base of our choice before git 2.40, which takes --merge-base.
        """
        return self._commit(self._objects.commit(id).tree, (parent,), b"base\n")

    def _commit(self, tree: str, parents: Sequence[str], message: bytes) -> str:
        options = [word for parent in parents for word in ("-p", parent)]
        author = self._rules.author
        return self._git.word("commit-tree", tree, *options, data=message, env=author)


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
