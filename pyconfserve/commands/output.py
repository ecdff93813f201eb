"""Standard output, as every command writes to it."""

from __future__ import annotations

import os
import sys

from ..errors import ConfigError

__all__ = ["write"]

_PIPE_IS_CLOSED = 141  # 128 and SIGPIPE, as shells have it for `cat`


def write(text: str) -> int:
    """Write to standard output; gives the exit status, raises ConfigError."""
    if sys.stdout is None:
        raise ConfigError("standard output: it is closed")
    try:
        # UTF-8 wherever it goes; half a surrogate pair is `\ud800`, in JSON its escape.
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except OSError as error:
        # Python writes what is left again at its end, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _PIPE_IS_CLOSED
        raise ConfigError(f"standard output: {error.strerror}") from error
    return 0
