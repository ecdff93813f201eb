"""http11: bytes to messages and back, in whatever pieces the bytes come."""

import random

import pytest

from pyconfserve.errors import ProtocolError
from pyconfserve.http.http11 import CONTINUE, Parser, serialize
from pyconfserve.http.memo import HeadMemo
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.refusals import (
    BodyTooLarge,
    HeadersTooLarge,
    LengthRequired,
    TargetTooLong,
)

GET = b"GET /a/b HTTP/1.1\r\nHost: a\r\n\r\n"
TAIL = b"GET /tail HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
CHUNKED = b"POST /a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTING = b"POST /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


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


def in_bytes(data):
    """*data*, byte by byte."""
    return [data[index : index + 1] for index in range(len(data))]


def in_random_pieces(data, seed):
    """*data* in pieces of random lengths, the same for a seed."""
    lengths = random.Random(seed)
    pieces = []
    while data:
        length = lengths.choice((1, 2, 3, 7, 40, 1000))
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def got(path="/a/b", **fields):
    """A GET as the parser gives it."""
    return Request("GET", path, "", {"host": "a"}, b"", "a", **fields)


def posted(body, **headers):
    """A POST as the parser gives it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/a/b", "", {"host": "a"} | named, body, "a")


def chunks(*rest):
    """A chunked request whose body is *rest*."""
    return CHUNKED + b"".join(rest)


def chunked(body):
    """The request that chunks with *body* give."""
    return posted(body, transfer_encoding="chunked")


COMPLETE = {
    "get": (GET, [got()]),
    "two gets": (GET + GET, [got(), got()]),
    "one blank line before": (b"\r\n" + GET, [got()]),
    "two blank lines before": (b"\r\n\r\n" + GET, [got()]),
    "blank lines before each": ((b"\r\n\r\n" + GET) * 3, [got()] * 3),
    "body": (POST % (5, b"hello"), [posted(b"hello", content_length="5")]),
    "body of crlf": (POST % (4, b"\r\n\r\n"), [posted(b"\r\n\r\n", content_length="4")]),
    "no body": (POST % (0, b""), [posted(b"", content_length="0")]),
    "body like a request": (POST % (len(TAIL), TAIL), [posted(TAIL, content_length=str(len(TAIL)))]),
    "two bodies": (POST % (1, b"x") + POST % (2, b"yz"), [posted(b"x", content_length="1"), posted(b"yz", content_length="2")]),
    "get with a body": (
        b"GET /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        [Request("GET", "/a/b", "", {"host": "a", "content-length": "2"}, b"hi", "a")],
    ),
    "continue": (EXPECTING + b"hi", [CONTINUE, posted(b"hi", content_length="2", expect="100-continue")]),
    "continue, chunked": (
        CHUNKED[:-2] + b"Expect: 100-continue\r\n\r\n0\r\n\r\n",
        [CONTINUE, posted(b"", transfer_encoding="chunked", expect="100-continue")],
    ),
    "expect without a body": (
        GET[:-2] + b"Expect: 100-continue\r\n\r\n",
        [Request("GET", "/a/b", "", {"host": "a", "expect": "100-continue"}, b"", "a")],
    ),
    "chunks": (chunks(b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"), [chunked(b"hello0123456789")]),
    "chunk size with zeros": (chunks(b"00000002\r\nhi\r\n000\r\n\r\n"), [chunked(b"hi")]),
    "chunk extensions": (chunks(b"2;a=b\r\nhi\r\n0;c\r\n\r\n"), [chunked(b"hi")]),
    "longest chunk line": (chunks(b"2;", b"a" * 254, b"\r\nhi\r\n0\r\n\r\n"), [chunked(b"hi")]),
    "chunk of crlf": (chunks(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), [chunked(b"\r\n\r\n")]),
    "trailers": (chunks(b"2\r\nhi\r\n0\r\nX: 1\r\nContent-Length: 99\r\n\r\n"), [chunked(b"hi")]),
    "most trailers": (chunks(b"0\r\n", b"X: 1\r\n" * 100, b"\r\n"), [chunked(b"")]),
    "longest trailer": (chunks(b"0\r\nX: ", b"a" * 8189, b"\r\n\r\n"), [chunked(b"")]),
    "longest request line": (b"GET /" + b"a" * 8178 + GET[8:], [got("/" + "a" * 8178)]),
}  # fmt: skip

REFUSED = {
    "garbage": (b"\0\xff\xfe\r\n\r\n", [ProtocolError]),
    "get, then garbage": (GET + b"GARBAGE\r\n\r\n", [got(), ProtocolError]),
    "three blank lines": (b"\r\n\r\n\r\n" + GET, [ProtocolError]),
    "post without length": (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", [LengthRequired]),
    "bare lf": (b"GET / HTTP/1.1\nHost: a\n\n", [ProtocolError]),
    "bare lf after the last header": (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\n\r\n", [ProtocolError]),
    "bare lf at the end": (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\n", [ProtocolError]),
    "bare lf after the request line": (b"GET / HTTP/1.0\n\n", [ProtocolError]),
    "body too large": (POST % (1048577, b"x"), [BodyTooLarge]),
    "long request line": (b"GET /" + b"a" * 8179 + GET[8:], [TargetTooLong]),
    "endless request line": (b"a" * 9000, [TargetTooLong]),
    "long header": (GET[:-2] + b"X: " + b"a" * 8190 + b"\r\n\r\n", [HeadersTooLarge]),
    "endless header": (GET[:-2] + b"X: " + b"a" * 9000, [HeadersTooLarge]),
    "endless request line, then a header": (b"a" * 9000 + b"\r\nX: ", [TargetTooLong]),
    "endless header, then another": (GET[:-2] + b"X: " + b"a" * 9000 + b"\r\nY: ", [HeadersTooLarge]),
    "many headers": (GET[:-2] + b"X: 1\r\n" * 100 + b"\r\n", [HeadersTooLarge]),
    "large head": (GET[:-2] + (b"X: " + b"a" * 8000 + b"\r\n") * 9 + b"\r\n", [HeadersTooLarge]),
    "endless head": (GET[:-2] + (b"X: " + b"a" * 8000 + b"\r\n") * 9, [HeadersTooLarge]),
    **{
        f"chunk size {size!r}": (chunks(size, b"\r\nhello\r\n0\r\n\r\n"), [ProtocolError])
        for size in (b"", b"-5", b"+5", b"0_5", b"0x5", b" 5", b"5 ", b"5Z", b";a=b", b"5;a\x00", b"F" * 9, b"\xd9\xa5")
    },
    "too many chunks": (chunks(b"1\r\nx\r\n" * 131_073, b"0\r\n\r\n"), [BodyTooLarge]),
    "chunk size with lf": (chunks(b"5\nhello\r\n0\r\n\r\n"), [ProtocolError]),
    "endless chunk size": (chunks(b"5;", b"a" * 300), [ProtocolError]),
    "long chunk line": (chunks(b"2;", b"a" * 255, b"\r\nhi\r\n0\r\n\r\n"), [ProtocolError]),
    "chunk too large": (chunks(b"100001\r\n"), [BodyTooLarge]),
    "chunks too large": (chunks(b"2\r\nhi\r\nFFFFF\r\n"), [BodyTooLarge]),
    "chunk without crlf": (chunks(b"5\r\nhelloXX0\r\n\r\n"), [ProtocolError]),
    "chunk ends in lf": (chunks(b"5\r\nhello\n0\r\n\r\n"), [ProtocolError]),
    "bad trailer": (chunks(b"0\r\nX T: 1\r\n\r\n"), [ProtocolError]),
    "trailer with lf": (chunks(b"0\r\nX: 1\n\r\n\r\n"), [ProtocolError]),
    "long trailer": (chunks(b"0\r\nX: ", b"a" * 8190, b"\r\n\r\n"), [ProtocolError]),
    "many trailers": (chunks(b"0\r\n", b"X: 1\r\n" * 101, b"\r\n"), [HeadersTooLarge]),
}  # fmt: skip

UNFINISHED = {
    "nothing": (b"", []),
    "half a blank line": (b"\r", []),
    "two blank lines": (b"\r\n\r\n", []),
    "half a line": (b"GET /a", []),
    "head without its end": (GET[:-1], []),
    "half a body": (POST % (5, b"hel"), []),
    "half a body, awaited": (EXPECTING + b"h", [CONTINUE]),
    "half a chunk size": (chunks(b"5"), []),
    "half a chunk": (chunks(b"5\r\nhel"), []),
    "chunk without its end": (chunks(b"5\r\nhello\r"), []),
    "half of the trailers": (chunks(b"0\r\nX: 1\r\n"), []),
    "get, then half a line": (GET + b"GET", [got()]),
}

ALL = COMPLETE | REFUSED | UNFINISHED


def table(rows):
    """Parametrize *data* and *expected* by *rows*."""
    return pytest.mark.parametrize(("data", "expected"), rows.values(), ids=rows.keys())


@table(ALL)
def test_bytes_give_events(data, expected):
    """Each input, fed whole, gives these events and then this error, or waits for more."""
    assert expected == outcome([data])


@table(ALL)
def test_single_bytes_give_the_same_events(data, expected):
    """What comes a byte at a time means what it means whole."""
    assert expected == outcome(in_bytes(data))


@table(ALL)
@pytest.mark.parametrize("seed", range(3))
def test_random_pieces_give_the_same_events(data, expected, seed):
    """Where the pieces are cut does not matter."""
    assert expected == outcome(in_random_pieces(data, seed))


@table(COMPLETE)
def test_a_request_ends_where_the_next_begins(data, expected):
    """A pipelined request after any complete input is read as if it stood alone."""
    wanted = [*expected, got("/tail")]
    assert wanted == outcome([data + TAIL])
    assert wanted == outcome([data, TAIL])


@table(REFUSED)
def test_nothing_is_read_after_an_error(data, expected):
    """What follows a refused input changes neither the events nor the error."""
    assert expected == outcome([data + TAIL])


@table(REFUSED)
def test_an_error_spends_the_parser(data, expected):
    """Whoever asks again is given the same error, whatever has come since."""
    parser, found = Parser(), []
    for piece in (data, TAIL):
        parser.feed(piece)
        with pytest.raises(ProtocolError) as caught:  # noqa: PT012
            while parser.next_event() is not None:
                pass
        found.append(caught.value)
    assert found == [found[0]] * 2
    assert type(found[0]) is expected[-1]


@table(COMPLETE)
def test_a_memo_changes_no_event(data, expected):
    """A second parser with the heads of the first gives the same events."""
    memo = HeadMemo()
    assert expected == outcome([data], memo)
    assert expected == outcome([data], memo)


def test_a_message_names_the_limit():
    """The message of an error says what was expected, never what was got."""
    parser = Parser()
    parser.feed(b"secret" * 2000)
    with pytest.raises(
        TargetTooLong, match=r"\Aa line of a head is at most 8192 bytes\Z"
    ):
        parser.next_event()


# where a parser stands


@pytest.mark.parametrize(
    ("data", "is_idle", "is_in_body", "buffered"),
    [
        (b"", True, False, 0),
        (b"\r\n", True, False, 0),
        (b"G", False, False, 1),
        (GET, True, False, 0),
        (GET + b"GET", False, False, 3),
        (POST % (5, b"hel"), False, True, 3),
        (POST % (5, b"hello"), True, False, 0),
        (chunks(b"5\r\nhel"), False, True, 3),
        (chunks(b"0\r\n"), False, True, 0),
        (chunks(b"0\r\n\r\n"), True, False, 0),
    ],
    ids=["new", "blank line", "head", "done", "next head", "body", "body done", "chunk", "trailers", "chunks done"],
)  # fmt: skip
def test_a_parser_knows_where_it_stands(data, is_idle, is_in_body, buffered):
    """Idle between requests, in a body after a head; the rest is counted in bytes."""
    parser = Parser()
    parser.feed(data)
    while parser.next_event() is not None:
        pass
    assert (is_idle, is_in_body, buffered) == (
        parser.is_idle,
        parser.is_in_body,
        parser.buffered,
    )


# answers


OK = Response(200, (("Content-Type", "application/json"), ("ETag", '"1"')), b"{}")
OK_HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b'ETag: "1"\r\n'
    b"Content-Length: 2\r\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
)


@pytest.mark.parametrize(
    ("response", "options", "expected"),
    [
        (OK, {}, OK_HEAD + b"\r\n{}"),
        (OK, {"with_body": False}, OK_HEAD + b"\r\n"),
        (OK, {"keep_alive": False}, OK_HEAD + b"Connection: close\r\n\r\n{}"),
        (OK, {"says_keep_alive": True}, OK_HEAD + b"Connection: keep-alive\r\n\r\n{}"),
        (OK, {"keep_alive": False, "says_keep_alive": True}, OK_HEAD + b"Connection: close\r\n\r\n{}"),
        (Response(200), {}, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"),
        (
            Response(204, (("Allow", "GET"),)),
            {},
            b"HTTP/1.1 204 No Content\r\nAllow: GET\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        ),
        (
            Response(304, (("ETag", '"1"'),)),
            {},
            b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n',
        ),
        (CONTINUE, {}, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (
            Response(421, (("X", "caf\xe9"),), b"\xff"),
            {},
            b"HTTP/1.1 421 Misdirected Request\r\nX: caf\xe9\r\nContent-Length: 1\r\n"
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n\xff",
        ),
    ],
    ids=["200", "head", "close", "keep-alive", "close wins", "empty", "204", "304", "100", "latin-1"],
)  # fmt: skip
def test_an_answer_is_these_bytes(response, options, expected):
    """Status, headers, length, Date and Connection, then the body where there is one."""
    assert expected == serialize(response, date=DATE, **options)
