"""access_log: a line for each request, whoever reads them or does not."""

import json
import os
import re
import select
import threading
import time
from contextlib import contextmanager

import pytest

from pyconfserve.http.access_log import FORMS, AccessLog
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.observing import NO_HTTP, Exchange, RequestIds

NOW = 1_760_104_536.125  # 2025-10-10T13:55:36.125Z
ASKED = Request("GET", "/orders/prod", "secret=1", {"authorization": "Basic c2VjcmV0"})
ANSWER = Response(200, (("ETag", '"secret"'),), b"secret!")
EXCHANGE = Exchange(ASKED, ANSWER, 0.0421234, "id-1", "127.0.0.1")


class Reader:
    """A pipe: `descriptor` is to be written to, and nothing is read before `text`."""

    def __init__(self):
        self._end, self.descriptor = os.pipe()

    def text(self):
        """All that was written; no more can be."""
        os.close(self.descriptor)
        parts = []
        while part := os.read(self._end, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("ascii")

    def leave(self):
        """Read no more, ever."""
        os.close(self._end)

    def line(self):
        """What is written next."""
        return os.read(self._end, 4096).decode("ascii")


def written(form, *exchanges, **options):
    """What a log writes of some exchanges."""
    reader = Reader()
    log = AccessLog(form, descriptor=reader.descriptor, clock=lambda: NOW, **options)
    for exchange in exchanges:
        log.answered(exchange)
    log.close()
    return reader.text()


def asking(**fields):
    """The exchange with another request."""
    return EXCHANGE._replace(request=ASKED._replace(**fields))


COMMON = [
    (EXCHANGE, '127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /orders/prod HTTP/1.1" 200 7 id-1 42.123\n'),
    (EXCHANGE._replace(peer="::1", id=""), '::1 - - [10/Oct/2025:13:55:36 +0000] "GET /orders/prod HTTP/1.1" 200 7 - 42.123\n'),
    (asking(method="HEAD"), '127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "HEAD /orders/prod HTTP/1.1" 200 - id-1 42.123\n'),
    (EXCHANGE._replace(response=Response(304), seconds=12.0), '127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "GET /orders/prod HTTP/1.1" 304 - id-1 12000.000\n'),
    (EXCHANGE._replace(request=Request(NO_HTTP, ""), peer=""), '- - - [10/Oct/2025:13:55:36 +0000] "-" 200 7 id-1 42.123\n'),
    (EXCHANGE._replace(request=Request(NO_HTTP, "/a")), '127.0.0.1 - - [10/Oct/2025:13:55:36 +0000] "- /a HTTP/1.1" 200 7 id-1 42.123\n'),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "line"), COMMON, ids=["get", "ipv6", "head", "304", "no http", "body"])  # fmt: skip
def test_common_lines(exchange, line):
    """The Common Log Format, the id, milliseconds; a dash for what is not there."""
    assert line == written("common", exchange)


def test_json_lines():
    """A document a line, with the fields that the other logs begin with."""
    [line] = written("json", EXCHANGE, name_of=lambda request: "alice").splitlines()
    assert json.loads(line) == {
        "time": "2025-10-10T13:55:36.125Z",
        "level": "info",
        "logger": "pyconfserve.access",
        "id": "id-1",
        "peer": "127.0.0.1",
        "user": "alice",
        "method": "GET",
        "path": "/orders/prod",
        "status": 200,
        "bytes": 7,
        "milliseconds": 42.123,
    }


def test_json_of_what_is_no_http():
    """Nobody is null, and the rest is as empty as it was."""
    nothing = EXCHANGE._replace(request=Request(NO_HTTP, ""), peer="", id="")
    found = json.loads(written("json", nothing))
    assert tuple(found[name] for name in ("user", "peer", "id", "method", "path")) == (None, "", "", "-", "")  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_line_says_nothing_secret(form):
    """Neither query nor header nor body, of request or answer."""
    exchange = asking(body=b"secret", headers={"x-config-token": "secret", "user-agent": "secret"})  # fmt: skip
    line = written(form, exchange)
    assert "secret" not in line
    assert "c2VjcmV0" not in line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alice", "alice"),
        ("a.b-c_d@e+f", "a.b-c_d@e+f"),
        ("zoë", "zo\\xeb"),
        ("a b", "a\\x20b"),
        ('"', '\\"'),
        ("a\nb", "a\\nb"),
        ("", "-"),
    ],
    ids=repr,
)
def test_a_user_is_named(name, shown):
    """By the name that is asked for with the request, in a field of its own."""
    asked = []

    def name_of(request):
        asked.append(request)
        return name

    line = written("common", EXCHANGE, name_of=name_of)
    assert line.startswith(f"127.0.0.1 - {shown} [10/Oct/2025:13:55:36 +0000] ")
    assert asked == [ASKED]


NASTY = [
    "/a\n127.0.0.1 - forged",
    "/a\r\nb",
    '/a" 200 7 forged "',
    "/a\\",
    '/a\\"',
    "/\x1b[31mred",
    "/\x00\x7f\x85\u2028\u202e",
    "/ä😀",
    "/a b",
    "/%0Aforged",
]


@pytest.mark.parametrize("path", NASTY, ids=ascii)
def test_a_path_stays_in_its_place(path):
    """It ends neither its line nor its field, and can be told from any other."""
    line = written("common", asking(path=path))
    shown = re.fullmatch(r'127\.0\.0\.1 - - \[[^\]]+\] "GET ((?:[!#-\[\]-~]|\\.)+) HTTP/1\.1" 200 7 id-1 42\.123\n', line)  # fmt: skip
    assert path == shown[1].replace('\\"', '"').encode().decode("unicode_escape")
    json_line = written("json", asking(path=path))
    assert json_line.isascii()
    assert json_line.count("\n") == 1
    assert json_line[:-1].isprintable()
    assert path == json.loads(json_line)["path"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("letter", ["a", '"', "\\"])
def test_a_line_is_short(form, letter):
    """However long a path is, its line comes out of a pipe in one piece."""
    line = written(form, asking(path=f"/{letter * 8000}"), name_of=lambda _: "x" * 255)
    assert 1024 < len(line) < 4096
    assert "..." in line


def test_time_goes_on():
    """Each line has the second in which it was made."""
    seconds = iter([0.0, 0.5, 1.0, 951_782_399.9999])
    reader = Reader()
    log = AccessLog("json", descriptor=reader.descriptor, clock=lambda: next(seconds))
    for _ in range(4):
        log.answered(EXCHANGE)
    log.close()
    times = [json.loads(line)["time"] for line in reader.text().splitlines()]
    assert times == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.500Z", "1970-01-01T00:00:01.000Z", "2000-02-28T23:59:59.999Z"]  # fmt: skip


def test_a_log_wants_ids():
    """So that a line and an answer can be told to belong together."""
    reader = Reader()
    log = AccessLog("common", descriptor=reader.descriptor, ids=RequestIds("p"))
    given = Request("GET", "/", headers={"x-request-id": "mine"})
    assert [log.new_id(one) for one in (ASKED, given, ASKED)] == ["p-1", "mine", "p-2"]
    log.close()
    assert reader.text() == ""


# the writing


def test_a_line_is_written_soon():
    """While the log is open, without a second line that pushes it."""
    reader = Reader()
    log = AccessLog("common", descriptor=reader.descriptor, clock=lambda: NOW)
    for _ in range(3):
        log.answered(EXCHANGE)
        assert COMMON[0][1] == reader.line()
    log.close()
    assert reader.text() == ""


def test_all_is_written_in_order():
    """Also what is too much for a pipe, as long as somebody reads."""
    reader = Reader()
    log = AccessLog("common", descriptor=reader.descriptor)
    found = []
    reading = threading.Thread(target=lambda: found.append(_read(reader)))
    for number in range(9_000):
        log.answered(EXCHANGE._replace(id=f"n{number}"))
    reading.start()
    log.close()
    os.close(reader.descriptor)
    reading.join(10)
    assert [f"n{number}" for number in range(9_000)] == [line.split()[-2] for line in found[0].splitlines()]  # fmt: skip


def _read(reader):
    parts = []
    while part := os.read(reader._end, 1 << 16):
        parts.append(part)
    return b"".join(parts).decode("ascii")


@pytest.mark.parametrize("form", FORMS)
def test_who_does_not_read_holds_up_nobody(form):
    """Requests are logged without a wait; what was lost is counted, and said at last."""
    reader = Reader()
    log = AccessLog(form, descriptor=reader.descriptor, most=100)

    def answer():
        for number in range(5_000):
            log.answered(EXCHANGE._replace(id=f"n{number}"))

    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    answering.join(10)
    assert not answering.is_alive()
    found = []
    reading = threading.Thread(target=lambda: found.append(_read(reader)))
    reading.start()
    log.close()
    os.close(reader.descriptor)
    reading.join(10)
    lines = found[0].splitlines()
    told = [line for line in lines if "lost" in line]
    if form == "json":
        contents = [json.loads(line) for line in told]
        assert {("warning", "pyconfserve.access")} == {(one["level"], one["logger"]) for one in contents}  # fmt: skip
        told = [f"WARNING pyconfserve.access: {one['message']}" for one in contents]
    pattern = r"WARNING pyconfserve\.access: ([0-9]+) lines of the access log were lost"
    lost = sum(int(re.fullmatch(pattern, line)[1]) for line in told)
    assert lost + len(lines) - len(told) == 5_000
    assert 1 <= len(told) <= 3
    assert lost > 1_000


def test_closing_does_not_wait_for_ever():
    """A reader that takes nothing does not keep the server from its end."""
    reader = Reader()
    log = AccessLog("common", descriptor=reader.descriptor)
    for _ in range(5_000):
        log.answered(EXCHANGE)
    began = time.monotonic()
    log.close()
    assert 1 < time.monotonic() - began < 4
    _read_until(reader, log)


def _read_until(reader, log):
    """Let the log's thread end, which would otherwise write on into the next test."""
    while log._writer._thread.is_alive():
        os.set_blocking(reader._end, False)
        try:
            os.read(reader._end, 1 << 16)
        except BlockingIOError:
            log._writer._thread.join(0.01)
    reader.leave()
    os.close(reader.descriptor)


def test_a_reader_that_is_gone():
    """Lines go nowhere, and nothing fails over it."""
    reader = Reader()
    reader.leave()
    log = AccessLog("common", descriptor=reader.descriptor)
    for _ in range(100):
        log.answered(EXCHANGE)
    log.close()
    assert not log._writer._thread.is_alive()
    os.close(reader.descriptor)


def test_losses_are_told_when_there_is_place_again(tmp_path):
    """On a full disk nothing can be told; later it is, and how much is missing."""
    end = os.open("/dev/full", os.O_WRONLY)
    log = AccessLog("common", descriptor=end)
    try:
        for _ in range(3):
            log.answered(EXCHANGE)
        until = time.monotonic() + 10
        while log._writer._failed < 3 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)  # until it has tried to tell
        place = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(place, end)
        os.close(place)
        log.answered(EXCHANGE)
    finally:
        log.close()
        os.close(end)
    lines = (tmp_path / "log").read_text().splitlines()
    told = "WARNING pyconfserve.access: 3 lines of the access log were lost"
    assert (len(lines), lines[-1]) == (2, told)


def test_a_descriptor_that_does_not_block():
    """Whoever made it so loses nothing by it."""
    reader = Reader()
    os.set_blocking(reader.descriptor, False)
    with closing_log(reader) as log:
        for number in range(3_000):
            log.answered(EXCHANGE._replace(id=f"n{number}"))
        while select.select([], [reader.descriptor], [], 0)[1]:
            time.sleep(0.01)  # until the pipe is full
        time.sleep(0.1)
    assert [f"n{number}" for number in range(3_000)] == [line.split()[-2] for line in reader.found.splitlines()]  # fmt: skip


@contextmanager
def closing_log(reader):
    """A log that is read from when it closes."""
    log = AccessLog("common", descriptor=reader.descriptor)
    yield log

    def read():
        reader.found = _read(reader)

    reading = threading.Thread(target=read)
    reading.start()
    log.close()
    os.close(reader.descriptor)
    reading.join(10)
