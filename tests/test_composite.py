"""Several backends as one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from backend_contract import VersionedContract

from pyconfserve import ConfigServer, FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.backend import ConfigSource, Found
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import Lookup, make_lookup
from pyconfserve.errors import BackendUnavailable, ConfigNotFound


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


def test_a_missing_label_fails_all_unless_lenient() -> None:
    """As Spring's fail-on-composite-error."""
    members = [filled(1), Elsewhere(ConfigNotFound("no such label"))]
    lookup = make_lookup("orders", "prod")
    with pytest.raises(ConfigNotFound):
        asyncio.run(CompositeConfigBackend(members).sources(lookup))
    lenient = CompositeConfigBackend(members, is_lenient=True)
    assert len(asyncio.run(lenient.sources(lookup)).sources) == 1


def test_versions_are_joined_where_all_have_one() -> None:
    """Else the content's own is taken."""
    lookup = make_lookup("orders")
    both = CompositeConfigBackend([Elsewhere(version="1"), Elsewhere(version="2")])
    one = CompositeConfigBackend([Elsewhere(version="1"), filled(1)])
    versions = [asyncio.run(found.sources(lookup)).version for found in (both, one)]
    assert versions == ["1,2", None]


def test_a_plain_file_comes_from_the_first_that_has_it(tmp_path: Path) -> None:
    """Members without files are passed over."""
    (tmp_path / "b.txt").write_text("b")
    composite = CompositeConfigBackend([filled(1), FilesystemConfigBackend(tmp_path)])
    lookup = make_lookup("orders")
    found = [asyncio.run(composite.file(lookup, name)) for name in ("b.txt", "c.txt")]
    assert (found[0].data if found[0] else None, found[1]) == (b"b", None)


def test_health_is_that_of_the_members() -> None:
    """Down only when none of them can answer."""
    away = Elsewhere(BackendUnavailable("away"))
    report = CompositeConfigBackend([away, Elsewhere(), filled(1)]).health()
    assert report == {
        "members": [
            {"backend": "Elsewhere", "problem": "away"},
            {"backend": "Elsewhere", "is": "fine"},
            {"backend": "InMemoryConfigBackend"},
        ]
    }
    with pytest.raises(BackendUnavailable):
        CompositeConfigBackend([away]).health()


def test_all_members_are_refreshed_and_closed() -> None:
    """A refresh that fails is told after the others had theirs."""
    members = [Elsewhere(BackendUnavailable("away")), Elsewhere(), filled(1)]
    composite = CompositeConfigBackend(members)
    with pytest.raises(BackendUnavailable):
        asyncio.run(composite.refresh())
    asyncio.run(composite.close())
    calls = [member.calls for member in members if isinstance(member, Elsewhere)]
    assert calls == [["refresh", "close"]] * 2


def test_overrides_are_above_all() -> None:
    """One source in front of all others."""
    server = ConfigServer(filled(1), overrides={"a": "9"})
    document = asyncio.run(server.fetch("orders", "prod"))
    assert document is not None
    assert document["propertySources"] == [
        {"name": "overrides", "source": {"a": "9"}},
        {"name": "orders-prod", "source": {"a": 1}},
    ]
