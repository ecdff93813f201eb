"""Hostile documents, stored and sent: each is refused for itself and harms nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend
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
