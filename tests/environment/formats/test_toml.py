"""toml: TOML read by the standard library, dates as they were written."""

import math

import pytest

from pyconfserve.environment.formats import toml
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import Conflict, DocumentError

LIMIT = "a value is too large or nested too deep"


@pytest.mark.parametrize(
    ("text", "flat"),
    [
        ('a = "x"\nb.c = 1\n[d]\ne = [1, [2.5, true]]\n', {"a": "x", "b.c": 1, "d.e[0]": 1, "d.e[1][0]": 2.5, "d.e[1][1]": True}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2\n", {"a[0].b": 1, "a[1].b": 2}),
        ("a = []\nb = {}\nc = [{}, 1]\n", {"a": "", "c[1]": 1}),
        ('"a.b" = 1\n"é" = "🙂\\u00e9"\n', {"a.b": 1, "é": "🙂é"}),
        ("a = 0xFF\nb = 0o17\nc = 0b11\nd = 1_000\ne = -0.0\nf = 1e7", {"a": 255, "b": 15, "c": 3, "d": 1000, "e": -0.0, "f": 1e7}),
        ("a = inf\nb = -inf\nc = nan", {"a": math.inf, "b": -math.inf, "c": math.nan}),
        (f"a = {2**1024 - 1}", {"a": 2**1024 - 1}),
        ("a = " + "[" * 49 + "1" + "]" * 49, {"a" + "[0]" * 49: 1}),
        ('a = "\\u0000"\r\nb = 1\r\n', {"a": "\x00", "b": 1}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_document_is_read(text, flat):
    """Flat keys in the order of the file, without places."""
    (document,) = toml.parse(text)
    expected = {key: Entry(value) for key, value in flat.items()}
    assert repr(Document(expected)) == repr(document)


@pytest.mark.parametrize(
    "moment",
    [
        "1979-05-27",
        "1979-05-27T07:32:00Z",
        "1979-05-27T07:32:00z",
        "1979-05-27t07:32:00",
        "1979-05-27 07:32:00",
        "1979-05-27T07:32:00.5",
        "1979-05-27T07:32:00.123456789",
        "1979-05-27T00:32:00-07:00",
        "1979-05-27T00:32:00+00:00",
        "07:32:00",
        "07:32:00.999999",
    ],
)
def test_a_date_stays_as_it_was_written(moment):
    """Dates and times are text, letter by letter."""
    (document,) = toml.parse(f"a = {moment}\nb = [{{ c = {moment} }}]\n")
    assert Document({"a": Entry(moment), "b[0].c": Entry(moment)}) == document


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = 1979-05-27T07:32:00Z\n# 1979-05-27 07:32:00Z\n", id="a comment"),
        pytest.param('a = 1979-05-27T07:32:00Z\nb = "1979-05-27 07:32:00Z"\n', id="a text"),
        pytest.param("a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00z\n", id="another value"),
    ],
)
def test_a_date_does_not_take_the_spelling_of_another(text):
    """The same moment, written in two ways in one file, stays as it stands at each place."""
    (document,) = toml.parse(text)
    assert Entry("1979-05-27T07:32:00Z") == document.entries["a"]


def test_texts_and_keys_that_look_like_dates_stay():
    """Only values that are dates are dates."""
    text = "1979-05-27 = '07:32:00'\nb = \"x 1979-13-45\"\nc = '''\n2024-02-30'''\n[2024-01-01]\nd = 1\n"
    expected = {"1979-05-27": Entry("07:32:00"), "b": Entry("x 1979-13-45"), "c": Entry("2024-02-30"), "2024-01-01.d": Entry(1)}
    assert (Document(expected),) == toml.parse(text)


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[a]\n[b.c]\n", "a = {}"])
def test_a_text_without_values_is_no_document(text):
    """Empty tables hold nothing."""
    assert toml.parse(text) == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\nb = \n", "2:5: not TOML"),
        ("a = secret", "1:5: not TOML"),
        ("a = 1\na = 2\n", "2:6: not TOML"),
        ("a: 1", "1:2: not TOML"),
        ("a = [1", "not TOML"),
        ("a = 2024-02-30", "1:5: not TOML"),
        ('a = "\\ud800"', "1:12: not TOML"),
        (f"a = {2**1024}", LIMIT),
        ("a = " + "9" * 5000, LIMIT),
        ("a = " + "[" * 51 + "1" + "]" * 51, LIMIT),
        ("a = " + "[" * 100_000, LIMIT),
        (".".join("a" * 60) + " = 1", LIMIT),
        (".".join("a" * 5_000) + " = 1", LIMIT),
        ("[" + ".".join("a" * 60) + "]", LIMIT),
        ("k" * 1025 + " = 1", "a key is longer than 1024 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_text_is_refused(text, problem):
    """With the place of a syntax error, and without quoting the file."""
    with pytest.raises(DocumentError) as caught:
        toml.parse(text)
    assert problem == str(caught.value)


def test_toml_is_not_written():
    """A save of a bundle that is stored as TOML is a conflict."""
    with pytest.raises(Conflict) as caught:
        toml.write({"a": 1})
    assert str(caught.value) == "a toml file is read only here; store the bundle as yaml or json"
