"""asgi: a scope as a request, and a response as messages, without any framework."""

import pytest

from pyconfserve.http.asgi import messages_of, request_of
from pyconfserve.http.messages import Request, Response

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/orders/prod",
    "query_string": b"",
    "headers": [],
}
ABOUT = (("Content-Type", "application/json"), ("ETag", '"1"'))
GET, HEAD = Request("GET", "/a"), Request("HEAD", "/a")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, Request("GET", "/orders/prod", headers={})),
        ({"method": "PUT"}, Request("PUT", "/orders/prod", headers={})),
        (
            {"query_string": b"wait=1&x=\xff"},
            Request("GET", "/orders/prod", "wait=1&x=\xff", {}),
        ),
        (
            {"headers": [(b"host", b"a:1"), (b"x", b"1"), (b"x", b"caf\xe9")]},
            Request(
                "GET",
                "/orders/prod",
                headers={"host": "a:1", "x": "1, caf\xe9"},
                host="a:1",
            ),
        ),
        (
            {"client": ("10.0.0.1", 5000)},
            Request("GET", "/orders/prod", headers={}, peer="10.0.0.1"),
        ),
        ({"client": None}, Request("GET", "/orders/prod", headers={})),
        (
            {"raw_path": b"/%6Frders/prod?x=1"},
            Request("GET", "/%6Frders/prod", headers={}),
        ),
        ({"path": "/gr\xfc\xdfe/prod"}, Request("GET", "/gr%C3%BC%C3%9Fe/prod", headers={})),
        (
            {"root_path": "/a b/", "raw_path": b"/a%20b/orders/prod"},
            Request("GET", "/orders/prod", headers={}),
        ),
        (
            {"root_path": "/a/b", "raw_path": b"/a%2Fb/orders/prod"},
            Request("GET", "/a%2Fb/orders/prod", headers={}),
        ),
    ],
    ids=["least", "method", "query", "headers", "client", "no client", "raw path", "no raw path", "mounted", "mounted, hidden slash"],
)  # fmt: skip
def test_a_request_is_what_its_scope_says(told, expected):
    """Without a body; its path is that below the mount."""
    assert request_of({**SCOPE, **told}) == expected


@pytest.mark.parametrize(
    ("request_", "response", "headers", "body"),
    [
        (GET, Response(200, ABOUT, b"{}"), [(b"content-type", b"application/json"), (b"etag", b'"1"'), (b"content-length", b"2")], b"{}"),
        (HEAD, Response(200, ABOUT, b"{}"), [(b"content-type", b"application/json"), (b"etag", b'"1"'), (b"content-length", b"2")], b""),
        (GET, Response(304, (("ETag", '"1"'),)), [(b"etag", b'"1"')], b""),
        (GET, Response(204), [], b""),
        (GET, Response(404, (("X", "caf\xe9"),)), [(b"x", b"caf\xe9"), (b"content-length", b"0")], b""),
    ],
    ids=["200", "head", "304", "204", "empty"],
)  # fmt: skip
def test_a_response_is_two_messages(request_, response, headers, body):
    """Names of headers are in lower case, and a length is said where there may be one."""
    start = {
        "type": "http.response.start",
        "status": response.status,
        "headers": headers,
    }
    end = {"type": "http.response.body", "body": body}
    assert messages_of(request_, response) == (start, end)
