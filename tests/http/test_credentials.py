"""X-Config-Token and X-Config-State reach a backend that takes them, and nobody else."""

from __future__ import annotations

import asyncio
import json

from pyconfserve import ConfigServer, InMemoryConfigBackend
from pyconfserve.backend import ConfigSource
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes


class Vault(InMemoryConfigBackend):
    """Shows what it was asked with."""

    def for_request(self, token: str | None, state: str | None) -> InMemoryConfigBackend:
        own = InMemoryConfigBackend()
        values = {"token": token or "", "state": state or ""}
        own._bundles["orders", "prod", "main"] = values
        return own


async def ask(routes: Routes, **headers: str) -> object:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("GET", "/orders/prod", headers=named)
    response = routes.ready(request) or await routes.handle(request)
    return json.loads(response.body)["propertySources"][0]["source"]


def test_credentials_are_for_their_request_alone() -> None:
    """No answer made with them is kept, and none that is kept is given for them."""

    async def all_of_them() -> list[object]:
        backend = Vault()
        await backend.save(ConfigSource("orders", "prod", "main", {"a": 1}))
        routes = Routes(ConfigServer(backend))
        return [
            await ask(routes),
            await ask(routes, x_config_token="t1"),
            await ask(routes, x_config_token="t2", x_config_state="s"),
            await ask(routes, x_config_state="s"),
            await ask(routes),
        ]

    assert asyncio.run(all_of_them()) == [
        {"a": 1},
        {"token": "t1", "state": ""},
        {"token": "t2", "state": "s"},
        {"token": "", "state": "s"},
        {"a": 1},
    ]


def test_a_backend_without_credentials_answers_as_always() -> None:
    """The headers mean nothing to it."""
    backend = InMemoryConfigBackend()
    asyncio.run(backend.save(ConfigSource("orders", "prod", "main", {"a": 1})))
    routes = Routes(ConfigServer(backend))
    assert asyncio.run(ask(routes, x_config_token="t")) == {"a": 1}
