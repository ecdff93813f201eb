"""Processes that are begun, watched, replaced and ended together.

Each test runs a parent of its own, whose workers say on its standard output what they
do; nothing here serves.
"""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PATIENCE = 20  # seconds for what takes a fraction of one

# What a parent and its workers are made of; `run` is what each test adds.
SCRIPT = """
import os, select, signal, sys
from pyconfserve.errors import BackendUnavailable, ConfigError, SettingsError
from pyconfserve.http.workers import supervise

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def wait(worker, *numbers):
    '''Accept, and say what signals come, until one of the numbers or an orphan's end.'''
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)  # one that comes just before the sleep ends it, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    worker.hear_signals()
    say("accepts", worker.number, os.getpid())
    worker.accepts()
    while True:
        ready, _, _ = select.select([read, worker.parent], [], [])
        if worker.parent in ready:
            return say("orphan", worker.number)
        number = os.read(read, 1)[0]
        say(signal.Signals(number).name, worker.number)
        if number in numbers:
            return

def run(worker):
    wait(worker, signal.SIGTERM)

{run}

try:
    supervise(
        {count}, run,
        announce=lambda: say("announced"),
        reload=lambda: say("reloaded"),
        release=lambda: say("released"),
        look={look},
    )
except ConfigError as error:
    say("raised", type(error).__name__, error)
    sys.exit(1)
"""


class Parent:
    """A running parent, and what is said line by line."""

    def __init__(self, process):
        self.process = process
        self.said = b""

    def line(self):
        """The next line; "" at the end of all processes."""
        while b"\n" not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert ready, f"nothing more was said after {self.said!r}"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return ""
            self.said += data
        line, _, self.said = self.said.partition(b"\n")
        return line.decode()

    def lines(self, count):
        return [self.line() for _ in range(count)]

    def begun(self, count):
        """The processes of workers that say that they accept, by number."""
        pairs = [self.line().split()[1:] for _ in range(count)]
        return {int(number): int(process) for number, process in pairs}

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self, number=None):
        """(exit status, what was said, what was logged), after a signal if given."""
        if number is not None:
            self.signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, (self.said + out).decode(), err.decode()


@pytest.fixture
def parent(environ):
    """A function that starts a parent of so many workers."""
    started = []

    def start(count, run="", look=None):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(count=count, run=run, look=look)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        started.append(process)
        return Parent(process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def environ():
    return os.environ | {"PYTHONPATH": str(PROJECT)}


class TestBegin:
    """From the first worker to the announcement."""

    def test_it_is_announced_once_all_accept(self, parent):
        """The first begins alone, the others when it accepts."""
        started = parent(3)
        first, *others = started.lines(3)
        assert first.startswith("accepts 0 ")
        assert sorted(line[:10] for line in others) == ["accepts 1 ", "accepts 2 "]
        assert started.line() == "announced"

    @pytest.mark.parametrize(
        ("run", "raised"),
        [
            ('raise SettingsError("no such folder")', "SettingsError no such folder"),
            ('raise BackendUnavailable("it is away")', "ConfigError it is away"),
            (
                "sys.exit(3)",
                "ConfigError a worker ended with status 1 before it accepted connections",
            ),
            (
                "os.kill(os.getpid(), signal.SIGKILL)",
                "ConfigError a worker was killed by SIGKILL before it accepted connections",
            ),
        ],
        ids=["misused", "failed", "ended", "killed"],
    )
    def test_what_cannot_begin_is_said_once(self, parent, run, raised):
        """By the parent, as an error of the kind it was; no other worker begins."""
        body = f"def run(worker):\n    say('begins', worker.number)\n    {run}"
        status, said, _ = parent(4, body).end()
        assert (1, f"begins 0\nreleased\nraised {raised}\n") == (status, said)

    def test_a_later_worker_that_cannot_begin_ends_all(self, parent):
        """Those that accepted end their work in order."""
        body = (
            "def run(worker):\n    if worker.number == 1:\n"
            "        raise SettingsError('no')\n    wait(worker, signal.SIGTERM)"
        )
        status, said, _ = parent(2, body).end()
        *accepted, released, ended, raised = said.splitlines()
        assert [line[:10] for line in accepted] == ["accepts 0 "]
        assert (status, released, ended, raised) == (
            *(1, "released", "SIGTERM 0", "raised SettingsError no"),
        )

    def test_a_signal_waits_until_a_worker_can_hear_it(self, parent):
        """One that is told to end before it is able to does so after that."""
        body = (
            "def run(worker):\n    say('begins')\n    os.read(0, 1)\n"
            "    wait(worker, signal.SIGTERM)"
        )
        started = parent(2, body)
        assert started.line() == "begins"
        started.signal()
        assert started.line() == "released"
        started.process.stdin.write(b"x")
        assert started.line().startswith("accepts 0 ")
        assert started.end() == (0, "SIGTERM 0\n", "")


class TestDeath:
    """Workers that end by themselves."""

    def test_a_dead_worker_is_replaced(self, parent):
        """By a new process of the same number; the others notice nothing."""
        started = parent(2)
        before = started.begun(2)
        assert started.line() == "announced"
        os.kill(before[1], signal.SIGKILL)
        after = started.begun(1)
        assert [*after] == [1]
        assert after[1] != before[1]
        status, said, logged = started.end(signal.SIGTERM)
        assert (0, {"released", "SIGTERM 0", "SIGTERM 1"}) == (
            status,
            set(said.splitlines()),
        )
        assert logged == "worker 1 was killed by SIGKILL: another takes its place\n"

    def test_workers_that_die_at_once_end_it_all(self, parent):
        """Five within seconds; the healthy one ends its work in order."""
        started = parent(2)
        processes = started.begun(2)
        assert started.line() == "announced"
        for _ in range(4):
            os.kill(processes[1], signal.SIGKILL)
            processes = started.begun(1)
        os.kill(processes[1], signal.SIGKILL)
        status, said, logged = started.end()
        assert (status, said.splitlines()[:2]) == (1, ["released", "SIGTERM 0"])
        assert said.splitlines()[2:] == [
            "raised ConfigError 5 workers died within seconds of their beginning"
        ]
        assert logged.count("was killed by SIGKILL") == 5

    def test_a_worker_without_a_parent_ends(self, parent):
        """Also when the parent could not say anything any more."""
        started = parent(3)
        started.begun(3)
        assert started.line() == "announced"
        started.signal(signal.SIGKILL)
        assert sorted(started.lines(3)) == ["orphan 0", "orphan 1", "orphan 2"]
        assert started.line() == ""


class TestSignals:
    """What the parent is told."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_end_is_one_for_all(self, parent, number):
        """What is held for workers to come is released first."""
        started = parent(2)
        started.begun(2)
        assert started.line() == "announced"
        status, said, logged = started.end(number)
        released, *ended = said.splitlines()
        assert (
            *(status, released, sorted(ended), logged),
        ) == (0, "released", ["SIGTERM 0", "SIGTERM 1"], "")

    def test_a_reload_is_handed_on(self, parent):
        """The parent goes first."""
        started = parent(2)
        started.begun(2)
        assert started.line() == "announced"
        started.signal(signal.SIGHUP)
        assert started.line() == "reloaded"
        assert sorted(started.lines(2)) == ["SIGHUP 0", "SIGHUP 1"]
        assert started.end(signal.SIGTERM)[0] == 0

    def test_it_looks_again_and_again(self, parent):
        """Without a signal, and from before the first worker on."""
        started = parent(1, look="lambda: say('looked')")
        assert started.line() == "looked"
        started.begun(1)
        assert started.lines(3) == ["announced", "looked", "looked"]
        assert started.end(signal.SIGTERM)[0] == 0

    def test_the_second_signal_kills(self, parent):
        """Whoever is impatient does not wait for workers that do not end."""
        started = parent(2, "def run(worker):\n    wait(worker)")
        processes = started.begun(2)
        assert started.line() == "announced"
        started.signal()
        assert sorted(started.lines(3)) == ["SIGTERM 0", "SIGTERM 1", "released"]
        assert started.end(signal.SIGTERM) == (1, "", "")
        for process in processes.values():
            assert not is_running(process)


def is_running(process, seconds=PATIENCE):
    """Whether a process is there for that long; it is looked for again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        if Path(f"/proc/{process}/stat").exists():
            state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
            if state == "Z":  # dead, and whoever adopted it has not looked yet
                return False
    return True
