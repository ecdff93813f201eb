"""Ciphers that read and write what Spring's encryptors do, for environment/cipher.py.

The formats have no signature, so no failure says what was wrong with a text. Keys and
passwords stay in here: no message and no representation holds one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from binascii import unhexlify
from collections.abc import Iterator, Mapping

from ..environment.cipher import CannotDecrypt
from ..errors import InvalidRequest, MissingDependency, SettingsError

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC
    from cryptography.hazmat.primitives.padding import PKCS7
    from cryptography.hazmat.primitives.serialization import pkcs12
except ModuleNotFoundError as error:
    what = "encryption", "pyconfserve[crypto]"
    raise MissingDependency.instead_of(error, "cryptography", *what) from error

__all__ = ["DEFAULT_SALT", "RsaCipher", "SymmetricCipher", "make_cipher"]

DEFAULT_SALT = "deadbeef"  # Spring's, in hexadecimal digits

_BLOCK = 16  # bytes: of AES, of its start vector, and of the secret that RSA carries
_ROUNDS = 1024  # of PBKDF2, as Spring Security has it
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----(.*?)-----END [A-Z ]+-----", re.DOTALL)
_JKS = b"\xfe\xed\xfe\xed"
# Object identifiers in a key store (RFC 7292), as they are encoded.
_DATA = bytes.fromhex("2a864886f70d010701")
_ENCRYPTED_KEY = bytes.fromhex("2a864886f70d010c0a0102")  # pkcs8ShroudedKeyBag
_FRIENDLY_NAME = bytes.fromhex("2a864886f70d010914")


def make_cipher(
    key: str = "",
    salt: str = DEFAULT_SALT,
    *,
    key_store: bytes | None = None,
    password: str = "",
    alias: str = "",
    secret: str = "",
    rsa_salt: str = DEFAULT_SALT,
) -> SymmetricCipher | RsaCipher | None:
    """The cipher that `encrypt.*` settings ask for, None when they name no key.

    A key store comes first. A *key* that says `RSA PRIVATE KEY` is PEM, any other a
    password: PKCS#8 in PEM too, because Spring takes it for one. *salt* is for
    passwords only, *rsa_salt* (`encrypt.rsa.salt`) for the key store only. *secret*
    opens the keys in the store, *password* where it is empty. Raises SettingsError.
    """
    if key_store is not None:
        options = {"secret": secret, "salt": rsa_salt}
        return RsaCipher.from_key_store(key_store, password, alias, **options)
    if "RSA PRIVATE KEY" in key:
        return RsaCipher.from_pem(key)
    if key.startswith("ssh-rsa") or "RSA PUBLIC KEY" in key:
        raise SettingsError("expected a private key, got a public one", "encrypt.key")
    return SymmetricCipher(key, salt) if key.strip() else None


class SymmetricCipher:
    """AES-256-CBC with a key made of a password: lower-case hexadecimal digits of start
    vector and text.

    It has one key, whatever a prefix names. Raises SettingsError for a *salt* that is
    not hexadecimal.
    """

    def __init__(self, key: str, salt: str = DEFAULT_SALT) -> None:
        try:
            salted = unhexlify(salt)
        except ValueError:
            salted = b""
        if not salted:
            raise SettingsError("expected pairs of hexadecimal digits", "encrypt.salt")
        self._key = _derive(key, salted)

    def encrypt(self, text: str, key: str = "") -> str:
        """The encrypted *text*, another one each time."""
        return _seal(self._key, text).hex()

    def decrypt(self, ciphertext: str, key: str = "") -> str:
        """The text; digits are read in either case; raises CannotDecrypt."""
        try:
            return _open(self._key, unhexlify(ciphertext))
        except ValueError:
            raise CannotDecrypt from None

    def public_key(self) -> None:
        """There is none."""


class RsaCipher:
    """AES-256-CBC with a key made of a secret that RSA carries: base64 of the length of
    what RSA gives (two bytes, big-endian), that, start vector and text.

    This is Spring's algorithm DEFAULT with `strong` off. *others* are the keys that
    `{key:alias}` picks by their alias in lower case; without them *key* is the key of
    every alias. Raises SettingsError for an empty *salt*.
    """

    def __init__(
        self,
        key: RSAPrivateKey,
        others: Mapping[str, RSAPrivateKey] | None = None,
        salt: str = DEFAULT_SALT,
    ) -> None:
        if not salt:
            raise SettingsError("expected a text, got none", "encrypt.rsa.salt")
        self._default = key
        self._others = others
        self._salt = _salt_of(salt)

    @classmethod
    def from_pem(cls, text: str, salt: str = DEFAULT_SALT) -> RsaCipher:
        """The cipher for a private key in PEM, its lines ended by newlines, blanks, the
        two characters `\\n` or nothing; raises SettingsError.
        """
        found = _PEM.search(text)
        body = found[1].replace("\\r", "").replace("\\n", "") if found else ""
        try:
            key = _load(base64.b64decode("".join(body.split()), validate=True))
        except ValueError:
            key = None
        if key is None:
            problem = "expected an RSA private key in PEM, not encrypted"
            raise SettingsError(problem, "encrypt.key")
        return cls(key, salt=salt)

    @classmethod
    def from_key_store(
        cls,
        content: bytes,
        password: str,
        alias: str,
        *,
        secret: str = "",
        salt: str = DEFAULT_SALT,
    ) -> RsaCipher:
        """The cipher for a PKCS#12 key store with the default key *alias*.

        Aliases are looked up in any case, as Java does. Keys that are not RSA, or that
        *secret* does not open, are left out. Raises SettingsError.
        """
        keys = _keys_of(content, password.encode("utf-8"), secret.encode("utf-8"))
        if alias.lower() not in keys:
            problem = f"expected an RSA key of the key store, got {alias!r}"
            raise SettingsError(problem, "encrypt.key-store.alias")
        return cls(keys[alias.lower()], keys, salt)

    def encrypt(self, text: str, key: str = "") -> str:
        """The encrypted *text*, another one each time; raises InvalidRequest."""
        private = self._pick(key)
        if private is None:
            raise InvalidRequest("key", "expected the alias of a key in the key store")
        secret = os.urandom(_BLOCK)
        carried = private.public_key().encrypt(secret, PKCS1v15())
        sealed = _seal(_derive(secret.hex(), self._salt), text)
        content = len(carried).to_bytes(2, "big") + carried + sealed
        return base64.b64encode(content).decode("ascii")

    def decrypt(self, ciphertext: str, key: str = "") -> str:
        """The text; raises CannotDecrypt."""
        private = self._pick(key)
        if private is None:
            raise CannotDecrypt
        try:
            padded = ciphertext + "=" * (-len(ciphertext) % 4)  # Java needs none
            content = base64.b64decode(padded, validate=True)
            end = 2 + int.from_bytes(content[:2], "big")
            secret = private.decrypt(content[2:end], PKCS1v15())
            text = _open(_derive(secret.hex(), self._salt), content[end:])
        except ValueError:
            raise CannotDecrypt from None
        # Only now: an answer that comes sooner would tell what the padding was.
        if len(secret) != _BLOCK:
            raise CannotDecrypt
        return text

    def public_key(self) -> str:
        """The public key of the default alias, as OpenSSH writes it."""
        line = self._default.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        return f"{line.decode('ascii')} application"

    def _pick(self, alias: str) -> RSAPrivateKey | None:
        if not alias or self._others is None:
            return self._default
        return self._others.get(alias.lower())


def _salt_of(text: str) -> bytes:
    """Of hexadecimal digits, else the text itself: Spring's RsaSecretEncryptor."""
    try:
        return unhexlify(text)
    except ValueError:
        return text.encode("utf-8")


def _derive(password: str, salt: bytes) -> bytes:
    secret = password.encode("utf-8")
    return hashlib.pbkdf2_hmac("sha1", secret, salt, _ROUNDS, dklen=32)


def _seal(key: bytes, text: str) -> bytes:
    start, padder = os.urandom(_BLOCK), PKCS7(_BLOCK * 8).padder()
    padded = padder.update(text.encode("utf-8")) + padder.finalize()
    encryptor = Cipher(AES(key), CBC(start)).encryptor()
    return start + encryptor.update(padded) + encryptor.finalize()


def _open(key: bytes, content: bytes) -> str:
    """The text of start vector and ciphertext; raises ValueError."""
    decryptor = Cipher(AES(key), CBC(content[:_BLOCK])).decryptor()
    padded = decryptor.update(content[_BLOCK:]) + decryptor.finalize()
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    return (unpadder.update(padded) + unpadder.finalize()).decode("utf-8")


def _load(content: bytes, password: bytes | None = None) -> RSAPrivateKey | None:
    """The RSA key of a DER document; None for another key or another password."""
    try:
        key = serialization.load_der_private_key(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _keys_of(store: bytes, password: bytes, secret: bytes) -> dict[str, RSAPrivateKey]:
    """The RSA keys of a key store by their aliases in lower case."""
    if store.startswith(_JKS):
        problem = "expected PKCS#12, got JKS: convert it with keytool -importkeystore"
        raise SettingsError(problem, "encrypt.key-store")
    try:
        pkcs12.load_pkcs12(store, password)  # checks the password; gives one key only
        encrypted = dict(_encrypted_keys(store))
    except (ValueError, IndexError, UnsupportedAlgorithm):
        problem = "expected a PKCS#12 key store and its password"
        raise SettingsError(problem, "encrypt.key-store") from None
    loaded = {alias: _load(key, secret or password) for alias, key in encrypted.items()}
    return {alias: key for alias, key in loaded.items() if key is not None}


def _encrypted_keys(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Alias and EncryptedPrivateKeyInfo of each key of a PFX (RFC 7292, section 4)."""
    (_, store), *_ = _values(content)
    _, (_, outer), *_ = _values(store)
    for _, part in _values(_inside(outer)):
        if part.startswith(b"\x06\x09" + _DATA):
            for _, bag in _values(_inside(part)):
                (_, kind), (_, value), *attributes = _values(bag)
                if kind == _ENCRYPTED_KEY:
                    yield _alias_of(attributes), value


def _inside(content_info: bytes) -> bytes:
    """What the sequence in the octets of a ContentInfo holds."""
    _, (_, explicit) = _values(content_info)
    (_, octets), *_ = _values(explicit)
    (_, sequence), *_ = _values(octets)
    return sequence


def _alias_of(attributes: list[tuple[int, bytes]]) -> str:
    for _, content in attributes:  # one set, where there are any
        for _, attribute in _values(content):
            (_, kind), (_, names) = _values(attribute)
            if kind == _FRIENDLY_NAME:
                (_, name), *_ = _values(names)
                return name.decode("utf-16-be").lower()
    return ""


def _values(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each DER value; raises ValueError or IndexError."""
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length > 0x7F:
            start, at = at, at + length - 0x80
            length = int.from_bytes(content[start:at], "big")
        if at + length > len(content):
            raise ValueError("a value is cut off")
        yield tag, content[at : at + length]
        at += length
