"""What a store keeps of its past: which commits changed an answer, and bundles of then.

Few stores keep any. Who asks one that does not is told so, never given an empty past.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .backend import ConfigBackend
from .environment.overlay import Lookup, PropertySource
from .errors import ConfigNotFound

__all__ = [
    "COMMIT",
    "MOST_COMMITS",
    "USUAL_COMMITS",
    "AnsweringPast",
    "Commit",
    "HistoricBackend",
    "History",
    "Past",
    "past_of",
]

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # its full id
USUAL_COMMITS = 50  # of one page, where nobody says how many
MOST_COMMITS = 1000  # of one page: a few hundred kilobytes


class Commit(NamedTuple):
    """One change: its full id, when it was made (ISO 8601, UTC), by whom, what for.

    `author` is a name without an address, `message` one line, and `files` are those of
    the asked names alone, in alphabetical order.
    """

    id: str
    time: str
    author: str
    message: str
    files: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The document that `/_history` and `history --json` give."""
        return {
            "commit": self.id,
            "time": self.time,
            "author": self.author,
            "message": self.message,
            "files": list(self.files),
        }


class History(NamedTuple):
    """A page of commits, newest first; `next` is the *before* of the page behind it."""

    commits: tuple[Commit, ...]
    next: str | None = None


class Past(Protocol):
    """The past of one store."""

    async def history(
        self, lookup: Lookup, limit: int = USUAL_COMMITS, before: str | None = None
    ) -> History:
        """The commits that changed a file of the answer to *lookup*.

        At most *limit* of them, with *before* those behind that one. Raises
        InvalidRequest for what is no full id, ConfigNotFound for an unknown label or
        commit, BackendError.
        """
        ...

    async def bundle_at(
        self, application: str, profile: str, label: str, commit: str
    ) -> Mapping[str, Any]:
        """The one bundle, flat, as it was at *commit*: what a save would bring back.

        Raises InvalidRequest, ConfigNotFound for an unknown commit and for a bundle
        that was not there then, DocumentError, ReadOnlyBackend where nothing is saved,
        BackendError.
        """
        ...

    async def restore(
        self, application: str, profile: str, label: str, commit: str
    ) -> str | None:
        """Save the one bundle as it was at *commit*: a new commit of *label*.

        Gives its id, None when the bundle is so already. Raises InvalidRequest,
        ConfigNotFound for an unknown label or commit and for a bundle that was not
        there then, Conflict for a label that takes no saves, DocumentError for a file
        that did not parse then, ReadOnlyBackend, BackendError.
        """
        ...


@runtime_checkable
class AnsweringPast(Protocol):
    """A past whose commits are no labels: it is asked itself for an answer of then."""

    async def answer_at(
        self, lookup: Lookup, commit: str
    ) -> tuple[PropertySource, ...]:
        """What the answer to *lookup* was made from at *commit*, of its label.

        Raises InvalidRequest, ConfigNotFound, DocumentError, BackendError.
        """
        ...


@runtime_checkable
class HistoricBackend(Protocol):
    """A backend that keeps its past."""

    @property
    def past(self) -> Past:
        """What it keeps."""
        ...


def past_of(backend: ConfigBackend) -> Past:
    """The past of *backend*; raises ConfigNotFound where none is kept."""
    if not isinstance(backend, HistoricBackend):
        raise ConfigNotFound(
            "no history is kept here: a git repository named by its URI keeps one, and "
            "so do SQLite and PostgreSQL"
        )
    return backend.past
