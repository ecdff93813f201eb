"""serve: stores and composites, as a user starts them."""

import json
from pathlib import Path

import pytest
from fleet import Client

from pyconfserve import __version__
from pyconfserve.addresses import STORES

OF_STORES = f"it is for a store, backend.type one of {', '.join(sorted({*STORES.values()}))}"
CASES = Path(__file__).parents[1] / "cases/stores"
JAVA = json.loads((CASES / "spring-jdbc.json").read_text("utf-8"))
STORE = ["sqlite", "etcd", "postgresql"]


@pytest.fixture
def url(request, tmp_path):
    """The address of an empty store of a kind."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/cfg.db"
    if request.param == "postgresql":
        pytest.importorskip("psycopg")
    return request.getfixturevalue(f"{request.param}_url")


@pytest.mark.parametrize("url", STORE, indirect=True)
def test_an_address_is_enough(serve, url):
    """What is saved is there after a restart; the first line has no password."""
    serving = serve(url, "--port", "0")
    scheme, _, rest = url.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"
    assert f"pyconfserve {__version__} serving {shown} on {serving.url}\n" == serving.first_line
    with Client(serving) as client:
        assert client.ask("POST", "/shop(_)eu/prod/feature(_)x", {"value": 1}) == (200, {"saved": True})
        listed = [{"application": "shop/eu", "profile": "prod", "label": "feature/x"}]
        assert client.ask("GET", "/_list") == (200, listed)
        status, health = client.ask("GET", "/health")
        assert (status, health["status"], "s3cret" in str(health)) == (200, "UP", False)
    status, out, errors = serving.end(15)
    assert (status, out, "s3cret" in errors) == (0, "", False)
    with Client(serve(url, "--port", "0")) as client:
        document = client.ask("GET", "/shop(_)eu/prod/feature(_)x")[1]
        assert document["propertySources"] == [{"name": "shop/eu-prod", "source": {"value": 1}}]


def test_memory_is_for_trying_out(serve):
    """It is empty at each start."""
    serving = serve("memory:", "--port", "0")
    assert f"pyconfserve {__version__} serving memory on {serving.url}\n" == serving.first_line
    with Client(serving) as client:
        client.ask("POST", "/orders/default", {"value": 1})
        assert client.value("orders") == 1


def test_what_is_said_last_is_served(serve, folder, tmp_path):
    """ROOT replaces the store of a file, and a store as ROOT the folder of one."""
    (tmp_path / "store.yml").write_text(
        "pyfly.config-server.backend: {type: sqlite, uri: 'sqlite://x.db'}\n"
    )
    (tmp_path / "folder.yml").write_text("pyfly.config-server.backend.root: cfg\n")
    for file, root, shown in (
        ("store.yml", "memory:", "memory"),
        ("folder.yml", "sqlite://y.db", "sqlite://y.db"),
        ("folder.yml", "memory:", "memory"),
    ):
        serving = serve(root, "--settings", file, "--port", "0")
        assert f"serving {shown} on" in serving.first_line
        assert serving.ask("/_list") == (200, "[]")


def test_the_environment_and_files_hold_what_is_secret(serve, postgresql_server, tmp_path):
    """No command line shows it."""
    pytest.importorskip("psycopg")
    user, _, place = postgresql_server.new_database().removeprefix("postgresql://").rpartition("@")
    password = user.partition(":")[2]
    serving = serve(
        "--port", "0",
        PYCONFSERVE_BACKEND_TYPE="postgresql",
        PYCONFSERVE_STORE_URI=f"postgresql://{place}",
        PYCONFSERVE_STORE_USERNAME="postgres",
        PYCONFSERVE_STORE_PASSWORD=password,
    )  # fmt: skip
    assert serving.ask("/_list") == (200, "[]")
    (tmp_path / "password").write_text(f"{password}\n")
    (tmp_path / "settings.yml").write_text(
        "pyfly.config-server.backend:\n  type: postgresql\n"
        f"  uri: postgresql://postgres@{place}\n  password-file: password\n"
    )
    assert serve("--settings", "settings.yml", "--port", "0").ask("/_list") == (200, "[]")


def test_a_wrong_password_is_exit_1_and_not_shown(run, postgresql_server):
    """Nor is the right one, or the user."""
    pytest.importorskip("psycopg")
    place = postgresql_server.url.rpartition("@")[2]
    status, out, errors = run(f"postgresql://postgres:wr0ng-s3cret@{place}", "--port", "0")
    assert (status, out) == (1, "")
    assert errors.splitlines()[-1].startswith("pyconfserve: error: postgresql://127.0.0.1")
    assert "does not take this user" in errors
    assert "s3cret" not in errors


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tables_that_are_missing_are_said(run, postgresql_url, workers):
    """As what makes them, below what is wrong."""
    pytest.importorskip("psycopg")
    options = "--read-only", "--port", "0", "--workers", workers
    status, out, errors = run(postgresql_url, *options)
    problem, told, *statements = errors.splitlines()
    place = f"postgresql://{postgresql_url.rpartition('@')[2]}"
    expected = f"pyconfserve: error: {place}: a table or a column is not there (SQLSTATE 42P01)"
    assert (status, out, problem) == (1, "", expected)
    assert told == "its tables are made by:"
    kinds = ["CREATE TABLE", "CREATE TABLE", "CREATE INDEX", "CREATE TABLE", "INSERT INTO"]
    assert [" ".join(one.split()[:2]) for one in statements] == kinds


def test_workers_share_a_store(serve, tmp_path):
    """A save by one is seen at once by all."""
    serving = serve(f"sqlite://{tmp_path}/x.db", "--port", "0", "--workers", "2")
    for value in range(1, 30):
        with Client(serving) as one, Client(serving) as two:
            one.ask("POST", "/orders/default", {"value": value})
            assert (one.value("orders"), two.value("orders")) == (value, value)


SETTINGS = """
pyfly.config-server.backend:
  type: composite
  members:
  - cfg
  - {type: sqlite, uri: 'sqlite://x.db', writable: true}
"""


def test_a_composite_of_settings(serve, folder, tmp_path):
    """The first member wins, and a save goes to the one that is writable."""
    (tmp_path / "settings.yml").write_text(SETTINGS)
    serving = serve("--settings", "settings.yml", "--port", "0")
    first = f"pyconfserve {__version__} serving cfg, sqlite://x.db on {serving.url}\n"
    assert first == serving.first_line
    with Client(serving) as client:
        assert client.ask("POST", "/orders/prod", {"db": {"pool": 1, "url": "x"}})[0] == 200
        document = client.ask("GET", "/orders/prod")[1]
        assert [source["source"] for source in document["propertySources"]] == [
            {"db.pool": 20},
            {"db.pool": 1, "db.url": "x"},
        ]
        assert client.ask("GET", "/orders-prod.json")[1] == {"db": {"pool": 20, "url": "x"}}
        assert client.ask("GET", "/_bundle/orders/prod/main")[1] == {"db": {"pool": 1, "url": "x"}}
    assert json.loads((folder / "orders-prod.json").read_text()) == {"db": {"pool": 20}}


def test_a_folder_may_be_named_like_a_store(serve, folder):
    """Where it is there, it is served."""
    folder.rename(folder.parent / "redis:x")
    serving = serve("redis:x", "--port", "0")
    first = f"pyconfserve {__version__} serving redis:x on {serving.url}\n"
    assert first == serving.first_line


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--settings", "absent-folder.yml"), "nowhere is not a folder"),
        (("--settings", "mistyped.yml"), "redis:h/0 is not a folder: after redis: two slashes are missing"),
        (("postgresql:u:s3cret@h/db",), "postgresql:h/db is not a folder: after postgresql: two slashes are missing"),
        (
            ("--settings", "memory.yml", "--workers", "2"),
            "pyfly.config-server.workers: backend.type memory is for one: each would have a memory of its own",
        ),
        (
            ("--settings", "git.yml", "--workers", "2"),
            "pyfly.config-server.workers: a repository in a composite needs backend.git.clone-dir for more than one: each would have a clone of its own",
        ),
        (("--settings", "unknown.yml"), "pyfly.config-server.backend.members[0].typ: unknown setting, the nearest known one is pyfly.config-server.backend.members[0].type"),
        (("cfg", "--snapshot", "x"), f"pyfly.config-server.backend.snapshot: {OF_STORES}"),
        (("etcd://u:s3cret@/x",), "expected etcd[s]://host:2379[,host:2379]/prefix"),
        (("sqlite:///x.db", "--clone-dir", "x"), "--clone-dir is for a git repository"),
        (("sqlite:///x.db", "--search-location", "cfg"), "--search-location is for a folder or a git repository"),
        (("memory:", "--spring", "--refresh-rate", "9"), "--refresh-rate is for a git repository"),
        (("etcd://:s3cret@h",), "etcd: a password needs a user"),
    ],
)
def test_how_it_is_called_is_exit_2(run, folder, tmp_path, arguments, problem):
    """One line that says what is wrong."""
    for name, members in (
        ("absent-folder", "[cfg, nowhere]"),
        ("mistyped", "[cfg, 'redis:/:s3cret@h/0']"),
        ("memory", "[cfg, 'memory:']"),
        ("git", "[cfg, 'git+/x']"),
        ("unknown", "[{typ: git}]"),
    ):
        text = f"pyfly.config-server.backend: {{type: composite, members: {members}}}\n"
        (tmp_path / f"{name}.yml").write_text(text)
    assert (2, "", f"pyconfserve: error: {problem}\n") == run(*arguments)


def test_the_past_of_a_store(run, serve, tmp_path):
    """sqlite keeps what was: history tells, and rollback brings it back."""
    url = f"sqlite://{tmp_path}/x.db"
    with Client(serve(url, "--port", "0")) as client:
        for value in (1, 2):
            client.ask("POST", "/orders/default", {"value": value})
        status, out, errors = run("history", url, "orders", "--json")
        assert (status, errors) == (0, "")
        commits = json.loads(out)["commits"]
        assert len(commits) == 2
        done = run("rollback", url, "orders", "default", "main", commits[1]["commit"])
        assert (done[0], done[2]) == (0, ""), done
        assert client.ask("GET", "/_bundle/orders/default/main")[1] == {"value": 1}


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_the_past_of_a_store_through_its_server(run, serve, url):
    """A way back needs no address of the store, only that of a server."""
    serving = serve(url, "--port", "0")
    names = ("orders", "prod", "main")
    with Client(serving) as client:
        for value in (1, 2):
            client.ask("PUT", "/_bundle/orders/prod/main", {"db": {"pool": value}, "s": "{cipher}a"})
        client.ask("DELETE", "/_bundle/orders/prod/main")
        gone, two, one = [line.split()[0] for line in run("history", serving.url, *names)[1].splitlines()[::2]]
        done = run("rollback", serving.url, *names, one)
        assert done == (0, f"orders/prod on main is as it was at {one}\n", "")
        assert client.ask("GET", "/_bundle/orders/prod/main")[1] == {"db": {"pool": 1}, "s": "{cipher}a"}
        again = run("rollback", serving.url, *names, one)
        assert again == (0, f"orders/prod on main is as it was at {one} already\n", "")
        assert run("rollback", serving.url, *names, two)[0] == 0
        assert client.ask("GET", "/_bundle/orders/prod/main")[1] == {"db": {"pool": 2}, "s": "{cipher}a"}
    for commit, problem in (
        (gone, "the bundle was not stored then"),
        ("0" * 40, f"the commit {'0' * 40} is not in this history"),
    ):
        said = f"pyconfserve: error: {serving.url}: it answered 404: {problem}\n"
        assert run("rollback", serving.url, *names, commit) == (1, "", said)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_commit_of_a_store_is_what_was_then(call, tmp_path, url):
    """All that an answer is made from, of the label that the commit changed."""

    def put(name, label="main", **properties):
        folder = tmp_path / "old" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(properties))
        assert call("copy", "old", url, "--overwrite")[0] == 0
        return call("history", url, "orders", "prod", label, "--limit", "1")[1][:40]

    first = put("orders-prod", i=1, gone="x")
    put("orders-prod", "v2", i=7)
    shared = put("application", shared="{cipher}a", i=0)
    put("orders-prod", i=2)
    second = put("application", shared="{cipher}b", i=0)
    names = (url, "orders", "prod")
    text = f"--- prod@{first}\n+++ prod@main\n- gone: ***\n~ i: ***\n+ shared: ***\n"
    assert call("diff", *names, first, "main") == (1, text, "")
    lines = call("diff", *names, shared, second, "--show-values")[1].splitlines()[2:]
    assert lines == ['- gone: "x"', "~ i: 1 -> 2", '~ shared: "{cipher}a" -> "{cipher}b"']
    assert call("diff", *names, second, "main") == (0, "", "")
    other = put("orders-prod", "v2", i=8)
    assert call("diff", *names, "v2", other) == (0, "", "")
    problem = f"prod@{'0' * 40}: the commit {'0' * 40} is not in this history"
    assert call("diff", *names, "main", "0" * 40) == (2, "", f"pyconfserve: error: {problem}\n")
    put("shop-dev", "0" * 40, i=9)  # a label may look like one
    assert call("diff", *names, "v2", "0" * 40)[1].splitlines()[2:] == ["- i: ***"]


def test_a_commit_is_no_empty_answer(call, folder, redis_url):
    """Of a store that keeps no past nobody has one."""
    pytest.importorskip("redis")
    call("copy", "cfg", redis_url)
    kept = "no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL"
    said = f"pyconfserve: error: prod@{'0' * 40}: {kept}\n"
    assert call("diff", redis_url, "orders", "prod", "0" * 40, "main") == (2, "", said)


def test_a_rollback_through_a_server_without_a_past(run, serve, folder):
    """It is said that none is kept."""
    url = serve("cfg", "--port", "0").url
    problem = "no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL"
    said = f"pyconfserve: error: {url}: it answered 404: {problem}\n"
    assert run("rollback", url, "orders", "prod", "main", "0" * 40) == (1, "", said)


def test_a_java_servers_own_settings_of_a_table(serve, postgresql_server, tmp_path):
    """Its file and its database as they are; the answers are the recorded ones."""
    pytest.importorskip("psycopg")
    url = postgresql_server.new_database()
    rows = ", ".join(
        "({})".format(", ".join("NULL" if cell is None else f"'{cell}'" for cell in row))
        for row in JAVA["data"]
    )
    table = 'CREATE TABLE PROPERTIES (APPLICATION text, PROFILE text, LABEL text, "KEY" text, "VALUE" text)'
    postgresql_server.execute(table, f"INSERT INTO PROPERTIES VALUES {rows}", url=url)
    user, _, place = url.removeprefix("postgresql://").rpartition("@")
    (tmp_path / "application.properties").write_text(
        f"spring.profiles.active=jdbc\nspring.datasource.url=jdbc:postgresql://{place}\n"
        "spring.datasource.username=postgres\nspring.datasource.driver-class-name=org.postgresql.Driver\n"
        "spring.cloud.config.server.jdbc.order=1\nserver.address=127.0.0.1\n"
    )
    serving = serve(
        "--settings", "application.properties", "--port", "0",
        SPRING_DATASOURCE_PASSWORD=user.partition(":")[2],
    )  # fmt: skip
    documents = [one for one in JAVA["exchanges"] if isinstance(one["body"], dict)]
    assert len(documents) == 11
    for exchange in documents:
        status, text = serving.ask(exchange["path"])
        body = json.loads(text)
        if "version" in body:  # a hash here, where Java has null
            body["version"] = None
        assert (status, body) == (exchange["status"], exchange["body"]), exchange["path"]
    assert serving.ask("/foo/dev", "POST", body=b"{}")[0] == 405
    assert "s3cret" not in serving.end(15)[2]
