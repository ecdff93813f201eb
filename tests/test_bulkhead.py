"""bulkhead: what hangs takes its own places only."""

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyconfserve.bulkhead import MOST_AT_ONCE, MOST_STUCK, Bulkhead, Threads
from pyconfserve.errors import BackendTimeout, BackendUnavailable

SOON = 10  # seconds in which what should happen does
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


class Gate:
    """Blocking calls that hang until they are let go."""

    def __init__(self):
        self.open = threading.Event()
        self.begun = threading.Semaphore(0)

    def call(self):
        self.begun.release()
        assert self.open.wait(SOON)
        return "done"

    async def wait_for(self, calls):
        """Until so many have begun."""
        for _ in range(calls):
            assert await asyncio.to_thread(self.begun.acquire, timeout=SOON)


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


def threads_named(name):
    """The threads of that name that live."""
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_a_call_is_made_in_a_thread():
    """It gives and raises what it does."""

    async def scenario():
        threads = Threads("test-call")
        assert await threads.run(("a",), int, "7") == 7
        with pytest.raises(ValueError, match="invalid literal"):
            await threads.run(("a",), int, "x")
        thread = await threads.run((), threading.current_thread)
        assert thread in threads_named("test-call")
        assert thread.daemon
        await threads.close()

    run(scenario)


def test_threads_are_as_many_as_are_needed():
    """And no more than they may be; the rest waits."""

    async def scenario():
        gate, threads = Gate(), Threads("test-many", 8)
        calls = [
            asyncio.ensure_future(threads.run((f"app{number}",), gate.call))
            for number in range(20)
        ]
        await gate.wait_for(8)
        assert len(threads_named("test-many")) == 8
        gate.open.set()
        assert await asyncio.gather(*calls) == ["done"] * 20
        await threads.close()

    run(scenario)


@pytest.mark.parametrize("name", [("slow",), ("other", "slow")], ids=["one", "list"])
def test_one_name_leaves_threads_to_others(name):
    """Four hang, a thousand wait, and others do not notice."""

    async def scenario():
        gate, threads = Gate(), Threads("test-one", 8)
        slow = many(1000, threads.run, name, gate.call)
        await gate.wait_for(4)
        assert await threads.run(("fast",), str, 1) == "1"
        assert await asyncio.gather(*many(100, threads.run, ("fast",), str, 1)) == ["1"] * 100  # fmt: skip
        gate.open.set()
        assert await asyncio.gather(*slow) == ["done"] * 1000
        await threads.close()

    run(scenario)


def test_names_take_turns():
    """Who asks for one thing does not wait for all that another has asked for."""

    async def scenario():
        gate, threads, made = Gate(), Threads("test-turns", 1), []
        first = asyncio.ensure_future(threads.run(("a",), gate.call))
        await gate.wait_for(1)
        rest = many(3, threads.run, ("a",), made.append, "a")
        rest += many(2, threads.run, ("b",), made.append, "b")
        await turns()
        gate.open.set()
        await asyncio.gather(first, *rest)
        assert made == ["a", "b", "a", "b", "a"]
        await threads.close()

    run(scenario)


def test_a_call_that_nobody_waits_for_is_not_begun():
    """Its place in the queue is another's."""

    async def scenario():
        gate, threads, made = Gate(), Threads("test-left", 1), []
        first = asyncio.ensure_future(threads.run(("a",), gate.call))
        await gate.wait_for(1)
        leaving, staying = (
            asyncio.ensure_future(threads.run(("b",), made.append, who))
            for who in ("leaving", "staying")
        )
        await turns()
        leaving.cancel()
        await turns()
        gate.open.set()
        await asyncio.gather(first, staying)
        assert made == ["staying"]
        await threads.close()

    run(scenario)


def test_a_name_whose_threads_were_given_up_is_refused_at_once():
    """Until one of them comes back; others are not refused."""

    async def scenario():
        gate, threads = Gate(), Threads("test-given-up", 8)
        slow = many(4, threads.run, ("slow",), gate.call)
        await gate.wait_for(4)
        waiting = asyncio.ensure_future(threads.run(("slow",), str, 1))
        await turns()
        for task in slow:
            task.cancel()
        await turns()
        assert await refusal(threads.run(("slow",), gate.call)) == FULL
        assert await refusal(threads.run(("fast", "slow"), gate.call)) == FULL
        assert await threads.run(("fast",), str, 1) == "1"
        gate.open.set()
        assert await waiting == "1"
        assert await threads.run(("slow",), gate.call) == "done"
        await threads.close()

    run(scenario)


def test_calls_that_wait_have_a_limit():
    """However many names they are for."""

    async def scenario():
        gate, threads = Gate(), Threads("test-limit", 1)
        calls = [
            asyncio.ensure_future(threads.run((f"app{number}",), gate.call))
            for number in range(10_000)
        ]
        await turns()
        refused = await refusal(threads.run(("another",), gate.call))
        assert refused == "too many requests wait for the store"
        gate.open.set()
        await asyncio.gather(*calls)
        await threads.close()

    run(scenario)


def test_closing_ends_what_waits_and_waits_for_what_runs():
    """But not for what was given up; later calls are made all the same."""

    async def scenario():
        gate, hung, threads = Gate(), Gate(), Threads("test-close")
        given_up = asyncio.ensure_future(threads.run(("a",), hung.call))
        await hung.wait_for(1)
        given_up.cancel()
        running = asyncio.ensure_future(threads.run(("b",), gate.call))
        await gate.wait_for(1)
        closing = asyncio.ensure_future(threads.close())
        await turns()
        assert not closing.done()
        gate.open.set()
        await closing
        assert await running == "done"
        assert await threads.run(("b",), str, 1) == "1"
        hung.open.set()
        await threads.close()

    run(scenario)
    for thread in threads_named("test-close"):
        thread.join(SOON)
    assert threads_named("test-close") == []


def test_one_loop_after_another():
    """Threads belong to no loop, and what a loop left behind hurts none."""
    gate, threads = Gate(), Threads("test-loops")

    async def leave():
        asyncio.ensure_future(threads.run(("a",), gate.call))  # noqa: RUF006
        await gate.wait_for(1)

    run(leave)
    gate.open.set()
    assert run(lambda: threads.run(("a",), str, 1)) == "1"
    run(threads.close)


def test_a_process_that_ends_waits_for_no_thread():
    """However long one hangs."""
    program = (
        "import asyncio, contextlib, threading\n"
        "from pyconfserve.bulkhead import Threads\n"
        "async def main():\n"
        "    with contextlib.suppress(TimeoutError):\n"
        "        async with asyncio.timeout(0.1):\n"
        "            await Threads('hung').run(('a',), threading.Event().wait)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        timeout=SOON,
        check=True,
        capture_output=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
