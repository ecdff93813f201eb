"""catalog: the bundles on all branches, found by one thread at a time."""

import asyncio
import threading

import pytest
from real_git import PATIENCE, fetch, refresh, save

from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.adapters.git.catalog import Catalog
from pyconfserve.adapters.git.objects import Objects
from pyconfserve.adapters.git.process import Git
from pyconfserve.adapters.git.reachable import Reachable
from pyconfserve.adapters.git.refs import State, read_refs
from pyconfserve.adapters.git.tree import GitTree
from pyconfserve.backend import ConfigSource
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
)
from pyconfserve.files import BundleName

TOO_MANY = "more than 5 bundles are stored: no list of them"


class Served:
    """What a catalog asks of a repository; notes each tree of which names are read.

    `gate` lets it go on, `asked` says that it was asked.
    """

    def __init__(self, origin):
        self.git = Git(origin.uri)
        self.objects = Objects(self.git)
        self.listed = []
        self.states = 0
        self.gate, self.asked = threading.Event(), threading.Event()
        self.gate.set()
        self.error = None

    def current(self):
        self.states += 1
        self.asked.set()
        assert self.gate.wait(PATIENCE)
        if self.error:
            raise self.error
        return State(read_refs(self.git, self.objects), None, 1, Reachable())

    def tree(self, commit):
        served = self

        class Noted(GitTree):
            def list(self, folder):
                served.listed.append(self.stamp((folder,))[0])
                return super().list(folder)

        return Noted(self.objects, commit, "")


@pytest.fixture
def served(origin):
    """`origin` as a catalog sees it."""
    made = Served(origin)
    yield made
    made.objects.close()
    made.git.close()


def listed(catalog):
    """(application, profile, label) of all bundles."""
    found = catalog.sources().result(PATIENCE)
    return [(one.application, one.profile, one.label) for one in found]


def test_branches_that_share_a_tree_share_its_listing(origin, served):
    """It is read once, and the list is in order; the folder alone counts."""
    origin.commit({"cfg/b-prod.yml": "", "cfg/a.yml": ""})
    head = origin.head("main")
    for branch in ("x", "y"):
        origin.commit({"other.yml": branch}, branch, after=head)
    assert listed(Catalog(served, ["cfg/"], {})) == [
        ("a", "default", "main"),
        ("a", "default", "x"),
        ("a", "default", "y"),
        ("b", "prod", "main"),
        ("b", "prod", "x"),
        ("b", "prod", "y"),
    ]
    assert served.listed == [origin.git("rev-parse", "main:cfg")]


def test_what_was_saved_on_a_branch_is_no_other_branchs(origin, served):
    """Though they share a tree."""
    origin.commit({"order-service.yaml": "", "orders.yml": None})
    origin.commit({}, "x", after=origin.head("main"))
    saved = {"x": {"order-service.yaml": BundleName("order-service", "default", "x")}}
    assert listed(Catalog(served, [], saved)) == [
        ("order", "service", "main"),
        ("order-service", "default", "x"),
    ]


def test_a_branch_that_nobody_can_ask_for_is_not_listed(origin, served):
    """As its name is no label."""
    origin.git("update-ref", "refs/heads/a%b", "main")
    assert listed(Catalog(served, [], {})) == [("orders", "default", "main")]


def test_more_than_may_be_listed_is_an_error(origin, served):
    """A part would be taken for all; no more trees are read than it takes to know."""
    origin.commit({"a.yml": "", "b.yml": ""})
    origin.commit({}, "x", after=origin.head("main"))
    with pytest.raises(BackendMisconfigured) as caught:
        Catalog(served, [], {}, most=5).sources().result(PATIENCE)
    assert str(caught.value) == TOO_MANY
    assert len(listed(Catalog(served, [], {}, most=6))) == 6


class TestOneAtATime:
    """Those who ask while a list is made share the next one."""

    def ask(self, served, count):
        """A list that is being made, and *count* more that are asked for."""
        served.gate.clear()
        served.asked.clear()
        catalog = Catalog(served, [], {})
        first = catalog.sources()
        assert served.asked.wait(PATIENCE)
        return first, [catalog.sources() for _ in range(count)]

    def test_twelve_are_two(self, served):
        """Each has a list of its own to change."""
        first, others = self.ask(served, 11)
        served.gate.set()
        expected = [ConfigSource("orders", "default", "main")]
        found = [one.result(PATIENCE) for one in (first, *others)]
        assert (found, served.states) == ([expected] * 12, 2)
        assert len({id(one) for one in found}) == 12

    def test_who_leaves_takes_it_from_nobody(self, served):
        """One who waits may; and where all have left nothing is made."""
        first, (one, two) = self.ask(served, 2)
        assert one.cancel()
        served.gate.set()
        assert two.result(PATIENCE) == first.result(PATIENCE)
        first, others = self.ask(served, 2)
        states = served.states
        assert [one.cancel() for one in others] == [True, True]
        served.gate.set()
        first.result(PATIENCE)
        assert served.states == states

    def test_an_error_is_for_all_who_shared_it(self, served):
        """And the next list is a new attempt."""
        first, others = self.ask(served, 2)
        served.error = BackendUnavailable("gone")
        served.gate.set()
        for one in (first, *others):
            assert isinstance(one.exception(PATIENCE), BackendUnavailable)
        served.error = None
        assert listed(Catalog(served, [], {})) == [("orders", "default", "main")]


def test_readers_have_their_threads_while_lists_are_made(origin, make_backend):
    """Twelve lists take none of the threads in which requests are answered."""
    backend = make_backend(origin)
    asyncio.run(backend.open())
    names = []

    async def run():
        loop = asyncio.get_running_loop()
        lists = [asyncio.create_task(backend.list()) for _ in range(12)]
        await asyncio.gather(*lists)
        names.extend(one.name for one in threading.enumerate())
        assert getattr(loop, "_default_executor", None) is None

    asyncio.run(run())
    assert [one for one in names if one.startswith("asyncio")] == []


def test_a_list_sees_the_save_before_it(origin, make_backend):
    """By the name it was saved under."""
    backend = make_backend(origin)
    save(backend, {"a": 1}, "order-service")
    assert asyncio.run(backend.list()) == [
        ConfigSource("order-service", "default", "main"),
        ConfigSource("orders", "default", "main"),
    ]
    refresh(backend)
    assert fetch(backend, "order-service") == {"a": 1}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../x", "expected a search path that is a folder below the root"),
        ("{foo}", "expected {application}, {profile} or {label} as placeholders"),
        ("a\nb", "expected a search path without control characters"),
    ],
)
def test_a_search_path_that_matches_nothing_is_refused(tmp_path, path, problem):
    """Before anything is made."""
    with pytest.raises(SettingsError) as caught:
        GitConfigBackend(str(tmp_path), search_paths=["cfg", path])
    assert str(caught.value) == problem
