"""postgresql: what goes wrong with a real one, told without secrets, and outlived."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from time import monotonic

import psycopg
import pytest
from backend_contract import NAMES, bundle, change, found_stored, same
from store_servers import PASSWORD, PostgresqlServer, Relay, until

from pyconfserve.adapters.postgresql import PostgresqlStore
from pyconfserve.adapters.postgresql_sessions import PostgresqlSessions
from pyconfserve.errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnavailable,
    SettingsError,
    StorageFull,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend

ORDERS = BundleName(*NAMES)
SOON = 10.0

STATES = {
    "08006": (BackendUnavailable, "it cannot be reached"),
    "25006": (BackendUnavailable, "it takes no changes: it is a standby or read-only"),
    "28P01": (BackendDenied, "it does not take this user"),
    "3D000": (BackendMisconfigured, "there is no such database"),
    "40001": (BackendUnavailable, "another transaction came between"),
    "40P01": (BackendUnavailable, "another transaction came between"),
    "42501": (BackendDenied, "this user has not the right to it"),
    "42703": (BackendMisconfigured, "a table or a column is not there"),
    "42P01": (BackendMisconfigured, "a table or a column is not there"),
    "53100": (StorageFull, "its disk is full"),
    "53300": (BackendUnavailable, "it has no room for more"),
    "55P03": (BackendUnavailable, "another transaction keeps it locked"),
    "57014": (BackendTimeout, "it did not answer in time"),
    "57P01": (BackendUnavailable, "it is shutting down or starting up"),
    "57P03": (BackendUnavailable, "it is shutting down or starting up"),
    "XX000": (BackendError, "it fails"),
}


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


def place_of(url):
    """How a database is named to people."""
    return f"postgresql://{url.rpartition('@')[2]}"


@pytest.mark.parametrize(("state", "expected"), STATES.items(), ids=STATES.keys())
def test_states_are_errors_of_the_tree(state, expected):
    """With the address and the key, and never with the words of the database."""
    sessions = PostgresqlSessions(f"postgresql://u:{PASSWORD}@h/d")
    with (
        pytest.raises(BackendError) as caught,
        sessions.translated("main/orders/prod"),
    ):
        raise psycopg.errors.lookup(state)("what was stored")
    kind, problem = expected
    assert type(caught.value) is kind
    expected = f"postgresql://h:5432/d: main/orders/prod: {problem} (SQLSTATE {state})"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("make", "kind", "problem"),
    [
        (lambda server: server.url_of("postgres", password="wr0ng"), BackendDenied, "it does not take this user"),
        (lambda server: server.url_of("postgres", user="nobody"), BackendDenied, "it does not take this user"),
        (lambda server: server.url_of("postgres", user="nologin"), BackendDenied, "it does not take this user"),
        (lambda server: server.url_of("nothing"), BackendMisconfigured, "there is no such database"),
        (lambda server: server.url_of("postgres") + "?sslmode=require", BackendMisconfigured, "it speaks no TLS"),
        (lambda server: server.url_of("postgres").replace(f":{server.port}", ":1"), BackendUnavailable, "it cannot be reached"),
    ],
    ids=["password", "user", "no-login", "database", "tls", "refused"],
)  # fmt: skip
def test_a_connection_that_is_refused(postgresql_server, opened, make, kind, problem):
    """Says by whom and why; the password is nobody's business."""
    postgresql_server.execute(
        "DROP ROLE IF EXISTS nologin", f"CREATE ROLE nologin PASSWORD '{PASSWORD}'"
    )
    url = make(postgresql_server)
    store = opened(PostgresqlStore(url))
    for ask in (store.token, lambda: store.wait("", 0.1)):
        with pytest.raises(BackendError) as caught:
            ask()
        assert type(caught.value) is kind
        assert str(caught.value) == f"{place_of(url).partition('?')[0]}: {problem}"


def test_a_password_of_its_own(postgresql_server, opened):
    """It counts more than that of the address."""
    url = postgresql_server.url_of("postgres", user="x", password="wr0ng")
    store = opened(PostgresqlStore(url, user="postgres", password=PASSWORD))
    assert store.token()
    assert PASSWORD not in repr(vars(store)["address"])


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@h:x y/d", "host", "postgresql://u:s3cret@h/d?what=1"], ids=["blank", "word", "option"])  # fmt: skip
def test_an_address_that_is_none(url):
    """It is refused, not quoted, and nothing that quotes it is the cause."""
    with pytest.raises(SettingsError) as caught:
        PostgresqlStore(url)
    assert str(caught.value) == "expected postgresql://user@host:5432/database"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("password", ["pa/ss", "p@ss", "p@s/s"])
def test_a_password_is_taken_for_no_place(password):
    """An unescaped one would be in part a host or a database, which are shown."""
    expected = "^in a user or a password write %40 for @ and %2F for /$"
    with pytest.raises(SettingsError, match=expected):
        PostgresqlSessions(f"postgresql://u:{password}@h/db")
    sessions = PostgresqlSessions("postgresql://u:p%40s%2Fs@h/db")
    assert sessions.address == "postgresql://h:5432/db"


def test_who_may_only_read(postgresql_server, postgresql_url, opened):
    """Reads, and is denied the rest; without tables it says what it lacks."""
    PostgresqlStore(postgresql_url).close()
    postgresql_server.execute(
        "DROP ROLE IF EXISTS reader", f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'"
    )
    reader_url = postgresql_url.replace("//postgres:", "//reader:")
    reader = opened(PostgresqlStore(reader_url))
    with pytest.raises(BackendDenied, match=r"(?m)the right to it \(SQLSTATE 42501\)$"):
        reader.token()
    owner = opened(PostgresqlStore(postgresql_url))
    version = owner.write(ORDERS, "1", None)
    grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
    postgresql_server.execute(grant, url=postgresql_url)
    assert reader.read() == owner.read()
    expected = (
        r"(?m)main/orders/prod: this user has not the right to it \(SQLSTATE 42501\)$"
    )
    with pytest.raises(BackendDenied, match=expected):
        reader.write(ORDERS, "2", version)
    assert reader.token() == owner.token()


@pytest.mark.parametrize("makes", [True, False])
def test_who_may_not_make_tables(postgresql_server, postgresql_url, opened, makes):
    """Is told what makes them, for whoever may, and no client is."""
    execute = postgresql_server.execute
    name = f"writer_{makes}".lower()
    execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    store = opened(PostgresqlStore(postgresql_url.replace("//postgres:", f"//{name}:"), makes=makes))
    with pytest.raises(BackendDenied if makes else BackendMisconfigured) as caught:
        store.token()
    problem = (
        "this user has not the right to it (SQLSTATE 42501)"
        if makes
        else "a table or a column is not there (SQLSTATE 42P01)"
    )
    assert str(caught.value) == f"{place_of(postgresql_url)}: {problem}"
    told, *statements = caught.value.in_full.split("\n")[1:]
    assert told == "its tables are made by:"
    assert [*map(kind_of, statements)] == ["CREATE TABLE", "CREATE TABLE", "CREATE INDEX", "CREATE TABLE", "INSERT INTO"]
    assert caught.value.public == problem
    execute(*statements, *statements, url=postgresql_url)
    execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}", url=postgresql_url)
    version = store.write(ORDERS, "1", None)
    assert store.read().records == {ORDERS: Record("1", version)}


def kind_of(statement):
    """What a statement does, in its first two words."""
    assert statement.endswith(";")
    return " ".join(statement.split()[:2])


def test_what_has_nothing_to_do_with_tables(opened):
    """Says nothing of them."""
    store = opened(PostgresqlStore("postgresql://u@127.0.0.1:1/db"))
    with pytest.raises(BackendUnavailable) as caught:
        store.token()
    assert caught.value.in_full == "postgresql://127.0.0.1:1/db: it cannot be reached"


def test_a_database_that_takes_no_changes(postgresql_server, postgresql_url, opened):
    """Such as a standby: it is read."""
    store = opened(PostgresqlStore(postgresql_url))
    version = store.write(ORDERS, "1", None)
    server = postgresql_server
    name = postgresql_url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} SET transaction_read_only = on")
    server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    other = opened(PostgresqlStore(f"{postgresql_url}?options=-ctransaction_read_only%3Don"))  # fmt: skip
    assert other.read().records[ORDERS].version == version


def test_tables_that_went_away(postgresql_server, postgresql_url, opened):
    """Are no empty store: the last good state stands."""
    backend = opened(StoreBackend(PostgresqlStore(postgresql_url)))
    change(backend, {"a": 1})
    postgresql_server.execute(
        "DROP TABLE pyconfserve_revision, pyconfserve_bundle, pyconfserve_change",
        url=postgresql_url,
    )
    expected = r"(?m)a table or a column is not there \(SQLSTATE 42P01\)$"
    with pytest.raises(BackendMisconfigured, match=expected):
        asyncio.run(backend.refresh())
    assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 1}
    assert backend.health()["problem"].endswith("(SQLSTATE 42P01)")


def test_a_row_that_went_away(postgresql_server, postgresql_url, opened):
    """The one that all changes take turns by."""
    store = opened(PostgresqlStore(postgresql_url))
    store.write(ORDERS, "1", None)
    postgresql_server.execute("DELETE FROM pyconfserve_revision", url=postgresql_url)
    for ask in (store.token, store.read, lambda: store.write(ORDERS, "2", "x")):
        with pytest.raises(BackendMisconfigured, match=r"has no row: restore the database$"):  # fmt: skip
            ask()


def test_a_lock_that_another_keeps(postgresql_url, opened):
    """Is not waited for for ever; reads go on."""
    store = opened(PostgresqlStore(postgresql_url, patience=1.0))
    version = store.write(ORDERS, "1", None)
    with psycopg.connect(postgresql_url) as other:
        other.execute("UPDATE pyconfserve_revision SET revision = revision")
        with pytest.raises(BackendError, match=r"^postgresql.*main/orders/prod: ") as caught:  # fmt: skip
            store.write(ORDERS, "2", version)
        assert isinstance(caught.value, BackendUnavailable | BackendTimeout)
        assert store.read().records[ORDERS].text == "1"
    assert store.write(ORDERS, "2", version)


def test_a_restored_database(postgresql_server, postgresql_url, opened):
    """Its revisions go back and are given again: nothing older is taken for newer."""
    first = opened(StoreBackend(PostgresqlStore(postgresql_url)))
    tables = ("bundle", "change", "revision")
    change(first, {"a": 1})
    copies = [f"CREATE TABLE old_{one} AS TABLE pyconfserve_{one}" for one in tables]
    postgresql_server.execute(*copies, url=postgresql_url)
    lost = change(first, {"a": 2}).version
    back = [
        statement
        for one in tables
        for statement in (
            f"TRUNCATE pyconfserve_{one}",
            f"INSERT INTO pyconfserve_{one} SELECT * FROM old_{one}",
        )
    ]
    postgresql_server.execute(*back, url=postgresql_url)
    second = opened(StoreBackend(PostgresqlStore(postgresql_url)))
    change(second, {"a": 3})  # with the number of the one that was lost
    asyncio.run(first.refresh())
    assert asyncio.run(first.fetch(*NAMES)).properties == {"a": 3}
    assert found_stored(first).version == found_stored(second).version != lost
    with pytest.raises(VersionConflict):
        change(first, {"a": 4}, same(lost))


class TestConnections:
    """Connections that end."""

    def test_one_that_the_server_ends(self, postgresql_server, postgresql_url, opened):
        """Is replaced without anybody noticing, also the one for notices."""
        backend = opened(StoreBackend(PostgresqlStore(postgresql_url)))
        other = opened(StoreBackend(PostgresqlStore(postgresql_url)))
        change(backend, {"a": 1})
        asyncio.run(other.open())
        name = postgresql_url.rpartition("/")[2]
        postgresql_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        change(other, {"a": 2})
        until(lambda: asyncio.run(backend.fetch(*NAMES)).properties == {"a": 2})

    def test_one_that_was_kept_and_has_ended(self, postgresql_server, postgresql_url, opened):  # fmt: skip
        """Is known for it before it is asked."""
        store = opened(PostgresqlStore(postgresql_url))
        token = store.token()
        name = postgresql_url.rpartition("/")[2]
        theirs = f"pg_stat_activity WHERE datname = '{name}'"
        execute = postgresql_server.execute
        execute(f"SELECT pg_terminate_backend(pid) FROM {theirs}")
        until(lambda: execute(f"SELECT count(*) FROM {theirs}") == "0")
        assert store.token() == token
        assert store.write(ORDERS, "1", None)

    def test_a_network_that_is_cut(self, postgresql_server, postgresql_url, opened, caplog):  # fmt: skip
        """The last good state stands, and what was missed is seen when it is mended."""
        with Relay(postgresql_server.port) as relay, caplog.at_level(logging.DEBUG):
            url = postgresql_url.replace(f":{postgresql_server.port}", f":{relay.port}")
            behind = opened(StoreBackend(PostgresqlStore(url, patience=1.0)))
            other = opened(StoreBackend(PostgresqlStore(postgresql_url)))
            change(other, {"a": 1})
            asyncio.run(behind.open())
            relay.cut()
            change(other, {"a": 2})
            with pytest.raises(BackendUnavailable):
                change(behind, {"a": 3})
            assert asyncio.run(behind.fetch(*NAMES)).properties == {"a": 1}
            assert (
                behind.health()["problem"] == f"{place_of(url)}: it cannot be reached"
            )
            relay.mend()
            until(lambda: asyncio.run(behind.fetch(*NAMES)).properties == {"a": 2})
            asyncio.run(behind.close())
        assert PASSWORD not in caplog.text

    def test_a_network_that_is_silent(self, postgresql_server, postgresql_url, opened):
        """Ends what waits for an answer; reads never wait for long."""
        with Relay(postgresql_server.port) as relay:
            url = postgresql_url.replace(f":{postgresql_server.port}", f":{relay.port}")
            backend = opened(StoreBackend(PostgresqlStore(url, patience=0.5)))
            change(backend, {"a": 1})
            relay.freeze()
            began = monotonic()
            with pytest.raises(BackendError) as caught:
                change(backend, {"a": 2})
            assert isinstance(caught.value, BackendTimeout | BackendUnavailable)
            backend.look_again()
            assert asyncio.run(backend.fetch(*NAMES)).properties == {"a": 1}
            assert monotonic() - began < 5.0
            relay.mend()
            until(lambda: asyncio.run(_tries(backend, {"a": 3})))
            asyncio.run(backend.close())

    def test_a_server_killed_under_load(self, opened):
        """No increment that was told is lost, and none is made twice."""
        with PostgresqlServer() as server:
            backends = [opened(StoreBackend(PostgresqlStore(server.url, patience=2.0))) for _ in range(4)]  # fmt: skip
            for backend in backends:  # a start while it is down is an error
                asyncio.run(backend.open())
            change(backends[0], {"count": 0})
            going, halfway = threading.Event(), threading.Semaphore(0)
            going.set()

            def count(backend):
                told = unknown = 0
                while going.is_set() or told < 5:
                    seen = found_stored(backend)
                    counted = {"count": seen.properties["count"] + 1}
                    try:
                        change(backend, counted, same(seen.version))
                        told += 1
                        halfway.release()
                    except VersionConflict:
                        pass
                    except BackendError:
                        unknown += 1
                        going.wait(0.05) and threading.Event().wait(0.05)
                return told, unknown

            with ThreadPoolExecutor(4) as threads:
                counts = [threads.submit(count, backend) for backend in backends]
                for _ in range(2):
                    for _ in range(10):
                        assert halfway.acquire(timeout=SOON)
                    server.kill()
                    server.start()
                going.clear()
                told, unknown = map(sum, zip(*[one.result() for one in counts], strict=True))  # fmt: skip
            asyncio.run(backends[0].refresh())
            final = asyncio.run(backends[0].fetch(*NAMES)).properties["count"]
            assert told <= final <= told + unknown
            assert told >= 20
            for backend in backends:
                asyncio.run(backend.close())

    def test_a_start_while_it_is_down(self, tmp_path, opened):
        """From the snapshot file; without one it is an error."""
        with PostgresqlServer() as server:
            file = tmp_path / "state"
            first = opened(
                StoreBackend(PostgresqlStore(server.url), snapshot_file=file)
            )
            change(first, {"a": 1})
            asyncio.run(first.close())
            server.stop()
            with pytest.raises(BackendUnavailable):
                asyncio.run(opened(StoreBackend(PostgresqlStore(server.url))).open())
            second = opened(
                StoreBackend(PostgresqlStore(server.url), snapshot_file=file)
            )
            asyncio.run(second.open())
            assert asyncio.run(second.fetch(*NAMES)).properties == {"a": 1}
            assert PASSWORD not in file.read_text()
            server.start()
            until(lambda: asyncio.run(_tries(second, {"a": 2})))
            asyncio.run(second.close())

    @pytest.mark.parametrize("told", ["option", "environment", "service", "user"])
    def test_a_start_from_the_snapshot_of_another_schema(self, postgresql_server, tmp_path, opened, monkeypatch, told):
        """It is refused, whatever told which schema it is of."""
        file, services = tmp_path / "state", tmp_path / "services"
        postgresql_server.execute(
            *("DROP SCHEMA IF EXISTS one CASCADE", "CREATE SCHEMA one"),
            *("DROP SCHEMA IF EXISTS two CASCADE", "CREATE SCHEMA two"),
            "DROP ROLE IF EXISTS two", f"CREATE ROLE two SUPERUSER LOGIN PASSWORD '{PASSWORD}'",
        )  # fmt: skip
        services.write_text("[one]\noptions=-csearch_path=one\n[two]\noptions=-csearch_path=two\n")
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        with Relay(postgresql_server.port) as relay:

            def start(schema):
                url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{relay.port}/postgres"
                option = f"-csearch_path={schema}"
                if told == "option":
                    url += f"?options={option.replace('=', '%3D')}"
                elif told == "environment":
                    monkeypatch.setenv("PGOPTIONS", option)
                elif told == "service":
                    url += f"?service={schema}"
                else:
                    url = url.replace("postgres:", "two:", 1) if schema == "two" else url
                return opened(StoreBackend(PostgresqlStore(url), snapshot_file=file))

            first = start("one")
            change(first, {"a": "secret of one"})
            asyncio.run(first.close())
            relay.cut()
            with pytest.raises(BackendMisconfigured) as caught:
                asyncio.run(start("two").open())
            assert str(caught.value) == "the snapshot file is of another store"
            again = start("one")
            asyncio.run(again.open())
            assert asyncio.run(again.fetch(*NAMES)).properties == {"a": "secret of one"}
            assert PASSWORD not in file.read_text()
            asyncio.run(again.close())


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("postgresql:///?service=prod", {}, "postgresql:///?service=prod"),
        ("postgresql://u:pw@h/db?service=prod", {}, "postgresql://h:5432/db?service=prod"),
        ("service=prod dbname=x password=pw", {"PGHOST": "h"}, "postgresql:///x?service=prod"),
        ("postgresql:///db", {"PGSERVICE": "prod"}, "postgresql://prod.example:5432/db?service=prod"),
        ("postgresql:///", {"PGHOST": "h", "PGPORT": "6000", "PGDATABASE": "db"}, "postgresql://h:6000/db"),
        ("postgresql://me@", {}, "postgresql://localhost:5432/me"),
    ],
)
def test_what_tells_it_apart_is_shown(tmp_path, monkeypatch, url, environ, expected):
    """What libpq takes from its environment, too, and the name of a service."""
    services = tmp_path / "services"
    services.write_text("[prod]\nhost=prod.example\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert PostgresqlStore(url).address == expected


def test_its_identity_is_that_of_what_is_meant():
    """However it is written, and whatever its password is."""
    same = ["postgresql://u:a@h/db", "host=h user=u dbname=db port=5432 password=b"]
    other = ["postgresql://u@h/x", "postgresql://h/db", "postgresql://u@h/db?options=-cx%3D1"]
    found = [PostgresqlStore(url).identity for url in (*same, *other)]
    assert len({*found}) == 4
    assert found[0] == found[1]
    assert PostgresqlStore(same[1], user="u", password="x").identity == found[0]


async def _tries(backend, properties):
    """Whether a save succeeds now."""
    try:
        await backend.save(bundle(properties))
    except BackendError:
        return False
    return True


def test_replicas_see_a_change_within_milliseconds(postgresql_url, opened):
    """By its notice, each with the same version."""
    writer = opened(StoreBackend(PostgresqlStore(postgresql_url)))
    reader = opened(StoreBackend(PostgresqlStore(postgresql_url)))
    asyncio.run(reader.open())
    seen, delays = threading.Event(), []
    reader.on_change(lambda _: seen.set())

    async def write_all():
        for number in range(50):
            began = monotonic()
            await writer.save(bundle({"a": number}))
            assert await asyncio.to_thread(seen.wait, SOON)
            delays.append(monotonic() - began)
            seen.clear()
            assert (await reader.fetch(*NAMES)).properties == {"a": number}

    asyncio.run(write_all())
    assert found_stored(reader) == found_stored(writer)
    print(f"median {median(delays) * 1000:.1f} ms, longest {max(delays) * 1000:.1f} ms")
    assert median(delays) < 0.1
