"""store: keys and texts, which are the same in all stores."""

import pytest

from pyconfserve.errors import DocumentError, InvalidRequest
from pyconfserve.files import BundleName
from pyconfserve.store import Content, decode, encode, key_of, name_of

KEYS = {
    ("orders", "prod", "main"): "main/orders/prod",
    ("team/orders", "prod", "feature/x"): "feature%2Fx/team%2Forders/prod",
    ("Zürich 東京", "größe", "a"): "a/Z%C3%BCrich%20%E6%9D%B1%E4%BA%AC/gr%C3%B6%C3%9Fe",
    ("a+b~c@d", "1.2_3", "v1.0-x"): "v1.0-x/a%2Bb~c%40d/1.2_3",
    ("~a", "b", "'$&\""): "%27%24%26%22/~a/b",
}


@pytest.mark.parametrize(("name", "key"), KEYS.items(), ids=KEYS.values())
def test_a_key_is_made_of_three_segments(name, key):
    """Whatever is in the names, and it leads back to them."""
    assert key_of(BundleName(*name)) == key
    assert name_of(key) == name


@pytest.mark.parametrize(
    "key",
    ["", "a", "a/b", "a/b/c/d", "a//c", "a/../c", "a/%2E%2E/c", "a/./c", "a/%62/c", "a/b%2fc/d", "a/b/%FF", "a/b/c%2Fd", "a/b/", "a/ü/c", "a b/c/d", "%00/a/b", "a/b,c/d"],
)  # fmt: skip
def test_other_keys_are_no_bundles(key):
    """Nobody could ask for them, or they would be a second key of one bundle."""
    with pytest.raises(InvalidRequest):
        name_of(key)


def test_what_is_stored_comes_back():
    """Flat, in its order, each value of its type, with the id of its change."""
    tree = {"b": {"c": [1, 1.5, True, None, []]}, "a": "é\x00\u2028", "n": 2**1023, "e": {}}  # fmt: skip
    text = encode(tree, "x1")
    assert text.startswith('{"change":"x1","properties":{"b.c[0]":1,"b.c[1]":1.5')
    content = decode(text)
    expected = {"b.c[0]": 1, "b.c[1]": 1.5, "b.c[2]": True, "b.c[3]": "", "b.c[4]": "", "a": "é\x00\u2028", "n": 2**1023}  # fmt: skip
    assert content == Content(expected, "x1")
    assert [*content.properties] == [*expected]
    assert [*map(type, content.properties.values())] == [*map(type, expected.values())]
    assert "\x00" not in text


def test_what_cannot_be_stored_is_refused():
    """Before anything is written."""
    with pytest.raises(InvalidRequest):
        encode({"a": float("nan")}, "x")


def test_what_others_wrote_may_be_nested():
    """And needs no id."""
    assert decode('{"properties": {"a": {"b": [1]}}}') == Content({"a.b[0]": 1}, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ('{"properties": {"a": NaN}}', "is no JSON"),
        ('{"properties": {"a": -Infinity}}', "is no JSON"),
        ('{"properties": {"a": 1e999}}', "has wrong properties: expected finite numbers"),
        (f'{{"properties": {{"a": {"9" * 5000}}}}}', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "has no properties"),
        ("7", "has no properties"),
        ("{}", "has no properties"),
        ('{"properties": [1]}', "has wrong properties: expected a map, got list"),
        ('{"properties": {"a": "\\ud800"}}', "has wrong properties: text holds a lone surrogate"),
    ],
    ids=["empty", "cut", "nan", "infinity", "huge", "long", "deep", "list", "number", "none", "no-map", "surrogate"],
)  # fmt: skip
def test_texts_that_do_not_parse(text, problem):
    """Each says what is wrong, and quotes nothing."""
    with pytest.raises(DocumentError, match=rf"^the stored text {problem}$"):
        decode(text)
