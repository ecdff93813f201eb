"""etcd: the contract of backends, and what is peculiar to the store, on a real server."""

import asyncio
import base64
import json
import re
import threading
import time

import pytest
from backend_contract import VersionedContract
from store_contract import LONG, ORDERS, SOON, StoreContract, WaitingContract, texts
from store_servers import Relay

from pyconfserve.adapters.etcd import EtcdStore
from pyconfserve.adapters.etcd_gateway import Place, parse_place
from pyconfserve.errors import (
    BackendUnavailable,
    SettingsError,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import DeltaStore, Record, Snapshot, key_of
from pyconfserve.store_backend import StoreBackend


class TestEtcd(VersionedContract):
    """The contract, on a real server."""

    @pytest.fixture
    def backend(self, etcd_url):
        backend = StoreBackend(EtcdStore(etcd_url))
        yield backend
        asyncio.run(backend.close())


class TestEtcdStore(StoreContract):
    """What every store keeps."""

    @pytest.fixture
    def connect(self, etcd_url):
        return lambda: EtcdStore(etcd_url)

    def test_what_is_written_is_read(self, store, open_store):
        """With its version, by all; what is again as it was has its token again."""
        other, states, version = open_store(), [], None
        for text in ("1", "2", None, "1"):
            states.append(store.read())
            assert states[-1] == other.read()
            assert states[-1].token == store.token() == other.token()
            version = store.write(ORDERS, text, version)
        first, second, third, fourth = states
        assert first == fourth == Snapshot(first.token, {})
        assert [texts(second), texts(third)] == [{ORDERS: "1"}, {ORDERS: "2"}]
        assert {one.records[ORDERS].version for one in (second, third)}.isdisjoint({version})
        assert len({first.token, second.token, third.token, store.token()}) == 4


@pytest.fixture
def connect(etcd_url):
    """Makes stores over one empty prefix, and closes them in the end."""
    made = []

    def connect(uri=etcd_url, **options):
        made.append(EtcdStore(uri, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def store(connect):
    return connect()


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def named(number):
    return BundleName(f"app{number}", "prod", "main")


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
    def test_a_bundle_is_one_key_below_the_prefix(self, store, etcd_server, name, key):
        """Label, application and profile, with what stands in a name escaped."""
        version = store.write(name, "{}", None)
        whole = base64_of(f"/{store.address.rpartition('/')[2]}/{key}")
        (found,) = etcd_server.call("kv/range", {"key": whole})["kvs"]
        assert found["value"] == base64_of("{}")
        assert version.startswith(f"{found['mod_revision']}-")
        assert store.read().records == {name: Record("{}", version)}

    def test_keys_of_others_are_left_alone(self, store, etcd_server):
        """What no bundle could be stored under is neither read nor an obstacle."""
        prefix = f"/{store.address.rpartition('/')[2]}"
        others = ["/", "/main", "/main/a/b/c", "/main/a%2fb/c", "/../a/b", "/a//b", "/a/é/b", "0", "x/a/b/c"]
        version = store.write(ORDERS, "{}", None)
        token = store.read().token
        for key in others:
            etcd_server.call("kv/put", {"key": base64_of(prefix + key), "value": "MQ=="})
        etcd_server.call("kv/put", {"key": base64.b64encode(prefix.encode() + b"/a/\xff/b").decode()})
        assert store.since(token).records == {}
        assert store.read().records == {ORDERS: Record("{}", version)}

    def test_what_is_not_utf_8_is_no_bundle(self, store, etcd_server):
        """It is told as a text that does not parse; the others are served."""
        key = base64_of(f"/{store.address.rpartition('/')[2]}/main/orders/prod")
        etcd_server.call("kv/put", {"key": key, "value": base64.b64encode(b'{"\xff"}').decode()})
        assert texts(store.read()) == {ORDERS: '{"\udcff"}'}

    def test_prefixes_are_apart(self, connect, etcd_url):
        """One that begins as another does is another."""
        connect().write(ORDERS, "1", None)
        connect(f"{etcd_url}2").write(ORDERS, "2", None)
        connect(f"{etcd_url}/main").write(ORDERS, "3", None)
        assert texts(connect().read()) == {ORDERS: "1"}
        assert texts(connect(f"{etcd_url}2").read()) == {ORDERS: "2"}
        assert texts(connect(f"{etcd_url}/main").read()) == {ORDERS: "3"}

    def test_many_keys_are_read_in_pages_of_one_moment(self, store, etcd_server):
        """A change between two pages is in neither."""
        prefix = f"/{store.address.rpartition('/')[2]}/"
        names = [named(number) for number in range(1234)]
        for at in range(0, len(names), 100):
            puts = [{"request_put": {"key": base64_of(prefix + key_of(name)), "value": base64_of("0")}} for name in names[at : at + 100]]
            etcd_server.call("kv/txn", {"success": puts})
        ask = store._gateway.call
        asked = []

        def ask_and_change(path, tree, *rest, **options):
            answer = ask(path, tree, *rest, **options)
            if not asked:
                etcd_server.call("kv/deleterange", {"key": base64_of(prefix + key_of(named(999)))})
            asked.append(tree["limit"])
            return answer

        store._gateway.call = ask_and_change
        assert texts(store.read()) == dict.fromkeys(names, "0")
        assert asked == [500, 500, 500]

    def test_pages_shrink_to_what_an_answer_may_be(self, store):
        """Few large values are read as surely as many small ones."""
        values = {named(number): f"{number:x}" * 20_000 for number in range(16)}
        for name, text in values.items():
            store.write(name, text, None)
        store._gateway._exchange.limit = 100_000  # bytes, of which base64 takes a third
        before = store.read()
        assert texts(before) == values
        for name, record in before.records.items():
            store.write(name, values[name][::-1], record.version)
        assert store.since(before.token) is None
        store._gateway._exchange.limit = 1000
        with pytest.raises(ValueTooLarge):
            store.read()


class TestChanges:
    """Tokens, and what changed since one of them."""

    def test_it_tells_what_changed(self, store):
        """It is one of those stores that can."""
        assert isinstance(store, DeltaStore)

    def test_a_token_is_another_one_after_each_change(self, store):
        """Of any key, to another or the same text, and after a removal."""
        tokens = [store.token()]
        first = store.write(ORDERS, "1", None)
        tokens.append(store.token())
        second = store.write(ORDERS, "1", first)
        tokens.append(store.token())
        store.write(named(1), "1", None)
        tokens.append(store.token())
        store.write(ORDERS, None, second)
        tokens.append(store.token())
        store.write(ORDERS, "1", None)
        tokens.append(store.token())
        assert len(set(tokens)) == len(tokens)

    def test_a_token_is_the_same_until_then(self, store, etcd_server):
        """However it is asked for, and whatever others write elsewhere."""
        store.write(ORDERS, "1", None)
        token = store.token()
        etcd_server.call("kv/put", {"key": base64_of("/elsewhere"), "value": "MQ=="})
        assert [store.token(), store.read().token, store.since(token).token] == [token] * 3

    def test_a_token_is_another_one_after_a_loss(self, etcd_server, connect):
        """Who answers then may be a store that was restored, with the same revisions."""
        with Relay(etcd_server.port) as relay:
            store, same = (connect(f"etcd://127.0.0.1:{relay.port}/a") for _ in range(2))
            before = store.read().token
            assert same.token() == before
            relay.cut()
            for one in (store, same):
                with pytest.raises(BackendUnavailable):
                    one.token()
            relay.mend()
            assert len({before, store.token(), same.token()}) == 3
            assert store.since(before) is None

    def test_what_changed_is_told_alone(self, connect):
        """What was added, changed and removed by others since it was read."""
        store, others = connect(), connect()
        versions = [others.write(named(number), "0", None) for number in range(4)]
        before = store.read()
        added = others.write(ORDERS, "1", None)
        changed = others.write(named(1), "1", versions[1])
        others.write(named(2), None, versions[2])
        delta = store.since(before.token)
        expected = {ORDERS: Record("1", added), named(1): Record("1", changed), named(2): None}
        assert delta == Snapshot(store.token(), expected)
        again = others.write(named(2), "2", None)
        assert store.since(delta.token).records == {named(2): Record("2", again)}
        assert store.since(delta.token) is None  # that was before the last one

    def test_nothing_changed(self, store):
        """Nothing is told, and the token stays."""
        store.write(ORDERS, "1", None)
        before = store.read()
        assert store.since(before.token) == Snapshot(before.token, {})

    def test_what_it_did_not_read_it_cannot_tell(self, connect):
        """Nor what was before a token of another."""
        store = connect()
        assert store.since(store.token()) is None
        before = store.read()
        store.write(ORDERS, "1", None)
        assert store.since(store.token()) is None
        assert connect().since(before.token) is None


class TestWriting:
    """Compare-and-set."""

    def test_a_change_needs_the_version_that_is_there(self, store):
        """Otherwise nothing is changed, and the error has that version."""
        first = store.write(ORDERS, "1", None)
        second = store.write(ORDERS, "2", first)
        assert first != second
        for version in (None, first, "0", "", "other", "-1", "9" * 18):
            with pytest.raises(VersionConflict) as caught:
                store.write(ORDERS, "3", version)
            assert caught.value.version == second
            assert str(caught.value) == "the bundle has another version"
        assert store.read().records == {ORDERS: Record("2", second)}

    def test_a_removal_needs_it_too(self, store):
        """What is not there cannot have one."""
        first = store.write(ORDERS, "1", None)
        second = store.write(ORDERS, "2", first)
        with pytest.raises(VersionConflict):
            store.write(ORDERS, None, first)
        assert store.write(ORDERS, None, second) is None
        for text in ("3", None):
            with pytest.raises(VersionConflict) as caught:
                store.write(ORDERS, text, second)
            assert caught.value.version is None
            assert str(caught.value) == "the bundle is not stored"
        assert store.read().records == {}

    def test_a_version_that_is_no_number_fits_nothing(self, store):
        """Not even a name that has no bundle."""
        for version in ("", "x", "1e3", "²"):
            with pytest.raises(VersionConflict):
                store.write(ORDERS, "1", version)

    def test_the_largest_text(self, store):
        """The server takes it; a byte more is refused before it is sent."""
        text = "é" * (store.limit // 2)
        version = store.write(ORDERS, text, None)
        with pytest.raises(ValueTooLarge) as caught:
            store.write(ORDERS, f"{text}.", version)
        assert str(caught.value) == "the text of main/orders/prod has 1500001 bytes, expected at most 1500000"
        assert store.read().records == {ORDERS: Record(text, version)}
        with pytest.raises(VersionConflict):
            store.write(ORDERS, text, None)


class TestWaiting(WaitingContract):
    """Watches."""

    def test_a_change_of_a_megabyte_ends_it(self, connect, store, waiting):
        """However long its line is."""
        wait = waiting(store.token())
        connect().write(ORDERS, "x" * 1_000_000, None)
        wait.result(SOON)

    def test_what_others_write_elsewhere_does_not(self, store, etcd_server):
        """It ends when its time is over."""
        token = store.token()
        etcd_server.call("kv/put", {"key": base64_of("/elsewhere"), "value": "MQ=="})
        began = time.monotonic()
        store.wait(token, 0.3)
        assert time.monotonic() - began >= 0.3

    def test_a_close_ends_it(self, store, waiting):
        """At once, and nothing is asked any more."""
        wait = waiting(store.token())
        store.close()
        store.close()
        wait.result(SOON)
        with pytest.raises(BackendUnavailable, match=re.escape(f"{store.address}: hung up")):
            store.token()

    def test_a_compaction_ends_one_that_is_behind(self, connect, store, etcd_server, waiting):
        """What came meanwhile cannot be told any more, so there is something to look at."""
        token = store.token()
        version = connect().write(ORDERS, "1", None)
        for text in ("2", "3"):
            version = connect().write(ORDERS, text, version)
        etcd_server.call("kv/compaction", {"revision": version.partition("-")[0]})
        waiting(token).result(SOON)
        before = store.read()
        connect().write(ORDERS, "4", version)
        assert texts(store.since(before.token)) == {ORDERS: "4"}

    def test_every_change_of_a_thousand_is_seen_in_the_end(self, connect, store):
        """By one who waits, asks for the token, and takes in what changed."""
        last, seen = str(1000), []
        state = dict(store.read().records)
        token = store.token()

        def follow():
            nonlocal token
            while not seen or seen[-1] != last:
                store.wait(token, LONG)
                delta = store.since(token)
                if delta is None:
                    delta = store.read()
                token = delta.token
                state.update(delta.records)
                seen.extend(record.text for record in delta.records.values())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        others, version = connect(), None
        for number in range(1, 1001):
            version = others.write(ORDERS, str(number), version)
        thread.join(LONG)
        assert state == {ORDERS: Record(last, version)}
        assert seen == sorted(seen, key=int)


PLACES = {
    "whole": ("etcd://h:2379/a/b", Place("etcd://h:2379/a/b", ("http://h:2379",), "a/b", "", "")),
    "short": ("etcd://h", Place("etcd://h:2379/pyconfserve", ("http://h:2379",), "pyconfserve", "", "")),
    "slashes": ("etcd://h:1//a//", Place("etcd://h:1/a", ("http://h:1",), "a", "", "")),
    "secure": ("etcds://h/a", Place("etcds://h:2379/a", ("https://h:2379",), "a", "", "")),
    "address": ("etcd://[::1]/a", Place("etcd://[::1]:2379/a", ("http://[::1]:2379",), "a", "", "")),
    "members": ("etcd://h,i:1/a", Place("etcd://h:2379,i:1/a", ("http://h:2379", "http://i:1"), "a", "", "")),
    "user": ("etcd://u:p%40%3A:/@h/a", Place("etcd://h:2379/a", ("http://h:2379",), "a", "u", "p@::/")),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "place"), PLACES.values(), ids=PLACES.keys())
def test_a_uri_names_a_place(uri, place):
    """Members, prefix and user; the address has no credentials."""
    assert parse_place(uri) == place


@pytest.mark.parametrize(
    "uri",
    ["", "etcd:", "etcd://", "etcd:///a", "http://h/a", "etcd://h/a?b=c", "etcd://h/a#b", "etcd://h,/a", "etcd://h:99999/a", "etcd://h h/a", "etcd://u:s3cret@/a", "etcd://u:s3cret@h:x/a"],
)  # fmt: skip
def test_a_uri_that_is_none_is_refused(uri):
    """As a setting, without what may be a password."""
    with pytest.raises(SettingsError) as caught:
        EtcdStore(uri)
    assert "s3cret" not in str(caught.value)


def test_a_password_without_a_user_is_refused():
    """It would not be sent; the user may be one of the settings."""
    with pytest.raises(SettingsError) as caught:
        EtcdStore("etcd://:s3cret@h")
    assert str(caught.value) == "etcd: a password needs a user"
    EtcdStore("etcd://:s3cret@h", username="u").close()


def test_files_that_are_none_are_refused(tmp_path):
    """Before anything is sent."""
    path = tmp_path / "none.pem"
    with pytest.raises(SettingsError, match="ca_file"):
        EtcdStore("etcds://h", ca_file=str(path))
    path.write_text(json.dumps("no certificate"))
    with pytest.raises(SettingsError, match="client_cert"):
        EtcdStore("etcds://h", client_cert=str(path))
