"""ASGI's scope as a Request, and a Response as ASGI's messages, for any framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from .messages import Request, Response, joined

__all__ = ["messages_of", "request_of"]

Message = dict[str, Any]


def request_of(scope: Mapping[str, Any]) -> Request:
    """The request that *scope* announces, without a body.

    Its path is that below the place where an application is mounted.
    """
    fields = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]]
    headers = joined(fields)
    query = scope["query_string"].decode("latin-1")
    host = headers.get("host", "")
    peer, _ = scope.get("client") or ("", 0)
    what = scope["method"], _local_path(scope), query, headers
    return Request(*what, host=host, peer=peer)


def messages_of(request: Request, response: Response) -> tuple[Message, Message]:
    """What is sent for *response*, the answer to *request*: its start and its body."""
    fields = [(k.lower().encode(), v.encode("latin-1")) for k, v in response.headers]
    if response.status not in (204, 304):
        fields.append((b"content-length", b"%d" % len(response.body)))
    body = b"" if request.method == "HEAD" else response.body
    return (
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": fields,
        },
        {"type": "http.response.body", "body": body},
    )


def _local_path(scope: Mapping[str, Any]) -> str:
    """The raw path below the mount; all of it, to be refused, where `%2F` hid that."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.decode("ascii", "replace").partition("?")[0]
    root = scope.get("root_path", "").rstrip("/")
    if not root and path.startswith("/"):
        return path
    place, parts = root.split("/"), path.split("/")
    is_below = place == [unquote(part) for part in parts[: len(place)]]
    return "/".join(["", *parts[len(place) if is_below else 1 :]])
