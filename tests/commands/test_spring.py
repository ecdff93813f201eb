"""A Java server's settings file and its folder, untouched, from the command line."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("yaml")

SETTINGS = """\
server:
  port: ${CONFIG_PORT:8888}
spring:
  application:
    name: config-server
  profiles:
    active: native
  cloud:
    config:
      server:
        accept-empty: true
        overrides:
          company.name: Override Ltd
        native:
          searchLocations: file:%s
management:
  endpoints.web.exposure.include: health
---
spring:
  config.activate.on-profile: never
server.port: 1
"""


def run(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CONFIG_PORT": "0"}
    return subprocess.Popen(
        [sys.executable, "-m", "pyconfserve", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server, and what it has said on standard error when it is over."""
    process = run(folder, *arguments)
    errors: list[str] = []
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        yield line.split(" on ")[1].strip(), errors
    finally:
        process.send_signal(signal.SIGTERM)
        errors += process.communicate(timeout=30)[1].splitlines()


def fetch(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/orders.yml").write_text("a: 1\n")
    (tmp_path / "application.yml").write_text(SETTINGS % (tmp_path / "repo"))
    return tmp_path


def test_a_java_settings_file_is_served(folder: Path) -> None:
    """Their file, their folder, Spring's answers, and the warning that it is local."""
    with serving(folder, "--settings", "application.yml") as (url, errors):
        found = fetch(f"{url}/orders/default")
    assert found["profiles"] == ["default"]
    assert found["label"] is None
    assert found["propertySources"] == [
        {"name": "overrides", "source": {"company.name": "Override Ltd"}},
        {"name": f"file:{folder}/repo/orders.yml", "source": {"a": 1}},
    ]
    warning, stopped = errors
    assert "add --host 0.0.0.0 --insecure --allow-host NAME" in warning
    assert stopped.endswith("stopped")
    assert sorted(path.name for path in (folder / "repo").iterdir()) == ["orders.yml"]


def test_a_table_that_a_java_server_has_is_served(tmp_path: Path) -> None:
    """A profile and a data source are all that such a settings file has."""
    with closing(sqlite3.connect(tmp_path / "java.db")) as database, database:
        database.execute('CREATE TABLE PROPERTIES (APPLICATION, PROFILE, LABEL, "KEY", "VALUE")')
        database.execute("INSERT INTO PROPERTIES VALUES ('orders', 'prod', 'master', 'a', '1')")
    (tmp_path / "java.properties").write_text(
        f"spring.profiles.active=jdbc\nspring.datasource.url=jdbc:sqlite:{tmp_path}/java.db\n"
    )
    with serving(tmp_path, "--settings", "java.properties", "--port", "0") as (url, _):
        found = fetch(f"{url}/orders/prod")
    assert found["propertySources"] == [{"name": "orders-prod", "source": {"a": "1"}}]


def test_a_folder_alone_is_served_in_springs_dialect(folder: Path) -> None:
    """`--spring ROOT`: an unknown application is an answer without sources."""
    with serving(folder, "--spring", "repo", "--port", "0") as (url, _):
        assert fetch(f"{url}/nosuch/default")["propertySources"] == []


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("spring.security.user.name: u", "spring.security.user.password: is not set, and no password is made up here"),
        ("server.ssl.bundle: k", "server.ssl.bundle: bundles are not read: set server.ssl.certificate and certificate-private-key to the files that the bundle has"),
        ("spring.cloud.config.server.natve.order: 1", "spring.cloud.config.server.natve.order: unknown setting, the nearest known one is spring.cloud.config.server.native.order"),
    ],
)  # fmt: skip
def test_what_would_not_do_what_it_does_in_java_is_refused(
    folder: Path, more: str, problem: str
) -> None:
    """Exit status 2, with a line that names the setting."""
    (folder / "more.yml").write_text(SETTINGS.replace("---\n", f"{more}\n---\n") % "repo")
    process = run(folder, "--settings", "more.yml")
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert f"pyconfserve: error: {problem}\n" == errors
