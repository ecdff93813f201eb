"""The body of an answer, as a Document; this module does no input or output.

Plain documents and Spring's V2, whose values are `{"value": …, "origin": "3:5"}`, are
both understood. What has another shape is refused: a page of a proxy, or a source that
is not flat, is no configuration. No error quotes any of it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

from ..environment.properties import merge

__all__ = ["Document", "read_document"]

_SCALARS = frozenset({str, int, float, bool, type(None)})
_V2_KEYS = frozenset({"value", "origin"})


class Document(NamedTuple):
    """One answer: its flat values, and for each key where it comes from.

    An origin is `source name` or, in V2 documents, `source name:line:column`.
    """

    name: str
    profiles: tuple[str, ...]
    label: str | None
    version: str | None
    values: dict[str, Any]
    origins: dict[str, str]


def read_document(body: bytes) -> Document:
    """The document of a body, the first source that has a key winning.

    Raises ValueError for what is not the JSON of an environment.
    """
    tree = _read_json(body)
    if not isinstance(tree, dict):
        raise ValueError("expected a map")
    sources = tree.get("propertySources")
    if not isinstance(sources, list):
        raise ValueError("expected a list of propertySources")
    merged = merge([_read_source(source) for source in sources])
    profiles = tree.get("profiles")
    return Document(
        name=_text(tree, "name") or "",
        profiles=tuple(map(str, profiles)) if isinstance(profiles, list) else (),
        label=_text(tree, "label"),
        version=_text(tree, "version"),
        values={key: value for key, (value, _) in merged.items()},
        origins={key: origin for key, (_, origin) in merged.items()},
    )


def _read_json(body: bytes) -> Any:
    problem = "expected JSON"
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_members,
        )
    except UnicodeDecodeError:
        problem = "expected UTF-8"
    except (ValueError, RecursionError):
        pass  # their texts and causes hold the body
    raise ValueError(problem)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # 1e999 is read as infinity
        raise ValueError
    return number


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):  # which of the two counts is anyone's guess
        raise ValueError
    return members


def _read_source(tree: Any) -> dict[str, tuple[Any, str]]:
    """Value and origin by key; raises ValueError for a source that is not flat."""
    source = tree.get("source") if isinstance(tree, dict) else None
    if not isinstance(source, dict):
        raise ValueError("expected property sources, each with a source")
    name = _text(tree, "name") or ""
    found = {}
    for key, value in source.items():
        origin = name
        if isinstance(value, dict) and "value" in value and value.keys() <= _V2_KEYS:
            if value.get("origin") is not None:
                origin = f"{name}:{value['origin']}"
            value = value["value"]
        if type(value) not in _SCALARS:
            raise ValueError("expected flat properties")
        found[key] = value, origin
    return found


def _text(tree: dict[str, Any], key: str) -> str | None:
    value = tree.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a text as {key}")
    return value
