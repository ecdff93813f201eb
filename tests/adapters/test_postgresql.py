"""postgresql: a store in a real PostgreSQL, shared by machines."""

import asyncio
import itertools
import os

import psycopg
import pytest
from backend_contract import VersionedContract
from store_contract import SqlContract

from pyconfserve.adapters.postgresql import PostgresqlStore
from pyconfserve.errors import BackendMisconfigured
from pyconfserve.store_backend import StoreBackend

_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def database(postgresql_server):
    """A database, and a session to it."""
    url = postgresql_server.new_database()
    with psycopg.connect(url, autocommit=True) as session:
        yield url, session


@pytest.fixture
def empty_url(database):
    """The address of an empty schema: databases take long to make."""
    url, session = database
    name = f"empty_{next(_schemas)}"
    session.execute(f"CREATE SCHEMA {name}")
    return f"{url}?options=-csearch_path%3D{name}"


class TestBackend(VersionedContract):
    """The contract of all backends."""

    @pytest.fixture
    def backend(self, empty_url):
        backend = StoreBackend(PostgresqlStore(empty_url))
        yield backend
        asyncio.run(backend.close())


class TestStore(SqlContract):
    """What both stores in SQL keep."""

    @pytest.fixture
    def connect(self, empty_url):
        return lambda: PostgresqlStore(empty_url)


def test_nothing_is_open_before_it_is_asked(empty_url):
    """Processes that fork share nothing: an end of one would be that of all."""
    before = os.listdir("/dev/fd")
    store = PostgresqlStore(empty_url)
    assert before == os.listdir("/dev/fd")
    store.wait("", 0)
    store.close()
    store.wait("", 30)
    assert before == os.listdir("/dev/fd")


def test_no_tables_are_made_where_nothing_is_written(empty_url):
    """Whether there are any in the search path is known."""
    maker, store = PostgresqlStore(empty_url), PostgresqlStore(empty_url, makes=False)
    assert [maker.is_made(), store.is_made()] == [False, False]
    with pytest.raises(BackendMisconfigured, match=r"a table or a column is not there"):
        store.read()
    assert maker.is_made() is False
    maker.read()
    assert (store.is_made(), store.read()) == (True, maker.read())
    maker.close()
    store.close()
