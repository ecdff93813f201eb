"""memo: heads that are remembered, and that it never changes what a head means."""

import random

import pytest

from pyconfserve.errors import ProtocolError
from pyconfserve.http.http11 import Parser
from pyconfserve.http.memo import HeadMemo
from pyconfserve.http.messages import Request

GET = b"GET /a/b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
SECRET = "Basic b3JkZXJzOmh1bnRlcjI="


def outcome(pieces, memo=None):
    """The events that *pieces* give, with the type of the error that ends them."""
    parser = Parser(memo)
    events = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while (event := parser.next_event()) is not None:
                events.append(event)
    except ProtocolError as error:
        events.append(type(error))
    return events


def head_of(length, method="GET", *headers):
    """A head of at least *length* bytes."""
    start = f"{method} /a/b HTTP/1.1\r\nHost: a\r\n{''.join(headers)}X: "
    return start.encode() + b"x" * (length - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "is_kept"),
    [
        (GET, True),
        (GET.replace(b"GET", b"HEAD"), True),
        (head_of(2048), True),
        (head_of(2049), False),
        (head_of(100, "DELETE"), False),
        (head_of(100, "OPTIONS"), False),
        (POST % (0, b""), False),
        (head_of(100, "GET", "Content-Length: 0\r\n"), True),
        (head_of(100, "GET", "Authorization: Basic eDp5\r\n"), True),
        (head_of(100, "GET", *["N: 1\r\n"] * 97), True),
        (head_of(100, "GET", *["N: 1\r\n"] * 98), False),
        (head_of(100, "GET", "X-Config-Token: t\r\n"), False),
        (head_of(100, "GET", "x-CONFIG-token: t\r\n"), False),
    ],
    ids=["get", "head", "2 KiB", "above 2 KiB", "delete", "options", "post", "length 0", "credentials", "99 headers", "100 headers", "token", "token, other case"],
)  # fmt: skip
def test_a_memo_keeps_plain_heads(data, is_kept):
    """Small heads of GET and HEAD are remembered, and nothing else."""
    memo = HeadMemo()
    [request] = outcome([data], memo)
    assert (request if is_kept else None) == memo.get(data)


@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ids=["length", "chunked"],
)
def test_a_memo_keeps_no_head_with_a_body(framing):
    """A head that a body follows must not be taken for a whole request."""
    memo = HeadMemo()
    data = b"GET /a/b HTTP/1.1\r\nHost: a\r\n" + framing.encode()
    assert len(outcome([data], memo)) == 1
    assert memo.get(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n") is None


def test_a_remembered_head_is_not_parsed_again():
    """The very request that was made for a head comes back for it."""
    memo = HeadMemo()
    [first] = outcome([GET], memo)
    [second] = outcome([GET], memo)
    assert first is second


def test_a_full_memo_forgets_everything():
    """A memo never holds more than its limit: one head too many empties it first."""
    memo = HeadMemo(limit=250)
    heads = [head_of(100, "GET", f"N: {number}\r\n") for number in range(3)]
    for head in heads:
        outcome([head], memo)
    expected = [False, False, True]
    assert expected == [memo.get(head) is not None for head in heads]


def with_line(line, at=1):
    """GET with another line, by default the first after the request line."""
    lines = GET.split(b"\r\n")
    return b"\r\n".join([*lines[:at], line, *lines[at:]])


def test_credentials_are_put_back():
    """A head with other credentials than the one before is found, with its own."""
    memo = HeadMemo()
    [first] = outcome([with_line(b"Authorization: " + SECRET.encode())], memo)
    assert first == Request("GET", "/a/b", "", {"authorization": SECRET, "host": "a"}, b"", "a")
    found = memo.get(with_line(b"authorization: Bearer other", 2))
    assert found == first._replace(headers={"host": "a", "authorization": "Bearer other"})
    assert memo.get(GET) == first._replace(headers={"host": "a"})


def test_credentials_are_not_kept():
    """Nothing that the memo holds has them, whatever was remembered."""
    memo = HeadMemo()
    for line in (b"Authorization: ", b"authorization: ", b"AUTHORIZATION:"):
        outcome([with_line(line + SECRET.encode())], memo)
        memo.get(with_line(line + SECRET.encode()))
    assert SECRET not in repr(vars(memo))
    assert SECRET.split()[1] not in repr(vars(memo))


LINES = [
    b"Authorization: a",
    b"Authorization: a b",
    b"authorization: a",
    b"AUTHORIZATION: a",
    b"Authorization:a",
    b"Authorization:  a",
    b"Authorization: a ",
    b"Authorization: ",
    b"Authorization: a\x00",
    b"Authorization: a\x7f",
    b"Authorization: \xe9",
    b"Authorization: a\tb",
    b" Authorization: a",
    b"X-Authorization: a",
    b"X: 1\r\nAuthorization: a",
    b"Authorization: a\r\n b",
    b"Authorization: a\nX: 1",
    b"Authorization: a\r\nAuthorization: b",
    b"Authorization: a\r\nauthorization: b",
    b"Authorization: " + b"a" * 1000,
    b"Authorization: " + b"a" * 9000,
    b"Content-Length: 1\r\nAuthorization: a",
    b"Authorization: a\r\nTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("line", LINES, ids=[repr(line)[2:40] for line in LINES])
@pytest.mark.parametrize("tail", [b"", b"\r\n", b"GET / HTTP/1.1\r\n"], ids=repr)
@pytest.mark.parametrize("at", range(5))
def test_a_memo_never_changes_what_bytes_mean(line, at, tail):
    """With all heads remembered that could be mistaken, the events stay the same."""
    data = with_line(line, at) + tail
    memo = HeadMemo()
    for head in (GET, with_line(b"Authorization: a"), with_line(b"X: 1"), with_line(b"X: 1\r\nAuthorization: b")):
        outcome([head], memo)
    outcome([with_line(line, at)], memo)
    expected = outcome([data])
    assert expected == outcome([data], memo)
    found = memo.get(data)
    assert found is None or [found] == expected


def test_a_memo_never_changes_what_random_bytes_mean():
    """Nor when lines are shuffled, doubled and cut at random."""
    chance = random.Random(7)
    pieces = [*LINES, b"GET /a/b HTTP/1.1", b"HEAD / HTTP/1.1", b"Host: a", b"Host: b", b"X: 1", b""]
    memo = HeadMemo()
    accepted = 0
    for _ in range(20_000):
        lines = [b"GET /a/b HTTP/1.1", b"Host: a", *chance.choices(pieces, k=chance.randint(0, 3)), b"", b""]
        if chance.random() < 0.3:
            chance.shuffle(lines)
        data = b"\r\n".join(lines)
        found = memo.get(data)
        expected = outcome([data])
        assert found is None or [found] == expected, data
        assert expected == outcome([data], memo), data
        accepted += found is not None
    assert accepted > 1000
