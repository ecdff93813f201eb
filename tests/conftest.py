"""What all tests share: this folder is importable, so that every backend's test can
inherit backend_contract.BackendContract; and no test leaves a client that goes on asking.
"""

import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("backend_contract")
from consul_server import consul_server, consul_url, guarded_consul  # noqa: E402, F401
from redis_server import redis_server, redis_url  # noqa: E402, F401
from s3_server import s3_server  # noqa: E402, F401
from store_servers import (  # noqa: E402
    etcd_server,  # noqa: F401
    etcd_url,  # noqa: F401
    postgresql_server,  # noqa: F401
    postgresql_url,  # noqa: F401
)

FOLLOWERS = ("pyconfserve-follow", "pyconfserve-store-follow", "pyconfserve-vault-token")


@pytest.fixture(autouse=True)
def _no_follower_is_left():
    """One that is left connects while a later test looks at what this process does."""
    before = set(threading.enumerate())
    yield
    left = [
        one.name
        for one in set(threading.enumerate()) - before
        if one.name in FOLLOWERS and not (isinstance(one, threading.Timer) and one.finished.is_set())
    ]
    assert left == []
