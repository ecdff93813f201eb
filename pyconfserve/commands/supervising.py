"""The parent of several processes that serve: it has what they share.

They share sockets, the number of saves, what is counted, and clones of repositories
that nobody keeps.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..board import Board, SaveCount
from ..credentials import Credentials
from ..errors import SettingsError
from ..http.workers import Worker, supervise
from ..members import whole_of
from ..settings import PREFIX
from .observation import has_metrics
from .options import Options, require_git
from .reloading import read_again
from .serving import Process, announce, bound

if TYPE_CHECKING:
    from ..spring_settings import SpringSettings

__all__ = ["serve_by_workers"]

_logger = logging.getLogger("pyconfserve.serve")
_OF_PARENT = ("pyconfserve.users", "pyconfserve.tls")  # it reads what all read
_URI = re.compile(r"(spring\.cloud\.config\.server\.(?:git|composite\[\d+\])\.)uri")


def serve_by_workers(options: Options) -> None:
    """Serve by as many processes as the settings say, until SIGTERM or SIGINT.

    Raises SettingsError, ConfigError when the first of them cannot begin.
    """
    settings = options.settings
    for one in whole_of(settings):
        if one.backend_type == "memory":
            raise SettingsError(
                "backend.type memory is for one: each would have a memory of its own",
                f"{PREFIX}workers",
            )
        if one is not settings and one.backend_type == "git" and not one.git_clone_dir:
            raise SettingsError(
                "a repository in a composite needs backend.git.clone-dir for more than "
                "one: each would have a clone of its own",
                f"{PREFIX}workers",
            )
    credentials = Credentials(settings)
    sockets = bound(settings)
    with _shared_clones(options) as shared:
        parent = _Parent(options, shared, sockets, credentials)
        supervise(
            settings.workers,
            parent.work,
            announce=parent.announce,
            reload=parent.reload,
            release=parent.release,
            look=credentials.look if credentials.may_change else None,
        )


class _Parent:
    """What workers are made of: *options* as they were given, and *shared* ones."""

    def __init__(
        self,
        options: Options,
        shared: Options,
        sockets: Sequence[socket.socket],
        credentials: Credentials,
    ) -> None:
        self._options, self._shared = options, shared
        self._sockets, self._credentials = sockets, credentials
        workers = options.settings.workers
        self._saves = Board(workers, 1)
        self._figures = _figures(workers)

    def work(self, worker: Worker) -> None:
        """Serve as *worker*, in a process of its own."""
        saves = SaveCount(self._saves, worker.number)
        saves.raise_()  # who had this place may have died before telling of a save
        for name in _OF_PARENT:
            logging.getLogger(name).disabled = True
        package = logging.getLogger("pyconfserve")
        if worker.number:  # the first has said what there is to warn of
            package.setLevel(logging.ERROR)
        process = Process(
            self._shared,
            self._credentials,
            worker=worker,
            saves=saves,
            figures=self._figures,
        )
        package.setLevel(logging.INFO)
        process.serve(self._sockets)

    def announce(self) -> None:
        """Print where they serve."""
        announce(self._options, self._sockets)

    def reload(self) -> None:
        """Take what is said now for workers to come; those that are take it, too."""
        self._options = read_again(self._options, self._credentials)
        self._shared, _ = self._shared.taking(self._options.settings)

    def release(self) -> None:
        """Leave the sockets to the workers: with the last of them they are closed."""
        for sock in self._sockets:
            sock.close()


def _figures(workers: int) -> Board | None:
    if not has_metrics():
        return None
    from ..http.figures import COLUMNS

    return Board(workers, COLUMNS)


@contextmanager
def _shared_clones(options: Options) -> Iterator[Options]:
    """Options by which all workers have the same clones, removed at the end."""
    settings = options.settings
    is_git = settings.backend_type == "git" and not settings.git_clone_dir
    starts = _without_basedir(options.spring)
    if not (is_git or starts):
        yield options
        return
    require_git()  # for each the folder that it falls back to would be another
    if is_git and options.spring is None and not settings.read_only:
        _logger.warning(
            "%sbackend.git.clone-dir (--clone-dir) is not set: saves are kept until "
            "this server stops, and then nobody has them",
            PREFIX,
        )
    from ..adapters.git.scratch import Scratch

    scratch = Scratch()
    folder = f"{scratch.path}/clone"
    try:
        if is_git:
            options = options._replace(settings=replace(settings, git_clone_dir=folder))
        if options.spring is not None:
            given = {f"{start}basedir": folder for start in starts}
            values = {**options.spring.values, **given}
            options = options._replace(spring=options.spring._replace(values=values))
        yield options
    finally:
        scratch.remove()


def _without_basedir(spring: SpringSettings | None) -> list[str]:
    """What keys of a Java server's repositories begin with where none is to be kept."""
    values = spring.values if spring is not None else {}
    starts = [found[1] for key in values if (found := _URI.fullmatch(key))]
    return [start for start in starts if f"{start}basedir" not in values]
