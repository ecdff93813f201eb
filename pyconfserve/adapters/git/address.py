"""The address of a repository, vetted, and the access to it.

Only listed forms of a URI pass, whatever git would make of others (hardening.md 2).
No message and no representation holds a credential.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from ...addresses import WEB, slashless
from ...errors import MissingDependency, SettingsError

if TYPE_CHECKING:
    from git import Git

__all__ = [
    "PROTOCOLS",
    "USER",
    "Access",
    "Address",
    "expect",
    "read_address",
    "require_gitpython",
]

# What GIT_ALLOW_PROTOCOL is for each scheme: a redirect may lead from http to https.
PROTOCOLS = {s: s for s in ("https", "ssh", "git", "file")} | {"http": "http:https"}
_REFRESH = "GIT_PYTHON_REFRESH"
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)")
_SCP = re.compile(r"(?:([^/:]*)@)?(\[[^]/@]*\]|[^/:@\[]+):([^/@]*(?:/.*)?)")
_IPV6 = r"\[([0-9A-Fa-f.]*(?::[0-9A-Fa-f.]*){2,7})\]"  # git takes [h:22] for a port
_HOST = re.compile(rf"([A-Za-z0-9][\w.-]*|{_IPV6})(?::([0-9]{{1,5}}))?", re.ASCII)
USER = re.compile(r"([A-Za-z0-9_.+=~][A-Za-z0-9_.+=~@-]*)?")
_NO_HOST = re.compile(r"(?i)https?|ssh|ftps?|gopher|data|javascript|mailto|jar|ext|fd")


class Access(NamedTuple):
    """Credentials and transport; `private_key` is PEM or a path, `proxies` maps "http"
    and "https" to URLs, `timeout` is seconds of silence.
    """

    username: str = ""
    password: str = ""
    passphrase: str = ""
    private_key: str = ""
    host_key: str = ""
    host_key_algorithm: str = ""
    known_hosts_file: str = ""
    strict_host_key_checking: bool = True
    ignore_local_ssh_settings: bool = False
    skip_ssl_validation: bool = False
    proxies: Mapping[str, str] = MappingProxyType({})
    no_proxy: tuple[str, ...] = ()
    timeout: float = 10.0

    def __repr__(self) -> str:
        return "Access(…)"


class Address(NamedTuple):
    scheme: str
    url: str
    host: str = ""  # IPv6 without brackets
    port: str = ""
    user: str = ""
    password: str = ""
    path: str = ""  # of files only, absolute


def read_address(uri: str) -> Address:
    expect(uri and uri == uri.strip(), "a URI without blanks around it")
    expect(uri.isprintable() and uri[0] != "-", "a printable URI that is no option")
    expect(_is_safe(uri), "a URI that starts no program")
    if url := _URL.fullmatch(uri):
        return _from_url(url[1].lower(), url[2], url[3])
    if uri[:5].lower() == "file:":
        return _file(unquote(uri[5:]))
    if ":" not in uri.partition("/")[0]:  # as git tells a path from a host
        return _file(os.path.abspath(uri))
    scp = _SCP.fullmatch(uri)
    if scp is None or (not scp[1] and _NO_HOST.fullmatch(scp[2])):
        expected = "expected https, http, ssh, git, file or user@host:path"
        raise SettingsError(slashless(uri) or expected)
    return _remote("ssh", uri, scp[1] or "", scp[2], scp[3])


def require_gitpython() -> type[Git]:
    """GitPython's git; raises MissingDependency without GitPython or without git."""
    try:
        with _quietly():
            from git import Git
    except ModuleNotFoundError as error:
        what = "git", "the git backend", "pyconfserve[git]"
        raise MissingDependency.instead_of(error, *what) from error
    if shutil.which("git") is None:
        raise MissingDependency("the git backend needs the program git")
    return Git


@contextmanager
def _quietly() -> Iterator[None]:
    """Have GitPython not judge the program git, which it runs when it is imported."""
    before = os.environ.get(_REFRESH)
    os.environ[_REFRESH] = "quiet"
    try:
        yield
    finally:
        os.environ.pop(_REFRESH)
        if before is not None:
            os.environ[_REFRESH] = before


def expect(claim: object, what: str) -> None:
    if not claim:
        raise SettingsError(f"expected {what}")


def _is_safe(uri: str) -> bool:
    """Whether no `helper::address` is in front, by our own rule and GitPython's."""
    git = require_gitpython()
    from git.exc import UnsafeProtocolError

    try:
        git.check_unsafe_protocols(uri)
    except UnsafeProtocolError:
        return False
    return "::" not in re.split(r"[/\[]", uri)[0]


def _from_url(scheme: str, authority: str, path: str) -> Address:
    expect(scheme in PROTOCOLS, "https, http, ssh, git or file as the URI's scheme")
    if scheme == "file":
        expect(authority.lower() in ("", "localhost"), "file:/// and a path")
        return _file(unquote(path))
    is_plain = unquote(path).isprintable() and " " not in path
    expect(is_plain, "a URL without blanks and control characters")
    if scheme in WEB:
        user, _, place = authority.rpartition("@")
        user, _, password = user.partition(":")
        expect(not set("?#") & {*path}, "a URL without a query and a fragment")
        at = Address(scheme, f"{scheme}://{place}{path}", *_host(place))
        return at._replace(user=unquote(user), password=unquote(password))
    # git decodes all of it, the user and the host too, before it splits it
    user, _, place = unquote(authority).rpartition("@")
    expect(scheme == "ssh" or not user, "git:// without a user")
    url, path = f"{scheme}://{authority}{path}", unquote(path).removeprefix("/")
    return _remote(scheme, url, user, place, path)


def _remote(scheme: str, url: str, user: str, place: str, path: str) -> Address:
    expect(":" not in user, "no password in the URI, it has a setting of its own")
    expect(USER.fullmatch(user), "letters, digits and _.+=~@- as the URI's user")
    expect(path and path[0] != "-", "a path after the host that is no option")
    return Address(scheme, url, *_host(place), user)


def _host(place: str) -> tuple[str, str]:
    """Host and port of `host[:port]`."""
    found = _HOST.fullmatch(place)
    if found is None or not 0 < int(found[3] or "1") < 65536:
        raise SettingsError("expected a host, and a port from 1 to 65535 if any")
    return found[2] or found[1], found[3] or ""


def _file(path: str) -> Address:
    """git decodes %41 in file:// but not in plain paths (measured, 2.39)."""
    expect(path.isprintable() and path[:1] == "/", "an absolute path after file:")
    path = "/" + os.path.normpath(path).lstrip("/")
    return Address("file", f"file://{quote(path)}", path=path)
