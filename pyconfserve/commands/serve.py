"""`serve`: a folder or a repository over HTTP until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..addresses import shown
from ..auto_configuration import build_server
from ..errors import SettingsError
from ..http.access import ALL_RIGHTS, READ_ONLY_RIGHTS, Access, is_loopback
from ..http.listener import Listener, new_event_loop
from ..http.routes import Routes
from ..roots import settings_of
from ..server import ConfigServer
from ..settings import Settings, flag_of, help_of, variable_of
from ..settings_sources import (
    collect,
    collect_variables,
    parse_fields,
    parse_setting,
    read_file,
)
from . import log

if TYPE_CHECKING:
    from ..http.monitor import Monitor
    from ..spring_settings import SpringSettings

__all__ = ["run"]

_logger = logging.getLogger("pyconfserve.serve")
_REPEATED = {"--search-location", "--allow-host"}
_ROOTS = {"root", "git_uri"}
_OF_GIT = ("git_clone_dir", "git_refresh_rate")  # flags that mean nothing elsewhere


def run(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; raises SettingsError for how it was called."""
    flags = _parser().parse_args(arguments)
    file = read_file(flags.settings) if flags.settings else {}
    spring = _spring(file, flags)
    settings = _settings(flags, file, spring)
    log.set_up(settings.log_format)
    _check_exposure(settings)
    for location in settings.locations if settings.backend_type == "filesystem" else ():
        if not os.path.isdir(location):
            raise SettingsError(f"{shown(location)} is not a folder")
    server = build_server(settings, spring)
    what = ", ".join(settings.locations) or flags.settings
    if settings.backend_type != "filesystem":
        what = shown(settings.git_uri or settings.backend_type)
    if spring is not None and "host" not in spring.fields and not flags.host:
        _logger.warning(
            "server.address is not set: Java would listen on every address, this "
            "listens on %s; for more add --host 0.0.0.0 --insecure --allow-host NAME",
            settings.host,
        )
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(server, settings, what, spring and spring.outer_path))
    return 0


def _spring(
    file: Mapping[str, Any], flags: argparse.Namespace
) -> SpringSettings | None:
    """The settings of a Java server, where the file has any or the flag asks."""
    if not flags.spring and not any(key.startswith("spring") for key in file):
        return None
    from ..spring_settings import read_spring

    return read_spring(file, os.environ, is_asked=flags.spring)


class _Help(argparse.HelpFormatter):
    """Help of a fixed width: asking for the terminal's costs every start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=88)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        formatter_class=_Help,
        allow_abbrev=False,
        prog="python -m pyconfserve",
        description="Serve a folder or a git repository of configuration to Spring "
        "Cloud Config's clients.",
        epilog="A setting may also stand in the --settings file or in the environment.",
    )
    parser.add_argument(
        "root",
        nargs="?",
        metavar="ROOT",
        help="the folder or the git repository to serve",
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="a YAML or .properties file of settings"
    )
    parser.add_argument(
        "--spring",
        action="store_true",
        help="speak Spring Cloud Config's dialect, read-only",
    )
    parser.add_argument(
        "--version", action="version", version=f"pyconfserve {__version__}"
    )
    for setting in fields(Settings):
        flag = flag_of(setting)
        if flag:
            help_text = f"{help_of(setting)} [{variable_of(setting)}]".replace(
                "%", "%%"
            )
            options: dict[str, Any] = {
                "dest": setting.name,
                "help": help_text,
                "default": None,
            }
            if isinstance(setting.default, bool):
                parser.add_argument(flag, action="store_true", **options)
            else:
                action = "append" if flag in _REPEATED else "store"
                parser.add_argument(flag, action=action, metavar="VALUE", **options)
    return parser


def _settings(
    flags: argparse.Namespace, file: Mapping[str, Any], spring: SpringSettings | None
) -> Settings:
    """What flags, the environment and the file say, in this order of precedence."""
    given = {
        setting.name: parse_setting(
            setting, getattr(flags, setting.name), flag_of(setting) or setting.name
        )
        for setting in fields(Settings)
        if getattr(flags, setting.name, None) is not None
    }
    java = parse_fields(spring.fields if spring else {}, flags.settings or "")
    own = collect(file, os.environ, flags.settings or "")
    if flags.root is not None:
        given |= settings_of(given.pop("root"))
        if given.get("backend_type") == "git":
            _require_git()
    found: dict[str, Any] = {}
    for layer in (java, own, collect_variables(os.environ), given):
        if _ROOTS & layer.keys():  # it replaces the locations of the layers below
            found.pop("search_locations", None)
        found |= layer
    settings = Settings(**found)
    if "root" in given and settings.backend_type != "filesystem":
        raise SettingsError(
            f"ROOT is a folder, and backend.type is {settings.backend_type}"
        )
    for setting in fields(Settings) if settings.backend_type != "git" else ():
        if setting.name in _OF_GIT and setting.name in given and spring is None:
            raise SettingsError(f"{flag_of(setting)} is for a git repository")
    is_folder = settings.backend_type == "filesystem" and spring is None
    if is_folder and not settings.locations:
        raise SettingsError("say what to serve: python -m pyconfserve ROOT")
    return settings


def _require_git() -> None:
    """Raise MissingDependency rather than serve something else than was asked for."""
    from ..adapters.git.address import require_gitpython

    require_gitpython()


def _check_exposure(settings: Settings) -> None:
    """Refuse to serve beyond this machine, unless asked for in so many words.

    Without users, whoever reaches the port may read. Raises SettingsError.
    """
    if is_loopback(settings.host):
        return
    if not (settings.insecure and settings.allow_hosts):
        raise SettingsError(
            f"--host {settings.host} would let anyone who reaches this machine "
            "read the configuration: "
            "if that is wanted, add --insecure --allow-host NAME, the name clients use"
        )


async def _serve(
    server: ConfigServer, settings: Settings, what: str, outer_path: str | None
) -> None:
    is_local = is_loopback(settings.host)
    access = Access(
        allow_hosts=settings.allow_hosts,
        rights=ALL_RIGHTS if is_local else READ_ONLY_RIGHTS,
        shows_details=is_local,
    )
    monitor = _monitor(server, settings)
    routes = Routes(
        server,
        base_path=settings.base_path,
        access=access,
        monitor=monitor,
        all_routes=True,
        outer_path=outer_path,
    )
    listener = Listener(routes)
    stopped = _on_signals()
    if not await _opened(server, stopped):
        return
    try:
        host, port = await listener.start(settings.host, settings.port)
    except OSError as error:
        number = error.errno or 0  # below 0 where the name is not known
        text = os.strerror(number) if number > 0 else error.strerror
        reason = str(text).lower()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port}: {reason}"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    print(
        f"pyconfserve {__version__} serving {what} on http://{shown}:{port}", flush=True
    )
    await stopped.wait()
    await listener.close()
    await server.close()
    _logger.info("stopped")


async def _opened(server: ConfigServer, stopped: asyncio.Event) -> bool:
    """Let the backend get ready; False when a signal came before it was.

    Raises BackendError.
    """
    opening = asyncio.ensure_future(server.open())
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopped.is_set() and not opening.done():
        opening.cancel()
        await server.close()
        return False
    stopping.cancel()
    opening.result()
    return True


def _monitor(server: ConfigServer, settings: Settings) -> Monitor | None:
    if not (settings.monitor_secret or settings.unsigned_monitor):
        return None
    from ..http.monitor import Monitor

    return Monitor(
        server, settings.monitor_secret, takes_unsigned=settings.unsigned_monitor
    )


def _on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process."""
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            os._exit(1)
        stopped.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped
