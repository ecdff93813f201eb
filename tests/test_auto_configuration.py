"""auto_configuration: settings to a backend to a server."""

import asyncio
import importlib
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyconfserve import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
    Settings,
)
from pyconfserve.addresses import STORES
from pyconfserve.auto_configuration import (
    BACKENDS,
    build_backend,
    build_server,
    configure,
    mount,
)
from pyconfserve.errors import ReadOnlyBackend, SettingsError
from pyconfserve.settings_sources import read_settings

PROJECT = Path(__file__).parents[1]
PREFIX = "pyfly.config-server."
KNOWN = f"expected {', '.join(sorted(BACKENDS))} or module:Class"
LOGGER = "pyconfserve.auto_configuration"


def git(folder, *arguments):
    """What git prints in *folder*, by a user of its own."""
    user = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
    command = ["git", "-C", str(folder), *user, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


OWN_BACKEND = '''
from pyconfserve import ConfigSource


class Store:
    """A backend of just the three methods."""

    def __init__(self, url="", hosts=(), pool_size=1):
        self.url, self.hosts, self.pool_size = url, hosts, pool_size
        self.saved = {}

    async def fetch(self, application, profile, label="main"):
        return self.saved.get((application, profile, label))

    async def save(self, source):
        self.saved[source.application, source.profile, source.label] = source

    async def list(self):
        return [*self.saved.values()]


class Half:
    async def fetch(self, application, profile, label="main"):
        return None


class Buggy:
    def __init__(self):
        self.absent

    fetch = save = list = None


not_a_class = 7
'''


@pytest.fixture
def importable(tmp_path):
    """A function that makes a module from its name and text, for this test alone."""
    sys.path.insert(0, str(tmp_path))
    made = []

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        made.append(name)
        return name

    yield make
    sys.path.remove(str(tmp_path))
    for name in made:
        sys.modules.pop(name, None)


def settings(**values):
    """A nested mapping of settings: `root` and `type` stand below `backend`."""
    return {"pyfly": {"config-server": values}}


def in_bare_python(script, *arguments):
    """What a Python without any site-packages prints, on stdout and on stderr."""
    prelude = f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
    command = [sys.executable, "-I", "-S", "-c", prelude + script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.stdout, done.stderr


class TestBuildBackend:
    """Which name is which backend."""

    def test_the_table_of_types(self):
        """These, and module:Class."""
        assert BACKENDS.keys() == {"composite", "filesystem", "git", "memory", *STORES.values()}

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"type": "filesystem"}, FilesystemConfigBackend),
            ({}, FilesystemConfigBackend),
            ({"type": "memory"}, InMemoryConfigBackend),
        ],
        ids=["filesystem", "by default", "memory"],
    )
    def test_a_type_is_a_class(self, tmp_path, given, expected):
        """A folder unless something else is named."""
        backend = build_backend(settings(backend={"root": str(tmp_path), **given}))
        assert expected is type(backend)

    def test_an_unknown_type_names_the_known_ones(self):
        """The whole message."""
        with pytest.raises(SettingsError) as caught:
            build_backend(settings(backend={"type": "mongodb"}))
        assert (
            f"{PREFIX}backend.type: {KNOWN}"
            == str(caught.value)
        )

    @pytest.mark.parametrize("source", ["Settings", "mapping", "file"])
    def test_settings_come_in_every_form(self, tmp_path, source):
        """Whatever read_settings takes."""
        path = tmp_path / "settings.properties"
        path.write_text("pyfly.config-server.backend.type=memory\n")
        given = {
            "Settings": Settings(backend_type="memory"),
            "mapping": {f"{PREFIX}backend.type": "memory"},
            "file": path,
        }
        assert isinstance(build_backend(given[source]), InMemoryConfigBackend)

    def test_the_first_location_is_saved_to(self, tmp_path):
        """Locations are tiers, the first on top; the root is not one of them then."""
        top, low, root = (str(tmp_path / name) for name in ("top", "low", "root"))
        backend = build_backend(
            settings(backend={"root": root, "search-locations": [top, low]})
        )
        asyncio.run(backend.save(ConfigSource("orders", "prod", properties={"a": 1})))
        files = [
            path.relative_to(tmp_path).as_posix()
            for path in tmp_path.rglob("*")
            if path.is_file()
        ]
        assert len(files) == 1
        assert files[0].startswith("top/main/orders-prod.")

    def test_the_label_and_the_interval_reach_the_folder(self, tmp_path):
        """default-label is the folder of requests without a label."""
        values = {
            "default-label": "stable",
            "refresh-interval": 0,
            "backend": {"root": str(tmp_path)},
        }
        assert build_backend(settings(**values)).default_label == "stable"

    def test_a_temporary_folder_when_nothing_is_named(self, caplog):
        """It is said out loud, and it works."""
        with caplog.at_level(logging.WARNING, LOGGER):
            backend = build_backend({})
        [folder] = caplog.records[0].args[1:]
        asyncio.run(backend.save(ConfigSource("orders", "prod", properties={"a": 1})))
        saved = [*Path(folder).rglob("orders-prod.*")]
        shutil.rmtree(folder)
        expected = (
            f"neither {PREFIX}backend.root nor search-locations is set: "
            f"serving the temporary folder {folder}, which nobody keeps"
        )
        assert (1, [expected]) == (len(saved), caplog.messages)

    @pytest.mark.parametrize(
        "key",
        ["backend.root", "backend.search-locations", "native.search-locations"],
    )
    def test_no_temporary_folder_when_one_is_named(self, tmp_path, caplog, key):
        """Each of the three settings is enough, and nothing is warned of."""
        (tmp_path / "orders-prod.json").write_text('{"a": 1}')
        with caplog.at_level(logging.DEBUG, "pyconfserve"):
            backend = build_backend({PREFIX + key: str(tmp_path)})
        bundle = asyncio.run(backend.fetch("orders", "prod"))
        assert (bundle.properties, caplog.messages) == ({"a": 1}, [])


class TestGit:
    """backend.type git."""

    def test_git_needs_a_uri(self):
        """The setting is named."""
        with pytest.raises(SettingsError) as caught:
            build_backend(settings(backend={"type": "git"}))
        assert f"{PREFIX}backend.git.uri: backend.type git needs it" == str(
            caught.value
        )

    def test_a_repository_is_served(self, tmp_path):
        """By its own settings: label, search paths, clone, author."""
        pytest.importorskip("git")
        work, clone = tmp_path / "work", tmp_path / "clone"
        git(tmp_path, "init", "--quiet", "--initial-branch=stable", str(work))
        (work / "team").mkdir()
        (work / "team/orders-prod.json").write_text('{"a": 1}')
        git(work, "add", ".")
        git(work, "commit", "--quiet", "--message=one")
        options = {
            "uri": str(work),
            "label": "stable",
            "clone-dir": str(clone),
            "search-paths": "team",
            "author": "Config Bot <bot@example.com>",
        }

        async def used():
            server = build_server(
                read_settings(settings(backend={"type": "git", "git": options}))
            )
            try:
                await server.open()
                found = await server.fetch("orders", "prod")
                await server.save("orders", "dev", {"b": 2}, server.default_label)
            finally:
                await server.close()
            return found["label"], found["propertySources"]

        sources = [{"name": "orders-prod", "source": {"a": 1}}]
        assert ("stable", sources) == asyncio.run(used())
        assert git(
            clone, "log", "-1", "--format=%an <%ae> %s", "stable"
        ) == "Config Bot <bot@example.com> save orders/dev\n"
        assert git(clone, "show", "stable:team/orders-dev.yaml") == "b: 2\n"

    def test_without_gitpython_the_folder_is_served(self, tmp_path):
        """The documented fallback, with a warning that says what to install."""
        (tmp_path / "orders-prod.json").write_text('{"a": 1}')
        script = (
            "import asyncio, logging\n"
            "logging.basicConfig(format='%(levelname)s %(message)s')\n"
            "from pyconfserve import build_backend\n"
            "backend = build_backend({'pyfly.config-server.backend.type': 'git',"
            " 'pyfly.config-server.backend.git.uri': 'x',"
            " 'pyfly.config-server.backend.root': sys.argv[1]})\n"
            "bundle = asyncio.run(backend.fetch('orders', 'prod'))\n"
            "print(type(backend).__name__, bundle.properties)\n"
        )
        warning = (
            "WARNING backend.type is git and GitPython is not installed "
            "(pip install 'pyconfserve[git]'): serving the folder instead\n"
        )
        expected = ("FilesystemConfigBackend {'a': 1}\n", warning)
        assert expected == in_bare_python(script, str(tmp_path))


class TestOwnClass:
    """backend.type module:Class."""

    def test_a_class_of_three_methods_is_served(self, importable):
        """Nothing more is needed of it."""
        module = importable("own_store", OWN_BACKEND)
        server = configure(settings(enabled=True, backend={"type": f"{module}:Store"}))

        async def save_and_fetch():
            await server.save("orders", "prod", {"db": {"pool": 20}})
            document = await server.fetch("orders", "prod")
            return document["propertySources"], await server.list()

        expected = (
            [{"name": "orders-prod", "source": {"db.pool": 20}}],
            [{"application": "orders", "profile": "prod", "label": "main"}],
        )
        assert expected == asyncio.run(save_and_fetch())

    def test_options_are_its_arguments(self, importable):
        """By name, dashes as underscores, lists as lists."""
        module = importable("own_store", OWN_BACKEND)
        options = {"url": "db://x", "hosts": ["a", "b"], "pool-size": 3}
        backend = build_backend(
            settings(backend={"type": f"{module}:Store", "options": options})
        )
        assert (backend.url, backend.hosts, backend.pool_size) == (
            "db://x",
            ["a", "b"],
            3,
        )

    @pytest.mark.parametrize(
        ("backend_type", "problem"),
        [
            ("absent_store:Store", "there is no module absent_store"),
            ("own_store.inner:Store", "there is no module own_store.inner"),
            ("own_store:Absent", "own_store has no Absent"),
            ("own_store:Half", "Half lacks one of the methods fetch, save and list"),
            (":Store", KNOWN),
            ("own_store:", KNOWN),
            (".own_store:Store", KNOWN),
        ],
    )
    def test_what_is_no_backend_is_named(self, importable, backend_type, problem):
        """Module, class or method: the message says which is missing."""
        importable("own_store", OWN_BACKEND)
        with pytest.raises(SettingsError) as caught:
            build_backend(settings(backend={"type": backend_type}))
        assert f"{PREFIX}backend.type: {problem}" == str(caught.value)

    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            (
                "import absent_driver",
                ModuleNotFoundError,
                "No module named 'absent_driver'",
            ),
            ("import own", ModuleNotFoundError, "No module named 'own'"),
            ("import own_", ModuleNotFoundError, "No module named 'own_'"),
            (
                "from os import absent",
                ImportError,
                "cannot import name 'absent' from 'os'",
            ),
            ("1 / 0", ZeroDivisionError, "division by zero"),
        ],
        ids=[
            "driver",
            "driver that begins its name",
            "driver by underscore",
            "import",
            "fault",
        ],
    )
    def test_a_fault_inside_the_module_is_its_own(
        self, importable, text, error, message
    ):
        """It is not taken for the absence of the module."""
        importable("own_store", text)
        with pytest.raises(error) as caught:
            build_backend(settings(backend={"type": "own_store:Store"}))
        assert type(caught.value) is error
        assert str(caught.value).startswith(message)

    def test_a_fault_inside_the_class_is_its_own(self, importable):
        """An attribute that its constructor misses is not the class."""
        importable("own_store", OWN_BACKEND)
        with pytest.raises(AttributeError) as caught:
            build_backend(settings(backend={"type": "own_store:Buggy"}))
        assert str(caught.value) == "'Buggy' object has no attribute 'absent'"


class TestConfigure:
    """A server, when one is wanted."""

    @pytest.mark.parametrize(
        "given",
        [{}, {"enabled": False}, {"enabled": "no"}],
        ids=["unsaid", "false", "no"],
    )
    def test_nothing_unless_enabled(self, given, tmp_path):
        """No server, no folder made."""
        root = tmp_path / "cfg"
        assert configure(settings(backend={"root": str(root)}, **given)) is None
        assert not root.exists()

    def test_a_server_over_the_backend(self, tmp_path):
        """What the folder has is what it answers."""
        (tmp_path / "orders.json").write_text('{"a": 1}')
        server = configure(settings(enabled="true", backend={"root": str(tmp_path)}))
        document = asyncio.run(server.fetch("orders", "prod"))
        assert document["propertySources"] == [
            {"name": "orders-default", "source": {"a": 1}}
        ]

    def test_a_layout_of_others_refuses_saves(self):
        """Before anything is asked for: the data is theirs."""
        settings = Settings(backend_type="consul", store_uri="consul://127.0.0.1:9", store_layout="files")
        assert build_server(settings).is_read_only

    def test_read_only_refuses_saves(self):
        """As --read-only does."""
        server = configure(
            settings(enabled=True, **{"read-only": True}, backend={"type": "memory"})
        )
        with pytest.raises(ReadOnlyBackend):
            asyncio.run(server.save("orders", "prod", {}))


def starlette_app(routes):
    """An application with one route of its own for each path and text."""
    applications = pytest.importorskip("starlette.applications")
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def endpoint(text):
        async def answer(request):
            return PlainTextResponse(text)

        return answer

    return applications.Starlette(
        routes=[Route(path, endpoint(text)) for path, text in routes.items()]
    )


def fastapi_app(routes):
    """The same on FastAPI."""
    fastapi = pytest.importorskip("fastapi")
    from starlette.responses import PlainTextResponse

    app = fastapi.FastAPI()

    def endpoint(text):
        async def answer():
            return PlainTextResponse(text)

        return answer

    for path, text in routes.items():
        app.get(path)(endpoint(text))
    return app


def get(app, *paths, host="config.example"):
    """(status, content) of each path, through httpx."""
    httpx = pytest.importorskip("httpx")

    async def ask():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://{host}"
        ) as client:
            return [await client.get(path) for path in paths]

    return [(answer.status_code, answer.text) for answer in asyncio.run(ask())]


@pytest.mark.parametrize(
    "make_app", [starlette_app, fastapi_app], ids=["starlette", "fastapi"]
)
class TestMount:
    """The routes in an application of one's own."""

    def test_own_routes_stay_reachable(self, make_app):
        """What was there before comes first, also where the patterns overlap."""
        app = make_app({"/hello": "hello", "/shop/items": "items"})
        server = mount(app, settings(enabled=True, backend={"type": "memory"}))
        asyncio.run(server.save("orders", "prod", {"a": 1}))
        hello, items, (status, document) = get(
            app, "/hello", "/shop/items", "/orders/prod"
        )
        assert [hello, items, status] == [(200, "hello"), (200, "items"), 200]
        assert '"source":{"a":1}' in document

    def test_below_a_base_path(self, make_app):
        """Routes added later are reachable too."""
        app = make_app({})
        server = mount(
            app,
            settings(
                enabled=True, **{"base-path": "/config"}, backend={"type": "memory"}
            ),
        )
        asyncio.run(server.save("orders", "prod", {"a": 1}))
        statuses = [
            status
            for status, _ in get(
                app, "/config/orders/prod", "/config/health", "/orders/prod"
            )
        ]
        assert statuses == [200, 200, 404]

    def test_it_gives_the_server(self, make_app):
        """To save to, to close."""
        server = mount(make_app({}), settings(enabled=True, backend={"type": "memory"}))
        assert isinstance(server, ConfigServer)

    def test_nothing_unless_enabled(self, make_app):
        """The application is left as it was."""
        app = make_app({"/hello": "hello"})
        before = [*app.router.routes]
        assert mount(app, settings(backend={"type": "memory"})) is None
        assert before == app.router.routes

    def test_allow_hosts_switches_the_host_rule_on(self, make_app):
        """Else the framework's own rule is the only one."""
        values = {"enabled": True, "backend": {"type": "memory"}}
        open_app, strict_app = make_app({}), make_app({})
        mount(open_app, settings(**values))
        mount(strict_app, settings(**values, **{"allow-hosts": "config.example"}))
        found = [
            get(app, "/health", host=host)[0][0]
            for app in (open_app, strict_app)
            for host in ("config.example", "evil.example")
        ]
        assert found == [200, 200, 200, 421]


def test_mount_without_starlette_says_what_to_install():
    """The one clear error; configure works without it."""
    script = (
        "from pyconfserve import configure, mount\n"
        "settings = {'pyfly.config-server.enabled': True, 'pyfly.config-server.backend.type': 'memory'}\n"
        "print(type(configure(settings)).__name__)\n"
        "try: mount(None, settings)\n"
        "except ImportError as error: print(type(error).__name__, error, sep=': ')\n"
    )
    out, errors = in_bare_python(script)
    server, message = out.splitlines()
    assert (server, errors) == ("ConfigServer", "")
    assert message.startswith("MissingDependency: ")
    assert message.endswith(" needs starlette: pip install 'pyconfserve[starlette]'")
