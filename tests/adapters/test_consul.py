"""Consul: the contract of backends, and what is peculiar to the store, on a real server."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import quote

import pytest
from backend_contract import VersionedContract
from store_contract import LONG, ORDERS, SOON, StoreContract, WaitingContract, texts
from store_servers import Relay, until

from pyconfserve.adapters.consul import ConsulStore
from pyconfserve.backend import ConfigSource
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend


class TestConsul(VersionedContract):
    """The contract, on a real server."""

    @pytest.fixture
    def backend(self, consul_url):
        backend = StoreBackend(ConsulStore(consul_url))
        yield backend
        asyncio.run(backend.close())


class TestConsulStore(StoreContract):
    """What every store keeps."""

    @pytest.fixture
    def connect(self, consul_server, consul_url, prefix):
        consul_server.put(f"{prefix}/.pyconfserve")  # else the first change is two of them
        return lambda: ConsulStore(consul_url)


@pytest.fixture
def connect(consul_url):
    """Makes stores over one empty prefix, and closes them in the end."""
    made = []

    def connect(uri=consul_url, **options):
        made.append(ConsulStore(uri, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def store(connect):
    return connect()


@pytest.fixture
def prefix(consul_url):
    return consul_url.rpartition("/")[2]


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
    def test_a_bundle_is_one_key_below_the_prefix(self, store, consul_server, prefix, name, key):
        """Label, application and profile, with what stands in a name escaped."""
        version = store.write(name, "{}", None)
        (found,) = consul_server.call("GET", f"kv/{prefix}/{quote(key, safe='/')}")
        assert (found["Key"], found["Value"]) == (f"{prefix}/{key}", "e30=")
        assert version.startswith(f"{found['ModifyIndex']}-")
        assert store.read().records == {name: Record("{}", version)}
        keys = consul_server.call("GET", f"kv/{prefix}/?keys")
        assert sorted(keys) == sorted([f"{prefix}/.pyconfserve", f"{prefix}/{key}"])

    def test_keys_of_others_are_left_alone(self, store, consul_server, prefix):
        """What no bundle could be stored under is neither read nor an obstacle."""
        version = store.write(ORDERS, "{}", None)
        for key in ("main/", "main", "main/a/b/c", "main/a%2fb/c", "a b/c d", "main/orders/", "é/a/b"):
            consul_server.put(f"{prefix}/{key}", "1")
        consul_server.put(f"{prefix}x/main/a/b", "1")
        assert store.read().records == {ORDERS: Record("{}", version)}

    def test_keys_that_are_no_text_look_the_same(self, store, consul_server, prefix):
        """Nothing seems to change for that reason."""
        for byte in ("%FE", "%FF"):
            consul_server.call("PUT", f"kv/{prefix}/x{byte}", b"1")
        assert store.token() == store.read().token

    def test_what_is_not_utf_8_is_no_bundle(self, store, consul_server, prefix):
        """It is told as a text that does not parse; the others are served."""
        consul_server.put(f"{prefix}/main/orders/prod", b'{"\xff"}')
        assert texts(store.read()) == {ORDERS: '{"\udcff"}'}

    def test_prefixes_are_apart(self, connect, consul_url):
        """One that begins as another does is another."""
        connect().write(ORDERS, "1", None)
        connect(f"{consul_url}2").write(ORDERS, "2", None)
        connect(f"{consul_url}/main").write(ORDERS, "3", None)
        assert texts(connect().read()) == {ORDERS: "1"}
        assert texts(connect(f"{consul_url}2").read()) == {ORDERS: "2"}
        assert texts(connect(f"{consul_url}/main").read()) == {ORDERS: "3"}

    def test_more_than_is_read_at_once(self, store):
        """It is told as what it is: no change of the bundles helps but fewer of them."""
        store.write(ORDERS, "x" * 2000, None)
        store._keys._http._exchange.limit = 1000
        with pytest.raises(BackendMisconfigured, match=r"there is more than 64 MiB below the prefix$"):
            store.read()
        assert store.token()


class TestChanges:
    """Tokens."""

    def test_a_token_is_another_one_after_each_change(self, store):
        """Of any key, and after a removal."""
        tokens = [store.token()]
        first = store.write(ORDERS, "1", None)
        tokens.append(store.token())
        second = store.write(ORDERS, "2", first)
        tokens.append(store.token())
        store.write(named(1), "1", None)
        tokens.append(store.token())
        store.write(ORDERS, None, second)
        tokens.append(store.token())
        store.write(ORDERS, "2", None)
        tokens.append(store.token())
        assert len(set(tokens)) == len(tokens)

    def test_a_token_is_the_same_until_then(self, store, connect, consul_server):
        """However it is asked for, and whatever others write elsewhere; empty, too."""
        for number in range(2):
            token = store.token()
            consul_server.put("elsewhere", f"{time.monotonic()}")
            assert [store.token(), store.read().token, connect().token()] == [token] * 3
            store.write(named(number), "1", None)

    def test_a_token_knows_which_keys_there_are(self, store, connect):
        """An index goes back when Consul forgets that a key was removed."""
        versions = [store.write(named(number), "1", None) for number in range(2)]
        keys, before = store._keys, store.token()
        index = int(versions[1].partition("-")[0])
        assert keys._see("", index, ["a", "b"]) != keys._see("", index, ["b"])
        assert before.startswith(f"{index}.")

    def test_a_token_is_another_one_when_the_index_is_not(self, store, consul_server, prefix):
        """As when all is removed by a part of the prefix, some time after one key was."""
        store.write(ORDERS, "1", None)
        store.write(named(1), None, store.write(named(1), "1", None))
        before, (_, index) = store.token(), store._keys._seen
        consul_server.call("DELETE", f"kv/{prefix}?recurse")
        assert store.token() != before
        assert store._keys._seen[1] == index
        assert store.read().records == {}

    def test_a_token_is_another_one_after_a_loss(self, consul_server, connect):
        """Who answers then may be a store that was restored, with the same indexes."""
        with Relay(consul_server.port) as relay:
            store, same = (connect(f"consul://127.0.0.1:{relay.port}/a") for _ in range(2))
            before = store.read().token
            assert same.token() == before
            relay.cut()
            for one in (store, same):
                with pytest.raises(BackendUnavailable):
                    one.token()
            relay.mend()
            assert len({before, store.token(), same.token()}) == 3


class TestWriting:
    """Compare-and-set."""

    def test_a_change_needs_the_version_that_is_there(self, store):
        """Otherwise nothing is changed, and the error has that version."""
        first = store.write(ORDERS, "1", None)
        second = store.write(ORDERS, "2", first)
        assert first != second
        for version in (None, first, "0", "0-x", "", "other", "-1", "9" * 18 + "-x", "9" * 40 + "-x", "²-x"):
            for text in ("3", None):
                with pytest.raises(VersionConflict) as caught:
                    store.write(ORDERS, text, version)
                assert caught.value.version == second
                assert str(caught.value) == "the bundle has another version"
        assert store.read().records == {ORDERS: Record("2", second)}

    def test_what_is_not_stored_has_no_version(self, store):
        """It is neither replaced nor removed, not even twice."""
        second = store.write(ORDERS, "2", store.write(ORDERS, "1", None))
        assert store.write(ORDERS, None, second) is None
        for version in (second, "", "0-x", "x"):
            for text in ("3", None):
                with pytest.raises(VersionConflict) as caught:
                    store.write(ORDERS, text, version)
                assert caught.value.version is None
                assert str(caught.value) == "the bundle is not stored"
        assert store.read().records == {}

    def test_the_same_text_is_the_same_version(self, store):
        """Consul makes no change of it; texts of bundles have an id of their change."""
        first = store.write(ORDERS, "1", None)
        token = store.token()
        assert store.write(ORDERS, "1", first) == first
        assert store.token() == token

    def test_the_largest_text(self, store):
        """The server takes it; a byte more is refused before it is sent."""
        text = "é" * (store.limit // 2)
        version = store.write(ORDERS, text, None)
        with pytest.raises(ValueTooLarge) as caught:
            store.write(ORDERS, f"{text}.", version)
        assert str(caught.value) == "the text of main/orders/prod has 524289 bytes, expected at most 524288"
        assert store.read().records == {ORDERS: Record(text, version)}

    def test_removals_side_by_side(self, connect):
        """One of them has removed it, the others are told."""
        stores = [connect() for _ in range(4)]
        version = stores[0].write(ORDERS, "1", None)

        def remove(store):
            with suppress(VersionConflict):
                return store.write(ORDERS, None, version) is None

        with ThreadPoolExecutor(4) as pool:
            done = [*pool.map(remove, stores)]
        assert done.count(True) == 1


class TestWaiting(WaitingContract):
    """Blocking queries."""

    @pytest.mark.parametrize("is_empty", [True, False], ids=["empty", "not-empty"])
    def test_what_others_write_elsewhere_does_not(self, store, consul_server, is_empty):
        """It ends when its time is over."""
        if not is_empty:
            store.write(ORDERS, "1", None)
        token, began = store.token(), time.monotonic()
        threading.Timer(0.05, consul_server.put, ["elsewhere", f"{began}"]).start()
        store.wait(token, 0.3)
        assert time.monotonic() - began >= 0.28

    def test_a_removal_ends_it_when_nothing_is_left(self, connect, store, consul_server, prefix, waiting):
        """By others, with the key that stands for the prefix."""
        store.write(ORDERS, "1", None)
        wait = waiting(store.token())
        consul_server.call("DELETE", f"kv/{prefix}/?recurse")
        wait.result(SOON)
        assert store.read().records == {}

    def test_a_close_ends_it(self, store, waiting):
        """At once, and nothing is asked any more."""
        wait, began = waiting(store.token()), time.monotonic()
        store.close()
        wait.result(SOON)
        store.wait(store._keys._seen[0], LONG)
        assert time.monotonic() - began < SOON
        with pytest.raises(BackendUnavailable, match="hung up"):
            store.token()

    def test_a_call_that_fails_ends_it(self, consul_server, connect):
        """Who waits may wait for what is gone."""
        with Relay(consul_server.port) as relay, ThreadPoolExecutor(1) as pool:
            store = connect(f"consul://127.0.0.1:{relay.port}/gone", timeout=0.2)
            wait = pool.submit(store.wait, store.token(), LONG)
            relay.freeze()
            with pytest.raises(BackendUnavailable):
                store.token()
            wait.result(SOON)

    def test_every_change_of_hundreds_is_seen_in_the_end(self, connect, store):
        """By one who waits and reads; notices of several may be one."""
        last, seen = "300", []

        def follow():
            token = ""
            while not seen or seen[-1] != last:
                store.wait(token, LONG)
                token, records = store.read()
                seen.extend(record.text for record in records.values())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        others, version = connect(), None
        for number in range(1, 301):
            version = others.write(ORDERS, str(number), version)
        thread.join(LONG)
        assert seen == sorted(seen, key=int)
        assert seen[-1] == last


class TestRights:
    """Tokens, on a server that wants them."""

    @pytest.fixture
    def place(self, guarded_consul, prefix):
        return f"consul://{guarded_consul.authority}/{prefix}"

    def test_what_a_token_needs(self, guarded_consul, connect, place, prefix):
        """To write the prefix; one for reading reads."""
        writer, _ = guarded_consul.token_for(f'key_prefix "{prefix}/" {{ policy = "write" }}')
        reader, _ = guarded_consul.token_for(f'key_prefix "{prefix}/" {{ policy = "read" }}')
        version = connect(place, token=writer).write(ORDERS, "1", None)
        store = connect(place, token=reader)
        assert store.read().records == {ORDERS: Record("1", version)}
        for text in ("2", None):
            with pytest.raises(BackendDenied, match=f"^{place}: main/orders/prod: the token has no right to it$"):
                store.write(ORDERS, text, version)
        for token in ("", "22222222-2222-2222-2222-222222222222"):
            with pytest.raises(BackendDenied):
                connect(place, token=token).read()

    def test_a_token_for_one_label(self, guarded_consul, connect, place, prefix):
        """It may change that, where it may read all."""
        rules = f'key_prefix "{prefix}/" {{ policy = "read" }} key_prefix "{prefix}/main/" {{ policy = "write" }}'
        store = connect(place, token=guarded_consul.token_for(rules)[0])
        version = store.write(ORDERS, "1", None)
        assert store.read().records == {ORDERS: Record("1", version)}
        with pytest.raises(BackendDenied):
            store.write(BundleName("orders", "prod", "other"), "1", None)

    def test_one_that_is_revoked_while_it_waits(self, guarded_consul, connect, place, prefix):
        """The last good state stands; with the next token of its file all goes on."""
        rules = f'key_prefix "{prefix}/" {{ policy = "write" }}'
        (token, accessor), (other, _) = guarded_consul.token_for(rules), guarded_consul.token_for(rules)
        version = connect(place, token=other).write(ORDERS, '{"properties":{"a":"1"}}', None)
        store = connect(place, token=token)
        known, began = store.token(), time.monotonic()
        threading.Timer(0.05, guarded_consul.revoke, [accessor]).start()
        with suppress(BackendDenied):
            store.wait(known, 0.4)
        assert time.monotonic() - began < SOON
        for ask in (store.token, store.read, lambda: store.write(ORDERS, "2", version)):
            with pytest.raises(BackendDenied, match=r"it does not know the token$"):
                ask()

    def test_a_replica_goes_on_with_another_token(self, guarded_consul, place, prefix, tmp_path):
        """The file is read again when the token in it was revoked."""
        rules = f'key_prefix "{prefix}/" {{ policy = "write" }}'
        (token, accessor), (other, _) = guarded_consul.token_for(rules), guarded_consul.token_for(rules)
        path = tmp_path / "token"
        path.write_text(token)
        backend = StoreBackend(ConsulStore(place, token_file=str(path)), poll=0.2)
        names, found = ("orders", "prod", "main"), ConfigSource("orders", "prod", "main", {"a": 1})
        try:
            asyncio.run(backend.save(found))
            guarded_consul.revoke(accessor)
            until(lambda: "problem" in backend.health())
            assert asyncio.run(backend.fetch(*names)) == found
            assert backend.health()["problem"] == f"{place}: it does not know the token"
            path.write_text(other)
            until(lambda: "problem" not in backend.health())
            asyncio.run(backend.save(ConfigSource(*names, {"a": 2})))
            assert asyncio.run(backend.fetch(*names)).properties == {"a": 2}
        finally:
            asyncio.run(backend.close())


PLACES = {
    "short": ("consul://h", "consul://h:8500/pyconfserve"),
    "whole": ("consuls://h:1/a/b", "consuls://h:1/a/b"),
    "slashes": ("CONSUL://h//a//b/", "consul://h:8500/a/b"),
    "several": ("consul://h,i:1", "consul://h:8500,i:1/pyconfserve"),
    "address": ("consul://[::1]:1", "consul://[::1]:1/pyconfserve"),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "address"), PLACES.values(), ids=PLACES.keys())
def test_a_uri_names_a_place(uri, address):
    """Agents, and a prefix of keys."""
    assert ConsulStore(uri).address == address


@pytest.mark.parametrize(
    "uri",
    ["", "consul:", "consul://", "consul:///a", "http://h/a", "consul://h/a?b=c", "consul://h/a#b", "consul://h:x", "consul://h h", "consul://h/a/../b", "consul://h/.", "consul://:s3cret@h", "consul://u:s3cret@h/a"],
)  # fmt: skip
def test_a_uri_that_is_none_is_refused(uri):
    """As a setting, without what may be a secret."""
    with pytest.raises(SettingsError) as caught:
        ConsulStore(uri)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a\nb", "é", "\x7f"])
def test_a_token_that_is_none_is_refused(token):
    """It could be no header; it is not shown."""
    with pytest.raises(SettingsError, match=r"^token: it has characters that no token has$"):
        ConsulStore("consul://h", token=token)
