"""stored: the one stored bundle of a server, told to those who wait for changes."""

import asyncio

import pytest

from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.errors import ConfigNotFound, Conflict, InvalidRequest, ReadOnlyBackend
from pyconfserve.server import ConfigServer
from pyconfserve.stored import StoredBundles, nested
from pyconfserve.versions import Stored

SOURCE = ConfigSource("orders", "prod", "main", {"a": {"b": 1}})
NAMES = ("orders", "prod", "main")


def test_every_change_is_told_and_counted():
    """Who waits for a change sees one that was made under a condition, too."""
    server = ConfigServer(InMemoryConfigBackend())
    bundles, told, counts = StoredBundles(server), [], [server.saves.value()]
    server.after_save.add(
        lambda source: told.append((source.application, source.profile))
    )

    async def scenario():
        await bundles.replace(SOURCE)
        counts.append(server.saves.value())
        await bundles.patch(SOURCE)
        assert await bundles.get(*NAMES) == Stored({"a.b": 1}, "1")
        await bundles.delete(*NAMES)
        counts.append(server.saves.value())
        return await bundles.get(*NAMES)

    assert asyncio.run(scenario()) is None
    assert told == [("orders", "prod")] * 3
    assert len(set(counts)) == 3


def test_a_refused_change_is_not_told():
    """Nothing was saved."""
    server, told = ConfigServer(InMemoryConfigBackend()), []
    server.after_save.add(told.append)
    with pytest.raises(ConfigNotFound):
        asyncio.run(StoredBundles(server).patch(SOURCE))
    assert told == []


@pytest.mark.parametrize(
    ("names", "error"),
    [
        (("a,b", "prod", "main"), InvalidRequest),
        (("orders", "prod.yml", "main"), InvalidRequest),
        (("_list", "prod", "main"), Conflict),
    ],
)
def test_names_are_those_of_a_save(names, error):
    """One of each kind, none of them reserved."""
    bundles = StoredBundles(ConfigServer(InMemoryConfigBackend()))
    for asked in (bundles.get(*names), bundles.delete(*names), bundles.replace(ConfigSource(*names))):  # fmt: skip
        with pytest.raises(error):
            asyncio.run(asked)


def test_a_read_only_server_takes_no_changes():
    """Whatever the backend could do."""
    bundles = StoredBundles(ConfigServer(InMemoryConfigBackend(), read_only=True))
    for asked in (bundles.replace(SOURCE), bundles.patch(SOURCE), bundles.delete(*NAMES)):  # fmt: skip
        with pytest.raises(ReadOnlyBackend):
            asyncio.run(asked)


@pytest.mark.parametrize(
    ("flat", "expected"),
    [
        ({"a.b": 1, "a.c[0]": "x"}, {"a": {"b": 1, "c": ["x"]}}),
        ({"a.b": 1, "c": 2, "a.d": 3}, {"a.b": 1, "c": 2, "a.d": 3}),
        ({"a": 1, "a.b": 2}, {"a": 1, "a.b": 2}),
        ({"a[1]": 1}, {"a[1]": 1}),
        ({"": 1}, {"": 1}),
    ],
    ids=["nested", "order", "beside", "hole", "no-key"],
)
def test_properties_are_nested_where_that_is_the_same(flat, expected):
    """Flat again they have the same keys in the same order; else they stay flat."""
    assert expected == nested(flat)
