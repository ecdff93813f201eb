"""A backend that answers when a test lets it."""

import asyncio
import threading

from pyconfserve.backend import InMemoryConfigBackend


class HeldBackend(InMemoryConfigBackend):
    """A backend whose fetches wait until they are let go."""

    def __init__(self):
        super().__init__()
        self.is_asked = threading.Event()
        self.may_answer = asyncio.Event()

    async def fetch(self, application, profile, label="main"):
        """The bundle, when it may be told."""
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().fetch(application, profile, label)
