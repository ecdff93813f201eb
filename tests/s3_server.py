"""S3 as moto has it: a real process on a free port of this machine, for tests.

    def test_it(s3_server): ...       # one that all tests share; `bucket` makes a new bucket
    with S3Server() as server: ...    # one of its own, to be killed, paused, started again
    with Gate(server) as gate: ...    # what stands before it, and refuses what it is told

A test is skipped with the line that installs moto; with CI=true it fails. What is stored
is in memory, and ends with the process.
"""

import asyncio
import http.client
import itertools
import os
import socket
import sys
import threading
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest
from store_servers import StoreServer

from pyconfserve.environment.overlay import make_lookup

KEYS = {"access_key": "AKIAPYCONFSERVE", "secret_key": "s3cret-of-the-bucket"}
_names = itertools.count(1)


def values(backend, *request):
    """The values of an answer, by source."""
    found = asyncio.run(backend.sources(make_lookup(*request)))
    return {source.name: source.properties for source in found.sources}


def plain(backend, path):
    """The bytes of a plain file of orders, None for none."""
    found = asyncio.run(backend.file(make_lookup("orders", "prod"), path))
    return found and found.data


class S3Server(StoreServer):
    """A moto_server, and a client of it as others have one.

    *tls* is a certificate and its key, in PEM.
    """

    def __init__(self, tls=None):
        super().__init__()
        self.tls = tls

    def arguments(self):
        if not all(map(find_spec, ("boto3", "moto"))):
            reason = "moto is not installed: pip install 'moto[server]' boto3"
            pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
        run = "from moto.server import main; main()"
        secure = ("-c", str(self.tls[0]), "-k", str(self.tls[1])) if self.tls else ()
        return [sys.executable, "-c", run, "-H", "127.0.0.1", "-p", str(self.port), *secure]

    def is_ready(self):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    @property
    def endpoint(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @cache  # as long as the tests  # noqa: B019
    def client(self):
        """A client of boto3, for whoever writes there as others would."""
        import boto3

        return boto3.session.Session().client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1",
            verify=str(self.tls[0]) if self.tls else None,
            aws_access_key_id=KEYS["access_key"], aws_secret_access_key=KEYS["secret_key"],
        )  # fmt: skip

    def bucket(self, files=None):
        """The name of a new bucket, with files by key."""
        name = f"conf-{next(_names)}"
        client = self.client()
        client.create_bucket(Bucket=name)
        put_all(client, name, files or {})
        return name

    def options(self):
        """What a backend needs beside the address."""
        return {"endpoint": self.endpoint, **KEYS}


def put_all(client, bucket, files):
    """Store texts, or bytes, by key."""
    for key, text in files.items():
        client.put_object(Bucket=bucket, Key=key, Body=text if isinstance(text, bytes) else text.encode())


@pytest.fixture(scope="session")
def s3_server():
    """One that all tests share: nobody stops it."""
    with S3Server() as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(OSError):
            super().handle()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = f"{self.command} {self.path}"
        rule = self.server.rule(asked)
        self.server.asked.append(asked)
        if rule == "cut":
            self.close_connection = True
            return
        if rule == "lie":
            return self.send(200, {"ETag": '"1"'}, b"")
        if isinstance(rule, tuple):
            status, code, *page = rule
            content = page[0] if page else f"<Error><Code>{code}</Code><Message>{KEYS['secret_key']}</Message></Error>"
            return self.send(status, {"Content-Type": "application/xml"}, content.encode())
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=30)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if rule == "lose":
            self.close_connection = True
            return
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else None
        self.send(answer.status, dict(answer.getheaders()), content, length)

    do_GET = do_PUT = do_DELETE = do_HEAD = answer

    def send(self, status, headers, content, length=None):
        self.send_response_only(status)
        for name, text in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, text)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class Gate:
    """What stands before an S3 and lets requests through, but as `rules` say.

    A rule is a start of `METHOD /bucket/key` and what becomes of such requests: a status
    and a code (and a page), "cut" for no answer, "lose" for one that never arrives,
    "lie" for a success that is none. Each is for so many requests. `asked` are all
    requests.
    """

    def __init__(self, server):
        self.rules = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.target, self._server.rule, self._server.asked = server.port, self._rule, []
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._lock = threading.Lock()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def asked(self):
        return self._server.asked

    def options(self, **more):
        """What a backend needs beside the address."""
        return {"endpoint": f"http://127.0.0.1:{self._server.server_port}", **KEYS, **more}

    def refuse(self, start, what, times=1000):
        """Have requests that begin so refused, or lost."""
        self.rules.append([start, what, times])

    def _rule(self, asked):
        with self._lock:
            for rule in self.rules:
                if asked.startswith(rule[0]) and rule[2]:
                    rule[2] -= 1
                    return rule[1]
        return None
