"""The names that others rely on, and where they are imported from."""

import ast
import importlib
import inspect
import pkgutil
from importlib.util import find_spec

import pytest

import pyconfserve

DOCUMENTED = {
    "ConfigBackend",
    "ConfigClient",
    "ConfigError",
    "ConfigServer",
    "ConfigSource",
    "Configuration",
    "FilesystemConfigBackend",
    "GitConfigBackend",
    "InMemoryConfigBackend",
    "Settings",
    "build_backend",
    "configure",
    "load",
    "mount",
}
# Import paths of the design that exist by now; they are fixed.
PLACES = [
    ("pyconfserve.backend", "ConfigSource"),
    ("pyconfserve.backend", "ConfigBackend"),
    ("pyconfserve.backend", "InMemoryConfigBackend"),
    ("pyconfserve.client", "ConfigClient"),
    ("pyconfserve.client", "Configuration"),
    ("pyconfserve.client", "load"),
    ("pyconfserve.filesystem", "FilesystemConfigBackend"),
    ("pyconfserve.adapters.git", "GitConfigBackend"),
    ("pyconfserve.server", "ConfigServer"),
    ("pyconfserve.auto_configuration", "build_backend"),
    ("pyconfserve.auto_configuration", "configure"),
    ("pyconfserve.auto_configuration", "mount"),
    ("pyconfserve.settings", "Settings"),
    ("pyconfserve.errors", "ConfigError"),
    ("pyconfserve.adapters.starlette", "make_starlette_config_server_routes"),
    ("pyconfserve.adapters.httpx", "make_http_client"),
    ("pyconfserve.adapters.pydantic_settings", "ConfigServerSettingsSource"),
    ("pyconfserve.remote_import", "import_remote"),
]
SIGNATURES = [
    ("ConfigSource", ["application", "profile", "label", "properties"]),
    ("FilesystemConfigBackend", ["root", "search_locations"]),
    ("GitConfigBackend", ["uri", "label", "clone_dir"]),
    ("ConfigServer", ["backend"]),
    ("ConfigServer.fetch", ["self", "application", "profile", "label"]),
    ("ConfigServer.save", ["self", "application", "profile", "properties", "label"]),
    ("ConfigServer.list", ["self"]),
    ("ConfigBackend.fetch", ["self", "application", "profile", "label"]),
    ("ConfigBackend.save", ["self", "source"]),
    ("ConfigBackend.list", ["self"]),
    ("ConfigClient", []),
    ("ConfigClient.fetch", ["self"]),
    ("ConfigClient.file", ["self", "path"]),
    ("Configuration.bind", ["self", "kind", "prefix"]),
    ("load", ["url", "application", "profile", "label"]),
    ("build_backend", ["settings"]),
    ("configure", ["settings"]),
    ("mount", ["app", "settings"]),
]
OPTIONAL = {
    "pyconfserve.adapters.cryptography": "cryptography",
    "pyconfserve.adapters.jsonschema": "jsonschema",
    "pyconfserve.adapters.postgresql": "psycopg",
    "pyconfserve.adapters.postgresql_sessions": "psycopg",
    "pyconfserve.adapters.prometheus": "prometheus_client",
    "pyconfserve.adapters.httpx": "httpx",
    "pyconfserve.adapters.redis": "redis",
    "pyconfserve.adapters.redis_client": "redis",
    "pyconfserve.adapters.redis_hashes": "redis",
    "pyconfserve.adapters.s3": "boto3",
    "pyconfserve.adapters.s3_client": "boto3",
    "pyconfserve.adapters.s3_fetching": "boto3",
    "pyconfserve.adapters.s3_files": "boto3",
    "pyconfserve.adapters.s3_followed": "boto3",
    "pyconfserve.adapters.s3_problems": "boto3",
    "pyconfserve.adapters.s3_race": "boto3",
    "pyconfserve.adapters.s3_tree": "boto3",
    "pyconfserve.adapters.pydantic_settings": "pydantic_settings",
    "pyconfserve.adapters.starlette": "starlette",
    "pyconfserve.environment.formats.yaml": "yaml",
    "pyconfserve.environment.formats.yaml_events": "yaml",
}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(pyconfserve.__path__, "pyconfserve.")
    if not module.name.endswith(".__main__")
]


def load(name):
    """A module; the test is skipped where its library is not installed."""
    library = OPTIONAL.get(name)
    if library is not None and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return importlib.import_module(name)


def defined(module):
    """The public functions, classes and constants that a module defines itself."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [
                leaf.id
                for target in targets
                for leaf in ast.walk(target)
                if isinstance(leaf, ast.Name)
            ]
            names = [name for name in names if name.isupper()]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def test_the_package_exports_the_documented_names():
    """No more and no fewer."""
    assert sorted(DOCUMENTED) == sorted(pyconfserve.__all__)


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_documented_name_resolves(name):
    """To the thing of that name, with a docstring, and dir() lists it."""
    thing = getattr(pyconfserve, name)
    assert (name, True, True) == (
        thing.__name__,
        bool(thing.__doc__),
        name in dir(pyconfserve),
    )


def test_an_unknown_name_is_an_attribute_error():
    """With the usual message, so that hasattr and star imports work."""
    with pytest.raises(AttributeError) as caught:
        pyconfserve.absent  # noqa: B018
    assert str(caught.value) == "module 'pyconfserve' has no attribute 'absent'"
    assert not hasattr(pyconfserve, "__wrapped__")


def test_a_star_import_gives_them_all():
    """None of them needs an optional library."""
    names = {}
    exec("from pyconfserve import *", names)
    assert names.keys() - {"__builtins__"} == DOCUMENTED


def test_the_version_is_one_of_pep_440():
    """Three numbers."""
    assert [part.isdigit() for part in pyconfserve.__version__.split(".")] == [True] * 3


@pytest.mark.parametrize(("module", "name"), PLACES)
def test_an_import_path_holds(module, name):
    """The thing is defined where the design says, or in the room that this names."""
    thing = getattr(load(module), name)
    assert thing.__name__ == name
    assert f"{thing.__module__}.".startswith(f"{module}.")
    assert thing is getattr(pyconfserve, name, thing)


@pytest.mark.parametrize(("path", "parameters"), SIGNATURES)
def test_a_signature_holds(path, parameters):
    """The arguments that may be given by position."""
    thing = pyconfserve
    for name in path.split("."):
        thing = getattr(thing, name)
    found = inspect.signature(thing).parameters.values()
    assert parameters == [
        parameter.name
        for parameter in found
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_exports_is_there(name):
    """`__all__` is complete, and names nothing that is absent or twice there."""
    module = load(name)
    exported = getattr(module, "__all__", [])
    assert [public for public in exported if not hasattr(module, public)] == []
    assert sorted(set(defined(module)) - set(exported)) == []
    assert len(exported) == len(set(exported))


def test_the_package_is_typed():
    """Type checkers use its annotations."""
    assert pkgutil.get_data("pyconfserve", "py.typed") is not None
