"""sqlite: a store in one file, shared by processes."""

import asyncio

import pytest
from backend_contract import VersionedContract
from store_contract import SqlContract

from pyconfserve.adapters.sqlite import SqliteStore
from pyconfserve.errors import BackendMisconfigured, BackendUnavailable
from pyconfserve.store_backend import StoreBackend


class TestBackend(VersionedContract):
    """The contract of all backends."""

    @pytest.fixture
    def backend(self, tmp_path):
        backend = StoreBackend(SqliteStore(tmp_path / "c.db"))
        yield backend
        asyncio.run(backend.close())


class TestStore(SqlContract):
    """What both stores in SQL keep."""

    @pytest.fixture
    def connect(self, tmp_path):
        return lambda: SqliteStore(tmp_path / "c.db")


def test_slashes_at_the_start_are_one(tmp_path):
    """As many people write four after `sqlite:`; SQLite takes two for a host."""
    store = SqliteStore(f"/{tmp_path}/c.db")
    assert store.address == f"sqlite://{tmp_path}/c.db"
    assert store.read().records == {}
    store.close()


def test_a_file_is_only_made_where_it_is_meant_to(tmp_path):
    """Who only reads has mistyped its name."""
    store = SqliteStore(tmp_path / "c.db", makes=False)
    with pytest.raises(BackendUnavailable, match=r"No such file or directory$"):
        store.read()
    assert [*tmp_path.iterdir()] == []
    store.close()


def test_no_tables_are_made_where_nothing_is_written(tmp_path):
    """In a file of others, too; whether there are any is known."""
    path = tmp_path / "c.db"
    maker, store = SqliteStore(path), SqliteStore(path, makes=False)
    assert [maker.is_made(), store.is_made()] == [False, False]
    path.touch()
    assert store.is_made() is False
    with pytest.raises(BackendMisconfigured, match=r"a table or a column is not there") as caught:
        store.read()
    assert "\nits tables are made by:\nCREATE TABLE" in caught.value.in_full
    assert path.read_bytes() == b""
    maker.read()
    assert (store.is_made(), store.read()) == (True, maker.read())
    maker.close()
    store.close()
