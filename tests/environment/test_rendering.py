"""rendering: an environment as bytes, one function a media type."""

import json
import math

import pytest

from pyconfserve.environment import rendering
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import Environment, PropertySource

EMPTY = Environment("orders", ("default",), None, None, None, ())

FULL = Environment(
    name="café,orders",
    profiles=("prod", 'e"u'),
    label="feature/x",
    version="abc",
    state="",
    sources=(
        PropertySource(
            "orders-prod",
            {
                "text": Entry("é\u2028🙂", 1, 7),
                "escaped": Entry('"\\/\x00\x1f\t\n\r\b\f\x7f', 2, 10),
                "true": Entry(True, 3, 1),
                "false": Entry(False, 3, 2),
                "null": Entry(None, 3, 3),
                "int": Entry(-17, 3, 4),
                "big": Entry(2**70, 3, 5),
                "double": Entry(100.0, 3, 6),
                "small": Entry(1.5e-7, 3, 7),
                "large": Entry(1e7, 3, 8),
                "minus": Entry(-0.0, 3, 9),
                "inf": Entry(math.inf, 4, 1),
                "-inf": Entry(-math.inf, 4, 2),
                "nan": Entry(math.nan, 4, 3),
                'k"é\n': Entry("", 0, 0),
            },
        ),
        PropertySource("empty", {}),
    ),
)

HEAD = '{"name":"café,orders","profiles":["prod","e\\"u"],"label":"feature/x","version":"abc","state":"",'


def render(environment, media_type):
    """The document as it is sent."""
    return rendering.RENDERERS[media_type](environment).encode()


def test_an_environment_without_sources():
    """Compact, keys in Spring's order, null where nothing is known."""
    expected = (
        b'{"name":"orders","profiles":["default"],"label":null,"version":null,"state":null,'
        b'"propertySources":[]}'
    )
    assert expected == render(EMPTY, rendering.JSON)
    assert expected == render(EMPTY, rendering.V2_JSON)


def test_an_environment_as_json():
    """Doubles as Java writes them, infinities as texts, Unicode raw, control characters escaped."""
    expected = (
        HEAD + '"propertySources":[{"name":"orders-prod","source":{'
        '"text":"é\u2028🙂",'
        '"escaped":"\\"\\\\/\\u0000\\u001f\\t\\n\\r\\b\\f\x7f",'
        '"true":true,"false":false,"null":null,"int":-17,"big":1180591620717411303424,'
        '"double":100.0,"small":1.5E-7,"large":1.0E7,"minus":-0.0,'
        '"inf":"Infinity","-inf":"-Infinity","nan":"NaN",'
        '"k\\"é\\n":""}},{"name":"empty","source":{}}]}'
    )
    assert expected.encode() == render(FULL, rendering.JSON)


def test_an_environment_as_v2_json():
    """Each property has its value and the line and column where it was written, or null."""
    expected = (
        HEAD + '"propertySources":[{"name":"orders-prod","source":{'
        '"text":{"value":"é\u2028🙂","origin":"1:7"},'
        '"escaped":{"value":"\\"\\\\/\\u0000\\u001f\\t\\n\\r\\b\\f\x7f","origin":"2:10"},'
        '"true":{"value":true,"origin":"3:1"},"false":{"value":false,"origin":"3:2"},'
        '"null":{"value":null,"origin":"3:3"},"int":{"value":-17,"origin":"3:4"},'
        '"big":{"value":1180591620717411303424,"origin":"3:5"},'
        '"double":{"value":100.0,"origin":"3:6"},"small":{"value":1.5E-7,"origin":"3:7"},'
        '"large":{"value":1.0E7,"origin":"3:8"},"minus":{"value":-0.0,"origin":"3:9"},'
        '"inf":{"value":"Infinity","origin":"4:1"},"-inf":{"value":"-Infinity","origin":"4:2"},'
        '"nan":{"value":"NaN","origin":"4:3"},'
        '"k\\"é\\n":""}},{"name":"empty","source":{}}]}'
    )
    assert expected.encode() == render(FULL, rendering.V2_JSON)


def test_sources_are_written_once():
    """What was written for the version is the JSON; V2 has more to say of each value."""
    written = FULL._replace(written=rendering.sources_json(FULL.sources))
    assert render(FULL, rendering.JSON) == render(written, rendering.JSON)
    assert b'"propertySources":[1]}' in render(FULL._replace(written="[1]"), rendering.JSON)
    assert render(FULL, rendering.V2_JSON) == render(written, rendering.V2_JSON)


@pytest.mark.parametrize("media_type", rendering.RENDERERS)
def test_every_document_is_strict_json(media_type):
    """No NaN, no Infinity: any reader of JSON takes it."""

    def refuse(constant):
        raise AssertionError(constant)

    text = render(FULL, media_type).decode()
    sources = json.loads(text, parse_constant=refuse)["propertySources"]
    assert list(FULL.sources[0].entries) == list(sources[0]["source"])


SOURCES = (PropertySource("x", {"a": Entry("1", 1, 4), "b": Entry(True)}),)


def test_a_version_is_stable():
    """The same content has the same version, in every process of every release."""
    assert rendering.content_version(()) == "7ebb3c7c2a87b1a2f8a7ed729ecb040d"
    assert rendering.content_version(SOURCES) == rendering.content_version(list(SOURCES))


def test_a_version_ignores_where_a_value_was_written():
    """A comment added to a file changes no version."""
    moved = (PropertySource("x", {"a": Entry("1", 9, 9), "b": Entry(True, 9, 1)}),)
    assert rendering.content_version(SOURCES) == rendering.content_version(moved)


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param((), id="no source"),
        pytest.param((PropertySource("y", SOURCES[0].entries),), id="name"),
        pytest.param((PropertySource("x", {"a": Entry("2"), "b": Entry(True)}),), id="value"),
        pytest.param((PropertySource("x", {"a": Entry(1), "b": Entry(True)}),), id="type"),
        pytest.param((PropertySource("x", {"a": Entry("1"), "b": Entry("true")}),), id="type of a boolean"),
        pytest.param((PropertySource("x", {"c": Entry("1"), "b": Entry(True)}),), id="key"),
        pytest.param((PropertySource("x", {"b": Entry(True), "a": Entry("1")}),), id="order"),
        pytest.param((*SOURCES, PropertySource("y", {})), id="one more source"),
    ],
)
def test_a_version_changes_with_the_content(sources):
    """Names, keys, values, types and order all count."""
    assert rendering.content_version(SOURCES) != rendering.content_version(sources)
