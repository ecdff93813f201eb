"""Several backends as one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from backend_contract import VersionedContract
from fake_store import DictPlace, DictStore

from pyconfserve import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.backend import ConfigSource, Found, find
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import Lookup, make_lookup
from pyconfserve.environment.rendering import content_version
from pyconfserve.errors import (
    BackendTimeout,
    BackendUnavailable,
    ConfigNotFound,
    Forbidden,
    InvalidRequest,
)
from pyconfserve.store_backend import StoreBackend
from pyconfserve.timely import TimelyBackend


class TestComposite(VersionedContract):
    """A composite is a backend like any other."""

    @pytest.fixture
    def backend(self) -> CompositeConfigBackend:
        return CompositeConfigBackend([InMemoryConfigBackend(), InMemoryConfigBackend()])


class Elsewhere(InMemoryConfigBackend):
    """A member that is away, has no such label, or is closed and refreshed."""

    def __init__(self, error: Exception | None = None, version: str | None = None) -> None:
        super().__init__()
        self.error = error
        self.version = version
        self.calls: list[str] = []

    async def sources(self, lookup: Lookup) -> Found:
        if self.error:
            raise self.error
        return Found((), version=self.version)

    async def fetch(self, *names: str) -> ConfigSource | None:
        if self.error:
            raise self.error
        return await super().fetch(*names)

    async def list(self) -> list[ConfigSource]:
        if self.error:
            raise self.error
        return []

    async def open(self) -> None:
        if self.error:
            raise self.error

    def health(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"is": "fine"}

    async def refresh(self) -> None:
        self.calls.append("refresh")
        if self.error:
            raise self.error

    async def close(self) -> None:
        self.calls.append("close")


def filled(value: int) -> InMemoryConfigBackend:
    backend = InMemoryConfigBackend()
    asyncio.run(backend.save(ConfigSource("orders", "prod", "main", {"a": value})))
    return backend


def test_sources_stand_one_after_another() -> None:
    """Those of the first member come first."""
    server = ConfigServer(CompositeConfigBackend([filled(1), filled(2)]))
    document = asyncio.run(server.fetch("orders", "prod"))
    assert document is not None
    values = [source["source"] for source in document["propertySources"]]
    assert values == [{"a": 1}, {"a": 2}]


def test_an_answer_holds_while_those_of_all_members_do(tmp_path: Path) -> None:
    """A change in any of them shows."""
    memory, folder = filled(1), FilesystemConfigBackend(tmp_path, refresh_interval=0)
    composite = CompositeConfigBackend([memory, folder])
    found = asyncio.run(composite.sources(make_lookup("orders", "prod")))
    assert found.stamp == composite.stamp(found.seen)
    (tmp_path / "orders-prod.json").write_text("{}")
    changed = composite.stamp(found.seen)
    assert changed != found.stamp
    asyncio.run(memory.save(ConfigSource("x", "y")))
    assert changed != composite.stamp(found.seen)


def test_an_answer_with_a_part_that_cannot_be_kept_is_not_kept() -> None:
    """One member without a stamp is enough."""
    composite = CompositeConfigBackend([filled(1), Elsewhere()])
    assert asyncio.run(composite.sources(make_lookup("orders"))).seen is None


@pytest.mark.parametrize(
    "error", [ConfigNotFound("no such label"), BackendUnavailable("away")], ids=repr
)
def test_a_member_that_cannot_answer_fails_all_unless_optional(error: Exception) -> None:
    """As Spring's fail-on-composite-error; the answer without it is not kept."""
    members = [filled(1), Elsewhere(error)]
    lookup = make_lookup("orders", "prod")
    with pytest.raises(type(error)):
        asyncio.run(CompositeConfigBackend(members).sources(lookup))
    found = asyncio.run(CompositeConfigBackend(members, optional=[1]).sources(lookup))
    assert (len(found.sources), found.seen) == (1, None)
    with pytest.raises(type(error)):
        asyncio.run(CompositeConfigBackend(members, optional=[0]).sources(lookup))


def test_an_optional_member_that_is_away_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And again when it has been back in between, with what its owner can do."""
    gone = BackendUnavailable("gone")
    gone.add_note("fetch it")
    member = Elsewhere(BackendUnavailable("away"))
    composite = CompositeConfigBackend([filled(1), member], optional=[1], pause=0)
    lookup = make_lookup("orders", "prod")
    for error in (member.error, member.error, None, gone):
        member.error = error
        asyncio.run(composite.sources(lookup))
    start = "going on without a member, Elsewhere:"
    assert caplog.messages == [f"{start} away", f"{start} gone\nfetch it"]


def test_few_wait_for_an_optional_member_that_is_away() -> None:
    """One in each pause, and nobody beside the one who is finding out."""

    class Slow(Elsewhere):
        asked = 0

        async def sources(self, lookup: Lookup) -> Found:
            self.asked += 1
            if self.asked > 1:
                await others
            raise BackendUnavailable("away")

    async def ask() -> list[int]:
        nonlocal others
        others = asyncio.get_running_loop().create_future()
        lookup = make_lookup("orders", "prod")
        counts = []
        for pause in (60, 0):
            slow = Slow()
            composite = CompositeConfigBackend([filled_one, slow], optional=[1], pause=pause)
            await composite.sources(lookup)
            waiting = asyncio.ensure_future(composite.sources(lookup))
            await asyncio.sleep(0)
            await composite.sources(lookup)  # does not wait for that one
            counts.append(slow.asked)
            if pause == 0:
                others.set_result(None)
            await waiting
        return counts

    filled_one = filled(1)
    others: asyncio.Future[None]
    assert asyncio.run(ask()) == [1, 2]


def test_only_a_member_that_is_needed_has_to_open() -> None:
    """An optional one may come later."""
    error = BackendUnavailable("away")
    with pytest.raises(BackendUnavailable):
        asyncio.run(CompositeConfigBackend([Elsewhere(error)]).open())
    asyncio.run(CompositeConfigBackend([Elsewhere(error)], optional=[0]).open())


def test_saves_go_to_the_writable_member() -> None:
    """And what is stored, and its version, is what that one has."""
    one, two = filled(1), filled(2)
    composite = CompositeConfigBackend([one, two], writable=1)
    names = "orders", "prod", "main"
    stored = asyncio.run(composite.stored(*names))
    assert stored is not None
    assert stored.properties == {"a": 2}
    asyncio.run(composite.save(ConfigSource(*names, {"a": 3})))
    asyncio.run(composite.change(*names, lambda tree: {**(tree() or {}), "b": 4}))
    values = [asyncio.run(member.stored(*names)) for member in (one, two)]
    assert [value.properties for value in values if value] == [{"a": 1}, {"a": 3, "b": 4}]


def test_a_listing_and_a_bundle_go_on_without_an_optional_member() -> None:
    """What the others have is there."""
    away = Elsewhere(BackendUnavailable("away"))
    composite = CompositeConfigBackend([away, filled(1)], optional=[0])
    found = asyncio.run(composite.fetch("orders", "prod"))
    assert found == ConfigSource("orders", "prod", "main", {"a": 1})
    assert [one.application for one in asyncio.run(composite.list())] == ["orders"]


def test_versions_are_joined() -> None:
    """A hash of the content stands for one that is missing, and for all the server's own."""
    lookup = make_lookup("orders", "prod")
    composites = [
        [Elsewhere(version="1"), Elsewhere(version="2")],
        [Elsewhere(version="1"), filled(1)],
        [filled(1), filled(2)],
    ]
    versions = [
        asyncio.run(CompositeConfigBackend(members).sources(lookup)).version
        for members in composites
    ]
    sources = asyncio.run(find(filled(1), lookup)).sources
    assert versions == ["1,2", f"1,{content_version(sources)}", None]


def test_a_plain_file_comes_from_the_first_that_has_it(tmp_path: Path) -> None:
    """Members without files are passed over."""
    (tmp_path / "b.txt").write_text("b")
    composite = CompositeConfigBackend([filled(1), FilesystemConfigBackend(tmp_path)])
    lookup = make_lookup("orders")
    found = [asyncio.run(composite.file(lookup, name)) for name in ("b.txt", "c.txt")]
    assert (found[0].data if found[0] else None, found[1]) == (b"b", None)


def test_health_is_that_of_the_members() -> None:
    """Down when one that is needed cannot answer, or none can."""
    away = Elsewhere(BackendUnavailable("away"))
    report = CompositeConfigBackend([away, Elsewhere(), filled(1)], optional=[0]).health()
    assert report == {
        "members": [
            {"backend": "Elsewhere", "problem": "away"},
            {"backend": "Elsewhere", "is": "fine"},
            {"backend": "InMemoryConfigBackend"},
        ]
    }
    for members, optional in (([away, filled(1)], [1]), ([away, away], [0, 1])):
        with pytest.raises(BackendUnavailable):
            CompositeConfigBackend(members, optional=optional).health()


def test_all_members_are_refreshed_and_closed() -> None:
    """A refresh that fails is told after the others had theirs."""
    members = [Elsewhere(BackendUnavailable("away")), Elsewhere(), filled(1)]
    composite = CompositeConfigBackend(members)
    with pytest.raises(BackendUnavailable):
        asyncio.run(composite.refresh())
    asyncio.run(composite.close())
    calls = [member.calls for member in members if isinstance(member, Elsewhere)]
    assert calls == [["refresh", "close"]] * 2


def test_what_members_tell_is_handed_on() -> None:
    """So that who waits hears at once of changes by others; until it is ended."""

    class Telling(Elsewhere):
        def on_change(self, tell: Any) -> Any:
            self.tells = [tell]
            return self.tells.clear

    one, two = Telling(), Telling()
    told: list[ConfigSource] = []
    end = CompositeConfigBackend([filled(1), one, two]).on_change(told.append)
    for member in (one, two):
        member.tells[0](ConfigSource("orders", "prod"))
    end()
    assert (len(told), one.tells, two.tells) == (2, [], [])


def test_what_members_see_is_handed_on() -> None:
    """To who has other processes look, before it is answered with."""
    place = DictPlace()
    deaf = DictStore(place)
    deaf.is_deaf = True
    composite = CompositeConfigBackend([filled(1), StoreBackend(deaf)])
    sights: list[None] = []

    async def scenario() -> None:
        await composite.open()
        composite.on_sight(lambda: sights.append(None))
        await composite.refresh()
        assert sights == []
        place.revision += 1
        await composite.refresh()
        await composite.close()

    asyncio.run(scenario())
    assert sights == [None]


def test_overrides_are_above_all() -> None:
    """One source in front of all others."""
    server = ConfigServer(filled(1), overrides={"a": "9"})
    document = asyncio.run(server.fetch("orders", "prod"))
    assert document is not None
    assert document["propertySources"] == [
        {"name": "overrides", "source": {"a": "9"}},
        {"name": "orders-prod", "source": {"a": 1}},
    ]


class Asked(Elsewhere):
    """A member that takes the credentials of each request: one of them is right."""

    def for_request(self, token: str | None, state: str | None) -> Asked:
        return Asked(None if token == "right" else Forbidden("no"), token)


def test_each_request_has_the_credentials_that_it_brings() -> None:
    """A refusal of one neither keeps the member from others nor is it an answer that is kept."""
    plain = CompositeConfigBackend([filled(1), InMemoryConfigBackend()])
    assert hasattr(plain, "for_request") is False
    server = ConfigServer(CompositeConfigBackend([filled(1), Asked()], optional=[1]))

    async def ask(token: str) -> Any:
        document = await server.for_request(token, None).fetch("orders", "prod")
        return document and (len(document["propertySources"]), "right" in str(document["version"]))

    async def use() -> list[Any]:
        return [await ask(token) for token in ("wrong", "right", "wrong", "right")]

    assert asyncio.run(use()) == [(1, False), (1, True), (1, False), (1, True)]


@pytest.mark.parametrize(
    "problem", [Forbidden("no"), InvalidRequest("token", "none")], ids=["refused", "none"]
)
def test_who_is_refused_finds_out_nothing_for_others(problem: Exception) -> None:
    """An optional member that was away is asked by the next request, not half a minute later."""
    member = Elsewhere(BackendUnavailable("away"), "theirs")
    composite = CompositeConfigBackend([filled(1), member], optional=[1], pause=0.0)
    lookup = make_lookup("orders", "prod")

    async def use() -> str | None:
        await composite.sources(lookup)
        member.error = problem
        with suppress(InvalidRequest):
            assert (await composite.sources(lookup)).version is None
        member.error = None
        return (await composite.sources(lookup)).version

    assert str(asyncio.run(use())).endswith(",theirs")


class Hanging(InMemoryConfigBackend):
    """A member that neither opens nor answers until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error  # of each answer
        self.go_on = asyncio.Event()
        self.waiting = 0

    async def _answers(self) -> None:
        self.waiting += 1
        try:
            await self.go_on.wait()
        finally:
            self.waiting -= 1
        if self.error:
            raise self.error

    async def open(self) -> None:
        await self._answers()

    async def fetch(self, *names: str) -> ConfigSource | None:
        await self._answers()
        return await super().fetch(*names)


async def counts_of(composite: CompositeConfigBackend, times: int = 1) -> list[int]:
    """How many sources each of some lookups found, one lookup after another."""
    async with asyncio.timeout(10):
        found = [await composite.sources(make_lookup("orders", "prod")) for _ in range(times)]
    return [len(one.sources) for one in found]


async def until_found(composite: CompositeConfigBackend, count: int) -> None:
    """Ask again and again until that many sources are found."""
    async with asyncio.timeout(10):
        while await counts_of(composite) != [count]:
            pass


def test_an_optional_member_opens_on_behind_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """The start waits for it a moment, requests do not, and it joins when it is there."""

    async def use() -> list[int]:
        member = Hanging()
        await member.save(ConfigSource("orders", "prod", "main", {"a": 2}))
        composite = CompositeConfigBackend([filled_one, member], optional=[1], opening=0.1)
        async with asyncio.timeout(10):
            await composite.open()
        counts = await counts_of(composite, times=3)
        assert member.waiting == 1
        member.go_on.set()
        await until_found(composite, 2)
        return counts

    filled_one = filled(1)
    assert asyncio.run(use()) == [1, 1, 1]
    assert caplog.messages == ["going on without a member, Hanging: the store did not answer in time"]


def test_a_required_member_has_the_time_that_it_needs() -> None:
    """The start waits for it longer than for one that is optional."""

    async def use() -> list[bool]:
        member, optional = Hanging(), Hanging()
        opening = asyncio.ensure_future(CompositeConfigBackend([member]).open())
        other = CompositeConfigBackend([optional], optional=[0], opening=0.1)
        async with asyncio.timeout(10):
            await other.open()
        ends = [opening.done()]
        member.go_on.set()
        async with asyncio.timeout(10):
            await opening
            await other.close()
        return [*ends, opening.done()]

    assert asyncio.run(use()) == [False, True]


def test_one_request_waits_a_moment_for_a_member_that_is_away_and_hangs() -> None:
    """What it asked goes on without it, and says for all whether the member is back."""

    async def use() -> tuple[list[int], bool]:
        member = Hanging(BackendUnavailable("away"))
        await member.save(ConfigSource("orders", "prod", "main", {"a": 2}))
        composite = CompositeConfigBackend([filled_one, member], optional=[1], pause=0)
        member.go_on.set()
        await composite.open()
        member.go_on.clear()
        counts = await counts_of(composite)
        asked = member.waiting
        counts += await counts_of(composite, times=2)
        is_asked_once = member.waiting == asked > 0
        member.error = None
        member.go_on.set()
        await until_found(composite, 2)
        return counts, is_asked_once

    filled_one = filled(1)
    assert asyncio.run(use()) == ([1, 1, 1], True)


def test_a_member_that_begins_to_hang_fails_one_answer(caplog: pytest.LogCaptureFixture) -> None:
    """The deadline of that one tells that it is away; then others go on without it."""

    async def use() -> list[int]:
        member = Hanging()
        composite = CompositeConfigBackend([filled_one, member], optional=[1])
        server = TimelyBackend(composite, timeout=1.2)
        with pytest.raises(BackendTimeout):
            await server.find(make_lookup("orders", "prod"))
        counts = [len((await server.find(make_lookup("orders", one))).sources) for one in ("prod", "dev")]
        await composite.close()
        return counts

    filled_one = filled(1)
    assert asyncio.run(use()) == [1, 0]
    assert caplog.messages == ["going on without a member, Hanging: the store did not answer in time"]


def test_an_attempt_ends_with_its_loop() -> None:
    """In the next one the member is asked again."""
    member = Hanging()
    composite = CompositeConfigBackend([filled(1), member], optional=[1], pause=0, opening=0.0)
    asyncio.run(member.save(ConfigSource("orders", "prod", "main", {"a": 2})))
    asyncio.run(composite.open())
    member.go_on = asyncio.Event()
    member.go_on.set()
    assert asyncio.run(counts_of(composite)) == [2]
    asyncio.run(composite.close())


def test_closing_ends_what_waits_for_a_member() -> None:
    """An opening that hangs does not outlive the composite."""

    async def use() -> list[int]:
        member = Hanging()
        composite = CompositeConfigBackend([member], optional=[0], opening=0.1)
        async with asyncio.timeout(10):
            await composite.open()
            before = member.waiting
            await composite.close()
        return [before, member.waiting]

    assert asyncio.run(use()) == [1, 0]


def test_a_bug_behind_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for it any more; the next request finds out."""

    class Broken(Hanging):
        async def open(self) -> None:
            await super().open()
            raise ZeroDivisionError

    async def use() -> None:
        member = Broken()
        await member.save(ConfigSource("orders", "prod", "main", {"a": 2}))
        composite = CompositeConfigBackend([filled_one, member], optional=[1], opening=0.1)
        async with asyncio.timeout(10):
            await composite.open()
        member.go_on.set()
        await until_found(composite, 2)

    filled_one = filled(1)
    asyncio.run(use())
    assert caplog.messages == [
        "going on without a member, Broken: the store did not answer in time",
        "asking a member, Broken, failed",
    ]
