"""The route table, and the only place where an error becomes a Response.

Every edge (the listener, Starlette) hands a Request to `Routes` and sends the Response
it gets.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..answers import Answer, Answers, Key, answer_key
from ..environment import names
from ..environment.rendering import JSON, V2_JSON
from ..errors import (
    BodyTooLarge,
    ConfigError,
    ConfigNotFound,
    DocumentError,
    InvalidRequest,
    MethodNotAllowed,
    ReadOnlyBackend,
    UnsupportedMedia,
)
from ..server import ConfigServer
from . import health
from .access import LIST, READ, WRITE, Access
from .grammar import LARGEST_BODY
from .messages import Request, Response, reason

__all__ = ["Route", "Routes", "error_response"]

_logger = logging.getLogger("pyconfserve.routes")
_MOST_REMEMBERED = 16_384  # targets with their Accept: ten thousand applications
_LONGEST_REMEMBERED = 1024  # characters of one: 16 MB of all
_PRIVATE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class Route(NamedTuple):
    """One row of the table; in `pattern` None stands for any one segment."""

    method: str
    pattern: tuple[str | None, ...]
    right: str
    handler: Callable[[Routes, Request, tuple[str, ...]], Awaitable[Response]]


class Routes:
    """The routes of one server below *base_path*, behind one *access* check.

    `handle` never raises. `ready` is its short cut for answers that are valid already:
    it never waits, so that an edge can answer without a task.
    """

    def __init__(
        self, server: ConfigServer, *, base_path: str = "", access: Access | None = None
    ) -> None:
        self._server = server
        self._access = access or Access()
        self._answers = Answers(server)
        self._base = tuple(part for part in base_path.split("/") if part)
        self._keys: dict[tuple[str, str], Key] = {}

    def ready(self, request: Request) -> Response | None:
        """The response to a GET or HEAD whose answer is kept and valid, else None."""
        key = self._keys.get((request.path, request.headers.get("accept", "*/*")))
        if key is None or request.method not in ("GET", "HEAD"):
            return None
        try:
            self._access.check_host(request)
            self._access.check(request, READ)
        except ConfigError as error:
            return error_response(error, request.path)
        try:
            answer = self._answers.ready(key)
        except ConfigError:
            return None  # handle asks the store again, and answers for it
        return None if answer is None else _conditional(request, answer)

    async def handle(self, request: Request) -> Response:
        """The response to any request."""
        try:
            self._access.check_host(request)
            return await self._dispatch(request)
        except ConfigError as error:
            return error_response(error, request.path)
        except Exception:
            _logger.exception("a request failed in an unforeseen way")
            return error_response(ConfigError("this server has failed"), request.path)

    async def _dispatch(self, request: Request) -> Response:
        if request.path == "*":
            return Response(204, (("Allow", "GET, HEAD, POST, OPTIONS"),))
        segments = self._segments(request.path)
        fitting = [route for route in _ROUTES if _fits(route.pattern, segments)]
        allowed = _methods(fitting)
        if not fitting:
            raise ConfigNotFound("no such route")
        if request.method == "OPTIONS":
            return Response(200, (("Allow", ", ".join(allowed)),))
        method = "GET" if request.method == "HEAD" else request.method
        for route in fitting:
            if route.method == method:
                self._access.check(request, route.right)
                return await route.handler(self, request, segments)
        raise MethodNotAllowed(f"this route takes {', '.join(allowed)}", allowed)

    def _segments(self, path: str) -> tuple[str, ...]:
        """The decoded segments below the base path; ConfigNotFound outside of it."""
        raw = path.split("/")[1:]
        if len(raw) > names.MOST_SEGMENTS + len(self._base):
            raise InvalidRequest("path", f"more than {names.MOST_SEGMENTS} segments")
        segments = tuple([names.decode_segment(segment) for segment in raw])
        if "" in segments or segments[: len(self._base)] != self._base:
            raise ConfigNotFound("no such route")
        return segments[len(self._base) :]

    async def _environment(
        self, request: Request, segments: tuple[str, ...]
    ) -> Response:
        lookup = self._server.lookup(*segments)
        accept = request.headers.get("accept", "*/*")
        media_type = _media_type(accept)
        answer = await self._answers.get(lookup, media_type)
        if answer is None:
            raise ConfigNotFound("no configuration is stored under these names")
        self._remember(request.path, accept, answer_key(lookup, media_type))
        return _conditional(request, answer)

    def _remember(self, path: str, accept: str, key: Key) -> None:
        """Keep what a target means, which `ready` then need not find out again."""
        if len(path) + len(accept) <= _LONGEST_REMEMBERED:
            if len(self._keys) >= _MOST_REMEMBERED:
                self._keys.clear()
            self._keys[path, accept] = key

    async def _save(self, request: Request, segments: tuple[str, ...]) -> Response:
        if self._server.is_read_only:
            raise ReadOnlyBackend
        properties = _json_body(request)
        application, profile, *label = segments
        saved = await self._server.save(
            application, profile, properties, *label or (self._server.default_label,)
        )
        return _json_response(saved)

    async def _list(self, request: Request, segments: tuple[str, ...]) -> Response:
        return _json_response(await self._server.list())

    async def _health(self, request: Request, segments: tuple[str, ...]) -> Response:
        status, report = await health.report(
            self._server, with_details=self._access.shows_details
        )
        return _json_response(report, status)


_ROUTES = (
    Route("GET", ("_list",), LIST, Routes._list),
    Route("GET", ("health",), "", Routes._health),
    Route("GET", (None, None), READ, Routes._environment),
    Route("GET", (None, None, None), READ, Routes._environment),
    Route("POST", (None, None), WRITE, Routes._save),
    Route("POST", (None, None, None), WRITE, Routes._save),
)


def _fits(pattern: tuple[str | None, ...], segments: tuple[str, ...]) -> bool:
    return len(pattern) == len(segments) and all(
        part in (None, segment) for part, segment in zip(pattern, segments, strict=True)
    )


def _methods(routes: list[Route]) -> tuple[str, ...]:
    found = {route.method: None for route in routes}
    if "GET" in found:
        found["HEAD"] = None
    return (*sorted(found), "OPTIONS")


@lru_cache(1024)
def _media_type(accept: str) -> str:
    """JSON or Spring's V2 JSON, by an Accept header; JSON where nothing fits, which
    helps curl and browsers.
    """
    ranges = []
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        ranges.append((_number(quality), media_range))
    for weight, media_range in sorted(ranges, key=lambda found: -found[0]):
        if weight > 0 and media_range in ("*/*", "application/*", JSON):
            return JSON
        if weight > 0 and media_range in ("application/*+json", V2_JSON):
            return V2_JSON
    return JSON


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def _conditional(request: Request, answer: Answer) -> Response:
    """The answer, or 304 when the client has it already (RFC 9110 §13.1.2)."""
    known = request.headers.get("if-none-match")
    if known is None:
        return answer.response
    etags = [etag.strip().removeprefix("W/") for etag in known.split(",")]
    return (
        answer.not_modified if answer.etag in etags or "*" in etags else answer.response
    )


def _json_body(request: Request) -> dict[str, Any]:
    """The map in a request's body, nested as sent; an empty body is an empty map."""
    if len(request.body) > LARGEST_BODY:
        raise BodyTooLarge(f"a body is at most {LARGEST_BODY} bytes")
    media_type = (
        request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    )
    if media_type != JSON and not media_type.endswith("+json"):
        raise UnsupportedMedia("expected a body of application/json")
    from ..environment.formats import json as json_format  # for saves only

    try:
        text = request.body.decode("utf-8").removeprefix("\ufeff")
        return json_format.read_tree(text) if text.strip() else {}
    except UnicodeDecodeError as error:
        raise InvalidRequest("body", "expected UTF-8") from error
    except DocumentError as error:
        place = f" at line {error.line}, column {error.column}" if error.line else ""
        raise InvalidRequest("body", f"{error.problem}{place}") from error


def _json_response(
    content: Mapping[str, Any] | list[Any], status: int = 200
) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8"
    )
    return Response(status, (("Content-Type", JSON), *_PRIVATE), body)


def error_response(error: ConfigError, path: str) -> Response:
    """The one error body `{"status", "error", "message", "path"}`; *path* as the
    request had it.
    """
    status = error.status
    content = {
        "status": status,
        "error": reason(status),
        "message": str(error),
        "path": path,
    }
    response = _json_response(content, status)
    if isinstance(error, MethodNotAllowed) and error.allowed:
        allow = ("Allow", ", ".join(error.allowed))
        return Response(status, (allow, *response.headers), response.body)
    return response
