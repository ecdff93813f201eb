"""The layers of answers, and what is wrong between two of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..environment.formats.document import Document, Entry
from ..environment.values import is_encrypted
from .problems import Place, Problem, place_of

__all__ = ["Group", "Layer", "Redundancy", "different_types", "make_layer"]

_ITEM = re.compile(r"\[\d+\]")
_NOUNS = {
    "text": "a text",
    "plain": "a text",  # of a format that has nothing else
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "map": "a map",
}
_PLAIN = {"text", "number", "boolean", "list"}  # what such a text can stand for
_DIRECTIVES = ("spring.config.", "spring.profiles.")  # they are about their document
# The name of a logger is a key, and the beginning of the keys of those below it.
_LOGGERS = ("logging.level.", "logging.group.", "logging.level", "logging.group")


class Group(NamedTuple):
    """What one layer has under a name that is merged as one: a value or a list."""

    kind: str  # a key of _NOUNS, "" where the text does not tell
    content: Any  # equal where the values are, with their types
    entry: Entry


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A document as a layer: its groups, and the names that have keys below them."""

    path: str
    document: Document
    groups: dict[str, Group]
    maps: dict[str, Entry]
    references: list[Entry]  # those whose text holds a placeholder


def make_layer(path: str, document: Document) -> Layer:
    """The layer of a document of the file at *path*."""
    is_plain = path.endswith(".properties")
    groups: dict[str, Group] = {}
    lists: dict[str, list[tuple[str, Any]]] = {}
    maps: dict[str, Entry] = {}
    for key, entry in document.entries.items():
        base, bracket, _ = key.partition("[")
        if bracket:
            content = lists.setdefault(base, [])
            content.append((key, _content(entry)))
            kind = "list" if _ITEM.match(key, len(base)) else "map"
            groups.setdefault(base, Group(kind, content, entry))
        else:
            groups[key] = Group(_kind(entry.value, is_plain), _content(entry), entry)
        while base := base.rpartition(".")[0]:
            if base in maps:
                break
            maps[base] = entry
    references = [one for one in document.entries.values() if _refers(one.value)]
    return Layer(path, document, groups, maps, references)


def _kind(value: Any, is_plain: bool) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if not value or "${" in value or is_encrypted(value):
        return ""
    return "plain" if is_plain else "text"


def _content(entry: Entry) -> tuple[type, Any]:
    return type(entry.value), entry.value


def _refers(value: Any) -> bool:
    return isinstance(value, str) and "${" in value and not is_encrypted(value)


def different_types(upper: Layer, lower: Layer) -> Iterator[Problem]:
    """A key that is one thing in *upper* and another in the layer it lies over."""
    for name in upper.groups.keys() & lower.groups.keys():
        over, under = upper.groups[name], lower.groups[name]
        yield from _difference(name, upper, lower, over[::2], under[::2])
    for name in upper.groups.keys() & lower.maps.keys():
        if name not in upper.maps and name not in lower.groups:
            over = upper.groups[name]
            yield from _difference(
                name, upper, lower, over[::2], ("map", lower.maps[name])
            )
    for name in upper.maps.keys() & lower.groups.keys():
        if name not in lower.maps and name not in upper.groups:
            under = lower.groups[name]
            yield from _difference(
                name, upper, lower, ("map", upper.maps[name]), under[::2]
            )


def _difference(
    name: str,
    upper: Layer,
    lower: Layer,
    over: tuple[str, Entry],
    under: tuple[str, Entry],
) -> Iterator[Problem]:
    kinds = {over[0], under[0]}
    if len(kinds) == 1 or "" in kinds or name.startswith((*_DIRECTIVES, *_LOGGERS)):
        return
    if "plain" in kinds and kinds & _PLAIN:
        return
    below = place_of(lower.path, under[1])
    text = f"{name} is {_NOUNS[over[0]]} here and {_NOUNS[under[0]]} in {below}"
    yield Problem(place_of(upper.path, over[1]), text)


class Redundancy:
    """Values equal to those below them, in every answer that has both."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], tuple[Layer, Entry, Place] | None] = {}

    def judge(self, stack: Sequence[Layer], own: set[int]) -> None:
        """Look at an answer's layers, highest first, for those with an id in *own*."""
        below: dict[str, tuple[Layer, Group]] = {}
        for layer in reversed(stack):
            if id(layer) in own:
                for name, group in layer.groups.items():
                    self._compare(layer, name, group, below.get(name))
            below |= {name: (layer, group) for name, group in layer.groups.items()}

    def _compare(
        self, layer: Layer, name: str, group: Group, below: tuple[Layer, Group] | None
    ) -> None:
        key = (id(layer), name)
        if self._found.get(key, key) is None:
            return
        if below is None or below[1].content != group.content:
            self._found[key] = None
        elif key not in self._found and not name.startswith(_DIRECTIVES):
            lower, under = below
            place = place_of(lower.path, under.entry)
            # Two search locations may lead to one file.
            is_itself = place == place_of(layer.path, group.entry)
            self._found[key] = None if is_itself else (layer, group.entry, place)

    def spare(self, layers: Sequence[Layer]) -> None:
        """Say nothing of names that lie between, in these layers of applications."""
        names = {name for layer in layers for name in layer.groups}
        for key in [key for key in self._found if key[1] in names]:
            self._found[key] = None

    def problems(self) -> Iterator[Problem]:
        """A warning for each."""
        for (_, name), found in self._found.items():
            if found is not None:
                layer, entry, below = found
                text = f"{name} is the same as in {below}, which it lies over"
                yield Problem(place_of(layer.path, entry), text, is_error=False)
