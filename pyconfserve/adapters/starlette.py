"""The routes for Starlette and FastAPI; all behaviour stays in http/routes.py."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from ..errors import MissingDependency

try:
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import Response as StarletteResponse
    from starlette.routing import Route
except ModuleNotFoundError as error:
    install = "pyconfserve[starlette]"
    raise MissingDependency.instead_of(
        error, "starlette", "this adapter", install
    ) from error

from ..http.access import Access
from ..http.grammar import LARGEST_BODY
from ..http.messages import Request, joined
from ..http.routes import Routes
from ..server import ConfigServer

__all__ = ["make_starlette_config_server_routes"]


def make_starlette_config_server_routes(
    server: ConfigServer,
    base_path: str = "",
    *,
    allow_hosts: Collection[str] | None = None,
) -> list[Route]:
    """All routes of *server* below *base_path*, with the answers of our own listener.

    They take whatever is below it: mount them last, or below a path of their own.
    Everyone may read, save and list: put your own authentication in front.
    *allow_hosts* switches the Host rule on.
    """
    access = Access(allow_hosts=allow_hosts)
    endpoint = _Endpoint(Routes(server, base_path=base_path, access=access))
    prefix = f"/{base_path.strip('/')}".rstrip("/")
    route = Route(f"{prefix}/{{path:path}}", endpoint)
    # Starlette's own pattern stops at a newline, which is ours to refuse.
    route.path_regex = re.compile(f"{re.escape(prefix)}/(?P<path>.*)", re.DOTALL)
    return [route]


class _Endpoint:
    """An ASGI application: a Request in, a Response out."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        path = raw.decode().partition("?")[0].removeprefix(scope.get("root_path", ""))
        query = scope["query_string"].decode()
        headers = joined(StarletteRequest(scope).headers.items())
        body, host = await _body(scope, receive), headers.get("host", "")
        request = Request(scope["method"], path, query, headers, body, host)
        answer = self._routes.ready(request) or await self._routes.handle(request)
        shown = dict(answer.headers)
        if answer.status not in (204, 304):
            shown["Content-Length"] = str(len(answer.body))
        content = b"" if request.method == "HEAD" else answer.body
        await StarletteResponse(content, answer.status, shown)(scope, receive, send)


async def _body(scope: Any, receive: Any) -> bytes:
    """The body of a request; of one above the limit as much as shows that it is."""
    body = b""
    async for part in StarletteRequest(scope, receive).stream():
        body += part
        if len(body) > LARGEST_BODY:
            break
    return body
