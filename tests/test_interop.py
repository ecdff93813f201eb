"""interop: our server as the standard library's clients see it."""

import asyncio
import http.client
import json
import threading
import urllib.error
import urllib.request

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

PATIENCE = 10  # seconds after which a test that waits has failed


@pytest.fixture
def address():
    """Host and port of a running server with one bundle, app/default."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE)

    async def start():
        server = ConfigServer(InMemoryConfigBackend())
        await server.save("app", "default", {"a": {"b": "é"}})
        listener = Listener(Routes(server))
        return listener, await listener.start("127.0.0.1", 0)

    listener, address = run(start())
    yield address
    run(listener.close())
    run(asyncio.sleep(0))
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()


@pytest.fixture
def url(address):
    """The URL of the server."""
    return "http://{}:{}".format(*address)


@pytest.fixture
def client(address):
    """One connection of http.client."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    yield connection
    connection.close()


def open_url(url, **options):
    """Status, headers and body of what urllib gets."""
    request = urllib.request.Request(url, **options)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def ask(client, method, path, body=None, headers=()):
    """Status, headers and body of what http.client gets."""
    client.request(method, path, body, dict(headers))
    with client.getresponse() as response:
        return response.status, response.headers, response.read()


SOURCES = [{"name": "app-default", "source": {"a.b": "é"}}]


def test_urllib_gets_a_configuration(url):
    """A plain GET is answered with JSON."""
    status, headers, body = open_url(f"{url}/app/default")
    assert (status, headers.get_content_type()) == (200, "application/json")
    assert json.loads(body)["propertySources"] == SOURCES


def test_urllib_sees_that_nothing_changed(url):
    """The ETag of an answer, sent back, gives 304 without a body."""
    etag = open_url(f"{url}/app/default")[1]["ETag"]
    status, headers, body = open_url(f"{url}/app/default", headers={"If-None-Match": etag})  # fmt: skip
    assert (304, etag, b"") == (status, headers["ETag"], body)


def test_urllib_saves(url):
    """A POST of JSON replaces the bundle."""
    data = b'{"a": {"b": 2}}'
    headers = {"Content-Type": "application/json"}
    status, _, body = open_url(f"{url}/app/default", data=data, headers=headers)
    assert (status, body) == (200, b'{"saved":true}')
    sources = json.loads(open_url(f"{url}/app/default")[2])["propertySources"]
    assert sources == [{"name": "app-default", "source": {"a.b": 2}}]


def test_urllib_reads_an_error(url):
    """A form is not JSON: urllib's own default type is refused with the error body."""
    status, _, body = open_url(f"{url}/app/default", data=b"{}")
    expected = {
        "status": 415,
        "error": "Unsupported Media Type",
        "message": "expected a body of application/json",
        "path": "/app/default",
    }
    assert (415, expected) == (status, json.loads(body))


def test_one_connection_of_http_client_serves_many_requests(client):
    """GET, HEAD, 304, POST and errors follow each other on one socket."""
    client.connect()
    sock = client.sock
    status, headers, body = ask(client, "GET", "/app/default")
    etag = headers["ETag"]
    assert (status, json.loads(body)["propertySources"]) == (200, SOURCES)
    status, head, nothing = ask(client, "HEAD", "/app/default")
    assert (200, str(len(body)), b"") == (status, head["Content-Length"], nothing)
    known = {"If-None-Match": etag}
    assert ask(client, "GET", "/app/default", headers=known)[0] == 304
    assert ask(client, "GET", "/nothing")[0] == 404
    assert ask(client, "GET", "/app/%2e%2e")[0] == 400
    assert ask(client, "POST", "/app/default", b"{}")[0] == 200
    assert ask(client, "GET", "/app/default", headers=known)[0] == 200
    assert sock is client.sock


def test_http_client_sends_chunks(client):
    """A body of unknown length comes in chunks."""
    pieces = iter([b'{"a": ', b"1", b"}"])
    assert ask(client, "POST", "/app/default", pieces)[0] == 200
    body = ask(client, "GET", "/app/default")[2]
    assert json.loads(body)["propertySources"][0]["source"] == {"a": 1}


def test_http_client_sees_the_end(client):
    """Who asks to close is told so, and the socket is closed."""
    status, headers, _ = ask(client, "GET", "/health", headers={"Connection": "close"})
    assert (status, headers["Connection"], client.sock) == (200, "close", None)
