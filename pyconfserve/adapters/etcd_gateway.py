"""etcd's JSON gateway: requests, watches and logins.

It answers at /v3 of 3.4 to 3.6. Answers leave out whatever is zero, false or empty, and
an int64 is a text there. Errors name the store and the key, never who asks.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ExchangeError, SettingsError
from ..http.exchange import Exchange
from ..http.messages import Request
from .etcd_problems import AWAY, OLD_TOKEN, opened, refusal_of, says_nothing
from .json_answers import Problem
from .json_http import JsonHttp, Place, json_request, parse_members

if TYPE_CHECKING:
    from http.client import HTTPResponse

__all__ = ["Gateway", "Place", "parse_place"]

_PORT = 2379
_PREFIX = "pyconfserve"
_LONGEST_LINE = 64 * 1024  # bytes: what is longer holds events


def parse_place(uri: str) -> Place:
    """The parts of `etcd[s]://[user:password@]host[:2379][,host…][/prefix]`.

    The prefix is `pyconfserve` where none is named. Raises SettingsError.
    """
    return parse_members(uri, "etcd", _PORT, _PREFIX)


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


class Gateway(JsonHttp):
    """Asks the members at *place*: the one that answered last, another when it fails.

    *user* is a name and a password, both empty where the store has no users; *tls* are
    the files that Exchange takes. Raises SettingsError.
    """

    def __init__(
        self,
        place: Place,
        user: tuple[str, str],
        *,
        timeout: float,
        **tls: str | None,
    ) -> None:
        super().__init__(
            place.address, place.urls, timeout=timeout, waiting=_Watching, **tls
        )
        if user[1] and not user[0]:  # it would never be sent
            raise SettingsError("etcd: a password needs a user")
        self._user = user
        self._token = ""
        self._login = threading.Lock()

    def call(
        self, path: str, tree: Mapping[str, Any], key: str = "", *, is_change: bool
    ) -> dict[str, Any]:
        """What is answered to *tree*; a change is sent to one member alone.

        Raises BackendError, and ValueTooLarge, also for an answer above 64 MiB.
        """
        token = self._logged_in()
        answer, problem = self._call(path, tree, token, is_change)
        if problem is OLD_TOKEN and token:
            token = self._logged_in(instead_of=token)
            answer, problem = self._call(path, tree, token, is_change)
        if problem is not None:
            raise self.error(problem, key)
        return answer

    def watch(self, tree: Mapping[str, Any], seconds: float) -> None:
        """Return at the first event, after *seconds*, and when it is closed.

        It returns too when a call fails: who waits may wait for what is gone. Raises
        BackendError.
        """
        token = self._logged_in()
        answer = self.wait(_request("watch", tree, token), seconds)
        if answer is None:
            return
        is_watch = answer.status == 200
        problem = refusal_of(answer.body) if is_watch else opened(answer)[1]
        if problem is OLD_TOKEN:
            self._logged_in(instead_of=token)
        elif problem is not None:
            raise self.error(problem)

    def _logged_in(self, instead_of: str = "") -> str:
        """The token of a login, another one than *instead_of*."""
        if not self._user[0]:
            return ""
        with self._login:
            if self._token == instead_of:
                user = dict(zip(("name", "password"), self._user, strict=True))
                answer, problem = self._call("auth/authenticate", user, "", False)
                if problem is not None:
                    raise self.error(problem)
                self._token = str(answer.get("token", ""))
            return self._token

    def _call(
        self, path: str, tree: Mapping[str, Any], token: str, is_change: bool
    ) -> tuple[dict[str, Any], Problem | None]:
        request = _request(path, tree, token)
        answer, problem = opened(self.ask(request, is_change=is_change))
        if problem is AWAY:
            self.leave()  # it may be alone on its side of a cut
        return answer, problem


def _request(path: str, tree: Mapping[str, Any], token: str) -> Request:
    bare = {"authorization": token} if token else {}  # it takes no scheme
    return json_request("POST", f"/v3/{path}", tree, bare)
