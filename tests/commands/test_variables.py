"""variables: flat keys as environment variables."""

import pytest

from pyconfserve.client.layers import variables_of
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
        ("_a", "A"),
        ("A_b", "A_B"),
        (".a", "A"),
        ("a/b", "A_B"),
        ("a b=c", "A_B_C"),
        ("a\x1b[2J\0", "A_2J"),
    ],
)
def test_a_key_is_a_name(key, name):
    """Upper case, with one `_` for all that is no letter of ASCII and no digit."""
    assert to_variables({key: 1}) == ({name: "1"}, {name: key}, [])


@pytest.mark.parametrize("key", ["db.pool-size", "_a", "a/b", "größe", "list[0].x", "A.B c"])
def test_a_client_reads_a_key_from_the_same_name(key):
    """So that what `run` gives to a service stands where its client looks."""
    [name] = to_variables({key: 1}).values
    assert name in variables_of(key)


@pytest.mark.parametrize("key", ["0", "1a", "[1]a", "", "]", "\x1b", "\0"])
def test_a_key_that_is_no_name_is_reported(key):
    """Escaped, as it may hold what a terminal obeys."""
    problem = f"{key!r} is left out: it is no name of a variable"
    assert to_variables({key: "secret"}) == ({}, {}, [problem])


def test_of_keys_with_one_name_the_first_counts():
    """The others are reported, without their values."""
    found = to_variables({"db.pool": 1, "db-pool": 2, "DB_POOL": 3})
    assert found.values == {"DB_POOL": "1"}
    assert found.problems == [
        "'db-pool' is left out: it would be DB_POOL, which 'db.pool' is already",
        "'DB_POOL' is left out: it would be DB_POOL, which 'db.pool' is already",
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


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "PATH", "IFS", "PS4",
        "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5OPT", "PERL5LIB", "RUBYOPT",
        "RUBYLIB", "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
        "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "LUA_INIT_5_4", "CLASSPATH",
    ],
)  # fmt: skip
def test_what_loads_code_is_left_out(name):
    """Whoever may write a property shall not choose what every program runs."""
    for key in (name, name.lower(), name.lower().replace("_", "."), f"_{name}"):
        problem = f"{key!r} is left out: it would be {name}, which loads code into programs"
        assert to_variables({key: "/tmp/x.so"}) == ({}, {}, [problem])


def test_what_loads_code_has_no_underscore_in_front():
    """`_JAVA_OPTIONS` has one, and no key leads to it."""
    assert "_JAVA_OPTIONS" not in to_variables({"_java.options": "-javaagent:x"}).values


@pytest.mark.parametrize("key", ["path.to", "python.version", "environment", "node.name", "java.home", "git.url"])
def test_what_is_named_alike_is_passed_on(key):
    """Whole names are refused, not their beginnings."""
    assert to_variables({key: 1}).problems == []
