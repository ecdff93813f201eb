"""explain: where each value comes from, as a user runs it, of a store and of a server."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec

import pytest

FILES = {
    "application.yml": "db:\n  pool: 10\n  key: '{cipher}0f'\ntags: [x, y]\n",
    "orders.yml": "note: \"two\\nlines\\e[31m\"\n---\ndb.pool: 15\n",
    "orders-prod.yml": "db:\n  pool: 20\ntags: [z]\n",
}
TEXT = """\
db.pool = 20
  from orders-prod.yml:2:9 (profile prod, version V)
  hides orders.yml:3:10 (document #1) = 15
  hides application.yml:2:9 = 10
db.key = {cipher}0f
  from application.yml:3:8 (version V)
tags[0] = z
  from orders-prod.yml:3:8 (profile prod, version V)
  hides application.yml:4:8 = x
  hides application.yml:4:11 tags[1] = y
note = two\\nlines\\x1b[31m
  from orders.yml:1:7 (document #0, version V)
"""
MASKED = re.sub("(?m) = .*$", " = ***", TEXT)
THREE_METHODS = '''
from pyconfserve import ConfigSource

class Store:
    async def fetch(self, application, profile, label="main"):
        stored = {("orders", "prod"): {"a": 1}, ("application", "default"): {"a": 2}}
        found = stored.get((application, profile))
        return found and ConfigSource(application, profile, label, found)

    async def save(self, source):
        raise NotImplementedError

    async def list(self):
        return []
'''


def versionless(out):
    """The text with V for each version, which has twelve digits."""
    return re.sub(r"version [0-9a-f]{12}\)", "version V)", out)


@pytest.fixture
def root(tmp_path):
    """A folder `store` with these files."""
    store = tmp_path / "store"
    store.mkdir()
    for name, text in FILES.items():
        (store / name).write_text(text, encoding="utf-8")
    return store


@pytest.fixture
def explain(run, root):
    """`explain(…)` of orders/prod in that folder: status, text without versions, stderr."""

    def explained(*arguments, **variables):
        status, out, errors = run("explain", "store", "orders", "prod", *arguments, **variables)
        return status, versionless(out), errors

    return explained


def test_a_folder(explain):
    """Each key with its place and what it hides; nothing that a terminal would obey."""
    assert explain() == (0, TEXT, "")


def test_values_are_hidden_when_asked(explain):
    """All of them, those that are hidden by others too, in both formats."""
    assert explain("--hide-values") == (0, MASKED, "")
    status, out, _ = explain("--hide-values", "--format", "json", "--key", "db.pool")
    reason = json.loads(out)["properties"]["db.pool"]
    assert (status, reason["value"], [one["value"] for one in reason["hides"]]) == (0, "***", ["***"] * 2)


def test_one_key(explain):
    """As it is among the others."""
    assert explain("--key", "db.pool") == (0, "".join(TEXT.splitlines(True)[:4]), "")


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("db.pol", "there is no db.pol, the nearest is 'db.pool'"),
        ("db", "there is no db, but below it are 'db.pool', 'db.key'"),
        ("tags[1]", "there is no tags[1], the nearest is 'tags[0]'"),
        ("?\x1b", "there is no ?\\x1b"),
    ],
)
def test_a_key_that_is_not_there(explain, key, problem):
    """Exit 1, with the nearest."""
    assert explain("--key", key) == (1, "", f"pyconfserve: error: {problem}\n")


def test_springs_rules(explain):
    """By files, which have no profile `default`; and by a Java server's settings."""
    expected = explain("--key", "db.pool", "--spring")
    assert expected == (0, "".join(TEXT.splitlines(True)[:4]), "")


def test_bundles_that_are_no_files(run, serve, tmp_path):
    """Go by the names of their sources: of a store that has but three methods."""
    (tmp_path / "mine.py").write_text(THREE_METHODS)
    (tmp_path / "mine.yml").write_text("pyfly.config-server.backend.type: mine:Store\n")
    url = serve("--settings", "mine.yml", "--port", "0").url
    status, out, errors = run("explain", url, "orders", "prod")
    expected = "a = 1\n  from orders-prod (version V)\n  hides application-default = 2\n"
    assert (status, versionless(out), errors) == (0, expected, "")


def test_what_is_not_there(run, root):
    """Exit 1 for names, exit 2 for a folder that is none."""
    (root / "application.yml").unlink()
    problem = "pyconfserve: error: no configuration is stored under these names\n"
    assert run("explain", "store", "other", "prod") == (1, "", problem)
    assert run("explain", "store", "_list", "prod")[:2] == (1, "")
    assert run("explain", "store")[0] == 2


def test_a_file_that_does_not_parse(run, root):
    """Exit 1, with its place."""
    (root / "orders.yml").write_text("a: [\n")
    status, out, errors = run("explain", "store", "orders")
    assert (status, out) == (1, "")
    assert errors.splitlines()[-1].startswith("pyconfserve: error: orders.yml:2:1: ")


@pytest.mark.skipif(not find_spec("git"), reason="needs GitPython")
def test_a_repository(run, root, tmp_path):
    """With the commit of its label as version."""
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(root)]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *words], check=True, timeout=20)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, timeout=20, capture_output=True, text=True).stdout
    status, out, errors = run("explain", f"git+file://{root}", "orders", "prod", "main")
    assert (status, out, errors) == (0, TEXT.replace("V)", f"{head[:12]})"), "")


def test_a_server(explain, run, serve, root):
    """The same as of its folder, in both formats, of a label too."""
    url = serve("store", "--port", "0").url
    status, out, errors = run("explain", url, "orders", "prod")
    assert (status, versionless(out), errors) == (0, TEXT, "")
    for arguments in ((), ("v2",), ("--key", "db.pool")):
        asked = run("explain", url, "orders", "prod", *arguments, "--format", "json")
        assert asked == run("explain", "store", "orders", "prod", *arguments, "--format", "json")
        assert (asked[0], asked[2]) == (0, "")
    problem = "pyconfserve: error: there is no db.pol, the nearest is 'db.pool'\n"
    assert run("explain", url, "orders", "prod", "--key", "db.pol") == (1, "", problem)


def test_credentials_for_a_server(run, serve, root, tmp_path, environ):
    """Come from the environment or a file, and never from the URL."""
    add = [sys.executable, "-m", "pyconfserve", "user", "add", "users.yml", "ada"]
    subprocess.run(add, check=True, timeout=20, cwd=tmp_path, env=environ, input=b"correct horse 9\n", capture_output=True)
    url = serve("store", "--port", "0", "--users", "users.yml").url
    command = ("explain", url, "orders", "prod", "--key", "db.pool")
    status, out, errors = run(*command)
    assert (status, out) == (1, "")
    assert f"{url}: it answered 401" in errors
    (tmp_path / "password").write_text("correct horse 9\n")
    by_file = run(*command, "--username", "ada", "--password-file", "password")
    assert (by_file[0], versionless(by_file[1]), by_file[2]) == (0, "".join(TEXT.splitlines(True)[:4]), "")
    named = {"CONFIG_CLIENT_USERNAME": "ada", "CONFIG_CLIENT_PASSWORD": "correct horse 9"}
    status, out, errors = run(*command, **named)
    assert (status, versionless(out), errors) == (0, "".join(TEXT.splitlines(True)[:4]), "")
    status, out, errors = run("explain", "http://ada:x@127.0.0.1:1", "orders")
    assert (status, out) == (2, "")
    assert "ada" not in errors


@pytest.mark.parametrize(
    "answer",
    ["[]", "{}", '{"properties": []}', '{"properties": {"a": 1}}', '{"properties": {"a": {"value": 1, "from": {}, "hides": []}}}'],
)
def test_an_answer_that_is_no_explanation(run, answering, answer):
    """Exit 1, and a reason."""
    url = answering(answer.encode())
    problem = f"pyconfserve: error: {url}: what it answered is no explanation\n"
    assert run("explain", url, "orders") == (1, "", problem)


@pytest.fixture
def answering():
    """`answering(body)`: the URL of a server that answers everything with that JSON."""
    servers = []

    def start(body):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
