"""The names of a Java server's settings of git repositories.

They stand below `spring.cloud.config.server.git.`, or are those of a composite's member
of type git; here they are without what stands before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .addresses import WEB
from .errors import SettingsError
from .settings_sources import nearest, relaxed

__all__ = [
    "GIT_NAMES",
    "INHERITED",
    "REPOS",
    "WITHOUT_EFFECT",
    "canonical",
    "variable_names",
]

_OF_PROXY = ("host", "port", "username", "password", "non-proxy-hosts")
WITHOUT_EFFECT = ("clone-submodules", "preferred-authentications")
GIT_NAMES = (
    *("uri", "basedir", "search-paths", "default-label", "try-master-branch"),
    *("username", "password", "passphrase", "private-key", "host-key"),
    *("host-key-algorithm", "known-hosts-file", "strict-host-key-checking"),
    *("ignore-local-ssh-settings", "skip-ssl-validation", "timeout", "refresh-rate"),
    *("clone-on-start", "force-pull", "delete-untracked-branches"),
    *("continue-on-multiple-label-failure", "reverse-location-order", "order"),
    *WITHOUT_EFFECT,
    *(f"proxy.{scheme}.{name}" for scheme in WEB for name in _OF_PROXY),
)
_OF_PATTERN = (*GIT_NAMES, "pattern", "name")
# Java's repositories with patterns take these from the default one.
INHERITED = (
    *("passphrase", "private-key", "host-key", "host-key-algorithm"),
    *("known-hosts-file", "strict-host-key-checking", "ignore-local-ssh-settings"),
    *("skip-ssl-validation", "timeout", "refresh-rate", "basedir"),
    *("continue-on-multiple-label-failure", "reverse-location-order"),
)


_NAMES = {relaxed(name): name for name in _OF_PATTERN}
REPOS = re.compile(r"repos(?:\.([^.\[\]]+)|\.?\[([^\]]+)\])(?:\.(.+))?", re.IGNORECASE)


def canonical(name: str, start: str) -> str:
    """The name that we know *name* by, however its words are spelled and joined.

    `repos.team` is `repos.team.uri`. *start* stands before it in the key. Raises
    SettingsError with the nearest known key.
    """
    found = REPOS.fullmatch(name)
    if found is None:
        known, above, rest = GIT_NAMES, "", name
    else:
        known, above = _OF_PATTERN, f"repos.{found[1] or f'[{found[2]}]'}."
        rest = found[3] or "uri"
    plain = _NAMES.get(relaxed(rest), "")
    if plain not in known:
        keys = [start + above + one for one in known]
        raise SettingsError(nearest(start + name, keys), start + name)
    return above + plain


def variable_names(given: Iterable[str]) -> list[str]:
    """The names that a variable may set: any, and those of the *given* repositories."""
    repos = dict.fromkeys(found[1] for name in given if (found := REPOS.match(name)))
    named = [f"repos.{repo}.{name}" for repo in repos if repo for name in _OF_PATTERN]
    return [*GIT_NAMES, *named]
