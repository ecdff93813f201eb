"""past: which stores keep one, and the values that they give."""

import pytest

from pyconfserve import FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.errors import ConfigNotFound
from pyconfserve.past import Commit, HistoricBackend, History, past_of


class Remembering(InMemoryConfigBackend):
    """A store that keeps a past of its own."""

    past = "what was"


@pytest.mark.parametrize(
    "make",
    [
        FilesystemConfigBackend,
        lambda _: InMemoryConfigBackend(),
        lambda _: CompositeConfigBackend([InMemoryConfigBackend()]),
    ],
    ids=["folder", "memory", "composite"],
)
def test_a_store_without_a_past_says_so(make, tmp_path):
    """Nobody is given an empty one."""
    expected = "^no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL$"
    with pytest.raises(ConfigNotFound, match=expected):
        past_of(make(tmp_path))


def test_a_store_with_a_past_is_found_by_it():
    """Whatever class it has."""
    backend = Remembering()
    assert (isinstance(backend, HistoricBackend), past_of(backend)) == (True, "what was")


def test_a_commit_is_a_document():
    """The one that the route and the command give."""
    commit = Commit("c" * 40, "2026-11-23T05:49:23Z", "A", "save", ("b.yml", "c.yml"))
    expected = {
        "commit": "c" * 40,
        "time": "2026-11-23T05:49:23Z",
        "author": "A",
        "message": "save",
        "files": ["b.yml", "c.yml"],
    }
    assert expected == commit.as_dict()
    assert ((commit,), None) == History((commit,))
