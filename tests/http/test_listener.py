"""listener: a socket that accepts, a cap on connections, an orderly end."""

import asyncio
import errno
import logging
import socket
import subprocess
import sys
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime

import pytest
from held_backend import HeldBackend

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.connection import Deadlines
from pyconfserve.http.listener import Listener, bind, new_event_loop
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

GET = b"GET /app/default HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /app/default HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
UP = b'{"status":"UP"}'


def make_listener(**options):
    """A listener of an empty server, not started."""
    return Listener(Routes(ConfigServer(InMemoryConfigBackend())), **options)


# starting


def test_a_free_port_is_taken(serve):
    """Port 0 is any free one, and the address in use is told."""
    one, two = serve(), serve()
    assert (one.address[0], two.address[0]) == ("127.0.0.1", "127.0.0.1")
    assert one.address[1] != two.address[1]
    for served in (one, two):
        assert [reply.body for reply in served.exchange(HEALTH)] == [UP]


def test_a_taken_port_is_an_error(serve):
    """A second listener on the same port does not start."""
    served = serve()
    with pytest.raises(OSError, match=f"{served.address[1]}"):
        served.run(make_listener().start(*served.address))


def test_ipv6_is_served():
    """A listener takes an IPv6 address as well."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")

    async def fetch():
        listener = make_listener()
        try:
            host, port = await listener.start("::1", 0)
        except OSError:
            pytest.skip("no IPv6 here")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(HEALTH)
        writer.write_eof()
        data = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await writer.wait_closed()
        await listener.close()
        return host, data

    host, data = asyncio.run(fetch())
    assert (host, data.endswith(UP)) == ("::1", True)


def test_tls_is_not_loaded_before_it_is_served():
    """A start without TLS does not pay for it."""
    script = "import sys, pyconfserve.http.listener\nprint({'pyconfserve.http.tls', 'pyconfserve.http.secured'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )
    expected = ("set()\n", "")
    assert expected == (done.stdout, done.stderr)


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_loop_is_uvloops_where_it_is_installed(monkeypatch, is_installed):
    """Without uvloop the loop is asyncio's own."""
    if is_installed:
        pytest.importorskip("uvloop", reason="pip install 'pyconfserve[uvloop]'")
    else:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert is_installed is type(loop).__module__.startswith("uvloop")


# sockets that are handed in


async def fetched(address):
    """The answer to a request of /health."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(HEALTH)
    writer.write_eof()
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return data


def test_sockets_that_are_handed_in_are_served():
    """Nobody is let in before the start, and after the end the port is free."""

    async def serve():
        sockets = bind("127.0.0.1", 0)
        address = sockets[0].getsockname()
        with pytest.raises(ConnectionRefusedError):
            await fetched(address)
        listener = make_listener()
        assert address == await listener.start_on(sockets)
        data = await fetched(address)
        await listener.close()
        with pytest.raises(ConnectionRefusedError):
            await fetched(address)
        return data

    assert asyncio.run(serve()).endswith(UP)


def test_each_address_of_a_name_is_served():
    """`localhost` may have several, and port 0 is the same one for all of them."""

    async def serve():
        listener = make_listener()
        sockets = bind("localhost", 0)
        addresses = [sock.getsockname() for sock in sockets]
        await listener.start_on(sockets)
        answers = [await fetched(address[:2]) for address in addresses]
        await listener.close()
        return {address[1] for address in addresses}, answers

    ports, answers = asyncio.run(serve())
    assert len(ports) == 1
    assert all(answer.endswith(UP) for answer in answers)


def test_a_socket_may_be_shared():
    """Where one listener ends, another on the same socket goes on."""

    async def serve():
        [sock] = bind("127.0.0.1", 0)
        listeners = [make_listener(), make_listener()]
        await listeners[0].start_on([sock.dup()])
        await listeners[1].start_on([sock])
        address = sock.getsockname()
        before = await fetched(address)
        await listeners[0].close()
        after = await fetched(address)
        await listeners[1].close()
        return before, after

    before, after = asyncio.run(serve())
    assert before.endswith(UP)
    assert after.endswith(UP)


def test_bind_tells_of_a_taken_port(serve):
    """The error names the address and the reason, and no socket is left open."""
    host, port = serve().address
    with pytest.raises(OSError, match="in use") as caught:
        bind(host, port)
    assert caught.value.errno == errno.EADDRINUSE
    assert f"cannot listen on {host} port {port}: Address already in use" == caught.value.strerror  # fmt: skip


def found_as(*addresses):
    """A look-up that finds these addresses of IPv4."""
    return lambda _, port, **__: [
        (socket.AF_INET, 0, 0, "", (at, port)) for at in addresses
    ]


@pytest.mark.parametrize("addresses", [["198.51.100.1", "127.0.0.1"], ["127.0.0.1", "198.51.100.1"]], ids=["first", "last"])  # fmt: skip
def test_an_address_that_is_not_here_is_left_out(addresses):
    """A name may have one that this machine has not, as long as there is another."""
    [sock] = bind("name", 0, found_as(*addresses))
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_a_name_without_an_address_here_is_an_error():
    """Then the last one is named."""
    with pytest.raises(OSError, match=r"198\.51\.100\.2 port 0") as caught:
        bind("name", 0, found_as("198.51.100.1", "198.51.100.2"))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_name_is_bound_whole_or_not(serve):
    """Where the port is taken on one of its addresses, the others are let go."""
    host, port = serve().address
    look_up = found_as("127.0.0.2", host)
    for _ in range(2):
        with pytest.raises(
            OSError, match=f"{host} port {port}: Address already in use"
        ):
            bind("name", port, look_up)


def test_a_port_that_is_taken_between_is_an_error():
    """Of two that were bound at the same time, the second cannot begin, and says so."""

    async def serve():
        one, two = make_listener(), make_listener()
        first = bind("127.0.0.1", 0)
        second = bind(*first[0].getsockname())
        await one.start_on(first)
        with pytest.raises(OSError, match="in use"):
            await two.start_on(second)
        await two.close()
        await one.close()
        return [sock.fileno() for sock in second]

    assert asyncio.run(serve()) == [-1]


# the date


def test_an_answer_has_a_date(serve):
    """The date is the second of the answer, in the form of RFC 9110 §5.6.7."""
    before = int(time.time())
    [reply] = serve().exchange(HEALTH)
    after = time.time()
    moment = parsedate_to_datetime(reply.date)
    assert before <= moment.timestamp() <= after
    assert moment.strftime("%a, %d %b %Y %H:%M:%S GMT") == reply.date


def test_the_date_is_made_once_a_second():
    """Within a second the same text is given, and it is the time of that second."""

    async def dates():
        listener = make_listener()
        found = {}
        until = time.monotonic() + 5
        while len(found) < 2 and time.monotonic() < until:
            found.setdefault(listener.date(), None)
        return list(found)

    first, second = [parsedate_to_datetime(date) for date in asyncio.run(dates())]
    assert (second - first).total_seconds() == 1


# the cap

CAPPED = """
import asyncio, resource
from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

resource.setrlimit(resource.RLIMIT_NOFILE, (66, 66))  # 64 of them are reserved

async def main():
    listener = Listener(Routes(ConfigServer(InMemoryConfigBackend())))
    address = await listener.start("127.0.0.1", 0)
    clients = [await asyncio.open_connection(*address) for _ in range(2)]
    reader, writer = await asyncio.open_connection(*address)
    print((await reader.readline()).decode().strip())
    clients[0][1].close()
    await clients[0][1].wait_closed()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    while len(listener.connections) > 1:
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /health HTTP/1.0\\r\\nHost: a\\r\\n\\r\\n")
    print((await reader.readline()).decode().strip())
    for _, each in [clients[1], (reader, writer)]:
        each.close()
        await each.wait_closed()
    await listener.close()

asyncio.run(asyncio.wait_for(main(), 10))
"""


def test_connections_have_a_cap_below_the_limit_of_descriptors():
    """Above the cap a connection is refused with 503; a place that is left is given again."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", CAPPED], capture_output=True, text=True, timeout=20
    )
    expected = ["HTTP/1.1 503 Service Unavailable", "HTTP/1.1 200 OK"]
    assert (expected, "") == (done.stdout.splitlines(), done.stderr)


@pytest.mark.parametrize("is_low", [True, False], ids=["low", "high"])
def test_the_soft_limit_of_descriptors_is_raised(serve, is_low):
    """A soft limit below what is wanted goes up, as far as the hard one allows."""
    resource = pytest.importorskip("resource")
    kind = resource.RLIMIT_NOFILE
    before = resource.getrlimit(kind)
    hard = before[1]
    try:
        resource.setrlimit(kind, (256 if is_low else hard, hard))
        serve()
        expected = min(20_064, hard) if is_low else hard
        assert (expected, hard) == resource.getrlimit(kind)
    finally:
        resource.setrlimit(kind, before)


def test_a_system_without_limits_is_served(serve, monkeypatch):
    """Where the system has no such limits, the listener starts all the same."""
    monkeypatch.setitem(sys.modules, "resource", None)
    assert [reply.body for reply in serve().exchange(HEALTH)] == [UP]


# deadlines


@pytest.mark.parametrize("part", ["head", "body", "idle", "writing"])
def test_the_shortest_deadline_is_kept(serve, part):
    """Deadlines are looked at as often as the shortest of them needs it."""
    deadlines = Deadlines(idle=0.3)._replace(**{part: 0.1})
    with serve(deadlines=deadlines).connect() as client:
        client.settimeout(1)
        assert client.recv(1) == b""


# the end


def test_a_listener_that_never_started_closes(caplog):
    """Closing is always possible, and twice is fine."""

    async def close():
        listener = make_listener()
        await listener.close()
        await listener.start("127.0.0.1", 0)
        await listener.close()
        await listener.close()
        return listener.is_draining

    assert asyncio.run(close())


def test_a_closed_listener_accepts_no_one(serve):
    """After the end nobody listens on the port."""
    served = serve()
    served.run(served.listener.close())
    with pytest.raises(ConnectionRefusedError):
        served.connect()


def test_idle_connections_close_at_the_end(serve):
    """A drain does not wait for clients that ask nothing."""
    served = serve()
    with served.connect() as new, served.connect() as used:
        used.sendall(HEALTH)
        assert used.recv(4096).endswith(UP)
        served.run(served.listener.close())
        assert (new.recv(1), used.recv(1)) == (b"", b"")


def test_requests_in_flight_are_answered(serve, replies, everything):
    """What had been asked before the end is answered, and told that it was the last."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend))
    with served.connect() as client:
        client.sendall(GET + HEALTH)
        assert backend.is_asked.wait(5)
        closing = served.begin(served.listener.close())
        served.wait_until(lambda: served.listener.is_draining)
        served.call(backend.may_answer.set)
        found = replies(everything(client))
    closing.result(5)
    assert [reply.status for reply in found] == [404, 200]
    last = [reply.headers.get("Connection") for reply in found]
    assert last == [None, "close"]


@pytest.mark.parametrize(
    ("start", "rest"),
    [(GET[:20], GET[20:]), (POST, b"{}")],
    ids=["head", "body"],
)
def test_a_request_that_has_begun_is_answered(serve, replies, everything, start, rest):
    """A drain waits for the rest of a request, and answers it as the last one."""
    served = serve()
    with served.connect() as client:
        client.sendall(HEALTH + start)
        assert client.recv(4096).endswith(UP)
        closing = served.begin(served.listener.close())
        served.wait_until(lambda: served.listener.is_draining)
        client.sendall(rest)
        [reply] = replies(everything(client))
    closing.result(5)
    assert reply.headers["Connection"] == "close"


@pytest.mark.parametrize("turns", range(8))
def test_who_comes_too_late_is_not_left_waiting(turns):
    """A connection that arrives while the listener closes is answered, closed or refused."""

    async def arrive():
        listener = make_listener()
        address = await listener.start("127.0.0.1", 0)
        closing = asyncio.ensure_future(listener.close())
        for _ in range(turns):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        with socket.socket() as client, suppress(ConnectionError):
            client.connect(address)  # at once: the system takes it into the backlog
            client.setblocking(False)
            await closing
            data = await asyncio.wait_for(loop.sock_recv(client, 1), 2)
            assert data == b""
        await closing
        await asyncio.sleep(0)
        return len(listener.connections)

    assert asyncio.run(arrive()) == 0


def test_a_drain_has_a_deadline(serve, caplog):
    """Who is not done in time is cut off, and that is logged."""
    backend = HeldBackend()
    served = serve(ConfigServer(backend), deadlines=Deadlines(drain=0.1))
    with served.connect() as client, caplog.at_level(logging.WARNING, "pyconfserve"):
        client.sendall(GET)
        assert backend.is_asked.wait(5)
        served.run(served.listener.close())
        with suppress(ConnectionResetError):  # an end without an answer is as good
            assert client.recv(1) == b""
    assert [record.message for record in caplog.records] == ["1 connections were cut off"]  # fmt: skip


def test_a_low_limit_of_descriptors_leaves_a_place():
    """However few descriptors there are, somebody is served."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60));"
        "from pyconfserve.http.sockets import connection_limit; print(connection_limit())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
