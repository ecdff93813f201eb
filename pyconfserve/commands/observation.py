"""What one process tells of its answers: the access log, and the page of /metrics."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from .. import __version__

if TYPE_CHECKING:
    from ..adapters.prometheus import Metrics
    from ..board import LocalBoard
    from ..http.access import Access
    from ..http.access_log import AccessLog
    from ..http.figures import Figures
    from ..http.messages import Request
    from ..http.observing import Observer
    from ..http.routes import Measures
    from ..settings import Settings

__all__ = ["Observation", "has_metrics"]


def has_metrics() -> bool:
    """Whether there is a /metrics: the library that writes it is an extra."""
    return find_spec("prometheus_client") is not None


class Observation:
    """The observers that *settings* ask for; figures go to one *row* of a *board*.

    It is made in the process that serves, as the log has a thread.
    """

    def __init__(
        self,
        settings: Settings,
        access: Access,
        board: LocalBoard | None = None,
        row: int = 0,
    ) -> None:
        self._access = access
        self._log: AccessLog | None = None
        self._metrics: Metrics | None = None
        self.figures: Figures | None = None
        if settings.access_log != "off":
            from ..http.access_log import AccessLog

            self._log = AccessLog(settings.access_log, name_of=self._name_of)
        if has_metrics():
            from ..http.figures import Figures

            self.figures = Figures(board, row)

    @property
    def observer(self) -> Observer | None:
        """What is told of each answer, None where nobody wants to know."""
        members = [member for member in (self._log, self.figures) if member is not None]
        if len(members) > 1:
            from ..http.observing import Observers

            return Observers(members)
        return members[0] if members else None

    @property
    def measures(self) -> Measures | None:
        """What gives the page of /metrics, None without its library."""
        return None if self.figures is None else self._page

    def stop(self) -> None:
        """Count no more, and write the last lines."""
        if self.figures is not None:
            self.figures.stop()
        if self._log is not None:
            self._log.close()

    def _page(self) -> tuple[str, str]:
        if self._metrics is None:
            from ..adapters.prometheus import Metrics  # takes a while, for few

            assert self.figures is not None  # measures
            self._metrics = Metrics(self.figures, __version__)
        return self._metrics.page()

    def _name_of(self, request: Request) -> str:
        sender = self._access.sender(request)
        return "" if sender is None else sender.name
