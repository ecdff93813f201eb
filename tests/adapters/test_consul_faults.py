"""Consul: what happens when it or the network fails, on a real server."""

import asyncio
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from backend_contract import NAMES, bundle, is_up_to_date, properties
from consul_server import ConsulServer
from store_servers import Relay, until

from pyconfserve.adapters.consul import ConsulStore
from pyconfserve.errors import BackendMisconfigured, BackendUnavailable, VersionConflict
from pyconfserve.files import BundleName
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend
from pyconfserve.versions import Expected

ORDERS = BundleName(*NAMES)
SOON = 20.0  # seconds in which a replica is up to date again


@pytest.fixture
def connect(made):
    """Makes stores."""

    def connect(uri, **options):
        made.append(ConsulStore(uri, **options))
        return made[-1]

    return connect


@pytest.fixture
def follow(made):
    """Makes backends that follow a store."""

    def follow(uri, **options):
        made.append(StoreBackend(ConsulStore(uri, timeout=1.0), **options))
        asyncio.run(made[-1].open())
        return made[-1]

    return follow


class TestNetwork:
    """What lies between."""

    def test_a_server_that_is_away(self, connect, consul_server):
        """Every call says so at once, with the address."""
        with Relay(consul_server.port) as relay:
            relay.cut()
            uri = f"consul://127.0.0.1:{relay.port}/away"
            store = connect(uri)
            for call in (store.token, store.read, lambda: store.write(ORDERS, "1", None)):
                with pytest.raises(BackendUnavailable) as caught:
                    call()
                assert str(caught.value) == f"{uri}: the connection was refused"

    def test_one_that_hangs(self, connect, consul_server):
        """Each call ends in time; a wait looks as if nothing happened."""
        with Relay(consul_server.port) as relay:
            store = connect(f"consul://127.0.0.1:{relay.port}/hangs", timeout=0.3)
            token = store.token()
            relay.freeze()
            for call in (store.token, store.read, lambda: store.write(ORDERS, "1", None)):
                with pytest.raises(BackendUnavailable, match=r"no answer within 0\.3 s"):
                    call()
            relay.mend()
            assert store.token() != token

    def test_a_cut_ends_a_wait(self, connect, consul_server):
        """There will be no notice, and who waits is told."""
        with Relay(consul_server.port) as relay, ThreadPoolExecutor(1) as pool:
            store = connect(f"consul://127.0.0.1:{relay.port}/cut")
            token, opened = store.token(), relay.opened
            wait = pool.submit(store.wait, token, 30)
            until(lambda: relay.opened == opened + 1)
            relay.cut()
            with pytest.raises(BackendUnavailable, match="the connection"):
                wait.result(SOON)

    def test_the_last_good_state_is_served(self, follow, consul_server, connect):
        """Until the network is back; then what was missed is seen."""
        with Relay(consul_server.port) as relay:
            backend = follow(f"consul://127.0.0.1:{relay.port}/last")
            asyncio.run(backend.save(bundle({"a": 1})))
            relay.cut()
            others = connect(consul_server.url_of("last"))
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

    def test_a_change_whose_answer_was_lost_is_made_once(self, follow, consul_server):
        """It is looked for, and found by its id."""
        with Relay(consul_server.port) as relay:
            backend = follow(f"consul://127.0.0.1:{relay.port}/lost")
            asyncio.run(backend.save(bundle({"n": 0})))
            keys = backend.store._keys
            put, lost = keys.put, []

            def put_and_lose(*arguments):
                made = put(*arguments)
                if not lost:
                    lost.append(made)
                    raise BackendUnavailable("lost")
                return made

            keys.put = put_and_lose
            asyncio.run(backend.change(*NAMES, lambda stored: {"n": stored()["n"] + 1}))
            assert (lost, properties(backend)) == ([True], {"n": 1})

    def test_another_agent_takes_over(self, connect, consul_server):
        """Of several behind each other; a change that may be made is not sent twice."""
        with Relay(consul_server.port) as relay:
            uri = f"consul://127.0.0.1:{relay.port},{consul_server.authority}/agents"
            store = connect(uri)
            version = store.write(ORDERS, "1", None)
            relay.cut()
            assert store.read().records == {ORDERS: Record("1", version)}
            assert store.write(ORDERS, "2", version)


class TestServer:
    """The process."""

    def test_it_is_killed_and_started_under_load(self, follow):
        """What was acknowledged is there; no reader goes back or finds nothing."""
        with ConsulServer() as server:
            backends = [follow(server.url_of("load")) for _ in range(2)]
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

            with ThreadPoolExecutor(4) as pool:
                done = [pool.submit(work, backend) for backend in backends for work in (count, read)]
                try:
                    until(lambda: len(told) >= 20)
                    server.kill()
                    server.start()
                    until(lambda: len(told) >= 40)
                finally:
                    ended.set()
                for one in done:
                    one.result()
            assert wrong == []
            final = asyncio.run(backends[0].stored(*NAMES)).properties["n"]
            assert len(told) <= final <= len(told) + len(unknown)

    def test_one_that_is_paused(self, follow):
        """Reads go on from memory, a save ends in time, and both work again after it."""
        with ConsulServer() as server:
            backend = follow(server.url_of("paused"))
            asyncio.run(backend.save(bundle({"a": 1})))
            server.pause()
            began = time.monotonic()
            with pytest.raises(BackendUnavailable):
                asyncio.run(backend.save(bundle({"a": 2})))
            assert time.monotonic() - began < SOON
            assert properties(backend) == {"a": 1}
            server.resume()
            until(lambda: is_saved(backend, {"a": 3}), SOON)
            assert properties(backend) == {"a": 3}

    def test_an_older_database_is_put_back(self, follow, connect):
        """It is served, though its indexes are those of what is lost."""
        with ConsulServer() as server, Relay(server.port) as relay:
            others = connect(server.url_of("old"))
            first = others.write(ORDERS, '{"properties":{"a":1}}', None)
            server.stop()
            shutil.copytree(server.folder / "data", server.folder / "backup")
            server.start()
            lost = others.write(ORDERS, '{"properties":{"a":2}}', first)
            backend = follow(f"consul://127.0.0.1:{relay.port}/old")
            assert properties(backend) == {"a": 2}
            relay.cut()
            server.stop()
            shutil.rmtree(server.folder / "data")
            (server.folder / "backup").rename(server.folder / "data")
            server.start()
            now = others.write(ORDERS, '{"properties":{"a":3}}', first)
            assert now != lost
            relay.mend()
            until(lambda: is_up_to_date(backend), SOON)
            assert properties(backend) == {"a": 3}
            with pytest.raises(VersionConflict):
                asyncio.run(backend.change(*NAMES, lambda _: {"a": 4}, Expected(frozenset({lost}))))

    def test_one_that_starts_empty(self, follow):
        """Its index goes back: nothing is what there is, and saves go on."""
        with ConsulServer() as server:
            backend = follow(server.url_of("empty"))
            for number in range(5):
                asyncio.run(backend.save(bundle({"a": number})))
            server.stop()
            shutil.rmtree(server.folder / "data")
            server.start()
            until(lambda: is_up_to_date(backend), SOON)
            assert properties(backend) is None
            asyncio.run(backend.save(bundle({"a": 9})))
            assert properties(backend) == {"a": 9}


def is_saved(backend, tree):
    """Whether a save is taken."""
    with suppress(BackendUnavailable):
        asyncio.run(backend.save(bundle(tree)))
        return True
    return False


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate of this machine, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=consul -addext"
    names = "subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


class TestTls:
    """`consuls:`."""

    def test_who_is_trusted_is_asked(self, pair, connect):
        """A change is made and noticed; who is not trusted is asked nothing."""
        with ConsulServer(tls=pair) as server, ThreadPoolExecutor(1) as pool:
            store = connect(server.url_of("tls"), ca_file=pair[0])
            version = store.write(ORDERS, "1", None)
            wait = pool.submit(store.wait, store.token(), 30)
            assert store.write(ORDERS, "2", version) != version
            wait.result(SOON)
            assert {name: one.text for name, one in store.read().records.items()} == {ORDERS: "2"}
            with pytest.raises(BackendUnavailable, match="self-signed certificate"):
                connect(server.url_of("tls")).read()
            with pytest.raises(BackendMisconfigured, match=r"it speaks TLS: its address begins with consuls:$"):
                connect(server.url_of("tls").replace("consuls:", "consul:")).read()
