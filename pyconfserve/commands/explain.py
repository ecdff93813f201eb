"""`explain`: for each key where its value comes from, and what it hides."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ..answers import NOTHING_STORED
from ..environment.explaining import explanation
from ..environment.overlay import DEFAULT_PROFILE
from ..environment.values import text_of
from ..errors import ConfigNotFound, FetchError
from .get import absence
from .output import write
from .stores import add_flags, add_server_flags, ask_server, is_url, opened, shown

__all__ = ["run"]

_MASK = "***"
_VERSION = 12  # characters of a version that people tell apart


def run(arguments: Sequence[str]) -> int:
    """Print why each key, or one, has its value, as it is stored: nothing is decrypted.

    Raises SettingsError for how it was called, ConfigNotFound when there is no such
    key or nothing at all, FetchError, DocumentError, BackendError.
    """
    flags = _parser().parse_intermixed_args(arguments)
    found = _asked(flags) if is_url(flags.root) else asyncio.run(_read(flags))
    properties = found["properties"]
    if flags.key is not None:
        if flags.key not in properties:
            raise ConfigNotFound(shown(_missing(flags.key, properties)))
        found = {**found, "properties": {flags.key: properties[flags.key]}}
    if flags.hide_values:
        found = {**found, "properties": _masked(found["properties"])}
    if flags.format == "json":
        return write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    lines = (line for item in found["properties"].items() for line in _lines(*item))
    return write("".join(f"{line}\n" for line in lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve explain",
        description="Print for each key of a configuration where its value comes from, "
        "and what it hides. Values are shown as stored, never decrypted.",
        epilog="ROOT is as for serve; http:// and https:// are servers, and "
        "git+https:// a repository. Credentials for a server: CONFIG_CLIENT_USERNAME "
        "and CONFIG_CLIENT_PASSWORD.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("root", metavar="ROOT|URL")
    add("application", metavar="APPLICATION")
    add("profile", nargs="?", metavar="PROFILE", default="default")
    add("label", nargs="?", metavar="LABEL")
    add("--key", metavar="KEY", help="explain this key alone")
    add("--format", choices=("text", "json"), default="text")
    add("--hide-values", action="store_true", help=f"show {_MASK} in place of values")
    add_flags(parser)
    add_server_flags(parser)
    return parser


def _missing(key: str, known: Iterable[str]) -> str:
    """That there is no *key*, with those below it or else the nearest of *known*."""
    said = absence(key, known)
    if said != f"there is no {key}":
        return said
    from difflib import get_close_matches  # for mistakes only

    near = get_close_matches(key, list(known), n=1)
    return f"{said}, the nearest is {near[0]!r}" if near else said


async def _read(flags: argparse.Namespace) -> dict[str, Any]:
    """What /_explain would answer for the store at ROOT."""
    async with opened(flags) as server:
        lookup = server.lookup(flags.application, flags.profile, flags.label)
        found = await server.stored(lookup)
        if not found.sources and not server.accepts_empty():
            raise ConfigNotFound(NOTHING_STORED)
        try:
            return explanation(lookup, found.sources, found.label, flags.key)
        except ConfigNotFound:  # then the nearest of all others is named
            return explanation(lookup, found.sources, found.label)


def _asked(flags: argparse.Namespace) -> dict[str, Any]:
    """What the server at ROOT answers, of one key if that is there, else of all."""
    if flags.key is not None:
        try:
            return _answer(flags, urlencode({"key": flags.key}))
        except FetchError as error:
            if error.status != 404:
                raise
    return _answer(flags, "")


def _answer(flags: argparse.Namespace, query: str) -> dict[str, Any]:
    label = [] if flags.label is None else [flags.label]
    path = ["_explain", flags.application, flags.profile, *label]
    found = ask_server(flags, path, query)
    if not _is_explanation(found):
        raise FetchError(flags.root, "what it answered is no explanation", 200)
    explained: dict[str, Any] = found
    return explained


def _is_explanation(found: Any) -> bool:
    """Whether *found* has the shape of a document of /_explain."""
    if not isinstance(found, dict) or not isinstance(found.get("properties"), dict):
        return False
    try:
        stated = [
            one
            for reason in found["properties"].values()
            for one in ({"key": "", **reason}, *reason["hides"])
        ]
        return all(
            {"key", "value", "from"} <= one.keys()
            and {"source", "file", "document", "profile", "line", "column", "version"}
            <= one["from"].keys()
            for one in stated
        )
    except (AttributeError, KeyError, TypeError):
        return False


def _masked(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {
            **reason,
            "value": _MASK,
            "hides": [{**one, "value": _MASK} for one in reason["hides"]],
        }
        for key, reason in properties.items()
    }


def _lines(key: str, reason: Mapping[str, Any]) -> Iterator[str]:
    """A key with its value, and below it where that is from and what it hides."""
    place = reason["from"]
    notes = [*_notes(place), f"version {shown(place['version'])[:_VERSION]}"]
    yield f"{_text(key)} = {_text(reason['value'])}"
    yield f"  from {_where(place)} ({', '.join(notes)})"
    for one in reason["hides"]:
        notes = _notes(one["from"])
        about = f" ({', '.join(notes)})" if notes else ""
        other = "" if one["key"] == key else f" {_text(one['key'])}"
        yield f"  hides {_where(one['from'])}{about}{other} = {_text(one['value'])}"


def _notes(place: Mapping[str, Any]) -> list[str]:
    """What the name of its file does not say, or not to everyone, about a place."""
    document, profile = place["document"], place["profile"]
    is_plain = profile in (None, DEFAULT_PROFILE)
    notes = [] if is_plain else [f"profile {shown(profile)}"]
    return notes if document is None else [*notes, f"document #{shown(document)}"]


def _where(place: Mapping[str, Any]) -> str:
    """`orders-prod.yml:3:5`; what is in no file goes by its source's name."""
    if place["file"] is None:
        return shown(place["source"])
    steps = (place["file"], place["line"], place["column"])
    return ":".join(shown(step) for step in steps if step is not None)


def _text(value: Any) -> str:
    return shown(text_of(value))
