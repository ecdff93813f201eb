"""Who sends a request: what they may do, for which names and files.

All is judged on names alone, before any look-up. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .passwords import PasswordHash  # servers without users need none

__all__ = ["ALL", "EVERYONE", "User"]

ALL = ("*",)
_BUNDLES = (".yml", ".yaml", ".json", ".toml", ".properties", ".xml")
_DECISIONS = 1024  # kept of each user, who may ask for a million names
_PATTERNS = 1024  # sets of them that stay compiled

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
    applications: _Names = ALL
    profiles: _Names = ALL
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


@lru_cache(_PATTERNS)
def _matcher(patterns: _Names) -> Callable[[str], bool]:
    """Whether a whole text fits one of *patterns*, in time linear in both."""
    import re
    from fnmatch import translate  # servers without users have no patterns

    # `[` is no wildcard here; translate makes groups that never go back over a `*`.
    regexes = [translate(pattern.replace("[", "[[]")) for pattern in patterns]
    match = re.compile("|".join(regexes)).match
    return lambda text: match(text) is not None


def _is_all(patterns: _Names) -> bool:
    return any(pattern and not pattern.strip("*") for pattern in patterns)
