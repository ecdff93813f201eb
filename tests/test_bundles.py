"""bundles: which file is whose, how it is read, where a save goes, whatever the tree."""

import itertools

import pytest

from pyconfserve.backend import ConfigSource
from pyconfserve.bundles import read_bundle, read_sources, stamp_of
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    Conflict,
    DocumentError,
    SchemaViolation,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName, DictTree, Location
from pyconfserve.saving import save_bundle

ORDERS = BundleName("orders", "default", "main")
PROD = BundleName("orders", "prod", "main")
OWN_FOLDERS = ("main/", "")
CONTENT = {
    "yaml": b"a: yaml",
    "yml": b"a: yml",
    "json": b'{"a": "json"}',
    "toml": b'a = "toml"',
    "properties": b"a=properties",
}


def tree_of(**files):
    """A tree of these texts at these paths."""
    return DictTree({path: text.encode() for path, text in files.items()})


def read(tree, *asked, dialect=OWN, blocks=None):
    """The (name, properties) of each source for a lookup, in one location by default."""
    lookup = make_lookup(*asked, dialect=dialect)
    location = Location(tree, OWN_FOLDERS if dialect is OWN else ("",), "file:/c/")
    found = read_sources(lookup, blocks or [[location]], "main")
    return [(source.name, source.properties) for source in found.sources]


def bundle(name, *trees, folders=OWN_FOLDERS):
    """The properties of one bundle in the locations of *trees*, None when it is absent."""
    source = read_bundle(name, [Location(tree, folders) for tree in trees])
    return None if source is None else source.properties


def content(tree):
    """All files of a tree, as {path: bytes}."""

    def below(folder):
        here = tree.list(folder.rstrip("/"))
        paths = [f"{folder}{name}" for name in here.files]
        return paths + [path for name in here.folders for path in below(f"{folder}{name}/")]  # fmt: skip

    return {path: tree.read(path).data for path in below("")}


CANDIDATES = [
    f"{folder}{stem}.{suffix}"
    for folder in OWN_FOLDERS
    for stem in ("orders-default", "orders")
    for suffix in CONTENT
]


@pytest.mark.parametrize(
    ("higher", "lower"), list(itertools.pairwise(CANDIDATES)), ids=str
)
def test_the_first_candidate_is_the_bundle(higher, lower):
    """Label folder before root, `orders-default` before `orders`, then by format; one
    file is read, others are not merged into it.
    """
    suffix = higher.rpartition(".")[2]
    tree = DictTree({lower: b"{{{ broken", higher: CONTENT[suffix]})
    assert {"a": suffix} == bundle(ORDERS, tree)


@pytest.mark.parametrize("path", CANDIDATES)
def test_each_candidate_alone_is_the_bundle(path):
    """Every place and format is read."""
    suffix = path.rpartition(".")[2]
    assert {"a": suffix} == bundle(ORDERS, DictTree({path: CONTENT[suffix]}))


@pytest.mark.parametrize(
    "path",
    ["orders.yml", "orders-dev.yml", "prod/orders.yml", "v2/orders-prod.yml", "Orders-prod.yml", "orders-prod.YML",
     "orders-prod", "orders-prod.yml.bak", "orders-prod.xml", "orders_prod.yml", "main/main/orders-prod.yml"],
)  # fmt: skip
def test_no_other_file_is_the_bundle(path):
    """The profile-less file stands for profile `default` only; names are exact."""
    assert bundle(PROD, DictTree({path: b"a: 1"})) is None


def test_the_label_folder_comes_before_its_location_not_beside_it():
    """A file of the label hides the one on top, which stays the fallback of all labels."""
    tree = tree_of(**{"orders.yml": "a: root\nb: 1", "v2/orders.yml": "a: v2"})
    assert bundle(ORDERS._replace(label="v2"), tree, folders=("v2/", "")) == {"a": "v2"}
    assert bundle(ORDERS, tree) == {"a": "root", "b": 1}


def test_a_bundle_is_merged_key_by_key_from_its_locations():
    """The first location wins at each leaf; a list comes from one location whole."""
    domain = tree_of(**{"orders.yml": "a: {x: domain}\nlist: [1]"})
    core = tree_of(**{"orders.json": '{"a": {"x": 0, "y": "core"}, "list": [7, 8, 9]}'})
    common = tree_of(**{"main/orders-default.properties": "a.y=0\na.z=common\nlist=text"})  # fmt: skip
    expected = {"a.x": "domain", "a.y": "core", "a.z": "common", "list[0]": 1}
    assert expected == bundle(ORDERS, domain, core, common)


def test_a_bundle_in_no_location_is_absent():
    """None, not an empty source."""
    assert read_bundle(ORDERS, [Location(DictTree()), Location(DictTree())]) is None


def test_a_bundle_has_its_names():
    """The three names are those that were asked for."""
    tree = tree_of(**{"orders.yml": "a: 1"})
    expected = ConfigSource("orders", "default", "main", {"a": 1})
    assert expected == read_bundle(ORDERS, [Location(tree)])


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("orders.yml", b""),
        ("orders.yml", b"# nothing\n"),
        ("orders.yml", b"---\n---\n"),
        ("orders.yml", b"{}"),
        ("orders.json", b"\n"),
        ("orders.json", b"{}"),
        ("orders.toml", b"# nothing"),
        ("orders.properties", b""),
    ],
)
def test_a_file_without_content_is_an_empty_bundle(path, data):
    """It is there, and has no keys."""
    assert bundle(ORDERS, DictTree({path: data})) == {}


def test_the_sources_of_a_lookup_go_by_application_then_profile():
    """Sources are named after their slots, not their files; slots without a file are
    left out.
    """
    files = {
        "orders-prod.yml": "a: 1",
        "main/orders.json": '{"a": 2}',
        "application-prod.properties": "a=3",
        "application.toml": "a = 4",
        "application-dev.yml": "a: 5",
        "other.yml": "a: 6",
    }
    expected = [
        ("orders-prod", {"a": 1}),
        ("orders-default", {"a": 2}),
        ("application-prod", {"a": "3"}),
        ("application-default", {"a": 4}),
    ]
    assert expected == read(tree_of(**files), "orders", "prod")


def test_active_documents_of_a_file_are_one_source():
    """Later documents win key by key; those for other profiles do not count."""
    text = "a: 1\nb: 1\n---\nspring.config.activate.on-profile: prod\nb: 2\n---\nspring.config.activate.on-profile: dev\nb: 3\n"
    tree = tree_of(**{"orders.yml": text})
    prod = {"a": 1, "b": 2, "spring.config.activate.on-profile": "prod"}
    assert [("orders-default", prod)] == read(tree, "orders", "prod")
    assert read(tree, "orders", "eu") == [("orders-default", {"a": 1, "b": 1})]


def test_a_file_with_no_active_document_is_no_source():
    """It is as if the slot had no file."""
    text = "spring.config.activate.on-profile: dev\na: 1\n"
    assert read(tree_of(**{"orders.yml": text}), "orders", "prod") == []


def test_included_profiles_bring_their_files():
    """`spring.profiles.include` and `group` of profile-less files extend the profiles
    asked for; members win over their group.
    """
    files = {
        "application.yml": "spring.profiles.include: audit",
        "orders.yml": "spring.profiles.group.prod: [metrics, eu]",
        "orders-prod.yml": "a: prod",
        "orders-audit.yml": "a: audit",
        "orders-metrics.yml": "a: metrics",
        "orders-eu.yml": "a: eu",
        "orders-other.yml": "a: other",
    }
    names = [name for name, _ in read(tree_of(**files), "orders", "prod")]
    expected = ["orders-audit", "orders-eu", "orders-metrics", "orders-prod"]
    assert [*expected, "orders-default", "application-default"] == names


def test_profile_default_includes_nothing():
    """As Spring, which ignores includes for a request of `default` alone."""
    files = {"orders.yml": "spring.profiles.include: audit", "orders-audit.yml": "a: 1"}
    names = [name for name, _ in read(tree_of(**files), "orders", "default")]
    assert names == ["orders-default"]


def test_several_labels_are_blocks_in_their_order():
    """What a later block repeats from an earlier one, the root's file, is there once."""
    files = {
        "v1/orders.yml": "a: 1",
        "v2/orders.yml": "a: 2",
        "application.yml": "b: 0",
    }
    tree = tree_of(**files)
    blocks = [[Location(tree, ("v2/", ""))], [Location(tree, ("v1/", ""))]]
    expected = [
        ("orders-default", {"a": 2}),
        ("application-default", {"b": 0}),
        ("orders-default", {"a": 1}),
    ]
    assert expected == read(tree, "orders", "default", "v1,v2", blocks=blocks)


def test_spring_reads_every_format_and_document_as_a_source_named_by_its_file():
    """Profile files first, then `.properties`, `.yml`, `.yaml`, and later documents
    before earlier ones; `.json` and `.toml` are not read.
    """
    files = {
        "orders-prod.yml": "a: 1",
        "orders.yaml": "a: 2",
        "orders.yml": "a: 3\n---\nspring.config.activate.on-profile: dev\na: 4\n---\na: 5",
        "orders.properties": "a=é",
        "orders.json": '{"a": 6}',
        "orders.toml": "a = 7",
        "application-prod.yml": "a: 8",
    }
    place = "Config resource 'file [/c/orders.yml]' via location 'file:/c/'"
    expected = [
        ("file:/c/orders-prod.yml", {"a": 1}),
        ("file:/c/application-prod.yml", {"a": 8}),
        ("file:/c/orders.properties", {"a": "Ã©"}),
        (f"{place} (document #2)", {"a": 5}),
        (f"{place} (document #0)", {"a": 3}),
        ("file:/c/orders.yaml", {"a": 2}),
    ]
    assert expected == read(tree_of(**files), "orders", "prod", dialect=SPRING)


def test_spring_reads_the_last_location_first():
    """Locations of a request are layered inside its profile block."""
    low, high = (tree_of(**{"orders.yml": text}) for text in ("a: 1", "a: 2"))
    block = [Location(low, uri="file:/low/"), Location(high, uri="file:/high/")]
    expected = [("file:/high/orders.yml", {"a": 2}), ("file:/low/orders.yml", {"a": 1})]
    assert expected == read(low, "orders", dialect=SPRING, blocks=[block])


def test_a_file_that_does_not_parse_is_named_with_its_line():
    """The error says where, relative to the root, and never what stands there."""
    tree = tree_of(**{"main/orders-prod.yml": "a: 1\nb: [secret\n"})
    with pytest.raises(DocumentError) as caught:
        read(tree, "orders", "prod")
    error = caught.value
    assert (error.location, error.line, error.column) == ("main/orders-prod.yml", 3, 1)
    assert str(error).startswith("main/orders-prod.yml:3:1: ")
    assert "secret" not in str(error)


def test_a_broken_file_concerns_those_who_read_it():
    """Other applications, and other profiles, are answered."""
    tree = tree_of(**{"orders-prod.yml": "a: [", "orders.yml": "a: 1", "other.yml": "b: 1"})  # fmt: skip
    assert read(tree, "other", "prod") == [("other-default", {"b": 1})]
    assert read(tree, "orders", "dev") == [("orders-default", {"a": 1})]


@pytest.mark.parametrize(
    "changes",
    [
        {"orders.yml": b"a: 2"},
        {"orders.yml": None},
        {"orders-prod.yml": b"a: 2"},
        {"orders.yaml": b"a: 2"},
        {"application.yml": b"a: 2"},
        {"main/orders.yml": b"a: 2"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_stamp_of_an_answer_changes_with_its_files(changes):
    """An edit, a removal and a new file that belongs to the answer are all noticed."""
    tree = tree_of(**{"orders.yml": "a: 1", "other.yml": "b: 1"})
    location = Location(tree, OWN_FOLDERS)
    found = read_sources(make_lookup("orders", "prod"), [[location]], "main")
    assert found.stamp == stamp_of(found.seen)
    tree.change(changes, "edit")
    assert found.stamp != stamp_of(found.seen)


def test_a_stamp_covers_all_locations():
    """A change in the lowest location is noticed as well."""
    trees = [tree_of(**{"orders.yml": "a: 1"}), tree_of(**{"orders.yml": "b: 1"})]
    blocks = [[Location(tree, OWN_FOLDERS) for tree in trees]]
    found = read_sources(make_lookup("orders"), blocks, "main")
    assert hash(found.seen) is not None
    trees[1].change({"orders.yml": b"b: 2"}, "edit")
    assert found.stamp != stamp_of(found.seen)


@pytest.mark.parametrize(
    ("files", "folders", "path"),
    [
        ({}, OWN_FOLDERS, "main/orders-default.yaml"),
        ({}, ("v2/",), "v2/orders-default.yaml"),
        ({"orders.yml": "a: 0"}, OWN_FOLDERS, "orders.yml"),
        ({"orders-default.json": "{}"}, OWN_FOLDERS, "orders-default.json"),
        ({"orders-default.json": "{}", "orders.yml": "{}"}, OWN_FOLDERS, "orders-default.json"),
        ({"main/orders.properties": "a=0", "orders-default.yml": ""}, OWN_FOLDERS, "main/orders.properties"),
        ({"orders.yml": "a: 0"}, ("v2/",), "v2/orders-default.yaml"),
        ({"v2/orders.yaml": "a: 0", "orders.yml": "a: 1"}, ("v2/",), "v2/orders.yaml"),
        ({"orders-prod.yml": "a: 0"}, OWN_FOLDERS, "main/orders-default.yaml"),
        ({"orders.yml": "a: ["}, OWN_FOLDERS, "orders.yml"),
    ],
    ids=["new", "new-with-label", "profile-less", "json", "first-found", "label-folder", "label-spares-root", "label-has-file", "other-profile", "broken"],
)  # fmt: skip
def test_a_save_goes_where_a_read_of_the_label_finds_its_file(files, folders, path):
    """The file keeps its place and format; every other file stays as it was."""
    tree = tree_of(**files)
    before = content(tree)
    saved = save_bundle(tree, folders, ORDERS, {"b": {"c": "1"}})
    assert path == saved
    after = content(tree)
    del after[path]
    assert {name: data for name, data in before.items() if name != path} == after
    assert bundle(ORDERS, tree, folders=folders) == {"b.c": "1"}


def test_a_save_removes_stale_twins():
    """Files of the same name in other formats would come back when the first is gone;
    other names and folders are spared.
    """
    spared = {"orders-default.json": "{}", "v2/orders.json": "{}", "orders.txt": "x"}
    twins = {f"main/orders.{suffix}": CONTENT[suffix].decode() for suffix in CONTENT}
    tree = tree_of(**spared, **twins)
    assert save_bundle(tree, OWN_FOLDERS, ORDERS, {"a": 1}) == "main/orders.yaml"
    expected = {path: text.encode() for path, text in spared.items()}
    assert {**expected, "main/orders.yaml": b"a: 1\n"} == content(tree)


@pytest.mark.parametrize(
    ("path", "text", "properties", "error", "message"),
    [
        ("orders.yml", "a: 1\n---\nb: 2\n", {"a": 2}, Conflict, "orders.yml holds several documents: edit the file"),
        ("orders.properties", "a=1\n#---\nb=2\n", {"a": "2"}, Conflict, "orders.properties holds several documents: edit the file"),
        ("orders.toml", "a = 1", {"a": 2}, Conflict, "a toml file is read only here; store the bundle as yaml or json"),
        ("orders.properties", "a=1", {"a": None}, SchemaViolation, "a .properties file cannot hold null, an empty list or an empty map"),
        ("orders.properties", "a=1", {"a": {"b": [{}]}}, SchemaViolation, "a .properties file cannot hold null, an empty list or an empty map"),
    ],
    ids=["yaml-documents", "properties-documents", "toml", "null", "empty-map"],
)  # fmt: skip
def test_what_the_file_cannot_hold_changes_nothing(path, text, properties, error, message):  # fmt: skip
    """The file is as before, byte by byte, and so are its twins."""
    tree = tree_of(**{path: text, "orders.other": "x"})
    before = content(tree)
    with pytest.raises(error) as caught:
        save_bundle(tree, OWN_FOLDERS, ORDERS, properties)
    assert message == str(caught.value)
    assert before == content(tree)


def test_a_file_with_one_document_that_has_content_is_replaced():
    """Separators alone make no document."""
    tree = tree_of(**{"orders.yml": "---\n---\na: 1\n---\n"})
    save_bundle(tree, OWN_FOLDERS, ORDERS, {"a": 2})
    assert content(tree) == {"orders.yml": b"a: 2\n"}


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json", "properties"])
def test_an_empty_bundle_can_be_saved_in_every_format(suffix):
    """The file stays, without keys."""
    tree = DictTree({f"orders.{suffix}": CONTENT[suffix]})
    assert f"orders.{suffix}" == save_bundle(tree, OWN_FOLDERS, ORDERS, {})
    assert bundle(ORDERS, tree) == {}


def test_a_bundle_above_the_limit_of_a_file_is_refused():
    """What could not be read back is not written."""
    tree = tree_of(**{"orders.json": '{"a": 1}'})
    with pytest.raises(ValueTooLarge) as caught:
        save_bundle(tree, OWN_FOLDERS, ORDERS, {"a": "x" * 3 * 1024 * 1024})
    assert str(caught.value) == "a bundle is at most 3145728 bytes as a file"
    assert content(tree) == {"orders.json": b'{"a": 1}'}


class Raced(DictTree):
    """A tree in which someone else writes right before each of the first changes."""

    def __init__(self, files, races):
        super().__init__(files)
        self.races = races

    def change(self, changes, message, expected=None):
        if expected is not None and self.races:
            path, data = self.races.pop(0)
            super().change({path: data}, "race")
        super().change(changes, message, expected)


def test_a_save_goes_to_the_file_that_another_writer_made_meanwhile():
    """It looks again, and keeps to that file's place and format."""
    tree = Raced({}, [("orders.json", b'{"x": 1}'), ("main/orders.yml", b"x: 2")])
    assert save_bundle(tree, OWN_FOLDERS, ORDERS, {"a": 1}) == "main/orders.yml"
    assert content(tree) == {"orders.json": b'{"x": 1}', "main/orders.yml": b"a: 1\n"}


def test_a_save_gives_up_when_others_never_stop_writing():
    """Their last version stays."""
    races = [("orders.yml", f"a: {number}".encode()) for number in range(100)]
    tree = Raced({}, races)
    with pytest.raises(Conflict) as caught:
        save_bundle(tree, OWN_FOLDERS, ORDERS, {"a": "mine"})
    assert str(caught.value) == "the bundle is being written by others"
    assert b"mine" not in tree.read("orders.yml").data


def test_a_change_for_another_state_is_refused():
    """The tree over a dict keeps to the stamps it is given."""
    tree = tree_of(**{"a.yml": "a: 1"})
    stamp = tree.stamp(("a.yml",))[0]
    tree.change({"a.yml": b"a: 2"}, "edit", {"a.yml": stamp})
    with pytest.raises(VersionConflict) as caught:
        tree.change({"a.yml": b"a: 3"}, "edit", {"a.yml": stamp})
    assert str(caught.value) == "the files were changed by someone else meanwhile"
    assert content(tree) == {"a.yml": b"a: 2"}
