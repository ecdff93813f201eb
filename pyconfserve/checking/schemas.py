"""Merged answers against a JSON Schema, and where what it refuses was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..environment.formats.document import Entry
from ..environment.nesting import nest
from ..environment.properties import Tree, merge
from ..environment.values import is_encrypted
from ..errors import InvalidRequest
from .layers import Layer
from .problems import Place, Problem, place_of

__all__ = ["Refusal", "Schema", "validated"]

_WORDS = {"boolean": ("true", "false")}


class Refusal(NamedTuple):
    """What a schema refuses: the steps to it, why, and the types it asks for there."""

    steps: tuple[str | int, ...]
    text: str
    types: tuple[str, ...] = ()


class Schema(Protocol):
    """A schema that was read: what adapters/jsonschema.py makes."""

    def refusals(self, tree: Mapping[str, Tree]) -> Iterator[Refusal]:
        """What it refuses in *tree*; raises SchemaViolation for a bad schema."""
        ...


def validated(schema: Schema, stack: Sequence[Layer], home: str) -> Iterator[Problem]:
    """An error for all that the schema refuses in an answer's layers.

    A text that is filled in later can be anything, and a text of `.properties` is what
    a client reads in it. What the whole answer lacks is said of the file *home*.
    """
    merged = merge(
        {key: (layer, entry) for key, entry in layer.document.entries.items()}
        for layer in stack
    )
    try:
        tree = nest({key: entry.value for key, (_, entry) in merged.items()})
    except InvalidRequest:
        return  # keys that make no tree: others than clients of JSON do not mind
    for refusal in schema.refusals(tree):
        key = _key(refusal.steps)
        found = merged.get(key)
        if found and _may_be(refusal, *found):
            continue
        place = _place(key, merged) or Place(home)
        yield Problem(place, f"{key or 'the answer'} {refusal.text}")


def _key(steps: Sequence[str | int]) -> str:
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return "".join(parts).removeprefix(".")


def _place(key: str, merged: Mapping[str, tuple[Layer, Entry]]) -> Place | None:
    """Where the key stands, else the first below it, else the first above it."""
    while key:
        for name, (layer, entry) in merged.items():
            if name == key or name.startswith((f"{key}.", f"{key}[")):
                return place_of(layer.path, entry)
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return None


def _may_be(refusal: Refusal, layer: Layer, entry: Entry) -> bool:
    value = entry.value
    if not isinstance(value, str):
        return False
    if "${" in value or is_encrypted(value):
        return True
    if not value:  # null is written so too
        return bool(refusal.types)
    if not layer.path.endswith(".properties"):
        return False
    return any(_reads_as(value, kind) for kind in refusal.types)


def _reads_as(text: str, kind: str) -> bool:
    try:
        if kind == "integer":
            return bool(str(int(text)))
        if kind == "number":
            return bool(str(float(text)))
    except ValueError:
        return False
    return text in _WORDS.get(kind, ())
