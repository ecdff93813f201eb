"""Secrets of users as the text that may stand in a file: scrypt for passwords, which
people choose, and SHA-256 for tokens, which are as long as what they guard against.

A secret itself is never kept, shown or quoted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass, field

__all__ = [
    "COST",
    "DUMMY",
    "LONGEST_CREDENTIALS",
    "PasswordHash",
    "hash_password",
    "hash_token",
    "new_token",
    "parse_token",
]

COST = 15  # log2 of scrypt's n: 32 MiB and about a tenth of a second
LONGEST_CREDENTIALS = 1024  # bytes of name, colon and password, as Basic sends them
_BLOCKS, _LANES = 8, 1  # scrypt's r and p, as RFC 7914 §2 has them
_HIGHEST_COST, _MOST_BLOCKS, _MOST_LANES = 18, 16, 4
_MOST_MEMORY = 256 * 1024 * 1024  # bytes of one hash: two are made at a time
_SALT, _DIGEST = 16, 32  # bytes
_TOKEN = 32  # bytes of chance: no one guesses them, however fast

_NUMBER = "([1-9][0-9]?)"
_PASSWORD_HASH = re.compile(
    rf"scrypt\${_NUMBER}\${_NUMBER}\${_NUMBER}\$([A-Za-z0-9+/]{{22}})\$([A-Za-z0-9+/]{{43}})"
)
_TOKEN_HASH = re.compile(r"sha256\$([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """What a password is checked by; `cost`, `blocks` and `lanes` are log2 of scrypt's
    n, its r and its p."""

    cost: int
    blocks: int
    lanes: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """The hash that `scrypt$15$8$1$SALT$HASH` writes.

        Raises ValueError for another form, and for a cost that would let a login stop
        the server. The text is not quoted.
        """
        found = _PASSWORD_HASH.fullmatch(text)
        if found is None:
            raise ValueError("expected scrypt$15$8$1$SALT$HASH")
        cost, blocks, lanes = int(found[1]), int(found[2]), int(found[3])
        if (
            cost > _HIGHEST_COST
            or blocks > _MOST_BLOCKS
            or lanes > _MOST_LANES
            or 128 * blocks << cost > _MOST_MEMORY
        ):
            raise ValueError("a hash costs at most scrypt$18$8$4, which is 256 MiB")
        return cls(cost, blocks, lanes, _decoded(found[4]), _decoded(found[5]))

    def __str__(self) -> str:
        salt, digest = _encoded(self.salt), _encoded(self.digest)
        return f"scrypt${self.cost}${self.blocks}${self.lanes}${salt}${digest}"

    def fits(self, password: str) -> bool:
        """Whether this is the hash of *password*: blocks for a tenth of a second, takes
        the same time for every password, and lets other threads run.

        One with NUL fits none: HMAC, which scrypt begins with, takes `a` and `a\\0` for
        the same.
        """
        is_equal = hmac.compare_digest(self._hash(password), self.digest)
        return is_equal and "\0" not in password

    @property
    def price(self) -> tuple[int, int, int]:
        """What decides how long it takes."""
        return self.cost, self.blocks, self.lanes

    def dummy(self) -> PasswordHash:
        """A hash that no password fits, and that takes as long as this one."""
        salt, digest = secrets.token_bytes(_SALT), secrets.token_bytes(_DIGEST)
        return PasswordHash(*self.price, salt, digest)

    def _hash(self, password: str) -> bytes:
        # One form of every letter, whichever the keyboard made (RFC 7617 §2.1).
        text = unicodedata.normalize("NFC", password)
        n, r, p = 1 << self.cost, self.blocks, self.lanes
        return hashlib.scrypt(
            text.encode("utf-8", "surrogatepass"),
            salt=self.salt,
            n=n,
            r=r,
            p=p,
            maxmem=128 * r * (n + p + 2) + 1024,  # what OpenSSL counts, and a little
            dklen=_DIGEST,
        )


def hash_password(password: str, *, cost: int = COST) -> str:
    """What stands in a file for *password*; another text each time, of its own salt."""
    salt = secrets.token_bytes(_SALT)
    empty = PasswordHash(cost, _BLOCKS, _LANES, salt, b"")
    return str(PasswordHash(cost, _BLOCKS, _LANES, salt, empty._hash(password)))


def hash_token(token: str) -> str:
    """What stands in a file for *token*: `sha256$HEX`."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    return f"sha256${digest}"


def parse_token(text: str) -> str:
    """The hex digits of `sha256$HEX`; raises ValueError for another form, unquoted."""
    found = _TOKEN_HASH.fullmatch(text)
    if found is None:
        raise ValueError("expected sha256$ and 64 hex digits in lower case")
    return found[1]


def new_token() -> str:
    """A token that no one guesses, of letters, digits, dashes and underscores."""
    return secrets.token_urlsafe(_TOKEN)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _decoded(text: str) -> bytes:
    """The bytes of base64 without padding; ValueError for bits that say nothing."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if _encoded(data) != text:
        raise ValueError("expected base64 without spare bits")
    return data


DUMMY = PasswordHash(COST, _BLOCKS, _LANES, b"", b"").dummy()
