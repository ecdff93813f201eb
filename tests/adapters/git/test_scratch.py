"""scratch: a private folder that outlives no server for long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyconfserve.adapters.git.scratch import Scratch

PROJECT = Path(__file__).parents[3]
BEGIN = "from pyconfserve.adapters.git.scratch import Scratch; print(Scratch().path, flush=True); input()"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of the system's that is ours alone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(temporary):
    """Another process with a folder of its own: (process, its folder)."""
    environ = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(PROJECT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", BEGIN], env=environ, **pipes) as process:
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_it_is_private_and_goes_with_all_it_holds(temporary):
    """Mode 0700, and nothing is left of it."""
    scratch = Scratch()
    found = Path(scratch.path)
    assert (found.parent, found.stat().st_mode & 0o777) == (temporary, 0o700)
    (found / "clone").mkdir()
    (found / "clone" / "HEAD").write_text("x")
    scratch.remove()
    assert os.listdir(temporary) == []


def test_that_of_a_living_process_stays(temporary, other):
    """However many begin beside it."""
    _, theirs = other
    scratch = Scratch()
    assert theirs.is_dir()
    scratch.remove()


def test_that_of_a_killed_process_goes_with_the_next(temporary, other):
    """It could not remove it itself."""
    process, theirs = other
    (theirs / "ssh-key").write_text("secret")
    process.kill()
    process.wait()
    scratch = Scratch()
    assert os.listdir(temporary) == [os.path.basename(scratch.path)]
    scratch.remove()


@pytest.mark.parametrize("kind", ["link", "file", "folder without a lock"])
def test_what_is_not_ours_stays(temporary, kind):
    """A name alone says nothing."""
    path, target = temporary / "pyconfserve-git-x", temporary / "target"
    if kind == "link":
        target.mkdir()
        (target / "held").touch()
        path.symlink_to(target)
    elif kind == "file":
        path.touch()
    else:
        path.mkdir()
    Scratch().remove()
    assert path.exists()
