"""spring_s3: what a Java server's settings say of a bucket, and what it answers then."""

import asyncio
import json
from pathlib import Path

import pytest

pytest.importorskip("boto3")
from s3_server import KEYS
from spring_recorded import assert_recorded

from pyconfserve.auto_configuration import build_server
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import DocumentError, SettingsError
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.settings import Settings
from pyconfserve.spring_s3 import S3_NAMES, s3_backend
from pyconfserve.spring_settings import read_spring

CASE = json.loads(
    (Path(__file__).parent / "cases/stores/spring-s3.json").read_text("utf-8")
)
START = "spring.cloud.config.server.awss3."
DEFAULT_LABEL = "spring.cloud.config.server.default-label"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    """Where the Java server, too, would look for them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_key"])


@pytest.fixture(scope="module")
def recorded(s3_server):
    """The name of a bucket that has the recorded objects."""
    return s3_server.bucket(CASE["data"])


@pytest.fixture
def connect(s3_server):
    """Makes backends by settings, and closes them in the end."""
    made = []

    def connect(bucket, values=None, **given):
        named = {name.replace("_", "-"): text for name, text in given.items()}
        named = {"bucket": bucket, "endpoint": s3_server.endpoint, "region": "us-east-1", **named}
        made.append(s3_backend(named, START, values or {}))
        return made[-1]

    yield connect
    for backend in made:
        asyncio.run(backend.close())


def names(backend, *request, dialect=SPRING):
    """The names of the sources of an answer, with their values of `k`."""
    sources = asyncio.run(backend.sources(make_lookup(*request, dialect=dialect))).sources
    return [(source.name, source.properties.get("k")) for source in sources]


@pytest.mark.parametrize("exchange", CASE["exchanges"], ids=lambda one: one["path"])
def test_the_answer_is_the_recorded_one(connect, recorded, exchange):
    """From the same objects; a version, which Spring lacks, is ours."""
    assert_recorded(connect(recorded), exchange)


def test_a_default_label_is_a_folder(connect, recorded):
    """It counts for requests that name none."""
    backend = connect(recorded, {DEFAULT_LABEL: "other"})
    assert names(backend, "bar", "prod")[0] == ("s3:bar-prod", "other/bar-prod.properties")
    assert names(backend, "bar", "prod", "main")[0] == ("s3:bar-prod", "main/bar-prod.properties")


def test_an_application_may_be_a_folder(connect, s3_server):
    """Its files are called `application` then, and its sources, too."""
    files = {"foo/application.yml": "k: 1", "foo/application-dev.yml": "k: 2", "v1/foo/application.json": '{"k": 3}', "application/application.yml": "k: 4", "foo.yml": "k: 5"}  # fmt: skip
    backend = connect(s3_server.bucket(files), use_directory_layout="true")
    shared = ("s3:application/application", 4)
    assert names(backend, "foo", "dev") == [("s3:foo/application-dev", 2), ("s3:foo/application", 1), shared]  # fmt: skip
    assert names(backend, "foo", "dev", "v1") == [("s3:foo/application", 3)]


def test_which_of_several_formats_count(connect, s3_server):
    """Properties or else JSON, and YAML as well, `.yml` before `.yaml`."""
    files = {"a.properties": "k=p", "a.json": '{"k": "j"}', "a.yml": "k: y", "a.yaml": "k: l", "b.json": '{"k": "j"}', "b.yaml": "k: l"}  # fmt: skip
    backend = connect(s3_server.bucket(files))
    assert names(backend, "a") == [("s3:a", "p"), ("s3:a", "y")]
    assert names(backend, "b") == [("s3:b", "j"), ("s3:b", "l")]


def test_documents_of_a_profile(connect, s3_server):
    """In a file of a profile those of others are left out; a plain file without plain
    documents is a source without properties."""
    document = "---\nspring.config.activate.on-profile: {}\nk: {}\n"
    files = {
        "a-dev.yml": "k: plain\n" + document.format("dev", "own") + document.format("prod", "other"),
        "a.yml": document.format("dev", "dev") + document.format("'!prod'", "no"),
    }
    backend = connect(s3_server.bucket(files))
    assert names(backend, "a", "dev") == [("s3:a-dev", "own"), ("s3:a-dev", "dev"), ("s3:a", None)]
    assert names(backend, "a", "prod") == [("s3:a", None)]


def test_a_file_that_does_not_parse_is_no_answer(connect, s3_server):
    """Spring would leave it out, and nobody would notice."""
    backend = connect(s3_server.bucket({"a.yml": "k: [1", "b.yml": "k: 1"}))
    with pytest.raises(DocumentError) as caught:
        names(backend, "a")
    assert str(caught.value).startswith("a.yml:")
    assert names(backend, "b") == [("s3:b", 1)]


def test_plain_files_are_below_their_label(connect, s3_server):
    """And nowhere else, as in Java."""
    backend = connect(s3_server.bucket({"x.txt": "top", "v1/x.txt": "one", "v1/x-dev.txt": "dev"}))

    def text(*request):
        found = asyncio.run(backend.file(make_lookup(*request, dialect=SPRING), "x.txt"))
        return found and found.data

    assert text("a", "default") == b"top"
    assert [text("a", "default", "v1"), text("a", "dev", "v1"), text("a", "dev", "v2")] == [b"one", b"dev", None]


def test_our_own_dialect(connect, recorded):
    """The same bucket, read as a folder is."""
    expected = [("bar-prod", "main/bar-prod.properties"), ("bar-default", "main/bar.properties"), ("application-prod", "main/application-prod.json"), ("application-default", "main/application")]  # fmt: skip
    assert names(connect(recorded), "bar", "prod", "main", dialect=OWN) == expected


def test_a_java_servers_settings_make_one(s3_server, recorded):
    """As they stand in its file."""
    flat = {
        "spring.profiles.active": "awss3",
        f"{START}bucket": recorded,
        f"{START}region": "us-east-1",
        f"{START}endpoint": s3_server.endpoint,
    }
    spring = read_spring(flat, {}, is_asked=True)
    server = build_server(Settings(**spring.fields), spring)
    request = Request("GET", "/bar/prod", "", {}, b"")
    response = asyncio.run(Routes(server).handle(request))
    asyncio.run(server.close())
    found = [source["name"] for source in json.loads(response.body)["propertySources"]]
    assert found == ["s3:bar-prod", "s3:application-prod", "s3:bar", "s3:application"]


BAD = {
    "no-bucket": ({"bucket": ""}, f"{START}bucket: expected the name of a bucket"),
    "no-name": ({"bucket": "a/../b"}, "spring.cloud.config.server.awss3: expected s3://bucket or s3://bucket/prefix"),
    "patterns": ({"search_paths": "{application}/*"}, f"{START}search-paths: patterns of keys are not read, and differ by version in Java: leave it out, or set use-directory-layout"),
    "no-claim": ({"use_directory_layout": "maybe"}, f"{START}use-directory-layout: expected true or false"),
    "endpoint": ({"endpoint": "localhost:9000"}, "spring.cloud.config.server.awss3: expected the endpoint as https://host[:port]"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "problem"), BAD.values(), ids=BAD)
def test_settings_that_cannot_be(connect, given, problem):
    """The message names the setting."""
    with pytest.raises(SettingsError) as caught:
        connect(**{"bucket": "conf", **given})
    assert str(caught.value) == problem


def test_the_names_are_those_of_java():
    """Of AwsS3EnvironmentProperties, and what all backends have."""
    assert set(S3_NAMES) == {"bucket", "region", "endpoint", "use-directory-layout", "search-paths", "order", "enabled"}  # fmt: skip
