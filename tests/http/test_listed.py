"""listed: one list of all bundles for those who ask at the same time."""

import asyncio
import gc
import json

import pytest

from pyconfserve import ConfigServer
from pyconfserve.backend import ConfigSource
from pyconfserve.errors import BackendUnavailable
from pyconfserve.http.listed import Listed
from pyconfserve.http.users import EVERYONE


class Held:
    """A backend whose lists wait for *gate*, and name their number."""

    def __init__(self, error=None):
        self.gate = asyncio.Event()
        self.lists = 0
        self.error = error

    async def list(self):
        self.lists += 1
        found = [ConfigSource(f"list{self.lists}", "dev")]
        await self.gate.wait()
        if self.error:
            raise self.error
        return found

    fetch = save = None


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


def names(response):
    return [one["application"] for one in json.loads(response.body)]


def test_those_who_ask_while_a_list_is_made_share_the_next_one():
    """It is not older than their question: a save is seen by who saved it."""

    async def run():
        backend = Held()
        listed = Listed(ConfigServer(backend))
        first = asyncio.create_task(listed.get(EVERYONE(())))
        await settled()
        others = [asyncio.create_task(listed.get(EVERYONE(()))) for _ in range(11)]
        await settled()
        assert backend.lists == 1
        backend.gate.set()
        found = await asyncio.gather(first, *others)
        assert [names(one) for one in found] == [["list1"]] + [["list2"]] * 11
        assert names(await listed.get(EVERYONE(()))) == ["list3"]

    asyncio.run(run())


def test_who_leaves_takes_it_from_nobody():
    """Neither the one who asked first nor all of them."""

    async def run():
        backend = Held()
        listed = Listed(ConfigServer(backend))
        one, two = (asyncio.create_task(listed.get(EVERYONE(()))) for _ in range(2))
        await settled()
        one.cancel()
        await settled()
        backend.gate.set()
        assert names(await two) == ["list1"]

    asyncio.run(run())


def test_an_error_is_that_of_all_who_shared_it(caplog):
    """And no noise when they all have left."""

    async def run():
        backend = Held(BackendUnavailable("away"))
        listed = Listed(ConfigServer(backend))
        tasks = [asyncio.create_task(listed.get(EVERYONE(()))) for _ in range(3)]
        await settled()
        tasks.pop().cancel()
        backend.gate.set()
        for task in tasks:
            with pytest.raises(BackendUnavailable):
                await task
        alone = asyncio.create_task(listed.get(EVERYONE(())))
        await settled()
        alone.cancel()
        await settled()

    asyncio.run(run())
    gc.collect()
    assert caplog.messages == []


def test_another_loop_makes_its_own():
    """One that was closed in the middle of a list answers nobody any more."""
    backend = Held()
    listed = Listed(ConfigServer(backend))

    async def leave():
        asyncio.create_task(listed.get(EVERYONE(())))  # noqa: RUF006
        await settled()

    async def run():
        backend.gate = asyncio.Event()
        backend.gate.set()
        return names(await listed.get(EVERYONE(())))

    asyncio.run(leave())
    assert asyncio.run(run()) == ["list2"]
