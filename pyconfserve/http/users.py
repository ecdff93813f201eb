"""Who may do what, as values: users, their rights, and the names these are for.

All is judged on names alone, before any look-up. This module does no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SettingsError
from .rights import ALL_RIGHTS, READ

if TYPE_CHECKING:
    from .passwords import PasswordHash  # servers without users need none

__all__ = ["EVERYONE", "NAME", "User", "Users", "parse_users"]

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,128}")
_ALL = ("*",)
_BUNDLES = (".yml", ".yaml", ".json", ".toml", ".properties", ".xml")
_DECISIONS = 1024  # kept of each user, who may ask for a million names
_PATTERNS = 1024  # sets of them that stay compiled
_KEYS = ("name", "password", "token", "applications", "profiles", "rights", "files")
_ADD = "python -m pyconfserve user add makes one"

_Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User:
    """Who sends a request: what they may do, for which names and files.

    Patterns are whole names, with `*` for any characters and `?` for one. *files* are
    for plain files; None leaves them to the names in their paths. *secret* is what a
    password is checked by, None for a user of tokens alone. `is_restricted` says that
    some names or files are not the user's.
    """

    name: str
    rights: frozenset[str]
    applications: _Names = _ALL
    profiles: _Names = _ALL
    files: _Names | None = None
    secret: PasswordHash | None = field(default=None, repr=False)
    is_restricted: bool = field(init=False, repr=False, compare=False)
    _covers_all: bool = field(init=False, repr=False, compare=False)
    _decide: Callable[[_Names, _Names], bool] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        covers_all = _is_all(self.applications) and _is_all(self.profiles)
        is_restricted = not covers_all or self.files is not None
        decide = lru_cache(_DECISIONS)(_Coverage(self.applications, self.profiles).of)
        object.__setattr__(self, "is_restricted", is_restricted)
        object.__setattr__(self, "_covers_all", covers_all)
        object.__setattr__(self, "_decide", decide)

    def may(self, right: str) -> bool:
        """Whether the user has *right*, whatever it is for."""
        return right in self.rights

    def covers(self, applications: _Names, profiles: _Names) -> bool:
        """Whether every one of these names fits one of the user's patterns."""
        return self._covers_all or self._decide(applications, profiles)

    def covers_file(self, applications: _Names, profiles: _Names, path: str) -> bool:
        """Whether the user may have the plain file *path*, asked for these names.

        With patterns of files, one of them must fit. Else who is restricted gets no
        file that bundles are made of, none in the folder of another application, and
        none whose name ends in a dash and a profile of others.
        """
        if not self.covers(applications, profiles):
            return False
        if self.files is not None:
            return _matcher(self.files)(path)
        return self._covers_all or self._covers_path(path)

    def _covers_path(self, path: str) -> bool:
        folder, name = path.partition("/")[0], path.rpartition("/")[2]
        if name.lower().endswith(_BUNDLES):
            return False
        if "/" in path and not _matcher(self.applications)(folder):
            return False
        _, *parts = (name.rpartition(".")[0] or name).split("-")
        ends = ("-".join(parts[at:]) for at in range(len(parts)))
        return all(map(_matcher(self.profiles), ends))


class _Coverage(NamedTuple):
    applications: _Names
    profiles: _Names

    def of(self, applications: _Names, profiles: _Names) -> bool:
        return all(map(_matcher(self.applications), applications)) and all(
            map(_matcher(self.profiles), profiles)
        )


def EVERYONE(rights: Collection[str]) -> User:
    """Who sends a request to a server without users, with *rights* for all names."""
    return User("", frozenset(rights))


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
            self._texts("applications", _ALL),
            self._texts("profiles", _ALL),
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


@lru_cache(_PATTERNS)
def _matcher(patterns: _Names) -> Callable[[str], bool]:
    """Whether a whole text fits one of *patterns*, in time linear in both."""
    # `[` is no wildcard here; translate makes groups that never go back over a `*`.
    regexes = [translate(pattern.replace("[", "[[]")) for pattern in patterns]
    match = re.compile("|".join(regexes)).match
    return lambda text: match(text) is not None


def _is_all(patterns: _Names) -> bool:
    return any(pattern and not pattern.strip("*") for pattern in patterns)
