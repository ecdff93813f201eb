"""users_file: users of a file, read again when it changes."""

import json
import logging
import os
import sys
import threading
import time

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.http.passwords import hash_password, hash_token
from pyconfserve.http.users_file import UsersFile, parse, read

PATIENCE = 10  # seconds for what takes a fraction of one
HASH = hash_password("s3cret", cost=1)
OLD = 1_600_000_000  # a time of change that is long ago


def text(*names):
    """A file of users, as YAML."""
    items = (f"  - name: {name}\n    password: {HASH}\n" for name in names)
    return "users:\n" + "".join(items)


class Clock:
    """Seconds, set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def path(tmp_path):
    """A file with the user `a`."""
    file = tmp_path / "users.yml"
    file.write_text(text("a"))
    file.chmod(0o600)
    return file


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def users(path, clock):
    """The users of the file."""
    return UsersFile(str(path), clock=clock)


def names(users):
    return sorted(users.by_name)


def settled(path):
    """The file, as if it had been written long ago."""
    os.utime(path, (OLD, OLD))
    return path


def wait_for(users, clock, expected, patience=PATIENCE):
    """Look each second, on a clock that is fast, until the names are *expected*."""
    end = time.monotonic() + patience
    while names(users.current()) != expected:
        assert time.monotonic() < end, names(users.current())
        clock.now += 1
        threading.Event().wait(0.001)


# what a file is


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.yml", f"# ours\nusers:\n- {{name: a, token: {hash_token('t')}, rights: [read, list]}}\n"),
        ("u.yaml", f"users[0]:\n  name: a\n  token: {hash_token('t')}\n  rights: read,list\n"),
        ("u.json", json.dumps({"users": [{"name": "a", "token": hash_token("t"), "rights": ["read", "list"]}]})),
        ("u.toml", f'[[users]]\nname = "a"\ntoken = "{hash_token("t")}"\nrights = ["read", "list"]\n'),
    ],
)  # fmt: skip
def test_the_suffix_says_the_format(tmp_path, name, content):
    """YAML, JSON and TOML say the same."""
    (tmp_path / name).write_text(content)
    (user,) = UsersFile(str(tmp_path / name)).current().by_token.values()
    assert ("a", {"read", "list"}) == (user.name, user.rights)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("u.txt", text("a"), "expected a file of one of .yaml, .yml, .json, .toml"),
        ("u", text("a"), "expected a file of one of .yaml, .yml, .json, .toml"),
        ("u.properties", "users[0].name=a", "expected a file of one of .yaml, .yml, .json, .toml"),
        ("u.yml", "", "users: expected a list of users"),
        ("u.yml", "users: []\n", "users: expected a list of users"),
        ("u.yml", "- name: a\n", "document: unknown key, the nearest known one is users"),
        ("u.yml", "s3cret", "document: unknown key, the nearest known one is users"),
        ("u.yml", text("a") + "---\n" + text("b"), "expected one document"),
        ("u.yml", "users: [", "2:1: did not find expected node content"),
        ("u.yml", "users:\n- name: a\n  name: b\n", "3:3: a key is there twice"),
        ("u.yml", "users:\n- name: a\n  password: !!python/object s3cret\n", "3:13: a tag that is not of YAML's core"),
        ("u.json", "{", "1:2"),
        ("u.yml", text("a", "a"), "users[1].name: is there twice"),
        ("u.yml", "users:\n- name: a\n  password: s3cret\n", "users[0].password: expected a hash, scrypt$…: python -m pyconfserve user add makes one"),
        ("u.yml", "users[7].name: a\n", "users[0]: expected a user with a name"),
        ("u.yml", "users[99999999].name: a\n", "format: an index is far above the list's end"),
        ("u.yml", "#" * (3 * 1024 * 1024 + 1), "larger than 3145728 bytes"),
        ("u.yml", b"users: \xff", "1:8: not UTF-8 text"),
    ],
    ids=range(18),
)  # fmt: skip
def test_a_server_does_not_start_with_a_broken_file(tmp_path, name, content, problem):
    """The error names the file and the place, and quotes no secret."""
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as caught:
        UsersFile(str(file))
    assert str(caught.value).startswith(f"{file}: {problem.partition(' that')[0]}")
    assert "s3cret" not in str(caught.value)


def test_it_does_not_start_without_a_file(tmp_path):
    """Nor with what is none; a FIFO is not waited for."""
    fifo = tmp_path / "fifo.yml"
    os.mkfifo(fifo)
    cases = {tmp_path / "none.yml": "cannot be read: No such file or directory", fifo: "is no file", tmp_path: "cannot be read: Is a directory"}  # fmt: skip
    for file, problem in cases.items():
        with pytest.raises(SettingsError) as caught:
            UsersFile(str(file))
        assert f"{file}: {problem}" == str(caught.value)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o600, None), (0o640, None), (0o644, None), (0o660, None), (0o602, "others may write it: chmod o-w"), (0o666, "others may write it: chmod o-w")],
    ids=lambda value: oct(value) if isinstance(value, int) else "",
)  # fmt: skip
def test_a_file_that_others_may_write_is_refused(path, mode, expected):
    """Who can write it can make themselves a user."""
    path.chmod(mode)
    try:
        assert names(UsersFile(str(path)).current()) == ["a"]
        found = None
    except SettingsError as error:
        found = error.problem
    assert expected == found


def test_a_link_is_followed(tmp_path, path):
    """Kubernetes mounts secrets as links, and swaps them."""
    link = tmp_path / "link.yml"
    link.symlink_to(path)
    users = UsersFile(str(link))
    other = tmp_path / "other.yml"
    other.write_text(text("b"))
    swap = tmp_path / "swap"
    swap.symlink_to(other)
    swap.replace(link)
    users.reload()
    assert names(users.current()) == ["b"]


# changes


def test_a_change_is_seen_by_the_next_look(path, users, clock):
    """At most a second later; the look does not wait for the reading of it."""
    path.write_text(text("a", "b"))
    clock.now += 0.9
    before = users.current()
    assert names(before) == ["a"]
    wait_for(users, clock, ["a", "b"])


def test_the_file_is_looked_at_once_a_second(path, clock):
    """Not for each request: within the second, a change is not seen."""
    users = UsersFile(str(settled(path)), clock=clock)
    path.write_text(text("b"))
    for _ in range(1000):
        clock.now += 0.0009
        assert names(users.current()) == ["a"]
    wait_for(users, clock, ["b"])


@pytest.mark.parametrize(("age", "reads"), [(10**10, 0), (0, 5), (-(10**10), 0)], ids=["old", "young", "of the future"])  # fmt: skip
def test_a_file_is_read_again_only_while_it_is_young(path, clock, age, reads):
    """An old one is looked at, and left alone until its stamp changes."""

    class Counting(UsersFile):
        reads = 0

        def reload(self):
            super().reload()
            self.reads += 1

    written = path.stat().st_ctime_ns
    users = Counting(str(path), clock=clock, now=lambda: written + age)
    for number in range(5):
        clock.now += 1
        users.current()
        end = time.monotonic() + PATIENCE
        while users.reads < min(reads, number + 1):
            assert time.monotonic() < end
            threading.Event().wait(0.001)
    users._reading.acquire(timeout=PATIENCE)
    assert users.reads == reads


def test_a_slow_disk_has_one_reader(path, users, clock):
    """Looks go on meanwhile, and do not queue up behind it."""
    before = threading.active_count()
    with users._reading:
        path.write_text(text("b"))
        for _ in range(100):
            clock.now += 1
            assert names(users.current()) == ["a"]
        assert threading.active_count() == before
    wait_for(users, clock, ["b"])


def test_a_file_put_in_its_place_is_seen(tmp_path, path, users, clock):
    """By a rename, and with the size and the time of the one before."""
    settled(path)
    users.reload()
    other = tmp_path / "other"
    other.write_text(text("b"))
    settled(other).replace(path)
    wait_for(users, clock, ["b"])


def test_two_changes_within_a_tick_are_both_seen(path, clock):
    """A young stamp is not believed: the file may change again and keep it."""
    users = UsersFile(str(path), clock=clock)
    for name in "bcdefgh":
        before = path.stat()
        path.write_text(text(name))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        wait_for(users, clock, [name], patience=1.5)


def test_reload_looks_now(path, users):
    """A signal does not wait for the second to end."""
    path.write_text(text("c"))
    users.reload()
    assert names(users.current()) == ["c"]


def test_users_stay_the_same_object_until_they_change(path, users):
    """So that who is remembered is not forgotten for a comment."""
    before = users.current()
    path.write_text(text("a") + "# a comment\n")
    users.reload()
    assert users.current() is before
    path.write_text(text("a").replace(HASH, hash_password("other", cost=1)))
    users.reload()
    assert users.current() is not before


BROKEN = {
    "no YAML": lambda path: path.write_text("users: ["),
    "no users": lambda path: path.write_text(""),
    "half of it": lambda path: path.write_text(text("a", "b")[:-60]),
    "a wrong right": lambda path: path.write_text(text("a") + "    rights: all\n"),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "written by others": lambda path: (path.write_text(text("b")), path.chmod(0o666)),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
}


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_leaves_the_users_in_force(path, users, caplog, break_it):
    """And says so once, until it is mended and broken again."""
    caplog.set_level(logging.INFO, "pyconfserve.users")
    before = users.current()
    break_it(path)
    for _ in range(3):
        users.reload()
    assert users.current() is before
    (message,) = caplog.messages
    assert message.startswith(f"{path}: ")
    assert message.endswith("; the users of before stay in force")
    assert (HASH not in message, caplog.records[0].levelname) == (True, "ERROR")
    if path.is_dir():
        path.rmdir()
    path.write_text(text("m"))
    path.chmod(0o600)
    users.reload()
    assert names(users.current()) == ["m"]
    assert f"{path}: changed, users: 1" == caplog.messages[1]
    break_it(path)
    users.reload()
    assert (names(users.current()), len(caplog.messages)) == (["m"], 3)


def test_a_broken_file_that_is_mended_as_it_was_is_no_change(path, users, caplog):
    """The same users are the same object."""
    before = users.current()
    path.write_text("users: [")
    users.reload()
    path.write_text(text("a"))
    users.reload()
    assert users.current() is before
    assert len(caplog.messages) == 1


def test_many_ask_while_it_changes(path, clock):
    """Threads and changes at once: each answer is one of the file's states."""
    users = UsersFile(str(path), clock=clock)
    seen, stop = set(), threading.Event()

    def ask():
        while not stop.is_set():
            clock.now += 1
            seen.add(tuple(names(users.current())))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        new = path.with_name("new")
        new.write_text(text("a", f"b{number}"))
        new.replace(path)
    stop.set()
    for thread in threads:
        thread.join()
    users.reload()
    assert names(users.current()) == ["a", "b19"]
    assert seen <= {("a",)} | {("a", f"b{number}") for number in range(20)}


def test_a_look_is_fast(path, clock):
    """Each request takes the users: a microsecond, with room for a busy machine."""
    if sys.gettrace():
        pytest.skip("coverage counts lines meanwhile")
    users = UsersFile(str(path), clock=clock)
    best = 1.0
    for _ in range(300):
        start = time.perf_counter()
        for _ in range(200):
            users.current()
        best = min(best, (time.perf_counter() - start) / 200)
    assert best < 1e-6


def test_bytes_and_users_apart(path):
    """For the command line, which writes what it has read."""
    assert text("a").encode() == read(str(path))
    assert names(parse(text("x").encode(), "new.yml")) == ["x"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("users.yml", f"users:\n- {{name: a, password: {HASH}, applications: {{}}}}\n"),
        ("users.yml", f"users:\n- {{name: a, password: {HASH}, applications: [{{ }}]}}\n"),
        ("users.yml", f"users:\n- {{name: a, password: {HASH}, profiles: [dev, {{ # no\n}}]}}\n"),
        ("users.json", json.dumps({"users": [{"name": "a", "password": HASH, "files": {}}]})),
        ("users.toml", f'[[users]]\nname = "a"\npassword = "{HASH}"\n[users.applications]\n'),
    ],
    ids=["yaml", "in a list", "with a comment", "json", "toml"],
)
def test_an_empty_map_is_not_taken_for_all_names(name, content):
    """As flat properties have none, its key would be as if it did not stand there."""
    with pytest.raises(SettingsError) as raised:
        parse(content.encode(), name)
    assert str(raised.value) == f"{name}: holds a map where a list or a text is expected"
