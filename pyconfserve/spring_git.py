"""The backend that a Java server's settings of git repositories describe."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from .addresses import WEB
from .environment import names
from .environment.overlay import DEFAULT_LABEL
from .errors import InvalidRequest, SettingsError
from .setting_kinds import boolean, checked
from .spring_git_names import INHERITED, REPOS, WITHOUT_EFFECT

if TYPE_CHECKING:
    from .adapters.git.origin import Access
    from .adapters.git.patterns import Repository
    from .adapters.git.repositories import GitRepositories

__all__ = ["GitDefaults", "GitOptions", "make_git_backend"]

_logger = logging.getLogger("pyconfserve.spring_git")
_REFRESH_RATE = 30.0  # seconds where Java would fetch in each request
_TIMEOUT = 10.0  # seconds where none is set; Java's 5 end the first clone too often
_ON = "true"


class GitDefaults(NamedTuple):
    """What holds for all repositories that do not say otherwise."""

    default_label: str = ""  # of the default repository, before its own one
    label: str = DEFAULT_LABEL  # where no setting names any
    reverses_plain_files: bool = False


class GitOptions(NamedTuple):
    """What makes the backends of one repository; `keywords` hold secrets.

    Of one that *is_named*, by clients' names in its URI, there are many.
    """

    name: str
    basedir: str
    keywords: Mapping[str, Any]
    is_named: bool = False

    def __repr__(self) -> str:
        return f"GitOptions({self.name!r})"

    def folder(self, uri: str) -> str | None:
        """The clone's own one below basedir.

        Its name is a hash: no text of a client is in any path of ours.
        """
        if not self.basedir:
            return None
        from .adapters.git.named import named_folder

        name = hashlib.sha256(f"{self.name}\n{uri}".encode()).hexdigest()[:32]
        basedir = self.basedir.removeprefix("file:")
        return (named_folder if self.is_named else os.path.join)(basedir, name)


def _make(uri: str, options: GitOptions) -> Any:
    from .adapters.git.backend import GitConfigBackend
    from .adapters.git.named import NamedBackend

    make = NamedBackend if options.is_named else GitConfigBackend
    return make(uri, clone_dir=options.folder(uri), **options.keywords)


def _tidy(uri: str, options: GitOptions, most: int) -> None:
    """Keep *most* clones in basedir: each name that a client makes up may leave one."""
    from .adapters.git.named import tidy

    if folder := options.folder(uri):
        tidy(folder, most)


def make_git_backend(
    given: Mapping[str, str],
    start: str,
    defaults: GitDefaults,
    make: Callable[[str, GitOptions], Any] = _make,
) -> GitRepositories:
    """The backend for settings by their canonical names, in the order of the file.

    *start* stands before the names in errors; *make* gives the backend of one URI.
    Raises SettingsError, MissingDependency without GitPython.
    """
    from .adapters.git.repositories import GitRepositories

    plain = {name: text for name, text in given.items() if not REPOS.match(name)}
    top = _Given(plain, start)
    own = {"default-label": defaults.default_label} if defaults.default_label else {}
    default = _repository(_Given({**plain, **own}, start), defaults)
    repos = [
        _repository(_inheriting(of_repo, top, f"{start}repos.{name}."), defaults, name)
        for name, of_repo in _repos(given).items()
    ]
    return GitRepositories(default, repos, make=make, tidy=_tidy)


class _Given(NamedTuple):
    """The settings of one repository."""

    values: Mapping[str, str]
    start: str  # of their keys

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default).strip()

    def is_on(self, name: str, default: str = "false") -> bool:
        return checked(boolean, self.text(name, default), self.start + name)

    def number(self, name: str) -> int:
        text = self.text(name, "0")
        if not re.fullmatch(r"-?[0-9]{1,9}", text):
            raise self.error(name, "expected a whole number")
        return int(text)

    def items(self, name: str) -> tuple[str, ...]:
        texts = self.text(name).split(",")
        return tuple(text.strip() for text in texts if text.strip())

    def error(self, name: str, problem: str) -> SettingsError:
        return SettingsError(problem, self.start + name)


def _repos(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The settings of the repositories with patterns by their names, in order."""
    repos: dict[str, dict[str, str]] = {}
    for name, text in given.items():
        if found := REPOS.fullmatch(name):
            repos.setdefault(found[1] or found[2], {})[found[3]] = text
    return repos


def _inheriting(of_repo: Mapping[str, str], top: _Given, start: str) -> _Given:
    """What a repository says itself, and before it what all inherit.

    User and password go together: no password is sent for another's name. A timeout or
    a rate of 0 is none.
    """
    inherited = {name: top.values[name] for name in INHERITED if name in top.values}
    if "username" not in of_repo:
        both = [name for name in ("username", "password") if name in top.values]
        inherited |= {name: top.values[name] for name in both}
    own = {
        name: text
        for name, text in of_repo.items()
        if not (name in ("timeout", "refresh-rate") and text.strip() == "0")
    }
    return _Given({**inherited, **own}, start)


def _repository(given: _Given, defaults: GitDefaults, name: str = "") -> Repository:
    from .adapters.git.origin import Origin
    from .adapters.git.patterns import Repository, is_template, sample

    uri = given.text("uri")
    if not uri:
        raise given.error("uri", "expected the URI of a repository")
    _warn(given)
    label = _label(given, defaults)
    try:
        access = _access(given)
        Origin(sample(uri), access)
    except SettingsError as error:
        raise error if error.key else given.error("uri", error.problem) from error
    return Repository(
        uri=uri,
        options=GitOptions(
            name,
            given.text("basedir"),
            _options(given, access, label, defaults),
            is_template(uri),
        ),
        patterns=given.items("pattern") or ((name,) if name else ()),
        default_label=label,
        is_opened_first=given.is_on("clone-on-start"),
    )


def _warn(given: _Given) -> None:
    """Say which settings are not followed."""
    for ignored in WITHOUT_EFFECT:
        if given.text(ignored, "false").lower() not in ("false", ""):
            _logger.warning("%s has no effect here", given.start + ignored)
    if not given.is_on("force-pull", _ON):
        text = "%sforce-pull has no effect here: what is served always follows origin"
        _logger.warning(text, given.start)


def _label(given: _Given, defaults: GitDefaults) -> str:
    label = given.text("default-label") or defaults.label
    try:
        return names.label(label)
    except InvalidRequest as error:
        raise given.error("default-label", error.problem) from error


def _options(
    given: _Given, access: Access, label: str, defaults: GitDefaults
) -> dict[str, Any]:
    """The keyword arguments of GitConfigBackend.

    A rate of 0 is the default one here: no request waits for a fetch.
    """
    rate = given.number("refresh-rate")
    reverses = given.is_on("reverse-location-order")
    return {
        "label": label,
        "search_paths": _search_paths(given),
        "refresh_rate": max(0.0, float(rate or _REFRESH_RATE)),
        "access": access,
        "verify_commits": False,  # Spring serves whatever the branch is
        "deletes_branches": given.is_on("delete-untracked-branches"),
        "tries_master": given.is_on("try-master-branch", _ON),
        "skips_unknown_labels": given.is_on("continue-on-multiple-label-failure"),
        "reverses_plain_files": reverses or defaults.reverses_plain_files,
    }


def _search_paths(given: _Given) -> tuple[str, ...]:
    """Folders beside the root, which is always searched."""
    from .adapters.git.patterns import search_folder

    paths = given.items("search-paths")
    below = tuple(path for path in paths if path.strip("/") not in ("", "."))
    try:
        for path in below:
            search_folder(path)
    except SettingsError as error:
        raise given.error("search-paths", error.problem) from error
    return below


def _access(given: _Given) -> Access:
    from .adapters.git.origin import Access

    timeout = given.number("timeout")
    if timeout < 0:
        raise given.error("timeout", "expected seconds")
    hosts = [_non_proxy_hosts(given, scheme) for scheme in WEB]
    return Access(
        username=given.text("username"),
        password=given.values.get("password", ""),
        passphrase=given.values.get("passphrase", ""),
        private_key=given.text("private-key"),
        host_key=given.text("host-key"),
        host_key_algorithm=given.text("host-key-algorithm"),
        known_hosts_file=given.text("known-hosts-file"),
        strict_host_key_checking=given.is_on("strict-host-key-checking", _ON),
        ignore_local_ssh_settings=given.is_on("ignore-local-ssh-settings"),
        skip_ssl_validation=given.is_on("skip-ssl-validation"),
        proxies={scheme: url for scheme in WEB if (url := _proxy(given, scheme))},
        no_proxy=tuple(host for of_scheme in hosts for host in of_scheme),
        timeout=float(timeout or _TIMEOUT),
    )


def _proxy(given: _Given, scheme: str) -> str:
    start = f"proxy.{scheme}."
    host, port = given.text(f"{start}host"), given.number(f"{start}port")
    if not host:
        return ""
    if not 0 < port < 65536:
        raise given.error(f"{start}port", "expected a port from 1 to 65535")
    user = quote(given.text(f"{start}username"), safe="")
    password = quote(given.values.get(f"{start}password", ""), safe="")
    known = f"{user}:{password}@" if user else ""
    return f"http://{known}{host}:{port}"


def _non_proxy_hosts(given: _Given, scheme: str) -> list[str]:
    """Java's `localhost|*.internal`."""
    texts = re.split(r"[|,]", given.text(f"proxy.{scheme}.non-proxy-hosts"))
    return [text.strip() for text in texts if text.strip()]
