"""The list of all bundles as a response, made once for all who ask at the same time.

A long one takes a tenth of a second and tens of megabytes: twenty of them are not made
side by side.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from ..server import ConfigServer
from .messages import Response
from .replies import json_response
from .sender import User

__all__ = ["Listed"]

Bundles = list[dict[str, str]]


class _Listing(NamedTuple):
    bundles: Bundles
    response: Response  # to who may see them all


class Listed:
    """The bundles of *server* as a response."""

    def __init__(self, server: ConfigServer) -> None:
        self._server = server
        self._running: asyncio.Task[_Listing] | None = None
        self._next: asyncio.Task[_Listing] | None = None

    async def get(self, user: User) -> Response:
        """What is stored when this is called, or later, as far as *user* may see it.

        Those who ask while a list is made share the next one. Raises BackendError.
        """
        task = _of_this_loop(self._next)
        if task is None:
            before = _of_this_loop(self._running)
            task = self._next = asyncio.create_task(self._make(before))
            task.add_done_callback(_take_note)
        listing = await asyncio.shield(task)
        if not user.is_restricted:
            return listing.response
        return await asyncio.to_thread(_part, listing.bundles, user)

    async def _make(self, before: asyncio.Task[_Listing] | None) -> _Listing:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        bundles = await self._server.list()
        return _Listing(bundles, json_response(bundles))


def _part(bundles: Bundles, user: User) -> Response:
    """Those of *bundles* whose names are the user's."""
    return json_response(
        [
            bundle
            for bundle in bundles
            if user.covers((bundle["application"],), (bundle["profile"],))
        ]
    )


def _of_this_loop(
    task: asyncio.Task[_Listing] | None,
) -> asyncio.Task[_Listing] | None:
    """*task* unless it is done, or belongs to a loop that may be closed by now."""
    is_ours = task is not None and task.get_loop() is asyncio.get_running_loop()
    return task if task is not None and is_ours and not task.done() else None


def _take_note(task: asyncio.Task[_Listing]) -> None:
    if not task.cancelled():
        task.exception()  # even when all who waited have left
