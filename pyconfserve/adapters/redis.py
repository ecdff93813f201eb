"""Bundles in Redis: a hash for each, an index of them, and a log of the last changes.

A script makes each change whole, under compare-and-set, and publishes it. All keys of a
store have one hash tag, so that they are at one node of a cluster. What Redis promises
of a restart is what it is configured to.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import (
    BackendError,
    BackendUnavailable,
    InvalidRequest,
    VersionConflict,
)
from ..files import BundleName
from ..store import Record, Snapshot, key_of, name_of, sized
from .redis_client import TIMEOUT, make_client, parse_place, piped, translated, wake
from .redis_scripts import LOST, SINCE, WRITE

if TYPE_CHECKING:
    from redis.client import PubSub

__all__ = ["RedisStore"]

_LIMIT = 512 * 1024 * 1024  # bytes of a text: proto-max-bulk-len
_LOGGED = 1000  # changes: who is further behind reads all
_AT_ONCE = 500  # bundles in one answer
_MOST_READINGS = 10  # of a store in which more than the log holds changes meanwhile
_SLICE = 1.0  # seconds until a wait sees that it is to end, if nothing wakes it
_NONE = "-"  # the version of nothing that is ever stored


class RedisStore:
    """The keys `{prefix}:…` of the database at `redis[s]://host:6379/0/prefix`.

    A user and a password may stand in *uri*, too. *ca_file*, *client_cert* and
    *client_key* are files in PEM, for `rediss:`; *timeout* is in seconds, for one
    command. Nothing is sent before it is asked. Raises SettingsError.
    """

    limit = _LIMIT

    def __init__(
        self,
        uri: str,
        *,
        username: str = "",
        password: str = "",
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        place = parse_place(uri)
        self.address = place.address
        # redis-py says of each answer that it may have to be awaited.
        self._client: Any = make_client(
            place,
            username=username,
            password=password,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            timeout=timeout,
        )
        self._timeout = timeout
        tag = f"{{{place.prefix}}}"
        self._bundles = f"{tag}:b:"
        self._index, self._log, self._channel = (
            f"{tag}:{part}" for part in ("index", "log", "changes")
        )
        self._waiting = threading.Lock()
        self._notices: PubSub | None = None  # of who waits
        self._is_closed = threading.Event()

    def token(self) -> str:
        """The version that the last change made; no other ever makes the same."""
        with translated(self.address):
            last: list[str] = self._client.zrange(self._log, -1, -1)
        return last[0].partition(" ")[0] if last else ""

    def read(self) -> Snapshot:
        """All bundles of one moment: a copy, with what changed while it was made."""
        for _ in range(_MOST_READINGS):
            token = self.token()
            records = self._copied()
            if not token and not self.token():
                return Snapshot(token, records)
            if (delta := self.since(token)) is not None:
                changed = {**records, **delta.records}
                left = {name: one for name, one in changed.items() if one is not None}
                return Snapshot(delta.token, left)
        raise BackendUnavailable(f"{self.address}: it changes faster than it is read")

    def since(self, token: str) -> Snapshot | None:
        """What changed since *token*, as long as the log goes back to it."""
        number = token.partition("-")[0]
        if not re.fullmatch("[0-9]{1,15}", number):
            return None
        with translated(self.address):
            keys = (self._log, self._index)
            news = self._client.eval(SINCE, 2, *keys, token, number, _AT_ONCE)
        if not news:
            return None
        records = {
            name: None if version is None else Record(text or "", version)
            for key, version, text in news[1:]
            if (name := self._name_of(key)) is not None
        }
        return Snapshot(news[0], records)

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Run the script that compares and sets; durable as far as Redis is."""
        key = key_of(name)
        sized(key, text, self.limit)
        expected = "" if version is None else version or _NONE
        keys = (self._bundles + key, self._index, self._log)
        options = (expected, secrets.token_hex(6), self._channel, _LOGGED)
        with translated(self.address, key):
            is_made, present = self._client.eval(
                WRITE, 3, *keys, *options, *(() if text is None else (text,))
            )
        if not is_made:
            problem = "has another version" if present else "is not stored"
            raise VersionConflict(f"the bundle {problem}", present or None)
        return None if text is None else str(present)

    def wait(self, token: str, seconds: float) -> None:
        """Listen to the channel, and return at once when that was begun anew."""
        end = time.monotonic() + seconds
        if not self._waiting.acquire(timeout=seconds):
            return
        try:
            with translated(self.address):
                self._listen(end)
        except BackendError:
            self._hang_up()
            if not self._is_closed.is_set():
                raise
        finally:
            self._waiting.release()

    def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._is_closed.set()
        if (notices := self._notices) is not None:
            wake(notices)
        if self._waiting.acquire(timeout=2 * _SLICE):
            self._hang_up()
            self._waiting.release()
        self._client.close()

    # bundles

    def _name_of(self, key: str) -> BundleName | None:
        """The bundle of a key, None for what others have put there."""
        if not key.startswith(self._bundles):
            return None
        try:
            return name_of(key.removeprefix(self._bundles))
        except InvalidRequest:
            return None

    def _copied(self) -> dict[BundleName, Record | None]:
        """What the index names, a part of it at a time."""
        with translated(self.address):
            keys: list[str] = self._client.zrange(self._index, 0, -1)
            names = {key: name for key in keys if (name := self._name_of(key))}
            records: dict[BundleName, Record | None] = {}
            known = [*names]
            for at in range(0, len(known), _AT_ONCE):
                part = known[at : at + _AT_ONCE]
                for key, (version, text) in zip(part, self._hashes(part), strict=True):
                    records[names[key]] = Record(text or "", version or LOST)
        return records

    def _hashes(self, keys: Sequence[str]) -> list[list[str | None]]:
        """The version and the text at each key, None for what is not there."""
        commands = [("HMGET", key, "version", "body") for key in keys]
        return piped(self._client, self.address, commands)

    # notices

    def _listen(self, end: float) -> None:
        """Return at a notice, at *end* (as time.monotonic), and when it is closed."""
        notices = self._notices
        is_new = notices is None
        if notices is None:
            notices = self._notices = self._client.pubsub()
            notices.subscribe(self._channel)
            end = time.monotonic() + self._timeout
        while not self._is_closed.is_set() and (left := end - time.monotonic()) > 0:
            if notices.get_message(timeout=min(left, _SLICE)) is not None:
                for _ in range(_LOGGED):  # those that came with it
                    if notices.get_message() is None:
                        break
                return
        if is_new and not self._is_closed.is_set():
            raise BackendUnavailable(f"{self.address}: it did not answer in time")

    def _hang_up(self) -> None:
        notices, self._notices = self._notices, None
        if notices is not None:
            with suppress(BackendError), translated(self.address):
                notices.close()
