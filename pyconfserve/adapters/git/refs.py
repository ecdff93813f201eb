"""The refs of a clone: what is served, what origin has, and changes of them.

    refs/heads/*                  the branches as they are served
    refs/tags/*                   the tags as they are served
    refs/remotes/origin/*         origin's branches, as the last fetch found them
    refs/pyconfserve/tags/*       origin's tags, as the last fetch found them
    refs/pyconfserve/origin/*     the commit of origin that a branch took in last

A label is looked up here by its exact name; no text of a client is ever an argument of
git, and no revision syntax is understood (hardening.md 2a).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from ...errors import BackendUnavailable, VersionConflict
from ...past import COMMIT
from .locks import Lock
from .objects import Objects
from .outcome import Outcome, damaged
from .process import Git
from .reachable import Reachable

__all__ = [
    "BASES",
    "BRANCHES",
    "FETCHED_TAGS",
    "NOTHING",
    "ORIGIN",
    "TAGS",
    "Change",
    "Refs",
    "State",
    "change_refs",
    "is_reached",
    "read_refs",
]

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
ORIGIN = "refs/remotes/origin/"
FETCHED_TAGS = "refs/pyconfserve/tags/"
BASES = "refs/pyconfserve/origin/"
NOTHING = ""  # as the id of a ref: there is none

_ORIGIN_HEAD = ORIGIN + "HEAD"  # git's note of another's default branch, no branch
_FORMAT = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)"


class Refs(NamedTuple):
    """All refs at one moment: `ids` by full name, `commits` by label."""

    ids: Mapping[str, str]
    commits: Mapping[str, str]  # of branches, and of tags that no branch hides

    def below(self, prefix: str) -> dict[str, str]:
        """The ids of the refs below *prefix*, by the rest of their names."""
        return {
            name.removeprefix(prefix): id
            for name, id in self.ids.items()
            if name.startswith(prefix)
        }


class State(NamedTuple):
    """What is served at one moment."""

    refs: Refs
    marked: Hashable  # of the clone, before the refs were read
    number: int  # another one for other refs
    reachable: Reachable  # which commits are, for these refs

    def stamp(self, labels: Sequence[str]) -> Hashable:
        """What is another where one of *labels* may stand for another commit; fast.

        A full id may be one that is reachable now, a branch or nothing.
        """
        commits = self.refs.commits
        return tuple(
            [
                self.number if COMMIT.fullmatch(label) else commits.get(label)
                for label in labels
            ]
        )


class Change(NamedTuple):
    """A ref that goes from one id to another; NOTHING for none."""

    name: str
    old: str
    new: str


def read_refs(git: Git, objects: Objects) -> Refs:
    """The refs as they are now; raises BackendError."""
    places = (BRANCHES, TAGS, ORIGIN, FETCHED_TAGS, BASES)
    done = git.run("for-each-ref", f"--format={_FORMAT}", *places)
    if done.is_damaged:
        objects.is_damaged = True
        raise damaged()
    if done.code:
        raise done.reason("git for-each-ref")
    ids: dict[str, str] = {}
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    for line in done.output.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        name, id, kind, peeled, peeled_kind = line.split("\0")
        if name == _ORIGIN_HEAD:
            continue
        ids[name] = id
        if name.startswith(BRANCHES):
            branches[name.removeprefix(BRANCHES)] = id
        elif name.startswith(TAGS):
            if kind == "tag":  # what it names may be a tag again
                id, kind = peeled, peeled_kind
            commit = id if kind == "commit" else objects.commit_of(id)
            if commit:
                tags[name.removeprefix(TAGS)] = commit
    return Refs(ids, {**tags, **branches})


def is_reached(git: Git, objects: Objects, commit: str) -> bool:
    """Whether a branch or a tag has *commit*, a full id; raises BackendError."""
    if objects.commit_of(commit) != commit:
        return False
    options = (f"--contains={commit}", "--count=1")
    return bool(git.output("for-each-ref", *options, BRANCHES, TAGS))


def change_refs(git: Git, changes: Iterable[Change], lock: Lock) -> None:
    """Make all *changes* or none, if every ref still has its old id.

    The caller holds REFS_LOCK. Raises VersionConflict when a ref has another id;
    BackendError.
    """
    wanted = [change for change in changes if change.old != change.new]
    done = _update(git, wanted, lock)
    if not done.clashes:
        return _check(done)
    for one in (False, True):  # `a` goes and `a/b` comes: files cannot do that at once
        part = [change for change in wanted if bool(change.new) is one]
        _check(_update(git, part, lock))


def _update(git: Git, changes: Iterable[Change], lock: Lock) -> Outcome:
    data = "".join(map(_line, changes)).encode("utf-8", "surrogateescape")
    if not data:
        return Outcome(0, b"", "")
    return git.run("update-ref", "--stdin", "-z", data=data, lock=lock)


def _check(done: Outcome) -> None:
    if not done.code:
        return
    if "but expected" in done.errors or "reference already exists" in done.errors:
        raise VersionConflict("the branch was moved by someone else meanwhile")
    if "unable to resolve reference" in done.errors:
        raise VersionConflict("the branch was removed by someone else meanwhile")
    if ".lock'" in done.errors:
        raise BackendUnavailable("a ref is locked")
    raise done.reason("git update-ref")


def _line(change: Change) -> str:
    zero = "0" * len(change.old or change.new)
    if change.new:
        return f"update {change.name}\0{change.new}\0{change.old or zero}\0"
    return f"delete {change.name}\0{change.old}\0"
