"""The shared cases of requests, sent raw to a real listener; test_attacks has targets."""

import json
import random
import socket
from pathlib import Path

import pytest

from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.access import Access
from pyconfserve.http.connection import Deadlines
from pyconfserve.server import ConfigServer

CASES = Path(__file__).parents[1] / "cases"
REQUESTS = {row["id"]: row for row in json.loads((CASES / "http.json").read_text("utf-8"))}  # fmt: skip
LONGEST_BY_BYTES = 3000  # bytes of a request that is sent one by one
WAITING = "sl-"  # begins the cases in which the client stays and sends nothing more
BODIES = {b"0123456789": b"{}        ", b"hello": b"{}   "}  # JSON of their length


def sent(row):
    """The bytes of a case, with JSON for its body."""
    text = "".join(text * times for text, times in row["bytes_latin1"])
    data = text.encode("latin-1")
    for body, json_body in BODIES.items():
        data = data.replace(body, json_body)
    return data


def whole(data):
    """*data* in one piece."""
    return [data]


def in_bytes(data):
    """*data* byte by byte; a long one in pieces of 1000."""
    size = 1 if len(data) < LONGEST_BY_BYTES else 1000
    return [data[start : start + size] for start in range(0, len(data), size)]


def in_random_pieces(data):
    """*data* in pieces of random lengths, the same for the same data."""
    lengths = random.Random(data)
    pieces = []
    while data:
        length = lengths.randint(1, max(2, len(data) // 3))
        pieces.append(data[:length])
        data = data[length:]
    return pieces


@pytest.fixture(scope="module")
def listening(serve_for_module, tmp_path_factory):
    """A listener of a folder with app.yml that answers for Host a, and waits briefly."""
    root = tmp_path_factory.mktemp("http")
    (root / "app.yml").write_text("a: 1\n", "utf-8")
    return serve_for_module(
        ConfigServer(FilesystemConfigBackend(root)),
        access=Access(allow_hosts=["a"]),
        deadlines=Deadlines(head=0.3, body=0.3, idle=0.3),
    )


def outcome(replies):
    """The first status, `ok` for a success, and how many answers are final."""
    final = [reply.status for reply in replies if reply.status >= 200]
    if not final:
        return "close", 1
    return ("ok" if final[0] < 300 else final[0]), len(final)


def rows(cuts, *, half_closes):
    """Each case with each way to cut it; who waits does not close its half, and who is
    served must, as a kept connection closes only when it has been idle for long.
    """
    return [
        pytest.param(row, cut, half_closes, id=f"{name}-{cut.__name__}")
        for name, row in REQUESTS.items()
        for cut in cuts
        if not (name.startswith(WAITING) if half_closes else row["class"] == "accept")
    ]


@pytest.mark.parametrize(
    ("row", "cut", "half_closes"),
    rows([whole, in_bytes, in_random_pieces], half_closes=True)
    + rows([whole], half_closes=False),
)
def test_a_raw_request_is_answered_as_its_case_says(listening, row, cut, half_closes):
    """However it is cut, a request has the first status and the number of answers of its case."""
    data = sent(row)
    replies = listening.exchange(
        *cut(data), half_closes=half_closes, with_bodies=not data.startswith(b"HEAD")
    )
    status, count = outcome(replies)
    assert status in row["expect"]
    assert row["responses"] == count


def test_an_error_ends_every_stream(listening):
    """After any refused framing the connection is closed, and what follows is not read."""
    tail = b"GET /app/default HTTP/1.1\r\nHost: a\r\n\r\n"
    for row in REQUESTS.values():
        data = sent(row)
        is_complete = data.endswith(b"\r\n\r\n") and row["expect"][0] == 400
        if is_complete and row["class"] == "rfc":
            replies = listening.exchange(data + tail)
            assert (
                [reply.status for reply in replies],
                replies[0].headers["Connection"],
            ) == ([400], "close"), row["id"]


def test_a_client_that_never_sends_is_closed(listening):
    """A connection without a byte is closed in silence, like any idle one."""
    with socket.create_connection(listening.address, timeout=5) as client:
        assert client.recv(1) == b""
