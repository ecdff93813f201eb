"""jdbc: Spring's table PROPERTIES, and the answers that the Java server gave from it."""

import asyncio
import json
import sqlite3
from pathlib import Path

import psycopg
import pytest
from spring_recorded import answer, assert_recorded

from pyconfserve.adapters.jdbc import JdbcConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    ReadOnlyBackend,
    SettingsError,
)

CASE = json.loads(
    (Path(__file__).parents[1] / "cases/stores/spring-jdbc.json").read_text("utf-8")
)
TABLE = (
    "CREATE TABLE PROPERTIES (APPLICATION VARCHAR(128), PROFILE VARCHAR(128), "
    'LABEL VARCHAR(128), "KEY" VARCHAR(128), "VALUE" VARCHAR(4000))'
)
LOWER = {  # what users set whose columns are not in quotes
    "sql": "select key, value from config where app = ? and profile=? and label=? and key not like 'secret?%'",
    "sql_without_profile": "select key, value from config where app = ? and profile is null and label=?",
}


@pytest.fixture(scope="module")
def postgresql(postgresql_server):
    """The URL of JDBC of a database with the recorded rows."""
    url = postgresql_server.new_database()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(TABLE)
        with session.cursor() as cursor:
            cursor.executemany("INSERT INTO properties VALUES (%s, %s, %s, %s, %s)", CASE["data"])  # fmt: skip
    place = url.rpartition("@")[2]
    password = url.partition("@")[0].rpartition(":")[2]
    return {"url": f"jdbc:postgresql://{place}", "username": "postgres", "password": password}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """A database of SQLite with the same rows."""
    path = tmp_path / "spring.db"
    with sqlite3.connect(path) as session:
        session.execute(TABLE)
        session.executemany("INSERT INTO PROPERTIES VALUES (?, ?, ?, ?, ?)", CASE["data"])  # fmt: skip
    session.close()
    return path


@pytest.fixture
def open_backend():
    """Makes backends, and closes them in the end."""
    made = []

    def open_backend(*arguments, **options):
        made.append(JdbcConfigBackend(*arguments, **options))
        return made[-1]

    yield open_backend
    for backend in made:
        asyncio.run(backend.close())
        asyncio.run(backend.close())


def found(backend, *asked, dialect=SPRING):
    """The names of the sources of an answer, and the values of `k`."""
    sources = asyncio.run(backend.sources(make_lookup(*asked, dialect=dialect))).sources
    return [(source.name, source.properties["k"]) for source in sources]


@pytest.mark.parametrize("exchange", CASE["exchanges"], ids=lambda one: one["path"])
def test_the_answer_is_the_recorded_one(postgresql, open_backend, exchange):
    """From the same rows of a real PostgreSQL; a version, which Spring lacks, is ours."""
    assert_recorded(open_backend(**postgresql), exchange)


def test_sqlite_answers_the_same(file, open_backend, postgresql):
    """The table may lie in either."""
    one, other = open_backend(f"jdbc:sqlite:{file}"), open_backend(**postgresql)
    for exchange in CASE["exchanges"]:
        path = exchange["path"]
        assert answer(one, path).body == answer(other, path).body


def test_names_that_begin_as_the_shared_ones_do_not_get_them(file, open_backend):
    """As in JdbcEnvironmentRepository."""
    with sqlite3.connect(file) as session:
        session.execute("INSERT INTO PROPERTIES VALUES ('applications', 'dev', 'master', 'k', 'v')")  # fmt: skip
    session.close()
    backend = open_backend(f"jdbc:sqlite:{file}")
    assert found(backend, "applications", "dev") == [("applications-dev", "v")]
    expected = [("application-dev", "master:application-dev"), ("application", "master:application-None")]  # fmt: skip
    assert expected == found(backend, "application", "dev")


def test_default_in_place_of_no_profile(file, open_backend):
    """With config-incomplete."""
    backend = open_backend(f"jdbc:sqlite:{file}", config_incomplete=True)
    names = [name for name, _ in found(backend, "foo", "dev")]
    expected = ["foo-dev", "application-dev", "foo-default", "application-default"]
    assert expected == names
    assert found(backend, "foo", "default")[:1] == [
        ("foo-default", "master:foo-default")
    ]


def test_the_default_label(file, open_backend):
    """Is `master`, or another that is set."""
    assert open_backend(f"jdbc:sqlite:{file}").default_label == "master"
    backend = open_backend(f"jdbc:sqlite:{file}", label="other")
    assert found(backend, "foo", "dev")[0] == ("foo-dev", "other:foo-dev")


def test_our_own_dialect(file, open_backend):
    """Rows without a profile are those of `default`, below its own."""
    backend = open_backend(f"jdbc:sqlite:{file}")
    with sqlite3.connect(file) as session:
        session.execute("INSERT INTO PROPERTIES VALUES ('foo', NULL, 'master', 'plain', NULL)")  # fmt: skip
    session.close()
    expected = ["foo-dev", "foo-default", "application-dev", "application-default"]
    assert expected == [name for name, _ in found(backend, "foo", "dev", dialect=OWN)]
    source = asyncio.run(backend.fetch("foo", "default", "master"))
    assert source.properties == {"k": "master:foo-default", "list[0]": "x", "plain": ""}
    assert asyncio.run(backend.fetch("nobody", "default", "master")) is None


def test_queries_of_its_own(file, open_backend, postgresql):
    """`?` in text and in names is none, and neither are `%` and `:`."""
    backend = open_backend(f"jdbc:sqlite:{file}", **LOWER)
    with sqlite3.connect(file) as session:
        session.execute("CREATE TABLE config (app, profile, label, key, value)")
        session.execute("INSERT INTO config VALUES ('foo', 'dev', 'master', 'k', 'v')")
        session.execute("INSERT INTO config VALUES ('foo', 'dev', 'master', 'secret?', 'v')")  # fmt: skip
    session.close()
    assert found(backend, "foo", "dev") == [("foo-dev", "v")]
    with pytest.raises(BackendMisconfigured, match=r"nothing is listed$"):
        asyncio.run(backend.list())
    sql = "select '%:a'::text, \"VALUE\" || ':x' from properties where application=? and profile=? and label=? limit 1"
    backend = open_backend(**postgresql, sql=sql)
    sources = asyncio.run(backend.sources(make_lookup("foo", "dev", None, SPRING)))
    assert sources.sources[0].properties == {"%:a": "master:foo-dev:x"}


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_without_the_table(postgresql_server, tmp_path, open_backend, kind):
    """What makes Spring's own is told; what a query of its own asks is not known."""
    path = tmp_path / "empty.db"
    path.touch()
    address = postgresql_server.new_database() if kind == "postgresql" else str(path)
    url = f"jdbc:{kind}:{path}" if kind == "sqlite" else f"jdbc:{address}"

    def refused(**options):
        with pytest.raises(BackendMisconfigured, match=r"a table or a column is not there") as caught:
            asyncio.run(open_backend(url, **options).open())
        return caught.value

    assert refused(**LOWER).in_full == str(refused(**LOWER))
    _, told, statement = refused().in_full.split("\n")
    assert told == "its tables are made by:"
    if kind == "postgresql":
        postgresql_server.execute(statement, url=address)
    else:
        with sqlite3.connect(path) as session:
            session.execute(statement)
        session.close()
    asyncio.run(open_backend(url).open())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"sql": "select 1"}, "spring.cloud.config.server.jdbc.sql: expected 3 ?, for application, profile, label"),
        ({"sql_without_profile": "select '?', \"?\" where a=?"}, "spring.cloud.config.server.jdbc.sql-without-profile: expected 2 ?, for application, label"),
        ({"url": "jdbc:mysql://s3cret@h/d"}, "spring.datasource.url: expected jdbc:postgresql://… or jdbc:sqlite:…"),
        ({"url": "jdbc:postgresql://h/d?loggerLevel=OFF"}, "spring.datasource.url: the option loggerLevel is not known here"),
        ({"url": "jdbc:postgresql://u:s3cret@h:a b/d"}, "expected postgresql://user@host:5432/database"),
    ],
    ids=["sql", "sql-without-profile", "database", "option", "address"],
)  # fmt: skip
def test_settings_that_cannot_be(options, problem):
    """They are refused by name, and never quoted."""
    with pytest.raises(SettingsError) as caught:
        JdbcConfigBackend(**{"url": "jdbc:sqlite:x", **options})
    assert str(caught.value) == problem


def test_nothing_is_saved(file, open_backend):
    """The table is another's."""
    backend = open_backend(f"jdbc:sqlite:{file}")
    with pytest.raises(ReadOnlyBackend):
        asyncio.run(backend.save(None))
    listed = asyncio.run(backend.list())
    assert len(listed) == 27
    assert listed[0].application == "application"


class TestAway:
    """A database that is away."""

    def test_the_last_good_answer_is_given(self, file, open_backend):
        """To the same request, with its age in health; to others none is made up."""
        backend = open_backend(f"jdbc:sqlite:{file}")
        asyncio.run(backend.open())
        expected = found(backend, "foo", "dev")
        assert backend.health() == {"store": f"sqlite://{file}"}
        file.rename(f"{file}.gone")
        assert expected == found(backend, "foo", "dev")
        health = backend.health()
        assert health["problem"] == f"sqlite://{file}: it cannot be opened: No such file or directory"  # fmt: skip
        assert health["answered-seconds-ago"] == 0
        with pytest.raises(BackendUnavailable):
            found(backend, "foo", "prod")
        Path(f"{file}.gone").rename(file)
        assert expected == found(backend, "foo", "dev")
        assert "problem" not in backend.health()

    def test_a_start_without_it(self, tmp_path, open_backend):
        """Is an error, and no file is made."""
        backend = open_backend(f"jdbc:sqlite:{tmp_path}/absent.db")
        with pytest.raises(BackendUnavailable):
            asyncio.run(backend.open())
        with pytest.raises(BackendUnavailable):
            found(backend, "foo", "dev")
        with pytest.raises(BackendUnavailable):
            backend.health()
        assert [*tmp_path.iterdir()] == []

    def test_what_fails_may_be_left_out(self, file, open_backend, caplog):
        """Without fail-on-error, and that is said."""
        options = {"sql_without_profile": "select nothing from PROPERTIES where ?=?"}
        with pytest.raises(BackendMisconfigured, match=r"a table or a column is not there"):  # fmt: skip
            found(open_backend(f"jdbc:sqlite:{file}", **options), "foo", "dev")
        backend = open_backend(f"jdbc:sqlite:{file}", **options, fail_on_error=False)
        names = [name for name, _ in found(backend, "foo", "dev")]
        assert names == ["foo-dev", "application-dev"]
        assert "foo is left out" in caplog.text
