"""health: up or down to everyone, the reasons to the owner."""

import asyncio
import shutil

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.errors import BackendUnavailable, DocumentError
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.health import actuator, report
from pyconfserve.server import ConfigServer


class AilingBackend(InMemoryConfigBackend):
    """A backend that cannot answer anyone."""

    def health(self):
        """Raise what is wrong."""
        raise BackendUnavailable("the store is away")


def ask(server, *, with_details):
    """The status and the document of /health."""
    return asyncio.run(report(server, with_details=with_details))


@pytest.mark.parametrize(
    ("backend", "with_details", "expected"),
    [
        (InMemoryConfigBackend(), False, (200, {"status": "UP"})),
        (InMemoryConfigBackend(), True, (200, {"status": "UP", "backend": "InMemoryConfigBackend", "problems": []})),
        (AilingBackend(), False, (503, {"status": "DOWN"})),
        (AilingBackend(), True, (503, {"status": "DOWN", "problem": "the store is away"})),
    ],
    ids=["up", "up, details", "down", "down, details"],
)  # fmt: skip
def test_health_is_up_unless_no_one_can_be_answered(backend, with_details, expected):
    """Up or down is for everyone, what is wrong only for who may see details."""
    assert expected == ask(ConfigServer(backend), with_details=with_details)


def test_a_broken_file_is_a_problem_and_not_down(tmp_path):
    """One file that does not parse is shown, and the server is up for all others."""
    (tmp_path / "app.json").write_text("{", "utf-8")
    backend = FilesystemConfigBackend(tmp_path)
    server = ConfigServer(backend)
    with pytest.raises(DocumentError) as caught:
        asyncio.run(server.fetch("app"))
    details = {
        "backend": "FilesystemConfigBackend",
        **backend.health(),
        "problems": [str(caught.value)],
    }
    assert (200, {"status": "UP", **details}) == ask(server, with_details=True)
    assert ask(server, with_details=False) == (200, {"status": "UP"})


def test_a_missing_folder_is_down(tmp_path):
    """A folder that is gone answers nobody, and its path is not told."""
    server = ConfigServer(FilesystemConfigBackend(tmp_path / "root"))
    shutil.rmtree(tmp_path / "root")
    expected = (503, {"status": "DOWN", "problem": "no location is there"})
    assert expected == ask(server, with_details=True)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("info",), (200, {})),
        (("health",), (503, {"groups": ["liveness", "readiness"], "status": "DOWN"})),
        (("health", "liveness"), (200, {"status": "UP"})),
        (("health", "readiness"), (503, {"status": "DOWN"})),
    ],
    ids=str,
)
def test_the_actuator_tells_life_from_readiness(tmp_path, parts, expected):
    """A store that is away is no reason to restart the server."""
    server = ConfigServer(FilesystemConfigBackend(tmp_path / "none", makes_folders=False))
    assert expected == asyncio.run(actuator(server, parts))
