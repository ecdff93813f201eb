"""run: a command with the configuration as its environment, in our process's place."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

pytest_plugins = ["pyconfserve.testing"]
COMMAND = [sys.executable, "-m", "pyconfserve"]
PATIENCE = 20  # seconds for what takes a fraction of one
SHOW = ("--", sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")


@pytest.fixture
def served(config_server):
    """A server with one configuration."""
    return config_server({"orders/prod": {"db": {"pool-size": 20}, "tags": ["a", "grüße\n$(id)"]}})


def shown(done):
    """The environment that a command printed."""
    status, out, errors = done
    assert status == 0, errors
    return json.loads(out)


def test_the_configuration_is_the_environment(run, served, environ):
    """Beside what was there; with every character."""
    found = shown(run("run", served.url, "orders", "prod", *SHOW))
    ours = {"DB_POOL_SIZE": "20", "TAGS_0": "a", "TAGS_1": "grüße\n$(id)"}
    assert {name: found.get(name) for name in ours} == ours
    assert {name: found.get(name) for name in environ} == environ


def test_what_is_set_already_stays(run, served):
    """And is reported, without any value."""
    done = run("run", served.url, "orders", "prod", *SHOW, TAGS_0="mine", DB_POOL_SIZE="20")
    assert shown(done)["TAGS_0"] == "mine"
    assert done[2] == "pyconfserve: 'tags[0]' is left out: TAGS_0 is set already (--override)\n"


def test_unless_it_is_overridden(run, served):
    """Then nothing is to be reported."""
    done = run("run", "--override", served.url, "orders", "prod", *SHOW, TAGS_0="mine")
    assert (shown(done)["TAGS_0"], done[2]) == ("a", "")


@pytest.mark.parametrize("flags", [(), ("--override",)])
def test_the_command_is_found_where_the_caller_would(run, config_server, tmp_path, flags):
    """A server does not choose what is run."""
    (tmp_path / "echo").write_text("#!/bin/sh\necho stolen\n")
    (tmp_path / "echo").chmod(0o755)
    served = config_server({"orders/prod": {"path": str(tmp_path)}})
    done = run("run", *flags, served.url, "orders", "prod", "--", "echo", "mine")
    problem = "'path' is left out: it would be PATH, which loads code into programs"
    assert done == (0, "mine\n", f"pyconfserve: {problem}\n")


def test_what_is_no_variable_is_reported(run, config_server):
    """And the command runs without it."""
    served = config_server({"orders/prod": {"a.b": 1, "a-b": 2, "0": 3}})
    done = run("run", served.url, "orders", "prod", *SHOW)
    assert shown(done)["A_B"] == "1"
    assert done[2] == (
        "pyconfserve: 'a-b' is left out: it would be A_B, which 'a.b' is already\n"
        "pyconfserve: '0' is left out: it is no name of a variable\n"
    )


@pytest.mark.parametrize("expected", [0, 1, 3, 255])
def test_the_exit_status_is_the_commands(run, served, expected):
    """Whichever it is."""
    assert run("run", served.url, "orders", "prod", "--", "sh", "-c", f"exit {expected}") == (expected, "", "")


def test_its_arguments_are_its_own(run, served):
    """Flags that look like ours, `--` and empty ones too."""
    script = "import sys; print(sys.argv[1:])"
    arguments = ["--override", "--", "", "$HOME", "--help"]
    done = run("run", served.url, "orders", "prod", "--", sys.executable, "-c", script, *arguments)
    assert done == (0, f"{arguments}\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_signals_are_for_the_command(served, environ, number):
    """It is the process that was started, and it ends by the signal."""
    script = "import os, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    arguments = ["run", served.url, "orders", "prod", "--", sys.executable, "-c", script]
    with subprocess.Popen([*COMMAND, *arguments], env=environ, stdout=subprocess.PIPE) as process:
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no /proc")
def test_the_command_ignores_no_signal_that_we_ignore(served, environ):
    """Python ignores SIGPIPE, which would be inherited: `yes | head` would not end."""
    cat = shutil.which("cat")  # by its path, as subprocess starts what has one its own way
    bare = subprocess.run([cat, "/proc/self/status"], capture_output=True, text=True, timeout=PATIENCE)
    arguments = ["run", served.url, "orders", "prod", "--", cat, "/proc/self/status"]
    ours = subprocess.run([*COMMAND, *arguments], env=environ, capture_output=True, text=True, timeout=PATIENCE)
    for name in ("SigIgn", "SigBlk"):
        assert line_of(ours.stdout, name) == line_of(bare.stdout, name)


def line_of(text, name):
    """The line of a status that begins with *name*."""
    return next(line for line in text.splitlines() if line.startswith(name))


def test_standard_input_is_the_commands(served, environ):
    """All of it."""
    arguments = ["run", served.url, "orders", "prod", "--", "cat"]
    done = subprocess.run([*COMMAND, *arguments], env=environ, input="a\nb", capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (0, "a\nb")


def test_a_command_that_is_not_there(run, served, tmp_path):
    """127, as shells have it; 126 for what cannot be run."""
    arguments = ("run", served.url, "orders", "prod", "--")
    assert run(*arguments, "./absent") == (127, "", "pyconfserve: error: ./absent: No such file or directory\n")
    (tmp_path / "text").write_text("x")
    assert run(*arguments, "./text") == (126, "", "pyconfserve: error: ./text: Permission denied\n")


def test_without_a_configuration_nothing_is_run(run, tmp_path):
    """Not even with an empty one."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        status, out, _ = run("run", url, "orders", "--timeout", "5", "--", "touch", "ran")
    assert (status, out, (tmp_path / "ran").exists()) == (1, "", False)


def test_a_snapshot_stands_in_for_a_server_that_is_away(run, served):
    """So that a service can start again."""
    arguments = ("run", "--snapshot", "kept", served.url, "orders", "prod", *SHOW)
    assert shown(run(*arguments))["DB_POOL_SIZE"] == "20"
    served.close()
    assert shown(run(*arguments))["DB_POOL_SIZE"] == "20"


def test_a_label_is_a_flag(run, config_server):
    """As the command comes after the profile."""
    served = config_server({"orders/default/v2": {"a": 2}})
    assert shown(run("run", "--label", "v2", served.url, "orders", *SHOW))["A"] == "2"


@pytest.mark.parametrize("arguments", [(), ("http://a", "b"), ("http://a", "b", "--"), ("--", "x"), ("http://a", "b", "c", "d", "--", "x")])
def test_what_is_not_understood_is_exit_2(run, arguments):
    """With the usage."""
    status, out, errors = run("run", *arguments)
    assert (status, out) == (2, "")
    assert errors.startswith("usage: python -m pyconfserve run [flags] URL APPLICATION [PROFILE] -- COMMAND ...")


def test_credentials_in_the_url_are_refused(run):
    """They would stand in the list of processes for as long as the command runs."""
    status, _, errors = run("run", "http://u:hunter2@a", "b", "--", "true")
    assert (status, "hunter2" in errors) == (2, False)
