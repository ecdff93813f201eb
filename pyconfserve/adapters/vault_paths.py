"""Spring's own secrets in Vault, read as its Vault backend reads them.

Nothing is saved. Each answer is asked for anew, since Vault tells nobody of changes;
while it is away the last good answer to the same request is given. What was asked with
the token of a request is kept nowhere, and is for that request alone.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from ..backend import ConfigBackend, ConfigSource, Found
from ..environment.overlay import DEFAULT_LABEL, Lookup
from ..errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    Forbidden,
    InvalidRequest,
    ReadOnlyBackend,
    SettingsError,
)
from ..files import bundle_name
from ..last_answers import LastAnswers
from ..threads import Threads
from .vault_client import TIMEOUT, VaultClient, parse_vault
from .vault_keys import VaultKeys
from .vault_reader import VaultReader

__all__ = ["VaultConfigBackend"]

_logger = logging.getLogger("pyconfserve.vault")
_HEADER = "X-Config-Token"
_NO_LIST = "Spring's secrets cannot be listed: keys do not tell what is a profile"

About = TypeVar("About")
Answer = TypeVar("Answer")
Ask = Callable[..., Awaitable[Any]]  # names, what to read, about what, and the token


class VaultConfigBackend:
    """The secrets `application[,profile[,label]]` of a mount of either version of KV.

    *uri* and who asks are as in VaultStore, but for a prefix: there is none; where
    nobody is named, each request brings its token. The other options are those of
    `spring.cloud.config.server.vault`; a *kv_version* of None is found out. Raises
    SettingsError.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        token_file: str = "",
        role_id: str = "",
        secret_id: str = "",
        role_path: str = "approle",
        namespace: str = "",
        kv_version: int | None = None,
        profile_separator: str = ",",
        default_key: str = "application",
        path_to_key: str = "",
        enable_label: bool = False,
        default_label: str = DEFAULT_LABEL,
        full_key_path: bool = False,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = TIMEOUT,
        now: Callable[[], float] = time.time,
    ) -> None:
        if kv_version not in (None, 1, 2):
            raise SettingsError("expected 1 or 2", "kv_version")
        place = parse_vault(uri)
        self.default_label = default_label
        self._client = VaultClient(
            place,
            token=token,
            token_file=token_file,
            role_id=role_id,
            secret_id=secret_id,
            role_path=role_path,
            namespace=namespace,
            timeout=timeout,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._reader = VaultReader(
            self._client,
            VaultKeys(profile_separator, default_key, enable_label, default_label),
            path="/".join(filter(None, (place.path, path_to_key.strip("/")))),
            version=kv_version,
            shown=f"{place.mount}/" if full_key_path else "",
        )
        self._last = LastAnswers(self._client.address, _logger, now=now)
        self._threads = Threads("pyconfserve-vault", 8)

    async def open(self) -> None:
        """Ask once, so that what is wrong is known; raises BackendError."""
        await self._threads.run((), self._reader.look)

    async def close(self) -> None:
        """Hang up; calling this twice is fine."""
        self._client.close()
        await self._threads.close()

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        """The secret of one profile, without one for profile `default`.

        Raises InvalidRequest where each request has to bring its token.
        """
        name = bundle_name(application, profile, label)
        self._check_token()
        names = (name.application,)
        return await self._asked(names, self._reader.bundle, name, "")

    async def sources(self, lookup: Lookup) -> Found:
        """A source for each secret that has properties.

        Raises BackendError, and InvalidRequest where a request has to bring its token.
        """
        self._check_token()
        names, read = lookup.applications, self._reader.sources
        try:
            found = await self._asked(names, read, lookup, "")
        except BackendError as error:
            return self._last.instead(lookup, error)
        return self._last.kept(lookup, found)

    def for_request(self, token: str | None, state: str | None) -> ConfigBackend:
        """A form that asks with *token*; itself where it has a token of its own."""
        if self._client.has_token or not token:
            return self
        return _WithToken(self.default_label, self._reader, self._asked, token)

    def health(self) -> Mapping[str, Any]:
        """The store, and what is wrong with it.

        Raises BackendError while it fails and nothing that it said is known.
        """
        return self._last.health()

    async def save(self, source: ConfigSource) -> None:
        """Raise ReadOnlyBackend: the secrets are another's."""
        raise ReadOnlyBackend

    async def list(self) -> list[ConfigSource]:
        """Raise BackendMisconfigured: a key does not tell where its profile begins."""
        raise BackendMisconfigured(_NO_LIST)

    async def _asked(
        self,
        names: tuple[str, ...],
        read: Callable[[About, str], Answer],
        about: About,
        token: str,
    ) -> Answer:
        """What *read* gives; who asks is not told where the store is."""
        try:
            return await self._threads.run(names, read, about, token)
        except BackendError as error:
            error.place = self._client.address
            raise

    def _check_token(self) -> None:
        if not self._client.has_token:
            raise InvalidRequest(_HEADER, "expected a token of Vault")


class _WithToken:
    """What one request may see; nothing of it is kept, and never another's is given."""

    def __init__(
        self, default_label: str, reader: VaultReader, ask: Ask, token: str
    ) -> None:
        self.default_label = default_label
        self._reader, self._ask, self._token = reader, ask, token

    async def fetch(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> ConfigSource | None:
        name = bundle_name(application, profile, label)
        found: ConfigSource | None = await self._asked(
            (name.application,), self._reader.bundle, name
        )
        return found

    async def sources(self, lookup: Lookup) -> Found:
        found: Found = await self._asked(
            lookup.applications, self._reader.sources, lookup
        )
        return found

    async def _asked(
        self, names: tuple[str, ...], read: Callable[..., Any], about: Any
    ) -> Any:
        """What *read* gives; raises Forbidden where Vault refuses the token."""
        if not re.fullmatch("[!-~]+", self._token):
            raise Forbidden(f"{_HEADER}: it has characters that no token has")
        try:
            return await self._ask(names, read, about, self._token)
        except BackendDenied as error:
            raise Forbidden(f"{_HEADER}: Vault refuses the token") from error

    async def save(self, source: ConfigSource) -> None:
        raise ReadOnlyBackend

    async def list(self) -> list[ConfigSource]:
        raise BackendMisconfigured(_NO_LIST)
