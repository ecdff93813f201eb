"""flights: work that many want at once is done once."""

import asyncio

import pytest

from pyconfserve.flights import Flights


class Work:
    """Work that is let go by a test, and counted."""

    def __init__(self):
        self.begun = 0
        self.go_on = asyncio.Event()

    async def __call__(self):
        self.begun += 1
        await self.go_on.wait()
        return self.begun


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


def test_those_who_ask_at_once_share_one():
    """By key; the next one who asks begins another."""

    async def scenario():
        flights, work, other = Flights(), Work(), Work()
        shared = [asyncio.ensure_future(flights.join("a", work)) for _ in range(100)]
        apart = asyncio.ensure_future(flights.join("b", other))
        await turns()
        assert len(flights) == 2
        work.go_on.set()
        other.go_on.set()
        assert await asyncio.gather(*shared, apart) == [1] * 101
        assert len(flights) == 0
        assert await flights.join("a", work) == 2

    asyncio.run(scenario())


def test_who_leaves_stops_nobody():
    """Even when all have left it goes on, for whoever comes next."""

    async def scenario():
        flights, work = Flights(), Work()
        leaving = [asyncio.ensure_future(flights.join("a", work)) for _ in range(3)]
        await turns()
        for task in leaving:
            task.cancel()
        await turns()
        joining = asyncio.ensure_future(flights.join("a", work))
        await turns()
        work.go_on.set()
        assert await joining == 1

    asyncio.run(scenario())


def test_an_error_is_everyones():
    """And nobody's when all have left: no loop complains."""
    complaints = []

    async def scenario():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        flights, error = Flights(), KeyError("a")

        async def fail():
            await asyncio.sleep(0)
            raise error

        tasks = [asyncio.ensure_future(flights.join("a", fail)) for _ in range(3)]
        assert [error] * 3 == await asyncio.gather(*tasks, return_exceptions=True)
        leaving = asyncio.ensure_future(flights.join("a", fail))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await turns()
        assert len(flights) == 0

    asyncio.run(scenario())
    assert complaints == []


def test_another_loop_has_its_own():
    """What one loop has under way cannot be waited for in another."""
    flights = Flights()

    async def scenario():
        work = Work()
        asyncio.ensure_future(flights.join("a", work))  # noqa: RUF006
        await turns()
        return await asyncio.to_thread(asyncio.run, other())

    async def other():
        work = Work()
        work.go_on.set()
        return await flights.join("a", work)

    assert asyncio.run(scenario()) == 1
    assert len(flights) == 0
