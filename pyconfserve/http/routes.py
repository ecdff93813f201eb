"""The route table, and the place where errors become Responses.

Every edge (the listener, Starlette) hands a Request to `Routes` and sends the Response
it gets.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from ..answers import NOTHING_STORED, Answers, Key, answer_key
from ..environment import names
from ..environment.overlay import Lookup
from ..errors import (
    ConfigError,
    ConfigNotFound,
    InvalidRequest,
    MethodNotAllowed,
    ReadOnlyBackend,
)
from ..server import ConfigServer
from ..watches import Watches
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
from .listed import Listed
from .messages import Request, Response
from .replies import conditional, error_response, json_response
from .table import Route, fits, methods
from .watching import answer_changed, wait_of

if TYPE_CHECKING:
    from .monitor import Monitor  # few servers have one

__all__ = ["Routes"]

_logger = logging.getLogger("pyconfserve.routes")
_MOST_REMEMBERED = 16_384  # targets with their Accept: ten thousand applications
_LONGEST_REMEMBERED = 1024  # characters of one: 16 MB of all
_FILE = re.compile(r"(.*)-(.*)\.(yml|yaml|json|properties)")
_SUFFIX = re.compile(r"\b\.(?:yml|yaml|json|properties)\b")
_ACTUATOR_JSON = "application/vnd.spring-boot.actuator.v3+json"


class Routes:
    """The routes of one server below *base_path*, behind one *access* check.

    /monitor is there with a *monitor*; /actuator, /encrypt, /decrypt and /key with
    *all_routes*. *outer_path* is what /monitor and /actuator stand below, *base_path*
    without one.

    `handle` never raises. `ready` is its short cut for answers that are valid already:
    it never waits, so that an edge can answer without a task.
    """

    def __init__(
        self,
        server: ConfigServer,
        *,
        base_path: str = "",
        outer_path: str | None = None,
        access: Access | None = None,
        monitor: Monitor | None = None,
        all_routes: bool = False,
    ) -> None:
        self._server = server
        self._access = access or Access()
        self._monitor = monitor
        self._answers = Answers(server)
        self._listed = Listed(server)
        self._watches = Watches(server, self._answers)
        self._keys: dict[tuple[str, str, str], tuple[Key, float]] = {}
        base, outer = _ROUTES, _MONITOR if monitor else ()
        if all_routes:
            from .encryption import encryption_routes

            base, outer = (*encryption_routes(server), *base), (*outer, *_ACTUATOR)
        outer_base = base_path if outer_path is None else outer_path
        self._tables = ((_parts(outer_base), outer), (_parts(base_path), base))

    def ready(self, request: Request) -> Response | None:
        """The response to a GET or HEAD whose answer is kept and valid, else None.

        A sender that may not read it gets the refusal here.
        """
        kept = self._keys.get(target_of(request))
        if kept is None or not _may_be_ready(request):
            return None
        key, seconds = kept
        try:
            self._access.check_host(request)
            self._access.check(request, READ)
        except ConfigError as error:
            return error_response(error, request.path)
        try:
            answer = self._answers.ready(key)
        except ConfigError:
            return None  # handle asks the store again, and answers for it
        if answer is None:
            return None
        response = conditional(request, answer)
        return None if seconds and response.status == 304 else response

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

    def drain(self) -> None:
        """Answer those who wait for a change, and let nobody wait any more."""
        self._watches.drain()

    async def _dispatch(self, request: Request) -> Response:
        if request.path == "*":
            return Response(204, (("Allow", "GET, HEAD, POST, OPTIONS"),))
        fitting = self._fitting(request.path)
        allowed = methods([route for route, _ in fitting])
        if request.method == "OPTIONS":
            return Response(200, (("Allow", ", ".join(allowed)),))
        method = "GET" if request.method == "HEAD" else request.method
        for route, segments in fitting:
            if route.method == method:
                self._access.check(request, route.right)
                return await route.handler(self, request, segments)
        raise MethodNotAllowed(f"this route takes {', '.join(allowed)}", allowed)

    def _fitting(self, path: str) -> list[tuple[Route, tuple[str, ...]]]:
        """The rows that a path fits, each with its segments below the row's base.

        Raises InvalidRequest for a segment that no route takes, ConfigNotFound.
        """
        raw = path.split("/")[1:]
        longest = names.MOST_SEGMENTS + max(len(base) for base, _ in self._tables)
        if len(raw) > longest:
            raise InvalidRequest("path", f"more than {names.MOST_SEGMENTS} segments")
        segments = tuple([names.decode_segment(segment) for segment in raw])
        fitting = [
            (route, segments[len(base) :])
            for base, table in self._tables
            if segments[: len(base)] == base and "" not in segments
            for route in table
            if fits(route, segments[len(base) :])
        ]
        if not fitting:
            raise ConfigNotFound("no such route")
        return fitting

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
        server = self._server_for(request)
        return await answer_file(server, request, lookup, names.path(path))

    def _server_for(self, request: Request) -> ConfigServer:
        headers = request.headers
        token, state = headers.get("x-config-token"), headers.get("x-config-state")
        return self._server.for_request(token, state)

    async def _answer(
        self, request: Request, lookup: Lookup, renderer: str
    ) -> Response:
        seconds = wait_of(request)
        server = self._server_for(request)
        # What was made with a request's own credentials is for this request alone.
        answers = self._answers if server is self._server else Answers(server)
        answer = await answers.get(lookup, renderer)
        if answer is None:
            raise ConfigNotFound(NOTHING_STORED)
        if answers is self._answers:
            self._remember(request, answer_key(lookup, renderer), seconds)
        response = conditional(request, answer)
        if response.status != 304 or not seconds or answers is not self._answers:
            return response
        answer = answer.known()
        return await answer_changed(
            self._watches, request, lookup, renderer, answer, seconds
        )

    def _remember(self, request: Request, key: Key, seconds: float) -> None:
        """Keep what a target means, which `ready` then need not find out again."""
        target = target_of(request)
        if sum(map(len, target)) <= _LONGEST_REMEMBERED:
            if len(self._keys) >= _MOST_REMEMBERED:
                self._keys.clear()
            self._keys[target] = key, seconds

    async def _save(self, request: Request, segments: tuple[str, ...]) -> Response:
        if self._server.is_read_only:
            raise ReadOnlyBackend
        # A large body takes a while, in which others are answered.
        properties = await asyncio.to_thread(json_body, request)
        application, profile, *label = segments
        saved = await self._server.save(
            application, profile, properties, *label or (self._server.default_label,)
        )
        return json_response(saved)

    async def _list(self, request: Request, segments: tuple[str, ...]) -> Response:
        return await self._listed.get()

    async def _deliver(self, request: Request, segments: tuple[str, ...]) -> Response:
        assert self._monitor is not None  # else the row is not in the table
        return json_response(await self._monitor.deliver(request))

    async def _actuator(self, request: Request, segments: tuple[str, ...]) -> Response:
        status, report = await health.actuator(self._server, segments[1:])
        return json_response(report, status, _ACTUATOR_JSON)

    async def _health(self, request: Request, segments: tuple[str, ...]) -> Response:
        status, report = await health.report(
            self._server, with_details=self._access.shows_details
        )
        return json_response(report, status)


_MONITOR = (Route("POST", ("monitor",), MONITOR, Routes._deliver),)
_ACTUATOR = (
    Route("GET", ("actuator", "health"), "", Routes._actuator),
    Route("GET", ("actuator", "health", "liveness"), "", Routes._actuator),
    Route("GET", ("actuator", "health", "readiness"), "", Routes._actuator),
    Route("GET", ("actuator", "info"), "", Routes._actuator),
)
_ROUTES: tuple[Route, ...] = (
    Route("GET", ("_list",), LIST, Routes._list),
    Route("GET", ("health",), "", Routes._health),
    Route("GET", (_FILE,), READ, Routes._file),
    Route("GET", (None, _FILE), READ, Routes._file),
    Route("GET", (None, None), READ, Routes._environment),
    Route("GET", (None, None, None), READ, Routes._environment),
    Route("GET", (None, None, None, ...), READ, Routes._plain_file),
    Route("POST", (None, None), WRITE, Routes._save),
    Route("POST", (None, None, None), WRITE, Routes._save),
)


def _may_be_ready(request: Request) -> bool:
    """Whether its answer could be one that is kept: not for credentials of its own."""
    headers = request.headers
    has_own = "x-config-token" in headers or "x-config-state" in headers
    return request.method in ("GET", "HEAD") and not has_own


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
