"""A disk that is full, with a real server on it."""

import http.client
import json
import random
import shutil
import subprocess

import pytest
from victims import PATIENCE, Victims


def in_own_mounts(folder):
    """The command that runs a program whose *folder* is a disk of 1 MB, for it alone."""
    mount = f"mount -t tmpfs -o size=1m none '{folder}' && exec \"$@\""
    before = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed (util-linux)")
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    return before


def of_folder(tmp_path):
    """A server's arguments, and where it writes."""
    return [tmp_path / "disk"], tmp_path / "disk"


def of_git(tmp_path):
    """The same for a clone."""
    pytest.importorskip("git")
    origin = tmp_path / "origin"
    author = ["-c", "user.name=x", "-c", "user.email=x@x.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(origin)], check=True)
    subprocess.run(["git", "-C", str(origin), *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)  # fmt: skip
    disk = tmp_path / "disk"
    return [f"file://{origin}", "--clone-dir", disk / "clone"], disk


def ask(port, method, application, body=None):
    """(status, the answer) of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, PATIENCE)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, f"/{application}/prod", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def save(port, application, value):
    return ask(port, "POST", application, json.dumps({"a": value}))[0]


@pytest.mark.parametrize("store", [of_folder, of_git], ids=["folder", "git"])
def test_a_full_disk_loses_nothing(store, tmp_path):
    """507, and every value is as it was last acknowledged. In a folder a small save
    works again; in a clone what could not be finished takes room until git removes it.
    """
    arguments, disk = store(tmp_path)
    disk.mkdir()
    before = in_own_mounts(disk)
    digits = random.Random(1)
    with Victims(arguments, tmp_path / "log", whole=True, before=before) as victims:
        victims.start()
        port, kept, statuses = victims.port, {}, []
        for number in range(8):
            name = f"app{number % 4}"
            value = f"{digits.getrandbits(1_200_000):x}"
            statuses.append(save(port, name, value))
            if statuses[-1] == 200:
                kept[name] = value
        for name, value in kept.items():
            found = ask(port, "GET", name)[1]["propertySources"][0]["source"]
            assert found == {"a": value}
        assert store is of_git or save(port, "small", "b") == 200
    assert 507 in statuses
    assert set(statuses) <= {200, 507}
