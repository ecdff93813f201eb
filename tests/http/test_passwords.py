"""passwords: the text forms of secrets, and who fits them."""

import hashlib
import re
import threading

import pytest

from pyconfserve.http.passwords import (
    DUMMY,
    PasswordHash,
    hash_password,
    hash_token,
    new_token,
    parse_token,
)

CHEAP = 4  # log2 of n: a hash in microseconds
SALT = "AAECAwQFBgcICQoLDA0ODw"
OTHER_SALT = "AAECAwQFBgcICQoLDA0ODx"  # the same bytes with a spare bit
DIGEST = "A" * 43


def text(parameters="15$8$1", salt=SALT, digest=DIGEST, begin="scrypt"):
    """A hash in its text form."""
    return f"{begin}${parameters}${salt}${digest}"


@pytest.mark.parametrize(
    "password",
    ["s3cret", " ", ":", "a:b", "pässwörd", "密码", "\U0001f511", "x" * 1000],
    ids=ascii,
)
def test_a_password_fits_its_own_hash(password):
    """And no other password does, not even one that only begins like it."""
    secret = PasswordHash.parse(hash_password(password, cost=CHEAP))
    others = [f"{password} ", f" {password}", f"{password}\0", password[:-1], "", password.swapcase() + "x"]  # fmt: skip
    assert (secret.fits(password), [*map(secret.fits, others)]) == (True, [False] * 6)


def test_the_form_of_a_hash():
    """log2 n, r and p, then 16 bytes of salt and 32 of hash, both in base64."""
    form = r"scrypt\$15\$8\$1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"
    found = hash_password("s3cret")
    assert re.fullmatch(form, found)
    assert found == str(PasswordHash.parse(found))


def test_it_is_the_scrypt_of_others():
    """What another program hashes with these numbers is taken."""
    digest = hashlib.scrypt(b"s3cret", salt=bytes(range(16)), n=16, r=8, p=1, dklen=32)
    secret = PasswordHash(4, 8, 1, bytes(range(16)), digest)
    assert secret.fits("s3cret")


def test_every_hash_has_its_own_salt():
    """Two users of the same password do not show it."""
    assert len({hash_password("s3cret", cost=CHEAP) for _ in range(50)}) == 50


def test_one_password_has_one_form():
    """A keyboard that makes é of two characters types the same password (RFC 7617)."""
    assert PasswordHash.parse(hash_password("\xe9", cost=CHEAP)).fits("e\u0301")
    assert PasswordHash.parse(hash_password("e\u0301", cost=CHEAP)).fits("\xe9")


def test_a_password_with_nul_fits_nothing():
    """Not even its own hash: HMAC takes `s3cret` and `s3cret\\0` for the same."""
    secret = PasswordHash.parse(hash_password("s3cret\0", cost=CHEAP))
    assert [secret.fits("s3cret\0"), secret.fits("s3cret")] == [False, True]


@pytest.mark.parametrize("password", ["\udcff", "a\ud800b"], ids=ascii)
def test_half_characters_are_no_error(password):
    """What cannot be sent fits nothing."""
    assert not DUMMY.fits(password)


FORM = "expected scrypt$15$8$1$SALT$HASH"
PRICE = "a hash costs at most scrypt$18$8$4, which is 256 MiB"
BITS = "expected base64 without spare bits"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        pytest.param("", FORM, id="empty"),
        pytest.param("s3cret", FORM, id="a password"),
        pytest.param(text(begin="SCRYPT"), FORM, id="upper case"),
        pytest.param(text(begin="{scrypt}"), FORM, id="Spring's prefix"),
        pytest.param("$2b$12$" + "x" * 53, FORM, id="bcrypt"),
        pytest.param(text(salt=SALT[:-1]), FORM, id="short salt"),
        pytest.param(text(salt=f"{SALT}=="), FORM, id="padding"),
        pytest.param(text(salt=SALT[:-1] + "_"), FORM, id="urlsafe"),
        pytest.param(text(digest=DIGEST[:-1]), FORM, id="short hash"),
        pytest.param(text(digest=f"{DIGEST}A"), FORM, id="long hash"),
        pytest.param(text() + "\n", FORM, id="a line end"),
        pytest.param(" " + text(), FORM, id="a blank"),
        pytest.param(text("15$8"), FORM, id="a number less"),
        pytest.param(text("0$8$1"), FORM, id="zero"),
        pytest.param(text("015$8$1"), FORM, id="leading zero"),
        pytest.param(text("+15$8$1"), FORM, id="sign"),
        pytest.param(text("-15$8$1"), FORM, id="negative"),
        pytest.param(text("1_5$8$1"), FORM, id="underscore"),
        pytest.param(text("１５$8$1"), FORM, id="full-width digits"),
        pytest.param(text("999$8$1"), FORM, id="three digits"),
        pytest.param(text("19$1$1"), PRICE, id="cost"),
        pytest.param(text("15$17$1"), PRICE, id="blocks"),
        pytest.param(text("15$8$5"), PRICE, id="lanes"),
        pytest.param(text("18$9$1"), PRICE, id="memory"),
        pytest.param(text("99$99$99"), PRICE, id="all"),
        pytest.param(text(salt=OTHER_SALT), BITS, id="spare bits of the salt"),
        pytest.param(text(digest=DIGEST[:-1] + "B"), BITS, id="spare bits"),
    ],
)
def test_what_is_no_hash_is_refused(written, problem):
    """By a message that never shows it: it may be a password in the wrong place."""
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        PasswordHash.parse(written)


@pytest.mark.parametrize("parameters", ["18$8$1", "17$16$4", "1$1$1", "15$8$1"])
def test_costs_within_the_bounds_are_taken(parameters):
    """And written as they were."""
    assert text(parameters) == str(PasswordHash.parse(text(parameters)))


def test_the_dearest_hash_can_be_made():
    """OpenSSL is given the memory that the bounds allow."""
    assert not PasswordHash.parse(text("18$8$1")).fits("s3cret")


def test_nothing_secret_is_shown():
    """Neither by repr nor in a traceback's line of it."""
    secret = PasswordHash.parse(hash_password("s3cret", cost=CHEAP))
    assert repr(secret) == "PasswordHash(cost=4, blocks=8, lanes=1)"


def test_the_dummy_fits_nothing_and_costs_the_same():
    """It stands in for the password of a name that is unknown."""
    assert DUMMY.price == PasswordHash.parse(hash_password("x")).price == (15, 8, 1)
    assert [*map(DUMMY.fits, ["", "s3cret", "\0"])] == [False] * 3
    other = PasswordHash(5, 4, 2, b"s" * 16, b"d" * 32).dummy()
    assert other.price == (5, 4, 2)
    assert other != PasswordHash(5, 4, 2, b"s" * 16, b"d" * 32)


def test_other_threads_run_while_a_hash_is_made():
    """The lock of the interpreter is given back for the tenth of a second."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: (DUMMY.fits("x"), done.set()))
    thread.start()
    turns = 0
    while not done.is_set():
        turns += 1
    thread.join()
    assert turns > 1000  # a lock that is held gives a handful


def test_the_form_of_a_token_s_hash():
    """SHA-256 in hex, as `printf %s TOKEN | sha256sum` says it."""
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    assert f"sha256${digest}" == hash_token("secret")
    assert digest == parse_token(hash_token("secret"))


@pytest.mark.parametrize(
    "written",
    ["", "secret", "sha256$", "sha256$" + "a" * 63, "sha256$" + "a" * 65, "sha256$" + "A" * 64, "sha256$" + "g" * 64, "SHA256$" + "a" * 64, "a" * 64, "sha256$" + "a" * 64 + "\n"],
    ids=ascii,
)  # fmt: skip
def test_what_is_no_token_s_hash_is_refused(written):
    """Unquoted as well."""
    message = "^expected sha256\\$ and 64 hex digits in lower case$"
    with pytest.raises(ValueError, match=message):
        parse_token(written)


def test_tokens_are_long_and_never_the_same():
    """Of 256 bits of chance, in characters that every client can send."""
    tokens = [new_token() for _ in range(100)]
    assert len(set(tokens)) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
