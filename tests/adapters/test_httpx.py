"""The httpx adapter: exchanges over a client that somebody else made."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from pyconfserve import ConfigClient, ConfigServer, InMemoryConfigBackend
from pyconfserve.adapters.httpx import HttpxExchange, make_http_client
from pyconfserve.errors import ExchangeError, FetchError, MissingDependency
from pyconfserve.http.messages import Request

pytest_plugins = ["pyconfserve.testing"]
LIMIT = 1000


def send(url, request=None, *, timeout=10.0, limit=LIMIT, **options):
    """The answer of one exchange over a client made here."""

    async def exchange():
        async with make_http_client(**options) as client:
            sending = HttpxExchange(client, limit=limit)
            asked = request or Request("GET", "/orders/prod")
            return await sending.send(url, asked, timeout=timeout)

    return asyncio.run(exchange())


@contextmanager
def answering(*answers):
    """The URL of a server that gives each connection one of *answers*, and no more.

    None is a connection that is kept open in silence.
    """
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    if answer is None:
                        ended.wait(20)
                    else:
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            thread.join(20)


def redirect(location):
    """A redirect to *location*, after which the connection ends."""
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def test_an_exchange(config_server):
    """Path, query and headers go out, status, headers and body come in."""
    served = config_server({"orders/prod": {"db.pool": 1}})
    asked = Request("GET", "/orders/prod", "a=b%2Fc", {"x-one": "1"})
    response = send(served.url, asked)
    assert response.status == 200
    assert json.loads(response.body)["propertySources"] == [
        {"name": "orders-prod", "source": {"db.pool": 1}}
    ]
    assert dict(response.headers)["content-type"] == "application/json"
    [seen] = served.requests
    assert (seen.path, seen.query) == ("/orders/prod", "a=b%2Fc")
    assert (seen.headers["x-one"], seen.headers["accept-encoding"]) == ("1", "identity")


def test_the_base_of_a_url_stays(config_server):
    """With a slash at its end or without."""
    served = config_server()
    for url in (f"{served.url}/base", f"{served.url}/base/"):
        assert send(url).status == 404
    assert [seen.path for seen in served.requests] == ["/base/orders/prod"] * 2


def test_other_statuses_are_answers(config_server):
    """What they mean is for others to say."""
    assert send(config_server().url, Request("GET", "/absent/prod")).status == 404


def test_connections_are_pooled_and_the_client_stays_open(config_server):
    """Two exchanges over one connection; closing is for who made the client."""
    served = config_server({"orders/prod": {"a": 1}})

    async def exchange():
        async with make_http_client() as client:
            sending = HttpxExchange(client)
            for _ in range(2):
                await sending.send(served.url, Request("GET", "/orders/prod"), timeout=10)
            assert not client.is_closed

    asyncio.run(exchange())
    assert len(served.requests) == 2


def test_a_redirect_is_followed_within_its_origin():
    """Five times at most."""
    found = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    with answering(redirect("/other"), found) as url:
        assert send(url).body == b"{}"
    with answering(*[redirect("/again")] * 6) as url:
        assert send(url).status == 302


def test_a_redirect_elsewhere_is_the_answer(config_server):
    """Nobody else is asked: the request may hold a password."""
    other = config_server()
    with answering(redirect(f"{other.url}/stolen")) as url:
        assert send(url, Request("GET", "/a", headers={"authorization": "x"})).status == 302
    assert other.requests == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "the answer is not HTTP, or was cut off"),
        (b"nonsense\r\n\r\n", "the answer is not HTTP, or was cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "the answer is not HTTP, or was cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, "the answer is larger than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, "the answer is larger than 1000 bytes"),
    ],
    ids=["nothing", "not HTTP", "cut off", "too large", "too large without a length"],
)  # fmt: skip
def test_no_answer_is_an_error(answer, reason):
    """With a reason in words of ours."""
    with answering(answer) as url, pytest.raises(ExchangeError) as caught:
        send(url)
    assert caught.value.reason == reason


def test_silence_ends_at_the_time_out():
    """Of the exchange, not of the client."""
    with answering(None) as url, pytest.raises(ExchangeError) as caught:
        send(url, timeout=0.05)
    assert caught.value.reason == "no answer within 0.05 s"


def test_a_byte_now_and_then_wins_nothing():
    """The time-out is for all of the exchange."""

    async def drip(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await asyncio.sleep(0.01)
            await send({"type": "http.response.body", "body": b" ", "more_body": True})

    with pytest.raises(ExchangeError) as caught:
        send("http://x", timeout=0.1, transport=httpx.ASGITransport(app=drip))
    assert caught.value.reason == "no answer within 0.1 s"


def test_a_large_answer_in_small_parts_is_read_in_time():
    """Its time grows with its length, and not with the square of that."""
    part, count = b"12c\r\n" + b"x" * 300 + b"\r\n", 50_000
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with answering(head + part * count + b"0\r\n\r\n") as url:
        assert len(send(url, limit=16_000_000, timeout=8).body) == 15_000_000


def test_parts_that_never_wait_leave_the_time_out_its_turn():
    """As of a transport that has all of them at hand."""

    class Parts(httpx.AsyncByteStream):
        async def __aiter__(self):
            give_up = time.monotonic() + 5
            while time.monotonic() < give_up:
                yield b"x"

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            return httpx.Response(200, stream=Parts())

    with pytest.raises(ExchangeError) as caught:
        send("http://x", timeout=0.1, limit=10**9, transport=Transport())
    assert caught.value.reason == "no answer within 0.1 s"


def test_a_header_goes_back_as_it_came():
    """Whatever its bytes are."""
    sent = []

    async def app(scope, receive, send):
        sent.append(dict(scope["headers"]).get(b"if-none-match"))
        headers = [(b"ETag", '"größe"'.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx.ASGITransport(app=app)
    tag = dict(send("http://x", transport=transport).headers)["etag"]
    send("http://x", Request("GET", "/a", headers={"If-None-Match": tag}), transport=transport)
    assert sent == [None, '"größe"'.encode()]


def test_a_header_that_cannot_be_sent_is_an_error():
    """It may be an ETag of the server's, which nothing quotes."""
    tag = chr(0x20AC) * 3
    with answering() as url, pytest.raises(ExchangeError) as caught:
        send(url, Request("GET", "/a", headers={"If-None-Match": tag}))
    assert caught.value.reason == "the request failed (UnicodeEncodeError)"
    assert tag not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError])
def test_what_a_transport_raises_is_translated(error):
    """Whatever it is, and without its text."""

    async def fail(scope, receive, send):
        raise error("hunter2")

    with pytest.raises(ExchangeError) as caught:
        send("http://x", transport=httpx.ASGITransport(app=fail))
    assert caught.value.reason == f"the request failed ({error.__name__})"
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_what_a_server_sent_is_not_quoted():
    """As little in a traceback as in the reason."""
    with answering(b"hunter2\r\n\r\n") as url, pytest.raises(ExchangeError) as caught:
        send(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "a url begins with http:// or https://"),
        ("http://user:secret@127.0.0.1:x", "a url is malformed"),
        ("http://user:secret@127.0.0.1:1", "the connection failed"),
    ],
)
def test_a_reason_holds_no_credentials(url, reason):
    """Nor the URL."""
    with pytest.raises(ExchangeError) as caught:
        send(url)
    assert str(caught.value) == reason


def test_the_environment_is_not_asked(monkeypatch, config_server):
    """A proxy that is named there is none of ours."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert send(config_server({"orders/prod": {"a": 1}}).url).status == 200


def configuration(http_client, url="http://config", **options):
    """What ConfigClient gives over a client, which it leaves open."""

    async def ask():
        async with http_client:
            client = ConfigClient(
                url=url, application="orders", profile="prod", http_client=http_client, retries=0, **options
            )
            found = await client.configuration()
            assert not http_client.is_closed
            return dict(found)

    return asyncio.run(ask())


def test_config_client_uses_it(config_server):
    """With its names, credentials and headers."""
    served = config_server({"orders/prod": {"db.pool": 1}})
    options = {"username": "u", "password": "p", "headers": {"X-One": "1"}}
    found = configuration(make_http_client(), served.url, **options)
    assert found == {"db.pool": 1}
    [seen] = served.requests
    assert (seen.path, seen.headers["x-one"]) == ("/orders/prod/main", "1")
    assert seen.headers["authorization"] == "Basic dTpw"


def test_config_client_over_our_starlette_routes():
    """In-process, without any socket."""
    pytest.importorskip("starlette")
    from starlette.applications import Starlette

    from pyconfserve.adapters.starlette import make_starlette_config_server_routes

    server = ConfigServer(InMemoryConfigBackend())
    asyncio.run(server.save("orders", "prod", {"db": {"pool": 1}}))
    app = Starlette(routes=make_starlette_config_server_routes(server, "/base"))
    transport = httpx.ASGITransport(app=app)
    assert configuration(make_http_client(transport=transport), "http://config/base") == {"db.pool": 1}
    assert configuration(httpx.AsyncClient(transport=transport), "http://config/base") == {"db.pool": 1}


def test_config_client_says_what_went_wrong():
    """As a FetchError, and never as one of httpx's."""
    with pytest.raises(FetchError) as caught:
        configuration(make_http_client(), "http://u:hunter2@127.0.0.1:1")
    assert (caught.value.url, caught.value.status) == ("http://127.0.0.1:1", None)


def test_http2_without_its_library():
    """The error has the line that installs it."""
    try:
        import h2  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependency) as caught:
            make_http_client(http2=True)
        assert str(caught.value) == "http2 needs h2: pip install 'httpx[http2]'"
    else:
        assert isinstance(make_http_client(http2=True), httpx.AsyncClient)


def test_without_the_library_the_error_says_so():
    """With the line that installs it."""
    script = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "httpx":
            raise ModuleNotFoundError("No module named httpx", name=name)
sys.meta_path.insert(0, Absent())
try:
    import pyconfserve.adapters.httpx
except ImportError as error:
    print(type(error).__name__, error)
"""
    project = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, timeout=60)
    message = "this adapter needs httpx: pip install 'pyconfserve[httpx]'"
    assert done.stdout == f"MissingDependency {message}\n"
