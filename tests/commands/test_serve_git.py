"""serve: a git repository over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec

import pytest

from pyconfserve import __version__

with_gitpython = pytest.mark.skipif(
    find_spec("git") is None, reason="pip install 'pyconfserve[git]'"
)


def git(folder, *arguments):
    """What git prints in *folder*, by a user of its own."""
    user = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    command = ["git", "-C", str(folder), *user, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def work(tmp_path):
    """A working folder `work` with one commit on `main`, and a bare clone beside it."""
    folder = tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "work")
    (folder / "orders-prod.json").write_text('{"db": {"pool": 20}}')
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=one")
    git(tmp_path, "clone", "--quiet", "--bare", "work", "bare.git")
    return folder


def document(serving, target="/orders/prod"):
    status, content = serving.ask(target)
    assert status == 200, content
    return json.loads(content)


@with_gitpython
@pytest.mark.parametrize("root", ["bare.git", "git+work", "git+file://{}/work", "file://{}/work"])
def test_a_repository_is_served_by_its_address(serve, work, tmp_path, root):
    """Its commit is the version, its address without `git+` stands in the first line."""
    root = root.format(tmp_path)
    serving = serve(root, "--port", "0")
    shown = root.removeprefix("git+")
    expected = f"pyconfserve {__version__} serving {shown} on {serving.url}\n"
    assert expected == serving.first_line
    assert {
        "name": "orders",
        "profiles": ["prod"],
        "label": "main",
        "version": git(work, "rev-parse", "HEAD"),
        "state": "",
        "propertySources": [{"name": "orders-prod", "source": {"db.pool": 20}}],
    } == document(serving)
    assert serving.end(signal.SIGTERM)[:2] == (0, "")


@with_gitpython
def test_a_repository_is_served_in_springs_dialect(serve, work, tmp_path):
    """ROOT stands in for `spring.cloud.config.server.git.uri`."""
    serving = serve("bare.git", "--spring", "--port", "0", "--clone-dir", "clones")
    found = document(serving, "/orders/prod")
    assert found.pop("propertySources") == []  # Spring reads no .json
    assert {
        "name": "orders",
        "profiles": ["prod"],
        "label": None,
        "version": git(work, "rev-parse", "HEAD"),
        "state": "",
    } == found
    assert len(os.listdir(tmp_path / "clones")) == 1


@with_gitpython
def test_a_working_folder_is_served_as_files(serve, work):
    """What lies there counts, committed or not."""
    (work / "orders-prod.json").write_text('{"db": {"pool": 99}}')
    source = document(serve("work", "--port", "0"))["propertySources"][0]["source"]
    assert source == {"db.pool": 99}


@with_gitpython
def test_a_save_is_a_commit_in_the_clone(serve, work, tmp_path):
    """Origin is left alone; the clone is found again after a restart without origin."""
    serving = serve("git+work", "--port", "0", "--clone-dir", "clone")
    saved = serving.ask("/orders/prod", "POST", body=b'{"db": {"pool": 30}}')
    assert saved == (200, '{"saved":true}')
    serving.end(signal.SIGTERM)
    assert git(work, "log", "--format=%s", "main") == "one"
    work.rename(tmp_path / "away")
    again = serve("git+work", "--port", "0", "--clone-dir", "clone")
    assert document(again)["propertySources"][0]["source"] == {"db.pool": 30}
    assert git(tmp_path / "clone", "log", "--format=%s", "main") == "save orders/prod\none"


@with_gitpython
def test_a_webhook_makes_it_look(serve, work):
    """A push shows without waiting for the next look."""
    serving = serve("git+work", "--port", "0", "--refresh-rate", "0", "--unsigned-monitor")
    before = document(serving)["version"]
    (work / "orders-prod.json").write_text('{"db": {"pool": 40}}')
    git(work, "commit", "--quiet", "--all", "--message=two")
    assert before == document(serving)["version"]
    asked = serving.ask(
        "/monitor", "POST", ["Content-Type: application/json"], b'{"path": ["orders.yml"]}'
    )
    assert asked[0] == 200, asked
    expected = git(work, "rev-parse", "HEAD")
    for _ in range(10_000):
        if document(serving)["version"] == expected:
            break
    assert document(serving)["propertySources"][0]["source"] == {"db.pool": 40}


@with_gitpython
@pytest.mark.parametrize(
    ("root", "status", "problem"),
    [
        ("file:///nowhere/at.git", 1, "origin cannot be fetched: there is no such repository"),
        ("https://127.0.0.1:{port}/r.git", 1, "origin cannot be fetched: the connection was refused"),
        ("git+ext::sh -c id", 2, "expected a URI that starts no program"),
        ("http://example.com/r.git", 2, "http:// is not encrypted: if that is wanted, set backend.git.uri in a --settings file"),
    ],
    ids=["absent", "refused", "program", "not-encrypted"],
)  # fmt: skip
def test_what_cannot_be_served_is_said(run, root, status, problem):
    """At the start, with the reason and without a traceback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        root = root.format(port=free.getsockname()[1])
        code, out, err = run(root, "--port", "0")
    assert (status, "") == (code, out)
    assert f"pyconfserve: error: {problem}" == err.splitlines()[-1]
    assert "Traceback" not in err


@with_gitpython
def test_credentials_of_an_address_are_not_shown(run):
    """Neither in the error nor in the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        code, out, err = run(f"https://me:s3cret@127.0.0.1:{port}/r.git", "--port", "0")
    assert (code, out) == (1, "")
    assert f"https://127.0.0.1:{port}/r.git: origin cannot be fetched" in err
    assert "s3cret" not in err


@with_gitpython
def test_a_signal_ends_a_start_that_hangs(tmp_path, environ):
    """Origin takes the connection and says nothing: SIGTERM is obeyed all the same."""
    with socket.create_server(("127.0.0.1", 0)) as origin:
        origin.settimeout(20)
        uri = f"https://127.0.0.1:{origin.getsockname()[1]}/r.git"
        command = [sys.executable, "-m", "pyconfserve", uri, "--port", "0"]
        with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
            connection, _ = origin.accept()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            connection.close()


@with_gitpython
@pytest.mark.parametrize(
    ("flags", "is_said"),
    [((), True), (("--read-only",), False), (("--clone-dir", "clone"), False)],
    ids=["temporary", "read-only", "kept"],
)
def test_saves_that_nobody_keeps_are_warned_of(serve, work, flags, is_said):
    """A temporary clone goes with the server."""
    serving = serve("git+work", "--port", "0", *flags)
    _, _, err = serving.end(signal.SIGTERM)
    warning = (
        "WARNING pyconfserve.auto_configuration: "
        "pyfly.config-server.backend.git.clone-dir (--clone-dir) is not set: "
        "saves are kept until this server stops, and then nobody has them\n"
    )
    assert (warning in err) is is_said


@with_gitpython
def test_locations_of_the_environment_are_not_those_of_a_repository(serve, work, tmp_path):
    """ROOT replaces them, as that of a folder does."""
    elsewhere = str(tmp_path / "elsewhere")
    serving = serve(
        "git+work", "--port", "0", "--clone-dir", "clone",
        PYCONFSERVE_SEARCH_LOCATIONS=elsewhere,
    )  # fmt: skip
    saved = serving.ask("/orders/dev", "POST", body=b'{"a": 1}')
    assert saved == (200, '{"saved":true}')
    assert git(tmp_path / "clone", "show", "main:orders-dev.yaml") == "a: 1"


@pytest.mark.parametrize("flag", [("--clone-dir", "clone"), ("--refresh-rate", "5")])
def test_a_flag_of_git_for_a_folder_is_refused(run, folder, flag):
    """It would be ignored without a word."""
    expected = f"pyconfserve: error: {flag[0]} is for a git repository\n"
    assert run("cfg", "--port", "0", *flag) == (2, "", expected)


@pytest.mark.parametrize("name", ["PYCONFSERVE_ROOT", "PYCONFSERVE_SEARCH_LOCATIONS"])
def test_an_address_in_place_of_a_folder_shows_no_password(run, name):
    """It is no folder, and that is said without what it holds."""
    expected = "pyconfserve: error: https://a.b/c is not a folder\n"
    assert run("--port", "0", **{name: "https://me:s3cret@a.b/c"}) == (2, "", expected)


def test_a_repository_without_gitpython_is_refused(tmp_path, environ):
    """It was asked for in so many words: exit status 2, and how to install it."""
    (tmp_path / "hidden").mkdir()
    code = "import sys; sys.modules['git'] = None; from pyconfserve.commands import main; sys.exit(main(['https://a.b/c']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True
    )
    expected = "pyconfserve: error: the git backend needs git: pip install 'pyconfserve[git]'\n"
    assert (2, "", expected) == (done.returncode, done.stdout, done.stderr)
    assert os.listdir(tmp_path) == ["hidden"]
