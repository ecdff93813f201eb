"""json: JSON read strictly, with the place of every value."""

import math

import pytest

from pyconfserve.environment.formats import json
from pyconfserve.environment.formats.document import Document, Entry
from pyconfserve.errors import DocumentError, SchemaViolation

TEXT = "a text does not end, or holds a bad escape or a control byte"
SURROGATE = "a text holds a lone surrogate"
INTEGER = "an integer has more than 1024 bits"

REFUSED = [
    ("1", "1:1: expected a map at the top"),
    ("[]", "1:1: expected a map at the top"),
    ("null", "1:1: expected a map at the top"),
    ('"a"', "1:1: expected a map at the top"),
    ("{} x", "1:4: expected nothing after the map"),
    ("{}{}", "1:3: expected nothing after the map"),
    ("{", "1:2: expected a key in double quotes"),
    ("{a: 1}", "1:2: expected a key in double quotes"),
    ("{'a': 1}", "1:2: expected a key in double quotes"),
    ('{"a": 1,}', "1:9: expected a key in double quotes"),
    ('{"a" 1}', "1:6: expected ':'"),
    ('{"a"', "1:5: expected ':'"),
    ('{"a": 1 "b": 2}', "1:9: expected ','"),
    ('{"a": 1', "1:8: expected ','"),
    ('{"a": [1 2]}', "1:10: expected ','"),
    ('{"a": [1', "1:9: expected ','"),
    ('{"a":', "1:6: expected a value"),
    ('{"a": }', "1:7: expected a value"),
    ('{"a": [1,]}', "1:10: expected a value"),
    ('{"a": NaN}', "1:7: expected a value"),
    ('{"a": nul}', "1:7: expected a value"),
    ('{"a": True}', "1:7: expected a value"),
    ('{"a": Infinity}', "1:7: expected a value"),
    ('{"a": -Infinity}', "1:7: expected a value"),
    ('{"a": -}', "1:7: expected a value"),
    ('{"a": +1}', "1:7: expected a value"),
    ('{"a": .5}', "1:7: expected a value"),
    ('{"a": 01}', "1:8: expected ','"),
    ('{"a": 1.}', "1:8: expected ','"),
    ('{"a": 1e}', "1:8: expected ','"),
    ('{"a": 0x1}', "1:8: expected ','"),
    ('{"a": truex}', "1:11: expected ','"),
    ('{"a": /* b */ 1}', "1:7: expected a value"),
    ('{"a":\x0b1}', "1:6: expected a value"),
    ('{"a":\u00a01}', "1:6: expected a value"),
    ('{"a": 1e999}', "1:7: a number is too large"),
    ('{"a": -1e999}', "1:7: a number is too large"),
    ('{"a": ' + "9" * 400 + "}", f"1:7: {INTEGER}"),
    ('{"a": ' + "9" * 5000 + "}", f"1:7: {INTEGER}"),
    ('{\n "é": {"b": 1,\n "c": 2, "b": 3}}', "3:10: a key is there twice"),
    ('{"a": "x', f"1:7: {TEXT}"),
    ('{"a": "\\x"}', f"1:7: {TEXT}"),
    ('{"a": "\\u12"}', f"1:7: {TEXT}"),
    ('{"a": "\t"}', f"1:7: {TEXT}"),
    ('{"a\nb": 1}', f"1:2: {TEXT}"),
    ('{"a": "\\ud800"}', f"1:7: {SURROGATE}"),
    ('{"a": "\\udc00\\ud800"}', f"1:7: {SURROGATE}"),
    ('{"\\udfff": 1}', f"1:2: {SURROGATE}"),
    ('{"a": ' + "[" * 50 + "]" * 50 + "}", "1:56: nested more than 50 deep"),
    ('{"a":' * 51 + "1" + "}" * 51, "1:251: nested more than 50 deep"),
    ('{"a":' + "[" * 100_000, "1:55: nested more than 50 deep"),
]

READ = [
    ('{"a": {"b": [1, null, {"c": "x"}]}}', {"a": {"b": [1, None, {"c": "x"}]}}),
    (' \t\r\n{ "a" : [ ] , "b" : { } }\n ', {"a": [], "b": {}}),
    ('{"a": true, "b": false, "c": null}', {"a": True, "b": False, "c": None}),
    ('{"a": 0, "b": -0, "c": -17, "d": 9223372036854775808}', {"a": 0, "b": 0, "c": -17, "d": 2**63}),
    ('{"a": 1.0, "b": -0.0, "c": 1e3, "d": 1E-7, "e": 2.5e+1}', {"a": 1.0, "b": -0.0, "c": 1000.0, "d": 1e-7, "e": 25.0}),
    ('{"a": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0000"}', {"a": '"\\/\b\f\n\r\té\x00'}),
    ('{"a": "\\ud83d\\ude42🙂\u2028"}', {"a": "🙂🙂\u2028"}),
    ('{"": {"": 1}}', {"": {"": 1}}),
    ('{"a.b": 1, "a": {"b": 2}}', {"a.b": 1, "a": {"b": 2}}),
    ('{"a":' * 50 + "1" + "}" * 50, None),
]


def test_a_document_keeps_the_place_of_every_value():
    """Lines and columns count from 1, and columns count characters."""
    text = '{"é": 1,\r\n  "b": [true, {"x": null}, [ ], -1.5],\n\t"c": {"d": {}, "e":\n"f"}}\n'
    entries = {
        "é": Entry(1, 1, 7),
        "b[0]": Entry(True, 2, 9),
        "b[1].x": Entry("", 2, 21),
        "b[2]": Entry("", 2, 28),
        "b[3]": Entry(-1.5, 2, 33),
        "c.e": Entry("f", 4, 1),
    }
    assert (Document(entries),) == json.parse(text)


@pytest.mark.parametrize(
    ("text", "documents"), [("", ()), (" \t\r\n", ()), ("{}", (Document({}),)), (' {"a": {}}', (Document({}),))]
)
def test_a_text_without_properties(text, documents):
    """Blanks are no document, an empty map is an empty one."""
    assert documents == json.parse(text)


@pytest.mark.parametrize(("text", "problem"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_text_that_is_not_json(text, problem):
    """Refused with its place, without quoting it, by both readers."""
    for read in (json.parse, json.read_tree):
        with pytest.raises(DocumentError) as caught:
            read(text)
        assert problem == str(caught.value)


def test_a_key_above_the_limit():
    """Counted flat, at the place of the value."""
    with pytest.raises(DocumentError) as caught:
        json.parse('{"a":\n {"' + "k" * 1023 + '": 1}}')
    assert str(caught.value) == "2:1030: a key is longer than 1024 bytes"


def test_a_text_with_too_many_values():
    """Bounded like every other format, with the same error."""
    with pytest.raises(DocumentError) as caught:
        json.parse('{"a": [' + "0," * 200_000 + "0]}")
    assert caught.value.problem == "more than 200000 values"


@pytest.mark.parametrize(("text", "tree"), READ, ids=lambda value: str(value)[:30])
def test_a_tree_is_read(text, tree):
    """Nested as written, with every type kept."""
    if tree is None:
        tree = 1
        for _ in range(50):
            tree = {"a": tree}
    assert repr(tree) == repr(json.read_tree(text))


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_is_no_tree(text):
    """A body has to hold a map."""
    with pytest.raises(DocumentError) as caught:
        json.read_tree(text)
    assert caught.value.problem == "expected a map at the top"


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "{}\n"),
        ({"b": 1, "a": {"é": [None, True, "🙂\n"]}}, '{\n  "b": 1,\n  "a": {\n    "é": [\n      null,\n      true,\n      "🙂\\n"\n    ]\n  }\n}\n'),
        ({"a": 1e300, "b": 2**70}, '{\n  "a": 1e+300,\n  "b": 1180591620717411303424\n}\n'),
    ],
    ids=["empty", "nested", "numbers"],
)
def test_a_tree_is_written(tree, text):
    """Indented by two, in its order, Unicode raw."""
    assert text == json.write(tree)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have(number):
    """Never NaN or Infinity in a file."""
    with pytest.raises(SchemaViolation) as caught:
        json.write({"a": [number]})
    assert str(caught.value) == "json holds finite numbers only"
