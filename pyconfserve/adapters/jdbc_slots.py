"""The order in which Spring's JDBC backend puts what it finds; no I/O."""

from __future__ import annotations

from typing import NamedTuple

from ..environment.overlay import (
    DEFAULT_PROFILE,
    SHARED_APPLICATION,
    SPRING,
    Lookup,
    plan,
)

__all__ = ["JdbcSlot", "spring_slots"]


class JdbcSlot(NamedTuple):
    """One source of an answer, and whose rows it has; `profile` None is NULL."""

    source_name: str
    application: str
    profile: str | None
    label: str


def spring_slots(
    lookup: Lookup, default_label: str, is_incomplete: bool
) -> list[JdbcSlot]:
    """The order of JdbcEnvironmentRepository: by label, then profile, then application.

    With *is_incomplete* the rows of profile `default` stand for those without one.
    """
    profiles = lookup.profiles
    if is_incomplete and not profiles[0].startswith(DEFAULT_PROFILE):
        profiles = (DEFAULT_PROFILE, *profiles)
    is_shared = not lookup.name.startswith(SHARED_APPLICATION)
    return [
        JdbcSlot(
            slot.application if slot.profile is None else slot.source_name,
            slot.application,
            slot.profile,
            label,
        )
        for label in tuple(reversed(lookup.labels)) or (default_label,)
        for slot in plan(lookup.applications, profiles, [label], SPRING)
        if (slot.profile is not None or not is_incomplete)
        and (is_shared or slot.application in lookup.applications)
    ]
