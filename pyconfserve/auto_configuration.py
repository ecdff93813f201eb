"""Settings to a backend to a server.

This is the one place that knows which name is which class.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .addresses import STORES
from .backend import ConfigBackend, InMemoryConfigBackend
from .credentials import Credentials
from .errors import SettingsError
from .filesystem import FilesystemConfigBackend
from .server import ConfigServer
from .settings import PREFIX, Settings
from .settings_sources import read_settings

if TYPE_CHECKING:
    from .environment.cipher import Cipher
    from .saves import Saves
    from .spring_settings import SpringSettings

__all__ = [
    "BACKENDS",
    "build_backend",
    "build_server",
    "configure",
    "make_cipher_of",
    "mount",
]

_OF_SPRING = ("filesystem", "git")  # types that a Java server's settings describe, too
_OWN_CLASS = r"\w+(?:\.\w+)*:\w+"
_logger = logging.getLogger("pyconfserve.auto_configuration")


def build_backend(settings: Any) -> ConfigBackend:
    """The backend that *settings* name.

    *settings* are Settings, a mapping, a file's path, or an object with `get`. Without
    a root and locations the backend is a temporary folder, with a warning. Raises
    SettingsError, and BackendError for a folder that cannot be made.
    """
    known = read_settings(settings)
    build = BACKENDS.get(known.backend_type)
    for name, value in (("uri", known.store_uri), ("snapshot", known.snapshot)):
        if value and build is not _store:
            kinds = ", ".join(sorted({*STORES.values()}))
            problem = f"it is for a store, backend.type one of {kinds}"
            raise SettingsError(problem, f"{PREFIX}backend.{name}")
    if build is not None:
        return build(known)
    if re.fullmatch(_OWN_CLASS, known.backend_type):
        return _own_class(known)
    names = ", ".join(sorted(BACKENDS))
    raise SettingsError(f"expected {names} or module:Class", f"{PREFIX}backend.type")


def configure(settings: Any) -> ConfigServer | None:
    """The server that *settings* describe, None unless they enable it.

    The key is `pyfly.config-server.enabled`. Raises what build_backend raises.
    """
    known = read_settings(settings)
    if not known.enabled:
        return None
    return build_server(known)


def build_server(
    settings: Settings,
    spring: SpringSettings | None = None,
    *,
    saves: Saves | None = None,
) -> ConfigServer:
    """The server that *settings* describe, whether enabled or not.

    With *spring*, those of a Java server, it speaks Spring's dialect. *saves* is the
    count that it shares with other processes. Raises SettingsError.
    """
    options: dict[str, Any] = {}
    if spring is not None:
        from .spring_backends import spring_backend, spring_options

        options = spring_options(spring)
    if spring is not None and settings.backend_type in _OF_SPRING:
        backend = spring_backend(spring, settings)
    else:
        backend = build_backend(settings)
    return ConfigServer(
        backend,
        read_only=settings.read_only or bool(settings.store_layout),  # of others
        cipher=make_cipher_of(settings),
        decrypts=settings.encrypt_enabled,
        timeout=settings.backend_timeout or None,
        saves=saves,
        **options,
    )


def make_cipher_of(settings: Settings) -> Cipher | None:
    """The cipher that `encrypt.*` ask for, None when they name no key.

    Raises SettingsError, MissingDependency without the cryptography library.
    """
    if not (settings.encrypt_key or settings.encrypt_key_store):
        return None
    from .adapters.cryptography import make_cipher

    store = settings.encrypt_key_store
    return make_cipher(
        settings.encrypt_key,
        settings.encrypt_salt,
        key_store=_read_key_store(store) if store else None,
        password=settings.encrypt_key_store_password,
        alias=settings.encrypt_key_store_alias,
    )


def _read_key_store(path: str) -> bytes:
    try:
        with open(path.removeprefix("file:"), "rb") as file:
            return file.read()
    except OSError as error:
        key = f"{PREFIX}encrypt.key-store.location"
        raise SettingsError(f"cannot be read: {error.strerror}", key) from error


def mount(app: Any, settings: Any) -> ConfigServer | None:
    """Add the routes of the configured server to an *app*; gives the server.

    *app* is Starlette's or FastAPI's; the server is None when it is not enabled. The
    routes come after those that *app* has and take whatever is below `base-path`:
    without one, add your own routes first. With `users` they know who asks, else your
    application decides who may reach them. Raises MissingDependency without Starlette,
    and what configure raises.
    """
    known = read_settings(settings)
    server = configure(known)
    if server is not None:
        from .adapters.starlette import make_starlette_config_server_routes

        routes = make_starlette_config_server_routes(
            server,
            known.base_path,
            allow_hosts=known.allow_hosts,
            authority=Credentials(known).authority(),
        )
        app.router.routes.extend(routes)
    return server


def _filesystem(settings: Settings) -> ConfigBackend:
    locations = settings.locations
    if not locations:
        import tempfile

        locations = (tempfile.mkdtemp(prefix="pyconfserve-"),)
        _logger.warning(
            "neither %sbackend.root nor search-locations is set: "
            "serving the temporary folder %s, which nobody keeps",
            PREFIX,
            locations[0],
        )
    return FilesystemConfigBackend(
        locations[0],
        locations,
        label=settings.label,
        refresh_interval=settings.refresh_interval,
    )


def _memory(settings: Settings) -> ConfigBackend:
    return InMemoryConfigBackend()


def _git(settings: Settings) -> ConfigBackend:
    if not settings.git_uri:
        raise SettingsError("backend.type git needs it", f"{PREFIX}backend.git.uri")
    if find_spec("git") is None:
        _logger.warning(
            "backend.type is git and GitPython is not installed "
            "(pip install 'pyconfserve[git]'): serving the folder instead"
        )
        return _filesystem(settings)
    if not (settings.git_clone_dir or settings.read_only):
        _logger.warning(
            "%sbackend.git.clone-dir (--clone-dir) is not set: saves are kept until "
            "this server stops, and then nobody has them",
            PREFIX,
        )
    from .adapters.git import GitConfigBackend
    from .adapters.git.origin import Access

    return GitConfigBackend(
        settings.git_uri,
        settings.label or settings.git_label,
        settings.git_clone_dir,
        search_paths=settings.git_search_paths or settings.search_locations,
        refresh_rate=settings.git_refresh_rate,
        access=Access(
            username=settings.git_username,
            password=settings.git_password,
            private_key=settings.git_private_key,
            passphrase=settings.git_passphrase,
            known_hosts_file=settings.git_known_hosts_file,
            skip_ssl_validation=settings.git_skip_ssl_validation,
            timeout=settings.git_timeout,
        ),
        author=settings.git_author,
        verify_commits=settings.git_verify_commits,
    )


def _store(settings: Settings) -> ConfigBackend:
    from .stores import store_backend

    return store_backend(settings)


def _composite(settings: Settings) -> ConfigBackend:
    from .composite import CompositeConfigBackend
    from .members import read_members

    members = read_members(settings)
    [writable] = [number for number, member in enumerate(members) if member.is_writable]
    return CompositeConfigBackend(
        [build_backend(member.settings) for member in members],
        writable=writable,
        optional=[
            number for number, member in enumerate(members) if not member.is_required
        ],
    )


def _own_class(settings: Settings) -> ConfigBackend:
    """An instance of `module:Class`, made with backend.options as keyword arguments."""
    key = f"{PREFIX}backend.type"
    module_name, _, class_name = settings.backend_type.partition(":")
    try:
        backend = getattr(import_module(module_name), class_name)(
            **settings.backend_options
        )
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a bug inside the module, not its absence
        raise SettingsError(f"there is no module {module_name}", key) from error
    except AttributeError as error:
        if error.name != class_name:
            raise
        raise SettingsError(f"{module_name} has no {class_name}", key) from error
    if not isinstance(backend, ConfigBackend):
        raise SettingsError(
            f"{class_name} lacks one of the methods fetch, save and list", key
        )
    return backend


BACKENDS: dict[str, Callable[[Settings], ConfigBackend]] = {
    "composite": _composite,
    "filesystem": _filesystem,
    "git": _git,
    "memory": _memory,
    **dict.fromkeys(STORES.values(), _store),
}
