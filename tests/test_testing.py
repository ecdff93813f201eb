"""testing: the fixture, in a pytest of its own and in this one."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest_plugins = ["pyconfserve.testing"]
PROJECT = Path(__file__).parents[1]
PROBE = """
import sys
import pytest
before = set(sys.modules)
import pyconfserve.testing
print(*sorted(name for name in set(sys.modules) - before if name.startswith("pyconfserve")))
print(*sorted({"asyncio", "json", "yaml", "httpx"} & (set(sys.modules) - before)))
"""
WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "pytest":
            raise ModuleNotFoundError("No module named 'pytest'", name="pytest")
del sys.modules["pytest"]
sys.meta_path.insert(0, Absent())
try:
    import pyconfserve.testing
except ImportError as error:
    print(type(error).__name__, error)
"""


def python(*arguments, cwd=PROJECT):
    """(exit status, stdout) of a Python of its own, with this project."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_fixture_serves(config_server):
    """What it gives is a running server."""
    served = config_server({("orders", "prod"): {"db": {"pool": 1}}})
    with urlopen(f"{served.url}/orders/prod", timeout=10) as answer:
        document = json.loads(answer.read())
    assert document["propertySources"] == [
        {"name": "orders-prod", "source": {"db.pool": 1}}
    ]
    assert [request.path for request in served.requests] == ["/orders/prod"]


def test_a_server_may_begin_empty(config_server):
    """And be filled as the test goes on."""
    served = config_server()
    served.set("orders", "prod", {"a": 1})
    with urlopen(f"{served.url}/orders/prod", timeout=10) as answer:
        assert answer.status == 200


def test_all_servers_of_a_test_end_with_it(tmp_path):
    """In a project whose warnings are errors, with the plug-in named by -p."""
    (tmp_path / "test_it.py").write_text(
        "import socket, threading, pytest\n"
        "ports = []\n"
        "def test_first(config_server):\n"
        "    for _ in range(2):\n"
        "        served = config_server({'orders/prod': {'a': 1}})\n"
        "        ports.append(int(served.url.rpartition(':')[2]))\n"
        "def test_second():\n"
        "    assert len(set(ports)) == 2\n"
        "    assert threading.active_count() == 1\n"
        "    for port in ports:\n"
        "        with pytest.raises(ConnectionRefusedError):\n"
        "            socket.create_connection(('127.0.0.1', port), 10)\n"
    )
    options = ["-q", "-p", "pyconfserve.testing", "-p", "no:cacheprovider"]
    status, text = python("-m", "pytest", "-W", "error", *options, cwd=tmp_path)
    assert (status, "2 passed" in text) == (0, True), text


def test_an_unused_plug_in_loads_nothing():
    """Neither the server nor asyncio: it is loaded in every run of pytest."""
    expected = "pyconfserve pyconfserve.errors pyconfserve.testing\n\n"
    assert python("-c", PROBE) == (0, expected)


def test_without_pytest_the_error_says_so():
    """With the line that installs it."""
    message = "the fixture config_server needs pytest: pip install 'pytest'"
    assert python("-c", WITHOUT_PYTEST) == (0, f"MissingDependency {message}\n")


def test_pytest_finds_the_plug_in():
    """By an entry point of the module's own name.

    Only so can a project also name it in `pytest_plugins`, or by -p: pytest refuses one
    module under two names.
    """
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {
        "pyconfserve.testing": "pyconfserve.testing"
    }


@pytest.mark.parametrize("names", [("orders", "prod"), "orders/prod"])
def test_bundles_by_names_or_by_text(config_server, names):
    """Whichever reads better."""
    served = config_server({names: {"a": 1}})
    with urlopen(f"{served.url}/orders/prod", timeout=10) as answer:
        assert answer.status == 200
