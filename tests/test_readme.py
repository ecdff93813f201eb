"""The README is true: its code runs, and it names every setting, backend, flag and limit."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pyconfserve import Settings, __version__
from pyconfserve.addresses import STORES
from pyconfserve.auto_configuration import BACKENDS
from pyconfserve.commands import COMMANDS
from pyconfserve.http import connection, grammar
from pyconfserve.http.users_file import UsersFile
from pyconfserve.members import read_members
from pyconfserve.settings import flag_of, variable_of
from pyconfserve.settings_sources import read_settings

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def block(language: str, part: str) -> str:
    """The one code block of a language that holds *part*."""
    (found,) = [text for kind, text in BLOCKS if kind == language and part in text]
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start(command: list[str], **options: object) -> tuple[subprocess.Popen[str], str]:
    """A server's process and its first line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def stop(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


def copy_of_project(folder: Path) -> Path:
    """The files a clone would have, in a new folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def test_every_block_is_run_here() -> None:
    """No code block was added to the README without a test of it."""
    kinds = [kind for kind, _ in BLOCKS]
    assert (
        sorted(kinds)
        == ["dockerfile", "ini"] + ["python"] * 8 + ["sh"] * 7 + ["yaml"]
    )


def test_main_command_serves_the_example(tmp_path: Path) -> None:
    """The first command sets itself up in a clone, and the curls beside it work."""
    port = str(free_port())
    clone = copy_of_project(tmp_path / "clone")
    command = block("sh", "pyconfserve tests/example")
    environment = {
        **os.environ,
        "PYCONFSERVE_PORT": port,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    process, line = start(
        ["bash", "-c", f"{command.rstrip()} & wait"],
        cwd=clone,
        env=environment,
        start_new_session=True,
    )
    try:
        assert (
            line
            == f"pyconfserve {__version__} serving tests/example on http://127.0.0.1:{port}"
        )
        assert (
            f"pyconfserve {__version__} serving tests/example on http://127.0.0.1:8888"
            in TEXT
        )
        fetched = subprocess.run(
            ["bash", "-c", block("sh", "curl http").replace("8888", port)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        names = re.findall(r'"name":"([^"]+)","source"', fetched)
        assert names == [
            "orders-prod",
            "orders-default",
            "application-prod",
            "application-default",
        ]
        saved = subprocess.run(
            ["bash", "-c", block("sh", "curl -X POST").replace("8888", port)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert saved == '{"saved":true}'
        assert (
            clone / "tests/example/main/orders-stage.yaml"
        ).read_text() == "db:\n  pool: 40\n"
        patched = subprocess.run(
            ["bash", "-c", block("sh", "curl -s -X PATCH").replace("8888", port)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert patched == '{"saved":true}'
        assert (
            clone / "tests/example/main/orders-stage.yaml"
        ).read_text() == "db:\n  pool: 50\n"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def test_test_command_is_what_ci_runs() -> None:
    """The README's test command is taken from the README by .ci/run, so it is run there."""
    assert "pytest" in block("sh", "pytest")
    assert (
        'block for block in blocks if "pytest" in block'
        in (ROOT / ".ci/run").read_text()
    )


def test_user_command_adds_a_user(tmp_path: Path) -> None:
    """It makes the file that `--users` takes, and prints the token."""
    script = block("sh", "user add").replace("python3", shlex.quote(sys.executable))
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    [user] = UsersFile(str(tmp_path / "users.yml")).current().by_token.values()
    assert len(done.stdout) > 40
    assert (user.name, user.applications, user.profiles) == (
        "orders",
        ("orders*",),
        ("prod",),
    )


@pytest.mark.parametrize("part", ["InMemoryConfigBackend", "class Table"])
def test_python_block_runs(part: str) -> None:
    """The examples run as they stand, and their assertions hold."""
    subprocess.run(
        [sys.executable, "-c", block("python", part)],
        check=True,
        cwd=ROOT,
        env=ENVIRONMENT,
    )


def test_client_block_runs() -> None:
    """The example reads the example folder as it says; recipes are in test_recipes."""
    command = [sys.executable, "-m", "pyconfserve", "tests/example", "--port", "0"]
    process, line = start(command, cwd=ROOT)
    code = block("python", "import load\n\nconfig").replace(
        "http://127.0.0.1:8888", line.split()[-1]
    )
    try:
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=ROOT, env=ENVIRONMENT
        )
    finally:
        stop(process)


def test_starlette_block_serves() -> None:
    """The application of the example answers below its base path."""
    pytest.importorskip("starlette")
    pytest.importorskip("httpx")
    code = block("python", "mount(app") + (
        "from starlette.testclient import TestClient\n"
        "answer = TestClient(app).get('/config/orders/prod')\n"
        "assert answer.status_code == 200, answer.text\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=ENVIRONMENT)


def test_vendoring_works(tmp_path: Path) -> None:
    """The copied folder imports under the name of the package it was copied into."""
    shutil.copytree(ROOT / "pyconfserve", tmp_path / "pyconfserve")
    script = block("sh", "_vendor").replace("python3", shlex.quote(sys.executable))
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "shop._vendor.pyconfserve.server\n"


def test_composite_block_is_understood(tmp_path: Path) -> None:
    """Its members are what the text says: a folder, a repository, a store that is saved to."""
    path = tmp_path / "settings.yml"
    path.write_text(block("yaml", "composite"))
    members = read_members(read_settings(path))
    kinds = [
        (member.settings.backend_type, member.is_required, member.is_writable)
        for member in members
    ]
    assert kinds == [
        ("filesystem", True, False),
        ("git", False, False),
        ("postgresql", True, True),
    ]


@pytest.mark.parametrize("language", ["dockerfile", "ini"])
def test_service_command_runs(language: str, tmp_path: Path) -> None:
    """The commands that Docker and systemd would run start, with another folder and port."""
    if language == "dockerfile":
        words = re.findall(
            r'"([^"]+)"',
            next(
                line
                for line in block(language, "CMD").splitlines()
                if line.startswith("CMD")
            ),
        )
    else:
        words = shlex.split(
            block(language, "ExecStart").split("ExecStart=")[1].splitlines()[0]
        )
    command = [sys.executable, *words[1:], "--port", "0"]
    command[command.index("/etc/cfg")] = str(tmp_path)
    process, line = start(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    assert re.fullmatch(
        rf"pyconfserve {__version__} serving {re.escape(str(tmp_path))} on http://[\d.]+:\d+",
        line,
    )
    assert stop(process) == 0


def test_every_setting_is_named() -> None:
    """Each setting's key, flag and variable stand in the table."""
    for setting in fields(Settings):
        assert f"`{setting.metadata['key']}`" in TEXT
        assert not flag_of(setting) or f"`{flag_of(setting)}`" in TEXT
        assert f"`{variable_of(setting)}`" in TEXT or setting.name == "backend_options"


def test_every_backend_type_is_named() -> None:
    """Each type of backend stands in the table of settings."""
    assert all(f"`{name}`" in TEXT for name in BACKENDS)


def test_every_store_and_command_is_named() -> None:
    """Each scheme of a store's address, and each command."""
    assert all(f"`{scheme}://" in TEXT for scheme in STORES if scheme != "postgres")
    missing = [name for name in COMMANDS if f"pyconfserve {name} " not in TEXT]
    assert [name for name in missing if name not in ("serve", "user")] == []


def test_wire_limits_are_as_stated() -> None:
    """The limits of the code are those of the README's table."""
    assert (grammar.LONGEST_LINE, grammar.LARGEST_HEADERS, grammar.MOST_HEADERS) == (
        8 << 10,
        64 << 10,
        100,
    )
    assert grammar.LARGEST_BODY == 1 << 20
    deadlines = connection.Deadlines()
    assert (deadlines.head, deadlines.body, deadlines.idle, deadlines.drain) == (
        10,
        30,
        75,
        30,
    )
    assert (
        "| request line, one header line; all headers; their number | 8 KiB; 64 KiB; 100 |"
        in TEXT
    )
    assert "| body of a save | 1 MiB |" in TEXT
    assert (
        "| head of a request; its body; an idle connection; the end | 10 s; 30 s; 75 s; 30 s |"
        in TEXT
    )
