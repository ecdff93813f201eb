"""grammar: the head of a request, its framing, and the limits of both."""

import time

import pytest

from pyconfserve.errors import ProtocolError
from pyconfserve.http import grammar
from pyconfserve.http.grammar import (
    LARGEST_BODY,
    LARGEST_HEADERS,
    LONGEST_LINE,
    MOST_HEADERS,
    check_sizes,
    parse_head,
    parse_header,
)
from pyconfserve.http.messages import Request
from pyconfserve.http.refusals import (
    BodyTooLarge,
    ExpectationFailed,
    HeadersTooLarge,
    LengthRequired,
    TargetTooLong,
    UnknownMethod,
    UnknownTransferCoding,
    UnknownVersion,
)

HOST = "Host: a"
BAD_LINE = "expected a method, a target and HTTP/1.1, each after one blank"
BAD_HEADER = "a header is a name, a colon and a value without control bytes"
BAD_HOST = "a Host is a name or an address, with a port or without"
BAD_LENGTH = "a Content-Length is a number in digits"
BAD_CODING = "the only transfer coding is one chunked"
BAD_TARGET = "a target begins with a slash"
BAD_VERSION = "this server speaks HTTP/1.0 and HTTP/1.1"
BOTH_FRAMINGS = "Transfer-Encoding with Content-Length, or in HTTP/1.0"
TOO_LARGE = "a header is at most 8192 bytes, all of them 65536"
BODY_TOO_LARGE = "a body is at most 1048576 bytes"
NO_LENGTH = "a body without its length: send Content-Length, 0 for none"


def head(*lines):
    """The bytes of a head with these lines."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def get(*headers, version="1.1", target="/a/b"):
    """The head of a GET with these headers, and a Host."""
    return head(f"GET {target} HTTP/{version}", HOST, *headers)


def post(*headers, version="1.1"):
    """The head of a POST with these headers, and a Host."""
    return head(f"POST /a/b HTTP/{version}", HOST, *headers)


def refusal(function, argument):
    """The type and the message of the error that *argument* is refused with."""
    with pytest.raises(ProtocolError) as caught:
        function(argument)
    return type(caught.value), str(caught.value)


def test_the_limits_are_those_of_the_design():
    """What a head and a body may have is named once, in bytes and in headers."""
    expected = (8192, 65536, 100, 1048576)
    assert expected == (LONGEST_LINE, LARGEST_HEADERS, MOST_HEADERS, LARGEST_BODY)


def test_the_known_methods():
    """Every other method is 501; of these, routes say which they have."""
    expected = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
    assert expected == grammar.METHODS


# sizes


@pytest.mark.parametrize(
    "fitting",
    [
        get(),
        head(f"GET /{'a' * (LONGEST_LINE - 14)} HTTP/1.1", HOST),
        get(f"X: {'a' * (LONGEST_LINE - 3)}"),
        get(*["X: 1"] * (MOST_HEADERS - 1)),
        get(*["X: " + "a" * 8100] * 8, "X: " + "a" * 661),
    ],
    ids=["small", "request line", "header line", "headers", "all bytes"],
)
def test_a_head_may_reach_the_limits(fitting):
    """A head at one of the limits passes, and it parses."""
    assert len(fitting) <= LARGEST_HEADERS
    assert check_sizes(fitting) is None
    assert parse_head(fitting).host == "a"


@pytest.mark.parametrize(
    ("large", "kind", "message"),
    [
        (head(f"GET /{'a' * (LONGEST_LINE - 13)} HTTP/1.1", HOST), TargetTooLong, "a request line is at most 8192 bytes"),
        (get(f"X: {'a' * (LONGEST_LINE - 2)}"), HeadersTooLarge, TOO_LARGE),
        (get(*["X: 1"] * MOST_HEADERS), HeadersTooLarge, "more than 100 headers"),
        (get(*["X: " + "a" * 8100] * 8, "X: " + "a" * 662), HeadersTooLarge, TOO_LARGE),
        (head("a" * 9000, "b" * 9000), TargetTooLong, "a request line is at most 8192 bytes"),
    ],
    ids=["request line", "header line", "headers", "all bytes", "the first line counts first"],
)  # fmt: skip
def test_a_head_above_a_limit_is_refused(large, kind, message):
    """One byte or one header above a limit is refused, in the order of the lines."""
    assert (kind, message) == refusal(check_sizes, large)


# the head


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (get(), Request("GET", "/a/b", "", {"host": "a"}, b"", "a", True)),
        (get(target="/a/b?c=/../d?e"), Request("GET", "/a/b", "c=/../d?e", {"host": "a"}, b"", "a")),
        (get(target="/%2e%2E"), Request("GET", "/%2e%2E", "", {"host": "a"}, b"", "a")),
        (get(target="http://B:80/x?y"), Request("GET", "/x", "y", {"host": "a"}, b"", "B:80")),
        (get(target="HTTPS://b"), Request("GET", "/", "", {"host": "a"}, b"", "b")),
        (get(target="http://b?y"), Request("GET", "/", "y", {"host": "a"}, b"", "b")),
        (head("OPTIONS * HTTP/1.1", HOST), Request("OPTIONS", "*", "", {"host": "a"}, b"", "a")),
        (head("GET / HTTP/1.0"), Request("GET", "/", "", {}, b"", "", False)),
        (head("GET http://b/ HTTP/1.0"), Request("GET", "/", "", {}, b"", "b", False)),
        (get("Connection: Keep-Alive", version="1.0"), Request("GET", "/a/b", "", {"host": "a", "connection": "Keep-Alive"}, b"", "a", True)),
        (get("Connection: x , CLOSE"), Request("GET", "/a/b", "", {"host": "a", "connection": "x , CLOSE"}, b"", "a", False)),
        (get("Accept: a", "ACCEPT:\tb \t"), Request("GET", "/a/b", "", {"host": "a", "accept": "a, b"}, b"", "a")),
        (get("X:", "Y: caf\xe9"), Request("GET", "/a/b", "", {"host": "a", "x": "", "y": "caf\xe9"}, b"", "a")),
        (get("Content-Length: 5"), Request("GET", "/a/b", "", {"host": "a", "content-length": "5"}, b"", "a")),
        (get("Expect: 100-Continue"), Request("GET", "/a/b", "", {"host": "a", "expect": "100-Continue"}, b"", "a")),
        (post("Transfer-Encoding: Chunked"), Request("POST", "/a/b", "", {"host": "a", "transfer-encoding": "Chunked"}, b"", "a")),
        (post("Content-Length: 0001048576"), Request("POST", "/a/b", "", {"host": "a", "content-length": "0001048576"}, b"", "a")),
        (head("DELETE / HTTP/1.1", HOST), Request("DELETE", "/", "", {"host": "a"}, b"", "a")),
    ],
    ids=[
        "get", "query", "escapes stay", "absolute", "absolute, no path", "absolute, query only", "options of all",
        "1.0 needs no host", "1.0 absolute", "1.0 keep-alive", "close among options", "joined headers",
        "empty and latin-1 values", "get with a body", "expect", "chunked", "length with zeros", "delete needs no length",
    ],
)  # fmt: skip
def test_a_head_is_a_request(given, expected):
    """Method, raw path, query, headers by lower-case name, host and keep-alive."""
    assert expected == parse_head(given)


@pytest.mark.parametrize(
    "host",
    ["a", "A.b-c_d~e", "1.2.3.4:0", "a:65535", "[::1]", "[::ffff:1.2.3.4]:8888", "a:00080"],
)  # fmt: skip
def test_a_host_is_kept_as_sent(host):
    """A name, an IPv4 or a bracketed IPv6 address, with a port or without."""
    assert host == parse_head(head("GET / HTTP/1.1", f"Host: {host}")).host


@pytest.mark.parametrize(
    "line",
    [
        "", "GET", "GET /", "GET / ", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1",
        "GET\t/\tHTTP/1.1", "GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.10", "GET / HTTP/11.1", "GET / FTP/1.1",
        "GET /a b HTTP/1.1", "GET /a#b HTTP/1.1", "GET /\xe9 HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /\x00 HTTP/1.1",
        "G@T / HTTP/1.1", "GET\x00 / HTTP/1.1", "GET\xc3 / HTTP/1.1", "GET /\nHTTP/1.1", "GET /\rX HTTP/1.1",
    ],
)  # fmt: skip
def test_another_request_line_is_refused(line):
    """Blanks, fragments, control bytes and other versions' spellings are no request line."""
    assert (ProtocolError, BAD_LINE) == refusal(parse_head, head(line, HOST))


@pytest.mark.parametrize(
    "header",
    [
        "X : 1", " X: 1", "\tX: 1", "X", ": 1", "X Y: 1", "X\x00: 1", "X\xff: 1", "X: a\x00b", "X: a\x07b", "X: a\x7fb",
        "X: a\rb", "X: a\nY: b", "X: a\r", "X: a\n", "X: \x0b1", "X(: 1", " continued",
    ],
)  # fmt: skip
def test_another_header_is_refused(header):
    """Names are tokens right before their colon; values hold no control bytes but tab."""
    assert (ProtocolError, BAD_HEADER) == refusal(parse_head, get(header))


@pytest.mark.parametrize("end", [b"\n\n", b"\n\r\n", b"\r\n\n"])
@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5", b"GET / HTTP/1.0"],
    ids=["header", "request line"],
)
def test_a_head_that_ends_without_crlf_is_refused(start, end):
    """The last line ends with CRLF as all others do: it must not get lost (RFC 9112 §2.2)."""
    with pytest.raises(ProtocolError):
        parse_head(start + end)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (get(version="2.0"), UnknownVersion, BAD_VERSION),
        (get(version="1.2"), UnknownVersion, BAD_VERSION),
        (get(version="0.9"), UnknownVersion, BAD_VERSION),
        (head("get / HTTP/1.1", HOST), UnknownMethod, "a method that no route has"),
        (head("CONNECT a:443 HTTP/1.1", HOST), UnknownMethod, "a method that no route has"),
        (get(target="a/b"), ProtocolError, BAD_TARGET),
        (get(target="*"), ProtocolError, BAD_TARGET),
        (get(target="ftp://a/b"), ProtocolError, BAD_TARGET),
        (head("OPTIONS a HTTP/1.1", HOST), ProtocolError, BAD_TARGET),
        (head("GET / HTTP/1.1"), ProtocolError, "a request of HTTP/1.1 names its Host"),
        (head("GET http://a/ HTTP/1.1"), ProtocolError, "a request of HTTP/1.1 names its Host"),
        (get(target="http://u@a/"), ProtocolError, BAD_HOST),
        (get(target="http:///b"), ProtocolError, BAD_HOST),
        (get(target="http://a:65536/"), ProtocolError, BAD_HOST),
        (get("Expect: 200-ok"), ExpectationFailed, "the only expectation is 100-continue"),
        (get("Expect:"), ExpectationFailed, "the only expectation is 100-continue"),
    ],
    ids=[
        "2.0", "1.2", "0.9", "lower case", "connect", "relative", "star", "other scheme", "options of a name",
        "no host", "no host, absolute", "userinfo", "no authority", "port", "expectation", "empty expectation",
    ],
)  # fmt: skip
def test_what_we_do_not_speak_is_refused(given, kind, message):
    """Versions, methods, targets, hosts and expectations that are none of ours."""
    assert (kind, message) == refusal(parse_head, given)


@pytest.mark.parametrize(
    "host", ["", "a b", "u@a", "a/b", "a, b", "a:", "a:99999999", "a:65536", "a:-1", "a:+1", "[::1", "::1", "a\xe9", "a?b"]
)  # fmt: skip
def test_another_host_is_refused(host):
    """A Host with a blank, userinfo, a slash, a comma or a bad port is refused."""
    given = head("GET / HTTP/1.1", f"Host: {host}")
    assert (ProtocolError, BAD_HOST) == refusal(parse_head, given)


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Authorization", "Expect"],
)  # fmt: skip
def test_some_headers_stand_once(name):
    """A second header of these is refused, also an equal one."""
    given = head("POST / HTTP/1.1", f"{name}: 1", f"{name.upper()}: 1")
    assert (ProtocolError, f"more than one {name.lower()} header") == refusal(
        parse_head, given
    )


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (post(), LengthRequired, NO_LENGTH),
        (head("PUT / HTTP/1.1", HOST), LengthRequired, NO_LENGTH),
        (head("PATCH / HTTP/1.0"), LengthRequired, NO_LENGTH),
        (post("Content-Length: 5", "Transfer-Encoding: chunked"), ProtocolError, BOTH_FRAMINGS),
        (post("Transfer-Encoding: chunked", version="1.0"), ProtocolError, BOTH_FRAMINGS),
        (post("Transfer-Encoding: gzip"), UnknownTransferCoding, BAD_CODING),
        (post("Transfer-Encoding: identity"), UnknownTransferCoding, BAD_CODING),
        (post("Transfer-Encoding: gzip, chunked"), ProtocolError, BAD_CODING),
        (post("Transfer-Encoding: chunked, chunked"), ProtocolError, BAD_CODING),
        (post("Transfer-Encoding: \xa0chunked"), ProtocolError, BAD_CODING),
        (post("Transfer-Encoding:"), UnknownTransferCoding, BAD_CODING),
        *[
            (post(f"Content-Length: {length}"), ProtocolError, BAD_LENGTH)
            for length in ("", "-5", "+5", "5 1", "5, 5", "5.0", "0x5", "1_0", "5Z", "\xd9\xa5", "\xb2")
        ],
        (post("Content-Length: 1048577"), BodyTooLarge, BODY_TOO_LARGE),
        (post("Content-Length: 99999999999"), BodyTooLarge, BODY_TOO_LARGE),
        (post(f"Content-Length: {'9' * 5000}"), BodyTooLarge, BODY_TOO_LARGE),
    ],
)  # fmt: skip
def test_another_framing_is_refused(given, kind, message):
    """A body has its length in digits or is chunked once, and is within the limit (RFC 9112 §6)."""
    assert (kind, message) == refusal(parse_head, given)


def test_an_expectation_of_http_1_0_is_ignored():
    """RFC 9110 §10.1.1: a 100-continue of HTTP/1.0 must be ignored."""
    given = post("Content-Length: 2", "Expect: 100-continue", version="1.0")
    assert "expect" not in parse_head(given).headers


# one header


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Accept: a", ("accept", "a")),
        (b"X-a.b|~:b", ("x-a.b|~", "b")),
        (b"X:", ("x", "")),
        (b"X: \t ", ("x", "")),
        (b"X: \t a \t b \t", ("x", "a \t b")),
        (b"X: a:b", ("x", "a:b")),
        (b"X: caf\xc3\xa9", ("x", "caf\xc3\xa9".encode("latin-1").decode("latin-1"))),
    ],
)
def test_a_header_line_is_a_name_and_a_value(line, expected):
    """The name comes in lower case, the value without the blanks around it, as latin-1."""
    assert expected == parse_header(line)


@pytest.mark.parametrize(
    "value",
    [b" " * 8000 + b"\0", b"\t" * 8000 + b"\0", b"a " * 4000 + b"\0", b"a" + b" " * 8000 + b"\0"],
    ids=["blanks", "tabs", "words", "trailing blanks"],
)  # fmt: skip
def test_a_long_header_is_refused_at_once(value):
    """The time that a line takes grows with its length, not with its square."""
    started = time.process_time()
    assert (ProtocolError, BAD_HEADER) == refusal(parse_header, b"X:" + value)
    assert time.process_time() - started < 0.05
