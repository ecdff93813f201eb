"""The route table, and the only place where an error becomes a Response.

Every edge (the listener, Starlette) hands a Request to `Routes` and sends the Response
it gets.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..answers import Answer, Answers, Key, answer_key
from ..environment import names
from ..environment.overlay import Lookup
from ..environment.rendering import JSON
from ..errors import (
    ConfigError,
    ConfigNotFound,
    InvalidRequest,
    MethodNotAllowed,
    ReadOnlyBackend,
)
from ..server import ConfigServer
from . import health
from .access import LIST, MONITOR, READ, WRITE, Access
from .asked import (
    accept_of,
    json_body,
    media_type_of,
    parameters_of,
    resolves_placeholders,
    target_of,
)
from .messages import Request, Response, reason
from .table import Route, fits, methods

if TYPE_CHECKING:
    from .monitor import Monitor  # few servers have one

__all__ = ["Routes", "error_response"]

_logger = logging.getLogger("pyconfserve.routes")
_MOST_REMEMBERED = 16_384  # targets with their Accept: ten thousand applications
_LONGEST_REMEMBERED = 1024  # characters of one: 16 MB of all
_FILE = re.compile(r"(.*)-(.*)\.(yml|yaml|json|properties)")
_SUFFIX = re.compile(r"\b\.(?:yml|yaml|json|properties)\b")
_PRIVATE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


class Routes:
    """The routes of one server below *base_path*, behind one *access* check.

    /monitor is there with a *monitor*, /encrypt, /decrypt and /key with
    *has_encryption*.

    `handle` never raises. `ready` is its short cut for answers that are valid already:
    it never waits, so that an edge can answer without a task.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        base_path: str = "",
        access: Access | None = None,
        monitor: Monitor | None = None,
        has_encryption: bool = False,
    ) -> None:
        self._server = server
        self._access = access or Access()
        self._monitor = monitor
        self._table: tuple[Route, ...] = _ROUTES
        if has_encryption:
            from .encryption import encryption_routes

            self._table = (*encryption_routes(server), *_ROUTES)
        self._answers = Answers(server)
        self._base = tuple(part for part in base_path.split("/") if part)
        self._keys: dict[tuple[str, str, str], Key] = {}

    def ready(self, request: Request) -> Response | None:
        """The response to a GET or HEAD whose answer is kept and valid, else None.

        A sender that may not read it gets the refusal here.
        """
        key = self._keys.get(target_of(request))
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
        fitting = [route for route in self._table if fits(route, segments)]
        allowed = methods(fitting)
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
        if len(segments) == 3 and "useDefaultLabel" in parameters_of(request):
            application, profile, path = segments
            return await self._file_of(request, (application, profile), (path,))
        if _SUFFIX.search(segments[1]):
            raise ConfigNotFound("no such route: a profile has no suffix of a file")
        lookup = self._server.lookup(*segments)
        return await self._answer(request, lookup, media_type_of(accept_of(request)))

    async def _file(self, request: Request, segments: tuple[str, ...]) -> Response:
        """All sources merged into one file, as `[/label]/orders-prod.yml`."""
        found = _FILE.fullmatch(segments[-1])
        assert found is not None  # the route's pattern
        lookup = self._server.lookup(found[1], found[2], *segments[:-1])
        from ..environment.file_rendering import renderer_name  # few ask for these

        renderer = renderer_name(
            found[3],
            resolves=resolves_placeholders(request),
            escapes=self._server.dialect.escapes_properties,
        )
        return await self._answer(request, lookup, renderer)

    async def _plain_file(
        self, request: Request, segments: tuple[str, ...]
    ) -> Response:
        return await self._file_of(request, segments[:3], segments[3:])

    async def _file_of(
        self, request: Request, asked: tuple[str, ...], path: tuple[str, ...]
    ) -> Response:
        from .plain_files import answer_file  # few ask for these

        lookup = self._server.lookup(*asked)
        return await answer_file(self._server, request, lookup, names.path(path))

    async def _answer(
        self, request: Request, lookup: Lookup, renderer: str
    ) -> Response:
        answer = await self._answers.get(lookup, renderer)
        if answer is None:
            raise ConfigNotFound("no configuration is stored under these names")
        self._remember(request, answer_key(lookup, renderer))
        return _conditional(request, answer)

    def _remember(self, request: Request, key: Key) -> None:
        """Keep what a target means, which `ready` then need not find out again."""
        target = target_of(request)
        if sum(map(len, target)) <= _LONGEST_REMEMBERED:
            if len(self._keys) >= _MOST_REMEMBERED:
                self._keys.clear()
            self._keys[target] = key

    async def _save(self, request: Request, segments: tuple[str, ...]) -> Response:
        if self._server.is_read_only:
            raise ReadOnlyBackend
        properties = json_body(request)
        application, profile, *label = segments
        saved = await self._server.save(
            application, profile, properties, *label or (self._server.default_label,)
        )
        return _json_response(saved)

    async def _list(self, request: Request, segments: tuple[str, ...]) -> Response:
        return _json_response(await self._server.list())

    async def _deliver(self, request: Request, segments: tuple[str, ...]) -> Response:
        if self._monitor is None:
            raise ConfigNotFound("no such route")
        return _json_response(await self._monitor.deliver(request))

    async def _health(self, request: Request, segments: tuple[str, ...]) -> Response:
        status, report = await health.report(
            self._server, with_details=self._access.shows_details
        )
        return _json_response(report, status)


_ROUTES = (
    Route("GET", ("_list",), LIST, Routes._list),
    Route("GET", ("health",), "", Routes._health),
    Route("POST", ("monitor",), MONITOR, Routes._deliver),
    Route("GET", (_FILE,), READ, Routes._file),
    Route("GET", (None, _FILE), READ, Routes._file),
    Route("GET", (None, None), READ, Routes._environment),
    Route("GET", (None, None, None), READ, Routes._environment),
    Route("GET", (None, None, None, ...), READ, Routes._plain_file),
    Route("POST", (None, None), WRITE, Routes._save),
    Route("POST", (None, None, None), WRITE, Routes._save),
)


def _conditional(request: Request, answer: Answer) -> Response:
    """The answer, or 304 when the client has it already (RFC 9110 §13.1.2)."""
    known = request.headers.get("if-none-match")
    if known is None:
        return answer.response
    etags = [etag.strip().removeprefix("W/") for etag in known.split(",")]
    return (
        answer.not_modified if answer.etag in etags or "*" in etags else answer.response
    )


def _json_response(
    content: Mapping[str, Any] | list[Any], status: int = 200
) -> Response:
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8"
    )
    return Response(status, (("Content-Type", JSON), *_PRIVATE), body)


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
    response = _json_response(content, status)
    if isinstance(error, MethodNotAllowed) and error.allowed:
        allow = ("Allow", ", ".join(error.allowed))
        return Response(status, (allow, *response.headers), response.body)
    return response
