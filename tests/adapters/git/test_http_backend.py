"""A real `git http-backend` on loopback that wants a user and a password."""

import base64
import logging
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from real_git import ENVIRONMENT, fetch, find, refresh, run_git

from pyconfserve.adapters.git.origin import Access
from pyconfserve.errors import BackendMisconfigured

USER, SECRET = "reader", "canary-7f3a"


class Bridge(BaseHTTPRequestHandler):
    """HTTP to `git http-backend` as CGI (RFC 3875)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.headers.get("Authorization"))
        if not self.is_allowed():
            return self.answer(401, [("WWW-Authenticate", "Basic")], b"")
        path, _, query = self.path.partition("?")
        environment = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": self.server.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": USER,
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)  # fmt: skip
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value[:3]) for name, value in headers if name == "Status"), 200)  # fmt: skip
        self.answer(status, [one for one in headers if one[0] != "Status"], body)

    do_POST = do_GET

    def is_allowed(self):
        expected = base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: tests look at what was asked."""


@pytest.fixture
def server(origin):
    """The address of a server of *origin*; `asked` has the credentials that came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Bridge) as made:
        made.root, made.asked = os.path.dirname(origin.uri), []
        made.uri = f"127.0.0.1:{made.server_address[1]}/{os.path.basename(origin.uri)}"
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize("user", ["", f"{USER}:{SECRET}@"], ids=["settings", "uri"])
def test_a_repository_behind_basic_credentials_is_served(server, origin, make_backend, tmp_path, caplog, user):  # fmt: skip
    """Wherever they were given; they are in no file of the clone and in no message."""
    caplog.set_level(logging.DEBUG)
    access = None if user else Access(USER, SECRET)
    clone = tmp_path / "clone"
    backend = make_backend(f"http://{user}{server.uri}", "main", str(clone), access=access)  # fmt: skip
    origin.commit({"orders.yml": "a: v2\n"}, "v2")
    assert fetch(backend) == {"a": 1}
    assert fetch(backend, label="v2") == {"a": "v2"}
    origin.rewrite({"orders.yml": "a: 2\n"})
    refresh(backend)
    assert fetch(backend) == {"a": 2}
    assert run_git(clone, "remote", "get-url", "origin") == f"http://{server.uri}"
    name = find(backend, "orders").sources[0].name
    texts = [str(backend.health()), caplog.text, name]
    texts += [path.read_text("latin-1") for path in clone.rglob("*") if path.is_file()]
    assert [text for text in texts if SECRET in text] == []


@pytest.mark.parametrize(
    "access", [Access(USER, "wrong" + SECRET), Access()], ids=["wrong", "none"]
)
def test_without_the_right_ones_it_says_so(server, make_backend, caplog, access):
    """Nobody is asked for them, and the password is not repeated."""
    backend = make_backend(f"http://{server.uri}", access=access)
    with pytest.raises(BackendMisconfigured) as caught:
        find(backend, "orders")
    assert str(caught.value) == "origin cannot be fetched: authentication failed"
    assert SECRET not in caplog.text


def test_what_was_served_is_served_on_when_they_expire(server, origin, make_backend):
    """And health says why it is old."""
    backend = make_backend(f"http://{server.uri}", access=Access(USER, SECRET))
    assert fetch(backend) == {"a": 1}
    server.RequestHandlerClass = type("Closed", (Bridge,), {"is_allowed": lambda _: False})  # fmt: skip
    origin.commit({"orders.yml": "a: 2\n"})
    with pytest.raises(BackendMisconfigured):
        refresh(backend)
    assert fetch(backend) == {"a": 1}
    expected = "origin cannot be fetched: authentication failed"
    assert expected == backend.health()["problem"]


def test_there_is_no_such_repository(server, make_backend):
    """The server answers 404."""
    backend = make_backend(f"http://{server.uri}-none", access=Access(USER, SECRET))
    with pytest.raises(BackendMisconfigured) as caught:
        find(backend, "orders")
    assert str(caught.value) == "origin cannot be fetched: there is no such repository"
