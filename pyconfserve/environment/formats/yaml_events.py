"""Any YAML 1.1 as SnakeYAML and Spring read it, in one pass over PyYAML's events.

Events, because a tree built before it is judged is the attack: depth, aliases, nodes
and documents are counted while they arrive, no Python object is ever constructed from a
tag, and every value keeps its line and column. PyYAML (the C parser where it has one)
does the syntax; yaml_scalars.py says what a scalar means.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import yaml

from ...errors import DocumentError
from ..properties import Tree, flatten
from .document import (
    DEEPEST,
    MOST_ALIASES,
    MOST_DOCUMENTS,
    MOST_NODES,
    Document,
    Entry,
    make_document,
)
from .yaml_keys import key_of
from .yaml_scalars import CONVERTERS, resolve

__all__ = ["parse", "read_tree", "write"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_entry = partial(tuple.__new__, Entry)  # what Entry(*fields) gives, in half the time
_OPEN = object()  # an anchored collection before its end

# What YAML 1.1 takes as line ends and no editor shows so, and inner byte order marks.
_REFUSED = re.compile("[\ufeff\x85\u2028\u2029]")
# PyYAML quotes content in some of its messages, which ours never do; and its signs.
_QUOTED = re.compile(r" ?(?:'([^']*)'|\"[^\"]*\")")
_SIGN = re.compile(r"[,\]}:]|<[a-z ]+>")


def parse(text: str) -> tuple[Document, ...]:
    """The documents of a YAML text; those without content are left out.

    A list or a scalar at the top stands under the key `document`, as in Spring. Raises
    DocumentError with line and column for what is no YAML, for duplicate keys, foreign
    tags, circular aliases and the limits.
    """
    hidden = _REFUSED.search(text)
    if hidden:
        line = text.count("\n", 0, hidden.start()) + 1
        column = hidden.start() - text.rfind("\n", 0, hidden.start())
        raise DocumentError("an invisible line end or byte order mark", line, column)
    try:
        trees = _Composer(_LOADER(text)).documents()
        return tuple(make_document(flatten(tree)) for tree in trees)
    except DocumentError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = _QUOTED.sub(_sign, error.problem or "not YAML")
        raise DocumentError(
            problem, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0
        ) from error
    except Exception as error:  # KeyError, RecursionError … all escape from PyYAML
        raise DocumentError("not YAML, or above a limit") from error


def _sign(quoted: re.Match[str]) -> str:
    """What is left of a quoted text in a message."""
    return quoted[0] if _SIGN.fullmatch(quoted[1] or "") else ""


def read_tree(text: str) -> dict[str, Tree]:
    """The map of the first document, nested as written; `parse` has taken the text."""
    return {
        key: _plain(node)
        for key, node in _Composer(_LOADER(text)).documents()[0].items()
    }


def _plain(node: Any) -> Tree:
    if isinstance(node, dict):
        return {key: _plain(child) for key, child in node.items()}
    if isinstance(node, list):
        return [_plain(child) for child in node]
    return node.value


def write(tree: dict[str, Tree]) -> str:
    """*tree* as block YAML that `parse` reads back to the same values."""
    text: str = yaml.dump(
        tree,
        Dumper=_Dumper,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return text


class _Composer:
    """Builds trees of dict, list and Entry from a loader's events, within limits."""

    def __init__(self, loader: Any) -> None:
        self._next = loader.get_event
        self._anchors: dict[str, Any] = {}
        self._nodes = 0
        self._aliases = 0

    def documents(self) -> list[dict[str, Any]]:
        """The documents that hold something, each as a map."""
        trees: list[dict[str, Any]] = []
        self._next()  # the start of the stream
        for _ in range(MOST_DOCUMENTS):
            if isinstance(self._next(), yaml.StreamEndEvent):
                return trees
            tree = self._node(self._next(), 1)
            self._next()  # the end of the document
            self._anchors.clear()
            if isinstance(tree, dict):
                trees.append(tree)
            elif not isinstance(tree, Entry) or tree.value is not None:
                trees.append({"document": tree})
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise DocumentError(f"more than {MOST_DOCUMENTS} documents")
        return trees

    def _node(self, event: Any, depth: int) -> Any:
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _too_many(event)
        if kind is yaml.ScalarEvent:
            mark = event.start_mark
            node: Any = _entry((_scalar(event), mark.line + 1, mark.column + 1))
        else:
            if depth > DEEPEST:
                raise _error(f"nested more than {DEEPEST} deep", event)
            if event.anchor:
                self._anchors[event.anchor] = _OPEN
            node = (
                self._mapping if kind is yaml.MappingStartEvent else self._sequence
            )(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise _error("an alias to no anchor", event)
        node = self._anchors[event.anchor]
        if node is _OPEN:
            raise _error("an alias to what it stands in", event)
        if not isinstance(node, Entry):
            self._aliases += 1
            if self._aliases > MOST_ALIASES:
                raise _error(f"more than {MOST_ALIASES} aliases", event)
        return node

    def _sequence(self, start: Any, depth: int) -> Any:
        tag = _known_tag(start, ("seq", "omap", "pairs"))
        items = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            items.append(self._node(event, depth + 1))
        if tag == "omap":
            return _ordered_map(items, start)
        return items or Entry(
            None, start.start_mark.line + 1, start.start_mark.column + 1
        )

    def _mapping(self, start: Any, depth: int) -> Any:
        tag = _known_tag(start, ("map", "set"))
        tree: dict[str, Any] = {}
        own: set[Any] = set()
        keys: list[Entry] = []
        while type(event := self._next()) is not yaml.MappingEndEvent:
            key = self._node(event, depth + 1)
            value_event = self._next()
            value = self._node(value_event, depth + 1)
            identity, name = key_of(key)
            if name == "<<" and _is_merge_key(event):
                _merge_into(tree, value, value_event)
                self._nodes += len(tree)
                if self._nodes > MOST_NODES:
                    raise _too_many(value_event)
                continue
            if identity in own:
                raise _error("a key is there twice", event)
            own.add(identity)
            tree[name] = value
            keys.append(key)
        if tag == "set":
            mark = start.start_mark
            return keys or Entry(None, mark.line + 1, mark.column + 1)
        return tree


def _scalar(event: Any) -> Any:
    """The value of a scalar event, by its tag or, where it is plain, by its text."""
    tag, text = event.tag, event.value
    if tag is None and event.style:
        return text
    convert = resolve if tag is None else CONVERTERS.get(tag.removeprefix(_TAG))
    if convert is None:
        raise _error("a tag that is not known here", event)
    try:
        return convert(text)
    except ValueError as error:
        raise _error(str(error), event) from error


def _known_tag(start: Any, known: tuple[str, ...]) -> str:
    tag = str((start.tag or known[0]).removeprefix(_TAG))
    if tag == "!" or tag in known:
        return tag
    raise _error("a tag that is not known here", start)


def _ordered_map(items: list[Any], start: Any) -> dict[str, Any]:
    if not all(isinstance(item, dict) and len(item) == 1 for item in items):
        raise _error("!!omap is a list of maps with one key each", start)
    return {name: value for item in items for name, value in item.items()}


def _is_merge_key(event: Any) -> bool:
    return type(event) is yaml.ScalarEvent and not event.tag and not event.style


def _merge_into(tree: dict[str, Any], merged: Any, event: Any) -> None:
    """The merge key: of a list of maps the first wins.

    Own keys keep their values, wherever they stand.
    """
    maps = merged if isinstance(merged, list) else [merged]
    for source in maps:
        if not isinstance(source, dict):
            raise _error("a merge key is for a map or a list of maps", event)
        for name, value in source.items():
            tree.setdefault(name, value)


def _too_many(event: Any) -> DocumentError:
    return _error(f"more than {MOST_NODES} nodes", event)


def _error(problem: str, event: Any) -> DocumentError:
    return DocumentError(
        problem, event.start_mark.line + 1, event.start_mark.column + 1
    )


class _Dumper(yaml.SafeDumper):
    """Writes strings so that our reader takes them for strings again; no aliases.

    Our reader, not PyYAML's: they differ in what is a string.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar(
        f"{_TAG}str", text, style=None if _stays_text(text) else '"'
    )


def _stays_text(text: str) -> bool:
    """Whether our reader takes the plain scalar for this very text."""
    try:
        return resolve(text) == text and text != "<<" and not _REFUSED.search(text)
    except ValueError:
        return False


_Dumper.add_representer(str, _represent_text)
