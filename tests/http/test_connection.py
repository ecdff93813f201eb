"""connection: one client's bytes, each part within its deadline."""

import asyncio
import errno
import json
import math
import re
import socket
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
from held_backend import HeldBackend

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.connection import Connection, Deadlines
from pyconfserve.http.memo import HeadMemo
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

GET = b"GET /app/default HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /app/default HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n%s\r\n"
UP = b'{"status":"UP"}'
SAVED = b'{"saved":true}'
SHORT = Deadlines(head=0.2, body=0.2, idle=0.2, writing=0.2, drain=0.2)
PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@pytest.fixture
def server():
    """A server with one bundle."""
    server = ConfigServer(InMemoryConfigBackend())
    asyncio.run(server.save("app", "default", {"a": 1}))
    return server


def saved(properties):
    """A server with this bundle as app/default."""
    server = ConfigServer(InMemoryConfigBackend())
    asyncio.run(server.save("app", "default", properties))
    return server


def refused(status, error, message, path=""):
    """What a connection says when it ends itself: status, headers and body."""
    body = {"status": status, "error": error, "message": message, "path": path}
    text = json.dumps(body, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        **PRIVATE,
        "Content-Length": str(len(text)),
        "Connection": "close",
    }
    return status, headers, text


def seen(reply):
    """Status, headers and body of a reply."""
    return reply.status, reply.headers, reply.body


def receive(client, count):
    """At least *count* bytes."""
    data = b""
    while len(data) < count:
        part = client.recv(1 << 16)
        assert part, "closed too early"
        data += part
    return data


def read_one(client, split):
    """One answer; the connection stays open."""
    data = b""
    while True:
        data += receive(client, 1)
        head, end, body = data.partition(b"\r\n\r\n")
        length = [line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]  # fmt: skip
        if end and len(body) >= int(length[0] if length else 0):
            [reply] = split(data)
            return reply


# requests and answers


def test_pipelined_requests_are_answered_in_order(serve, server):
    """Each answer stands where its request stood, whether it is ready or must be made."""
    served = serve(server)
    requests = [HEALTH, GET, POST % b"" + b"{}", GET, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", HEALTH]  # fmt: skip
    replies = served.exchange(b"".join(requests))
    assert [reply.status for reply in replies] == [200, 200, 200, 200, 404, 200]
    sources = [json.loads(replies[index].body)["propertySources"] for index in (1, 3)]
    assert [[source["source"] for source in found] for found in sources] == [[{"a": 1}], [{}]]  # fmt: skip
    assert [replies[index].body for index in (0, 2, 5)] == [UP, SAVED, UP]


def test_a_connection_serves_one_request_after_another(serve, server, replies):
    """A kept connection gives the same bytes, remembered or not; HEAD has no body."""
    served = serve(server)
    with served.connect() as client:
        answers = []
        for _ in range(3):
            client.sendall(GET)
            answers.append(read_one(client, replies))
        client.sendall(GET.replace(b"GET", b"HEAD"))
        client.shutdown(socket.SHUT_WR)
        head = b""
        while part := client.recv(4096):
            head += part
    [headed] = replies(head, with_bodies=False)
    assert [answers[0]] * 2 == answers[1:]
    assert (200, answers[0].headers, b"") == seen(headed)
    assert "Connection" not in headed.headers


def test_bytes_may_come_one_by_one(serve, server):
    """A request that arrives in single bytes is answered as a whole one."""
    served = serve(server)
    whole = served.exchange(GET)
    data = GET
    pieces = [data[index : index + 1] for index in range(len(data))]
    assert seen(whole[0]) == seen(served.exchange(*pieces)[0])


def test_a_half_closing_client_gets_all_answers(serve):
    """Who ends its sending half while it is being answered still reads every answer."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect() as client:
        client.sendall(GET + HEALTH)
        client.shutdown(socket.SHUT_WR)
        assert backend.is_asked.wait(5)
        served.call(backend.may_answer.set)
        data = b""
        while part := client.recv(4096):
            data += part
    assert data.startswith(b"HTTP/1.1 404 ")
    assert data.endswith(UP)


def test_a_client_that_leaves_is_forgotten(serve):
    """An answer to no one is thrown away, and the server goes on."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    client = served.connect()
    client.sendall(GET)
    assert backend.is_asked.wait(5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()  # a reset
    served.wait_until(lambda: not served.listener.connections)
    served.call(backend.may_answer.set)
    assert [reply.body for reply in served.exchange(HEALTH)] == [UP]


def test_an_incomplete_request_at_the_end_is_dropped(serve, server):
    """A client that closes within a request gets no answer to it."""
    assert serve(server).exchange(GET[:-2]) == []


@pytest.mark.parametrize(
    ("sent", "headers", "is_kept"),
    [
        ("HTTP/1.1\r\nHost: a\r\n", {}, True),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", {"Connection": "close"}, False),
        ("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n", {"Connection": "keep-alive"}, True),
        ("HTTP/1.0\r\n", {"Connection": "close"}, False),
        ("HTTP/1.0\r\nConnection: keep-alive\r\n", {"Connection": "keep-alive"}, True),
    ],
    ids=["1.1", "1.1 close", "1.1 keep-alive", "1.0", "1.0 keep-alive"],
)  # fmt: skip
def test_a_connection_is_kept_as_the_client_wishes(serve, server, sent, headers, is_kept):  # fmt: skip
    """HTTP/1.1 keeps it unless told otherwise, HTTP/1.0 closes it unless told otherwise."""
    request = f"GET /health {sent}\r\n".encode()
    served = serve(server)
    replies = served.exchange(request * 2, half_closes=is_kept)
    expected = (
        200,
        {"Content-Type": "application/json", **PRIVATE, "Content-Length": "15", **headers},
        UP,
    )  # fmt: skip
    assert [expected] * (2 if is_kept else 1) == [seen(reply) for reply in replies]


def test_a_remembered_request_may_close(serve, server):
    """`Connection: close` counts also where head and answer are remembered."""
    served = serve(server)
    last = GET.replace(b"Host", b"Connection: close\r\nHost")
    first, second = [served.exchange(last, half_closes=False) for _ in range(2)]
    assert [reply.headers["Connection"] for reply in first] == ["close"]
    assert [seen(reply) for reply in first] == [seen(reply) for reply in second]


def test_what_follows_the_last_request_is_ignored(serve, server):
    """After an answer that closes, what still comes is read and means nothing."""
    served = serve(server)
    last = HEALTH.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n")
    with served.connect() as client:
        client.sendall(last)
        data = receive(client, 1)
        while part := client.recv(4096):
            data += part
        client.sendall(HEALTH)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert data.endswith(UP)


# bodies


def test_a_waiting_client_is_told_to_continue(serve, server, replies):
    """`100 Continue` comes before the body is sent, and the answer after it."""
    with serve(server).connect() as client:
        client.sendall(POST % b"Expect: 100-continue\r\n")
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert expected == receive(client, len(expected))
        client.sendall(b"{}")
        assert read_one(client, replies).body == SAVED


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"], ids=["", "expect"])  # fmt: skip
def test_a_large_body_is_refused_before_it_is_sent(serve, server, expect):
    """A body above the limit is refused by its length alone, without `100 Continue`."""
    head = (POST % expect).replace(b"Length: 2", b"Length: 100000000000")
    [reply] = serve(server).exchange(head, half_closes=False)
    message = "a body is at most 1048576 bytes"
    expected = refused(413, "Content Too Large", message, "/app/default")
    assert seen(reply) == expected


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 1048576", b"{}".ljust(1048576)),
        (b"Transfer-Encoding: chunked", b"100000\r\n" + b"{}".ljust(1048576) + b"\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"2\r\n{}\r\n" + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"),
    ],
    ids=["length", "one chunk", "many chunks"],
)  # fmt: skip
def test_the_largest_body_is_taken(serve, server, framing, body):
    """A body at the limit arrives, however large the pieces that it is read in."""
    head = POST.replace(b"Content-Length: 2", framing) % b""
    replies = serve(server).exchange(head, body, HEALTH)
    assert [reply.body for reply in replies] == [SAVED, UP]


def test_an_error_ends_the_connection(serve, server):
    """After bytes that are not HTTP there is one answer, and nothing more is read."""
    replies = serve(server).exchange(HEALTH + b"GARBAGE\r\n\r\n" + HEALTH, half_closes=False)  # fmt: skip
    message = "expected a method, a target and HTTP/1.1, each after one blank"
    assert [reply.status for reply in replies] == [200, 400]
    assert refused(400, "Bad Request", message) == seen(replies[1])


def test_an_error_is_read_by_who_still_sends(serve, server):
    """What a client sends after its error does not destroy the answer."""
    [reply] = serve(server).exchange(b"\0\r\n\r\n", *[b"x" * 65536] * 40)
    assert reply.status == 400


# deadlines


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"G", "head"),
        (GET[:-2], "head"),
        (HEALTH + b"\r", "head"),
        (POST % b"", "body"),
        (POST % b"" + b"{", "body"),
    ],
    ids=["head begun", "head", "second head", "no body", "half a body"],
)
def test_a_slow_request_is_408(serve, server, sent, part):
    """A head or a body that does not arrive in time is refused, and that is the end."""
    replies = serve(server, deadlines=SHORT).exchange(sent, half_closes=False)
    message = f"the {part} of the request did not arrive in time"
    assert refused(408, "Request Timeout", message) == seen(replies[-1])


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nX: ", POST.replace(b"2", b"999") % b""], ids=["head", "body"])  # fmt: skip
def test_a_byte_now_and_then_wins_nothing(serve, server, replies, start):
    """A deadline is for the whole of its part, however often a byte comes."""
    with serve(server, deadlines=SHORT).connect() as client:
        client.sendall(start)
        client.settimeout(0.02)
        data = b""
        for _ in range(200):
            client.sendall(b"x")
            try:
                data = client.recv(4096)
                break
            except TimeoutError:
                continue
        assert [reply.status for reply in replies(data)] == [408]


@pytest.mark.parametrize("sent", [b"", HEALTH, b"\r\n"], ids=["new", "used", "blank line"])  # fmt: skip
def test_an_idle_connection_is_closed(serve, server, sent):
    """Between requests a connection is closed in silence when its time is up."""
    replies = serve(server, deadlines=SHORT).exchange(sent, half_closes=False)
    assert [200] * (sent == HEALTH) == [reply.status for reply in replies]


def test_an_answer_being_made_has_no_deadline(serve):
    """A slow store is not the client's fault: its connection is kept open."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend), deadlines=SHORT)
    with served.connect() as client:
        client.sendall(GET)
        assert backend.is_asked.wait(5)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)
        served.call(backend.may_answer.set)
        assert receive(client, 12).startswith(b"HTTP/1.1 404")


def test_a_client_that_does_not_read_is_cut_off(serve, everything):
    """Who takes nothing of an answer within the deadline gets no more of it."""
    served = serve(saved({"a": "x" * 1_000_000}), deadlines=SHORT)
    with served.connect() as client:
        client.sendall(GET * 60)
        receive(client, 1)
        served.wait_until(lambda: not served.listener.connections)
        try:
            data = everything(client)
        except ConnectionResetError:
            data = b""
    assert len(data) < 60_000_000


@pytest.mark.parametrize("leaves", [False, True], ids=["idle", "half-closed"])
def test_a_little_that_is_not_taken_keeps_no_place(serve, leaves):
    """Less than would stop the writing has a deadline too, when nothing else happens."""
    served = serve(saved({"a": "x" * 10_000}), deadlines=SHORT._replace(idle=0.5, linger=0.2))
    with served.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(HEALTH)
        receive(client, 1)
        [connection] = served.listener.connections
        unsent = 0
        while not unsent:
            client.sendall(GET)
            unsent = served.call(connection._transport.get_write_buffer_size)
        assert unsent < 60_000  # below asyncio's mark, so that it says nothing
        if leaves:
            client.shutdown(socket.SHUT_WR)
        served.wait_until(lambda: not served.listener.connections)


def test_a_slow_reader_gets_every_answer(serve, replies, everything):
    """Answers wait for their reader: what is written stops, and goes on."""
    served = serve(saved({"a": "x" * 1_000_000}))
    with served.connect() as client:
        client.sendall(GET * 40 + HEALTH)
        client.shutdown(socket.SHUT_WR)
        found = replies(everything(client))
    assert [reply.status for reply in found] == [200] * 41
    assert found[-1].body == UP


def test_a_large_last_answer_is_whole(serve, replies, everything):
    """An answer that closes its connection is written whole before."""
    served = serve(saved({"a": "x" * 20_000_000}))
    with served.connect() as client:
        client.sendall(GET.replace(b"Host", b"Connection: close\r\nHost"))
        [reply] = replies(everything(client))
    assert len(reply.body) > 20_000_000


def test_a_last_answer_has_the_deadline_of_writing(serve, replies, everything):
    """An answer that closes its connection is not cut off sooner than any other."""
    deadlines = Deadlines(idle=0.4, linger=0.1)  # looked at every 0.1 s
    served = serve(saved({"a": "x" * 40_000_000}), deadlines=deadlines)
    with served.connect() as client:
        client.sendall(GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert client.recv(1) == b"H"
        threading.Event().wait(0.5)  # a reader that is busy with something else
        rest = everything(client)
    assert len(rest) > 40_000_000


def test_who_does_not_leave_is_left(serve, server):
    """After the last answer a client has a moment to close, then the connection is over."""
    served = serve(server, deadlines=Deadlines(idle=0.4, linger=0.1))
    with served.connect() as client:
        client.sendall(b"GET /health HTTP/1.0\r\nHost: a\r\n\r\n")
        assert receive(client, 200).endswith(UP)
        served.wait_until(lambda: not served.listener.connections)


# what a client may make us hold


@pytest.mark.parametrize("is_held", [True, False], ids=["being answered", "not reading"])  # fmt: skip
def test_only_so_much_is_read_ahead(serve, is_held):
    """A client that sends without end while it waits is not read without end."""
    backend = HeldBackend() if is_held else InMemoryConfigBackend()
    server = ConfigServer(backend)
    asyncio.run(server.save("app", "default", {"a": "x" * 8_000_000}))
    served = serve(server)
    with served.connect() as client:
        client.sendall(GET * 4)
        if is_held:
            assert backend.is_asked.wait(5)
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.sendall(b"\0" * 100_000_000)
        if is_held:
            served.call(backend.may_answer.set)


@pytest.mark.parametrize("request_", [GET, HEALTH], ids=["kept", "made"])
def test_a_flood_is_read_only_as_it_is_answered(serve, server, request_):
    """However fast a client sends, only so much of it waits, and others have their turn."""
    served = serve(server)
    is_over = threading.Event()

    def send():
        with suppress(OSError):
            while not is_over.is_set():
                flooding.sendall(request_ * 20_000)

    def take():
        with suppress(OSError):
            while flooding.recv(1 << 20):
                pass

    with served.connect() as flooding:
        threads = [threading.Thread(target=target) for target in (send, take)]
        for thread in threads:
            thread.start()
        served.wait_until(lambda: served.listener.connections)
        [connection] = served.listener.connections
        buffered = []
        with served.connect() as client:
            for _ in range(30):
                client.sendall(HEALTH)
                assert client.recv(1 << 16).endswith(UP)
                buffered.append(served.call(lambda: connection._parser.buffered))
        is_over.set()
        served.call(connection.abort)
        for thread in threads:
            thread.join(5)
    assert max(buffered) <= 512 * 1024


def test_one_call_answers_so_many(serve, server):
    """Of thousands of requests that came at once, others wait for a few."""
    served = serve(server)
    served.exchange(GET)  # so that the next are answered without a task

    def fed():
        [connection] = served.listener.connections
        written = []
        connection._transport = SimpleNamespace(
            write=written.append,
            is_closing=lambda: False,
            pause_reading=lambda: None,
            resume_reading=lambda: None,
            abort=connection._transport.abort,
        )
        connection.data_received(GET * 1_000)
        return len(written)

    with served.connect() as client:
        client.sendall(HEALTH)
        client.recv(1 << 16)
        assert 1 <= served.call(fed) <= 32


def writes_for(served, data):
    """What one connection writes, piece by piece, when *data* arrives at once."""

    def fed():
        [connection] = served.listener.connections
        written = []
        connection._transport = SimpleNamespace(
            write=written.append,
            is_closing=lambda: False,
            pause_reading=lambda: None,
            resume_reading=lambda: None,
            can_write_eof=lambda: False,
            close=lambda: None,
            get_write_buffer_size=lambda: 0,
            abort=connection._transport.abort,
        )
        connection.data_received(data)
        return list(written)

    with served.connect() as client:
        client.sendall(HEALTH)
        client.recv(1 << 16)
        return served.call(fed)


CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (GET, [b"200"]),
        (GET * 5, [b"200"] * 5),
        (GET * 3 + CLOSING + GET, [b"200"] * 4),
        (GET * 2 + b"x\r\n\r\n", [b"200", b"200", b"400"]),
        (GET * 2 + HEALTH, [b"200", b"200"]),
    ],
    ids=["one", "five", "the last closes", "an error", "one is made"],
)
def test_answers_to_what_came_together_are_one_write(serve, server, sent, statuses):
    """What is ready goes out in one piece, before the connection does anything else."""
    served = serve(server)
    served.exchange(GET)  # so that the next are answered without a task
    [written] = writes_for(served, sent)
    assert statuses == re.findall(rb"HTTP/1.1 (\d+)", written)


@pytest.mark.parametrize(
    ("method", "size", "count"),
    [("GET", 500_000, 1), ("GET", 600_000, 2), ("HEAD", 600_000, 1)],
    ids=["small enough", "large", "no body"],
)
def test_a_large_body_is_not_copied(serve, method, size, count):
    """It is written by itself, after its head."""
    served = serve(saved({"a": "x" * size}))
    [reply] = served.exchange(GET)
    written = writes_for(served, GET.replace(b"GET", method.encode()))
    head, _, body = b"".join(written).partition(b"\r\n\r\n")
    assert len(written) == count
    assert f"Content-Length: {reply.headers['Content-Length']}".encode() in head
    assert body == (reply.body if method == "GET" else b"")


def test_large_bodies_are_not_copied_among_others(serve):
    """Also of what came together, each is written by itself, in its place."""
    served = serve(saved({"a": "x" * 600_000}))
    served.exchange(GET)
    sizes = [len(data) for data in writes_for(served, GET * 2 + HEALTH)]
    assert [size // 1000 for size in sizes] == [0, 600, 0, 600]


def test_large_answers_do_not_wait_for_each_other(serve):
    """No more than some KB are gathered: who does not take them gets no more."""
    served = serve(saved({"a": "x" * 30_000}))
    served.exchange(GET)
    sizes = [len(data) for data in writes_for(served, GET * 7)]
    assert [size // 30_000 for size in sizes] == [3, 3, 1]


def test_a_client_that_reads_again_does_not_overtake_itself(serve):
    """A transport that is full, and is no more, while an answer is made: order stays."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect() as client:
        client.sendall(GET + HEALTH)
        assert backend.is_asked.wait(5)
        [connection] = served.call(list, served.listener.connections)
        served.call(connection.pause_writing)
        served.call(connection.resume_writing)
        served.call(backend.may_answer.set)
        found = b""
        while not found.endswith(UP):
            found += client.recv(1 << 16)
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"404", b"200"]


def test_who_takes_what_was_written_has_no_deadline_then(serve):
    """That of writing ends with it, also while the next answer is being made."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect() as client:
        client.sendall(GET)
        assert backend.is_asked.wait(5)
        [connection] = served.call(list, served.listener.connections)
        served.call(connection.pause_writing)
        assert connection.deadline < math.inf
        served.call(connection.resume_writing)
        assert connection.deadline == math.inf
        served.call(backend.may_answer.set)
        client.recv(1 << 16)


def test_reading_goes_on_when_an_answer_is_made(serve, replies, everything):
    """What was left unread while an answer was made is read and answered after it."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    count = 8_000
    with served.connect() as client:
        client.sendall(GET)
        assert backend.is_asked.wait(5)
        client.sendall(HEALTH * count)
        client.shutdown(socket.SHUT_WR)
        served.call(backend.may_answer.set)
        found = replies(everything(client))
    assert [404] + [200] * count == [reply.status for reply in found]


# the end of the listener


def test_a_drain_ends_each_connection_when_it_is_answered(serve, everything, replies):
    """An idle connection closes at once, one that waits for its answer after it."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect() as idle, served.connect() as waiting:
        idle.sendall(HEALTH)
        assert read_one(idle, replies).body == UP
        waiting.sendall(GET)
        assert backend.is_asked.wait(5)
        closing = served.begin(served.listener.close())
        assert everything(idle) == b""
        served.call(backend.may_answer.set)
        [reply] = replies(everything(waiting))
    closing.result(5)
    assert (reply.status, reply.headers["Connection"]) == (404, "close")


# who observes


class Recorder:
    """An observer that keeps what it is told and gives ids by number, or none."""

    def __init__(self, with_ids=False):
        self.told = []
        self._with_ids = with_ids
        self._given = 0

    def new_id(self, request):
        """The number of the answer."""
        self._given += 1
        return f"id-{self._given}" if self._with_ids else ""

    def answered(self, exchange):
        """Keep it."""
        self.told.append(exchange)


@pytest.fixture
def observe(serve):
    """`observe(server, …)` serves, and gives an observer of each answer, too."""

    def start(server, with_ids=False, **options):
        served = serve(server, **options)
        served.listener.observer = Recorder(with_ids)
        return served, served.listener.observer

    return start


def asked(exchange):
    """Method, path and query of what was asked, and the answer's status."""
    request = exchange.request
    return request.method, request.path, request.query, exchange.response.status


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (GET + GET, [("GET", "/app/default", "", 200)] * 2),
        (GET.replace(b"GET", b"HEAD"), [("HEAD", "/app/default", "", 200)]),
        (GET.replace(b" HTTP", b"?a=b HTTP"), [("GET", "/app/default", "a=b", 200)]),
        (POST % b"" + b"{}", [("POST", "/app/default", "", 200)]),
        (HEALTH + b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", [("GET", "/health", "", 200), ("GET", "/x", "", 404)]),
        ((POST % b"").replace(b"Length: 2", b"Length: 9999999"), [("-", "/app/default", "", 413)]),
        (HEALTH + b"GARBAGE\r\n\r\n" + HEALTH, [("GET", "/health", "", 200), ("-", "", "", 400)]),
        (GET[:-2], []),
    ],
    ids=["made and kept", "head", "query", "save", "two", "body too large", "no http", "half"],
)  # fmt: skip
def test_each_answer_is_told_once(observe, server, sent, expected):
    """In their order, with what was asked; bytes that are no HTTP have no method."""
    served, observer = observe(server)
    served.exchange(sent, with_bodies=not sent.startswith(b"HEAD"))
    served.wait_until(lambda: not served.listener.connections)
    assert expected == [asked(exchange) for exchange in observer.told]
    assert {("", "127.0.0.1", False)} >= {(one.id, one.peer, one.has_waited) for one in observer.told}  # fmt: skip
    assert all(0 <= exchange.seconds < 5 for exchange in observer.told)


@pytest.mark.parametrize(
    ("sent", "path"), [(GET, "/app/default"), (HEALTH, "/health")], ids=["kept", "made"]
)
def test_a_remembered_request_is_told_as_any_other(observe, server, replies, sent, path):
    """Also when its head is remembered, and its answer or not, each counts for itself."""
    served, observer = observe(server)
    with served.connect() as client:
        for number in range(1, 4):
            began = time.perf_counter()
            client.sendall(sent)
            read_one(client, replies)
            served.wait_until(lambda count=number: len(observer.told) == count)
            assert observer.told[-1].seconds < time.perf_counter() - began
    assert [asked(one) for one in observer.told] == [("GET", path, "", 200)] * 3


def test_a_request_knows_where_it_came_from(serve):
    """What the routes are to handle has the address of its sender."""

    class Noting(Routes):
        peers = ()

        async def handle(self, request):
            Noting.peers += (request.peer,)
            return await super().handle(request)

    served = serve(ConfigServer(InMemoryConfigBackend()))
    served.listener.routes = Noting(ConfigServer(InMemoryConfigBackend()))
    served.exchange(HEALTH + POST % b"" + b"{}")
    assert Noting.peers == ("127.0.0.1",) * 2


def test_answers_have_the_ids_that_an_observer_gives(observe, server):
    """A header of its own beside Date, on answers and refusals alike; the same is told."""
    served, observer = observe(server, with_ids=True)
    found = served.exchange(GET + HEALTH + b"GARBAGE\r\n\r\n")
    assert [reply.headers["X-Request-Id"] for reply in found] == ["id-1", "id-2", "id-3"]  # fmt: skip
    served.wait_until(lambda: [one.id for one in observer.told] == ["id-1", "id-2", "id-3"])  # fmt: skip
    assert [reply.status for reply in found] == [200, 200, 400]


def test_no_id_is_no_header(observe, server):
    """Who observes without ids changes no byte of an answer."""
    observed, _ = observe(server)
    plain, _ = observe(server)
    plain.listener.observer = None
    sent = GET + HEALTH + b"GARBAGE\r\n\r\n"
    assert [seen(reply) for reply in plain.exchange(sent)] == [seen(reply) for reply in observed.exchange(sent)]  # fmt: skip


def test_the_time_is_that_of_the_answer(observe):
    """From the whole request to the answer: what a client takes to send is its own."""
    backend = HeldBackend()
    served, observer = observe(ConfigServer(backend))
    with served.connect() as client:
        began = time.perf_counter()
        client.sendall(GET[:-2])
        threading.Event().wait(0.2)
        client.sendall(GET[-2:])
        assert backend.is_asked.wait(5)
        held = time.perf_counter()
        threading.Event().wait(0.1)
        released = time.perf_counter()
        served.call(backend.may_answer.set)
        receive(client, 1)
        answered = time.perf_counter()
        served.wait_until(lambda: observer.told)
    [exchange] = observer.told
    assert released - held < exchange.seconds < answered - began - 0.2 + 0.01


def test_a_wait_for_a_change_is_told_as_one(observe, server, replies):
    """Its time says nothing of the server."""
    served, observer = observe(server)
    with served.connect() as client:
        client.sendall(GET)
        etag = read_one(client, replies).headers["ETag"].encode()
        client.sendall(GET.replace(b" HTTP", b"?wait=0.05 HTTP").replace(b"Host", b"If-None-Match: " + etag + b"\r\nHost"))  # fmt: skip
        assert read_one(client, replies).status == 304
        served.wait_until(lambda: len(observer.told) == 2)
    assert [one.has_waited for one in observer.told] == [False, True]
    assert observer.told[1].seconds > 0.05


def test_who_closes_while_it_waits_is_answered_at_once(observe, server, replies, everything):  # fmt: skip
    """It may still read; what is told is that it did not wait."""
    served, observer = observe(server)
    with served.connect() as client:
        client.sendall(GET)
        etag = read_one(client, replies).headers["ETag"].encode()
        client.sendall(GET.replace(b" HTTP", b"?wait=30 HTTP").replace(b"Host", b"If-None-Match: " + etag + b"\r\nHost"))  # fmt: skip
        served.wait_until(lambda: served.listener.routes._watches.waiting == 1)
        threading.Event().wait(0.3)
        client.shutdown(socket.SHUT_WR)
        assert [reply.status for reply in replies(everything(client))] == [304]
    served.wait_until(lambda: len(observer.told) == 2)
    assert observer.told[1].seconds < 0.2  # from its end, not from the wait's begin
    assert [(one.response.status, one.has_waited) for one in observer.told] == [(200, False), (304, False)]  # fmt: skip


@pytest.mark.parametrize("waits", [False, True], ids=["answer", "wait"])
def test_a_client_that_left(observe, waits):
    """What was done for it is told; who waited for a change got no answer to tell of."""
    backend = HeldBackend()
    served, observer = observe(ConfigServer(backend))
    target = b"?wait=9 HTTP" if waits else b" HTTP"
    client = served.connect()
    client.sendall(GET.replace(b" HTTP", target).replace(b"Host", b"If-None-Match: *\r\nHost"))  # fmt: skip
    assert backend.is_asked.wait(5)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()  # a reset
    served.wait_until(lambda: not served.listener.connections)
    served.call(backend.may_answer.set)
    served.exchange(HEALTH)
    paths = {"/health"} if waits else {"/health", "/app/default"}
    served.wait_until(lambda: {one.request.path for one in observer.told} == paths)
    assert len(paths) == len(observer.told)


# a connection by itself


class FullHost:
    """A listener that has no place for another connection."""

    def __init__(self, server):
        self.routes = Routes(server)
        self.deadlines = Deadlines()
        self.memo = HeadMemo()
        self.is_crowded = False
        self.observer = Recorder()
        self.is_draining = False
        self.lost_one = asyncio.Event()

    def opened(self, connection):
        """No place is left."""
        return False

    def lost(self, connection):
        """Note that it is over."""
        self.lost_one.set()

    def date(self):
        """No time."""
        return "now"


def test_a_connection_too_many_is_503(server):
    """Who finds no place hears so at once, and the connection ends."""

    async def refuse():
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        host = FullHost(server)
        with theirs:
            theirs.setblocking(False)
            await loop.connect_accepted_socket(lambda: Connection(host), ours)
            data = b""
            while part := await asyncio.wait_for(loop.sock_recv(theirs, 4096), 5):
                data += part
        await asyncio.wait_for(host.lost_one.wait(), 5)
        told = [exchange._replace(seconds=0) for exchange in host.observer.told]
        assert [asked(exchange) for exchange in told] == [("-", "", "", 503)]
        assert told[0].request == Request("-", "", keep_alive=False)
        return data

    status, headers, body = refused(503, "Service Unavailable", "all places for connections are taken")  # fmt: skip
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines.insert(-1, "Date: now")
    start = "\r\n".join([f"HTTP/1.1 {status} Service Unavailable", *lines])
    assert f"{start}\r\n\r\n".encode() + body == asyncio.run(refuse())


class HalfGone(socket.socket):
    """A socket whose client reset it just after its last answer."""

    def shutdown(self, how):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def test_a_client_that_resets_while_it_is_answered(server, caplog):
    """It is gone, which is no failure of ours, and the connection is given up at once."""

    async def answer():
        ours, theirs = socket.socketpair()
        ours = HalfGone(fileno=ours.detach())
        loop = asyncio.get_running_loop()
        host = FullHost(server)
        with theirs:
            await loop.connect_accepted_socket(lambda: Connection(host), ours)
            await asyncio.wait_for(host.lost_one.wait(), 5)

    asyncio.run(answer())
    assert caplog.text == ""
