"""Plain files over the routes; the recorded answers are in test_spring_answers."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.bundles import LARGEST_PLAIN_FILE
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.routes import Routes

CASES = json.loads((Path(__file__).parents[1] / "cases/paths.json").read_text())
DATE = "Fri, 01 Mar 2024 00:00:00 GMT"
SECONDS = 1709251200


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with plain files, and links that lead out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("what nobody may read")
    folder = tmp_path / "cfg"
    (folder / "conf.d").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("[core]")
    (folder / "app.json").write_text('{"host": "h", "loop": "${loop}"}')
    (folder / "nginx.conf").write_text("server ${host} ${no:x} \\${kept}")
    (folder / "nginx-prod.conf").write_text("prod")
    (folder / "loop.conf").write_text("${loop}")
    (folder / "latin.txt").write_bytes("é".encode("latin-1"))
    (folder / "lnk.yml").symlink_to(outside / "secret")
    (folder / "dl").symlink_to(outside)
    (folder / "loop.yml").symlink_to("loop.yml")
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (SECONDS, SECONDS))
    return folder


def ask(root: Path | None, target: str, **headers: str) -> Response:
    backend = FilesystemConfigBackend(root) if root else InMemoryConfigBackend()
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(
        Routes(ConfigServer(backend)).handle(Request("GET", path, query, named))
    )


ROWS = [case for case in CASES if case["kind"] == "R"]


@pytest.mark.parametrize("case", ROWS, ids=[case["source"] + case["target"][:40] for case in ROWS])  # fmt: skip
def test_what_lies_outside_is_not_served(case: dict[str, object], root: Path) -> None:
    """Every published traversal, and ours: 400 or 404, and nothing of the file."""
    response = ask(root, str(case["target"]))
    expected = case["expect"]
    assert response.status in (expected if isinstance(expected, list) else [expected])
    assert b"what nobody" not in response.body


@pytest.mark.parametrize(
    ("target", "headers", "status", "body"),
    [
        ("/app/default/main/nginx.conf", {}, 200, b"server h x ${kept}"),
        ("/app/default/main/nginx.conf?resolvePlaceholders=no", {}, 200, b"server ${host} ${no:x} \\${kept}"),
        ("/app/default/main/nginx.conf", {"accept": "application/octet-stream"}, 200, b"server ${host} ${no:x} \\${kept}"),
        ("/app/prod/main/nginx.conf", {}, 200, b"prod"),
        ("/app/default/nginx.conf?useDefaultLabel", {}, 200, b"server h x ${kept}"),
        ("/app/default/main/latin.txt", {"accept_charset": "latin-1"}, 200, "é".encode()),
        ("/app/default/main/latin.txt", {"accept_charset": "no-such"}, 200, "\ufffd".encode()),
        ("/app/default/main/nginx.conf", {"if_modified_since": DATE}, 304, b""),
        ("/app/default/main/nginx.conf", {"if_modified_since": "yesterday"}, 200, b"server h x ${kept}"),
        ("/app/default/main/nginx.conf", {"if_modified_since": DATE, "if_none_match": '"x"'}, 200, b"server h x ${kept}"),
    ],
)  # fmt: skip
def test_a_file_is_answered(
    root: Path, target: str, headers: dict[str, str], status: int, body: bytes
) -> None:
    """As text filled in, as it is when asked for bytes, or not at all when known."""
    response = ask(root, target, **headers)
    assert (status, body) == (response.status, response.body)


@pytest.mark.parametrize(
    ("target", "headers", "status", "message"),
    [
        ("/app/default/main/none.txt", {}, 404, "no such file"),
        ("/app/default/main/conf.d", {}, 404, "no such file"),
        ("/app/default/main/.git/config", {}, 404, "no such file"),
        ("/app/default/main/nginx.conf", {"if_unmodified_since": "Thu, 29 Feb 2024 00:00:00 GMT"}, 412, "the file was modified since"),
        ("/app/default/main/loop.conf", {}, 400, "resolvePlaceholders: a placeholder leads back to itself"),
        ("/app/default/main/nginx.conf?resolvePlaceholders=maybe", {}, 400, "resolvePlaceholders: expected true or false"),
        ("/app/default/x?" + "a=1&" * 101, {}, 400, "query: more than 100 parameters"),
    ],
)  # fmt: skip
def test_a_file_is_refused(
    root: Path, target: str, headers: dict[str, str], status: int, message: str
) -> None:
    """Each for a reason that the message names."""
    response = ask(root, target, **headers)
    assert (status, message) == (response.status, json.loads(response.body)["message"])


def test_an_answer_that_is_known_is_not_sent_again(root: Path) -> None:
    """The ETag of the answer is that of its very bytes."""
    first = dict(ask(root, "/app/default/main/nginx.conf").headers)
    second = ask(root, "/app/default/main/nginx.conf", if_none_match=first["ETag"])
    assert (second.status, second.body) == (304, b"")
    assert (first["Last-Modified"], first["X-Content-Type-Options"]) == (DATE, "nosniff")


def test_the_first_location_wins(tmp_path: Path) -> None:
    """As for bundles; the label's folder is before the location's own."""
    for name, text in (("one/v2/a.txt", "1v2"), ("one/b.txt", "1"), ("two/a.txt", "2"), ("two/b.txt", "2")):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = [tmp_path / "one", tmp_path / "two"]
    routes = Routes(ConfigServer(FilesystemConfigBackend(places[0], places)))
    targets = ["/x/y/v2/a.txt", "/x/y/v1/a.txt", "/x/y/v1/b.txt"]
    found = [asyncio.run(routes.handle(Request("GET", t))).body for t in targets]
    assert found == [b"1v2", b"2", b"1"]


def test_a_file_above_the_limit_is_named(root: Path) -> None:
    """It is the owner's to mend: 500, with the file's name."""
    with (root / "big.bin").open("wb") as file:
        file.truncate(LARGEST_PLAIN_FILE + 1)
    response = ask(root, "/app/default/main/big.bin")
    message = f"big.bin: larger than {LARGEST_PLAIN_FILE} bytes"
    assert (500, message) == (response.status, json.loads(response.body)["message"])


def test_a_backend_without_files_has_none() -> None:
    """Memory and backends of three methods answer 404."""
    assert ask(None, "/app/default/main/nginx.conf").status == 404


@pytest.mark.parametrize("charset", ["idna", "undefined", "punycode", "unicode_escape", "utf-7", "x" * 4000])
def test_a_charset_is_one_of_a_few(root: Path, charset: str) -> None:
    """Python has codecs that fail on what others replace, or take seconds for a file."""
    response = ask(root, "/app/default/main/latin.txt", accept_charset=charset)
    assert (200, "\ufffd".encode()) == (response.status, response.body)
