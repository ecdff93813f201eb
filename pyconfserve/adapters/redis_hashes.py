"""Spring's own hashes in Redis, read as its Redis backend reads them; nothing is saved.

Each answer is asked for anew, since Redis tells nobody of such changes; while it is
away the last good answer to the same request is given.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backend import ConfigSource, Found, bundles_of
from ..environment.formats.document import Entry
from ..environment.overlay import DEFAULT_PROFILE, SPRING, Lookup, PropertySource
from ..environment.properties import merge
from ..errors import (
    BackendError,
    BackendMisconfigured,
    ReadOnlyBackend,
)
from ..files import BundleName, bundle_name
from ..last_answers import LastAnswers
from ..threads import Threads
from .redis_client import TIMEOUT, make_client, parse_place, piped

__all__ = ["RedisConfigBackend"]

_logger = logging.getLogger("pyconfserve.redis")


class RedisConfigBackend:
    """The hashes `application` and `application-profile` at `redis[s]://host:6379/0`.

    They have no labels, none of them is shared, and a list of applications is one name;
    what is not there is a source without properties. The options are those of
    RedisStore. Raises SettingsError.
    """

    default_label = SPRING.default_label

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
        now: Callable[[], float] = time.time,
    ) -> None:
        place = parse_place(uri)
        self._address = place.address
        self._client: Any = make_client(
            place,
            username=username,
            password=password,
            ca_file=ca_file,
            client_cert=client_cert,
            client_key=client_key,
            timeout=timeout,
            errors="replace",  # as Java does
        )
        self._last = LastAnswers(self._address, _logger, now=now)
        self._threads = Threads("pyconfserve-redis", 8)

    async def open(self) -> None:
        """Ask once, so that what is wrong is known; raises BackendError."""
        await self._threads.run((), self._hashes, ["application"])

    async def close(self) -> None:
        """Close the connections; calling this twice is fine."""
        await self._threads.close()
        self._client.close()

    async def fetch(
        self, application: str, profile: str, label: str = SPRING.default_label
    ) -> ConfigSource | None:
        """The hash of one profile; that of `default` lies above the plain one."""
        name = bundle_name(application, profile, label)
        keys = _keys_of(name)
        found = await self._threads.run((name.application,), self._hashes, keys)
        return ConfigSource(*name, merge(found)) if any(found) else None

    async def sources(self, lookup: Lookup) -> Found:
        """A source for each hash, also for one that is not there.

        The dialect OWN gets what is there, as its bundles. Raises BackendError.
        """
        names = (lookup.applications[0],)
        try:
            found = Found(await self._threads.run(names, self._asked, lookup))
        except BackendError as error:
            return self._last.instead(lookup, error)
        return self._last.kept(lookup, found)

    def _asked(self, lookup: Lookup) -> tuple[PropertySource, ...]:
        if lookup.dialect.has_profile_less_slot:
            plain = lookup.name
            keys = [*(f"{plain}-{one}" for one in reversed(lookup.profiles)), plain]
            hashes = zip(keys, self._hashes(keys), strict=True)
            return tuple(_source(f"redis:{key}", found) for key, found in hashes)
        names = bundles_of(lookup, self.default_label)
        slots = {BundleName(*name): source for name, source in names.items()}
        asked = {name: _keys_of(name) for name in slots}
        flat = [key for keys in asked.values() for key in keys]
        known = dict(zip(flat, self._hashes(flat), strict=True))
        merged = {
            name: merge([known[key] for key in keys]) for name, keys in asked.items()
        }
        return tuple(_source(slots[name], one) for name, one in merged.items() if one)

    def _hashes(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """What is at each key, nothing for what is not there."""
        return piped(self._client, self._address, [("HGETALL", key) for key in keys])

    def health(self) -> Mapping[str, Any]:
        """The store, and what is wrong with it.

        Raises BackendError while it fails and nothing that it said is known.
        """
        return self._last.health()

    async def save(self, source: ConfigSource) -> None:
        """Raise ReadOnlyBackend: the hashes are another's."""
        raise ReadOnlyBackend

    async def list(self) -> list[ConfigSource]:
        """Raise BackendMisconfigured: a key does not tell where its profile begins."""
        raise BackendMisconfigured(
            "Spring's hashes cannot be listed: their keys do not tell what is a profile"
        )


def _keys_of(name: BundleName) -> list[str]:
    """The keys of the hashes of a bundle, highest precedence first."""
    keys = [f"{name.application}-{name.profile}"]
    return keys if name.profile != DEFAULT_PROFILE else [*keys, name.application]


def _source(name: str, properties: Mapping[str, str]) -> PropertySource:
    return PropertySource(name, {key: Entry(text) for key, text in properties.items()})
