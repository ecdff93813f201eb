"""document: what every format is read into, and the limits they all keep."""

import pytest

from pyconfserve.environment.formats import document
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import DocumentError


def test_an_entry_may_have_no_place():
    """Line and column 0 say that the format does not tell."""
    assert Entry("x") == ("x", 0, 0)


def test_null_becomes_the_empty_text():
    """Everything else stays as it is, where it is."""
    entries = {"a": Entry(None, 1, 4), "b": Entry(False, 2, 4), "c": Entry(0), "d": Entry("")}
    expected = {"a": Entry("", 1, 4), "b": Entry(False, 2, 4), "c": Entry(0), "d": Entry("")}
    assert Document(expected) == document.make_document(entries)
    assert list(expected) == list(document.make_document(entries).entries)


@pytest.mark.parametrize("key", ["k" * 1024, "é" * 512, "🙂" * 256, ""])
def test_a_key_within_the_limit(key):
    """The length is counted in bytes of UTF-8."""
    assert [key] == list(document.make_document({key: Entry(1)}).entries)


@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513, "🙂" * 257])
def test_a_key_above_the_limit(key):
    """The error names the place, never the key."""
    with pytest.raises(DocumentError) as caught:
        document.make_document({"a": Entry(1, 1, 1), key: Entry(1, 7, 3)})
    assert str(caught.value) == "7:3: a key is longer than 1024 bytes"


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("0", 10, 0),
        ("-17", 10, -17),
        ("017", 8, 15),
        ("-0x1A", 16, -26),
        ("0b1010", 2, 10),
        (str(2**1024 - 1), 10, 2**1024 - 1),
        (bin(2**1024 - 1), 2, 2**1024 - 1),
        (hex(2**1024 - 1), 16, 2**1024 - 1),
        ("0" + oct(2**1024 - 1)[2:], 8, 2**1024 - 1),
    ],
    ids=lambda value: str(value)[:10],
)
def test_an_integer_is_read(text, base, number):
    """In the bases that YAML has, up to 1024 bits."""
    assert number == document.check_integer(text, base)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (str(2**1024), 10),
        ("9" * 401, 10),
        ("9" * 5000, 10),
        (hex(2**1024), 16),
        ("0" * 401, 8),
        (bin(2**1024), 2),
        ("0b" + "1" * 5000, 2),
    ],
    ids=lambda value: str(value)[:10],
)
def test_an_integer_above_the_limit(text, base):
    """Refused by its length before it is computed."""
    with pytest.raises(ValueError, match=r"^an integer has more than 1024 bits$"):
        document.check_integer(text, base)
