"""Bundles in Consul: the value of a key for each, changed while its index is the one
that was read.

All keys of a store are below one prefix; those of others there are left alone.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress

from ..errors import BackendDenied, InvalidRequest, VersionConflict
from ..files import BundleName
from ..store import Record, Snapshot, key_of, name_of, sized
from .consul_answers import Pair
from .consul_keys import ConsulKeys
from .json_http import TIMEOUT
from .tokens import GivenToken

__all__ = ["ConsulStore"]

_LIMIT = 512 * 1024  # bytes of a text: kv_max_value_size
_PREFIX = "pyconfserve"


class ConsulStore:
    """The keys `prefix/label/application/profile` at `consul[s]://host:8500/prefix`.

    Several agents of one cluster stand behind each other, with commas between them.
    *token* is one of its ACLs, or *token_file* holds it and is read again when it is
    refused. *ca_file*, *client_cert* and *client_key* are files in PEM; *timeout* is in
    seconds, for one request. Nothing is sent before it is asked. Raises SettingsError.
    """

    limit = _LIMIT

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        token_file: str = "",
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._keys = ConsulKeys(
            uri,
            _PREFIX,
            token=GivenToken(token, token_file),
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        self.address = self._keys.address
        self._is_marked = False

    def token(self) -> str:
        """What `ConsulKeys.token` gives."""
        return self._keys.token()

    def read(self) -> Snapshot:
        """All keys, as they stood at one index."""
        token, pairs = self._keys.read()
        records: dict[BundleName, Record | None] = {}
        for key, pair in pairs.items():
            with suppress(InvalidRequest):  # a key of others
                text = pair.value.decode("utf-8", "surrogateescape")  # no bundle's
                records[name_of(key)] = Record(text, _version(pair))
        return Snapshot(token, records)

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Put or remove a key whose index is that of *version*, 0 for no key."""
        key = key_of(name)
        value = sized(key, text, self.limit)
        index = _index_of(version)
        if index is None:
            raise _conflict(self._keys.get(key))
        if text is None:
            is_made = self._keys.remove(key, index)
        else:
            self._mark()
            is_made = self._keys.put(key, value, index)
        if is_made and text is None:
            return None
        present = self._keys.get(key)  # Consul does not tell which index it gave
        if not is_made:
            raise _conflict(present)
        if present is None or present.value != value:  # another was faster than that
            present = Pair(value, 0)
        return _version(present)

    def wait(self, token: str, seconds: float) -> None:
        """Ask Consul to answer when there is news, from what was seen last."""
        self._keys.wait(token, seconds)

    def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._keys.close()

    def _mark(self) -> None:
        """Have the key by which all see that nothing is hidden from them."""
        if not self._is_marked:
            with suppress(BackendDenied):  # who may change a part of it alone
                self._keys.mark()
            self._is_marked = True


def _version(pair: Pair) -> str:
    """The index, and a digest: a store that was restored has indexes again."""
    return f"{pair.modified}-{hashlib.sha256(pair.value).hexdigest()[:12]}"


def _index_of(version: str | None) -> int | None:
    """The index of a version, 0 for no key; None for a version that no key has."""
    if version is None:
        return 0
    found = re.match("[1-9][0-9]{0,17}(?=-)", version)
    return int(found[0]) if found else None


def _conflict(present: Pair | None) -> VersionConflict:
    """What there is instead of what was expected."""
    if present is None:
        return VersionConflict("the bundle is not stored")
    return VersionConflict("the bundle has another version", _version(present))
