"""redis: Spring's hashes, and the answers that the Java server gave from them."""

import asyncio
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis_server import RedisServer
from spring_recorded import answer, assert_recorded

from pyconfserve.adapters.redis_hashes import RedisConfigBackend
from pyconfserve.backend import ConfigSource
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    ReadOnlyBackend,
    SettingsError,
)

CASE = json.loads(
    (Path(__file__).parents[1] / "cases/stores/spring-redis.json").read_text("utf-8")
)


@pytest.fixture
def others(redis_server, redis_url):
    """A client of the database, which has the recorded hashes."""
    with redis_server.client(int(urlsplit(redis_url).path[1:])) as client:
        for key, properties in CASE["data"].items():
            client.hset(key, mapping=properties)
        yield client


@pytest.fixture
def connect():
    """Makes backends, and closes them in the end."""
    made = []

    def connect(*arguments, **options):
        made.append(RedisConfigBackend(*arguments, **options))
        return made[-1]

    yield connect
    for backend in made:
        asyncio.run(backend.close())
        asyncio.run(backend.close())


@pytest.fixture
def backend(redis_url, others, connect):
    return connect(redis_url)


def found(backend, *asked, dialect=SPRING):
    """The names of the sources of an answer, and the values of `k`."""
    sources = asyncio.run(backend.sources(make_lookup(*asked, dialect=dialect))).sources
    return [(source.name, source.properties.get("k")) for source in sources]


@pytest.mark.parametrize("exchange", CASE["exchanges"], ids=lambda one: one["path"])
def test_the_answer_is_the_recorded_one(backend, exchange):
    """From the same hashes of a real Redis; a version, which Spring lacks, is ours."""
    assert_recorded(backend, exchange)


def test_nothing_is_kept(backend, others):
    """What somebody writes is in the next answer."""
    assert found(backend, "foo", "dev") == [("redis:foo-dev", "foo-dev"), ("redis:foo", "foo")]
    others.hset("foo-dev", "k", "other")
    others.delete("foo")
    assert found(backend, "foo", "dev") == [("redis:foo-dev", "other"), ("redis:foo", None)]


def test_a_profile_asked_for_twice_is_there_twice(backend):
    """As in RedisEnvironmentRepository, which looks at nothing but the list."""
    names = [name for name, _ in found(backend, "foo", "dev,prod,dev")]
    assert names == ["redis:foo-dev", "redis:foo-prod", "redis:foo-dev", "redis:foo"]


def test_bytes_that_are_no_text(backend, others):
    """They are shown as Java shows them."""
    others.hset("foo", b"\xffkey", b"a\xc3")
    response = answer(backend, "/foo/dev")
    assert response.status == 200
    source = json.loads(response.body)["propertySources"][1]["source"]
    assert source["\ufffdkey"] == "a\ufffd"


def test_our_own_dialect(backend, others):
    """What is there, by bundles: a plain hash is that of `default`, below its own."""
    others.hset("foo", "plain", "p")
    expected = [(name, name) for name in ("foo-dev", "foo-default", "application-dev", "application-default")]
    assert expected == found(backend, "foo", "dev", dialect=OWN)
    assert found(backend, "nobody", "none", dialect=OWN) == [("application-default", "application-default")]
    source = asyncio.run(backend.fetch("foo", "default"))
    values = {"k": "foo-default", "list[0]": "x", "n": "1", "only.foo": "y", "plain": "p", "only.foo-default": "y"}
    assert source == ConfigSource("foo", "default", "master", values)
    assert asyncio.run(backend.fetch("foo", "dev", "any")).properties["k"] == "foo-dev"
    assert asyncio.run(backend.fetch("nobody", "default")) is None


def test_nothing_is_saved_or_listed(backend):
    """The hashes are another's, and their keys do not tell what is a profile."""
    with pytest.raises(ReadOnlyBackend):
        asyncio.run(backend.save(ConfigSource("foo", "dev", "main", {})))
    with pytest.raises(BackendMisconfigured, match=r"Spring's hashes cannot be listed: .*$"):
        asyncio.run(backend.list())


def test_a_key_that_is_no_hash(backend, others):
    """It is told, as a failure; other applications are served."""
    others.set("foo", "x")
    problem = f"{backend.health()['store']}: foo: a key holds something else"
    with pytest.raises(BackendMisconfigured, match=f"^{problem}$"):
        found(backend, "foo", "dev")
    refusal = answer(backend, "/foo/dev")
    assert refusal.status == 500
    assert json.loads(refusal.body)["message"] == "a key holds something else"
    assert found(backend, "bar", "dev")[0] == ("redis:bar-dev", "bar-dev")


def test_while_it_is_away_the_last_answer_is_given(connect, caplog):
    """To the same request; there is none to another, nor at the start."""
    with RedisServer() as server:
        server.call("HSET", "foo-dev", "k", "1")
        moments = iter(range(0, 1000, 10))
        backend = connect(server.url_of(), now=lambda: next(moments))
        asyncio.run(backend.open())
        assert backend.health() == {"store": server.url_of()}
        before = found(backend, "foo", "dev")
        server.kill()
        problem = f"{server.url_of()}: it is away"
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert found(backend, "foo", "dev") == before
        assert caplog.messages == [problem]
        with pytest.raises(BackendUnavailable, match=f"^{problem}$"):
            found(backend, "foo", "prod")
        expected = {"store": server.url_of(), "problem": problem, "answered-seconds-ago": 10}
        assert backend.health() == expected
        late = connect(server.url_of())
        for ask in (late.open, lambda: late.sources(make_lookup("foo")), lambda: late.fetch("foo", "dev")):
            with pytest.raises(BackendUnavailable, match=f"^{problem}$"):
                asyncio.run(ask())
        with pytest.raises(BackendUnavailable, match=f"^{problem}$"):
            late.health()
        server.start()
        assert found(backend, "foo", "dev") == [("redis:foo-dev", None), ("redis:foo", None)]
        assert backend.health() == {"store": server.url_of()}


def test_who_is_not_let_in_gets_nothing(connect):
    """Not even what was read before."""
    with RedisServer("--requirepass", "s3cret") as server:
        server.password = "s3cret"
        server.call("HSET", "foo-dev", "k", "1")
        backend = connect(server.url_of(), password="s3cret")
        assert found(backend, "foo", "dev")[0] == ("redis:foo-dev", "1")
        server.call("CONFIG", "SET", "requirepass", "other")
        server.password = "other"
        server.call("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(BackendDenied) as caught:
            found(backend, "foo", "dev")
        assert "s3cret" not in str(caught.value)


def test_a_uri_that_is_none_is_refused():
    """As a setting."""
    with pytest.raises(SettingsError):
        RedisConfigBackend("redis:/h")
