"""A server in a thread of this process, on a free port of loopback: for tests.

It is the real one, over real sockets, with bundles in memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any

from .backend import InMemoryConfigBackend
from .environment.overlay import DEFAULT_LABEL
from .errors import ConfigError, InvalidRequest
from .http.connection import Deadlines
from .http.listener import Listener, new_event_loop
from .http.messages import Request, Response
from .http.routes import Routes
from .server import ConfigServer

__all__ = ["ServedConfig"]

_Name = str | tuple[str, ...]
_DRAIN = 1.0  # seconds for what a test has left open


class ServedConfig:
    """Serves *bundles* at `url` until `close`; `requests` are those seen so far.

    Bundles are properties, nested or flat, by `("orders", "prod")`, by `("orders",
    "prod", "v2")` with a label, or by the same as text, `"orders/prod"`. Raises
    InvalidRequest for malformed names and values.
    """

    def __init__(
        self, bundles: Mapping[_Name, Mapping[str, Any]] = MappingProxyType({})
    ) -> None:
        self.requests: list[Request] = []
        self._server = ConfigServer(InMemoryConfigBackend())
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        started: Future[str] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name="config_server", daemon=True
        )
        self._thread.start()
        self.url = started.result()
        try:
            for name, properties in bundles.items():
                application, profile, *label = _parts(name)
                self.set(application, profile, properties, *label)
        except BaseException:
            self.close()
            raise

    def set(
        self,
        application: str,
        profile: str,
        properties: Mapping[str, Any],
        label: str = DEFAULT_LABEL,
    ) -> None:
        """Replace a bundle; the next request sees it.

        Raises InvalidRequest for malformed names and values, ConfigError after `close`.
        """
        if not self._thread.is_alive():
            raise ConfigError("this server is closed")
        save = self._server.save(application, profile, dict(properties), label)
        asyncio.run_coroutine_threadsafe(save, self._loop).result()

    def close(self) -> None:
        """Answer what was asked, and end; calling this twice is fine."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def _run(self, started: Future[str]) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._serve(started))

    async def _serve(self, started: Future[str]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        routes = _Recording(self._server, self.requests)
        listener = Listener(routes, deadlines=Deadlines(drain=_DRAIN))
        try:
            host, port = await listener.start("127.0.0.1", 0)
        except OSError as error:
            started.set_exception(error)
            return
        started.set_result(f"http://{host}:{port}")
        await self._over.wait()
        await listener.close()


class _Recording(Routes):
    """Routes that note each request, before it is answered."""

    def __init__(self, server: ConfigServer, requests: list[Request]) -> None:
        super().__init__(server)
        self._requests = requests

    def ready(self, request: Request) -> Response | None:
        response = super().ready(request)
        if response is not None:
            self._requests.append(request)
        return response

    async def handle(self, request: Request) -> Response:
        self._requests.append(request)
        return await super().handle(request)


def _parts(name: _Name) -> tuple[str, ...]:
    """The application, the profile and, where it has one, the label."""
    parts = tuple(name.split("/")) if isinstance(name, str) else name
    if len(parts) not in (2, 3):
        raise InvalidRequest("bundle", "expected application, profile and maybe label")
    return parts
