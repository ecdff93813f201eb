"""bulkhead: what hangs takes its own places only."""

import asyncio
import contextlib

import pytest
from hanging import SOON, ends_of, many, refusal, run, turns

from pyconfserve.bulkhead import MOST_AT_ONCE, MOST_STUCK, Bulkhead
from pyconfserve.errors import BackendTimeout, BackendUnavailable

FULL = "too many requests wait for this application"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Store:
    """Work that hangs until it is let go, and says how much of it is under way."""

    def __init__(self):
        self.open = asyncio.Event()
        self.begun = self.ended = self.cancelled = 0

    async def work(self):
        self.begun += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.ended += 1
        return "done"


def test_work_gives_and_raises_what_it_does():
    """As if it had been awaited."""

    async def scenario():
        async def fail():
            raise KeyError("a")

        async def give():
            return 1

        bulkhead = Bulkhead(SOON)
        assert await bulkhead.run(("a",), give) == 1
        with pytest.raises(KeyError):
            await bulkhead.run(("a",), fail)

    run(scenario)


def test_time_is_up():
    """504 with a fixed text, and what can be stopped is."""

    async def scenario():
        store = Store()
        with pytest.raises(BackendTimeout) as caught:
            await Bulkhead(0.01).run(("a",), store.work)
        await turns()
        assert (store.begun, store.cancelled) == (1, 1)
        assert (str(caught.value), caught.value.status) == ("the store did not answer in time", 504)  # fmt: skip

    run(scenario)


def test_without_a_deadline_it_waits():
    """None is for ever."""

    async def scenario():
        store = Store()
        task = asyncio.ensure_future(Bulkhead(None).run(("a",), store.work))
        await turns()
        store.open.set()
        assert await task == "done"

    run(scenario)


def test_what_must_not_stop_goes_on():
    """Its own text says so; whoever waited may leave."""

    async def scenario():
        store, bulkhead = Store(), Bulkhead(0.01)
        work = bulkhead.run(("a",), store.work, stops=False, late="it may happen")
        with pytest.raises(BackendTimeout, match="it may happen"):
            await work
        leaving = asyncio.ensure_future(bulkhead.run(("a",), store.work, stops=False))
        await turns()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        store.open.set()
        await turns()
        assert (store.begun, store.ended, store.cancelled) == (2, 2, 0)

    run(scenario)


def test_a_name_that_is_stuck_is_refused_at_once():
    """Others are not, lists count for each of their names, and one end is a way in."""

    async def scenario():
        clock, store, other = Clock(), Store(), Store()
        bulkhead = Bulkhead(SOON, clock)
        stuck = many(MOST_STUCK, bulkhead.run, ("slow",), store.work)
        await turns()
        clock.now = 0.9
        joined = asyncio.ensure_future(bulkhead.run(("slow",), store.work))
        await turns()
        clock.now = 1.1
        assert await refusal(bulkhead.run(("slow",), store.work)) == FULL
        assert await refusal(bulkhead.run(("fast", "slow"), store.work)) == FULL
        fast = asyncio.ensure_future(bulkhead.run(("fast",), other.work))
        await turns()
        assert (store.begun, other.begun) == (MOST_STUCK + 1, 1)
        store.open.set()
        assert await asyncio.gather(*stuck, joined) == ["done"] * (MOST_STUCK + 1)
        assert await bulkhead.run(("slow",), store.work) == "done"
        fast.cancel()

    run(scenario)


def test_a_name_that_goes_on_takes_more():
    """Each end gives a second more; there is a limit all the same."""

    async def scenario():
        clock, store, quick = Clock(), Store(), Store()
        quick.open.set()
        bulkhead = Bulkhead(SOON, clock)
        stuck = many(MOST_STUCK - 1, bulkhead.run, ("slow",), store.work)
        await turns()
        clock.now = 5.0
        await bulkhead.run(("slow",), quick.work)
        stuck += many(MOST_AT_ONCE - len(stuck), bulkhead.run, ("slow",), store.work)
        await turns()
        assert store.begun == MOST_AT_ONCE
        assert await refusal(bulkhead.run(("slow",), store.work)) == FULL
        store.open.set()
        await asyncio.gather(*stuck)
        assert await bulkhead.run(("slow",), store.work) == "done"

    run(scenario)


def test_all_names_have_a_limit():
    """However many there are."""

    async def scenario():
        store, bulkhead = Store(), Bulkhead(SOON)
        waiting = [
            asyncio.ensure_future(bulkhead.run((f"app{number}",), store.work))
            for number in range(10_000)
        ]
        await turns()
        refused = await refusal(bulkhead.run(("another",), store.work))
        assert refused == "too many requests wait for the store"
        store.open.set()
        await asyncio.gather(*waiting)
        assert await bulkhead.run(("another",), store.work) == "done"

    run(scenario)


def test_who_leaves_gives_the_place_back():
    """What nobody waits for is cancelled."""

    async def scenario():
        clock, store = Clock(), Store()
        bulkhead = Bulkhead(SOON, clock)
        tasks = many(MOST_AT_ONCE, bulkhead.run, ("slow",), store.work)
        await turns()
        for task in tasks:
            task.cancel()
        await turns()
        assert store.cancelled == MOST_AT_ONCE
        store.open.set()
        assert await bulkhead.run(("slow",), store.work) == "done"

    run(scenario)


def test_work_that_cannot_be_stopped_keeps_its_place():
    """Until it ends, however late."""

    async def scenario():
        clock, store = Clock(), Store()

        async def stubborn():
            while not store.open.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await store.work()

        bulkhead = Bulkhead(0.01, clock)
        expected = ["the store did not answer in time"] * MOST_STUCK
        assert expected == await ends_of(
            many(MOST_STUCK, bulkhead.run, ("slow",), stubborn)
        )
        clock.now = 2.0
        assert await refusal(bulkhead.run(("slow",), stubborn)) == FULL
        store.open.set()
        await turns()
        assert await bulkhead.run(("slow",), store.work) == "done"

    run(scenario)


def test_work_that_breaks_off_by_itself_is_an_error():
    """A store's own cancellation is not that of whoever waits, who would hang."""

    async def scenario():
        async def work():
            raise asyncio.CancelledError

        with pytest.raises(BackendUnavailable, match=r"^the store broke off its answer$"):
            await asyncio.wait_for(Bulkhead(SOON).run(("a",), work), SOON)

    run(scenario)


def test_an_error_that_nobody_waits_for_is_quiet():
    """It is no unhandled exception of the loop."""
    complaints = []

    async def scenario():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        store = Store()

        async def fail():
            await store.open.wait()
            raise KeyError("a")

        with pytest.raises(BackendTimeout):
            await Bulkhead(0.01).run(("a",), fail, stops=False)
        store.open.set()
        await turns()

    run(scenario)
    assert complaints == []
