"""Spring's secrets in Vault, read one by one; all here blocks.

Nothing is kept but the version of a mount: what was read with the token of a request is
for that request alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from ..backend import ConfigSource, Found, bundles_of
from ..environment.formats.document import Entry
from ..environment.overlay import Lookup, PropertySource
from ..environment.properties import check_tree, flatten
from ..errors import (
    BackendDenied,
    BackendUnavailable,
    DocumentError,
    InvalidRequest,
    SettingsError,
)
from ..files import BundleName
from .vault_client import VaultClient
from .vault_keys import VaultKeys
from .vault_problems import LATE, STRANGE, version_problem

__all__ = ["VaultReader"]

_LONGEST = 30.0  # seconds for one answer: nobody waits for the rest
_NOWHERE = {"", ".", ".."}  # segments that lead to another key, or to none


class VaultReader:
    """Reads what is below *path* in the mount of *client*, by the rules of *keys*.

    *version* is that of KV, None to find it out. Names of sources begin with *shown*.
    All methods raise BackendError; a *token* "" is the client's own. Raises
    SettingsError for a path of which no secret can be below.
    """

    def __init__(
        self,
        client: VaultClient,
        keys: VaultKeys,
        *,
        path: str,
        version: int | None,
        shown: str,
    ) -> None:
        if path and _NOWHERE & {*path.split("/")}:
            raise SettingsError("expected names split by slashes", "path_to_key")
        self._client, self._keys = client, keys
        self._start = f"{path}/" if path else ""
        self._version = version
        self._shown = shown

    def look(self) -> None:
        """Ask for the shared secret; without a token, whether Vault serves requests."""
        if self._client.has_token:
            self._properties([self._keys.shared or "application"], "")
        elif not self._client.is_ready():
            raise BackendUnavailable(f"{self._client.address}: it is sealed")

    def bundle(self, name: BundleName, token: str) -> ConfigSource | None:
        """The secret of one bundle, None for nothing; raises DocumentError, too."""
        (properties,) = self._properties([self._keys.of_bundle(name)], token)
        return ConfigSource(*name, properties) if properties else None

    def sources(self, lookup: Lookup, token: str) -> Found:
        """A source for each secret that has properties; raises DocumentError, too."""
        default_label = self._keys.default_label
        names: dict[str, str] = {}  # of sources, by key
        if lookup.dialect.has_profile_less_slot:
            for key in self._keys.of_lookup(lookup):
                names[key] = f"vault:{self._shown}{key}"
        else:
            for name, source in bundles_of(lookup, default_label).items():
                names.setdefault(self._keys.of_bundle(BundleName(*name)), source)
        found = zip(names.values(), self._properties(names, token), strict=True)
        sources = [
            PropertySource(
                name, {key: Entry(value) for key, value in properties.items()}
            )
            for name, properties in found
            if properties
        ]
        return Found(tuple(sources), default_label)

    def _properties(self, keys: Iterable[str], token: str) -> list[dict[str, Any]]:
        """What is at each key, flat; a key that no secret can have has nothing."""
        end = time.monotonic() + _LONGEST
        version = self._version or self._client.version(token)
        found = []
        for key in keys:
            if time.monotonic() > end:
                raise self._client.error(LATE, self._start + key)
            found.append(self._secret(key, version, token))
        if not any(found):
            self._check_mount(version, token)
        return found

    def _check_mount(self, version: int, token: str) -> None:
        """Raise BackendMisconfigured for a mount of another version than *version*.

        One of version 1 says of all of version 2 that nothing is there.
        """
        with suppress(BackendDenied):  # who may not see it is told nothing
            if self._client.version(token, fresh=True) != version:
                raise self._client.error(version_problem(self._client.mount, version))

    def _secret(self, key: str, version: int, token: str) -> dict[str, Any]:
        whole = self._start + key
        if _NOWHERE & {*whole.split("/")}:
            return {}
        is_first = version == 1
        path = (self._client.plain_path if is_first else self._client.data_path)(whole)
        tree = self._client.read(path, whole, token)
        data = tree.get("data")
        if not is_first:
            data = data.get("data") if isinstance(data, dict) else data
        if data is not None and not isinstance(data, dict):
            raise self._client.error(STRANGE, whole)
        try:
            check_tree(data or {})
            return flatten(data or {})
        except InvalidRequest as error:
            raise DocumentError(f"the secret has wrong {error}").at(whole) from error
