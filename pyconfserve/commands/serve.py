"""`serve`: a folder or a repository over HTTP until it is told to stop."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import SettingsError
from ..http.access import is_loopback
from ..settings import PREFIX, Settings
from . import log
from .options import Options, check_folders, read_options
from .serving import serve_alone

__all__ = ["run"]

_logger = logging.getLogger("pyconfserve.serve")


def run(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT; raises SettingsError for how it was called."""
    options = read_options(arguments)
    settings = options.settings
    log.set_up(settings.log_format)
    _check_exposure(settings)
    _check_certificate(settings)
    check_folders(settings)
    _warn(options)
    if settings.workers > 1:
        from .supervising import serve_by_workers

        serve_by_workers(options)
    else:
        serve_alone(options)
    _logger.info("stopped")
    return 0


def _check_exposure(settings: Settings) -> None:
    """Refuse to serve beyond this machine, unless asked for in so many words.

    Without users, whoever reaches the port may read. Raises SettingsError.
    """
    if is_loopback(settings.host) or settings.users:
        return
    if not (settings.insecure and settings.allow_hosts):
        raise SettingsError(
            f"--host {settings.host} would let anyone who reaches this machine "
            "read the configuration: add --users FILE, or, if that is wanted, "
            "--insecure --allow-host NAME, the name clients use"
        )


def _check_certificate(settings: Settings) -> None:
    """Refuse what is for TLS where there is none; raises SettingsError."""
    if settings.tls_cert:
        return
    for name, value in (
        ("key", settings.tls_key),
        ("client-ca", settings.tls_client_ca),
    ):
        if value:
            raise SettingsError("is for TLS: add --tls-cert", f"{PREFIX}tls.{name}")


def _warn(options: Options) -> None:
    """Say what may surprise whoever serves so."""
    settings = options.settings
    is_local = is_loopback(settings.host)
    if not options.says_host:
        _logger.warning(
            "server.address is not set: Java would listen on every address, this "
            "listens on %s; for more add --host 0.0.0.0%s",
            settings.host,
            "" if settings.users else " --insecure --allow-host NAME",
        )
    if settings.users and not (is_local or settings.tls_cert):
        _logger.warning(
            "passwords and values cross the network in the clear: add --tls-cert and "
            "--tls-key, unless something in front of this server has TLS"
        )
    if settings.users and settings.insecure:
        _logger.warning("--insecure has no effect with users")
