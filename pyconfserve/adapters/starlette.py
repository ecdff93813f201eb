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
    what = "starlette", "this adapter", "pyconfserve[starlette]"
    raise MissingDependency.instead_of(error, *what) from error

from ..http.access import Access
from ..http.grammar import LARGEST_BODY
from ..http.messages import Request, joined
from ..http.routes import Routes
from ..http.watching import answer_while_there
from ..server import ConfigServer

__all__ = ["make_starlette_config_server_routes"]


def make_starlette_config_server_routes(
    server: ConfigServer,
    base_path: str = "",
    *,
    all_routes: bool = False,
    allow_hosts: Collection[str] = (),
) -> list[Route]:
    """The routes of *server* below *base_path*, with the answers of our own listener.

    They take whatever is below it: mount them last, or below a path of their own. All
    may do all there is: put your own authentication in front. *all_routes* adds
    /encrypt, /decrypt, /key and /actuator; *allow_hosts* switches the Host rule on.
    """
    access = Access(allow_hosts=allow_hosts or None)
    routes = Routes(server, base_path=base_path, access=access, all_routes=all_routes)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        path, query = _local_path(scope), scope["query_string"].decode("latin-1")
        headers = joined(StarletteRequest(scope).headers.items())
        body, host = await _body(scope, receive), headers.get("host", "")
        request = Request(scope["method"], path, query, headers, body, host)
        if (response := await answer_while_there(routes, request, receive)) is None:
            return  # the client has gone
        shown = dict(response.headers)
        if response.status not in (204, 304):
            shown["Content-Length"] = str(len(response.body))
        content = b"" if request.method == "HEAD" else response.body
        await StarletteResponse(content, response.status, shown)(scope, receive, send)

    prefix = f"/{base_path.strip('/')}".rstrip("/")
    route = Route(f"{prefix}/{{path:path}}", answer)
    route.app, route.methods = answer, None  # not a function from Request to Response
    route.path_regex = re.compile(rf"{re.escape(prefix)}(?:/(?P<path>(?s:.*)))?\Z")
    return [route]


def _local_path(scope: Any) -> str:
    """The raw path below the place that the application is mounted at."""
    root, path = scope.get("root_path", ""), scope["path"]
    raw = (scope.get("raw_path") or quote(path).encode()).decode("ascii", "replace")
    parts = raw.partition("?")[0].split("/")
    is_below = f"{path}/".startswith(f"{root.rstrip('/')}/")
    return "/".join(["", *parts[root.count("/") + 1 if is_below else 1 :]])


async def _body(scope: Any, receive: Any) -> bytes:
    """The body of a request; of one above the limit as much as shows that it is."""
    body = b""
    async for part in StarletteRequest(scope, receive).stream():
        body += part if len(body) <= LARGEST_BODY else b""
    return body
