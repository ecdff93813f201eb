"""credentials: users and certificates that settings name, and those that stand in them."""

import asyncio

import pytest

from pyconfserve.credentials import Credentials
from pyconfserve.errors import SettingsError
from pyconfserve.http.passwords import hash_token
from pyconfserve.settings import Settings
from pyconfserve.settings_sources import read_settings

TOKEN = "a-token-that-is-long-enough"
USER = {"name": "ci", "token": hash_token(TOKEN), "applications": ["orders"], "profiles": "*"}


def known(settings):
    """The user whom the token names."""
    authority = Credentials(settings).authority()
    return asyncio.run(authority.verify(f"Bearer {TOKEN}", "::1"))


def test_without_users_there_is_no_authority():
    """Nor are there certificates."""
    credentials = Credentials(Settings())
    assert (credentials.authority(), credentials.certificates) == (None, None)


def test_users_may_stand_in_the_settings(tmp_path):
    """As a list, nested in a file or flat."""
    user = known(Settings(users=(USER,)))
    assert (user.name, user.applications, user.profiles) == ("ci", ("orders",), ("*",))
    (tmp_path / "s.yml").write_text(
        "pyfly.config-server:\n  users:\n    - name: ci\n"
        f"      token: {USER['token']}\n      applications: [orders]\n      profiles: '*'\n"
    )
    assert known(read_settings(str(tmp_path / "s.yml"), {})) == user


@pytest.mark.parametrize("left_out", ["applications", "profiles"])
def test_a_user_in_the_settings_says_for_which_names(left_out):
    """A map that is empty by mistake is gone when a file was read, and is not all names."""
    user = {key: value for key, value in USER.items() if key != left_out}
    with pytest.raises(SettingsError) as caught:
        Credentials(Settings(users=(USER | {"name": "a", "token": hash_token("b")}, user)))
    expected = f"pyfly.config-server.users[1].{left_out}: expected patterns, '*' for all"
    assert expected == str(caught.value)
