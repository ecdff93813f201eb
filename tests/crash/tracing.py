"""strace around a running server: what it asks of the system, and what fails of it."""

import select
import shutil
import subprocess
from contextlib import contextmanager

import pytest

PATIENCE = 20  # seconds for what takes a fraction of one


def require_strace():
    """Skip where no process can be traced."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)  # fmt: skip
    if done.returncode:
        pytest.skip("processes cannot be traced here (ptrace)")


@contextmanager
def traced(process, log, *options, follows=True):
    """Trace *process* until the end of the block, with its threads and its children, or,
    unless it *follows* them, one thread alone.
    """
    follow = ["-f"] if follows else []
    command = ["strace", *follow, "-y", "-o", str(log), *options, "-p", str(process)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, bufsize=0) as tracer:
        try:
            ready, _, _ = select.select([tracer.stderr], [], [], PATIENCE)
            line = tracer.stderr.readline().decode() if ready else ""
            assert "attached" in line, line
            yield
        finally:
            tracer.terminate()
            tracer.communicate(timeout=PATIENCE)
