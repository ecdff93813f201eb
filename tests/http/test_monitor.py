"""POST /monitor: deliveries are verified, answered, and bring a refresh."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging

import pytest

from pyconfserve import ConfigServer, InMemoryConfigBackend
from pyconfserve.errors import BackendUnavailable
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.monitor import Monitor
from pyconfserve.http.rights import READ_ONLY_RIGHTS
from pyconfserve.http.routes import Routes

SECRET = "s3cret"
BODY = json.dumps({"commits": [{"modified": ["orders-prod.yml"]}]}).encode()


class CopyingBackend(InMemoryConfigBackend):
    """A backend whose refreshes are counted, and wait until they may end."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.refreshes = 0
        self.may_end = asyncio.Event()
        self.error = error

    async def refresh(self) -> None:
        self.refreshes += 1
        await self.may_end.wait()
        if self.error:
            raise self.error


def delivery(number: int, body: bytes = BODY, secret: str = SECRET) -> Request:
    """A push as GitHub sends it."""
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": str(number),
        "x-hub-signature-256": f"sha256={signature}",
    }
    return Request("POST", "/monitor", headers=headers, body=body)


def routes_of(backend: InMemoryConfigBackend, *, takes_unsigned: bool = False) -> Routes:
    server = ConfigServer(backend)
    monitor = Monitor(server, [SECRET], takes_unsigned=takes_unsigned)
    return Routes(server, monitor=monitor, access=Access(rights=READ_ONLY_RIGHTS))


def ask(request: Request, routes: Routes | None = None) -> Response:
    asked = routes or routes_of(InMemoryConfigBackend())
    return asyncio.run(asked.handle(request))


def test_a_signed_delivery_is_answered() -> None:
    """With the applications it is about, as the Java server does."""
    response = ask(delivery(1))
    assert (response.status, response.body) == (200, b'["orders-prod","orders"]')


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (delivery(1, secret="other"), 401),
        (delivery(1)._replace(body=BODY + b" "), 401),
        (delivery(1)._replace(headers={"content-type": "application/json"}), 401),
        (delivery(1, b"[]"), 400),
        (Request("GET", "/monitor"), 405),
    ],
    ids=["another secret", "another body", "unsigned", "no map", "GET"],
)
def test_what_is_no_delivery_is_refused(request_: Request, status: int) -> None:
    """Before anything is read of it, or done for it."""
    assert status == ask(request_).status


def test_without_a_monitor_there_is_no_route() -> None:
    """A server that was given no secret takes no webhooks."""
    routes = Routes(ConfigServer(InMemoryConfigBackend()))
    assert ask(delivery(1), routes).status == 404


def test_unsigned_deliveries_are_taken_when_asked_for() -> None:
    """As `--unsigned-monitor` says."""
    routes = routes_of(InMemoryConfigBackend(), takes_unsigned=True)
    unsigned = Request("POST", "/monitor", headers={"content-type": "application/x-www-form-urlencoded"}, body=b"path=orders")  # fmt: skip
    assert ask(unsigned, routes).body == b'["orders"]'


def test_many_deliveries_bring_few_refreshes() -> None:
    """One is under way while more arrive, and one more sees what they brought."""

    async def deliver() -> tuple[int, int]:
        backend = CopyingBackend()
        routes = routes_of(backend)
        answers = [await routes.handle(delivery(number)) for number in range(100)]
        await asyncio.sleep(0)
        under_way = backend.refreshes
        backend.may_end.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert {answer.status for answer in answers} == {200}
        return under_way, backend.refreshes

    assert asyncio.run(deliver()) == (1, 2)


def test_a_repeated_delivery_brings_no_refresh() -> None:
    """It is answered as it was, and does nothing."""

    async def deliver() -> tuple[list[int], int]:
        backend = CopyingBackend()
        backend.may_end.set()
        routes = routes_of(backend)
        statuses = []
        for _ in range(3):
            statuses.append((await routes.handle(delivery(7))).status)
            await asyncio.sleep(0)
        return statuses, backend.refreshes

    assert asyncio.run(deliver()) == ([200, 200, 200], 1)


def test_a_refresh_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The delivery was answered long before; the next one tries again."""

    async def deliver() -> int:
        backend = CopyingBackend(BackendUnavailable("origin is away"))
        backend.may_end.set()
        routes = routes_of(backend)
        for number in range(2):
            await routes.handle(delivery(number))
            for _ in range(3):
                await asyncio.sleep(0)
        return backend.refreshes

    with caplog.at_level(logging.WARNING, "pyconfserve.monitor"):
        assert asyncio.run(deliver()) == 2
    assert [r.getMessage() for r in caplog.records] == [
        "a refresh failed: origin is away"
    ] * 2
