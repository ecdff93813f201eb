"""The one user of a Java server's settings: `spring.security.user.*`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import SettingsError
from .http.passwords import hash_password
from .http.rights import ALL_RIGHTS

__all__ = ["USER", "USER_NAMES", "users_of"]

USER = "spring.security.user."
USER_NAMES = (f"{USER}name", f"{USER}password", f"{USER}roles")

_ENCODED = re.compile(r"\{([^}]*)\}")  # Spring's mark of how a password is kept
_PLAIN = "noop"


def users_of(values: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The list that the setting `users` takes, None where *values* name no user.

    As in Java the user may do all there is. Roles have no effect, as no route of the
    Java server asks for one. Raises SettingsError.
    """
    if not any(name in values for name in USER_NAMES):
        return None
    password = values.get(f"{USER}password", "")
    if not password:
        key = f"{USER}password"
        raise SettingsError("is not set, and no password is made up here", key)
    mark = _ENCODED.match(password)
    if mark is not None and mark[1] != _PLAIN:
        raise SettingsError(
            "a password that begins with the way it is kept, in braces, cannot be "
            "read here: set the password itself, or --users",
            f"{USER}password",
        )
    plain = password[mark.end() :] if mark else password
    if not plain:
        raise SettingsError("is empty", f"{USER}password")
    return [
        {
            "name": values.get(f"{USER}name", "user"),
            "password": hash_password(plain),
            "applications": ["*"],
            "profiles": ["*"],
            "rights": sorted(ALL_RIGHTS),
        }
    ]
