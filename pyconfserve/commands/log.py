"""Logs on standard error, as text for people or as JSON for machines.

One line a record.
"""

from __future__ import annotations

import json
import logging
import time

__all__ = ["set_up"]


def set_up(log_format: str) -> None:
    """Send the package's logs to standard error; *log_format* is text or json."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Json()
        if log_format == "json"
        else _Text("%(levelname)s %(name)s: %(message)s")
    )
    for name, level in (("pyconfserve", logging.INFO), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


class _Text(logging.Formatter):
    """Text in which no name or message can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        first, *more = super().format(record).splitlines()
        return "\n".join([first, *(f"  {line}" for line in more)])


class _Json(logging.Formatter):
    """`{"time", "level", "logger", "message"}`, and a traceback under `error`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        content = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["error"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)
