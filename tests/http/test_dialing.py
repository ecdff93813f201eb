"""dialing: connections by a deadline, and an end from another thread."""

import socket
import threading
import time

import pytest
from scripted import PATIENCE

from pyconfserve.http.dialing import Deadline, Line, addresses_of, dial
from pyconfserve.http.urls import Origin


@pytest.fixture
def listening():
    """A socket that accepts connections, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield address("127.0.0.1", sock.getsockname()[1])


def address(host, port):
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield address("127.0.0.1", sock.getsockname()[1])


def test_a_deadline_tells_what_is_left():
    """And raises when nothing is."""
    assert 5 < Deadline(10).left() <= 10
    with pytest.raises(TimeoutError):
        Deadline(0).left()


def test_the_first_address_that_takes_it(listening, refusing):
    """Others are tried in order."""
    with dial([refusing, listening], Deadline(PATIENCE), Line()) as sock:
        assert sock.getpeername() == listening[-1]
    with pytest.raises(ConnectionRefusedError):
        dial([refusing, refusing], Deadline(PATIENCE), Line())
    with pytest.raises(OSError, match="the host has no address"):
        dial([], Deadline(PATIENCE), Line())


def test_no_time_is_left(listening):
    """The socket is closed: no warning of a leak."""
    with pytest.raises(TimeoutError):
        dial([listening], Deadline(0), Line())


def test_an_address_that_is_none(listening):
    """Not one of the errors that the next address could mend."""
    with pytest.raises(TypeError):
        dial([(*listening[:4], "canary"), listening], Deadline(PATIENCE), Line())


def test_a_line_that_is_cut_takes_no_connection(listening):
    """Whoever hung up before it was there."""
    line = Line()
    line.hang_up()
    with pytest.raises(ConnectionAbortedError):
        dial([listening], Deadline(PATIENCE), line)


def test_hanging_up_ends_what_is_held(listening):
    """A read in another thread gives the end at once; twice is fine, also when closed."""
    line = Line()
    with dial([listening], Deadline(PATIENCE), line) as sock:
        threading.Timer(0.01, line.hang_up).start()
        assert sock.recv(1) == b""
    line.hang_up()
    line.hold(None)
    line.hang_up()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_addresses_need_no_look_up(host):
    """Nor does the name that every machine has."""
    found = addresses_of(Origin("http", host, 80), Deadline(0), Line())
    assert {each[-1][1] for each in found} == {80}


class Names:
    """A getaddrinfo that knows what it is told to."""

    def __init__(self, answer, wait=None):
        self._answer, self._wait = answer, wait

    def __call__(self, host, port, *, type, flags=0):
        assert (host, port, type) == ("config", 80, socket.SOCK_STREAM)
        if flags:
            raise socket.gaierror
        if self._wait is not None:
            self._wait.wait(PATIENCE)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


NAMED = Origin("http", "config", 80)


def test_a_name_is_looked_up(listening):
    """And its errors are raised here."""
    assert addresses_of(NAMED, Deadline(PATIENCE), Line(), Names([listening])) == [listening]
    for error in (socket.gaierror("no"), UnicodeError("no")):
        with pytest.raises(type(error)):
            addresses_of(NAMED, Deadline(PATIENCE), Line(), Names(error))


def test_a_name_service_that_hangs_is_not_waited_for():
    """Beyond the deadline."""
    answered, began = threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError):
        addresses_of(NAMED, Deadline(0.05), Line(), Names([], answered))
    answered.set()
    assert time.monotonic() - began < PATIENCE / 2


def test_hanging_up_ends_a_look_up():
    """One that runs, and one to come; the thread of the name service is left alone."""
    line, asked, answered = Line(), threading.Event(), threading.Event()

    class Asked(Names):
        def __call__(self, host, port, **options):
            if not options.get("flags"):
                asked.set()
            return super().__call__(host, port, **options)

    def hang_up():
        assert asked.wait(PATIENCE)
        line.hang_up()

    threading.Thread(target=hang_up).start()
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(ConnectionAbortedError):
            addresses_of(NAMED, Deadline(PATIENCE), line, Asked([], answered))
    answered.set()
    assert time.monotonic() - began < PATIENCE / 2
