"""postgresql: a store in a real PostgreSQL, shared by machines."""

import asyncio
import itertools

import psycopg
import pytest
from backend_contract import VersionedContract
from store_contract import SqlContract

from pyconfserve.adapters.postgresql import PostgresqlStore
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
