"""`encrypt`: a text as a `{cipher}` value, with the key of the settings."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from ..auto_configuration import make_cipher_of
from ..environment.cipher import CIPHER, Cipher, encrypt_text
from ..errors import SettingsError
from ..settings import Settings
from ..settings_sources import collect, collect_variables, parse_fields, read_file

__all__ = ["run", "run_with"]


def run(arguments: Sequence[str]) -> int:
    """Print `{cipher}…` for a text; raises SettingsError without a key."""

    def work(text: str, cipher: Cipher) -> str:
        return CIPHER + encrypt_text(text, "text/plain", cipher)

    return run_with(arguments, "encrypt", "Encrypt a text for a {cipher} value.", work)


def run_with(
    arguments: Sequence[str],
    name: str,
    description: str,
    work: Callable[[str, Cipher], str],
) -> int:
    """Do *work* on the text of the arguments, or of standard input, and print it."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pyconfserve {name}",
        description=description,
        epilog="The key is encrypt.key of the settings, or PYCONFSERVE_ENCRYPT_KEY.",
        allow_abbrev=False,
    )
    parser.add_argument("text", nargs="?", metavar="TEXT", help="without it: stdin")
    parser.add_argument("--settings", metavar="FILE", help="the server's settings")
    options = parser.parse_args(arguments)
    cipher = make_cipher_of(_settings(options.settings))
    if cipher is None:
        raise SettingsError("no key is set: set PYCONFSERVE_ENCRYPT_KEY")
    text = sys.stdin.read().removesuffix("\n") if options.text is None else options.text
    print(work(text, cipher))
    return 0


def _settings(path: str | None) -> Settings:
    """The settings of a server's file, a Java server's too, and of the environment."""
    from ..spring_settings import read_spring

    file = read_file(path) if path else {}
    spring = read_spring(file, os.environ, is_asked=True)
    java = parse_fields(spring.fields if spring else {}, path or "")
    own = collect(file, os.environ, path or "")
    return Settings(**(java | own | collect_variables(os.environ)))
