"""How a repository is doing: what health says of it, and what is logged, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import BackendError
from .merging import Plan

__all__ = ["NO_PLAN", "Report", "named"]

_logger = logging.getLogger("pyconfserve.git")
NO_PLAN = Plan((), {}, {}, {})


class Report:
    """What is known of the repository *uri*; `unverified` is its branch to what is
    wrong with it, served all the same. Problems are logged at *level*.
    """

    def __init__(self, uri: str, level: int = logging.WARNING) -> None:
        self.problem: BackendError | None = None
        self.unverified: Mapping[str, str] = {}
        self._uri = uri.rstrip("/")
        self._level = level
        self._plan = NO_PLAN
        self._said = ""  # of what was logged last

    def note(self, problem: BackendError | None, plan: Plan | None = None) -> None:
        """Keep how the last refresh went, and log what is new in it.

        Without *plan* none was made, and the last one holds.
        """
        self.problem = problem
        self._plan = plan or self._plan
        about = [str(problem)] if problem else []
        about += [f"{what}: {one}" for _, what, texts in self._parts() for one in texts]
        said = "; ".join(about)
        if said != self._said:
            if said:
                _logger.log(self._level, "%s: %s", self._uri, said)
            else:
                _logger.info("%s: up to date again", self._uri)
            self._said = said

    def health(self, fetched: float | None) -> dict[str, Any]:
        """What is to be shown; *fetched* is when origin was reached last."""
        found: dict[str, Any] = {"repository": self._uri}
        if fetched is not None:
            found["fetched-seconds-ago"] = max(0, round(time.time() - fetched))
        if self.problem is not None:
            found["problem"] = str(self.problem)
        return found | {name: texts for name, _, texts in self._parts() if texts}

    def _parts(self) -> Iterator[tuple[str, str, list[str]]]:
        """What is not as origin has it: its name in health, in the log, each case."""
        yield "held", "not served", named(self._plan.held)
        yield "conflicts", "not merged", named(self._plan.conflicts)
        yield "kept", "kept", named(self._plan.kept)
        yield "unverified", "served unverified", named(self.unverified)


def named(reasons: Mapping[str, str]) -> list[str]:
    """Each on one line: whoever pushes chooses the names of branches and files."""
    texts = [f"{branch}: {reason}" for branch, reason in reasons.items()]
    return ["".join(c if c.isprintable() else "?" for c in text) for text in texts]
