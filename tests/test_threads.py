"""threads: blocking calls leave threads to others, and take turns."""

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hanging import SOON, many, refusal, run, turns

from pyconfserve.threads import Threads

FULL = "too many requests wait for this application"


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


@pytest.mark.parametrize("load", [0.0, 1.0], ids=["idle", "busy"])
def test_more_come_where_those_there_only_wait(load):
    """However busy the processor is with other work."""

    async def scenario():
        gate, threads = Gate(), Threads("test-wait", 8, used=lambda: load * time.monotonic())
        calls = many(8, threads.run, (), gate.call)
        await gate.wait_for(8)
        gate.open.set()
        assert await asyncio.gather(*calls) == ["done"] * 8
        await threads.close()

    run(scenario)


def test_few_come_where_they_would_only_take_turns():
    """Calls that work share one interpreter."""

    async def scenario():
        threads = Threads("test-work", used=time.monotonic)
        calls = many(40, threads.run, (), time.sleep, 0.03)
        assert await asyncio.gather(*calls) == [None] * 40
        assert 2 <= len(threads_named("test-work")) <= 6
        await threads.close()

    run(scenario)


def test_calls_that_must_wait_begin_no_threads():
    """Four are enough for one name; some more may come before they have begun."""

    async def scenario():
        gate, threads = Gate(), Threads("test-few")
        calls = many(200, threads.run, ("slow",), gate.call)
        await gate.wait_for(4)
        assert len(threads_named("test-few")) <= 16
        gate.open.set()
        assert await asyncio.gather(*calls) == ["done"] * 200
        await threads.close()

    run(scenario)


def test_the_end_of_a_call_for_two_names_lets_both_go_on():
    """The calls of each name begin at once, by threads that are there or new."""

    async def scenario():
        slow, short, threads = Gate(), Gate(), Threads("test-both")
        calls = many(3, threads.run, ("a", "b"), slow.call)
        await slow.wait_for(3)
        calls.append(asyncio.ensure_future(threads.run(("a", "b"), short.call)))
        await short.wait_for(1)
        calls += many(1, threads.run, ("a",), slow.call)
        last = asyncio.ensure_future(threads.run(("b",), str, 1))
        await threads.run(("c",), threading.Event().wait, 0.1)  # the others are idle
        short.open.set()
        assert await asyncio.wait_for(last, SOON / 2) == "1"
        slow.open.set()
        assert await asyncio.gather(*calls) == ["done"] * 5
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
        "from pyconfserve.threads import Threads\n"
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
