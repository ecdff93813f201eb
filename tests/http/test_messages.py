"""messages: the values that every edge speaks."""

import pytest

from pyconfserve.http.messages import Request, Response, joined, reason


def test_a_request_needs_a_method_and_a_path():
    """All else of a request is what a plain GET has."""
    expected = Request("GET", "/a/b", "", {}, b"", "", True)
    assert expected == Request("GET", "/a/b")


def test_a_response_needs_a_status():
    """A response has no headers and no body unless they are given."""
    assert Response(204, (), b"") == Response(204)


@pytest.mark.parametrize(
    ("message", "field"),
    [(Request("GET", "/"), "path"), (Response(200), "status")],
    ids=["request", "response"],
)
def test_a_message_does_not_change(message, field):
    """Messages are shared between requests: none can be changed."""
    with pytest.raises(AttributeError):
        setattr(message, field, "x")


def test_equal_responses_have_one_hash():
    """A response can be a key: it is a value through and through."""
    one = Response(200, (("ETag", '"1"'),), b"x")
    assert {one} == {Response(200, (("ETag", '"1"'),), b"x")}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], {}),
        ([("a", "1"), ("b", "2")], {"a": "1", "b": "2"}),
        ([("a", "1"), ("b", "2"), ("a", "3"), ("a", "")], {"a": "1, 3, ", "b": "2"}),
    ],
    ids=["none", "different", "repeated"],
)
def test_repeated_headers_are_joined(fields, expected):
    """A header that stands several times is one, in the order of its values."""
    assert expected == joined(fields)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, "OK"),
        (404, "Not Found"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (422, "Unprocessable Content"),
    ],
)
def test_reasons_are_those_of_rfc_9110(status, expected):
    """An answer does not depend on the version of Python that makes it."""
    assert expected == reason(status)
