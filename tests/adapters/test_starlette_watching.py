"""Requests that wait for a change, under Starlette."""

import asyncio

import pytest

pytest.importorskip("starlette", reason="pip install 'pyconfserve[starlette]'")

from starlette.applications import Starlette

from pyconfserve.adapters.starlette import make_starlette_config_server_routes
from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.server import ConfigServer

SOON = 10  # seconds in which what should happen does


class Client:
    """One request to an ASGI application, whose sender may leave."""

    def __init__(self, app, query="", etag=None):
        known = [(b"if-none-match", etag)] if etag else []
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": "/app/prod",
            "query_string": query.encode(),
            "headers": [(b"host", b"a"), *known],
        }
        self._received = asyncio.Queue()
        self._received.put_nowait({"type": "http.request", "body": b""})
        self.sent = []
        self.task = asyncio.create_task(app(self._scope, self._received.get, self._send))  # fmt: skip

    async def _send(self, message):
        self.sent.append(message)

    def leave(self):
        """Close the connection."""
        self._received.put_nowait({"type": "http.disconnect"})

    async def answer(self):
        """Status, ETag and body."""
        await self.task
        start, body = self.sent
        return start["status"], dict(start["headers"])[b"etag"], body["body"]


def run(scenario):
    """Run a coroutine function over a server with app/prod and its application."""

    async def in_time():
        server = ConfigServer(InMemoryConfigBackend())
        await server.save("app", "prod", {"a": 1})
        app = Starlette(routes=make_starlette_config_server_routes(server))
        async with asyncio.timeout(SOON):
            await scenario(server, app)

    asyncio.run(in_time())


async def watched(server):
    """Return once someone waits for a change."""
    for _ in range(10_000):
        if server.after_save:
            return
        await asyncio.sleep(0)
    raise AssertionError("nobody waits")


def test_a_change_is_answered():
    """As soon as it comes, with the answer of one who asks after it."""

    async def scenario(server, app):
        _, etag, _ = await Client(app).answer()
        client = Client(app, "wait=60", etag)
        await watched(server)
        await server.save("app", "prod", {"a": 2})
        changed = await client.answer()
        assert changed == await Client(app, "wait=60", etag).answer()
        assert (changed[0], b'{"a":2}' in changed[2]) == (200, True)

    run(scenario)


def test_time_is_up():
    """The answer is 304 without a body."""

    async def scenario(server, app):
        _, etag, _ = await Client(app).answer()
        assert await Client(app, "wait=0.2", etag).answer() == (304, etag, b"")

    run(scenario)


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["left", "cancelled"])
def test_who_goes_away_frees_the_place(is_cancelled):
    """Whether the server tells it or ends the task; nothing is sent."""

    async def scenario(server, app):
        _, etag, _ = await Client(app).answer()
        client = Client(app, "wait=60", etag)
        await watched(server)
        if is_cancelled:
            client.task.cancel()
        else:
            client.leave()
        await asyncio.wait([client.task])
        assert (client.task.cancelled(), client.sent) == (is_cancelled, [])
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        assert server.after_save == set()

    run(scenario)
