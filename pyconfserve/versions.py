"""Versions of stored bundles: what is expected of one, and a change made under that.

What is stored under three names is read with a version and changed only while it still
has the version that was seen, so that nobody overwrites what they have not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .environment.properties import Tree
from .errors import ConfigNotFound, VersionConflict

__all__ = [
    "ANY",
    "ANYTHING",
    "NOT_STORED",
    "Changed",
    "Expected",
    "Stored",
    "Work",
    "planned",
]

ANY = "*"  # among expected versions: whatever version there is
NOT_STORED = "no bundle is stored under these names"


class Stored(NamedTuple):
    """One stored bundle: its flat properties, and a text that is another when they are.

    Two bundles may have the same version; two states of one never have.
    """

    properties: Mapping[str, Any]
    version: str


class Changed(NamedTuple):
    """What a change made: the version that is stored now, None after a removal.

    `is_new` says that nothing was stored before.
    """

    version: str | None
    is_new: bool = False


class Expected(NamedTuple):
    """What must be stored when a change is made; None for no such condition.

    It is one of `versions` (If-Match) and none of `others` (If-None-Match). ANY among
    `versions` is whatever is stored; ANY among `others` says that nothing may be.
    """

    versions: frozenset[str] | None = None
    others: frozenset[str] | None = None

    def allows(self, version: str | None) -> bool:
        """Whether *version* is what is expected; None where nothing is stored."""
        known = frozenset(() if version is None else (version, ANY))
        return (self.versions is None or bool(known & self.versions)) and not (
            self.others and known & self.others
        )

    def check(self, version: str | None) -> None:
        """Raise VersionConflict, with *version*, unless it is what is expected."""
        if not self.allows(version):
            problem = "is not stored" if version is None else "has another version"
            raise VersionConflict(f"the bundle {problem}", version)


ANYTHING = Expected()

# What is to be stored, None for nothing: a tree, nested or flat. It is handed a
# function that gives the tree that is stored, or None; who gives that very tree back
# changes nothing. It may be called several times and in any thread.
Work = Callable[[Callable[[], Mapping[str, Tree] | None]], Mapping[str, Tree] | None]


def planned(
    work: Work,
    expected: Expected,
    version: str | None,
    stored: Callable[[], Mapping[str, Tree] | None],
) -> Mapping[str, Tree] | None:
    """What *work* makes of what is *stored* under *version*.

    Raises ConfigNotFound for a removal of nothing, VersionConflict, and what *work*
    raises.
    """
    tree = work(stored)
    if tree is None and version is None:
        raise ConfigNotFound(NOT_STORED)
    expected.check(version)
    return tree
