"""What a replica keeps up with: an interface, without input or output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from .files import BundleName

__all__ = ["Followed", "State"]


class _Tokened(Protocol):
    """A state, which nobody changes, with a token that is another for another one."""

    @property
    def token(self) -> str: ...


State = TypeVar("State", bound=_Tokened)


class Followed(Protocol[State]):
    """What a replica keeps up with, at an *address* without credentials.

    All methods block and raise BackendError, but `about`, `packed` and `unpacked`.
    """

    address: str

    def read(self, before: State | None) -> tuple[State, Iterable[BundleName]]:
        """What is there now, *before* itself if that is it, and which bundles changed.

        No names are given for what cannot tell them.
        """
        ...

    def wait(self, state: State, seconds: float) -> None:
        """Return at a hint that *state* is not the present one, and after *seconds*."""
        ...

    def close(self) -> None:
        """Release what is held open, and end a wait; calling this twice is fine."""
        ...

    def about(self, state: State) -> dict[str, Any]:
        """What `health` tells of a state."""
        ...

    def packed(self, state: State) -> Any:
        """A state as JSON."""
        ...

    def unpacked(self, document: Any) -> State:
        """The state that was `packed`.

        Raises ValueError, LookupError, TypeError, AttributeError, ArithmeticError or
        InvalidRequest for another document.
        """
        ...
