"""`encrypt` and `decrypt` on the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str, given: str = "", **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pyconfserve", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        input=given,
        text=True,
        capture_output=True,
        timeout=30,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_text_comes_back(tmp_path: Path) -> None:
    """By the environment's key, from an argument and from standard input."""
    key = {"PYCONFSERVE_ENCRYPT_KEY": "k"}
    status, value, _ = run(tmp_path, "encrypt", "s3cret é", **key)
    assert status == 0
    assert value.startswith("{cipher}")
    assert run(tmp_path, "decrypt", given=value, **key) == (0, "s3cret é\n", "")


def test_the_key_of_a_java_settings_file_is_taken(tmp_path: Path) -> None:
    """As its server has it."""
    (tmp_path / "application.properties").write_text("encrypt.key=k\n")
    settings = ("--settings", "application.properties")
    _, value, _ = run(tmp_path, "encrypt", "x", *settings)
    assert run(tmp_path, "decrypt", value.strip(), *settings) == (0, "x\n", "")


def test_without_a_key_it_says_what_to_set(tmp_path: Path) -> None:
    """How it was called: exit status 2."""
    message = "pyconfserve: error: no key is set: set PYCONFSERVE_ENCRYPT_KEY\n"
    assert (2, "", message) == run(tmp_path, "encrypt", "x")


def test_a_value_of_another_key_is_refused(tmp_path: Path) -> None:
    """What the data did: exit status 1, and nothing of the value."""
    message = "pyconfserve: error: value: text not encrypted with this key\n"
    key = {"PYCONFSERVE_ENCRYPT_KEY": "k"}
    assert (1, "", message) == run(tmp_path, "decrypt", "{cipher}" + "0" * 64, **key)
