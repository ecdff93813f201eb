"""One repository as it is served: labels to commits, refreshed while it is read.

Everything here may block and is thread-safe. What a request needs is one immutable
value, replaced when refs move, so that no reader waits for a fetch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from ...errors import (
    BackendError,
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    VersionConflict,
)
from .clone import Clone
from .locks import Lock
from .merging import MERGES_SINCE, Plan, Rules, plan_changes
from .objects import Objects
from .refs import (
    BASES,
    BRANCHES,
    COMMIT,
    NOTHING,
    ORIGIN,
    TAGS,
    Change,
    Refs,
    State,
    change_refs,
    read_refs,
)
from .tree import GitTree

__all__ = ["Repository"]

_logger = logging.getLogger("pyconfserve.git")
_MOST_COMMITS = 10_000  # asked for by id and remembered, for one state of the refs
_INTERVAL = 0.1  # seconds for which refs moved by another process may be missed
_NO_PLAN = Plan((), {}, {})


_CLOSED = State(Refs({}, {}), None, 0, {})  # before the repository was opened


class Repository:
    """What *clone* holds, following origin by *rules*; `uri` begins sources' names."""

    def __init__(self, clone: Clone, uri: str, branch: str, rules: Rules) -> None:
        self.uri = uri
        self.git = clone.git
        self.objects = Objects(clone.git)
        self._clone = clone
        self._branch = branch
        self._rules = rules
        self._state = _CLOSED
        self._planned: tuple[Mapping[str, str], Plan] = ({}, _NO_PLAN)
        self._problem: BackendError | None = None
        self._said = ""  # of what was logged last
        self._look_again = 0.0
        self._is_closed = False
        self._reading = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether there is anything to serve."""
        return self._state.number > 0

    def open(self) -> bool:
        """Serve the clone on disk; one without anything is fetched first.

        Gives whether it was. Raises BackendError when origin is needed and cannot be
        reached.
        """
        try:
            self._clone.open(self._branch)
            found = self._read()
            if self._clone.origin is None and not found.refs.ids:
                self._begin()
                found = self._read()
            if self._clone.origin is None or found.refs.commits:
                self._state = found
                return False
        except BackendError as error:
            self._note(error)
            raise
        self.refresh()
        return True

    def _begin(self) -> None:
        """Make the branch that a store without origin takes its first save on."""
        tree = self.git.output("mktree", "-z").decode("ascii").strip()
        made = self.git.output(
            "commit-tree", tree, data=b"begin\n", env=self._rules.author
        )
        first = Change(BRANCHES + self._branch, NOTHING, made.decode("ascii").strip())
        with suppress(VersionConflict), self._clone.alone() as lock:
            change_refs(self.git, [first], lock)

    def refresh(self) -> None:
        """Fetch, and move what is served; raises BackendError, Conflict.

        A clone without origin stays as it is.
        """
        if self._clone.origin is None:
            return self.reload()
        try:
            self._clone.fetch()
            plan = self._follow()
        except BackendError as error:
            self._note(error)
            raise
        self._note(None, plan)
        if plan.conflicts:
            raise Conflict("; ".join(_named(plan.conflicts)))

    def _follow(self) -> Plan:
        """Move the served refs to where they belong, all at once."""
        try:
            plan = self._move()
        except VersionConflict:  # a save was faster: now it has to wait
            plan = self._move_alone()
        rest = Plan((), plan.held, plan.conflicts)
        self._planned = (self._state.refs.ids, rest)
        if plan.changes:
            self._clone.tidy()
        return rest

    def _move_alone(self) -> Plan:
        try:
            with self._clone.alone() as lock:
                return self._move(lock)
        except VersionConflict as error:  # by one who takes no lock: plain git
            raise BackendUnavailable("the branches were moved meanwhile") from error

    def _move(self, lock: Lock | None = None) -> Plan:
        """Plan without *lock*, and move if no ref has moved meanwhile.

        Raises VersionConflict.
        """
        refs = read_refs(self.git, self.objects)
        planned, plan = self._planned
        if planned != refs.ids:
            plan = plan_changes(self.git, self.objects, refs, self._rules)
            with nullcontext(lock) if lock else self._clone.alone() as held:
                change_refs(self.git, plan.changes, held)
        if plan.changes:
            self._clone.mark()
        self.reload()
        return plan

    def reload(self) -> None:
        """Serve what the refs say now; raises BackendError."""
        with self._reading:  # one at a time: what was read first is older
            self._state = self._read()

    def _read(self) -> State:
        """The state as it is now; the same number while the refs are the same."""
        marked, before = self._clone.marked(), self._state
        refs = read_refs(self.git, self.objects)
        if before.number and before.refs.ids == refs.ids:
            return before._replace(marked=marked)
        return State(refs, marked, before.number + 1, {})

    def current(self) -> State:
        """What is served, for the hot path: it never waits and never reads refs.

        Refs that another process moved are looked for now and then, and read by a
        thread of their own.
        """
        state = self._state
        now = time.monotonic()
        if now >= self._look_again and state.number and not self._is_closed:
            self._look_again = now + _INTERVAL
            if self._clone.marked() != state.marked:
                threading.Thread(target=self._catch_up, daemon=True).start()
        return state

    def _catch_up(self) -> None:
        try:
            self.reload()
        except BackendError as error:
            self._note(error)

    def commit_of(self, label: str, state: State) -> str | None:
        """The commit a label stands for: a branch, a tag, or a reachable full id.

        Raises BackendError.
        """
        commit = state.refs.commits.get(label)
        if commit or not COMMIT.fullmatch(label):
            return commit
        if label not in state.reachable:
            if len(state.reachable) >= _MOST_COMMITS:
                state.reachable.clear()
            state.reachable[label] = self._is_reachable(label)
        return label if state.reachable.get(label) else None

    def _is_reachable(self, commit: str) -> bool:
        if self.objects.commit_of(commit) != commit:
            return False
        places = (BRANCHES, TAGS)
        found = self.git.output(
            "for-each-ref", f"--contains={commit}", "--count=1", *places
        )
        return bool(found)

    def check_branch(self, branch: str) -> None:
        """Raise ConfigNotFound or Conflict unless *branch* takes saves."""
        refs = self._state.refs
        if BRANCHES + branch not in refs.ids:
            if self.commit_of(branch, self._state):
                raise Conflict("a tag or a commit takes no saves, only a branch does")
            raise ConfigNotFound("there is no such branch")
        is_behind = refs.ids.get(BASES + branch) != refs.ids.get(ORIGIN + branch)
        if is_behind and self.git.version() < MERGES_SINCE:
            raise Conflict(
                "origin moved, and git before 2.38 cannot merge a save with it"
            )

    def tree(self, commit: str) -> GitTree:
        """The files of a commit."""
        return GitTree(self.objects, commit, self.uri)

    @contextmanager
    def changing(self) -> Iterator[Lock]:
        """Be the only one who saves, and see what all others saved.

        Raises BackendError.
        """
        with self._clone.alone() as lock:
            if self._clone.marked() != self._state.marked:
                self.reload()
            yield lock

    def moved(self) -> None:
        """Take note that a save moved a ref; raises BackendError."""
        try:
            self._clone.mark()
        finally:
            self.reload()

    def health(self) -> Mapping[str, Any]:
        """How it is; raises BackendError when nobody can be answered."""
        if not self.is_open and self._problem is not None:
            raise self._problem
        fetched = self._clone.fetched()
        found: dict[str, Any] = {"repository": self.uri.rstrip("/")}
        if fetched is not None:
            found["fetched-seconds-ago"] = max(0, round(time.time() - fetched))
        if self._problem is not None:
            found["problem"] = str(self._problem)
        plan = self._planned[1]
        if plan.held:
            found["held"] = _named(plan.held)
        if plan.conflicts:
            found["conflicts"] = _named(plan.conflicts)
        return found

    def close(self) -> None:
        """End what runs; calling this twice is fine."""
        self._is_closed = True
        self.objects.close()
        self._clone.close()

    def _note(self, problem: BackendError | None, plan: Plan = _NO_PLAN) -> None:
        """Keep how the last refresh went, and log what is new in it, once."""
        if self._is_closed:  # what was ended failed for that reason
            return
        self._problem = problem
        about = [str(problem)] if problem else []
        about += [f"not served: {text}" for text in _named(plan.held)]
        about += [f"not merged: {text}" for text in _named(plan.conflicts)]
        said = "; ".join(about)
        if said != self._said:
            if said:
                _logger.warning("%s: %s", self.uri.rstrip("/"), said)
            else:
                _logger.info("%s: up to date again", self.uri.rstrip("/"))
            self._said = said


def _named(reasons: Mapping[str, str]) -> list[str]:
    """Each on one line: whoever pushes chooses the names of branches and files."""
    texts = [f"{branch}: {reason}" for branch, reason in reasons.items()]
    return ["".join(c if c.isprintable() else "?" for c in text) for text in texts]
