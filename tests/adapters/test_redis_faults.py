"""Redis when it fails: each failure on a real server, and what is told of it."""

import asyncio
import logging
import os
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
from backend_contract import NAMES, bundle, change, count_up, found_stored, properties
from redis_server import RedisServer
from store_servers import Relay, free_ports, until

from pyconfserve.adapters.redis import RedisStore
from pyconfserve.errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record, Snapshot
from pyconfserve.store_backend import StoreBackend
from pyconfserve.versions import ANY, Changed, Expected

ORDERS = BundleName(*NAMES)
OTHER = BundleName("other", "prod", "main")
THIRD = BundleName("third", "prod", "main")
TAG = "{pyconfserve}"
KEY, INDEX, LOG = f"{TAG}:b:main/orders/prod", f"{TAG}:index", f"{TAG}:log"
SECRET = "s3cret-of-redis"
SOON = 5.0  # seconds in which a notice comes, on any machine
AWAY, LATE = "it is away", "it did not answer in time"
WRONG = "the user or the password is wrong or missing"
DENIED = "the user has no right to it"


@pytest.fixture(scope="module")
def shared():
    """A server for tests that leave it as they found it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(shared):
    """That server, empty."""
    shared.call("FLUSHALL")
    return shared


@pytest.fixture
def connect():
    """Makes stores, and closes them in the end."""
    made = []

    def connect(server, user="", database=0, **options):
        made.append(RedisStore(server.url_of(database, user), **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def replica(connect):
    """Makes backends, and closes them in the end."""
    made = []

    def replica(store, **options):
        made.append(StoreBackend(store, **options))
        return made[-1]

    yield replica
    for backend in made:
        asyncio.run(backend.close())


def refusal(store, kind, words, *, what="read"):
    """Check how the store refuses; nothing is told of who asks, nor by Redis."""
    work = store.read if what == "read" else lambda: store.write(THIRD, "{}", None)
    about = store.address if what == "read" else f"{store.address}: main/third/prod"
    with pytest.raises(BackendError) as caught:
        work()
    assert (type(caught.value), str(caught.value)) == (kind, f"{about}: {words}")
    assert isinstance(caught.value.__cause__, redis.RedisError)


@contextmanager
def configured(server, name, value):
    """A server with another setting for a while."""
    _, before = server.call("CONFIG", "GET", name)
    server.call("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        server.call("CONFIG", "SET", name, before)


class TestRefusals:
    """Each failure is one error of ours."""

    RIGHTS = ("~{pyconfserve}:*", "&{pyconfserve}:*", "+@read", "+eval", "+subscribe", "+select")
    WRITES = ("+@write", "+publish")

    @pytest.fixture
    def user(self, server):
        """Makes a user with rights; gives how it stands in a URI."""
        def user(*rights):
            server.call("ACL", "SETUSER", "conf", "reset", "on", f">{SECRET}", *rights)
            return f"conf:{SECRET}@"

        yield user
        server.call("ACL", "DELUSER", "conf")

    @pytest.mark.parametrize("database", [0, 1])
    def test_the_rights_that_are_needed(self, server, connect, user, database):
        """Those to read and, for a server that takes saves, those to write."""
        store = connect(server, user(*self.RIGHTS, *self.WRITES), database)
        version = store.write(ORDERS, "1", None)
        store.wait("", SOON)
        store.write(OTHER, "2", None)
        store.wait("", SOON)
        assert store.since(version).records.keys() == {OTHER}
        reader = connect(server, user(*self.RIGHTS), database)
        reader.wait("", SOON)
        assert reader.read() == store.read() == Snapshot(reader.token(), store.read().records)
        refusal(reader, BackendDenied, DENIED, what="write")
        assert reader.read().records.keys() == {ORDERS, OTHER}

    @pytest.mark.parametrize(
        ("rights", "what"),
        [
            (("~*", "&*", "+@all", "-eval"), "write"),
            (("~elsewhere", "&*", "+@all"), "read"),
            (("~*", "&elsewhere", "+@all"), "write"),
            (("~*", "&*", "+@read", "+eval"), "write"),
            (("~*", "&*", "+@all", "-publish"), "write"),
        ],
        ids=["no-scripts", "no-keys", "no-channel", "no-writes", "no-publish"],
    )
    def test_a_right_that_is_missing(self, server, connect, user, rights, what):
        """It changes nothing."""
        refusal(connect(server, user(*rights)), BackendDenied, DENIED, what=what)
        assert server.call("KEYS", "*") == []

    def test_no_right_to_listen(self, server, connect, user):
        """Who waits is told, each time."""
        store = connect(server, user("~*", "&elsewhere", "+@all"))
        for _ in range(2):
            with pytest.raises(BackendDenied, match=f": {DENIED}$"):
                store.wait("", SOON)

    @pytest.mark.parametrize(
        "user", ["", ":wrong-{}@", "nobody:{}@", ":@"], ids=["none", "wrong", "unknown", "empty"]
    )
    def test_a_wrong_password(self, server, connect, user):
        """Nor one that is missing; the right one may come from elsewhere, too."""
        with configured(server, "requirepass", SECRET):
            server.password = SECRET
            refusal(connect(server, user.format(SECRET)), BackendDenied, WRONG)
            assert connect(server, f":{SECRET}@").read().records == {}
            assert connect(server, password=SECRET).read().records == {}
            assert connect(server, username="default", password=SECRET).read().records == {}
        server.password = None
        refusal(connect(server, f":{SECRET}@"), BackendDenied, WRONG)

    def test_no_such_database(self, server, connect):
        """That is for the owner to mend."""
        store = RedisStore(server.url_of(1000))
        refusal(store, BackendMisconfigured, "it has no such database")

    @pytest.mark.parametrize("key", [KEY, INDEX, LOG], ids=["bundle", "index", "log"])
    def test_a_key_that_holds_something_else(self, server, connect, key):
        """It is told, and nothing is changed."""
        store = connect(server)
        version = store.write(ORDERS, "1", None)
        server.call("DEL", key)
        server.call("SET", key, "x")
        before = sorted(server.call("KEYS", "*"))
        words = "a key holds something else"
        refusal(store, BackendMisconfigured, f"{KEY}: {words}" if key == KEY else words)
        with pytest.raises(BackendMisconfigured, match=f": main/orders/prod: {words}$"):
            store.write(ORDERS, "2", version)
        assert sorted(server.call("KEYS", "*")) == before
        assert server.call("GET", key) == "x"
        assert key == LOG or server.call("ZCARD", LOG) == 1

    def test_a_key_is_for_the_owner(self, server, connect, replica):
        """Who asks for a bundle is not told which others there are."""
        connect(server).write(ORDERS, "1", None)
        server.call("DEL", KEY)
        server.call("SET", KEY, "x")
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(replica(connect(server)).fetch("other", "prod"))
        assert caught.value.public == "a key holds something else"

    def test_out_of_memory(self, server, connect):
        """Nothing is changed; what is there can be read and removed."""
        store = connect(server)
        version = store.write(ORDERS, "1", None)
        with configured(server, "maxmemory", "1mb"):
            refusal(store, StorageFull, "its memory is full", what="write")
            with pytest.raises(StorageFull):
                store.write(ORDERS, "2", version)
            assert store.read() == Snapshot(version, {ORDERS: Record("1", version)})
            store.write(ORDERS, None, version)
            assert store.since(version).records == {ORDERS: None}
        store.write(OTHER, "{}", None)

    def test_too_few_replicas(self, server, connect):
        """Where the owner wants some."""
        with configured(server, "min-replicas-to-write", "1"):
            refusal(connect(server), BackendUnavailable, "too few of its replicas are there", what="write")
        assert server.call("KEYS", "*") == []

    def test_a_disk_that_takes_nothing(self, server, connect):
        """Redis takes no changes then."""
        (server.folder / "dump.rdb").mkdir()
        with configured(server, "save", "3600 1"):
            server.call("BGSAVE")
            until(lambda: server.call("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
            refusal(connect(server), BackendUnavailable, "it cannot save to its disk", what="write")
        (server.folder / "dump.rdb").rmdir()
        assert server.call("KEYS", "*") == []

    def test_a_script_without_end(self, server, connect):
        """That of somebody else."""
        with configured(server, "busy-reply-threshold", "1"), ThreadPoolExecutor(1) as pool:
            loop = pool.submit(server.call, "EVAL", "while true do end", 0)
            until(lambda: is_busy(server))
            refusal(connect(server), BackendUnavailable, "it is busy with a script")
            server.call("SCRIPT", "KILL")
            assert isinstance(loop.exception(SOON), redis.ResponseError)

    def test_no_scripts_at_all(self, connect):
        """What Redis says of it holds what it was sent, and is not repeated."""
        with RedisServer("--rename-command", "EVAL", "") as server:
            refusal(connect(server), BackendMisconfigured, "it lacks a command", what="write")

    def test_too_many_clients(self, connect):
        """It hangs up on one more."""
        with RedisServer("--maxclients", "1") as server, server.client() as client:
            client.ping()
            refusal(connect(server), BackendUnavailable, AWAY)

    def test_a_server_that_is_down(self, connect):
        """It is away."""
        with RedisServer() as server:
            pass
        refusal(connect(server), BackendUnavailable, AWAY)
        with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
            connect(server).wait("", SOON)

    def test_a_server_that_does_not_answer(self, server, connect):
        """Each call ends in time."""
        store = connect(server, timeout=0.2)
        store.read()
        server.pause()
        refusal(store, BackendUnavailable, LATE)
        refusal(store, BackendUnavailable, LATE)
        with pytest.raises(BackendUnavailable, match=f": {LATE}$"):
            store.wait("", SOON)
        server.resume()
        assert store.read().records == {}

    def test_a_server_that_is_loading(self, connect):
        """What it has not read yet is not taken for nothing."""
        with RedisServer() as server:
            version = connect(server).write(ORDERS, "1", None)
            server.call("MSET", *(os.urandom(2000) for _ in range(1000)))
            server.call("SAVE")
            server.kill()
            server.options += ("--key-load-delay", "3000", "--loading-process-events-interval-bytes", "1024")
            server.start(is_waited_for=False)
            until(lambda: is_loading(server))
            store = connect(server)
            refusal(store, BackendUnavailable, "it is loading what it kept")
            server.loaded()
            assert store.read().records == {ORDERS: Record("1", version)}

    def test_a_replica(self, server, connect):
        """It is read, tells of changes, and takes none."""
        store = connect(server)
        version = store.write(ORDERS, "1", None)
        with RedisServer("--replicaof", "127.0.0.1", str(server.port)) as copy:
            until(lambda: copy.call("INFO", "replication")["master_link_status"] == "up")
            reader = connect(copy)
            reader.wait("", SOON)
            assert reader.read() == store.read()
            other = store.write(OTHER, "2", None)
            reader.wait("", SOON)
            assert reader.since(version) == Snapshot(other, {OTHER: Record("2", other)})
            refusal(reader, BackendUnavailable, "it is a replica, and read-only", what="write")
            assert reader.token() == other
            copy.call("CONFIG", "SET", "replica-serve-stale-data", "no")
            copy.call("REPLICAOF", "127.0.0.1", free_ports(1)[0])
            refusal(reader, BackendUnavailable, "its master is down")

    def test_nodes_of_a_cluster(self, connect):
        """One that has not the keys says so, and so does a cluster that has not all."""
        def node():
            return RedisServer("--cluster-enabled", "yes", "--databases", "1", "--cluster-port", str(free_ports(1)[0]))

        with node() as one, node() as other:
            refusal(connect(one), BackendUnavailable, "its cluster is down")
            one.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            other.call("CLUSTER", "MEET", "127.0.0.1", one.port, one.options[-1])
            until(lambda: "cluster_state:ok" in other.call("CLUSTER", "INFO"))
            refusal(connect(other), BackendMisconfigured, "the keys are at another node of its cluster")
            assert connect(one).read().records == {}


def is_busy(server):
    """Whether it answers that it runs a script."""
    try:
        server.call("GET", "x")
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def is_loading(server):
    """Whether it answers that it is loading."""
    try:
        server.call("GET", "x")
    except redis.BusyLoadingError:
        return True
    except redis.ConnectionError:  # not even that, yet
        return False
    raise AssertionError("it has loaded all before it was asked")


class TestRestarts:
    """A server that ends and comes back."""

    def test_restarted_empty(self, connect, replica):
        """Its counter goes back, and what is gone is gone; as many changes as before
        are not taken for the same ones."""
        with RedisServer() as server:
            first, second = replica(connect(server)), replica(connect(server))
            version = change(first, {"a": 1}).version
            change(first, {"a": 2})
            asyncio.run(second.refresh())
            found = found_stored(first)
            server.kill()
            assert properties(second) == {"a": 2}
            for backend in (first, second):
                with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
                    asyncio.run(backend.refresh())
                assert backend.health()["problem"] == f"redis://127.0.0.1:{server.port}/0: {AWAY}"
            server.start()
            asyncio.run(first.refresh())
            assert (properties(first), properties(second)) == (None, {"a": 2})
            again = change(first, {"a": 1}).version
            change(first, {"a": 3})
            assert again.partition("-")[0] == version.partition("-")[0] == "1"
            assert found_stored(first).version.partition("-")[0] == found.version.partition("-")[0]
            for seen in (version, found.version, again):
                with pytest.raises(VersionConflict):
                    change(second, {"a": 4}, Expected(frozenset({seen})))
            assert properties(second) == {"a": 3}
            assert "problem" not in second.health()

    def test_restarted_with_what_it_kept(self, connect, replica):
        """Nothing is read anew: the token is the same."""
        with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
            store = connect(server)
            backend = replica(store)
            version = change(backend, {"a": 1}).version
            before = store.read()
            server.kill()
            server.start()
            server.loaded()
            assert store.read() == before
            assert change(backend, {"a": 2}, Expected(frozenset({version}))).is_new is False
            assert properties(backend) == {"a": 2}

    def test_who_waits_is_told_when_it_ends(self, connect):
        """And listens again when it is back."""
        with RedisServer() as server, ThreadPoolExecutor(1) as pool:
            store = connect(server)
            store.wait("", SOON)
            wait = pool.submit(store.wait, "", 60)
            server.kill()
            with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
                wait.result(SOON)
            with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
                store.wait("", SOON)
            server.start()
            store.wait("", SOON)
            wait = pool.submit(store.wait, "", 60)
            connect(server).write(ORDERS, "1", None)
            wait.result(SOON)

    def test_notices_come_again(self, connect, replica):
        """Each replica sees what was changed while it could not hear, and after that."""
        with RedisServer() as server, Relay(server.port) as relay:
            writer = replica(connect(server))
            store = RedisStore(f"redis://127.0.0.1:{relay.port}", timeout=1.0)
            follower = replica(store)
            told, seen = [], threading.Event()
            asyncio.run(follower.open())
            follower.on_change(lambda source: (told.append(source), seen.set()))
            relay.cut()
            change(writer, {"a": 1})
            assert told == []
            relay.mend()
            assert seen.wait(SOON)
            assert properties(follower) == {"a": 1}
            seen.clear()
            change(writer, {"a": 2})
            assert seen.wait(SOON)
            assert properties(follower) == {"a": 2}

    def test_a_subscriber_that_is_sent_away(self, server, connect):
        """As one is that reads too slowly: it subscribes again."""
        with ThreadPoolExecutor(1) as pool:
            store = connect(server)
            store.wait("", SOON)
            wait = pool.submit(store.wait, "", 60)
            server.call("CLIENT", "KILL", "TYPE", "pubsub")
            with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
                wait.result(SOON)
            store.wait("", SOON)
            wait = pool.submit(store.wait, "", 60)
            connect(server).write(ORDERS, "1", None)
            wait.result(SOON)

    def test_a_change_whose_answer_was_lost_is_made_once(self, server, connect, replica):
        """It is not sent again; whether it was made is found out."""
        store = connect(server, timeout=0.3)
        backend = replica(store)
        asyncio.run(backend.open())
        pool = store._client.connection_pool
        for one in [pool.get_connection() for _ in range(4)]:  # no write waits to be let in
            pool.release(one)
        write = store.write

        def write_unheard(*arguments):
            store.write = write
            server.pause()
            try:
                return write(*arguments)
            finally:
                server.resume()
                until(lambda: server.call("ZCARD", LOG) == 1)

        store.write = write_unheard
        changed = change(backend, {"a": 1}, Expected(others=frozenset({ANY})))
        assert changed == Changed(found_stored(backend).version, is_new=True)
        assert properties(backend) == {"a": 1}
        assert server.call("ZCARD", LOG) == 1

    def test_killed_under_load_no_addition_is_lost(self, connect, replica):
        """Each that was told to be made is there, and none twice."""
        with RedisServer("--appendonly", "yes", "--appendfsync", "always") as server:
            backends = [replica(connect(server)) for _ in range(4)]
            change(backends[0], {"count": 0})
            is_over, told, unknown = threading.Event(), [], []

            def add(backend):
                while not is_over.is_set():
                    try:
                        told.append(asyncio.run(count_up(backend, 1)))
                    except BackendError:
                        unknown.append(1)

            with ThreadPoolExecutor(4) as pool:
                for backend in backends:
                    pool.submit(add, backend)
                for number in (1, 2, 3):
                    until(lambda least=20 * number: sum(told) >= least)
                    server.kill()
                    server.start()
                    server.loaded()
                is_over.set()
            asyncio.run(backends[0].refresh())
            count = properties(backends[0])["count"]
            assert sum(told) <= count <= sum(told) + len(unknown)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    pair = folder / "server.pem", folder / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1",
         "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
         "-out", pair[0], "-keyout", pair[1]],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return pair


@pytest.fixture(scope="module")
def secure(pair):
    with RedisServer(tls=pair) as server:
        yield server


class TestTls:
    """`rediss:`."""

    def test_who_is_trusted_is_asked(self, secure, pair, connect):
        """And tells of changes; a close ends the wait."""
        store, other = (connect(secure, ca_file=str(pair[0])) for _ in range(2))
        assert store.address == f"rediss://127.0.0.1:{secure.port}/0"
        store.wait("", SOON)
        with ThreadPoolExecutor(1) as pool:
            wait = pool.submit(store.wait, "", 60)
            version = other.write(ORDERS, "1", None)
            wait.result(SOON)
            assert store.read().records == {ORDERS: Record("1", version)}
            wait = pool.submit(store.wait, "", 60)
            store.close()
            wait.result(SOON)

    def test_who_is_not_trusted_is_not(self, secure, pair, connect):
        """Neither without the certificate nor under another name."""
        words = "TLS failed: is its certificate to be trusted?"
        refusal(connect(secure), BackendMisconfigured, words)
        store = RedisStore(f"rediss://localhost:{secure.port}", ca_file=str(pair[0]))
        refusal(store, BackendMisconfigured, words)

    def test_one_that_speaks_no_tls(self, server, pair, secure):
        """And one that speaks nothing else."""
        path = str(pair[0])
        with pytest.raises(BackendUnavailable, match=f": {LATE}$"):
            RedisStore(f"rediss://127.0.0.1:{server.port}", ca_file=path, timeout=0.2).read()
        with pytest.raises(BackendUnavailable, match=f": {AWAY}$"):
            RedisStore(f"redis://127.0.0.1:{secure.port}").read()


def test_credentials_are_told_to_nobody(server, connect, replica, caplog):
    """Not in an error, a log or the health of a backend."""
    with configured(server, "requirepass", SECRET), caplog.at_level(logging.DEBUG):
        server.password = SECRET
        backend = replica(connect(server, f":{SECRET}@"))
        asyncio.run(backend.save(bundle({"a": 1})))
        health = backend.health()
        server.call("CONFIG", "SET", "requirepass", f"{SECRET}2")
        server.password = f"{SECRET}2"
        server.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(BackendDenied, match=f"^redis://127.0.0.1:{server.port}/0: {WRONG}$"):
            asyncio.run(backend.refresh())
        told = f"{health} {backend.health()} {caplog.text}"
        server.call("CONFIG", "SET", "requirepass", SECRET)
        server.password = SECRET
    server.password = None
    assert WRONG in told
    assert SECRET not in told
    assert re.search(f"redis://127.0.0.1:{server.port}/0", told)
