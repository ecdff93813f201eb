"""An environment as text, one function a media type.

Values are written one by one, because JSON as Spring's clients know it spells doubles
as Java does and has texts for infinities (spring.md 3); keys and texts are escaped by
the standard library's C encoder.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring as quote
from typing import Any

from .formats.document import Entry
from .overlay import Environment, PropertySource
from .values import number_text

__all__ = [
    "JSON",
    "RENDERERS",
    "V2_JSON",
    "content_version",
    "sources_json",
    "value_json",
    "version_of",
]

_Writer = Callable[[str, Entry, str], str]

JSON = "application/json"
V2_JSON = "application/vnd.spring-cloud.config-server.v2+json"


def content_version(sources: Iterable[PropertySource]) -> str:
    """32 hex digits that change when the names or the content of *sources* do."""
    return version_of(sources_json(sources))


def sources_json(sources: Iterable[PropertySource]) -> str:
    """The array of *sources* as `application/json` has it."""
    return _sources(sources, _property)


def version_of(text: str) -> str:
    """The content_version of the sources that sources_json gave *text* for."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()


def _json(environment: Environment) -> str:
    written = environment.written
    return _document(
        environment, sources_json(environment.sources) if written is None else written
    )


def _v2_json(environment: Environment) -> str:
    return _document(environment, _sources(environment.sources, _property_with_origin))


# An environment as a compact document of each media type, keys in Spring's order; V2
# gives `{"value", "origin"}` for each property.
RENDERERS: dict[str, Callable[[Environment], str]] = {JSON: _json, V2_JSON: _v2_json}


def _document(environment: Environment, sources: str) -> str:
    profiles = ",".join(quote(profile) for profile in environment.profiles)
    return (
        f'{{"name":{quote(environment.name)},"profiles":[{profiles}],"label":{_text(environment.label)},'
        f'"version":{_text(environment.version)},"state":{_text(environment.state)},'
        f'"propertySources":{sources}}}'
    )


def _sources(sources: Iterable[PropertySource], write: _Writer) -> str:
    return "[" + ",".join(_source(source, write) for source in sources) + "]"


def _source(source: PropertySource, write: _Writer) -> str:
    properties = ",".join(
        [write(key, entry, source.origin) for key, entry in source.entries.items()]
    )
    return f'{{"name":{quote(source.name)},"source":{{{properties}}}}}'


def _property(key: str, entry: Entry, origin: str) -> str:
    return f"{quote(key)}:{value_json(entry.value)}"


def _property_with_origin(key: str, entry: Entry, origin: str) -> str:
    """As Spring: what has no place in a file and no other origin stands as it is."""
    place = f"{entry.line}:{entry.column}" if entry.line else origin
    if not place:
        return _property(key, entry, origin)
    value = value_json(entry.value)
    return f'{quote(key)}:{{"value":{value},"origin":{quote(place)}}}'


def _text(text: str | None) -> str:
    return "null" if text is None else quote(text)


def value_json(value: Any) -> str:
    """A flat value as JSON, doubles as Java writes them, infinities as texts."""
    if isinstance(value, str):
        return quote(value)
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value) if math.isfinite(value) else f'"{number_text(value)}"'
    return "null" if value is None else str(value)
