"""The recorded answers of the real Spring Cloud Config Server, from folders and git.

Compared as its replay does: status; content type and body of answers below 400, JSON
with the order of its keys. A version where Spring has none is ours to give.
"""

from __future__ import annotations

import asyncio
import base64
import calendar
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pyconfserve.auto_configuration import build_server
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.monitor import Monitor
from pyconfserve.http.routes import Routes
from pyconfserve.settings import Settings
from pyconfserve.spring_settings import read_spring

CASES = Path(__file__).parent / "cases/spring"
SCENARIOS = [
    "accept-empty", "alt-formats", "composite-git", "composite-native",
    "composite-nofail", "git-basic", "git-clone", "git-defaultlabel", "git-master",
    "git-native", "git-patterns", "git-prefix", "git-reverse", "git-searchpath-only",
    "git-searchpaths", "git-uripatterns", "git-uriplaceholder", "http", "native-basic",
    "native-file-location", "native-formats", "native-import", "native-labels",
    "native-locations", "native-missing", "native-multidoc", "native-nolabels",
    "native-order", "native-placeholders", "native-wildcard-nolabel", "noaccept-empty", "overrides",
    "plain-text", "prefix", "properties-types", "yaml-types",
]  # fmt: skip
# Java shows the address of an array of bytes there.
MODIFIED = calendar.timegm((2024, 3, 5, 6, 7, 8))
# How Java names a document of a file in git: by the folder that it works in.
DOCUMENT = re.compile(
    r"Config resource 'file \[\{repo\}/\w+/(.*?)\]?' via location '.*?' "
)
LEFT_OUT = {"yaml-types/tags-properties"}


def rows() -> list[Any]:
    found = []
    for scenario in SCENARIOS:
        record = json.loads((CASES / f"{scenario}.json").read_text(encoding="utf-8"))
        found += [
            pytest.param(record, case, id=f"{scenario}/{case['id']}")
            for case in record["cases"]
            if f"{scenario}/{case['id']}" not in LEFT_OUT
        ]
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded folders, with the times that the recordings have."""
    root = tmp_path_factory.mktemp("spring") / "fixtures"
    shutil.copytree(CASES / "fixtures", root)
    for path in root.rglob("*"):
        os.utime(path, (MODIFIED, MODIFIED))
    return root


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders that the recorded scripts make, with git repositories in them."""
    pytest.importorskip("git")
    root = tmp_path_factory.mktemp("spring")
    for script in (CASES / "fixtures").glob("*.sh"):
        command = ["sh", str(script), str(root / script.name)]
        subprocess.run(command, check=True, capture_output=True)
    return root


def ask(
    record: dict[str, Any], case: dict[str, Any], folders: Path
) -> tuple[Response, str]:
    """Our answer with the Java server's settings, and the folder it came from."""
    if "encrypt.key" in record["settings"]:
        pytest.importorskip("cryptography")
    folder = str(folders / record["fixture"])
    flat = {
        key: value.replace("{repo}", folder)
        for key, value in record["settings"].items()
    }
    spring = read_spring(flat, {}, is_asked=True)
    assert spring is not None
    server = build_server(Settings(**spring.fields), spring)
    routes = Routes(
        server,
        base_path=spring.fields.get("base_path", ""),
        outer_path=spring.outer_path,
        monitor=Monitor(server, takes_unsigned=True),
        all_routes=True,
    )

    async def handle() -> Response:
        response = await routes.handle(request)
        await server.close()
        return response

    path, _, query = case["target"].partition("?")
    headers = {name.lower(): value for name, value in case["request_headers"].items()}
    body = (case.get("request_body") or "").encode()
    request = Request(case["method"], path, query, headers, body)
    return asyncio.run(handle()), folder


def comparable(text: str, like: str) -> str:
    """*text*, which ought to be *like* the recorded one."""
    if '"propertySources"' not in like:
        return text
    document = json.loads(text)
    if json.loads(like)["version"] is None:
        document["version"] = None
    document["propertySources"] = [
        {**source, "name": DOCUMENT.sub(r"\1 ", source["name"])}
        for source in document["propertySources"]
        if not source["name"].endswith(".xml")
    ]
    return json.dumps(document, ensure_ascii=False)


@pytest.mark.parametrize(("record", "case"), rows())
def test_answer_is_the_recorded_one(
    record: dict[str, Any], case: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Where Spring answers, we answer the same; where it fails, we refuse."""
    is_git = record["fixture"].endswith(".sh")
    folders = request.getfixturevalue("repositories" if is_git else "folders")
    response, folder = ask(record, case, folders)
    if case["status"] >= 500:
        assert response.status >= 400
        return
    assert response.status == case["status"]
    recorded = case["response_headers"]
    shown = {name.lower(): value for name, value in response.headers}
    if "last-modified" in recorded:
        assert shown["last-modified"] == recorded["last-modified"]
    if response.status >= 300 or case["method"] in ("HEAD", "OPTIONS"):
        return
    assert shown["content-type"] == recorded["content-type"]
    if "body_b64" in case:
        assert response.body == base64.b64decode(case["body_b64"])
        return
    got = response.body.decode("utf-8").replace(folder, "{repo}")
    assert comparable(case["body"], case["body"]) == comparable(got, case["body"])
