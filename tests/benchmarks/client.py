"""What the client costs a service at its start."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from measuring import ENVIRONMENT, PACKAGE_ROOT, interleaved
from rows import Row, compared, scaled

PEER = "import urllib.request, ssl, json"
SOURCE = ", ".join(f'"keys.key-{number}": "value {number}"' for number in range(200))
BODY = (
    '{"name": "orders", "profiles": ["prod"], "label": null, "version": "1", "state": null, '
    f'"propertySources": [{{"name": "orders-prod", "source": {{{SOURCE}}}}}]}}'
).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers everything with the same environment of 200 keys."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: Any) -> None:
        pass


def client_start(work: Path) -> Iterator[Row]:
    """Importing the client and loading one configuration, against a bare interpreter with urllib, ssl and json."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    ours = f"from pyconfserve.client import load; load({url!r}, 'orders', 'prod')"
    try:
        seconds(ours)  # which also compiles it
        pairs = interleaved(partial(seconds, ours), partial(seconds, PEER), more=5)
    finally:
        server.shutdown()
        server.server_close()
    yield compared(
        "client: import and one load, ms",
        "bare interpreter with urllib.request, ssl, json",
        scaled(pairs, 1e3),
        "≤ 1.3",
    )


def seconds(code: str) -> float:
    """Seconds that a new interpreter takes for *code*, from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE_ROOT, env=ENVIRONMENT, check=True)  # fmt: skip
    return time.perf_counter() - began
