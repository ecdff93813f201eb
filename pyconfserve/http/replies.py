"""What a route answers with: JSON, text, an error, or what a client has already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..answers import Answer
from ..environment.rendering import JSON
from ..errors import ConfigError, MethodNotAllowed
from .messages import Request, Response, reason

__all__ = ["TEXT", "conditional", "error_response", "json_response", "text_response"]

TEXT = "text/plain;charset=UTF-8"

_PRIVATE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def conditional(request: Request, answer: Answer) -> Response:
    """The answer, or 304 when the client has it already (RFC 9110 §13.1.2)."""
    known = request.headers.get("if-none-match")
    if known is None:
        return answer.response
    etags = [etag.strip().removeprefix("W/") for etag in known.split(",")]
    return (
        answer.not_modified if answer.etag in etags or "*" in etags else answer.response
    )


def json_response(
    content: Mapping[str, Any] | list[Any], status: int = 200, content_type: str = JSON
) -> Response:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text_response(text, content_type, status)


def text_response(text: str, content_type: str = TEXT, status: int = 200) -> Response:
    """A text that is for its asker alone."""
    headers = (("Content-Type", content_type), *_PRIVATE)
    return Response(status, headers, text.encode("utf-8"))


def error_response(error: ConfigError, path: str) -> Response:
    """The one error body, `{"status", "error", "message", "path"}`.

    *path* is as the request had it.
    """
    status = error.status
    content = {
        "status": status,
        "error": reason(status),
        "message": str(error),
        "path": path,
    }
    response = json_response(content, status)
    if isinstance(error, MethodNotAllowed) and error.allowed:
        allow = ("Allow", ", ".join(error.allowed))
        return Response(status, (allow, *response.headers), response.body)
    return response
