"""cipher: what is in front of a text, values of sources, bodies of requests."""

import json
import time
from pathlib import Path

import pytest

from pyconfserve.environment import cipher
from pyconfserve.environment.cipher import CannotDecrypt
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import PropertySource
from pyconfserve.errors import InvalidRequest, UnsupportedMedia

RECORDED = Path(__file__).parents[1] / "cases" / "spring" / "ciphertexts.json"
SYMMETRIC = json.loads(RECORDED.read_text(encoding="utf-8"))["symmetric"]["pairs"]
RSA = json.loads(RECORDED.read_text(encoding="utf-8"))["rsa"]["pairs"]
TEXT = "text/plain"
FORM = "application/x-www-form-urlencoded"


class Brackets:
    """The smallest cipher: a text in brackets, with the alias where there is one."""

    def encrypt(self, text, key=""):
        if key == "absent":
            raise InvalidRequest("key", "no such key")
        return f"[{key}|{text}]"

    def decrypt(self, ciphertext, key=""):
        if not (ciphertext.startswith(f"[{key}|") and ciphertext.endswith("]")):
            raise CannotDecrypt
        return ciphertext[len(key) + 2 : -1]

    def public_key(self):
        return None


def source(name="s", **values):
    """A source whose values have origins; `__` in a name stands for a dot."""
    entries = {key.replace("__", "."): Entry(value, 3, 7) for key, value in values.items()}
    return PropertySource(name, entries)


def test_a_failure_has_one_message():
    """It is a ValueError, and says nothing of the text."""
    error = CannotDecrypt()
    assert isinstance(error, ValueError)
    assert str(error) == "text not encrypted with this key"


@pytest.mark.parametrize(
    ("text", "kept", "names", "rest"),
    [
        ("", "", {}, ""),
        ("abc", "", {}, "abc"),
        ("a}b", "", {}, "a}b"),
        ("{a", "", {}, "{a"),
        ("{a}b", "", {}, "{a}b"),
        ("{a:b", "", {}, "{a:b"),
        ("{}", "", {}, "{}"),
        ("{key:k}x", "{key:k}", {"key": "k"}, "x"),
        ("{key:k}{secret:s}x", "{key:k}{secret:s}", {"key": "k", "secret": "s"}, "x"),
        ("{key:k}{secret:s}", "{key:k}{secret:s}", {"key": "k", "secret": "s"}, ""),
        ("{key:k}{x", "{key:k}", {"key": "k"}, "{x"),
        ("{key:k}x{secret:s}", "{key:k}", {"key": "k"}, "x{secret:s}"),
        ("{key:}x", "{key:}", {"key": ""}, "x"),
        ("{key:a:b}x", "{key:a:b}", {"key": "a:b"}, "x"),
        ("{name:orders}x", "", {}, "x"),
        ("{profiles:prod}x", "", {}, "x"),
        ("{name:a}{profiles:b}x", "", {}, "x"),
        ("{key:k}{name:a}x", "{key:k}", {"key": "k"}, "x"),
        ("{name:a}{key:k}x", "", {}, "x"),
        ("{plain}x", "", {}, "x"),
        ("{plain}{key:k}x", "", {}, "{key:k}x"),
        ("{key:k}{plain}{a:b}x", "{key:k}", {"key": "k"}, "{a:b}x"),
        ("a{plain}b{plain}c", "", {}, "b{plain}c"),
        ('{"json": true}', '{"json": true}', {'"json"': " true"}, ""),
        ('{\n"json": true}', "", {}, '{\n"json": true}'),
        ("{key:k}x\n{a:b}", "{key:k}", {"key": "k"}, "x\n{a:b}"),
        ("{cipher}{key:k}x", "{cipher}{key:k}", {"cipher": "", "key": "k"}, "x"),
    ],
)
def test_prefixes_are_split(text, kept, names, rest):
    """Pairs in braces at the start; `{plain}` ends them, name and profiles are dropped."""
    assert cipher.Prefixed(kept, names, rest) == cipher.split_prefixes(text)


@pytest.mark.parametrize(("text", "key"), [("x", ""), ("{secret:s}x", ""), ("{key:k}x", "k")])
def test_a_prefix_picks_the_key(text, key):
    """By its alias; without one it is the default key."""
    assert key == cipher.split_prefixes(text).key


@pytest.mark.parametrize(
    "text",
    ["{" * 300_000 + "}", "{" + ":" * 300_000 + "\n}", "{a:b}" * 60_000 + "{", "{a}" * 100_000],
    ids=["braces", "colons", "many", "without colons"],
)
def test_hostile_prefixes_cost_little(text):
    """Time grows with the length of a text, not with its square."""
    start = time.perf_counter()
    cipher.split_prefixes(text)
    assert time.perf_counter() - start < 2


def test_sources_without_ciphers_stay_as_they_are():
    """The very same objects, with and without a cipher."""
    plain = (source(a=1, b="x {cipher}[|y]", c=None, d="{CIPHER}[|y]", e=True), source("t"))
    for given in (None, Brackets()):
        decrypted = cipher.decrypt_sources(plain, given)
        assert all(one is other for one, other in zip(plain, decrypted, strict=True))


def test_decrypted_values_go_to_the_end():
    """As texts without an origin; the order of all others stays (case crypto/env)."""
    given = source(a="{cipher}[|1]", b=2, c="{cipher}[|]", d="x")
    expected = {"b": Entry(2, 3, 7), "d": Entry("x", 3, 7), "a": Entry("1"), "c": Entry("")}
    (decrypted,) = cipher.decrypt_sources((given,), Brackets())
    assert decrypted.name == "s"
    assert list(expected.items()) == list(decrypted.entries.items())
    assert list(given.entries) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{cipher}{key:k}[k|x]", "x"),
        ("{cipher}{secret:s}[|x]", "x"),
        ("{cipher}{key:k}{secret:s}[k|x]", "x"),
        ("{cipher}{name:orders}[|x]", "x"),
        ("{cipher}{profiles:prod}[|x]", "x"),
        ("{cipher}{plain}[|x]", "x"),
        ("{cipher}[|{cipher}abc]", "{cipher}abc"),
        ("{cipher}[|${a}]", "${a}"),
    ],
)
def test_prefixes_of_values_are_stripped(value, text):
    """The key of a prefix is used; what comes out is not looked at again."""
    (decrypted,) = cipher.decrypt_sources((source(a=value),), Brackets())
    assert {"a": Entry(text)} == decrypted.entries


@pytest.mark.parametrize("value", ["{cipher}", "{cipher} [|x]", "{cipher}[|x] ", "{cipher}{key:k}[|x]", "{cipher}00"])
def test_what_cannot_be_decrypted_is_invalid(value):
    """The key says so, the value is gone (case crypto/broken)."""
    (decrypted,) = cipher.decrypt_sources((source(a__b=value, z=2),), Brackets())
    assert [("z", Entry(2, 3, 7)), ("invalid.a.b", Entry("<n/a>"))] == list(decrypted.entries.items())


def test_without_a_key_everything_is_invalid():
    """In every source; those without ciphers stay (case crypto-nokey/broken)."""
    given = (source(a="{cipher}[|x]", b=1), source("t", c=3))
    first, second = cipher.decrypt_sources(given, None)
    assert [("b", Entry(1, 3, 7)), ("invalid.a", Entry("<n/a>"))] == list(first.entries.items())
    assert second is given[1]


def test_an_invalid_key_replaces_its_namesake():
    """As a map does, at the place of the one that was there."""
    given = PropertySource("s", {"a": Entry("{cipher}0"), "invalid.a": Entry("mine"), "b": Entry(1)})
    (decrypted,) = cipher.decrypt_sources((given,), Brackets())
    assert [("invalid.a", Entry("<n/a>")), ("b", Entry(1))] == list(decrypted.entries.items())


def test_a_failure_of_the_program_is_not_hidden():
    """Only CannotDecrypt makes a value invalid."""

    class Broken(Brackets):
        def decrypt(self, ciphertext, key=""):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cipher.decrypt_sources((source(a="{cipher}[|x]"),), Broken())


@pytest.mark.parametrize(
    ("body", "content_type", "answer"),
    [
        ("s3cret", TEXT, "[|s3cret]"),
        ("pässwörd €", TEXT, "[|pässwörd €]"),
        ("  s3cret  ", TEXT, "[|  s3cret  ]"),
        ("s3cret\n", TEXT, "[|s3cret\n]"),
        ("tr=", TEXT, "[|tr=]"),
        ("tr=", " Text/PLAIN ", "[|tr=]"),
        ("tr=", "text/plain;charset=UTF-8", "[|tr]"),
        ("s3cret=", FORM, "[|s3cret]"),
        ("=", FORM, "[|]"),
        ("a+b%21%E2%82%AC%3d=", FORM, "[|a b!€=]"),
        ("s3cret%21", FORM, "[|s3cret!]"),
        ("s3cret%21", FORM.upper() + ";charset=UTF-8", "[|s3cret!]"),
        ("a&b%21", FORM, "[|a&b!]"),
        ("a=b%21", FORM, "[|a=b%21]"),
        ("s3cret%21", "application/json", "[|s3cret%21]"),
        ("s3cret%21=", "application/json", "[|s3cret!]"),
        ('"s3cret"', "application/json", '[|"s3cret"]'),
        ("{key:k1}{secret:s}s3cret", TEXT, "{key:k1}{secret:s}[k1|s3cret]"),
        ("%7Bkey:k1%7Ds3cret=", FORM, "{key:k1}[k1|s3cret]"),
        ("{name:orders}s3cret", TEXT, "[|s3cret]"),
        ("{profiles:prod}s3cret", TEXT, "[|s3cret]"),
        ("{key:k1}{name:a}{profiles:b}s3cret", TEXT, "{key:k1}[k1|s3cret]"),
        ("{plain}{key:k1}s3cret", TEXT, "[|{key:k1}s3cret]"),
        ("{plain}", TEXT, "[|]"),
        ("a}b", TEXT, "[|a}b]"),
    ],
)
def test_encrypt(body, content_type, answer):
    """A form is decoded, prefixes stay in front, the rest is encrypted as it is."""
    assert answer == cipher.encrypt_text(body, content_type, Brackets())


@pytest.mark.parametrize("row", SYMMETRIC, ids=lambda row: row["posted"][:20])
def test_encrypt_as_recorded(row):
    """What is posted, what is in front of the answer, and what is encrypted."""
    hexadecimal = "0123456789abcdef"
    front = row["cipher"].rstrip(hexadecimal)
    assert f"{front}[|{row['plain'] or ''}]" == cipher.encrypt_text(row["posted"], TEXT, Brackets())


@pytest.mark.parametrize("row", RSA, ids=lambda row: row["posted"][:20])
def test_encrypt_with_aliases_as_recorded(row):
    """`{key:alias}` is kept and picks the key."""
    alias = row["alias"] if "{key:" in row["posted"] else ""
    front = row["cipher"][: row["cipher"].rfind("}") + 1]
    assert f"{front}[{alias}|{row['plain']}]" == cipher.encrypt_text(row["posted"], TEXT, Brackets())


@pytest.mark.parametrize("body", ["a%2=", "%zz=", "a%=", "%FF=", "%€a="])
def test_a_malformed_form_is_not_encrypted(body):
    """Neither a bad escape nor what is not UTF-8; the message does not repeat it."""
    with pytest.raises(InvalidRequest) as caught:
        cipher.encrypt_text(body, FORM, Brackets())
    assert str(caught.value) == "body: expected URL-encoded UTF-8"


def test_an_unknown_key_does_not_encrypt():
    """What the cipher says of the alias is passed on."""
    with pytest.raises(InvalidRequest, match="no such key"):
        cipher.encrypt_text("{key:absent}x", TEXT, Brackets())


class Texts(Brackets):
    """A cipher that shows which text it was given."""

    def decrypt(self, ciphertext, key=""):
        return f"{key}|{ciphertext}"


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("abcd", TEXT, "|abcd"),
        ("abc=", TEXT, "|abc="),
        ("abcd\n", TEXT, "|abcd\n"),
        ("abcd", FORM, "|abcd"),
        ("abcd", "application/json", "|abcd"),
        ("abcd=", FORM, "|abcd"),
        ("abc=", FORM, "|abc="),
        ("ab==", FORM, "|ab=="),
        ("a%2Bb=", FORM, "|a+b="),
        ("a+b=", FORM, "|a+b="),
        ("ab%3D==", FORM, "|ab=="),
        ("a+%2Fb", FORM, "|a+/b"),
        ("abc", FORM, "|abc="),
        ("a+%2Fb", "application/json", "|a+%2Fb"),
        ("{key:k1}{secret:s}abcd", TEXT, "k1|abcd"),
        ("{key:k1}abcd=", FORM, "k1|abcd"),
        ("{name:a}{profiles:b}abcd", TEXT, "|abcd"),
        ("{plain}abcd", TEXT, "|abcd"),
        ("{cipher}abcd", TEXT, "|{cipher}abcd"),
    ],
)
def test_decrypt(body, content_type, text):
    """Prefixes pick the key and are dropped; a form is decoded, a blank is a plus."""
    assert text == cipher.decrypt_text(body, content_type, Texts())


@pytest.mark.parametrize(
    ("body", "content_type"),
    [("garbage", TEXT), ("[|x]\n", TEXT), ("{cipher}[|x]", TEXT), ("{key:k}[|x]", TEXT), ("a%2=", FORM), ("%FF=", FORM)],
)
def test_what_is_not_encrypted_is_not_decrypted(body, content_type):
    """Neither `{cipher}` in front nor a newline at the end nor another key."""
    with pytest.raises(CannotDecrypt):
        cipher.decrypt_text(body, content_type, Brackets())


@pytest.mark.parametrize("answer", [cipher.encrypt_text, cipher.decrypt_text])
@pytest.mark.parametrize(
    ("body", "content_type", "kind", "problem"),
    [
        ("", TEXT, InvalidRequest, "body: expected a text, got none"),
        ("x", None, InvalidRequest, "Content-Type: expected one, got none"),
        ("x", "", InvalidRequest, "Content-Type: expected one, got none"),
        ("x", "nonsense", UnsupportedMedia, "expected a Content-Type such as text/plain"),
        ("x", "text/plain charset", UnsupportedMedia, "expected a Content-Type such as text/plain"),
    ],
)
def test_a_body_and_its_type_are_needed(answer, body, content_type, kind, problem):
    """400 without one of them, 415 for a malformed type (cases crypto/decrypt-*)."""
    with pytest.raises(kind) as caught:
        answer(body, content_type, Brackets())
    assert problem == str(caught.value)


@pytest.mark.parametrize("text", ["", "x", "pässwörd € 😀", "{a:b}c", "a=b=", "line\n"])
def test_a_round_trip_through_both(text):
    """What is encrypted behind `{plain}` is decrypted to the same text."""
    sealed = cipher.encrypt_text("{key:k}{plain}" + text, TEXT, Brackets())
    (decrypted,) = cipher.decrypt_sources((source(a="{cipher}" + sealed),), Brackets())
    assert {"a": Entry(text)} == decrypted.entries
