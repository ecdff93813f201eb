"""Secrets: twenty are planted, everything is exercised, and none comes out anywhere but
in the answer that it is for.
"""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyconfserve.credentials import Credentials
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request
from pyconfserve.http.monitor import Monitor
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer
from pyconfserve.settings import Settings

PROJECT = Path(__file__).parents[2]
NAMES = (
    "yaml value", "json value", "properties value", "toml value", "value in a broken file",
    "saved value", "password", "wrong password", "token", "wrong token", "config token",
    "config state", "monitor secret", "wrong monitor secret", "encrypt key", "plain text",
    "cipher text", "user in a git URL", "password in a git URL", "git password", "git passphrase",
    "user in a target", "query", "cookie", "name of an option",
)  # fmt: skip
SECRETS = {name: f"canary{number:02}Zq8" for number, name in enumerate(NAMES)}
VALUES = {"yaml value", "json value", "properties value", "toml value", "saved value"}


def found_in(text, but=()):
    """The names of the secrets that stand in *text*, plain or in base64."""
    data = text.encode() if isinstance(text, str) else text
    return {
        name
        for name, secret in SECRETS.items()
        if name not in but
        and any(form in data for form in (secret.encode(), base64.b64encode(secret.encode())[:12]))
    }


def basic(name, password):
    """The header of a name and a password."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def files(tmp_path):
    """A folder with secrets in files of every format, one of them broken, and two users."""
    root = tmp_path / "cfg"
    root.mkdir()
    secret = SECRETS.__getitem__
    (root / "orders.yml").write_text(f"a: {secret('yaml value')}\n")
    (root / "bills.json").write_text(json.dumps({"a": secret("json value")}))
    (root / "carts.properties").write_text(f"a={secret('properties value')}\n")
    (root / "desks.toml").write_text(f'a = "{secret("toml value")}"\n')
    (root / "broken.yml").write_text(f"a: [{secret('value in a broken file')}\nb: {{\n")
    (root / "sealed.yml").write_text("a: '{cipher}" + secret("cipher text") + "'\n")
    (root / "nginx.conf").write_text("listen 80\n")
    users = tmp_path / "users.yml"
    add = [sys.executable, "-m", "pyconfserve", "user", "add", str(users)]
    subprocess.run(
        [*add, "all", *(f"--right={right}" for right in ["read", "write", "list", "monitor", "encrypt", "decrypt"])],
        input=secret("password") + "\n", text=True, check=True, cwd=PROJECT, capture_output=True,
    )  # fmt: skip
    return root, users


CREDENTIALS = {
    "right": basic("all", SECRETS["password"]),
    "wrong": basic("all", SECRETS["wrong password"]),
    "unknown": basic(SECRETS["wrong password"], "x"),
    "token": f"Bearer {SECRETS['wrong token']}",
    "malformed": f"Basic {SECRETS['wrong token']}!",
    "scheme": f"{SECRETS['wrong token']} x",
    "none": None,
}
TARGETS = [
    ("GET", "/orders/prod", b""),
    ("GET", "/bills/prod/main", b""),
    ("GET", "/carts-prod.yml", b""),
    ("GET", "/desks-prod.properties", b""),
    ("GET", "/broken/prod", b""),
    ("GET", "/broken-prod.json", b""),
    ("GET", "/sealed/prod", b""),
    ("GET", "/orders/prod/main/nginx.conf", b""),
    ("GET", "/orders/prod/main/none.conf", b""),
    ("GET", f"/orders/prod?{SECRETS['query']}=1&wait={SECRETS['query']}", b""),
    ("GET", f"/orders-prod.yml?resolvePlaceholders={SECRETS['query']}", b""),
    ("GET", f"http://{SECRETS['user in a target']}:x@a/orders/prod", b""),
    ("HEAD", "/orders/prod", b""),
    ("POST", "/orders/stage", json.dumps({"a": SECRETS["saved value"]}).encode()),
    ("POST", "/orders/stage", f'{{"a": "{SECRETS["saved value"]}", "a": 1'.encode()),
    ("POST", "/orders/stage", f'{{"{SECRETS["name of an option"]}": NaN}}'.encode()),
    ("POST", "/_orders/stage", json.dumps({"a": SECRETS["saved value"]}).encode()),
    ("POST", "/broken/default", json.dumps({"a": SECRETS["saved value"]}).encode()),
    ("POST", "/encrypt", SECRETS["plain text"].encode()),
    ("POST", "/encrypt/orders/prod", b"\xff" + SECRETS["plain text"].encode()),
    ("POST", "/decrypt", SECRETS["cipher text"].encode()),
    ("GET", "/encrypt/status", b""),
    ("GET", "/key", b""),
    ("POST", "/monitor", json.dumps({"path": [SECRETS["saved value"]]}).encode()),
    ("GET", "/_list", b""),
    ("GET", "/health", b""),
    ("GET", "/actuator/health", b""),
    ("GET", "/metrics", b""),
    ("OPTIONS", "/orders/prod", b""),
    ("DELETE", "/orders/prod", b""),
    ("GET", "/../x", b""),
    ("GET", "/none/such/route/", b""),
]
# Passwords that are wrong make their sender wait: two of each will do.
CALLS = [
    (name, target)
    for name in CREDENTIALS
    for target in (TARGETS if name in ("right", "none") else TARGETS[:2])
]
HEADERS = {
    "X-Config-Token": SECRETS["config token"],
    "X-Config-State": SECRETS["config state"],
    "X-Gitlab-Event": "Push Hook",
    "X-Gitlab-Token": SECRETS["wrong monitor secret"],
    "Cookie": f"session={SECRETS['cookie']}",
}


def judge(method, target, status, headers, body, is_right):
    """Fail unless a secret is in the one place where it may be: values, for their user."""
    may = VALUES if is_right and status == 200 and method in ("GET", "HEAD") else set()
    if target == "/decrypt" or "monitor" in target:
        may = may | {"plain text", "saved value"}
    echoed = {name for name in SECRETS if SECRETS[name] in target}  # the asker's own path
    assert found_in(headers) == set(), target
    assert found_in(body, may | echoed) == set(), (method, target, status)


def settings_of(root, users):
    """Flags and variables with a secret in each place that takes one."""
    variables = {
        "PYCONFSERVE_MONITOR_SECRET": SECRETS["monitor secret"],
        "PYCONFSERVE_GIT_PASSWORD": SECRETS["git password"],
        "PYCONFSERVE_GIT_PASSPHRASE": SECRETS["git passphrase"],
    }
    if find_spec("cryptography") is not None:
        variables["PYCONFSERVE_ENCRYPT_KEY"] = SECRETS["encrypt key"]
    return (str(root), "--port", "0", "--users", str(users)), variables


@pytest.mark.parametrize("form", ["common", "json"])
def test_a_server_keeps_secrets(serve, files, form):
    """Not in logs, errors, health, metrics or what others on the machine see of processes."""
    flags, variables = settings_of(*files)
    log_format = "json" if form == "json" else "text"
    serving = serve(*flags, "--access-log", form, "--log-format", log_format, **variables)
    lines = [f"{name}: {value}" for name, value in HEADERS.items()]
    for name, (method, target, body) in CALLS:
        more = [f"Authorization: {CREDENTIALS[name]}"] if CREDENTIALS[name] else []
        status, text = serving.ask(target, method, [*lines[2:], *more], body)
        judge(method, target, status, "", text, name == "right")
    for raw in (
        f"GET /orders/prod HTTP/1.1\r\nHost: a\r\nAuthorization : {CREDENTIALS['right']}\r\n\r\n",
        f"GET /orders/prod HTTP/9.1\r\nAuthorization: {CREDENTIALS['right']}\r\n\r\n",
        f"{SECRETS['query']}\r\n\r\n",
        f"GET /orders/prod HTTP/1.1\r\nX: {SECRETS['cookie']}\x00\r\n\r\n",
    ):
        with serving.connect() as client:
            client.sendall(raw.encode())
            assert found_in(client.recv(65536)) == set()
    processes = [Path(f"/proc/{number}/cmdline") for number in os.listdir("/proc") if number.isdigit()]
    seen = b"".join(path.read_bytes() for path in processes if path.exists())
    code, out, err = serving.end(15)
    assert (code, found_in(seen), found_in(serving.first_line + out)) == (0, set(), set())
    assert err.count("\n") > len(CALLS)  # a log that is off tells nothing
    assert found_in(err, {"user in a target"}) == set()
    assert SECRETS["user in a target"] not in err


def test_no_level_of_logs_shows_them(files, caplog):
    """In one process at DEBUG, with asyncio's own debugging and with tracebacks."""
    root, users = files

    class Failing:
        """A backend that fails with a secret in its hand."""

        async def fetch(self, application, profile, label="main"):
            password = SECRETS["git password"]
            if application == "bug":
                raise RuntimeError("a bug of the backend") from ValueError(len(password))
            return None

        async def save(self, source):
            raise RuntimeError("a bug of the backend")

        async def list(self):
            raise RuntimeError("a bug of the backend")

    from pyconfserve.filesystem import FilesystemConfigBackend

    caplog.set_level(logging.DEBUG)
    authority = Credentials(Settings(users=str(users))).authority()
    for backend in (FilesystemConfigBackend(root), Failing()):
        server = ConfigServer(backend)
        monitor = Monitor(server, [SECRETS["monitor secret"]])
        routes = Routes(server, access=Access(authority=authority), monitor=monitor, all_routes=True)

        async def ask_all(routes=routes):
            for name, (method, target, body) in [*CALLS, ("right", ("GET", "/bug/prod", b""))]:
                path, _, query = target.partition("?")
                headers = {key.lower(): value for key, value in HEADERS.items()}
                if CREDENTIALS[name]:
                    headers["authorization"] = CREDENTIALS[name]
                request = Request(method, path, query, headers, body, "a", peer="10.0.0.1")
                response = await routes.handle(request)
                judge(method, target, response.status, str(response.headers), response.body, name == "right")

        asyncio.run(ask_all(), debug=True)
    text = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "a bug of the backend" in caplog.text
    assert found_in(text) == set()


class Refusing(BaseHTTPRequestHandler):
    """An origin that lets nobody in, and asks for a password."""

    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_a_repository_that_refuses_is_named_without_secrets(run, tmp_path):
    """Neither the user nor the password of its URL, nor those of the settings."""
    pytest.importorskip("git")
    origin = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{origin.server_port}/repo.git"
    (tmp_path / "settings.yml").write_text(
        "pyfly.config-server:\n  port: 0\n  backend:\n    type: git\n    git:\n"
        f"      uri: http://{SECRETS['user in a git URL']}:{SECRETS['password in a git URL']}@{place}\n"
    )
    try:
        code, out, err = run("--settings", "settings.yml", PYCONFSERVE_GIT_PASSPHRASE=SECRETS["git passphrase"])
    finally:
        origin.shutdown()
        origin.server_close()
    assert (code, out) == (1, "")
    assert "127.0.0.1" in err
    assert found_in(err) == set()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("users.yml", "users:\n  - name: a\n    password: {password}\n"),
        ("users.yml", "users:\n  - name: a\n    passwort: {password}\n"),
        ("users.yml", "users:\n  - name: a\n    token: sha256${password}\n"),
        ("users.yml", "users: [{password}\n"),
        ("users.yml", "{password}\n"),
    ],
)
def test_a_broken_file_of_users_is_not_quoted(run, tmp_path, file, text):
    """What stands in the wrong place may be a password all the same."""
    (tmp_path / "cfg").mkdir()
    (tmp_path / file).write_text(text.format(password=SECRETS["password"]))
    code, out, err = run("cfg", "--users", file)
    assert (code, out, found_in(err)) == (2, "", set())
    assert "users.yml" in err
