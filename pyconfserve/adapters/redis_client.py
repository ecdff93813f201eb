"""The client of Redis: where it is, who asks, and what its errors mean in ours.

Nothing is ever sent twice: whether a change was made whose answer was lost is found out
by whoever asked for it. Errors never hold what Redis says, as it repeats what it got.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from ..errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    MissingDependency,
    SettingsError,
    StorageFull,
)
from ..http.exchange import Exchange

try:
    from redis import Redis, exceptions
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ModuleNotFoundError as error:
    what = "a Redis store", "pyconfserve[redis]"
    raise MissingDependency.instead_of(error, "redis", *what) from error

if TYPE_CHECKING:
    from redis.client import PubSub

__all__ = [
    "TIMEOUT",
    "Place",
    "make_client",
    "parse_place",
    "piped",
    "translated",
    "wake",
]

TIMEOUT = 10.0  # seconds for one command, and for a connection
_URI = re.compile(
    r"redis(s?)://(?:(.*)@)?(\[[\da-f:.]+\]|[^\[\]/:@?#,\s]+)(?::(\d{1,5}))?"
    r"(?:/(\d{0,9})(?:/([\w.-]+))?)?/?",
    re.DOTALL | re.IGNORECASE | re.ASCII,
)
_PORT = 6379
_PREFIX = "pyconfserve"
_LOST = "it is away"
_LATE = "it did not answer in time"
_WRONG = "the user or the password is wrong or missing"
_DENIED = "the user has no right to it"
_ELSEWHERE = "the keys are at another node of its cluster"
# What an error of redis-py means, the first that fits: its class, an error of ours, and
# words for people.
_KINDS: tuple[tuple[type[Exception], type[BackendError], str], ...] = (
    (exceptions.AuthenticationError, BackendDenied, _WRONG),
    (exceptions.AuthorizationError, BackendDenied, _DENIED),
    (exceptions.NoPermissionError, BackendDenied, _DENIED),
    (exceptions.BusyLoadingError, BackendUnavailable, "it is loading what it kept"),
    (exceptions.TimeoutError, BackendUnavailable, _LATE),
    (exceptions.ConnectionError, BackendUnavailable, _LOST),
    (exceptions.OutOfMemoryError, StorageFull, "its memory is full"),
    (exceptions.ReadOnlyError, BackendUnavailable, "it is a replica, and read-only"),
    (exceptions.MasterDownError, BackendUnavailable, "its master is down"),
    (exceptions.ClusterDownError, BackendUnavailable, "its cluster is down"),
    (exceptions.TryAgainError, BackendUnavailable, "its cluster moves the keys"),
    (exceptions.AskError, BackendMisconfigured, _ELSEWHERE),
)  # fmt: skip
# And what its text begins with, where redis-py has no class of its own for it.
_WORDS: dict[str, tuple[type[BackendError], str]] = {
    "The user executing the script can't": (BackendDenied, _DENIED),
    "WRONGTYPE": (BackendMisconfigured, "a key holds something else"),
    "MISCONF": (BackendUnavailable, "it cannot save to its disk"),
    "BUSY": (BackendUnavailable, "it is busy with a script"),
    "NOREPLICAS": (BackendUnavailable, "too few of its replicas are there"),
    "DB index": (BackendMisconfigured, "it has no such database"),
    "unknown command": (BackendMisconfigured, "it lacks a command"),
}


class Place(NamedTuple):
    """What a URI names: a server, a database of it, and a prefix of keys.

    `address` is the URI again, without credentials.
    """

    address: str
    is_secure: bool
    host: str
    port: int
    database: int
    prefix: str
    username: str
    password: str


def parse_place(uri: str) -> Place:
    """The parts of `redis[s]://[[user]:password@]host[:6379][/0[/prefix]]`.

    The prefix is `pyconfserve` where none is named. Raises SettingsError.
    """
    found = _URI.fullmatch(uri.strip())
    port = int(found[4] or _PORT) if found else 0
    if found is None or not 0 < port < 65536:
        raise SettingsError("expected redis[s]://[user:password@]host:6379/database")
    secure, user, host, _, database, prefix = found.groups(default="")
    username, _, password = (unquote(part) for part in user.partition(":"))
    address = f"redis{secure.lower()}://{host}:{port}/{int(database or 0)}"
    if prefix not in ("", _PREFIX):
        address = f"{address}/{prefix}"
    return Place(
        address,
        bool(secure),
        host.strip("[]"),
        port,
        int(database or 0),
        prefix or _PREFIX,
        username,
        password,
    )


def make_client(
    place: Place,
    *,
    username: str = "",
    password: str = "",
    ca_file: str | None = None,
    client_cert: str | None = None,
    client_key: str | None = None,
    timeout: float = TIMEOUT,
    errors: str = "surrogateescape",
) -> Redis:
    """A client of the server at *place*, for all threads; it connects when it is asked.

    Texts come and go as UTF-8, other bytes as *errors* says. Raises SettingsError for
    files that are none.
    """
    options: dict[str, Any] = {}
    if place.is_secure:
        # It looks at the files, and asks nobody.
        Exchange(ca_file=ca_file, client_cert=client_cert, client_key=client_key)
        options = {
            "ssl": True,
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_ca_certs": ca_file,
            "ssl_certfile": client_cert,
            "ssl_keyfile": client_key,
        }
    return Redis(
        host=place.host,
        port=place.port,
        db=place.database,
        username=username or place.username or None,
        password=password or place.password or None,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors=errors,
        protocol=2,  # all versions speak it, with the same words
        **options,
    )


@contextmanager
def translated(place: str, about: str = "") -> Iterator[None]:
    """Raise errors of ours, which begin with *place*, for those of redis-py.

    Who asks the server is told what they are *about*, and not the place.
    """
    try:
        yield
    except exceptions.RedisError as error:
        kind, words = _meaning(error)
        ours = kind(f"{place}: {about}: {words}" if about else f"{place}: {words}")
        ours.place = place
        raise ours from error


def piped(client: Redis, address: str, commands: Iterable[Sequence[str]]) -> list[Any]:
    """The answers to *commands* with a key each, which are sent together.

    Raises BackendError of the first that failed.
    """
    keys = []
    pipeline: Any
    with translated(address), client.pipeline(transaction=False) as pipeline:
        for command in commands:
            keys.append(command[1])
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    for key, answer in zip(keys, answers, strict=True):
        if isinstance(answer, exceptions.RedisError):
            with translated(f"{address}: {key}"):
                raise answer
    return answers


def wake(notices: PubSub) -> None:
    """End a wait for *notices* in another thread, which is told that it lost them."""
    # redis-py has no way to do it; where this one is gone, too, the wait ends late.
    connection = getattr(notices.connection, "_sock", None)
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _meaning(error: exceptions.RedisError) -> tuple[type[BackendError], str]:
    if isinstance(error.__context__, ssl.SSLError):
        return BackendMisconfigured, "TLS failed: is its certificate to be trusted?"
    for kind, ours, words in _KINDS:
        if isinstance(error, kind):
            return ours, words
    text = str(error)
    for start, meaning in _WORDS.items():
        if text.startswith(start):
            return meaning
    return BackendError, "it refused a command"
