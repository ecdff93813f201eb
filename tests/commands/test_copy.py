"""copy: moving house from one backend to another, as a user runs it."""

import itertools
import json
import os
import pty
import select
import subprocess
import sys
from importlib.util import find_spec

import pytest
from redis_server import RedisServer
from s3_server import KEYS
from vault_server import ROOT, VaultServer

from pyconfserve.addresses import shown
from pyconfserve.commands import main

COMMAND = [sys.executable, "-m", "pyconfserve"]
PATIENCE = 20  # seconds for what takes a fraction of one
ORDERS = '{"db": {"pool": 20, "hosts": ["a", "b"]}, "on": true, "text": "{cipher}ab"}'
FILES = {
    "orders-prod.json": ORDERS,
    "v2/orders-prod.yml": "db:\n  pool: 40\n",
    "application.properties": "a=1\n",
}

BARE = "pyconfserve: warning: answers for v2 use files outside of label folders, and the copy has none\n"


@pytest.fixture
def old(tmp_path):
    """A folder `old` of three bundles, and an empty one `new`.

    One of them stands in for what label v2 lacks, as it does in no copy: that is BARE.
    """
    for name, text in FILES.items():
        path = tmp_path / "old" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "new").mkdir()
    return tmp_path / "old"


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """`run` without a process of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            status = main(["copy", *arguments])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


NAMES = "application/default/main", "orders/prod/main", "orders/prod/v2"


def lines(state):
    return "".join(f"{state} {name}\n" for name in NAMES)


def test_all_is_there_afterwards(run, old, tmp_path):
    """As nested files, with types and labels, and nothing is decrypted."""
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), read back\n" + BARE)
    assert expected == run("copy", "old", "new", PYCONFSERVE_ENCRYPT_KEY="x")
    files = {
        str(path.relative_to(tmp_path / "new")): path.read_text()
        for path in (tmp_path / "new").rglob("*.*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert files == {
        "main/application-default.yaml": 'a: "1"\n',
        "main/orders-prod.yaml": "db:\n  pool: 20\n  hosts:\n  - a\n  - b\n\"on\": true\ntext: '{cipher}ab'\n",
        "v2/orders-prod.yaml": "db:\n  pool: 40\n",
    }
    expected = (0, lines("equal"), "pyconfserve: 3 bundles (3 equal), read back\n" + BARE)
    assert expected == run("copy", "old", "new")


def test_a_store_that_is_read_is_not_made(call, old, tmp_path):
    """Its name was mistyped: nothing would be copied, and all be well."""
    status, _, problem = call("sqlite://no.db", "new")
    assert status == 1
    assert problem.endswith("no.db: it cannot be opened: No such file or directory\n")
    assert not (tmp_path / "no.db").exists()


def test_a_dry_run_writes_nothing(call, old, tmp_path):
    """It says what would be done."""
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), nothing is written\n" + BARE)
    assert expected == call("old", "new", "--dry-run")
    assert [*(tmp_path / "new").iterdir()] == []


def test_a_dry_run_makes_no_file(call, old, tmp_path):
    """SQLite's that is missing is empty; afterwards it is read, and stays as it is."""
    place = tmp_path / "made" / "x.db"
    place.parent.mkdir()
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), nothing is written\n" + BARE)
    assert expected == call("old", f"sqlite://{place}", "--dry-run")
    assert [*place.parent.iterdir()] == []
    place.touch()
    assert expected == call("old", f"sqlite://{place}", "--dry-run")
    assert place.read_bytes() == b""
    assert call("old", f"sqlite://{place}")[:2] == (0, lines("new"))
    before = place.read_bytes()
    assert call("old", f"sqlite://{place}", "--dry-run")[:2] == (0, lines("equal"))
    assert place.read_bytes() == before


def test_a_dry_run_makes_no_tables(call, old, postgresql_url):
    """Nor does who reads a database that is not meant."""
    psycopg = pytest.importorskip("psycopg")
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), nothing is written\n" + BARE)
    assert expected == call("old", postgresql_url, "--dry-run")
    status, _, problem = call(postgresql_url, "new")
    assert status == 1
    assert problem.split("\n")[0].endswith(": a table or a column is not there (SQLSTATE 42P01)")
    with psycopg.connect(postgresql_url) as session:
        tables = session.execute("SELECT to_regclass('pyconfserve_revision')").fetchall()
    assert tables == [(None,)]
    assert call("old", postgresql_url)[:2] == (0, lines("new"))
    assert call("old", postgresql_url, "--dry-run")[:2] == (0, lines("equal"))


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("absent/x.db", "it cannot be opened: No such file or directory"),
        ("text.db", "the file is no SQLite database (SQLITE_NOTADB)"),
    ],
)
def test_a_dry_run_says_what_would_fail(call, old, tmp_path, place, problem):
    """It takes nothing for empty that could not be written."""
    (tmp_path / "text.db").write_text("x" * 200)
    status, out, errors = call("old", f"sqlite://{tmp_path}/{place}", "--dry-run")
    expected = f"pyconfserve: error: sqlite://{tmp_path}/{place}: {problem}\n"
    assert (status, out, errors) == (1, "", expected)


def test_what_differs_is_overwritten_only_when_asked(call, old, tmp_path):
    """Else nothing at all is written."""
    other = tmp_path / "new" / "orders-prod.json"
    other.write_text('{"db": 1}')
    listed = "new application/default/main\ndiffers orders/prod/main\nnew orders/prod/v2\n"
    counts = "3 bundles (2 new, 1 differs)"
    hint = "nothing is written: --overwrite replaces what differs"
    assert call("old", "new") == (1, listed, f"pyconfserve: {counts}, {hint}\n" + BARE)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["orders-prod.json"]
    assert call("old", "new", "--overwrite", "--dry-run")[:2] == (0, listed)
    assert other.read_text() == '{"db": 1}'
    assert call("old", "new", "--overwrite") == (0, listed, f"pyconfserve: {counts}, read back\n" + BARE)
    assert json.loads(other.read_text()) == json.loads(ORDERS)


def test_what_stands_in_for_a_label_is_missed(call, old, tmp_path):
    """A label of FROM may answer with files outside of its folder, one of TO not."""
    assert call("old", "new")[2].endswith(f"\n{BARE}")
    assert call("old", "new", "--label", "v2")[2].endswith(f"\n{BARE}")
    assert not call("old", "new", "--label", "main")[2].endswith(BARE)
    assert not call("new", f"sqlite://{tmp_path}/x.db")[2].endswith(BARE)  # all in folders
    (old / "v3").mkdir()
    (old / "v3" / "orders-prod.yml").write_text("a: 1\n")
    both = BARE.replace("for v2", "for v2, v3")
    assert call("old", "new")[2].endswith(f"\n{both}")
    assert call("old", "new", "--dry-run")[2].endswith(f"\n{both}")
    (old / "broken.json").write_text("{")  # no answer in either
    (tmp_path / "new" / "application.properties").write_text("a=1\n")  # it has some, too
    counts = "5 bundles (4 equal, 1 refused)"
    assert call("old", "new")[2] == f"pyconfserve: {counts}, read back\n"


def test_labels_may_be_chosen(call, old, tmp_path):
    """Once or more often."""
    expected = (0, "new orders/prod/v2\n", "pyconfserve: 1 bundle (1 new), read back\n" + BARE)
    assert expected == call("old", "new", "--label", "v2")
    assert call("old", "new", "--label", "v2", "--label", "main", "--dry-run")[1] == lines(
        "new"
    ).replace("new orders/prod/v2", "equal orders/prod/v2")


@pytest.mark.parametrize("labels", [("none",), ("v2", "none")], ids=["alone", "beside another"])
def test_a_label_that_no_bundle_has_is_exit_1(call, old, tmp_path, labels):
    """It was mistyped: nothing is copied at all."""
    flags = [word for label in labels for word in ("--label", label)]
    expected = (1, "", "pyconfserve: error: no bundle has the label none\n")
    assert expected == call("old", "new", *flags)
    assert [*(tmp_path / "new").iterdir()] == []


def test_nothing_is_copied_of_nothing(call, old):
    """Where no label was named it is no failure."""
    assert call("new", "old") == (0, "", "pyconfserve: 0 bundles, read back\n")


def test_what_cannot_be_copied_is_named(call, old):
    """The rest is copied, and the exit status says that it was not all."""
    (old / "shop-prod.json").write_text("{")
    status, out, errors = call("old", "new")
    assert status == 1
    assert out.splitlines()[-1].startswith("refused shop/prod/main: shop-prod.json:1:")
    assert errors == "pyconfserve: 4 bundles (3 new, 1 refused), read back\n" + BARE
    assert call("old", "new", "--overwrite")[0] == 1


def test_settings_may_stand_at_either_end(call, old, tmp_path):
    """A file of settings in the place of ROOT: what needs more than an address."""
    for name in ("old", "new"):
        (tmp_path / f"{name}.yml").write_text(f"pyfly.config-server.backend.root: {name}\n")
    assert call("old.yml", "new.yml")[:2] == (0, lines("new"))


def settings_file(path, **backend):
    """A file of settings of one end; gives its name."""
    path.write_text(json.dumps({"pyfly": {"config-server": {"backend": backend}}}))
    return path.name


def test_a_file_of_settings_beats_the_environment(run, old, tmp_path):
    """A variable means both ends: they would be one store, and nothing be copied."""
    target = settings_file(tmp_path / "b.json", uri=f"sqlite://{tmp_path}/b.db")
    files = settings_file(tmp_path / "old.json", root="old")
    exported = {"PYCONFSERVE_STORE_URI": f"sqlite://{tmp_path}/a.db"}
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), read back\n" + BARE)
    assert expected == run("copy", files, target, **exported)
    assert ((tmp_path / "a.db").exists(), (tmp_path / "b.db").exists()) == (False, True)
    named = settings_file(tmp_path / "a.json", type="sqlite")  # a variable says the rest
    expected = (0, lines("new"), "pyconfserve: 3 bundles (3 new), read back\n")
    assert expected == run("copy", target, named, **exported)
    assert (tmp_path / "a.db").exists()
    equal = (0, lines("equal"), "pyconfserve: 3 bundles (3 equal), read back\n" + BARE)
    assert equal == run("copy", "old", f"sqlite://{tmp_path}/b.db", **exported)


def test_a_file_of_a_java_server_beats_the_environment(run, old, tmp_path):
    """Its own variables are no different."""
    start = "spring.cloud.config.server.native.search-locations"
    (tmp_path / "java.properties").write_text(f"spring.profiles.active=native\n{start}=file:old\n")
    exported = {
        "PYCONFSERVE_STORE_URI": f"sqlite://{tmp_path}/a.db",
        "SPRING_CLOUD_CONFIG_SERVER_NATIVE_SEARCHLOCATIONS": "file:new",
    }
    status, out, _ = run("copy", "java.properties", f"sqlite://{tmp_path}/b.db", **exported)
    assert (status, out) == (0, lines("new"))


def test_each_end_has_its_own_password(run, old, tmp_path):
    """Whether it stands in a file, in an address, or in a file of its own."""
    pytest.importorskip("redis")
    with RedisServer("--requirepass", "ours") as ours, RedisServer("--requirepass", "theirs") as theirs:
        (tmp_path / "password").write_text("theirs\n")
        of_theirs = {"uri": theirs.url_of(), "password-file": str(tmp_path / "password")}
        source = settings_file(tmp_path / "a.json", uri=ours.url_of(), password="ours")
        target = settings_file(tmp_path / "b.json", **of_theirs)
        again = settings_file(tmp_path / "c.json", uri=theirs.url_of(user=":theirs@"))
        open_end = settings_file(tmp_path / "d.json", uri=ours.url_of())
        exported = {"PYCONFSERVE_STORE_PASSWORD": "ours", "PYCONFSERVE_STORE_USERNAME": "default"}
        assert run("copy", "old", open_end, **exported)[:2] == (0, lines("new"))
        for way in ((source, target), (source, again), (again, open_end)):
            state = "new" if target in way else "equal"
            assert run("copy", *way, **exported)[:2] == (0, lines(state))


def places(tmp_path, request):
    """Pairs of ends that are the same, and pairs that are not."""
    os.symlink(tmp_path / "old", tmp_path / "link")
    os.symlink(tmp_path / "x.db", tmp_path / "link.db")
    etcd, postgresql = (request.getfixturevalue(f"{kind}_url") for kind in ("etcd", "postgresql"))
    s3_server = request.getfixturevalue("s3_server")
    bucket = f"s3://{s3_server.bucket()}/cfg"
    keys = {"username": KEYS["access_key"], "password": KEYS["secret_key"]}
    at = {"endpoint": s3_server.endpoint, **keys}
    s3 = settings_file(tmp_path / "s3.json", uri=bucket, **at)
    s3_again = settings_file(tmp_path / "s3b.json", uri=f"{bucket}/", **at)
    schema = f"{postgresql}?options=-csearch_path%3Dother"
    same = [
        ("old", "old/../link"),
        (f"sqlite://{tmp_path}/x.db", "sqlite://link.db"),
        (etcd, f"{etcd.replace('etcd:', 'ETCD:')}/"),
        (postgresql, postgresql.replace("postgresql:", "postgres:")),
        (s3, s3_again),
    ]
    return same, [("old", "new"), (etcd, f"{etcd}/b"), (postgresql, schema)]


def test_an_end_is_not_copied_to_itself(call, old, tmp_path, request):
    """All would be equal, and the store that was meant be empty."""
    pytest.importorskip("boto3")
    psycopg = pytest.importorskip("psycopg")
    same, others = places(tmp_path, request)
    for way in same:
        if way[0] != "old":
            assert call("old", way[0])[:2] == (0, lines("new"))
        status, out, problem = call(*way)
        assert (status, out) == (2, "")
        assert problem == f"pyconfserve: error: FROM and TO are the same: {shown(way[1])}\n"
    with psycopg.connect(others[-1][0], autocommit=True) as session:
        session.execute("CREATE SCHEMA other")
    for way in others:
        assert call(*way)[:2] == (0, lines("new"))


@pytest.mark.skipif(find_spec("git") is None, reason="pip install 'pyconfserve[git]'")
def test_to_and_from_a_repository(call, old, tmp_path):
    """Each bundle is a commit of its branch in the clone, which is kept."""

    def git(*arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main", "work")
    git("-C", "work", "commit", "--quiet", "--allow-empty", "--message=first")
    git("-C", "work", "branch", "v2")
    problem = "what is saved in a temporary clone is lost: name the one that the server keeps"
    assert call("old", "git+work") == (2, "", f"pyconfserve: error: --clone-dir: {problem}\n")
    assert call("old", "git+work", "--clone-dir", "clone")[:2] == (0, lines("new"))
    (tmp_path / "settings.yml").write_text(
        f"pyfly.config-server.backend:\n  type: git\n  git: {{uri: {tmp_path}/work, clone-dir: clone}}\n"
    )
    assert call("settings.yml", "new")[:2] == (0, lines("new"))
    assert call("old", "new")[:2] == (0, lines("equal"))
    problem = "FROM and TO are the same: settings.yml"
    assert call("git+work", "settings.yml") == (2, "", f"pyconfserve: error: {problem}\n")


def test_through_all_stores_and_back(call, old, tmp_path, request):
    """A folder, SQLite, etcd, PostgreSQL and a folder: all is as it was."""
    pytest.importorskip("psycopg")
    stores = [request.getfixturevalue(f"{kind}_url") for kind in ("etcd", "postgresql")]
    way = ["old", f"sqlite://{tmp_path}/x.db", *stores, "new"]
    for source, target in itertools.pairwise(way):
        assert call(source, target)[:2] == (0, lines("new"))
    assert call("new", "old")[:2] == (0, lines("equal"))


def test_through_stores_that_settings_name(call, old, tmp_path, request):
    """Vault, S3 and a folder: what is secret stands in a file."""
    pytest.importorskip("boto3")
    s3_server = request.getfixturevalue("s3_server")
    with VaultServer() as vault:
        stores = {
            "vault": {"uri": f"{vault.uri}/secret/cfg", "token": ROOT},
            "s3": {
                "uri": f"s3://{s3_server.bucket()}/cfg",
                "endpoint": s3_server.endpoint,
                "username": KEYS["access_key"],
                "password": KEYS["secret_key"],
            },
        }
        for kind, backend in stores.items():
            tree = {"pyfly": {"config-server": {"backend": {"type": kind, **backend}}}}
            (tmp_path / f"{kind}.json").write_text(json.dumps(tree))
        for source, target in itertools.pairwise(["old", "vault.json", "s3.json", "new"]):
            assert call(source, target)[:2] == (0, lines("new"))
    assert call("new", "old")[:2] == (0, lines("equal"))


def test_through_consul_and_back(call, old, consul_url):
    """Of one server to one prefix, to another, and to a folder."""
    for source, target in itertools.pairwise(["old", consul_url, f"{consul_url}-2", "new"]):
        assert call(source, target)[:2] == (0, lines("new"))
    assert call("new", "old")[:2] == (0, lines("equal"))


def test_what_the_other_side_did_not_keep_is_said(call, old, tmp_path, monkeypatch):
    """It is asked anew: what it says in the meantime is not believed."""
    (tmp_path / "forgetful.py").write_text(
        "class Store:\n"
        "    def __init__(self): self.kept = {}\n"
        "    async def fetch(self, *names): return self.kept.get(names)\n"
        "    async def save(self, source): self.kept[source.application, source.profile, source.label] = source\n"
        "    async def list(self): return [*self.kept.values()]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "new.yml").write_text("pyfly.config-server.backend.type: forgetful:Store\n")
    status, out, errors = call("old", "new.yml")
    problem = ": what was read back is not what was written"
    expected = "".join(f"refused {name}{problem}\n" for name in NAMES)
    summary = "pyconfserve: 3 bundles (3 refused), read back\n" + BARE
    assert (status, out, errors) == (1, expected, summary)


def test_a_store_that_is_away_is_exit_1(call, old):
    """And no password is said."""
    status, out, errors = call("old", "etcd://me:s3cret@127.0.0.1:1/x")
    assert (status, out, "127.0.0.1:1" in errors, "s3cret" in errors) == (1, "", True, False)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("old", "absent"), "absent is not a folder"),
        (("absent", "new"), "absent is not a folder"),
        (("redis:/:pw@h/0", "new"), "redis:h/0 is not a folder: after redis: two slashes are missing"),
        (("old", "memory:"), "memory:: what is in memory ends with this command"),
        (("memory:", "new"), "memory:: what is in memory ends with this command"),
        (("old", "both.yml"), "both.yml: name one of its members instead"),
        (("https://user:pw@h/x", "new"), "https://h/x is a server: a repository has git+ in front"),
        (("old", "gs://x"), "no store has addresses that begin with gs://"),
        (("old", "new", "--clone-dir", "x"), "--clone-dir is for a git repository"),
    ],
)
def test_how_it_is_called_is_exit_2(call, old, tmp_path, arguments, problem):
    """It says what to do instead, and no password."""
    (tmp_path / "both.yml").write_text(
        "pyfly.config-server.backend: {type: composite, members: [old, new]}\n"
    )
    assert (2, "", f"pyconfserve: error: {problem}\n") == call(*arguments)


def test_the_bar_moves_and_leaves_nothing(environ, old, tmp_path):
    """On a terminal, so that a person sees how far it is."""
    for number in range(400):
        (old / f"app{number}-prod.json").write_text('{"a": 1}')
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "copy", "old", "new", "--dry-run"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], PATIENCE)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # how the end of a terminal reads
            break
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    parts = shown.decode().split("\r")
    assert (parts[1][:1], parts[1][-15:]) == ("[", " of 403 bundles")
    assert parts[-3] == "\x1b[Kpyconfserve: 403 bundles (403 new), nothing is written"
