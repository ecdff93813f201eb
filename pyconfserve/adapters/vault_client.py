"""Requests to a mount of Vault or OpenBao, by who has a token there.

A token is sent to the servers of the address alone, and no redirect is followed. Errors
name the store and the key, never who asks.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from ..errors import (
    BackendMisconfigured,
    BackendUnavailable,
    ConfigError,
    SettingsError,
    VersionConflict,
)
from .json_answers import Problem
from .json_http import TIMEOUT, JsonHttp, json_request, parse_members
from .vault_login import Login
from .vault_problems import (
    DENIED,
    IGNORES_NAMESPACES,
    NO_TOKEN,
    STRANGE,
    WRONG_TOKEN,
    map_of,
    opened,
)

__all__ = ["TIMEOUT", "VaultClient", "VaultPlace", "parse_vault"]

_PORT = 8200
_MOUNT = "secret"
_NOWHERE = "pyconfserve-asks-who-reads-this"  # a namespace that nobody has

Tree = dict[str, Any]


class VaultPlace(NamedTuple):
    """What a URI names: the URLs of servers, a mount, and a path there, maybe empty.

    `address` is the URI again, without credentials.
    """

    address: str
    urls: tuple[str, ...]
    mount: str
    path: str
    role_id: str
    secret_id: str


def parse_vault(uri: str) -> VaultPlace:
    """The parts of `vault[s]://[role:secret@]host[:8200][/mount[/path]]`.

    A slash within the name of a mount is `%2F`. Raises SettingsError.
    """
    place = parse_members(uri, "vault", _PORT, _MOUNT)
    mount, _, path = place.prefix.partition("/")
    mount, path = unquote(mount).strip("/"), unquote(path)
    if {"", ".", ".."} & {*mount.split("/")} or {".", ".."} & {*path.split("/")}:
        raise SettingsError("expected vault[s]://host:8200/mount/path")
    return VaultPlace(place.address, place.urls, mount, path, *place[3:])


class VaultClient:
    """Asks the servers at *place*, with a token, or with that of a role.

    *token* may stand in *token_file* instead; roles log in at *role_path*; *namespace*
    is where the mount is. *ca_file*, *client_cert* and *client_key* are files in PEM;
    *timeout* is in seconds, for one request. Raises SettingsError.
    """

    def __init__(
        self,
        place: VaultPlace,
        *,
        token: str = "",
        token_file: str = "",
        role_id: str = "",
        secret_id: str = "",
        role_path: str = "approle",
        namespace: str = "",
        timeout: float = TIMEOUT,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
    ) -> None:
        self.address, self.mount = place.address, place.mount
        self._namespace = namespace.strip("/")
        if not all("!" <= character <= "~" for character in self._namespace):
            raise SettingsError("it has characters that no namespace has", "namespace")
        self._http = JsonHttp(
            place.address,
            place.urls,
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._login = Login(
            self._plain,
            self._http.error,
            token=token,
            token_file=token_file,
            role=(role_id or place.role_id, secret_id or place.secret_id),
            path=role_path,
        )
        self._version = 0
        self._is_there = False  # whether the namespace is known to count

    @property
    def has_token(self) -> bool:
        """Whether it can ask in its own name."""
        return self._login.is_given

    def read(self, path: str, key: str = "", token: str = "") -> Tree:
        """What is at *path*, empty for nothing; a *token* is that of one request.

        Raises BackendError.
        """
        return self._ask("GET", path, None, key, token)

    def names(self, path: str) -> list[str]:
        """What is one level below *path*: keys, and folders with a slash at the end."""
        tree = self._ask("GET", f"{path}/", None, "", "", "list=true")
        found = map_of(tree, "data").get("keys") if tree else []
        if not isinstance(found, list):
            raise self._http.error(STRANGE)
        return [str(name) for name in found]

    def write(self, path: str, tree: Any, key: str = "") -> Tree | None:
        """The answer to a change, None where its check-and-set says no.

        Raises BackendError, ValueTooLarge.
        """
        try:
            return self._ask("POST", path, tree, key, "")
        except VersionConflict:
            return None

    def version(self, token: str = "", *, fresh: bool = False) -> int:
        """The version of KV that the mount has; raises BackendError."""
        version = 0 if fresh else self._version
        if not version:
            tree = self.read(f"sys/internal/ui/mounts/{_quoted(self.mount)}", "", token)
            options = map_of(map_of(tree, "data"), "options")
            self._version = version = 2 if options.get("version") == "2" else 1
        return version

    def error(self, problem: Problem, key: str = "") -> ConfigError:
        """The error of *problem*, with the store and the key in its text."""
        return self._http.error(problem, key)

    def close(self) -> None:
        """Hang up, and renew no more; calling this twice is fine."""
        self._login.close()
        self._http.close()

    def data_path(self, key: str, part: str = "data") -> str:
        """The path of a key whose segments are split by slashes, in KV version 2."""
        return f"{_quoted(self.mount)}/{part}/{_quoted(key)}"

    def plain_path(self, key: str) -> str:
        """The path of a key in KV version 1."""
        return f"{_quoted(self.mount)}/{_quoted(key)}"

    def is_ready(self) -> bool:
        """Whether it can serve requests, asked without a token; raises BackendError."""
        tree, problem = self._plain("GET", "sys/seal-status", None, "")
        if problem is None and "sealed" not in tree:
            problem = STRANGE
        if problem is not None:
            raise self._http.error(problem)
        return not tree["sealed"]

    # requests

    def _ask(
        self,
        method: str,
        path: str,
        tree: Any,
        key: str,
        token: str,
        query: str = "",
    ) -> Tree:
        own = token or self._login.token()
        self._check_namespace(own)
        answer, problem = self._plain(method, path, tree, own, query)
        if problem is DENIED and not token and (new := self._login.instead_of(own)):
            own = new
            self._check_namespace(own)
            answer, problem = self._plain(method, path, tree, own, query)
        if problem is not None:
            if problem.kind is BackendMisconfigured:
                self._version = 0  # another may be mounted there by now
            raise self._http.error(self._told(problem, own), key)
        return answer

    def _told(self, problem: Problem, token: str) -> Problem:
        """*problem* in more words where it is about the token: its answer has none."""
        if problem is not DENIED:
            return problem
        if not token:
            return NO_TOKEN
        return WRONG_TOKEN if self._login.is_known(token) is False else DENIED

    def _check_namespace(self, token: str) -> None:
        """Refuse a Vault that answers from its root whatever namespace is named."""
        if not self._namespace or self._is_there:
            return
        nowhere = f"{self._namespace}/{_NOWHERE}"
        look = "GET", "auth/token/lookup-self", None, token, "", nowhere
        _, problem = self._plain(*look)
        if problem is None:
            raise self._http.error(IGNORES_NAMESPACES)
        if problem is DENIED:  # for the namespace, or for the token?
            self._is_there = self._login.is_known(token) is True
        else:
            self._is_there = issubclass(problem.kind, BackendMisconfigured)

    def _plain(
        self,
        method: str,
        path: str,
        tree: Any,
        token: str,
        query: str = "",
        namespace: str = "",
    ) -> tuple[Tree, Problem | None]:
        """The answer to one request with *token*, and what it says that went wrong."""
        headers = {"X-Vault-Request": "true"}
        if token:
            headers["X-Vault-Token"] = token
        if self._namespace:
            headers["X-Vault-Namespace"] = namespace or self._namespace
        request = json_request(method, f"/v1/{path}", tree, headers, query)
        response = self._http.ask(request, is_change=method != "GET")
        answer, problem = opened(response, self.mount)
        if problem is not None and problem.kind is BackendUnavailable:
            self._http.leave()  # another may be the active one, or not sealed
        return answer, problem


def _quoted(key: str) -> str:
    """A key as it stands in a path: Vault decodes it once."""
    return "/".join(quote(part, safe=",") for part in key.split("/"))
