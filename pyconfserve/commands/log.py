"""Logs on standard error, as text for people or as JSON for machines.

One line a record. Whoever stops reading gets no more of them: what is served must not
wait for him.
"""

from __future__ import annotations

import json
import logging
import select
import time
from typing import TextIO

__all__ = ["set_up"]

_PART = 4096  # bytes that a pipe takes at once when it takes any (POSIX: PIPE_BUF)


def set_up(log_format: str) -> None:
    """Send the package's logs to standard error; *log_format* is text or json."""
    handler = _Log()
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


class _Log(logging.StreamHandler[TextIO]):
    """Standard error, as long as somebody reads it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n"
            for start in range(0, len(line), _PART // 4):  # a character has 4 bytes
                if not self._is_read():
                    return
                self.stream.write(line[start : start + _PART // 4])
                self.flush()
        except Exception:
            self.handleError(record)

    def _is_read(self) -> bool:
        try:
            return bool(select.select([], [self.stream], [], 0)[1])
        except ValueError:  # no file of the system's
            return True


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
