"""SIGKILL at random moments of a save loop: what was answered with success is there.

CI kills 300 times; `PYCONFSERVE_CRASHES=1000` does so a thousand times for each store.
"""

import os
import subprocess
from pathlib import Path

import pytest
from harness import WRITERS, crash
from victims import Victims

from pyconfserve.folder import FolderTree
from pyconfserve.writing import is_temporary

ON_DEMAND = int(os.environ.get("PYCONFSERVE_CRASHES", "0"))
SOON = 0.04  # seconds within which a server on a folder has made a few saves
LATER = 0.15  # seconds for one on git, which starts six programs for each


def hidden(root):
    """The temporary files below a folder."""
    return [path for path in root.rglob("*") if is_temporary(path.name)]


def check(report, kills):
    """Nothing acknowledged was lost, nothing was torn; and it was not for nothing."""
    print(report)
    assert (report.lost, report.torn) == ([], [])
    assert report.kills == kills
    assert report.looks >= kills // 4
    assert report.acknowledged >= kills // 10
    assert set(report.statuses) == {200}


@pytest.fixture
def root(tmp_path):
    """An empty folder."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.mark.parametrize(
    ("options", "whole", "kills"),
    [([], False, 170), (["--workers", "2"], False, 60), ([], True, 10)],
    ids=["forked", "workers", "whole"],
)
def test_a_folder_survives_kills(options, whole, kills, root, tmp_path):
    """By servers alone, by two workers, and by `python -m pyconfserve` from its start."""
    kills = ON_DEMAND or kills
    check(crash([root, *options], kills, SOON, tmp_path / "log", whole=whole), kills)
    names = sorted(path.name for path in (root / "main").iterdir() if not is_temporary(path.name))  # fmt: skip
    assert sorted(f"{name}-prod.yaml" for name in WRITERS) == names
    FolderTree(root).sweep()
    assert hidden(root) == []


def test_what_a_killed_save_left_goes_with_the_next(root, tmp_path):
    """It is never listed; what only looks like it stays."""
    folder = root / "main"
    folder.mkdir()
    ours = folder / f".{'0f' * 8}.pyconfserve-tmp"
    others = [folder / ".0f.pyconfserve-tmp", folder / f"{'0f' * 8}.pyconfserve-tmp"]
    for path in (ours, *others):
        path.write_text("a: 1")
    check(crash([root], 1, SOON, tmp_path / "log"), 1)
    assert [path.exists() for path in (ours, *others)] == [False, True, True]


def test_what_a_killed_save_left_goes_at_the_start(root, tmp_path):
    """In label folders too, before the first connection is accepted."""
    (root / "main").mkdir()
    left = [place / f".{'0f' * 8}.pyconfserve-tmp" for place in (root, root / "main")]
    for path in left:
        path.write_text("a: 1")
    with Victims([root], tmp_path / "log") as victims:
        victims.start()
        assert [path.exists() for path in left] == [False, False]


def git(folder, *arguments):
    """What git prints."""
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x.org"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.strip()


def stale(clone):
    """Locks of git's own, and objects half written, whatever their age."""
    names = (".tmp-", "tmp_", "incoming-")
    return [
        path
        for path in clone.rglob("*")
        if (path.suffix == ".lock" and not path.name.startswith("pyconfserve"))
        or path.name.startswith(names)
    ]


@pytest.mark.parametrize(
    ("options", "kills"),
    [([], 40), (["--workers", "2"], 20)],
    ids=["alone", "workers"],
)
def test_a_clone_survives_kills(options, kills, tmp_path):
    """It is whole for git fsck, has a commit for each acknowledged save, and no lock is
    left; what young files are, the next start after five minutes removes.
    """
    pytest.importorskip("git")
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "commit", "-q", "--allow-empty", "-m", "begin")
    kills = ON_DEMAND or kills
    arguments = [f"file://{origin}", "--clone-dir", clone, *options]
    report = crash(arguments, kills, LATER, tmp_path / "log")
    check(report, kills)
    git(clone, "fsck", "--strict", "--no-dangling")
    assert int(git(clone, "rev-list", "--count", "main")) > report.acknowledged
    assert [path for path in stale(clone) if path.suffix == ".lock"] == []
    for path in stale(clone):
        os.utime(path, (1, 1))
    with Victims(arguments, tmp_path / "log") as victims:
        victims.start()
    assert stale(clone) == []


def test_the_log_of_the_crashes_is_empty(root, tmp_path):
    """A server that is killed and begun again has nothing to complain of."""
    check(crash([root], 3, SOON, tmp_path / "log"), 3)
    assert Path(tmp_path / "log").read_text() == ""
