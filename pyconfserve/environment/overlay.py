"""What a request asks for, in which order its answer is layered, and the answer itself.

`plan` is the only place that knows an order of precedence; `Dialect` holds all that
differs between our own ways and Spring's (design.md 5, spring.md 1 and 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from . import names
from .formats.document import Entry

__all__ = [
    "DEFAULT_LABEL",
    "DEFAULT_PROFILE",
    "OWN",
    "SHARED_APPLICATION",
    "SPRING",
    "Dialect",
    "Environment",
    "Lookup",
    "Part",
    "PropertySource",
    "Slot",
    "make_lookup",
    "plan",
]

DEFAULT_LABEL = "main"
DEFAULT_PROFILE = "default"
SHARED_APPLICATION = "application"  # its bundles lie below those of every application

Place = TypeVar("Place")


class Dialect(NamedTuple):
    """The rules in which our own ways and Spring's differ."""

    name: str
    application_first: bool  # else profile-first
    suffixes: tuple[str, ...]  # of files, highest precedence first
    follows_imports: bool  # of `spring.config.import`
    reads_every_format: bool  # else the first file found is a slot's only one
    has_profile_less_slot: bool  # else files without a profile are `default`'s
    label_folder_beside: bool  # as a location of its own, else before its location's
    default_label: str  # of a folder, when a request names none
    shows_default_label: bool  # in the answer to such a request, else null
    joins_profiles: bool  # into one text, else a list
    accepts_empty: bool  # nothing found is an answer without sources, else 404
    properties_charset: str
    escapes_properties: bool  # in an answer as a file, else raw
    is_read_only: bool


OWN = Dialect(
    name="own",
    application_first=True,
    suffixes=("yaml", "yml", "json", "toml", "properties"),
    follows_imports=False,
    reads_every_format=False,
    has_profile_less_slot=False,
    label_folder_beside=False,
    default_label=DEFAULT_LABEL,
    shows_default_label=True,
    joins_profiles=False,
    accepts_empty=False,
    properties_charset="utf-8",
    escapes_properties=True,
    is_read_only=False,
)

SPRING = Dialect(
    name="spring",
    application_first=False,
    suffixes=("properties", "yml", "yaml"),
    follows_imports=True,
    reads_every_format=True,
    has_profile_less_slot=True,
    label_folder_beside=True,
    default_label="master",
    shows_default_label=False,
    joins_profiles=True,
    accepts_empty=True,
    properties_charset="latin-1",
    escapes_properties=False,
    is_read_only=True,
)


class Lookup(NamedTuple):
    """What a request asks for, in canonical names.

    `name` and `label` repeat the text as it was asked. With `by_file` a backend of
    files gives a source for each document, with its `part`, and merges none.
    """

    applications: tuple[str, ...]
    profiles: tuple[str, ...]
    labels: tuple[str, ...]  # empty: none was asked, the backend has a default
    dialect: Dialect
    name: str
    label: str | None
    by_file: bool = False


def make_lookup(
    application: str,
    profile: str = DEFAULT_PROFILE,
    label: str | None = None,
    dialect: Dialect = OWN,
) -> Lookup:
    """The lookup for three texts, each of which may be a comma list.

    Raises InvalidRequest.
    """
    return Lookup(
        applications=names.applications(application),
        profiles=names.profiles(profile),
        labels=() if label is None else names.labels(label),
        dialect=dialect,
        name=names.as_asked(application),
        label=None if label is None else names.as_asked(label),
    )


class Slot(NamedTuple, Generic[Place]):
    """One place in the order of precedence.

    `profile` None is the place of files without a profile.
    """

    application: str
    profile: str | None
    location: Place

    @property
    def source_name(self) -> str:
        """The name of what fills this slot, such as `orders-prod`.

        Used where the dialect does not name files.
        """
        return f"{self.application}-{self.profile or DEFAULT_PROFILE}"


def plan(
    applications: Sequence[str],
    profiles: Sequence[str],
    locations: Sequence[Place],
    dialect: Dialect,
) -> list[Slot[Place]]:
    """The slots of an answer, highest precedence first.

    The last application and the last profile of a list win; `application` is below
    every application. OWN goes by application, then profile, then location (the first
    wins), and ends each application with profile `default`. SPRING goes by profile,
    then location (the last wins), then application, and ends with the slots without a
    profile (cases native-basic, native-locations).
    """
    by_rank = list(reversed(dict.fromkeys((SHARED_APPLICATION, *applications))))
    if dialect.application_first:
        own_profiles = list(reversed(dict.fromkeys((DEFAULT_PROFILE, *profiles))))
        return [
            Slot(application, profile, location)
            for application in by_rank
            for profile in own_profiles
            for location in locations
        ]
    return [
        Slot(application, profile, location)
        for profile in (*reversed(dict.fromkeys(profiles)), None)
        for location in reversed(locations)
        for application in by_rank
    ]


class Part(NamedTuple):
    """The part of a file that a source was read from, for who asks why.

    `root` is the `uri` of its tree. `document` counts from 0, None where it is the only
    one; `profile` is that of its slot, `version` the commit of a tree that has one.
    """

    root: str
    path: str
    document: int | None = None
    profile: str | None = None
    version: str | None = None


class PropertySource(NamedTuple):
    """One layer of an answer: a name and flat keys with their entries.

    An entry is a value and where it was written.
    """

    name: str
    entries: Mapping[str, Entry]
    origin: str = ""  # of entries that were not written in a file
    part: Part | None = None  # in an answer by file

    @property
    def properties(self) -> dict[str, Any]:
        """The flat properties without their origins."""
        return {key: entry.value for key, entry in self.entries.items()}


class Environment(NamedTuple):
    """The whole answer; `sources` highest precedence first.

    `written` is what rendering.sources_json gives for them, where it was asked before.
    """

    name: str
    profiles: tuple[str, ...]
    label: str | None
    version: str | None
    state: str | None
    sources: tuple[PropertySource, ...]
    written: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The document as Spring Cloud Config's clients know it, as a plain dict."""
        return {
            "name": self.name,
            "profiles": list(self.profiles),
            "label": self.label,
            "version": self.version,
            "state": self.state,
            "propertySources": [
                {"name": source.name, "source": source.properties}
                for source in self.sources
            ],
        }
