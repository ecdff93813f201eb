"""Redis: the contract of backends, and what is peculiar to the store, on a real server."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import redis
from backend_contract import VersionedContract
from redis_server import RedisServer
from store_contract import texts
from store_servers import free_ports, until

from pyconfserve.adapters.redis import RedisStore
from pyconfserve.adapters.redis_client import Place, parse_place
from pyconfserve.errors import (
    BackendUnavailable,
    SettingsError,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import DeltaStore, Record, Snapshot
from pyconfserve.store_backend import StoreBackend

ORDERS = BundleName("orders", "prod", "main")
TAG = "{pyconfserve}"
KEY = f"{TAG}:b:main/orders/prod"
INDEX, LOG, CHANNEL = f"{TAG}:index", f"{TAG}:log", f"{TAG}:changes"
SOON = 5.0  # seconds in which a notice comes, on any machine
LONG = 30.0  # seconds that nobody waits for


class TestRedis(VersionedContract):
    """The contract, on a real server."""

    @pytest.fixture
    def backend(self, redis_url):
        backend = StoreBackend(RedisStore(redis_url))
        yield backend
        asyncio.run(backend.close())


@pytest.fixture
def connect(redis_url):
    """Makes stores over one empty database, and closes them in the end."""
    made = []

    def connect(uri=redis_url, **options):
        made.append(RedisStore(uri, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def store(connect):
    return connect()


@pytest.fixture
def others(redis_server, redis_url):
    """A client of the same database, for what others do there."""
    with redis_server.client(int(urlsplit(redis_url).path[1:])) as client:
        yield client


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
    def test_a_bundle_is_one_hash(self, store, others, name, key):
        """Label, application and profile, with what stands in a name escaped; beside it
        are an index of all and a log of what changed."""
        version = store.write(name, "é", None)
        whole = f"{TAG}:b:{key}"
        assert others.hgetall(whole) == {"version": version, "body": "é"}
        assert others.zrange(INDEX, 0, -1, withscores=True) == [(whole, 1.0)]
        assert others.zrange(LOG, 0, -1, withscores=True) == [(f"{version} {whole}", 1.0)]
        assert sorted(others.keys()) == sorted([whole, INDEX, LOG])
        assert store.read() == Snapshot(version, {name: Record("é", version)})

    def test_keys_of_others_are_left_alone(self, store, others):
        """What no bundle could be stored under is neither read nor an obstacle."""
        version = store.write(ORDERS, "{}", None)
        token = store.token()
        for number, key in enumerate(["main/orders/test", f"{TAG}:b:", f"{TAG}:b:main/a", f"{TAG}:b:main/a%2fb/c", f"{TAG}:b:../a/b", "\udcff"], 2):
            raw = key.encode("utf-8", "surrogateescape")
            others.zadd(INDEX, {raw: number})
            others.zadd(LOG, {f"{number}-x ".encode() + raw: number})
            others.hset(raw, mapping={"version": "x", "body": "{}"})
        assert store.since(token) == Snapshot("7-x", {})
        assert store.read() == Snapshot("7-x", {ORDERS: Record("{}", version)})

    def test_what_is_not_utf_8_is_no_bundle(self, store, others):
        """It is told as a text that does not parse; the others are served."""
        store.write(ORDERS, "{}", None)
        others.hset(KEY, "body", b'{"\xff"}')
        assert texts(store.read()) == {ORDERS: '{"\udcff"}'}

    def test_databases_and_prefixes_are_apart(self, connect, redis_server, redis_url):
        """One server may serve many."""
        elsewhere = redis_server.url_of(999)
        for text, uri in (("1", redis_url), ("2", f"{redis_url}/other"), ("3", elsewhere)):
            connect(uri).write(ORDERS, text, None)
        assert texts(connect(redis_url).read()) == {ORDERS: "1"}
        assert texts(connect(f"{redis_url}/pyconfserve").read()) == {ORDERS: "1"}
        assert texts(connect(f"{redis_url}/other").read()) == {ORDERS: "2"}
        assert texts(connect(elsewhere).read()) == {ORDERS: "3"}
        assert connect(f"{redis_url}/other").address == f"{redis_url}/other"
        assert connect(f"{redis_url}/pyconfserve").address == redis_url

    def test_what_was_evicted_is_broken_and_not_absent(self, store, others):
        """The index says that it was there; a save puts it right."""
        store.write(ORDERS, "{}", None)
        whole = store.write(named(1), "1", None)
        others.delete(KEY)
        lost = Record("", "lost")
        assert store.read().records == {ORDERS: lost, named(1): Record("1", whole)}
        token = others.zrange(LOG, 0, 0)[0].partition(" ")[0]
        others.zadd(LOG, {f"3-x {KEY}": 3})
        assert store.since(token).records == {ORDERS: lost, named(1): Record("1", whole)}
        with pytest.raises(VersionConflict) as caught:
            store.write(ORDERS, "2", None)
        assert caught.value.version == "lost"
        version = store.write(ORDERS, "2", "lost")
        assert store.read().records == {ORDERS: Record("2", version), named(1): Record("1", whole)}

    def test_an_evicted_log_loses_nothing(self, connect, others):
        """All is read anew, and what is in the index is there."""
        store = connect()
        versions = [store.write(named(number), "0", None) for number in range(3)]
        before = store.read()
        others.delete(LOG)
        assert store.token() == ""
        assert store.since(before.token) is None
        assert store.read() == Snapshot("", before.records)
        assert store.since("") is None
        version = store.write(named(1), "1", versions[1])
        assert store.token() == version != before.token
        assert store.since(before.token) is None
        assert texts(store.read()) == {named(0): "0", named(1): "1", named(2): "0"}

    def test_all_keys_are_at_one_node_of_a_cluster(self):
        """It refuses a script whose keys are not."""
        with RedisServer("--databases", "1", "--cluster-enabled", "yes", "--cluster-port", str(free_ports(1)[0])) as server:
            server.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: "cluster_state:ok" in server.call("CLUSTER", "INFO"))
            with pytest.raises(redis.ResponseError, match="same slot"):
                server.call("EVAL", "return 1", 2, "a", "b")
            store = RedisStore(server.url_of())
            version = store.write(ORDERS, "1", None)
            before = store.read()
            store.write(named(1), "2", None)
            assert texts(before) == {ORDERS: "1"}
            assert texts(store.since(before.token)) == {named(1): "2"}
            store.write(ORDERS, None, version)
            assert texts(store.read()) == {named(1): "2"}
            store.close()


class TestChanges:
    """Tokens, and what changed since one of them."""

    def test_it_tells_what_changed(self, store):
        """It is one of those stores that can."""
        assert isinstance(store, DeltaStore)

    def test_a_token_is_another_one_after_each_change(self, store):
        """Of any bundle, to another or the same text, and after a removal."""
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

    def test_a_token_is_the_same_until_then(self, connect):
        """Whoever asks, and however it is asked for."""
        one, other = connect(), connect()
        one.write(ORDERS, "1", None)
        token = one.token()
        with pytest.raises(VersionConflict):
            other.write(ORDERS, "2", None)
        assert [one.token(), one.read().token, other.token(), other.read().token] == [token] * 4

    def test_what_changed_is_told_alone(self, connect):
        """What was added, changed and removed since, once each, to whoever asks."""
        store, others = connect(), connect()
        versions = [others.write(named(number), "0", None) for number in range(4)]
        token = store.token()
        added = others.write(ORDERS, "1", None)
        changed = others.write(named(1), "1", others.write(named(1), "x", versions[1]))
        others.write(named(2), None, versions[2])
        delta = store.since(token)
        expected = {ORDERS: Record("1", added), named(1): Record("1", changed), named(2): None}
        assert delta == Snapshot(others.token(), expected)
        again = others.write(named(2), "2", None)
        assert store.since(delta.token).records == {named(2): Record("2", again)}
        assert connect().since(token).records == {**expected, named(2): Record("2", again)}

    def test_nothing_changed(self, store):
        """Nothing is told, and the token stays."""
        assert store.since(store.token()) is None  # of an empty store
        store.write(ORDERS, "1", None)
        assert store.since(store.token()) == Snapshot(store.token(), {})

    @pytest.mark.parametrize("token", ["", "1-x", "9-x", "0-x", "x"])
    def test_a_token_of_another_store_tells_nothing(self, store, token):
        """Nor one of what this one was before it was restored."""
        store.write(ORDERS, "1", None)
        store.write(named(1), "1", None)
        assert store.since(token) is None

    def test_the_log_keeps_the_last_thousand_changes(self, store, others):
        """Of which five hundred are told; who is further behind reads all."""
        tokens = [store.write(ORDERS, "0", None)]
        for number in range(1, 1102):
            tokens.append(store.write(ORDERS, str(number), tokens[-1]))
        assert [others.zcard(LOG), others.zcard(INDEX)] == [1000, 1]
        now = {ORDERS: Record("1101", tokens[-1])}
        assert store.since(tokens[-501]) == Snapshot(tokens[-1], now)
        for far in (-502, -1000, -1001):
            assert store.since(tokens[far]) is None
        assert store.read() == Snapshot(tokens[-1], now)

    def test_many_bundles_are_read_in_parts_of_one_moment(self, connect, others):
        """What changes between two parts is as it was in the end."""
        store = connect()
        for number in range(1234):
            version = store.write(named(number), "0", None)
        client, hashes, parts = connect(), store._hashes, []

        def copy_and_change(keys):
            found = hashes(keys)
            if not parts:
                client.write(named(1233), None, version)
                client.write(named(1234), "1", None)
            parts.append(len(keys))
            return found

        store._hashes = copy_and_change
        expected = {named(number): "0" for number in range(1233)} | {named(1234): "1"}
        snapshot = store.read()
        assert texts(snapshot) == expected
        assert parts == [500, 500, 234]
        assert snapshot.token == client.token()

    @pytest.mark.parametrize("times", [1, 10], ids=["once", "always"])
    def test_what_changes_faster_than_it_is_read(self, connect, times):
        """It is read again, but not for ever."""
        store, client = connect(), connect()
        version = client.write(ORDERS, "0", None)
        hashes, readings = store._hashes, []

        def copy_and_change(keys):
            nonlocal version
            found = hashes(keys)
            readings.append(1)
            if len(readings) <= times:
                for number in range(501):
                    version = client.write(ORDERS, f"{number}", version)
            return found

        store._hashes = copy_and_change
        if times == 1:
            assert store.read() == Snapshot(version, {ORDERS: Record("500", version)})
        else:
            with pytest.raises(BackendUnavailable, match="it changes faster than it is read"):
                store.read()
        assert len(readings) == min(times + 1, 10)


class TestWriting:
    """Compare-and-set."""

    def test_a_change_needs_the_version_that_is_there(self, store, others):
        """Otherwise nothing is changed, and the error has that version."""
        first = store.write(ORDERS, "1", None)
        second = store.write(ORDERS, "2", first)
        assert first != second
        for version in (None, first, "0", "", "other", "-", "lost"):
            for text in ("3", None):
                with pytest.raises(VersionConflict) as caught:
                    store.write(ORDERS, text, version)
                assert caught.value.version == second
                assert str(caught.value) == "the bundle has another version"
        assert store.read() == Snapshot(second, {ORDERS: Record("2", second)})
        assert others.zcard(LOG) == 2

    def test_what_is_not_stored_has_no_version(self, store, others):
        """It is neither replaced nor removed."""
        second = store.write(ORDERS, "2", store.write(ORDERS, "1", None))
        assert store.write(ORDERS, None, second) is None
        for version in (second, "", "-", "lost"):
            for text in ("3", None):
                with pytest.raises(VersionConflict) as caught:
                    store.write(ORDERS, text, version)
                assert caught.value.version is None
                assert str(caught.value) == "the bundle is not stored"
        assert store.read().records == {}
        assert others.keys() == [LOG]

    def test_a_text_too_large(self, store):
        """The largest is taken; a byte more is refused before it is sent."""
        store.limit = 2000
        text = "é" * 1000
        version = store.write(ORDERS, text, None)
        with pytest.raises(ValueTooLarge) as caught:
            store.write(ORDERS, f"{text}.", version)
        assert str(caught.value) == "the text of main/orders/prod has 2001 bytes, expected at most 2000"
        assert store.read().records == {ORDERS: Record(text, version)}

    def test_a_text_of_many_megabytes(self, store):
        """Redis takes it whole."""
        text = "0123456789abcdef" * 500_000
        version = store.write(ORDERS, text, None)
        assert store.read().records == {ORDERS: Record(text, version)}

    def test_eight_writers_count_to_160(self, connect):
        """Each adds one twenty times, to what it has read: no addition is lost."""
        connect().write(ORDERS, "0", None)

        def add():
            store, added = connect(), 0
            while added < 20:
                record = store.read().records[ORDERS]
                try:
                    store.write(ORDERS, str(int(record.text) + 1), record.version)
                except VersionConflict:
                    continue
                added += 1

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(add) for _ in range(8)]:
                done.result()
        assert texts(connect().read()) == {ORDERS: "160"}


class TestWaiting:
    """Notices."""

    @pytest.fixture
    def waiting(self, store):
        """Begins to wait for a change; gives what ends with the wait."""
        store.wait(store.token(), LONG)  # the first one, which subscribes
        with ThreadPoolExecutor(1) as pool:
            yield lambda seconds=LONG: pool.submit(store.wait, store.token(), seconds)

    def test_the_first_one_ends_at_once(self, connect, store):
        """What came before it was subscribed was told to nobody."""
        connect().write(ORDERS, "1", None)
        began = time.monotonic()
        store.wait("", LONG)
        assert time.monotonic() - began < SOON

    @pytest.mark.parametrize("kind", ["added", "changed", "removed"])
    def test_a_change_ends_it(self, connect, waiting, kind):
        """By anybody, of any kind."""
        others = connect()
        version = None if kind == "added" else others.write(ORDERS, "1", None)
        if version is not None:
            waiting().result(SOON)
        wait = waiting()
        others.write(ORDERS, None if kind == "removed" else "2", version)
        wait.result(SOON)

    def test_nothing_else_ends_it(self, store, others):
        """What others write and publish elsewhere does not."""
        store.wait(store.token(), LONG)
        others.set("elsewhere", 1)
        others.publish("elsewhere", 1)
        began = time.monotonic()
        store.wait(store.token(), 0.3)
        assert time.monotonic() - began >= 0.3

    def test_notices_that_came_together_are_one(self, connect, store):
        """Who was away for a hundred changes looks once."""
        store.wait("", LONG)
        others, version = connect(), None
        for number in range(100):
            version = others.write(ORDERS, str(number), version)
        looks, began = 0, time.monotonic()
        while time.monotonic() - began < 0.3:
            looks, began = looks + 1, time.monotonic()
            store.wait(version, 0.3)
        assert 2 <= looks <= 10  # the last one for nothing

    def test_several_threads_may_wait(self, store):
        """One of them listens, the others until their time is over."""
        store.wait("", LONG)
        with ThreadPoolExecutor(3) as pool:
            waits = [pool.submit(store.wait, "", 0.2) for _ in range(3)]
        assert [wait.result() for wait in waits] == [None] * 3

    def test_a_close_ends_it(self, store, waiting, monkeypatch):
        """At once, and a later one ends as it begins."""
        monkeypatch.setattr("pyconfserve.adapters.redis._SLICE", LONG)  # it looks no sooner
        wait, began = waiting(), time.monotonic()
        store.close()
        store.close()
        wait.result(SOON)
        store.wait("", LONG)
        assert time.monotonic() - began < SOON

    def test_every_change_of_a_thousand_is_seen_in_the_end(self, connect, store):
        """By one who waits, asks for the token, and takes in what changed."""
        last, seen = "1000", []
        before = store.read()
        state, token = dict(before.records), before.token

        def follow():
            nonlocal token
            while not seen or seen[-1] != last:
                store.wait(token, LONG)
                delta = store.since(token) or store.read()
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
    "whole": ("redis://u:p@h:1/2/a.b-c_d", Place("redis://h:1/2/a.b-c_d", False, "h", 1, 2, "a.b-c_d", "u", "p")),
    "short": ("redis://h", Place("redis://h:6379/0", False, "h", 6379, 0, "pyconfserve", "", "")),
    "slash": ("redis://h/", Place("redis://h:6379/0", False, "h", 6379, 0, "pyconfserve", "", "")),
    "database": ("redis://h:1/03/", Place("redis://h:1/3", False, "h", 1, 3, "pyconfserve", "", "")),
    "secure": ("REDISS://h", Place("rediss://h:6379/0", True, "h", 6379, 0, "pyconfserve", "", "")),
    "address": ("redis://[::1]:1", Place("redis://[::1]:1/0", False, "::1", 1, 0, "pyconfserve", "", "")),
    "password": ("redis://:p%40@:/?#@h", Place("redis://h:6379/0", False, "h", 6379, 0, "pyconfserve", "", "p@@:/?#")),
    "user": ("redis://u%3A:p@h", Place("redis://h:6379/0", False, "h", 6379, 0, "pyconfserve", "u:", "p")),
}  # fmt: skip


@pytest.mark.parametrize(("uri", "place"), PLACES.values(), ids=PLACES.keys())
def test_a_uri_names_a_place(uri, place):
    """Host, database, prefix and user; the address has no credentials."""
    assert parse_place(uri) == place


@pytest.mark.parametrize(
    "uri",
    ["", "redis:", "redis://", "redis:///0", "http://h/0", "redis://h/a", "redis://h/0?b=c", "redis://h/0#b", "redis://h/0/a/b", "redis://h/0/{a}", "redis://h,i/0", "redis://h:0", "redis://h:99999", "redis://h h/0", "redis://u:s3cret@/0", "redis://u:s3cret@h:x/0"],
)  # fmt: skip
def test_a_uri_that_is_none_is_refused(uri):
    """As a setting, without what may be a password."""
    with pytest.raises(SettingsError) as caught:
        RedisStore(uri)
    assert "s3cret" not in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path):
    """Before anything is sent."""
    path = tmp_path / "none.pem"
    with pytest.raises(SettingsError, match="ca_file"):
        RedisStore("rediss://h", ca_file=str(path))
    path.write_text("no certificate")
    with pytest.raises(SettingsError, match="client_cert"):
        RedisStore("rediss://h", client_cert=str(path))
