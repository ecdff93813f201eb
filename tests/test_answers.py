"""answers: rendered answers, kept while their stamp holds."""

import asyncio
import json
import threading

import pytest

from pyconfserve.answers import LARGEST_CACHE, Answers, answer_key
from pyconfserve.backend import ConfigSource, Found, InMemoryConfigBackend
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import SPRING, PropertySource, make_lookup
from pyconfserve.environment.rendering import JSON, V2_JSON
from pyconfserve.errors import BackendUnavailable
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.saves import OwnSaves
from pyconfserve.server import ConfigServer

ORDERS = make_lookup("orders", "prod")
KEY = answer_key(ORDERS, JSON)
SOON = 10  # seconds in which what should happen does


class Counting(InMemoryConfigBackend):
    """Memory that counts its fetches of `orders`, each of which takes some turns of the
    loop.
    """

    def __init__(self):
        super().__init__()
        self.reads = 0

    async def fetch(self, application, profile, label="main"):
        if (application, profile) == ("orders", "prod"):
            self.reads += 1
        for _ in range(3):
            await asyncio.sleep(0)
        return await super().fetch(application, profile, label)


class Held(InMemoryConfigBackend):
    """Memory whose fetches of `orders` have read, and then wait to be let go."""

    def __init__(self):
        super().__init__()
        self.begun, self.go_on = asyncio.Semaphore(0), asyncio.Event()
        self.reads = 0
        self.error = None

    async def fetch(self, application, profile, label="main"):
        found = await super().fetch(application, profile, label)
        if (application, profile) == ("orders", "prod"):
            self.reads += 1
            self.begun.release()
            async with asyncio.timeout(SOON):
                await self.go_on.wait()
            if self.error:
                raise self.error
        return found


class Unstamped:
    """Three methods over one bundle, without a stamp."""

    def __init__(self):
        self.reads = 0

    async def fetch(self, application, profile, label="main"):
        self.reads += 1
        return ConfigSource(application, profile, label, {"a": self.reads})

    async def save(self, source):
        pass

    async def list(self):
        return []


def answers_over(backend, limit=LARGEST_CACHE, **options):
    """A server over *backend*, and its answers."""
    server = ConfigServer(backend, **options)
    return server, Answers(server, limit)


def properties(answer):
    """The properties of an answer's only source."""
    (source,) = json.loads(answer.response.body)["propertySources"]
    return source["source"]


def run(scenario):
    """Run a coroutine function to its end, which comes soon."""

    async def in_time():
        async with asyncio.timeout(2 * SOON):
            return await scenario()

    return asyncio.run(in_time())


def tasks_of(function):
    """The tasks of the running loop that run a coroutine function."""
    name = function.__qualname__
    return [
        task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == name
    ]


def test_an_answer_is_bytes_and_headers():
    """The document as rendered, a strong ETag of it, and the headers of content; its 304
    has the headers that belong to the resource.
    """

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        await server.save("orders", "prod", {"a": "é"})
        return await server.fetch("orders", "prod"), await answers.get(ORDERS, JSON)

    document, answer = run(scenario)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    about = (
        ("Cache-Control", "no-store"),
        ("ETag", answer.etag),
        ("Vary", "Accept, Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    )
    expected = (200, (("Content-Type", JSON), *about), text.encode())
    response = answer.response
    assert expected == (response.status, response.headers, response.body)
    response = answer.not_modified
    assert (304, about, b"") == (response.status, response.headers, response.body)
    assert '"' == answer.etag[0] == answer.etag[-1]
    assert len(answer.etag) == 34


def test_an_answer_is_ready_once_it_was_made():
    """It is the very same object until something changes, and costs no read."""

    async def scenario():
        backend = Counting()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": 1})
        assert answers.ready(KEY) is None
        made = await answers.get(ORDERS, JSON)
        assert made is answers.ready(KEY)
        assert made is await answers.get(ORDERS, JSON)
        assert backend.reads == 1

    run(scenario)


def test_a_save_makes_an_answer_stale():
    """The next one has the new content and another ETag; equal content has its old one."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        etags = []
        for value in (1, 2, 1):
            await server.save("orders", "prod", {"a": value})
            assert answers.ready(KEY) is None
            answer = await answers.get(ORDERS, JSON)
            assert {"a": value} == properties(answer)
            etags.append(answer.etag)
        assert etags[0] == etags[2] != etags[1]

    run(scenario)


@pytest.mark.parametrize("interval", [0, 3600], ids=["every-request", "interval"])
def test_a_save_to_a_folder_is_seen_at_once(tmp_path, interval):
    """Whatever the refresh interval."""

    async def scenario():
        backend = FilesystemConfigBackend(tmp_path, refresh_interval=interval)
        server, answers = answers_over(backend)
        for value in range(5):
            await server.save("orders", "prod", {"a": value})
            assert {"a": value} == properties(await answers.get(ORDERS, JSON))

    run(scenario)


def test_an_edit_on_disk_makes_an_answer_stale(tmp_path):
    """An edit, a new file and a removal alike, without a refresh interval at once."""
    orders = tmp_path / "orders-prod.yml"

    async def scenario():
        backend = FilesystemConfigBackend(tmp_path, refresh_interval=0)
        _, answers = answers_over(backend)
        assert await answers.get(ORDERS, JSON) is None
        for value in range(5):
            orders.write_text(f"a: {value}")
            assert {"a": value} == properties(await answers.get(ORDERS, JSON))
        (tmp_path / "main").mkdir()
        (tmp_path / "main" / "orders-prod.json").write_text('{"b": 1}')
        assert properties(await answers.get(ORDERS, JSON)) == {"b": 1}
        (tmp_path / "main" / "orders-prod.json").unlink()
        assert properties(await answers.get(ORDERS, JSON)) == {"a": 4}
        orders.unlink()
        assert answers.ready(KEY) is None
        assert await answers.get(ORDERS, JSON) is None

    run(scenario)


def test_a_save_by_another_server_shows_at_once(tmp_path):
    """However long stamps are believed, where both share a count of saves; where they
    share none it shows when the interval is over.
    """

    async def scenario():
        saves = OwnSaves()
        one, two, apart = (
            answers_over(
                FilesystemConfigBackend(tmp_path, refresh_interval=60), saves=count
            )
            for count in (saves, saves, None)
        )
        for value in range(3):
            await one[0].save("orders", "prod", {"a": value})
            assert two[1].ready(KEY) is None
            for _, answers in (one, two):
                assert properties(await answers.get(ORDERS, JSON)) == {"a": value}
                assert properties(answers.ready(KEY)) == {"a": value}
            await apart[1].get(ORDERS, JSON)
            assert properties(apart[1].ready(KEY)) == {"a": 0}

    run(scenario)


def test_a_backend_is_told_once_of_saves_elsewhere():
    """Not for each answer that is looked at."""

    class Looking(InMemoryConfigBackend):
        looks = 0

        def look_again(self):
            self.looks += 1

    async def scenario():
        saves = OwnSaves()
        server, answers = answers_over(Looking(), saves=saves)
        await server.save("orders", "prod", {"a": 1})
        found = await answers.get(ORDERS, JSON)
        assert answers.ready(KEY) is found
        looks = server.backend.looks
        for _ in range(3):
            saves.raise_()
            for _ in range(5):
                assert answers.ready(KEY) is found
        assert server.backend.looks == looks + 3

    run(scenario)


def test_large_answers_are_written_off_the_loop():
    """Their bytes are those of small ones."""

    async def scenario():
        threads = set()

        class Loud(dict):
            def items(self):
                threads.add(threading.current_thread().name)
                return super().items()

        class Large(InMemoryConfigBackend):
            async def sources(self, lookup):
                entries = Loud(
                    {f"k{number}": Entry(number) for number in range(self.count)}
                )
                return Found((PropertySource("a", entries),), seen=(), stamp=0)

        for count, expected in ((10, "MainThread"), (10_000, "pyconfserve-answers")):
            backend = Large()
            backend.count = count
            _, answers = answers_over(backend)
            answer = await answers.get(ORDERS, JSON)
            assert properties(answer) == {
                f"k{number}": number for number in range(count)
            }
            assert threads == {expected}
            threads.clear()

    run(scenario)


def test_many_who_ask_at_once_share_one_making():
    """A thousand requests for a cold answer are one read."""

    async def scenario():
        backend = Counting()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": 1})
        gets = [answers.get(ORDERS, JSON) for _ in range(1000)]
        found = await asyncio.gather(*gets)
        assert {id(found[0])} == {id(answer) for answer in found}
        assert (properties(found[0]), backend.reads) == ({"a": 1}, 1)

    run(scenario)


def test_different_answers_are_made_apart():
    """Each lookup and media type has its own."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        await server.save("a", "prod", {"a": 1})
        await server.save("a", "prod", {"a": 1}, "v2")
        lookups = [
            make_lookup(*asked)
            for asked in (
                ("a", "prod"),
                ("a,b", "prod"),
                ("b,a", "prod"),
                ("a", "prod,eu"),
                ("a", "eu,prod"),
                ("a", "prod", "v2"),
            )
        ]
        gets = [
            answers.get(lookup, kind) for lookup in lookups for kind in (JSON, V2_JSON)
        ]
        found = await asyncio.gather(*gets)
        assert len({answer.etag for answer in found}) == 12
        keys = [
            answer_key(lookup, kind) for lookup in lookups for kind in (JSON, V2_JSON)
        ]
        assert found == [answers.ready(key) for key in keys]

    run(scenario)


def test_who_asks_after_a_save_does_not_join_an_older_making():
    """The old making goes to those who asked before; it is not kept for later."""

    async def scenario():
        backend = Held()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": "old"})
        before = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        await server.save("orders", "prod", {"a": "new"})
        after = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        backend.go_on.set()
        assert properties(await before) == {"a": "old"}
        assert properties(await after) == {"a": "new"}
        assert properties(await answers.get(ORDERS, JSON)) == {"a": "new"}

    run(scenario)


def test_an_older_making_that_lands_last_is_not_served_later():
    """Its stamp is that of before the save."""

    async def scenario():
        backend = Held()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": "old"})
        before = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        await server.save("orders", "prod", {"a": "new"})
        backend.go_on.set()
        assert properties(await before) == {"a": "old"}
        assert answers.ready(KEY) is None
        assert properties(await answers.get(ORDERS, JSON)) == {"a": "new"}

    run(scenario)


def test_a_waiter_that_leaves_does_not_stop_the_making():
    """The others get their answer from it."""

    async def scenario():
        backend = Held()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": 1})
        leaving, staying = (
            asyncio.ensure_future(answers.get(ORDERS, JSON)) for _ in range(2)
        )
        await backend.begun.acquire()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        backend.go_on.set()
        assert (properties(await staying), backend.reads) == ({"a": 1}, 1)

    run(scenario)


def test_a_making_that_all_have_left_is_still_kept():
    """It was begun, so it is of use to the next one."""

    async def scenario():
        backend = Held()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": 1})
        leaving = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        joining = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await asyncio.sleep(0)
        backend.go_on.set()
        assert (properties(await joining), backend.reads) == ({"a": 1}, 1)

    run(scenario)


def test_an_error_reaches_all_waiters_and_is_not_kept():
    """Whoever asks next tries again."""

    async def scenario():
        backend = Held()
        server, answers = answers_over(backend)
        await server.save("orders", "prod", {"a": 1})
        backend.error = BackendUnavailable("down")
        backend.go_on.set()
        gets = [answers.get(ORDERS, JSON) for _ in range(10)]
        found = await asyncio.gather(*gets, return_exceptions=True)
        assert [backend.error] * 10 == found
        assert backend.reads == 1
        backend.error = None
        assert properties(await answers.get(ORDERS, JSON)) == {"a": 1}

    run(scenario)


def test_an_error_that_nobody_waited_for_is_quiet():
    """It is no unhandled exception of the loop."""
    complaints = []

    async def scenario():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        backend = Held()
        _, answers = answers_over(backend)
        backend.error = BackendUnavailable("down")
        leaving = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        leaving.cancel()
        backend.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        (making,) = tasks_of(Answers._make)
        await asyncio.wait([making])

    run(scenario)
    assert complaints == []


def test_a_making_that_the_loop_ends_is_quiet():
    """A server that stops cancels what is under way."""

    async def scenario():
        backend = Held()
        _, answers = answers_over(backend)
        waiting = asyncio.ensure_future(answers.get(ORDERS, JSON))
        await backend.begun.acquire()
        (making,) = tasks_of(Answers._make)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(answers._flights) == 0

    run(scenario)


def test_nothing_found_is_no_answer():
    """None for 404, and it is found as soon as it is there."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        assert await answers.get(ORDERS, JSON) is None
        assert answers.ready(KEY) is None
        await server.save("orders", "prod", {"a": 1})
        assert properties(await answers.get(ORDERS, JSON)) == {"a": 1}

    run(scenario)


@pytest.mark.parametrize(
    ("options", "media_type", "is_answered"),
    [
        ({}, JSON, False),
        ({}, V2_JSON, True),
        ({"accept_empty": False}, V2_JSON, False),
        ({"accept_empty": True}, JSON, True),
        ({"dialect": SPRING}, JSON, True),
        ({"dialect": SPRING, "accept_empty": False}, V2_JSON, False),
    ],
)
def test_an_answer_without_sources(options, media_type, is_answered):
    """Spring's clients die on a 404: they, and Spring's dialect, get an empty answer
    unless the setting refuses it.
    """

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend(), **options)
        lookup = make_lookup("orders", "prod", dialect=server.dialect)
        return await answers.get(lookup, media_type)

    answer = run(scenario)
    assert is_answered is (answer is not None)
    if answer:
        assert json.loads(answer.response.body)["propertySources"] == []
        assert ("Content-Type", media_type) == answer.response.headers[0]


def test_answers_of_a_backend_without_a_stamp_are_not_kept():
    """Each request is a new read, because nobody knows what changed."""

    async def scenario():
        backend = Unstamped()
        _, answers = answers_over(backend)
        first = await answers.get(ORDERS, JSON)
        assert answers.ready(KEY) is None
        second = await answers.get(ORDERS, JSON)
        assert first.etag != second.etag
        assert backend.reads == 8

    run(scenario)


def test_those_asked_for_last_are_kept_within_the_limit():
    """The limit is in bytes; what was used least recently goes first."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend(), limit=100_000)
        lookups = [make_lookup(f"app{number}", "prod") for number in range(4)]
        keys = [answer_key(lookup, JSON) for lookup in lookups]
        for number in range(4):
            await server.save(f"app{number}", "prod", {"a": "x" * 24_000})
        for lookup in lookups[:3]:
            await answers.get(lookup, JSON)
        assert all(answers.ready(key) for key in keys[:3])
        answers.ready(keys[0])
        await answers.get(lookups[3], JSON)
        kept = [answers.ready(key) is not None for key in keys]
        assert kept == [True, False, True, True]

    run(scenario)


def test_an_answer_above_the_limit_is_given_and_not_kept():
    """It is made again for each request."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend(), limit=1000)
        await server.save("orders", "prod", {"a": "x" * 1000})
        assert properties(await answers.get(ORDERS, JSON)) == {"a": "x" * 1000}
        assert answers.ready(KEY) is None
        assert answers._size == 0

    run(scenario)


def test_stale_answers_give_their_room_back():
    """However often an answer changes, it takes the room of one."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        sizes = set()
        for value in range(10):
            await server.save("orders", "prod", {"a": value})
            await answers.get(ORDERS, JSON)
            sizes.add(answers._size)
        assert len(sizes) == 1

    run(scenario)


def test_an_answer_is_valid_while_its_stamp_holds():
    """Whether it is kept or not; of one without a stamp nobody knows."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend(), limit=0)
        await server.save("orders", "prod", {"a": 1})
        answer = await answers.get(ORDERS, JSON)
        assert answers.is_valid(answer) is True
        await server.save("orders", "prod", {"a": 2})
        assert answers.is_valid(answer) is False
        assert answers.is_valid(answer._replace(seen=None)) is None
        _, others = answers_over(Unstamped())
        assert others.is_valid(await others.get(ORDERS, JSON)) is None

    run(scenario)


def test_a_known_answer_has_no_body():
    """All else that it is told apart by stays."""

    async def scenario():
        server, answers = answers_over(InMemoryConfigBackend())
        await server.save("orders", "prod", {"a": 1})
        answer = await answers.get(ORDERS, JSON)
        assert answer.known() == answer._replace(response=answer.not_modified)

    run(scenario)
