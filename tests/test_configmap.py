"""A folder mounted as Kubernetes mounts a ConfigMap, served while it is swapped."""

import asyncio
import os
import shutil
import threading

import pytest

from pyconfserve.answers import Answers
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.environment.rendering import JSON
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.server import ConfigServer

SWAPS = 150
PAUSE = 0.004  # seconds between swaps: the kubelet leaves a minute


class ConfigMap:
    """A volume as the kubelet writes it: `file -> ..data/file`, `..data -> ..2024_x`,
    and an update is a new folder and a rename of the link.
    """

    def __init__(self, root, names):
        self.root, self.names = root, names
        self.generation = 0
        root.mkdir()
        self.update()
        for name in names:
            (root / name).symlink_to(f"..data/{name}")

    def update(self):
        """Swap to the next generation."""
        old = self.root / f"..2024_{self.generation}"
        self.generation += 1
        folder = f"..2024_{self.generation}"
        (self.root / folder).mkdir()
        for name in self.names:
            (self.root / folder / name).write_text(f"generation: {self.generation}\n")
        (self.root / "..data_tmp").symlink_to(folder)
        os.rename(self.root / "..data_tmp", self.root / "..data")
        if old.exists():
            shutil.rmtree(old)


@pytest.fixture
def volume(tmp_path):
    """A mounted map of two files that one answer needs both."""
    return ConfigMap(tmp_path / "volume", ["orders.yml", "application.yml"])


def generations(document):
    """The generation in each source of an answer."""
    return [source["source"]["generation"] for source in document["propertySources"]]


def swapped_while(volume, read):
    """What *read*, a coroutine function, gives, again and again, until another thread
    has swapped the volume SWAPS times.
    """
    pause, errors = threading.Event(), []

    def swap():
        try:
            for _ in range(SWAPS):
                volume.update()
                pause.wait(PAUSE)
        except OSError as error:
            errors.append(error)

    async def read_all():
        found = []
        while swapping.is_alive():
            found.append(await read())
        return found

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        return asyncio.run(read_all())
    finally:
        swapping.join(60)
        assert errors == []


def test_a_mounted_map_is_served_and_listed(volume):
    """Links to files are followed, the folders behind them are hidden."""
    server = ConfigServer(FilesystemConfigBackend(volume.root))
    assert generations(asyncio.run(server.fetch("orders", "prod"))) == [1, 1]
    names = [bundle["application"] for bundle in asyncio.run(server.list())]
    assert names == ["application", "orders"]


def test_a_swap_is_seen(volume):
    """The stamps are those of the files behind the links."""
    server = ConfigServer(FilesystemConfigBackend(volume.root, refresh_interval=0))
    answers = Answers(server)
    lookup = make_lookup("orders", "prod")
    for _ in range(3):
        answer = asyncio.run(answers.get(lookup, JSON))
        assert f'"generation":{volume.generation}}}'.encode() in answer.response.body
        volume.update()


def test_every_answer_during_swaps_is_there_and_of_one_generation(volume):
    """No answer lacks a file or mixes two states of the volume."""
    server = ConfigServer(FilesystemConfigBackend(volume.root))
    documents = swapped_while(volume, lambda: server.fetch("orders", "prod"))
    assert documents
    assert None not in documents
    found = [generations(document) for document in documents]
    assert [pair for pair in found if len(pair) != 2 or pair[0] != pair[1]] == []
    assert found == sorted(found)
    assert len({tuple(pair) for pair in found}) > 10


def test_every_kept_answer_during_swaps_is_there(volume):
    """The same with the cache in front, asked without an interval."""
    server = ConfigServer(FilesystemConfigBackend(volume.root, refresh_interval=0))
    answers = Answers(server)
    lookup = make_lookup("orders", "prod")
    found = swapped_while(volume, lambda: answers.get(lookup, JSON))
    bodies = dict.fromkeys(answer.response.body for answer in found)
    expected = [
        number
        for number in range(1, volume.generation + 1)
        for body in bodies
        if body.count(b'"generation":%d}' % number) == 2
    ]
    assert len(bodies) == len(expected)
    assert len(bodies) > 10
