"""The routes for Starlette and FastAPI: a Request in, a Response out, all behaviour
stays in http/routes.py.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

try:
    from starlette.routing import BaseRoute, Match
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "starlette":
        raise
    from ..errors import MissingDependency

    raise MissingDependency(
        "the Starlette adapter", "starlette", "pyconfserve[starlette]"
    ) from missing

from ..errors import BodyTooLarge
from ..http.access import Access
from ..http.grammar import LARGEST_BODY
from ..http.messages import Request, Response
from ..http.routes import Routes, error_response
from ..server import ConfigServer

__all__ = ["make_starlette_config_server_routes"]


def make_starlette_config_server_routes(
    server: ConfigServer,
    base_path: str = "",
    *,
    allow_hosts: Collection[str] | None = None,
) -> list[BaseRoute]:
    """One route for all of *server* below *base_path*, with the answers of our own
    listener.

    It takes whatever is below *base_path*, so mount it last or below a path of its own.
    Everyone may read, save and list: put your own authentication in front.
    *allow_hosts* switches the Host rule on.
    """
    routes = Routes(server, base_path=base_path, access=Access(allow_hosts=allow_hosts))
    return [_ConfigServerRoute(routes, "/" + base_path.strip("/"))]


class _ConfigServerRoute(BaseRoute):
    def __init__(self, routes: Routes, prefix: str) -> None:
        self._routes = routes
        self._prefix = prefix.rstrip("/") + "/"

    def matches(self, scope: Any) -> tuple[Match, Any]:
        is_ours = scope["type"] == "http" and _local_path(scope).startswith(
            self._prefix
        )
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        request = await _request(scope, receive)
        if request is None:
            response = error_response(
                BodyTooLarge(f"a body is at most {LARGEST_BODY} bytes"),
                _local_path(scope),
            )
        else:
            response = self._routes.ready(request) or await self._routes.handle(request)
        await _send(response, send, with_body=scope["method"] != "HEAD")


def _local_path(scope: Any) -> str:
    """The raw path below the place where this application is mounted."""
    raw = scope.get("raw_path") or scope["path"].encode("utf-8")
    path: str = raw.decode("latin-1").partition("?")[0]
    return path.removeprefix(scope.get("root_path", ""))


async def _request(scope: Any, receive: Any) -> Request | None:
    """The request as our routes take it, None when its body is above the limit."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > LARGEST_BODY:
            return None
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
    }
    query = scope["query_string"].decode("latin-1")
    return Request(
        scope["method"],
        _local_path(scope),
        query,
        headers,
        body,
        headers.get("host", ""),
    )


async def _send(response: Response, send: Any, *, with_body: bool) -> None:
    length = (
        ()
        if response.status in (204, 304)
        else (("Content-Length", str(len(response.body))),)
    )
    headers = [
        (name.lower().encode(), value.encode("latin-1"))
        for name, value in (*response.headers, *length)
    ]
    await send(
        {"type": "http.response.start", "status": response.status, "headers": headers}
    )
    await send(
        {"type": "http.response.body", "body": response.body if with_body else b""}
    )
