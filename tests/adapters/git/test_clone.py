"""clone: what is on disk, in every state that a fault can leave it in."""

import asyncio
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from real_git import (
    Origin,
    fake_git,
    fetch,
    gits,
    hanging_port,
    is_running,
    refresh,
    run_git,
    save,
    wait_until,
)

from pyconfserve.adapters.git.clone import Clone
from pyconfserve.adapters.git.locks import FETCH_LOCK, REFS_LOCK, hold
from pyconfserve.adapters.git.origin import Access
from pyconfserve.errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
)

SECRET = "canary-7f3a"
SERVER = """
import asyncio, sys
from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.backend import ConfigSource

async def serve(work, uri, clone):
    backend = GitConfigBackend(uri, "main", clone, refresh_rate=0)
    await backend.open()
    number = 0
    while work == "save":
        number += 1
        await backend.save(ConfigSource("loop", "prod", "main", {"a": number}))
        print(number, flush=True)
    if work == "fetch":
        print("open", flush=True)
        await backend.refresh()
    if work == "leave":
        asyncio.ensure_future(backend.refresh())
        await asyncio.to_thread(sys.stdin.readline)
        sys.exit(0)

asyncio.run(serve(*sys.argv[1:]))
"""


@pytest.fixture
def clone(tmp_path):
    """The folder of the clone."""
    return tmp_path / "clone"


@pytest.fixture
def make(origin, make_backend, clone):
    """`make()` makes a backend over *origin* with its clone in *clone*."""
    return lambda: make_backend(origin, "main", str(clone))


@contextmanager
def server(work, uri, clone):
    """A process that works over the clone; it is ended with SIGKILL."""
    command = [sys.executable, "-c", SERVER, work, uri, str(clone)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {**os.environ, "TMPDIR": str(clone.parent)}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def stale(clone):
    """Lock files and half-written objects that git left."""
    return [
        path
        for path in clone.rglob("*")
        if (path.name.endswith(".lock") and not path.name.startswith("pyconfserve"))
        or path.name.startswith(("tmp_", ".tmp-", "incoming-"))
    ]


def left_by_killed(clone):
    """Those of them that the next start removes: others go by their age, as a save of
    another process may be writing them.
    """
    young = (".tmp-", "tmp_obj_")
    return [path for path in stale(clone) if not path.name.startswith(young)]


class TestFolder:
    """The clone is its owner's alone, and an ordinary repository."""

    def test_it_is_private(self, make, clone):
        """Values may be secrets; one made by hand is closed."""
        clone.mkdir(mode=0o755)
        asyncio.run(make().open())
        assert stat.S_IMODE(clone.stat().st_mode) == 0o700

    def test_it_opens_with_plain_git(self, make, origin, clone, tmp_path):
        """Remote `origin`, HEAD at the label's branch, and it is whole."""
        origin.commit({}, "v2")
        asyncio.run(make().open())
        assert run_git(clone, "remote", "get-url", "origin") == f"file://{origin.uri}"
        assert run_git(clone, "symbolic-ref", "HEAD") == "refs/heads/main"
        assert run_git(clone, "branch", "--format=%(refname:short)") == "main\nv2"
        run_git(clone, "fsck", "--strict")
        run_git(clone, "clone", "-q", str(clone), str(tmp_path / "copy"))
        assert (tmp_path / "copy/orders.yml").read_text() == "a: 1\n"
        run_git(clone, "fetch", "-q", "origin")

    def test_what_plain_git_adds_is_no_label(self, make, origin, clone):
        """git 2.48 and later note origin's HEAD at each fetch."""
        backend = make()
        asyncio.run(backend.open())
        run_git(clone, "remote", "set-head", "origin", "main")
        run_git(clone, "update-ref", "refs/notes/x", "main")
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(backend)
        assert fetch(backend) == {"a": 2}
        assert [fetch(backend, label=label) for label in ("HEAD", "x")] == [None, None]
        origin.commit({"orders.yml": "a: 3\n"}, "other")
        origin.delete("main")
        refresh(backend)
        assert [fetch(backend, label=label) for label in ("main", "other")] == [None, {"a": 3}]  # fmt: skip

    def test_it_is_reused_without_origin(self, make, origin):
        """A restart serves what was there, saves too."""
        save(make(), {"a": 2})
        origin.vanish()
        again = make()
        assert fetch(again) == {"a": 2}
        with pytest.raises(BackendMisconfigured):
            refresh(again)
        assert fetch(again) == {"a": 2}
        save(again, {"a": 3})
        assert fetch(make()) == {"a": 3}

    def test_no_file_of_it_holds_credentials(self, make_backend, clone):
        """Whether or not it could be fetched."""
        with hanging_port() as (port, _):
            uri = f"http://user:{SECRET}@127.0.0.1:{port}/x.git"
            backend = make_backend(uri, "main", str(clone), access=Access(timeout=1))
            with pytest.raises(BackendError) as caught:
                asyncio.run(backend.open())
        assert SECRET not in str(caught.value)
        held = [path for path in clone.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]  # fmt: skip
        assert held == []
        url = run_git(clone, "config", "remote.origin.url")
        assert f"http://127.0.0.1:{port}/x.git" == url

    def test_a_temporary_one_goes_with_its_backend(self, backend, tmp_path):
        """Nothing is left in the folder for temporary files."""
        asyncio.run(backend.open())
        folder = backend._repository.git.folder
        assert os.path.isdir(folder)
        asyncio.run(backend.close())
        assert not os.path.exists(os.path.dirname(folder))

    def test_whose_a_whole_one_is_is_read_once(self, make, tmp_path, monkeypatch):
        """However often that counts when it is opened."""
        asyncio.run(make().open())
        reads = tmp_path / "reads"
        script = f'[ "$1" = config ] && echo >> {reads}; exec $GIT "$@"'
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
        asyncio.run(make().open())
        assert reads.read_text() == "\n"

    def test_one_of_another_origin_is_refused(self, make, make_origin, make_backend, clone):  # fmt: skip
        """And stays as it is."""
        asyncio.run(make().open())
        other = make_origin("other", files={"orders.yml": "a: other\n"})
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make_backend(other, "main", str(clone)).open())
        assert str(caught.value) == "the clone's folder is one of another origin"
        assert fetch(make()) == {"a": 1}
        with pytest.raises(BackendMisconfigured):
            asyncio.run(make_backend("", "main", str(clone)).open())

    def test_a_store_without_origin_is_not_made_a_clone(self, make, make_backend, clone):  # fmt: skip
        """Its saves would follow what is not theirs."""
        save(make_backend("", "main", str(clone)), {"a": "stored"})
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        assert str(caught.value) == "the clone's folder is one of another origin"
        assert fetch(make_backend("", "main", str(clone))) == {"a": "stored"}

    def test_a_folder_with_other_files_is_refused(self, make, clone):
        """Nothing in it changes, nor does its mode."""
        clone.mkdir(mode=0o755)
        (clone / "letter.txt").write_text("dear")
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        assert str(caught.value) == "the clone's folder has other files in it"
        assert os.listdir(clone) == ["letter.txt"]
        assert stat.S_IMODE(clone.stat().st_mode) == 0o755

    @pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
    def test_a_link_is_refused(self, make, clone, tmp_path, target):
        """Someone else may have put it there (CVE-2026-41002)."""
        (tmp_path / "elsewhere").mkdir()
        clone.symlink_to(tmp_path / target)
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        assert str(caught.value) == "the clone's folder is a link or another user's"
        assert os.listdir(tmp_path / "elsewhere") == []

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_another_users_is_refused(self, make, clone):
        """They could change it."""
        clone.mkdir()
        os.chown(clone, 12345, 12345)
        with pytest.raises(BackendMisconfigured):
            asyncio.run(make().open())

    def test_a_file_is_refused(self, make, clone):
        """It is no folder."""
        clone.write_text("x")
        with pytest.raises(BackendError):
            asyncio.run(make().open())
        assert clone.read_text() == "x"


def only_lock(clone):
    (clone / FETCH_LOCK).touch()


def half_init(clone):
    only_lock(clone)
    (clone / "objects/pack").mkdir(parents=True)
    (clone / "refs").mkdir()


def whole_init(clone):
    only_lock(clone)
    run_git(clone, "init", "-q", "--bare", "--template=", str(clone))


def no_config(clone):
    whole_init(clone)
    (clone / "config").unlink()


def no_head(clone):
    whole_init(clone)
    (clone / "HEAD").unlink()


def broken_config(clone):
    whole_init(clone)
    (clone / "config").write_bytes(b"[core\0\0")


def empty_config(clone):
    whole_init(clone)
    (clone / "config").write_bytes(b"")


def half_config(clone):
    whole_init(clone)
    run_git(clone, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")  # fmt: skip


def locked(clone):
    whole_init(clone)
    for name in ("config.lock", "HEAD.lock", "packed-refs.lock"):
        (clone / name).touch()


class TestRepair:
    """A clone that was being made when its server was killed."""

    @pytest.mark.parametrize(
        "leave",
        [lambda clone: None, only_lock, half_init, whole_init, no_config, no_head, broken_config, empty_config, half_config, locked],
        ids=["folder", "lock", "half-init", "init", "no-config", "no-head", "broken-config", "empty-config", "half-config", "locked"],
    )  # fmt: skip
    def test_it_is_made_whole(self, make, clone, leave):
        """Whatever was there."""
        clone.mkdir()
        leave(clone)
        backend = make()
        assert fetch(backend) == {"a": 1}
        save(backend, {"a": 2})
        assert stale(clone) == []
        run_git(clone, "fsck", "--strict")

    def test_what_was_fetched_and_never_served_is_served(self, make, origin, clone):
        """The first fetch came to its end, the refs did not move any more."""
        asyncio.run(make().open())
        run_git(clone, "update-ref", "-d", "refs/heads/main")
        run_git(clone, "update-ref", "-d", "refs/pyconfserve/origin/main")
        assert fetch(make()) == {"a": 1}

    def test_stale_locks_of_a_whole_one_go(self, make, origin, clone):
        """Of refs, of configuration, of packs; and half-written objects."""
        asyncio.run(make().open())
        left = [
            *("config.lock", "HEAD.lock", "packed-refs.lock", "shallow.lock"),
            *("refs/heads/main.lock", "refs/remotes/origin/main.lock"),
            *("objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x", "objects/incoming-x/y"),
            "objects/info/commit-graphs/commit-graph-chain.lock",
        ]  # fmt: skip
        for name in left:
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).touch()
        again = make()
        save(again, {"b": 2}, "other")
        assert stale(clone) == []
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(again)
        assert fetch(again) == {"a": 2}

    def test_branches_named_like_temporary_files_stay(self, make, origin, clone):
        """A name is no reason to lose one."""
        for branch in ("tmp_x", "incoming-x/tmp_pack_y", "pyconfserve.x"):
            origin.commit({"orders.yml": "a: x\n"}, branch)
        asyncio.run(make().open())
        origin.vanish()
        again = make()
        assert [fetch(again, label=one) for one in ("tmp_x", "incoming-x/tmp_pack_y", "pyconfserve.x")] == [{"a": "x"}] * 3  # fmt: skip

    def test_what_is_being_written_is_left_alone(self, make, clone):
        """A save of another process writes it without the lock of a fetch."""
        asyncio.run(make().open())
        (clone / "objects/ab").mkdir(exist_ok=True)
        for name in ("objects/ab/tmp_obj_", ".tmp-"):
            (clone / f"{name}new").touch()
            (clone / f"{name}old").touch()
            os.utime(clone / f"{name}old", (1, 1))
        asyncio.run(make().open())
        expected = {clone / "objects/ab/tmp_obj_new", clone / ".tmp-new"}
        assert expected == {*stale(clone)}

    def test_two_backends_open_one_folder_at_once(self, make, clone):
        """One makes it, the other waits."""
        backends = [make() for _ in range(4)]

        async def open_all():
            await asyncio.gather(*(backend.open() for backend in backends))

        asyncio.run(open_all())
        assert [fetch(backend) for backend in backends] == [{"a": 1}] * 4


def resign(lock, **others):
    """Change what is noted in a lock."""
    signed = json.loads(os.pread(lock.descriptor, 1000, 0)) | others
    os.ftruncate(lock.descriptor, 0)
    os.pwrite(lock.descriptor, json.dumps(signed).encode(), 0)


class TestLocks:
    """One process at a time."""

    @pytest.mark.parametrize("name", [FETCH_LOCK, REFS_LOCK])
    def test_the_second_gives_up_after_its_deadline(self, tmp_path, name):
        """And finds it free later."""
        with hold(str(tmp_path), name, deadline=0):
            with pytest.raises(BackendUnavailable) as caught, hold(str(tmp_path), name, deadline=0.05):  # fmt: skip
                pass
            assert str(caught.value) == "another process works on the clone"
        with hold(str(tmp_path), name, deadline=0):
            pass

    def test_who_waits_can_be_told_to_give_up(self, tmp_path):
        """As when the server is closed."""
        with hold(str(tmp_path), FETCH_LOCK, deadline=0):
            waiting = hold(str(tmp_path), FETCH_LOCK, deadline=60, gives_up=lambda: True)  # fmt: skip
            with pytest.raises(BackendUnavailable), waiting:
                pass

    def test_a_living_holder_is_not_ended(self, tmp_path):
        """Only one whose server is gone."""
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
            try:
                with hold(str(tmp_path), FETCH_LOCK, deadline=0) as lock:
                    lock.sign(other.pid)
                    with pytest.raises(BackendUnavailable), hold(str(tmp_path), FETCH_LOCK, deadline=0.05):  # fmt: skip
                        pass
                assert other.poll() is None
            finally:
                other.kill()

    def test_one_of_another_container_is_not_ended(self, tmp_path):
        """Its numbers are those of other processes here."""
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
            try:
                with hold(str(tmp_path), FETCH_LOCK, deadline=0) as lock:
                    gone = subprocess.Popen(["true"])
                    gone.wait()
                    lock.sign(other.pid)
                    resign(lock, server=[gone.pid, "1"], host="another")
                    with pytest.raises(BackendUnavailable), hold(str(tmp_path), FETCH_LOCK, deadline=0.05):  # fmt: skip
                        pass
                assert other.poll() is None
            finally:
                other.kill()

    def test_a_process_that_took_over_a_number_is_not_ended(self, tmp_path):
        """Its group has the number of a git that is long gone, but began later."""
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
            try:
                with hold(str(tmp_path), FETCH_LOCK, deadline=0) as lock:
                    lock.sign(other.pid)
                    resign(lock, server=[os.getpid(), "1"], group=[other.pid, "1"])
                    with pytest.raises(BackendUnavailable), hold(str(tmp_path), FETCH_LOCK, deadline=0.05):  # fmt: skip
                        pass
                assert other.poll() is None
            finally:
                other.kill()

    def test_the_git_of_a_server_that_is_gone_is_ended(self, tmp_path):
        """Its group is the one that was noted, and the server's number is another's."""
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
            with hold(str(tmp_path), FETCH_LOCK, deadline=0) as lock:
                lock.sign(other.pid)
                resign(lock, server=[os.getpid(), "1"])
                with pytest.raises(BackendUnavailable), hold(str(tmp_path), FETCH_LOCK, deadline=0.05):  # fmt: skip
                    pass
            assert other.wait(10) == -signal.SIGKILL

    def test_nothing_is_noted_in_a_lock_that_is_free(self, tmp_path):
        """Whoever takes it next has not signed yet."""
        with hold(str(tmp_path), FETCH_LOCK, deadline=0) as lock:
            lock.sign(os.getpid())
            assert (tmp_path / FETCH_LOCK).read_bytes() != b""
        assert (tmp_path / FETCH_LOCK).read_bytes() == b""

    def test_one_process_fetches_for_all(self, make, origin, clone):
        """The other sees what it brought."""
        one, two = make(), make()
        asyncio.run(one.open())
        asyncio.run(two.open())
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(one)
        wait_until(lambda: fetch(two) == {"a": 2})


class TestFaults:
    """The last good commit is served."""

    def test_a_corrupt_object_at_origin(self, make, origin):
        """It is named as such, and once it is mended the branch moves."""
        backend = make()
        assert fetch(backend) == {"a": 1}
        origin.commit({"orders.yml": "a: 2\n"})
        id = origin.git("rev-parse", "main:orders.yml")
        path = origin.folder / "objects" / id[:2] / id[2:]
        good = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(good[:8] + b"\xff\xff\xff")
        with pytest.raises(BackendUnavailable) as caught:
            refresh(backend)
        assert str(caught.value) == "origin cannot be fetched: an object is corrupt"
        assert fetch(backend) == {"a": 1}
        path.write_bytes(good)
        refresh(backend)
        assert fetch(backend) == {"a": 2}

    def test_a_corrupt_pack_at_origin(self, make, origin):
        """Its bytes were turned on the disk."""
        backend = make()
        assert fetch(backend) == {"a": 1}
        noise = random.Random(1).randbytes(200_000)
        origin.commit({"noise": noise, "orders.yml": "a: 2\n"})
        origin.git("repack", "-adq")
        (pack,) = (origin.folder / "objects/pack").glob("*.pack")
        pack.chmod(0o644)
        good = pack.read_bytes()
        half = len(good) // 2
        pack.write_bytes(good[:half] + bytes(100) + good[half + 100 :])
        with pytest.raises(BackendUnavailable, match="origin cannot be fetched: "):
            refresh(backend)
        assert fetch(backend) == {"a": 1}
        pack.write_bytes(good)
        refresh(backend)
        assert fetch(backend) == {"a": 2}

    def test_a_full_disk(self, origin, make_backend, tmp_path):
        """Nothing half-written stays, saves say so, and it works again with room."""
        place = tmp_path / "small"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True)  # fmt: skip
        if done.returncode:
            pytest.skip("a small disk cannot be mounted here")
        try:
            clone = place / "clone"
            backend = make_backend(origin, "main", str(clone))
            assert fetch(backend) == {"a": 1}
            origin.commit({"noise": random.Random(2).randbytes(8_000_000)}, "large")
            origin.commit({"orders.yml": "a: 2\n"})
            for _ in range(2):
                with pytest.raises(StorageFull) as caught:
                    refresh(backend)
            assert str(caught.value) == "origin cannot be fetched: no room is left"
            assert fetch(backend) == {"a": 1}
            assert stale(clone) == []
            (place / "filler").write_bytes(bytes(_room(place)))
            with pytest.raises(StorageFull):
                save(backend, {"a": "x" * 100_000})
            assert fetch(backend) == {"a": 1}
            (place / "filler").unlink()
            save(backend, {"b": 3}, "other")
            origin.delete("large")
            refresh(backend)
            assert (fetch(backend), fetch(backend, "other")) == ({"a": 2}, {"b": 3})
            asyncio.run(backend.close())
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def _room(place):
    found = os.statvfs(place)
    return found.f_bavail * found.f_bsize


def make_once(backend):
    """Make the clone, and leave no process."""

    async def open_and_close():
        await backend.open()
        await backend.close()

    asyncio.run(open_and_close())


class TestKilledServer:
    """kill -9: the next start serves the last good commit, and no lock is left."""

    def test_in_the_middle_of_a_fetch(self, make, make_backend, clone):
        """The git that it left is ended by the next one, which serves at once."""
        make_once(make())
        with hanging_port() as (port, came):
            uri = f"http://127.0.0.1:{port}/x.git"
            run_git(clone, "config", "remote.origin.url", uri)
            with server("fetch", uri, clone) as killed:
                assert killed.stdout.readline() == "open\n"
                assert came.wait(10)
                wait_until(lambda: gits(clone) != [], "a git that fetches")
                killed.kill()
                killed.wait()
                orphans = gits(clone)
                assert orphans != []
                (clone / "refs/heads/main.lock").touch()
                again = make_backend(uri, "main", str(clone), access=Access(timeout=1))
                assert fetch(again) == {"a": 1}
                wait_until(lambda: not any(map(is_running, orphans)), "their end")
                assert left_by_killed(clone) == []
                save(again, {"a": 2})
                with pytest.raises(BackendUnavailable, match="not answer in time"):
                    refresh(again)
                assert fetch(again) == {"a": 2}

    def test_in_the_middle_of_saves(self, make, origin, clone):
        """Every save that was answered is there, whole, again and again."""
        make_once(make())
        pauses = random.Random(3)
        for _ in range(4):
            with server("save", origin.uri, clone) as killed:
                killed.stdout.readline()
                try:
                    killed.wait(pauses.uniform(0.02, 0.08))
                except subprocess.TimeoutExpired:
                    killed.kill()
                said = killed.stdout.read().split() or ["1"]
                killed.wait()
                again = make()
                found = fetch(again, "loop", "prod")["a"]
                assert found in (int(said[-1]), int(said[-1]) + 1)
                save(again, {"a": -1}, "loop", "prod")
                assert left_by_killed(clone) == []
                asyncio.run(again.close())
        run_git(clone, "fsck", "--strict", "--no-dangling")

    def test_a_server_that_just_leaves_ends_its_git(self, make, clone):
        """Its thread does not keep it, closed or not."""
        make_once(make())
        with hanging_port() as (port, came):
            uri = f"http://127.0.0.1:{port}/x.git"
            run_git(clone, "config", "remote.origin.url", uri)
            with server("leave", uri, clone) as left:
                assert came.wait(10)
                left.stdin.write("\n")
                left.stdin.flush()
                assert left.wait(5) == 0
            wait_until(lambda: gits(clone) == [], "the end of git")

    def test_by_sigterm_all_the_same(self, make, origin, clone):
        """Python ends at once, and nothing of git's stays."""
        make_once(make())
        with server("save", origin.uri, clone) as ended:
            ended.stdout.readline()
            ended.send_signal(signal.SIGTERM)
            ended.wait(5)
        wait_until(lambda: gits(clone) == [], "the end of git")
        again = make()
        save(again, {"a": 5})
        assert left_by_killed(clone) == []


def test_a_clone_that_lost_its_folder_says_so(make, origin, clone):
    """It is the owner's doing; a restart makes a new one."""
    backend = make()
    assert fetch(backend) == {"a": 1}
    shutil.rmtree(clone)
    with pytest.raises(BackendError):
        refresh(backend)
    assert fetch(make()) == {"a": 1}


def test_an_origin_with_other_ids_is_cloned_too(tmp_path, make_backend):
    """SHA-256, as `git init --object-format=sha256` makes it."""
    made = Origin(tmp_path / "long", files={}, object_format="sha256")
    made.commit({"orders.yml": "a: 1\n"})
    backend = make_backend(made)
    assert fetch(backend) == {"a": 1}
    save(backend, {"a": 2})
    assert fetch(backend, label=made.head("main")) == {"a": 1}


class TestPlanted:
    """What somebody put into the folder runs nothing, and is not believed."""

    @pytest.fixture
    def told(self, tmp_path):
        """What a planted program makes."""
        return tmp_path / "told"

    @pytest.fixture
    def program(self, tmp_path, told):
        """A program that tells of itself."""
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\ntouch {told}\n")
        path.chmod(0o755)
        return path

    def test_a_config_runs_no_program(self, make, origin, clone, program, told):
        """Each key that names one is gone once the clone is opened."""
        asyncio.run(make().open())
        included = clone.parent / "included"
        included.write_text(f"[remote \"origin\"]\n\tuploadpack = {program}\n")
        planted = {
            "remote.origin.uploadpack": str(program),
            f"url.ext::{program}.insteadOf": "file://",
            "include.path": str(included),
            "core.sshCommand": str(program),
            "core.alternateRefsCommand": str(program),
            "credential.helper": str(program),
            "remote.origin.vcs": str(program),
            "protocol.allow": "always",
        }  # fmt: skip
        for key, value in planted.items():
            run_git(clone, "config", key, value)
        origin.commit({"orders.yml": "a: 2\n"})
        backend = make()
        assert fetch(backend) == {"a": 1}
        refresh(backend)
        assert fetch(backend) == {"a": 2}
        assert not told.exists()
        expected = (
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
            f'[remote "origin"]\n\turl = "file://{origin.uri}"\n'
            '\tfetch = "+refs/heads/*:refs/remotes/origin/*"\n'
        )
        assert expected == (clone / "config").read_text()

    def test_an_upload_pack_that_comes_later_runs_not_either(self, make, origin, clone, program, told):  # fmt: skip
        """What is fetched with does not come from there."""
        backend = make()
        asyncio.run(backend.open())
        run_git(clone, "config", "remote.origin.uploadpack", str(program))
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(backend)
        assert fetch(backend) == {"a": 2}
        assert not told.exists()

    @pytest.mark.parametrize("name", ["objects/info/alternates", "commondir"])
    def test_objects_of_another_repository_are_refused(self, make, clone, tmp_path, name):  # fmt: skip
        """They are not what was fetched."""
        asyncio.run(make().open())
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(f"{tmp_path}/elsewhere\n")
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        expected = "the clone borrows objects of another repository"
        assert expected == str(caught.value)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    @pytest.mark.parametrize("name", ["config", "HEAD", "objects", "refs", "info", "packed-refs"])  # fmt: skip
    def test_files_of_another_user_are_refused(self, make, clone, name):
        """The folder is ours, what is in it is not."""
        asyncio.run(make().open())
        if name == "packed-refs":
            run_git(clone, "pack-refs", "--all")
        (clone / "info").mkdir(exist_ok=True)
        os.chown(clone / name, 12345, 12345)
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        expected = "the clone's folder has links or another user's files in it"
        assert expected == str(caught.value)

    def test_a_link_in_it_is_refused(self, make, clone, tmp_path):
        """It may lead to what another user can change."""
        asyncio.run(make().open())
        (clone / "config").rename(tmp_path / "config")
        (clone / "config").symlink_to(tmp_path / "config")
        with pytest.raises(BackendMisconfigured):
            asyncio.run(make().open())

    @pytest.mark.parametrize("mode", [0o707, 0o777, 0o702])
    def test_a_folder_that_others_can_write_to_is_refused(self, make, clone, mode):
        """They may have written; its mode stays, so that its owner looks."""
        asyncio.run(make().open())
        clone.chmod(mode)
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(make().open())
        expected = "others can write to the clone's folder: mend its mode, or remove it"
        assert expected == str(caught.value)
        assert stat.S_IMODE(clone.stat().st_mode) == mode
        clone.chmod(0o700)
        assert fetch(make()) == {"a": 1}

    def test_a_folder_that_a_group_of_ours_can_write_to_is_taken(self, make, clone):
        """Kubernetes makes it so at each start of a pod (fsGroup), and we close it."""
        asyncio.run(make().open())
        for path in (clone, *clone.rglob("*")):
            path.chmod(path.stat().st_mode | 0o060)
        assert fetch(make()) == {"a": 1}
        assert stat.S_IMODE(clone.stat().st_mode) == 0o700

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_a_folder_that_a_strange_group_can_write_to_is_refused(self, make, clone):
        """Its members may have written."""
        asyncio.run(make().open())
        os.chown(clone, -1, 54321)
        clone.chmod(0o770)
        with pytest.raises(BackendMisconfigured):
            asyncio.run(make().open())

    def test_an_open_folder_with_open_files_is_refused(self, make, clone):
        """Others could enter it and write in there."""
        asyncio.run(make().open())
        clone.chmod(0o755)
        (clone / "objects").chmod(0o777)
        with pytest.raises(BackendMisconfigured):
            asyncio.run(make().open())

    def test_an_empty_folder_is_closed_whoever_could_write_to_it(self, make, clone):
        """There is nothing of anybody's in it."""
        clone.mkdir()
        clone.chmod(0o777)
        assert fetch(make()) == {"a": 1}
        assert stat.S_IMODE(clone.stat().st_mode) == 0o700


class TestDamage:
    """A clone that lost something on the disk."""

    @pytest.mark.parametrize("content", [b"", b"\0\0\0", b"ref: \n"])
    def test_a_head_without_meaning_is_written_anew(self, make, clone, content):
        """git would say that it is no repository."""
        save(make(), {"a": 2})
        (clone / "HEAD").write_bytes(content)
        assert fetch(make()) == {"a": 2}
        assert run_git(clone, "symbolic-ref", "HEAD") == "refs/heads/main"

    @pytest.mark.parametrize("content", [b"", b"[core\0\0", None])
    def test_a_lost_config_is_written_anew(self, make, make_backend, origin, clone, content):  # fmt: skip
        """Whose the clone is was noted elsewhere too, and another's is refused still."""
        save(make(), {"a": 2})
        (clone / "config").unlink()
        if content is not None:
            (clone / "config").write_bytes(content)
        with pytest.raises(BackendMisconfigured, match="is one of another origin"):
            asyncio.run(make_backend("", "main", str(clone)).open())
        again = make()
        assert fetch(again) == {"a": 2}
        origin.commit({"x.yml": "x: 1\n"})
        refresh(again)
        assert fetch(again, "x") == {"x": 1}

    def test_a_lost_config_of_long_ids_is_written_anew(self, tmp_path, make_backend, clone):  # fmt: skip
        """What they are is seen by the refs."""
        made = Origin(tmp_path / "long", files={"orders.yml": "a: 1\n"}, object_format="sha256")  # fmt: skip
        for pack in (False, True):
            asyncio.run(make_backend(made, "main", str(clone)).open())
            if pack:
                run_git(clone, "pack-refs", "--all")
            (clone / "config").write_bytes(b"")
            assert fetch(make_backend(made, "main", str(clone))) == {"a": 1}

    @pytest.mark.parametrize("kind", ["commit", "tree", "blob"])
    def test_objects_that_are_missing_are_fetched_again(self, make, origin, clone, kind):  # fmt: skip
        """A pack is gone; what was saved is not."""
        make_once(make())
        names = {"commit": "main", "tree": "main^{tree}", "blob": "main:orders.yml"}
        lose(clone, run_git(clone, "rev-parse", names[kind]))
        again = make()
        with suppress(BackendUnavailable):
            fetch(again)
        refresh(again)
        assert fetch(again) == {"a": 1}
        assert "problem" not in again.health()

    def test_saves_that_are_missing_are_said_to_be(self, make, clone):
        """Origin has not got them."""
        backend = make()
        save(backend, {"a": 2})
        asyncio.run(backend.close())
        lose(clone, run_git(clone, "rev-parse", "main"))
        for _ in range(2):
            with pytest.raises(BackendMisconfigured) as caught:
                asyncio.run(make().open())
            assert str(caught.value) == DAMAGED

    def test_a_saved_file_that_is_missing_is_named_by_health(self, make, clone):
        """All else is served, and fetched."""
        backend = make()
        save(backend, {"a": 2})
        asyncio.run(backend.close())
        lose(clone, run_git(clone, "rev-parse", "main:orders.yml"))
        again = make()
        with pytest.raises(BackendUnavailable):
            fetch(again)
        for _ in range(2):
            refresh(again)
            assert again.health()["problem"] == DAMAGED


DAMAGED = "the clone-dir is damaged: mend or remove it, but saves lie in it"


def lose(clone, id):
    """Remove one object, and keep the others as loose ones."""
    for pack in [*clone.glob("objects/pack/*.pack")]:
        moved = pack.rename(clone.parent / pack.name)
        pack.with_suffix(".idx").unlink()
        run_git(clone, "unpack-objects", "-q", data=moved.read_bytes())
    (clone / "objects" / id[:2] / id[2:]).unlink()


def test_saves_behind_a_foreign_lock_are_patient_once(tmp_path):
    """Each is told as soon as the first, and well before its server gives up."""
    clone = Clone(str(tmp_path), None, str(tmp_path), patience=0.7)
    took = []
    with hold(str(tmp_path), REFS_LOCK, deadline=0):
        for _ in range(4):
            began = time.monotonic()
            with pytest.raises(BackendUnavailable), clone.alone():
                pass
            took.append(time.monotonic() - began)
    assert took[0] >= 0.7
    assert sum(took[1:]) < 0.5
    with clone.alone():
        pass
