"""watches: waiting for answers to change."""

import asyncio
import itertools
import json
import logging
import subprocess
import threading
import tracemalloc

import pytest

from pyconfserve.answers import Answers
from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.environment.rendering import JSON
from pyconfserve.errors import BackendUnavailable, ConfigNotFound, DocumentError
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.saves import OwnSaves
from pyconfserve.server import ConfigServer
from pyconfserve.watches import Watches

ORDERS = make_lookup("orders", "prod")
SOON = 10  # seconds in which what should happen does
GOAL = 1  # second in which a change reaches all


class Memory(InMemoryConfigBackend):
    """Memory that counts its fetches of `orders` and the looks at its stamp."""

    failure = None

    def __init__(self):
        super().__init__()
        self.reads = self.looks = 0
        self.is_read, self.was_looked_at = asyncio.Event(), asyncio.Semaphore(0)

    async def fetch(self, application, profile, label="main"):
        if (application, profile) == ("orders", "prod"):
            self.reads += 1
            self.is_read.set()
        if self.failure:
            raise self.failure
        return await super().fetch(application, profile, label)

    def stamp(self, seen):
        self.looks += 1
        self.was_looked_at.release()
        return super().stamp(seen)

    def remove(self):
        """Forget all bundles, as someone else may who uses the same store."""
        self._bundles.clear()
        self._changes += 1


class Unstamped(Memory):
    """Three methods, without a stamp."""

    stamp = None

    def __new__(cls):
        inner = Memory()

        class Three:
            fetch, save, list = inner.fetch, inner.save, inner.list

        backend = Three()
        backend.inner = inner
        return backend


class Scene:
    """A server with orders/prod, and what it takes to wait for it."""

    def __init__(self, backend, saves=None, **options):
        self.server = ConfigServer(backend, saves=saves)
        self.answers = Answers(self.server)
        self.watches = Watches(self.server, self.answers, **options)

    async def save(self, value, application="orders"):
        await self.server.save(application, "prod", {"a": value})

    async def wait(self, seconds=SOON, lookup=ORDERS):
        """What takes the place of the present answer in time."""
        answer = (await self.answers.get(lookup, JSON)).known()
        until = asyncio.get_running_loop().time() + seconds
        return await self.watches.change(lookup, JSON, answer, until)

    async def waiting(self, count=1, **options):
        """*count* who wait, each in a task of its own."""
        before = self.watches.waiting
        tasks = [asyncio.create_task(self.wait(**options)) for _ in range(count)]
        await turns_until(lambda: self.watches.waiting == before + count)
        return tasks


async def turns_until(holds):
    """Let the loop turn until *holds()* is true."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SOON
    while not holds():
        assert loop.time() < give_up, "waited in vain"
        await asyncio.sleep(0)


def value_of(answer):
    """The one property of an answer."""
    (source,) = json.loads(answer.response.body)["propertySources"]
    return source["source"]["a"]


async def values_of(tasks):
    """The values that those who wait got, all within the goal; None for no change."""
    async with asyncio.timeout(GOAL):
        found = await asyncio.gather(*tasks)
    return [answer and value_of(answer) for answer in found]


def run(scenario):
    """Run a coroutine function to its end, which comes soon."""

    async def in_time():
        async with asyncio.timeout(2 * SOON):
            return await scenario()

    return asyncio.run(in_time())


# changes


@pytest.mark.parametrize("kind", ["memory", "folder", "slow folder", "unstamped"])
def test_a_save_reaches_all_who_wait(tmp_path, kind):
    """Within the goal, whatever the refresh interval, with or without a stamp."""

    async def scenario():
        interval = 3600 if kind == "slow folder" else 0.1
        backends = {"memory": InMemoryConfigBackend, "unstamped": Unstamped}
        make = backends.get(kind) or (
            lambda: FilesystemConfigBackend(tmp_path, refresh_interval=interval)
        )
        scene = Scene(make())
        await scene.save(1)
        tasks = await scene.waiting(100)
        await scene.save(2)
        assert await values_of(tasks) == [2] * 100

    run(scenario)


def test_a_change_is_read_once_for_all():
    """A hundred who wait for one answer are one reading of it."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        tasks = await scene.waiting(100)
        before = backend.reads
        await scene.save(2)
        assert await values_of(tasks) == [2] * 100
        assert backend.reads - before == 1

    run(scenario)


def test_an_edit_on_disk_reaches_all_who_wait(tmp_path):
    """An edit, a file that comes, and one that goes."""

    async def scenario():
        scene = Scene(FilesystemConfigBackend(tmp_path))
        await scene.save(1)
        steps = [
            lambda: (tmp_path / "main/orders-prod.yaml").write_text("a: 2"),
            lambda: (tmp_path / "main/orders-prod.yaml").unlink(),
            lambda: (tmp_path / "main/orders-prod.json").write_text('{"a": 4}'),
        ]
        (tmp_path / "orders-prod.yaml").write_text("a: 3")
        for value, step in zip([2, 3, 4], steps, strict=True):
            tasks = await scene.waiting(10)
            step()
            assert await values_of(tasks) == [value] * 10

    run(scenario)


def test_a_save_by_another_server_reaches_all_who_wait(tmp_path):
    """However long stamps are believed, where both share a count of saves."""

    async def scenario():
        saves = OwnSaves()
        one, two = (
            Scene(FilesystemConfigBackend(tmp_path, refresh_interval=60), saves)
            for _ in range(2)
        )
        await one.save(1)
        tasks = await two.waiting(10)
        await one.save(2)
        assert await values_of(tasks) == [2] * 10

    run(scenario)


def test_a_commit_reaches_all_who_wait(tmp_path):
    """A branch that another process has moved is seen like an edit on disk."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from pyconfserve.adapters.git import GitConfigBackend

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=no"]
        subprocess.run(["git", *who, "-C", str(tmp_path / "origin"), *arguments], check=True, capture_output=True)  # fmt: skip

    def commit(value):
        (tmp_path / "origin" / "orders-prod.yml").write_text(f"a: {value}")
        git("add", ".")
        git("commit", "-m", f"{value}")

    async def scenario():
        (tmp_path / "origin").mkdir()
        git("init", "-b", "main")
        commit(1)
        backend = GitConfigBackend(f"file://{tmp_path}/origin", clone_dir=str(tmp_path / "clone"))  # fmt: skip
        scene = Scene(backend)
        try:
            tasks = await scene.waiting(10)
            await asyncio.to_thread(commit, 2)
            await backend.refresh()
            assert await values_of(tasks) == [2] * 10
        finally:
            await backend.close()

    run(scenario)


def test_a_save_by_another_thread_reaches_who_waits():
    """The server may be saved to from a loop of its own."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        tasks = await scene.waiting()
        thread = threading.Thread(target=lambda: asyncio.run(scene.save(2)))
        thread.start()
        assert await values_of(tasks) == [2]
        await asyncio.to_thread(thread.join)

    run(scenario)


def test_a_store_without_a_stamp_is_asked_now_and_then():
    """What changes in it without us is there after some two seconds at most."""

    async def scenario():
        scene = Scene(backend := Unstamped())
        await scene.save(1)
        tasks = await scene.waiting(10)
        before = backend.inner.reads
        await backend.inner.save(ConfigSource("orders", "prod", "main", {"a": 2}))
        async with asyncio.timeout(2):
            found = await asyncio.gather(*tasks)
        assert [value_of(answer) for answer in found] == [2] * 10
        assert backend.inner.reads - before == 1

    run(scenario)


def test_a_change_that_was_missed_is_found():
    """Who begins to wait with an answer that is old by then gets the new one."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        old = await scene.answers.get(ORDERS, JSON)
        await scene.save(2)
        tasks = await scene.waiting()
        until = asyncio.get_running_loop().time() + SOON
        late = asyncio.ensure_future(scene.watches.change(ORDERS, JSON, old, until))
        assert await values_of([late]) == [2]
        assert not tasks[0].done()
        tasks[0].cancel()

    run(scenario)


# no changes


def test_a_change_that_the_backend_tells_of_reaches_all_who_wait():
    """At once, though it is asked each second; it is told when nobody waits any more."""

    async def scenario():
        tells = []

        def on_change(tell):
            tells.append(tell)
            return lambda: tells.remove(tell)

        backend = Unstamped()
        backend.on_change = on_change
        scene = Scene(backend)
        await scene.save(1)
        tasks = await scene.waiting(10)
        await turns_until(lambda: tells)
        began = asyncio.get_running_loop().time()
        await backend.inner.save(ConfigSource("orders", "prod", properties={"a": 2}))
        (tell,) = tells
        await asyncio.to_thread(tell, ConfigSource("orders", "prod"))
        assert await values_of(tasks) == [2] * 10
        assert asyncio.get_running_loop().time() - began < 0.5
        await turns_until(lambda: not tells)

    run(scenario)


def test_equal_bytes_wake_nobody():
    """A save of the same content is read, and those who wait wait on."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        tasks = await scene.waiting(10)
        for _ in range(3):
            backend.is_read.clear()
            await scene.save(1)
            await backend.is_read.wait()
        assert [task.done() for task in tasks] == [False] * 10
        await scene.save(2)
        assert await values_of(tasks) == [2] * 10

    run(scenario)


def test_another_answer_wakes_nobody(tmp_path):
    """Who waits for one application does not hear of the others."""

    async def scenario():
        for backend in (InMemoryConfigBackend(), FilesystemConfigBackend(tmp_path)):
            scene = Scene(backend)
            await scene.save(1)
            await scene.save(1, "stock")
            (orders,) = await scene.waiting(seconds=0.5)
            (stock,) = await scene.waiting(lookup=make_lookup("stock", "prod"))
            await scene.save(2, "stock")
            assert await values_of([stock, orders]) == [2, None]

    run(scenario)


def test_time_is_up():
    """Nothing took the place of the answer; nobody is left behind."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        assert [await scene.wait(seconds) for seconds in (0.2, 0, -1)] == [None] * 3
        assert scene.watches.waiting == 0

    run(scenario)


# ends


def test_what_vanishes_is_not_found():
    """All who wait hear that nothing is stored any more."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        tasks = await scene.waiting(10)
        backend.remove()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [(type(error), str(error)) for error in found] == [
            (ConfigNotFound, "no configuration is stored under these names")
        ] * 10

    run(scenario)


def test_an_error_reaches_all_who_wait(tmp_path):
    """A file that does not parse any more is their answer, as it is everyone's."""

    async def scenario():
        scene = Scene(FilesystemConfigBackend(tmp_path))
        await scene.save(1)
        tasks = await scene.waiting(10)
        (tmp_path / "main/orders-prod.yaml").write_text("a: [")
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert {(type(error), error.location) for error in found} == {
            (DocumentError, "main/orders-prod.yaml")
        }

    run(scenario)


def test_a_stamp_that_fails_is_the_stores_error():
    """The store is asked again then, and its error is the answer."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        tasks = await scene.waiting(2)

        def fail(seen):
            raise BackendUnavailable("down")

        scene.answers._stamp = fail
        backend.failure = BackendUnavailable("the store is away")
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(error) for error in found] == ["down"] * 2

    run(scenario)


def test_an_unforeseen_failure_is_logged_once(caplog):
    """All who wait get the same error, which tells nothing."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        tasks = await scene.waiting(10)
        backend.failure = RuntimeError("secret")
        await scene.save(2)
        return await asyncio.gather(*tasks, return_exceptions=True)

    with caplog.at_level(logging.ERROR, "pyconfserve"):
        found = run(scenario)
    assert [str(error) for error in found] == ["this server has failed"] * 10
    assert [record.message for record in caplog.records] == ["a look at an answer failed in an unforeseen way"]  # fmt: skip


def test_a_drain_ends_all_waiting():
    """Those who wait, and those who come later, hear that nothing changed."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        tasks = await scene.waiting(500)
        tasks += await scene.waiting(500, lookup=make_lookup("orders", "prod,eu"))
        scene.watches.drain()
        assert await values_of(tasks) == [None] * 1000
        assert await values_of([scene.wait()]) == [None]

    run(scenario)


def test_places_have_an_end():
    """Above the limit nobody waits; a place that is left is given again at once."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend(), most=2)
        await scene.save(1)
        first, second = await scene.waiting(2)
        assert await values_of([scene.wait()]) == [None]
        first.cancel()
        await asyncio.wait([first])
        (third,) = await scene.waiting()
        await scene.save(2)
        assert await values_of([second, third]) == [2, 2]

    run(scenario)


def test_answers_that_are_watched_have_an_end():
    """Above the limit another is not watched; those that are take more who wait."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend(), most_answers=2)
        await scene.save(1)
        other, third = (make_lookup("orders", f"prod,{name}") for name in ("b", "c"))
        tasks = [*await scene.waiting(), *await scene.waiting(lookup=other)]
        assert await values_of([scene.wait(lookup=third)]) == [None]
        tasks += await scene.waiting(2)
        await scene.save(2)
        assert await values_of(tasks) == [2] * 4
        assert await values_of([scene.wait(0, lookup=third)]) == [None]
        (task,) = await scene.waiting(lookup=third)
        await scene.save(3)
        assert await values_of([task]) == [3]

    run(scenario)


# costs


@pytest.mark.parametrize(
    ("others", "names"), [("applications", "a{},prod"), ("profiles", "orders,p{}")]
)
def test_what_was_saved_is_read_first(others, names):
    """However many others were there before, whose stamps have changed with it."""

    class Recording(InMemoryConfigBackend):
        def __init__(self):
            super().__init__()
            self.asked = []

        async def fetch(self, application, profile, label="main"):
            self.asked.append((application, profile))
            return await super().fetch(application, profile, label)

    async def scenario():
        scene = Scene(backend := Recording())
        await scene.server.save("application", "default", {"a": 0})
        lookups = [
            make_lookup(*names.format(number).split(",")) for number in range(100)
        ]
        tasks = [(await scene.waiting(lookup=lookup))[0] for lookup in lookups]
        tasks += await scene.waiting()
        backend.asked.clear()
        await scene.save(2)
        await asyncio.wait([tasks[-1]])
        assert backend.asked[0] == ("orders", "prod")
        assert len(backend.asked) < 100
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(scenario)


def test_a_look_is_for_an_answer_not_for_who_waits():
    """Ten looks take place in the same time for a thousand as for one, and none more."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        for count in (1, 1000):
            tasks = await scene.waiting(count)
            backend.looks, backend.was_looked_at = 0, asyncio.Semaphore(0)
            began = asyncio.get_running_loop().time()
            for _ in range(10):
                await backend.was_looked_at.acquire()
            took = asyncio.get_running_loop().time() - began
            assert (backend.looks, took > 0.8) == (10, True)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    run(scenario)


def test_nobody_waits_and_nothing_runs():
    """The last who leaves, by a change or by himself, ends the looking."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        for leaves in (False, True):
            tasks = await scene.waiting(3)
            await turns_until(lambda: scene.server.after_save)
            if leaves:
                for task in tasks:
                    task.cancel()
            else:
                await scene.save(2)
            await asyncio.wait(tasks)
            await turns_until(lambda: len(asyncio.all_tasks()) == 1)
            assert scene.server.after_save == set()
            assert scene.watches.waiting == 0

    run(scenario)


def test_many_are_woken_in_slices():
    """While thousands wake up, others have their turns in between."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        tasks = await scene.waiting(2000)
        await scene.save(2)
        done = []
        while not done or done[-1] < 2000:
            done.append(sum(task.done() for task in tasks))
            await asyncio.sleep(0)
        steps = [after - before for before, after in itertools.pairwise(done)]
        assert 0 < max(steps) <= 100

    run(scenario)


def test_many_answers_are_looked_at_in_slices():
    """While hundreds of answers are looked at and read, others have their turns."""

    async def scenario():
        scene = Scene(backend := Memory())
        await scene.save(1)
        lookups = [make_lookup("orders", f"prod,p{number}") for number in range(300)]
        tasks = [(await scene.waiting(lookup=lookup))[0] for lookup in lookups]
        backend.looks, steps = 0, []
        await scene.save(2)
        while not all(task.done() for task in tasks):
            before = backend.looks
            await asyncio.sleep(0)
            steps.append(backend.looks - before)
        assert await values_of(tasks) == [2] * 300
        assert max(steps) <= 200

    run(scenario)


def test_who_leaves_while_being_woken_is_passed_over():
    """The others are woken all the same."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        await scene.save(1)
        tasks = await scene.waiting(1000)
        await scene.save(2)
        await turns_until(lambda: scene.watches._waking)
        leaving = [task for task in tasks if not task.done()][::2]
        for task in leaving:
            task.cancel()
        await asyncio.wait(tasks)
        left = [task for task in tasks if task.cancelled()]
        assert 0 < len(left) <= len(leaving)
        stayed = [task for task in tasks if not task.cancelled()]
        assert await values_of(stayed) == [2] * len(stayed)

    run(scenario)


def test_the_answer_of_who_waits_may_be_forgotten():
    """What is kept for a wait is small, however large the answer is."""

    async def scenario():
        scene = Scene(InMemoryConfigBackend())
        scene.answers = Answers(scene.server, limit=0)
        scene.watches = Watches(scene.server, scene.answers)
        text = "x" * 1_000_000
        lookups = [make_lookup("orders", f"prod,p{number}") for number in range(20)]
        await scene.save(text)
        tracemalloc.start()
        tasks = [(await scene.waiting(lookup=lookup))[0] for lookup in lookups]
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for task in tasks:
            task.cancel()
        assert size < 2_000_000

    run(scenario)


def test_one_loop_after_another():
    """A server may be used by one loop after another, also after one that broke off."""
    scene = Scene(InMemoryConfigBackend())

    async def leave():
        await scene.save(1)
        await scene.waiting(200)
        await scene.save(2)

    async def stay():
        await scene.save(3)
        tasks = await scene.waiting(2)
        await scene.save(4)
        assert await values_of(tasks) == [4, 4]

    for _ in range(2):
        run(leave)
        run(stay)
