"""What the adapter of a store does, so that all else about stores is written once.

A store holds one text for each bundle, and changes it under compare-and-set. Adapters
never look into a text, and nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, runtime_checkable
from urllib.parse import quote, unquote

from .environment.properties import Tree, check_tree, flatten
from .errors import DocumentError, InvalidRequest, ValueTooLarge
from .files import BundleName, bundle_name

__all__ = [
    "Content",
    "DeltaStore",
    "HistoricStore",
    "IdentifiedStore",
    "MadeStore",
    "PastChange",
    "Record",
    "Snapshot",
    "Store",
    "decode",
    "encode",
    "key_of",
    "name_of",
    "sized",
]


class Record(NamedTuple):
    """One stored text, and a version that is another after each change of it.

    Versions are equal for all who read the store.
    """

    text: str
    version: str


class Snapshot(NamedTuple):
    """What a store holds at one moment.

    `token` is another one after each change of any record; it is compared for equality
    alone, since a store that was restored goes back. A record is None only in what
    changed: it was removed.
    """

    token: str
    records: Mapping[BundleName, Record | None]


class Store(Protocol):
    """A place for texts that many processes share.

    `address` names it without credentials; `limit` is the most bytes of one text. All
    methods block, are called by several threads at once, end in bounded time, and raise
    BackendError: BackendUnavailable where it may pass.
    """

    address: str
    limit: int

    def token(self) -> str:
        """The present token; cheap."""
        ...

    def read(self) -> Snapshot:
        """All records with their token, as they stood at one moment."""
        ...

    def write(
        self, name: BundleName, text: str | None, version: str | None
    ) -> str | None:
        """Replace the record that has *version*, None for a name that has no record.

        A *text* of None removes it. Gives the new version, None after a removal; it is
        durable. Raises VersionConflict with nothing changed, StorageFull, and
        BackendUnavailable when it may have been done or not.
        """
        ...

    def wait(self, token: str, seconds: float) -> None:
        """Return at a hint that *token* is not the present one any more.

        It may also return without one, and does after *seconds*, when it was connected
        anew, and when the store is closed.
        """
        ...

    def close(self) -> None:
        """Release what is held open; calling this twice is fine."""
        ...


@runtime_checkable
class IdentifiedStore(Protocol):
    """A store that its address alone does not tell from every other.

    `identity` does, without credentials.
    """

    identity: str


@runtime_checkable
class MadeStore(Protocol):
    """A store that is made before it holds anything, such as a file or tables."""

    def is_made(self) -> bool:
        """Whether it is there; makes nothing."""
        ...


@runtime_checkable
class DeltaStore(Protocol):
    """A store that can tell what changed."""

    def since(self, token: str) -> Snapshot | None:
        """The records that changed since *token*, and the present one.

        None where it cannot tell; then all is read.
        """
        ...


class PastChange(NamedTuple):
    """One change of a record: its id, when it was made (ISO 8601, UTC), and of what.

    `is_removal` says that nothing was stored after it.
    """

    id: str
    time: str
    name: BundleName
    is_removal: bool


@runtime_checkable
class HistoricStore(Protocol):
    """A store that keeps what was."""

    def changes(
        self, names: Sequence[BundleName], limit: int, before: str | None
    ) -> list[PastChange]:
        """At most *limit* changes of these names, newest first, older than *before*.

        Raises ConfigNotFound when *before* is the id of no change.
        """
        ...

    def text_at(self, name: BundleName, change: str) -> str | None:
        """The text just after *change*, None when nothing was stored.

        Raises ConfigNotFound when that is the id of no change.
        """
        ...

    def label_of(self, change: str) -> str:
        """The label of what *change* changed; raises ConfigNotFound as well."""
        ...


class Content(NamedTuple):
    """What a stored text says: flat properties, and the id of the change that made it.

    The id tells who lost the answer to a write whether it was made.
    """

    properties: dict[str, Any]
    change: str


def encode(properties: Mapping[str, Tree], change: str) -> str:
    """The text that is stored for *properties*, which may be nested.

    Raises InvalidRequest for what no format can hold.
    """
    check_tree(properties)
    document = {"change": change, "properties": flatten(properties)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Content:
    """What a stored text says; raises DocumentError, for what others wrote."""
    try:
        document = json.loads(text, parse_constant=_refuse)
        properties, change = document["properties"], document.get("change", "")
        check_tree(properties)
        return Content(flatten(properties), str(change))
    except (ValueError, RecursionError) as error:
        raise DocumentError("the stored text is no JSON") from error
    except (LookupError, TypeError, AttributeError) as error:
        raise DocumentError("the stored text has no properties") from error
    except InvalidRequest as error:
        raise DocumentError(f"the stored text has wrong {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def key_of(name: BundleName) -> str:
    """The key of a bundle: `label/application/profile`, a slash in a name escaped."""
    return "/".join(
        quote(part, safe="") for part in (name.label, name.application, name.profile)
    )


def sized(key: str, text: str | None, limit: int) -> bytes:
    """The bytes of *text*, none of None; raises ValueTooLarge above *limit* of them."""
    data = b"" if text is None else text.encode("utf-8")
    if len(data) > limit:
        size = f"{len(data)} bytes, expected at most {limit}"
        raise ValueTooLarge(f"the text of {key} has {size}")
    return data


def name_of(key: str) -> BundleName:
    """The bundle of a key; raises InvalidRequest for what key_of never gives."""
    parts = key.split("/")
    if len(parts) != 3:
        raise InvalidRequest("key", "expected a label, an application and a profile")
    try:
        label, application, profile = (unquote(part, errors="strict") for part in parts)
    except UnicodeDecodeError as error:
        raise InvalidRequest("key", "the unescaped bytes are not UTF-8") from error
    name = bundle_name(application, profile, label)
    if key_of(name) != key:
        raise InvalidRequest("key", "it is not written as it would be")
    return name
