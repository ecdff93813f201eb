"""The routes for Starlette and FastAPI; all behaviour stays in http/routes.py."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, unquote

from ..errors import MissingDependency

try:
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import Response as StarletteResponse
    from starlette.routing import Route
except ModuleNotFoundError as error:
    what = "starlette", "this adapter", "pyconfserve[starlette]"
    raise MissingDependency.instead_of(error, *what) from error

from ..http.access import Access, Authority
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
    authority: Authority | None = None,
) -> list[Route]:
    """The routes of *server* below *base_path*, with the answers of our own listener.

    They take all that is below it. Access has *allow_hosts* and *authority*, without
    which all may do all; *all_routes* adds /encrypt, /decrypt, /key and /actuator.
    """
    access = Access(allow_hosts=allow_hosts or None, authority=authority)
    routes = Routes(server, base_path=base_path, access=access, all_routes=all_routes)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        path, query = _local_path(scope), scope["query_string"].decode("latin-1")
        headers = joined(StarletteRequest(scope).headers.items())
        body, (peer, _) = await _body(scope, receive), scope.get("client") or ("", 0)
        what = scope["method"], path, query, headers, body, headers.get("host", "")
        request = Request(*what, peer=peer)
        if (response := await answer_while_there(routes, request, receive)) is None:
            return  # the client has gone
        status, shown, content = response.status, dict(response.headers), response.body
        if status not in (204, 304):
            shown["Content-Length"] = str(len(content))
        sent = b"" if request.method == "HEAD" else content
        await StarletteResponse(sent, status, shown)(scope, receive, send)

    prefix = f"/{base_path.strip('/')}".rstrip("/")
    route = Route(f"{prefix}/{{path:path}}", answer)
    route.app, route.methods = answer, None  # not a function from Request to Response
    route.path_regex = re.compile(rf"{re.escape(prefix)}(?:/(?P<path>(?s:.*)))?\Z")
    return [route]


def _local_path(scope: Any) -> str:
    """The raw path below the mount; all of it, to be refused, where `%2F` hid that."""
    place = scope.get("root_path", "").rstrip("/").split("/")
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    parts = raw.decode("ascii", "replace").partition("?")[0].split("/")
    is_below = place == [unquote(part) for part in parts[: len(place)]]
    return "/".join(["", *parts[len(place) if is_below else 1 :]])


async def _body(scope: Any, receive: Any) -> bytes:
    body = b""  # of one above the limit, as much as shows that it is
    async for part in StarletteRequest(scope, receive).stream():
        body += part if len(body) <= LARGEST_BODY else b""
    return body
