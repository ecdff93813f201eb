"""naming: what the names of files say."""

import pytest

from pyconfserve.checking.naming import (
    Names,
    Spot,
    distance,
    looks_like,
    split_stems,
    spots,
)
from pyconfserve.environment.overlay import OWN, SPRING


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("prod", "prod", 0),
        ("prod", "prd", 1),
        ("prod", "prdo", 1),
        ("prod", "prood", 1),
        ("production", "porductoin", 2),
        ("a", "abcd", 3),
        ("", "ab", 2),
        ("kitten", "sitting", 3),
    ],
)
def test_distance(one, other, expected):
    """A letter that is wrong, missing or too many, or two that are swapped, count one."""
    assert (distance(one, other), distance(other, one)) == (expected, expected)


@pytest.mark.parametrize(
    ("suffix", "own", "spring"),
    [
        ("yml", "", ""),
        ("json", "", "no answer has the keys of .json files under --spring"),
        ("Yaml", ".Yaml is no suffix of configuration: .yaml is", ".Yaml is no suffix of configuration: .yaml is"),
        ("yml~", ".yml~ is no suffix of configuration: .yml is", ".yml~ is no suffix of configuration: .yml is"),
        ("jsno", ".jsno is no suffix of configuration: .json is", ".jsno is no suffix of configuration: .json is"),
        ("xml", "", ""),
        ("jsonl", "", ""),
        ("conf", "", ""),
    ],
)  # fmt: skip
def test_suffixes(suffix, own, spring):
    """What nearly is one of ours is a mistake, what is far from them is a plain file."""
    assert (looks_like(suffix, OWN), looks_like(suffix, SPRING)) == (own, spring)


def test_stems_are_split_by_those_beside_them():
    """As in a list of bundles; what cannot be split so is one where any way is left."""
    stems = {
        "order-service",
        "order-service-prod",
        "payments-eu",
        "payments-us",
        "x-y_",
        "-",
        "a-default",
        "a",
    }
    assert split_stems(stems) == {
        "order-service": Names("order-service", "default"),
        "order-service-prod": Names("order-service", "prod"),
        "payments-eu": Names("payments", "eu"),
        "payments-us": Names("payments", "us"),
        "x-y_": Names("x-y_", "default"),
        "-": None,
        "a-default": Names("a", "default"),
        "a": Names("a", "default"),
    }


@pytest.mark.parametrize(
    ("folder", "pattern", "expected"),
    [
        ("", "", [Spot(None, "")]),
        ("v2", "", [Spot(None, "v2")]),
        ("feature/x", "", [Spot(None, "feature/x")]),
        ("a b", "", []),
        ("", "cfg/", []),
        ("cfg", "cfg/", [Spot(None, "")]),
        ("cfg/v2", "cfg/", [Spot(None, "v2")]),
        ("orders", "{application}/", [Spot("orders", "")]),
        ("orders/v2", "{application}/", [Spot("orders", "v2")]),
        ("orders/orders", "{application}/{application}/", [Spot("orders", "")]),
        ("orders/prod/v2", "{application}/{profile}/{label}/", [Spot("orders", "v2")]),
        ("cfg-eu/x", "cfg-*/?/", [Spot(None, "")]),
    ],
)  # fmt: skip
def test_spots(folder, pattern, expected):
    """Which application and label lead to a folder."""
    assert spots(folder, pattern) == expected
