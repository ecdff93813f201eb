"""Real repositories for the tests of the git room; without GitPython they are left out."""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

collect_ignore_glob = [] if find_spec("git") else ["test_*.py"]


@pytest.fixture
def make_origin(tmp_path):
    """`make_origin(name, branch=…, files=…)` makes a bare repository."""
    from real_git import Origin

    def make(name="origin", **options):
        return Origin(tmp_path / name, **options)

    return make


@pytest.fixture
def origin(make_origin):
    """A repository whose `main` has `orders.yml` with `a: 1`."""
    made = make_origin()
    made.commit({"orders.yml": "a: 1\n"})
    return made


@pytest.fixture
def make_backend():
    """`make_backend(origin, …)` makes a backend that fetches when asked, closed later."""
    from pyconfserve.adapters.git import GitConfigBackend

    made = []

    def make(origin, *arguments, refresh_rate=0, **options):
        uri = origin if isinstance(origin, str) else origin.uri
        backend = GitConfigBackend(
            uri, *arguments, refresh_rate=refresh_rate, **options
        )
        made.append(backend)
        return backend

    yield make
    for backend in made:
        asyncio.run(backend.close())


@pytest.fixture
def backend(origin, make_backend):
    """A backend over *origin* that fetches when asked, in a temporary clone."""
    return make_backend(origin)
