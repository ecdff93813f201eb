"""Consul: what a real server of 1.19 answered, played again, word for word."""

import asyncio
import json
from traceback import walk_tb

import pytest
from recorded_store import RecordedStore
from store_contract import texts

from pyconfserve.adapters.consul import ConsulStore
from pyconfserve.adapters.consul_layouts import ConsulConfigBackend
from pyconfserve.backend import ConfigSource
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    DocumentError,
    ReadOnlyBackend,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Snapshot

DEV = BundleName("app", "dev", "main")  # its key is main/app/dev
NEW, NONE = BundleName("new", "dev", "main"), BundleName("none", "dev", "main")
KEY = "main/app/dev: "
OK, EMPTY = "own-probe-empty", ["own-list-empty", "own-probe-empty"]


@pytest.fixture
def server():
    """One that fails on whatever was not recorded, but for how long a wait is.

    What one key holds was recorded without `consistent`: the answers are the same.
    """
    with RecordedStore("consul.json", ignores=["wait", "consistent"]) as server:
        yield server


@pytest.fixture
def connect(server):
    """Makes stores, which nobody has to mark any more, and closes them in the end."""
    made = []

    def connect(**options):
        made.append(ConsulStore(f"consul://{server.authority}", timeout=5.0, **options))
        made[-1]._is_marked = True
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def store(connect):
    return connect()


class TestReading:
    """Lists, and what they show."""

    def test_an_empty_prefix(self, server, store):
        """A 404, where the key that stands for the prefix may be read, too."""
        server.play(*EMPTY, "own-keys-empty", OK)
        found = store.read()
        assert found == Snapshot(store.token(), {})

    def test_keys_of_others_are_left_alone(self, server, store):
        """Folders, deeper ones, and those that are not escaped as ours are."""
        server.play("list", OK)
        expected = {
            BundleName("app", "dev", "feature/x"): "feature%2Fx/app/dev",
            BundleName("app", "default", "main"): "main/app/default",
            BundleName("x", "y", "enc"): "1",
            DEV: '{"k":"v2"}',
        }
        assert texts(store.read()) == expected

    def test_a_list_that_shows_the_probe_is_whole(self, server, store):
        """Nothing else is asked; that key is no bundle."""
        server.play("own-list", "own-keys")
        found = store.read()
        assert texts(found) == {DEV: '{"k":"v1"}'}
        assert store.token() == found.token

    @pytest.mark.parametrize(
        ("ids", "is_same"),
        [(["token", "token-foreign"], True), (["token", "token-delete"], False), (["own-keys", "own-keys-empty"], False)],
        ids=["foreign", "removed", "emptied"],
    )
    def test_a_token_moves_with_each_change(self, server, store, ids, is_same):
        """And with nothing that others write elsewhere."""
        probed = [one for id in ids for one in ([id] if id == "own-keys" else [id, OK])]
        server.play(*probed)
        assert (store.token() == store.token()) is is_same


class TestWriting:
    """Compare-and-set."""

    def test_a_change_that_holds(self, server, store):
        """Consul does not tell which index it gave, so that is asked."""
        server.play("cas-ok", "get-stale")
        server.rows["get-stale"]["request"]["path"] = server.rows["get"]["request"]["path"]
        assert store.write(DEV, '{"k":"v2"}', "9-x").startswith("10-")
        path = server.rows["get"]["request"]["path"]
        assert server.asked[-1][1] == f"{path}?consistent"  # else it may be the old one

    def test_a_change_that_does_not(self, server, store):
        """It is answered with 200, and `false`."""
        server.play("cas-conflict", "get")
        with pytest.raises(VersionConflict) as caught:
            store.write(DEV, '{"k":"v3"}', "9-x")
        assert caught.value.version.startswith("9-")
        assert str(caught.value) == "the bundle has another version"

    @pytest.mark.parametrize(
        ("name", "version", "id"),
        [(NEW, None, "cas-create-conflict"), (NONE, "5-x", "cas-missing")],
        ids=["is-there", "is-not"],
    )
    def test_one_that_is_there_or_not(self, server, store, name, version, id):
        """What was expected is not so."""
        server.rows["get-missing"]["request"]["path"] = server.rows[id]["request"]["path"].partition("?")[0]
        server.play(id, "get-same" if name is NEW else "get-missing")
        with pytest.raises(VersionConflict) as caught:
            store.write(name, "n", version)
        assert (caught.value.version or "").partition("-")[0] == ("12" if name is NEW else "")

    def test_a_change_that_another_replaced_at_once(self, server, store):
        """It was made; its version is one that no key has any more."""
        server.play("cas-ok", "get")
        version = store.write(DEV, '{"k":"v2"}', "9-x")
        assert version.startswith("0-")
        server.play("get")
        with pytest.raises(VersionConflict):
            store.write(DEV, '{"k":"v4"}', version)

    def test_the_probe_is_made_once(self, server, store):
        """Before the first change; it may be there."""
        store._is_marked = False
        server.play("own-mark", "own-put", "own-get", "cas-conflict", "get")
        assert store.write(DEV, '{"k":"v1"}', None).startswith(f"{INDEX(server)}-")
        with pytest.raises(VersionConflict):
            store.write(DEV, '{"k":"v3"}', "9-x")

    def test_a_removal(self, server, store):
        """The check and the delete are one transaction."""
        server.play("own-remove")
        assert store.write(DEV, None, f"{INDEX(server)}-x") is None

    @pytest.mark.parametrize("kind", ["stale", "absent"])
    def test_a_removal_that_does_not_hold(self, server, store, kind):
        """Of another index, and of what is not there: DELETE ?cas says true to that."""
        server.play(f"own-remove-{kind}", "own-get" if kind == "stale" else "own-get-removed")
        with pytest.raises(VersionConflict) as caught:
            store.write(DEV, None, f"{7 if kind == 'stale' else INDEX(server)}-x")
        assert (caught.value.version is None) is (kind == "absent")
        assert server.rows["own-delete-cas-absent"]["response"]["body"] == "true"

    def test_a_segment_is_quoted_once_more(self, server, store):
        """Consul decodes what stands in a path, a slash too."""
        name = BundleName("app", "dev", "feature/x")
        row = server.rows["put-key feature%2Fx/app/dev"]
        row["request"]["path"] += "?cas=0"
        server.rows["get-missing"]["request"]["path"] = "/v1/kv/pyconfserve/feature%252Fx/app/dev"
        server.play(row["id"], "get-missing")
        assert store.write(name, "feature%2Fx/app/dev", None).startswith("0-")

    def test_the_largest_text(self, server, store):
        """Consul takes it; a byte more is refused before it is sent."""
        row = server.rows["put-512KB"]
        row["request"]["path"] = "/v1/kv/pyconfserve/main/app/dev?cas=0"
        server.play("put-512KB", "get")
        assert store.write(DEV, "x" * 524288, None)
        with pytest.raises(ValueTooLarge) as caught:
            store.write(DEV, "x" * 524289, None)
        assert str(caught.value) == "the text of main/app/dev has 524289 bytes, expected at most 524288"


def INDEX(server):  # of the one bundle of those rows
    return server.rows["own-get"]["response"]["headers"]["X-Consul-Index"]


class TestWaiting:
    """Blocking queries."""

    @pytest.mark.parametrize("id", ["watch", "watch-delete"])
    def test_something_happened(self, server, store, id):
        """The index is another one; whether the list is whole is asked later."""
        before = {"watch": "token-delete", "watch-delete": "watch-timeout"}[id]
        server.rows["token-now"] = {**server.rows["token"], "response": server.rows[before]["response"]}
        server.play("token-now", OK, id)
        store.wait(store.token(), 30.0)
        assert store._keys._seen == ("", 0)

    def test_nothing_happened(self, server, store):
        """The index is the same: it ends when its time is over."""
        server.rows["token-now"] = {**server.rows["token"], "response": server.rows["watch-timeout"]["response"]}
        server.play("token-now", OK, "watch-timeout")
        token = store.token()
        server.serve("watch-timeout")
        store.wait(token, 0.05)
        assert store._keys._seen == (token, 33)

    def test_an_empty_prefix_wakes_for_what_is_elsewhere(self, server, store):
        """The index moves, the token does not; it waits on from there."""
        server.rows["own-keys-empty"]["response"]["headers"]["X-Consul-Index"] = "35"
        row = server.rows["watch-absent-foreign"]
        row["request"]["path"] = "/v1/kv/pyconfserve/?keys&index=35&wait=1s"
        again = {"request": {**row["request"], "path": "/v1/kv/pyconfserve/?keys&index=36&wait=1s"}}
        server.rows["again"] = {**row, **again}
        server.play("own-keys-empty", OK, "watch-absent-foreign")
        server.serve("again")
        token = store.token()
        store.wait(token, 0.3)
        assert store._keys._seen == (token, 36)

    def test_an_index_that_goes_back_is_reset(self, server, store):
        """After a restore; nothing is asked of a time to come, and so nothing missed."""
        server.rows["own-keys-empty"]["response"]["headers"]["X-Consul-Index"] = "999999"
        row = server.rows["watch-absent-foreign"]
        paths = [f"/v1/kv/pyconfserve/?keys&index={one}&wait=1s" for one in (999999, 0, 36)]
        ids = [f"reset-{number}" for number in range(3)]
        for id, path in zip(ids, paths, strict=True):
            server.rows[id] = {**row, "request": {**row["request"], "path": path}}
        server.play("own-keys-empty", OK, *ids[:2])
        server.serve(ids[2])
        token = store.token()
        store.wait(token, 0.3)
        assert store._keys._seen == (token, 36)

    def test_a_wait_that_nobody_could_serve(self, server, store):
        """It is told, and another token follows: the servers may be others by now."""
        row = {**server.rows["own-keys"]["request"], "path": "/v1/kv/pyconfserve/?keys&index=20&wait=1s"}
        server.rows["away"] = {"request": row, "response": server.rows["noleader-get"]["response"]}
        server.play("own-keys", "away", "own-keys")
        token = store.token()
        with pytest.raises(BackendUnavailable, match=NO_LEADER):
            store.wait(token, 5.0)
        assert store.token() != token

    def test_a_wait_with_a_token_that_is_another_by_now(self, server, connect, tmp_path):
        """It ends, and nothing is told: the next request has that one."""
        path = tmp_path / "token"
        path.write_text("{{part-token}}")
        answer = server.rows["own-ro-keys"]["response"]
        answer["headers"]["X-Consul-Index"] = "18"
        server.rows["known"] = {"request": server.rows["own-part-keys"]["request"], "response": answer}
        asked = {**server.rows["own-part-keys"]["request"], "path": "/v1/kv/pyconfserve/?keys&index=18&wait=1s"}
        server.rows["refused"] = {"request": asked, "response": server.rows["own-revoked-keys"]["response"]}
        store = connect(token_file=str(path))
        server.play("known", "refused", "own-ro-keys")
        token = store.token()
        path.write_text("{{ro-token}}")
        store.wait(token, 5.0)
        assert store.token() == token

    def test_a_token_revoked_meanwhile(self, server, connect):
        """The wait answers as ever; the next request is refused."""
        server.rows["own-ro-keys"]["response"]["headers"]["X-Consul-Index"] = "18"
        row = server.rows["acl-revoked-watch"]
        row["request"]["headers"] = {"X-Consul-Token": "{{ro-token}}"}
        row["response"]["body"] = server.rows["own-ro-keys"]["response"]["body"]
        server.play("own-ro-keys", "acl-revoked-watch", "own-revoked-keys")
        store = connect(token="{{ro-token}}")
        token = store.token()
        server.serve("acl-revoked-watch")
        store.wait(token, 0.05)
        with pytest.raises(BackendDenied, match=r"it does not know the token$"):
            store.token()

    def test_a_wait_that_is_refused(self, server, connect):
        """It is told."""
        server.rows["refused"] = {
            "request": {**server.rows["own-ro-keys"]["request"], "path": "/v1/kv/pyconfserve/?keys&index=18&wait=1s"},
            "response": server.rows["own-revoked-keys"]["response"],
        }
        server.rows["own-ro-keys"]["response"]["headers"]["X-Consul-Index"] = "18"
        server.play("own-ro-keys", "refused")
        store = connect(token="{{ro-token}}")
        with pytest.raises(BackendDenied, match=r"it does not know the token$"):
            store.wait(store.token(), 5.0)


def read(store):
    return store.read()


def write(store):
    return store.write(DEV, "v", "1-x")


def remove(store):
    return store.write(DEV, None, "12-x")


LIST, WRITE = "/v1/kv/pyconfserve/?recurse=true", "/v1/kv/pyconfserve/main/app/dev?cas=1"
HIDDEN = "the token may not read all below the prefix: it needs key_prefix, policy read"
NO_RIGHT, NOBODY = "the token has no right to it", "it wants a token"
UNKNOWN, NO_LEADER = "it does not know the token", "it has no leader"
# What is asked, the rows that are played, and what it means. A row of another request
# is the answer to ours: Consul says it of any.
REFUSALS = {
    "no-leader": (read, ["noleader-get"], BackendUnavailable, NO_LEADER),
    "no-leader-write": (write, ["noleader-put"], BackendUnavailable, f"{KEY}{NO_LEADER}"),
    "datacenter": (read, ["dc"], BackendMisconfigured, "it knows no such datacenter"),
    "enterprise": (read, ["ns"], BackendMisconfigured, "it answered 400"),
    "bad-cas": (write, ["bad-cas"], BackendUnavailable, f"{KEY}it answered 500"),
    "redirect": (write, ["put-key-double-slash"], BackendMisconfigured, f"{KEY}it answered 307"),
    "too-large": (write, ["put-512KB+1"], ValueTooLarge, f"{KEY}it is too large"),
    "unknown-token": (read, ["acl-wrong-list"], BackendDenied, UNKNOWN),
    "unknown-token-write": (write, ["acl-wrong-put"], BackendDenied, f"{KEY}{UNKNOWN}"),
    "no-token-write": (write, ["acl-none-put"], BackendDenied, f"{KEY}{NOBODY}"),
    "read-only-write": (write, ["acl-ro-cas"], BackendDenied, f"{KEY}{NO_RIGHT}"),
    "down": (read, ["down"], BackendUnavailable, "the connection was closed without an answer"),
}


@pytest.mark.parametrize("id", REFUSALS)
def test_a_refusal_is_an_error_of_the_tree(server, store, id):
    """It names the store and the key, in words of ours."""
    ask, (row,), kind, words = REFUSALS[id][0], *REFUSALS[id][1:]
    body, method, path = (None, "GET", LIST) if ask is read else ("v", "PUT", WRITE)
    request = {"method": method, "path": path, "headers": {}, "body": body}
    server.rows[row] = {**server.rows[row], "request": request}
    server.play(row)
    with pytest.raises(kind) as caught:
        ask(store)
    assert type(caught.value) is kind
    assert str(caught.value) == f"consul://{server.authority}/pyconfserve: {words}"


FILTERED = {
    "no-token": ("", ["own-none-list", "own-none-probe"], NOBODY),
    "part": ("{{part-token}}", ["own-part-list"], HIDDEN),
    "part-unsaid": ("{{part-token}}", ["own-part-keys", "own-part-probe"], HIDDEN),
}


@pytest.mark.parametrize("id", FILTERED)
def test_a_list_that_is_filtered_is_no_empty_one(server, connect, id):
    """The key that stands for the prefix tells; a header does not always."""
    token, rows, words = FILTERED[id]
    if id == "part-unsaid":
        del server.rows[rows[0]]["response"]["headers"]["X-Consul-Results-Filtered-By-Acls"]
    server.play(*rows)
    with pytest.raises(BackendDenied) as caught:  # noqa: PT012
        store = connect(token=token)
        store.token() if id == "part-unsaid" else store.read()
    assert str(caught.value) == f"consul://{server.authority}/pyconfserve: {words}"


class TestRights:
    """Tokens."""

    def test_a_token_for_reading(self, server, connect):
        """It reads; it neither writes nor removes, which is no conflict."""
        server.play("own-ro-list", "own-ro-keys", "own-ro-mark", "own-ro-put", "own-ro-remove")
        store = connect(token="{{ro-token}}")
        store._is_marked = False
        assert texts(store.read()) == {DEV: "v"}
        assert store.token()
        for text, version in (("{}", "1-x"), (None, "12-x")):
            with pytest.raises(BackendDenied) as caught:
                store.write(DEV, text, version)
            assert str(caught.value) == f"consul://{server.authority}/pyconfserve: {KEY}{NO_RIGHT}"

    def test_a_file_is_read_again_when_its_token_is_refused(self, server, connect, tmp_path):
        """What was asked is asked once more, with another token alone."""
        path = tmp_path / "token"
        path.write_text("old\n")
        server.rows["old-list"] = {
            "request": {**server.rows["own-ro-list"]["request"], "headers": {"X-Consul-Token": "old"}},
            "response": server.rows["own-revoked-list"]["response"],
        }
        store = connect(token_file=str(path))
        server.play("old-list")
        with pytest.raises(BackendDenied, match=UNKNOWN):
            store.read()
        path.write_text("{{ro-token}}\n")
        server.play("old-list", "own-ro-list", "own-ro-keys")
        assert texts(store.read()) == {DEV: "v"}
        assert store.token()

    @pytest.mark.parametrize("is_said", [True, False], ids=["said", "unsaid"])
    def test_a_file_is_read_again_when_its_token_may_not_see_all(self, server, connect, tmp_path, is_said):
        """What the old one was shown is never believed, whether Consul says so or not."""
        path = tmp_path / "token"
        path.write_text("{{part-token}}")
        if not is_said:
            del server.rows["own-part-list"]["response"]["headers"]["X-Consul-Results-Filtered-By-Acls"]
        refused = ["own-part-list"] if is_said else ["own-part-list", "own-part-probe"]
        store = connect(token_file=str(path))
        server.play(*refused)
        with pytest.raises(BackendDenied, match=HIDDEN):
            store.read()
        path.write_text("{{ro-token}}")
        server.play(*refused, "own-ro-list")
        assert texts(store.read()) == {DEV: "v"}

    def test_a_file_that_is_written_again_and_again(self, server, connect, tmp_path):
        """It is read once for each request."""
        path = tmp_path / "token"
        path.write_text("0")
        tokens = (str(number) for number in range(1, 10))
        for number in range(10):
            request = {**server.rows["own-ro-list"]["request"], "headers": {"X-Consul-Token": str(number)}}
            server.rows[f"list-{number}"] = {"request": request, "response": server.rows["own-revoked-list"]["response"]}
        store = connect(token_file=str(path))
        read_again = store._keys._given.read_again

        def read_another(refused):
            if refused:
                path.write_text(next(tokens))
            return read_again(refused)

        store._keys._given.read_again = read_another
        server.play("list-0", "list-1")
        with pytest.raises(BackendDenied, match=UNKNOWN):
            store.read()

    def test_a_refusal_of_a_transaction_is_one_too(self, server, connect, tmp_path):
        """Though it looks as a conflict does."""
        path = tmp_path / "token"
        path.write_text("{{ro-token}}")
        store = connect(token_file=str(path))
        server.play("own-ro-remove")
        with pytest.raises(BackendDenied, match=NO_RIGHT):
            remove(store)
        assert len(server.asked) == 1
        made = {**server.rows["own-remove"], "request": {**server.rows["own-ro-remove"]["request"]}}
        made["request"]["headers"] = {"X-Consul-Token": "new"}
        server.rows["made"] = made
        server.play("own-ro-remove", "made")
        path.write_text("{{ro-token}}")
        keys, read_again = store._keys, store._keys._given.read_again

        def read_another(refused):
            path.write_text("new")
            return read_again(refused)

        keys._given.read_again = read_another
        assert remove(store) is None

    def test_a_file_that_is_none(self, server, connect, tmp_path):
        """It is told, and nothing is asked."""
        path = tmp_path / "token"
        for content, words in ((None, "No such file or directory"), (b"\n", "holds no token"), (b"\xff", "not UTF-8"), (b"a b", "holds no token")):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(BackendMisconfigured, match=f"the token file.* {words}"):
                connect(token_file=str(path)).token()
        assert server.asked == []

    def test_the_token_is_told_to_nobody(self, server, connect):
        """Neither errors nor the address have it."""
        server.play("own-revoked-list")
        store = connect(token="{{ro-token}}")
        with pytest.raises(BackendDenied) as caught:
            store.read()
        assert "ro-token" not in f"{caught.value!r} {store.address}"


STRANGERS = {
    "no-index": (200, {}, "[]", BackendMisconfigured),
    "no-json": (200, {"X-Consul-Index": "1"}, "<html>", BackendMisconfigured),
    "no-list": (200, {"X-Consul-Index": "1"}, '{".pyconfserve": 1}', BackendMisconfigured),
    "no-rows": (200, {"X-Consul-Index": "1"}, '["pyconfserve/.pyconfserve"]', BackendMisconfigured),
    "no-value": (200, {"X-Consul-Index": "1"}, '[{"Key": "pyconfserve/.pyconfserve"}]', BackendMisconfigured),
    "no-number": (200, {"X-Consul-Index": "1"}, '[{"Key": "pyconfserve/.pyconfserve", "Value": null, "ModifyIndex": 1e999}]', BackendMisconfigured),
    "no-base64": (200, {"X-Consul-Index": "1"}, '[{"Key": "pyconfserve/.pyconfserve", "Value": "a", "ModifyIndex": 1}, "pyconfserve/.pyconfserve"]', BackendMisconfigured),
    "strange-index": (404, {"X-Consul-Index": "²"}, "", BackendMisconfigured),
    "not-found": (404, {}, "", BackendMisconfigured),
    "redirect": (302, {"Location": "/other"}, "", BackendMisconfigured),
    "proxy": (502, {}, "", BackendUnavailable),
    "too-often": (429, {}, "", BackendUnavailable),
    "deep": (200, {"X-Consul-Index": "1"}, "[" * 100_000 + '"pyconfserve/.pyconfserve"', BackendMisconfigured),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_another_server_at_this_address(server, store, name):
    """A proxy, or none of Consul at all."""
    status, headers, body, kind = STRANGERS[name]
    headers = {key: value.encode().decode("latin-1") for key, value in headers.items()}
    server.rows["own-list"]["response"] = {"status": status, "headers": headers, "body": body}
    server.serve("own-list", "own-probe-empty")
    with pytest.raises(kind) as caught:
        store.read()
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"consul://{server.authority}/pyconfserve: it ")


@pytest.mark.parametrize("id", ["cas-ok", "get", "own-remove"])
def test_another_server_that_takes_changes(server, store, id):
    """Its answers are none of Consul's."""
    server.rows[id]["response"] = {"status": 200 if id != "own-remove" else 404, "headers": {"X-Consul-Index": "1"}, "body": "{}"}
    server.play(*(["cas-ok", "get"] if id == "get" else [id]))
    with pytest.raises(BackendMisconfigured, match=r"it does not answer as Consul's KV store$"):
        store.write(DEV, None if id == "own-remove" else '{"k":"v2"}', f"{INDEX(server)}-x" if id == "own-remove" else "9-x")


def test_another_agent_is_asked_when_one_has_no_leader(server):
    """It may be alone on its side of a cut."""
    with RecordedStore("consul.json") as other:
        server.rows["noleader-get"]["request"] = server.rows["own-keys"]["request"]
        server.play("noleader-get")
        other.play("own-keys")
        store = ConsulStore(f"consul://{server.authority},{other.authority}")
        with pytest.raises(BackendUnavailable, match=NO_LEADER):
            store.token()
        assert store.token()
        store.close()


@pytest.mark.parametrize("id", ["noleader-get", "proxy"])
def test_a_token_is_another_one_after_none_could_serve(server, store, id):
    """Who stands behind an agent or a proxy may have been restored, with old indexes."""
    server.rows["proxy"] = {"response": {"status": 503, "headers": {}, "body": ""}}
    server.rows[id]["request"] = server.rows["own-keys"]["request"]
    server.play("own-keys", id, "own-keys", "own-keys")
    before = store.token()
    with pytest.raises(BackendUnavailable):
        store.token()
    after = store.token()
    assert before != after == store.token()


LAYOUTS = {
    "key-value": {"foo/dev": {"data": "a: foo-dev\n"}, "foo/default": {"data": "a: foo\n", "list[0]": "x", "server.port": "8080"}},
    "yaml": {"foo/dev": {"a": "foo-dev"}, "foo/default": {"a": "foo"}},
    "properties": {"foo/dev": {"a": "foo-dev"}, "foo/default": {"a": "foo"}},
    "files": {"foo/dev": {"a": "file"}, "foo-dev/default": {"a": "file"}},
}  # fmt: skip


class TestSpringsKeys:
    """What the clients read in parts is one list, and followed."""

    @pytest.fixture
    def springs(self, server):
        """A server that has all keys that were recorded, and never any news."""
        rows = [server.rows[id] for id in ("spring-yaml", "spring-kv", "spring-files")]
        for row in rows:
            row["response"]["headers"]["X-Consul-Index"] = "47"
        body = "[" + ",".join(row["response"]["body"][1:-1] for row in rows) + "]"
        names = json.dumps([one["Key"] for one in json.loads(body)])
        paths = {"all": "?recurse=true", "names": "?keys", "wait": "?keys&index=47&wait=1s", "probe": ".pyconfserve"}
        for id, path in paths.items():
            answer = server.rows["spring-missing"] if id == "probe" else rows[0]
            response = answer["response"] if id == "probe" else {**answer["response"], "body": body if id == "all" else names}
            server.rows[id] = {"request": {**rows[0]["request"], "path": f"/v1/kv/config/{path}"}, "response": response}
        server.serve(*paths)
        return server

    @pytest.fixture(params=LAYOUTS)
    def layout(self, request):
        return request.param

    @pytest.fixture
    def backend(self, springs, layout):
        backend = ConsulConfigBackend(f"consul://{springs.authority}", layout=layout)
        yield backend
        asyncio.run(backend.close())

    def test_bundles(self, backend, layout):
        """Each format has its own."""
        asyncio.run(backend.open())
        for name, properties in LAYOUTS[layout].items():
            application, profile = name.split("/")
            found = asyncio.run(backend.fetch(application, profile, "any"))
            assert found == ConfigSource(application, profile, "any", properties)
        assert asyncio.run(backend.fetch("nobody", "dev")) is None
        listed = {f"{one.application}/{one.profile}" for one in asyncio.run(backend.list())}
        assert listed == LAYOUTS[layout].keys() - {"foo-dev/default"}  # one file is one bundle

    def test_an_answer(self, springs, backend, layout):
        """Its stamp holds, as nothing changes; looking again reads the token alone."""
        found = asyncio.run(backend.sources(make_lookup("foo", "dev", "any")))
        expected = {"key-value": 2, "yaml": 2, "properties": 2, "files": 1}
        assert [one.name for one in found.sources] == ["foo-dev", "foo-default"][: expected[layout]]
        assert backend.stamp(found.seen) == found.stamp
        asyncio.run(backend.refresh())
        assert backend.stamp(found.seen) == found.stamp
        backend.look_again()
        assert backend.stamp(found.seen) is None
        assert backend.health()["bundles"] == len(LAYOUTS[layout])
        assert sum("recurse" in one[1] for one in springs.asked) == 1

    def test_what_does_not_parse(self, springs):
        """It is told with its key."""
        row = springs.rows["all"]["response"]
        row["body"] = row["body"].replace("YTogZm9vLWRldgo=", "YTogWw==")
        backend = ConsulConfigBackend(f"consul://{springs.authority}", layout="yaml")
        told = []
        end = backend.on_change(told.append)
        try:
            for ask in (backend.fetch("foo", "dev"), backend.sources(make_lookup("foo", "dev"))):
                with pytest.raises(DocumentError, match=r"^config/foo,dev/data:2:1: "):
                    asyncio.run(ask)
            with pytest.raises(DocumentError) as first:
                asyncio.run(backend.fetch("foo", "dev"))
            depth = len([*walk_tb(first.value.__traceback__)])
            with pytest.raises(DocumentError) as again:
                asyncio.run(backend.fetch("foo", "dev"))
            assert len([*walk_tb(again.value.__traceback__)]) == depth  # else it would grow
            (problem,) = backend.health()["broken"]
            assert problem.startswith("config/foo,dev/data:2:1: ")
        finally:
            end()
            asyncio.run(backend.close())
        with pytest.raises(ReadOnlyBackend):
            asyncio.run(backend.save(ConfigSource("foo", "dev")))
        with pytest.raises(ReadOnlyBackend):
            backend._layout.write(DEV, None, None)


class TestTheStandIn:
    """It fails on what was not recorded."""

    def test_another_request(self):
        """It is answered with an error, and told in the end."""
        with pytest.raises(AssertionError, match="pyconfserve/\\?keys"), RecordedStore("consul.json") as server:  # noqa: PT012
            store = ConsulStore(f"consul://{server.authority}")
            server.play("get")
            with pytest.raises(BackendUnavailable, match=r"it answered 599$"):
                store.token()

    @pytest.mark.parametrize("change", [{"method": "DELETE"}, {"body": "other"}, {"headers": {"X-Consul-Token": "x"}}, {"path": "/v1/kv/pyconfserve/main/app/dev?cas=8"}], ids=["method", "body", "token", "query"])  # fmt: skip
    def test_one_that_differs(self, change):
        """In any part."""
        with pytest.raises(AssertionError), RecordedStore("consul.json") as server:  # noqa: PT012
            server.rows["cas-ok"]["request"] |= change
            server.play("cas-ok")
            with pytest.raises(BackendUnavailable, match=r"it answered 599$"):  # noqa: PT012
                store = ConsulStore(f"consul://{server.authority}")
                store._is_marked = True
                store.write(DEV, '{"k":"v2"}', "9-x")

    def test_what_is_never_asked(self):
        """It is missed."""
        with pytest.raises(AssertionError, match="get"), RecordedStore("consul.json") as server:
            server.play("get")
