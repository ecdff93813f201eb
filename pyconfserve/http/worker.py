"""One of several processes that serve: how its parent sees it, and how it sees itself.

Between parent and worker there are signals, a pipe in which a worker reports that it
accepts connections or why it cannot, and one that ends when the parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import ConfigError, SettingsError

__all__ = ["SIGNALS", "Worker", "Workplace"]

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_logger = logging.getLogger("pyconfserve.workers")
_LONGEST_REPORT = 4096  # bytes, which a pipe takes at once (POSIX: PIPE_BUF)
_ACCEPTS, _MISUSED, _FAILED = b"+", b"2", b"1"  # what begins a report


class Worker:
    """A worker as it sees itself; *number* counts from 0.

    *parent* is a descriptor that can be read, at its end, once the parent is gone.
    Signals wait until `hear_signals`.
    """

    def __init__(self, number: int, parent: int, report: int) -> None:
        self.number = number
        self.parent = parent
        self._report: int | None = report

    def hear_signals(self) -> None:
        """Let signals through: from now on there is someone to handle them."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def accepts(self) -> None:
        """Tell the parent that this worker accepts connections."""
        self._tell(_ACCEPTS)

    def fail(self, error: ConfigError) -> None:
        """Tell the parent why this worker cannot begin, or the log why it ends."""
        is_misused = isinstance(error, SettingsError | ImportError)
        kind = _MISUSED if is_misused else _FAILED
        if self._report is None:
            _logger.error("worker %d: %s", self.number, error.in_full)
        else:
            self._tell(kind + error.in_full.encode("utf-8", "replace"))

    def _tell(self, report: bytes) -> None:
        descriptor, self._report = self._report, None
        if descriptor is not None:
            with suppress(BrokenPipeError):  # the parent is gone: `parent` tells that
                os.write(descriptor, report[:_LONGEST_REPORT])
            os.close(descriptor)


class Workplace:
    """The place of the worker *number* as the parent sees it, whoever has it now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process = 0  # nobody
        self.report: int | None = None  # a pipe, until it was heard
        self.accepts = False
        self.failure: ConfigError | None = None  # what it could not begin for
        self.begun = 0.0
        self.due = 0.0  # when the next may begin

    def begin(
        self,
        run: Callable[[Worker], None],
        parent: int,
        forget: Callable[[], None],
    ) -> None:
        """Fork a worker that does *run* and nothing else, and ends with it.

        Before that it lets go, by *forget*, of what is the parent's alone. Raises
        OSError.
        """
        heard, told = os.pipe()
        os.set_blocking(heard, False)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.process = os.fork()
            if not self.process:
                os.close(heard)
                _be(Worker(self.number, parent, told), run, forget)
        except OSError:
            os.close(heard)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(told)
        self.report, self.begun = heard, time.monotonic()
        self.accepts, self.failure = False, None

    def hear(self) -> None:
        """Take in what the worker reports, if it has done so."""
        if self.report is None:
            return
        try:
            report = os.read(self.report, _LONGEST_REPORT)
        except BlockingIOError:
            return
        self.accepts = report[:1] == _ACCEPTS
        if report and not self.accepts:
            kind = SettingsError if report[:1] == _MISUSED else ConfigError
            self.failure = kind(report[1:].decode("utf-8", "replace"))
        self.close()

    def bury(self) -> str:
        """How the worker ended, "" while it lives; after that the place is free."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if not process:
            return ""
        self.hear()
        self.close()
        self.process = 0
        return _ending(status)

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal; it may be dead, but not yet buried."""
        os.kill(self.process, number)

    def close(self) -> None:
        """Hear no more reports."""
        if self.report is not None:
            os.close(self.report)
        self.report = None


def _be(
    worker: Worker, run: Callable[[Worker], None], forget: Callable[[], None]
) -> None:
    """Be *worker* until the end of this process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        forget()
        run(worker)
        status = 0
    except ConfigError as error:
        worker.fail(error)
    except BaseException:
        _logger.exception("worker %d failed", worker.number)
    finally:
        os._exit(status)


def _ending(status: int) -> str:
    """How a process ended, from what waitpid gave."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with status {code}"
    return f"was killed by {signal.Signals(-code).name}"
