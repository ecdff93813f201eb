"""Answers in gzip, over real sockets, as clients of many kinds read them."""

import asyncio
import gzip
import json
import shutil
import socket
import subprocess
import threading
import urllib.request

import pytest
from settling import settle

from pyconfserve.answers import Answers, answer_key, zipped
from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.environment.rendering import JSON
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

GZIP = {"accept-encoding": "gzip"}
ORDERS = make_lookup("orders", "prod")
MANY = {f"key-{number}": f"value {number}" for number in range(100)}
V2 = "application/vnd.spring-cloud.config-server.v2+json"
KINDS = ["/orders/prod", "/orders/prod/main", "/orders-prod.yml", "/orders-prod.json", "/main/orders-prod.properties"]  # fmt: skip


@pytest.fixture(params=["memory", "folder"])
def server(request, tmp_path):
    """A server with orders/prod of 100 keys, and with small/prod."""
    kinds = {
        "memory": InMemoryConfigBackend,
        "folder": lambda: FilesystemConfigBackend(tmp_path),
    }
    server = ConfigServer(kinds[request.param]())
    asyncio.run(server.save("small", "prod", {"a": 1}))
    save(server, MANY)
    return server


def save(server, properties):
    asyncio.run(server.save("orders", "prod", properties))
    if isinstance(server.backend, FilesystemConfigBackend):
        settle(server.backend._places[0].tree.root)


def ask(routes, target="/orders/prod", method="GET", **headers):
    """The response to a request, with `_` for `-` in the names of its headers."""
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(routes.handle(Request(method, path, query, named)))


def both(routes, target="/orders/prod", **headers):
    """The plain response, and the one in gzip."""
    zipped_one = ask(routes, target, accept_encoding="gzip", **headers)
    return ask(routes, target, **headers), zipped_one


@pytest.mark.parametrize("target", KINDS)
def test_an_answer_comes_in_gzip(server, target):
    """Its bytes are those of the plain one, and its ETag is one of its own."""
    plain, packed = both(Routes(server), target)
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    expected = dict(plain.headers) | {
        "ETag": f'{dict(plain.headers)["ETag"][:-1]}-gzip"',
        "Content-Encoding": "gzip",
    }
    assert expected == dict(packed.headers)
    assert expected["Vary"] == "Accept, Accept-Encoding"


def test_both_media_types_come_in_gzip(server):
    """Each has its own."""
    plain, packed = both(Routes(server), accept=V2)
    assert (V2, gzip.decompress(packed.body)) == (packed.headers[0][1], plain.body)


def test_a_small_answer_stays_as_it_is(server):
    """Up to 1 KB nothing is gained: it has one form and one ETag."""
    plain, packed = both(Routes(server), "/small/prod")
    assert plain == packed
    assert "Content-Encoding" not in dict(packed.headers)


@pytest.mark.parametrize("refused", ["gzip;q=0", "identity", "br"])
def test_who_takes_no_gzip_gets_none(server, refused):
    """Also after another one had it made."""
    routes = Routes(server)
    plain, _ = both(routes)
    assert plain == ask(routes, accept_encoding=refused)


def test_a_page_of_another_site_gets_no_gzip(server):
    """The length of an answer would tell it of secrets (BREACH)."""
    routes = Routes(server)
    plain, packed = both(routes)
    other = {"accept_encoding": "gzip", "sec_fetch_site": "cross-site"}
    assert plain == ask(routes, **other)
    own = {"accept_encoding": "gzip", "sec_fetch_site": "same-origin"}
    assert packed == ask(routes, **own)


def test_it_is_made_once(server):
    """Later it is the very same object, given without a task."""
    routes = Routes(server)
    for _ in range(2):
        _, packed = both(routes)
        asked = Request("GET", "/orders/prod", "", GZIP)
        assert routes.ready(asked) is packed
        assert ask(routes, accept_encoding="*") is packed
        save(server, MANY | {"changed": "yes"})
        assert routes.ready(asked) is None


def test_who_ask_at_once_share_one_making(server):
    """A hundred requests for a cold answer in gzip make it once, from one reading."""
    answers = Answers(server)

    async def scenario():
        gets = [answers.get(ORDERS, zipped(JSON)) for _ in range(100)]
        return await asyncio.gather(*gets)

    found = asyncio.run(scenario())
    assert {id(found[0])} == {id(answer) for answer in found}
    assert answers.ready(answer_key(ORDERS, JSON)) is not None


def test_a_change_is_seen(server):
    """An answer in gzip holds no longer than the plain one."""
    routes = Routes(server)
    both(routes)
    for number in range(3):
        save(server, MANY | {"changed": number})
        plain, packed = both(routes)
        assert gzip.decompress(packed.body) == plain.body
        assert f'"changed":{number}'.encode() in plain.body


def test_an_answer_that_becomes_small_loses_its_coding(server):
    """And gets it back when it grows."""
    routes = Routes(server)
    for properties, coding in (({"a": 1}, None), (MANY, "gzip"), ({"a": 2}, None)):
        save(server, properties)
        _, packed = both(routes)
        assert coding == dict(packed.headers).get("Content-Encoding")


def test_either_etag_is_known_to_who_takes_gzip(server):
    """304 has the ETag of what the client holds; to others gzip's own is none."""
    routes = Routes(server)
    plain, packed = both(routes)
    own, other = dict(packed.headers)["ETag"], dict(plain.headers)["ETag"]
    for known, etag in ((own, own), (other, other), (f'"x", W/{own}', own), ("*", own)):
        for method in ("GET", "HEAD"):
            found = ask(
                routes, method=method, accept_encoding="gzip", if_none_match=known
            )
            assert (found.status, found.body) == (304, b"")
            assert etag == dict(found.headers)["ETag"]
            assert dict(found.headers)["Vary"] == "Accept, Accept-Encoding"
            assert "Content-Encoding" not in dict(found.headers)
    assert ask(routes, if_none_match=own) == plain
    assert ask(routes, accept_encoding="gzip", if_none_match='"x"') == packed


@pytest.mark.parametrize(("length", "is_off"), [(2_000, False), (200_000, True)])
def test_a_large_answer_is_made_off_the_loop(length, is_off):
    """It takes some milliseconds, in which others are answered."""
    server = ConfigServer(InMemoryConfigBackend())
    answers = Answers(server)

    async def scenario():
        await server.save("orders", "prod", {"a": "x" * length})
        answer = await answers.get(ORDERS, zipped(JSON))
        assert len(answer.response.body) < 1000
        return [thread.name for thread in threading.enumerate()]

    names = asyncio.run(scenario())
    assert is_off is any(name.startswith("asyncio_") for name in names)


class Unstamped:
    """Three methods over one bundle, without a stamp."""

    async def fetch(self, application, profile, label="main"):
        return ConfigSource(application, profile, label, MANY)

    async def save(self, source):
        pass

    async def list(self):
        return []


def test_what_is_not_kept_is_not_packed(server):
    """Work for one request alone: of a store without stamps, above the limit."""
    plain, packed = both(Routes(ConfigServer(Unstamped())))
    assert plain.body == packed.body
    answers = Answers(server, limit=1000)

    async def scenario():
        return await answers.get(ORDERS, zipped(JSON))

    assert asyncio.run(scenario()).response.body[:1] == b"{"


def test_rights_count_for_it_as_for_the_plain_one(server):
    """An answer in gzip that is kept is shown to nobody else."""

    class Nobody:
        def remembered(self, authorization):
            return None

    routes = Routes(server, access=Access(authority=Nobody()))
    assert ask(routes, accept_encoding="gzip").status == 401
    assert routes.ready(Request("GET", "/orders/prod", "", GZIP)) is None


# over sockets


def test_urllib_reads_it(server, serve):
    """What it asks for is what it gets: it undoes no coding by itself."""
    url = f"http://{serve(server).host}/orders/prod"
    plain = urllib.request.urlopen(url, timeout=5).read()
    asked = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        assert gzip.decompress(answer.read()) == plain


def test_httpx_reads_it(server, serve):
    """It takes gzip by itself."""
    httpx = pytest.importorskip("httpx")
    answer = httpx.get(f"http://{serve(server).host}/orders/prod")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["propertySources"][0]["source"] == MANY


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_reads_it(server, serve):
    """With --compressed."""
    url = f"http://{serve(server).host}/orders/prod"
    curl = ["curl", "-s", "--compressed", "-D", "-", url]
    done = subprocess.run(curl, capture_output=True, timeout=10, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert json.loads(body)["propertySources"][0]["source"] == MANY


def test_head_has_the_length_of_the_answer_in_gzip(server, serve):
    """And no body."""
    running = serve(server)
    lines = "/orders/prod HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    got = running.exchange(f"GET {lines}".encode())[0]
    with socket.create_connection(running.address, 5) as client:
        client.sendall(f"HEAD {lines}".encode())
        client.shutdown(socket.SHUT_WR)
        head = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert f"Content-Length: {len(got.body)}\r\n".encode() in head
    assert head.endswith(b"\r\n\r\n")


def test_who_waits_gets_the_change_in_gzip(server, serve):
    """Whichever of the two ETags is the one that is known."""
    running = serve(server)
    for number, form in enumerate(("plain", "gzip")):
        plain, packed = both(Routes(server))
        etag = dict({"plain": plain, "gzip": packed}[form].headers)["ETag"]
        with socket.create_connection(running.address, 10) as client:
            client.sendall(
                f"GET /orders/prod?wait=10 HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
                f"If-None-Match: {etag}\r\nConnection: close\r\n\r\n".encode()
            )
            running.wait_until(lambda: running.listener.routes.watchers > 0)
            running.run(server.save("orders", "prod", MANY | {"changed": number}))
            data = b"".join(iter(lambda: client.recv(1 << 16), b""))
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert f'"changed":{number}'.encode() in gzip.decompress(body)


def test_who_waits_in_vain_keeps_the_etag_it_has(server):
    """304 names what the client holds, when time is up as at once."""
    routes = Routes(server)
    plain, packed = both(routes)
    for answer in (plain, packed):
        etag = dict(answer.headers)["ETag"]
        found = ask(
            routes,
            "/orders/prod?wait=0.05",
            accept_encoding="gzip",
            if_none_match=etag,
        )
        assert (304, etag) == (found.status, dict(found.headers)["ETag"])
