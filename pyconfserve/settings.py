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

from . import setting_kinds as kinds
from .folder import REFRESH_INTERVAL

__all__ = ["PREFIX", "Settings", "flag_of", "help_of", "variable_of"]

PREFIX = "pyfly.config-server."
_VARIABLES = "PYCONFSERVE_"


def _setting(
    key: str,
    default: Any,
    help: str,
    parse: Callable[[Any], Any] = kinds.text,
    *,
    flag: str = "",
) -> Any:
    metadata = {"key": key, "help": help, "parse": parse, "flag": flag}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


# A repr would show passwords, and costs a start as much as two modules.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """All settings of a server, validated; every default is safe."""

    enabled: bool = _setting(
        "enabled", False, "whether configure() and mount() do anything", kinds.boolean
    )
    root: str | None = _setting("backend.root", None, "the folder to serve")
    search_locations: tuple[str, ...] = _setting(
        "backend.search-locations",
        (),
        "folders in tiers, highest precedence first; saves go to the first",
        kinds.locations,
        flag="--search-location",
    )
    native_search_locations: tuple[str, ...] = _setting(
        "native.search-locations",
        (),
        "the older name of backend.search-locations",
        kinds.locations,
    )
    backend_type: str = _setting(
        "backend.type",
        "filesystem",
        "filesystem, memory, git, composite, a store such as redis, or module:Class",
    )
    backend_options: Mapping[str, Any] = _setting(
        "backend.options", {}, "keyword arguments for module:Class", kinds.options
    )
    members: tuple[Any, ...] = _setting(
        "backend.members", (), "of a composite: settings of backends", kinds.members
    )
    store_uri: str | None = _setting(
        "backend.uri", None, "the address of the store that backend.type names"
    )
    store_username: str = _setting("backend.username", "", "a user of that store")
    store_password: str = _setting("backend.password", "", "and the password")
    store_password_file: str = _setting(
        "backend.password-file", "", "or a file that holds it"
    )
    store_token: str = _setting("backend.token", "", "of Consul or Vault, instead")
    store_token_file: str = _setting(
        "backend.token-file", "", "or a file that holds it, read again when refused"
    )
    store_namespace: str = _setting("backend.namespace", "", "of Vault")
    store_endpoint: str = _setting(
        "backend.endpoint", "", "the URL of an S3 that is not Amazon's"
    )
    store_region: str = _setting("backend.region", "", "of the bucket")
    store_layout: str = _setting(
        "backend.layout",
        "",
        "of others, read-only: spring; key-value, yaml, properties or files",
    )
    store_ca_file: str = _setting(
        "backend.ca-file", "", "who signed the store's certificate, in PEM"
    )
    store_client_cert: str = _setting("backend.client-cert", "", "what TLS asks for")
    store_client_key: str = _setting("backend.client-key", "", "and its private key")
    store_poll: float = _setting(
        "backend.poll-interval",
        30.0,
        "seconds between looks without a notice",
        kinds.interval,
    )
    snapshot: str = _setting(
        "backend.snapshot",
        "",
        "a file to start from while the store is away",
        flag="--snapshot",
    )
    git_uri: str | None = _setting(
        "backend.git.uri", None, "the repository of backend.type git"
    )
    git_label: str = _setting(
        "backend.git.label", "main", "its default label", kinds.label
    )
    git_clone_dir: str | None = _setting(
        "backend.git.clone-dir",
        None,
        "where its clone is kept; else it is made anew at each start",
        flag="--clone-dir",
    )
    git_search_paths: tuple[str, ...] = _setting(
        "backend.git.search-paths", (), "folders in it beside its root", kinds.texts
    )
    git_refresh_rate: float = _setting(
        "backend.git.refresh-rate",
        30.0,
        "seconds between looks at origin, 0 for /monitor alone",
        kinds.seconds,
        flag="--refresh-rate",
    )
    git_verify_commits: bool = _setting(
        "backend.git.verify-commits",
        True,
        "stay at the last commit whose files parse",
        kinds.boolean,
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
        "backend.git.skip-ssl-validation", False, "take any certificate", kinds.boolean
    )
    git_timeout: float = _setting(
        "backend.git.timeout",
        10.0,
        "seconds of silence before it is away",
        kinds.seconds,
    )
    label: str | None = _setting(
        "default-label",
        None,
        "the label of requests that name none (main)",
        kinds.label,
        flag="--label",
    )
    base_path: str = _setting(
        "base-path", "", "what all routes stand below", flag="--base-path"
    )
    host: str = _setting("host", "127.0.0.1", "the address to listen on", flag="--host")
    port: int = _setting(
        "port",
        8888,
        "the port to listen on, 0 for any free one",
        kinds.port,
        flag="--port",
    )
    refresh_interval: float = _setting(
        "refresh-interval",
        REFRESH_INTERVAL,
        "seconds until an edit on disk shows, 0 to look at every request",
        kinds.seconds,
        flag="--refresh-interval",
    )
    read_only: bool = _setting(
        "read-only", False, "refuse saves", kinds.boolean, flag="--read-only"
    )
    allow_hosts: tuple[str, ...] = _setting(
        "allow-hosts",
        (),
        "Hosts to answer for beside loopback names, * for any",
        kinds.texts,
        flag="--allow-host",
    )
    insecure: bool = _setting(
        "insecure",
        False,
        "let anyone who reaches --host read, without users; needs --allow-host",
        kinds.boolean,
        flag="--insecure",
    )
    users: str | tuple[Any, ...] | None = _setting(
        "users",
        None,
        "a file of who may do what: python -m pyconfserve user --help",
        kinds.users,
        flag="--users",
    )
    tls_cert: str = _setting(
        "tls.cert", "", "the certificate to serve https by, in PEM", flag="--tls-cert"
    )
    tls_key: str = _setting("tls.key", "", "its private key, in PEM", flag="--tls-key")
    tls_key_password: str = _setting("tls.key-password", "", "what opens that")
    tls_client_ca: str = _setting(
        "tls.client-ca",
        "",
        "take only clients with a certificate of these authorities, in PEM",
        flag="--tls-client-ca",
    )
    workers: int = _setting(
        "workers", 1, "processes that serve", kinds.count, flag="--workers"
    )
    backend_timeout: float = _setting(
        "backend.timeout",
        30.0,
        "seconds until a store that does not answer is a 504",
        kinds.seconds,
        flag="--backend-timeout",
    )
    access_log: str = _setting(
        "access-log",
        "off",
        "a line a request: off, common or json",
        partial(kinds.one_of, ("off", "common", "json")),
        flag="--access-log",
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
        "encrypt.enabled",
        True,
        "open {cipher} values, else hand them on",
        kinds.boolean,
    )
    monitor_secret: tuple[str, ...] = _setting(
        "monitor.secret", (), "what webhooks to /monitor are signed with", kinds.texts
    )
    unsigned_monitor: bool = _setting(
        "monitor.unsigned",
        False,
        "take webhooks without a signature",
        kinds.boolean,
        flag="--unsigned-monitor",
    )
    log_format: str = _setting(
        "log-format",
        "text",
        "text or json",
        partial(kinds.one_of, ("text", "json")),
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
