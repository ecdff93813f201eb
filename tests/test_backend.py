"""backend: the interface, how a lookup is filled from three methods, and the backend in
memory.
"""

import asyncio
import json

import pytest
from backend_contract import BackendContract, VersionedContract

from pyconfserve.backend import (
    ClosingBackend,
    ConfigBackend,
    ConfigSource,
    Found,
    HealthBackend,
    InMemoryConfigBackend,
    LabelledBackend,
    LookupBackend,
    StampedBackend,
    find,
)
from pyconfserve.environment import names
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import OWN, SPRING, PropertySource, make_lookup
from pyconfserve.environment.properties import check_tree, flatten


class ThreeMethods:
    """As little as a backend can be: bundles as texts of JSON, and what was asked."""

    def __init__(self, *sources):
        self.texts = {self.key(source): json.dumps(source.properties) for source in sources}  # fmt: skip
        self.asked = []

    @staticmethod
    def key(source):
        return (source.application, source.profile, source.label)

    async def fetch(self, application, profile, label="main"):
        key = names.application(application), names.profile(profile), names.label(label)
        self.asked.append(key)
        await asyncio.sleep(0)
        text = self.texts.get(key)
        return None if text is None else ConfigSource(*key, flatten(json.loads(text)))

    async def save(self, source):
        application = names.application(source.application)
        key = application, names.profile(source.profile), names.label(source.label)
        check_tree(source.properties)
        self.texts[key] = json.dumps(source.properties)

    async def list(self):
        return [ConfigSource(*key) for key in self.texts]


class Stamped(ThreeMethods):
    """Three methods and a stamp, which grows while the bundles are fetched."""

    def stamp(self, seen):
        return (seen, len(self.asked))


class TestInMemory(VersionedContract):
    """The reference: it keeps what all backends keep."""

    @pytest.fixture
    def backend(self):
        """A new one."""
        return InMemoryConfigBackend()


class TestThreeMethods(BackendContract):
    """The contract asks for nothing beyond the three methods."""

    @pytest.fixture
    def backend(self):
        """A new one."""
        return ThreeMethods()


def found(backend, *asked, dialect=OWN):
    """What *backend* has for a lookup."""
    return asyncio.run(find(backend, make_lookup(*asked, dialect=dialect)))


def test_a_source_has_a_label_and_properties_by_default():
    """Two names are enough."""
    expected = ConfigSource("orders", "prod", "main", {})
    assert expected == ConfigSource("orders", "prod")


def test_a_source_is_frozen():
    """A bundle that was handed on stays as it is."""
    with pytest.raises(AttributeError):
        ConfigSource("orders", "prod").label = "v2"


@pytest.mark.parametrize(
    ("protocol", "is_one"),
    [
        (ConfigBackend, True),
        (StampedBackend, True),
        (LookupBackend, False),
        (LabelledBackend, False),
        (HealthBackend, False),
        (ClosingBackend, False),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_capabilities_are_told_by_their_methods(protocol, is_one):
    """The backend in memory has a stamp, and nothing else beyond the interface."""
    assert is_one is isinstance(InMemoryConfigBackend(), protocol)


def test_an_object_without_the_three_methods_is_no_backend():
    """The interface is judged by its methods."""
    assert not isinstance(object(), ConfigBackend)


def test_memory_lists_properties_in_the_order_of_the_first_save():
    """A later save of a bundle keeps its place."""
    backend = InMemoryConfigBackend()
    for name, value in (("b", 1), ("a", 2), ("b", 3)):
        asyncio.run(
            backend.save(ConfigSource(name, "prod", "main", {"k": {"v": value}}))
        )
    expected = [
        ConfigSource("b", "prod", "main", {"k.v": 3}),
        ConfigSource("a", "prod", "main", {"k.v": 2}),
    ]
    assert expected == asyncio.run(backend.list())


def test_the_stamp_of_memory_changes_with_every_save():
    """A fetch does not change it, a save of equal content does."""
    backend = InMemoryConfigBackend()
    stamps = [backend.stamp(())]
    for _ in range(2):
        asyncio.run(backend.save(ConfigSource("orders", "prod")))
        asyncio.run(backend.fetch("orders", "prod"))
        stamps.append(backend.stamp(()))
    assert len(set(stamps)) == 3


def test_three_methods_fill_the_slots_in_order():
    """Each slot is one fetch; what is absent leaves no source, and values lose no type."""
    backend = ThreeMethods(
        ConfigSource("application", "default", "main", {"low": None}),
        ConfigSource("orders", "prod", "main", {"a": {"b": [1, True]}}),
        ConfigSource("orders", "default", "v2", {"other": "label"}),
    )
    expected = Found(
        (
            PropertySource("orders-prod", {"a.b[0]": Entry(1), "a.b[1]": Entry(True)}),
            PropertySource("application-default", {"low": Entry("")}),
        ),
        "main",
    )
    assert expected == found(backend, "orders", "prod")
    assert backend.asked == [
        ("orders", "prod", "main"),
        ("orders", "default", "main"),
        ("application", "prod", "main"),
        ("application", "default", "main"),
    ]


def test_three_methods_and_a_list_of_labels():
    """Labels are the outer loop, the last named first."""
    backend = ThreeMethods(
        ConfigSource("orders", "default", "v1", {"a": 1}),
        ConfigSource("application", "default", "v2", {"a": 2}),
        ConfigSource("orders", "default", "main", {"a": 3}),
    )
    expected = [("application-default", {"a": 2}), ("orders-default", {"a": 1})]
    sources = found(backend, "orders", "default", "v1,v2").sources
    assert expected == [(source.name, source.properties) for source in sources]


def test_three_methods_are_asked_once_for_each_bundle():
    """Spring's slot without a profile is the bundle `default`, which is not read twice."""
    backend = ThreeMethods(ConfigSource("orders", "default", "main", {"a": 1}))
    sources = found(backend, "orders", "default", dialect=SPRING).sources
    assert [(one.name, one.properties) for one in sources] == [
        ("orders-default", {"a": 1})
    ]
    expected = [("orders", "default", "main"), ("application", "default", "main")]
    assert expected == backend.asked


def test_what_three_methods_give_cannot_be_kept():
    """Without a stamp nobody knows when it changes."""
    assert found(ThreeMethods(), "orders").seen is None


def test_a_stamp_is_taken_before_anything_is_fetched():
    """A change while the bundles are fetched is not hidden behind a later stamp."""
    expected = Found((), "main", seen=(), stamp=((), 0))
    assert expected == found(Stamped(), "orders", "prod")


def test_a_backend_that_fills_lookups_is_asked_for_them():
    """`sources` takes the place of `fetch`, and its answer is taken as it is."""
    answer = Found((PropertySource("x", {}),), "trunk", "v", "s", "seen", "stamp")

    class Filling(ThreeMethods):
        async def sources(self, lookup):
            self.asked.append(lookup)
            return answer

    backend = Filling()
    assert answer == found(backend, "orders", "prod", "v2")
    assert [make_lookup("orders", "prod", "v2")] == backend.asked
