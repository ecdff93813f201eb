"""etcd: several members, of which some are gone."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from backend_contract import NAMES, bundle, is_up_to_date, properties
from store_servers import etcd_cluster, until

from pyconfserve.adapters.etcd import EtcdStore
from pyconfserve.errors import BackendUnavailable
from pyconfserve.files import BundleName
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend

ORDERS = BundleName(*NAMES)
SOON = 10.0  # seconds in which a replica is up to date again


@pytest.fixture
def connect():
    """Makes stores, and closes them in the end."""
    made = []

    def connect(uri, **options):
        made.append(EtcdStore(uri, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


@pytest.fixture
def backends():
    """What is closed in the end."""
    made = []
    yield made
    for backend in made:
        asyncio.run(backend.close())


@pytest.fixture
def members():
    """Three of one etcd."""
    with etcd_cluster(3) as members:
        yield members


def test_one_of_three_may_go(connect, backends, members):
    """Another is asked, and nothing is lost; without two there is no quorum."""
    uri = f"etcd://{','.join(f'127.0.0.1:{one.port}' for one in members)}/three"
    backends.append(StoreBackend(EtcdStore(uri, timeout=1.0)))
    (backend,) = backends
    asyncio.run(backend.save(bundle({"a": 1})))
    store = connect(uri)
    (record,) = store.read().records.values()
    members[0].kill()
    until(members[1].is_ready)
    record = Record('{"properties":{"a":2}}', store.write(ORDERS, '{"properties":{"a":2}}', record.version))
    assert store.read().records == {ORDERS: record}
    until(lambda: properties(backend) == {"a": 2}, SOON)
    members[1].kill()
    alone = connect(members[2].url_of("three"))
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        for asked in [pool.submit(alone.token), pool.submit(alone.write, ORDERS, "3", record.version)]:
            with pytest.raises(BackendUnavailable, match="no leader, no quorum") as caught:
                asked.result(2 * SOON)
            assert str(caught.value).startswith(f"{alone.address}: ")
    assert time.monotonic() - began < SOON
    until(lambda: not is_up_to_date(backend))
    assert properties(backend) == {"a": 2}
    assert "problem" in backend.health()
    members[0].start()
    until(lambda: is_up_to_date(backend), 2 * SOON)
    asyncio.run(backend.save(bundle({"a": 4})))
    assert properties(backend) == {"a": 4}
