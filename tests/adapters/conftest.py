"""Tests of an adapter need its library: without it they are left out."""

import asyncio
from importlib.util import find_spec

import pytest

from pyconfserve.store_backend import StoreBackend

LIBRARIES = {
    "test_cryptography.py": "cryptography",
    "test_httpx.py": "httpx",
    "test_jdbc.py": "psycopg",
    "test_jsonschema.py": "jsonschema",
    "test_postgresql.py": "psycopg",
    "test_postgresql_faults.py": "psycopg",
    "test_prometheus.py": "prometheus_client",
    "test_pydantic_settings.py": "pydantic_settings",
    "test_redis.py": "redis",
    "test_redis_faults.py": "redis",
    "test_redis_hashes.py": "redis",
    "test_s3.py": "boto3",
    "test_s3_faults.py": "boto3",
    "test_starlette.py": "starlette",
}

collect_ignore = [
    name for name, library in LIBRARIES.items() if find_spec(library) is None
]


@pytest.fixture
def made():
    """Stores and backends that are closed in the end."""
    made = []
    yield made
    for one in made:
        if isinstance(one, StoreBackend):
            asyncio.run(one.close())
        else:
            one.close()
