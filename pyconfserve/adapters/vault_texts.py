"""Texts in Vault: one version after another of a secret of KV version 2.

What is removed is an empty version, since only a new version can be made under
check-and-set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress

from ..errors import InvalidRequest, VersionConflict
from ..files import BundleName
from ..store import Record, name_of
from .vault_client import VaultClient
from .vault_problems import STRANGE, map_of, version_problem

__all__ = ["VaultTexts", "version_of"]


class VaultTexts:
    """The texts below *prefix* in the mount of *client*."""

    def __init__(self, client: VaultClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def text(self, key: str) -> tuple[int, str | None]:
        """The version that a key has in Vault, 0 for none, and the text there.

        None is for what was deleted, or removed by us, and "" for what others wrote.
        Raises BackendError.
        """
        tree = self._client.read(self._path(key), key)
        if not tree:
            return 0, None
        try:
            data, number = tree["data"]["data"], tree["data"]["metadata"]["version"]
            body = data.get("body") if data else None
        except (LookupError, TypeError, AttributeError):
            raise self._client.error(STRANGE, key) from None
        if not isinstance(number, int):
            raise self._client.error(STRANGE, key)
        if not data:
            return number, None
        return number, body if isinstance(body, str) else ""

    def stored(self, key: str) -> tuple[int, Record | None]:
        """The version that a key has in Vault, and the record there."""
        number, text = self.text(key)
        if text is None:
            return number, None
        return number, Record(text, version_of(number, text))

    def expected(self, key: str, version: str | None) -> int:
        """The number of *version* in Vault; raises VersionConflict for another."""
        number, record = self.stored(key)
        if (None if record is None else record.version) != version:
            raise _conflict_with(record)
        return number

    def conflict(self, key: str) -> VersionConflict:
        """What there is now instead of what was expected."""
        return _conflict_with(self.stored(key)[1])

    def put(self, key: str, text: str | None, number: int) -> int | None:
        """The number of the version that is added after *number*, None for another.

        Raises BackendError, ValueTooLarge.
        """
        data = {} if text is None else {"body": text}
        tree = {"options": {"cas": number}, "data": data}
        answer = self._client.write(self._path(key), tree, key)
        if answer is None:
            return None
        made = map_of(answer, "data").get("version")
        if not isinstance(made, int):
            raise self._client.error(STRANGE, key)
        return made

    def check_mount(self) -> None:
        """Raise BackendMisconfigured for a mount of KV version 1.

        That answers as one in which nothing is stored.
        """
        if self._client.version(fresh=True) != 2:
            raise self._client.error(version_problem(self._client.mount, 2))

    def copied(self) -> Iterator[tuple[BundleName, Record]]:
        """All bundles, read one after another."""
        for label in self._below("", is_folder=True):
            for application in self._below(label, is_folder=True):
                for key in self._below(application, is_folder=False):
                    with suppress(InvalidRequest):  # of others
                        name = name_of(key)
                        if (record := self.stored(key)[1]) is not None:
                            yield name, record

    def _path(self, key: str, part: str = "data") -> str:
        return self._client.data_path(f"{self._prefix}/{key}".rstrip("/"), part)

    def _below(self, folder: str, *, is_folder: bool) -> list[str]:
        """The keys one level below *folder*, or the folders there."""
        start = f"{folder}/" if folder else ""
        names = self._client.names(self._path(folder, "metadata"))
        found = [name for name in names if name.endswith("/") == is_folder]
        return [start + name.removesuffix("/") for name in found]


def version_of(number: int, text: str) -> str:
    """The number, and a digest: a mount that was restored has numbers again."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{number}-{digest[:12]}"


def _conflict_with(record: Record | None) -> VersionConflict:
    """What there is instead of what was expected."""
    problem = "is not stored" if record is None else "has another version"
    version = None if record is None else record.version
    return VersionConflict(f"the bundle {problem}", version)
