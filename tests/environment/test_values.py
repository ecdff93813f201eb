"""values: Java's spelling of what is not text."""

import json
import math
from pathlib import Path

import pytest

from pyconfserve.environment import formats, values

RECORDED = Path(__file__).parents[1] / "cases" / "spring"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-17, "-17"),
        (2**64, "18446744073709551616"),
        (1.5, "1.5"),
        (1e7, "1.0E7"),
        (math.inf, "Infinity"),
    ],
)
def test_a_value_as_text(value, text):
    """Booleans are in lower case, null is empty, the rest is Java's spelling."""
    assert text == values.text_of(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100.0, "100.0"),
        (-0.25, "-0.25"),
        (0.001, "0.001"),
        (0.0009999, "9.999E-4"),
        (1e-4, "1.0E-4"),
        (1.5e-7, "1.5E-7"),
        (-1.5e-7, "-1.5E-7"),
        (9999999.0, "9999999.0"),
        (9999999.999, "9999999.999"),
        (1e7, "1.0E7"),
        (-1e7, "-1.0E7"),
        (12345678.9, "1.23456789E7"),
        (1e15, "1.0E15"),
        (123456789012345680.0, "1.2345678901234568E17"),
        (1e16, "1.0E16"),
        (1e21, "1.0E21"),
        (1e22, "1.0E22"),
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (2.2250738585072014e-308, "2.2250738585072014E-308"),
        (3.141592653589793, "3.141592653589793"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
    ],
)
def test_a_float_as_java_writes_it(number, text):
    """The shortest digits; an exponent below 1e-3 and from 1e7 on."""
    assert text == values.number_text(number)


@pytest.mark.parametrize("application", ["ints", "floats", "nulls"])
def test_recorded_spellings(application):
    """Spring's own `.properties` output spells every value as text_of does."""
    recorded = json.loads((RECORDED / "yaml-types.json").read_text("utf-8"))["cases"]
    (case,) = (case for case in recorded if case["id"] == f"{application}-properties")
    stored = RECORDED / "fixtures" / "yaml-types" / f"{application}.yml"
    (document,) = formats.parse(stored.read_bytes(), "yml")
    lines = [f"{key}: {values.text_of(entry.value)}" for key, entry in document.entries.items()]
    assert sorted(case["body"].split("\n")) == sorted(lines)
