"""git as a process: its environment, its deadline, its end.

Nothing of the server's own environment or of the machine's git configuration reaches
it (hardening.md 2); settings travel in GIT_CONFIG_* variables, so that no argument
holds a credential.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ...errors import BackendMisconfigured, BackendUnavailable
from .locks import Lock
from .mistakes import HARMLESS
from .outcome import Outcome, closed

__all__ = ["LOCAL_DEADLINE", "Git", "Process"]

LOCAL_DEADLINE = 60.0  # seconds for what needs no network: a slow disk, a big tree
_LARGEST_OUTPUT = 256 * 1024 * 1024  # bytes: a million refs
_OLDEST = (2, 31)  # the first git that takes GIT_CONFIG_COUNT
_HANDED_ON = (
    "PATH", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "http_proxy", "https_proxy", "no_proxy",
    "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # what a commit says is what is served
    "LC_ALL": "C",
}
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    "core.fsync": "all",  # git's own default may lose what it said it had
    "core.fsyncObjectFiles": "true",  # the same for git before 2.36
    "core.bigFileThreshold": "16m",
    "core.commitGraph": "true",
    "credential.helper": "",  # none, whatever others name: an empty one is a reset
    "protocol.ext.allow": "never",
    "transfer.fsckObjects": "true",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "merge.renames": "false",  # a bundle's name is its identity
    "diff.renames": "false",
    **{f"fetch.fsck.{mistake}": "ignore" for mistake in HARMLESS},
}


class Process:
    """A running git in a process group of its own, read and ended by a deadline."""

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        assert running.stdout is not None
        self.running = running
        self._readable = select.poll()
        self._readable.register(running.stdout.fileno(), select.POLLIN)

    def read(self, until: float) -> bytes:
        """The next bytes of its output, b"" at the end; raises TimeoutError."""
        assert self.running.stdout is not None
        left = until - time.monotonic()
        if left <= 0 or not self._readable.poll(left * 1000):
            raise TimeoutError
        return os.read(self.running.stdout.fileno(), 1 << 16)

    def kill(self) -> None:
        """Kill its group, unless it was seen to end: its number may be another's."""
        if self.running.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.running.pid, signal.SIGKILL)

    def end(self) -> None:
        """End it with all that it started; calling this twice is fine."""
        self.kill()
        for pipe in (self.running.stdin, self.running.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self.running.wait()


class Git:
    """Runs the program *executable*, git, over the repository *folder*; thread-safe."""

    def __init__(self, folder: str, executable: str = "git") -> None:
        self.folder = folder
        self._executable = executable
        self._alive: set[Process] = set()
        self._is_closed = False
        self._version = (0, 0)
        self._lock = threading.Lock()

    def version(self) -> tuple[int, int]:
        """Of git itself; raises BackendMisconfigured when it is missing or too old."""
        if self._version < _OLDEST:
            text = self.output("version").decode("ascii", "replace")
            found = re.search(r"(\d+)\.(\d+)", text)
            self._version = (int(found[1]), int(found[2])) if found else (0, 0)
            if self._version < _OLDEST:
                raise BackendMisconfigured("git 2.31 or later is needed")
        return self._version

    def output(
        self, *arguments: str, data: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        """What a local command prints; raises BackendError when it fails."""
        outcome = self.run(*arguments, data=data, env=env)
        if outcome.code:
            raise outcome.reason(f"git {arguments[0]}")
        return outcome.output

    def word(
        self, *arguments: str, data: bytes = b"", env: Mapping[str, str] | None = None
    ) -> str:
        """The one word that a local command prints, an id; raises BackendError."""
        return self.output(*arguments, data=data, env=env).decode("ascii").strip()

    def run(
        self,
        *arguments: str,
        data: bytes = b"",
        env: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        deadline: float = LOCAL_DEADLINE,
        lock: Lock | None = None,
    ) -> Outcome:
        """Run a command to its end; it holds *lock* too, even if we are killed.

        Raises BackendUnavailable when *deadline* seconds have passed.
        """
        until = time.monotonic() + deadline
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
            given.write(data)
            given.seek(0)
            process = self.start(
                *arguments,
                env=env,
                config=config,
                stdin=given.fileno(),
                stderr=errors.fileno(),
                keeps=(lock.descriptor,) if lock else (),
            )
            try:
                if lock:
                    lock.sign(process.running.pid)
                output = _read_all(process, until)
                code = process.running.wait(max(0.0, until - time.monotonic()))
            except (TimeoutError, subprocess.TimeoutExpired):
                problem = f"git {arguments[0]} took longer than {deadline:g} s"
                raise BackendUnavailable(problem) from None
            finally:
                self.stop(process)
            errors.seek(0)
            text = errors.read(1 << 16).decode("utf-8", "replace")
        return Outcome(code, output, text)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        config: Mapping[str, str] | None = None,
        stdin: int = subprocess.PIPE,
        stderr: int = subprocess.DEVNULL,
        keeps: Sequence[int] = (),
    ) -> Process:
        """Start a command; the caller stops it. Raises BackendError."""
        try:
            running = subprocess.Popen(
                [self._executable, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=self._environment(env or {}, config or {}),
                cwd="/",
                bufsize=0,
                start_new_session=True,
                pass_fds=keeps,
            )
        except FileNotFoundError as error:
            raise BackendMisconfigured("git is not installed") from error
        except OSError as error:
            raise BackendUnavailable("git could not be started") from error
        process = Process(running)
        with self._lock:
            self._alive.add(process)
            is_closed = self._is_closed
        if is_closed:
            self.stop(process)
            raise closed()
        return process

    def is_closed(self) -> bool:
        """Whether nothing is started any more."""
        return self._is_closed

    def stop(self, process: Process) -> None:
        """End a process and forget it."""
        process.end()
        with self._lock:
            self._alive.discard(process)

    def close(self) -> None:
        """End all that runs and start nothing more; calling this twice is fine."""
        with self._lock:
            self._is_closed = True
            alive = list(self._alive)
        for process in alive:
            process.kill()

    def _environment(
        self, env: Mapping[str, str], config: Mapping[str, str]
    ) -> dict[str, str]:
        own = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
        pairs = {**_CONFIG, **config}
        numbered = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs.items()):
            numbered[f"GIT_CONFIG_KEY_{number}"] = key
            numbered[f"GIT_CONFIG_VALUE_{number}"] = value
        place = {"GIT_DIR": self.folder, "HOME": self.folder}
        return {**own, **_ENVIRONMENT, **place, **numbered, **env}


def _read_all(process: Process, until: float) -> bytes:
    parts, size = [], 0
    while part := process.read(until):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_OUTPUT:
            raise BackendUnavailable("git said more than can be kept")
    return b"".join(parts)
