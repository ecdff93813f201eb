"""What a save asks of the system, in what order, and what is left when it is refused.

The faults are the kernel's, by strace; the server is a real one.
"""

import http.client
import json
import os
import re
import subprocess

import pytest
from tracing import require_strace, traced
from victims import Victims

PATIENCE = 20  # seconds for what takes a fraction of one
TEMPORARY = r"/\.[0-9a-f]{16}\.pyconfserve-tmp>"
MOST_CALLS = 60  # of one kind in one save


@pytest.fixture(autouse=True)
def _strace():
    require_strace()


@pytest.fixture
def root(tmp_path):
    """A folder with one bundle."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "orders-prod.yaml").write_text("a: old\n")
    (root / "orders-prod.yaml").chmod(0o640)
    return root


@pytest.fixture
def server(root, tmp_path):
    """`python -m pyconfserve` on it, which has saved once."""
    with Victims([root], tmp_path / "log", whole=True) as victims:
        victims.start()
        assert save(victims, "old")[0] == 200
        yield victims


def ask(server, method, body=None):
    """(status, what the answer says) of a request for orders/prod."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, PATIENCE)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, "/orders/prod", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def save(server, value):
    return ask(server, "POST", json.dumps({"a": value}))


def stored(root):
    """All that is in the folder, hidden files too."""
    return {path.name: path.read_text() for path in root.iterdir()}


def test_a_save_is_on_the_disk_before_it_is_answered(root, server, tmp_path):
    """Write, fsync, rename, fsync of the folder, and then the first byte of the answer."""
    calls = "trace=write,fsync,fdatasync,rename,renameat,renameat2,sendto"
    with traced(server.process, tmp_path / "trace", "-s", "40", "-e", calls):
        assert save(server, "new") == (200, {"saved": True})
    trace = (tmp_path / "trace").read_text()
    steps = [
        rf"write\(\d+<[^>]*{TEMPORARY}, .*\) = \d+",
        rf"fsync\(\d+<[^>]*{TEMPORARY}\) += 0",
        r'rename(at2?)?\(.*"orders-prod.yaml".*\) = 0',
        rf"fsync\(\d+<{re.escape(str(root))}>\) += 0",
        r'(sendto|write)\(\d+<socket:[^>]*>, "HTTP/1.1 200 OK',
    ]
    assert [len([*re.finditer(step, trace)]) for step in steps] == [1, 1, 1, 1, 1], trace
    places = [re.search(step, trace).start() for step in steps]
    assert sorted(places) == places


ROOT, FILE = r"\d+<[^>]*/root>", rf"\d+<[^>]*{TEMPORARY}"
NEW, WRITE, SYNC = rf"openat\({ROOT}, .*O_EXCL", rf"write\({FILE}", rf"fsync\({FILE}"
SYNC_FOLDER, CLOSE, LOCK = rf"fsync\({ROOT}\)", rf"close\({FILE}", rf"flock\({ROOT}"
RENAME = r"rename(at2?)?\("
FAULTS = [
    *[(LOCK, error, status) for error, status in (("EIO", 500), ("ENOLCK", 503))],
    *[(NEW, error, 503) for error in ("EMFILE", "ENFILE", "EROFS", "ENOMEM")],
    *[(NEW, error, 500) for error in ("EACCES", "EPERM", "EIO")],
    *[(NEW, error, 507) for error in ("ENOSPC", "EDQUOT")],
    *[(WRITE, error, 507) for error in ("ENOSPC", "EDQUOT", "EFBIG")],
    *[(call, "EIO", 500) for call in (WRITE, SYNC, SYNC_FOLDER, CLOSE, RENAME)],
    *[(call, "ENOSPC", 507) for call in (SYNC, SYNC_FOLDER, RENAME)],
    *[(call, "EDQUOT", 507) for call in (SYNC, CLOSE)],
    *[(RENAME, error, status) for error, status in (("EACCES", 500), ("EROFS", 503))],
    (rf"fchmod\({FILE}", "EPERM", 500),
    (WRITE, "EINTR", 200),
]  # fmt: skip
CALLS = "openat,write,fsync,close,rename,renameat,renameat2,flock,fchmod"


@pytest.mark.parametrize(("call", "error", "status"), FAULTS, ids=lambda value: re.match(r"[a-z]*", value)[0] or value if isinstance(value, str) else str(value))  # fmt: skip
def test_a_call_that_fails_leaves_the_old_value_whole(call, error, status, root, server, tmp_path):  # fmt: skip
    """No temporary file, the reason's class, and the next save works."""
    *whose, number = place(server, call, tmp_path / "whole")
    before = stored(root)
    trace = inject(server, *whose, number, f"error={error}", tmp_path / "trace")
    assert trace[0] == status, trace
    assert [re.search(call, line) is not None for line in trace[2]] == [True], trace
    expected = {"orders-prod.yaml": "a: mine\n"} if status == 200 else before
    assert expected == stored(root)
    assert str(root) not in json.dumps(trace[1])
    check_works(server, root)


def test_a_write_that_takes_a_part_is_followed_by_the_rest(root, server, tmp_path):
    """The system may take only some bytes of what it is given."""
    *whose, number = place(server, WRITE, tmp_path / "whole")
    limit = "retval=3"
    status, _, lines = inject(server, *whose, number, limit, tmp_path / "trace")
    assert (status, len(lines)) == (200, 1)
    calls = (tmp_path / "trace").read_text()
    assert len(re.findall(WRITE, calls)) == 2
    assert re.search(rf'{WRITE}, "ine', calls) or re.search(rf'{WRITE}, "mine', calls)
    check_works(server, root)


def test_an_fsync_that_failed_is_not_tried_again(root, server, tmp_path):
    """The system may have forgotten what it could not write, and say that all is well."""
    *whose, number = place(server, SYNC, tmp_path / "whole")
    inject(server, *whose, number, "error=EIO", tmp_path / "trace")
    assert len(re.findall(SYNC, (tmp_path / "trace").read_text())) == 1
    check_works(server, root)


@pytest.mark.skipif(not os.environ.get("PYCONFSERVE_FAULTS"), reason="takes minutes: set PYCONFSERVE_FAULTS=1")  # fmt: skip
@pytest.mark.parametrize("kind", ["openat", "close", "fstat", "newfstatat", "utimensat", "fsync", "flock", "fcntl", "getdents64"])  # fmt: skip
def test_every_call_in_turn_may_fail(kind, root, server, tmp_path):
    """A save is made or it is not, whichever of its calls fails."""
    thread, _, _ = place(server, LOCK, tmp_path / "whole")
    for number in range(1, MOST_CALLS):
        before = stored(root)
        done = inject(server, thread, kind, number, "error=EIO", tmp_path / "trace")
        expected = {"orders-prod.yaml": "a: mine\n"} if done[0] == 200 else before
        assert done[0] in (200, 500), done
        assert expected == stored(root), done
        check_works(server, root)
        if not done[2]:
            break
    assert number < MOST_CALLS - 1


def place(server, call, log):
    """(thread, name of the system's call, the how manieth of its kind there it is)."""
    with traced(server.process, log, "-e", f"trace={CALLS}"):
        assert save(server, "old")[0] == 200
    lines = log.read_text().splitlines()
    found = next(line for line in lines if re.search(call, line))
    thread, name = re.match(r"(\d+) +([a-z0-9]+)\(", found).groups()
    same = [line for line in lines if re.match(rf"{thread} +{name}\(", line)]
    return thread, name, same.index(found) + 1


def inject(server, thread, name, number, what, log):
    """Save `mine` while one call is made to fail: (status, answer, its lines)."""
    fault = ("-e", f"trace={CALLS},{name}", "-e", f"inject={name}:{what}:when={number}")
    with traced(thread, log, *fault, follows=False):
        done = save(server, "mine")
    lines = log.read_text().splitlines()
    return *done, [line for line in lines if "(INJECTED)" in line]


def check_works(server, root):
    """The next save is stored, kept in the file's mode, and read."""
    assert save(server, "old")[0] == 200
    assert stored(root) == {"orders-prod.yaml": "a: old\n"}
    assert os.stat(root / "orders-prod.yaml").st_mode & 0o777 == 0o640
    assert ask(server, "GET")[1]["propertySources"][0]["source"] == {"a": "old"}


def test_where_no_folder_can_be_locked_a_hidden_file_is(root, server, tmp_path):
    """NFS locks only what is open for writing."""
    *whose, number = place(server, LOCK, tmp_path / "whole")
    done = inject(server, *whose, number, "error=EBADF", tmp_path / "trace")
    assert (done[0], len(done[2])) == (200, 1)
    assert stored(root) == {"orders-prod.yaml": "a: mine\n", ".pyconfserve-lock": ""}


def test_a_commit_is_on_the_disk_before_it_is_answered(tmp_path):
    """Each object, then the ref, then its folder, and then the answer's first byte."""
    pytest.importorskip("git")
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    author = ["-c", "user.name=x", "-c", "user.email=x@x.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(origin)], check=True)
    subprocess.run(["git", "-C", str(origin), *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)  # fmt: skip
    arguments = [f"file://{origin}", "--clone-dir", clone]
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,sendto,write"
    with Victims(arguments, tmp_path / "log", whole=True) as victims:
        victims.start()
        assert save(victims, "old")[0] == 200
        with traced(victims.process, tmp_path / "trace", "-s", "40", "-e", calls):
            assert save(victims, "new")[0] == 200
    trace = (tmp_path / "trace").read_text()
    objects = {found.start(): found[1] for found in re.finditer(r"fsync\(\d+<[^>]*/objects/(../[0-9a-f]{38})>\)", trace)}  # fmt: skip
    moved = re.search(r'rename(at2?)?\(.*/main.lock".*\) += 0', trace)
    synced = [found.start() for found in re.finditer(r"fsync\(\d+<[^>]*/refs/heads>\) += 0", trace)]  # fmt: skip
    answered = re.search(r'(sendto|write)\(\d+<socket:[^>]*>, "HTTP/1.1 200 OK', trace)
    assert len(set(objects.values())) == 3, trace  # a blob, a tree and a commit
    assert max(objects) < moved.start() < max(synced) < answered.start()
