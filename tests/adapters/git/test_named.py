"""named: clones of repositories that clients name, as they come and go on disk."""

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_git import PATIENCE, fetch

from pyconfserve.adapters.git.locks import FETCH_LOCK, hold
from pyconfserve.adapters.git.named import NamedBackend, named_folder, tidy
from pyconfserve.errors import BackendError, BackendUnavailable

HOLD = """
import sys
from pyconfserve.adapters.git.named import _Use
use = _Use(sys.argv[1])
use.begin()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def basedir(tmp_path):
    """Where clones are."""
    folder = tmp_path / "clones"
    folder.mkdir()
    return folder


@pytest.fixture
def make(origin, basedir):
    """`make(name)` gives an open backend with the clone of that name, closed later."""
    made = []

    def opened(name, uri=origin.uri):
        folder = named_folder(str(basedir), name)
        backend = NamedBackend(uri, clone_dir=folder, refresh_rate=0)
        made.append(backend)
        asyncio.run(backend.open())
        return backend

    yield opened
    for backend in made:
        asyncio.run(backend.close())


def kept(basedir):
    return sorted(path.name for path in basedir.iterdir())


def clone_of(make, basedir, name, seconds):
    """A clone that nobody uses, and that was used last at *seconds*."""
    asyncio.run(make(name).close())
    os.utime(named_folder(str(basedir), name), (seconds, seconds))


class TestTidy:
    """What stays on disk."""

    def test_those_used_last_stay(self, make, basedir):
        """Whatever their names are; other folders and files are left alone."""
        for name, seconds in (("a", 30), ("b", 10), ("c", 20)):
            clone_of(make, basedir, name, seconds)
        (basedir / "fixed").mkdir()
        (basedir / "notes").write_text("mine")
        tidy(named_folder(str(basedir), "none"), 2)
        assert kept(basedir) == ["fixed", "named-a", "named-c", "notes"]

    def test_using_one_is_noted(self, make, basedir):
        """Also across restarts: the time is that of its folder."""
        for name, seconds in (("a", 10), ("b", 20)):
            clone_of(make, basedir, name, seconds)
        asyncio.run(make("a").close())
        tidy(named_folder(str(basedir), "none"), 1)
        assert kept(basedir) == ["named-a"]

    def test_one_in_use_stays_and_another_goes_instead(self, make, basedir):
        """However long ago its use began."""
        backend = make("a")
        os.utime(named_folder(str(basedir), "a"), (10, 10))
        for name, seconds in (("b", 20), ("c", 30)):
            clone_of(make, basedir, name, seconds)
        tidy(named_folder(str(basedir), "none"), 2)
        assert kept(basedir) == ["named-a", "named-c"]
        assert fetch(backend) == {"a": 1}

    def test_one_that_another_process_uses_stays(self, make, basedir):
        """Until that process ends, however it does."""
        clone_of(make, basedir, "a", 10)
        folder = named_folder(str(basedir), "a")
        command = [sys.executable, "-c", HOLD, folder]
        with subprocess.Popen(command, stdin=-1, stdout=-1) as other:
            assert other.stdout.readline() == b"held\n"
            tidy(folder, 0)
            assert kept(basedir) == ["named-a"]
            other.kill()
        tidy(folder, 0)
        assert kept(basedir) == []

    def test_one_that_is_fetched_into_stays(self, make, basedir):
        """By a git whose server was killed, or by one that takes no other lock."""
        clone_of(make, basedir, "a", 10)
        folder = named_folder(str(basedir), "a")
        with hold(folder, FETCH_LOCK, deadline=0):
            tidy(folder, 0)
            assert kept(basedir) == ["named-a"]

    def test_one_into_which_nothing_was_fetched_goes_at_once(self, basedir):
        """Each name that a client makes up leaves one, until it is closed."""
        folder = named_folder(str(basedir), "a")
        backend = NamedBackend(f"{basedir}/absent", clone_dir=folder, refresh_rate=0)
        with pytest.raises(BackendError):
            asyncio.run(backend.open())
        tidy(folder, 100)
        assert kept(basedir) == ["named-a"]
        asyncio.run(backend.close())
        tidy(folder, 100)
        assert kept(basedir) == []

    def test_a_link_is_not_followed(self, origin, basedir):
        """Nor removed: it is not ours."""
        (basedir / "named-a").symlink_to(origin.folder)
        tidy(str(basedir / "named-a"), 0)
        assert (kept(basedir), origin.head("main") != "") == (["named-a"], True)

    def test_what_a_killed_server_was_removing_goes(self, basedir):
        """Under the name that it had then."""
        (basedir / "named-a.00ff.going" / "objects").mkdir(parents=True)
        tidy(str(basedir / "named-b"), 100)
        assert kept(basedir) == []

    def test_a_missing_folder_has_nothing(self, tmp_path):
        """Before the first clone."""
        tidy(str(tmp_path / "none" / "named-a"), 0)


class TestUse:
    """A backend over such a clone."""

    def test_closing_lets_it_go(self, make, basedir):
        """Twice is fine; without a fetch it is nobody's loss."""
        folder = named_folder(str(basedir), "a")
        with pytest.raises(BackendError):
            make("a", f"{basedir}/absent")
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        backend = make("b")
        asyncio.run(backend.close())
        asyncio.run(backend.close())
        tidy(named_folder(str(basedir), "b"), 0)
        assert kept(basedir) == ["named-a"]

    def test_who_comes_while_it_is_removed_makes_a_new_one(self, origin, basedir):
        """A lock on what has another name by now is no lock."""
        folder = named_folder(str(basedir), "a")
        os.mkdir(folder, 0o700)
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        backend = NamedBackend(origin.uri, clone_dir=folder, refresh_rate=0)
        with ThreadPoolExecutor(1) as threads:
            opening = threads.submit(lambda: asyncio.run(backend.open()))
            os.rename(folder, f"{folder}.00ff.going")
            os.close(descriptor)
            opening.result(PATIENCE)
        assert fetch(backend) == {"a": 1}
        asyncio.run(backend.close())
        assert kept(basedir) == ["named-a", "named-a.00ff.going"]

    def test_many_open_and_remove_it_at_once(self, origin, basedir):
        """Every one of them gets its answer."""
        folder = named_folder(str(basedir), "a")
        stop = threading.Event()

        def answers():
            backend = NamedBackend(origin.uri, clone_dir=folder, refresh_rate=0)
            try:
                return fetch(backend)
            finally:
                asyncio.run(backend.close())

        def remove():
            while not stop.wait(0.001):
                tidy(folder, 0)

        with ThreadPoolExecutor(5) as threads:
            removing = threads.submit(remove)
            found = [threads.submit(answers) for _ in range(20)]
            values = [one.result(30) for one in found]
            stop.set()
            removing.result(PATIENCE)
        assert values == [{"a": 1}] * 20

    def test_who_was_closed_holds_nothing(self, origin, basedir):
        """Not even where it is opened afterwards."""
        folder = named_folder(str(basedir), "a")
        backend = NamedBackend(origin.uri, clone_dir=folder, refresh_rate=0)
        asyncio.run(backend.close())
        with pytest.raises(BackendUnavailable) as caught:
            asyncio.run(backend.open())
        assert (str(caught.value), kept(basedir)) == ("the repository was closed", [])

    def test_without_a_folder_it_is_as_any_other(self, origin):
        """In a temporary one."""
        backend = NamedBackend(origin.uri, refresh_rate=0)
        assert fetch(backend) == {"a": 1}
        asyncio.run(backend.close())

    def test_its_problems_are_no_warnings(self, tmp_path, make, caplog):
        """Whoever makes up names must not fill the log."""
        caplog.set_level(logging.INFO)
        with pytest.raises(BackendError):
            make("a", f"{tmp_path}/absent")
        problem = "origin cannot be fetched: there is no such repository"
        said = [(one.levelno, one.getMessage()) for one in caplog.records]
        assert said == [(logging.INFO, f"{tmp_path}/absent: {problem}")]
