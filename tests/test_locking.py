"""locking: one writer at a time, of threads and of processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyconfserve.errors import BackendUnavailable
from pyconfserve.folder import FolderTree
from pyconfserve.locking import WriteLock

PROJECT = Path(__file__).parents[1]
HOLDER = """
import sys
from pyconfserve.locking import WriteLock

with WriteLock(sys.argv[1]).held():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of a folder until a line is sent to it."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=PROJECT, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def attempt(root, patience):
    """Whether the lock is to be had."""
    with WriteLock(str(root), patience).held():
        return True


def test_another_process_keeps_a_writer_out_for_a_while_only(tmp_path, other):
    """Whoever waits is told after its patience, and has it when it is free."""
    began = time.monotonic()
    with pytest.raises(BackendUnavailable) as caught:
        attempt(tmp_path, 0.1)
    assert (str(caught.value), caught.value.status) == ("the folder is locked by another process", 503)  # fmt: skip
    assert 0.1 <= time.monotonic() - began < 2
    other.stdin.write("\n")
    other.stdin.flush()
    assert attempt(tmp_path, 10)


def test_those_who_waited_behind_each_other_are_patient_once(tmp_path, other):
    """Of saves that take turns the last is told as soon as the first."""
    lock = WriteLock(str(tmp_path), 1.0)
    took = []
    for _ in range(4):
        began = time.monotonic()
        with pytest.raises(BackendUnavailable), lock.held():
            pass
        took.append(time.monotonic() - began)
    assert took[0] >= 1.0
    assert sum(took[1:]) < 0.5
    other.stdin.write("\n")
    other.stdin.flush()
    other.wait(10)
    with lock.held():
        pass


def test_a_killed_process_holds_no_lock(tmp_path, other):
    """It ends with the process, and nothing is left in the folder."""
    other.send_signal(signal.SIGKILL)
    other.wait(10)
    assert attempt(tmp_path, 10)
    assert os.listdir(tmp_path) == []


def test_reading_takes_no_lock(tmp_path, other):
    """A listing or a read waits for nobody."""
    (tmp_path / "orders.yml").write_text("a: 1")
    tree = FolderTree(tmp_path)
    assert tree.list("").files == ("orders.yml",)
    assert tree.read("orders.yml").data == b"a: 1"


def test_a_thread_keeps_another_out_and_not_itself(tmp_path):
    """The same thread may take it again within."""
    lock = WriteLock(str(tmp_path), 0.05)
    problems = []

    def take():
        try:
            with lock.held():
                problems.append("it had the lock")
        except BackendUnavailable as error:
            problems.append(str(error))

    with lock.held(), lock.held():
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(10)
        with pytest.raises(BackendUnavailable):
            attempt(tmp_path, 0)
    assert problems == ["the folder is locked by another save"]
    assert attempt(tmp_path, 0)


def test_a_folder_put_in_its_place_is_locked_instead(tmp_path):
    """The lock is one of what is at the path, not of what was there."""
    root = tmp_path / "root"
    root.mkdir()
    with WriteLock(str(root)).held():
        root.rename(tmp_path / "old")
        root.mkdir()
        with WriteLock(str(root), 0).held(), pytest.raises(BackendUnavailable):
            attempt(root, 0)


@pytest.mark.parametrize("there", [False, True], ids=["absent", "file"])
def test_a_root_that_is_not_there_is_not_locked(there, tmp_path):
    """Nor made."""
    if there:
        (tmp_path / "root").write_text("")
    with pytest.raises(BackendUnavailable, match=r"^the root is not there$"):
        attempt(tmp_path / "root", 0)
    assert (tmp_path / "root").exists() is there


def test_a_read_only_folder_can_be_locked(tmp_path):
    """What cannot be written is refused by the write, in the system's words."""
    tmp_path.chmod(0o500)
    try:
        assert attempt(tmp_path, 0)
    finally:
        tmp_path.chmod(0o700)
