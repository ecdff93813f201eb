"""documents: what the body of an answer means, and which bodies are no answer."""

import json

import pytest
from scripted import environment

from pyconfserve.client.documents import Document, read_document


def read(tree):
    return read_document(json.dumps(tree).encode())


def test_the_first_source_wins():
    """Key by key; a list comes from one source; origins go with the values."""
    tree = environment({"a": 1, "list[0]": "x"}, {"a": 2, "b": "é", "list[0]": "y", "list[1]": "z"})  # fmt: skip
    assert read(tree) == Document(
        name="orders",
        profiles=("default",),
        label="main",
        version="1",
        values={"a": 1, "b": "é", "list[0]": "x"},
        origins={"a": "source-0", "b": "source-1", "list[0]": "source-0"},
    )


@pytest.mark.parametrize("value", ["", "x", 0, 1, -1.5, 10**30, True, False, None])
def test_scalars_keep_their_type(value):
    """Whatever JSON has."""
    (found,) = read(environment({"a": value})).values.values()
    assert (type(value), value) == (type(found), found)


def test_v2_documents_have_origins():
    """Some of their values may be plain; a key may be called value."""
    source = {
        "a": {"value": 1, "origin": "3:5"},
        "b": {"value": None, "origin": None},
        "c": {"value": "x"},
        "d": 2,
        "value": {"value": "v", "origin": "overrides"},
    }
    document = read(environment(source))
    assert document.values == {"a": 1, "b": None, "c": "x", "d": 2, "value": "v"}
    assert document.origins == {
        "a": "source-0:3:5",
        "b": "source-0",
        "c": "source-0",
        "d": "source-0",
        "value": "source-0:overrides",
    }


def test_little_is_needed():
    """Sources, and of each its properties."""
    expected = Document("", (), None, None, {"a": 1}, {"a": ""})
    assert read({"propertySources": [{"source": {"a": 1}}]}) == expected
    assert read({"propertySources": []}).values == {}


CANARY = "canary"
SOURCES = "expected property sources, each with a source"
BAD = {
    "empty": (b"", "expected JSON"),
    "html": (b"<html>canary</html>", "expected JSON"),
    "cut": (b'{"propertySources": [{"source": {"a": "cana', "expected JSON"),
    "not-utf8": (b'{"a": "\xffcanary"}', "expected UTF-8"),
    "utf16": (json.dumps(environment({})).encode("utf-16"), "expected UTF-8"),
    "bom": (b"\xef\xbb\xbf{}", "expected JSON"),
    "number-as-key": (b'{"propertySources": [{"source": {1: "canary"}}]}', "expected JSON"),
    "nan": (b'{"propertySources": [{"source": {"a": NaN}}]}', "expected JSON"),
    "infinity": (b'{"propertySources": [{"source": {"a": -Infinity}}]}', "expected JSON"),
    "overflow": (b'{"propertySources": [{"source": {"a": 1e999}}]}', "expected JSON"),
    "negative-overflow": (b'{"propertySources": [{"source": {"a": -1e999}}]}', "expected JSON"),
    "repeated": (b'{"propertySources": [{"source": {"a": "canary", "a": 2}}]}', "expected JSON"),
    "repeated-sources": (b'{"propertySources": [], "propertySources": []}', "expected JSON"),
    "bomb": (b"[" * 200_000, "expected JSON"),
    "digits": (b'{"propertySources": [{"source": {"a": ' + b"1" * 5000 + b"}}]}", "expected JSON"),
    "list": (b'["canary"]', "expected a map"),
    "text": (b'"canary"', "expected a map"),
    "null": (b"null", "expected a map"),
    "nothing": (b"{}", "expected a list of propertySources"),
    "null-sources": (b'{"propertySources": null}', "expected a list of propertySources"),
    "map-of-sources": (b'{"propertySources": {"a": {}}}', "expected a list of propertySources"),
    "text-source": (b'{"propertySources": ["canary"]}', SOURCES),
    "null-source": (b'{"propertySources": [{"source": null}]}', SOURCES),
    "list-source": (b'{"propertySources": [{"source": ["canary"]}]}', SOURCES),
    "no-source": (b'{"propertySources": [{"name": "canary"}]}', SOURCES),
    "nested": (b'{"propertySources": [{"source": {"a": {"b": "canary"}}}]}', "expected flat properties"),
    "list-value": (b'{"propertySources": [{"source": {"a": ["canary"]}}]}', "expected flat properties"),
    "v2-nested": (b'{"propertySources": [{"source": {"a": {"value": {"value": 1}}}}]}', "expected flat properties"),
    "v2-more": (b'{"propertySources": [{"source": {"a": {"value": 1, "canary": 1}}}]}', "expected flat properties"),
    "name": (b'{"name": 1, "propertySources": []}', "expected a text as name"),
    "label": (b'{"label": ["canary"], "propertySources": []}', "expected a text as label"),
    "version": (b'{"version": 7, "propertySources": []}', "expected a text as version"),
    "source-name": (b'{"propertySources": [{"name": {}, "source": {}}]}', "expected a text as name"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "problem"), BAD.values(), ids=BAD)
def test_what_is_no_configuration_is_refused(body, problem):
    """And not quoted, in the cause neither."""
    with pytest.raises(ValueError, match="expected") as caught:
        read_document(body)
    assert (problem, None) == (str(caught.value), caught.value.__cause__)
    assert CANARY not in repr(caught.value.__context__)
