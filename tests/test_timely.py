"""timely: a backend is asked in time, few at a time, once for all who ask at once."""

import asyncio

import pytest

from pyconfserve.backend import ConfigSource, InMemoryConfigBackend, PlainFile
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import BackendTimeout, BackendUnavailable
from pyconfserve.saves import OwnSaves
from pyconfserve.timely import TIMEOUT, TimelyBackend

SOON = 10  # seconds in which what should happen does
LATE = "the store did not answer in time"
ORDERS = make_lookup("orders", "prod")
SOURCE = ConfigSource("orders", "prod", "main", {"a": 1})


class Held(InMemoryConfigBackend):
    """Memory with files, whose every answer waits until it is let go."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()
        self.asked = []
        self.looks = 0

    async def _held(self, what):
        self.asked.append(what)
        await self.go_on.wait()

    async def fetch(self, application, profile, label="main"):
        await self._held("fetch")
        return await super().fetch(application, profile, label)

    async def file(self, lookup, path):
        await self._held(path)
        return PlainFile(b"a", 0.0)

    async def save(self, source):
        await self._held("save")
        await super().save(source)

    async def list(self):
        await self._held("list")
        return await super().list()

    def look_again(self):
        self.looks += 1


def run(scenario):
    async def in_time():
        async with asyncio.timeout(2 * SOON):
            return await scenario()

    return asyncio.run(in_time())


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


def ignore(source):
    """Tell nobody of a save."""


def test_the_deadline_is_as_long_as_clients_wait():
    """Half a minute."""
    assert TIMEOUT == 30.0


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda backend: backend.find(ORDERS), LATE),
        (lambda backend: backend.file(ORDERS, "a.txt"), LATE),
        (lambda backend: backend.list(), LATE),
        (lambda backend: backend.save(SOURCE, ignore), f"{LATE}; the save may still happen"),
    ],
    ids=["find", "file", "list", "save"],
)  # fmt: skip
def test_a_backend_that_does_not_answer_is_a_timeout(ask, text):
    """504, with a text that says no more than that."""

    async def scenario():
        with pytest.raises(BackendTimeout) as caught:
            await ask(TimelyBackend(Held(), 0.01))
        assert (text, 504) == (str(caught.value), caught.value.status)

    run(scenario)


def test_a_save_that_is_late_goes_on_and_counts():
    """Whoever reads after it must see it."""

    async def scenario():
        held, told = Held(), []
        backend = TimelyBackend(held, 0.01)
        with pytest.raises(BackendTimeout):
            await backend.save(SOURCE, told.append)
        assert (told, backend.saves.value()) == ([], 0)
        held.go_on.set()
        await turns()
        assert (told, backend.saves.value()) == ([SOURCE], 1)
        assert (await backend.find(ORDERS)).sources[0].properties == {"a": 1}

    run(scenario)


def test_a_save_that_failed_counts_and_is_not_told():
    """It may have changed something."""

    async def scenario():
        held, told = Held(), []
        held.go_on.set()
        backend = TimelyBackend(held)
        with pytest.raises(AttributeError):
            await backend.save(None, told.append)  # it has no names
        assert backend.saves.value() == 0

        class Failing(Held):
            async def save(self, source):
                raise BackendUnavailable("down")

        backend = TimelyBackend(Failing())
        with pytest.raises(BackendUnavailable):
            await backend.save(SOURCE, told.append)
        assert (told, backend.saves.value()) == ([], 1)

    run(scenario)


def test_those_who_ask_at_once_share_an_answer():
    """One read for a thousand; each file and each lookup has its own."""

    async def scenario():
        held = Held()
        backend = TimelyBackend(held)
        found = [asyncio.ensure_future(backend.find(ORDERS)) for _ in range(1000)]
        files = [
            asyncio.ensure_future(backend.file(ORDERS, path))
            for path in ("a.txt", "b.txt")
            for _ in range(1000)
        ]
        await turns()
        assert sorted(held.asked) == ["a.txt", "b.txt"] + ["fetch"] * 4
        held.go_on.set()
        assert len({id(answer) for answer in await asyncio.gather(*found)}) == 1
        assert set(await asyncio.gather(*files)) == {PlainFile(b"a", 0.0)}

    run(scenario)


def test_who_asks_after_a_save_shares_nothing_older():
    """By any server that shares the count; the backend is told so, once."""

    async def scenario():
        held, saves = Held(), OwnSaves()
        backend = TimelyBackend(held, saves=saves)
        before = asyncio.ensure_future(backend.find(ORDERS))
        await turns()
        looks = held.looks
        saves.raise_()
        after = [asyncio.ensure_future(backend.find(ORDERS)) for _ in range(2)]
        await turns()
        assert (held.asked, held.looks) == (["fetch"] * 8, looks + 1)
        held.go_on.set()
        await asyncio.gather(before, *after)

    run(scenario)


def test_credentials_share_places_and_no_answers():
    """What was found with those of one request is for it alone."""

    async def scenario():
        held, others = Held(), [Held(), Held()]
        backend = TimelyBackend(held, 0.05)
        forms = [backend.over(other) for other in others]
        asks = [
            asyncio.ensure_future(one.find(ORDERS)) for one in (backend, *forms, *forms)
        ]
        await turns()
        assert [len(one.asked) for one in (held, *others)] == [4, 4, 4]
        assert [form.saves for form in forms] == [backend.saves] * 2
        ends = await asyncio.gather(*asks, return_exceptions=True)
        assert [str(end) for end in ends] == [LATE] * 5  # the deadline is shared, too

    run(scenario)


def test_a_backend_without_files_has_none():
    """It is not asked for any."""
    backend = TimelyBackend(InMemoryConfigBackend())
    assert run(lambda: backend.file(ORDERS, "a.txt")) is None
