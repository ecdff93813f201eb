"""Moving house: bundles of one backend as another one holds them."""

import asyncio

import pytest

from pyconfserve import ConfigSource, FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.copying import (
    DIFFERS,
    EQUAL,
    NEW,
    REFUSED,
    Step,
    carry_out,
    planned,
    verified,
)
from pyconfserve.environment.properties import flatten
from pyconfserve.errors import BackendUnavailable
from pyconfserve.files import BundleName

ORDERS = BundleName("orders", "prod", "main")
V2 = BundleName("orders", "prod", "v2")
SHOP = BundleName("shop/eu", "default", "feature/x")
KINDS = {"n": 1, "f": 1.0, "b": True, "t": "1", "none": "", "when": "2001-01-01", "list[0]": "é", "list[1].a": "{cipher}ab"}


class Plain:
    """A backend of just the three methods."""

    def __init__(self):
        self.bundles = {}

    async def fetch(self, application, profile, label="main"):
        return self.bundles.get((application, profile, label))

    async def save(self, source):
        self.bundles[source.application, source.profile, source.label] = source

    async def list(self):
        return [*self.bundles.values()]


def filled(backend, bundles):
    for name, properties in bundles.items():
        asyncio.run(backend.save(ConfigSource(*name, properties)))
    return backend


def copied(source, target, *labels):
    """What each step came to, all of it carried out and read back."""

    async def copy():
        steps = await carry_out(await planned(source, target, labels), target)
        return await verified(steps, target)

    return [(step.name, step.state, step.problem) for step in asyncio.run(copy())]


def held(backend):
    """All that a backend has, flat."""

    async def read():
        names = [(one.application, one.profile, one.label) for one in await backend.list()]
        return {BundleName(*name): flatten((await backend.fetch(*name)).properties) for name in names}

    return asyncio.run(read())


@pytest.mark.parametrize("first", ["memory", "folder", "plain"])
@pytest.mark.parametrize("second", ["memory", "folder", "plain"])
def test_what_is_copied_is_the_same_there(tmp_path, first, second):
    """Every kind of value, every name, and a second time nothing is left to do."""
    makers = {
        "memory": lambda _: InMemoryConfigBackend(),
        "folder": lambda name: FilesystemConfigBackend(tmp_path / name, refresh_interval=0),
        "plain": lambda _: Plain(),
    }
    names = (ORDERS, V2) if "folder" in (first, second) else (ORDERS, V2, SHOP)
    source = filled(makers[first]("a"), dict.fromkeys(names, KINDS))
    target = makers[second]("b")
    assert copied(source, target) == [(name, NEW, "") for name in sorted(names)]
    assert held(target) == dict.fromkeys(names, KINDS)
    assert copied(source, target) == [(name, EQUAL, "") for name in sorted(names)]


def test_a_value_of_another_type_is_another():
    """1, 1.0 and true are three, though Python has them for one."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}})
    for other in (1.0, True, "1"):
        target = filled(InMemoryConfigBackend(), {ORDERS: {"a": other}})
        assert [step.state for step in asyncio.run(planned(source, target))] == [DIFFERS]


def test_labels_may_be_chosen():
    """Others are left where they are."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}, V2: {"a": 2}, SHOP: {}})
    target = InMemoryConfigBackend()
    assert copied(source, target, "v2", "feature/x") == [(V2, NEW, ""), (SHOP, NEW, "")]
    assert held(target) == {V2: {"a": 2}, SHOP: {}}


def test_planning_writes_nothing():
    """It says how each bundle stands."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}, V2: {"a": 2}, SHOP: {}})
    target = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}, V2: {"a": 3}})
    assert asyncio.run(planned(source, target)) == [
        Step(ORDERS, EQUAL, {"a": 1}, "1"),
        Step(V2, DIFFERS, {"a": 2}, "2"),
        Step(SHOP, NEW, {}),
    ]
    assert held(target) == {ORDERS: {"a": 1}, V2: {"a": 3}}


@pytest.mark.parametrize("there", [{}, {ORDERS: {"a": 0}}], ids=["new", "differs"])
def test_what_somebody_changed_meanwhile_is_not_overwritten(there):
    """Each write is made under what was seen."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}})
    target = filled(InMemoryConfigBackend(), there)
    steps = asyncio.run(planned(source, target))
    filled(target, {ORDERS: {"a": 9}})
    [done] = asyncio.run(carry_out(steps, target))
    assert (done.state, done.problem) == (REFUSED, "the bundle has another version")
    assert held(target) == {ORDERS: {"a": 9}}


def test_what_is_not_there_in_the_end_is_said():
    """Whether it is another or nothing at all."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {"a": 1}, V2: {"a": 2}})
    steps = asyncio.run(planned(source, InMemoryConfigBackend()))
    target = filled(InMemoryConfigBackend(), {ORDERS: {"a": True}})
    problem = "what was read back is not what was written"
    assert [(step.state, step.problem) for step in asyncio.run(verified(steps, target))] == [(REFUSED, problem)] * 2


def test_what_cannot_be_copied_is_named_and_the_rest_is_copied(tmp_path):
    """A file of several documents, and one that does not parse."""
    (tmp_path / "orders-prod.yml").write_text("a: 1\n---\na: 2\n")
    (tmp_path / "shop-prod.json").write_text("{")
    (tmp_path / "good-prod.json").write_text('{"a": 1}')
    target = InMemoryConfigBackend()
    found = copied(FilesystemConfigBackend(tmp_path), target)
    states = {name.application: (state, problem.split(":")[0]) for name, state, problem in found}
    assert states == {
        "good": (NEW, ""),
        "orders": (REFUSED, states["orders"][1]),
        "shop": (REFUSED, "shop-prod.json"),
    }
    assert states["orders"][1]
    assert held(target) == {BundleName("good", "prod", "main"): {"a": 1}}


def test_a_store_that_fails_ends_it():
    """There is no use in asking for the others."""

    class Away(InMemoryConfigBackend):
        async def stored(self, *names):
            raise BackendUnavailable("away")

    source = filled(InMemoryConfigBackend(), {ORDERS: {}})
    with pytest.raises(BackendUnavailable):
        asyncio.run(planned(source, Away()))


def test_progress_is_told():
    """How many are done, of how many."""
    source = filled(InMemoryConfigBackend(), {ORDERS: {}, V2: {}})
    told = []
    asyncio.run(planned(source, InMemoryConfigBackend(), (), lambda *both: told.append(both)))
    assert told == [(0, 2), (1, 2)]
