"""What a service's own settings say about its configuration server.

They stand under pyfly's names or Spring's, in any of their spellings, or in the
environment. An unknown name of ours is an error, one of Spring's a warning: its clients
have many more than there is a use for here.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .environment import placeholders
from .environment.properties import flatten
from .environment.values import text_of
from .errors import SettingsError
from .setting_kinds import boolean, checked
from .settings_sources import nearest, read_file, relaxed

__all__ = ["Find", "read_local", "remote_options"]

_logger = logging.getLogger("pyconfserve.remote_settings")
_PYFLY, _SPRING = "pyfly.cloud.config.", "spring.cloud.config."
_PREFIX = "configserver:"  # of an import that is for a configuration server
_DEFAULT_URL = "http://localhost:8888"  # where Spring's clients look

# What there is to know, and where it may stand, highest precedence first.
_KEYS = {
    "url": ("CONFIG_CLIENT_URL", f"{_PYFLY}uri", "pyfly.config.import"),
    "spring url": ("spring.config.import", f"{_SPRING}uri"),
    "spring uri": (f"{_SPRING}uri",),
    "enabled": (f"{_PYFLY}enabled", f"{_SPRING}enabled"),
    "fail_fast": (f"{_PYFLY}fail-fast", f"{_SPRING}fail-fast"),
    "application": (
        *("CONFIG_CLIENT_APPLICATION", f"{_PYFLY}name", f"{_SPRING}name"),
        *("pyfly.app.name", "spring.application.name"),
    ),
    "profile": (
        *("CONFIG_CLIENT_PROFILE", f"{_PYFLY}profile", f"{_SPRING}profile"),
        *("pyfly.profiles.active", "spring.profiles.active"),
    ),
    "label": ("CONFIG_CLIENT_LABEL", f"{_PYFLY}label", f"{_SPRING}label"),
    "username": ("CONFIG_CLIENT_USERNAME", f"{_PYFLY}username", f"{_SPRING}username"),
    "password": ("CONFIG_CLIENT_PASSWORD", f"{_PYFLY}password", f"{_SPRING}password"),
    "snapshot": ("CONFIG_CLIENT_SNAPSHOT", f"{_PYFLY}snapshot"),
    "token": (f"{_SPRING}token",),
}
_PASSED_ON = ("application", "profile", "label", "username", "password", "snapshot")
_KNOWN = [key for row in _KEYS.values() for key in row if "." in key]

Find = Callable[[str], str]  # the text under a key, "" without it


def read_local(settings: Any) -> tuple[dict[str, Any], Find]:
    """The flat values of settings, and how to find a text in them by its key.

    An object that can only be asked has no values. Raises SettingsError.
    """
    if isinstance(settings, str | os.PathLike):
        settings = read_file(os.fspath(settings))
    if isinstance(settings, Mapping):
        local = flatten(_plain(settings))
        return local, _indexed(local)
    if callable(getattr(settings, "get", None)):
        return {}, lambda key: _joined([settings.get(key, None)])
    raise SettingsError("expected a mapping, a file's path or an object with get")


def remote_options(find: Find, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """What ConfigClient is made with, None when nothing is to be imported.

    Raises SettingsError for malformed values, and for placeholders without a value.
    """
    said = partial(_text, find, environ)
    url = said("url")
    options: dict[str, Any] = {"application": "application"}  # as Spring's clients
    if not url:
        url, options["label"] = said("spring url"), None  # None is the server's own
    if not url or not checked(boolean, said("enabled") or "true", "enabled"):
        return None
    options |= {name: text for name in _PASSED_ON if (text := said(name))}
    if token := said("token"):
        options["headers"] = {"X-Config-Token": token}
    fail_fast = checked(boolean, said("fail_fast"), "fail-fast")
    return {"url": url, **options, "fail_fast": fail_fast}


def _plain(tree: Any) -> Any:
    """A tree of dicts and lists, of whatever mappings and tuples it was made."""
    if isinstance(tree, Mapping):
        return {str(name): _plain(value) for name, value in tree.items()}
    return [_plain(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _indexed(local: Mapping[str, Any]) -> Find:
    """How to find texts by key in any spelling; raises SettingsError for unknown keys.

    These are keys below pyfly's prefix. Of Spring's clients there are many more than
    this one has a use for: there it is a warning.
    """
    found: dict[str, list[Any]] = {}
    known, idle = {relaxed(key) for key in _KNOWN}, []
    for key, value in local.items():
        base = relaxed(key.partition("[")[0])
        found[base] = [*found.get(base, ()), value] if "[" in key else [value]
        if base not in known and base.startswith(_PYFLY):
            raise SettingsError(nearest(key, _KNOWN), key)
        if base not in known and base.startswith(_SPRING):
            idle += [] if base.startswith(f"{_SPRING}server.") else [key]
    if idle:
        _logger.warning("settings without an effect here: %s", ", ".join(idle))
    return lambda key: _joined(found.get(relaxed(key), []))


def _joined(values: list[Any]) -> str:
    """One text with commas, of a value or of a list's values."""
    items = [
        item
        for value in values
        for item in (value if isinstance(value, list | tuple) else [value])
    ]
    return ",".join(filter(None, map(text_of, items)))


def _text(find: Find, environ: Mapping[str, str], name: str) -> str:
    """What is said about *name*, a row of _KEYS; raises SettingsError."""

    def known(other: str) -> str | None:
        return environ.get(other) or find(other) or None

    for key in _KEYS[name]:
        if "." not in key:
            text = environ.get(key, "").strip()
        elif text := find(key).strip():
            text = _filled(text, known, key)
        if text and key.endswith("config.import"):
            text = _imported(text, key, _text(find, environ, "spring uri"))
        if text:
            return text
    return ""


def _filled(text: str, known: Callable[[str], str | None], key: str) -> str:
    try:
        filled = placeholders.fill(text, known)
    except placeholders.PlaceholderError as error:
        raise SettingsError(str(error), key) from error
    if "${" in filled:
        raise SettingsError("a placeholder names what is not set, with no default", key)
    return filled


def _imported(text: str, key: str, uri: str) -> str:
    """The addresses in a list of imports, with commas; those of files are not ours.

    `configserver:` alone stands for *uri*. Raises SettingsError for a query.
    """
    addresses = []
    for item in re.split(r"[,;]", text):
        place = item.strip().removeprefix("optional:")
        address = place.removeprefix(_PREFIX)
        if place == _PREFIX:
            address = uri or _DEFAULT_URL
        elif place == address and not place.startswith(("http://", "https://")):
            continue
        if "?" in address:
            raise SettingsError("an address here has no query: use settings", key)
        addresses.append(address)
    return ",".join(addresses)
