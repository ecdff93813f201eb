"""Tokens that stores want to see, from the settings or from a file."""

from __future__ import annotations

import re

from ..errors import BackendMisconfigured, SettingsError

__all__ = ["GivenToken"]

_LONGEST = 16 * 1024  # characters


class GivenToken:
    """A token that stands in the settings, or in a file that others write anew.

    Raises SettingsError for both, and for a token that is none.
    """

    def __init__(self, token: str, path: str = "") -> None:
        if token and path:
            raise SettingsError("expected a token or a file that holds it", "token")
        self.text = token
        self._path = path
        if not _is_token(token):
            raise SettingsError("it has characters that no token has", "token")

    def read(self) -> str:
        """The token, "" where there is none; raises BackendMisconfigured."""
        if self._path and not self.text:
            self.read_again("")
        return self.text

    def read_again(self, refused: str) -> bool:
        """Whether the file has another token than *refused*, which holds from now on.

        Raises BackendMisconfigured for one that cannot be read or holds none.
        """
        if not self._path:
            return False
        try:
            with open(self._path, encoding="utf-8") as file:
                text = file.readline(_LONGEST).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise BackendMisconfigured(f"the token file: {why}") from error
        if not text or not _is_token(text):
            raise BackendMisconfigured("the token file holds no token")
        self.text = text
        return text != refused


def _is_token(text: str) -> bool:
    return re.fullmatch("[!-~]*", text) is not None
