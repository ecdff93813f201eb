"""The command line as a user runs it: a process, its streams, its exit status."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyconfserve.commands import main

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pyconfserve"]
PATIENCE = 20  # seconds for what takes a fraction of one


class Serving:
    """A running `serve`: its first line, its address, requests to it, its end."""

    def __init__(self, process):
        self.process = process
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
        self.first_line = process.stdout.readline().decode() if readable else ""
        if not self.first_line:
            raise AssertionError(f"it did not start: {self.end()}")
        self.url = self.first_line.split()[-1]
        self.host, _, port = self.url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def connect(self):
        """A socket to it."""
        return socket.create_connection((self.host.strip("[]"), self.port), PATIENCE)

    def ask(self, target, method="GET", headers=(), body=b""):
        """(status, body) of one request with these header lines, Host beside them."""
        lines = [
            f"{method} {target} HTTP/1.1",
            *headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        if not any(line.startswith("Host:") for line in lines):
            lines.append(f"Host: {self.host}:{self.port}")
        with self.connect() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            with connection.makefile("rb") as answer:
                head, _, content = answer.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), content.decode()

    def refuses(self):
        """Whether it accepts no connection any more."""
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        except ConnectionError:
            return False  # taken into the queue, and thrown out of it
        return False

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self, number=None):
        """(exit status, the rest of stdout, stderr), after a signal if one is given."""
        if number is not None:
            self.signal(number)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def environ(tmp_path):
    """The environment of the processes: ours without settings, and the project."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYCONFSERVE_")
    }
    return ours | {"PYTHONPATH": str(PROJECT), "COLUMNS": "100"}


@pytest.fixture
def run(tmp_path, environ):
    """A function that runs the command to its end: (exit status, stdout, stderr)."""

    def run_command(*arguments, **variables):
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    return run_command


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """`run` without a process of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def serve(tmp_path, environ):
    """A function that starts the command and waits for its first line."""
    with contextlib.ExitStack() as stack:

        def start(*arguments, **variables):
            process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=tmp_path,
                env=environ | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Serving(process)

        yield start


@pytest.fixture
def folder(tmp_path):
    """A folder `cfg` with one application."""
    root = tmp_path / "cfg"
    root.mkdir()
    (root / "orders-prod.json").write_text('{"db": {"pool": 20}}')
    return root
