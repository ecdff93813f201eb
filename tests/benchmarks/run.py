"""Speed and memory as ratios against peers measured in the same run: python tests/benchmarks/run.py.

Peers that are not installed (nginx and wrk are Debian packages) are named as missing. Every figure is the
median of several rounds in which ours and the peer take turns, because machines are noisy. With --json FILE
the figures are also written as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from client import client_start
from git_figures import git_answers, git_load, git_refresh
from measuring import (
    LAYERS,
    PACKAGE_ROOT,
    ROUNDS,
    Missing,
    Row,
    compared,
    fixture,
    load,
    pyconfserve,
    scaled,
    tool,
    write_layers,
)
from store_figures import stores
from watchers import watchers


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def nginx(folder: Path, body: bytes) -> Iterator[str]:
    """nginx with one worker, serving *body* as a file at /orders/prod."""
    binary = tool("nginx")
    (folder / "orders").mkdir()
    (folder / "orders" / "prod").write_bytes(body)
    port = free_port()
    settings = folder / "nginx.conf"
    settings.write_text(
        f"worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/log;"
        "events { worker_connections 1024; } http { access_log off; sendfile on; tcp_nopush on;"
        f"default_type application/json; keepalive_requests 100000000; client_body_temp_path {folder};"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
    )
    os.chmod(folder, 0o755)
    process = subprocess.Popen([binary, "-c", str(settings)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def cached_answer(work: Path, *flags: str) -> Iterator[Row]:
    """A cached answer of four overlays, against nginx with the same bytes as a file."""
    tool("wrk")
    with pyconfserve(fixture(work / "cfg"), *flags) as (url, _, _):
        body = urllib.request.urlopen(f"{url}/orders/prod").read()
        with nginx(Path(tempfile.mkdtemp(dir=work)), body) as peer:
            pairs = [
                (load(f"{url}/orders/prod"), load(f"{peer}/orders/prod"))
                for _ in range(ROUNDS)
            ]
    yield compared(
        " ".join(["cached GET,", f"{len(body)} bytes, answers a second", *flags]),
        "nginx",
        pairs,
        "≥ 0.5",
    )


def spring_answer(work: Path) -> Iterator[Row]:
    """The same in Spring's dialect."""
    yield from cached_answer(work, "--spring")


def users(work: Path) -> Iterator[Row]:
    """The same behind a password and behind a token, against the same server without users."""
    tool("wrk")
    folder, file = fixture(work / "cfg"), work / "users.yml"
    known = {"Basic": "b3JkZXJzOmh1bnRlcjIy", "Bearer": ""}  # orders:hunter22
    add = [sys.executable, "-m", "pyconfserve", "user", "add", str(file)]
    options = {"cwd": PACKAGE_ROOT, "check": True, "capture_output": True, "text": True}
    subprocess.run([*add, "orders", "--application", "orders"], input="hunter22\n", **options)
    token = subprocess.run([*add, "ci", "--token"], **options).stdout
    known["Bearer"] = token.split()[-1]
    for scheme, secret in known.items():
        authorization = f"{scheme} {secret}"
        with (
            pyconfserve(folder) as (open_url, _, _),
            pyconfserve(folder, "--users", file, authorization=authorization) as (url, _, _),
        ):
            header = f"Authorization: {authorization}"
            pairs = [
                (load(f"{url}/orders/prod", header), load(f"{open_url}/orders/prod", header))
                for _ in range(ROUNDS)
            ]
        yield compared(f"cached GET with users, {scheme}, answers a second", "without", pairs, "> 0.8")


def rendering(work: Path) -> Iterator[Row]:
    """An answer as one file of 2,000 keys, against parsing the file it comes from."""
    from pyconfserve.environment import file_rendering, formats
    from pyconfserve.environment.overlay import Environment, PropertySource

    keys = "".join(f"  key-{i}: value {i}\n" for i in range(2000))
    text = f"keys:\n{keys}".encode()
    (document,) = formats.parse(text, "yml")
    source = PropertySource("x", document.entries)
    answer = Environment("x", ("prod",), None, None, None, (source,))

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(20):
            work()
        return (time.perf_counter() - began) / 20

    for name, title in (("yaml, filled", ".yml"), ("raw, filled", ".properties")):
        _, render = file_rendering.FILE_RENDERERS[name]
        pairs = [
            (
                seconds(partial(render, answer)),
                seconds(partial(formats.parse, text, "yml")),
            )
            for _ in range(ROUNDS)
        ]
        what = f"rendering {title} of 2,000 keys, ms"
        yield compared(what, "parsing them", scaled(pairs, 1e3), "≤ 1")


def start(work: Path) -> Iterator[Row]:
    """Start to first answer, and idle memory, against an interpreter that imports what any server needs."""
    folder = fixture(work / "cfg")
    seconds, memory = [], []
    for _ in range(ROUNDS * 3):
        with pyconfserve(folder) as (_, pid, took):
            ours = took, resident(pid)
        peer = bare_interpreter()
        seconds.append((ours[0], peer[0]))
        memory.append((ours[1], peer[1]))
    yield compared(
        "start to first answer, ms", "bare interpreter", scaled(seconds, 1e3), "≤ 1.5"
    )
    yield compared(
        "memory after it, MB", "bare interpreter", scaled(memory, 1e-6), "≤ 1.5"
    )


def bare_interpreter() -> tuple[float, float]:
    """Seconds and bytes of an interpreter that imports asyncio, json and yaml, and says so."""
    code = (
        "import asyncio, json, yaml, sys; print('ready', flush=True); sys.stdin.read()"
    )
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    took = time.perf_counter() - began
    memory = resident(process.pid)
    process.communicate()
    return took, memory


def resident(pid: int) -> float:
    """Resident bytes of a process."""
    if Path(f"/proc/{pid}/statm").exists():
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    output = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True
    )
    return float(output.stdout) * 1024


def growth(work: Path) -> Iterator[Row]:
    """A fetch that reads its files, with 10,000 applications in the folder against one."""
    few, many = fixture(work / "few"), fixture(work / "many", 10_000)
    pairs = [(cold_fetch(many), cold_fetch(few)) for _ in range(ROUNDS)]
    yield compared(
        "cold fetch among 10,000 applications, µs",
        "among one",
        scaled(pairs, 1e6),
        "≈ 1",
    )


def cold_bundle(work: Path) -> Iterator[Row]:
    """A fetch that reads four files of 50 keys, against PyYAML's C loader on the four texts alone."""
    import yaml

    if not hasattr(yaml, "CSafeLoader"):
        raise Missing("PyYAML was built without its C loader")
    folder = fixture(work / "cfg")
    texts = [(folder / f"{layer}.yml").read_text() for layer in LAYERS]

    def parse_texts() -> float:
        began = time.perf_counter()
        for _ in range(200):
            for text in texts:
                yaml.load(text, Loader=yaml.CSafeLoader)
        return (time.perf_counter() - began) / 200

    pairs = [(1 / cold_fetch(folder), 1 / parse_texts()) for _ in range(ROUNDS)]
    yield compared(
        "cold fetch of 4 files, a second", "PyYAML's C loader alone", pairs, "≥ 0.5"
    )


def cold_fetch(folder: Path) -> float:
    """Seconds of one ConfigServer.fetch of files that are new each time."""
    from pyconfserve import ConfigServer, FilesystemConfigBackend

    server = ConfigServer(FilesystemConfigBackend(folder))

    async def measure() -> float:
        await server.fetch("orders", "prod")
        took = 0.0
        for _ in range(200):
            write_layers(folder)
            began = time.perf_counter()
            await server.fetch("orders", "prod")
            took += time.perf_counter() - began
        return took / 200

    return asyncio.run(measure())


BENCHMARKS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "cached": cached_answer,
    "spring": spring_answer,
    "users": users,
    "start": start,
    "growth": growth,
    "cold": cold_bundle,
    "rendering": rendering,
    "git": git_answers,
    "git-refresh": git_refresh,
    "git-load": git_load,
    "stores": stores,
    "watchers": watchers,
    "client": client_start,
}


def machine() -> str:
    uvloop = (
        "with uvloop"
        if shutil.which("python3") and _has_uvloop()
        else "on asyncio's own loop"
    )
    return (
        f"Python {platform.python_version()} {uvloop}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    )


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all without any"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    print(f"{machine()}; medians of {ROUNDS} rounds\n")
    print("| work | ours | peer | ratio | goal |\n| --- | --- | --- | --- | --- |")
    rows: list[Row] = []
    for name in options.names or BENCHMARKS:
        with tempfile.TemporaryDirectory() as work:
            os.chmod(work, 0o755)
            try:
                for row in BENCHMARKS[name](Path(work)):
                    rows.append(row)
                    print(
                        f"| {row.work} | {row.ours} | {row.peer} | {row.ratio} | {row.goal} |",
                        flush=True,
                    )
            except Missing as reason:
                print(f"| {name} | missing: {reason} | | | |", flush=True)
    if options.json:
        options.json.write_text(
            json.dumps(
                {"machine": machine(), "rows": [asdict(r) for r in rows]}, indent=1
            )
        )


if __name__ == "__main__":
    main()
