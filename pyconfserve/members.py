"""The members of a composite, as settings name them: each has settings of its own.

A text stands where ROOT does; a mapping has what stands below `backend.`, and says
whether the composite needs this member and whether saves go to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .errors import SettingsError
from .roots import settings_of
from .setting_kinds import boolean, checked, label
from .settings import PREFIX, Settings
from .settings_sources import collect_below, relaxed

__all__ = ["Member", "read_members", "whole_of"]

_KEY = "backend.members"
# Beside the settings below `backend.`.
_OWN = {"required": boolean, "writable": boolean, "default-label": label}


class Member(NamedTuple):
    """One backend of several; `key` is for messages."""

    key: str
    settings: Settings
    is_required: bool = True
    is_writable: bool = False


def read_members(settings: Settings) -> tuple[Member, ...]:
    """The members of the composite that *settings* name, highest precedence first.

    Saves go to the first where none says that they go to it; the others are read-only,
    so that nothing is made for a name that was mistyped. Raises SettingsError.
    """
    if not settings.members:
        raise SettingsError("expected backends", f"{PREFIX}{_KEY}")
    members = [
        _member(one, f"{_KEY}[{index}]", settings)
        for index, one in enumerate(settings.members)
    ]
    writable = [member for member in members if member.is_writable]
    if len(writable) > 1:
        raise SettingsError(
            "saves go to one member, and another is writable, too",
            f"{PREFIX}{writable[1].key}.writable",
        )
    if not writable:
        members[0] = members[0]._replace(is_writable=True)
    return tuple(
        member
        if member.is_writable
        else member._replace(settings=replace(member.settings, read_only=True))
        for member in members
    )


def whole_of(settings: Settings) -> tuple[Settings, ...]:
    """*settings*, or those of all members of the composite that they name."""
    if settings.backend_type != "composite":
        return (settings,)
    return tuple(
        inner
        for member in read_members(settings)
        for inner in whole_of(member.settings)
    )


def _member(given: str | Mapping[str, Any], key: str, of: Settings) -> Member:
    inherited = Settings(
        label=of.label,
        refresh_interval=of.refresh_interval,
        read_only=of.read_only,
    )
    if isinstance(given, str):
        try:
            return Member(key, replace(inherited, **settings_of(given)))
        except SettingsError as error:
            raise SettingsError(error.problem, PREFIX + key) from error
    names = {relaxed(name): name for name in _OWN}
    own = {
        names[relaxed(name)]: value
        for name, value in given.items()
        if relaxed(name) in names
    }
    rest = {name: value for name, value in given.items() if relaxed(name) not in names}
    parsed: dict[str, Any] = {
        name: checked(_OWN[name], value, f"{PREFIX}{key}.{name}")
        for name, value in own.items()
    }
    try:
        fields = collect_below("backend", rest, _OWN)
    except SettingsError as error:
        moved = f"{PREFIX}{key}."
        texts = (error.problem, error.key)
        raise SettingsError(
            *(text.replace(f"{PREFIX}backend.", moved) for text in texts)
        ) from error
    if "default-label" in parsed:
        fields["label"] = parsed["default-label"]
    return Member(
        key,
        replace(inherited, **fields),
        parsed.get("required", True),
        parsed.get("writable", False),
    )
