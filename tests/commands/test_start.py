"""What a start loads, and what is left of it when a command runs."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# Runs in a Python of its own, so that it begins without any of our modules.
ANSWER = """
import asyncio, sys
from pyconfserve.commands.options import read_options
from pyconfserve.commands.serving import Process, bound
from pyconfserve.credentials import Credentials
from pyconfserve.http.messages import Request

options = read_options([sys.argv[1], "--port", "0"])
for sock in bound(options.settings):
    sock.close()

async def answer():
    routes = Process(options, Credentials(options.settings))._routes
    return await routes.handle(Request("GET", "/orders/prod", host="localhost"))

assert asyncio.run(answer()).status == 200
print(*sys.modules, sep="\\n")
"""
COMMAND = """
import gc, sys
from pyconfserve.commands import main

try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
print(status, gc.isenabled())
"""
UNNEEDED = {
    "datetime", "encodings.idna", "http", "ipaddress", "urllib.parse", "yaml",
    "pyconfserve.environment.nesting", "pyconfserve.environment.formats.yaml_events",
    "pyconfserve.http.bundle", "pyconfserve.http.encryption",
    "pyconfserve.http.explain", "pyconfserve.http.history", "pyconfserve.http.users",
    "pyconfserve.past", "pyconfserve.saving", "pyconfserve.stored",
}  # fmt: skip


def test_the_first_answer_loads_only_what_it_needs(tmp_path):
    """No module of routes, formats and settings that few servers are asked for."""
    (tmp_path / "orders.yml").write_text("server:\n  port: 8080\n")
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "pyconfserve.http.routes" in loaded
    assert set() == loaded & UNNEEDED


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["get", "--nothing"]], ids=["run", "refused"]
)
def test_garbage_is_looked_for_when_a_command_runs(arguments):
    """Only while its modules are loaded it is not."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "2 True\n"
