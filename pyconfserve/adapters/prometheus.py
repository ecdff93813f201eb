"""What the server counts, in Prometheus's text format, added over all its processes.

No label is made of what a client sent.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import MissingDependency
from ..http.figures import BOUNDS, Figures, Sums

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
    from prometheus_client import generate_latest as text_of
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    what = "prometheus_client", "/metrics", "pyconfserve[prometheus]"
    raise MissingDependency.instead_of(error, *what) from error

__all__ = ["Metrics"]


class Metrics(Collector):
    """What *figures* have counted, as one page; *version* is that of the package."""

    def __init__(self, figures: Figures, version: str) -> None:
        self._figures = figures
        self._version = version
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def page(self) -> tuple[str, str]:
        """The content type of the page and its text, as of now."""
        return CONTENT_TYPE_LATEST, text_of(self._registry).decode("utf-8")

    def collect(self) -> Iterator[Metric]:
        """Each family of metrics, as of now."""
        sums = self._figures.sums()
        yield _requests(sums)
        yield _seconds(sums)
        yield _answers(sums)
        yield CounterMetricFamily(
            "pyconfserve_saves", "Saves of configuration.", sums.saves
        )
        yield GaugeMetricFamily(
            "pyconfserve_connections", "Connections that are open.", sums.connections
        )
        yield GaugeMetricFamily(
            "pyconfserve_watchers", "Requests that wait for a change.", sums.watchers
        )
        yield GaugeMetricFamily(
            "pyconfserve_workers", "Processes that serve.", sums.workers
        )
        if sums.age is not None:
            yield GaugeMetricFamily(
                "pyconfserve_backend_age_seconds",
                "Seconds since the backend reached its origin, the longest of all.",
                sums.age,
            )
        yield InfoMetricFamily(
            "pyconfserve_build", "What serves.", {"version": self._version}
        )


def _requests(sums: Sums) -> Metric:
    family = CounterMetricFamily(
        "pyconfserve_requests",
        "Requests that were answered; what is no HTTP is another method.",
        labels=("method", "status"),
    )
    for (method, status), count in sorted(sums.requests.items()):
        family.add_metric((method, str(status)), count)
    return family


def _seconds(sums: Sums) -> Metric:
    buckets, total = [], 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), sums.buckets, strict=True):
        total += count
        buckets.append((bound, total))
    return HistogramMetricFamily(
        "pyconfserve_request_seconds",
        "From a whole request to its answer, but for those that waited for a change.",
        buckets,
        sums.seconds,
    )


def _answers(sums: Sums) -> Metric:
    family = CounterMetricFamily(
        "pyconfserve_answers",
        "Answers that were kept, or made from what the backend has.",
        labels=("from",),
    )
    family.add_metric(("cache",), sums.kept)
    family.add_metric(("backend",), sums.made)
    return family
