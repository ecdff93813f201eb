"""What `history`, `diff` and `rollback` share: a store, read as its server reads it.

ROOT means what it means to `serve`. What begins with http:// or https:// is a server
here, and git+https://… is a repository. Nothing is decrypted: what is compared and
shown is what is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from ..auto_configuration import build_server
from ..errors import ExchangeError, FetchError, SettingsError
from ..http.exchange import Exchange
from ..http.messages import Request, Response
from ..http.urls import basic_auth
from ..server import ConfigServer
from ..settings import Settings
from .asking import _credentials
from .options import Options, check_folders, read_options

__all__ = [
    "add_flags",
    "add_server_flags",
    "ask_server",
    "check_flags",
    "is_url",
    "opened",
    "parsed",
    "refused",
    "sealed",
    "send",
    "shown",
]

_ROOT_FLAGS = ("settings", "clone_dir", "search_location", "spring")
_URL_FLAGS: tuple[str, ...] = ("username", "password_file", "ca_file")
_URL = re.compile(r"https?://", re.IGNORECASE)
_FLAGS = {
    "--settings": ("FILE", "the server's settings, a Java server's too"),
    "--clone-dir": ("DIR", "the clone that the server keeps, of ROOT"),
}
# What only opens {cipher} values: without it they stay as they are stored. And what
# is shown is never of a while ago.
_SEALED: Mapping[str, Any] = {
    "encrypt_enabled": False,
    "encrypt_key": "",
    "encrypt_key_store": "",
    "git_refresh_rate": 0.0,
    "snapshot": "",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how ROOT is read."""
    for flag, (metavar, text) in _FLAGS.items():
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.add_argument(
        "--search-location",
        metavar="PATH",
        action="append",
        default=[],
        help="a folder to read, highest precedence first; may be repeated",
    )
    parser.add_argument(
        "--spring", action="store_true", help="by Spring Cloud Config's rules"
    )


def add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how a URL is asked."""
    parser.add_argument("--username", metavar="NAME", help="of a user of the server")
    parser.add_argument("--password-file", metavar="FILE", help="with the password")
    parser.add_argument("--ca-file", metavar="FILE", help="who signed its certificate")


def is_url(root: str) -> bool:
    """Whether ROOT is the address of a server."""
    return _URL.match(root) is not None


def check_flags(flags: argparse.Namespace) -> None:
    """Raise SettingsError for a flag that means nothing for this kind of ROOT."""
    names, kind = _URL_FLAGS, "a server, and this is a folder or a repository"
    if is_url(flags.root):
        names, kind = _ROOT_FLAGS, "a folder or a repository, and this is a server"
    for name in names:
        if getattr(flags, name):
            raise SettingsError(f"it is for {kind}", f"--{name.replace('_', '-')}")


def _read_options(flags: argparse.Namespace) -> Options:
    """The options of a server for these flags; raises SettingsError."""
    arguments = [
        word
        for flag in _FLAGS
        if (value := getattr(flags, flag[2:].replace("-", "_"))) is not None
        for word in (flag, value)
    ]
    for path in flags.search_location:
        arguments += ["--search-location", path]
    if flags.spring:
        arguments.append("--spring")
    return read_options([*arguments, "--", flags.root])


def sealed(settings: Settings, *, saves: bool) -> Settings:
    """*settings* by which values stay as they are stored.

    Raises SettingsError for *saves* to a repository without a clone that is kept.
    """
    if saves and settings.git_uri and not settings.git_clone_dir:
        raise SettingsError(
            "what is saved in a temporary clone is lost: name the one that the server "
            "keeps",
            "--clone-dir",
        )
    return replace(settings, **_SEALED, read_only=settings.read_only or not saves)


@asynccontextmanager
async def opened(
    flags: argparse.Namespace, *, saves: bool = False
) -> AsyncIterator[ConfigServer]:
    """The server that would serve ROOT, opened, without its sockets.

    With *saves* it may be saved to: a repository needs a clone that is kept. Raises
    SettingsError, BackendError.
    """
    if is_url(flags.root):
        raise SettingsError("expected a folder or a repository, and this is a server")
    options = _read_options(flags)
    check_folders(options.settings)
    settings = sealed(options.settings, saves=saves)
    server = build_server(settings, options.spring)
    try:
        await server.open()
        yield server
    finally:
        await server.close()


def ask_server(flags: argparse.Namespace, path: list[str], query: str = "") -> Any:
    """The document at *path* of the server at ROOT.

    Raises SettingsError, FetchError.
    """
    answer = send(flags, "GET", path, query)
    document = parsed(answer)
    if answer.status != 200 or document is None:
        raise refused(flags, answer)
    return document


def send(
    flags: argparse.Namespace,
    method: str,
    path: list[str],
    query: str = "",
    headers: Mapping[str, str] = MappingProxyType({}),
    body: bytes = b"",
) -> Response:
    """What the server at ROOT answers; raises SettingsError, FetchError."""
    if re.search("//[^/]*@", flags.root):
        raise SettingsError(
            "everyone on this machine can read it: use CONFIG_CLIENT_USERNAME and "
            "CONFIG_CLIENT_PASSWORD",
            "credentials in URL",
        )
    username, password = _credentials(flags, os.environ)
    sent = {"accept": "application/json", **headers}
    if username and password:
        sent["authorization"] = basic_auth(f"{username}:{password}")
    # A slash in a label is `(_)`, as Spring's clients write it.
    names = [quote(name.replace("/", "(_)"), safe="(),") for name in path]
    request = Request(method, "/" + "/".join(names), query, sent, body)
    exchange = Exchange(ca_file=flags.ca_file)
    try:
        return exchange.send(flags.root.rstrip("/"), request)
    except ExchangeError as error:
        raise FetchError(flags.root, error.reason) from error


def parsed(answer: Response) -> Any:
    """The document of an answer, None for what is no JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def refused(flags: argparse.Namespace, answer: Response) -> FetchError:
    """What to raise for an answer that is not what was asked for."""
    document = parsed(answer)
    said = document.get("message") if isinstance(document, dict) else None
    problem = f"it answered {answer.status}" + (f": {shown(said)}" if said else "")
    return FetchError(flags.root, problem, answer.status)


def shown(text: object) -> str:
    """A text of others in one line that no terminal takes for a command."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in str(text)
    )
