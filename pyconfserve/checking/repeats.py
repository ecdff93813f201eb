"""Keys that a file has twice and its format does not refuse, found in its text.

YAML, JSON and TOML refuse a key that is there twice in one map. What is left is a key
of `.properties`, of which Java takes the last, and one key in two spellings: `a.b`, and
`b` below `a`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..environment.formats.document import Document, Entry
from ..environment.formats.json import read_tree
from ..errors import DocumentError
from .problems import Place, Problem, place_of

__all__ = ["repeated_keys"]

_LINE = re.compile(r"\r\n|\n|\r")
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_KEY = re.compile(r"((?:[^\\=: \t\f]|\\.)*)", re.DOTALL)
_PLAIN = re.compile(r"\\([^utnrf])")  # an escape that stands for its character
_YAML_KEY = re.compile(
    r"( *)(?:([\w./@+~-]+)|\"([\w./@+~ -]+)\"|'([\w./@+~ -]+)')\s*:(?:\s|$)"
)
_DOTTED_YAML = re.compile(r"^ *[\"']?[\w-]+\.[\w.-]+[\"']?\s*:", re.MULTILINE)
_DOTTED_JSON = re.compile(r"\"[^\".\n]*\.[^\"\n]*\"\s*:")

Found = tuple[str, int, int]  # a key, and the line and column where it begins


def repeated_keys(
    path: str, suffix: str, text: str, documents: Sequence[Document]
) -> Iterator[Problem]:
    """An error for each, where it is there again."""
    yield from _FINDERS.get(suffix, _nothing)(path, text, documents)


def _nothing(path: str, text: str, documents: Sequence[Document]) -> Iterator[Problem]:
    return iter(())


def _in_properties(
    path: str, text: str, documents: Sequence[Document]
) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for key, line, column in _properties_keys(text):
        if not line:
            first = {}
        elif first.setdefault(key, line) != line:
            yield _again(Place(path, line, column), key, first[key])


def _properties_keys(text: str) -> Iterator[Found]:
    """The keys of logical lines; one at line 0 where the next document begins."""
    within = False
    for number, line in enumerate(_LINE.split(text), 1):
        content = line.lstrip(" \t\f")
        was_within, within = within, False
        if not was_within and content[:1] in ("", "#", "!"):
            if line in ("#---", "!---"):
                yield "", 0, 0
            continue
        within = bool(_CONTINUED.search(line))
        found = None if was_within else _KEY.match(content)
        if found and found[1]:
            key = _PLAIN.sub(r"\1", found[1])
            yield key, number, len(line) - len(content) + 1


def _in_yaml(path: str, text: str, documents: Sequence[Document]) -> Iterator[Problem]:
    if not _DOTTED_YAML.search(text):
        return
    known: dict[str, list[Entry]] = {}
    for document in documents:
        for key, entry in document.entries.items():
            known.setdefault(key, []).append(entry)
    first: dict[str, int] = {}
    for key, line, column in _yaml_keys(text):
        if not line:
            first = {}
        elif first.setdefault(key, line) != line and any(
            entry.line >= line for entry in known.get(key, ())
        ):
            yield _again(Place(path, line, column), key, first[key])


def _yaml_keys(text: str) -> Iterator[Found]:
    """The flat keys of maps in blocks, by how far their lines are indented."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("---"):
            above = []
            yield "", 0, 0
        item = len(line) - len(line.lstrip(" "))
        if line[item : item + 2] == "- ":  # keys in lists have an index in theirs
            above = [*(one for one in above if one[0] < item), (item, f"[{number}]")]
            continue
        found = _YAML_KEY.match(line)
        if found:
            above = [one for one in above if one[0] < item]
            name = found[2] or found[3] or found[4]
            above.append((item, name))
            yield ".".join(part for _, part in above), number, item + 1


def _in_json(path: str, text: str, documents: Sequence[Document]) -> Iterator[Problem]:
    if not _DOTTED_JSON.search(text):
        return
    try:
        tree = read_tree(text)
    except DocumentError:
        return  # said already
    seen: set[str] = set()
    for key in _json_keys("", tree):
        if key in seen:
            place = place_of(path, documents[0].entries[key])
            yield Problem(place, f"{key} is there twice, in two spellings")
        seen.add(key)


def _json_keys(above: str, tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, child in tree.items():
            start = above if name.startswith("[") or not above else f"{above}."
            yield from _json_keys(f"{start}{name}", child)
    elif isinstance(tree, list) and tree:
        for index, child in enumerate(tree):
            yield from _json_keys(f"{above}[{index}]", child)
    else:
        yield above


def _again(place: Place, key: str, line: int) -> Problem:
    return Problem(place, f"{key} is there twice: line {line} has it too")


_FINDERS: dict[str, Callable[[str, str, Sequence[Document]], Iterator[Problem]]] = {
    "properties": _in_properties,
    "yml": _in_yaml,
    "yaml": _in_yaml,
    "json": _in_json,
}
