"""commands: which command runs, and its exit status."""

import pytest

from pyconfserve import __version__
from pyconfserve.commands import COMMANDS


def test_the_table_of_commands():
    """What exists by now."""
    assert sorted(COMMANDS) == ["check", "copy", "decrypt", "diff", "encrypt", "explain", "get", "history", "rollback", "run", "serve", "user"]


@pytest.mark.parametrize("command", [(), ("serve",)], ids=["no name", "serve"])
def test_serve_is_the_command_without_a_name(serve, folder, command):
    """ROOT alone is enough."""
    serving = serve(*command, "cfg", "--port", "0")
    assert (
        f"pyconfserve {__version__} serving cfg on {serving.url}\n"
        == serving.first_line
    )


def test_a_folder_named_like_a_command_needs_a_dot(serve, run, tmp_path):
    """`serve` is the command, `./serve` the folder."""
    (tmp_path / "serve").mkdir()
    (tmp_path / "serve" / "orders-prod.json").write_text("{}")
    expected = (
        2,
        "",
        "pyconfserve: error: say what to serve: python -m pyconfserve ROOT\n",
    )
    assert expected == run("serve")
    assert serve("./serve", "--port", "0").ask("/orders/prod")[0] == 200
    assert serve("serve", "serve", "--port", "0").ask("/orders/prod")[0] == 200


@pytest.mark.parametrize("arguments", [("--version",), ("serve", "--version")])
def test_version(run, arguments):
    """Asking for it is no error."""
    assert (0, f"pyconfserve {__version__}\n", "") == run(*arguments)


def test_help_names_every_flag_of_this_version(run):
    """With the environment variable of each."""
    status, text, errors = run("--help")
    flags = [
        ("--host", "HOST"),
        ("--port", "PORT"),
        ("--base-path", "BASE_PATH"),
        ("--label", "LABEL"),
        ("--search-location", "SEARCH_LOCATIONS"),
        ("--refresh-interval", "REFRESH_INTERVAL"),
        ("--read-only", "READ_ONLY"),
        ("--allow-host", "ALLOW_HOSTS"),
        ("--insecure", "INSECURE"),
        ("--log-format", "LOG_FORMAT"),
    ]
    missing = [
        name
        for flag, variable in flags
        for name in (flag, f"[PYCONFSERVE_{variable}]")
        if name not in text
    ]
    assert (status, errors, missing) == (0, "", [])


def test_what_the_users_data_did_is_exit_1(run, folder, tmp_path):
    """A class of one's own that cannot reach its store, say: one line, no traceback."""
    (tmp_path / "store.py").write_text(
        "from pyconfserve.errors import BackendUnavailable\n"
        "class Store:\n"
        "    def __init__(self): raise BackendUnavailable('the store does not answer')\n"
    )
    (tmp_path / "settings.json").write_text(
        '{"pyfly.config-server.backend.type": "store:Store"}'
    )
    expected = (1, "", "pyconfserve: error: the store does not answer\n")
    assert expected == run("--settings", "settings.json")


def test_a_library_that_is_missing_is_exit_2(run, tmp_path):
    """It says how to install it."""
    (tmp_path / "store.py").write_text(
        "from pyconfserve.errors import MissingDependency\n"
        "raise MissingDependency(\"this store needs redis: pip install 'pyconfserve[redis]'\")\n"
    )
    (tmp_path / "settings.json").write_text(
        '{"pyfly.config-server.backend.type": "store:Store"}'
    )
    expected = (
        2,
        "",
        "pyconfserve: error: this store needs redis: pip install 'pyconfserve[redis]'\n",
    )
    assert expected == run("--settings", "settings.json")
