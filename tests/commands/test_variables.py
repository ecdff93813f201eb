"""variables: flat keys as environment variables."""

import pytest

from pyconfserve.commands.variables import to_variables


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("db", "DB"),
        ("db.pool", "DB_POOL"),
        ("db.pool-size", "DB_POOL_SIZE"),
        ("db.poolSize", "DB_POOLSIZE"),
        ("a[0]", "A_0"),
        ("a[0][1]", "A_0_1"),
        ("a[10].b", "A_10_B"),
        ("a[x.y].b", "A_X_Y_B"),
        ("_a", "_A"),
        ("A_b", "A_B"),
        (".a", "_A"),
    ],
)
def test_a_key_is_a_name(key, name):
    """Upper case, with one `_` for dots, dashes and brackets."""
    assert to_variables({key: 1}) == ({name: "1"}, {name: key}, [])


@pytest.mark.parametrize("key", ["0", "1a", "a b", "a=b", "a/b", "größe", "ß", "a\nB", "", "]", "a\x1b[2J", "a\0"])
def test_a_key_that_is_no_name_is_reported(key):
    """Escaped, as it may hold what a terminal obeys."""
    problem = f"{key!r} is left out: it is no name of a variable"
    assert to_variables({key: "secret"}) == ({}, {}, [problem])


def test_of_keys_with_one_name_the_first_counts():
    """The others are reported, without their values."""
    found = to_variables({"db.pool": 1, "db-pool": 2, "DB_POOL": 3})
    assert found.values == {"DB_POOL": "1"}
    assert found.problems == [
        "'db-pool' is left out: it would be DB_POOL, which db.pool is already",
        "'DB_POOL' is left out: it would be DB_POOL, which db.pool is already",
    ]


@pytest.mark.parametrize("value", ["a\0b", "\ud800"], ids=["NUL", "half a pair"])
def test_a_value_that_no_variable_can_hold_is_reported(value):
    """Not passed on in part."""
    problem = "'a' is left out: it has a value that no variable can hold"
    assert to_variables({"a": value}) == ({}, {}, [problem])


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, ""), (1, "1"), (1e7, "1.0E7"), ("a\nb", "a\nb"), ("grüße", "grüße")],
)
def test_values_are_texts(value, text):
    """As Spring's clients have them."""
    assert to_variables({"a": value}).values == {"A": text}


@pytest.mark.parametrize(("key", "name"), [("ld.preload", "LD_PRELOAD"), ("dyld-insert.libraries", "DYLD_INSERT_LIBRARIES")])
def test_what_loads_code_is_left_out(key, name):
    """Whoever may write a property shall not choose what every program runs."""
    problem = f"{key!r} is left out: it would be {name}, which loads code into programs"
    assert to_variables({key: "/tmp/x.so"}) == ({}, {}, [problem])
