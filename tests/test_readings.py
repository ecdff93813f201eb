"""readings: one pass over files, and its record."""

import pytest

from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import OWN, SPRING, PropertySource
from pyconfserve.errors import DocumentError
from pyconfserve.files import DictTree
from pyconfserve.readings import Reading, read_settled


class Busy(DictTree):
    """A tree in which someone writes right after each of the first reads."""

    def __init__(self, files, writes):
        super().__init__(files)
        self.writes = list(writes)
        self.reads = []

    def read(self, path):
        found = super().read(path)
        self.reads.append(path)
        if self.writes:
            self.change(self.writes.pop(0), "race")
        return found


def sources(reading, tree, *paths):
    """One source a file that is there."""
    found = ((path, reading.documents(tree, path)) for path in paths)
    return [
        PropertySource(path, documents[0].entries)
        for path, documents in found
        if documents
    ]


def settled(tree, *paths):
    """The properties by file, read until they stood at one moment."""
    found = read_settled(lambda reading: sources(reading, tree, *paths), OWN, "main")
    return {source.name: source.properties for source in found.sources}


def test_a_file_is_read_once_in_a_reading():
    """However often it is asked for; absence is remembered too."""
    tree = Busy({"a.yml": b"a: 1"}, [])
    reading = Reading(OWN)
    first = reading.documents(tree, "a.yml")
    assert {"a": Entry(1, 1, 4)} == first[0].entries
    assert first is reading.documents(tree, "a.yml")
    assert reading.documents(tree, "b.yml") is None
    assert reading.documents(tree, "b.yml") is None
    assert tree.reads == ["a.yml"]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        pytest.param("a.yml", "a.yml", True, id="the same file"),
        pytest.param("a.yml", "b.yml", True, id="another of the same content"),
        pytest.param("a.yml", "c.yml", False, id="other content"),
        pytest.param("a.yml", "a.yaml", False, id="another suffix"),
    ],
)
def test_content_that_is_met_again_is_parsed_no_more(first, second, is_same):
    """From the third time on, in whatever tree it stands."""
    content = f"met: {first} and {second}".encode()
    files = {"a.yml": content, "b.yml": content, "c.yml": content + b"!", "a.yaml": content}
    Reading(OWN).documents(DictTree(files), first)
    kept = Reading(OWN).documents(DictTree(files), first)
    found = Reading(OWN).documents(DictTree(files), second)
    assert is_same == (found is kept)


def test_content_is_kept_by_charset():
    """A properties file is Latin-1 in Spring's dialect and UTF-8 in ours."""
    tree = DictTree({"a.properties": "a=\u00e9".encode()})
    texts = [
        Reading(dialect).documents(tree, "a.properties")[0].entries["a"].value
        for dialect in (OWN, SPRING) * 3
    ]
    assert texts == ["\u00e9", "\u00c3\u00a9"] * 3


def test_what_does_not_parse_is_refused_each_time():
    """With the path that it has this time."""
    tree = DictTree({"a.yml": b"{", "b.yml": b"{"})
    for path in ("a.yml", "b.yml") * 3:
        with pytest.raises(DocumentError) as caught:
            Reading(OWN).documents(tree, path)
        assert path == caught.value.location


def test_a_reading_records_what_it_looked_at():
    """Each file that is there, and the folder of each that was looked for."""
    tree, other = DictTree({"a.yml": b"", "v/b.yml": b""}), DictTree({"c.yml": b""})
    reading = Reading(OWN)
    for path in ("a.yml", "absent.yml", "v/b.yml", "v/absent.yml", "w/absent.yml"):
        reading.documents(tree, path)
    reading.documents(other, "c.yml")
    paths = ("", "a.yml", "v", "v/b.yml", "w")
    assert ((tree, paths), (other, ("", "c.yml"))) == reading.seen()
    assert (tree.stamp(paths), other.stamp(("", "c.yml"))) == reading.stamp()
    assert dict(zip(paths, tree.stamp(paths), strict=True)) == reading.stamps_in(tree)
    assert reading.stamps_in(DictTree()) == {}
    assert reading.still_holds()


@pytest.mark.parametrize(
    "changes",
    [{"a.yml": b"a: 2"}, {"a.yml": None}, {"b.yml": b""}, {"v/b.yml": b""}],
    ids=["edit", "removal", "new-file", "new-folder"],
)
def test_a_reading_no_longer_holds_after_a_change(changes):
    """Of a file that was read, or where one was missed."""
    tree = DictTree({"a.yml": b"a: 1"})
    reading = Reading(OWN)
    for path in ("a.yml", "b.yml", "v/b.yml"):
        reading.documents(tree, path)
    tree.change(changes, "edit")
    assert not reading.still_holds()


def test_a_change_of_another_file_does_not_matter():
    """Only what was looked at counts."""
    tree = DictTree({"a.yml": b"a: 1", "other.yml": b""})
    reading = Reading(OWN)
    reading.documents(tree, "a.yml")
    tree.change({"other.yml": b"a: 2"}, "edit")
    assert reading.still_holds()


def test_the_charset_of_properties_is_the_dialects():
    """UTF-8 here, Latin-1 in Spring."""
    tree = DictTree({"a.properties": "k=é".encode()})
    found = [
        Reading(dialect).documents(tree, "a.properties")[0].entries["k"].value
        for dialect in (OWN, SPRING)
    ]
    assert found == ["é", "Ã©"]


def test_an_error_has_the_path_of_its_file():
    """The formats do not know it."""
    with pytest.raises(DocumentError) as caught:
        Reading(OWN).documents(DictTree({"v/a.json": b"{\n x}"}), "v/a.json")
    assert str(caught.value) == "v/a.json:2:2: expected a key in double quotes"


def test_files_are_read_again_when_they_changed_meanwhile():
    """So that an answer never holds the old of one and the new of another."""
    new = {"a.yml": b"v: 2", "b.yml": b"v: 2"}
    tree = Busy({"a.yml": b"v: 1", "b.yml": b"v: 1"}, [new])
    assert settled(tree, "a.yml", "b.yml") == {"a.yml": {"v": 2}, "b.yml": {"v": 2}}
    assert tree.reads == ["a.yml", "b.yml"] * 2


def test_a_file_that_was_half_written_is_read_again():
    """An error counts only when nothing changed meanwhile."""
    tree = Busy({"a.yml": b"v: ["}, [{"a.yml": b"v: 1"}])
    assert settled(tree, "a.yml") == {"a.yml": {"v": 1}}


def test_a_file_that_stays_broken_is_an_error_at_once():
    """It is read once."""
    tree = Busy({"a.yml": b"v: ["}, [])
    with pytest.raises(DocumentError):
        settled(tree, "a.yml")
    assert tree.reads == ["a.yml"]


def test_the_last_of_five_readings_counts():
    """Files that never rest are served as they were last read."""
    writes = [{"a.yml": b"v: %d" % number} for number in range(1, 100)]
    tree = Busy({"a.yml": b"v: 0"}, writes)
    assert settled(tree, "a.yml") == {"a.yml": {"v": 4}}


def test_the_last_of_five_errors_counts():
    """It is told, not hidden."""
    tree = Busy({"a.yml": b"v: ["}, [{"a.yml": b"v: ["}] * 100)
    with pytest.raises(DocumentError):
        settled(tree, "a.yml")
    assert len(tree.reads) == 5


def test_what_was_found_carries_its_record():
    """The label that counted, what was seen, and its stamps."""
    tree = DictTree({"a.yml": b"v: 1"})
    found = read_settled(lambda reading: sources(reading, tree, "a.yml"), OWN, "trunk")
    paths = ("", "a.yml")
    expected = ("trunk", None, None, ((tree, paths),), (tree.stamp(paths),))
    assert expected == found[1:]
