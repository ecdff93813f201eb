"""last_state: the last good state in a file."""

import json
import os

import pytest

from pyconfserve.errors import BackendMisconfigured
from pyconfserve.last_state import LastState

STATE = {"örders": ["…\x00", 1]}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state"


def test_what_is_kept_is_read(file):
    """With its time, by another process; the file is its owner's alone."""
    LastState(file, "dict:").keep("t", STATE, 17.5)
    assert LastState(file, "dict:").read(dict) == (STATE, 17.5)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*file.parent.iterdir()] == [file]


def test_a_file_that_was_open_to_others_is_so_no_more(file):
    """It is replaced, not written into."""
    file.write_text("")
    file.chmod(0o644)
    LastState(file, "dict:").keep("t", STATE, 17.5)
    assert file.stat().st_mode & 0o777 == 0o600


def test_without_a_file_there_is_nothing(file):
    """That is no error."""
    assert LastState(file, "dict:").read(dict) is None


def test_it_is_written_now_and_then(file):
    """A change at most each second, and the age of what did not change each minute."""
    last = LastState(file, "dict:")
    assert last.seconds_left("t", 100.0) == 0.0
    last.keep("t", STATE, 100.0)
    assert last.seconds_left("t", 130.0) == 30.0
    assert last.seconds_left("t", 160.0) == 0.0
    assert last.seconds_left("u", 100.25) == 0.75
    assert last.seconds_left("u", 101.0) == 0.0
    assert last.seconds_left("t", 50.0) == 0.0  # the clock was put back


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda file: file.write_bytes(b""), "is corrupt"),
        (lambda file: file.write_bytes(b"\xff"), "is corrupt"),
        (lambda file: file.write_bytes(b"[" * 100_000), "is corrupt"),
        (lambda file: file.write_text("[]"), "is corrupt"),
        (lambda file: changed(file, state=None), "is corrupt"),
        (lambda file: changed(file, state=["x"]), "is corrupt"),
        (lambda file: changed(file, read="soon"), "is corrupt"),
        (lambda file: changed(file, format=1), "has another format"),
        (lambda file: changed(file, store="sqlite:///other"), "is of another store"),
        (lambda file: file.chmod(0o620), "may have been written by others"),
        (lambda file: (file.unlink(), file.mkdir()), "cannot be read: Is a directory"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "is no regular file"),
    ],
    ids=["empty", "no-text", "deep", "list", "no-state", "wrong-state", "time", "format", "store", "mode", "folder", "pipe"],
)  # fmt: skip
def test_a_file_that_is_not_served(file, spoil, problem):
    """It is named as what it is, never taken for an empty store."""
    LastState(file, "dict:").keep("t", STATE, 17.5)
    spoil(file)
    with pytest.raises(BackendMisconfigured, match=rf"^the snapshot file {problem}$"):
        LastState(file, "dict:").read(dict)


def test_what_a_killed_process_left_is_removed(file):
    """When it is old enough to be nobody's."""
    old, new = (file.with_name(f".state.{name}.tmp") for name in ("old", "new"))
    for left in (old, new):
        left.touch()
    os.utime(old, (1.0, 1.0))
    LastState(file, "dict:").keep("t", STATE, 17.5)
    assert sorted(file.parent.iterdir()) == [new, file]


def test_a_folder_that_is_not_there_is_told(file):
    """And nothing is left behind where a file cannot be replaced."""
    with pytest.raises(FileNotFoundError):
        LastState(file / "deeper", "dict:").keep("t", STATE, 1.0)
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        LastState(file, "dict:").keep("t", STATE, 1.0)
    assert [*file.parent.iterdir()] == [file]


def changed(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
