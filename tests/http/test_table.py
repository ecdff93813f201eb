"""table: which rows a path fits, and rooms whose rows are made when they are asked for."""

import pytest

from pyconfserve.http.table import Route, Table


async def _handler(*_):
    raise NotImplementedError


def _row(*pattern):
    return Route("GET", pattern, "", _handler)


@pytest.fixture
def made():
    """The words of rooms that were asked for their rows."""
    return []


@pytest.fixture
def table(made):
    """A table with one row for any two segments, and one room of two words."""

    def room():
        made.append("room")
        return (_row("key"), _row("secret", None))

    return Table((_row(None, None),), {"key": room, "secret": room})


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((), []),
        (("key",), [("key",)]),
        (("secret", "a"), [("secret", None), (None, None)]),
        (("a", "secret"), [(None, None)]),
        (("a", "b", "c"), []),
    ],
    ids=["nothing", "room alone", "room first", "word elsewhere", "too long"],
)
def test_a_path_fits_rows_of_its_room_first(table, segments, expected):
    """By the first segment; then come the rows for all paths."""
    assert expected == [row.pattern for row in table.fitting(segments)]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [(("a", "b"), []), (("key", "b"), ["room"])],
    ids=["of none", "of the room"],
)
def test_a_room_is_made_for_its_own_paths_alone(table, made, segments, expected):
    """What nobody asks for is never loaded."""
    table.fitting(segments)
    assert expected == made


def test_all_rows_has_each_room_once(table):
    """Also one that several words lead to."""
    patterns = [row.pattern for row in table.all_rows()]
    assert patterns == [("key",), ("secret", None), (None, None)]
