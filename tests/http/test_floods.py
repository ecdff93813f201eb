"""Floods on real sockets: who is slow, idle or too many takes nothing from the others."""

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.connection import Deadlines
from pyconfserve.server import ConfigServer

PROJECT = Path(__file__).parents[2]
PATIENCE = 10  # seconds after which a test that waits has failed
SOON = 2.0  # seconds in which a flooded server answers others; in fact, a few ms
DESCRIPTORS = 300  # of the process that is flooded with connections
SHORT = Deadlines(head=0.6, body=0.6, idle=0.6, writing=0.6, linger=0.6)
MB = 1_000_000

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UP = b'{"status":"UP"}'
POST = b"POST /app/default HTTP/1.1\r\nHost: localhost\r\n"
START = {
    "uvloop": ["-m", "pyconfserve"],
    "asyncio": [
        "-c",
        "import sys; sys.modules['uvloop'] = None; from pyconfserve.commands import main;"
        "sys.exit(main(sys.argv[1:]))",
    ],
}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="it counts descriptors in /proc"
)


class Process:
    """`python -m pyconfserve` on a folder, and what /proc says of it."""

    def __init__(self, root, loop, descriptors):
        command = [sys.executable, *START[loop], str(root), "--port", "0"]
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        self._log = (root.parent / "log").open("w+")
        self.process = subprocess.Popen(
            limited, cwd=PROJECT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        first = self.process.stdout.readline()
        assert "http://" in first, self.logged()
        self.address = "127.0.0.1", int(first.rsplit(":", 1)[1])
        self.is_up()  # so that all that is imported late is there
        self._proc = Path(f"/proc/{self.process.pid}")

    def connect(self):
        """A connected socket whose waits end in an error."""
        return socket.create_connection(self.address, PATIENCE)

    def ask(self, requests):
        """The answers to requests on a connection of their own, read while they are sent."""
        with self.connect() as client:

            def send():
                client.sendall(requests)
                client.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            answers = b"".join(iter(lambda: client.recv(1 << 16), b""))
            sender.join(PATIENCE)
            return answers

    def is_up(self):
        """Whether it answers anyone, on a new connection."""
        return self.ask(HEALTH).startswith(b"HTTP/1.1 200 OK\r\n")

    def descriptors(self):
        """How many files and sockets are open."""
        return len(list((self._proc / "fd").iterdir()))

    def resident(self):
        """Resident bytes."""
        pages = int((self._proc / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def logged(self):
        """All that it wrote to standard error."""
        self._log.seek(0)
        return self._log.read()

    def kill(self):
        """End it as a power cut would, and nothing else."""
        self.process.kill()
        self.process.communicate()
        self._log.close()


@contextmanager
def running(root, loop="uvloop", descriptors=4_000):
    """A process that serves *root*, killed at the end."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="pip install 'pyconfserve[uvloop]'")
    root.mkdir(exist_ok=True)
    process = Process(root, loop, descriptors)
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def process(request, tmp_path_factory):
    """A process with enough descriptors, on either loop; app.yml is small, large.yml half a megabyte."""
    root = tmp_path_factory.mktemp("floods") / "cfg"
    root.mkdir()
    (root / "app.yml").write_text("a: 1\n", "utf-8")
    (root / "large.yml").write_text(f"a: {'x' * 500_000}\n", "utf-8")
    with running(root, request.param) as process:
        yield process


def wait_until(holds):
    """Look until *holds()* is true, with a breath between two looks."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        threading.Event().wait(0.01)


def took(action):
    """Seconds that *action()* takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def save(client, number):
    """The first line of the answer to a save on a kept connection."""
    body = json.dumps({"number": number}).encode()
    client.sendall(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    return client.recv(1 << 16).partition(b"\r\n")[0]


# too many


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_too_many_connections_do_not_touch_a_save(tmp_path, loop):
    """Five times more connections than descriptors: 503 for those, while saves on a kept
    connection succeed at once, are on disk, and afterwards every descriptor is back.
    """
    root = tmp_path / "cfg"
    with running(root, loop, DESCRIPTORS) as process, ExitStack() as stack:
        before = process.descriptors()
        kept = stack.enter_context(process.connect())
        assert save(kept, 0) == b"HTTP/1.1 200 OK"
        flood = [stack.enter_context(socket.socket()) for _ in range(5 * DESCRIPTORS)]
        for number, client in enumerate(flood):
            client.setblocking(False)
            client.connect_ex(process.address)
            if number % 100 == 99:
                assert save(kept, number) == b"HTTP/1.1 200 OK"
        answers = list(filter(None, map(read_once, flood)))
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 503 Service Unavailable"}  # fmt: skip
        assert len(answers) > DESCRIPTORS
        assert process.descriptors() < DESCRIPTORS
        assert save(kept, 9_999) == b"HTTP/1.1 200 OK"
        for client in flood:
            client.close()
        # The kept one, and what the first save has opened for good.
        wait_until(lambda: process.descriptors() <= before + 3)
        assert process.is_up()
        process.process.kill()  # nothing is left to be written
        assert "Traceback" not in process.logged()
    assert [path.read_text("utf-8") for path in root.rglob("app-*")] == ["number: 9999\n"]  # fmt: skip


def read_once(client):
    """What has come to a socket that does not block, nothing for one that holds a place."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        selector.select(0.002)
    with suppress(BlockingIOError, ConnectionError):
        return client.recv(4_096)
    return b""


# many at once, of a real process


def test_ten_thousand_requests_on_one_connection(process):
    """They are answered in their order, and what they take of memory is given back."""
    count = 10_000
    targets = [f"/app/p{number % 50}" for number in range(count)]
    requests = [f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n" for target in targets]  # fmt: skip
    process.ask("".join(requests[:50]).encode())
    before = process.resident()
    found = process.ask("".join(requests).encode()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [json.loads(reply.partition(b"\r\n\r\n")[2]) for reply in found]
    assert [f"/app/{body['profiles'][0]}" for body in bodies] == targets
    assert process.resident() - before < 10 * MB


def test_who_asks_much_and_reads_nothing_holds_little(process):
    """40 clients ask for a gigabyte and read none of it: each holds about an answer."""
    clients, asked = 40, 50
    request = b"GET /large/default HTTP/1.1\r\nHost: localhost\r\n\r\n"
    process.ask(request)
    before, open_before = process.resident(), process.descriptors()
    with ExitStack() as stack:
        for _ in range(clients):
            client = stack.enter_context(process.connect())
            client.sendall(request * asked)
            assert client.recv(1) == b"H"
        assert took(process.is_up) < SOON
        assert process.resident() - before < clients * 1.5 * MB
    wait_until(lambda: process.descriptors() <= open_before)
    assert process.is_up()
    assert process.resident() - before < 30 * MB


@pytest.mark.parametrize(
    "sent", [b"", HEALTH, HEALTH[:20]], ids=["new", "used", "begun"]
)
def test_a_thousand_idle_sockets_cost_little(process, sent):
    """Each takes less than 16 KB, others are answered as before, and all of it comes back."""
    count = 1_000
    before, open_before = process.resident(), process.descriptors()
    with ExitStack() as stack:
        for number in range(count):
            client = stack.enter_context(process.connect())
            client.sendall(sent)
            if number % 50 == 0:  # more at once than the backlog holds would be lost
                assert process.is_up()
        wait_until(lambda: process.descriptors() >= open_before + count)
        assert (process.resident() - before) / count < 16_000
        assert took(process.is_up) < SOON
    wait_until(lambda: process.descriptors() <= open_before)
    assert process.is_up()


# slow ones, of a listener with short deadlines


class Slow:
    """Many sockets that send or read a little now and then, until each has ended."""

    def __init__(self, served, count, start):
        self.received = {}
        self._selector = selectors.DefaultSelector()
        for _ in range(count):
            client = served.connect()
            client.sendall(start)
            client.setblocking(False)
            self.received[client] = b""
            self._selector.register(client, selectors.EVENT_READ)

    def go_on(self, piece, most=1 << 16):
        """Send *piece* on each that is open and take *most* bytes; gives how many are open."""
        for key in [*self._selector.get_map().values()]:
            with suppress(OSError):
                key.fileobj.send(piece)
        for key, _ in self._selector.select(0.02):
            try:
                data = key.fileobj.recv(most)
            except ConnectionError:
                data = b""
            self.received[key.fileobj] += data
            if not data:
                self._selector.unregister(key.fileobj)
        return len(self._selector.get_map())

    def close(self):
        """Close what is still open."""
        for client in self.received:
            client.close()
        self._selector.close()


@contextmanager
def slow(*arguments):
    """Slow clients that are closed at the end."""
    clients = Slow(*arguments)
    try:
        yield clients
    finally:
        clients.close()


@pytest.fixture
def hurried(serve):
    """A listener with short deadlines."""
    return serve(deadlines=SHORT)


@pytest.mark.parametrize(
    ("start", "piece", "part"),
    [
        (b"GET /health HTTP/1.1\r\nX: ", b"x", "head"),
        (b"GET /health HTTP/1.1\r\n", b"X: y\r\n", "head"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"x", "body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", "body"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", "body"),
    ],
    ids=["header", "headers", "body", "chunks", "trailers"],
)
def test_hundreds_of_slow_requests_are_cut_off(hurried, replies, start, piece, part):
    """Each gets 408 when its time is up, and others are answered at once until then."""
    count, began = 300, time.monotonic()
    open_before = len(os.listdir("/proc/self/fd"))
    with slow(hurried, count, start) as clients:
        while clients.go_on(piece):
            # A client that goes on sending is heard as long as its answer may linger.
            assert time.monotonic() - began < PATIENCE
            assert took(lambda: hurried.exchange(HEALTH)) < SOON
        received = list(clients.received.values())
    assert time.monotonic() - began >= SHORT.head
    message = f"the {part} of the request did not arrive in time"
    assert [(408, message)] * count == [said(replies(data)) for data in received]
    hurried.wait_until(lambda: not hurried.listener.connections)
    assert [reply.body for reply in hurried.exchange(HEALTH)] == [UP]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= open_before)


def said(found):
    """The status and the message of the only answer."""
    [reply] = found
    return reply.status, json.loads(reply.body)["message"]


def test_hundreds_of_slow_readers_are_cut_off(serve, tmp_path):
    """Who takes large answers in sips gets no more of them, and others are answered at once."""
    (tmp_path / "large.yml").write_text(f"a: {'x' * 2_500_000}\n", "utf-8")
    deadlines = Deadlines(writing=0.6, linger=0.6)
    served = serve(ConfigServer(FilesystemConfigBackend(tmp_path)), deadlines=deadlines)
    request = b"GET /large/default HTTP/1.1\r\nHost: a\r\n\r\n"
    count, began = 100, time.monotonic()
    with slow(served, count, request * 4) as clients:
        while served.call(lambda: len(served.listener.connections)):
            clients.go_on(b"", most=10)
            assert time.monotonic() - began < PATIENCE
            assert took(lambda: served.exchange(HEALTH)) < SOON
        assert {data[:2] for data in clients.received.values()} <= {b"HT", b""}
    assert [reply.body for reply in served.exchange(HEALTH)] == [UP]
