"""/metrics: what was counted, as Prometheus reads it."""

import asyncio
import importlib.util
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyconfserve.adapters import prometheus as adapter
from pyconfserve.adapters.prometheus import Metrics
from pyconfserve.board import LocalBoard
from pyconfserve.errors import MissingDependency
from pyconfserve.http.figures import BOUNDS, COLUMNS, Figures, Gauges
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.observing import Exchange

SECRETS = Request("GET", "/canary-path/prod", "canary-query", {"authorization": "canary-header"}, b"canary-body", "canary-host")  # fmt: skip


def counted(method="GET", status=200, seconds=0.0):
    """One answer."""
    return Exchange(SECRETS._replace(method=method), Response(status, (), b"canary"), seconds, "canary-id", "canary-peer")  # fmt: skip


def samples(figures):
    """All samples of a page, by name and labels."""
    _, page = Metrics(figures, "1.2.3").page()
    return {
        (sample.name, *sample.labels.items()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_page_of_nothing():
    """Each family that has something to say without a request; no age without origin."""
    buckets = {("pyconfserve_request_seconds_bucket", ("le", le)): 0 for le in (*map(str, BOUNDS), "+Inf")}  # fmt: skip
    assert samples(Figures()) == {
        **buckets,
        ("pyconfserve_request_seconds_count",): 0,
        ("pyconfserve_request_seconds_sum",): 0,
        ("pyconfserve_answers_total", ("from", "cache")): 0,
        ("pyconfserve_answers_total", ("from", "backend")): 0,
        ("pyconfserve_saves_total",): 0,
        ("pyconfserve_connections",): 0,
        ("pyconfserve_watchers",): 0,
        ("pyconfserve_workers",): 0,
        ("pyconfserve_build_info", ("version", "1.2.3")): 1,
    }


async def count_in_two():
    """What two processes counted, asked of one."""
    board = LocalBoard(COLUMNS, 2)
    one, other = Figures(board, 0), Figures(board, 1)
    one.start(Gauges(lambda: 3, lambda: 2, lambda: {"fetched-seconds-ago": 12}))
    other.start(Gauges(lambda: 30, lambda: 20))
    one.answered(counted(seconds=0.25))
    other.answered(counted(seconds=0.5))
    other.answered(counted("DELETE", 405, 60.0))
    one.kept()
    other.made()
    other.saved()
    found = samples(one)
    one.stop()
    other.stop()
    return found


def test_the_page_of_all_processes():
    """Numbers are added; buckets hold all that took up to their bound."""
    found = asyncio.run(count_in_two())
    buckets = {key: value for key, value in found.items() if key[0].endswith("_bucket")}
    assert [*buckets.values()] == [0] * 8 + [1] + [2] * 5 + [3]
    assert {key: value for key, value in found.items() if key not in buckets} == {
        ("pyconfserve_requests_total", ("method", "GET"), ("status", "200")): 2,
        ("pyconfserve_requests_total", ("method", "other"), ("status", "405")): 1,
        ("pyconfserve_request_seconds_count",): 3,
        ("pyconfserve_request_seconds_sum",): 60.75,
        ("pyconfserve_answers_total", ("from", "cache")): 1,
        ("pyconfserve_answers_total", ("from", "backend")): 1,
        ("pyconfserve_saves_total",): 1,
        ("pyconfserve_connections",): 33,
        ("pyconfserve_watchers",): 22,
        ("pyconfserve_workers",): 2,
        ("pyconfserve_backend_age_seconds",): 12,
        ("pyconfserve_build_info", ("version", "1.2.3")): 1,
    }


def test_a_page_says_nothing_of_what_was_asked():
    """No path, query, header, body, host, id or address."""
    figures = Figures()
    figures.answered(counted())
    figures.answered(counted("canary-method"))
    content_type, page = Metrics(figures, "1").page()
    assert "canary" not in page
    assert '{method="other",status="200"} 1.0' in page
    assert content_type.startswith("text/plain; version=")


def test_a_missing_library_is_named(monkeypatch):
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    spec = importlib.util.spec_from_file_location("pyconfserve.adapters.again", adapter.__file__)  # fmt: skip
    with pytest.raises(MissingDependency) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert str(caught.value) == "/metrics needs prometheus_client: pip install 'pyconfserve[prometheus]'"  # fmt: skip
