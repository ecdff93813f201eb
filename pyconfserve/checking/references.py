"""`${…}` that no answer can fill in.

A name in capitals is the client's own environment, and so are some names that every
Spring application has: the client fills them in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from re import compile as pattern

from ..environment.placeholders import closing
from .layers import Layer
from .problems import Problem, place_of

__all__ = ["References", "unresolved"]

_VARIABLE = pattern(r"[A-Z][A-Z0-9_]*")
_OF_CLIENTS = (
    "random.*",
    "java.*",
    "os.*",
    "file.separator",
    "user.home",
    "user.dir",
    "user.name",
    "spring.application.name",
    "spring.profiles.active",
    "spring.cloud.client.*",
    "spring.cloud.config.*",
    "local.server.port",
    "local.management.port",
    "vcap.*",
)
_DEEPEST = 32  # placeholders inside placeholders, as where they are filled in


def unresolved(
    text: str, known: Collection[str], ignored: Iterable[str] = (), depth: int = 0
) -> Iterator[str]:
    """The names in *text* that are not among the *known*, and have no default."""
    at = 0
    while depth <= _DEEPEST and (start := text.find("${", at)) >= 0:
        at = start + 2
        if start and text[start - 1] == "\\":
            continue
        end = closing(text, at)
        if end < 0:
            return
        inner, at = text[start + 2 : end], end + 1
        name, colon, default = inner.partition(":")
        if "${" in name:  # it is only known once what is inside is filled in
            yield from unresolved(inner, known, ignored, depth + 1)
        elif name in known or inner in known or _is_of_client(name, ignored):
            continue
        elif colon:
            yield from unresolved(default, known, ignored, depth + 1)
        else:
            yield name


def _is_of_client(name: str, ignored: Iterable[str]) -> bool:
    return bool(_VARIABLE.fullmatch(name)) or any(
        fnmatchcase(name, one) for one in (*_OF_CLIENTS, *ignored)
    )


class References:
    """The placeholders of layers, until one answer fills them in."""

    def __init__(self, ignored: Sequence[str] = ()) -> None:
        self._ignored = ignored
        self._open: dict[tuple[int, int], tuple[Layer, set[str]]] = {}

    def judge(self, layers: Iterable[Layer], known: Collection[str]) -> None:
        """Look at layers whose answers have the *known* keys, taken together."""
        for layer in layers:
            for number, entry in enumerate(layer.references):
                key = (id(layer), number)
                names = self._open[key][1] if key in self._open else None
                if names is None or names:
                    left = set(unresolved(entry.value, known, self._ignored))
                    left = left if names is None else left & names
                    self._open[key] = (layer, left)

    def problems(self) -> Iterator[Problem]:
        """An error for each name that is still open."""
        for (_, number), (layer, names) in self._open.items():
            for name in sorted(names):
                entry = layer.references[number]
                text = f"${{{name}}} has no value in any answer, and no default"
                yield Problem(place_of(layer.path, entry), text)
