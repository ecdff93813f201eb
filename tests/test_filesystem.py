"""filesystem: bundles as files in one folder, or in several that lie over each other."""

import asyncio
import os
import stat

import pytest
from backend_contract import VersionedContract

from pyconfserve.backend import (
    ClosingBackend,
    ConfigSource,
    HealthBackend,
    LabelledBackend,
    LookingBackend,
    LookupBackend,
    StampedBackend,
)
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    Conflict,
    DocumentError,
    SchemaViolation,
)
from pyconfserve.files import DictTree
from pyconfserve.filesystem import FilesystemConfigBackend


class TestFilesystem(VersionedContract):
    """A folder keeps what all backends keep."""

    @pytest.fixture
    def backend(self, tmp_path):
        """One over an empty folder."""
        return FilesystemConfigBackend(tmp_path / "root")


class TestTiers(VersionedContract):
    """So do several folders."""

    @pytest.fixture
    def backend(self, tmp_path):
        """One over three empty folders."""
        tiers = [tmp_path / name for name in ("domain", "core", "common")]
        return FilesystemConfigBackend(tmp_path, tiers)


class TestTreeInMemory(VersionedContract):
    """So does a tree of files that is no folder."""

    @pytest.fixture
    def backend(self):
        """One over a dict."""
        return FilesystemConfigBackend(DictTree())


def write(root, files):
    """Make text files below *root*."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")


def content(root):
    """All files below *root* as {path: text}."""
    files = (path for path in root.rglob("*") if not path.is_dir())
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in files}


def fetch(backend, *names):
    """The properties of one bundle, None when it is absent."""
    source = asyncio.run(backend.fetch(*names))
    return None if source is None else source.properties


def save(backend, application, profile, properties, label="main"):
    """Save one bundle."""
    asyncio.run(backend.save(ConfigSource(application, profile, label, properties)))


def sources(backend, *asked, dialect=OWN):
    """The (name, properties) of each source for a lookup, and the label that counted."""
    found = asyncio.run(backend.sources(make_lookup(*asked, dialect=dialect)))
    return [(source.name, source.properties) for source in found.sources], found.label


@pytest.mark.parametrize(
    ("protocol", "is_one"),
    [
        (LookupBackend, True),
        (StampedBackend, True),
        (LabelledBackend, True),
        (HealthBackend, True),
        (ClosingBackend, True),
        (LookingBackend, True),
    ],
)
def test_what_the_backend_can_do_beyond_the_interface(tmp_path, protocol, is_one):
    """It fills lookups, has stamps and a default label, and says how it is."""
    assert is_one is isinstance(FilesystemConfigBackend(tmp_path), protocol)


@pytest.mark.parametrize("convert", [str, os.fspath, lambda path: path])
def test_missing_folders_are_made(tmp_path, convert):
    """As an empty place to save to, with their parents."""
    root = tmp_path / "a" / "b"
    backend = FilesystemConfigBackend(convert(root))
    assert root.is_dir()
    assert asyncio.run(backend.list()) == []


def test_a_root_that_is_a_file_is_the_owners_mistake(tmp_path):
    """The error names it."""
    write(tmp_path, {"file": ""})
    with pytest.raises(BackendMisconfigured) as caught:
        FilesystemConfigBackend(tmp_path / "file")
    assert f"{tmp_path}/file: file exists" == str(caught.value)
    assert isinstance(caught.value.__cause__, FileExistsError)


def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    """The process may go elsewhere afterwards."""
    write(tmp_path, {"here/orders.yml": "a: 1", "there/x": ""})
    monkeypatch.chdir(tmp_path)
    backend = FilesystemConfigBackend("here")
    monkeypatch.chdir(tmp_path / "there")
    assert fetch(backend, "orders", "default") == {"a": 1}


def test_a_folder_is_read_through_the_label_folder_first(tmp_path):
    """`<label>/` hides the top, which is the fallback of every label."""
    write(tmp_path, {"orders.yml": "a: top", "v2/orders-default.json": '{"a": "v2"}'})
    backend = FilesystemConfigBackend(tmp_path)
    assert fetch(backend, "orders", "default", "v2") == {"a": "v2"}
    assert fetch(backend, "orders", "default", "main") == {"a": "top"}
    assert fetch(backend, "orders", "default", "v3") == {"a": "top"}


def test_tiers_are_merged_key_by_key(tmp_path):
    """The first location wins at each leaf, a list is one location's; the root counts
    only when there are no locations.
    """
    write(
        tmp_path,
        {
            "orders.yml": "root: 1",
            "domain/orders.yml": "a: {x: domain}\nlist: [1]",
            "core/main/orders.yml": "a: {x: 0, y: core}\nlist: [7, 8]",
            "common/orders.yml": "a: {x: 0, y: 0, z: common}",
            "common/application.yml": "shared: 1",
        },
    )
    tiers = [tmp_path / name for name in ("domain", "core", "common")]
    backend = FilesystemConfigBackend(tmp_path, tiers)
    merged = {"a.x": "domain", "a.y": "core", "a.z": "common", "list[0]": 1}
    assert merged == fetch(backend, "orders", "default")
    expected = [("orders-default", merged), ("application-default", {"shared": 1})]
    assert (expected, "main") == sources(backend, "orders")


def test_saves_and_listings_go_to_the_first_tier(tmp_path):
    """The others are only read, even where the bundle is theirs."""
    write(tmp_path, {"core/orders.yml": "a: 1\nb: 1"})
    backend = FilesystemConfigBackend(
        tmp_path, [tmp_path / "domain", tmp_path / "core"]
    )
    assert asyncio.run(backend.list()) == []
    save(backend, "orders", "default", {"a": 2})
    expected = {"core/orders.yml": "a: 1\nb: 1", "domain/main/orders-default.yaml": "a: 2\n"}  # fmt: skip
    assert expected == content(tmp_path)
    assert fetch(backend, "orders", "default") == {"a": 2, "b": 1}
    assert [ConfigSource("orders", "default")] == asyncio.run(backend.list())


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("orders", "prod", "main"), "main/orders-prod.yaml"),
        (("orders", "default", "main"), "main/orders-default.yaml"),
        (("orders", "prod", "feature/x"), "feature/x/orders-prod.yaml"),
        (("team/orders", "prod", "main"), "main/team/orders-prod.yaml"),
        (("größe", "東京", "main"), "main/größe-東京.yaml"),
    ],
)
def test_a_new_bundle_goes_to_its_label_folder(tmp_path, names, path):
    """As `<label>/<application>-<profile>.yaml`, folders made as needed."""
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, *names[:2], {"a": {"b": 1}}, names[2])
    assert {path: "a:\n  b: 1\n"} == content(tmp_path)


@pytest.mark.parametrize(
    ("path", "twin", "before", "after"),
    [
        ("orders.yml", "orders.json", "a: 0", "a:\n  b: x\n"),
        ("orders-default.yaml", "orders-default.yml", "a: 0", "a:\n  b: x\n"),
        ("orders.json", "orders.toml", "{}", '{\n  "a": {\n    "b": "x"\n  }\n}\n'),
        ("main/orders.properties", "orders.yml", "a=0", "a.b=x\n"),
    ],
)  # fmt: skip
def test_a_save_keeps_the_file_and_its_format(tmp_path, path, twin, before, after):
    """What fetch reads is what is replaced, and its twins in the same folder go."""
    write(tmp_path, {path: before, twin: ""})
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, "orders", "default", {"a": {"b": "x"}})
    spared = {twin: ""} if path.startswith("main/") else {}
    assert {path: after, **spared} == content(tmp_path)
    assert fetch(backend, "orders", "default") == {"a.b": "x"}


def test_a_label_never_overwrites_the_file_on_top(tmp_path):
    """The fallback of all labels belongs to the default one."""
    write(tmp_path, {"orders.yml": "a: 1"})
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, "orders", "default", {"a": 2}, "v2")
    expected = {"orders.yml": "a: 1", "v2/orders-default.yaml": "a: 2\n"}
    assert expected == content(tmp_path)
    assert fetch(backend, "orders", "default") == {"a": 1}


def test_the_default_label_is_a_setting(tmp_path):
    """Saves under it go to the file on top, and the top lists as it."""
    write(tmp_path, {"orders.yml": "a: 1", "trunk/x.yml": "a: 2"})
    backend = FilesystemConfigBackend(tmp_path, label="trunk")
    assert backend.default_label == "trunk"
    assert sources(backend, "x") == ([("x-default", {"a": 2})], "trunk")
    save(backend, "orders", "default", {"a": 3}, "trunk")
    assert content(tmp_path) == {"orders.yml": "a: 3\n", "trunk/x.yml": "a: 2"}
    expected = [
        ConfigSource("orders", "default", "trunk"),
        ConfigSource("x", "default", "trunk"),
    ]
    assert expected == asyncio.run(backend.list())


@pytest.mark.parametrize(
    ("path", "text", "properties", "error", "status"),
    [
        ("orders.yml", "a: 1\n---\nb: 2\n", {"a": 2}, Conflict, 409),
        ("orders.toml", "a = 1\n", {"a": 2}, Conflict, 409),
        ("orders.properties", "a=1\n", {"a": None}, SchemaViolation, 422),
    ],
    ids=["documents", "toml", "null"],
)
def test_what_the_file_cannot_hold_changes_nothing(tmp_path, path, text, properties, error, status):  # fmt: skip
    """The folder is as before, and the error has its status."""
    write(tmp_path, {path: text})
    before = (tmp_path / path).stat()
    with pytest.raises(error) as caught:
        save(FilesystemConfigBackend(tmp_path), "orders", "default", properties)
    assert status == caught.value.status
    assert {path: text} == content(tmp_path)
    assert before.st_ino == (tmp_path / path).stat().st_ino
    assert [path] == os.listdir(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o440])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    """Whoever could read it still can."""
    write(tmp_path, {"orders.yml": "a: 1"})
    (tmp_path / "orders.yml").chmod(mode)
    save(FilesystemConfigBackend(tmp_path), "orders", "default", {"a": 2})
    assert mode == stat.S_IMODE((tmp_path / "orders.yml").stat().st_mode)


def test_new_files_and_folders_are_their_owners_alone(tmp_path):
    """Values may be secrets; and nothing but the file is left behind."""
    save(FilesystemConfigBackend(tmp_path), "orders", "prod", {"a": 1}, "feature/x")
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    expected = {"feature": 0o700, "feature/x": 0o700, "feature/x/orders-prod.yaml": 0o600}  # fmt: skip
    assert expected == modes


def test_a_broken_file_is_replaced_by_a_save(tmp_path):
    """It could not be read, so nothing is lost; it works again."""
    write(tmp_path, {"orders.yml": "a: ["})
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, "orders", "default", {"a": 1})
    assert content(tmp_path) == {"orders.yml": "a: 1\n"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("orders-prod.yaml", "a: 1\n---\nb: 2\n---\nc: [\n"),
        ("orders-prod.yml", "a: [\r\n--- # two\r\nb: 2\r\n"),
        ("orders-prod.properties", "a=\\u00\n#---\nb=2\n"),
    ],
)
def test_broken_documents_are_not_replaced_by_a_save(tmp_path, file, text):
    """The good ones beside the broken one would be lost."""
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / file).write_text(text)
    backend = FilesystemConfigBackend(tmp_path)
    with pytest.raises(Conflict, match="holds several documents: edit the file"):
        asyncio.run(backend.save(ConfigSource("orders", "prod", "main", {"a": 1})))
    assert (tmp_path / "main" / file).read_bytes().decode() == text


def test_a_folder_that_went_away_is_not_an_answer_of_nothing(tmp_path):
    """A client would start without its configuration; Spring's folders may be absent."""
    lookup = make_lookup("orders", "prod", dialect=OWN)
    root = tmp_path / "root"
    backend = FilesystemConfigBackend(root, refresh_interval=0)
    assert asyncio.run(backend.sources(lookup)).sources == ()
    root.rmdir()
    with pytest.raises(BackendUnavailable):
        asyncio.run(backend.sources(lookup))
    absent = FilesystemConfigBackend(root, makes_folders=False)
    assert asyncio.run(absent.sources(lookup)).sources == ()


def test_a_folder_named_like_a_twin_is_left_alone(tmp_path):
    """It is no file that could hide the saved one."""
    (tmp_path / "main/orders-prod.json").mkdir(parents=True)
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, "orders", "prod", {"a": 1})
    assert (tmp_path / "main/orders-prod.json").is_dir()
    assert content(tmp_path) == {"main/orders-prod.yaml": "a: 1\n"}


def test_one_broken_file_leaves_the_others_served(tmp_path):
    """The error has its path below the root and its line; it is listed all the same."""
    write(tmp_path, {"orders.yml": "a: 1\nb: [\n", "other.yml": "a: 1"})
    backend = FilesystemConfigBackend(tmp_path)
    with pytest.raises(DocumentError) as caught:
        sources(backend, "orders", "prod")
    assert (caught.value.location, caught.value.line) == ("orders.yml", 3)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(DocumentError):
        fetch(backend, "orders", "default")
    assert sources(backend, "other", "prod") == ([("other-default", {"a": 1})], "main")
    expected = [ConfigSource("orders", "default"), ConfigSource("other", "default")]
    assert expected == asyncio.run(backend.list())


def test_a_file_above_the_limit_is_an_error_that_names_it(tmp_path):
    """It is not read at all."""
    with (tmp_path / "orders.yml").open("wb") as file:
        file.truncate(3 * 1024 * 1024 + 1)
    with pytest.raises(DocumentError) as caught:
        fetch(FilesystemConfigBackend(tmp_path), "orders", "default")
    assert str(caught.value) == "orders.yml: larger than 3145728 bytes"


def test_an_edit_on_disk_changes_the_stamp(tmp_path):
    """With no refresh interval at once; an untouched folder keeps it."""
    write(tmp_path, {"orders.yml": "a: 1"})
    os.utime(tmp_path / "orders.yml", (1, 1))
    backend = FilesystemConfigBackend(tmp_path, refresh_interval=0)
    found = asyncio.run(backend.sources(make_lookup("orders")))
    write(tmp_path, {"orders.yml": "a: 2"})
    assert found.stamp != backend.stamp(found.seen)


def test_what_was_saved_here_is_listed_as_it_was_saved(tmp_path):
    """Another process has only the file's name to go by."""
    backend = FilesystemConfigBackend(tmp_path)
    save(backend, "orders", "eu-west", {})
    assert [ConfigSource("orders", "eu-west")] == asyncio.run(backend.list())
    other = FilesystemConfigBackend(tmp_path)
    assert [ConfigSource("orders-eu", "west")] == asyncio.run(other.list())


def test_a_bundle_in_two_files_is_listed_once(tmp_path):
    """`orders.yml` and `orders-default.yml` are the same bundle."""
    write(
        tmp_path, {"orders.yml": "", "orders-default.yml": "", "main/orders.json": ""}
    )
    backend = FilesystemConfigBackend(tmp_path)
    assert [ConfigSource("orders", "default")] == asyncio.run(backend.list())


def test_several_labels_in_a_folder(tmp_path):
    """The last named comes first, and shared files stand once."""
    write(tmp_path, {"v1/orders.yml": "a: 1", "v2/orders.yml": "a: 2", "application.yml": "b: 0"})  # fmt: skip
    expected = [
        ("orders-default", {"a": 2}),
        ("application-default", {"b": 0}),
        ("orders-default", {"a": 1}),
    ]
    backend = FilesystemConfigBackend(tmp_path)
    assert (expected, "main") == sources(backend, "orders", "default", "v1,v2")


def test_spring_reads_label_folders_beside_the_top(tmp_path):
    """Label folders win over the top, the first label over the others; without a label
    it is `master`, and sources are named after files.
    """
    write(
        tmp_path,
        {
            "orders.yml": "a: top",
            "master/orders.yml": "a: master",
            "v1/orders.yml": "a: v1",
            "v2/orders.yml": "a: v2",
        },
    )
    backend = FilesystemConfigBackend(tmp_path)
    top = (f"file:{tmp_path}/orders.yml", {"a": "top"})
    master = (f"file:{tmp_path}/master/orders.yml", {"a": "master"})
    assert ([master, top], "master") == sources(backend, "orders", dialect=SPRING)
    expected = [
        (f"file:{tmp_path}/v1/orders.yml", {"a": "v1"}),
        (f"file:{tmp_path}/v2/orders.yml", {"a": "v2"}),
        top,
    ]
    found, _ = sources(backend, "orders", "default", "v1,v2", dialect=SPRING)
    assert expected == found
    found, _ = sources(backend, "orders", "default", "unknown", dialect=SPRING)
    assert [top] == found


def test_spring_reads_the_last_location_first(tmp_path):
    """Tiers go the other way round there, and are not merged."""
    write(tmp_path, {"one/orders.yml": "a: 1", "two/orders.yml": "a: 2"})
    backend = FilesystemConfigBackend(tmp_path, [tmp_path / "one", tmp_path / "two"])
    expected = [
        (f"file:{tmp_path}/two/orders.yml", {"a": 2}),
        (f"file:{tmp_path}/one/orders.yml", {"a": 1}),
    ]
    assert expected == sources(backend, "orders", dialect=SPRING)[0]


def test_trees_and_folders_lie_over_each_other(tmp_path):
    """A tree stands for itself, wherever a folder could."""
    write(tmp_path, {"orders.yml": "a: folder\nb: 1"})
    tree = DictTree({"orders.yml": b"a: tree"})
    backend = FilesystemConfigBackend(tmp_path, [tree, tmp_path])
    assert fetch(backend, "orders", "default") == {"a": "tree", "b": 1}
    save(backend, "orders", "default", {"a": "saved"})
    assert tree.read("orders.yml").data == b"a: saved\n"
    expected = {"locations": {"dict:": "UP", f"file:{tmp_path}/": "UP"}}
    assert expected == backend.health()


def test_health_names_the_folders(tmp_path):
    """A missing one is down, and all missing is an error."""
    one, two = tmp_path / "one", tmp_path / "two"
    backend = FilesystemConfigBackend(one, [one, two])
    one.rmdir()
    expected = {"locations": {f"file:{one}/": "DOWN", f"file:{two}/": "UP"}}
    assert expected == backend.health()
    two.rmdir()
    with pytest.raises(BackendUnavailable) as caught:
        backend.health()
    assert str(caught.value) == "no location is there"


def test_a_root_that_vanished_is_empty_until_it_is_back(tmp_path):
    """Reads find nothing, and a save says so."""
    root = tmp_path / "root"
    backend = FilesystemConfigBackend(root)
    root.rmdir()
    assert fetch(backend, "orders", "default") is None
    assert asyncio.run(backend.list()) == []
    write(root, {"orders.yml": "a: 1"})
    assert fetch(backend, "orders", "default") == {"a": 1}


@pytest.mark.parametrize(("is_reversed", "expected"), [(False, b"one"), (True, b"two")])
def test_plain_files_may_come_from_the_last_location(tmp_path, is_reversed, expected):
    """Spring's reverse-location-order; bundles keep their order."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    folders = [tmp_path / "one", tmp_path / "two"]
    backend = FilesystemConfigBackend(
        tmp_path, folders, reverses_plain_files=is_reversed
    )
    found = asyncio.run(backend.file(make_lookup("orders"), "a.txt"))
    assert found.data == expected
