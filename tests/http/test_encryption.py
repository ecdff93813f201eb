"""/encrypt, /decrypt, /key and opened `{cipher}` values, as recorded of Spring."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pyconfserve import ConfigServer, InMemoryConfigBackend
from pyconfserve.auto_configuration import build_server
from pyconfserve.environment.overlay import SPRING
from pyconfserve.errors import SettingsError
from pyconfserve.http.access import Access
from pyconfserve.http.grammar import LARGEST_BODY
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.rights import READ_ONLY_RIGHTS
from pyconfserve.http.routes import Routes
from pyconfserve.settings import Settings

CASES = Path(__file__).parents[1] / "cases/spring"
FIELDS = {
    "encrypt.key": "encrypt_key",
    "encrypt.salt": "encrypt_salt",
    "encrypt.key-store.location": "encrypt_key_store",
    "encrypt.key-store.password": "encrypt_key_store_password",
    "encrypt.key-store.alias": "encrypt_key_store_alias",
}


def rows() -> list[Any]:
    found = []
    for scenario in ("crypto", "crypto-disabled", "crypto-nokey", "crypto-rsa", "crypto-salt"):  # fmt: skip
        record = json.loads((CASES / f"{scenario}.json").read_text(encoding="utf-8"))
        for case in record["cases"]:
            found.append(pytest.param(record, case, id=f"{scenario}/{case['id']}"))
    return found


def routes_of(record: dict[str, Any]) -> tuple[Routes, str]:
    folder = str(CASES / "fixtures" / record["fixture"])
    given = record["settings"]
    fields: dict[str, Any] = {
        name: given[key].replace("{repo}", folder)
        for key, name in FIELDS.items()
        if key in given
    }
    enabled = given.get("spring.cloud.config.server.encrypt.enabled", "true")
    server = build_server(
        Settings(root=folder, encrypt_enabled=enabled == "true", **fields)
    )
    server.dialect = SPRING
    return Routes(server, all_routes=True), folder


def without_version(text: str) -> str:
    document = json.loads(text)
    return json.dumps({**document, "version": None})


@pytest.mark.parametrize(("record", "case"), rows())
def test_answer_is_the_recorded_one(
    record: dict[str, Any], case: dict[str, Any]
) -> None:
    """Status, type and text; what is encrypted anew decrypts to what was sent."""
    if any(key in record["settings"] for key in FIELDS):
        pytest.importorskip("cryptography")
    routes, folder = routes_of(record)
    path, _, query = case["target"].partition("?")
    headers = {name.lower(): value for name, value in case["request_headers"].items()}
    body = (case.get("request_body") or "").encode()
    request = Request(case["method"], path, query, headers, body)
    response = asyncio.run(routes.handle(request))
    if case["status"] >= 500:
        assert response.status >= 400
        return
    assert response.status == case["status"]
    if response.status >= 400 or case.get("compare") in ("status", "publickey"):
        return
    shown = {name.lower(): value for name, value in response.headers}
    assert shown["content-type"] == case["response_headers"]["content-type"]
    got = response.body.decode().replace(folder, "{repo}")
    if case.get("compare") in ("cipher", "rsacipher"):
        assert len(got) == len(case["body"])
    elif '"propertySources"' in case["body"]:
        assert without_version(got) == without_version(case["body"])
    else:
        assert got == case["body"]


def ask(request: Request, **options: Any) -> Response:
    server = ConfigServer(InMemoryConfigBackend())
    routes = Routes(server, all_routes=True, **options)
    return asyncio.run(routes.handle(request))


@pytest.mark.parametrize(
    "request_",
    [
        Request("POST", "/encrypt"),
        Request("POST", "/decrypt/orders/prod"),
        Request("GET", "/encrypt/status"),
        Request("GET", "/key"),
    ],
    ids=lambda request: request.path,
)
def test_without_a_key_each_says_so(request_: Request) -> None:
    """404 with NO_KEY, where the Java server fails."""
    response = ask(request_)
    message = "NO_KEY: no key is set to encrypt with"
    assert (404, message) == (response.status, json.loads(response.body)["message"])


def test_rights_to_encrypt_are_not_everyones() -> None:
    """Beyond this machine nobody encrypts, decrypts or asks whether they could."""
    access = Access(rights=READ_ONLY_RIGHTS)
    for request in (
        Request("POST", "/encrypt"),
        Request("POST", "/decrypt"),
        Request("GET", "/encrypt/status"),
    ):
        assert ask(request, access=access).status == 403


def test_the_rest_of_the_names_stays_applications() -> None:
    """`/encrypt/orders` is an environment; without the routes so is the status."""
    server = ConfigServer(InMemoryConfigBackend())
    asyncio.run(server.save("encrypt", "status", {"a": 1}))
    bare = Routes(server)
    found = asyncio.run(bare.handle(Request("GET", "/encrypt/status")))
    assert json.loads(found.body)["name"] == "encrypt"
    assert ask(Request("GET", "/encrypt/orders")).status == 404
    assert ask(Request("GET", "/encrypt")).status == 405


def with_key(body: bytes) -> Response:
    pytest.importorskip("cryptography")
    settings = Settings(backend_type="memory", encrypt_key="k")
    routes = Routes(build_server(settings), all_routes=True)
    headers = {"content-type": "text/plain"}
    return asyncio.run(routes.handle(Request("POST", "/decrypt", "", headers, body)))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"x" * (LARGEST_BODY + 1), 413, f"a body is at most {LARGEST_BODY} bytes"),
        (b"\xff", 400, "body: expected UTF-8"),
        (b"00" * 32, 400, "body: INVALID: text not encrypted with this key"),
    ],
    ids=["large", "not text", "garbage"],
)
def test_a_body_is_refused(body: bytes, status: int, message: str) -> None:
    """With one reason for all that does not decrypt."""
    response = with_key(body)
    assert (status, message) == (response.status, json.loads(response.body)["message"])


def test_a_key_store_that_is_not_there_is_named() -> None:
    """The setting is, not the password."""
    pytest.importorskip("cryptography")
    with pytest.raises(SettingsError) as caught:
        build_server(Settings(backend_type="memory", encrypt_key_store="/no/such.p12", encrypt_key_store_password="pw"))  # fmt: skip
    key = "pyfly.config-server.encrypt.key-store.location"
    assert f"{key}: cannot be read: No such file or directory" == str(caught.value)
