"""What a save may be called: one application, one profile and one label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend import ConfigSource
from .environment import names
from .errors import Conflict, InvalidRequest

__all__ = ["saveable"]

# Spring reads these as an answer's format.
_FORMAT_ENDINGS = (".yml", ".yaml", ".json", ".properties")


def saveable(
    application: str, profile: str, properties: Mapping[str, Any], label: str
) -> ConfigSource:
    """The bundle under canonical names.

    Raises InvalidRequest for lists and malformed names, Conflict for reserved ones.
    """
    for field, text in (
        ("application", application),
        ("profile", profile),
        ("label", label),
    ):
        if "," in text:
            raise InvalidRequest(field, "a save takes one name, not a list")
    if profile.endswith(_FORMAT_ENDINGS):
        raise InvalidRequest(
            "profile", f"a name that ends in {', '.join(_FORMAT_ENDINGS)} is not saved"
        )
    source = ConfigSource(
        names.application(application),
        names.profile(profile),
        names.label(label),
        properties,
    )
    if names.is_reserved(source.application):
        raise Conflict(f"applications named {source.application!r} are reserved")
    return source
