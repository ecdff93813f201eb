"""The routes for Starlette and FastAPI; all behaviour stays in http/routes.py."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from ..errors import MissingDependency

try:
    from starlette.requests import Request as StarletteRequest
    from starlette.routing import Route
except ModuleNotFoundError as error:
    what = "starlette", "this adapter", "pyconfserve[starlette]"
    raise MissingDependency.instead_of(error, *what) from error

from ..http.access import Access, Authority
from ..http.asgi import messages_of, request_of
from ..http.grammar import LARGEST_BODY
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
        request = request_of(scope)
        response = routes.ready(request)  # which no body changes
        if response is None:
            request = request._replace(body=await _body(scope, receive))
            response = await answer_while_there(routes, request, receive)
        if response is not None:  # else the client has gone
            for message in messages_of(request, response):
                await send(message)

    prefix = f"/{base_path.strip('/')}".rstrip("/")
    route = Route(f"{prefix}/{{path:path}}", answer)
    route.app, route.methods = answer, None  # not a function from Request to Response
    route.path_regex = re.compile(rf"{re.escape(prefix)}(?:/(?P<path>(?s:.*)))?\Z")
    return [route]


async def _body(scope: Any, receive: Any) -> bytes:
    body = b""  # of one above the limit, as much as shows that it is
    async for part in StarletteRequest(scope, receive).stream():
        body += part if len(body) <= LARGEST_BODY else b""
    return body
