"""Settings that are read again while a server runs (SIGHUP)."""

from __future__ import annotations

import logging

from ..credentials import Credentials
from ..errors import ConfigError
from . import log
from .options import Options, read_options

__all__ = ["read_again"]

_logger = logging.getLogger("pyconfserve.serve")


def read_again(
    options: Options, credentials: Credentials, *, speaks: bool = True
) -> Options:
    """*options* with what can change without a restart, as it is said now.

    So are *credentials*. What is broken changes nothing. That, and what needs a
    restart, is logged by the process that *speaks*.
    """
    try:
        new = read_options(options.arguments)
    except ConfigError as error:
        if speaks:
            _logger.error("the settings stay as they were: %s", error)
        return options
    taken, keys = options.taking(new.settings)
    if keys and speaks:
        _logger.warning("a restart is needed for %s", ", ".join(keys))
    try:
        credentials.take(taken.settings)
    except ConfigError as error:
        if speaks:
            _logger.error("users and certificates stay as they were: %s", error)
    log.set_up(taken.settings.log_format)
    return taken
