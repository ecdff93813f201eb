"""The bare clone on disk: made, repaired, fetched into, shared by processes.

It is an ordinary repository for plain git too: remote `origin`, HEAD at the served
branch, no credentials in its `config`.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from ...errors import BackendError, BackendMisconfigured, BackendUnavailable
from ...folder import reported
from .locks import FETCH_LOCK, REFS_LOCK, Lock, hold, is_ours, sweep
from .origin import Origin
from .outcome import Outcome
from .process import Git
from .refs import BRANCHES, FETCHED_TAGS, ORIGIN

__all__ = ["Clone"]

_FIRST_DEADLINE = 1800.0  # seconds for the first fetch: a large history, a slow link
_DEADLINE = 120.0  # seconds for each later one
_TIDY_DEADLINE = 600.0
_PATIENCE = 30.0  # seconds that the saves before ours may take
_MARKER = "pyconfserve-state"  # replaced when refs moved or origin was reached
_REFSPECS = (f"+refs/heads/*:{ORIGIN}*", f"+refs/tags/*:{FETCHED_TAGS}*")
_LOOSE_OBJECTS = "2000"  # above which git packs them: a fetch adds some each time


class Clone:
    """The clone of *origin* in *folder*; of nothing when *origin* is None.

    *private* is a folder for the keys that git needs to reach origin.
    """

    def __init__(self, folder: str, origin: Origin | None, private: str) -> None:
        self.folder = os.path.abspath(folder)
        self.origin = origin
        self.git = Git(self.folder)
        self._private = private
        self._changing = threading.Lock()

    def open(self, branch: str) -> None:
        """Make the clone, or make sure of the one that is there; fetches nothing.

        HEAD is put at *branch*. Raises BackendMisconfigured for a folder that is not
        ours to use, BackendError.
        """
        self.git.version()
        with reported("the clone"):
            _own_folder(self.folder)
            if os.listdir(self.folder) and not is_ours(self.folder):
                self._check_origin()
            os.chmod(self.folder, 0o700)
            # One that is whole is opened while another process fetches into it.
            deadline = 0.0 if self._is_whole() else _FIRST_DEADLINE
            try:
                with self._hold(FETCH_LOCK, deadline):
                    self._make(branch)
            except BackendUnavailable:
                if deadline:
                    raise
        self._check_origin()

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
            if done.clashes:  # `a` went and `a/b` came: not at once (git-fetch)
                done = self._fetch(self.origin, deadline, lock)
            if done.has_other_ids and not self._has_refs():
                self._init("sha256")
                done = self._fetch(self.origin, deadline, lock, "--atomic")
            if done.code:
                self._sweep()
                raise done.reason("origin cannot be fetched")
            self.mark(fetched=started)

    def _fetch(
        self, origin: Origin, deadline: float, lock: Lock, *options: str
    ) -> Outcome:
        return self.git.run(
            *("fetch", "--quiet", "--prune", "--no-tags", "--force", *options),
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

        Raises BackendUnavailable when others do so for too long.
        """
        if not self._changing.acquire(timeout=_PATIENCE):
            raise BackendUnavailable("others change the branches")
        try:
            with reported("the clone"), self._hold(REFS_LOCK, _PATIENCE) as lock:
                yield lock
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
        with reported("the clone"):
            descriptor, path = tempfile.mkstemp(prefix=".tmp-", dir=self.folder)
            try:
                with open(descriptor, "w", encoding="ascii") as file:
                    json.dump({"fetched": fetched}, file)
                os.replace(path, f"{self.folder}/{_MARKER}")
            except OSError:
                with suppress(OSError):
                    os.unlink(path)
                raise

    def marked(self) -> Hashable:
        """What changes with each `mark`, by whatever process; fast."""
        try:
            found = os.stat(f"{self.folder}/{_MARKER}")
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def fetched(self) -> float | None:
        """When origin was reached last, in seconds since the epoch; None for never."""
        try:
            with open(f"{self.folder}/{_MARKER}", encoding="ascii") as file:
                fetched = json.load(file)["fetched"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return float(fetched) if isinstance(fetched, int | float) else None

    def close(self) -> None:
        """End every git process over it; calling this twice is fine."""
        self.git.close()

    def _hold(self, name: str, deadline: float) -> AbstractContextManager[Lock]:
        gives_up = lambda: self.git.is_closed  # noqa: E731
        return hold(self.folder, name, deadline=deadline, gives_up=gives_up)

    def _is_whole(self) -> bool:
        has_head = os.path.isfile(f"{self.folder}/HEAD")
        return has_head and self._origin_url() == self._expected_url()

    def _origin_url(self) -> str | None:
        """The URL that the clone has for `origin`, None when it is no repository."""
        place = ("--file", f"{self.folder}/config")
        done = self.git.run("config", *place, "--get", "remote.origin.url")
        is_repository = os.path.isdir(f"{self.folder}/objects") and done.code in (0, 1)
        return done.output.decode("utf-8", "replace").strip() if is_repository else None

    def _expected_url(self) -> str:
        return self.origin.url if self.origin else ""

    def _check_origin(self) -> None:
        """Raise BackendMisconfigured unless this is a clone of our origin."""
        found = self._origin_url()
        if found is None:
            raise BackendMisconfigured("the clone's folder has other files in it")
        if found != self._expected_url():
            raise BackendMisconfigured("the clone's folder is one of another origin")

    def _make(self, branch: str) -> None:
        """Make or mend all but the objects; the caller holds FETCH_LOCK.

        One that has refs was whole once, and whose it is stands in its `config`.
        """
        self._sweep()
        is_known = self._origin_url() == self._expected_url()
        if not is_known and self._has_refs():
            return
        if not self._is_whole():
            self._init("" if is_known else "sha1")
        self.git.output("symbolic-ref", "HEAD", BRANCHES + branch)

    def _init(self, object_format: str = "") -> None:
        """Make what is missing; anew, of *object_format*, if one is given."""
        if object_format:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/config")
        options = [f"--object-format={object_format}"] if object_format else []
        self.git.output("init", "--bare", "--quiet", "--template=", *options)
        if self.origin is not None:
            for key, value in (
                ("remote.origin.fetch", _REFSPECS[0]),
                ("remote.origin.url", self.origin.url),
            ):
                self.git.output("config", "--local", "--replace-all", key, value)

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


def _own_folder(folder: str) -> None:
    """Make *folder*, or see that it is ours alone (CVE-2026-41002); raises OSError."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise BackendMisconfigured("the clone's folder is a link or another user's")
