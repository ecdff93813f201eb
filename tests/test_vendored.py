"""The package copied into another project, under a Python that has nothing installed."""

import select
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pyconfserve"
BARE_PYTHON = [sys.executable, "-S", "-E"]  # no site-packages, no PYTHONPATH

FILES = {
    "inventory.json": '{"stock": {"limit": 10}}',
    "shipping.toml": '[carrier]\nname = "post"\n',
    "payments.properties": "currency=EUR\n",
    "orders.yaml": "db:\n  pool: 20\n",
}
BACKEND = """
import asyncio
from _vendor.pyconfserve import ConfigServer, FilesystemConfigBackend
server = ConfigServer(FilesystemConfigBackend("cfg"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the package in `_vendor` and nothing else of ours."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(
        PACKAGE,
        root / "_vendor" / "pyconfserve",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return root


@pytest.fixture
def bare(project, tmp_path):
    """A function that runs a script there: (stdout, stderr); its folder is `cfg`."""
    folder = tmp_path / "cfg"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)

    def run(script):
        prelude = f"import sys; sys.path.insert(0, {str(project)!r})\n"
        done = subprocess.run(
            [*BARE_PYTHON, "-c", prelude + script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout, done.stderr

    return run


def test_there_is_nothing_to_lean_on(bare):
    """Neither PyYAML nor the package under its own name can be imported."""
    script = (
        "from importlib.util import find_spec\n"
        "print([name for name in ('yaml', 'pyconfserve', 'starlette', 'pip') if find_spec(name)])"
    )
    assert bare(script) == ("[]\n", "")


def test_every_public_name_imports(bare):
    """Whatever is in `__all__` is there without any library."""
    script = (
        "import _vendor.pyconfserve as package\n"
        "print(all(getattr(package, name).__module__.startswith('_vendor.pyconfserve.') for name in package.__all__))"
    )
    assert bare(script) == ("True\n", "")


def test_nothing_of_it_needs_its_own_name(bare):
    """No module is imported as `pyconfserve` on the way."""
    script = (
        BACKEND
        + "print(sorted(name for name in sys.modules if name.startswith('pyconfserve')))"
    )
    assert bare(script) == ("[]\n", "")


@pytest.mark.parametrize(
    ("application", "source"),
    [
        ("inventory", {"stock.limit": 10}),
        ("shipping", {"carrier.name": "post"}),
        ("payments", {"currency": "EUR"}),
    ],
    ids=["json", "toml", "properties"],
)
def test_the_formats_of_the_standard_library_are_served(bare, application, source):
    """Without PyYAML."""
    script = (
        BACKEND
        + f"print(asyncio.run(server.fetch({application!r}))['propertySources'])"
    )
    expected = [{"name": f"{application}-default", "source": source}]
    assert (f"{expected}\n", "") == bare(script)


def test_yaml_gets_one_clear_error(bare):
    """It names what to install, and is an error of this package and an ImportError."""
    script = BACKEND + (
        "from _vendor.pyconfserve import ConfigError\n"
        "try:\n"
        "    asyncio.run(server.fetch('orders'))\n"
        "except ConfigError as error:\n"
        "    print(type(error).__name__, isinstance(error, ImportError), error)\n"
    )
    out, errors = bare(script)
    assert (errors, out.count("\n")) == ("", 1)
    assert out.startswith("MissingDependency True ")
    assert "PyYAML" in out
    assert out.endswith("pip install 'PyYAML'\n")


def test_yaml_does_not_disturb_the_others(bare):
    """Only the application of that file fails."""
    script = BACKEND + (
        "async def both():\n"
        "    try: await server.fetch('orders')\n"
        "    except ImportError: return await server.fetch('inventory')\n"
        "print(asyncio.run(both())['name'])"
    )
    assert bare(script) == ("inventory\n", "")


def test_new_bundles_are_saved_as_json(bare, tmp_path):
    """What cannot be written as YAML is written where it can be read again."""
    script = BACKEND + (
        "asyncio.run(server.save('billing', 'prod', {'a': {'b': 1}}))\n"
        "print(asyncio.run(server.fetch('billing', 'prod'))['propertySources'])"
    )
    assert bare(script) == ("[{'name': 'billing-prod', 'source': {'a.b': 1}}]\n", "")
    files = [
        path.relative_to(tmp_path / "cfg").as_posix()
        for path in (tmp_path / "cfg").rglob("billing*")
    ]
    assert files == ["main/billing-prod.json"]


@pytest.mark.parametrize("name", ["settings.json", "settings.properties"])
def test_settings_are_read_without_yaml(bare, tmp_path, name):
    """From the formats that are there."""
    text = {
        "settings.json": '{"pyfly.config-server.port": 9}',
        "settings.properties": "pyfly.config-server.port=9\n",
    }
    (tmp_path / name).write_text(text[name])
    script = f"from _vendor.pyconfserve.settings_sources import read_settings\nprint(read_settings({name!r}).port)"
    assert bare(script) == ("9\n", "")


def test_the_command_runs(project, tmp_path):
    """`python -m _vendor.pyconfserve DIR` serves."""
    folder = tmp_path / "cfg"
    folder.mkdir()
    (folder / "inventory.json").write_text(FILES["inventory.json"])
    command = [*BARE_PYTHON, "-m", "_vendor.pyconfserve", str(folder), "--port", "0"]
    with subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            readable, _, _ = select.select([process.stdout], [], [], 20)
            assert readable, "it did not start"
            first_line = process.stdout.readline().decode()
            assert f" serving {folder} on http://127.0.0.1:" in first_line
            with urllib.request.urlopen(
                f"{first_line.split()[-1]}/inventory/prod", timeout=10
            ) as answer:
                assert b'"stock.limit":10' in answer.read()
            process.terminate()
            out, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, errors) == (
        0,
        b"",
        b"INFO pyconfserve.serve: stopped\n",
    )
