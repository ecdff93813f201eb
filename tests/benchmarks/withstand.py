"""What it withstands, beside other servers in the same run: python tests/benchmarks/withstand.py.

The peers are installed from the package index into a virtual environment of this run (or into --venv FOLDER,
which is kept); nginx is a Debian package. What cannot be installed is named as missing. Every peer runs the
same application, which reads the body and answers 200 to anything, so that what it refuses is the server's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from measuring import pyconfserve
from peers import PATIENCE, TAKEN, Server, peers, versions

CASES = json.loads(
    (Path(__file__).parents[1] / "cases" / "http.json").read_text("utf-8")
)
RFC, LEGAL = ([row for row in CASES if row["class"] == each] for each in ("rfc", "accept"))  # fmt: skip
BAD_HOSTS = [row for row in RFC if row["id"] in ("ho-space", "ho-userinfo", "ho-slash", "ho-comma")]  # fmt: skip
BODIES = {b"0123456789": b"{}        ", b"hello": b"{}   "}  # JSON of their length
GET = b"GET /app/default HTTP/1.1\r\nHost: a\r\n"
HUGE = b"POST /app/default HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\nExpect: 100-continue\r\n\r\n"
SLOWEST = 70  # seconds in which a slow header is cut off, or is not
IDLE = 1_000
HEADINGS = (
    "server",
    f"refused of {len(RFC)} that RFC 9112 refuses",
    f"taken of {len(LEGAL)} legal ones",
    f"refused of {len(BAD_HOSTS)} bad Hosts",
    "said to a body of 10^11 bytes",
    "a header, a byte a second, ends after",
    f"idle connections kept of {IDLE:,}",
    "KB each",
)


def answer(server: Server, data: bytes) -> bytes:
    """What comes within PATIENCE, or until the end."""
    received = b""
    with suppress(OSError), server.connect() as client:
        client.sendall(data)
        while part := client.recv(1 << 16):
            received += part
            if is_taken(received) is not None:
                break
        else:
            received += b"\nclosed"
    return received


def is_taken(received: bytes) -> bool | None:
    """Whether a request was taken or refused; None while neither can be said."""
    final = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] ([1-5][0-9][0-9])", final)
    if found is not None:
        return found[1] < b"400"
    # http.server answers some errors as HTTP/0.9 did, without a status.
    return None if not final.endswith(b"\nclosed") else TAKEN in final


def judged(server: Server, rows: Iterable[dict[str, Any]], taken: bool) -> int:
    """How many of *rows* are taken, or refused."""

    def sent(row: dict[str, Any]) -> bytes:
        data = "".join(text * times for text, times in row["bytes_latin1"]).encode("latin-1")  # fmt: skip
        for body, json_body in BODIES.items():
            data = data.replace(body, json_body)
        return data

    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda row: answer(server, sent(row)), rows)
        return sum(is_taken(received) is taken for received in answers)


def huge_body(server: Server) -> str:
    """The status that is said to who asks whether to send 10^11 bytes."""
    with suppress(OSError), server.connect() as client:
        client.sendall(HUGE)
        return client.recv(4096)[9:12].decode() or "closed"
    return "nothing"


def slow_header(server: Server) -> str:
    """The seconds in which a header that comes a byte a second is cut off."""
    began = time.monotonic()
    with suppress(OSError), server.connect() as client:
        client.sendall(GET + b"X: ")
        client.settimeout(1)
        while time.monotonic() - began < SLOWEST:
            client.sendall(b"x")
            with suppress(TimeoutError):
                client.recv(4096)
                break
        else:
            return f"not in {SLOWEST} s"
    return f"{time.monotonic() - began:.0f} s"


def idle(server: Server) -> tuple[str, str]:
    """How many used connections are kept for PATIENCE seconds, and what memory each takes."""
    before, clients = resident(server.pid), []
    with ExitStack() as stack:
        with suppress(OSError):  # no more are served
            for _ in range(IDLE):
                client = stack.enter_context(server.connect())
                client.sendall(GET + b"\r\n")
                if not client.recv(1 << 16):
                    break
                clients.append(client)
        time.sleep(PATIENCE)
        kept = sum(is_open(client) for client in clients)
        size = (resident(server.pid) - before) / 1024 / max(1, kept)
        return f"{kept:,}", f"{size:.1f}" if kept else ""


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(1 << 16):  # the rest of its answer
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def resident(pid: int) -> float:
    """Resident bytes of a process and of those it started."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)  # fmt: skip


def row(server: Server, slow: str) -> list[str]:
    """The figures of one server; memory first, while it is as it started."""
    kept, size = idle(server)
    refused, legal, hosts = (
        f"{judged(server, rows, taken)}"
        for rows, taken in ((RFC, False), (LEGAL, True), (BAD_HOSTS, False))
    )
    return [server.name, refused, legal, hosts, huge_body(server), slow, kept, size]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--venv", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        work = Path(name)
        os.chmod(work, 0o755)  # for nginx's worker
        (work / "cfg").mkdir()
        (work / "cfg" / "app.yml").write_text("a: 1\n")
        url, pid, _ = stack.enter_context(
            pyconfserve(work / "cfg", "--allow-host", "a", first="/app/default")
        )
        ours = Server("pyconfserve", int(url.rpartition(":")[2]), pid)
        folder = options.venv or work / "venv"
        found = [*peers(stack, work, folder)]
        servers = [ours, *(each for each in found if isinstance(each, Server))]
        print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
        with ThreadPoolExecutor(len(servers)) as pool:
            slow = [*pool.map(slow_header, servers)]
        for server, seconds in zip(servers, slow, strict=True):
            print(f"| {' | '.join(row(server, seconds))} |", flush=True)
        print(f"\n{versions(folder)}")
        for each in found:
            if isinstance(each, str):
                print(f"missing: {each}")


if __name__ == "__main__":
    main()
