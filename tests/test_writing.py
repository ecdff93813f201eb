"""writing: one file gets new bytes at once, and what killed writers left is removed."""

import os
from contextlib import contextmanager

import pytest

from pyconfserve.folder import FolderTree
from pyconfserve.writing import is_temporary, replace, sweep

OURS = f".{'0a' * 8}.pyconfserve-tmp"


@contextmanager
def opened(folder):
    """A descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (OURS, True),
        (OURS[1:], False),
        (OURS + "x", False),
        (".0a.pyconfserve-tmp", False),
        (OURS.upper(), False),
        (OURS + "\n", False),
        (".pyconfserve-tmp", False),
    ],
)
def test_only_names_of_our_own_are_temporary(name, is_ours):
    """All of the name counts."""
    assert is_temporary(name) is is_ours


def test_a_sweep_removes_files_of_ours_alone(tmp_path):
    """No folder and no link, and nothing that a link leads to."""
    kept = f".{'0b' * 8}.pyconfserve-tmp"
    linked = f".{'0c' * 8}.pyconfserve-tmp"
    (tmp_path / OURS).write_text("x")
    (tmp_path / kept).mkdir()
    (tmp_path / linked).symlink_to("orders.yml")
    (tmp_path / "orders.yml").write_text("a: 1")
    with opened(tmp_path) as folder:
        sweep(folder)
    assert sorted(os.listdir(tmp_path)) == [kept, linked, "orders.yml"]


def test_a_tree_is_swept_below_but_not_through_links(tmp_path):
    """In label folders; not in hidden ones, nor in what is linked."""
    root = tmp_path / "root"
    for place in (root / "main/deep", root / ".git", tmp_path / "outside"):
        place.mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path / "outside")
    places = [root, root / "main", root / "main/deep", root / ".git", tmp_path / "outside"]  # fmt: skip
    for place in places:
        (place / OURS).write_text("x")
    FolderTree(root).sweep()
    assert [(place / OURS).exists() for place in places] == [False] * 3 + [True] * 2
    FolderTree(tmp_path / "absent").sweep()


def test_the_first_write_in_a_folder_sweeps_it(tmp_path):
    """And only that folder, and only the first: later ones cost nothing."""
    (tmp_path / "v2").mkdir()
    tree = FolderTree(tmp_path)
    for place in (tmp_path, tmp_path / "v2"):
        (place / OURS).write_text("x")
    tree.change({"a.yml": b"1"}, "edit")
    assert [(place / OURS).exists() for place in (tmp_path, tmp_path / "v2")] == [False, True]  # fmt: skip
    tree.change({"v2/a.yml": b"1"}, "edit")
    assert not (tmp_path / "v2" / OURS).exists()


@pytest.mark.parametrize("place", ["/dev/shm", ""], ids=["memory", "disk"])
def test_no_two_changes_look_alike(place, tmp_path):
    """Within one tick of the clock, with sizes and numbers of files that return."""
    if place and not os.access(place, os.W_OK):
        pytest.skip("there is no /dev/shm")
    tree = FolderTree(tmp_path)
    if place:
        shared = f"{place}/pyconfserve-{os.getpid()}"
        os.mkdir(shared)
        tree = FolderTree(shared)
    seen = []
    for number in range(60):
        tree.change({"a.yml": None if number % 3 == 2 else b"%02d" % number}, "edit")
        file, folder = tree.stamp(("a.yml", ""), fresh=True)
        seen += [folder[:4], *([file[:4]] if file else [])]
    if place:
        os.unlink(f"{shared}/a.yml") if file else None
        os.rmdir(shared)
    assert len(seen) == 100
    assert len(set(seen)) == len(seen)


def test_a_time_far_ahead_is_not_kept(tmp_path):
    """A file that was dated so by hand is dated truly with the next save."""
    (tmp_path / "a.yml").write_text("1")
    os.utime(tmp_path / "a.yml", (4e9, 4e9))
    with opened(tmp_path) as folder:
        replace(folder, "a.yml", b"2")
    assert (tmp_path / "a.yml").stat().st_mtime < 3.9e9


def test_what_may_not_be_read_may_be_replaced(tmp_path):
    """Its mode stays."""
    (tmp_path / "a.yml").write_text("1")
    (tmp_path / "a.yml").chmod(0o200)
    with opened(tmp_path) as folder:
        replace(folder, "a.yml", b"2")
    assert (tmp_path / "a.yml").stat().st_mode & 0o777 == 0o200
