"""Labels of a request to commits: which one answers where several may."""

from __future__ import annotations

from typing import NamedTuple

from ...environment.overlay import DEFAULT_LABEL, Dialect, Lookup
from ...errors import ConfigNotFound
from .refs import State
from .repository import Repository

__all__ = ["Labelled", "Labels"]


class Labelled(NamedTuple):
    """Labels with their commits, as asked, and what this depends on."""

    commits: dict[str, str]
    seen: tuple[str, ...]  # labels, those that do not exist too


class Labels:
    """The labels of *repository*.

    *skips_unknown* is Spring's `continue-on-multiple-label-failure`.
    """

    def __init__(self, repository: Repository, *, skips_unknown: bool) -> None:
        self._repository = repository
        self._skips_unknown = skips_unknown

    def _candidates(self, label: str | None, dialect: Dialect) -> tuple[str, ...]:
        """The labels that may answer for *label*, the first that exists does.

        Java falls back from `main` to `master` wherever `main` comes from; we only
        where nobody asked for it (cases git-master).
        """
        own, *general = self._repository.defaults
        if dialect.is_read_only:  # Spring's
            asked = label or own
            return tuple(general) if asked == DEFAULT_LABEL else (asked,)
        return (label,) if label else self._repository.defaults

    def find(self, lookup: Lookup, state: State) -> Labelled:
        """The commits of the labels asked for; raises ConfigNotFound."""
        commits: dict[str, str] = {}
        seen: list[str] = []
        for label in lookup.labels or (None,):
            for candidate in self._candidates(label, lookup.dialect):
                seen.append(candidate)
                commit = self._repository.commit_of(candidate, state)
                if commit:
                    commits[label or candidate] = commit
                    break
            else:
                if not (self._skips_unknown and len(lookup.labels) > 1):
                    raise ConfigNotFound("there is no such label")
        if not commits:
            raise ConfigNotFound("there is no such label")
        return Labelled(commits, tuple(seen))
