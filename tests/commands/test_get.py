"""get: what a server gives, in each format, as a user runs it."""

import base64
import json
import os
import socket
import subprocess
import sys

import pytest

from pyconfserve.environment.formats import parse

pytest_plugins = ["pyconfserve.testing"]
TREE = {
    "db": {"pool": 20, "url": "jdbc:x://y?a=b&c='d'", "password": "$(touch pwned)`id`\n\"'"},
    "tags": ["a", "b"],
    "is-on": True,
    "ratio": 0.5,
    "greeting": "grüße",
}
FLAT = {
    "db.pool": 20,
    "db.url": "jdbc:x://y?a=b&c='d'",
    "db.password": "$(touch pwned)`id`\n\"'",
    "tags[0]": "a",
    "tags[1]": "b",
    "is-on": True,
    "ratio": 0.5,
    "greeting": "grüße",
}


@pytest.fixture
def served(config_server):
    """A server with one configuration, and another for a label."""
    return config_server({"orders/prod": TREE, "orders/default/v2": {"a": 1}})


@pytest.mark.parametrize("name", ["json", "yaml", "properties"])
def test_a_format_reads_back_as_it_was(run, served, name):
    """With every value, and in `.properties` every text."""
    status, out, errors = run("get", served.url, "orders", "prod", "--format", name)
    assert (status, errors, out[-1]) == (0, "", "\n")
    [document] = parse(out.encode(), name)
    found = {key: entry.value for key, entry in document.entries.items()}
    texts = {"db.pool": "20", "is-on": "true", "ratio": "0.5"}
    assert found == (FLAT | texts if name == "properties" else FLAT)


def test_json_is_what_comes_unless_asked(run, served):
    """Nested, for people to read."""
    status, out, errors = run("get", served.url, "orders", "prod")
    assert (status, json.loads(out), errors) == (0, TREE, "")
    assert out.startswith('{\n  "db": {\n    "pool": 20,\n')


def test_keys_that_make_no_tree_are_exit_1(run, config_server):
    """In a format that needs one; others show them."""
    served = config_server({"orders/prod": {"a..b": 1}})
    expected = "pyconfserve: error: format: a key has an empty part or a bad index\n"
    assert run("get", served.url, "orders", "prod") == (1, "", expected)
    shown = run("get", served.url, "orders", "prod", "--format", "properties")
    assert shown == (0, "a..b=1\n", "")


def test_variables_are_safe_for_a_shell(run, served, tmp_path):
    """Whatever stands in a value, a shell reads it back and runs none of it."""
    status, out, errors = run("get", served.url, "orders", "prod", "--format", "env")
    assert (status, errors) == (0, "")
    assert out.splitlines()[0] == "DB_POOL=20"
    script = 'set -a; . ./env; printf "%s|%s|%s" "$DB_PASSWORD" "$TAGS_1" "$GREETING"'
    (tmp_path / "env").write_text(out, encoding="utf-8")
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, timeout=20, env={})
    assert (done.stdout, done.stderr) == (f"{TREE['db']['password']}|b|grüße", "")
    assert not (tmp_path / "pwned").exists()


def test_what_is_no_variable_is_reported(run, config_server):
    """On standard error, without its value; the others come."""
    served = config_server({"orders/prod": {"a.b": "1", "a-b": "secret", "1/b": "secret"}})
    expected = (
        0,
        "A_B=1\n",
        "pyconfserve: 'a-b' is left out: it would be A_B, which 'a.b' is already\n"
        "pyconfserve: '1/b' is left out: it is no name of a variable\n",
    )
    assert run("get", served.url, "orders", "prod", "--format", "env") == expected


@pytest.mark.parametrize(
    ("key", "text"),
    [("db.pool", "20"), ("is-on", "true"), ("tags[1]", "b"), ("greeting", "grüße"), ("db.password", FLAT["db.password"])],
)
def test_one_value(run, served, key, text):
    """As it is, and a line's end."""
    assert run("get", served.url, "orders", "prod", "--key", key) == (0, f"{text}\n", "")


def test_a_key_that_is_absent(run, served):
    """Also one that is only the beginning of others."""
    asked = ("get", served.url, "orders", "prod", "--key")
    for key in ("d", "db.", "tags[", "greeting.x"):
        assert run(*asked, key) == (1, "", f"pyconfserve: error: there is no {key}\n")
    expected = "there is no db, but below it are 'db.pool', 'db.url', 'db.password'"
    assert run(*asked, "db") == (1, "", f"pyconfserve: error: {expected}\n")
    expected = "there is no tags, but below it are 'tags[0]', 'tags[1]'"
    assert run(*asked, "tags") == (1, "", f"pyconfserve: error: {expected}\n")


def test_of_many_keys_below_one_the_first_are_named(run, config_server):
    """Escaped, as they may hold what a terminal obeys."""
    served = config_server({"orders/prod": {"a": {f"k{number}\x1b": 1 for number in range(9)}}})
    status, out, errors = run("get", served.url, "orders", "prod", "--key", "a")
    named = ", ".join(f"'a.k{number}\\x1b'" for number in range(5))
    assert (status, out) == (1, "")
    assert errors == f"pyconfserve: error: there is no a, but below it are {named} and 4 more\n"


def got(served, environ, output):
    """Exit status and stderr of a `get` that writes to *output*."""
    command = [sys.executable, "-m", "pyconfserve", "get", served.url, "orders", "prod"]
    done = subprocess.run(command, env=environ, stdout=output, stderr=subprocess.PIPE, text=True, timeout=20)
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_output_that_cannot_be_written_is_exit_1(served, environ):
    """In one line, whatever is left in buffers."""
    with open("/dev/full", "wb") as full:
        expected = "pyconfserve: error: standard output: No space left on device\n"
        assert got(served, environ, full) == (1, expected)


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_pipe_that_nobody_reads_ends_it_quietly(config_server, environ, size):
    """As `cat` ends: with the status of SIGPIPE as a shell has it."""
    served = config_server({"orders/prod": {"a": "x" * size}})
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as output:
        assert got(served, environ, output) == (141, "")


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
def test_closed_output_is_exit_1(served, environ):
    """There is no stream then."""
    script = 'exec "$@" >&-'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "pyconfserve", "get", served.url, "orders", "prod"]
    done = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (1, "pyconfserve: error: standard output: it is closed\n")


def test_profile_and_label_are_by_place(run, served):
    """Profile `default`, the server's own label, until they are named; flags anywhere."""
    assert run("get", "--format", "json", served.url, "orders", "default", "v2") == (0, '{\n  "a": 1\n}\n', "")
    assert run("get", served.url, "--format", "json", "orders", "default", "v2") == (0, '{\n  "a": 1\n}\n', "")
    assert run("get", served.url, "orders")[0] == 1
    paths = [request.path for request in served.requests]
    assert paths == ["/orders/default/v2", "/orders/default/v2", "/orders/default"]


def test_placeholders_stay_unless_asked(run, config_server):
    """They may be for somebody else."""
    served = config_server({"orders/prod": {"a": "${b}", "b": "x"}})
    asked = ("get", served.url, "orders", "prod", "--key", "a")
    assert run(*asked) == (0, "${b}\n", "")
    assert run(*asked, "--resolve") == (0, "x\n", "")


def test_no_configuration_is_exit_1(run, config_server):
    """With whom was asked, and nothing on standard output."""
    served = config_server()
    status, out, errors = run("get", served.url, "orders", "prod")
    assert (status, out, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"pyconfserve: error: {served.url}")


def test_no_server_is_exit_1(run):
    """In one line."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        status, out, errors = run("get", url, "orders", "prod", "--timeout", "5")
    assert (status, out, errors.count("\n")) == (1, "", 1)


def test_credentials_come_from_the_environment(run, served):
    """Or the name from a flag."""
    environ = {"CONFIG_CLIENT_USERNAME": "u", "CONFIG_CLIENT_PASSWORD": "hunter2"}
    assert run("get", served.url, "orders", "prod", **environ)[0] == 0
    assert run("get", served.url, "orders", "prod", "--username", "v", **environ)[0] == 0
    assert [request.headers["authorization"] for request in served.requests] == [
        f"Basic {base64.b64encode(pair).decode()}" for pair in (b"u:hunter2", b"v:hunter2")
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"], ids=["bare", "line", "Windows"])
def test_or_the_password_from_a_file(run, served, tmp_path, end):
    """Without the end of its line."""
    (tmp_path / "secret").write_bytes(b"pw " + end)
    arguments = ("--username", "u", "--password-file", "secret")
    assert run("get", served.url, "orders", "prod", *arguments)[0] == 0
    [request] = served.requests
    assert request.headers["authorization"] == f"Basic {base64.b64encode(b'u:pw ').decode()}"


MISTAKES = [
    ("credentials in the url", ("http://u:hunter2@127.0.0.1:1", "orders"), {}, "credentials in URL: everyone on this machine can read it: use CONFIG_CLIENT_USERNAME and CONFIG_CLIENT_PASSWORD"),
    ("in a later one", ("http://a,http://u:hunter2@b", "orders"), {}, "credentials in URL: everyone on this machine can read it: use CONFIG_CLIENT_USERNAME and CONFIG_CLIENT_PASSWORD"),
    ("a name alone", ("http://127.0.0.1:1", "orders", "--username", "u"), {}, "CONFIG_CLIENT_PASSWORD: is needed, or --password-file, for u"),
    ("a password alone", ("http://127.0.0.1:1", "orders"), {"CONFIG_CLIENT_PASSWORD": "hunter2"}, "CONFIG_CLIENT_USERNAME: is needed, or --username, for a password"),
    ("no such file", ("http://127.0.0.1:1", "orders", "--username", "u", "--password-file", "absent"), {}, "absent: cannot be read: No such file or directory"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "variables", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_how_it_was_called_is_exit_2(run, arguments, variables, message):
    """And no password is repeated."""
    assert run("get", *arguments, **variables) == (2, "", f"pyconfserve: error: {message}\n")


@pytest.mark.parametrize(
    "arguments",
    [(), ("http://a",), ("http://a", "b", "--format", "xml"), ("http://a", "b", "--key", "k", "--format", "env"),
     ("http://a", "b", "c", "d", "e"), ("http://a", "b", "--timeout", "0"), ("http://a", "b", "--password", "x")],
    ids=["nothing", "no application", "no such format", "both", "too many", "no time", "a password"],
)  # fmt: skip
def test_what_is_not_understood_is_exit_2(run, arguments):
    """With the usage."""
    status, out, errors = run("get", *arguments)
    assert (status, out) == (2, "")
    assert errors.startswith("usage: python -m pyconfserve get")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://[", "", "config:8888"])
def test_an_address_that_is_none(run, url):
    """No file is ever read."""
    status, out, errors = run("get", url, "orders")
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("pyconfserve: error: url: ")


def test_help_says_where_credentials_come_from(run):
    """And names every flag."""
    status, text, errors = run("get", "--help")
    assert (status, errors) == (0, "")
    flags = ("--format", "--key", "--username", "--password-file", "--timeout", "--ca-file", "--client-cert", "--client-key", "--snapshot", "--resolve", "CONFIG_CLIENT_PASSWORD")
    assert [flag for flag in flags if flag not in text] == []
