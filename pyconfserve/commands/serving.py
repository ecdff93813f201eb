"""One process that serves, from its sockets to its drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import __version__
from ..auto_configuration import build_server
from ..backend import HealthBackend
from ..credentials import Credentials
from ..errors import SettingsError
from ..http.access import Access, is_loopback
from ..http.listener import Listener, new_event_loop
from ..http.rights import ALL_RIGHTS, READ_ONLY_RIGHTS
from ..http.routes import Routes
from ..http.sockets import bind
from .observation import Observation
from .options import Options

if TYPE_CHECKING:
    from ..board import LocalBoard, SaveCount
    from ..http.figures import Gauges
    from ..http.monitor import Monitor
    from ..http.worker import Worker
    from ..settings import Settings

__all__ = ["Process", "announce", "bound", "serve_alone"]

_logger = logging.getLogger("pyconfserve.serve")
_LAST_WORDS = 5.0  # seconds for what still runs when all is answered


def serve_alone(options: Options) -> None:
    """Serve by this process until SIGTERM or SIGINT; a second one ends it at once.

    Raises SettingsError, BackendError.
    """
    credentials = Credentials(options.settings)
    sockets = bound(options.settings)
    Process(options, credentials).serve(sockets)


def bound(settings: Settings) -> list[socket.socket]:
    """Sockets at the address of *settings*, not yet listening; raises SettingsError."""
    with _listening(settings):
        return bind(settings.host, settings.port)


@contextmanager
def _listening(settings: Settings) -> Iterator[None]:
    """Turn the system's errors into ours, naming the address."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0  # below 0 where the name is not known
        text = os.strerror(number) if number > 0 else error.strerror
        reason = str(text).lower()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {reason}"
        ) from error


def announce(options: Options, sockets: Sequence[socket.socket]) -> None:
    """Print what is served where, once connections are accepted.

    Whoever does not read it wants to be served all the same.
    """
    try:
        print(_first_line(options, sockets), flush=True)
    except OSError as error:
        _logger.warning("standard output: %s", str(error.strerror).lower())
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else its last flush fails, too


def _first_line(options: Options, sockets: Sequence[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    scheme = "https" if options.settings.tls_cert else "http"
    return (
        f"pyconfserve {__version__} serving {options.what} on {scheme}://{shown}:{port}"
    )


class Process:
    """All that one process serves with.

    A *worker* has a parent, which prints and is signalled. *saves* and *figures* are
    counted by all of them.
    """

    def __init__(
        self,
        options: Options,
        credentials: Credentials,
        *,
        worker: Worker | None = None,
        saves: SaveCount | None = None,
        figures: LocalBoard | None = None,
    ) -> None:
        settings = options.settings
        number = 0 if worker is None else worker.number
        self._options, self._worker = options, worker
        self._credentials = credentials
        self._server = build_server(settings, options.spring, saves=saves)
        access = self._access()
        self._observation = Observation(settings, access, figures, number)
        self._routes = Routes(
            self._server,
            base_path=settings.base_path,
            access=access,
            monitor=self._monitor(),
            measures=self._observation.measures,
            counter=self._observation.figures,
            all_routes=True,
            outer_path=options.outer_path,
        )
        self._listener = Listener(
            self._routes,
            tls=credentials.certificates,
            observer=self._observation.observer,
        )
        self._stopped = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._last_words = threading.Timer(_LAST_WORDS, self._leave)
        self._last_words.daemon = True

    def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on *sockets*, which are closed at the end; raises BackendError."""
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve(sockets))
        finally:
            self._last_words.cancel()

    async def _serve(self, sockets: Sequence[socket.socket]) -> None:
        self._hear_signals()
        try:
            if await self._opened():
                with _listening(self._options.settings):
                    await self._listener.start_on(sockets)
                self._announce(sockets)
                await self._until_stopped()
                await self._listener.close()
        finally:
            self._last_words.start()
            self._observation.stop()
            await self._server.close()

    def _leave(self) -> None:
        """End without what does not end: a call of a backend that blocks a thread."""
        _logger.warning("work that did not end is left undone")
        os._exit(0 if self._stopped.is_set() else 1)

    def _announce(self, sockets: Sequence[socket.socket]) -> None:
        if self._worker is None:
            announce(self._options, sockets)
        else:
            self._worker.accepts()

    async def _until_stopped(self) -> None:
        figures = self._observation.figures
        if figures is not None:
            self._server.after_save.add(figures.saved)
            figures.start(self._gauges())
        reloading = asyncio.ensure_future(self._reload_when_asked())
        await self._stopped.wait()
        reloading.cancel()

    def _gauges(self) -> Gauges:
        from ..http.figures import Gauges

        backend = self._server.backend
        connections = self._listener.connections
        report = backend.health if isinstance(backend, HealthBackend) else dict
        return Gauges(
            connections=lambda: len(connections),
            watchers=lambda: self._routes.watchers,
            report=report,
        )

    def _access(self) -> Access:
        settings = self._options.settings
        authority = self._credentials.authority()
        if authority is not None:
            return Access(authority=authority)
        is_local = is_loopback(settings.host)
        return Access(
            allow_hosts=settings.allow_hosts,
            rights=ALL_RIGHTS if is_local else READ_ONLY_RIGHTS,
            shows_details=is_local,
        )

    def _monitor(self) -> Monitor | None:
        """/monitor, where there is anyone who may deliver to it."""
        settings = self._options.settings
        has_senders = self._credentials.users is not None
        if not (settings.monitor_secret or settings.unsigned_monitor or has_senders):
            return None
        from ..http.monitor import Monitor

        return Monitor(
            self._server,
            settings.monitor_secret,
            takes_unsigned=settings.unsigned_monitor,
        )

    async def _opened(self) -> bool:
        """Let the backend get ready; False when a signal came before it was.

        Raises BackendError.
        """
        opening = asyncio.ensure_future(self._server.open())
        stopping = asyncio.ensure_future(self._stopped.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopped.is_set() and not opening.done():
            opening.cancel()
            return False
        stopping.cancel()
        opening.result()
        return True

    async def _reload_when_asked(self) -> None:
        while await self._hung_up.wait():
            self._hung_up.clear()
            try:
                await asyncio.to_thread(self._reload)
            except Exception:  # else no later signal would be heard
                _logger.exception("a reload failed in an unforeseen way")

    def _reload(self) -> None:
        from .reloading import read_again  # few are ever told to

        is_alone = self._worker is None  # else the parent says what it read
        self._options = read_again(self._options, self._credentials, speaks=is_alone)
        self._listener.tls = self._credentials.certificates

    def _hear_signals(self) -> None:
        """Let signals end or reload this process, and its parent's end end it."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        if self._worker is None:
            loop.add_signal_handler(signal.SIGINT, self._stop)
            return
        # A terminal sends it to all, and the parent knows what it means.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_reader(self._worker.parent, self._stop)
        self._worker.hear_signals()

    def _stop(self) -> None:
        """End in order; a second signal, or a parent's patience, ends it at once."""
        if self._worker is not None:
            asyncio.get_running_loop().remove_reader(self._worker.parent)
        elif self._stopped.is_set():
            os._exit(1)
        self._stopped.set()
