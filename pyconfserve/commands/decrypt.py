"""`decrypt`: the text of a `{cipher}` value, with the key of the settings."""

from __future__ import annotations

from collections.abc import Sequence

from ..environment.cipher import CIPHER, CannotDecrypt, Cipher, decrypt_text
from ..errors import InvalidRequest
from .encrypt import run_with

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Print the text of a value; raises InvalidRequest when it is of another key."""

    def work(text: str, cipher: Cipher) -> str:
        try:
            return decrypt_text(text.removeprefix(CIPHER), "text/plain", cipher)
        except CannotDecrypt as error:
            raise InvalidRequest("value", str(error)) from None

    return run_with(arguments, "decrypt", "Decrypt a {cipher} value.", work)
