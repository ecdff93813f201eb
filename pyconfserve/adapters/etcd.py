"""Bundles in etcd: the value of a key for each, changed while its revision is the one
that was read.

All keys of a store are below one prefix; those of others there are left alone.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import InvalidRequest, ValueTooLarge, VersionConflict
from ..files import BundleName
from ..store import Record, Snapshot, key_of, name_of, sized
from .etcd_gateway import Gateway, parse_place

__all__ = ["EtcdStore"]

_LIMIT = 1_500_000  # bytes of a text: a request may have 1.5 MiB
_TIMEOUT = 10.0  # seconds: without a quorum, it takes etcd 7 of them to say so
_PAGE = 500  # keys in one answer

Tree = dict[str, Any]


class _Known(NamedTuple):
    """What was read last: the revisions of all keys, by their base64."""

    life: str
    token: str
    revision: int
    keys: Mapping[str, int]


class EtcdStore:
    """The keys `/prefix/label/application/profile` at `etcd[s]://host:2379/prefix`.

    Several hosts of one cluster stand behind each other, with commas between them; a
    user and a password may stand in *uri*, too. *ca_file*, *client_cert* and
    *client_key* are files in PEM; *timeout* is in seconds, for one request. Nothing is
    sent before it is asked. Raises SettingsError.
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
        timeout: float = _TIMEOUT,
    ) -> None:
        place = parse_place(uri)
        self.address = place.address
        self._gateway = Gateway(
            place,
            (username or place.username, password or place.password),
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._prefix = f"/{place.prefix}/"
        end = f"/{place.prefix}0"  # what comes after a slash
        self._keys = {"key": _encoded(self._prefix), "range_end": _encoded(end)}
        self._seen = ("", 0)  # a token, and a revision at which it was the present one
        self._known: _Known | None = None

    def token(self) -> str:
        """The newest revision of a key, and how many there are, in the life of a store.

        Revisions never come again, and a removal changes the number of keys. Another
        life begins with a new leader, and with each connection that is lost: a store
        that was restored has the same revisions again.
        """
        newest = {"sort_target": "MOD", "sort_order": "DESCEND", "limit": 1}
        epoch = self._gateway.epoch
        answer = self._range({"keys_only": True, **newest})
        life = _life(epoch, answer["header"])
        keys = _revisions(answer.get("kvs", ()))
        token = _token(life, keys.values(), int(answer.get("count", 0)))
        self._seen = (token, int(answer["header"]["revision"]))
        return token

    def read(self) -> Snapshot:
        """All keys, as they stood at one revision."""
        epoch = self._gateway.epoch
        header, found = self._pages({})
        return self._learn(_life(epoch, header), header, _revisions(found), found)

    def since(self, token: str) -> Snapshot | None:
        """What changed since *token*, where that is what was read last."""
        known, epoch = self._known, self._gateway.epoch
        if known is None or known.token != token:
            return None
        try:
            answer = self._range({"min_mod_revision": str(known.revision + 1)})
        except ValueTooLarge:  # for one answer
            return None
        header, found = answer["header"], answer.get("kvs", [])
        life = _life(epoch, header)
        if known.life != life:
            return None
        keys = {**known.keys, **_revisions(found)}
        gone: set[str] = set()
        if len(keys) != int(answer.get("count", 0)):
            _, left = self._pages({"keys_only": True}, header["revision"])
            gone = keys.keys() - {one["key"] for one in left}
            keys = {key: revision for key, revision in keys.items() if key not in gone}
        return self._learn(life, header, keys, found, gone)

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Put or delete a key whose revision is that of *version*, 0 for no key."""
        short = key_of(name)
        value = sized(short, text, self.limit)
        key = {"key": _encoded(self._prefix + short)}
        put = {"request_put": {**key, "value": _encoded(value)}}
        seen = "0" if version is None else version.partition("-")[0]
        same = {"mod_revision": seen if seen.isdecimal() else "-1"}  # -1 has no key
        change = {
            "compare": [{**key, "target": "MOD", "result": "EQUAL", **same}],
            "success": [{"request_delete_range": key} if text is None else put],
            "failure": [{"request_range": key}],
        }
        answer = self._gateway.call("kv/txn", change, short, is_change=True)
        if not answer.get("succeeded"):
            raise _conflict(answer["responses"][0]["response_range"].get("kvs", ()))
        revision = int(answer["header"]["revision"])
        return None if text is None else _version(revision, value)

    def wait(self, token: str, seconds: float) -> None:
        """Watch the keys from the revision on at which *token* was seen."""
        seen, revision = self._seen
        if seen == token:
            watched = {**self._keys, "start_revision": str(revision + 1)}
            self._gateway.watch({"create_request": watched}, seconds)

    def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._gateway.close()

    def _range(self, options: Mapping[str, Any]) -> Tree:
        tree = {**self._keys, **options}
        return self._gateway.call("kv/range", tree, is_change=False)

    def _pages(
        self, options: Mapping[str, Any], revision: str = "0"
    ) -> tuple[Tree, list[Tree]]:
        """The header of an answer, and all keys as of *revision*, 0 for the present."""
        found: list[Tree] = []
        header: Tree = {}
        start: Mapping[str, str] = {}
        size = _PAGE
        while True:
            page = {**options, **start, "revision": revision, "limit": size}
            try:
                answer = self._range(page)
            except ValueTooLarge:  # for one answer
                if size == 1:
                    raise
                size = max(1, size // 8)
                continue
            found += answer.get("kvs", ())
            header = header or answer["header"]
            revision = header["revision"] if revision == "0" else revision
            if not answer.get("more"):
                return header, found
            start = {"key": _encoded(a2b_base64(found[-1]["key"]) + b"\0")}

    def _learn(
        self,
        life: str,
        header: Tree,
        keys: Mapping[str, int],
        found: Iterable[Tree],
        gone: Iterable[str] = (),
    ) -> Snapshot:
        """The snapshot of what was *found* and what is *gone*, of all that there is."""
        token, revision = (
            _token(life, keys.values(), len(keys)),
            int(header["revision"]),
        )
        self._known = _Known(life, token, revision, keys)
        self._seen = (token, revision)
        records: dict[BundleName, Record | None] = {}
        for one in found:
            with suppress(InvalidRequest):  # a key of others
                value = a2b_base64(one.get("value", ""))
                text = value.decode("utf-8", "surrogateescape")  # no bundle has that
                version = _version(int(one["mod_revision"]), value)
                records[self._name(one["key"])] = Record(text, version)
        for key in gone:
            with suppress(InvalidRequest):
                records[self._name(key)] = None
        return Snapshot(token, records)

    def _name(self, key: str) -> BundleName:
        whole = a2b_base64(key).decode("utf-8", "replace")
        return name_of(whole.removeprefix(self._prefix))


def _encoded(value: str | bytes) -> str:
    """Base64, as bytes stand in JSON."""
    data = value.encode("utf-8") if isinstance(value, str) else value
    return b2a_base64(data, newline=False).decode("ascii")


def _life(epoch: str, header: Tree) -> str:
    return f"{header['cluster_id']}.{header['raft_term']}.{epoch}"


def _token(life: str, revisions: Iterable[int], count: int) -> str:
    return f"{life}.{max(revisions, default=0)}.{count}"


def _revisions(found: Iterable[Tree]) -> dict[str, int]:
    return {one["key"]: int(one["mod_revision"]) for one in found}


def _version(revision: int, value: bytes) -> str:
    """The revision, and a digest: a store that was restored has revisions again."""
    return f"{revision}-{hashlib.sha256(value).hexdigest()[:12]}"


def _conflict(found: Sequence[Tree]) -> VersionConflict:
    """What there is instead of what was expected."""
    if not found:
        return VersionConflict("the bundle is not stored")
    revision, value = int(found[0]["mod_revision"]), found[0].get("value", "")
    present = _version(revision, a2b_base64(value))
    return VersionConflict("the bundle has another version", present)
