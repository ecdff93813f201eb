"""Answers that are there already, against nginx with the same bytes as files."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from loading import load, loads
from measuring import (
    PACKAGE_ROOT,
    Wrong,
    fetched,
    fixture,
    interleaved,
    pyconfserve,
    tool,
    write_keys,
)
from nginx import certificate, nginx
from rows import Row, compared

PATH = "/orders/prod"
LOOPS = ("asyncio", "uvloop")
Benchmark = Callable[[Path], Iterator[Row]]


def answer(loop: str, goal: str, *flags: str) -> Benchmark:
    """A cached answer of four overlays of 50 keys, by one worker on *loop*."""

    def run(work: Path) -> Iterator[Row]:
        with pyconfserve(fixture(work / "cfg"), *flags, loop=loop) as (url, _, _):
            body, _ = fetched(f"{url}{PATH}")
            with nginx(work, {PATH: body}) as peer:
                pairs = loads(f"{url}{PATH}", f"{peer}{PATH}")
        what = " ".join(["cached GET,", f"{loop}, answers a second", *flags])
        yield compared(what, "nginx", pairs, goal)

    return run


def not_modified(loop: str) -> Benchmark:
    """304 for the ETag of each server."""

    def run(work: Path) -> Iterator[Row]:
        with pyconfserve(fixture(work / "cfg"), loop=loop) as (url, _, _):
            body, headers = fetched(f"{url}{PATH}")
            with nginx(work, {PATH: body}) as peer:
                about = [f"If-None-Match: {headers['ETag']}", f"If-None-Match: {fetched(f'{peer}{PATH}')[1]['ETag']}"]
                urls = [f"{url}{PATH}", f"{peer}{PATH}"]
                for each, header in zip(urls, about, strict=True):
                    expect_304(each, header)
                pairs = interleaved(*(partial(load, each, header) for each, header in zip(urls, about, strict=True)))
        yield compared(f"304 for a matching ETag, {loop}, answers a second", "nginx", pairs, "≥ 0.8")

    return run


def expect_304(url: str, header: str) -> None:
    """Fail unless the ETag in *header* is that of *url*."""
    name, _, value = header.partition(": ")
    try:
        fetched(url, {name: value})
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return
    raise Wrong(f"{url} does not answer 304")


def tls(loop: str, goal: str) -> Benchmark:
    """A cached answer over connections by TLS, of the same version and the same cipher for both."""

    def run(work: Path) -> Iterator[Row]:
        pair = certificate(work / "tls")
        files = "--tls-cert", pair / "cert.pem", "--tls-key", pair / "key.pem"
        with pyconfserve(fixture(work / "cfg"), *files, loop=loop) as (url, _, _):
            body, _ = fetched(f"{url}{PATH}")
            with nginx(work, {PATH: body}, tls=pair) as peer:
                settings = cipher(url)
                if cipher(peer) != settings:
                    raise Wrong(f"{settings} is not {cipher(peer)}")
                pairs = loads(f"{url}{PATH}", f"{peer}{PATH}")
        version, name = settings
        what = f"cached GET under TLS, {loop}, answers a second"
        yield compared(what, f"nginx, {version} {name}", pairs, goal)

    return run


def cipher(url: str) -> tuple[str, str]:
    """The version and the cipher that *url* and OpenSSL agree on."""
    address = urlsplit(url)
    context = ssl._create_unverified_context()
    with (
        socket.create_connection((address.hostname, address.port)) as sock,
        context.wrap_socket(sock) as client,
    ):
        name, version, _ = client.cipher() or ("", "", 0)
        return version, name


def large_answer(work: Path) -> Iterator[Row]:
    """A cached answer of 5,000 keys."""
    folder = fixture(work / "cfg")
    write_keys(folder / "large.yml", 5000, "of many")
    yield from large(work, folder, "/large/prod", "cached GET of 5,000 keys")


def large_file(work: Path) -> Iterator[Row]:
    """A plain file of 1 MB."""
    folder = fixture(work / "cfg")
    (folder / "large.conf").write_text("a line of a file of text, as most are\n" * 27_000)
    yield from large(work, folder, "/orders/prod/main/large.conf", "plain file of 1 MB")


def large(work: Path, folder: Path, path: str, what: str) -> Iterator[Row]:
    for loop in LOOPS:
        with pyconfserve(folder, loop=loop) as (url, _, _):
            body, _ = fetched(f"{url}{path}")
            with nginx(work, {path: body}) as peer:
                pairs = loads(f"{url}{path}", f"{peer}{path}")
        yield compared(f"{what}, {loop}, answers a second", "nginx", pairs, "≥ 0.8")


def users(work: Path) -> Iterator[Row]:
    """A cached answer behind a password and behind a token, against the same server without users."""
    tool("wrk")
    folder, file = fixture(work / "cfg"), work / "users.yml"
    add = [sys.executable, "-m", "pyconfserve", "user", "add", str(file)]
    options = {"cwd": PACKAGE_ROOT, "check": True, "capture_output": True, "text": True}
    subprocess.run([*add, "orders", "--application", "orders"], input="hunter22\n", **options)
    token = subprocess.run([*add, "ci", "--token"], **options).stdout.split()[-1]
    known = {"Basic": "b3JkZXJzOmh1bnRlcjIy", "Bearer": token}  # orders:hunter22
    for scheme, secret in known.items():
        authorization = f"{scheme} {secret}"
        header = f"Authorization: {authorization}"
        with (
            pyconfserve(folder) as (open_url, _, _),
            pyconfserve(folder, "--users", file, authorization=authorization) as (url, _, _),
        ):
            pairs = interleaved(partial(load, f"{url}{PATH}", header), partial(load, f"{open_url}{PATH}", header))
        yield compared(f"cached GET with users, {scheme}, answers a second", "without users", pairs, "≥ 0.8")
