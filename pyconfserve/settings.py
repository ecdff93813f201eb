"""Every setting, named once: a field here is its key, flag, variable and help.

The key is for files, below `pyfly.config-server.`; relaxed spellings are understood
(`basePath`, `BASE_PATH`). The variable is the environment's. An unknown key is an error
with the nearest known one: a setting is never silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field
from functools import partial
from typing import Any

from .environment import names
from .errors import InvalidRequest
from .folder import REFRESH_INTERVAL

__all__ = ["PREFIX", "Settings", "boolean", "flag_of", "help_of", "variable_of"]

PREFIX = "pyfly.config-server."
_VARIABLES = "PYCONFSERVE_"
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def _text(value: Any) -> str:
    return str(value).strip()


def boolean(value: Any) -> bool:
    """A switch's word, `yes` or `off`; raises ValueError for any other."""
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError("expected true or false")
    return text in _TRUE


def _texts(value: Any) -> tuple[str, ...]:
    """A list, or a text with commas."""
    items = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(text for item in items if (text := str(item).strip()))


def _locations(value: Any) -> tuple[str, ...]:
    """Folders, without the `file:` that Spring's settings have in front."""
    return tuple(
        text.removeprefix("file://").removeprefix("file:") for text in _texts(value)
    )


def _port(value: Any) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise ValueError("expected a port from 0 to 65535")
    return int(text)


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise ValueError("expected seconds from 0 to 86400")
    return seconds


def _label(value: Any) -> str:
    try:
        return names.label(_text(value))
    except InvalidRequest as error:
        raise ValueError(error.problem) from error


def _one_of(choices: tuple[str, ...], value: Any) -> str:
    if value not in choices:
        raise ValueError(f"expected {' or '.join(choices)}")
    return str(value)


def _options(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("expected names and values")
    return {str(name).replace("-", "_"): option for name, option in value.items()}


def _setting(
    key: str,
    default: Any,
    help: str,
    parse: Callable[[Any], Any] = _text,
    *,
    flag: str = "",
) -> Any:
    metadata = {"key": key, "help": help, "parse": parse, "flag": flag}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a server, validated; every default is safe."""

    enabled: bool = _setting(
        "enabled", False, "whether configure() and mount() do anything", boolean
    )
    root: str | None = _setting("backend.root", None, "the folder to serve")
    search_locations: tuple[str, ...] = _setting(
        "backend.search-locations",
        (),
        "folders in tiers, highest precedence first; saves go to the first",
        _locations,
        flag="--search-location",
    )
    native_search_locations: tuple[str, ...] = _setting(
        "native.search-locations",
        (),
        "the older name of backend.search-locations",
        _locations,
    )
    backend_type: str = _setting(
        "backend.type",
        "filesystem",
        "filesystem, memory, git, or module:Class for one's own",
    )
    backend_options: Mapping[str, Any] = _setting(
        "backend.options", {}, "keyword arguments for module:Class", _options
    )
    git_uri: str | None = _setting(
        "backend.git.uri", None, "the repository of backend.type git"
    )
    git_label: str = _setting("backend.git.label", "main", "its default label", _label)
    git_clone_dir: str | None = _setting(
        "backend.git.clone-dir",
        None,
        "where its clone is kept; else it is made anew at each start",
        flag="--clone-dir",
    )
    git_search_paths: tuple[str, ...] = _setting(
        "backend.git.search-paths", (), "folders in it beside its root", _texts
    )
    git_refresh_rate: float = _setting(
        "backend.git.refresh-rate",
        30.0,
        "seconds between looks at origin, 0 for /monitor alone",
        _seconds,
        flag="--refresh-rate",
    )
    git_verify_commits: bool = _setting(
        "backend.git.verify-commits",
        True,
        "stay at the last commit whose files parse",
        boolean,
    )
    git_author: str = _setting(
        "backend.git.author",
        "pyconfserve <pyconfserve@localhost>",
        "whom saves are by",
    )
    git_username: str = _setting("backend.git.username", "", "for https and ssh")
    git_password: str = _setting("backend.git.password", "", "or a token")
    git_private_key: str = _setting(
        "backend.git.private-key", "", "a key for ssh, as text or a path"
    )
    git_passphrase: str = _setting("backend.git.passphrase", "", "what opens it")
    git_known_hosts_file: str = _setting(
        "backend.git.known-hosts-file", "", "the keys of hosts that ssh may talk to"
    )
    git_skip_ssl_validation: bool = _setting(
        "backend.git.skip-ssl-validation", False, "take any certificate", boolean
    )
    git_timeout: float = _setting(
        "backend.git.timeout", 10.0, "seconds of silence before it is away", _seconds
    )
    label: str | None = _setting(
        "default-label",
        None,
        "the label of requests that name none (main)",
        _label,
        flag="--label",
    )
    base_path: str = _setting(
        "base-path", "", "what all routes stand below", flag="--base-path"
    )
    host: str = _setting("host", "127.0.0.1", "the address to listen on", flag="--host")
    port: int = _setting(
        "port", 8888, "the port to listen on, 0 for any free one", _port, flag="--port"
    )
    refresh_interval: float = _setting(
        "refresh-interval",
        REFRESH_INTERVAL,
        "seconds until an edit on disk shows, 0 to look at every request",
        _seconds,
        flag="--refresh-interval",
    )
    read_only: bool = _setting(
        "read-only", False, "refuse saves", boolean, flag="--read-only"
    )
    allow_hosts: tuple[str, ...] = _setting(
        "allow-hosts",
        (),
        "Hosts to answer for beside loopback names, * for any",
        _texts,
        flag="--allow-host",
    )
    insecure: bool = _setting(
        "insecure",
        False,
        "let anyone who reaches --host read, without users; needs --allow-host",
        boolean,
        flag="--insecure",
    )
    encrypt_key: str = _setting(
        "encrypt.key", "", "the password of {cipher} values, or an RSA key in PEM"
    )
    encrypt_salt: str = _setting(
        "encrypt.salt", "deadbeef", "the salt of that password, in hex digits"
    )
    encrypt_key_store: str | None = _setting(
        "encrypt.key-store.location", None, "a PKCS#12 file with an RSA key instead"
    )
    encrypt_key_store_password: str = _setting(
        "encrypt.key-store.password", "", "what opens it"
    )
    encrypt_key_store_alias: str = _setting(
        "encrypt.key-store.alias", "", "the key in it"
    )
    encrypt_enabled: bool = _setting(
        "encrypt.enabled", True, "open {cipher} values, else hand them on", boolean
    )
    monitor_secret: tuple[str, ...] = _setting(
        "monitor.secret", (), "what webhooks to /monitor are signed with", _texts
    )
    unsigned_monitor: bool = _setting(
        "monitor.unsigned",
        False,
        "take webhooks without a signature",
        boolean,
        flag="--unsigned-monitor",
    )
    log_format: str = _setting(
        "log-format",
        "text",
        "text or json",
        partial(_one_of, ("text", "json")),
        flag="--log-format",
    )

    @property
    def locations(self) -> tuple[str, ...]:
        """The folders to serve, highest precedence first.

        Empty when no setting names any.
        """
        root = (self.root,) if self.root else ()
        return self.search_locations or root or self.native_search_locations


def flag_of(setting: Field[Any]) -> str:
    """Its flag on the command line, "" when it has none."""
    return str(setting.metadata["flag"])


def help_of(setting: Field[Any]) -> str:
    """What it is for, in one line."""
    return str(setting.metadata["help"])


def variable_of(setting: Field[Any]) -> str:
    """Its environment variable: `PYCONFSERVE_BASE_PATH`."""
    return _VARIABLES + setting.name.upper()
