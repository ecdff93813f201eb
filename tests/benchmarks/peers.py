"""The servers that withstand.py holds ours against: what each is asked to serve, and how it is started."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import Missing, tool

HERE = Path(__file__).parent
PATIENCE = 3  # seconds for an answer
TAKEN = b'{"taken":true}'


# the application of the peers, for each kind of server


def digits(text: str | None) -> int:
    return int(text) if text and re.fullmatch("[0-9]{1,9}", text) else 0


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    stream, length = environ["wsgi.input"], digits(environ.get("CONTENT_LENGTH"))
    is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "")
    stream.read(length) if length else stream.read() if is_chunked else b""
    about = [("Content-Length", str(len(TAKEN))), ("Content-Type", "application/json")]
    start_response("200 OK", about)
    return [TAKEN]


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    event = {"more_body": True}
    while event.get("more_body"):
        event = await receive()
    length = (b"content-length", str(len(TAKEN)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": TAKEN})


def http_server(port: int) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(digits(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(TAKEN)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else TAKEN)

        do_POST = do_HEAD = do_GET

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def werkzeug(port: int) -> None:
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, wsgi, threaded=True)


def aiohttp(_: list[str]) -> Any:
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=TAKEN)

    app = web.Application(client_max_size=1 << 40)
    app.router.add_route("*", "/{rest:.*}", answer)
    return app


NGINX = """worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 4096; }} http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
server {{ listen 127.0.0.1:{port}; location / {{ proxy_http_version 1.1; proxy_pass http://127.0.0.1:{behind}; }} }} }}"""
CALL = "import sys; sys.path.insert(0, '.'); import peers; peers.{}({{port}})"
PEERS = {  # what to install, and what to run
    "http.server": ("", ["-c", CALL.format("http_server")]),
    "werkzeug": ("werkzeug", ["-c", CALL.format("werkzeug")]),
    "waitress": ("waitress", ["-m", "waitress", "--listen=127.0.0.1:{port}", "--threads=64", "peers:wsgi"]),
    "gunicorn": ("gunicorn", ["-m", "gunicorn", "-b127.0.0.1:{port}", "-kgthread", "--threads=64", "peers:wsgi"]),
    "uvicorn, h11": ("uvicorn", ["-m", "uvicorn", "--port={port}", "--http=h11", "peers:asgi"]),
    "uvicorn, httptools": ("uvicorn httptools", ["-m", "uvicorn", "--port={port}", "--http=httptools", "peers:asgi"]),
    "hypercorn": ("hypercorn", ["-m", "hypercorn", "-b127.0.0.1:{port}", "peers:asgi"]),
    "aiohttp": ("aiohttp", ["-m", "aiohttp.web", "-Hlocalhost", "-P{port}", "peers:aiohttp"]),
}  # fmt: skip


@dataclass(frozen=True)
class Server:
    """One that runs: what it is called, where it listens, and its process."""

    name: str
    port: int
    pid: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


@contextmanager
def running(name: str, command: list[str], port: int) -> Iterator[Server]:
    """A process that listens on *port*, ended with all that it started."""
    process = subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise Missing("it does not start")
            time.sleep(0.1)
        else:
            raise Missing("it does not listen")
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def peers(stack: ExitStack, work: Path, folder: Path) -> Iterator[Server | str]:
    """The peers that run, and for the others the reason why not."""
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    for name, (packages, arguments) in PEERS.items():
        pip = [python, "-m", "pip", "install", "-q", *packages.split()]
        if packages and subprocess.run(pip, capture_output=True).returncode:
            yield f"{name} cannot be installed"
            continue
        port = free_port()
        command = [python, *(argument.format(port=port) for argument in arguments)]
        try:
            yield stack.enter_context(running(name, command, port))
        except Missing as reason:
            yield f"{name}: {reason}"
    try:
        binary, port, behind = tool("nginx"), free_port(), free_port()
        (work / "conf").write_text(NGINX.format(folder=work, port=port, behind=behind))
        sink = [python, "-c", CALL.format("http_server").format(port=behind)]
        stack.enter_context(running("sink", sink, behind))
        command = [binary, "-c", str(work / "conf")]
        yield stack.enter_context(running("nginx", command, port))
    except Missing as reason:
        yield f"nginx: {reason}"


def versions(folder: Path) -> str:
    """What was installed, and Python's own version, which is http.server's."""
    python = str(folder / "bin" / "python")
    frozen = [python, "-m", "pip", "freeze"], [python, "--version"]
    texts = [subprocess.run(each, capture_output=True, text=True).stdout for each in frozen]  # fmt: skip
    named = {word for packages, _ in PEERS.values() for word in packages.split()} | {"h11"}  # fmt: skip
    lines = texts[0].splitlines()
    return ", ".join([texts[1].strip(), *(line.replace("==", " ") for line in lines if line.partition("==")[0].lower() in named)])  # fmt: skip
