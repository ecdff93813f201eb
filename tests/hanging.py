"""Stores that hang for one application until a test lets them go."""

import asyncio
import threading

from pyconfserve.backend import ConfigSource
from pyconfserve.files import DictTree

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
