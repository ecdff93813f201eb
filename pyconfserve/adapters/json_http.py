"""JSON over HTTP: requests to the servers of one store, and waits for their notices.

Each request has a connection of its own, by a deadline; no redirect is followed, as it
would lead to another key. Errors name the store and the key, never who asks.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote

from ..errors import (
    BackendUnavailable,
    ConfigError,
    ExchangeError,
    SettingsError,
    ValueTooLarge,
)
from ..http.dialing import Deadline, Line
from ..http.exchange import Exchange
from ..http.messages import Request, Response
from ..http.urls import parse_url
from .json_answers import Problem

__all__ = [
    "TIMEOUT",
    "Direct",
    "JsonHttp",
    "Place",
    "json_request",
    "parse_members",
]

TIMEOUT = 10.0  # seconds for one request: without a quorum it takes some 7 to say so
_LARGEST_ANSWER = 64 * 1024 * 1024
_NOT_SENT = (ConnectionRefusedError, socket.gaierror)  # nothing was done, for sure


class Place(NamedTuple):
    """What a URI names: the URLs of a store's servers, and a path there.

    `address` is the URI again, without credentials.
    """

    address: str
    urls: tuple[str, ...]
    prefix: str
    username: str
    password: str


def parse_members(uri: str, kind: str, port: int, prefix: str) -> Place:
    """The parts of `kind[s]://[user:password@]host[:port][,host…][/prefix]`.

    *port* and *prefix* are those of a URI that names none. Raises SettingsError.
    """
    form = rf"{kind}(s?)://(?:(.*)@)?([^/@?#]+)(/[^?#]*)?"
    found = re.fullmatch(form, uri.strip(), re.DOTALL | re.IGNORECASE)
    if found is None:
        expected = f"{kind}[s]://host:{port}[,host:{port}]/prefix"
        raise SettingsError(f"expected {expected}")
    secure, user, hosts, path = found.groups(default="")
    path = "/".join(part for part in path.split("/") if part) or prefix
    members = [
        host if re.search(r":\d+\Z", host) else f"{host}:{port}"
        for host in hosts.split(",")
    ]
    scheme = f"http{secure.lower()}"
    try:
        urls = tuple(str(parse_url(f"{scheme}://{member}")) for member in members)
    except ValueError as error:
        raise SettingsError(f"{kind}: {error}") from None
    username, _, password = (unquote(part) for part in user.partition(":"))
    address = f"{kind}{secure.lower()}://{','.join(members)}"
    if path:
        address = f"{address}/{path}"
    return Place(address, urls, path, username, password)


class Direct(Exchange):
    """An exchange that follows no redirect."""

    def _send(
        self, url: str, request: Request, deadline: Deadline, line: Line
    ) -> Response:
        origin, base, _ = parse_url(url)
        target = base + request.path + (f"?{request.query}" if request.query else "")
        return self._once(origin, target, request, deadline, line)


class JsonHttp:
    """Asks the servers at *urls*: the one that answered last, another when it fails.

    *address* is what errors name. *waiting* makes the exchange of waits; *tls* are the
    files that Exchange takes. `epoch` is another text after each connection that
    failed and each `leave`: who answers then may be another store. Raises
    SettingsError.
    """

    def __init__(
        self,
        address: str,
        urls: Sequence[str],
        *,
        timeout: float = TIMEOUT,
        waiting: type[Exchange] = Direct,
        **tls: str | None,
    ) -> None:
        self.address = address
        self.epoch = ""
        self.is_closed = False
        self._urls = urls
        self._exchange = Direct(timeout=timeout, limit=_LARGEST_ANSWER, **tls)
        self._waiting = waiting(timeout=timeout, limit=_LARGEST_ANSWER, **tls)
        self._at = 0  # of the servers: who is asked
        self._asked = threading.local()  # `at`: whom this thread asked last
        self._lines: set[Line] = set()
        self._waits: set[Line] = set()

    def ask(self, request: Request, *, is_change: bool) -> Response:
        """The answer of a server, whatever its status.

        A change that may have been made is sent to one of them alone. Raises
        BackendUnavailable, and ValueTooLarge for an answer above 64 MiB.
        """
        first, count = self._at, len(self._urls)
        for at in [(first + number) % count for number in range(count)]:
            self._asked.at = at
            try:
                with self._line(self._lines) as line:
                    return self._exchange.send(self._urls[at], request, line=line)
            except ExchangeError as error:
                if error.reason.startswith("the answer is larger"):
                    raise ValueTooLarge(f"{self.address}: {error.reason}") from error
                lost = self._lost(at, error)
                is_done = is_change and not isinstance(error.__cause__, _NOT_SENT)
                if is_done or self.is_closed or (at + 1) % count == first:
                    raise lost from error
        raise AssertionError("it has no servers")

    def wait(self, request: Request, seconds: float) -> Response | None:
        """The answer to a request that may take *seconds*, None when it took longer.

        It is None, too, when it is closed, and when a call fails meanwhile: who waits
        may wait for what is gone. Raises BackendUnavailable.
        """
        at = self._asked.at = self._at
        try:
            with self._line(self._waits) as line:
                return self._waiting.send(
                    self._urls[at], request, timeout=seconds, line=line
                )
        except ExchangeError as error:
            if line.is_cut or isinstance(error.__cause__, TimeoutError):
                return None
            raise self._lost(at, error) from error

    def leave(self) -> None:
        """Ask another server than this thread did last; a new epoch begins."""
        self._pass_on(self._asked.at)

    def hang_up(self) -> None:
        """End all waits."""
        for wait in tuple(self._waits):
            wait.hang_up()

    def close(self) -> None:
        """End all requests and waits; calling this twice is fine."""
        self.is_closed = True
        for line in (*self._lines, *self._waits):
            line.hang_up()

    def error(self, problem: Problem, key: str = "") -> ConfigError:
        """The error of *problem*, with the store and the key in its text."""
        place = f"{self.address}: {key}" if key else self.address
        return problem.kind(f"{place}: {problem.words}")

    def _lost(self, at: int, error: ExchangeError) -> BackendUnavailable:
        self._pass_on(at)
        self.hang_up()
        return BackendUnavailable(f"{self.address}: {error.reason}")

    def _pass_on(self, at: int) -> None:
        self.epoch = secrets.token_hex(4)  # that no process ever had
        self._at = (at + 1) % len(self._urls)

    @contextmanager
    def _line(self, lines: set[Line]) -> Iterator[Line]:
        line = Line()
        lines.add(line)
        try:
            if self.is_closed:
                line.hang_up()
            yield line
        finally:
            lines.discard(line)


def json_request(
    method: str,
    path: str,
    tree: Any = None,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> Request:
    """A request with *tree* as JSON, without a body where that is None."""
    if tree is None:
        return Request(method, path, query, headers=dict(headers or {}))
    body = json.dumps(tree).encode("ascii")
    fields = {"content-type": "application/json", **(headers or {})}
    return Request(method, path, query, headers=fields, body=body)
