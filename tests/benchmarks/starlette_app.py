"""A server for the benchmark of Starlette, on uvicorn and uvloop: python starlette_app.py PORT HTTP FOLDER [ANSWER].

It serves our routes over FOLDER or, with ANSWER, a file of [headers, body] in JSON, the same bytes at each path.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pyconfserve import ConfigServer, FilesystemConfigBackend
from pyconfserve.adapters.starlette import make_starlette_config_server_routes


def ours(folder: str) -> Starlette:
    server = ConfigServer(FilesystemConfigBackend(folder))
    return Starlette(routes=make_starlette_config_server_routes(server))


def constant(answer: str) -> Starlette:
    headers, body = json.loads(Path(answer).read_text("utf-8"))
    data = body.encode()

    async def endpoint(_: Request) -> Response:
        return Response(data, headers=headers)

    return Starlette(routes=[Route("/{path:path}", endpoint)])


if __name__ == "__main__":
    port, http, folder, *answer = sys.argv[1:]
    app = constant(*answer) if answer else ours(folder)
    uvicorn.run(app, port=int(port), loop="uvloop", http=http, access_log=False, log_level="error")
