"""The backend that a Java server's settings of its hashes in Redis describe."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .backend import ConfigBackend
from .errors import SettingsError
from .setting_kinds import boolean, checked

__all__ = ["REDIS", "REDIS_NAMES", "redis_backend"]

_START = "spring.data.redis."
_READ = ("url", "host", "port", "database", "username", "password", "ssl.enabled")
_REFUSED = {
    "cluster.nodes": "several servers are not asked here: set spring.data.redis.url",
    "sentinel.master": "sentinels are not asked here: set spring.data.redis.url",
    "ssl.bundle": "bundles are not read: those whom this machine trusts are trusted",
}
REDIS = tuple(_START + name for name in (*_READ, *_REFUSED))
REDIS_NAMES = ("order", "enabled")  # of the backend itself
_NO_USER = re.compile(r"(?<=://)[^:@/]+(?=@)")  # in Java, that is the password


def redis_backend(values: Mapping[str, str]) -> ConfigBackend:
    """The backend of `spring.data.redis` in *values*, of all settings.

    Raises SettingsError, MissingDependency without redis-py.
    """
    given = {name: values.get(_START + name, "") for name in (*_READ, *_REFUSED)}
    for name, problem in _REFUSED.items():
        if given[name]:
            raise SettingsError(problem, _START + name)
    url = given["url"].strip()
    uri = _NO_USER.sub(r":\g<0>", url) if url else _uri(given)
    # The user in an address is the one that counts, as in Java.
    is_told = "@" in uri
    from .adapters.redis_hashes import RedisConfigBackend

    try:
        return RedisConfigBackend(
            uri,
            username="" if is_told else given["username"],
            password="" if is_told else given["password"],
        )
    except SettingsError as error:
        raise SettingsError(
            error.problem, f"{_START}{'url' if url else 'host'}"
        ) from error


def _uri(given: Mapping[str, str]) -> str:
    """The address that the parts make; raises SettingsError."""
    name = "ssl.enabled"
    is_tls = checked(boolean, given[name] or "false", _START + name)
    scheme = "rediss" if is_tls else "redis"
    host = given["host"].strip() or "localhost"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    port, database = (
        _number(given[name], name) or usual
        for name, usual in (("port", "6379"), ("database", "0"))
    )
    return f"{scheme}://{host}:{port}/{database}"


def _number(text: str, name: str) -> str:
    if not re.fullmatch("[0-9]{0,5}", text.strip()):
        raise SettingsError("expected a whole number", _START + name)
    return text.strip()
