"""The bare clone on disk: made, repaired, fetched into, shared by processes.

It is an ordinary repository for plain git too: remote `origin`, HEAD at the served
branch, no credentials in its `config`.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from ...errors import BackendError, BackendMisconfigured, BackendUnavailable
from ...folder import reported
from .locks import FETCH_LOCK, REFS_LOCK, Lock, hold, is_ours, sweep
from .origin import Origin
from .outcome import Outcome
from .place import (
    Kept,
    check_content,
    own_folder,
    read_config,
    replacing,
    write_files,
)
from .process import Git
from .refs import FETCHED_TAGS, ORIGIN

__all__ = ["Clone"]

_FIRST_DEADLINE = 1800.0  # seconds for the first fetch: a large history, a slow link
_DEADLINE = 120.0  # seconds for each later one
_TIDY_DEADLINE = 600.0
_PATIENCE = 10.0  # seconds that the saves before ours may take, well below an answer's
_TOGETHER = 0.5  # seconds after a vain wait in which who waited behind it comes
_MARKER = "pyconfserve-state"  # replaced when refs moved or origin was reached
_REFSPECS = (f"+refs/heads/*:{ORIGIN}*", f"+refs/tags/*:{FETCHED_TAGS}*")
_REFETCHES_SINCE = (2, 36)  # git fetch --refetch
_UPLOAD_PACK = "--upload-pack=git-upload-pack"  # whatever `config` says it is
_LOOSE_OBJECTS = "2000"  # above which git packs them: a fetch adds some each time


class Clone:
    """The clone of *origin* in *folder*; of nothing when *origin* is None.

    *private* is a folder for the keys that git needs to reach origin; *patience* are
    the seconds that others may change the branches for.
    """

    def __init__(
        self,
        folder: str,
        origin: Origin | None,
        private: str,
        patience: float = _PATIENCE,
    ) -> None:
        self.folder = os.path.abspath(folder)
        self.origin = origin
        self.git = Git(self.folder)
        self._url = origin.url if origin else ""
        self._private = private
        self._branch = ""
        self._is_mended = False  # was tried, with what luck ever
        self._own: Hashable = None  # a mark of ours, until we read the refs after it
        self._changing = threading.Lock()
        self._patience = patience
        self._in_vain = -math.inf  # when the last vain wait for REFS_LOCK ended

    def open(self, branch: str) -> None:
        """Make the clone, or make sure of the one that is there; fetches nothing.

        HEAD is put at *branch*. Raises BackendMisconfigured for a folder that is not
        ours to use, BackendError.
        """
        self.git.version()
        with reported("the clone"):
            own_folder(self.folder)
            check_content(self.folder)
            has_refs, found = self._has_refs(), self._found()
            if os.listdir(self.folder) and not is_ours(self.folder):
                self._checked(found)
            os.chmod(self.folder, 0o700)
            # One that is whole is opened while another process fetches into it.
            is_whole = has_refs and self._is_known(found)
            try:
                with self._hold(FETCH_LOCK, 0.0 if is_whole else _FIRST_DEADLINE):
                    self._sweep()
                    self._make(branch, found if is_whole else self._found())
            except BackendUnavailable:
                if not is_whole:
                    raise
                self._make(branch, found)

    def fetch(self) -> None:
        """Bring what origin has into refs/remotes/origin; raises BackendError.

        One process fetches at a time; another that waited for it does not fetch again.
        """
        if self.origin is None:
            return
        asked = time.time()
        is_first = self.fetched() is None
        deadline = _FIRST_DEADLINE if is_first else _DEADLINE
        with reported("the clone"), self._hold(FETCH_LOCK, deadline) as lock:
            # Begun after we asked; a clock that was set back makes it the future.
            if asked < (self.fetched() or 0.0) <= time.time():
                return
            started = time.time()
            self._sweep()
            done = self._fetch(self.origin, deadline, lock, "--atomic")
            if done.is_damaged and self._may_mend():
                done = self._fetch(self.origin, _FIRST_DEADLINE, lock, "--refetch")
            if done.clashes:  # `a` went and `a/b` came: not at once (git-fetch)
                done = self._fetch(self.origin, deadline, lock)
            if done.has_other_ids and not self._has_refs():
                self._write(Kept(self._url, "sha256"))
                done = self._fetch(self.origin, deadline, lock, "--atomic")
            if done.code:
                self._sweep()
                raise done.reason("origin cannot be fetched")
            self.mark(fetched=started)

    def mend(self) -> bool:
        """Fetch every object again, but once only; gives whether that was done."""
        if self.origin is None or not self._may_mend():
            return False
        with (
            suppress(BackendError),
            reported("the clone"),
            self._hold(FETCH_LOCK, _FIRST_DEADLINE) as lock,
        ):
            done = self._fetch(self.origin, _FIRST_DEADLINE, lock, "--refetch")
            return not done.code
        return False

    def _may_mend(self) -> bool:
        is_first, self._is_mended = not self._is_mended, True
        return is_first and self.git.version() >= _REFETCHES_SINCE

    def _fetch(
        self, origin: Origin, deadline: float, lock: Lock, *options: str
    ) -> Outcome:
        if not origin.answers(self.git.is_closed):
            problem = "origin cannot be fetched: it did not answer in time"
            raise BackendUnavailable(problem)
        program = [] if "http" in origin.protocols else [_UPLOAD_PACK]
        return self.git.run(
            *("fetch", "--quiet", "--prune", "--no-tags", "--force"),
            *(*program, *options),
            *("--no-write-fetch-head", "--no-recurse-submodules", "--refmap="),
            *("origin", *_REFSPECS),
            env={
                **origin.environment(self._private),
                "GIT_ALLOW_PROTOCOL": origin.protocols,
            },
            config=origin.config(),
            deadline=deadline,
            lock=lock,
        )

    @contextmanager
    def alone(self) -> Iterator[Lock]:
        """Be the only one, of all processes, who changes what is served.

        Who comes right after one that waited in vain, as it waited behind it, tries
        just once. Raises BackendUnavailable when others do so for too long.
        """
        if not self._changing.acquire(timeout=self._patience):
            raise BackendUnavailable("others change the branches")
        is_held = False
        try:
            is_behind = time.monotonic() - self._in_vain < _TOGETHER
            patience = 0.0 if is_behind else self._patience
            with reported("the clone"), self._hold(REFS_LOCK, patience) as lock:
                is_held = True
                yield lock
        except BackendUnavailable:
            if not is_held:
                self._in_vain = time.monotonic()
            raise
        finally:
            self._changing.release()

    def tidy(self) -> None:
        """Pack loose objects when there are many; what fails is left to the next."""
        with (
            suppress(BackendError),
            reported("the clone"),
            self._hold(FETCH_LOCK, 0.0) as lock,
        ):
            self.git.run(
                *("gc", "--auto", "--quiet"),
                config={"gc.auto": _LOOSE_OBJECTS, "gc.autoDetach": "false"},
                deadline=_TIDY_DEADLINE,
                lock=lock,
            )

    def mark(self, fetched: float | None = None) -> None:
        """Tell the other processes that refs moved, or that origin was reached."""
        fetched = self.fetched() if fetched is None else fetched
        noted = json.dumps({"fetched": fetched, "origin": self._url})
        with reported("the clone"), replacing(self.folder, _MARKER) as file:
            file.write(noted.encode("ascii"))
            file.flush()
            self._own = _identity(os.fstat(file.fileno()))

    def marked(self) -> Hashable:
        """What changes with each `mark`, by whatever process; fast."""
        try:
            found = os.stat(f"{self.folder}/{_MARKER}")
        except OSError:
            return None
        return _identity(found)

    def is_moved(self, seen: Hashable) -> bool:
        """Whether the clone was marked since *seen*, by others than us; fast.

        Who marks it reads the refs afterwards, and then calls `settle`.
        """
        return self.marked() not in (seen, self._own)

    def settle(self) -> None:
        """Take our own marks for those of others from now on."""
        self._own = None

    def fetched(self) -> float | None:
        """When origin was reached last, in seconds since the epoch; None for never."""
        fetched = self._noted().get("fetched")
        return float(fetched) if isinstance(fetched, int | float) else None

    def _noted(self) -> dict[str, object]:
        """What `mark` wrote last, {} for nothing."""
        try:
            with open(f"{self.folder}/{_MARKER}", encoding="ascii") as file:
                noted = json.load(file)
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def close(self) -> None:
        """End every git process over it; calling this twice is fine."""
        self.git.close()

    def _hold(self, name: str, deadline: float) -> AbstractContextManager[Lock]:
        git = self.git
        return hold(git.folder, name, deadline=deadline, gives_up=git.is_closed)

    def _found(self) -> Kept | None:
        """What the folder is a clone of, None when it is no repository."""
        noted = self._noted().get("origin")
        return read_config(self.git, noted if isinstance(noted, str) else None)

    def _is_known(self, found: Kept | None) -> bool:
        return found is not None and found.url == self._url

    def _checked(self, found: Kept | None) -> Kept:
        """*found*; raises BackendMisconfigured unless it is a clone of our origin."""
        if found is None:
            raise BackendMisconfigured("the clone's folder has other files in it")
        if not self._is_known(found):
            raise BackendMisconfigured("the clone's folder is one of another origin")
        return found

    def _make(self, branch: str, found: Kept | None) -> None:
        """Make or mend all but the objects; others do not, or would write the same.

        One that has refs was whole once, and whose it is stands in it. Raises
        BackendMisconfigured for another's.
        """
        self._branch = branch
        if not (self._has_refs() or self._is_known(found)):
            found = Kept(self._url, "sha1")
        self._write(self._checked(found))

    def _write(self, kept: Kept) -> None:
        write_files(self.folder, kept, self._branch, _REFSPECS[0])

    def _has_refs(self) -> bool:
        places = os.walk(f"{self.folder}/refs")
        is_packed = os.path.lexists(f"{self.folder}/packed-refs")
        return is_packed or any(names for _, _, names in places)

    def _sweep(self) -> None:
        """Remove stale locks unless refs are being changed; FETCH_LOCK is held."""
        with (
            suppress(BackendUnavailable),
            self._hold(REFS_LOCK, 0.0),
        ):
            sweep(self.folder)


def _identity(found: os.stat_result) -> Hashable:
    return found.st_ino, found.st_mtime_ns
