"""Users and certificates of a server, which are read again while it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import SettingsError
from .settings import PREFIX, Settings

if TYPE_CHECKING:
    from .http.authentication import Authentication
    from .http.tls import Certificates
    from .http.users import Users
    from .http.users_file import UsersFile

__all__ = ["Credentials"]


class Credentials:
    """What *settings* name; raises SettingsError for what cannot be read.

    `users` and `certificates` are None where the settings have none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.users = _users(settings)
        self.certificates = _certificates(settings)

    def authority(self) -> Authentication | None:
        """What knows the users of now by what they send, None without users."""
        if self.users is None:
            return None
        from .http.authentication import Authentication

        return Authentication(self._current_users)

    @property
    def may_change(self) -> bool:
        """Whether there is anything to look at."""
        return self.users is not None or self.certificates is not None

    def look(self) -> None:
        """Look at all files now; what is broken is logged, and changes nothing."""
        for each in (self.users, self.certificates):
            if each is not None:
                each.reload()

    def take(self, settings: Settings) -> None:
        """Read all again, from where *settings* have it now.

        Raises SettingsError, and then all that was in force stays so.
        """
        old = self._settings
        users, certificates = self.users, self.certificates
        if old.users != settings.users:
            users = _users(settings)
        if _files(old) != _files(settings):
            certificates = _certificates(settings)
        self._settings, self.users, self.certificates = settings, users, certificates
        self.look()

    def _current_users(self) -> Users:
        assert self.users is not None  # they do not go
        return self.users.current()


class _Listed:
    """Users that stand in the settings themselves."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def current(self) -> Users:
        return self._users

    def reload(self) -> None:
        """Nothing: other ones are other settings."""


def _users(settings: Settings) -> UsersFile | _Listed | None:
    if not settings.users:
        return None
    if isinstance(settings.users, str):
        from .http.users_file import UsersFile

        return UsersFile(settings.users)
    from .http.users import parse_users

    listed = {"users": [*settings.users]}
    users = parse_users(listed, PREFIX.rstrip("."))
    _check_names(settings.users)
    return _Listed(users)


def _check_names(users: Sequence[Mapping[str, Any]]) -> None:
    """Raise SettingsError for a user without names: an empty map in a file of settings
    is gone when it is read, and must not mean all.
    """
    for index, user in enumerate(users):
        for name in ("applications", "profiles"):
            if name not in user:
                key = f"{PREFIX}users[{index}].{name}"
                raise SettingsError("expected patterns, '*' for all", key)


def _certificates(settings: Settings) -> Certificates | None:
    if not settings.tls_cert:
        return None
    from .http.tls import Certificates

    return Certificates(*_files(settings))


def _files(settings: Settings) -> tuple[str, str | None, str | None, str | None]:
    """Certificate, key, authorities of clients, and the key's password."""
    return (
        settings.tls_cert,
        settings.tls_key or None,
        settings.tls_client_ca or None,
        settings.tls_key_password or None,
    )
