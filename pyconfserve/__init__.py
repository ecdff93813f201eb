"""A configuration server: versioned bundles by application, profile and label.

A bundle is a set of properties. All names are lazy (PEP 562): importing the package
loads none of its modules.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapters.git import GitConfigBackend as GitConfigBackend
    from .auto_configuration import build_backend as build_backend
    from .auto_configuration import configure as configure
    from .auto_configuration import mount as mount
    from .backend import ConfigBackend as ConfigBackend
    from .backend import ConfigSource as ConfigSource
    from .backend import InMemoryConfigBackend as InMemoryConfigBackend
    from .client import ConfigClient as ConfigClient
    from .client import Configuration as Configuration
    from .client import load as load
    from .errors import ConfigError as ConfigError
    from .filesystem import FilesystemConfigBackend as FilesystemConfigBackend
    from .server import ConfigServer as ConfigServer
    from .settings import Settings as Settings

__version__ = "0.1.0"

_PLACES = {
    "ConfigBackend": "backend",
    "ConfigClient": "client",
    "ConfigError": "errors",
    "ConfigServer": "server",
    "ConfigSource": "backend",
    "Configuration": "client",
    "FilesystemConfigBackend": "filesystem",
    "GitConfigBackend": "adapters.git",
    "InMemoryConfigBackend": "backend",
    "Settings": "settings",
    "build_backend": "auto_configuration",
    "configure": "auto_configuration",
    "load": "client",
    "mount": "auto_configuration",
}

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
