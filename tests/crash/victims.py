"""Servers that are killed, one after the other."""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PATIENCE = 20  # seconds for what takes a fraction of one


def environment():
    """Ours without settings, and the project."""
    names = (name for name in os.environ if not name.startswith("PYCONFSERVE_"))
    return {name: os.environ[name] for name in names} | {"PYTHONPATH": str(PROJECT)}


class Victims:
    """Starts servers with the same arguments; `port` is that of the last.

    They are forked from a process that imported them, or, when *whole*, each is
    `python -m pyconfserve`, started by the command *before*.
    """

    def __init__(self, arguments, log, *, whole=False, before=()):
        self.arguments = [*map(str, arguments), "--port", "0"]
        self.whole = whole
        self._before = before
        self.port = 0
        self.process = 0
        self._log = log
        command = [sys.executable, str(HERE / "nursery.py")]
        self._nursery = None if whole else self._popen(command)
        self._begun = self._nursery

    def _popen(self, command, **more):
        with open(self._log, "ab") as log:
            return subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, bufsize=0, **more)  # fmt: skip

    def start(self):
        """One more server; back when it accepts connections."""
        if self.whole:
            command = [*self._before, sys.executable, "-m", "pyconfserve", *self.arguments]  # fmt: skip
            self._begun = self._popen(command, start_new_session=True)
            self.process = self._begun.pid
        else:
            self._nursery.stdin.write(json.dumps(self.arguments).encode() + b"\n")
            self.process = int(self._line().split()[1])
        line = self._line()
        self.port = int(line.rpartition(":")[2])

    def _line(self):
        ready, _, _ = select.select([self._begun.stdout], [], [], PATIENCE)
        line = self._begun.stdout.readline().decode() if ready else ""
        assert line, f"it did not start: {Path(self._log).read_text()[-2000:]}"
        return line

    def kill(self):
        """SIGKILL for the server and all that it started in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)
        if self.whole:
            self._begun.wait()
            self._begun.stdin.close()
            self._begun.stdout.close()
        self.process = 0

    def close(self):
        """End what runs."""
        if self.process:
            self.kill()
        if self._nursery:
            self._nursery.stdin.close()
            self._nursery.wait(PATIENCE)
            self._nursery.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
