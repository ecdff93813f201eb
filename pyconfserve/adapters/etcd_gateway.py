"""etcd's JSON gateway: requests, watches and logins.

It answers at /v3 of 3.4 to 3.6. Answers leave out whatever is zero, false or empty, and
an int64 is a text there. Errors name the store and the key, never who asks.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from ..errors import BackendUnavailable, ConfigError, ExchangeError, SettingsError
from ..http.dialing import Line
from ..http.exchange import Exchange
from ..http.messages import Request
from ..http.urls import parse_url
from .etcd_problems import (
    AWAY,
    OLD_TOKEN,
    TOO_LARGE,
    Problem,
    opened,
    refusal_of,
    says_nothing,
)

if TYPE_CHECKING:
    from http.client import HTTPResponse

__all__ = ["Gateway", "Place", "parse_place"]

_URI = re.compile(r"etcd(s?)://(?:(.*)@)?([^/@?#]+)(/[^?#]*)?", re.DOTALL)
_PORT = 2379
_PREFIX = "pyconfserve"
_LARGEST_ANSWER = 64 * 1024 * 1024
_LONGEST_LINE = 64 * 1024  # bytes: what is longer holds events
_NOT_SENT = (ConnectionRefusedError, socket.gaierror)  # nothing was done, for sure


class Place(NamedTuple):
    """What a URI names: the URLs of a cluster's members, and a prefix of keys.

    `address` is the URI again, without credentials.
    """

    address: str
    urls: tuple[str, ...]
    prefix: str
    username: str
    password: str


def parse_place(uri: str) -> Place:
    """The parts of `etcd[s]://[user:password@]host[:2379][,host…][/prefix]`.

    The prefix is `pyconfserve` where none is named. Raises SettingsError.
    """
    found = _URI.fullmatch(uri.strip())
    if found is None:
        raise SettingsError("expected etcd[s]://host:2379[,host:2379]/prefix")
    secure, user, hosts, path = found.groups(default="")
    prefix = "/".join(part for part in path.split("/") if part) or _PREFIX
    members = [
        host if re.search(r":\d+\Z", host) else f"{host}:{_PORT}"
        for host in hosts.split(",")
    ]
    try:
        urls = tuple(str(parse_url(f"http{secure}://{member}")) for member in members)
    except ValueError as error:
        raise SettingsError(f"etcd: {error}") from None
    username, _, password = (unquote(part) for part in user.partition(":"))
    address = f"etcd{secure}://{','.join(members)}/{prefix}"
    return Place(address, urls, prefix, username, password)


class _Watching(Exchange):
    """An exchange whose answer is lines, and ends with the first that says something.

    A line may be cut off, when it holds events.
    """

    def _body(self, answer: HTTPResponse) -> bytes:
        if answer.status != 200:
            return super()._body(answer)
        while line := answer.readline(_LONGEST_LINE):
            if not says_nothing(line):
                return line
        raise ExchangeError("the watch ended")


class Gateway:
    """Asks the members at *place*: the one that answered last, another when it fails.

    *user* is a name and a password, both empty where the store has no users; *tls* are
    the files that Exchange takes. `epoch` is another text after each connection that
    failed: who answers then may be another store. Raises SettingsError.
    """

    def __init__(
        self,
        place: Place,
        user: tuple[str, str],
        *,
        timeout: float,
        **tls: str | None,
    ) -> None:
        self._place = place
        self._user = user
        self._exchange = Exchange(timeout=timeout, limit=_LARGEST_ANSWER, **tls)
        self._watching = _Watching(timeout=timeout, limit=_LARGEST_ANSWER, **tls)
        self.epoch = ""
        self._at = 0  # of the members: who is asked
        self._token = ""
        self._login = threading.Lock()
        self._lines: set[Line] = set()
        self._watches: set[Line] = set()
        self._is_closed = False

    def call(
        self, path: str, tree: Mapping[str, Any], key: str = "", *, is_change: bool
    ) -> dict[str, Any]:
        """What is answered to *tree*; a change is sent to one member alone.

        Raises BackendError, and ValueTooLarge, also for an answer above 64 MiB.
        """
        token = self._logged_in()
        answer, problem = self._ask(path, tree, token, is_change)
        if problem is OLD_TOKEN and token:
            token = self._logged_in(instead_of=token)
            answer, problem = self._ask(path, tree, token, is_change)
        if problem is not None:
            raise self._error(problem, key)
        return answer

    def watch(self, tree: Mapping[str, Any], seconds: float) -> None:
        """Return at the first event, after *seconds*, and when it is closed.

        It returns too when a call fails: who waits may wait for what is gone. Raises
        BackendError.
        """
        token, at = self._logged_in(), self._at
        request = _request("watch", tree, token)
        try:
            with self._line(self._watches) as line:
                answer = self._watching.send(
                    self._place.urls[at], request, timeout=seconds, line=line
                )
        except ExchangeError as error:
            if line.is_cut or isinstance(error.__cause__, TimeoutError):
                return
            raise self._lost(at, error) from error
        is_watch = answer.status == 200
        problem = refusal_of(answer.body) if is_watch else opened(answer)[1]
        if problem is OLD_TOKEN:
            self._logged_in(instead_of=token)
        elif problem is not None:
            raise self._error(problem)

    def close(self) -> None:
        """Hang up on all members; calling this twice is fine."""
        self._is_closed = True
        for line in (*self._lines, *self._watches):
            line.hang_up()

    def _logged_in(self, instead_of: str = "") -> str:
        """The token of a login, another one than *instead_of*."""
        if not self._user[0]:
            return ""
        with self._login:
            if self._token == instead_of:
                user = dict(zip(("name", "password"), self._user, strict=True))
                answer, problem = self._ask("auth/authenticate", user, "", False)
                if problem is not None:
                    raise self._error(problem)
                self._token = str(answer.get("token", ""))
            return self._token

    def _ask(
        self, path: str, tree: Mapping[str, Any], token: str, is_change: bool
    ) -> tuple[dict[str, Any], Problem | None]:
        request, first = _request(path, tree, token), self._at
        count = len(self._place.urls)
        for at in [(first + number) % count for number in range(count)]:
            try:
                with self._line(self._lines) as line:
                    url = self._place.urls[at]
                    response = self._exchange.send(url, request, line=line)
                break
            except ExchangeError as error:
                if error.reason.startswith("the answer is larger"):
                    return {}, TOO_LARGE
                lost = self._lost(at, error)
                is_done = is_change and not isinstance(error.__cause__, _NOT_SENT)
                if is_done or self._is_closed or (at + 1) % count == first:
                    raise lost from error
        answer, problem = opened(response)
        if problem is AWAY:
            self._at = (at + 1) % count  # it may be alone on its side of a cut
        return answer, problem

    def _lost(self, at: int, error: ExchangeError) -> BackendUnavailable:
        self.epoch = secrets.token_hex(4)  # that no process ever had
        self._at = (at + 1) % len(self._place.urls)
        for watch in tuple(self._watches):
            watch.hang_up()
        return BackendUnavailable(f"{self._place.address}: {error.reason}")

    def _error(self, problem: Problem, key: str = "") -> ConfigError:
        place = f"{self._place.address}: {key}" if key else self._place.address
        return problem.kind(f"{place}: {problem.words}")

    @contextmanager
    def _line(self, lines: set[Line]) -> Iterator[Line]:
        line = Line()
        lines.add(line)
        try:
            if self._is_closed:
                line.hang_up()
            yield line
        finally:
            lines.discard(line)


def _request(path: str, tree: Mapping[str, Any], token: str) -> Request:
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = token  # bare: it takes no scheme
    body = json.dumps(tree).encode("ascii")
    return Request("POST", f"/v3/{path}", headers=headers, body=body)
