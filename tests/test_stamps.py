"""stamps: looks at paths, shared for a while."""

import pytest

from pyconfserve.stamps import Stamps

MOST = 100


class Folder:
    """Paths that change when asked, a clock, and the looks that were taken."""

    def __init__(self):
        self.now = 0.0
        self.version = 0
        self.looks = []

    def look(self, path):
        self.looks.append(path)
        return path, self.version

    def stamps(self, interval=1.0):
        return Stamps(self.look, interval, clock=lambda: self.now)


def test_a_look_is_shared_by_all_who_need_it():
    """Of one path there is one look, with whichever others it is asked for."""
    folder = Folder()
    stamps = folder.stamps()
    assert stamps.of(("a", "b"), MOST) == (("a", 0), ("b", 0))
    assert stamps.of(["b", "c"], MOST) == (("b", 0), ("c", 0))
    assert stamps.of(("a", "b"), MOST) == (("a", 0), ("b", 0))
    assert folder.looks == ["a", "b", "c"]
    assert len(stamps) == 3


@pytest.mark.parametrize(
    ("interval", "now", "version"),
    [(1.0, 0.9, 0), (1.0, 1.0, 1), (0.0, 0.0, 1)],
    ids=["before its end", "at its end", "no time at all"],
)
def test_stamps_are_believed_for_an_interval(interval, now, version):
    """From the first look of all on."""
    folder = Folder()
    stamps = folder.stamps(interval)
    stamps.of(("a",), MOST)
    folder.now, folder.version = now, 1
    assert (("a", version),) == stamps.of(("a",), MOST)


def test_what_is_forgotten_is_looked_at_again():
    """Before the interval is over."""
    folder = Folder()
    stamps = folder.stamps()
    stamps.of(("a",), MOST)
    folder.version = 1
    stamps.forget()
    assert stamps.of(("a",), MOST) == (("a", 1),)


def test_a_look_from_before_does_not_come_back():
    """What is forgotten while somebody looks is looked at again by the next."""
    folder = Folder()

    def look(path):
        found = folder.look(path)
        if not folder.version:
            folder.version = 1
            stamps.forget()
        return found

    stamps = Stamps(look, 1.0, clock=lambda: 0.0)
    assert stamps.of(("a",), MOST) == (("a", 0),)
    assert stamps.of(("a",), MOST) == (("a", 1),)


@pytest.mark.parametrize(
    "paths",
    [lambda number: (f"{number}",), lambda number: ("a", "b") * (number + 1)],
    ids=["of one each", "the same ones together"],
)
def test_only_so_much_is_believed(paths):
    """However long the interval is."""
    folder = Folder()
    stamps = folder.stamps(interval=3600)
    for number in range(3 * MOST):
        stamps.of(paths(number), MOST)
        assert len(stamps) <= MOST + 1
        assert len(stamps._believed.by_paths) <= MOST + 1


def test_a_failed_look_is_taken_again():
    """What it raises is raised, and nothing is believed of that path."""
    failing = [OSError("away")]

    def look(path):
        if failing:
            raise failing.pop()
        return path

    stamps = Stamps(look, 1.0)
    with pytest.raises(OSError, match="away"):
        stamps.of(("a",), MOST)
    assert stamps.of(("a",), MOST) == ("a",)
