"""ends: what the environment says to an end of `copy`."""

import pytest

from pyconfserve.commands.ends import left_open

SECRETS = {"store_password": "p", "store_password_file": "f", "store_token": "t", "store_token_file": "g"}
PLACES = {
    "backend_type": "sqlite",
    "store_uri": "sqlite:///x",
    "root": "r",
    "search_locations": ("a",),
}
VARIABLES = {**SECRETS, **PLACES, "store_username": "u", "git_username": "u", "git_password": "p", "label": "x"}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({}, {*VARIABLES}),
        ({"label": "y"}, {*VARIABLES} - {"label"}),
        ({"backend_type": "etcd"}, {*VARIABLES} - {"backend_type"}),
        ({"root": "other"}, {*VARIABLES} - {*PLACES}),
        ({"members": ("a", "b")}, {*VARIABLES} - {*PLACES}),
        ({"store_password_file": "p"}, {*VARIABLES} - {*SECRETS}),
        ({"store_token": "t"}, {*VARIABLES} - {*SECRETS, "store_username"}),
        ({"store_uri": "redis://h/0"}, {*VARIABLES} - {*PLACES}),
        ({"store_uri": "redis://me@h/0"}, {*VARIABLES} - {*PLACES, "store_username"}),
        ({"store_uri": "redis://:pw@h/0"}, {*VARIABLES} - {*PLACES, *SECRETS}),
        ({"store_uri": "vault://me:pw@h"}, {*VARIABLES} - {*PLACES, *SECRETS, "store_username"}),
        ({"git_uri": "https://me:pw@h/x"}, {*VARIABLES} - {*PLACES, "git_username", "git_password"}),
    ],
)
def test_what_is_said_together_is_left_together(said, left):
    """A password beside another end's token, or its type, would be nobody's."""
    assert left_open(VARIABLES, said, is_place_said=False) == {name: VARIABLES[name] for name in left}


def test_a_place_may_be_said_by_other_settings():
    """Those of a Java server are not ours."""
    left = left_open(VARIABLES, {}, is_place_said=True)
    assert left == {name: VARIABLES[name] for name in {*VARIABLES} - {*PLACES}}
