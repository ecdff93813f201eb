"""Branches rewritten while they are read: an answer is of one commit, whole."""

import asyncio
import time

from real_git import Origin

from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.environment.overlay import make_lookup

BRANCHES = ["main", "b1", "b2", "b3"]
FILES = [f"{name}.yml" for name in ("orders", "application", "orders-prod", "application-prod")]  # fmt: skip
SECONDS = 1.5


def rewrite(origin, written, number):
    """Give each branch a commit without history whose files all say the same."""
    for branch in BRANCHES:
        value = f"{branch}-{number}"
        written[value] = origin.rewrite(dict.fromkeys(FILES, f"n: {value}\n"), branch)


async def read(backend, label, is_over, seen):
    """Ask again and again; note (values, version) of each answer."""
    while not is_over():
        found = await backend.sources(make_lookup("orders", "prod", label))
        values = tuple(source.properties["n"] for source in found.sources)
        seen.add((values, found.version))
        assert backend.stamp(found.seen) is not None


async def stress(backend, origin, written, seen):
    """Rewrite and refresh for a while, next to readers and a background of refreshes."""
    until = time.monotonic() + SECONDS
    readers = [
        asyncio.ensure_future(
            read(backend, label, lambda: time.monotonic() > until, seen)
        )
        for label in [*BRANCHES, None] * 4
    ]
    number = 0
    while time.monotonic() < until:
        number += 1
        await asyncio.to_thread(rewrite, origin, written, number)
        await backend.refresh()
    await asyncio.gather(*readers)


def test_every_answer_equals_the_content_of_exactly_one_commit(tmp_path):
    """All four files, and the version; and nothing but answers was given."""
    origin, written, seen = Origin(tmp_path / "origin"), {}, set()
    rewrite(origin, written, 0)
    backend = GitConfigBackend(origin.uri, refresh_rate=0.05)
    try:
        asyncio.run(stress(backend, origin, written, seen))
    finally:
        asyncio.run(backend.close())
    assert len(seen) > 2 * len(BRANCHES)
    mixed = [(values, version) for values, version in seen if {written.get(value) for value in values} != {version} or len(values) != len(FILES)]  # fmt: skip
    assert mixed == []
