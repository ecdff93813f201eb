"""POST /monitor: a git server says that something was pushed, and the backend looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection

from ..backend import RefreshingBackend
from ..errors import ConfigError
from ..server import ConfigServer
from .messages import Request
from .webhooks import Replays, applications_of, verify

__all__ = ["Monitor"]

_logger = logging.getLogger("pyconfserve.monitor")


class Monitor:
    """Takes the deliveries of webhooks for one server.

    *secrets* are those that deliveries are signed with; *takes_unsigned* lets anyone
    deliver, as the Java server does (CVE-2026-47837).
    """

    def __init__(
        self,
        server: ConfigServer,
        secrets: Collection[str] = (),
        *,
        takes_unsigned: bool = False,
    ) -> None:
        self._backend = server.backend
        self._secrets = secrets
        self._takes_unsigned = takes_unsigned
        self._replays = Replays()
        self._refresh: asyncio.Task[None] | None = None
        self._is_asked_again = False

    async def deliver(self, request: Request, *, is_trusted: bool = False) -> list[str]:
        """The applications that a delivery is about; the refresh goes on without it.

        One that *is_trusted* needs no signature: its sender is known otherwise.
        Raises Unauthenticated, InvalidRequest and UnsupportedMedia.
        """
        if not (self._takes_unsigned or is_trusted):
            verify(request, self._secrets, now=time.time())
        applications = await asyncio.to_thread(applications_of, request)
        if applications and not self._replays.is_replay(request):
            self._start_refresh()
        return applications

    def _start_refresh(self) -> None:
        """Refresh once now, or once more after the one that is under way."""
        if not isinstance(self._backend, RefreshingBackend):
            return
        if self._refresh is not None and not self._refresh.done():
            self._is_asked_again = True
            return
        self._refresh = asyncio.ensure_future(self._run(self._backend))

    async def _run(self, backend: RefreshingBackend) -> None:
        self._is_asked_again = True
        while self._is_asked_again:
            self._is_asked_again = False
            try:
                await backend.refresh()
            except ConfigError as error:  # out of reach, or in conflict with a save
                _logger.warning("a refresh failed: %s", error)
