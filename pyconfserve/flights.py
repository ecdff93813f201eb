"""Work that many want at once and that is done once, while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Flights"]

Value = TypeVar("Value")


class Flights(Generic[Value]):
    """Work under way by key; those who leave do not stop it for the others."""

    def __init__(self) -> None:
        self._flights: dict[tuple[Hashable, object], asyncio.Task[Value]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Value]]
    ) -> Value:
        """What the work under *key* gives, begun by *work* unless it is under way.

        It raises for all what it raises.
        """
        known = (key, asyncio.get_running_loop())  # of another loop is another flight
        flight = self._flights.get(known)
        if flight is None:
            flight = self._flights[known] = asyncio.ensure_future(work())
            flight.add_done_callback(lambda done: self._landed(known, done))
        return await asyncio.shield(flight)

    def _landed(
        self, known: tuple[Hashable, object], flight: asyncio.Task[Value]
    ) -> None:
        del self._flights[known]
        if not flight.cancelled():
            flight.exception()  # taken note of, even when all who waited have left
