"""configuration: a mapping of dotted keys, and what differs between two."""

import pickle
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from pyconfserve.client import Change, Configuration
from pyconfserve.client.configuration import compare
from pyconfserve.errors import InvalidRequest

VALUES = {"db.url": "canary", "db.pool.size": 5, "servers[0].host": "a", "servers[1].host": "b"}  # fmt: skip


@pytest.fixture
def configuration():
    return Configuration(
        VALUES,
        name="orders",
        profiles=("prod", "eu"),
        label="main",
        version="7",
        origins={"db.url": "orders-prod:3:5", "servers[0].host": "orders"},
    )


def test_it_is_a_mapping_of_dotted_keys(configuration):
    """In the order of the answer; it cannot be changed."""
    assert isinstance(configuration, Mapping)
    assert dict(configuration) == VALUES
    assert list(configuration) == list(VALUES)
    assert configuration["db.pool.size"] == 5
    assert ("db.url" in configuration, "db" in configuration) == (True, False)
    assert configuration.get("absent", 7) == 7
    with pytest.raises(TypeError):
        configuration["db.url"] = "x"


def test_what_it_was_made_from_is_copied():
    """Later changes of that are not seen."""
    values = {"a": 1}
    configuration = Configuration(values)
    values["a"] = 2
    assert configuration == {"a": 1}


def test_a_missing_key_is_named(configuration):
    """As any mapping does."""
    with pytest.raises(KeyError, match=r"'db\.absent'"):
        configuration["db.absent"]


def test_a_part_is_a_configuration(configuration):
    """Without the prefix, with its origins and what is known about the whole."""
    part = configuration.at("db")
    assert part == {"url": "canary", "pool.size": 5}
    assert (part.origins, part.version) == ({"url": "orders-prod:3:5"}, "7")
    assert part.at("pool") == {"size": 5}
    assert configuration.at("servers") == {"[0].host": "a", "[1].host": "b"}
    assert configuration.at("servers[1]") == {"host": "b"}
    assert configuration.at("d") == configuration.at("db.url") == {}


def test_it_nests(configuration):
    """Maps and lists."""
    assert configuration.to_dict() == {
        "db": {"url": "canary", "pool": {"size": 5}},
        "servers": [{"host": "a"}, {"host": "b"}],
    }
    with pytest.raises(InvalidRequest, match="a key has an empty part"):
        Configuration({"a..b": 1}).to_dict()


def test_its_text_shows_no_values(configuration):
    """Names and numbers only."""
    assert repr(configuration) == "<Configuration orders/prod,eu/main: 4 keys>"
    stale = Configuration({}, name="a", profiles=("b",), stale_since=datetime(2026, 1, 2, tzinfo=UTC))  # fmt: skip
    assert str(stale) == "<Configuration a/b: 0 keys, stale since 2026-01-02 00:00:00+00:00>"  # fmt: skip


def test_equality_is_that_of_the_values(configuration):
    """Whatever their origins and version; it has no hash, as no mapping has."""
    assert configuration == Configuration(VALUES) == VALUES
    assert configuration != Configuration({})
    with pytest.raises(TypeError):
        hash(configuration)


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), deepcopy])  # fmt: skip
def test_it_can_be_pickled(configuration, copied):
    """With all that is known about it."""
    copy = copied(configuration)
    assert copy == configuration
    assert (copy.origins, copy.version, copy.label) == (configuration.origins, "7", "main")  # fmt: skip


def test_it_binds():
    """binding.py has the rules."""

    @dataclass
    class Pool:
        size: int

    assert Configuration({"db.pool.size": "5"}).bind(Pool, "db.pool") == Pool(5)
    assert Configuration({"size": 5}).bind(Pool) == Pool(5)


def test_what_differs():
    """New, changed and removed keys, with their values."""
    old, new = {"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 4, "d": 5}
    change = Change(added={"d": 5}, changed={"c": (3, 4)}, removed={"a": 1})
    assert compare(old, new) == change
    assert compare(old, dict(reversed(old.items()))) is None


@pytest.mark.parametrize(("old", "new"), [(1, True), (1, 1.0), (0, False), ("1", 1), ("", None)])  # fmt: skip
def test_another_type_is_another_value(old, new):
    """Though Python calls them equal."""
    assert compare({"a": old}, {"a": new}) == Change({}, {"a": (old, new)}, {})


def test_the_text_of_a_change_shows_no_values():
    """Keys only."""
    change = Change({"b": "canary", "a": 1}, {"c": ("canary", 2)}, {})
    assert repr(change) == "Change(added=['a', 'b'], changed=['c'], removed=[])"
