"""`{cipher}` values and the texts of /encrypt and /decrypt: all but the arithmetic.

This module does no I/O and knows no key: a Cipher is given to it. Rules are measured
(spring.md 8) and where no recording speaks, those of Spring's EnvironmentPrefixHelper
and EncryptionController.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from typing import NamedTuple, Protocol

from ..errors import InvalidRequest, UnsupportedMedia
from .formats.document import Entry
from .overlay import PropertySource
from .values import CIPHER, is_encrypted

__all__ = [
    "CIPHER",
    "PLAIN",
    "CannotDecrypt",
    "Cipher",
    "Prefixed",
    "decrypt_sources",
    "decrypt_text",
    "encrypt_text",
    "split_prefixes",
]

PLAIN = "{plain}"  # ends the prefixes: what follows is text, whatever it looks like

_MEDIA_TYPE = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+[ \t]*(?:;.*)?")
_FORM = "application/x-www-form-urlencoded"
_ESCAPE = re.compile(rb"%(.{0,2})", re.DOTALL)
_ENVIRONMENT = re.compile(r"\{(?:name|profiles):")


class CannotDecrypt(ValueError):
    """A text that is not encrypted with this key.

    All reasons look the same: telling them apart would help to guess texts. Raise it
    `from None`: the error behind it may hold the text.
    """

    def __init__(self) -> None:
        super().__init__("text not encrypted with this key")


class Cipher(Protocol):
    """The arithmetic; *key* is the alias of a `{key:alias}` prefix, "" without one."""

    def encrypt(self, text: str, key: str = "") -> str:
        """The encrypted *text*, without `{cipher}`; raises InvalidRequest for an
        unknown alias.
        """
        ...

    def decrypt(self, ciphertext: str, key: str = "") -> str:
        """The text; raises CannotDecrypt, also for an unknown alias."""
        ...

    def public_key(self) -> str | None:
        """The public key as one line of an `authorized_keys` file, where there is
        one.
        """
        ...


class Prefixed(NamedTuple):
    """A text without its prefixes; `names` maps those in `kept` to their values."""

    kept: str
    names: dict[str, str]
    text: str

    @property
    def key(self) -> str:
        """The alias of the key to use, "" for the default one."""
        return self.names.get("key", "")


def split_prefixes(text: str) -> Prefixed:
    """What is in front of *text* as `{name:value}`, and the rest.

    What an encrypted text keeps in front ends before `{name:…}` and `{profiles:…}`,
    which are the request's to say. `{plain}` ends the prefixes.
    """
    front, escape, rest = text.partition(PLAIN)
    end = _end_of_prefixes(front)
    kept = _ENVIRONMENT.split(front[:end], maxsplit=1)[0]
    pairs = (prefix.strip().lstrip("{").partition(":") for prefix in kept.split("}"))
    names = {name: value for name, _, value in pairs if name}
    return Prefixed(kept, names, rest if escape else text[end:])


def decrypt_sources(
    sources: tuple[PropertySource, ...], cipher: Cipher | None
) -> tuple[PropertySource, ...]:
    """*sources* with all `{cipher}` values decrypted; without any, the same objects.

    A decrypted value is a text without an origin at the end of its source. What cannot
    be decrypted, or all when there is no *cipher*, becomes `invalid.<key>`: `<n/a>`
    (cases crypto/broken, crypto-nokey/broken).
    """
    return tuple(
        _decrypted(source, cipher)
        if any(is_encrypted(entry.value) for entry in source.entries.values())
        else source
        for source in sources
    )


def encrypt_text(body: str, content_type: str | None, cipher: Cipher) -> str:
    """The answer to POST /encrypt: prefixes, then the ciphertext.

    Raises InvalidRequest for an empty body, none of the type or an unknown alias,
    UnsupportedMedia for a malformed type.
    """
    media_type = _checked(body, content_type)
    form = _as_form(body, media_type)
    if form:
        try:
            body = _url_decoded(form)[:-1]
        except ValueError:
            raise InvalidRequest("body", "expected URL-encoded UTF-8") from None
    prefixed = split_prefixes(body)
    return prefixed.kept + cipher.encrypt(prefixed.text, prefixed.key)


def decrypt_text(body: str, content_type: str | None, cipher: Cipher) -> str:
    """The answer to POST /decrypt; *body* has no `{cipher}` in front.

    Raises CannotDecrypt, InvalidRequest for an empty body or none of the type,
    UnsupportedMedia for a malformed type.
    """
    media_type = _checked(body, content_type)
    prefixed = split_prefixes(body)
    text = prefixed.text
    form = _as_form(text, media_type)
    if form:
        try:
            text = _url_decoded(form).replace(" ", "+")  # base64 that was not escaped
        except ValueError:
            raise CannotDecrypt from None
        text = text[:-1] if len(text) % 2 else text  # its own `=` make base64 even
    return cipher.decrypt(text, prefixed.key)


def _decrypted(source: PropertySource, cipher: Cipher | None) -> PropertySource:
    entries = dict(source.entries)
    for key, entry in source.entries.items():
        if is_encrypted(entry.value):
            del entries[key]
            name, text = _opened(key, entry.value.removeprefix(CIPHER), cipher)
            entries[name] = Entry(text)
    return source._replace(entries=entries)


def _opened(key: str, ciphertext: str, cipher: Cipher | None) -> tuple[str, str]:
    prefixed = split_prefixes(ciphertext)
    try:
        if cipher is None:
            raise CannotDecrypt
        return key, cipher.decrypt(prefixed.text, prefixed.key)
    except CannotDecrypt:
        return f"invalid.{key}", "<n/a>"


def _end_of_prefixes(text: str) -> int:
    """Where `{…:…}{…:…}` at the start of the first line ends: Spring's
    `^(\\{.*?:.*?\\})+`, in linear time.
    """
    line, end = text.partition("\n")[0], 0
    while line.startswith("{", end):
        colon = line.find(":", end)
        brace = line.find("}", colon)
        if colon < 0 or brace < 0:
            break
        end = brace + 1
    return end


def _checked(body: str, content_type: str | None) -> str:
    """The type in lower case."""
    if not content_type:
        raise InvalidRequest("Content-Type", "expected one, got none")
    media_type = content_type.strip().lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise UnsupportedMedia("expected a Content-Type such as text/plain")
    if not body:
        raise InvalidRequest("body", "expected a text, got none")
    return media_type


def _as_form(text: str, media_type: str) -> str:
    """*text* as a form that ends in an empty value, "" where it is a text as it stands.

    A form may leave out its last `=` (case crypto/encrypt-form-noeq). Of other types
    only `text/plain` itself, without parameters, is never taken for a form.
    """
    if media_type.startswith(_FORM) and "=" not in text.rpartition("&")[2]:
        text += "="
    return text if text.endswith("=") and media_type != "text/plain" else ""


def _url_decoded(text: str) -> str:
    """*text* as java.net.URLDecoder decodes it; raises ValueError."""
    octets = text.replace("+", " ").encode("utf-8")
    return _ESCAPE.sub(_octet, octets).decode("utf-8")


def _octet(escape: re.Match[bytes]) -> bytes:
    return unhexlify(escape[1].ljust(2, b"?"))
