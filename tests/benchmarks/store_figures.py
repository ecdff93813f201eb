"""What a store costs: cached answers over each, against the same over a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from loading import loads
from measuring import ENVIRONMENT, PACKAGE_ROOT, Missing, fixture, pyconfserve, tool
from rows import Row, compared

sys.path.insert(0, str(PACKAGE_ROOT / "tests"))


def stores(work: Path) -> Iterator[Row]:
    """A cached answer of four overlays over SQLite, etcd, PostgreSQL and Redis."""
    tool("wrk")
    from _pytest.outcomes import Skipped
    from redis_server import RedisServer
    from store_servers import EtcdServer, PostgresqlServer

    folder = fixture(work / "cfg")
    yield _cached(folder, "SQLite", f"sqlite://{work}/cfg.db")
    try:
        with EtcdServer() as etcd:
            yield _cached(folder, "etcd", etcd.url_of("cfg"))
        with PostgresqlServer() as postgresql:
            yield _cached(folder, "PostgreSQL", postgresql.new_database())
        with RedisServer() as redis:
            yield _cached(folder, "Redis", f"redis://127.0.0.1:{redis.port}")
    except Skipped as reason:
        raise Missing(str(reason)) from reason


def _cached(folder: Path, name: str, url: str) -> Row:
    copy = [sys.executable, "-m", "pyconfserve", "copy", str(folder), url]
    subprocess.run(copy, cwd=PACKAGE_ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    with pyconfserve(url) as (ours, _, _), pyconfserve(folder) as (peer, _, _):
        pairs = loads(f"{ours}/orders/prod", f"{peer}/orders/prod")
    return compared(f"cached GET over {name}, answers a second", "a folder", pairs, "≥ 0.9")
