"""sqlite: what goes wrong with a file, told by name, and outlived."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from time import monotonic

import pytest
from backend_contract import NAMES, bundle, change, found_stored, same
from store_servers import until

from pyconfserve.adapters.sqlite import SqliteStore
from pyconfserve.errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer
from pyconfserve.store_backend import StoreBackend

PROJECT = Path(__file__).parents[2]
ORDERS = BundleName(*NAMES)
CODES = {
    "SQLITE_BUSY_SNAPSHOT": (BackendUnavailable, "another process keeps it locked"),
    "SQLITE_IOERR_WRITE": (BackendUnavailable, "the disk fails"),
    "SQLITE_CANTOPEN": (BackendUnavailable, "it cannot be opened"),
    "SQLITE_FULL": (StorageFull, "the disk is full"),
    "SQLITE_READONLY_DBMOVED": (BackendDenied, "it may not be written"),
    "SQLITE_PERM": (BackendDenied, "it may not be opened"),
    "SQLITE_NOTADB": (BackendMisconfigured, "the file is no SQLite database"),
    "SQLITE_CORRUPT_INDEX": (BackendMisconfigured, "the database is damaged"),
    "SQLITE_ERROR": (BackendMisconfigured, "a table or a column is not there"),
    "SQLITE_MISUSE": (BackendError, "it fails"),
}
COUNT = """
import asyncio, sys
from pyconfserve.adapters.sqlite import SqliteStore
from pyconfserve.errors import VersionConflict
from pyconfserve.files import BundleName
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer
store, name, done = SqliteStore(sys.argv[1]), BundleName("orders", "prod", "main"), 0
while done < 20:
    text, version = store.read().records[name]
    try:
        store.write(name, str(int(text) + 1), version)
        done += 1
        print(done, flush=True)
    except VersionConflict:
        pass
store.close()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.db"


@pytest.fixture
def opened():
    """What is put in here is closed in the end."""
    kept = []

    def keep(one):
        kept.append(one)
        return one

    yield keep
    for one in kept:
        if isinstance(one, StoreBackend):
            asyncio.run(one.close())
        else:
            one.close()


def execute(path, *statements):
    """Do what another tool would."""
    session = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        session.execute(statement)
    session.close()


@pytest.mark.parametrize(("code", "expected"), CODES.items(), ids=CODES.keys())
def test_codes_are_errors_of_the_tree(path, opened, code, expected):
    """With the file and the key, and never with the words of SQLite."""
    store = opened(SqliteStore(path))
    error = sqlite3.OperationalError("what was stored")
    error.sqlite_errorname = code
    with pytest.raises(BackendError) as caught, store._files.translated("a/b/c"):
        raise error
    kind, problem = expected
    assert type(caught.value) is kind
    assert str(caught.value) == f"sqlite://{path}: a/b/c: {problem} ({code})"


def test_what_is_too_large_for_sqlite(path, opened):
    """Is the client's mistake."""
    error = sqlite3.DataError("string or blob too big")
    error.sqlite_errorname = "SQLITE_TOOBIG"
    store = opened(SqliteStore(path))
    with pytest.raises(ValueTooLarge), store._files.translated():
        raise error


def test_the_file_is_its_owner_s_alone(path, opened):
    """It may hold secrets, and so may those beside it."""
    store = opened(SqliteStore(path))
    store.write(ORDERS, "1", None)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"c.db": 0o600, "c.db-wal": 0o600, "c.db-shm": 0o600}


@pytest.mark.parametrize(
    ("spoil", "kind", "problem"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), BackendMisconfigured, "the file is no SQLite database (SQLITE_NOTADB)"),
        (lambda path: path.mkdir(), BackendUnavailable, "it cannot be opened (SQLITE_CANTOPEN)"),
        (lambda path: path.parent.rmdir(), BackendUnavailable, "it cannot be opened: No such file or directory"),
    ],
    ids=["no-database", "folder", "no-folder"],
)  # fmt: skip
def test_a_file_that_is_none(path, opened, spoil, kind, problem):
    """It is named, and nothing is made."""
    spoil(path)
    store = opened(SqliteStore(path))
    with pytest.raises(BackendError) as caught:
        store.token()
    assert type(caught.value) is kind
    assert str(caught.value) == f"sqlite://{path}: {problem}"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_who_asks_is_not_told_where_it_is(path, opened, method):
    """That is for the owner of the server."""
    backend = opened(StoreBackend(SqliteStore(path)))
    asyncio.run(backend.open())
    path.unlink()
    change_of = Request("PUT", "/_bundle/orders/prod/main", "", {}, b"{}")
    if method == "GET":
        path.parent.joinpath("deeper").mkdir()
        backend = opened(StoreBackend(SqliteStore(path.parent / "deeper")))
        change_of = Request("GET", "/orders/prod", "", {}, b"")
    response = asyncio.run(Routes(ConfigServer(backend)).handle(change_of))
    message = json.loads(response.body)["message"]
    expected = {
        "GET": "it cannot be opened (SQLITE_CANTOPEN)",
        "PUT": "it cannot be opened: No such file or directory",
    }
    assert (response.status, message) == (503, expected[method])
    with pytest.raises(BackendUnavailable, match=r"^sqlite:///"):
        asyncio.run(backend.refresh())


def test_a_file_that_went_away(path, opened):
    """Is no empty store, and is not made again: the last good state stands."""
    backend = opened(StoreBackend(SqliteStore(path)))
    change(backend, {"a": 1})
    path.rename(path.with_suffix(".gone"))
    with pytest.raises(BackendUnavailable, match=r"No such file or directory$"):
        change(backend, {"a": 2})
    assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 1}
    assert not path.exists()
    path.with_suffix(".gone").rename(path)
    change(backend, {"a": 3})
    assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 3}


def test_a_file_that_was_restored(path, opened):
    """Its revisions are given again: nothing older is taken for newer."""
    backend = opened(StoreBackend(SqliteStore(path)))
    change(backend, {"a": 1})
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    copy = path.with_suffix(".old")
    shutil.copy(path, copy)
    lost = change(backend, {"a": 2}).version
    other = opened(SqliteStore(copy))
    other.write(ORDERS, '{"properties":{"a":3}}', other.read().records[ORDERS].version)
    other.close()
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink()
    os.replace(copy, path)
    until(lambda: asyncio.run(backend.fetch(*NAMES)).properties == {"a": 3})
    with pytest.raises(VersionConflict):
        change(backend, {"a": 4}, same(lost))
    change(backend, {"a": 4})
    assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 4}


def test_tables_that_went_away(path, opened):
    """Are no empty store either."""
    backend = opened(StoreBackend(SqliteStore(path)))
    change(backend, {"a": 1})
    execute(path, "DROP TABLE pyconfserve_revision", "DROP TABLE pyconfserve_bundle")
    with pytest.raises(BackendMisconfigured, match=r"(?m)is not there \(SQLITE_ERROR\)$"):
        asyncio.run(backend.refresh())
    assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 1}


def test_a_lock_that_another_keeps(path, opened):
    """Is not waited for for ever; reads go on."""
    store = opened(SqliteStore(path, patience=0.2))
    version = store.write(ORDERS, "1", None)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    expected = (
        r"c.db: main/orders/prod: another process keeps it locked \(SQLITE_BUSY\)$"
    )
    with pytest.raises(BackendUnavailable, match=expected):
        store.write(ORDERS, "2", version)
    assert store.read().records[ORDERS].text == "1"
    other.execute("ROLLBACK")
    other.close()
    assert store.write(ORDERS, "2", version)


def test_a_disk_that_is_full(path, opened):
    """Says so, and nothing changes; there is room again when there is."""
    store = opened(SqliteStore(path))
    version = store.write(ORDERS, "1", None)
    before, connect = store.read(), store._files.connect

    def small():
        session = connect()
        session.ask("PRAGMA max_page_count = 20").fetchall()
        return session

    store._files.connect = small
    store._files._drop()
    with pytest.raises(StorageFull, match=r"main/orders/prod: the disk is full \(SQLITE_FULL\)$"):  # fmt: skip
        store.write(ORDERS, "x" * 200_000, version)
    assert store.read() == before
    store._files.connect = connect
    store._files._drop()
    assert store.write(ORDERS, "x" * 200_000, version)


def test_no_increment_of_processes_is_lost(path, opened):
    """Also when one of them is killed: what it was told is there."""
    store = opened(SqliteStore(path))
    store.write(ORDERS, "0", None)
    command = [sys.executable, "-c", COUNT, str(path)]
    writers = [
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    first = writers[0]
    for _ in range(5):
        first.stdout.readline()
    first.kill()
    # Not by `communicate`: it knows nothing of what was read ahead.
    told = [len(writer.stdout.readlines()) for writer in writers]
    for writer in writers:
        writer.communicate(timeout=30)
    assert told[1:] == [20, 20, 20]
    done = int(store.read().records[ORDERS].text)
    assert (
        sum(told) + 5 <= done <= sum(told) + 5 + 1
    )  # one was killed before it said so


def test_replicas_see_a_change_within_milliseconds(path, opened):
    """Without any notice, each with the same version."""
    writer, reader = (opened(StoreBackend(SqliteStore(path))) for _ in range(2))
    asyncio.run(reader.open())
    seen, delays = threading.Event(), []
    reader.on_change(lambda _: seen.set())

    async def write_all():
        for number in range(30):
            began = monotonic()
            await writer.save(bundle({"a": number}))
            assert await asyncio.to_thread(seen.wait, 5.0)
            delays.append(monotonic() - began)
            seen.clear()
            assert (await reader.fetch(*NAMES)).properties == {"a": number}

    asyncio.run(write_all())
    assert found_stored(reader) == found_stored(writer)
    print(f"median {median(delays) * 1000:.1f} ms, longest {max(delays) * 1000:.1f} ms")
    assert median(delays) < 0.1
