"""Consul's four formats: which keys make which bundle, without any Consul."""

import pytest

from pyconfserve.adapters.consul_answers import Pair
from pyconfserve.adapters.consul_documents import (
    LAYOUTS,
    bundles_of,
    contexts_of,
    properties_of,
    version_of,
)
from pyconfserve.errors import DocumentError

KEYS = [
    "foo/a", "foo/b/c", "foo/data", "foo/deep/", "foo,dev/data", "foo,dev/deep/data", "/a", "alone",
    "foo.yml", "foo.yaml", "foo.properties", "foo-dev.yml", "sub/foo.yml", "foo.json", ".yml",
]  # fmt: skip
CONTEXTS = {
    "key-value": {
        "foo": ["foo/a", "foo/b/c", "foo/data"], "foo,dev": ["foo,dev/data", "foo,dev/deep/data"],
        "sub": ["sub/foo.yml"],
    },
    "yaml": {"foo": ["foo/data"], "foo,dev": ["foo,dev/data"]},
    "properties": {"foo": ["foo/data"], "foo,dev": ["foo,dev/data"]},
    "files": {"foo": ["foo.properties", "foo.yaml", "foo.yml"], "foo-dev": ["foo-dev.yml"]},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_format_reads_its_keys(layout):
    """And no other; folders hold nothing."""
    assert contexts_of(layout, KEYS, "data") == CONTEXTS[layout]


BUNDLES = {
    "plain": (["foo"], ",", {("foo", "default"): ("foo",)}),
    "profile": (["foo,dev"], ",", {("foo", "dev"): ("foo,dev",)}),
    "default": (["foo", "foo,default"], ",", {("foo", "default"): ("foo,default", "foo")}),
    "two-separators": (["foo,a,b"], ",", {}),
    "no-profile": (["foo,"], ",", {}),
    "no-application": ([",dev", ",", ""], ",", {}),
    "long-separator": (["foo::dev"], "::", {("foo", "dev"): ("foo::dev",)}),
    "ambiguous": (["a-b-c"], "-", {("a-b-c", "default"): ("a-b-c",), ("a-b", "c"): ("a-b-c",), ("a", "b-c"): ("a-b-c",)}),
    "ambiguous-default": (
        ["a-default", "a"], "-", {("a", "default"): ("a-default", "a"), ("a-default", "default"): ("a-default",)},
    ),
    "written-otherwise": (["a(_)b"], ",", {}),
    "no-names": (["..", "-", "a/b", "x\ny"], ",", {("a/b", "default"): ("a/b",)}),
}  # fmt: skip


@pytest.mark.parametrize(("contexts", "separator", "bundles"), BUNDLES.values(), ids=BUNDLES.keys())
def test_contexts_make_bundles(contexts, separator, bundles):
    """By application and profile, what has none below `default`, in whichever order."""
    expected = {(*name, "main"): own for name, own in bundles.items()}
    assert expected == bundles_of(contexts, separator) == bundles_of(contexts[::-1], separator)


def pairs(**values):
    return {key.replace("__", "/").replace("_", "."): Pair(value, 1) for key, value in values.items()}


PROPERTIES = {
    "key-value": ("key-value", "foo", pairs(foo__a=b"1", foo__b__c=b"", foo__d=b"\xff"), {"a": "1", "b.c": "", "d": "\ufffd"}),
    "yaml": ("yaml", "foo", pairs(foo__data=b"a: {b: [1, true]}\nc:\n"), {"a.b[0]": 1, "a.b[1]": True, "c": ""}),
    "documents": ("yaml", "foo", pairs(foo__data=b"a: 1\nb: 1\n---\na: 2\n---\na: 3\n"), {"a": 3, "b": 1}),
    "documents-lists": ("yaml", "foo", pairs(foo__data=b"a: [1, 2]\n---\na: [3]\n"), {"a[0]": 3, "a[1]": 2}),
    "empty": ("yaml", "foo", pairs(foo__data=b""), {}),
    "properties": ("properties", "foo", pairs(foo__data="a=ä\nb: 1".encode()), {"a": "ä", "b": "1"}),
    "files": ("files", "foo", pairs(foo_yml=b"a: 1\nb: 1\nc: 1", foo_yaml=b"a: 2\nb: 2", foo_properties=b"a=3"), {"a": "3", "b": 2, "c": 1}),
    "lists": ("files", "foo", pairs(foo_yml=b"a: [1, 2]", foo_properties=b"a[0]=x"), {"a[0]": "x"}),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "context", "found", "expected"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_keys_make_properties(layout, context, found, expected):
    """Slashes are dots; the last document and the .properties win."""
    assert properties_of(layout, context, found) == expected


def test_a_document_that_does_not_parse():
    """It is told with its key."""
    with pytest.raises(DocumentError, match=r"^foo/data:1:4: not UTF-8 text$"):
        properties_of("yaml", "foo", pairs(foo__data=b"a: \xff"))


def test_a_version_is_another_one_after_each_change():
    """Of a value, an index, a key, or a context."""
    one = {"foo": {"foo/a": Pair(b"1", 5), "foo/b": Pair(b"2", 7)}}
    others = [
        {"foo": {"foo/a": Pair(b"1", 5)}},
        {"foo": {"foo/a": Pair(b"1", 7), "foo/b": Pair(b"2", 5)}},
        {"foo": {"foo/a": Pair(b"3", 5), "foo/b": Pair(b"2", 7)}},
        {"foo": {"foo/a": Pair(b"1", 5), "foo/c": Pair(b"2", 7)}},
        {**one, "foo,default": {"foo,default/a": Pair(b"", 1)}},
    ]
    versions = {version_of(one), *map(version_of, others)}
    assert len(versions) == 6
    assert version_of(one) == version_of({"foo": dict(reversed(one["foo"].items()))})
    assert version_of(one).startswith("7-")
