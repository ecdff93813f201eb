"""A stand-in for a store that speaks HTTP: it answers what a real one was recorded to
answer, and fails on a request that was not recorded.

    with RecordedStore("consul.json", ignores=["wait"]) as server:
        server.play("get-missing", "cas-ok")    # these requests, in this order, no other
        server.serve("list", "token")           # and these whenever they come

A row of tests/cases/stores is {id, about, request, response}. A request is that of a
row when it has its method, path, query, credentials and body. Leaving the `with` block
fails when something else was asked, and when what was to be played was not.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

CASES = Path(__file__).parent / "cases" / "stores"
CREDENTIALS = ("x-consul-token", "x-vault-token", "x-vault-namespace", "authorization")
FRAMING = ("content-length", "transfer-encoding", "connection", "date")
PATIENCE = 10  # seconds after which a test that waits has failed


class RecordedStore(ThreadingHTTPServer):
    """Rows of *cases*, a file of tests/cases/stores or several of them.

    Values of the query that *ignores* names may be others; so may a body unless
    *compares_bodies*. What was asked is in `asked`: method, path with its query, headers
    and body. Rows may be changed and added to: they are in `rows`, by their ids.
    """

    daemon_threads = True

    def __init__(self, *cases, ignores=(), compares_bodies=True):
        super().__init__(("127.0.0.1", 0), _Player)
        texts = [(CASES / name).read_text(encoding="utf-8") for name in cases]
        self.rows = {row["id"]: row for text in texts for row in json.loads(text)}
        self.ignores, self.compares_bodies = ignores, compares_bodies
        self.authority = f"127.0.0.1:{self.server_port}"
        self.queue, self.served, self.asked, self.wrong = [], [], [], []
        self.lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *rest):
        self.shutdown()
        self._thread.join(PATIENCE)
        self.server_close()
        if kind is None and (self.wrong or self.queue):
            raise AssertionError(f"not recorded: {self.wrong}; never asked: {self.queue}")

    def play(self, *ids):
        """Expect the requests of these rows, one after another, from now on."""
        assert self.queue == []
        self.queue, self.asked = list(ids), []

    def serve(self, *ids):
        """Answer the requests of these rows whenever they come."""
        self.served = list(ids)

    def handle_error(self, request, client_address):
        """Who waits no longer closes: that is no error here."""

    def row_of(self, method, target, headers, body):
        """The row of a request, None for one that nobody expects."""
        self.asked.append((method, target, headers, body))
        found = next((id for id in self.served if self._is(id, method, target, headers, body)), None)
        if self.queue and self._is(self.queue[0], method, target, headers, body):
            found = self.queue.pop(0)
        if found is None:
            self.wrong.append((method, target, body[:500], self.queue[:1]))
            return None
        return self.rows[found]

    def _is(self, id, method, target, headers, body):
        request = self.rows[id]["request"]
        is_same = (method, self._place(target), _credentials(headers)) == (
            request["method"], self._place(request["path"]), _credentials(request["headers"])
        )  # fmt: skip
        return is_same and (not self.compares_bodies or _tree(body) == _tree(whole(request["body"])))

    def _place(self, target):
        """The path as it was sent, and the query but for what is ignored."""
        parts = urlsplit(target)
        asked = parse_qsl(parts.query, keep_blank_values=True)
        return parts.path, [(key, value) for key, value in asked if key not in self.ignores]


class _Player(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            row = self.server.row_of(self.command, self.path, dict(self.headers.items()), body)
        if row is None:
            self.send_error(599, "not recorded")
        elif "error" in row["response"]:
            self.close_connection = True
        else:
            self._play(row["response"])

    do_GET = do_PUT = do_POST = do_DELETE = do_LIST = do_SCAN = do_PATCH = _answer

    def _play(self, answer):
        content = whole(answer["body"])
        self.send_response(answer["status"])
        for name, value in answer["headers"].items():
            if name.lower() not in FRAMING:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Nothing."""


def _credentials(headers):
    """Who asks, and in whose namespace."""
    return {name.lower(): value for name, value in headers.items() if name.lower() in CREDENTIALS}


def whole(body):
    """The bytes of a recorded body; a big one stands there by what it repeats."""
    if isinstance(body, dict):
        body = body["$prefix"] + body["$repeat"] * body["$count"] + body["$suffix"]
    return (body or "").encode("utf-8")


def _tree(body):
    """What a body says, however it is spaced; itself where it is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body
