"""Why a value is what it is: the source that wins each key, and what that hides.

It is made from sources as they are stored: nothing here opens a `{cipher}` value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ConfigNotFound, InvalidRequest
from .formats.document import MOST_NODES, Entry
from .overlay import Lookup, PropertySource
from .properties import merge
from .rendering import content_version
from .values import number_text

__all__ = ["Place", "Reason", "Stated", "explain", "explanation"]


class Place(NamedTuple):
    """Where a value is written.

    `file` is relative to its root, after as much of that as tells it from other roots.
    `line` and `column` count from 1, `document` from 0. What is not known is None, and
    all but `source` and `version` for what is not written in a file. `version` is the
    commit, else a hash of what the source holds.
    """

    source: str
    file: str | None
    document: int | None
    profile: str | None
    line: int | None
    column: int | None
    version: str


class Stated(NamedTuple):
    """A key and its value as one source has them."""

    key: str
    value: Any
    place: Place


class Reason(NamedTuple):
    """The statement that counts for a key, and those that it hides, highest first."""

    winner: Stated
    hides: tuple[Stated, ...]

    def as_dict(self) -> dict[str, Any]:
        """`{"value", "from": place, "hides": [{"key", "value", "from"}]}`."""
        _, value, place = self.winner
        return {
            "value": _json_value(value),
            "from": place._asdict(),
            "hides": [
                {"key": key, "value": _json_value(hidden), "from": at._asdict()}
                for key, hidden, at in self.hides
            ],
        }


class _Layer(NamedTuple):
    """What one source has of a key without its index, and where it lies."""

    source: PropertySource
    place: Place  # of the source as a whole
    entries: dict[str, Entry]

    def stated(self, key: str) -> Stated:
        value, line, column = self.entries[key]
        at = self.place._replace(line=line or None, column=column or None)
        return Stated(key, value, at)


def explain(
    sources: Sequence[PropertySource], only: str | None = None
) -> dict[str, Reason]:
    """Why each key of the merged *sources*, highest first, has its value; in order.

    With *only*, why that key has, and nothing when it is not there. Raises
    InvalidRequest for more than MOST_NODES statements, of which each takes a line.

    A key hides the same key of each lower source. A list comes from one source, and so
    does a plain value in the place of a list: each key of it hides the list or value of
    each lower source, by the same key or else by the first one; keys that have no
    counterpart in what hides them stand at the first key of that.
    """
    if only is None and sum(len(each.entries) for each in sources) > MOST_NODES:
        raise _too_much()
    bases = _layers(sources, None if only is None else _base(only))
    keys = [only] if only is not None else merge([each.entries for each in sources])
    reasons: dict[str, Reason] = {}
    stated = 0
    for key in keys:
        layers = bases.get(_base(key), [])
        if layers and key in layers[0].entries:
            reasons[key] = reason = _reason(key, layers)
            stated += 1 + len(reason.hides)  # an item of a list hides whole lists
            if only is None and stated > MOST_NODES:
                raise _too_much()
    return reasons


def explanation(
    lookup: Lookup,
    sources: Sequence[PropertySource],
    default_label: str,
    only: str | None = None,
) -> dict[str, Any]:
    """What `explain` gives, as a document with the names that were asked for.

    `{"name", "profiles", "label", "properties": {key: reason}}`. Raises ConfigNotFound
    when *only* is not there.
    """
    reasons = explain(sources, only)
    if only is not None and not reasons:
        raise ConfigNotFound("there is no such key in this configuration")
    return {
        "name": lookup.name,
        "profiles": list(lookup.profiles),
        "label": default_label if lookup.label is None else lookup.label,
        "properties": {key: reason.as_dict() for key, reason in reasons.items()},
    }


def _too_much() -> InvalidRequest:
    return InvalidRequest("key", "there is too much for one answer: name a key")


def _base(key: str) -> str:
    """A key up to the list that it is of, if any."""
    return key.partition("[")[0]


def _layers(
    sources: Sequence[PropertySource], only: str | None
) -> dict[str, list[_Layer]]:
    """The layers of each key without its index, highest precedence first."""
    prefixes = _prefixes({one.part.root for one in sources if one.part})
    bases: dict[str, list[_Layer]] = {}
    for source in sources:
        own: dict[str, dict[str, Entry]] = {}
        for key, entry in source.entries.items():
            base = _base(key)
            if only is None or base == only:
                own.setdefault(base, {})[key] = entry
        if own:
            place = _place(source, prefixes)
            for base, entries in own.items():
                bases.setdefault(base, []).append(_Layer(source, place, entries))
    return bases


def _place(source: PropertySource, prefixes: Mapping[str, str]) -> Place:
    root, path, document, profile, version = source.part or (None,) * 5
    return Place(
        source=source.name,
        file=None if root is None else f"{prefixes[root]}{path}",
        document=document,
        profile=profile,
        line=None,
        column=None,
        version=version or content_version([source]),
    )


def _prefixes(roots: Iterable[str]) -> dict[str, str]:
    """As many folders of each root as tell it from the others; of one alone none."""
    parts = {root: root.rstrip("/").split("/") for root in roots}
    longest = max(map(len, parts.values()), default=0)
    for count in range(longest + 1):
        tails = {
            root: "/".join(part[len(part) - count :] if count else [])
            for root, part in parts.items()
        }
        if len(set(tails.values())) == len(parts):
            break
    return {root: f"{tail}/" if tail else "" for root, tail in tails.items()}


def _reason(key: str, layers: Sequence[_Layer]) -> Reason:
    top, *lower = layers
    is_first = key == next(iter(top.entries))
    hides = []
    for layer in lower:
        shown = key if key in layer.entries else next(iter(layer.entries))
        hides.append(layer.stated(shown))
        if is_first:  # the one place where keys without a counterpart are shown
            rest = (one for one in layer.entries if one not in top.entries)
            hides += [layer.stated(one) for one in rest if one != shown]
    return Reason(top.stated(key), tuple(hides))


def _json_value(value: Any) -> Any:
    """A flat value as JSON can hold it: infinities as texts, as in answers."""
    if isinstance(value, float) and not math.isfinite(value):
        return number_text(value)
    return value
