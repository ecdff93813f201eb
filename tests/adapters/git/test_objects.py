"""objects: trees and blobs by id, from processes that come and go."""

import os
import signal
import subprocess
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from real_git import ENVIRONMENT, EXECUTABLE, FILE, LINK, SUBMODULE, is_running, run_git

from pyconfserve.adapters.git.objects import FOLDER, Commit, Entry, Objects
from pyconfserve.adapters.git.process import Git
from pyconfserve.errors import BackendUnavailable, DocumentError

MISSING = "an object of the repository is missing"
CORRUPT = "an object of the repository is corrupt"
SILENT = "git cat-file did not answer"
HASH_LENGTHS = {"sha1": 40, "sha256": 64}
MIB = 1024 * 1024


class Store:
    """A repository to put objects into, and the processes that were started over it."""

    def __init__(self, folder, hashes="sha1"):
        self.folder = folder / "repository"
        self._program = folder / "git"
        self._pids = folder / "pids"
        subprocess.run(
            ["git", "init", "-q", "--bare", f"--object-format={hashes}", self.folder], env=ENVIRONMENT, check=True
        )
        self._program.write_text(f'#!/bin/sh\necho $$ >> "{self._pids}"\nexec git "$@"\n')
        self._program.chmod(0o700)

    def put(self, data, kind="blob"):
        """The id of a new object, whatever git thinks of it."""
        return run_git(self.folder, "hash-object", "-w", "--stdin", "--literally", "-t", kind, data=data)

    def put_commit(self, tree, head=b"committer A <a@b> 1700000000 +0100\n"):
        """The id of a new commit."""
        return self.put(b"tree %s\nauthor A <a@b> 1 +0000\n%s\nabout\ntree x\n" % (tree.encode(), head), "commit")

    def objects(self, **options):
        """What is tested, over a program that notes each process."""
        return Objects(Git(str(self.folder), str(self._program)), **options)

    @property
    def pids(self):
        """The processes that were started, in their order."""
        return [int(line) for line in self._pids.read_text().split()] if self._pids.exists() else []


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


@pytest.fixture
def objects(store):
    made = store.objects()
    yield made
    made.close()


def refusal(call, *arguments):
    """The text of the error that a call raises."""
    with pytest.raises(BackendUnavailable) as caught:
        call(*arguments)
    return str(caught.value)


def raw_tree(*entries):
    """The bytes of a tree as they are in an object."""
    return b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(id)) for mode, name, id in entries)


@pytest.mark.parametrize("hashes", HASH_LENGTHS)
def test_objects_are_read_by_id(tmp_path, hashes):
    """A commit, its tree and a file, with short ids and with long ones."""
    store = Store(tmp_path, hashes)
    blob = store.put(b"a: 1\n")
    tree = store.put(raw_tree((b"100644", b"orders.yml", blob), (b"40000", b"z", blob)), "tree")
    commit = store.put_commit(tree)
    objects = store.objects()
    assert HASH_LENGTHS[hashes] == len(commit)
    assert Commit(tree, 1700000000.0) == objects.commit(commit)
    assert {"orders.yml": Entry(FILE, blob), "z": Entry(FOLDER, blob)} == objects.tree(tree)
    assert objects.blob(blob) == b"a: 1\n"
    assert commit == objects.commit_of(commit)
    objects.close()


@pytest.mark.parametrize("data", [b"", b"\n", b"no end of line", b"\0\xff\n\n", b"x y missing\n", b"z" * 200_000])
def test_any_bytes_come_back_as_they_are(store, objects, data):
    """And the answer to the next question is not mixed with them."""
    first, second = store.put(data), store.put(b"next")
    assert data == objects.blob(first)
    assert objects.blob(second) == b"next"


@pytest.mark.parametrize(
    ("mode", "kept", "is_file", "is_folder"),
    [
        pytest.param(b"100644", FILE, True, False, id="file"),
        pytest.param(b"100755", EXECUTABLE, True, False, id="executable"),
        pytest.param(b"100664", "100664", True, False, id="file of an old git"),
        pytest.param(b"120000", LINK, False, False, id="link"),
        pytest.param(b"160000", SUBMODULE, False, False, id="submodule"),
        pytest.param(b"40000", FOLDER, False, True, id="folder"),
        pytest.param(b"040000", FOLDER, False, True, id="folder with a zero"),
    ],
)
def test_modes_tell_files_and_folders_from_others(store, objects, mode, kept, is_file, is_folder):
    """A link and a submodule are neither."""
    id = store.put(b"")
    (entry,) = objects.tree(store.put(raw_tree((mode, b"a", id)), "tree")).values()
    assert (Entry(kept, id), is_file, is_folder) == (entry, entry.is_file, entry.is_folder)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"a b", "a b"),
        ("ü€𝄞".encode(), "ü€𝄞"),
        (b"\xff\xfe.yml", "\udcff\udcfe.yml"),
        (b"line\nend", "line\nend"),
        (b"100644 a", "100644 a"),
        (b"-n", "-n"),
        (b"n" * 5000, "n" * 5000),
    ],
    ids=lambda value: str(value)[:20],
)
def test_names_are_taken_as_they_are(store, objects, raw, name):
    """What is no UTF-8 is kept, so that whoever writes the tree writes it again."""
    id = store.put(b"")
    tree = store.put(raw_tree((b"100644", b"a", id), (b"100644", raw, id)), "tree")
    assert {"a": Entry(FILE, id), name: Entry(FILE, id)} == objects.tree(tree)
    assert raw == name.encode("utf-8", "surrogateescape")


def test_an_id_may_hold_what_looks_like_an_entry(store, objects):
    """The length of an id counts, not its bytes."""
    tricky = b"100644 evi\x00100644 x\x00".hex()
    tree = store.put(raw_tree((b"100644", b"a", tricky), (b"100644", b"b", "0a" * 20)), "tree")
    assert {"a": Entry(FILE, tricky), "b": Entry(FILE, "0a" * 20)} == objects.tree(tree)


def test_an_empty_tree_has_no_entries(store, objects):
    """And a folder of nothing is one."""
    assert objects.tree(store.put(b"", "tree")) == {}


@pytest.mark.parametrize("read", ["blob", "tree", "commit"])
def test_what_is_missing_is_said(objects, read):
    """Whatever it should have been; the process is asked again."""
    assert refusal(getattr(objects, read), "ab" * 20) == MISSING
    assert refusal(getattr(objects, read), "cd" * 20) == MISSING


@pytest.mark.parametrize(
    ("read", "kind", "data"),
    [
        pytest.param("blob", "tree", b"", id="a tree as a file"),
        pytest.param("tree", "blob", b"a", id="a file as a tree"),
        pytest.param("commit", "tree", b"", id="a tree as a commit"),
        pytest.param("tree", "tree", b"garbage", id="a tree of garbage"),
        pytest.param("tree", "tree", b"100644 a\0" + b"i" * 19, id="an id too short"),
        pytest.param("tree", "tree", b"100644 a\0" + b"i" * 20 + b"more", id="bytes after an entry"),
        pytest.param("tree", "tree", b"10x644 a\0" + b"i" * 20, id="a mode of letters"),
        pytest.param("commit", "commit", b"tree a\n\nx", id="no committer"),
        pytest.param("commit", "commit", b"committer a <b> 1 +0000\n\nx", id="no tree"),
        pytest.param("commit", "commit", b"", id="nothing"),
    ],
)
def test_what_is_malformed_is_refused(store, objects, read, kind, data):
    """It is never taken for what it is not, in part or as a whole."""
    assert refusal(getattr(objects, read), store.put(data, kind)) == CORRUPT


def test_the_first_line_of_a_kind_counts(store, objects):
    """And nothing of the message."""
    id = store.put(b"tree 1\ntree 2\ncommitter a <b> 5 +0000\n\ntree 3\n", "commit")
    assert Commit("1", 5.0) == objects.commit(id)


@pytest.mark.parametrize(
    ("committer", "time"),
    [(b"a b c", 0.0), (b"a <b>5 +0000", 5.0), (b"a <b> 5", 5.0), (b"a 5 +0000", 0.0), (b"a <b> " + b"9" * 40, 0.0)],
    ids=["no time", "no blank before it", "no zone", "no address", "too large"],
)  # fmt: skip
def test_a_time_that_is_malformed_is_no_obstacle(store, objects, committer, time):
    """Old commits have such ones; what they hold is served."""
    id = store.put(b"tree 1\ncommitter " + committer + b"\n\nx", "commit")
    assert Commit("1", time) == objects.commit(id)


def test_a_damaged_object_is_no_answer(store, objects):
    """git dies of it; others are read on."""
    id, whole = store.put(b"some text"), store.put(b"whole")
    path = store.folder / "objects" / id[:2] / id[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-5])
    assert objects.blob(whole) == b"whole"
    assert refusal(objects.blob, id) in (SILENT, MISSING)
    assert objects.blob(store.put(b"after")) == b"after"


def test_tags_are_peeled_to_their_commit(store, objects):
    """However many stand for each other; what is no commit in the end is None."""
    tree = store.put(b"", "tree")
    commit = store.put_commit(tree)

    def tag(target, kind):
        return store.put(b"object %s\ntype %s\ntag t\ntagger a <b> 1 +0000\n\nx\n" % (target.encode(), kind), "tag")

    once = tag(commit, b"commit")
    twice = tag(once, b"tag")
    found = [objects.commit_of(id) for id in (commit, once, twice, tag(tree, b"tree"), tree, "ab" * 20)]
    assert [commit, commit, commit, None, None, None] == found


def test_a_large_file_is_refused_before_it_is_read(store, objects):
    """Its size is known first, and remembered: asking again starts no process."""
    id = store.put(b"x" * (20 * MIB))
    tracemalloc.start()
    for _ in range(5):
        with pytest.raises(DocumentError, match=r"^larger than 1000 bytes$"):
            objects.blob(id, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB
    assert len(store.pids) == 1
    assert len(objects.blob(id, 20 * MIB)) == 20 * MIB


@pytest.mark.parametrize("kind", ["tree", "commit"])
def test_a_huge_tree_or_commit_is_refused(store, objects, kind):
    """It would be held in memory as a whole."""
    id = store.put(b"x" * (17 * MIB), kind)
    assert refusal(getattr(objects, kind), id) == "an object of the repository is too large"


def test_the_limit_counts_for_what_is_kept_too(store, objects):
    """A file that someone may read is too large for someone else."""
    id = store.put(b"four")
    assert objects.blob(id, 4) == b"four"
    with pytest.raises(DocumentError, match=r"^larger than 3 bytes$"):
        objects.blob(id, 3)


def test_what_was_read_is_not_read_again(store, objects):
    """An object never changes, so no process is needed."""
    blob = store.put(b"a")
    tree = store.put(raw_tree((b"100644", b"a", blob)), "tree")
    commit = store.put_commit(tree)

    def read():
        return objects.blob(blob), objects.tree(tree), objects.commit(commit)

    first = read()
    os.kill(store.pids[0], signal.SIGSTOP)
    assert first == read()
    assert len(store.pids) == 1
    os.kill(store.pids[0], signal.SIGCONT)


def test_what_is_kept_has_a_limit(store, objects):
    """Of 32 MiB for files, whatever is asked for; large ones are not kept at all."""
    ids = [store.put(b"%d" % number * (MIB // 2)) for number in range(10, 60)]
    large = store.put(b"x" * (9 * MIB))
    tracemalloc.start()
    for id in ids:
        objects.blob(id)
    objects.blob(large, 16 * MIB)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 30 * MIB < kept < 34 * MIB


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_process_that_died_is_replaced(store, objects, number):
    """Nobody notices: another one is asked."""
    first, second = store.put(b"first"), store.put(b"second")
    assert objects.blob(first) == b"first"
    (pid,) = store.pids
    os.kill(pid, number)
    assert objects.blob(second) == b"second"
    assert (is_running(pid), len(store.pids)) == (False, 2)


def test_a_process_that_hangs_is_ended_and_replaced(store):
    """Whoever asked it is told so after the deadline; the next one is served."""
    objects = store.objects(deadline=0.2)
    first, second = store.put(b"first"), store.put(b"second")
    assert objects.blob(first) == b"first"
    (pid,) = store.pids
    os.kill(pid, signal.SIGSTOP)
    assert refusal(objects.blob, second) == SILENT
    assert not is_running(pid)
    assert objects.blob(second) == b"second"
    objects.close()


@pytest.mark.parametrize("answer", ["", "what?", "id blob many", "id blob -", "\\377 blob 1"])
def test_a_program_that_says_something_else_is_not_believed(tmp_path, answer):
    """Whatever it is, it becomes our own error."""
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\nread query\nprintf '{answer}\\n'\n")
    program.chmod(0o700)
    objects = Objects(Git(str(tmp_path), str(program)))
    assert refusal(objects.blob, "ab" * 20) == SILENT
    objects.close()


def test_many_threads_read_at_once(store, objects):
    """Each gets what it asked for; then no more processes wait than cores need."""
    blobs = {store.put(b"%d " % number * number): b"%d " % number * number for number in range(60)}

    def read(start):
        ids = [*blobs][start:] + [*blobs][:start]
        return {id: objects.blob(id) for id in ids}

    with ThreadPoolExecutor(16) as threads:
        assert all(blobs == found for found in threads.map(read, range(16)))
    assert len([pid for pid in store.pids if is_running(pid)]) <= 8


def test_closing_ends_the_processes(store, objects):
    """Twice is fine; what is read later leaves none behind."""
    id, later = store.put(b"a"), store.put(b"b")
    objects.blob(id)
    objects.close()
    objects.close()
    assert objects.blob(later) == b"b"
    assert [is_running(pid) for pid in store.pids] == [False, False]
