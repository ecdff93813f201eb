"""Who asks Vault: a token that is given, or that of a role which logs in.

A token is renewed before it expires, as long as Vault lets it be; one of a role is
replaced by a new login then, and one in a file by what the file has. No token stands in
a log or an error.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from typing import Any

from ..errors import BackendError, BackendUnavailable, ConfigError, SettingsError
from .json_answers import Problem
from .tokens import GivenToken
from .vault_problems import DENIED, STRANGE, WRONG_LOGIN, map_of

__all__ = ["Login"]

_SHARE = 2 / 3  # of a token's life, after which it is renewed
_SHORTEST = 0.2  # seconds between two renewals
_LONGEST = 86400.0 * 7  # seconds that a timer waits
_AGAIN = 5.0  # seconds after which a renewal or a login that failed is tried again
_RARELY = 60.0  # seconds between logins where Vault does not say who is known

_logger = logging.getLogger("pyconfserve.vault")

# Method, path, tree and token to an answer, and what it says that went wrong.
Ask = Callable[[str, str, Any, str], tuple[dict[str, Any], Problem | None]]


class Login:
    """The token of requests; *role* is a role's id and secret, both empty for none.

    *ask* sends one request, and *fail* makes an error of what it says went wrong.
    *path* is where roles log in. Raises SettingsError for a token and a role.
    """

    def __init__(
        self,
        ask: Ask,
        fail: Callable[[Problem], ConfigError],
        *,
        token: str,
        token_file: str,
        role: tuple[str, str],
        path: str,
    ) -> None:
        if role[0] and (token or token_file):
            raise SettingsError("expected a token or a role", "token")
        if role[1] and not role[0]:
            raise SettingsError("a secret needs the id of its role", "username")
        self._ask, self._fail = ask, fail
        self._given = GivenToken(token, token_file)
        self._role, self._path = role, path.strip("/")
        self.is_given = bool(role[0] or token or token_file)
        self._token = ""
        self._changing = threading.Lock()
        self._failure: BackendError | None = None  # of the last login
        self._again = 0.0  # when somebody may log in after it
        self._refusable = 0.0  # when a refusal is a reason to log in
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def token(self) -> str:
        """The present token, "" where none is given; raises BackendError."""
        if self._token or not self.is_given:
            return self._token
        asked = time.monotonic()
        with self._changing:
            if not self._token:
                self._begin(asked)
            return self._token

    def instead_of(self, token: str) -> str:
        """Another token than *token*, which was refused; "" where there is none.

        Raises BackendError.
        """
        asked = time.monotonic()
        with self._changing:
            if self._token != token:
                return self._token
            if self._role[0]:
                self._log_in_anew(asked)
            elif self._given.read_again(token):
                self._begin(asked)
            return self._token if self._token != token else ""

    def is_known(self, token: str) -> bool | None:
        """Whether Vault knows *token*, None where it does not tell."""
        with suppress(ConfigError):
            _, problem = self._ask("GET", "auth/token/lookup-self", None, token)
            if problem is None or problem is DENIED:
                return problem is None
        return None

    def close(self) -> None:
        """Renew no more; calling this twice is fine."""
        self._is_closed = True
        self._cancel()

    def _do(self, work: Callable[[], None]) -> None:
        with self._changing:
            if not self._is_closed:
                self._tend(work)

    # all below is called by one thread at a time

    def _begin(self, asked: float) -> None:
        """Have a token.

        A failure is that of all who *asked* before it. A role that is refused is not
        tried again for a while: Vault locks out who goes on.
        """
        if self._failure is not None and asked < self._again:
            raise copy(self._failure) from self._failure
        try:
            if self._role[0]:
                self._log_in()
            else:
                self._token = self._given.read()
                self._tend(self._look)
        except BackendError as error:
            is_refused = self._role[0] and not isinstance(error, BackendUnavailable)
            self._failure = error
            self._again = time.monotonic() + (_AGAIN if is_refused else 0.0)
            raise
        self._failure = None

    def _log_in_anew(self, asked: float) -> None:
        """Replace a token that Vault does not know any more.

        A role may have no right to ask whether it does: then it does not know the new
        one either, and a refusal tells nothing.
        """
        if asked < self._refusable or self.is_known(self._token) is not False:
            return
        self._begin(asked)
        if self.is_known(self._token) is False:
            self._refusable = time.monotonic() + _RARELY

    def _look(self) -> None:
        """Plan the renewals of a given token; the request tells if it is wrong."""
        tree, problem = self._ask("GET", "auth/token/lookup-self", None, self._token)
        if problem is None:
            data = map_of(tree, "data")
            self._plan(data.get("ttl"), bool(data.get("renewable")))
        elif issubclass(problem.kind, BackendUnavailable):
            raise self._fail(problem)

    def _log_in(self) -> None:
        role, secret = self._role
        login = {"role_id": role, **({"secret_id": secret} if secret else {})}
        tree, problem = self._ask("POST", f"auth/{self._path}/login", login, "")
        token = map_of(tree, "auth").get("client_token")
        if problem is None and not (token and isinstance(token, str)):
            problem = STRANGE
        if problem is not None:
            raise self._fail(WRONG_LOGIN if problem is DENIED else problem)
        self._token = str(token)
        self._plan_by(tree)

    def _plan_by(self, tree: dict[str, Any]) -> None:
        lease = map_of(tree, "auth")
        self._plan(lease.get("lease_duration"), bool(lease.get("renewable")))

    def _plan(self, seconds: Any, is_renewable: bool) -> None:
        """Renew a token that lives *seconds* in time; 0 is for ever."""
        self._cancel()
        if not isinstance(seconds, int | float) or seconds <= 0:
            return
        if not is_renewable and not self._role[0]:
            _logger.warning("the token expires in %d s and cannot be renewed", seconds)
            return
        self._do_in(seconds * _SHARE, self._renew)

    def _do_in(self, seconds: float, work: Callable[[], None]) -> None:
        self._cancel()
        pause = min(max(seconds, _SHORTEST), _LONGEST)
        self._timer = threading.Timer(pause, self._do, [work])
        self._timer.name, self._timer.daemon = "pyconfserve-vault-token", True
        if not self._is_closed:
            self._timer.start()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tend(self, work: Callable[[], None]) -> None:
        """Do *work* for the token, again and again while Vault is away."""
        try:
            work()
        except BackendUnavailable as error:
            _logger.warning("the token was not renewed: %s", error)
            self._do_in(_AGAIN, work)
        except ConfigError as error:
            _logger.warning("the token was not renewed: %s", error)

    def _renew(self) -> None:
        """Renew the token; that of a role may be replaced instead."""
        tree, problem = self._ask("POST", "auth/token/renew-self", {}, self._token)
        if problem is None:
            self._plan_by(tree)
        elif issubclass(problem.kind, BackendUnavailable):
            raise self._fail(problem)
        elif self._role[0] or self._given.read_again(self._token):
            self._begin(time.monotonic())
        else:
            _logger.warning("the token cannot be renewed: %s", problem.words)
