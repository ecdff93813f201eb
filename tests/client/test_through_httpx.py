"""ConfigClient over an httpx.AsyncClient: the same rules, another way to the server."""

import asyncio

import pytest
from scripted import hang, reply

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.client import Change
from pyconfserve.errors import FetchError
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.server import ConfigServer

httpx = pytest.importorskip("httpx")
applications = pytest.importorskip("starlette.applications")
from pyconfserve.adapters.starlette import (  # noqa: E402 - needs both
    make_starlette_config_server_routes,
)


def over_asgi(backend):
    """An httpx.AsyncClient over our own routes, in-process."""
    routes = make_starlette_config_server_routes(ConfigServer(backend))
    app = applications.Starlette(routes=routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app))


def test_a_client_over_asgi_is_used_and_never_closed(client, run):
    """It may be used after, and again."""

    async def go():
        backend = InMemoryConfigBackend()
        await ConfigServer(backend).save("orders", "default", {"a": 1})
        http_client = over_asgi(backend)
        made = client(url="http://config", http_client=http_client)
        found = [await made.fetch(), await made.fetch()]
        other = client(url="http://config", http_client=http_client, application="x")
        found.append(await other.fetch())
        assert not http_client.is_closed
        await http_client.aclose()
        return found

    assert run(go()) == [{"a": 1}, {"a": 1}, {}]


def test_a_plain_file(tmp_path, run, client):
    """As bytes, and as text with its placeholders filled in."""
    (tmp_path / "orders.json").write_text('{"port": 80}')
    (tmp_path / "nginx.conf").write_text("listen ${port};")

    async def go():
        async with over_asgi(FilesystemConfigBackend(tmp_path)) as http_client:
            options = {"url": "http://config", "http_client": http_client}
            return (
                await client(**options).file("nginx.conf"),
                await client(**options).file("nginx.conf", resolve=True),
                await client(**options, label=None).file("nginx.conf"),
            )

    assert run(go()) == (b"listen ${port};", b"listen 80;", b"listen ${port};")


def test_changes_are_watched(ours, client, run):
    """By long polls."""

    async def go():
        async with httpx.AsyncClient() as http_client:
            made = client(url=ours.url, http_client=http_client)
            await made.configuration()
            watching = made.watch()
            first = asyncio.ensure_future(anext(watching))
            await asyncio.to_thread(ours.save, {"b": 2})
            change = await first
            await watching.aclose()
            return change

    assert run(go()) == Change({"b": 2}, {}, {"a": 1})


def test_no_redirect_leads_to_another_host(server, client, run, caplog):
    """Even where the client would follow it."""
    server.play(reply(status=302, Location="http://127.0.0.2:1/"))

    async def go():
        async with httpx.AsyncClient(follow_redirects=True) as http_client:
            return await client(http_client=http_client, token="canary").fetch()

    assert run(go()) == {}
    assert "answered 302" in caplog.text
    assert "canary" not in caplog.text


def test_it_ends_by_its_deadline(server, client, run):
    """Not by httpx's five seconds a read."""
    server.play(hang(server))

    async def go():
        async with httpx.AsyncClient(timeout=None) as http_client:
            await client(http_client=http_client, timeout=0.1).fetch()

    with pytest.raises(FetchError, match=r"no answer within 0\.1 s"):
        run(go())
