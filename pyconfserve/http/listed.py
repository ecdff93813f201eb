"""The list of all bundles as a response, made once for all who ask at the same time.

A long one takes a tenth of a second and tens of megabytes: twenty of them are not made
side by side.
"""

from __future__ import annotations

import asyncio

from ..server import ConfigServer
from .messages import Response
from .replies import json_response

__all__ = ["Listed"]


class Listed:
    """The bundles of *server* as a response."""

    def __init__(self, server: ConfigServer) -> None:
        self._server = server
        self._running: asyncio.Task[Response] | None = None
        self._next: asyncio.Task[Response] | None = None

    async def get(self) -> Response:
        """What is stored when this is called, or later.

        Those who ask while a list is made share the next one. Raises BackendError.
        """
        task = _of_this_loop(self._next)
        if task is None:
            before = _of_this_loop(self._running)
            task = self._next = asyncio.create_task(self._make(before))
            task.add_done_callback(_take_note)
        return await asyncio.shield(task)

    async def _make(self, before: asyncio.Task[Response] | None) -> Response:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        return json_response(await self._server.list())


def _of_this_loop(
    task: asyncio.Task[Response] | None,
) -> asyncio.Task[Response] | None:
    """*task* unless it is done, or belongs to a loop that may be closed by now."""
    is_ours = task is not None and task.get_loop() is asyncio.get_running_loop()
    return task if task is not None and is_ours and not task.done() else None


def _take_note(task: asyncio.Task[Response]) -> None:
    if not task.cancelled():
        task.exception()  # even when all who waited have left
