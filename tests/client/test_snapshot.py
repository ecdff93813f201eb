"""snapshot: the last good answer in a file, for its owner and nobody else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import PATIENCE, environment

from pyconfserve.client.snapshot import Snapshot
from pyconfserve.client.target import Credentials, Target, make_servers

NOW = 1_800_000_000.0
BODY = json.dumps(environment({"db.url": "é", "n": 1})).encode()
PROJECT = Path(__file__).parents[2]


class Clock:
    def __init__(self):
        self.time = NOW

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "orders.json"


def target(url="http://u:canary@a,http://b", names=("orders", "prod", "main")):
    servers = make_servers(url, Credentials("user", "canary"))
    return Target(servers, *names, {"x-config-token": "canary"})


@pytest.fixture
def snapshot(path, clock):
    return Snapshot(path, target(), None, clock)


def ignored(snapshot):
    with pytest.raises(ValueError, match=r"it |others") as caught:
        snapshot.read()
    return str(caught.value)


def test_what_is_kept_is_read_again(snapshot, path):
    """With its ETag, the server that gave it, and the time."""
    assert snapshot.read() is None
    assert snapshot.keep("http://a", '"1"', BODY) == ""
    kept = snapshot.read()
    assert (kept.url, kept.etag, kept.saved) == ("http://a", '"1"', NOW)
    assert kept.document.values == {"db.url": "é", "n": 1}
    assert json.loads(kept.body) == json.loads(BODY)


def test_the_file_is_its_owners_and_names_no_credentials(snapshot, path):
    """Only values are in it."""
    snapshot.keep("http://a", None, BODY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "canary" not in path.read_text()
    assert json.loads(path.read_text()) == {
        "format": 1,
        "saved": NOW,
        "for": {"application": "orders", "profile": "prod", "label": "main", "urls": ["http://a", "http://b"]},
        "url": "http://a",
        "etag": None,
        "document": json.loads(BODY),
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        target("http://a"),
        target("http://b,http://a"),
        target(names=("payments", "prod", "main")),
        target(names=("orders", "dev", "main")),
        target(names=("orders", "prod", "v2")),
        target(names=("orders", "prod", None)),
    ],
)
def test_anothers_snapshot_is_never_served(snapshot, path, clock, other):
    """Application, profile, label and servers are all the same, or it is ignored."""
    snapshot.keep("http://a", None, BODY)
    expected = "it is of another application, profile, label or server"
    assert expected == ignored(Snapshot(path, other, None, clock))


def test_other_credentials_are_no_matter(snapshot, path, clock):
    """They may have been rotated since."""
    snapshot.keep("http://a", None, BODY)
    assert Snapshot(path, target("http://a,http://b"), None, clock).read() is not None


def test_an_old_snapshot_is_ignored(path, clock):
    """Where max_stale says what is old."""
    snapshot = Snapshot(path, target(), 60, clock)
    snapshot.keep("http://a", None, BODY)
    clock.time += 60
    assert snapshot.read() is not None
    clock.time += 1
    assert ignored(snapshot) == "it is 61 s old, 60 are allowed"


WHOLE = {"format": 1, "saved": NOW, "for": {"application": "orders", "profile": "prod", "label": "main", "urls": ["http://a", "http://b"]}, "url": "http://a", "etag": None, "document": environment({})}  # fmt: skip


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is corrupt"),
        (b"canary", "it is corrupt"),
        (b"\xff", "it is corrupt"),
        (b"[" * 100_000, "it is corrupt"),
        (b"[]", "it is corrupt"),
        (b"{}", "it is corrupt"),
        (json.dumps(WHOLE).encode()[:-20], "it is corrupt"),
        (json.dumps({**WHOLE, "format": "1"}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "format": 2}).encode(), "it has format 2, this version reads 1"),
        (json.dumps({**WHOLE, "etag": 5}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "url": None}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": "x"}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": float("nan")}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": float("-inf")}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": 1e300}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": 253402300800}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": -1}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": True}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "saved": int("9" * 400)}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "etag": "a\r\nX: canary"}).encode(), "it is corrupt"),
        (json.dumps({**WHOLE, "for": "canary"}).encode(), "it is of another application, profile, label or server"),
        (json.dumps({**WHOLE, "document": None}).encode(), "it is corrupt: expected a map"),
        (json.dumps({**WHOLE, "document": {"propertySources": [{"source": {"a": ["canary"]}}]}}).encode(), "it is corrupt: expected flat properties"),
    ],
)  # fmt: skip
def test_a_corrupt_snapshot_is_ignored(snapshot, path, data, problem):
    """Whatever happened to it, nothing of it is quoted."""
    path.write_bytes(data)
    path.chmod(0o600)
    assert problem == ignored(snapshot)


def test_a_snapshot_that_others_may_write_is_ignored(snapshot, path):
    """They could configure us."""
    snapshot.keep("http://a", None, BODY)
    path.chmod(0o620)
    assert ignored(snapshot) == "others may have written it"


def test_what_is_no_file_is_ignored(snapshot, path):
    """A pipe is not waited for."""
    os.mkfifo(path)
    assert ignored(snapshot) == "it is not a regular file"
    path.unlink()
    path.mkdir()
    assert ignored(snapshot).startswith("it ")


def test_a_file_that_is_too_large_is_ignored(snapshot, path):
    """Nobody could have kept it."""
    with open(path, "wb") as file:
        file.truncate(17 * 1024 * 1024)
    path.chmod(0o600)
    assert ignored(snapshot) == "it is too large"


def test_a_write_that_fails_is_told_once(tmp_path, clock):
    """Until one succeeds."""
    snapshot = Snapshot(tmp_path / "absent" / "x.json", target(), None, clock)
    problem = f"the snapshot {snapshot.path} is not written: No such file or directory"
    assert [snapshot.keep("http://a", None, BODY) for _ in range(2)] == [problem, ""]
    (tmp_path / "absent").mkdir()
    assert snapshot.keep("http://a", None, BODY) == ""
    os.unlink(snapshot.path)
    os.rmdir(tmp_path / "absent")
    assert snapshot.keep("http://a", None, BODY) == problem


def test_a_write_replaces_the_file_whole(snapshot, path):
    """The old one is there until the new one is; nothing else is left in the folder."""
    snapshot.keep("http://a", '"1"', BODY)
    with open(path, "rb") as old:
        snapshot.keep("http://a", '"2"', BODY)
        assert b'"\\"1\\""' in old.read()
    assert (snapshot.read().etag, os.listdir(path.parent)) == ('"2"', ["orders.json"])


def test_a_write_that_breaks_off_leaves_the_old_one(snapshot, path):
    """And no unfinished file."""
    snapshot.keep("http://a", '"1"', BODY)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from pyconfserve.client.snapshot import Snapshot\n"
        "from pyconfserve.client.target import Credentials, Target, make_servers\n"
        "servers = make_servers('http://a,http://b', Credentials())\n"
        "target = Target(servers, 'orders', 'prod', 'main', {})\n"
        "print(Snapshot(sys.argv[1], target, None, lambda: 0.0).keep('http://a', None, b'{}' * 999))\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=True)  # fmt: skip
    assert "is not written: File too large" in done.stdout
    assert (before, ["orders.json"]) == (path.read_bytes(), os.listdir(path.parent))


def test_what_a_process_left_that_died_is_removed(snapshot, path):
    """After an hour; what is being written is left alone."""
    old, new = path.parent / ".orders.json.1.tmp", path.parent / ".orders.json.2.tmp"
    other = path.parent / ".payments.json.1.tmp"
    for file in (old, new, other):
        file.write_text("x")
        os.utime(file, (NOW, NOW) if file is new else (NOW - 4000, NOW - 4000))
    snapshot.keep("http://a", None, BODY)
    assert {file.name for file in path.parent.iterdir()} == {"orders.json", new.name, other.name}  # fmt: skip


def test_an_answer_that_is_confirmed_is_written_once_a_minute(snapshot, path, clock):
    """So that its age is that of the confirmation; or when another wrote the file."""
    snapshot.keep("http://a", '"1"', BODY)
    stamp = snapshot.stamp()
    clock.time += 59
    snapshot.keep("http://a", '"1"', BODY)
    assert stamp == snapshot.stamp()
    clock.time += 1
    snapshot.keep("http://a", '"1"', BODY)
    assert (stamp != snapshot.stamp(), snapshot.read().saved) == (True, NOW + 60)
    Snapshot(path, target(), None, clock).keep("http://a", '"0"', BODY)
    snapshot.keep("http://a", '"1"', BODY)
    assert snapshot.read().etag == '"1"'


LEAD = (
    "import sys\n"
    "from pyconfserve.client.snapshot import Snapshot\n"
    "from pyconfserve.client.target import Credentials, Target, make_servers\n"
    "target = Target(make_servers('http://a,http://b', Credentials()), 'orders', 'prod', 'main', {})\n"
    "snapshot = Snapshot(sys.argv[1], target, None, lambda: 0.0)\n"
    "print(snapshot.lead(), flush=True)\n"
    "sys.stdin.readline()\n"
)


def test_one_process_leads(snapshot, path):
    """Another does once the first has ended, or released it; children do not inherit it."""
    command = [sys.executable, "-c", LEAD, str(path)]

    def other():
        return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip

    assert [snapshot.lead(), snapshot.lead()] == [True, True]
    with other() as second:
        assert second.stdout.readline() == "False\n"
        second.communicate("\n", PATIENCE)
    child = os.fork()
    if not child:
        os._exit(3 if snapshot.lead() else 4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4
    snapshot.release()
    snapshot.release()
    with other() as third:
        assert third.stdout.readline() == "True\n"
        assert snapshot.lead() is False
        third.kill()
        third.communicate()
    assert snapshot.lead() is True
    snapshot.release()


def test_where_nothing_can_be_written_each_leads(tmp_path, clock):
    """None can be shared there."""
    assert Snapshot(tmp_path / "absent" / "x", target(), None, clock).lead() is True


def test_a_snapshot_of_the_future_is_ignored(path, clock):
    """Where its age matters; clocks may differ by five minutes."""
    snapshot = Snapshot(path, target(), 60, clock)
    snapshot.keep("http://a", None, BODY)
    clock.time -= 300
    assert snapshot.read() is not None
    clock.time -= 1
    assert ignored(snapshot) == "it is 301 s younger than now"
    assert Snapshot(path, target(), None, clock).read() is not None


def locks(path):
    return sorted(path.parent.glob("*.lock"))


def test_different_applications_do_not_wait_for_each_other(snapshot, path):
    """Though they were given one path by mistake: the lock is of one identity."""
    assert snapshot.lead()
    (first,) = locks(path)
    command = [sys.executable, "-c", LEAD.replace("'orders'", "'payments'"), str(path)]
    done = subprocess.run(command, cwd=PROJECT, input="\n", capture_output=True, text=True, timeout=PATIENCE, check=True)  # fmt: skip
    assert (done.stdout, len(locks(path))) == ("True\n", 2)
    snapshot.release()
    assert first.stat().st_mode & 0o777 == 0o600


def test_a_lock_is_a_file_of_our_own(snapshot, path, tmp_path):
    """No link is followed, no pipe is waited for: each leads then."""
    snapshot.lead()
    snapshot.release()
    (lock,) = locks(path)
    lock.unlink()
    elsewhere = tmp_path / "elsewhere"
    lock.symlink_to(elsewhere)
    assert (snapshot.lead(), elsewhere.exists()) == (True, False)
    lock.unlink()
    os.mkfifo(lock)
    with open(lock, "rb", opener=lambda *_: os.open(lock, os.O_RDONLY | os.O_NONBLOCK)):
        assert (snapshot.lead(), snapshot._lock) == (True, None)
