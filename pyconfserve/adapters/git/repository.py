"""One repository as it is served: labels to commits, refreshed while it is read.

Everything here may block and is thread-safe. What a request needs is one immutable
value, replaced when refs move, so that no reader waits for a fetch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from ...errors import (
    BackendError,
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    VersionConflict,
)
from ...past import COMMIT
from .chores import Chore
from .clone import Clone
from .locks import Lock
from .looks import Looks
from .mending import mended
from .merging import CANNOT_MERGE, MERGES_SINCE, Plan, Planner, Rules
from .objects import Objects
from .outcome import damaged
from .reachable import Reachable
from .refs import (
    BASES,
    BRANCHES,
    NOTHING,
    ORIGIN,
    Change,
    Refs,
    State,
    change_refs,
    is_reached,
    read_refs,
)
from .report import NO_PLAN, Report, named
from .tree import GitTree

__all__ = ["Repository"]

_INTERVAL = 0.1  # seconds for which refs moved by another process may be missed
_SAVES = 100  # after which loose objects are counted: each makes three or more
_CLOSED = State(Refs({}, {}), None, 0, Reachable())  # before the repository was opened


class Repository:
    """What *clone* holds, following origin by *rules*; `uri` begins sources' names.

    The first of the labels *defaults* that there is answers requests that name none.
    """

    def __init__(
        self, clone: Clone, uri: str, defaults: Sequence[str], rules: Rules
    ) -> None:
        self.uri = uri
        self.defaults = tuple(defaults)
        self.git = clone.git
        self.objects = Objects(clone.git)
        self._clone = clone
        self._branch = self.defaults[0]
        self._planner = Planner(clone.git, self.objects, rules)
        self._state = _CLOSED
        self._planned: tuple[Mapping[str, str], Plan] = ({}, NO_PLAN)
        self._report = Report(uri, rules.level)
        self._look_at = 0.0
        self._saves = 0
        self._reading = threading.Lock()
        self.looks = Looks(self._catch_up)
        self._tidying = Chore("pyconfserve-git-tidy", clone.tidy)

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
            found = mended(self._read, self.objects, self._clone)
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
        first = Change(BRANCHES + self._branch, NOTHING, self._planner.first())
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
            plan = mended(self._follow, self.objects, self._clone)
            if self._report.unverified:
                self.verify()
        except BackendError as error:
            self._note(error)
            raise
        finally:
            self._clone.settle()
        self._note(damaged() if self.objects.is_damaged else None, plan)
        if plan.conflicts:
            raise Conflict("; ".join(named(plan.conflicts)))

    def verify(self) -> None:
        """Find out whether what the default label serves parses, for health.

        It was not compared with anything when it came first. Raises BackendError.
        """
        state = self._state
        label = self.default_label(state)
        commit = state.refs.commits.get(label)
        problem = self._planner.problem(commit) if commit else ""
        self._report.unverified = {label: problem} if problem else {}
        self._note(self._report.problem)

    def _follow(self) -> Plan:
        """Move the served refs to where they belong, all at once."""
        try:
            plan = self._move()
        except VersionConflict:  # a save was faster: now it has to wait
            plan = self._move_alone()
        rest = plan._replace(changes=())
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
        planned, plan = self._planned
        with self._reading:
            found = self._read()
            if planned == found.refs.ids:  # nothing new
                self._state = found
                return plan
        plan = self._planner.plan(found.refs)
        with nullcontext(lock) if lock else self._clone.alone() as held:
            change_refs(self.git, plan.changes, held)
        if plan.changes:
            self._clone.mark()
        self.reload()
        return plan

    def reload(self) -> None:
        """Serve what the refs say now; raises BackendError."""
        try:
            with self._reading:  # one at a time: what was read first is older
                self._state = self._read()
        finally:
            self._clone.settle()

    def _read(self) -> State:
        """The state as it is now; the same number while the refs are the same."""
        marked, before = self._clone.marked(), self._state
        refs = read_refs(self.git, self.objects)
        if before.number and before.refs.ids == refs.ids:
            return before._replace(marked=marked)
        return State(refs, marked, before.number + 1, Reachable())

    def current(self) -> State:
        """What is served, for the hot path: it never waits and never reads refs.

        Refs that another process moved are looked for now and then, and read by a
        thread of their own.
        """
        state = self._state
        now = time.monotonic()
        if now >= self._look_at and state.number and not self.git.is_closed():
            self._look_at = now + _INTERVAL
            if self._clone.is_moved(state.marked):
                self.looks.start()
        return state

    def look_again(self) -> None:
        """Miss nothing from now on that another process has moved; never waits."""
        if self.is_open and self._clone.is_moved(self._state.marked):
            self.looks.wish()

    def present(self) -> State:
        """What is served, with all that was moved before the last `look_again`."""
        if self.looks.is_due:
            self.looks.take()
        return self.current()

    def _catch_up(self) -> None:
        try:
            with self._reading:
                if self._clone.is_moved(self._state.marked):
                    self._state = self._read()
        except BackendError as error:
            self._note(error)

    def default_label(self, state: State) -> str:
        """The label of requests that name none."""
        known = state.refs.commits
        return next((one for one in self.defaults if one in known), self._branch)

    def commit_of(self, label: str, state: State) -> str | None:
        """The commit a label stands for: a reachable full id, a branch or a tag.

        Raises BackendError.
        """
        if COMMIT.fullmatch(label):  # whatever a branch or a tag of that name is
            look = partial(is_reached, self.git, self.objects)
            if state.reachable.has(label, look):
                return label
        return state.refs.commits.get(label)

    def check_branch(self, branch: str) -> None:
        """Raise ConfigNotFound or Conflict unless *branch* takes saves."""
        refs, commit = self._state.refs, self.commit_of(branch, self._state)
        if BRANCHES + branch not in refs.ids or commit == branch:
            if commit:
                raise Conflict("a tag or a commit takes no saves, only a branch does")
            raise ConfigNotFound("there is no such branch")
        is_behind = refs.ids.get(BASES + branch) != refs.ids.get(ORIGIN + branch)
        if is_behind and self.git.version() < MERGES_SINCE:
            raise Conflict(f"origin moved, and {CANNOT_MERGE} a save with it")

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
        self._saves += 1
        if self._saves % _SAVES == 0:
            self._tidying.start()

    def health(self) -> Mapping[str, Any]:
        """How it is; raises BackendError when nobody can be answered."""
        problem = self._report.problem
        if not self.is_open and problem is not None:
            raise problem
        return self._report.health(self._clone.fetched())

    def close(self) -> None:
        """End what runs; calling this twice is fine."""
        self._clone.close()
        self.objects.close()

    def _note(self, problem: BackendError | None, plan: Plan | None = None) -> None:
        if not self.git.is_closed():  # what was ended failed for that reason
            self._report.note(problem, plan)
