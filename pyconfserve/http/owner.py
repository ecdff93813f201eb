"""What a connection needs of the listener that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from .memo import HeadMemo
from .observing import Observer

if TYPE_CHECKING:
    from .connection import Connection
    from .routes import Routes

__all__ = ["Deadlines", "Owner"]


class Deadlines(NamedTuple):
    """Seconds for the whole of each phase, so that a byte now and then wins nothing."""

    head: float = 10
    body: float = 30
    idle: float = 75  # nginx's keepalive_timeout
    writing: float = 30  # until an answer is taken, all of it
    linger: float = 2  # to take the answer that ends a connection
    drain: float = 30  # for all that is open when the server is told to stop
    handshake: float = 10  # of TLS, from the accepted connection to its end


class Owner(Protocol):
    """What a connection needs of the listener that it belongs to."""

    routes: Routes
    deadlines: Deadlines
    memo: HeadMemo
    observer: Observer | None  # is told of each answer
    timed: set[Connection]  # those whose deadlines are looked at
    is_draining: bool

    @property
    def is_crowded(self) -> bool:
        """Whether those who find no place take too many."""
        ...

    def opened(self, connection: Connection) -> bool:
        """Count a connection; False when there is no place for it."""
        ...

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        ...

    def date(self) -> str:
        """The time as a Date header has it."""
        ...
