"""Stores that hang for one application until a test lets them go, and tasks about them."""

import asyncio
import threading

import pytest

from pyconfserve.backend import ConfigSource
from pyconfserve.errors import BackendUnavailable
from pyconfserve.files import DictTree

SOON = 10  # seconds in which what should happen does
LONG = 60  # seconds after which nothing hangs any more, whatever a test forgot


class HangingTree(DictTree):
    """A tree of files in which those of `slow` block whoever reads them."""

    def __init__(self, files):
        super().__init__(files)
        self.go_on = threading.Event()
        self.reads = []

    def read(self, path, limit=1 << 20):
        """The file, when it may be told."""
        self.reads.append(path)
        if path.startswith("slow"):
            self.go_on.wait(LONG)
        return super().read(path, limit)


class HangingBackend:
    """Three methods, of which `fetch` waits for `slow`."""

    def __init__(self, files):
        self._files = files
        self.go_on = asyncio.Event()
        self.waiting = 0

    async def fetch(self, application, profile, label="main"):
        """The bundle, when it may be told."""
        if application == "slow":
            self.waiting += 1
            try:
                await self.go_on.wait()
            finally:
                self.waiting -= 1
        properties = self._files.get(application)
        return properties and ConfigSource(application, profile, label, properties)

    async def save(self, source):
        """Nothing is kept."""

    async def list(self):
        """Nothing is told."""
        return []


def run(scenario):
    """Run a coroutine function to its end, which comes soon."""

    async def in_time():
        async with asyncio.timeout(2 * SOON):
            return await scenario()

    return asyncio.run(in_time())


async def turns(count=5):
    """Let what can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def many(count, function, *arguments):
    """*count* tasks of a coroutine function."""
    return [asyncio.ensure_future(function(*arguments)) for _ in range(count)]


async def ends_of(tasks):
    """What tasks gave, errors as their texts."""
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return [str(end) for end in ends]


async def refusal(coroutine):
    """The error that a coroutine raises without waiting."""
    task = asyncio.ensure_future(coroutine)
    await turns(3)
    assert task.done()
    with pytest.raises(BackendUnavailable) as caught:
        task.result()
    return str(caught.value)
