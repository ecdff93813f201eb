"""What a call is about, by the segments of its path alone: the names it is judged by.

Each function fills in a call for some rows of the table and raises InvalidRequest for
malformed names, ConfigNotFound for reserved ones. Nothing is looked up.
"""

from __future__ import annotations

import re
from typing import Any

from ..environment import names
from ..environment.overlay import make_lookup
from ..errors import ConfigNotFound
from ..server import ConfigServer
from .access import check_content
from .asked import json_body, parameters_of
from .table import Call

__all__ = [
    "MERGED_FILE",
    "about_bundle",
    "about_environment",
    "about_file",
    "about_merged_file",
    "properties_of",
]

MERGED_FILE = re.compile(r"(.*)-(.*)\.(yml|yaml|json|properties)")
_SUFFIX = re.compile(r"\b\.(?:yml|yaml|json|properties)\b")


def about_environment(server: ConfigServer, call: Call) -> Call:
    """`/{application}/{profile}[/{label}]`; a plain file with `?useDefaultLabel`."""
    segments = call.segments
    if len(segments) == 3 and "useDefaultLabel" in parameters_of(call.request):
        return _about_path(server, call, segments[:2], segments[2:])
    if _SUFFIX.search(segments[1]):
        raise ConfigNotFound("no such route: a profile has no suffix of a file")
    return call._replace(lookup=server.lookup(*segments))


def about_merged_file(server: ConfigServer, call: Call) -> Call:
    """`[/{label}]/{application}-{profile}.yml`."""
    found = MERGED_FILE.fullmatch(call.segments[-1])
    assert found is not None  # the route's pattern
    return call._replace(lookup=server.lookup(found[1], found[2], *call.segments[:-1]))


def about_file(server: ConfigServer, call: Call) -> Call:
    """`/{application}/{profile}/{label}/{path}`."""
    return _about_path(server, call, call.segments[:3], call.segments[3:])


def about_bundle(server: ConfigServer, call: Call) -> Call:
    """`/{application}/{profile}[/{label}]` in a save, which knows what is reserved."""
    application, profile, *label = call.segments
    asked = label[0] if label else None
    return call._replace(
        lookup=make_lookup(application, profile, asked, server.dialect)
    )


def properties_of(call: Call) -> dict[str, Any]:
    """What a save brings; blocks for a while where it is large.

    Raises Forbidden for what its sender may not save, InvalidRequest, UnsupportedMedia.
    """
    properties = json_body(call.request)
    check_content(call.sender, properties)
    return properties


def _about_path(
    server: ConfigServer, call: Call, asked: tuple[str, ...], path: tuple[str, ...]
) -> Call:
    lookup = server.lookup(*asked)
    return call._replace(lookup=lookup, path=names.path(path) or "")
