"""s3: bundles and files in a bucket, on moto."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backend_contract import (
    ABSENT,
    NAMES,
    VersionedContract,
    bundle,
    change,
    count_up,
    found_stored,
    same,
    stored,
)
from s3_server import Gate, S3Server, plain, put_all, values
from store_servers import until

from pyconfserve.adapters.s3 import S3ConfigBackend
from pyconfserve.adapters.s3_client import Bucket, Place, parse_place
from pyconfserve.adapters.s3_fetching import Fetcher
from pyconfserve.adapters.s3_tree import S3Tree
from pyconfserve.backend import ConfigSource, Found
from pyconfserve.board import LocalBoard, SaveCount
from pyconfserve.commands.copy import run as copy
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import (
    BackendUnavailable,
    DocumentError,
    InvalidRequest,
    SettingsError,
    VersionConflict,
)
from pyconfserve.files import Folder
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.server import ConfigServer
from pyconfserve.settings import Settings
from pyconfserve.stores import store_backend

FILES = {
    "main/orders.yml": "a: 1\n",
    "main/orders-prod.yml": "a: 2\n",
    "application.properties": "shared=x\n",
    "main/nginx.conf": "server {}",
}
NEVER = 3600.0  # seconds between looks: what is seen was asked for


@pytest.fixture
def connect(s3_server):
    """Makes backends, and closes them in the end."""
    made = []

    def connect(uri, **options):
        made.append(S3ConfigBackend(uri, **{**s3_server.options(), "poll": NEVER, **options}))
        return made[-1]

    yield connect
    for backend in made:
        asyncio.run(backend.close())
        asyncio.run(backend.close())


@pytest.fixture
def gate(s3_server):
    """What stands before the server."""
    with Gate(s3_server) as gate:
        yield gate


def put(server, bucket, files):
    put_all(server.client(), bucket, files)


def text(server, bucket, key):
    """What others read there, None for nothing."""
    listed = server.client().list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
    if key not in [one["Key"] for one in listed]:
        return None
    return server.client().get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def keys(server, bucket):
    return [one["Key"] for one in server.client().list_objects_v2(Bucket=bucket).get("Contents", ())]


class TestS3(VersionedContract):
    """A bucket keeps what all backends keep."""

    @pytest.fixture
    def backend(self, connect, s3_server):
        """One over an empty bucket."""
        return connect(f"s3://{s3_server.bucket()}")


PLACES = {
    "bucket": ("s3://conf", Place("s3://conf", "conf", "")),
    "slash": (" s3://conf/ ", Place("s3://conf", "conf", "")),
    "prefix": ("S3://my.conf-1/a/b/", Place("s3://my.conf-1/a/b", "my.conf-1", "a/b/")),
}


@pytest.mark.parametrize(("uri", "place"), PLACES.values(), ids=PLACES)
def test_what_an_address_names(uri, place):
    """A bucket, and a prefix that ends in a slash."""
    assert parse_place(uri) == place


@pytest.mark.parametrize("uri", ["s3://", "s3:///a", "s3://a", "s3://conf/a//b", "s3://conf/../b", "s3://conf/./b", "s3://key:secret@conf", "s3://conf?region=x", "s3://conf/a b", "s3://-conf"])
def test_an_address_that_names_nothing(uri):
    """Neither does one with credentials, which would be seen."""
    with pytest.raises(SettingsError) as caught:
        parse_place(uri)
    assert str(caught.value) == "expected s3://bucket or s3://bucket/prefix"


OPTIONS = {
    "endpoint": ({"endpoint": "127.0.0.1:9000"}, "expected the endpoint as https://host[:port]"),
    "credentials": ({"endpoint": "https://a:b@host"}, "expected the endpoint as https://host[:port]"),
    "half": ({"access_key": "a"}, "expected an access key and its secret, or neither"),
    "ca-file": ({"ca_file": "/nowhere"}, "ca_file: /nowhere: No such file or directory"),
    "region": ({"region": "no region"}, "boto3 takes no such settings: InvalidRegionError"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "problem"), OPTIONS.values(), ids=OPTIONS)
def test_settings_that_cannot_be(options, problem):
    """They are told before anybody is asked."""
    with pytest.raises(SettingsError) as caught:
        S3ConfigBackend("s3://conf", **options)
    assert str(caught.value) == problem


def test_it_is_read_as_a_folder(connect, s3_server):
    """Files of every format, a label's folder before the top, and plain files."""
    backend = connect(f"s3://{s3_server.bucket(FILES)}")
    expected = {"orders-prod": {"a": 2}, "orders-default": {"a": 1}, "application-default": {"shared": "x"}}
    assert values(backend, "orders", "prod") == expected
    assert plain(backend, "nginx.conf") == b"server {}"
    assert plain(backend, "other.conf") is None
    assert asyncio.run(backend.fetch("orders", "prod")) == ConfigSource("orders", "prod", "main", {"a": 2})


def test_a_prefix_is_all_there_is(connect, s3_server):
    """What lies beside it is not seen, and saves go below it."""
    bucket = s3_server.bucket({"team/main/a.yml": "a: 1", "teams/main/a.yml": "a: 2", "main/a.yml": "a: 3"})
    backend = connect(f"s3://{bucket}/team")
    assert values(backend, "a") == {"a-default": {"a": 1}}
    asyncio.run(backend.save(bundle({"b": 1}, "b")))
    assert keys(s3_server, bucket) == ["main/a.yml", "team/main/a.yml", "team/main/b-prod.yaml", "teams/main/a.yml"]


def test_answers_do_not_ask(connect, s3_server, gate):
    """A bucket is read once: one listing, and what is configuration in it."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}", **gate.options())
    asyncio.run(backend.open())
    assert sorted(gate.asked) == [
        f"GET /{bucket}/application.properties",
        f"GET /{bucket}/main/orders-prod.yml",
        f"GET /{bucket}/main/orders.yml",
        f"GET /{bucket}?list-type=2&prefix=&encoding-type=url",
    ]
    del gate.asked[:]
    found = asyncio.run(backend.sources(make_lookup("orders", "prod")))
    assert isinstance(found, Found)
    assert backend.stamp(found.seen) == found.stamp
    assert stored(backend, "orders", "prod") == {"a": 2}
    assert asyncio.run(backend.list()) != []
    assert gate.asked == []


def test_a_look_reads_what_is_new(connect, s3_server, gate):
    """And nothing else."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}", **gate.options())
    found = asyncio.run(backend.sources(make_lookup("orders", "prod")))
    put(s3_server, bucket, {"main/orders.yml": "a: 3", "main/new.yml": "b: 1"})
    s3_server.client().delete_object(Bucket=bucket, Key="main/orders-prod.yml")
    assert backend.stamp(found.seen) == found.stamp
    del gate.asked[:]
    asyncio.run(backend.refresh())
    assert sorted(gate.asked)[:2] == [f"GET /{bucket}/main/new.yml", f"GET /{bucket}/main/orders.yml"]
    assert len(gate.asked) == 3
    assert backend.stamp(found.seen) != found.stamp
    assert values(backend, "orders", "prod") == {"orders-default": {"a": 3}, "application-default": {"shared": "x"}}
    assert values(backend, "new") == {"new-default": {"b": 1}, "application-default": {"shared": "x"}}


def test_it_is_looked_at_every_so_often(connect, s3_server):
    """What others write is seen within the interval."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}", poll=0.05)
    asyncio.run(backend.open())
    put(s3_server, bucket, {"main/orders.yml": "a: new"})
    until(lambda: values(backend, "orders")["orders-default"] == {"a": "new"})


def test_who_knows_of_a_save_sees_it(connect, s3_server):
    """No answer from before it is given again."""
    bucket = s3_server.bucket(FILES)
    one, other = connect(f"s3://{bucket}"), connect(f"s3://{bucket}")
    found = asyncio.run(other.sources(make_lookup("orders", "prod")))
    asyncio.run(one.save(bundle({"a": "saved"})))
    assert other.stamp(found.seen) == found.stamp
    other.look_again()
    assert values(other, "orders", "prod")["orders-prod"] == {"a": "saved"}
    assert other.stamp(found.seen) != found.stamp


def test_what_one_worker_has_seen_no_other_answers_without(connect, s3_server):
    """They share the count of saves."""
    bucket, board = s3_server.bucket(FILES), LocalBoard(1, rows=2)
    one, other = (connect(f"s3://{bucket}") for _ in range(2))
    servers = [ConfigServer(backend, saves=SaveCount(board, row)) for row, backend in enumerate((one, other))]

    def answers():
        return [asyncio.run(server.fetch("orders", "prod"))["propertySources"][0]["source"] for server in servers]

    assert answers() == [{"a": 2}, {"a": 2}]
    put(s3_server, bucket, {"main/orders-prod.yml": "a: new\n"})
    assert answers() == [{"a": 2}, {"a": 2}]
    asyncio.run(other.refresh())
    assert answers() == [{"a": "new"}, {"a": "new"}]


def test_what_is_stored_is_what_the_bucket_has_now(connect, s3_server):
    """A version is that of another server's save, too."""
    bucket = s3_server.bucket(FILES)
    one, other = connect(f"s3://{bucket}"), connect(f"s3://{bucket}")
    assert dict(found_stored(other).properties) == {"a": 2}
    version = change(one, {"a": 3}).version
    assert found_stored(other).version == version
    assert dict(found_stored(other).properties) == {"a": 3}


def test_keys_that_are_no_paths_are_left_out(connect, s3_server):
    """They could be reached by no name, and are counted."""
    odd = {"/a.yml": "k: 1", "x//a.yml": "k: 2", "../a.yml": "k: 3", "y/./a.yml": "k: 4", "z/..": "k: 5", "b\x01.yml": "k: 6"}
    bucket = s3_server.bucket({**odd, "folder/": "", "a.yml": "k: 7"})
    backend = connect(f"s3://{bucket}")
    assert values(backend, "a") == {"a-default": {"k": 7}}
    assert asyncio.run(backend.list()) == [ConfigSource("a", "default", "main")]
    assert backend.health() == {"store": f"s3://{bucket}", "files": 1, "read-seconds-ago": 0, "ignored-keys": 6}


def test_a_bucket_is_listed_page_by_page(monkeypatch):
    """Also where a page has few keys."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    with S3Server() as server, Gate(server) as gate:
        bucket = server.bucket({f"a{number}.yml": f"k: {number}" for number in range(10)})
        tree = S3Tree(Bucket(f"s3://{bucket}", **gate.options()))
        assert tree.list("").files == tuple(f"a{number}.yml" for number in range(10))
        assert [tree.read(f"a{number}.yml").data for number in (0, 9)] == [b"k: 0", b"k: 9"]
        tree.close()
        assert sum("list-type=2" in one for one in gate.asked) == 4


def test_a_large_file_is_read_when_it_is_asked_for(connect, s3_server):
    """As it is by then; what is too large for an answer is refused."""
    bucket = s3_server.bucket({"main/big.txt": b"x" * 4_000_000, "main/orders.yml": b"#" * 3_200_000})
    backend = connect(f"s3://{bucket}")
    assert len(plain(backend, "big.txt")) == 4_000_000
    put(s3_server, bucket, {"main/big.txt": b"y" * 5_000_000})
    assert plain(backend, "big.txt") == b"y" * 5_000_000
    with pytest.raises(DocumentError) as caught:
        values(backend, "orders")
    assert str(caught.value) == "main/orders.yml: larger than 3145728 bytes"
    s3_server.client().delete_object(Bucket=bucket, Key="main/big.txt")
    assert plain(backend, "big.txt") is None


def test_an_object_may_be_called_as_a_folder(connect, s3_server):
    """What comes into the folder is seen all the same."""
    bucket = s3_server.bucket({**FILES, "main": "no folder"})
    s3_server.client().delete_object(Bucket=bucket, Key="main/orders-prod.yml")
    backend = connect(f"s3://{bucket}")
    found = asyncio.run(backend.sources(make_lookup("orders", "prod")))
    assert plain(backend, "main") == b"no folder"
    put(s3_server, bucket, {"main/orders-prod.yml": "a: 9"})
    asyncio.run(backend.refresh())
    assert backend.stamp(found.seen) != found.stamp


def test_what_is_held_stays_within_what_fits(s3_server):
    """However often new files come before the others."""
    name = s3_server.bucket({"m.yml": "k: 1", "n.yml": "k: 2"})
    bucket = Bucket(f"s3://{name}", **s3_server.options())
    fetcher = Fetcher(bucket, most=8)
    files = fetcher.fetch(None)
    for letter in "lkj":
        put(s3_server, name, {f"{letter}{number}.yml": "k: 1" for number in range(2)})
        files = fetcher.fetch(files)
        assert sorted(files.held) == [f"{letter}0.yml", f"{letter}1.yml"]
    fetcher.close()
    bucket.close()


def test_no_more_is_held_than_fits(s3_server):
    """The rest is left out, and read when it is asked for."""
    bucket = Bucket(f"s3://{s3_server.bucket({'a.yml': 'k: 1', 'b.yml': 'k: 2', 'c.txt': ''})}", **s3_server.options())
    fetcher = Fetcher(bucket, most=5)
    files = fetcher.fetch(None)
    assert (files.held, sorted(files.objects)) == ({"a.yml": b"k: 1"}, ["a.yml", "b.yml", "c.txt"])
    assert files.folder("") == Folder(("a.yml", "b.yml", "c.txt"), ())
    assert fetcher.fetch(files) is files
    fetcher.close()
    bucket.close()


def test_a_save_that_others_come_between_is_judged_anew(connect, s3_server):
    """Nothing that they wrote is lost."""
    bucket = s3_server.bucket()
    backend = connect(f"s3://{bucket}")
    change(backend, {"count": 1})
    judged = []

    def work(stored):
        count = stored()["count"]
        judged.append(count)
        if len(judged) == 1:
            put(s3_server, bucket, {"main/orders-prod.yaml": "count: 10\n"})
        return {"count": count + 1}

    change(backend, work)
    assert judged == [1, 10]
    assert text(s3_server, bucket, "main/orders-prod.yaml") == "count: 11\n"


def test_a_counter_counts_every_success_of_several_servers(connect, s3_server):
    """Each has what it saw last, and no increment is lost."""
    uri = f"s3://{s3_server.bucket()}"
    backends = [connect(uri) for _ in range(3)]
    change(backends[0], {"count": 0})
    with ThreadPoolExecutor(6) as threads:
        counts = [
            threads.submit(asyncio.run, count_up(backends[number % 3], 6))
            for number in range(6)
        ]
    successes = sum(one.result() for one in counts)
    assert dict(found_stored(connect(uri)).properties) == {"count": successes}
    assert 6 <= successes < 36


def test_a_save_asks_for_its_bundle_alone(connect, s3_server, gate):
    """However many there are: by what its keys begin with, in its folder and the top."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}", **gate.options())
    asyncio.run(backend.open())
    del gate.asked[:]
    change(backend, {"a": 3})
    assert gate.asked == [
        f"GET /{bucket}?list-type=2&prefix=main%2Forders-prod.&encoding-type=url",
        f"GET /{bucket}?list-type=2&prefix=orders-prod.&encoding-type=url",
        f"PUT /{bucket}/main/orders-prod.yml",
    ]


def test_a_look_at_one_bundle_leaves_the_others(connect, s3_server):
    """Also those that are no files, which are counted as before."""
    bucket = s3_server.bucket({**FILES, "a//b": "x"})
    backend = connect(f"s3://{bucket}")
    asyncio.run(backend.open())
    put(s3_server, bucket, {"main/other.yml": "b: 1"})
    change(backend, {"a": 9})
    assert dict(found_stored(backend).properties) == {"a": 9}
    assert values(backend, "other") == {"application-default": {"shared": "x"}}
    assert (backend.health()["files"], backend.health()["ignored-keys"]) == (4, 1)


def test_what_others_wrote_comes_with_what_they_wrote_before(connect, s3_server):
    """A look at one bundle mixes no answer from two moments."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}")
    asyncio.run(backend.open())
    put(s3_server, bucket, {"main/orders.yml": "a: 8"})
    put(s3_server, bucket, {"main/orders-prod.yml": "a: 9"})
    assert dict(found_stored(backend).properties) == {"a": 9}
    found = values(backend, "orders", "prod")
    assert [found[name] for name in ("orders-prod", "orders-default")] == [{"a": 9}, {"a": 8}]


def test_a_bundle_that_others_make_meanwhile_is_not_overwritten(connect, s3_server):
    """Who wanted to create it is told of their version."""
    bucket = s3_server.bucket()
    backend, other = connect(f"s3://{bucket}"), connect(f"s3://{bucket}")
    made = []

    def work(stored):
        if not made:
            made.append(change(other, {"by": "other"}).version)
        return {"by": "me"}

    with pytest.raises(VersionConflict) as caught:
        change(backend, work, ABSENT)
    assert [caught.value.version] == made
    assert stored(other, *NAMES) == {"by": "other"}


def test_a_save_removes_the_same_bundle_in_other_formats(connect, s3_server):
    """Which the first would hide: it is written first."""
    bucket = s3_server.bucket({"main/orders-prod.yml": "a: 1", "main/orders-prod.json": "{}", "main/orders-prod.txt": "x"})
    change(connect(f"s3://{bucket}"), {"a": 2})
    assert keys(s3_server, bucket) == ["main/orders-prod.txt", "main/orders-prod.yml"]
    assert text(s3_server, bucket, "main/orders-prod.yml") == "a: 2\n"


def test_a_removal_takes_the_first_last(connect, s3_server, gate):
    """What it hides never shines through."""
    bucket = s3_server.bucket({"main/orders-prod.yml": "a: 1", "main/orders-prod.json": "{}"})
    change(connect(f"s3://{bucket}", **gate.options()), lambda _: None)
    assert [one for one in gate.asked if one.startswith("DELETE")] == [
        f"DELETE /{bucket}/main/orders-prod.json",
        f"DELETE /{bucket}/main/orders-prod.yml",
    ]
    assert keys(s3_server, bucket) == []


def test_what_changed_meanwhile_is_not_removed(connect, s3_server):
    """The removal is judged by what is there now."""
    bucket = s3_server.bucket({"main/orders-prod.yml": "a: 1"})
    backend = connect(f"s3://{bucket}")
    version = found_stored(backend).version

    def work(_):
        put(s3_server, bucket, {"main/orders-prod.yml": "a: 2"})

    with pytest.raises(VersionConflict):
        change(backend, work, same(version))
    assert text(s3_server, bucket, "main/orders-prod.yml") == "a: 2"


def test_names_that_are_too_long_for_a_key(connect, s3_server):
    """They are the client's mistake."""
    backend = connect(f"s3://{s3_server.bucket()}/{'p' * 200}/{'q' * 200}/{'r' * 200}/{'s' * 200}/{'t' * 100}")
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(backend.save(bundle({"a": 1}, application="a" * 150)))
    assert str(caught.value) == "application: too long for a key, with its label"


def test_a_closed_one_asks_nobody(connect, s3_server):
    """Nor is it opened again; who saves is told."""
    backend, opened = (connect(f"s3://{s3_server.bucket(FILES)}") for _ in range(2))
    asyncio.run(opened.open())
    for one, work in ((backend, backend.open()), (opened, opened.refresh()), (opened, opened.save(bundle({"a": 1})))):
        asyncio.run(one.close())
        with pytest.raises(BackendUnavailable) as caught:
            asyncio.run(work)
        assert str(caught.value).endswith(": it was closed here")


def test_settings_make_one(s3_server, tmp_path):
    """With the secret in a file."""
    secret = tmp_path / "secret"
    secret.write_text(f"{s3_server.options()['secret_key']}\n")
    bucket = s3_server.bucket(FILES)
    settings = Settings(
        backend_type="s3", store_uri=f"s3://{bucket}", store_endpoint=s3_server.endpoint,
        store_username="AKIA", store_password_file=str(secret), label="main",
    )  # fmt: skip
    backend = store_backend(settings)
    assert values(backend, "orders")["orders-default"] == {"a": 1}
    asyncio.run(backend.close())


def test_it_may_be_a_member_of_several(connect, s3_server, tmp_path):
    """Its sources come where it stands."""
    (tmp_path / "orders.yml").write_text("a: folder\nb: folder\n")
    bucket = connect(f"s3://{s3_server.bucket(FILES)}")
    both = CompositeConfigBackend([bucket, FilesystemConfigBackend(tmp_path)])
    found = asyncio.run(both.sources(make_lookup("orders")))
    expected = [{"a": 1}, {"shared": "x"}, {"a": "folder", "b": "folder"}]
    assert [source.properties for source in found.sources] == expected
    asyncio.run(both.close())


def test_bundles_are_copied_to_it_and_from_it(s3_server, tmp_path, monkeypatch, capsys):
    """Every bundle, read back."""
    for name, text_of in {"ENDPOINT": s3_server.endpoint, "USERNAME": "a", "PASSWORD": "b"}.items():
        monkeypatch.setenv(f"PYCONFSERVE_STORE_{name}", text_of)
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source / "main", source / "v1", target):
        folder.mkdir(parents=True)
    (source / "main/orders-prod.yml").write_text("a: 1\n")
    (source / "v1/orders.json").write_text('{"b": [1, true]}')
    bucket = s3_server.bucket()
    assert copy([str(source), f"s3://{bucket}/x"]) == 0
    assert keys(s3_server, bucket) == ["x/main/orders-prod.yaml", "x/v1/orders-default.yaml"]
    assert copy([f"s3://{bucket}/x", str(target)]) == 0
    assert sorted(str(path.relative_to(target)) for path in Path(target).rglob("*.yaml")) == ["main/orders-prod.yaml", "v1/orders-default.yaml"]
    assert (target / "v1/orders-default.yaml").read_text() == "b:\n- 1\n- true\n"
    assert "2 bundles (2 new), read back" in capsys.readouterr().err


def test_who_asks_first_for_what_is_stored_is_followed_too(connect, s3_server):
    """Whichever call comes first opens it."""
    bucket = s3_server.bucket(FILES)
    backend = connect(f"s3://{bucket}", poll=0.05)
    assert dict(found_stored(backend).properties) == {"a": 2}
    put(s3_server, bucket, {"main/orders-prod.yml": "a: new"})
    until(lambda: stored(backend, "orders", "prod") == {"a": "new"})
