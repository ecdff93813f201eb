"""What `get` and `run` share: whom to ask, as whom, for what.

Credentials never stand on a command line, where everyone on the machine can read them:
they come from the environment or from a file.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..client import Configuration

__all__ = ["ask", "make_parser"]

_USERNAME, _PASSWORD = "CONFIG_CLIENT_USERNAME", "CONFIG_CLIENT_PASSWORD"
# Flags that are ConfigClient's own options, as they are.
_FILES = {
    "--ca-file": "the certificates of who signed the server's",
    "--client-cert": "a certificate to show to the server",
    "--client-key": "its key",
    "--snapshot": "keeps the last answer, and stands in for a server that is away",
}


def make_parser(
    name: str, description: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """A parser with URL, APPLICATION, PROFILE and the flags that all commands have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m pyconfserve {name}",
        usage=usage,
        description=description,
        epilog=f"Credentials: {_USERNAME} and {_PASSWORD}.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("url", metavar="URL", help="the server; several with commas, tried in order")
    add("application", metavar="APPLICATION")
    add("profile", nargs="?", metavar="PROFILE", default="default")
    add("--username", metavar="NAME", help=f"in place of {_USERNAME}")
    add("--password-file", metavar="FILE", help=f"in place of {_PASSWORD}")
    add("--timeout", metavar="SECONDS", type=_seconds, default=10.0)
    for flag, text in _FILES.items():
        add(flag, metavar="FILE", help=text)
    add("--resolve", action="store_true", help="fill in ${name:default} in values")
    return parser


def ask(options: argparse.Namespace) -> Configuration:
    """The configuration that the arguments ask for.

    Raises SettingsError for how it was called, FetchError when the server gives none.
    """
    from ..client import ConfigClient

    if re.search("//[^/]*@", options.url):
        raise SettingsError(
            f"everyone on this machine can read it: use {_USERNAME} and {_PASSWORD}",
            "credentials in URL",
        )
    username, password = _credentials(options, os.environ)
    files = {name: getattr(options, name) for name in map(_dest, _FILES)}
    return ConfigClient(
        url=options.url,
        application=options.application,
        profile=options.profile,
        label=options.label,
        username=username,
        password=password,
        timeout=options.timeout,
        resolve=options.resolve,
        **files,
    ).load()


def _dest(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _credentials(
    options: argparse.Namespace, environ: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Name and password, or neither; one without the other is a SettingsError."""
    username = options.username or environ.get(_USERNAME)
    password = environ.get(_PASSWORD)
    if options.password_file:
        password = _read_password(options.password_file)
    if username and not password:
        raise SettingsError(f"is needed, or --password-file, for {username}", _PASSWORD)
    if password and not username:
        raise SettingsError("is needed, or --username, for a password", _USERNAME)
    return username or None, password or None


def _read_password(path: str) -> str:
    """What a file holds, without its last line's end."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise SettingsError(problem, source=path) from error
    except UnicodeDecodeError as error:
        raise SettingsError("is not UTF-8", source=path) from error


def _seconds(text: str) -> Any:
    seconds = float(text)  # argparse turns ValueError into its own message
    if not 0 < seconds <= 86_400:
        raise ValueError
    return seconds
