"""etcd: what happens when it, its quorum, its disk, its users or the network fail."""

import asyncio
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from backend_contract import NAMES, bundle, is_up_to_date, properties
from store_servers import EtcdServer, Relay, until

from pyconfserve.adapters.etcd import EtcdStore
from pyconfserve.errors import (
    BackendUnavailable,
    StorageFull,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend
from pyconfserve.versions import Expected

ORDERS = BundleName(*NAMES)
SOON = 10.0  # seconds in which a replica is up to date again


@pytest.fixture
def connect(made):
    """Makes stores."""

    def connect(uri, **options):
        made.append(EtcdStore(uri, **options))
        return made[-1]

    return connect


@pytest.fixture
def follow(made):
    """Makes backends that follow a store."""

    def follow(uri, **options):
        made.append(StoreBackend(EtcdStore(uri, timeout=1.0), **options))
        asyncio.run(made[-1].open())
        return made[-1]

    return follow


def texts(store):
    return {name: record.text for name, record in store.read().records.items()}


class TestNetwork:
    """What lies between."""

    def test_a_server_that_is_away(self, connect, etcd_server):
        """Every call says so at once, with the address."""
        with Relay(etcd_server.port) as relay:
            relay.cut()
            uri = f"etcd://127.0.0.1:{relay.port}/away"
            store = connect(uri)
            calls = [store.token, store.read, lambda: store.write(ORDERS, "1", None)]
            for call in calls:
                with pytest.raises(BackendUnavailable) as caught:
                    call()
                assert str(caught.value) == f"{uri}: the connection was refused"

    def test_a_host_that_is_unknown(self, connect):
        """As one that is away: a name server may be."""
        with pytest.raises(BackendUnavailable, match="the name of the host is not known"):
            connect("etcd://nowhere.invalid/a").token()

    def test_one_that_hangs(self, connect, etcd_server):
        """Each call ends in time; a watch looks as if nothing happened."""
        with Relay(etcd_server.port) as relay:
            store = connect(f"etcd://127.0.0.1:{relay.port}/hangs", timeout=0.3)
            token = store.token()
            relay.freeze()
            for call in (store.token, store.read, lambda: store.write(ORDERS, "1", None)):
                with pytest.raises(BackendUnavailable, match=r"no answer within 0\.3 s"):
                    call()
            began = time.monotonic()
            store.wait(token, 0.3)
            assert 0.3 <= time.monotonic() - began < 2
            relay.mend()
            assert store.token() != token

    def test_one_that_is_slow(self, connect, etcd_server):
        """Everything takes longer, and works."""
        with Relay(etcd_server.port, delay=0.1) as relay:
            store = connect(f"etcd://127.0.0.1:{relay.port}/slow")
            version = store.write(ORDERS, "1", None)
            assert store.read().records == {ORDERS: Record("1", version)}

    def test_a_cut_ends_a_watch(self, connect, etcd_server):
        """There will be no notice, and who waits is told."""
        with Relay(etcd_server.port) as relay, ThreadPoolExecutor(1) as pool:
            store = connect(f"etcd://127.0.0.1:{relay.port}/cut")
            wait = pool.submit(store.wait, store.token(), 30)
            until(lambda: relay.opened == 2)
            relay.cut()
            with pytest.raises(BackendUnavailable, match=r"the watch ended|the connection"):
                wait.result(SOON)

    def test_the_last_good_state_is_served(self, follow, etcd_server, connect):
        """Until the network is back; then what was missed is seen."""
        with Relay(etcd_server.port) as relay:
            backend = follow(f"etcd://127.0.0.1:{relay.port}/last")
            asyncio.run(backend.save(bundle({"a": 1})))
            relay.cut()
            others = connect(etcd_server.url_of("last"))
            ((_, record),) = others.read().records.items()
            others.write(ORDERS, '{"properties":{"a":2}}', record.version)
            until(lambda: "problem" in backend.health(), SOON)
            assert properties(backend) == {"a": 1}
            with pytest.raises(BackendUnavailable):
                asyncio.run(backend.save(bundle({"a": 3})))
            relay.mend()
            until(lambda: is_up_to_date(backend), SOON)
            assert properties(backend) == {"a": 2}
            assert "problem" not in backend.health()


class TestServer:
    """The process."""

    def test_it_is_killed_and_started_under_load(self, follow):
        """What was acknowledged is there; no reader goes back or finds nothing."""
        with EtcdServer() as server:
            backends = [follow(server.url_of("load")) for _ in range(3)]
            asyncio.run(backends[0].save(bundle({"n": 0})))
            for backend in backends:
                until(lambda backend=backend: properties(backend) == {"n": 0})
            ended, told, unknown, wrong = threading.Event(), [], [], []

            def count(backend):
                while not ended.is_set():
                    try:
                        asyncio.run(backend.change(*NAMES, lambda stored: {"n": stored()["n"] + 1}))
                        told.append(1)
                    except BackendUnavailable:
                        unknown.append(1)

            def read(backend):
                last = 0
                while not ended.is_set():
                    found = properties(backend)
                    if found is None or found["n"] < last:
                        wrong.append((last, found))
                    last = found["n"]
                    ended.wait(0.001)

            with ThreadPoolExecutor(6) as pool:
                done = [pool.submit(work, backend) for backend in backends for work in (count, read)]
                try:
                    for goal in (20, 40, 60):
                        until(lambda goal=goal: len(told) >= goal)
                        server.kill()
                        server.start()
                    until(lambda: len(told) >= 80)
                finally:
                    ended.set()
                for one in done:
                    one.result()
            assert wrong == []
            final = asyncio.run(backends[0].stored(*NAMES)).properties["n"]
            assert len(told) <= final <= len(told) + len(unknown)

    def test_one_that_is_paused(self, follow):
        """Reads go on from memory, a save ends in time, and both work again after it."""
        with EtcdServer() as server:
            backend = follow(server.url_of("paused"))
            asyncio.run(backend.save(bundle({"a": 1})))
            server.pause()
            began = time.monotonic()
            with pytest.raises(BackendUnavailable):
                asyncio.run(backend.save(bundle({"a": 2})))
            assert time.monotonic() - began < SOON
            assert properties(backend) == {"a": 1}
            server.resume()
            until(lambda: "problem" not in backend.health(), SOON)
            asyncio.run(backend.save(bundle({"a": 3})))
            assert properties(backend) == {"a": 3}

    def test_an_older_database_is_put_back(self, follow, connect):
        """It is served, though its revisions are those of what is lost."""
        with EtcdServer() as server, Relay(server.port) as relay:
            others = connect(server.url_of("old"))
            first = others.write(ORDERS, '{"properties":{"a":1}}', None)
            server.stop()
            shutil.copytree(server.folder / "data", server.folder / "backup")
            server.start()
            lost = others.write(ORDERS, '{"properties":{"a":2}}', first)
            backend = follow(f"etcd://127.0.0.1:{relay.port}/old")
            assert properties(backend) == {"a": 2}
            relay.cut()
            server.stop()
            shutil.rmtree(server.folder / "data")
            (server.folder / "backup").rename(server.folder / "data")
            server.start()
            now = others.write(ORDERS, '{"properties":{"a":3}}', first)
            assert (now.partition("-")[0], now != lost) == (lost.partition("-")[0], True)
            relay.mend()
            until(lambda: properties(backend) == {"a": 3}, SOON)
            with pytest.raises(VersionConflict):
                asyncio.run(backend.change(*NAMES, lambda _: {"a": 4}, Expected(frozenset({lost}))))

    def test_a_smaller_limit_of_the_server(self, connect):
        """What it does not take is too large, and nothing is changed."""
        with EtcdServer("--max-request-bytes", "4096") as server:
            store = connect(server.url_of("small"))
            version = store.write(ORDERS, "1", None)
            with pytest.raises(ValueTooLarge) as caught:
                store.write(ORDERS, "2" * 5000, version)
            assert str(caught.value) == f"{store.address}: main/orders/prod: it is too large"
            with pytest.raises(ValueTooLarge):
                store.write(ORDERS, "2" * 1_000_000, version)
            assert store.read().records == {ORDERS: Record("1", version)}

    def test_a_full_database(self, connect, follow):
        """No save is taken, and what is there is served."""
        with EtcdServer("--quota-backend-bytes", str(1 << 20)) as server:
            backend, store = follow(server.url_of("full")), connect(server.url_of("full"))
            asyncio.run(backend.save(bundle({"a": 1})))
            with pytest.raises(StorageFull) as caught:  # noqa: PT012
                for number in range(100):
                    name = BundleName(f"app{number}", "prod", "main")
                    store.write(name, "x" * 200_000, None)
            assert str(caught.value).endswith("/prod: its database is as large as it may be")
            with pytest.raises(StorageFull):
                asyncio.run(backend.save(bundle({"a": 2})))
            assert properties(backend) == {"a": 1}
            assert texts(store)[ORDERS].endswith('"properties":{"a":1}}')
