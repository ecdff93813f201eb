"""Bundles in Vault or OpenBao: a secret of KV version 2 for each, as one JSON text.

A text, since Vault keeps no more than 17 digits of a number. Changes are made under
check-and-set, and noted in a journal beside them, which is looked at for notices: what
others write there without a note is seen at the next start alone.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..errors import (
    BackendUnavailable,
    ConfigError,
    InvalidRequest,
)
from ..files import BundleName
from ..store import Record, Snapshot, key_of, name_of, sized
from .vault_client import TIMEOUT, VaultClient, parse_vault
from .vault_journal import Journal
from .vault_texts import VaultTexts, version_of

__all__ = ["VaultStore"]

_PREFIX = "pyconfserve"
_JOURNAL = ".rev"
_LIMIT = 1_000_000  # bytes of a text: a string may have 1 MiB, and so may an entry
_LOOK = 1.0  # seconds between looks at the journal
_MOST_ATTEMPTS = 100  # at a note in it: each that fails is another's
_PAUSE = 0.02  # seconds between attempts, at most


class VaultStore:
    """The secrets `prefix/label/application/profile` of a mount.

    *uri* is `vault[s]://host:8200/mount/prefix`, the mount `secret` and the prefix
    `pyconfserve` where it names none. Who asks is a *token*, a file that holds one, or
    a role and its secret; *namespace* is where the mount is. *ca_file*, *client_cert*
    and *client_key* are files in PEM; *timeout* is in seconds, for one request. While
    it waits it asks every *look* seconds. Raises SettingsError.
    """

    limit = _LIMIT

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        token_file: str = "",
        role_id: str = "",
        secret_id: str = "",
        namespace: str = "",
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = TIMEOUT,
        look: float = _LOOK,
    ) -> None:
        place = parse_vault(uri)
        self.address = place.address
        inner = namespace.strip("/")
        self.identity = f"{self.address} in {inner}" if inner else self.address
        self._client = VaultClient(
            place,
            token=token,
            token_file=token_file,
            role_id=role_id,
            secret_id=secret_id,
            namespace=namespace,
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._texts = VaultTexts(self._client, place.path or _PREFIX)
        self._look = look
        self._closing = threading.Event()
        self._last = Journal()  # as it was when it was looked at last

    def token(self) -> str:
        """The journal's id, with the versions of what is being written."""
        return self._token_of(self._journal())

    def read(self) -> Snapshot:
        """All bundles, each as it was at one moment, with a token from before.

        What changed meanwhile is read again, once.
        """
        token = self.token()
        records: dict[BundleName, Record | None] = dict(self._texts.copied())
        delta = self.since(token)
        if delta is not None:
            records.update(delta.records)
            token = delta.token
        left = {name: record for name, record in records.items() if record is not None}
        return Snapshot(token, left)

    def since(self, token: str) -> Snapshot | None:
        """What changed since *token*, as long as the journal goes back to it."""
        journal = self._journal()
        keys = journal.since(token.partition("+")[0])
        if keys is None:
            return None
        present = self._token_of(journal)
        records: dict[BundleName, Record | None] = {}
        for key in sorted(keys):
            with suppress(InvalidRequest):  # of others
                records[name_of(key)] = self._texts.stored(key)[1]
        return Snapshot(present, records)

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Add a version to a secret that has *version*; an empty one removes it."""
        key = key_of(name)
        sized(key, text, self.limit)
        number = self._texts.expected(key, version)
        mark = secrets.token_hex(6)
        self._note(lambda journal: journal.begun(mark, _id(), key, time.time()))
        try:
            made = self._texts.put(key, text, number)
            if made is None:
                raise self._texts.conflict(key)
        except BackendUnavailable:
            raise  # it may be made yet: the mark stays, and all look at the key
        except ConfigError:
            self._end(mark, key)
            raise
        self._end(mark, key)
        return None if text is None else version_of(made, text)

    def wait(self, token: str, seconds: float) -> None:
        """Look at the journal from time to time, as Vault gives no notices."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._closing.wait(min(self._look, left)) or self.token() != token:
                return

    def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._closing.set()
        self._client.close()

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Have errors name the journal to the owner of the server alone."""
        try:
            yield
        except ConfigError as error:
            place = f"{self.address}: {_JOURNAL}"
            if str(error).startswith(place):
                error.place = place
            raise

    def _journal(self) -> Journal:
        with self._apart():
            number, text = self._texts.text(_JOURNAL)
        if not number:
            self._texts.check_mount()
        self._last = Journal.parse(text or "", number)
        return self._last

    def _token_of(self, journal: Journal) -> str:
        keys = journal.keys_being_written
        return journal.id + "".join(f"+{self._texts.text(key)[0]}" for key in keys)

    def _note(self, change: Callable[[Journal], Journal]) -> None:
        """Put *change* in the journal, again and again while others change it."""
        journal = self._last
        for _ in range(_MOST_ATTEMPTS):
            after = change(journal)
            with self._apart():
                made = self._texts.put(_JOURNAL, after.text(), journal.version)
            if made is not None:
                self._last = after._replace(version=made)
                return
            self._closing.wait(random.uniform(0.0, _PAUSE))
            journal = self._journal()
        raise BackendUnavailable(f"{self.address}: too many write to it at once")

    def _end(self, mark: str, key: str) -> None:
        """Take the mark back; while one stays, all look at its key."""
        with suppress(ConfigError):
            self._note(lambda journal: journal.ended(mark, _id(), key))


def _id() -> str:
    return secrets.token_hex(6)
