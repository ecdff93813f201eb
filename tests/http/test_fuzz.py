"""Anything at all, fed to the parser of HTTP and to the names: what must hold of all input.

A short seeded run is part of the suite. For more, with progress:

    PYCONFSERVE_FUZZ=1000000 pytest tests/http/test_fuzz.py

PYCONFSERVE_FUZZ_SEED chooses other inputs. Each input comes from the recorded cases by
a few changes, and from its number alone, so that what fails can be repeated.
"""

import json
import os
import posixpath
import random
import re
import shutil
import subprocess
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from pyconfserve.environment import names
from pyconfserve.errors import InvalidRequest, ProtocolError
from pyconfserve.http.grammar import LARGEST_BODY, LONGEST_LINE, METHODS
from pyconfserve.http.http11 import CONTINUE, Parser
from pyconfserve.http.memo import HeadMemo
from pyconfserve.http.messages import Request

CASES = Path(__file__).parents[1] / "cases"
COUNT = int(os.environ.get("PYCONFSERVE_FUZZ", "0"))
SEED = os.environ.get("PYCONFSERVE_FUZZ_SEED", "0")
SHORT_STREAMS, SHORT_NAMES = 6_000, 15_000
LONGEST_BY_BYTES = 3_000  # bytes of a stream that is fed one by one
GIT_JUDGES = 100  # labels that git itself is asked about


def recorded(name):
    """The rows of a file of cases."""
    return json.loads((CASES / f"{name}.json").read_text("utf-8"))


@contextmanager
def naming(number, given):
    """Whatever goes wrong says for which input."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"input {number} of seed {SEED}: {given!r}"[:4000])
        raise


def numbers(count, capsys, what):
    """The numbers of the inputs, with progress when there are many of them."""
    for number in range(COUNT or count):
        if COUNT and number % max(1, COUNT // 20) == 0:
            with capsys.disabled():
                print(f"\n{what}: {number:,} of {COUNT:,}", end="", flush=True)
        yield number


def mutated(chance, given, corpus, pieces):
    """*given*, a text or bytes, after up to four changes."""
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        place = chance.choice(places(given) if chance.random() < 0.5 else range(len(given) + 1))  # fmt: skip
        end = min(len(given), place + chance.choice((1, 1, 2, 5, 20)))
        kind = chance.randrange(7)
        if kind == 0:  # one unit is another
            given = given[:place] + changed(chance, given[place:end]) + given[end:]
        elif kind == 1:
            given = given[:place] + given[end:]
        elif kind in (2, 3):
            given = given[:place] + chance.choice(pieces) + given[place:]
        elif kind == 4:
            times = chance.choice((1, 1, 2, 3, 40, 200))
            given = given[:end] + given[place:end] * times + given[end:]
        elif kind == 5:  # the rest is another's
            other = chance.choice(corpus)
            given = given[:place] + other[chance.randint(0, len(other)) :]
        else:
            other = chance.choice(corpus)
            start = chance.randint(0, len(other))
            given = given[:place] + other[start : start + 30] + given[place:]
    return given


def places(given):
    """Where words, marks and lines begin and end: what stands there decides the most."""
    edges = rb"\b|\W" if isinstance(given, bytes) else r"\b|\W"
    return [0, *(found.start() for found in re.finditer(edges, given)), len(given)]


def changed(chance, part):
    """*part* with a flipped bit in one byte, or another character in its place."""
    if not part:
        return part
    place = chance.randrange(len(part))
    if isinstance(part, bytes):
        flipped = bytes([part[place] ^ 1 << chance.randrange(8)])
    else:
        flipped = chr(ord(part[place]) ^ 1 << chance.randrange(8))
    return part[:place] + flipped + part[place + 1 :]


# streams

GOOD = [
    b"GET /app/default HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /app/default?a=b HTTP/1.1\r\nHost: [::1]:80\r\nAccept: a\r\nAccept: b\r\n\r\n",
    b"GET http://b:1/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
    b"POST /a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: 1\r\n\r\n",
]
STREAMS = [
    "".join(text * min(times, 300) for text, times in row["bytes_latin1"]).encode("latin-1")
    for row in recorded("http")
] + GOOD * 5  # fmt: skip
BYTES = [
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b",", b";",
    b"%2e", b"..", b"#", b"\\", b"+", b"-", b"_", b"0x", b"0", b"5", b"99999999999", b"F" * 9, b"\xd9\xa5",
    b"\r\n ", b"\r\nHost: b", b"\r\nX: y", b"\r\nContent-Length: 5", b"\r\nContent-Length: +5", b"\r\nTransfer-Encoding: chunked",
    b"\r\nExpect: 100-continue", b"\r\nConnection: close", b"0\r\n\r\n", b"5\r\nhello\r\n", b"HTTP/1.0", b"HTTP/1.1",
    b"GET ", b"POST ", b"/", b"http://b", b"?", b"*", b"[", b"]", b"@", b"a" * 8_200, b"X: 1\r\n" * 101,
]  # fmt: skip


# What longer runs have found: a part of every run since.
FOUND = [
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9_000 + b"\r\nY: ",
    b"GET /" + b"a" * 9_000 + b"\r\nY: ",
]


def stream(number):
    """A stream by its number: a request or several, changed here and there."""
    if number < len(FOUND):
        return FOUND[number]
    chance = random.Random(f"{SEED} {number}")
    data = chance.choice(STREAMS)
    if chance.random() < 0.25:
        data = chance.choice(GOOD) + data
    data = mutated(chance, data, STREAMS, BYTES)
    return data + GOOD[0] if chance.random() < 0.25 else data


def outcome(pieces, memo=None):
    """The events that *pieces* give, the error that ends them, and where each ended.

    After an error the parser is given a good request, and must give nothing for it.
    """
    parser, events, ends, fed = Parser(memo), [], [], 0
    for piece in pieces:
        parser.feed(piece)
        fed += len(piece)
        while (event := next_event(parser)) is not None:
            if isinstance(event, ProtocolError):
                parser.feed(GOOD[0])
                assert next_event(parser) is event
                return [*events, (type(event), event.status, event.path)], ends
            events.append(event)
            ends.append(fed - parser.buffered)
    return events, ends


def next_event(parser):
    """What comes next, be it an error."""
    try:
        return parser.next_event()
    except ProtocolError as error:
        return error


def cut(data):
    """*data* in pieces of random lengths, the same for the same data."""
    pieces, lengths = [], random.Random(data).choices((1, 2, 3, 7, 40, 1000), k=8)
    while data:
        length = lengths[len(pieces) % 8]
        pieces.append(data[:length])
        data = data[length:]
    return pieces


def check_request(request, raw):
    """What holds of every request that is accepted, judged on the bytes it came in."""
    while raw.startswith(b"\r\n"):
        raw = raw[2:]
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert not [byte for line in (first, *lines) for byte in line if byte == 127 or 9 != byte < 32]  # fmt: skip
    assert b"\t" not in first
    assert first.split(b" ")[0].decode() == request.method in METHODS
    assert not [line for line in lines if line[:1] in b" \t" or b":" not in line]
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]  # fmt: skip
    assert not [name for name, _ in fields if not name or set(name) & set(b' "(),/:;<=>?@[\\]{}\t') or max(name) > 126]  # fmt: skip
    hosts = [value for name, value in fields if name == b"host"]
    assert len(hosts) <= 1
    assert hosts or first.endswith(b"HTTP/1.0")
    assert not set("".join(map(bytes.decode, hosts)) + request.host) & set(" @/,\\?#")
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    assert (len(lengths), codings) in ((0, []), (1, []), (0, [b"chunked"]))
    assert all(length and not length.strip(b"0123456789") for length in lengths)
    assert len(request.body) <= LARGEST_BODY
    body = dechunked(rest) if codings else rest
    assert (body, len(body)) == (request.body, int(lengths[0]) if lengths else len(body))  # fmt: skip
    assert codings or lengths or not rest


def dechunked(data):
    """The body in chunks that were accepted, read once more in the simplest way."""
    body = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        digits = line.partition(b";")[0]
        assert digits
        assert not digits.strip(b"0123456789abcdefABCDEF")
        size = int(digits, 16)
        if not size:
            return body
        assert data[size : size + 2] == b"\r\n"
        body += data[:size]
        data = data[size + 2 :]


def serialized(request):
    """A request as bytes that mean the same, or None when joined headers are too long."""
    headers = request.headers
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]  # fmt: skip
    is_1_1 = "host" in headers and request.keep_alive == ("close" not in options)
    target = f"{request.path}?{request.query}" if request.query else request.path
    if request.host != headers.get("host", ""):
        target = f"http://{request.host}{target}"
    first = f"{request.method} {target} HTTP/1.{int(is_1_1)}"
    lines = [first, *(f"{name}:{value}" for name, value in headers.items())]
    if max(map(len, lines)) > LONGEST_LINE:
        return None
    body = request.body
    if "transfer-encoding" in headers:
        body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        body += b"0\r\n\r\n"
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def plain(request):
    """A request without the blanks that joining leaves around an empty header."""
    return request._replace(
        headers={name: value.strip(" \t") for name, value in request.headers.items()}
    )


def test_streams(capsys):
    """Any bytes: a ProtocolError or requests that hold nothing refused, in any pieces."""
    memo, accepted, refused = HeadMemo(1 << 18), 0, 0
    for number in numbers(SHORT_STREAMS, capsys, "streams"):
        data = stream(number)
        with naming(number, data):
            whole, ends = outcome([data])
            assert (whole, ends) == outcome([data], memo)
            assert whole == outcome(cut(data), memo)[0]
            if len(data) <= LONGEST_BY_BYTES:
                assert whole == outcome([data[i : i + 1] for i in range(len(data))])[0]
            start = 0
            for event, end in zip(whole, ends, strict=False):
                if event == CONTINUE:
                    continue  # its request comes later, or never
                check_request(event, data[start:end])
                again = serialized(event)
                parsed = again and [each for each in outcome([again])[0] if each != CONTINUE]  # fmt: skip
                assert parsed in (None, [plain(event)])
                start, accepted = end, accepted + 1
            refused += len(whole) > len(ends)
    # Neither is rare, so that both kinds of claims are tried.
    assert min(accepted, refused) > (COUNT or SHORT_STREAMS) / 5


# names

TEXTS = [
    segment
    for row in recorded("paths")
    for segment in row["target"].partition("?")[0].split("/")
    if segment
]
TEXTS += [text for row in recorded("labels") for text in (row["label"], quote(row["label"]))]  # fmt: skip
TEXTS += [
    "orders", "order-service_2.1", "team(_)orders", "a,b,c", "a(_)b, c", "prod,eu-west.1", "café", "заказы", "注文",
    "feature/x", "release-1.0", "logback.xml", "nginx [prod].conf", "a b", "~x_", "_x", "(_)", "((_)_)", "x" * 255, "é" * 127,
] * 4  # fmt: skip
CHARACTERS = [
    "..", ".", "/", "\\", "%", "%2e", "%2E%2e", "%2f", "%5C", "%252e", "%00", "%c0%ae", "%ed%a0%80", "%ff", "%C3%A9", "(_)", "(", "_)",
    "#", ";", "?", "*", ":", "~", "^", "@{", "[", "{", "$", "-", "@", "+", ",", " ", "\t", "\n", "\r", "\0", "\x7f", "\x85", ".lock",
    "é", "e\u0301", "\u0301", "\ud800", "\udc80", "\u202e", "\u2028", "\ufeff", "．", "／", "\u2025", "ﬁ", "K", "İ", "𝟘", "x" * 60, "é" * 60,
]  # fmt: skip
INNER = {"application": "-_.+@~ /", "profile": "-_.+@~", "path": "-_.+@~ ,=&'()[]$"}


def check_name(field, name):
    """What holds of every accepted name."""
    assert 0 < len(name.encode("utf-8")) <= 255
    assert ".." not in name
    assert posixpath.normpath(f"/root/{name}") == f"/root/{name}"
    assert not set(name) & {*map(chr, range(32)), *"\x7f\\%#;?*:"}
    assert not name.startswith("-") or field == "path"
    if field == "label":
        assert not set(name) & set(" ~^[")
        assert "@{" not in name
        assert not [part for part in name.split("/") if part.startswith(".") or part.endswith(".lock")]  # fmt: skip
        assert not name.endswith(".")
    else:
        assert unicodedata.normalize("NFC", name) == name
        assert not [each for each in name if not each.isalnum() and each not in INNER[field]]  # fmt: skip


def taken(validate, given, field):
    """What a validator gives for *given*; None for what it refuses in its own name."""
    try:
        return validate(given)
    except InvalidRequest as error:
        refused = error.field
    assert refused == field
    return None


def segment_of(raw):
    """A decoded segment, which holds nothing that could reach another file; None if refused."""
    text = taken(names.decode_segment, raw, "path")
    if text is not None:
        assert text == unquote(raw, errors="strict")
        assert ".." not in text != "."
        assert not set(text) & {*map(chr, range(32)), *"\x7f/\\%#;?"}
    return text


def check_names(text, found):
    """Every validator on one text; what is accepted is put into *found* by its kind."""
    singles = (names.application, names.profile, names.label)
    for validate in singles:
        field = validate.__name__
        name = taken(validate, text, field)
        if name is not None:
            check_name(field, name)
            assert validate(name) == name
            assert name in (text, text.strip(" ").replace("(_)", "/"))
            found.setdefault(field, set()).add(name)
    for validate in (names.applications, names.profiles, names.labels):
        field = validate.__name__[:-1]
        items = taken(validate, text, field)
        if items is not None:
            assert 0 < len(items) <= 32
            for item in items:
                check_name(field, item)
            assert validate(",".join(items)) == items
            found.setdefault(f"{field}s", set()).add(items)


def check_path(segments, found):
    """A path of these segments is inside of its root, absent or refused."""
    is_hidden = any(part.startswith(".") for part in segments)
    path = taken(names.path, segments, "path")
    if path is not None:
        assert not is_hidden
        assert path.split("/") == segments
        assert posixpath.normpath(f"/root/{path}") == f"/root/{path}"
        for part in segments:
            check_name("path", part)
        found.setdefault("path", set()).add(path)


def test_names(capsys):
    """Any text: InvalidRequest, or a canonical name that stays below the root it is put in."""
    found, last = {}, []
    for number in numbers(SHORT_NAMES, capsys, "names"):
        chance = random.Random(f"{SEED} name {number}")
        raw = mutated(chance, chance.choice(TEXTS), TEXTS, CHARACTERS)
        with naming(number, raw):
            check_names(raw, found)
            text = segment_of(raw)
            if text is not None:
                check_names(text, found)
                last = [*last, text][-chance.randint(1, 41) :]
                check_path(last, found)
        if number % 20_000 == 19_999:  # a million names need not be kept
            found = {kind: set(sorted(kept)[:500]) for kind, kept in found.items()}
    kinds = {"application", "profile", "label", "applications", "profiles", "labels", "path"}  # fmt: skip
    assert set(found) == kinds
    assert min(map(len, found.values())) >= 100
    judged_by_git(sorted(found["label"]))


def judged_by_git(labels):
    """What we take for a label, git takes for the name of a branch."""
    git = shutil.which("git")
    for label in random.Random(SEED).sample(labels, GIT_JUDGES) if git else ():
        command = [git, "check-ref-format", f"refs/heads/{label}"]
        assert subprocess.run(command, check=False).returncode == 0, label


def test_an_input_comes_from_its_number_alone():
    """The same number and seed give the same input, so that a failure can be repeated."""
    first, second = [[stream(number) for number in range(20)] for _ in "12"]
    assert first == second
    assert len(set(first)) > 15


@pytest.mark.parametrize(
    ("request_", "raw"),
    [
        (Request("GET", "/", "", {"host": "a"}, b"", "a"), b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (Request("GET", "/", "", {"host": "a"}, b"", "a"), b"GET / HTTP/1.1\r\nHost: a\r\n X: b\r\n\r\n"),
        (Request("GET", "/", "", {"host": "a"}, b"", "a"), b"GET / HTTP/1.1\r\nHost: a\r\nX: \x07\r\n\r\n"),
        (Request("GET", "/", "", {"host": "a"}, b"", "a"), b"GET / HTTP/1.1\r\n\r\n"),
        (Request("GET", "/", "", {"host": "a b"}, b"", "a b"), b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (Request("POST", "/", "", {"host": "a"}, b"x", "a"), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
        (Request("POST", "/", "", {"host": "a"}, b"x", "a"), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        (Request("POST", "/", "", {"host": "a"}, b"x", "a"), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"),
    ],
    ids=["hosts", "fold", "control", "no host", "host", "length", "both framings", "body"],
)  # fmt: skip
def test_the_judge_of_requests_refuses(request_, raw):
    """A test of the test: had the parser taken any of these, it would be seen."""
    with pytest.raises(AssertionError):
        check_request(request_, raw)


@pytest.mark.parametrize(
    ("field", "name"),
    [("application", "a/../b"), ("application", "/a"), ("application", "e\u0301"), ("profile", "a/b"), ("profile", "a" * 256), ("label", "a.lock"), ("label", "-a"), ("label", "a/./b"), ("path", "a:b"), ("path", "a/")],
)  # fmt: skip
def test_the_judge_of_names_refuses(field, name):
    """A test of the test: had a validator taken any of these, it would be seen."""
    with pytest.raises(AssertionError):
        check_name(field, name)
