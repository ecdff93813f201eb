"""check --race: what it says of an endpoint that keeps its promise, and of others."""

import json
import os
import re
import subprocess
import sys
import threading
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("boto3")
from s3_server import KEYS, Gate

from pyconfserve.adapters.s3_client import Bucket
from pyconfserve.adapters.s3_race import Outcome, race

PROJECT = Path(__file__).parents[2]
START = "PYCONFSERVE_STORE_"
PATIENCE = 60  # seconds for what takes one or two


class Careless(BaseHTTPRequestHandler):
    """An S3 that looks at conditions first and writes then, as some do.

    All writers of a round look before one of them writes.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, text in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(text))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())

    def do_GET(self):
        found = self.server.objects.get(self.path)
        if found is None:
            return self.refuse(404, "NoSuchKey")
        stamp = formatdate(usegmt=True)
        self.answer(200, found, ETag=f'"{md5(found).hexdigest()}"', Last_Modified=stamp)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = self.server.objects.get(self.path)
        etag = found and f'"{md5(found).hexdigest()}"'
        if self.headers["If-None-Match"] == "*" and found is not None:
            return self.refuse(412, "PreconditionFailed")
        if self.headers["If-Match"] not in (None, etag):
            return self.refuse(412, "PreconditionFailed")
        self.server.look()
        self.server.objects[self.path] = body
        self.answer(200, ETag=f'"{md5(body).hexdigest()}"')

    def do_DELETE(self):
        self.server.objects.pop(self.path, None)
        self.answer(204)


@pytest.fixture
def careless():
    """A server of that kind; its objects are a dict."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    server.daemon_threads = True
    server.objects = {}
    pair = threading.Barrier(2)

    def look():
        try:
            pair.wait(0.05)
        except threading.BrokenBarrierError:
            pair.reset()

    server.look = look
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments, endpoint="", **more):
    """(status, lines, words for people) of the command."""
    named = {"ENDPOINT": endpoint, "USERNAME": KEYS["access_key"], "PASSWORD": KEYS["secret_key"], **more}
    environ = {**os.environ, **{START + name: text for name, text in named.items() if text}}
    command = [sys.executable, "-m", "pyconfserve", "check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environ, timeout=PATIENCE)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def named(line):
    """A line without what each race chooses anew of its key."""
    return re.sub(r"\.pyconfserve-race-[0-9a-f]{16}-\d", "KEY", line)


def keys(server, bucket):
    return [one["Key"] for one in server.client().list_objects_v2(Bucket=bucket).get("Contents", ())]


def test_a_promise_that_is_kept(s3_server):
    """Every increment that was told is in the count, and nothing is left behind."""
    bucket = s3_server.bucket({"a/orders.yml": "a: 1"})
    status, lines, words = run(f"s3://{bucket}/a", "--race", endpoint=s3_server.endpoint)
    # moto fails now and then under load: such an increment got no answer.
    figures = r"If-Match: 160 of 160 increments were told to be made(, \d got no answer)?, the count is 16\d"
    assert re.fullmatch(figures, lines[1])
    assert [lines[0], lines[2]] == [
        "If-None-Match: 1 of 8 writers were told that they created the object",
        "If-Match of a removal: one with a wrong ETag is refused",
    ]
    assert words[0] == "pyconfserve: 8 writers count up one object, 20 times each"
    assert re.fullmatch(rf"pyconfserve: s3://{bucket}/a: the promise is kept in [\d.]+ s: several servers may save here", words[1])
    assert (status, keys(s3_server, bucket)) == (0, ["a/orders.yml"])


def test_a_promise_that_is_broken(careless):
    """Lost updates are counted, and the command fails."""
    endpoint = f"http://127.0.0.1:{careless.server_port}"
    status, lines, words = run("s3://conf", "--race", endpoint=endpoint)
    assert status == 1
    told, final, lost = map(int, re.fullmatch(r"If-Match: (\d+) of 160 increments were told to be made, the count is (\d+), (\d+) of them are lost", lines[1]).groups())
    assert (told, final) == (160, 160 - lost)
    assert lines[2] == "If-Match of a removal: one with a wrong ETag is not refused"
    assert re.fullmatch(r"pyconfserve: s3://conf: the promise is broken in [\d.]+ s: let one server alone save here", words[-1])
    assert careless.objects == {}


def test_settings_may_stand_in_a_file(s3_server, tmp_path):
    """As those of a server: its endpoint and keys count, ROOT is the bucket."""
    place = tmp_path / "settings.yml"
    backend = {"type": "s3", "uri": "s3://other", "endpoint": s3_server.endpoint, "username": "a", "password": "b"}
    place.write_text(json.dumps({"pyfly": {"config-server": {"backend": backend}}}))
    status, _, words = run("s3://nobody", "--race", "--settings", str(place), USERNAME="", PASSWORD="")
    assert (status, named(words[-1])) == (1, "pyconfserve: error: s3://nobody: KEY: there is no such bucket")


def test_an_endpoint_that_fails(s3_server):
    """Nothing can be told then, which is no success."""
    with Gate(s3_server) as gate:
        bucket = s3_server.bucket()
        gate.refuse("GET", (503, "SlowDown"))
        status, lines, words = run(f"s3://{bucket}", "--race", endpoint=gate.options()["endpoint"])
        assert (status, keys(s3_server, bucket)) == (1, [])
        assert [*map(named, lines[1:])] == [
            "If-Match: 0 of 160 increments were told to be made, the count is not readable",
            "If-Match of a removal: one with a wrong ETag is refused",
            f"a request failed: s3://{bucket}: KEY: it asks for fewer requests",
        ]
        assert re.fullmatch(rf"pyconfserve: s3://{bucket}: nothing can be told in [\d.]+ s: too little was answered", words[-1])


def test_answers_that_are_lost_break_no_promise(s3_server):
    """They may have been counted, or not."""
    with Gate(s3_server) as gate:
        bucket = Bucket(f"s3://{s3_server.bucket()}", **gate.options())
        gate.rules.append(["PUT", None, 11])  # who creates them, and one more
        gate.refuse("PUT", "lose", times=2)
        gate.refuse("PUT", "cut", times=2)
        outcome = race(bucket, writers=1, rounds=5)
        bucket.close()
    assert (outcome.creators, outcome.told, outcome.unknown, outcome.final) == (1, 5, 4, 7)
    assert (outcome.is_kept, outcome.is_broken) == (True, False)


def test_updates_that_are_lost_among_answers_that_are(s3_server):
    """As many were made without an answer: the count alone would be right."""
    with Gate(s3_server) as gate:
        bucket = Bucket(f"s3://{s3_server.bucket()}", **gate.options())
        gate.rules.append(["PUT", None, 10])  # who creates them
        gate.refuse("PUT", "lose", times=4)
        gate.refuse("PUT", "lie", times=4)
        outcome = race(bucket, writers=1, rounds=5)
        bucket.close()
    assert (outcome.creators, outcome.told, outcome.unknown, outcome.final) == (1, 5, 4, 5)
    assert (outcome.lost, outcome.is_kept, outcome.is_broken) == (4, False, True)


class Creating(Careless):
    """An S3 that keeps If-Match, and looks first before it creates."""

    def do_PUT(self):
        if self.headers["If-None-Match"]:
            return super().do_PUT()
        with self.server.writing:
            super().do_PUT()


def test_a_creation_that_looks_first(careless):
    """It takes several objects to see that two made one of them."""
    careless.RequestHandlerClass = Creating
    careless.writing, careless.look = threading.Lock(), lambda: threading.Event().wait(0.001)
    bucket = Bucket("s3://conf", endpoint=f"http://127.0.0.1:{careless.server_port}", **KEYS)
    outcome = race(bucket, rounds=1)
    bucket.close()
    assert (outcome.lost, outcome.is_broken, careless.objects) == (0, True, {})
    assert outcome.creators > 1


def test_an_endpoint_that_answers_anything(s3_server):
    """It is no S3, and the command says so."""
    with Gate(s3_server) as gate:
        gate.refuse("", (200, "", ""))
        _, lines, words = run("s3://conf", "--race", endpoint=gate.options()["endpoint"])
    assert (lines, named(words[-1])) == ([], "pyconfserve: error: s3://conf: KEY: what answers there is no S3")


def test_what_cannot_be_removed_is_told(s3_server):
    """By its keys; one failure is none."""
    with Gate(s3_server) as gate:
        bucket = s3_server.bucket()
        gate.refuse("GET", (503, "SlowDown"))  # which is soon over
        gate.rules.append(["DELETE", None, 1])  # the one with a wrong ETag
        gate.refuse("DELETE", (503, "SlowDown"), times=1)
        gate.rules.append(["DELETE", None, 1])
        gate.refuse("DELETE", (403, "AccessDenied"))
        status, lines, _ = run(f"s3://{bucket}", "--race", endpoint=gate.options()["endpoint"])
    told = [f"it could not be removed: {key}" for key in keys(s3_server, bucket)]
    assert (status, len(told), lines[-9:]) == (1, 9, told)


OUTCOMES = {  # creators, told, lost, unknown, final: is it kept, is it broken
    "all": ((1, 160, 0, 0, 160), True, False),
    "lost-answers": ((1, 160, 0, 2, 161), True, False),
    "lost-updates": ((1, 160, 1, 0, 159), False, True),
    "lost-among-unknown": ((1, 160, 1, 2, 160), False, True),
    "more-than-told": ((1, 160, 0, 2, 163), False, True),
    "two-creators": ((2, 160, 0, 0, 160), False, True),
    "no-creator": ((0, 160, 0, 0, 160), False, False),
    "too-few": ((1, 159, 0, 0, 159), False, False),
    "not-readable": ((1, 160, 0, 0, None), False, False),
}


@pytest.mark.parametrize(("counts", "is_kept", "is_broken"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_figures_mean(counts, is_kept, is_broken):
    """A loss breaks the promise; too few answers tell nothing."""
    creators, told, lost, unknown, final = counts
    outcome = Outcome(8, creators, 160, told, lost, unknown, final, True, (), "", 1.0)
    assert (outcome.is_kept, outcome.is_broken) == (is_kept, is_broken)


REFUSED = {
    "folder": ((".", "--race"), 2, "pyconfserve: error: only s3://BUCKET has a race: the others keep their promise"),
    "nothing": (("--race",), 2, "pyconfserve: error: say what to race: python -m pyconfserve check s3://BUCKET --race"),
    "flags": (("s3://conf", "--race", "--strict"), 2, "pyconfserve: error: --race is told no more than ROOT and --settings"),
    "no-race": (("s3://conf",), 2, "pyconfserve: error: check reads folders: give it a checkout instead"),
    "settings": ((".", "--settings", "x"), 2, "pyconfserve: error: --settings is for --race"),
    "away": (("s3://conf", "--race"), 1, "pyconfserve: error: s3://conf: KEY: it is away"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_race(arguments, status, problem):
    """Wrong calls are told apart from an endpoint that is away."""
    found = run(*arguments, endpoint="http://127.0.0.1:9")
    assert (found[0], found[1], named(found[2][-1])) == (status, [], problem)


def test_a_bucket_that_is_not_there(s3_server):
    """It is told at once."""
    status, lines, words = run("s3://nobody", "--race", endpoint=s3_server.endpoint)
    assert (status, lines, named(words[-1])) == (1, [], "pyconfserve: error: s3://nobody: KEY: there is no such bucket")
