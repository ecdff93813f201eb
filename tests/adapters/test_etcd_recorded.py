"""etcd: what real servers of 3.4 and 3.6 answered, played again, word for word."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pyconfserve.adapters.etcd import EtcdStore
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Snapshot

CASES = Path(__file__).parents[1] / "cases" / "stores"
VERSIONS = ["etcd.json", "etcd-3.6.json"]
DEV = BundleName("dev", "main", "app")  # its key is app/dev/main
PATIENCE = 10  # seconds after which a test that waits has failed


class StandIn(ThreadingHTTPServer):
    """Plays recorded answers by their ids, one a request, the last one again and again.

    What was asked is in `asked`: path, tree and token. A watch stays open after its
    lines, as etcd's does.
    """

    daemon_threads = True

    def __init__(self, cases):
        super().__init__(("127.0.0.1", 0), Player)
        rows = json.loads((CASES / cases).read_text(encoding="utf-8"))
        self.rows = {row["id"]: row for row in rows}
        self.queue, self.asked = [], []
        self.ended = threading.Event()
        self.uri = f"etcd://127.0.0.1:{self.server_port}/pyconfserve"

    def play(self, *ids):
        self.queue, self.asked = list(ids), []

    def recorded(self, id):
        """The tree that was sent when the answer was recorded."""
        return json.loads(self.rows[id]["body"])

    def handle_error(self, request, client_address):
        """Who waits no longer closes: that is no error here."""


class Player(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server, length = self.server, int(self.headers["Content-Length"])
        tree = json.loads(self.rfile.read(length))
        server.asked.append((self.path, tree, self.headers["Authorization"]))
        id = server.queue.pop(0) if len(server.queue) > 1 else server.queue[0]
        answer = server.rows[id]["response"]
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer["status"])
        self.send_header("Content-Type", answer["type"])
        if "lines" in answer:
            self._stream(answer["lines"])
            return
        body = answer["body"].encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, lines):
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            data = line.encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.server.ended.wait(PATIENCE)

    def log_message(self, *_):
        """Nothing."""


@contextmanager
def stand_in(cases):
    """A server that plays what stands in a file of *cases*."""
    with StandIn(cases) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join(PATIENCE)


@pytest.fixture(params=VERSIONS, ids=["3.4", "3.6"])
def server(request):
    with stand_in(request.param) as server:
        yield server


@pytest.fixture
def other():
    """Another member of the cluster."""
    with stand_in(VERSIONS[0]) as other:
        yield other


@pytest.fixture
def both(server, other):
    """The store at `server`, and at `other` where that fails."""
    members = f"127.0.0.1:{server.server_port},127.0.0.1:{other.server_port}"
    store = EtcdStore(f"etcd://{members}/pyconfserve")
    yield store
    store.close()


@pytest.fixture
def store(server):
    store = EtcdStore(server.uri)
    yield store
    store.close()


@pytest.fixture
def user(server):
    """The store, for one who logs in."""
    store = EtcdStore(server.uri, username="conf", password="confpw")
    yield store
    store.close()


def read(store):
    return store.read()


def write(store):
    return store.write(DEV, "{}", "3-x")


def wait(store):
    store.wait(store.token(), PATIENCE)


CUT = {"response": None}  # the connection is closed instead
WANTS_USER = "it wants a user and a password"
NO_QUORUM = "it has no leader, no quorum, or is about to end"
KEY = "app/dev/main: "
REFUSALS = {
    "auth-no-token": (read, BackendDenied, WANTS_USER),
    "auth-wrong-token": (read, BackendDenied, "it does not know the token of the login"),
    "auth-range-too-wide": (read, BackendDenied, "the user has no right to it"),
    "auth-denied": (write, BackendDenied, f"{KEY}the user has no right to it"),
    "auth-ro-txn": (write, BackendDenied, f"{KEY}the user has no right to it"),
    "noquorum-get": (read, BackendUnavailable, NO_QUORUM),
    "noquorum-put": (write, BackendUnavailable, f"{KEY}{NO_QUORUM}"),
    "quota-put": (write, StorageFull, f"{KEY}its database is as large as it may be"),
    "put-1.6MB": (write, ValueTooLarge, f"{KEY}it is too large"),
    "put-3MB": (write, ValueTooLarge, f"{KEY}it is too large"),
    "txn-too-many": (write, BackendMisconfigured, f"{KEY}it answered 400"),
    "get-compacted": (read, BackendUnavailable, "it was compacted meanwhile"),
    "bad-path": (read, BackendMisconfigured, "it does not answer as etcd 3.4 or newer"),
}


@pytest.mark.parametrize("id", REFUSALS)
def test_a_refusal_is_an_error_of_the_tree(server, store, id):
    """It names the store and the key, in words of ours; 3.4 and 3.6 say it differently."""
    ask, kind, words = REFUSALS[id]
    server.play(id)
    with pytest.raises(kind) as caught:
        ask(store)
    assert type(caught.value) is kind
    assert str(caught.value) == f"{server.uri}: {words}"


LOGINS = {
    "auth-wrong-password": (BackendDenied, "the user or the password is wrong"),
    "auth-unknown-user": (BackendDenied, "the user or the password is wrong"),
    "auth-off-authenticate": (BackendMisconfigured, "it knows no users: configure none"),
}


@pytest.mark.parametrize("id", LOGINS)
def test_a_refused_login_is_an_error_of_the_tree(server, user, id):
    """Without the user, the password, or a second attempt."""
    kind, words = LOGINS[id]
    server.play(id)
    with pytest.raises(kind) as caught:
        read(user)
    assert str(caught.value) == f"{server.uri}: {words}"
    assert server.asked == [("/v3/auth/authenticate", {"name": "conf", "password": "confpw"}, None)]


class TestAnswers:
    """What succeeds."""

    def test_all_keys_of_a_prefix(self, server, store):
        """Zero values are left out of an answer, and numbers are texts."""
        server.play("list")
        records = store.read().records
        expected = {
            DEV: ('{"name":"app/dev/main"}', "8-"),
            BundleName("default", "main", "app"): ('{"name":"app/default/main"}', "7-"),
        }
        # The others are not escaped as ours are, or no bundle may have that name.
        assert expected == {name: (one.text, one.version[:2]) for name, one in records.items()}

    def test_pages_are_of_one_revision(self, server, store):
        """The second begins behind the last key of the first, at the first's revision."""
        server.play("list-page1", "list-page2", "list-empty")
        server.rows["list-empty"]["response"]["body"] = server.rows["list-page2"]["response"]["body"].replace('"more":true,', "").replace('"more":true, ', "")
        store.read()
        first, second = (tree for _, tree, _ in server.asked[:2])
        recorded = server.recorded("list-page2")
        assert (first["revision"], second["revision"], second["key"]) == ("0", recorded["revision"], recorded["key"])
        assert {**recorded, "limit": 0} == {**second, "limit": 0}

    def test_an_empty_prefix(self, server, store):
        """Nothing is there, and it has a token."""
        server.play("list-empty")
        found = store.read()
        server.play("token-after-delete")
        assert found.records == {}
        assert found.token != store.token()

    def test_the_token(self, server, store):
        """One key is read, without its value."""
        server.play("token")
        life, newest, count = store.token().rsplit(".", 2)
        assert (newest, count) == ("14", "9")
        cluster = json.loads(server.rows["token"]["response"]["body"])["header"]["cluster_id"]
        assert life.startswith(f"{cluster}.2.")
        assert server.asked == [("/v3/kv/range", server.recorded("token"), None)]

    @pytest.mark.parametrize(("id", "version"), [("cas-ok", "3-x"), ("cas-create-ok", None)])
    def test_a_change_that_holds(self, server, store, id, version):
        """The new version begins with the revision of the change."""
        server.play(id)
        revision = json.loads(server.rows[id]["response"]["body"])["header"]["revision"]
        assert store.write(DEV, "{}", version).startswith(f"{revision}-")
        ((path, sent, _),) = server.asked
        recorded = server.recorded(id)
        assert path == server.rows[id]["path"]
        assert {**sent["compare"][0], "key": 0} == {**recorded["compare"][0], "key": 0}
        assert sent["success"][0].keys() == recorded["success"][0].keys()
        assert sent["failure"][0].keys() == recorded["failure"][0].keys()

    @pytest.mark.parametrize(("id", "version"), [("cas-conflict", "4-"), ("cas-create-conflict", "5-")])
    def test_a_change_that_does_not(self, server, store, id, version):
        """It is answered with 200, and without a word that it failed."""
        server.play(id)
        with pytest.raises(VersionConflict) as caught:
            write(store)
        assert caught.value.version.startswith(version)

    def test_a_login_is_kept(self, server, user):
        """Its token is sent bare, until it is not known any more."""
        server.play("auth-login", "token")
        token = user.token()
        assert user.token() == token
        assert [(path, bearer) for path, _, bearer in server.asked] == [
            ("/v3/auth/authenticate", None), *[("/v3/kv/range", "{{token}}")] * 2,
        ]  # fmt: skip

    @pytest.mark.parametrize("id", ["auth-wrong-token", "auth-after-restart"])
    def test_an_old_token_is_replaced_once(self, server, user, id):
        """What was asked is asked again, a change too: it was not made."""
        server.rows["again"] = json.loads(json.dumps(server.rows["auth-login"]).replace("{{token}}", "another"))
        server.play("auth-login", id, "again", "cas-ok")
        assert write(user).startswith("4-")
        assert [token for _, _, token in server.asked] == [None, "{{token}}", None, "another"]
        server.play(id, "auth-login", id)
        with pytest.raises(BackendDenied):
            user.token()
        assert len(server.asked) == 3


class TestWatches:
    """Streams of lines."""

    @pytest.mark.parametrize("id", ["watch", "watch-from", "watch-txn", "watch-compacted"])
    def test_something_happened(self, server, store, id):
        """An event, or a compaction of those that would be told."""
        server.play("token", id)
        wait(store)
        _, (path, sent, _) = server.asked
        recorded = server.recorded("watch-from")
        recorded["create_request"]["start_revision"] = "15"
        assert (path, sent) == ("/v3/watch", recorded)

    @pytest.mark.parametrize("id", ["watch-idle", "watch-progress", "noquorum-watch"])
    def test_nothing_happened(self, server, store, id):
        """Without a quorum it looks the same; the time of the wait ends it."""
        server.play("token", id)
        store.wait(store.token(), 0.2)
        assert len(server.asked) == 2

    @pytest.mark.parametrize(
        ("id", "words"),
        [("auth-watch-denied", "the user has no right to it"), ("auth-watch-no-token", WANTS_USER)],
    )
    def test_a_refusal_is_a_line_of_it(self, server, store, id, words):
        """The answer has the status 200, and stays open."""
        server.play("token", id)
        with pytest.raises(BackendDenied) as caught:
            wait(store)
        assert str(caught.value) == f"{server.uri}: {words}"

    def test_an_old_token_is_replaced(self, server, user):
        """And there is something to look at."""
        server.rows["old"] = json.loads(json.dumps(server.rows["auth-watch-denied"]).replace("PermissionDenied", "Unauthenticated"))
        server.play("auth-login", "token", "old", "auth-login")
        wait(user)
        assert [path for path, _, _ in server.asked][2:] == ["/v3/watch", "/v3/auth/authenticate"]

    @pytest.mark.parametrize(
        "lines",
        [
            ['{"error":{"grpc_code":14,"http_code":503,"message":"x","http_status":"Service Unavailable"}}'],
            ['{"error":{"code":14,"message":"x"}}'],
            ['{"result":{"created":true}}', '{"result":{"canceled":true,"cancel_reason":"etcdserver: no leader"}}'],
            ["[]"], ["1"], ['{"result":1}'], ["null"],
        ],
        ids=["error-3.4", "error-3.6", "no-leader", "list", "number", "no-result", "null"],
    )  # fmt: skip
    def test_an_end_is_no_news(self, server, store, lines):
        """The store is away, and is not asked in a loop."""
        server.rows["end"] = {"response": {**server.rows["watch"]["response"], "lines": lines}}
        server.play("token", "end")
        with pytest.raises(BackendUnavailable, match="it has no leader"):
            wait(store)

    def test_a_refused_one_has_a_status(self, server, store):
        """As any other answer."""
        server.play("token", "bad-path")
        with pytest.raises(BackendMisconfigured):
            wait(store)


STRANGERS = {
    "no-json": (200, "<html>", BackendMisconfigured),
    "no-header": (200, "{}", BackendMisconfigured),
    "list": (200, "[]", BackendMisconfigured),
    "number": (200, "1", BackendMisconfigured),
    "not-found": (404, '{"message": 1}', BackendMisconfigured),
    "redirect": (307, "", BackendMisconfigured),
    "forbidden": (403, "no", BackendMisconfigured),
    "too-large": (413, "", ValueTooLarge),
    "too-many": (429, "", BackendUnavailable),
    "gateway": (502, "", BackendUnavailable),
    "other-code": (500, '{"code": 13, "message": "x"}', BackendUnavailable),
    "text-as-code": (503, '{"code": "x", "message": "x"}', BackendUnavailable),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_another_server_at_this_address(server, store, name):
    """A proxy, or none of etcd at all."""
    status, body, kind = STRANGERS[name]
    server.rows[name] = {"response": {"status": status, "type": "text/html", "body": body}}
    server.play(name)
    with pytest.raises(kind) as caught:
        store.token()
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{server.uri}: it ")


class TestMembers:
    """Several of one cluster."""

    def test_one_without_a_quorum_is_left(self, server, other, both):
        """The next question goes to another: it may be on the other side of a cut."""
        server.play("noquorum-get")
        other.play("token")
        with pytest.raises(BackendUnavailable):
            both.token()
        assert both.token()
        assert [len(one.asked) for one in (server, other)] == [1, 1]

    def test_what_one_does_not_answer_another_does(self, server, other, both):
        """A question does no harm; who answered is asked from then on."""
        server.rows["cut"] = CUT
        server.play("cut")
        other.play("token")
        assert both.token() != both.token()  # it was another member's, so all is read
        assert [len(one.asked) for one in (server, other)] == [1, 2]

    def test_a_change_without_an_answer_is_not_made_elsewhere(self, server, other, both):
        """It may have been made: whoever asked for it finds out."""
        server.rows["cut"] = CUT
        server.play("cut")
        other.play("cas-ok")
        with pytest.raises(BackendUnavailable, match="closed without an answer"):
            write(both)
        assert other.asked == []

    def test_a_change_that_nobody_took_is(self, server, other, both):
        """Who is not there has not made it."""
        server.shutdown()
        server.server_close()
        other.play("cas-ok")
        assert write(both).startswith("4-")

    def test_a_watch_that_fails_begins_elsewhere(self, server, other, both):
        """Its end is told first: something may have happened."""
        server.rows["cut"] = CUT
        server.play("token", "cut")
        other.play("token", "watch")
        with pytest.raises(BackendUnavailable):
            wait(both)
        wait(both)
        assert [path for path, _, _ in other.asked] == ["/v3/kv/range", "/v3/watch"]


def test_a_list_is_not_read_as_empty_when_it_fails(server, store):
    """Only what is certainly nothing is nothing."""
    server.play("list-empty")
    assert isinstance(store.read(), Snapshot)
    for id in ("noquorum-get", "auth-no-token", "auth-range-too-wide", "bad-path"):
        server.play(id)
        with pytest.raises((BackendUnavailable, BackendDenied, BackendMisconfigured)):
            store.read()
