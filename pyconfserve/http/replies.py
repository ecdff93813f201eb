"""What a route answers with: JSON, text, an error, or what a client has already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..answers import Answer
from ..environment.rendering import JSON
from ..errors import (
    ConfigError,
    MethodNotAllowed,
    TooManyAttempts,
    Unauthenticated,
    VersionConflict,
)
from .dates import parse_http_date
from .messages import Request, Response, reason

__all__ = ["TEXT", "conditional", "error_response", "json_response", "text_response"]

TEXT = "text/plain;charset=UTF-8"

_CHALLENGE = ("WWW-Authenticate", 'Basic realm="pyconfserve", charset="UTF-8"')
_PRIVATE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def conditional(request: Request, answer: Answer) -> Response:
    """The answer, or 304 when the client has it already (RFC 9110 §13.1.2).

    That of a file is known by its date, too; raises VersionConflict for one that was
    to be older.
    """
    known = request.headers.get("if-none-match")
    if answer.modified is not None:
        is_known = _has_date(request, answer.modified)
        if known is None and is_known:
            return answer.not_modified
    if known is None:
        return answer.response
    if known == answer.etag:
        return answer.not_modified
    etags = [etag.strip().removeprefix("W/") for etag in known.split(",")]
    if answer.etag in etags or "*" in etags:
        return answer.not_modified
    others = (answer.others[etag] for etag in etags if etag in answer.others)
    return next(others, answer.response)


def _has_date(request: Request, modified: int) -> bool:
    """Whether the client knows what was *modified* then; raises VersionConflict."""
    headers = request.headers
    limit = parse_http_date(headers.get("if-unmodified-since"))
    if limit is not None and modified > limit:
        raise VersionConflict("the file was modified since")
    since = parse_http_date(headers.get("if-modified-since"))
    return since is not None and modified <= since


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
        "message": error.public,
        "path": path,
    }
    response = json_response(content, status)
    return response._replace(headers=(*_about(error), *response.headers))


def _about(error: ConfigError) -> tuple[tuple[str, str], ...]:
    """The headers that say what a client may do next."""
    if isinstance(error, MethodNotAllowed) and error.allowed:
        return (("Allow", ", ".join(error.allowed)),)
    if isinstance(error, Unauthenticated):
        return (_CHALLENGE,)
    if isinstance(error, VersionConflict) and error.version is not None:
        return (("ETag", f'"{error.version}"'),)
    if isinstance(error, TooManyAttempts):
        return (("Retry-After", str(error.retry_after)),)
    return ()
