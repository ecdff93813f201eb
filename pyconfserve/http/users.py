"""All users of a server, as they are written down. This module does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import SettingsError
from .rights import ALL_RIGHTS, READ
from .sender import ALL, EVERYONE, User

__all__ = ["EVERYONE", "NAME", "User", "Users", "parse_users"]

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,128}")
_KEYS = ("name", "password", "token", "applications", "profiles", "rights", "files")
_ADD = "python -m pyconfserve user add makes one"

_Names = tuple[str, ...]


class Users(NamedTuple):
    """All users by name, and by the SHA-256 of their tokens in hex."""

    by_name: Mapping[str, User] = MappingProxyType({})
    by_token: Mapping[str, User] = MappingProxyType({})


def parse_users(tree: Mapping[str, Any], source: str) -> Users:
    """The users of *tree*, which is `{"users": [{"name": …}, …]}`.

    Raises SettingsError, which quotes no secret, with *source* and the key: for unknown
    keys, rights and names that are there twice, for a user without a secret, and for
    what is no hash.
    """
    _check_keys(tree, ("users",), "", source)
    items = tree.get("users")
    if not isinstance(items, list) or not items:
        raise SettingsError("expected a list of users", "users", source)
    by_name: dict[str, User] = {}
    by_token: dict[str, User] = {}
    for index, item in enumerate(items):
        key = f"users[{index}]"
        if not isinstance(item, Mapping):
            raise SettingsError("expected a user with a name", key, source)
        fields = _Fields(item, key, source)
        user, token = fields.user(), fields.token()
        if user.name in by_name:
            raise fields.error("is there twice", "name")
        if token in by_token:
            raise fields.error("is another user's, too", "token")
        if user.secret is None and token is None:
            raise fields.error(f"expected a password or a token: {_ADD}")
        by_name[user.name] = user
        if token is not None:
            by_token[token] = user
    return Users(MappingProxyType(by_name), MappingProxyType(by_token))


class _Fields(NamedTuple):
    """What stands at one user, and where."""

    values: Mapping[str, Any]
    key: str
    source: str

    def user(self) -> User:
        """Raises SettingsError, as all here do."""
        from .passwords import PasswordHash

        _check_keys(self.values, _KEYS, f"{self.key}.", self.source)
        return User(
            self._name(),
            frozenset(self._rights()),
            self._texts("applications", ALL),
            self._texts("profiles", ALL),
            self._texts("files", ()) or None,
            self._hash("password", PasswordHash.parse, "scrypt$"),
        )

    def token(self) -> str | None:
        """The SHA-256 of the token in hex."""
        from .passwords import parse_token

        digest: str | None = self._hash("token", parse_token, "sha256$")
        return digest

    def error(self, problem: str, name: str = "") -> SettingsError:
        """Problems never quote a value: it may be a secret in the wrong place."""
        return SettingsError(
            problem, f"{self.key}.{name}" if name else self.key, self.source
        )

    def _name(self) -> str:
        name = self.values.get("name")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise self.error("expected letters, digits, or -_.@+ (in quotes)", "name")
        return name

    def _rights(self) -> _Names:
        rights = self._texts("rights", (READ,))
        if not ALL_RIGHTS.issuperset(rights):
            known = ", ".join(sorted(ALL_RIGHTS))
            raise self.error(f"expected some of {known}", "rights")
        return rights

    def _texts(self, name: str, default: _Names) -> _Names:
        """A list of texts, or one text with commas; an empty one is an error."""
        if name not in self.values:
            return default
        value = self.values[name]
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(i, str) for i in items):
            raise self.error("expected a list of texts", name)
        texts = tuple(item.strip() for item in items)
        if not all(texts) or not texts:
            raise self.error("expected a list without empty texts", name)
        return texts

    def _hash(self, name: str, parse: Callable[[str], Any], begin: str) -> Any:
        """What *parse* makes of a text that begins so; None where there is none."""
        if name not in self.values:
            return None
        value = self.values[name]
        if not isinstance(value, str) or not value.startswith(begin):
            raise self.error(f"expected a hash, {begin}…: {_ADD}", name)
        try:
            return parse(value)
        except ValueError as error:
            raise self.error(str(error), name) from None


def _check_keys(
    values: Mapping[str, Any], known: Collection[str], above: str, source: str
) -> None:
    for key in values:
        if key not in known:
            from difflib import get_close_matches  # for mistakes only

            near = get_close_matches(str(key), known, n=1, cutoff=0)[0]
            problem = f"unknown key, the nearest known one is {near}"
            raise SettingsError(problem, f"{above}{key}", source)
