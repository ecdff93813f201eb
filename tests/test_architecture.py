"""The architecture as the design has it: levels, no cycles, where the outside world may
be named, and how large things may get.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGE = PROJECT / "pyconfserve"

# Each module imports only from the rows above its own. `environment`, `commands` and
# `adapters.git` are rooms with an order of their own: there, only cycles are ruled out.
LEVELS = [
    ["", "http", "adapters"],  # packages that are names and nothing else
    ["addresses", "adapters.vault_journal", "board", "errors", "flights", "kept", "saves", "stamps", "turns"],
    ["adapters.s3_problems", "adapters.tokens", "http.messages", "http.dates", "http.urls", "http.refusals", "http.rights", "http.sockets", "environment.*"],
    ["adapters.json_answers", "http.asgi", "http.passwords", "http.observing", "http.sender", "bulkhead", "locking", "problems", "versions", "weights"],
    ["absences", "adapters.consul_answers", "adapters.consul_problems", "adapters.vault_problems", "capabilities", "http.attempts", "http.figures", "http.users", "threads"],
    ["adapters.vault_login", "http.grammar", "http.table", "http.dialing", "backend", "walk", "writing"],
    ["files", "label_folders", "last_answers", "past", "saveable", "timely"],
    ["http.access_log", "http.authentication", "http.memo", "http.tls", "http.users_file", "http.worker", "adapters.etcd_problems", "adapters.vault_keys"],
    ["http.exchange", "http.http11", "http.owner", "http.workers", "readings", "listing", "folder", "locations", "composite", "store"],
    ["bundles", "followed", "last_state", "state", "store_past", "adapters.consul_documents", "adapters.json_http", "adapters.s3_client", "adapters.redis_client", "adapters.redis_scripts"],
    ["followed_store", "replica", "adapters.consul_keys", "adapters.etcd_gateway", "adapters.s3_files", "adapters.s3_race", "adapters.s3_spring", "adapters.vault_client"],
    ["store_backend", "adapters.s3_fetching", "adapters.vault_reader", "adapters.vault_texts"],
    ["checking.*", "adapters.s3_followed"],
    ["saving", "adapters.s3_tree"],
    ["filesystem", "adapters.cryptography", "adapters.consul", "adapters.consul_layouts", "adapters.etcd", "adapters.git.*", "adapters.httpx", "adapters.jsonschema", "adapters.prometheus", "adapters.redis", "adapters.redis_hashes", "adapters.sql_queries", "adapters.sql_sessions", "adapters.vault", "adapters.vault_paths"],
    ["adapters.postgresql_sessions", "adapters.s3", "adapters.sql"],
    ["adapters.postgresql", "adapters.sqlite"],
    ["adapters.jdbc_slots", "adapters.jdbc_urls"],
    ["adapters.jdbc"],
    ["server", "client.*"],
    ["answers", "stored"],
    ["copying", "watches"],
    ["http.access", "http.asked"],
    ["http.about", "http.health", "http.replies", "http.targets", "http.webhooks"],
    ["http.bundle", "http.encryption", "http.explain", "http.history", "http.listed", "http.monitor", "http.plain_files", "http.watching"],
    ["http.rooms"],
    ["http.routes"],
    ["adapters.starlette", "http.connection"],
    ["http.secured"],
    ["http.listener"],
    ["setting_kinds"],
    ["settings", "roots", "served"],
    ["credentials", "settings_sources"],
    ["spring_git_names", "spring_tls", "spring_users", "spring_jdbc", "spring_redis", "spring_s3", "spring_vault", "remote_settings", "members", "stores"],
    ["spring_settings", "spring_git", "remote_import", "adapters.pydantic_settings"],
    ["spring_backends"],
    ["auto_configuration"],
    ["commands.*", "testing"],
    ["__main__"],
]
ROOMS_WITH_AN_ORDER_OF_THEIR_OWN = ("environment", "client", "checking", "commands", "adapters.git")
THIRD_PARTY = {
    "environment.formats.yaml_events": {"yaml"},
    "http.listener": {"uvloop"},
    "testing": {"pytest"},
}
OUTSIDE_WORLD = {
    "asyncio", "ctypes", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets",
    "select", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
MOST_LINES_OF_A_MODULE = 300
MOST_LINES_OF_A_FUNCTION = 50


def module_name(path):
    """`http/routes.py` is `http.routes`, `http/__init__.py` is `http`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {
    name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()
}


def imports_of(name):
    """The import statements of a module, those for type checkers alone left out."""
    pending = [TREES[name]]
    while pending:
        node = pending.pop()
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            pending += node.orelse
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            pending += ast.iter_child_nodes(node)


def inner_imports(name):
    """The modules of the package that a module imports."""
    package = name if PATHS[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in imports_of(name):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = package.split(".") if package else []
            base = parts[: len(parts) - node.level + 1] + (
                node.module.split(".") if node.module else []
            )
            for alias in node.names:
                inner = ".".join([*base, alias.name])
                found.add(inner if inner in PATHS else ".".join(base))
    return found - {name}


def outer_imports(name):
    """The top names of what a module imports from outside of the package."""
    for node in imports_of(name):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif not node.level:
            yield node.module.partition(".")[0]


def rooms_of(name):
    """`commands` for `commands` and all below it, "" elsewhere."""
    rooms = ROOMS_WITH_AN_ORDER_OF_THEIR_OWN
    return next((room for room in rooms if f"{name}.".startswith(f"{room}.")), "")


def level_of(name):
    patterns = {f"{rooms_of(name)}.*"} if rooms_of(name) else {name}
    return next(
        (number for number, row in enumerate(LEVELS) if patterns & set(row)), None
    )


def test_the_reader_of_imports_sees_them():
    """A test of the test: relative imports of every form, lazy ones too."""
    assert {"errors", "environment.names"} <= inner_imports("setting_kinds")
    assert "adapters.starlette" in inner_imports("auto_configuration")
    assert "http.health" in inner_imports("http.routes")
    assert "commands.log" in inner_imports("commands.serve")
    assert set() == inner_imports("")


def test_every_module_has_a_level():
    """A new module is put into the table, and the table names no module that is gone."""
    known = {pattern for row in LEVELS for pattern in row if not pattern.endswith(".*")}
    assert [name for name in PATHS if level_of(name) is None] == []
    assert sorted(known - set(PATHS)) == []


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "pyconfserve")
def test_imports_only_go_down(name):
    """To a row above in the table, or within a room with its own order."""
    wrong = [
        imported
        for imported in inner_imports(name)
        if level_of(imported) >= level_of(name)
        and not (rooms_of(name) and rooms_of(name) == rooms_of(imported))
    ]
    assert wrong == []


def test_there_are_no_cycles():
    """Not even of two modules of one room, not even by lazy imports."""
    order = TopologicalSorter({name: inner_imports(name) for name in PATHS})
    order.prepare()  # raises CycleError, which shows the cycle


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "pyconfserve")
def test_foreign_libraries_have_their_place(name):
    """The standard library everywhere; others in adapters/, yaml and uvloop in theirs."""
    foreign = set(outer_imports(name)) - sys.stdlib_module_names
    if not name.startswith("adapters."):
        assert THIRD_PARTY.get(name, set()) == foreign


@pytest.mark.parametrize(
    "name", [name for name in PATHS if name.startswith("environment")]
)
def test_the_environment_is_pure(name):
    """No files, no sockets, no clock, no chance, no logs."""
    assert set() == set(outer_imports(name)) & OUTSIDE_WORLD


@pytest.mark.parametrize(
    "name",
    [
        "http.messages", "http.grammar", "http.http11",
        "client.binding", "client.configuration", "client.documents", "client.scalars",
        "client.steps", "client.views",
    ],
)  # fmt: skip
def test_the_wire_is_pure(name):
    """Bytes in, values out; a client's steps are values too."""
    assert set() == set(outer_imports(name)) & OUTSIDE_WORLD


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "pyconfserve")
def test_the_package_never_names_itself(name):
    """Imports inside of it are relative, so that it can be vendored."""
    assert "pyconfserve" not in set(outer_imports(name))


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "pyconfserve")
def test_sizes(name):
    """A module has at most 300 lines, a function 50."""
    lines = len(PATHS[name].read_text(encoding="utf-8").splitlines())
    long = [
        node.name
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert (lines <= MOST_LINES_OF_A_MODULE, long) == (True, []), f"{lines} lines"


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "pyconfserve")
def test_modules_say_what_they_are(name):
    """Each begins with a docstring."""
    assert ast.get_docstring(TREES[name])


def modules_after(script):
    """What sys.modules has more after a script than before, in a Python of its own."""
    probe = f"import sys\nbefore = set(sys.modules)\n{script}\nprint(*sorted(set(sys.modules) - before), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return set(done.stdout.split())


def test_a_bare_import_loads_nothing():
    """No module of its own, no asyncio, no YAML, until a name is asked for."""
    loaded = modules_after("import pyconfserve")
    assert {"pyconfserve"} == {
        name for name in loaded if name.startswith("pyconfserve")
    }
    assert set() == loaded & {
        "asyncio",
        "yaml",
        "json",
        "logging",
        "socket",
        "ssl",
        "starlette",
        "uvloop",
    }


@pytest.mark.parametrize(
    "script",
    [
        "from pyconfserve import ConfigServer, FilesystemConfigBackend, Settings, build_backend, configure, mount",
        "import pyconfserve.http.listener",
        "import pyconfserve.commands.serve",
    ],
    ids=["library", "listener", "command"],
)
def test_no_optional_library_is_loaded_before_it_is_used(script):
    """Neither YAML nor a web framework nor git."""
    assert set() == modules_after(script) & {
        "yaml",
        "starlette",
        "fastapi",
        "httpx",
        "git",
        "cryptography",
        "prometheus_client",
        "psycopg",
        "redis",
        "boto3",
        "botocore",
        "sqlite3",
        "jsonschema",
    }


def test_serving_json_loads_no_yaml(tmp_path):
    """The format of a file decides which parser is loaded."""
    (tmp_path / "orders.json").write_text('{"a": 1}')
    script = (
        "import asyncio\nfrom pyconfserve import ConfigServer, FilesystemConfigBackend\n"
        f"server = ConfigServer(FilesystemConfigBackend({str(tmp_path)!r}))\n"
        "asyncio.run(server.fetch('orders', 'prod'))['propertySources']"
    )
    assert "yaml" not in modules_after(script)
