"""The route table, and the place where errors become Responses.

Every edge (the listener, Starlette) hands a Request to `Routes` and sends the Response
it gets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..answers import NOTHING_STORED, Answers, Counter, answer_key, zipped
from ..environment import names
from ..errors import (
    ConfigError,
    ConfigNotFound,
    InvalidRequest,
    MethodNotAllowed,
)
from ..label_folders import label_folders_of
from ..server import ConfigServer
from ..watches import Watches
from . import health
from .about import (
    MERGED_FILE,
    about_bundle,
    about_environment,
    about_file,
    about_merged_file,
    properties_of,
)
from .access import Access
from .asked import accept_of, coding_of, media_type_of, resolves_placeholders
from .listed import Listed
from .messages import Request, Response
from .replies import conditional, error_response, json_response, text_response
from .rights import LIST, MONITOR, READ, WRITE
from .rooms import make_rooms
from .table import Call, Route, Table, methods
from .targets import Meaning, Targets
from .watching import answer_changed, wait_of

if TYPE_CHECKING:
    from .monitor import Monitor  # few servers have one

__all__ = ["Measures", "Routes"]

Measures = Callable[[], tuple[str, str]]  # a content type and a text of it

_logger = logging.getLogger("pyconfserve.routes")
_ACTUATOR_JSON = "application/vnd.spring-boot.actuator.v3+json"


class Routes:
    """The routes of one server below *base_path*, behind one *access* check.

    /monitor is there with a *monitor*, /metrics with *measures*; /actuator, /encrypt,
    /decrypt and /key with *all_routes*. *outer_path* is what /monitor, /metrics and
    /actuator stand below, *base_path* without one. *counter* counts answers.

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
        measures: Measures | None = None,
        counter: Counter | None = None,
        all_routes: bool = False,
    ) -> None:
        self._server = server
        self._access = access or Access()
        folders = label_folders_of(server.backend)
        self._check = partial(self._access.check, folders=folders)
        self._monitor = monitor
        self._measures = measures
        self._answers = Answers(server, counter=counter)
        self._listed = Listed(server)
        self._watches = Watches(server, self._answers)
        self._targets = Targets()
        outer = (_MONITOR if monitor else ()) + (_METRICS if measures else ())
        outer_base = base_path if outer_path is None else outer_path
        self._tables = (
            (_parts(outer_base), Table(outer + (_ACTUATOR if all_routes else ()))),
            (
                _parts(base_path),
                Table(_ROUTES, make_rooms(server, all_routes=all_routes)),
            ),
        )

    def ready(self, request: Request) -> Response | None:
        """The response to a GET or HEAD whose answer is kept and valid, else None."""
        meaning = self._targets.meaning_of(request)
        if meaning is None:
            return None
        try:
            self._access.check_host(request)
            sender = self._access.sender(request)
            if sender is None:
                return None  # handle finds out who it is
            self._check(request, sender, READ, meaning.lookup, meaning.path)
        except ConfigError:
            return None  # handle refuses it, as slowly as what nobody ever read
        try:
            answer = self._answers.ready(meaning.key)
            if answer is None:
                return None
            response = conditional(request, answer)
        except ConfigError:
            return None  # handle asks the store again, and answers for it
        return None if meaning.seconds and response.status == 304 else response

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

    @property
    def watchers(self) -> int:
        """How many requests wait for a change."""
        return self._watches.waiting

    def drain(self) -> None:
        """Answer those who wait for a change, and let nobody wait any more."""
        self._watches.drain()

    async def _dispatch(self, request: Request) -> Response:
        if request.path == "*":
            rows = [route for _, table in self._tables for route in table.all_rows()]
            return Response(204, (("Allow", ", ".join(methods(rows))),))
        fitting = self._fitting(request.path)
        allowed = methods([route for route, _ in fitting])
        if request.method == "OPTIONS":
            return Response(200, (("Allow", ", ".join(allowed)),))
        method = "GET" if request.method == "HEAD" else request.method
        for route, segments in fitting:
            if route.method == method:
                return await self._call(route, request, segments)
        raise MethodNotAllowed(f"this route takes {', '.join(allowed)}", allowed)

    async def _call(
        self, route: Route, request: Request, segments: tuple[str, ...]
    ) -> Response:
        """Answer by the row of *route*: who asks, what for, whether they may, what."""
        is_public = not route.right
        sender = await self._access.authenticate(request, is_public=is_public)
        call = route.about(self._server, Call(request, segments, sender))
        self._check(request, sender, route.right, call.lookup, call.path)
        return await route.handler(self, call)

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
            for route in table.fitting(segments[len(base) :])
        ]
        if not fitting:
            raise ConfigNotFound("no such route")
        return fitting

    async def _environment(self, call: Call) -> Response:
        if call.path is not None:
            return await self._plain_file(call)
        return await self._answer(call, media_type_of(accept_of(call.request)))

    async def _file(self, call: Call) -> Response:
        """All sources merged into one file, as `[/label]/orders-prod.yml`."""
        from ..environment.file_rendering import renderer_name  # few ask for these

        renderer = renderer_name(
            call.segments[-1].rpartition(".")[2],
            resolves=resolves_placeholders(call.request),
            escapes=self._server.dialect.escapes_properties,
        )
        return await self._answer(call, renderer)

    async def _plain_file(self, call: Call) -> Response:
        from .plain_files import answer_file  # few ask for these

        answers = self._answers.of(self._server_for(call.request))
        targets = self._targets if answers is self._answers else None
        return await answer_file(answers, targets, call)

    def _server_for(self, request: Request) -> ConfigServer:
        headers = request.headers
        token, state = headers.get("x-config-token"), headers.get("x-config-state")
        return self._server.for_request(token, state)

    async def _answer(self, call: Call, renderer: str) -> Response:
        request, lookup = call.request, call.lookup
        assert lookup is not None  # the row is about names
        seconds = wait_of(request)
        renderer = zipped(renderer) if coding_of(request) else renderer
        # What was made with a request's own credentials is for this request alone.
        answers = self._answers.of(self._server_for(request))
        answer = await answers.get(lookup, renderer)
        if answer is None:
            raise ConfigNotFound(NOTHING_STORED)
        if answers is self._answers:
            meaning = Meaning(answer_key(lookup, renderer), lookup, seconds)
            self._targets.keep(request, meaning)
        response = conditional(request, answer)
        if response.status != 304 or not seconds or answers is not self._answers:
            return response
        changed = await answer_changed(
            self._watches, request, lookup, renderer, answer.known(), seconds
        )
        # Rights may have been taken away meanwhile.
        sender = await self._access.authenticate(request)
        self._check(request, sender, READ, lookup)
        return changed

    async def _save(self, call: Call) -> Response:
        from .bundle import check_save  # few save

        check_save(self._server, call)
        # A large body takes a while, in which others are answered.
        properties = await asyncio.to_thread(properties_of, call)
        application, profile, *label = call.segments
        saved = await self._server.save(
            application, profile, properties, *label or (self._server.default_label,)
        )
        return json_response(saved)

    async def _list(self, call: Call) -> Response:
        return await self._listed.get(call.sender)

    async def _deliver(self, call: Call) -> Response:
        assert self._monitor is not None  # else the row is not in the table
        is_trusted = bool(call.sender.name) and MONITOR in call.sender.rights
        applications = await self._monitor.deliver(call.request, is_trusted=is_trusted)
        return json_response(applications)

    async def _actuator(self, call: Call) -> Response:
        status, report = await health.actuator(self._server, call.segments[1:])
        return json_response(report, status, _ACTUATOR_JSON)

    async def _health(self, call: Call) -> Response:
        status, report = await health.report(
            self._server,
            with_details=self._access.may_see_details(call.sender, LIST),
        )
        return json_response(report, status)

    async def _metrics(self, call: Call) -> Response:
        assert self._measures is not None  # else the row is not in the table
        content_type, text = self._measures()
        return text_response(text, content_type)


# A webhook brings its own signature.
_MONITOR = (Route("POST", ("monitor",), "", Routes._deliver),)
_METRICS = (Route("GET", ("metrics",), LIST, Routes._metrics),)
_ACTUATOR = (
    Route("GET", ("actuator", "health"), "", Routes._actuator),
    Route("GET", ("actuator", "health", "liveness"), "", Routes._actuator),
    Route("GET", ("actuator", "health", "readiness"), "", Routes._actuator),
    Route("GET", ("actuator", "info"), "", Routes._actuator),
)
_ROUTES: tuple[Route, ...] = (
    Route("GET", ("_list",), LIST, Routes._list),
    Route("GET", ("health",), "", Routes._health),
    Route("GET", (MERGED_FILE,), READ, Routes._file, about_merged_file),
    Route("GET", (None, MERGED_FILE), READ, Routes._file, about_merged_file),
    Route("GET", (None, None), READ, Routes._environment, about_environment),
    Route("GET", (None,) * 3, READ, Routes._environment, about_environment),
    Route("GET", (None, None, None, ...), READ, Routes._plain_file, about_file),
    Route("POST", (None, None), WRITE, Routes._save, about_bundle),
    Route("POST", (None, None, None), WRITE, Routes._save, about_bundle),
)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
