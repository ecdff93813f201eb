"""spring_redis: what a Java server's settings say of Redis, and what it answers then."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pyconfserve.auto_configuration import build_server
from pyconfserve.errors import SettingsError
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.settings import Settings
from pyconfserve.spring_settings import SERVER, read_spring

pytest.importorskip("redis")
CASE = json.loads(
    (Path(__file__).parent / "cases/stores/spring-redis.json").read_text("utf-8")
)
DATA = "spring.data.redis."
SECRET = "s3cret-of-redis"


def server_of(flat, environ=None):
    """A server by the settings of a Java server."""
    spring = read_spring(flat, environ or {}, is_asked=True)
    return build_server(Settings(**spring.fields), spring)


def backend_of(flat):
    """Its backend, which has asked nobody anything yet."""
    return server_of({"spring.profiles.active": "redis", **flat}).backend


def options_of(flat):
    """What its connections are made with."""
    return backend_of(flat)._client.connection_pool.connection_kwargs


def answer(server, path):
    """What it answers, with no version, as Spring has none."""
    async def ask():
        response = await Routes(server).handle(Request("GET", path, "", {}, b""))
        await server.close()
        return response

    response = asyncio.run(ask())
    assert response.status == 200
    text = response.body.decode("utf-8")
    if not text.startswith("{"):
        return text.rstrip("\n")
    tree = json.loads(text)
    return {**tree, "version": None} if "propertySources" in tree else tree


@pytest.fixture
def place(redis_server, redis_url):
    """Settings of an empty database, and a client of it."""
    database = urlsplit(redis_url).path[1:]
    with redis_server.client(int(database)) as client:
        yield {
            "spring.profiles.active": "redis",
            f"{DATA}host": "127.0.0.1",
            f"{DATA}port": redis_server.port,
            f"{DATA}database": database,
        }, client


@pytest.mark.parametrize("exchange", CASE["exchanges"], ids=lambda one: one["path"])
def test_the_answer_is_the_recorded_one(place, exchange):
    """With the settings of the server that was recorded."""
    flat, client = place
    for key, properties in CASE["data"].items():
        client.hset(key, mapping=properties)
    found = answer(server_of(flat), exchange["path"])
    assert json.dumps(found) == json.dumps(exchange["body"])


@pytest.mark.parametrize("exchange", CASE["composite"], ids=lambda one: one["path"])
def test_a_member_of_a_composite(place, tmp_path, exchange):
    """As recorded, without the member between that is another store."""
    flat, client = place
    client.hset("foo", "k", "redis foo")
    for name in ("application", "foo", "foo-dev"):
        (tmp_path / f"{name}.yml").write_text(f"k: native {name}\n")
    flat |= {
        "spring.profiles.active": "composite",
        f"{SERVER}composite[0].type": "native",
        f"{SERVER}composite[0].search-locations": f"file:{tmp_path}/",
        f"{SERVER}composite[1].type": "redis",
    }
    found = answer(server_of(flat), exchange["path"])
    sources = [
        {**source, "name": source["name"].replace("{folder}", str(tmp_path))}
        for source in exchange["body"]["propertySources"]
        if not source["name"].startswith("vault:")
    ]
    assert json.dumps(found) == json.dumps({**exchange["body"], "propertySources": sources})


def test_it_stands_beside_folders(place, tmp_path):
    """In the order that settings give."""
    flat, client = place
    client.hset("foo", "k", "redis")
    (tmp_path / "foo.yml").write_text("k: native\n")
    flat |= {
        "spring.profiles.active": "native,redis",
        f"{SERVER}native.search-locations": str(tmp_path),
        f"{SERVER}native.add-label-locations": "false",
    }

    def values(**more):
        sources = answer(server_of(flat | more), "/foo/default")["propertySources"]
        return [source["source"].get("k") for source in sources]

    assert values() == ["native", None, "redis"]
    assert values(**{f"{SERVER}redis.order": 1}) == [None, "redis", "native"]
    assert values(**{f"{SERVER}redis.enabled": "false"}) == ["native"]


PLACES = {
    "none": ({}, "redis://localhost:6379/0", None, None),
    "parts": ({"host": "h", "port": "1", "database": "2", "username": "u", "password": "p@/"}, "redis://h:1/2", "u", "p@/"),
    "password": ({"password": "p"}, "redis://localhost:6379/0", None, "p"),
    "secure": ({"host": "::1", "ssl.enabled": "true"}, "rediss://[::1]:6379/0", None, None),
    "url": ({"url": "redis://u:p%40@h:1/2", "host": "x", "port": "3", "database": "4"}, "redis://h:1/2", "u", "p@"),
    "url-instead": ({"url": "rediss://:p@h", "username": "x", "password": "y"}, "rediss://h:6379/0", None, "p"),
    "url-password": ({"url": "redis://p@h"}, "redis://h:6379/0", None, "p"),
    "url-and-user": ({"url": "redis://h", "username": "u", "password": "p"}, "redis://h:6379/0", "u", "p"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "address", "username", "password"), PLACES.values(), ids=PLACES)
def test_whom_it_asks(given, address, username, password):
    """By an address or its parts; the address is shown without who asks."""
    flat = {DATA + name: text for name, text in given.items()}
    assert backend_of(flat).health() == {"store": address}
    options = options_of(flat)
    assert (options["username"], options["password"]) == (username, password)


def test_variables_hold_what_is_secret():
    """As Java takes them."""
    environ = {"SPRING_DATA_REDIS_PASSWORD": SECRET, "SPRING_DATA_REDIS_HOST": "h"}
    backend = server_of({"spring.profiles.active": "redis"}, environ).backend
    assert backend.health() == {"store": "redis://h:6379/0"}
    assert backend._client.connection_pool.connection_kwargs["password"] == SECRET


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({f"{DATA}port": "x"}, f"{DATA}port: expected a whole number"),
        ({f"{DATA}database": "-1"}, f"{DATA}database: expected a whole number"),
        ({f"{DATA}port": "99999"}, f"{DATA}host: expected redis[s]://[user:password@]host:6379/database"),
        ({f"{DATA}url": f"http://:{SECRET}@h"}, f"{DATA}url: expected redis[s]://[user:password@]host:6379/database"),
        ({f"{DATA}ssl.enabled": "x"}, f"{DATA}ssl.enabled: expected true or false"),
        ({f"{DATA}cluster.nodes": "h:1,i:1"}, f"{DATA}cluster.nodes: several servers are not asked here: set {DATA}url"),
        ({f"{DATA}sentinel.master": "m"}, f"{DATA}sentinel.master: sentinels are not asked here: set {DATA}url"),
        ({f"{DATA}ssl.bundle": "b"}, f"{DATA}ssl.bundle: bundles are not read: those whom this machine trusts are trusted"),
        ({f"{SERVER}redis.order": "x"}, f"{SERVER}redis.order: expected a whole number"),
        ({f"{SERVER}redis.orde": "1"}, f"{SERVER}redis.orde: unknown setting, the nearest known one is {SERVER}redis.order"),
    ],
    ids=["port", "database", "port-too-large", "url", "switch", "cluster", "sentinel", "bundle", "order", "unknown"],
)  # fmt: skip
def test_what_is_wrong_is_named(given, problem):
    """Its key, and never the password."""
    with pytest.raises(SettingsError) as caught:
        backend_of({f"{SERVER}native.search-locations": "x", "spring.profiles.active": "native,redis", **given})
    assert str(caught.value) == problem


def test_what_a_member_does_not_know_is_an_error():
    """As for the others."""
    flat = {"spring.profiles.active": "composite", f"{SERVER}composite[0].type": "redis", f"{SERVER}composite[0].ordr": 1}
    with pytest.raises(SettingsError) as caught:
        backend_of(flat)
    assert str(caught.value) == f"{SERVER}composite[0].ordr: unknown setting, the nearest known one is {SERVER}composite[0].order"
