"""watching: requests that wait for their answer to change, over real sockets."""

import asyncio
import json
import socket
import time

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.errors import InvalidRequest
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.connection import Deadlines
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.http.watching import asks_to_wait, wait_of, without_wait
from pyconfserve.server import ConfigServer

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
UP = b'{"status":"UP"}'
GOAL = 1  # second in which a change reaches all
TARGETS = ["/app/prod", "/app/prod/main", "/app-prod.yml", "/app-prod.json", "/app-prod.properties", "/main/app-prod.json"]  # fmt: skip


@pytest.fixture(params=["memory", "folder"])
def server(request, tmp_path):
    """A server with app/prod."""
    kinds = {
        "memory": InMemoryConfigBackend,
        "folder": lambda: FilesystemConfigBackend(tmp_path),
    }
    return saved(ConfigServer(kinds[request.param]()))


def saved(server, value=1):
    asyncio.run(server.save("app", "prod", {"a": value}))
    return server


def get(target, etag=None, *lines, method="GET"):
    """A request as bytes."""
    known = () if etag is None else (f"If-None-Match: {etag}",)
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *known, *lines, "", ""]).encode()  # fmt: skip


def post(value):
    """A save of app/prod."""
    body = json.dumps({"a": value})
    return f"POST /app/prod HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()  # fmt: skip


def etag_of(served, target="/app/prod"):
    """The ETag of what is stored now."""
    give_up = time.monotonic() + 5
    while "ETag" not in (reply := served.exchange(get(target))[0]).headers:
        assert time.monotonic() < give_up, "there is no answer"
    return reply.headers["ETag"]


def read(client, split, with_body=True):
    """One answer; the connection stays open."""
    data = b""
    while True:
        part = client.recv(1 << 16)
        assert part, "closed too early"
        data += part
        head, end, body = data.partition(b"\r\n\r\n")
        length = [line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]  # fmt: skip
        if end and (not with_body or len(body) >= int(length[0] if length else 0)):
            [reply] = split(data, with_bodies=with_body)
            return reply


def seen(reply):
    """What is the same at any time."""
    return reply.status, reply.headers, reply.body


def waiting(served, count=1):
    """Wait until *count* connections wait."""
    watches = served.listener.routes._watches
    served.wait_until(lambda: watches.waiting == count)


# the parameter


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", 0),
        ("x=1", 0),
        ("wait=0", 0),
        ("wait=30", 30),
        ("wait=007", 7),
        ("wait=2.5", 2.5),
        ("wait=60", 60),
        ("wait=61", 60),
        (f"wait={'9' * 5000}", 60),
        ("wait=1&wait=2", 2),
        ("x&%77ait=3", 3),
    ],
)
def test_a_wait_is_a_number_of_seconds(query, seconds):
    """At most sixty; the last one counts; none is none."""
    assert wait_of(Request("GET", "/", query)) == seconds


BAD = ["", "-1", "+1", "%2B1", "1e1", "0x1", "nan", "inf", "1.", ".5", "1_0", "%D9%A1", "30s", "1%0A"]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("etag", [None, "*"])
def test_a_malformed_wait_is_400(serve, server, text, etag):
    """With or without If-None-Match, remembered or not."""
    served = serve(server)
    target = f"/app/prod?wait={text}"
    message = "wait: expected a number of seconds"
    expected = {"status": 400, "error": "Bad Request", "message": message, "path": "/app/prod"}  # fmt: skip
    for reply in served.exchange(get(target, etag) * 2):
        assert (reply.status, json.loads(reply.body)) == (400, expected)


@pytest.mark.parametrize(
    ("method", "query", "headers", "may_wait"),
    [
        ("GET", "wait=1", {"if-none-match": "*"}, True),
        ("HEAD", "wait=1", {"if-none-match": "*"}, True),
        ("GET", "wait=0", {"if-none-match": "*"}, False),
        ("GET", "wait=x", {"if-none-match": "*"}, False),
        ("GET", "wait=1", {}, False),
        ("GET", "", {"if-none-match": "*"}, False),
        ("POST", "wait=1", {"if-none-match": "*"}, False),
        ("GET", "&".join(["a"] * 101), {"if-none-match": "*"}, False),
    ],
)
def test_who_may_be_told_to_stop_waiting(method, query, headers, may_wait):
    """A request for a change, which changes nothing itself."""
    assert may_wait is asks_to_wait(Request(method, "/", query, headers))


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("wait=1", ""),
        ("a=1&wait=1&b", "a=1&b"),
        ("%77ait=1&wait=2&await=3", "await=3"),
    ],
)
def test_a_request_without_its_wait(query, rest):
    """All other parameters stay as they were."""
    request = Request("GET", "/", query)
    assert request._replace(query=rest) == without_wait(request)
    with pytest.raises(InvalidRequest):
        wait_of(Request("GET", "/", "wait=x"))


# at once


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_known_is_answered_at_once(serve, server, target):
    """Without If-None-Match, with another ETag, and with no time to wait."""
    served = serve(server)
    etag = etag_of(served, target)
    requests = [
        get(f"{target}?wait=60"),
        get(f"{target}?wait=60", '"other"'),
        get(f"{target}?wait=0", etag),
    ]
    for _ in range(2):  # made, and remembered
        replies = served.exchange(b"".join(requests))
        assert [reply.status for reply in replies] == [200, 200, 304]


class Tenants(InMemoryConfigBackend):
    """A backend that takes a request's own credentials."""

    def for_request(self, token, state):
        return self


@pytest.mark.parametrize("header", ["x-config-token", "x-config-state"])
def test_credentials_that_the_backend_takes_are_answered_at_once(header):
    """The answer to them is no one else's, and is not watched."""

    async def asked():
        server = ConfigServer(Tenants())
        await server.save("app", "prod", {"a": 1})
        routes = Routes(server)
        first = await routes.handle(Request("GET", "/app/prod", "", {header: "t"}))
        knowing = {header: "t", "if-none-match": dict(first.headers)["ETag"]}
        request = Request("GET", "/app/prod", "wait=60", knowing)
        return await asyncio.wait_for(routes.handle(request), 20)

    assert asyncio.run(asked()).status == 304


def test_credentials_that_the_backend_ignores_wait_like_others():
    """Spring's clients send a token to whatever server there is."""

    async def asked():
        server = ConfigServer(InMemoryConfigBackend())
        await server.save("app", "prod", {"a": 1})
        routes = Routes(server)
        first = await routes.handle(Request("GET", "/app/prod"))
        knowing = {"x-config-token": "t", "if-none-match": dict(first.headers)["ETag"]}
        request = Request("GET", "/app/prod", "wait=60", knowing)
        waiting = asyncio.ensure_future(routes.handle(request))
        for _ in range(100):  # turns in which an answer at once would be there
            await asyncio.sleep(0)
        assert not waiting.done()
        await server.save("app", "prod", {"a": 2})
        return await asyncio.wait_for(waiting, 20)

    assert asyncio.run(asked()).status == 200


def test_nothing_stored_is_404_at_once(serve, server):
    """There is nothing whose change could be waited for."""
    [reply] = serve(server).exchange(get("/absent/prod?wait=60", '"x"'))
    assert reply.status == 404


def test_the_short_cut_does_not_answer_who_waits(server):
    """A remembered request that waits is left to `handle`, but for a new answer."""
    routes = Routes(server)
    request = Request("GET", "/app/prod", "wait=0.2", {}, b"", "a")
    etag = dict(asyncio.run(routes.handle(request)).headers)["ETag"]
    give_up = time.monotonic() + 5
    while routes.ready(request) is None:  # a file is read again until it has settled
        assert time.monotonic() < give_up
        asyncio.run(routes.handle(request))
    for method in ("GET", "HEAD"):
        knowing = request._replace(method=method, headers={"if-none-match": etag})
        assert routes.ready(knowing) is None
        assert asyncio.run(routes.handle(knowing)).status == 304
        other = request._replace(method=method, headers={"if-none-match": '"x"'})
        assert routes.ready(other).status == 200
    patient = request._replace(query="wait=0", headers={"if-none-match": etag})
    asyncio.run(routes.handle(patient))
    assert routes.ready(patient).status == 304


# changes


@pytest.mark.parametrize("target", TARGETS)
def test_a_change_is_answered_as_soon_as_it_comes(serve, server, replies, target):
    """The answer is that of a request which comes after the change."""
    served = serve(server)
    etag = etag_of(served, target)
    with served.connect() as client:
        for value in (2, 3):
            client.sendall(get(f"{target}?wait=60", etag))
            waiting(served)
            assert served.exchange(post(value))[0].status == 200
            began = time.monotonic()
            reply = read(client, replies)
            assert time.monotonic() - began < GOAL
            [expected] = served.exchange(get(target))
            assert seen(expected) == seen(reply)
            etag = reply.headers["ETag"]
    assert b"3" in reply.body


def test_a_head_waits_as_a_get_does(serve, server, replies):
    """It has the headers of the change, and no body."""
    served = serve(server)
    etag = etag_of(served)
    with served.connect() as client:
        client.sendall(get("/app/prod?wait=60", etag, method="HEAD"))
        waiting(served)
        served.exchange(post(2))
        reply = read(client, replies, with_body=False)
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["ETag"] == etag_of(served) != etag


def test_one_of_several_known_answers_is_waited_out(serve, server, replies):
    """A change to another answer that the client has is no news to it."""
    served = serve(server)
    etags = []
    for value in (1, 2):
        served.exchange(post(value))
        etags.append(etag_of(served))
    with served.connect() as client:
        client.sendall(get("/app/prod?wait=60", ", ".join(etags)))
        waiting(served)
        served.exchange(post(1))
        watches = served.listener.routes._watches
        served.wait_until(lambda: [etag for _, etag in watches._watches] == etags[:1])
        served.exchange(post(3))
        assert read(client, replies).headers["ETag"] == etag_of(served)


def test_an_edit_on_disk_is_answered(serve, tmp_path, replies):
    """A change by another process, whoever waits, and an error as well; then 404."""
    file = tmp_path / "app-prod.yml"
    file.write_text("a: 1")
    served = serve(ConfigServer(FilesystemConfigBackend(tmp_path)))
    steps = [
        (lambda: file.write_text("a: 2"), 200),
        (lambda: file.write_text("a: [3"), 500),
        (lambda: file.write_text("a: 4"), None),
        (file.unlink, 404),
    ]
    with served.connect() as client:
        for change, status in steps:
            if status is None:
                change()
                etag_of(served)
                continue
            client.sendall(get("/app/prod?wait=60", etag_of(served)))
            waiting(served)
            change()
            assert read(client, replies).status == status
    waiting(served, 0)


def test_time_is_up(serve, server, replies):
    """The answer is 304, as it is to one who does not wait, and the connection goes on."""
    served = serve(server)
    etag = etag_of(served)
    [expected] = served.exchange(get("/app/prod", etag))
    with served.connect() as client:
        for method in ("GET", "HEAD"):
            began = time.monotonic()
            client.sendall(get("/app/prod?wait=0.3", etag, method=method))
            assert seen(expected) == seen(read(client, replies))
            assert 0.29 < time.monotonic() - began < 2  # uvloop counts whole ms
    assert expected.status == 304


# connections


def test_a_wait_has_no_deadline_but_its_own(serve, server, replies):
    """Who waits is not idle, and is again once the answer is there."""
    served = serve(server, deadlines=Deadlines(0.1, 0.1, 0.1, 0.1, 0.1, 0.1))
    etag = etag_of(served)
    with served.connect() as client:
        client.sendall(get("/app/prod?wait=0.6", etag))
        waiting(served)
        assert served.listener.timed == set()
        assert read(client, replies).status == 304
        client.settimeout(GOAL)
        assert client.recv(1) == b""


def test_pipelined_requests_keep_their_order(serve, server, replies, everything):
    """What comes behind a request that waits is answered after it."""
    served = serve(server)
    etag = etag_of(served)
    with served.connect() as client:
        client.sendall(HEALTH + get("/app/prod?wait=60", etag) + HEALTH)
        waiting(served)
        client.sendall(get("/app/prod", etag) + b"GET /health HTTP/1.0\r\nHost: a\r\n\r\n")  # fmt: skip
        served.exchange(post(2))
        found = replies(everything(client))
    assert [reply.status for reply in found] == [200, 200, 200, 200, 200]
    assert [reply.body == UP for reply in found] == [True, False, True, False, True]


@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "closed"])
def test_who_goes_away_frees_the_place(serve, server, is_reset):
    """At once, however the client has closed."""
    served = serve(server)
    etag = etag_of(served)
    client = served.connect()
    client.sendall(get("/app/prod?wait=60", etag) + HEALTH)
    waiting(served)
    if is_reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    began = time.monotonic()
    waiting(served, 0)
    served.wait_until(lambda: not served.listener.connections)
    assert time.monotonic() - began < GOAL


@pytest.mark.parametrize("comes", ["at once", "later", "behind"])
def test_who_sends_no_more_does_not_wait(serve, server, replies, everything, comes):
    """An end may be that of the client: all is answered then as without a wait."""
    served = serve(server)
    etag = etag_of(served)
    wait = get("/app/prod?wait=60", etag)
    with served.connect() as client:
        if comes == "behind":
            client.sendall(wait)
            waiting(served)
        client.sendall(wait + HEALTH)
        if comes == "later":
            waiting(served)
        client.shutdown(socket.SHUT_WR)
        found = replies(everything(client))
    expected = [304, 304, 200] if comes == "behind" else [304, 200]
    assert [reply.status for reply in found] == expected


def test_a_drain_answers_all_who_wait(serve, server, replies, everything):
    """They get 304 and the end of their connection, and the listener ends promptly."""
    served = serve(server)
    etag = etag_of(served)
    clients = [served.connect() for _ in range(200)]
    for client in clients:
        client.sendall(get("/app/prod?wait=60", etag))
    clients[0].sendall(get("/app/prod?wait=60", etag))
    waiting(served, 200)
    began = time.monotonic()
    closing = served.begin(served.listener.close())
    found = []
    for client in clients:
        found.append(replies(everything(client)))
        client.close()
    closing.result(GOAL)
    assert time.monotonic() - began < 2 * GOAL
    ends = [[(reply.status, reply.headers.get("Connection")) for reply in each] for each in found]  # fmt: skip
    assert ends == [[(304, None), (304, "close")]] + [[(304, "close")]] * 199
