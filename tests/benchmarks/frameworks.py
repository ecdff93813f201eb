"""Our routes within Starlette, against Starlette itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

from loading import loads
from measuring import HERE, fetched, fixture, need
from peers import Server, free_port, running
from rows import Row, compared

PATH = "/orders/prod"


def starlette(work: Path) -> Iterator[Row]:
    """A cached answer by our routes, against the same bytes and headers from a function."""
    need("starlette", "uvicorn", "uvloop", install="starlette uvicorn uvloop")
    folder, answer = fixture(work / "cfg"), work / "answer.json"
    http = "httptools" if find_spec("httptools") else "h11"
    with served(http, folder) as ours:
        url = f"http://127.0.0.1:{ours.port}{PATH}"
        body, headers = fetched(url)
        own = {name: value for name, value in headers.items() if name.lower() not in ("date", "server")}
        answer.write_text(json.dumps([own, body.decode()]))
        with served(http, folder, answer) as peer:
            pairs = loads(url, f"http://127.0.0.1:{peer.port}{PATH}")
    what = "our routes in Starlette, answers a second"
    on = f"Starlette with the same bytes, both on uvicorn with uvloop and {http}"
    yield compared(what, on, pairs, "≥ 0.9")


def served(http: str, folder: Path, *answer: Path) -> AbstractContextManager[Server]:
    port = free_port()
    command = [sys.executable, HERE / "starlette_app.py", port, http, folder, *answer]
    return running("starlette", [*map(str, command)], port)
