"""Answers of the real Spring server that were recorded, and ours over the same data."""

import asyncio
import json

from pyconfserve.environment.overlay import SPRING
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer


def answer(backend, path):
    """What a server with Spring's dialect answers."""
    routes = Routes(ConfigServer(backend, dialect=SPRING))
    return asyncio.run(routes.handle(Request("GET", path, "", {}, b"")))


def assert_recorded(backend, exchange):
    """Its answer is that of the exchange; a version, which Spring lacks, is ours."""
    response = answer(backend, exchange["path"])
    assert response.status == exchange["status"]
    text = response.body.decode("utf-8")
    if isinstance(exchange["body"], str):
        assert exchange["body"] == text.rstrip("\n")
        return
    body = json.loads(text)
    if "propertySources" in body:
        body["version"] = None
    assert json.dumps(exchange["body"]) == json.dumps(body)
