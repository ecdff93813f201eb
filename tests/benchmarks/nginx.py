"""nginx as a peer: one worker that serves files of the same bytes, plain or by the TLS settings of our server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from measuring import tool
from peers import free_port, running

SETTINGS = """worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 16384; }}
http {{ access_log off; sendfile on; tcp_nopush on; default_type application/json;
  keepalive_requests 100000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  server {{ listen 127.0.0.1:{port} {more} root {folder}/files; }} }}"""
TLS = "ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;"


@contextmanager
def nginx(work: Path, files: Mapping[str, bytes], *, tls: Path | None = None) -> Iterator[str]:
    """Its URL, where it serves *files* by their paths; with *tls*, a folder of `certificate`, by https."""
    binary, port = tool("nginx"), free_port()
    folder = Path(mkdtemp(dir=work))
    os.chmod(folder, 0o755)  # for the worker, which is nobody
    for path, data in files.items():
        file = folder / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    more = TLS.format(folder=tls) if tls else ";"
    settings = folder / "nginx.conf"
    settings.write_text(SETTINGS.format(folder=folder, port=port, more=more))
    with running("nginx", [binary, "-c", str(settings)], port):
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"


def certificate(folder: Path) -> Path:
    """*folder*, with a new certificate in cert.pem and its key in key.pem, as openssl makes them."""
    folder.mkdir()
    command = [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder
