"""The configuration of a service from a remote server, at the service's start.

Where that server is and what to ask it for stands in the service's own settings, under
pyfly's names or Spring's, or in the environment. What is not said is not imported; what
is said and not understood is an error.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from .environment.properties import merge
from .errors import FetchError
from .remote_settings import read_local, remote_options

__all__ = ["import_remote"]

_logger = logging.getLogger("pyconfserve.remote_import")


def import_remote(
    settings: Any, environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The flat *settings* of a service with those of its configuration server above.

    *settings* are a mapping, nested or flat, a file's path, or an object with `get`, of
    which nothing but the remote values can be given. `${name:default}` in what is read
    here is filled in from *environ*, the process's environment, and from *settings*.

    Without an import, or with `enabled: false`, these are the local values. They are
    the local ones too, with a warning, when the server gives none, unless `fail-fast`
    is set. Blocks; a running event loop does not matter.

    Raises SettingsError for what is malformed or unknown, and with `fail-fast` what
    ConfigClient raises: FetchError.
    """
    local, find = read_local(settings)
    options = remote_options(find, os.environ if environ is None else environ)
    return local if options is None else merge([_fetch(options), local])


def _fetch(options: dict[str, Any]) -> dict[str, Any]:
    """What the server gives, {} with a warning when it cannot be reached.

    With `fail_fast` that raises what ConfigClient raises.
    """
    from .client import ConfigClient  # a service without an import needs none

    client = ConfigClient(**options)
    try:
        return _apart(client.fetch)
    except FetchError as error:
        if options["fail_fast"]:
            raise
        _logger.warning("local settings only: %s", error)
        return {}


def _apart(
    call: Callable[[], Coroutine[Any, Any, dict[str, Any]]],
) -> dict[str, Any]:
    """What *call* gives, from a loop in a thread: the caller may be in one already.

    An interruption of the caller, such as Ctrl-C, is not held up: it cancels the call.
    """
    done: Future[dict[str, Any]] = Future()
    left: Future[None] = Future()

    async def follow() -> dict[str, Any]:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(call())

        def cancel(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: it is done
                loop.call_soon_threadsafe(task.cancel)

        left.add_done_callback(cancel)
        return await task

    def work() -> None:
        try:
            done.set_result(asyncio.run(follow()))
        except BaseException as error:  # of the caller to raise, if it still waits
            done.set_exception(error)

    threading.Thread(target=work, name="pyconfserve-import", daemon=True).start()
    try:
        return done.result()
    finally:
        left.set_result(None)
