"""Vault: the contract of backends, and what is peculiar to the store.

The contract of stores is in test_vault_contract.py.

The server is vault_server, which is held to recorded answers.
"""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from backend_contract import VersionedContract
from store_contract import ORDERS, STRANGE
from vault_server import ALL, ROOT, Token, VaultServer

from pyconfserve.adapters.vault import VaultStore
from pyconfserve.adapters.vault_client import VaultPlace, parse_vault
from pyconfserve.errors import (
    BackendUnavailable,
    SettingsError,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import DeltaStore, Record, Snapshot
from pyconfserve.store_backend import StoreBackend

KEY = "pyconfserve/main/orders/prod"
JOURNAL = "pyconfserve/.rev"
SOON = 5.0  # seconds in which a change is seen, on any machine
OTHER = BundleName("other", "prod", "main")


@pytest.fixture(params=[False, True], ids=["vault", "openbao"])
def server(request):
    with VaultServer(request.param) as server:
        yield server


@pytest.fixture
def connect(server):
    """Makes stores over one mount that look often, and closes them in the end."""
    made = []

    def connect(uri="", **options):
        given = {"token": ROOT, "look": 0.01, **options}
        made.append(VaultStore(uri or f"{server.uri}/secret/pyconfserve", **given))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def store(connect):
    return connect()


class TestVault(VersionedContract):
    """The contract of backends."""

    @pytest.fixture
    def server(self):
        with VaultServer() as server:
            yield server

    @pytest.fixture
    def backend(self, connect):
        backend = StoreBackend(connect())
        yield backend
        asyncio.run(backend.close())


class TestKeys:
    """Where bundles are kept."""

    @pytest.mark.parametrize(
        ("name", "key"),
        [
            (ORDERS, "main/orders/prod"),
            (BundleName("team/orders", "prod", "feature/x"), "feature%2Fx/team%2Forders/prod"),
            (BundleName("café", "größe", "東京"), "%E6%9D%B1%E4%BA%AC/caf%C3%A9/gr%C3%B6%C3%9Fe"),
        ],
        ids=["plain", "slash", "unicode"],
    )  # fmt: skip
    def test_a_bundle_is_one_secret(self, server, store, name, key):
        """Label, application and profile, with what stands in a name escaped; the text
        is one string, as numbers would lose digits."""
        text = '{"n":12345678901234567890}'
        version = store.write(name, text, None)
        assert server.keys["secret"].keys() == {JOURNAL, f"pyconfserve/{key}"}
        assert server.keys["secret"][f"pyconfserve/{key}"] == [{"body": text}]
        assert version.startswith("1-")
        assert store.read().records == {name: Record(text, version)}

    def test_what_is_removed_is_an_empty_version(self, server, store):
        """Which is made under check-and-set, as a deletion is not."""
        version = store.write(ORDERS, "1", None)
        assert store.write(ORDERS, None, version) is None
        assert server.keys["secret"][KEY] == [{"body": "1"}, {}]
        assert store.read().records == {}
        assert store.write(ORDERS, "2", None).startswith("3-")

    @pytest.mark.parametrize("gone", [None, {}], ids=["deleted", "empty"])
    def test_what_others_deleted_is_made_again(self, server, store, gone):
        """A check-and-set with 0 would conflict there."""
        store.write(ORDERS, "1", None)
        server.put(KEY, gone)
        assert store.read().records == {}
        assert store.write(ORDERS, "2", None).startswith("3-")

    def test_keys_of_others_are_left_alone(self, server, store):
        """And what they wrote where a bundle is does not parse, and is shown."""
        version = store.write(ORDERS, "1", None)
        for key in ("elsewhere", "pyconfserve/x", "pyconfserve/main/x", "pyconfserve/main/a%2fb/c", "pyconfserve/main/a/b/c"):
            server.put(key, {"body": "2"})
        server.put("pyconfserve/main/foreign/prod", {"user": "x"})
        found = store.read().records
        assert {name: one.text for name, one in found.items()} == {ORDERS: "1", BundleName("foreign", "prod", "main"): ""}
        assert found[ORDERS].version == version

    def test_a_version_is_told_by_its_text_too(self, server, store):
        """A secret that was made anew has the same numbers again."""
        version = store.write(ORDERS, "1", None)
        server.keys["secret"][KEY] = [{"body": "2"}]
        with pytest.raises(VersionConflict) as caught:
            store.write(ORDERS, "3", version)
        assert caught.value.version.startswith("1-")
        assert caught.value.version != version

    def test_a_text_above_the_limit_is_not_sent(self, server, store):
        """Vault would hang up, or name a wrong size."""
        with pytest.raises(ValueTooLarge) as caught:
            store.write(ORDERS, "é" * (store.limit // 2 + 1), None)
        assert str(caught.value) == "the text of main/orders/prod has 1000002 bytes, expected at most 1000000"
        assert server.asked == []

    def test_one_that_vault_finds_too_large_is_told_so(self, server, store, connect):
        """Whatever its limit is; nothing is being written afterwards."""
        store.limit = 2_000_000
        with pytest.raises(ValueTooLarge) as caught:
            store.write(ORDERS, "x" * 1_100_000, None)
        assert str(caught.value) == f"{store.address}: main/orders/prod: it is too large"
        assert "+" not in connect().token()


class TestJournal:
    """How others learn of a change."""

    def test_what_changed_is_told(self, store):
        """Since any token that the journal goes back to, and what was removed."""
        assert isinstance(store, DeltaStore)
        first = store.write(ORDERS, "1", None)
        tokens = [store.token()]
        second = store.write(OTHER, "2", None)
        third = store.write(ORDERS, "3", first)
        tokens.append(store.token())
        store.write(OTHER, None, second)
        last = store.token()
        assert store.since(last) == Snapshot(last, {})
        assert store.since(tokens[1]) == Snapshot(last, {OTHER: None})
        assert store.since(tokens[0]) == Snapshot(last, {ORDERS: Record("3", third), OTHER: None})

    @pytest.mark.parametrize("token", ["", "x", "x+1"])
    def test_a_token_of_another_past_tells_nothing(self, store, token):
        """So that all is read."""
        store.write(ORDERS, "1", None)
        assert store.since(token) is None

    def test_who_is_far_behind_reads_all(self, store):
        """The journal has a hundred notes, of fifty changes."""
        version = store.write(ORDERS, "0", None)
        token = store.token()
        for number in range(51):
            version = store.write(ORDERS, str(number), version)
        assert store.since(token) is None

    def test_a_journal_that_went_away_is_another_one(self, server, store):
        """All is read then, and what is there is served."""
        version = store.write(ORDERS, "1", None)
        token = store.token()
        del server.keys["secret"][JOURNAL]
        assert (store.token(), store.since(token)) == ("", None)
        assert store.read() == Snapshot("", {ORDERS: Record("1", version)})
        store.write(ORDERS, "2", version)
        assert store.token() not in ("", token)

    @pytest.mark.parametrize("broken", [{"body": "x"}, {"body": "{}"}, {"body": '{"log": 1, "writing": {}}'}, {"user": "x"}, {}, None])
    def test_a_journal_that_others_broke_is_made_anew(self, server, store, broken):
        """By the next who writes."""
        version = store.write(ORDERS, "1", None)
        server.put(JOURNAL, broken)
        assert store.token() == ""
        assert store.write(ORDERS, "2", version).startswith("2-")
        assert store.token() != ""
        assert len(server.keys["secret"][JOURNAL]) == 5

    def test_who_dies_before_the_end_is_noticed(self, server, store, connect):
        """It said what it writes; the others look at that one key."""
        other = connect()
        other.read()
        written = threading.Event()
        answer = server.answer

        def until_it_is_written(method, path, *rest):
            if written.is_set() and path.endswith(JOURNAL) and method == "POST":
                written.clear()
                raise ConnectionResetError  # the last note is never made
            if method == "POST" and path.endswith(KEY):
                written.set()
            return answer(method, path, *rest)

        server.answer = until_it_is_written
        before = other.token()
        version = store.write(ORDERS, "1", None)
        server.answer = answer
        token = other.token()
        assert token != before
        assert token.endswith("+1")
        assert other.read() == Snapshot(token, {ORDERS: Record("1", version)})
        server.put(KEY, {"body": "2"})  # the one that died may be late
        assert other.token().endswith("+2")
        changed = other.since(token)
        assert changed.records[ORDERS].text == "2"

    def test_a_change_whose_answer_was_lost_is_seen(self, server, store, connect):
        """It may be made yet, so its mark stays."""
        server.broken = {("POST", f"secret/data/{KEY}"): None}
        with pytest.raises(BackendUnavailable):
            store.write(ORDERS, "1", None)
        assert connect().token().endswith("+0")
        server.put(KEY, {"body": "1"})
        assert connect().token().endswith("+1")

    def test_an_old_mark_is_taken_back_by_the_next_who_writes(self, server, store):
        """After ten minutes nothing is written any more by who left it."""
        server.broken = {("POST", f"secret/data/{KEY}"): None}
        with pytest.raises(BackendUnavailable):
            store.write(ORDERS, "1", None)
        server.broken = {}
        token = store.token()
        body = json.loads(server.keys["secret"][JOURNAL][-1]["body"])
        ((mark, (key, then)),) = body["writing"].items()
        server.put(JOURNAL, {"body": json.dumps({**body, "writing": {mark: [key, then - 601]}})})
        version = store.write(OTHER, "2", None)
        assert "+" not in store.token()
        assert store.since(token) == Snapshot(store.token(), {ORDERS: None, OTHER: Record("2", version)})

    def test_a_conflict_leaves_no_mark(self, server, store, connect):
        """Also where it is seen at the last moment."""
        version = store.write(ORDERS, "1", None)
        answer = server.answer

        def another_is_first(method, path, *rest):
            if method == "POST" and path.endswith(KEY):
                server.put(KEY, {"body": "2"})
            return answer(method, path, *rest)

        server.answer = another_is_first
        with pytest.raises(VersionConflict) as caught:
            store.write(ORDERS, "3", version)
        server.answer = answer
        assert caught.value.version.startswith("2-")
        assert "+" not in connect().token()

    def test_what_changes_while_all_is_read_is_read_again(self, server, store, connect):
        """So that the token is of what was read."""
        store.write(ORDERS, "1", None)
        writer, done = connect(), threading.Event()
        answer = server.answer

        def in_the_middle(method, path, query, *rest):
            if query.get("list") and not done.is_set():
                done.set()
                with ThreadPoolExecutor(1) as thread:  # by another connection
                    server.lock.release()
                    try:
                        thread.submit(writer.write, OTHER, "2", None).result()
                    finally:
                        server.lock.acquire()
            return answer(method, path, query, *rest)

        server.answer = in_the_middle
        found = store.read()
        assert {name: one.text for name, one in found.records.items()} == {ORDERS: "1", OTHER: "2"}
        assert found.token == store.token()

    def test_a_change_costs_four_requests_where_nobody_else_writes(self, server, store):
        """The mark, the present version, the change, and the end."""
        version = store.write(ORDERS, "1", None)
        server.asked.clear()
        store.write(ORDERS, "2", version)
        assert [(method, path.removeprefix("secret/data/")) for method, path, _ in server.asked] == [
            ("GET", KEY), ("POST", JOURNAL), ("POST", KEY), ("POST", JOURNAL),
        ]  # fmt: skip

    def test_a_backend_takes_a_change_in_by_two_requests(self, server, connect):
        """The journal, and the one that changed."""
        async def run():
            backend = StoreBackend(connect(look=60.0), poll=60.0)
            writer = connect()
            version = writer.write(ORDERS, '{"properties":{"a":1}}', None)
            writer.write(OTHER, '{"properties":{"a":2}}', None)
            await backend.refresh()
            server.asked.clear()
            writer.write(ORDERS, '{"properties":{"a":3}}', version)
            written = len(server.asked)
            await backend.refresh()
            found = await backend.fetch("orders", "prod", "main")
            await backend.close()
            return found.properties, [path for _, path, _ in server.asked[written:]]

        properties, paths = asyncio.run(run())
        assert properties == {"a": 3}
        assert sorted({*paths}) == [f"secret/data/{JOURNAL}", f"secret/data/{KEY}"]


class TestPlaces:
    """What a URI says."""

    @pytest.mark.parametrize(
        ("uri", "place"),
        [
            ("vault://h", VaultPlace("vault://h:8200/secret", ("http://h:8200",), "secret", "", "", "")),
            ("vaults://h:1/kv/a/b/", VaultPlace("vaults://h:1/kv/a/b", ("https://h:1",), "kv", "a/b", "", "")),
            ("vault://r:s%40@h/team%2Fkv", VaultPlace("vault://h:8200/team%2Fkv", ("http://h:8200",), "team/kv", "", "r", "s@")),
            ("vault://a:1,b:2/kv", VaultPlace("vault://a:1,b:2/kv", ("http://a:1", "http://b:2"), "kv", "", "", "")),
        ],
        ids=["plain", "path", "role-and-mount", "several"],
    )
    def test_its_parts(self, uri, place):
        """The mount is `secret` where none is named; the address is without a secret."""
        assert parse_vault(uri) == place

    def test_files_of_tls_are_looked_at(self):
        """Before anybody is asked."""
        with pytest.raises(SettingsError) as caught:
            VaultStore("vaults://h", ca_file="/none.pem")
        assert str(caught.value) == "ca_file: /none.pem: No such file or directory"

    @pytest.mark.parametrize("uri", ["vault://", "http://h", "vault://h/a/../b", "vault://h/%2F", "vault://h/a?b", "vault://h/.", "consul://h"])
    def test_what_is_none_is_refused(self, uri):
        """In the settings, before anybody is asked."""
        with pytest.raises(SettingsError):
            VaultStore(uri)

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"token": "a", "token_file": "b"}, "token: expected a token or a file that holds it"),
            ({"token": "a", "role_id": "b"}, "token: expected a token or a role"),
            ({"token": "a\nb"}, "token: it has characters that no token has"),
            ({"secret_id": "b"}, "username: a secret needs the id of its role"),
            ({"namespace": "a b"}, "namespace: it has characters that no namespace has"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, options, problem):
        """By the name of the setting, and never with the secret."""
        with pytest.raises(SettingsError) as caught:
            VaultStore("vault://h", **options)
        assert str(caught.value) == problem


class TestWaits:
    """Vault gives no notices."""

    def test_it_asks_once_a_second(self, server, connect):
        """Unless it is told otherwise, and the journal alone."""
        store = connect()
        token = store.token()
        server.asked.clear()
        slow = VaultStore(store.address, token=ROOT)
        began = time.monotonic()
        slow.wait(token, 1.2)
        slow.close()
        assert 1.1 < time.monotonic() - began < SOON
        assert [path for _, path, _ in server.asked if "lookup" not in path] == [f"secret/data/{JOURNAL}", "sys/internal/ui/mounts/secret"] * 2


def test_limited_rights_are_enough(server, connect):
    """Those that the README names, and none for other keys."""
    server.tokens["limited"] = Token({"secret/data/pyconfserve/": ALL, "secret/metadata/pyconfserve/": {"list"}}, 3600)
    store = connect(token="limited")
    assert store.read() == Snapshot("", {})
    version = store.write(ORDERS, "1", None)
    assert store.read().records == {ORDERS: Record("1", version)}


def test_names_that_are_strange_share_a_mount(store):
    """A slash in one is none in a path."""
    for number, name in enumerate(STRANGE):
        store.write(name, str(number), None)
    assert store.read().records.keys() == {*STRANGE}


def test_a_namespace_is_another_store():
    """Their snapshots are not mixed up."""
    uris = [("vault://h", ""), ("vault://h", "team1"), ("vault://h", "/team1/"), ("vault://h", "team2")]
    found = [VaultStore(uri, token=ROOT, namespace=namespace).identity for uri, namespace in uris]
    place = "vault://h:8200/secret"
    assert found == [place, f"{place} in team1", f"{place} in team1", f"{place} in team2"]
