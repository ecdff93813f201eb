"""Tests of an adapter need its library: without it they are left out."""

from importlib.util import find_spec

LIBRARIES = {
    "test_cryptography.py": "cryptography",
    "test_httpx.py": "httpx",
    "test_jsonschema.py": "jsonschema",
    "test_prometheus.py": "prometheus_client",
    "test_pydantic_settings.py": "pydantic_settings",
    "test_starlette.py": "starlette",
}

collect_ignore = [
    name for name, library in LIBRARIES.items() if find_spec(library) is None
]
