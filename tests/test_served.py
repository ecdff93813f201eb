"""served: the real server in a thread, for tests."""

import json
import socket
import threading
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from pyconfserve.errors import ConfigError, InvalidRequest
from pyconfserve.served import ServedConfig


@pytest.fixture
def served():
    """A server with one bundle by names and one by text."""
    served = ServedConfig(
        {("orders", "prod"): {"db": {"pool": 1}}, "orders/prod/v2": {"db.pool": 2}}
    )
    yield served
    served.close()


def sources(served, path):
    """The property sources at a path, by name."""
    with urlopen(f"{served.url}{path}", timeout=10) as answer:
        document = json.loads(answer.read())
    return {source["name"]: source["source"] for source in document["propertySources"]}


def test_bundles_are_served(served):
    """By names or by text, with a label or without."""
    assert sources(served, "/orders/prod") == {"orders-prod": {"db.pool": 1}}
    assert sources(served, "/orders/prod/v2") == {"orders-prod": {"db.pool": 2}}


def test_nothing_stored_is_a_404(served):
    """As from any server."""
    with pytest.raises(HTTPError) as caught:
        urlopen(f"{served.url}/absent/prod", timeout=10)
    caught.value.close()
    assert caught.value.code == 404


def test_the_next_request_sees_a_change(served):
    """And the bundle is replaced whole."""
    assert sources(served, "/orders/prod") == {"orders-prod": {"db.pool": 1}}
    served.set("orders", "prod", {"greeting": "grüße"})
    served.set("orders", "prod", {"a": [1, 2]}, "v2")
    assert sources(served, "/orders/prod") == {"orders-prod": {"greeting": "grüße"}}
    assert sources(served, "/orders/prod/v2") == {"orders-prod": {"a[0]": 1, "a[1]": 2}}


def test_requests_are_noted_once_each(served):
    """In their order, those from the cache too."""
    for path in ("/orders/prod", "/orders/prod", "/orders/prod/v2", "/orders/prod"):
        sources(served, path)
    paths = [request.path for request in served.requests]
    assert paths == ["/orders/prod", "/orders/prod", "/orders/prod/v2", "/orders/prod"]
    assert served.requests[0].headers["host"] == served.url.removeprefix("http://")


def test_two_servers_are_two(served):
    """On ports of their own."""
    other = ServedConfig({"orders/prod": {"db.pool": 9}})
    assert sources(other, "/orders/prod") == {"orders-prod": {"db.pool": 9}}
    assert sources(served, "/orders/prod") == {"orders-prod": {"db.pool": 1}}
    other.close()


def test_after_the_end_the_port_is_closed(served):
    """No thread is left, and a client that kept its connection loses it."""
    host, _, port = served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 10) as kept:
        served.close()
        served.close()
        assert kept.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 10)
    assert "config_server" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ConfigError) as caught:
        served.set("orders", "prod", {})
    assert str(caught.value) == "this server is closed"


@pytest.mark.parametrize(
    ("bundles", "message"),
    [
        ({"orders": {}}, "bundle: expected application, profile and maybe label"),
        ({("a", "b", "c", "d"): {}}, "bundle: expected application, profile and maybe label"),
        ({"orders/prod": {"a": object()}}, None),
        ({"or..ders/prod": {}}, None),
    ],
    ids=["one name", "four names", "no value", "no name"],
)  # fmt: skip
def test_malformed_bundles_are_refused(bundles, message):
    """And no server stays behind."""
    with pytest.raises(InvalidRequest) as caught:
        ServedConfig(bundles)
    assert message in (None, str(caught.value))
    assert "config_server" not in [thread.name for thread in threading.enumerate()]
