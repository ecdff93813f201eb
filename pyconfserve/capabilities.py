"""What a backend may do beyond its three methods: small interfaces, never required.

They are looked for with isinstance. Those that speak of ConfigBackend or Found stand
beside these, in backend.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .environment.overlay import DEFAULT_LABEL, Lookup
from .errors import MethodNotAllowed
from .versions import ANYTHING, Changed, Expected, Stored, Work

__all__ = [
    "AnnouncingBackend",
    "ClosingBackend",
    "FoundFile",
    "HealthBackend",
    "LabelledBackend",
    "LookingBackend",
    "OpeningBackend",
    "PlainFile",
    "PlainFileBackend",
    "RefreshingBackend",
    "StampedBackend",
    "VersionedBackend",
    "versioned",
]


class PlainFile(NamedTuple):
    """A plain file's bytes, and when it was modified, in seconds since the epoch."""

    data: bytes
    modified: float


class FoundFile(NamedTuple):
    """A plain file whose answer may be kept: `seen` and `stamp` are as in Found."""

    data: bytes
    modified: float
    seen: Hashable
    stamp: Hashable


@runtime_checkable
class PlainFileBackend(Protocol):
    """A backend that has plain files beside its bundles."""

    async def file(self, lookup: Lookup, path: str) -> PlainFile | FoundFile | None:
        """The file at *path* for *lookup*, by profile where there is one; else None."""
        ...


@runtime_checkable
class LabelledBackend(Protocol):
    """A backend with another default label than `main`."""

    default_label: str


@runtime_checkable
class StampedBackend(Protocol):
    """A backend that knows cheaply whether anything changed."""

    def stamp(self, seen: Hashable) -> Hashable:
        """A value that stays equal while what *seen* names stays as it is.

        It is called for every request. A backend that is not a LookupBackend is asked
        with `()` and answers for all it holds.
        """
        ...


@runtime_checkable
class LookingBackend(Protocol):
    """A backend that may take what it saw a while ago for what is there now."""

    def look_again(self) -> None:
        """Believe no stamp from before now: another process saved something.

        It never waits.
        """
        ...


@runtime_checkable
class AnnouncingBackend(Protocol):
    """A backend that sees at its own time what others have changed."""

    def on_sight(self, tell: Callable[[], None]) -> None:
        """Call *tell* each time it does, before any answer has what was changed.

        It may be called by any thread, and never waits.
        """
        ...


@runtime_checkable
class HealthBackend(Protocol):
    """A backend that can say how it is."""

    def health(self) -> Mapping[str, Any]:
        """Details for the owner of the server, as JSON has them.

        Raises BackendError when the backend cannot answer anyone.
        """
        ...


@runtime_checkable
class RefreshingBackend(Protocol):
    """A backend that copies what lies elsewhere."""

    async def refresh(self) -> None:
        """Bring the copy up to date.

        Raises BackendError when that fails, Conflict when it would overwrite a save.
        """
        ...


@runtime_checkable
class OpeningBackend(Protocol):
    """A backend that has work to do before it can answer."""

    async def open(self) -> None:
        """Do it now rather than at the first lookup; calling this twice is fine.

        Raises BackendError when the store cannot be reached.
        """
        ...


@runtime_checkable
class ClosingBackend(Protocol):
    """A backend that holds something open."""

    async def close(self) -> None:
        """Release it; calling this twice is fine."""
        ...


@runtime_checkable
class VersionedBackend(Protocol):
    """A backend that knows versions of what is stored under three names.

    What is stored is where a save goes: nothing is merged, no other bundle shines
    through.
    """

    async def stored(
        self, application: str, profile: str, label: str = DEFAULT_LABEL
    ) -> Stored | None:
        """The bundle as it is stored, None when nothing is.

        Raises InvalidRequest, Conflict for a file of several documents, DocumentError,
        BackendError.
        """
        ...

    async def change(
        self,
        application: str,
        profile: str,
        label: str,
        work: Work,
        expected: Expected = ANYTHING,
    ) -> Changed:
        """Store what *work* makes of the bundle, durably, if it is as *expected*.

        Nobody else's change comes between. Raises VersionConflict with the present
        version, ConfigNotFound for a removal of nothing, and what a save raises; all of
        them change nothing.
        """
        ...


def versioned(backend: object) -> VersionedBackend:
    """*backend*, if it knows versions; raises MethodNotAllowed where it does not."""
    if not isinstance(backend, VersionedBackend):
        raise MethodNotAllowed(
            "this store knows no versions of its bundles: it takes whole saves only"
        )
    return backend
