"""sqlite: a store in one file, shared by processes."""

import asyncio

import pytest
from backend_contract import VersionedContract
from store_contract import SqlContract

from pyconfserve.adapters.sqlite import SqliteStore
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
