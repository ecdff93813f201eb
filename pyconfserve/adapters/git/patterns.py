"""Which repository a lookup is for: patterns and placeholders, as Spring has them.

Nothing here does I/O. A client's names fill a URI in its path only, and never lead out
of the folder or host that the settings name (CVE-2026-22739).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import quote

from ...addresses import is_web
from ...environment.overlay import DEFAULT_LABEL, DEFAULT_PROFILE, Lookup
from ...errors import SettingsError

__all__ = [
    "Repository",
    "check_uri",
    "host_of",
    "in_folders",
    "is_template",
    "matches",
    "sample",
    "search_folder",
    "uris",
]

_PLACEHOLDER = re.compile(r"\{(application|profile|label)\}")
_PROFILE = "{profile}"
_WILD = re.compile(r"\{\w+\}|[*?]")  # what a pattern of folders may stand for
# Less than names may hold: a label may hold quotes, and no repository is named so.
_FILLING = re.compile(r"[\w.+@~/ -]+")


class Repository(NamedTuple):
    """A repository of the settings; *uri* may hold placeholders.

    *patterns* are for `application/profile`. What *options* are is the business of
    whoever makes backends of them.
    """

    uri: str
    options: Any = None
    patterns: tuple[str, ...] = ()
    default_label: str = DEFAULT_LABEL
    is_opened_first: bool = False  # at the start of the server, `clone-on-start`


def is_template(uri: str) -> bool:
    """Whether a URI has placeholders to be filled in."""
    return "{" in uri


def check_uri(uri: str) -> None:
    """Refuse placeholders outside of the path, or of another name.

    Raises SettingsError.
    """
    _check_placeholders(uri)
    if is_template(uri) and uri.index("{") < _path_start(uri):
        problem = "a placeholder may stand in the path only, not in host, port or user"
        raise SettingsError(problem)


def _check_placeholders(text: str) -> None:
    rest = _PLACEHOLDER.sub("", text)
    if "{" in rest or "}" in rest:
        problem = "expected {application}, {profile} or {label} as placeholders"
        raise SettingsError(problem)


def host_of(uri: str) -> str:
    """What has to answer for *uri*: its host with the port, or the local disk."""
    place = uri[: _path_start(uri)].lower().rpartition("://")[2]
    return place.rpartition("@")[2].rstrip("/:")


def search_folder(path: str) -> str:
    """A search path as the pattern of folders that it is, ending in a slash.

    It may hold placeholders and wildcards. Raises SettingsError for one that no folder
    of a repository can match.
    """
    if not path.isprintable():
        raise SettingsError("expected a search path without control characters")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise SettingsError("expected a search path that is a folder below the root")
    _check_placeholders(path)
    return "/".join(parts) + "/"


def sample(uri: str) -> str:
    """A URI as a client's names may fill it, to be vetted; raises SettingsError."""
    check_uri(uri)
    return _PLACEHOLDER.sub("x", uri)


def _path_start(uri: str) -> int:
    """Where the path begins that names may fill: behind `https://host/`, `git@host:`,
    `file:/` or a first folder.
    """
    scheme, separator, rest = uri.partition("://")
    if separator:
        host, slash, _ = rest.partition("/")
        return len(scheme) + len(host) + 4 if slash else len(uri)
    head, slash, _ = uri.partition("/")
    host = head[: head.rfind(":") + 1]
    if host and host != head:  # `git@host:team/…`
        return len(host)
    return len(head) + 1 if slash else len(head)


def matches(repository: Repository, lookup: Lookup) -> bool:
    """Whether *repository* has a pattern for *lookup*, lists taken by their text.

    One of the profiles has to match by itself, and, where the URI has no placeholder,
    the whole list too: `*/dev` is for `dev` and `dev,eu`, not for `eu,dev` (cases
    git-patterns; the two checks are those of Java's classes).
    """
    one = any(_matches(repository, lookup, profile) for profile in lookup.profiles)
    if not one or is_template(repository.uri):
        return one
    return _matches(repository, lookup, ",".join(lookup.profiles))


def _matches(repository: Repository, lookup: Lookup, profiles: str) -> bool:
    return any(
        _is_like(pattern, f"{lookup.name}/{profiles}")
        for written in repository.patterns
        for pattern in _spellings(written)
    )


def _spellings(pattern: str) -> tuple[str, ...]:
    """All that a pattern stands for: `app` is `app/*`, `app/dev` is `app/dev,*` too."""
    any_profile = () if "/" in pattern else (f"{pattern}/*",)
    more_profiles = () if pattern.endswith("*") else (f"{pattern},*",)
    return (*any_profile, pattern, *more_profiles)


def _is_like(pattern: str, text: str) -> bool:
    literal = pattern.replace("[", "[[]").replace("?", "[?]")  # only `*` is special
    return fnmatchcase(text, literal)


def uris(repository: Repository, lookup: Lookup) -> list[str | None]:
    """The URIs to try for *lookup*, in order: one for each profile, the last first.

    None stands for one that no repository can have.
    """
    if not repository.patterns:  # Java's default repository takes the whole list
        profiles = [_single(lookup.profiles)]
    elif _PROFILE in repository.uri:
        profiles = [*reversed(dict.fromkeys(lookup.profiles))]
    else:
        profiles = [DEFAULT_PROFILE]
    label = _single(lookup.labels) if lookup.labels else repository.default_label
    names = {"application": _single(lookup.applications), "label": label}
    return [_filled(repository.uri, names | {"profile": one}) for one in profiles]


def _single(names: tuple[str, ...]) -> str | None:
    """The one name; a list of them is no folder's name."""
    return names[0] if len(names) == 1 else None


def _filled(uri: str, names: Mapping[str, str | None]) -> str | None:
    """*uri* with *names* filled in, None where they lead to no repository of it."""
    start = _path_start(uri)
    filled, end = "", 0
    for found in _PLACEHOLDER.finditer(uri):
        at, name = found.start(), names[found[1]]
        if name is None or not _fits(uri, name, at, start):
            return None
        filled += uri[end:at] + (quote(name, "/~+@") if is_web(uri) else name)
        end = found.end()
    return filled + uri[end:]


def _fits(uri: str, name: str, at: int, start: int) -> bool:
    """Whether *name* may stand at the index *at* of a URI whose path begins at *start*.

    A slash would turn the text before it into another folder's name (`team-{label}`);
    `~name` at the beginning of a path is somebody's home to ssh.
    """
    begins_folder = at == start or uri[at - 1] == "/"
    is_inside = begins_folder or "/" not in name
    leads_home = at == start and name.startswith("~") and not is_web(uri)
    return is_inside and not leads_home and bool(_FILLING.fullmatch(name))


def in_folders(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path lies in a folder that one of *patterns* stands for."""
    parts = [
        "[^/]*".join(re.escape(part) for part in _WILD.split(pattern))
        for pattern in patterns
    ]
    served = re.compile(f"(?:{'|'.join(parts)})[^/]+")
    return lambda path: served.fullmatch(path) is not None
