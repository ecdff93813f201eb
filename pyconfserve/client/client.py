"""ConfigClient: the configuration of a service, at its start and while it runs."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from ..errors import FetchError, SettingsError
from ..http.dialing import Line
from ..http.exchange import Exchange
from .configuration import Change, Configuration, compare
from .drivers import drive, drive_async, exchanged, through
from .following import Follower
from .layers import Layers
from .snapshot import Snapshot
from .steps import Patience, Steps
from .target import Credentials, Target, make_servers
from .views import Plan, View, configuration_steps, file_steps, watch_steps

__all__ = ["ConfigClient", "load"]

_LONGEST = 86_400  # seconds: a day; what sockets and locks take ends at some
_PathLike = str | os.PathLike[str]


class ConfigClient:
    """Asks the servers at *url* for one configuration.

    *url* is one, a comma list or a sequence, asked in order; credentials may be in it.
    *label* None leaves it to the server. *timeout* is in seconds for one exchange, and
    all attempts of one call end within three times that; a failure that may pass is
    tried again *retries* times.

    With *snapshot*, a file keeps the last answer for a start while no server answers,
    at most *max_stale* seconds old. *environment* puts variables above values of the
    same name, *override_file* its properties above all; *resolve* fills in
    `${placeholders}` from all of these. *origins* asks for the line of each value, too;
    a server then may answer an unknown application with nothing instead of 404.

    *http_client* is an httpx.AsyncClient to ask by; it is used and never closed, and
    TLS and proxies are its own. A client may be shared by threads and loops, and used
    after a fork: it holds no connection. Raises SettingsError for what cannot be meant.
    """

    def __init__(
        self,
        *,
        url: str | Iterable[str],
        application: str,
        profile: str = "default",
        label: str | None = "main",
        # Credentials
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        # Transport
        http_client: Any = None,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        proxy: str | None = None,
        # Patience
        timeout: float = 10.0,
        retries: int = 3,
        poll_interval: float = 30.0,
        fail_fast: bool = False,
        # Snapshot
        snapshot: _PathLike | None = None,
        max_stale: float | None = None,
        # Layers
        override_file: _PathLike | None = None,
        environment: bool | Mapping[str, str] = False,
        resolve: bool = False,
        origins: bool = False,
    ) -> None:
        servers = make_servers(url, Credentials(username, password, token))
        asked = (application, profile, label)
        target = Target(servers, *asked, _headers(headers), origins)
        environ = os.environ if environment is True else environment or None
        self._fail_fast = fail_fast
        self._view: View | None = None
        self._http_client = http_client
        self._exchange = _exchange(timeout, ca_file, client_cert, client_key, proxy)
        self._plan = Plan(
            target,
            _patience(timeout, retries, poll_interval),
            Layers(_path(override_file), environ, resolve, profile),
            _snapshot(_path(snapshot), target, max_stale),
        )

    def __repr__(self) -> str:
        target = self._plan.target
        names = "/".join([target.application, target.profile, target.label or ""])
        return f"<ConfigClient {names.rstrip('/')} at {', '.join(target.urls)}>"

    @property
    def current(self) -> Configuration | None:
        """The configuration that was heard of last, None before the first."""
        return None if self._view is None else self._view.configuration

    async def fetch(self) -> dict[str, Any]:
        """`{dotted key: value}`, the first source that has a key winning.

        A status other than 200 is a warning and `{}`; with *fail_fast* it is a
        FetchError. Raises FetchError also for no answer at all and for one that is no
        configuration, unless a snapshot serves.
        """
        try:
            return dict(await self.configuration())
        except FetchError as error:
            if self._fail_fast or error.status in (None, 200):
                raise
            from logging import getLogger

            getLogger("pyconfserve.client").warning("%s; it counts as empty", error)
            return {}

    async def configuration(self) -> Configuration:
        """The configuration; raises FetchError for every failure.

        Of a snapshot, see *stale_since* of Configuration: it serves when no server can
        answer, and not when one answers 401, 403 or 404. Raises InvalidRequest for
        names that no URL can hold, SettingsError for a broken override file.
        """
        view: View = await self._first(configuration_steps(self._plan))
        self._view = view
        return view.configuration

    def load(self) -> Configuration:
        """What `configuration` gives, for code without a loop, or while one runs."""
        self._check_synchronous()
        steps = configuration_steps(self._plan)
        with closing(drive(steps, self._exchange, time.sleep)) as emitted:
            view: View = next(emitted)
        self._view = view
        return view.configuration

    async def file(self, path: str, *, resolve: bool = False) -> bytes:
        """A plain file as it is stored or, with *resolve*, as UTF-8 text.

        Then the server fills in its placeholders. Raises FetchError for every failure,
        InvalidRequest for a path that no URL can hold.
        """
        data: bytes = await self._first(file_steps(self._plan, path, resolve=resolve))
        return data

    def watch(self) -> AsyncGenerator[Change, None]:
        """Changes as they happen, each against the one before; it never ends by itself.

        The first is against `current` as it is when this is called, and without one
        what is there first is no change. `current` is replaced as a whole before a
        change is given. A server without long polls is asked every *poll_interval*.
        Failures are logged and tried again. It ends at once when it is cancelled.
        Without an *http_client* it takes one thread of its own.
        """
        return self._watch(self._view)

    async def _watch(self, known: View | None) -> AsyncGenerator[Change, None]:
        emitted = drive_async(watch_steps(self._plan, known), self._sender())
        try:
            async for view in emitted:
                change, known = self._publish(known, view), view
                if change is not None:
                    yield change
        finally:
            await emitted.aclose()

    def follow(self, callback: Callable[[Change], object]) -> Follower:
        """Call *callback* with each change, in a thread of its own, until `stop()`."""
        self._check_synchronous()
        begun = self._view

        def changes(
            sleep: Callable[[float], None], line: Line
        ) -> Generator[Change, None, None]:
            known, steps = begun, watch_steps(self._plan, begun)
            for view in drive(steps, self._exchange, sleep, line):
                change, known = self._publish(known, view), view
                if change is not None:
                    yield change

        return Follower(changes, callback)

    def _publish(self, old: View | None, view: View) -> Change | None:
        """Make *view* the current one; gives what differs from *old*."""
        self._view = view
        return old and compare(old.configuration, view.configuration)

    async def _first(self, steps: Steps[None]) -> Any:
        emitted = drive_async(steps, self._sender())
        try:
            return await anext(emitted)
        finally:
            await emitted.aclose()

    def _sender(self) -> Callable[[Any], Any]:
        if self._http_client is None:
            return exchanged(self._exchange)
        return through(self._http_client)

    def _check_synchronous(self) -> None:
        _check(
            self._http_client is None,
            "http_client",
            "it is asynchronous: await configuration() or watch() instead",
        )


def load(
    url: str | Iterable[str],
    application: str,
    profile: str = "default",
    label: str | None = None,
    **options: Any,
) -> Configuration:
    """The configuration of *application*, now; *options* are those of ConfigClient.

    Raises FetchError for every failure, and what ConfigClient raises.
    """
    client = ConfigClient(
        url=url, application=application, profile=profile, label=label, **options
    )
    return client.load()


def _check(holds: bool, key: str, problem: str) -> None:
    if not holds:
        raise SettingsError(problem, key)


def _path(path: _PathLike | None) -> str | None:
    return None if path is None else os.fspath(path)


def _patience(timeout: float, retries: int, poll_interval: float) -> Patience:
    for key, seconds in (("timeout", timeout), ("poll_interval", poll_interval)):
        problem = f"expected more than 0 seconds, at most {_LONGEST}"
        _check(0 < seconds <= _LONGEST, key, problem)  # and so no NaN
    _check(retries >= 0, "retries", "expected 0 or more")
    clocks = (time.monotonic, time.time, _chance)
    return Patience(timeout, retries, poll_interval, *clocks)


def _snapshot(
    path: str | None, target: Target, max_stale: float | None
) -> Snapshot | None:
    return None if path is None else Snapshot(path, target, max_stale, time.time)


def _exchange(timeout: float, *options: str | None) -> Exchange:
    ca_file, client_cert, client_key, proxy = options
    try:
        return Exchange(
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            proxy=proxy,
        )
    except ValueError as error:
        raise SettingsError(str(error), "proxy") from None


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """*headers* with their names in lower case; raises SettingsError, quoting none."""
    found = {name.lower(): value for name, value in (headers or {}).items()}
    for name, value in found.items():
        is_token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not is_token or not value.isprintable() or not value.isascii():
            raise SettingsError("expected names and printable ASCII values", "headers")
    return found


def _chance() -> float:
    """A number from 0 to below 1, another one in each process that forks off."""
    return int.from_bytes(os.urandom(6), "big") / (1 << 48)
