"""Hostile documents, stored and sent: each is refused for itself and harms nothing else."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import threading
from pathlib import Path
from time import process_time
from typing import Any, ClassVar

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend
from pyconfserve.files import DictTree
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.routes import Routes

CASES = json.loads((Path(__file__).parent / "cases/documents.json").read_text())
ACCEPTED_FILE = {  # where a row leaves the choice, or differs between body and file
    "sexagesimal", "exp", "nan", "inf", "top-scalar", "top-list", "value-tag",
    "norway", "placeholder-loop", "j-bom", "j-dots", "j-index", "j-nlkey",
}  # fmt: skip


def data_of(case: dict[str, Any]) -> bytes:
    if "input_b64" in case:
        return base64.b64decode(case["input_b64"])
    return "".join(text * times for text, times in case["text"]).encode()


def is_accepted(case: dict[str, Any]) -> bool:
    return case["require"].startswith("accept") or case["id"] in ACCEPTED_FILE


def ask(folder: Path, *requests: Request) -> list[Response]:
    routes = Routes(ConfigServer(FilesystemConfigBackend(folder)))

    async def all_of_them() -> list[Response]:
        return [await routes.handle(request) for request in requests]

    return asyncio.run(all_of_them())


def refuse_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_stored_document(case: dict[str, Any], tmp_path: Path) -> None:
    """A stored document is read or refused with 500 and its name; others are served."""
    if case["format"] == "yaml":
        pytest.importorskip("yaml")
    name = f"hostile.{case['format']}"
    (tmp_path / name).write_bytes(data_of(case))
    (tmp_path / "fine.json").write_text('{"a": 1}')
    hostile, fine, listed = ask(
        tmp_path,
        Request("GET", "/hostile/default"),
        Request("GET", "/fine/default"),
        Request("GET", "/_list"),
    )
    body = json.loads(hostile.body, parse_constant=refuse_constant)
    if is_accepted(case):
        assert (hostile.status, body["name"]) == (200, "hostile")
    else:
        assert (hostile.status, body["error"]) == (500, "Internal Server Error")
        assert body["message"].startswith(f"{name}:")
    assert json.loads(fine.body)["propertySources"] == [
        {"name": "fine-default", "source": {"a": 1}}
    ]
    assert [row["application"] for row in json.loads(listed.body)] == [
        "fine",
        "hostile",
    ]


JSON_CASES = [case for case in CASES if case["format"] == "json"]


@pytest.mark.parametrize("case", JSON_CASES, ids=[case["id"] for case in JSON_CASES])
def test_document_as_body(case: dict[str, Any], tmp_path: Path) -> None:
    """A body is stored and read back, or refused with 400 and changes nothing."""
    headers = {"content-type": "application/json"}
    saved, fetched = ask(
        tmp_path,
        Request("POST", "/app/prod", headers=headers, body=data_of(case)),
        Request("GET", "/app/prod"),
    )
    if is_accepted(case):
        assert (saved.status, saved.body) == (200, b'{"saved":true}')
        assert fetched.status == 200
    else:
        assert (saved.status, json.loads(saved.body)["error"]) == (400, "Bad Request")
        assert fetched.status == 404
        assert list(tmp_path.rglob("*")) == []


YAML_CASES = [case for case in CASES if case["format"] == "yaml"]


@pytest.mark.parametrize("case", YAML_CASES, ids=[case["id"] for case in YAML_CASES])
def test_yaml_is_no_body(case: dict[str, Any], tmp_path: Path) -> None:
    """A body is JSON: YAML is 415 by its type, and 400 under another name."""
    saves = [
        Request("POST", "/app/prod", headers={"content-type": kind}, body=data_of(case))
        for kind in ("application/yaml", "application/json")
    ]
    as_yaml, as_json = ask(tmp_path, *saves)
    is_json = case["id"] == "empty"  # which is an empty map
    assert (as_yaml.status, as_json.status) == (415, 200 if is_json else 400)
    assert is_json or list(tmp_path.rglob("*")) == []


def nested(depth: int) -> bytes:
    """A list of lists below a key, in the flow form that YAML, JSON and TOML share."""
    return b"[" * (depth - 1) + b"1" + b"]" * (depth - 1)


def aliased(count: int, items: int = 1) -> bytes:
    """YAML in which *count* aliases stand for a list of *items* each."""
    listed = b"a: &a [" + b"1," * (items - 1) + b"1]\n"
    return listed + b"".join(b"b%d: *a\n" % number for number in range(count))


LARGEST = 3 * 1024 * 1024
BOUNDS: dict[str, tuple[str, bytes, bytes, str]] = {
    "size": ("yaml", b"a: 1 #".ljust(LARGEST, b"x"), b"a: 1 #".ljust(LARGEST + 1, b"x"), f"larger than {LARGEST} bytes"),
    "depth-yaml": ("yaml", b"a: " + nested(50), b"a: " + nested(51), "nested more than 50 deep"),
    "depth-json": ("json", b'{"a": ' + nested(50) + b"}", b'{"a": ' + nested(51) + b"}", "nested more than 50 deep"),
    "depth-toml": ("toml", b"a = " + nested(50), b"a = " + nested(51), "a value is too large or nested too deep"),
    "aliases": ("yaml", aliased(50), aliased(51), "more than 50 aliases"),
    "documents": ("yaml", b"a: 1\n---\n" * 99 + b"a: 1", b"a: 1\n---\n" * 100 + b"a: 1", "more than 100 documents"),
    "nodes": ("yaml", aliased(40, 4_000), aliased(50, 4_000), "not YAML, or above a limit"),
    "key": ("json", b'{"%s": 1}' % (b"k" * 1024), b'{"%s": 1}' % (b"k" * 1025), "a key is longer than 1024 bytes"),
    "integer": ("json", b'{"a": %d}' % 2**1023, b'{"a": %d}' % 2**1024, "an integer has more than 1024 bits"),
}  # fmt: skip


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_stored_document_has_bounds(bound: str, tmp_path: Path) -> None:
    """At the bound it is served, above it the file is named with the reason."""
    suffix, within, above, reason = BOUNDS[bound]
    if suffix == "yaml":
        pytest.importorskip("yaml")
    (tmp_path / f"within.{suffix}").write_bytes(within)
    (tmp_path / f"above.{suffix}").write_bytes(above)
    paths = ("/within/default", "/above/default")
    served, refused = ask(tmp_path, *(Request("GET", path) for path in paths))
    message = json.loads(refused.body)["message"]
    assert (served.status, refused.status) == (200, 500), message
    assert (message.split(":")[0], message.split(": ")[1]) == (
        f"above.{suffix}",
        reason,
    )


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b" " * (1024 * 1024 + 1), 413, "a body is at most 1048576 bytes"),
        (b'{"a": ' + nested(51) + b"}", 400, "body: nested more than 50 deep at line 1, column 56"),
        (b'{"a": [' + b"1," * 200_000 + b"1]}", 400, "properties: more than 200000 values"),
    ],
    ids=["size", "depth", "nodes"],
)  # fmt: skip
def test_a_body_has_bounds(
    body: bytes, status: int, message: str, tmp_path: Path
) -> None:
    """What is above them is refused with the reason, and changes nothing."""
    (refused,) = ask(tmp_path, Request("POST", "/app/prod", body=body))
    assert (refused.status, json.loads(refused.body)["message"]) == (status, message)
    assert list(tmp_path.rglob("*")) == []


LONGEST_GAP = 0.2  # seconds in which no other answer waits
TRIES = 3  # as memory is tidied up now and then; what a document does comes each time
BROKEN = b"\n]"
HEAVY: dict[str, tuple[str, bytes]] = {
    "many-keys": ("yaml", b"".join(b"k%d: v\n" % n for n in range(8_000)) + BROKEN),
    "many-nodes": ("yaml", aliased(50, 4_000)),
    "long-text": ("yaml", b'a: "' + b"x\n" * 1_400_000),
    "many-escapes": ("yaml", b'a: "' + b"\\x41" * 700_000 + b'"' + BROKEN),
    "last-byte": ("yaml", b"#" * 3_000_000 + b"\x00"),
    "json": ("json", b'{"a": [' + b'"v",' * 30_000),
    "toml": ("toml", b"a = [" + b"2020-01-01," * 20_000),
    "properties": ("properties", b"a=1\n" * 30_000 + b"b=\\u12"),
}  # fmt: skip
REFUSED = {
    **{case["id"]: (case["format"], data_of(case)) for case in CASES if not is_accepted(case)},
    **HEAVY,
}  # fmt: skip


async def longest_gap(
    routes: Routes, requests: list[Request]
) -> tuple[float, set[int]]:
    """How long another one waited for an answer, and what the requests were answered.

    In seconds of work of this process, so that others on the machine do not count.
    """
    gaps, last = [0.0], process_time()
    tasks = [asyncio.ensure_future(routes.handle(request)) for request in requests]
    while not all(task.done() for task in tasks):
        response = await routes.handle(Request("GET", "/fine/default"))
        assert response.status == 200
        now = process_time()
        gaps.append(now - last)
        last = now
        await asyncio.sleep(0)
    return max(gaps), {task.result().status for task in tasks}


def gap_of(folder: Path, requests: list[Request]) -> tuple[float, set[int]]:
    """The shortest of the longest gaps of a few tries."""
    backend = FilesystemConfigBackend(folder, refresh_interval=0)
    found = []
    gc.collect()
    gc.freeze()  # what thousands of tests left is no part of a server
    try:
        for _ in range(TRIES):
            routes = Routes(ConfigServer(backend))
            found.append(asyncio.run(longest_gap(routes, requests)))
            if found[-1][0] < LONGEST_GAP:
                break
    finally:
        gc.unfreeze()
    return min(found)


@pytest.mark.parametrize("count", [1, 8], ids=["one", "eight"])
@pytest.mark.parametrize("name", REFUSED)
def test_nobody_waits_while_a_document_is_refused(
    name: str, count: int, tmp_path: Path
) -> None:
    """Neither for one nor for eight at once, each of another application."""
    suffix, data = REFUSED[name]
    if suffix == "yaml":
        pytest.importorskip("yaml")
    (tmp_path / "fine.json").write_text('{"a": 1}')
    for number in range(count):
        (tmp_path / f"hostile{number}.{suffix}").write_bytes(data)
    asked = [Request("GET", f"/hostile{number}/default") for number in range(count)]
    gap, statuses = gap_of(tmp_path, asked)
    assert statuses == {500}
    assert gap < LONGEST_GAP


@pytest.mark.parametrize("count", [1, 8], ids=["one", "eight"])
@pytest.mark.parametrize("broken", [b"x", b"\xff"], ids=["syntax", "charset"])
def test_nobody_waits_while_a_body_is_refused(
    broken: bytes, count: int, tmp_path: Path
) -> None:
    """As large as a body may be, and wrong in its last byte."""
    (tmp_path / "fine.json").write_text('{"a": 1}')
    items = b",".join(b'"k%d": "v"' % number for number in range(30_000))
    body = b"{" + items + b"}" + broken
    asked = [
        Request("POST", f"/hostile{number}/default", body=body)
        for number in range(count)
    ]
    gap, statuses = gap_of(tmp_path, asked)
    assert statuses == {400}
    assert gap < LONGEST_GAP


def test_documents_are_read_in_other_threads_than_the_loops() -> None:
    """Files are, and so are the bodies that replace them."""

    class Noting(DictTree):
        threads: ClassVar[set[str]] = set()

        def read(self, path: str, limit: int = LARGEST) -> Any:
            self.threads.add(threading.current_thread().name)
            return super().read(path, limit)

        def change(self, *arguments: Any) -> None:
            self.threads.add(threading.current_thread().name)
            super().change(*arguments)

    tree = Noting({"a-p.json": b"{}"})
    routes = Routes(ConfigServer(FilesystemConfigBackend(tree)))

    async def scenario() -> None:
        for request in (Request("GET", "/a/p"), Request("POST", "/a/p", body=b"{}")):
            assert (await routes.handle(request)).status == 200

    asyncio.run(scenario())
    assert tree.threads == {"pyconfserve-folder", "pyconfserve-folder-save"}
