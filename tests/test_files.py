"""files: the tree over a dict keeps what every tree does."""

import asyncio

import pytest

from pyconfserve.backend import PlainFile
from pyconfserve.errors import VersionConflict
from pyconfserve.files import DictTree, Folder, Location, check_expected

FILES = {"b.yml": b"1", "a.yml": b"2", ".x": b"", "v/c.yml": b"3", "v/w/d": b"", ".g/h": b""}  # fmt: skip


def test_a_tree_over_a_dict_is_read_and_listed():
    """In alphabetical order, hidden names left out."""
    tree = DictTree(FILES)
    assert PlainFile(b"2", 0.0) == tree.read("a.yml")
    assert Folder(("a.yml", "b.yml"), ("v",)) == tree.list("")
    assert Folder(("c.yml",), ("w",)) == tree.list("v")
    for absent in ("c.yml", "v", ""):
        assert tree.read(absent) is None
    for absent in ("a.yml", "absent", "a"):
        assert tree.list(absent) is None
    assert Folder((), ()) == DictTree().list("")
    assert tree.uri == "dict:"


def test_the_dict_is_copied():
    """What happens to it later is not the tree's."""
    files = dict(FILES)
    tree = DictTree(files)
    files["a.yml"] = b"other"
    assert tree.read("a.yml").data == b"2"


def test_stamps_change_with_content_and_with_names():
    """A file's with every write, a folder's when a name comes or goes."""
    tree = DictTree(FILES)
    paths = ("a.yml", "b.yml", "", "v", "absent")
    before = tree.stamp(paths)
    assert before == tree.stamp(paths, fresh=True)
    assert before[-1] is None
    tree.change({"a.yml": b"2"}, "edit")
    after = tree.stamp(paths)
    assert [x != y for x, y in zip(before, after, strict=True)] == [True, False, False, False, False]  # fmt: skip
    tree.change({"v/c.yml": None, "absent": b"", "gone": None}, "edit")
    last = tree.stamp(paths)
    assert [x != y for x, y in zip(after, last, strict=True)] == [False, False, True, True, True]  # fmt: skip
    assert hash(last) is not None


@pytest.mark.parametrize("expected", [None, {}, {"a.yml": 0}, {"absent": None}])
def test_what_is_as_expected_may_change(expected):
    """Nothing expected is fine too."""
    check_expected(DictTree(FILES), expected)


@pytest.mark.parametrize(
    "expected", [{"a.yml": None}, {"absent": 0}, {"a.yml": 0, "b.yml": 7}]
)
def test_what_is_not_as_expected_may_not(expected):
    """One difference is enough, and nothing is changed."""
    tree = DictTree(FILES)
    with pytest.raises(VersionConflict) as caught:
        tree.change({"a.yml": b"new"}, "edit", expected)
    assert str(caught.value) == "the files were changed by someone else meanwhile"
    assert tree.read("a.yml").data == b"2"


def test_a_location_is_the_top_of_its_tree_by_default():
    """With no label folder and no name."""
    tree = DictTree()
    assert (tree, ("",), "") == Location(tree)


def test_a_tree_over_a_dict_may_be_shared_by_threads():
    """Backends read and write it from several at once."""
    tree = DictTree({f"f{number}.yml": b"" for number in range(500)})

    def work(number):
        for turn in range(30):
            tree.change({f"new{number}-{turn}.yml": b""}, "edit")
            tree.list("")

    async def work_side_by_side():
        works = [asyncio.to_thread(work, number) for number in range(8)]
        await asyncio.gather(*works)

    asyncio.run(work_side_by_side())
    assert len(tree.list("").files) == 740
