"""The recipes of the README for frameworks, with the real ones."""

import asyncio
import re
import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytest_plugins = ["pyconfserve.testing"]
PATIENCE = 20  # seconds for what takes a fraction of one

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def recipe(part):
    """The one code block of the README that holds *part*."""
    (found,) = [block for block in BLOCKS if part in block]
    return found


FLASK = recipe("from flask import")
FASTAPI = recipe("from fastapi import")
PYDANTIC = recipe("from pydantic_settings import")
GUNICORN = recipe("def post_fork")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that gives what a recipe defines, as a module, with another server."""

    def make(recipe, url="http://127.0.0.1:8888"):
        path = tmp_path / "recipe.py"
        path.write_text(recipe.replace("http://127.0.0.1:8888", url))
        spec = spec_from_file_location("recipe", path)
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "recipe", module)
        spec.loader.exec_module(module)
        return module

    return make


@pytest.fixture
def served(config_server):
    """A server with what the recipes read."""
    return config_server(
        {"orders/prod": {"db.pool": 20, "flask.SECRET_KEY": "s", "flask.MAX_CONTENT_LENGTH": 9}}
    )


def test_flask(made, served):
    """Its own settings from the server, and a configuration for the views."""
    pytest.importorskip("flask")
    app = made(FLASK).create_app(served.url)
    assert (app.config["SECRET_KEY"], app.config["MAX_CONTENT_LENGTH"]) == ("s", 9)
    assert app.test_client().get("/pool").json == {"pool": 20}


def test_fastapi_follows_changes(made, served, capsys):
    """From the start to the end of the application, which leaves no task behind."""
    httpx, fastapi = pytest.importorskip("httpx"), pytest.importorskip("fastapi")
    app = made(FASTAPI).create_app(served.url)
    assert isinstance(app, fastapi.FastAPI)

    async def scene():
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://app") as client,
        ):
            first = (await client.get("/pool")).json()
            await asyncio.to_thread(served.set, "orders", "prod", {"db.pool": 40})
            async with asyncio.timeout(PATIENCE):
                last = first
                while last == first:  # the recipe has no event to wait for
                    await asyncio.sleep(0)
                    last = (await client.get("/pool")).json()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            assert (await asyncio.wait(others, timeout=PATIENCE))[1] == set()
        return first, last

    assert asyncio.run(scene()) == ({"pool": 20}, {"pool": 40})
    assert "db.pool" in capsys.readouterr().out


def test_fastapi_does_not_start_without_its_configuration(made, config_server):
    """The client's error is the application's."""
    pytest.importorskip("fastapi")
    from pyconfserve.errors import FetchError

    app = made(FASTAPI).create_app(config_server().url)

    async def start():
        async with app.router.lifespan_context(app):
            raise AssertionError("it started")

    with pytest.raises(FetchError):
        asyncio.run(start())


def test_pydantic_settings(made, served, monkeypatch):
    """The environment above the server above the defaults."""
    pytest.importorskip("pydantic_settings")
    settings = made(PYDANTIC, served.url).Settings
    assert settings().db.pool == 20
    monkeypatch.setenv("DB", '{"pool": 7}')
    assert settings().db.pool == 7
    assert settings(db={"pool": 3}).db.pool == 3


def test_a_worker_follows_changes(made, served):
    """gunicorn's hooks, called as gunicorn calls them."""
    told = threading.Event()

    class Log:
        def info(self, text, *arguments):
            self.text = text % arguments
            told.set()

    class Worker:
        log = Log()

    module = made(GUNICORN, served.url)
    module.post_fork(None, Worker)
    # A watch that has not begun yet sees the change as well: load() was before it.
    served.set("orders", "prod", {"db.pool": 40})
    assert told.wait(PATIENCE)
    module.worker_exit(None, Worker)
    assert not Worker.following.is_running
    assert module.client.current["db.pool"] == 40
    assert "db.pool" in Worker.log.text
    assert "40" not in Worker.log.text
