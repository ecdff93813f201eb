"""From answers to configurations: the start, the snapshot, and following changes.

Generators of the steps of steps.py; this module does no input or output but by them.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ..errors import ConfigError, FetchError, InvalidRequest
from .configuration import Configuration, compare
from .documents import read_document
from .layers import Layers
from .snapshot import CONFIRM_EVERY, Kept, Snapshot
from .steps import (
    Answer,
    Emit,
    Patience,
    Steps,
    Wait,
    Warn,
    Work,
    ask,
    backoff,
    is_final,
)
from .target import Target

__all__ = ["Plan", "View", "configuration_steps", "file_steps", "watch_steps"]

_HELD = 30.0  # seconds that a server is asked to wait for a change
_AT_ONCE = 1.0  # seconds below which it has not waited
_LOOK_EVERY = 1.0  # seconds between looks at a snapshot that another process writes


class Plan(NamedTuple):
    """All that the steps of one client depend on."""

    target: Target
    patience: Patience
    layers: Layers
    snapshot: Snapshot | None


class View(NamedTuple):
    """A configuration, the answer it was made from, and since when that is stale."""

    configuration: Configuration
    answer: Answer
    stale: float | None


def configuration_steps(plan: Plan) -> Steps[None]:
    """Emit the view of a server's answer or, while none can be had, of the snapshot's.

    The snapshot serves when no server answers, or with 5xx, 408, 425, 429 or what is no
    configuration, and says so in one warning. It does not when a server has spoken:
    401, 403 and 404 are answers, and what may not be read is not read from a file.

    Raises FetchError, InvalidRequest for names that no URL can hold, SettingsError for
    an override file that cannot be read.
    """
    yield Emit((yield from _start(plan)))


def file_steps(plan: Plan, path: str, *, resolve: bool) -> Steps[None]:
    """Emit the bytes of a plain file; raises FetchError, InvalidRequest."""
    target = plan.target
    request = partial(target.file, path=path, resolve=resolve)
    answer = yield from ask(target.servers, request, bytes, plan.patience)
    yield Emit(answer.content)


def watch_steps(plan: Plan, view: View | None) -> Steps[None]:
    """Emit a view each time it is another one than *view*, without an end.

    Without a *view* the first is emitted too, as soon as there is one. No failure ends
    it: what was last known stays, and the first of several alike is logged. With a
    snapshot, one process asks the server, and the others read what it writes.

    Raises InvalidRequest for names that no URL can hold.
    """
    try:
        if view is None:
            try:
                view = yield from _start(plan)
                yield Emit(view)
            except FetchError as error:
                yield Warn(f"{error}; there is no configuration yet")
        watch = _Watch(plan, view)
        while True:
            pause = yield from watch.turn()
            if pause:
                yield Wait(pause)
    finally:
        if plan.snapshot is not None:
            plan.snapshot.release()


class _Watch:
    """What a watch remembers from one turn to the next."""

    def __init__(self, plan: Plan, view: View | None) -> None:
        self._plan = plan
        self._view = view
        self._answer = None if view is None else view.answer  # heard last
        self._stale = None if view is None else view.stale
        self._stamp: object = None  # of the snapshot that was read last
        self._failures = 0  # in a row
        self._saved: float | None = None  # when that was, None if it is of no use
        self._quick = 0  # answers in a row that did not wait
        self._idle = 0  # those of them that brought nothing, in a row
        self._logged: dict[str, str] = {}  # the last problem of each kind

    def turn(self) -> Steps[float]:
        """Hear what is new and emit what comes of it; gives the seconds to the next."""
        snapshot = self._plan.snapshot
        leads = snapshot is None or (yield Work(snapshot.lead))
        pause = None
        if snapshot is not None and not leads:
            pause = yield from self._look(snapshot)
        if pause is None:
            pause = yield from self._poll()
        yield from self._renew()
        return pause

    def _poll(self) -> Steps[float]:
        """Ask the server.

        One that waits is asked again at once. One that answers at once without a change
        has no long poll, or is about to end: after the second such answer in a row, and
        where there is no ETag, it is asked every poll_interval. Changes that come at
        once are followed with pauses that grow, from the second on.
        """
        patience = self._plan.patience._replace(retries=0)
        etag = None if self._answer is None else self._answer.etag
        began = patience.clock()
        try:
            answer = yield from _ask(self._plan, patience, etag, _HELD if etag else 0.0)
        except FetchError as error:
            yield from self._warn("server", f"{error}; what was last known stays")
            self._failures += 1
            longest = patience.poll_interval
            pause = backoff(self._failures + 1, patience.random(), longest)
            if is_final(error):
                yield from self._release()
            return min(longest, max(pause, getattr(error, "retry_after", 0.0)))
        self._failures, self._stale = 0, None
        self._logged.pop("server", None)
        known = self._answer
        is_same = answer.content is None or (known and answer.body == known.body)
        if known is None or not is_same or answer.etag not in (None, known.etag):
            known = self._answer = answer
        yield from _keep(self._plan, known)
        if self._plan.snapshot is not None and self._plan.snapshot.is_failing:
            yield from self._release()
        has_waited = patience.clock() - began >= _AT_ONCE
        self._quick = 0 if has_waited else self._quick + 1
        self._idle = self._idle + 1 if is_same and not has_waited else 0
        return self._pause(patience, has_etag=answer.etag is not None)

    def _pause(self, patience: Patience, *, has_etag: bool) -> float:
        longest = patience.poll_interval
        if has_etag and self._quick < 2:
            return min(_AT_ONCE, longest) * self._idle * patience.random()
        if has_etag and self._idle < 2:
            longest = min(longest, _AT_ONCE * 2.0 ** min(self._quick - 2, 30))
        return longest * (0.8 + 0.4 * patience.random())

    def _release(self) -> Steps[None]:
        if self._plan.snapshot is not None:
            yield Work(self._plan.snapshot.release)

    def _look(self, snapshot: Snapshot) -> Steps[float | None]:
        """Read what the process that leads has written since the last look.

        None means to ask: nothing there may be served, or long not confirmed.
        """
        patience = self._plan.patience
        stamp = yield Work(snapshot.stamp)
        if stamp != self._stamp:
            self._stamp = stamp
            kept = yield from self._kept(snapshot)
            self._saved = None if kept is None else kept.saved
            if kept is not None:
                known = self._answer
                if known is None or (kept.etag, kept.body) != known[1:3]:
                    self._answer = _answer_of(kept)
                if self._stale is not None and kept.saved > self._stale:
                    self._stale = None
        allowed = 2 * max(CONFIRM_EVERY, patience.poll_interval)
        if self._saved is None or abs(patience.now() - self._saved) > allowed:
            return None
        longest = min(_LOOK_EVERY, patience.poll_interval)
        return longest * (0.5 + patience.random())

    def _kept(self, snapshot: Snapshot) -> Steps[Kept | None]:
        try:
            kept: Kept | None = yield Work(snapshot.read)
        except ValueError as error:
            problem = f"the snapshot {snapshot.path} is ignored: {error}"
            yield from self._warn("snapshot", problem)
            return None
        self._logged.pop("snapshot", None)
        return kept

    def _renew(self) -> Steps[None]:
        """Emit the view of what was heard last, unless it is the one there is.

        The override file may have changed though the answer has not.
        """
        old, answer = self._view, self._answer
        if answer is None:
            return
        is_known = old is not None and (old.answer, old.stale) == (answer, self._stale)
        if is_known and self._plan.layers.override_file is None:
            return
        try:
            view = yield from _view(self._plan, answer, self._stale)
        except ConfigError as error:
            yield from self._warn("layers", f"{error}; what was last known stays")
            return
        self._logged.pop("layers", None)
        if old and is_known and not compare(old.configuration, view.configuration):
            return
        self._view = view
        yield Emit(view)

    def _warn(self, kind: str, problem: str) -> Steps[None]:
        """Log a problem, unless it is the one of its *kind* that was logged last."""
        if problem != self._logged.get(kind):
            self._logged[kind] = problem
            yield Warn(problem)


def _start(plan: Plan) -> Steps[View]:
    """The first view; see configuration_steps."""
    try:
        answer = yield from _ask(plan, plan.patience)
    except FetchError as error:
        kept = None
        if plan.snapshot is not None and not is_final(error):
            kept = yield from _read(plan.snapshot)
        if kept is None:
            raise
        yield Warn(f"{error}; serving the snapshot, which is stale")
        view: View = yield from _view(plan, _answer_of(kept), kept.saved)
        return view
    view = yield from _view(plan, answer, None)
    yield from _keep(plan, answer)
    return view


def _ask(
    plan: Plan, patience: Patience, etag: str | None = None, held: float = 0.0
) -> Steps[Answer]:
    target = plan.target
    request = partial(target.environment, etag=etag, wait=held)
    answer = yield from ask(target.servers, request, read_document, patience, held=held)
    return answer


def _view(plan: Plan, answer: Answer, stale: float | None) -> Steps[View]:
    """The view of an answer; *stale* is when it was confirmed last, None for now."""
    stale_since = None
    if stale is not None:
        from datetime import UTC, datetime

        stale_since = datetime.fromtimestamp(stale, UTC)
    try:
        build = partial(plan.layers.build, answer.content, stale_since)
        configuration: Configuration = yield Work(build)
    except InvalidRequest as error:
        raise FetchError(answer.url, error.problem, 200) from error
    return View(configuration, answer, stale)


def _keep(plan: Plan, answer: Answer) -> Steps[None]:
    if plan.snapshot is not None:
        problem = yield Work(
            partial(plan.snapshot.keep, answer.url, answer.etag, answer.body)
        )
        if problem:
            yield Warn(problem)


def _read(snapshot: Snapshot) -> Steps[Kept | None]:
    """What a snapshot holds, None without one that may be served."""
    try:
        kept: Kept | None = yield Work(snapshot.read)
    except ValueError as error:
        yield Warn(f"the snapshot {snapshot.path} is ignored: {error}")
        return None
    return kept


def _answer_of(kept: Kept) -> Answer:
    return Answer(kept.url, kept.etag, kept.body, kept.document)
