"""Backends that clients' names open: shared, bounded, closed when nobody uses them."""

import asyncio
import gc
import logging
from collections import Counter
from urllib.parse import urlsplit

import pytest

from pyconfserve.adapters.git.pool import Key, Pool
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
    StorageFull,
)

LOGGER = "pyconfserve.git.pool"


class Fake:
    """A backend that opens when *gate* lets it, or fails."""

    def __init__(self, error=None, gate=None):
        self.error = error
        self.gate = gate
        self.calls = []

    async def open(self):
        self.calls.append("open")
        if self.gate:
            await self.gate.wait()
        if self.error:
            raise self.error

    async def close(self):
        self.calls.append("close")


class Maker:
    """What the pool makes backends with; `made` are all of them by URI."""

    def __init__(self, **backends):
        self.backends = backends
        self.made = {}
        self.tidied = []
        self.gate = None

    def tidy(self, key):
        self.tidied.append(key.uri)

    def __call__(self, key):
        backend = self.backends.get(key.uri, Fake(gate=self.gate))
        self.made.setdefault(key.uri, []).append(backend)
        if isinstance(backend, Exception):
            raise backend
        return backend


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def key(uri):
    return Key(0, uri)


def pool_of(maker, limit=100, clock=None):
    return Pool(maker, maker.tidy, limit, clock or Clock())


async def use(pool, uri):
    async with pool.borrowed(key(uri)) as member:
        return member.backend


async def refused(pool, uri):
    try:
        await use(pool, uri)
    except Exception as error:
        return type(error), str(error)


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


class TestOpening:
    """One making a URI."""

    def test_a_backend_is_opened_once_and_kept(self):
        """The second request gets the first one's."""
        maker = Maker()

        async def run():
            pool = pool_of(maker)
            assert await use(pool, "a") is await use(pool, "a")
            assert [member.key for member in pool] == [key("a")]

        asyncio.run(run())
        assert [one.calls for one in maker.made["a"]] == [["open"]]

    def test_many_who_ask_at_once_share_one_opening(self):
        """Who leaves early takes it from nobody."""
        maker = Maker()

        async def run():
            maker.gate = asyncio.Event()
            pool = pool_of(maker)
            waiting = [asyncio.create_task(use(pool, "a")) for _ in range(5)]
            await settled()
            waiting[0].cancel()
            await settled()
            maker.gate.set()
            found = await asyncio.gather(*waiting[1:])
            assert found == maker.made["a"] * 4

        asyncio.run(run())

    def test_few_are_opened_at_a_time(self):
        """A flood of names is not a flood of processes."""
        maker = Maker()

        async def run():
            maker.gate = asyncio.Event()
            pool = pool_of(maker)
            uris = [f"https://h/{number}" for number in range(30)]
            waiting = [asyncio.create_task(use(pool, uri)) for uri in uris]
            await settled()
            assert len(maker.made) == 8
            maker.gate.set()
            await asyncio.gather(*waiting)
            assert len(maker.made) == 30

        asyncio.run(run())

    def test_a_host_that_hangs_holds_up_no_other(self):
        """Whoever asks it, and by whatever scheme; all hosts together are bounded."""
        maker = Maker()

        async def run():
            maker.gate = asyncio.Event()
            pool = pool_of(maker)
            uris = [
                f"{start}{host}/{number}"
                for host in "abcdef"
                for start in ("https://u@", "ssh://v@")
                for number in range(6)
            ]
            waiting = [asyncio.create_task(use(pool, uri)) for uri in uris]
            await settled()
            began = Counter(urlsplit(uri).hostname for uri in maker.made)
            assert began == dict.fromkeys("abcd", 8)
            maker.gate.set()
            await asyncio.gather(*waiting)
            assert len(maker.made) == 72

        asyncio.run(run())

    def test_an_opening_that_fails_when_all_have_left_is_no_noise(self, caplog):
        """asyncio would report an error that nobody looked at."""

        async def run():
            gate = asyncio.Event()
            pool = pool_of(Maker(a=Fake(BackendUnavailable("away"), gate)))
            waiting = asyncio.create_task(use(pool, "a"))
            await settled()
            waiting.cancel()
            await settled()
            gate.set()
            await settled()
            gc.collect()

        asyncio.run(run())
        assert caplog.messages == []


class TestMisses:
    """What is not there is not looked for again at once."""

    @pytest.mark.parametrize(
        ("error", "seconds"),
        [
            (BackendMisconfigured("no such repository"), 60.0),
            (BackendUnavailable("away"), 5.0),
            (StorageFull("full"), 5.0),
        ],
        ids=str,
    )
    def test_an_error_is_remembered(self, error, seconds):
        """For a minute where it is for good, else for a moment."""
        clock, maker = Clock(), Maker(a=Fake(error))

        async def run():
            pool = pool_of(maker, clock=clock)
            expected = type(error), str(error)
            assert await refused(pool, "a") == expected
            clock.now = seconds - 0.1
            assert await refused(pool, "a") == expected
            assert pool.missed_until(key("a")) == seconds
            assert len(maker.made["a"]) == 1
            clock.now = seconds
            assert pool.missed_until(key("a")) is None
            maker.backends.clear()
            assert await use(pool, "a") is maker.made["a"][1]
            assert pool.missed_until(key("a")) is None

        asyncio.run(run())
        assert maker.made["a"][0].calls == ["open", "close"]
        assert maker.tidied[0] == "a"

    def test_a_uri_that_is_refused_is_absent(self):
        """The settings were vetted: it is the names that make it impossible."""
        maker = Maker(a=SettingsError("no such form of a URI"))

        async def run():
            pool = pool_of(maker)
            expected = BackendMisconfigured, "no such repository"
            assert [await refused(pool, "a") for _ in "12"] == [expected] * 2

        asyncio.run(run())
        assert len(maker.made["a"]) == 1

    def test_a_bug_is_not_remembered(self):
        """And the backend that had it is closed."""
        fake = Fake(ValueError("bug"))

        async def run():
            pool = pool_of(Maker(a=fake))
            assert [await refused(pool, "a") for _ in "12"] == [(ValueError, "bug")] * 2

        asyncio.run(run())
        assert fake.calls == ["open", "close"] * 2

    def test_misses_can_be_forgotten(self):
        """When somebody says that something is new."""
        maker = Maker(a=Fake(BackendUnavailable("away")))

        async def run():
            pool = pool_of(maker)
            await refused(pool, "a")
            maker.backends.clear()
            pool.forget_misses()
            await use(pool, "a")

        asyncio.run(run())

    def test_a_flood_of_names_is_forgotten_oldest_first(self):
        """It neither fills memory nor closes a backend."""
        maker = Maker()

        async def run():
            pool = pool_of(maker, limit=1)
            await use(pool, "real")
            maker.backends = {
                str(n): Fake(BackendMisconfigured("no")) for n in range(1001)
            }
            for n in range(1001):
                await refused(pool, str(n))
            known = [pool.missed_until(key(str(n))) for n in (0, 1, 1000)]
            assert known == [None, 60.0, 60.0]
            assert [member.key.uri for member in pool] == ["real"]

        asyncio.run(run())


class TestEviction:
    """Those used last stay."""

    def test_the_one_used_longest_ago_is_closed(self, caplog):
        """Said once."""
        maker = Maker()

        async def run():
            pool = pool_of(maker, limit=2)
            for uri in "abac":
                await use(pool, uri)
            assert [member.key.uri for member in pool] == ["a", "c"]
            await use(pool, "d")
            await settled()

        asyncio.run(run())
        calls = {uri: made[0].calls for uri, made in maker.made.items()}
        closed = ["open", "close"]
        assert calls == {"a": closed, "b": closed, "c": ["open"], "d": ["open"]}
        text = "more than 2 repositories are in use: each new one closes another"
        assert caplog.record_tuples == [(LOGGER, logging.WARNING, text)]

    def test_an_answer_that_is_kept_counts_as_a_use(self):
        """Or the busiest repository would go first."""
        maker = Maker()

        async def run():
            pool = pool_of(maker, limit=2)
            await use(pool, "a")
            await use(pool, "b")
            assert pool.get(key("a")).backend is maker.made["a"][0]
            await use(pool, "c")
            assert [one.key.uri for one in pool] == ["a", "c"]
            assert pool.get(key("b")) is None

        asyncio.run(run())

    def test_a_request_keeps_its_backend_open(self):
        """It is closed when the last one is done."""
        maker = Maker()

        async def run():
            pool = pool_of(maker, limit=1)
            async with pool.borrowed(key("a")) as one:
                async with pool.borrowed(key("a")):
                    await use(pool, "b")
                    await settled()
                    assert (one.is_out, one.backend.calls) == (True, ["open"])
                await settled()
                assert one.backend.calls == ["open"]
            await settled()
            assert one.backend.calls == ["open", "close"]
            assert await use(pool, "a") is not one.backend

        asyncio.run(run())

    def test_folders_are_tidied_after_each_opening_and_each_close(self):
        """There is more on the disk then, or less in use."""
        maker = Maker()

        async def run():
            pool = pool_of(maker, limit=1)
            await use(pool, "a")
            await use(pool, "b")
            await pool.close()

        asyncio.run(run())
        assert sorted(maker.tidied) == ["a", "a", "b", "b"]

    def test_a_failing_close_is_logged(self, caplog):
        """By its type alone: its text may hold what it likes."""

        class Stuck(Fake):
            async def close(self):
                raise OSError("secret")

        async def run():
            pool = pool_of(Maker(a=Stuck()))
            await use(pool, "a")
            await pool.close()

        asyncio.run(run())
        expected = (LOGGER, logging.ERROR, "a repository was not closed: OSError")
        assert caplog.record_tuples == [expected]


def test_close_ends_everything():
    """Openings too; twice is fine."""
    maker = Maker()

    async def run():
        pool = pool_of(maker)
        await use(pool, "a")
        maker.gate = asyncio.Event()
        waiting = asyncio.create_task(use(pool, "b"))
        await settled()
        await pool.close()
        await pool.close()
        assert [*pool] == []
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    calls = [made[0].calls for made in maker.made.values()]
    assert calls == [["open", "close"]] * 2
