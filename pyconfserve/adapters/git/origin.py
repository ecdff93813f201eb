"""Where a repository comes from, and what git needs to reach it.

Credentials leave through config() and environment() alone: no public attribute, no
representation, no message and no command line holds one.
"""

from __future__ import annotations

import base64
import logging
import os
import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from ...addresses import WEB
from .address import PROTOCOLS, USER, Access, Address, expect, read_address
from .connecting import answers, place_of
from .place import quoted
from .ssh import is_host_key, path_for_ssh, ssh_environment, write_private

__all__ = ["Access", "Origin"]

_logger = logging.getLogger("pyconfserve.git.origin")

# Where upload-pack looks for a repository: the owner of that very path is compared.
_REPOSITORIES = ("", "/.git", ".git", ".git/.git")
_UNFIT = re.compile("[\0\r\n\ud800-\udfff]")
_NOTHING = Access()
# OpenSSL's variables, which git's curl does not read.
_AUTHORITIES = {"SSL_CERT_FILE": "http.sslCAInfo", "SSL_CERT_DIR": "http.sslCAPath"}


class Origin:
    """The repository at *uri*, reached with *access*.

    `uri` is for people and `url` for git, both without credentials; `host` is "" for
    files; `protocols` is for GIT_ALLOW_PROTOCOL. `user:password@` of http(s) serves
    where *access* has none. What is not verified is logged at *level*. Raises
    SettingsError, MissingDependency.
    """

    def __init__(
        self, uri: str, access: Access = _NOTHING, level: int = logging.WARNING
    ) -> None:
        self._at = at = read_address(uri)
        self._access = access = _checked(_merged(access, at), at)
        self.url, self.host = at.url, at.host
        self.is_local = at.scheme == "file"
        self.uri = uri if self.is_local else at.url
        self.protocols = PROTOCOLS[at.scheme]
        if at.scheme in WEB and access.skip_ssl_validation:
            _logger.log(level, "the certificate of %s is NOT VERIFIED", self.host)
        if at.scheme == "ssh" and not access.strict_host_key_checking:
            _logger.log(level, "the host key of %s is NOT VERIFIED", self.host)

    def __repr__(self) -> str:
        return f"Origin({self.uri!r})"

    def config(self) -> dict[str, str]:
        """What commands that use the network are configured with; holds secrets."""
        access = self._access
        if self._at.scheme not in WEB:
            return {}
        pairs = {
            "http.followRedirects": "initial",
            "http.lowSpeedLimit": "1000",
            "http.lowSpeedTime": str(max(1, int(access.timeout))),
        }
        for name, key in _AUTHORITIES.items():
            if os.environ.get(name):
                pairs[key] = os.environ[name]
        if access.skip_ssl_validation:
            pairs["http.sslVerify"] = "false"
        proxy = _proxy(self._at, access)
        if proxy is not None:
            pairs["http.proxy"] = proxy
        if access.username or access.password:
            # git would send the header to any host that a redirect leads to (measured).
            pairs["http.followRedirects"] = "false"
            root = "/".join(self.url.split("/")[:3])
            basic = base64.b64encode(f"{access.username}:{access.password}".encode())
            header = f"Authorization: Basic {basic.decode('ascii')}"
            pairs[f"http.{root}/.extraHeader"] = header
        return pairs

    def answers(self, gives_up: Callable[[], bool]) -> bool:
        """Whether a connection is made or refused within the timeout, not ignored.

        True where git bounds that itself, or connects to what we do not know.
        """
        place = place_of(self._at, _proxy(self._at, self._access))
        return place is None or answers(place, self._access.timeout, gives_up)

    def environment(self, folder: str) -> dict[str, str]:
        """What git's environment needs besides; holds secrets.

        For files that is GIT_CONFIG_GLOBAL, instead of any other. Writes keys, never
        passwords, to *folder*: private, of this origin alone, and there until the
        processes ended. Raises BackendError, and SettingsError for its path.
        """
        if self.is_local:
            text = _safe_directories(self._at.path)
            return {"GIT_CONFIG_GLOBAL": write_private(folder, "gitconfig", text)}
        if self._at.scheme != "ssh":
            return {}
        return ssh_environment(self._at, self._access, folder)


def _merged(access: Access, at: Address) -> Access:
    """*access* with what the URL has where it has nothing."""
    if at.scheme not in WEB or access.username not in ("", at.user):
        return access
    password = access.password or at.password
    return access._replace(username=at.user, password=password)


def _checked(access: Access, at: Address) -> Access:
    secrets = "\t".join((access.username, access.password, access.passphrase))
    expect(not _UNFIT.search(secrets), "credentials of one line of text")
    expect(0 <= access.timeout < 1e6, "a timeout in seconds")
    expect(all(map(str.isprintable, access.proxies.values())), "proxies on one line")
    if at.scheme in WEB:
        expect(":" not in access.username, "a user name without a colon")
    if at.scheme == "ssh":
        expect(USER.fullmatch(access.username), "letters and digits as the user name")
        expect(is_host_key(access), "a host key in base64 and its algorithm")
        path_for_ssh(access.known_hosts_file)
        if "-----BEGIN" not in access.private_key:
            path_for_ssh(access.private_key)
    return access


def _proxy(at: Address, access: Access) -> str | None:
    """What http.proxy is: "" for no proxy, None for what else is configured."""
    host = at.host.lower()
    if any(fnmatchcase(host, pattern.lower()) for pattern in access.no_proxy):
        return ""
    return access.proxies.get(at.scheme)


def _safe_directories(path: str) -> str:
    """git's configuration file: upload-pack believes no variables about owners."""
    lines = [f"\tdirectory = {quoted(path + end)}\n" for end in _REPOSITORIES]
    return "".join(["[safe]\n", *lines])
