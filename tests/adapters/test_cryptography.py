"""The ciphers: both ways with what Spring encrypted, and nothing told by a failure."""

import base64
import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from pyconfserve.adapters import cryptography as adapter
from pyconfserve.adapters.cryptography import RsaCipher, SymmetricCipher, make_cipher
from pyconfserve.environment import cipher, formats
from pyconfserve.environment.cipher import CannotDecrypt
from pyconfserve.environment.overlay import PropertySource
from pyconfserve.errors import InvalidRequest, MissingDependency, SettingsError

SPRING = Path(__file__).parents[1] / "cases" / "spring"
RECORDED = json.loads((SPRING / "ciphertexts.json").read_text(encoding="utf-8"))
KEY = RECORDED["symmetric"]["key"]
STORE = (SPRING / "fixtures" / "crypto-rsa" / "server.p12").read_bytes()
PASSWORD = RECORDED["rsa"]["password"]
PRIVATE = load_pem_private_key((SPRING / "fixtures" / "crypto-rsa" / "keys.pem").read_bytes(), None)
TEXTS = ["", "a", "0123456789abcdef", "pässwörd € 😀", "with spaces  ", "line1\nline2\n", "\0", "x" * 100_000]
# The public key of `configkey` (case crypto-rsa/key).
PUBLIC = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQD2Z3sMVQUlMD9nITw5rDQ6gRHK3DUEgsrvI/I4ma+DZwmqUNU2NoFPrD/KRXjW79nIT9/oDiZdwJ1x"
    "ChZe8Q5DHwU7JUn4OhXRhALVsOxjCS0YevN04ea9bt703er25U62T7VGJA4r+7tYaQ72azPxV2Lq7U/Nqmw4F5fQ+HTDI1eU0Zezxt2Jt6NJuUjCaCJD"
    "doHlyPPEa3UfjSNoxTyycWfo60HKdivncPJ4LGupJ7TVPh1Jkvb1bk4/3LZw7JivfdYKSmNsaZsLlHb9vWXdQz3ZMVEDt3/VKosCp9UOR+GzJqqnM7b+"
    "tCn6dC8tt5WXrrGWZkCKXuLHOSILftGf application"
)


def pem(form=PrivateFormat.TraditionalOpenSSL, protection=None, key=PRIVATE):
    """A private key as `openssl genrsa -traditional` writes it."""
    return key.private_bytes(Encoding.PEM, form, protection or NoEncryption()).decode("ascii")


def store(key, name, password=b"pw", certificate=None):
    """A key store with one key; with a certificate the key has one more attribute."""
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(name, key, certificate, None, protection)


@pytest.fixture(scope="module")
def symmetric():
    return SymmetricCipher(KEY)


@pytest.fixture(scope="module")
def rsa():
    return RsaCipher.from_key_store(STORE, PASSWORD, "configkey")


def shown(name, given):
    """A recorded file after decryption, as pairs of key and value."""
    path = SPRING / "fixtures" / name
    (document,) = formats.parse(path.read_bytes(), path.suffix.lstrip("."), "latin-1")
    (source,) = cipher.decrypt_sources((PropertySource(name, document.entries),), given)
    return list(source.properties.items())


@pytest.mark.parametrize("row", RECORDED["symmetric"]["pairs"], ids=lambda row: row["posted"][:20])
def test_spring_texts_decrypt(symmetric, row):
    """Every recorded answer of POST /encrypt, by way of POST /decrypt."""
    assert (row["plain"] or "") == cipher.decrypt_text(row["cipher"], "text/plain", symmetric)


@pytest.mark.parametrize("row", RECORDED["symmetric"]["pairs"], ids=lambda row: row["posted"][:20])
def test_texts_are_encrypted_as_by_spring(symmetric, row):
    """The same prefixes, the same length, lower-case digits, and they decrypt."""
    sealed = cipher.encrypt_text(row["posted"], "text/plain", symmetric)
    front, digits = re.fullmatch(r"(.*?)([0-9a-f]+)", sealed).groups()
    assert (front, len(digits)) == (row["cipher"][: len(front)], len(row["cipher"]) - len(front))
    assert (row["plain"] or "") == symmetric.decrypt(digits)


@pytest.mark.parametrize("row", RECORDED["rsa"]["pairs"], ids=lambda row: row["posted"][:20])
def test_spring_texts_decrypt_with_rsa(rsa, row):
    """With the key of the prefix; as text, and as a form with and without escapes."""
    sealed, form = row["cipher"], "application/x-www-form-urlencoded"
    assert row["plain"] == cipher.decrypt_text(sealed, "text/plain", rsa)
    front = sealed[: sealed.rfind("}") + 1]
    escaped = front + sealed.removeprefix(front).replace("+", "%2B").replace("=", "%3D")
    for body in (sealed, sealed + "=", escaped, escaped + "="):
        assert row["plain"] == cipher.decrypt_text(body, form, rsa)


@pytest.mark.parametrize("row", RECORDED["rsa"]["pairs"], ids=lambda row: row["posted"][:20])
def test_texts_are_encrypted_as_by_spring_with_rsa(rsa, row):
    """The same prefixes, lengths and parts, and they decrypt."""
    sealed = cipher.encrypt_text(row["posted"], "text/plain", rsa)
    start = row["cipher"].rfind("}") + 1
    ours, spring = (base64.b64decode(text[start:]) for text in (sealed, row["cipher"]))
    assert (sealed[:start], len(ours), ours[:2]) == (row["cipher"][:start], len(spring), b"\x01\x00")
    assert row["plain"] == rsa.decrypt(sealed[start:], row["alias"])


def test_a_file_of_the_crypto_case(symmetric):
    """Prefixes, upper-case digits, lists: the order and the texts of crypto/env."""
    inside = "4bc1cf582b17d39ef26e01057cb35ed16dbc7b1e33b8187ca06557376164ca75"
    expected = [
        ("first", "plain"), ("db.user", "app"), ("list[1]", "plain-item"),
        ("inside", "abc {cipher}" + inside), ("single-quoted", "'{cipher}" + inside + "'"), ("last", "plain"),
        ("db.password", "s3cret"), ("unicode", "pässwörd €"), ("empty", ""), ("number", "123"), ("multi", "a\nb: c"),
        ("placeholder", "${first}"), ("nested", "{cipher}abc"), ("list[0]", "item0"), ("list[2]", "item2"),
        ("upper", "upper"), ("keyed", "keyed"), ("secret", "secret"), ("keyed-secret", "both"),
        ("named", "named"), ("profiled", "profiled"), ("plain-prefix", "plainprefix"),
    ]  # fmt: skip
    assert expected == shown("crypto/orders.yml", symmetric)


@pytest.mark.parametrize("given", [SymmetricCipher(KEY), None], ids=["other key", "no key"])
def test_the_file_of_broken_values(given):
    """Not hexadecimal, odd, short, none, blanks, other key or salt, cut, changed."""
    upper = "{CIPHER}5bff8c7b2e5795ce46e00ca950eb4accfa4d0b584e03c6cbff46262fc48dc15e"
    broken = [
        "not-hex", "odd-hex", "short", "nothing", "space-front", "space-end", "wrong-key", "wrong-salt",
        "cut", "flipped", "list[0]",
    ]  # fmt: skip
    expected = [("a", 1), ("cipher-upper", upper), ("z", 2), *((f"invalid.{key}", "<n/a>") for key in broken)]
    assert expected == shown("crypto/broken.yml", given)


@pytest.mark.parametrize(
    ("salt", "values"),
    [
        ("deadbeef", [("invalid.a", "<n/a>"), ("b", "default-salt")]),
        ("cafebabe", [("a", "salty"), ("invalid.b", "<n/a>")]),
        ("CAFEBABE", [("a", "salty"), ("invalid.b", "<n/a>")]),
    ],
)
def test_the_salt_changes_the_key(salt, values):
    """It is hexadecimal (cases crypto/salted, crypto-salt/salted)."""
    assert values == shown("crypto/salted.yml", make_cipher(KEY, salt))


def test_the_file_of_the_rsa_case(rsa):
    """An alias picks its key; one that is missing or another's is invalid."""
    expected = [
        ("z", "plain"), ("a", "rsa-secret"), ("other", "other-secret"),
        ("invalid.missing-key", "<n/a>"), ("invalid.wrong-alias", "<n/a>"), ("invalid.bad", "<n/a>"),
    ]  # fmt: skip
    assert expected == shown("crypto-rsa/orders.yml", rsa)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_round_trips(symmetric, rsa, text):
    """Any text comes back, and is encrypted to another text each time."""
    for given in (symmetric, rsa):
        once, again = given.encrypt(text), given.encrypt(text)
        assert once != again
        assert [text, text] == [given.decrypt(once), given.decrypt(again)]


def test_digits_are_read_in_either_case(symmetric):
    """Spring writes lower case."""
    assert symmetric.decrypt(symmetric.encrypt("x").upper()) == "x"


def test_a_password_is_the_key_of_every_alias(symmetric):
    """A prefix changes nothing (case crypto/env, keyed)."""
    assert symmetric.decrypt(symmetric.encrypt("x", "a"), "b") == "x"


def test_base64_needs_no_padding(rsa):
    """Java's decoder does without."""
    assert rsa.decrypt(rsa.encrypt("x").rstrip("=")) == "x"


def assert_fails(given, text, key=""):
    """With the one message, and no other error to be seen behind it."""
    with pytest.raises(CannotDecrypt) as caught:
        given.decrypt(text, key)
    assert str(caught.value) == "text not encrypted with this key"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "garbage!", "abc", "deadbeef", "AAAA", "é" * 64, "ab" * 16, "ab" * 17, "ab" * 32, " " + "ab" * 32,
        SymmetricCipher(KEY).encrypt("x")[:-2], SymmetricCipher(KEY).encrypt("x" * 20)[:64],
        SymmetricCipher(KEY).encrypt("x") + "\n", SymmetricCipher("other").encrypt("x"), SymmetricCipher(KEY, "00").encrypt("x"),
    ],
)  # fmt: skip
def test_no_failure_tells_what_was_wrong(symmetric, text):
    """Garbage, cut, another key, another salt: one message and no cause."""
    assert_fails(symmetric, text)


def test_what_is_not_utf_8_does_not_decrypt(symmetric):
    """A bit of the start vector changes one of the text, and the padding stays right."""
    start, rest = (digits := symmetric.encrypt("s3cret"))[:2], digits[2:]
    assert_fails(symmetric, f"{int(start, 16) ^ 0x80:02x}{rest}")
    assert symmetric.decrypt(f"{int(start, 16) ^ 0x01:02x}{rest}") == "r3cret"


def changed(rsa, change):
    """A text encrypted by RSA with its bytes changed."""
    return base64.b64encode(change(base64.b64decode(rsa.encrypt("s3cret")))).decode("ascii")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[:1],
        lambda content: content[:2],
        lambda content: content[:100],
        lambda content: content[:258],
        lambda content: content[:-1],
        lambda content: content[:-16],
        lambda content: b"\xff\xff" + content[2:],
        lambda content: b"\x00\x00" + content[2:],
        lambda content: content[:2] + b"\xff" * 256 + content[258:],
        lambda content: content[:2] + bytes([content[2] ^ 1]) + content[3:],
    ],
    ids=["empty", "one byte", "length", "cut secret", "no text", "cut", "cut block", "long", "short", "large", "bit"],
)
def test_changed_bytes_do_not_decrypt(rsa, change):
    """Wherever they are; the reason is always the same."""
    assert_fails(rsa, changed(rsa, change))


@pytest.mark.parametrize("text", ["", "!", "AAAA", "é", "=", "A", " AAAA", "00" * 32])
def test_what_is_no_base64_does_not_decrypt(rsa, text):
    """Nor what is, and nothing more."""
    assert_fails(rsa, text)


def test_a_secret_of_another_length_does_not_decrypt(rsa):
    """Only Spring's sixteen bytes do: a wrong key gives any length."""
    carried = PRIVATE.public_key().encrypt(b"x" * 8, PKCS1v15())
    sealed = adapter._seal(adapter._derive((b"x" * 8).hex(), bytes.fromhex("deadbeef")), "x")
    assert_fails(rsa, base64.b64encode(b"\x01\x00" + carried + sealed).decode("ascii"))


def test_another_rsa_key_or_salt_does_not_decrypt(rsa):
    """Nor an alias that is not there."""
    assert_fails(rsa, rsa.encrypt("x"), "otherkey")
    assert_fails(rsa, rsa.encrypt("x", "otherkey"))
    assert_fails(rsa, rsa.encrypt("x"), "absent")
    assert_fails(RsaCipher.from_key_store(STORE, PASSWORD, "configkey", salt="00"), rsa.encrypt("x"))


def test_an_unknown_alias_does_not_encrypt(rsa):
    """400: the request named it."""
    with pytest.raises(InvalidRequest) as caught:
        rsa.encrypt("x", "absent")
    assert str(caught.value) == "key: expected the alias of a key in the key store"


def test_public_keys(symmetric, rsa):
    """The line of the default alias; a password has none (cases key)."""
    assert symmetric.public_key() is None
    assert rsa.public_key() == PUBLIC
    assert RsaCipher.from_pem(pem()).public_key() == PUBLIC
    assert RsaCipher.from_key_store(STORE, PASSWORD, "otherkey").public_key() != PUBLIC


@pytest.mark.parametrize(
    "text",
    [
        pem(),
        "\n  " + pem().replace("\n", "\n    ") + "\n",
        pem().replace("\n", "\r\n"),
        pem().replace("\n", "\\n"),
        pem().replace("\n", "\\r\\n"),
        pem().replace("\n", " "),
        pem().replace("\n", ""),
    ],
    ids=["lines", "indented", "crlf", "escapes", "escaped crlf", "blanks", "one line"],
)
def test_a_pem_key(rsa, text):
    """However its lines end; it is the key of every alias, and *salt* is not its."""
    given = make_cipher(text, "not hexadecimal")
    assert given.decrypt(rsa.encrypt("x")) == "x"
    assert given.decrypt(given.encrypt("x", "any"), "other") == "x"
    assert rsa.decrypt(given.encrypt("x")) == "x"


def test_a_pem_key_of_pkcs8(rsa):
    """RsaCipher reads it; in `encrypt.key` it is a password, as in Spring."""
    text = pem(PrivateFormat.PKCS8)
    assert RsaCipher.from_pem(text).decrypt(rsa.encrypt("x")) == "x"
    assert SymmetricCipher(text).decrypt(make_cipher(text).encrypt("x")) == "x"


def test_a_salt_of_rsa_may_be_any_text():
    """One that is not hexadecimal stands for its bytes."""
    sealed = RsaCipher(PRIVATE, salt="sält").encrypt("x")
    assert RsaCipher(PRIVATE, salt="sält".encode().hex()).decrypt(sealed) == "x"


def fault(function, *arguments, **options):
    """The key and the message of a SettingsError, which hide what must be hidden."""
    with pytest.raises(SettingsError) as caught:
        function(*arguments, **options)
    assert PASSWORD not in str(caught.value)
    return caught.value.key, caught.value.problem


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n!!!!\n-----END RSA PRIVATE KEY-----",
        pem().replace("MII", "MI"),
        pem(protection=BestAvailableEncryption(b"pw")),
        pem(PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")),
        pem(PrivateFormat.PKCS8, key=ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["no end", "empty", "no base64", "cut", "encrypted", "encrypted pkcs8", "elliptic"],
)
def test_a_pem_key_that_is_none(text):
    """The message does not repeat it."""
    problem = "expected an RSA private key in PEM, not encrypted"
    assert ("encrypt.key", problem) == fault(RsaCipher.from_pem, text)


@pytest.mark.parametrize("key", ["ssh-rsa AAAA", "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----"])
def test_a_public_key_is_refused(key):
    """Spring says KeyFormatException."""
    assert fault(make_cipher, key) == ("encrypt.key", "expected a private key, got a public one")


@pytest.mark.parametrize("salt", ["", "xyz", "abc", "dead beef", "é"])
def test_a_salt_that_is_not_hexadecimal_is_refused(salt):
    """Where a password needs it."""
    assert fault(make_cipher, KEY, salt) == ("encrypt.salt", "expected pairs of hexadecimal digits")


def test_an_empty_salt_of_rsa_is_refused():
    """PBKDF2 in Java takes none either."""
    assert fault(RsaCipher, PRIVATE, salt="") == ("encrypt.rsa.salt", "expected a text, got none")


@pytest.mark.parametrize("key", ["", "  \n"])
def test_no_key_is_no_cipher(key):
    """Nor is a blank one."""
    assert make_cipher(key) is None


def test_a_key_store_comes_before_a_key(rsa):
    """And its alias is found in any case, as in Java."""
    given = make_cipher(KEY, key_store=STORE, password=PASSWORD, alias="ConfigKey")
    assert rsa.decrypt(given.encrypt("x")) == "x"
    assert rsa.decrypt(given.encrypt("x", "OTHERKEY"), "otherkey") == "x"


def test_a_key_store_has_a_salt_of_its_own(rsa):
    """`encrypt.salt` is for passwords."""
    options = {"key_store": STORE, "password": PASSWORD, "alias": "configkey"}
    assert make_cipher("", "00", **options).decrypt(rsa.encrypt("x")) == "x"
    assert_fails(make_cipher(rsa_salt="00", **options), rsa.encrypt("x"))


@pytest.mark.filterwarnings("ignore:PKCS#12 bundle could not be parsed as DER")
@pytest.mark.parametrize(
    ("content", "password"),
    [
        (STORE, "wrong"),
        (STORE, ""),
        (b"", PASSWORD),
        (b"garbage", PASSWORD),
        (STORE[:500], PASSWORD),
        (STORE + b"\x30\x05", PASSWORD),
        (b"\x30\x80" + STORE[4:] + b"\0\0", PASSWORD),
    ],
    ids=["password", "no password", "empty", "garbage", "cut", "more", "indefinite length"],
)
def test_a_key_store_that_cannot_be_read(content, password):
    """Whatever is wrong; the password is not repeated."""
    problem = "expected a PKCS#12 key store and its password"
    assert ("encrypt.key-store", problem) == fault(RsaCipher.from_key_store, content, password, "configkey")


def test_a_key_store_of_java_7():
    """JKS is named, with the way out."""
    problem = "expected PKCS#12, got JKS: convert it with keytool -importkeystore"
    content = b"\xfe\xed\xfe\xed\0\0\0\2"
    assert ("encrypt.key-store", problem) == fault(RsaCipher.from_key_store, content, PASSWORD, "configkey")


@pytest.mark.parametrize(
    ("content", "password", "alias", "secret"),
    [
        (STORE, PASSWORD, "absent", ""),
        (STORE, PASSWORD, "", ""),
        (STORE, PASSWORD, "configkey", "wrong"),
        (store(ec.generate_private_key(ec.SECP256R1()), b"elliptic"), "pw", "elliptic", ""),
        (store(PRIVATE, b"configkey", b""), "", "configkey", ""),
    ],
    ids=["absent", "none", "secret", "elliptic", "not encrypted"],
)
def test_a_key_that_is_not_in_the_store(content, password, alias, secret):
    """Another alias, another secret, another kind of key: the alias is named."""
    problem = f"expected an RSA key of the key store, got {alias!r}"
    told = fault(RsaCipher.from_key_store, content, password, alias, secret=secret)
    assert ("encrypt.key-store.alias", problem) == told


def test_key_stores_of_others():
    """With and without a name, with and without other attributes, with a secret."""
    certificate = pkcs12.load_pkcs12(STORE, PASSWORD.encode()).cert.certificate
    for name, alias in (("Größe", "GRößE"), (None, "")):
        for given in (None, certificate):
            content = store(PRIVATE, name and name.encode(), b"pw", given)
            read = RsaCipher.from_key_store(content, "pw", alias, secret="pw")
            assert read.public_key() == PUBLIC


def test_no_representation_holds_a_key(symmetric, rsa):
    """So that none gets into a log by chance."""
    assert KEY not in repr(symmetric) + repr(vars(symmetric))
    assert "object at" in repr(rsa)


def test_a_missing_cryptography_is_named(monkeypatch):
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    spec = importlib.util.spec_from_file_location("pyconfserve.adapters.again", adapter.__file__)
    with pytest.raises(MissingDependency) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert str(caught.value) == "encryption needs cryptography: pip install 'pyconfserve[crypto]'"


def test_a_fault_inside_cryptography_is_its_own(monkeypatch):
    """What cryptography misses is not taken for cryptography."""
    monkeypatch.setitem(sys.modules, "hashlib", None)
    spec = importlib.util.spec_from_file_location("pyconfserve.adapters.again", adapter.__file__)
    with pytest.raises(ModuleNotFoundError, match="hashlib"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
