"""yaml_scalars: what a YAML 1.1 scalar means."""

import math

import pytest

from pyconfserve.environment.formats import yaml_scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON")],
        *[(text, False) for text in ("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF")],
        *[(text, text) for text in ("y", "n", "Y", "N", "tRue", "nULL", "x", "é", "=", "-", "+", ".", "--", "1.2.3")],
        *[(text, text) for text in ("0o17", "089", "08", "+31 20 123", "1e", "e3", "0x", "0b", "0b2", "_1", "1:60", "1:2:")],
        *[(text, text) for text in ("2024-02-29", "2024-02-29T00:00:00Z", "+.nan", "-.nan", ".Nan", ".iNF", "0:10", "1 2")],
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("-17", -17),
        ("017", 15),
        ("007", 7),
        ("-017", -15),
        ("0_7", 7),
        ("0xFF", 255),
        ("0xdead_beef", 3735928559),
        ("-0x1A", -26),
        ("0b1010", 10),
        ("-0b1_1", -3),
        ("1_000", 1000),
        ("1_", 1),
        ("9" * 30, int("9" * 30)),
        ("190:20:30", 685230),
        ("10:30", 630),
        ("-1:30", -90),
        ("+1:30", 90),
        (".5", 0.5),
        ("3.", 3.0),
        ("-.5", -0.5),
        ("-0.0", -0.0),
        ("1e3", 1000.0),
        ("1E3", 1000.0),
        ("1.5e-7", 1.5e-7),
        (".5e+1", 5.0),
        ("1_000.5", 1000.5),
        ("0.1_5", 0.15),
        ("190:20:30.15", 685230.15),
        ("-1:30.5", -90.5),
        ("1e999", math.inf),
        (".inf", math.inf),
        ("+.Inf", math.inf),
        ("-.INF", -math.inf),
        (".nan", math.nan),
        (".NaN", math.nan),
        (".NAN", math.nan),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_plain_scalar_means(text, value):
    """YAML 1.1 by the measured table of Spring; dates stay text."""
    assert repr(value) == repr(yaml_scalars.resolve(text))


@pytest.mark.parametrize(
    "text",
    ["9" * 400, "-" + "9" * 400, "0x" + "f" * 300, "0b" + "1" * 1025, "1" + ":00" * 200, "1" + ":00" * 20_000],
    ids=lambda text: text[:10],
)
def test_an_integer_above_the_limit(text):
    """Refused however it is spelled, before it is computed."""
    with pytest.raises(ValueError, match=r"^an integer has more than 1024 bits$"):
        yaml_scalars.resolve(text)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("str", "123", "123"),
        ("!", "~", "~"),
        ("value", "=", "="),
        ("null", "x", None),
        ("bool", "Off", False),
        ("int", "0b11", 3),
        ("int", "190:20:30", 685230),
        ("float", "3", 3.0),
        ("float", "1e3", 1000.0),
        ("float", ".inf", math.inf),
        ("binary", "aG\n k=", "aGk="),
        ("binary", "", ""),
        ("timestamp", "2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("timestamp", "2024-02-29 23:30:00.5 -1", "2024-03-01T00:30:00.500Z"),
        ("timestamp", "2024-02-29T12:00:00.1234567+0530", "2024-02-29T06:30:00.123Z"),
        ("timestamp", "0987-06-05", "0987-06-05T00:00:00.000Z"),
    ],
)
def test_a_tag_converts(tag, text, value):
    """Each of YAML's own tags gives its kind of value."""
    assert repr(value) == repr(yaml_scalars.CONVERTERS[tag](text))


@pytest.mark.parametrize(
    ("tag", "text", "problem"),
    [
        ("bool", "1", "not a boolean"),
        ("int", "1.5", "not an integer"),
        ("int", "yes", "not an integer"),
        ("float", "yes", "not a number"),
        ("binary", "abc", "not base64"),
        ("binary", "ab==ab==", "not base64"),
        ("timestamp", "2024-2-", "not a timestamp"),
        ("timestamp", "2024-02-30", "day is out of range for month"),
    ],
)
def test_a_tag_refuses(tag, text, problem):
    """What is not of its kind, without quoting it."""
    with pytest.raises(ValueError, match=f"^{problem}$"):
        yaml_scalars.CONVERTERS[tag](text)
