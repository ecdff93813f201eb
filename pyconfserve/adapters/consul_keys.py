"""The keys below a prefix in Consul: read whole, changed one by one, waited for.

Consul leaves what a token may not see out of a list and says nothing, so no list is
believed before a key that stands for the prefix was found or was allowed to be.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from ..errors import BackendDenied, SettingsError, ValueTooLarge
from ..http.messages import Request, Response
from .consul_answers import Pair, is_made, pair_of, rows_of, verdict_of
from .consul_problems import HIDDEN, STRANGE, TOO_MUCH, problem_of
from .json_answers import Problem, header_of
from .json_http import Direct, JsonHttp, json_request, parse_members
from .tokens import GivenToken

__all__ = ["ConsulKeys"]

_PORT = 8500
_PROBE = ".pyconfserve"  # the key that tells an empty list from one that is hidden
_PAUSE = 0.1  # seconds after an answer that told nothing, such as of what is elsewhere
_GRACE = 2.0  # seconds for an answer that comes when its time is over
_LONGEST_WAIT = 570.0  # seconds: Consul's own is 10 minutes


class ConsulKeys:
    """The keys below *prefix*, or the one of `consul[s]://host:8500/prefix`.

    *token* stands for none where it is empty; *tls* are the files that Exchange takes.
    Raises SettingsError.
    """

    def __init__(
        self,
        uri: str,
        prefix: str,
        *,
        token: GivenToken,
        timeout: float,
        **tls: str | None,
    ) -> None:
        place = parse_members(uri, "consul", _PORT, prefix)
        if place.username or place.password:
            raise SettingsError("consul: expected a token as a setting of its own")
        if {".", ".."} & {*place.prefix.split("/")}:
            raise SettingsError("consul: a prefix has no . or ..")
        self.address = place.address
        self.prefix = f"{place.prefix}/"
        self._http = JsonHttp(
            place.address, place.urls, timeout=timeout, waiting=Direct, **tls
        )
        self._given = token
        self._closed = threading.Event()
        self._seen = ("", 0)  # a token, and an index at which it was the present one

    def token(self) -> str:
        """Another one after each change, the same until then.

        It has the index of the newest change and a digest of the names: an index goes
        back when Consul forgets that a key was removed, and may stay when all is, by
        `kv delete -recurse` of what the prefix begins with; no wait sees that. Being
        away makes it another one, too, as a store that was restored has indexes again.
        """
        epoch = self._http.epoch
        answer = self._list("keys")
        with self._understood():
            return self._see(epoch, *rows_of(answer))

    def read(self) -> tuple[str, dict[str, Pair]]:
        """The token and all pairs of one moment, by what follows the prefix."""
        epoch = self._http.epoch
        answer = self._list("recurse=true")
        with self._understood():
            index, rows = rows_of(answer)
            pairs = {str(row["Key"]): pair_of(row) for row in rows}
        token = self._see(epoch, index, pairs)
        whole = {key.removeprefix(self.prefix): pair for key, pair in pairs.items()}
        whole.pop(_PROBE, None)
        return token, whole

    def get(self, key: str) -> Pair | None:
        """What is at *key* now, None for nothing.

        A leader that was cut off must not tell what was there before a change.
        """
        answer = self._ask("GET", self._path(key), "consistent", key=key)
        with self._understood():
            _, rows = rows_of(answer)
            return pair_of(rows[0]) if answer.status == 200 else None

    def put(self, key: str, value: bytes, index: int) -> bool:
        """Whether *value* is at *key* now, where *index* stood, 0 for no such key."""
        cas, path = f"cas={index}", self._path(key)
        answer = self._ask("PUT", path, cas, body=value, key=key)
        with self._understood():
            return verdict_of(answer)

    def remove(self, key: str, index: int) -> bool:
        """Whether *key* is gone now, where *index* stood.

        It takes a transaction: a guarded removal of what is not there is no failure.
        """
        guard = {"Verb": "check-index", "Key": self.prefix + key, "Index": index}
        steps = [{"KV": guard}, {"KV": {"Verb": "delete", "Key": self.prefix + key}}]
        body = json_request("PUT", "", steps).body
        answer = self._ask("PUT", "/v1/txn", body=body, key=key)
        with self._understood():
            return is_made(answer)

    def mark(self) -> None:
        """Have a key that stands for the prefix, whatever else is there."""
        self.put(_PROBE, b"", 0)

    def wait(self, token: str, seconds: float) -> None:
        """Return when *token* is not the present one, and when it was not seen last."""
        end = time.monotonic() + seconds
        while not self._closed.is_set():
            (seen, index), left = self._seen, end - time.monotonic()
            if seen != token or left <= 0:
                return
            left = min(left, _LONGEST_WAIT)
            epoch, most = self._http.epoch, max(1, int(left * 1000 * 16 / 17))
            query = f"keys&index={index}&wait={most}ms"
            request = self._request("GET", self._path(""), query)
            answer = self._http.wait(request, left + _GRACE)
            if answer is None:
                return
            if (problem := self._problem(answer)) is not None:
                if self._is_renewed(problem, request):
                    return
                raise self._http.error(problem)
            with self._understood():
                present = self._see(epoch, *rows_of(answer))
            if present != token:
                self._seen = ("", 0)  # whether it is whole, nobody has looked
                return
            if self._seen[1] < index:
                self._seen = (token, 0)  # it went back: what comes is told at once
            self._closed.wait(min(_PAUSE, max(0.0, end - time.monotonic())))

    def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._closed.set()
        self._http.close()

    # requests

    def _path(self, key: str) -> str:
        return f"/v1/kv/{quote(self.prefix + key, safe='/')}"

    def _request(
        self, method: str, path: str, query: str, body: bytes = b""
    ) -> Request:
        token = self._given.read()
        headers = {"x-consul-token": token} if token else {}
        return Request(method, path, query, headers=headers, body=body)

    def _ask(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        body: bytes = b"",
        key: str = "",
        is_list: bool = False,
    ) -> Response:
        """An answer that says nothing bad, and is whole where it is a list.

        A token that is refused is read again, once.
        """
        is_renewed = False
        while True:
            request = self._request(method, path, query, body)
            answer = self._http.ask(request, is_change=method != "GET")
            problem = self._problem(answer)
            if problem is None and is_list:
                problem = self._hiding(answer, request)
            if problem is None:
                return answer
            if is_renewed or not self._is_renewed(problem, request):
                raise self._http.error(problem, key)
            is_renewed = True

    def _list(self, query: str) -> Response:
        """The answer to a request for all keys; raises what `_ask` does."""
        try:
            return self._ask("GET", self._path(""), query, is_list=True)
        except ValueTooLarge as error:
            raise self._http.error(TOO_MUCH) from error

    def _hiding(self, answer: Response, request: Request) -> Problem | None:
        """Why a list may not show all: the same token has to read the probe, too."""
        if header_of(answer, "x-consul-results-filtered-by-acls") == "true":
            return HIDDEN
        probe = f'"{self.prefix}{_PROBE}"'
        if answer.status == 200 and probe.encode("utf-8") in answer.body:
            return None
        asked = Request("GET", self._path(_PROBE), headers=request.headers)
        alone = self._http.ask(asked, is_change=False)
        problem = self._problem(alone)
        return HIDDEN if alone.status == 403 and request.headers else problem

    def _problem(self, answer: Response) -> Problem | None:
        """What an answer says that went wrong; who cannot serve is left."""
        if answer.status >= 500:
            self._http.leave()
        return problem_of(answer)

    def _is_renewed(self, problem: Problem, request: Request) -> bool:
        """Whether the token that was refused is not the one of now."""
        if problem.kind is not BackendDenied:
            return False
        return self._given.read_again(request.headers.get("x-consul-token", ""))

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Raise BackendMisconfigured for an answer that is none of Consul's."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise self._http.error(STRANGE) from error

    def _see(self, epoch: str, index: int, keys: Iterable[Any]) -> str:
        """The token of a list; its *index* is where a wait begins."""
        names = sorted({str(key) for key in keys})  # what is not UTF-8 looks the same
        digest = hashlib.sha256("\0".join(names).encode("utf-8", "replace"))
        # That of an empty list moves with whatever others write elsewhere.
        newest = index if names else 0
        token = f"{newest}.{digest.hexdigest()[:16]}{epoch and f'.{epoch}'}"
        self._seen = (token, index)
        return token
