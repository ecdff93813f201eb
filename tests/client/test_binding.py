"""binding: values to dataclasses, and errors that name everything but the value."""

import enum
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Optional, Union
from uuid import UUID

import pytest

from pyconfserve.client.binding import bind
from pyconfserve.errors import SettingsError

Port = NewType("Port", int)


class Level(enum.Enum):
    LOW = "low"
    VERY_HIGH = 9


@dataclass
class Pool:
    size: int
    idle_time: timedelta = timedelta(seconds=1)


@dataclass(frozen=True)
class Database:
    url: str
    pool: Pool
    replicas: list[Pool] = field(default_factory=list)


def one(hint, **options):
    """A dataclass of one field, `x`."""
    namespace = {"__annotations__": {"x": hint}, **options}
    return dataclass(type("One", (), namespace))


def bound(hint, value):
    return bind(one(hint), {"x": value}).x


def refused(kind, values, prefix=""):
    with pytest.raises(SettingsError) as caught:
        bind(kind, values, prefix)
    assert "canary" not in str(caught.value)
    return str(caught.value)


def test_nested_dataclasses_and_lists():
    """Any depth; keys without a field are left alone."""
    values = {
        "db.url": "jdbc",
        "db.pool.size": 5,
        "db.pool.idle-time": "10s",
        "db.replicas[0].size": "1",
        "db.replicas[1].size": 2,
        "db.other": 7,
        "other": 7,
    }
    replicas = [Pool(1), Pool(2)]
    expected = Database("jdbc", Pool(5, timedelta(seconds=10)), replicas)
    assert expected == bind(Database, values, "db")


@pytest.mark.parametrize("name", ["pool_size", "pool-size", "poolSize", "POOL_SIZE", "PoolSize"])  # fmt: skip
def test_names_are_relaxed(name):
    """The exact one comes first."""

    @dataclass
    class Options:
        pool_size: int

    assert bind(Options, {f"My-App.{name}": 5}, "my_app").pool_size == 5
    assert bind(Options, {name: 5, "pool_size": 6}).pool_size == 6


def test_a_prefix_may_have_parts_and_an_index():
    """A value at the prefix itself is not below it."""
    values = {"a.b": 7, "a.b.size": 1, "a.bc.size": 2, "l[0].size": 3}
    assert [bind(Pool, values, prefix).size for prefix in ("a.b", "l[0]")] == [1, 3]


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (str, "x", "x"), (str, 5, "5"), (str, True, "true"), (str, 1e7, "1.0E7"), (str, "", ""), (str, None, ""),
        (int, 5, 5), (int, "5", 5), (int, "-5", -5), (int, "+5", 5), (Port, 80, 80),
        (float, 5, 5.0), (float, 1.5, 1.5), (float, "1.5", 1.5), (float, "1e3", 1000.0), (float, ".5", 0.5),
        (bool, True, True), (bool, "true", True), (bool, "Off", False), (bool, "1", True), (bool, "no", False),
        (Any, [1], [1]), (object, 5, 5),
        (Optional[int], 5, 5), (Optional[int], "", None), (int | None, None, None), (Optional[str], "", ""), (Optional[int], "5", 5),  # noqa: UP045
        (int | str, "x", "x"), (int | str, "5", "5"), (Union[int, bool], "true", True), (int | float, "1.5", 1.5),  # noqa: UP007
        (Literal["a", "b"], "a", "a"), (Literal[1, 2], "2", 2), (Literal[True], True, True), (Literal[1, True], True, True),
        (Level, "low", Level.LOW), (Level, 9, Level.VERY_HIGH), (Level, "9", Level.VERY_HIGH), (Level, "very-high", Level.VERY_HIGH),
        (timedelta, "500ms", timedelta(milliseconds=500)), (timedelta, "1h30m", timedelta(minutes=90)),
        (timedelta, "1.5s", timedelta(seconds=1.5)), (timedelta, "2d", timedelta(days=2)), (timedelta, "7us", timedelta(microseconds=7)),
        (Path, "/a/b", Path("/a/b")), (Decimal, "1.10", Decimal("1.10")), (Decimal, 5, Decimal(5)),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID(int=0x12345678123456781234567812345678)),
        (date, "2026-01-02", date(2026, 1, 2)), (datetime, "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)), (time, "03:04", time(3, 4)),
        (list[int], "1, 2", [1, 2]), (list[str], "", []), (list, "a,b", ["a", "b"]), (tuple[int, ...], "1,2", (1, 2)),
        (tuple[int, str], "1,x", (1, "x")), (set[int], "1,1", {1}), (frozenset[str], "a", frozenset("a")),
        (Sequence[int], "1", [1]), (typing.List[int], "1", [1]), (Annotated[int, "docs"], "5", 5),  # noqa: UP006
        (dict[str, int], "", {}),
    ],
)  # fmt: skip
def test_a_value_becomes_the_type_of_its_field(hint, value, expected):
    """Or something equal of that very type."""
    found = bound(hint, value)
    assert (type(expected), expected) == (type(found), found)


@pytest.mark.parametrize(
    ("hint", "values", "expected"),
    [
        (list[int], {"x[0]": "1", "x[1]": 2}, [1, 2]),
        (list[list[int]], {"x[0][0]": 1, "x[1][0]": 2}, [[1], [2]]),
        (list[Pool], {"x[0].size": 1}, [Pool(1)]),
        (dict[str, int], {"x.a": "1", "x.b.c": 2}, {"a": 1, "b.c": 2}),
        (dict[str, str], {"x.com.acme": "DEBUG", "x.root": "INFO"}, {"com.acme": "DEBUG", "root": "INFO"}),
        (dict[str, Pool], {"x.main.size": 1, "x.other.size": 2}, {"main": Pool(1), "other": Pool(2)}),
        (Mapping[str, Any], {"x.a.b": 1}, {"a": {"b": 1}}),
        (dict, {"x.a.b": 1}, {"a": {"b": 1}}),
        (Pool | None, {"x.size": 1}, Pool(1)),
        (Pool | None, {}, None),
        (Optional[int], {}, None),  # noqa: UP045
    ],
)  # fmt: skip
def test_lists_and_maps(hint, values, expected):
    """By index and by name; plain values of a map keep their dotted names."""
    assert bind(one(hint), values).x == expected


def test_defaults():
    """They hold where nothing is set; a nested dataclass may be all defaults."""

    @dataclass
    class Inner:
        a: int = 1

    @dataclass
    class Outer:
        inner: Inner
        b: int = 2
        c: list[int] = field(default_factory=lambda: [3])
        d: int = field(init=False, default=4)

    assert bind(Outer, {"d": 7}) == Outer(Inner())


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (int, "canary", "x: expected int, got str"),
        (int, True, "x: expected int, got bool"),
        (int, 1.0, "x: expected int, got float"),
        (int, "1_0", "x: expected int, got str"),
        (int, " 1", "x: expected int, got str"),
        (int, "١", "x: expected int, got str"),
        (int, None, "x: expected int, got NoneType"),
        (int, "9" * 400, "x: expected int, got str"),
        (float, "nan", "x: expected float, got str"),
        (float, True, "x: expected float, got bool"),
        (bool, "canary", "x: expected bool, got str"),
        (bool, 1, "x: expected bool, got int"),
        (timedelta, 10, "x: expected timedelta, got int"),
        (timedelta, "10", "x: expected timedelta, got str"),
        (timedelta, "", "x: expected timedelta, got str"),
        (timedelta, "canary", "x: expected timedelta, got str"),
        (Decimal, "canary", "x: expected Decimal, got str"),
        (UUID, "canary", "x: expected UUID, got str"),
        (date, "canary", "x: expected date, got str"),
        (Literal["a", "b"], "canary", "x: expected Literal['a', 'b'], got str"),
        (Level, "canary", "x: expected Level, got str"),
        (int | None, "canary", "x: expected int, got str"),
        (int | bool, "canary", "x: expected int | bool, got str"),
        (list[int], "1,canary", "x[1]: expected int, got str"),
        (list[int], 5, "x: expected list[int], got int"),
        (tuple[int, int], "1", "x: expected tuple[int, int], got list"),
        (dict[str, int], "canary", "x: expected dict[str, int], got str"),
        (Pool, "canary", "x: expected a map, got str"),
        (complex, "canary", "x: a field of type complex cannot be bound"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(hint, value, problem):
    """Key, type and expected type are named; the value is not."""
    assert problem == refused(one(hint), {"x": value})


@pytest.mark.parametrize(
    ("kind", "values", "prefix", "problem"),
    [
        (Pool, {}, "", "size: expected int, and nothing is set"),
        (Pool, {}, "db.pool", "db.pool.size: expected int, and nothing is set"),
        (Database, {"db.url": "x"}, "db", "db.pool.size: expected int, and nothing is set"),
        (Pool, {"Db.POOL.Size": "canary"}, "db.pool", "Db.POOL.Size: expected int, got str"),
        (one(str), {"x.y": "canary"}, "", "x: expected str, got map"),
        (one(list[int]), {"x[1]": 1}, "", "x[0]: expected int, got NoneType"),
        (one(dict[str, int]), {"x.a.b": "canary"}, "", "x.a.b: expected int, got str"),
        (Pool, {"db..size": "canary"}, "db", "db: a key has an empty part or a bad index"),
        (int, {}, "", "expected a dataclass to bind to, got int"),
    ],
)  # fmt: skip
def test_the_key_is_named_in_full(kind, values, prefix, problem):
    """As it is spelled where it stands."""
    assert problem == refused(kind, values, prefix)
