"""When a document is active, and which profiles it brings along.

Spring Boot's rules, by its keys: `spring.config.activate.on-profile`,
`spring.profiles.include`, `spring.profiles.group.*` (cases native-multidoc).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

from ..errors import DocumentError, InvalidRequest
from . import names
from .formats.document import Document, Entry
from .overlay import DEFAULT_PROFILE
from .values import text_of

__all__ = ["extend_profiles", "imports", "is_active", "matches"]

_ON_PROFILE = "spring.config.activate.on-profile"
_ON_CLOUD = "spring.config.activate.on-cloud-platform"
_INCLUDE = "spring.profiles.include"
_GROUP = "spring.profiles.group."
_IMPORT = "spring.config.import"
_LEGACY = "spring.profiles"  # Spring Boot 2.3 and before

_IMPORTABLE = re.compile(r"\w[\w.+@~ -]*(?:/\w[\w.+@~ -]*)*")
_TOKEN = re.compile(r"\s*([()&|!]|[^()&|!\s]+)")
_LONGEST_EXPRESSION = 1024  # characters: reading one recurses
_DEEPEST_EXPRESSION = 32  # parentheses and negations


def is_active(document: Document, profiles: Collection[str]) -> bool:
    """Whether a document counts when *profiles* are active.

    It does when any item of its on-profile list matches, or it has no such list.
    Documents for a cloud platform are never active. Raises DocumentError for a
    malformed expression and for the legacy key `spring.profiles`, which Spring refuses
    too.
    """
    for key, entry in _listed(document, _LEGACY):
        raise DocumentError(
            f"{key} is no longer read: use {_ON_PROFILE}", entry.line, entry.column
        )
    if any(_listed(document, _ON_CLOUD)):
        return False
    expressions = [
        (item, entry)
        for _, entry in _listed(document, _ON_PROFILE)
        for item in _split(text_of(entry.value))
    ]
    return not expressions or any(
        [_holds(item, profiles, entry) for item, entry in expressions]
    )


def matches(expression: str, profiles: Collection[str]) -> bool:
    """Whether a profile expression such as `(prod | dev) & !eu` holds.

    As in Spring, `&` and `|` are not mixed without parentheses. Raises ValueError when
    the expression is malformed.
    """
    return _evaluate(_compile(expression), profiles)


def extend_profiles(
    profiles: Sequence[str], documents: Iterable[Document]
) -> tuple[str, ...]:
    """*profiles* and those that *documents* add to them, lowest first.

    Unconditional documents add what they include and group. Included profiles come
    after the asked ones and members after their group, so both win over them. A request
    for profile `default` alone includes nothing (cases native-multidoc/included,
    included-prod). Raises DocumentError for what is no profile's name and for more than
    MOST_ITEMS profiles.
    """
    if tuple(profiles) == (DEFAULT_PROFILE,):
        return tuple(profiles)
    wanted = list(profiles)
    groups: dict[str, list[str]] = {}
    for document in documents:
        if _listed(document, _ON_PROFILE) or _listed(document, _ON_CLOUD):
            continue
        for key, entry in document.entries.items():
            if not key.startswith(_LEGACY):
                continue
            base = key.partition("[")[0]
            if base == _INCLUDE:
                wanted += _profiles(key, entry)
            elif base.startswith(_GROUP):
                groups.setdefault(base.removeprefix(_GROUP), []).extend(
                    _profiles(key, entry)
                )
    return _expand(wanted, groups)


def imports(document: Document) -> list[str]:
    """The files that a document imports, as paths relative to its own, the first first.

    What names another kind of place, an absolute path, a way up or a placeholder is
    left out: it can lie in no search location (cases native-import).
    """
    found = []
    for _, entry in _listed(document, _IMPORT):
        for item in _split(text_of(entry.value)):
            path = (
                item.removeprefix("optional:").removeprefix("file:").removeprefix("./")
            )
            if _IMPORTABLE.fullmatch(path) and ".." not in path:
                found.append(path)
    return found


def _expand(wanted: Iterable[str], groups: dict[str, list[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = list(reversed(list(wanted)))
    while waiting:
        profile = waiting.pop()
        if profile not in found:
            found[profile] = None
            waiting += reversed(groups.get(profile, []))
    if len(found) > names.MOST_ITEMS:
        raise DocumentError(
            f"includes and groups lead to more than {names.MOST_ITEMS} profiles"
        )
    return tuple(found)


def _listed(document: Document, key: str) -> list[tuple[str, Entry]]:
    """The entries under *key* itself or its items `key[0]`, `key[1]` …"""
    if key not in "\n".join(document.entries):
        return []  # nearly all documents: to look at each of their keys takes longer
    return [
        (name, entry)
        for name, entry in document.entries.items()
        if name.startswith(key) and name.partition("[")[0] == key
    ]


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _profiles(key: str, entry: Entry) -> list[str]:
    try:
        return [names.profile(item) for item in _split(text_of(entry.value))]
    except InvalidRequest as error:
        raise DocumentError(
            f"{key} does not name a profile", entry.line, entry.column
        ) from error


def _holds(expression: str, profiles: Collection[str], entry: Entry) -> bool:
    try:
        return matches(expression, profiles)
    except ValueError as error:
        raise DocumentError(str(error), entry.line, entry.column) from error


@lru_cache(1024)
def _compile(expression: str) -> Any:
    """A name, or ("!", part), ("&", part, …), ("|", part, …)."""
    tokens = _TOKEN.findall(expression)
    if len(expression) > _LONGEST_EXPRESSION or not tokens:
        raise ValueError(
            f"expected a profile expression of 1 to {_LONGEST_EXPRESSION} characters"
        )
    tokens.reverse()
    tree = _alternatives(tokens, 0)
    if tokens:
        raise ValueError("a profile expression has a part too many")
    return tree


def _alternatives(tokens: list[str], depth: int) -> Any:
    parts = [_operand(tokens, depth)]
    operator = tokens[-1] if tokens and tokens[-1] in "&|" else ""
    while tokens and tokens[-1] in "&|":
        if tokens.pop() != operator:
            raise ValueError("a profile expression mixes & and | without parentheses")
        parts.append(_operand(tokens, depth))
    return (operator, *parts) if operator else parts[0]


def _operand(tokens: list[str], depth: int) -> Any:
    token = tokens.pop() if tokens else ")"
    if depth > _DEEPEST_EXPRESSION:
        raise ValueError("a profile expression is nested too deep")
    if token == "!":
        return ("!", _operand(tokens, depth + 1))
    if token == "(":
        tree = _alternatives(tokens, depth + 1)
        if not tokens or tokens.pop() != ")":
            raise ValueError("a profile expression does not close its parenthesis")
        return tree
    if token in ")&|":
        raise ValueError("a profile expression lacks a name")
    return token


def _evaluate(tree: Any, profiles: Collection[str]) -> bool:
    if isinstance(tree, str):
        return tree in profiles
    operator, *parts = tree
    if operator == "!":
        return not _evaluate(parts[0], profiles)
    return (all if operator == "&" else any)(
        _evaluate(part, profiles) for part in parts
    )
