"""reachable: what is known of commits, however many ask."""

import threading

import pytest
from real_git import PATIENCE

from pyconfserve.adapters.git.reachable import Reachable


def looked(found, commits):
    """A look that notes what it is asked."""

    def look(commit):
        commits.append(commit)
        return found

    return look


@pytest.mark.parametrize("found", [True, False])
def test_each_commit_is_looked_for_once(found):
    """Whatever was found."""
    asked, known = [], Reachable()
    assert [found] * 3 == [known.has("a", looked(found, asked)) for _ in range(3)]
    assert asked == ["a"]


def test_the_one_that_was_asked_for_first_is_forgotten_alone():
    """A flood of commits does not drive out the one that is in use."""
    asked, known = [], Reachable(limit=2)
    for commit in ("used", "x", "used", "y", "used", "x"):
        assert known.has(commit, looked(True, asked))
    assert asked == ["used", "x", "y", "x"]


def test_many_at_once_wait_for_one_look():
    """A cold commit costs one git, and all have its answer."""
    asked, answers, go, known = [], [], threading.Event(), Reachable(limit=1)

    def look(commit):
        asked.append(commit)
        assert go.wait(PATIENCE)
        return True

    threads = [threading.Thread(target=lambda: answers.append(known.has("a", look))) for _ in range(8)]  # fmt: skip
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert (asked, answers) == (["a"], [True] * 8)


def test_one_that_is_driven_out_while_it_is_looked_for_is_answered():
    """Another thread's flood made a valid commit absent."""
    known = Reachable(limit=1)

    def look(commit):
        return known.has("other", lambda _: False) or True

    assert known.has("a", look)


def test_a_look_that_failed_is_made_again():
    """It said nothing about the commit."""
    known = Reachable()

    def fail(commit):
        raise OSError(commit)

    with pytest.raises(OSError, match="a"):
        known.has("a", fail)
    assert known.has("a", lambda _: True)
