"""JSON Schema by the jsonschema library, which is asked for places and never for text:
its messages quote values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..checking.schemas import Refusal
from ..environment.properties import Tree
from ..errors import MissingDependency, SchemaViolation

try:
    from jsonschema import SchemaError, ValidationError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable
except ModuleNotFoundError as error:
    what = "a .schema.json file", "pyconfserve[schema]"
    raise MissingDependency.instead_of(error, "jsonschema", *what) from error

__all__ = ["JsonSchema"]

_MOST = 1000  # refusals of one answer: more say nothing new


class JsonSchema:
    """A schema that was read; raises SchemaViolation where it is none.

    Nothing is fetched: what it refers to lies in it.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        kind: Any = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
            self._validator = kind(schema, registry=Registry())
        except (SchemaError, re.error, RecursionError) as error:
            raise SchemaViolation("not a JSON Schema") from error

    def refusals(self, tree: Mapping[str, Tree]) -> Iterator[Refusal]:
        """What it refuses in *tree*; raises SchemaViolation."""
        try:
            for number, error in enumerate(self._validator.iter_errors(tree)):
                if number >= _MOST:
                    return
                yield from _refusals(error)
        except Unresolvable as error:
            problem = "refers to a schema that is not in this file"
            raise SchemaViolation(problem) from error
        except RecursionError as error:
            raise SchemaViolation("refers to itself without end") from error


def _refusals(error: ValidationError) -> Iterator[Refusal]:
    keyword = str(error.validator)
    steps = tuple(error.absolute_path)
    if keyword == "additionalProperties":
        for name in _unknown(error):
            yield Refusal((*steps, name), "is not in the schema")
        return
    wanted: Any = error.validator_value
    if keyword == "type":
        types = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        yield Refusal(steps, f"is not of type {' or '.join(types)}", types)
        return
    text = _TEXTS[keyword](error) if keyword in _TEXTS else f"breaks {keyword!r}"
    yield Refusal(steps, text)


def _lacking(error: ValidationError) -> str:
    # The library has one error a name, and tells it in text alone.
    wanted: Any = error.validator_value
    names = [name for name in wanted if error.message.startswith(repr(name))]
    return f"lacks {names[0] if names else 'a key'}"


def _unknown(error: ValidationError) -> list[str]:
    schema: Any = error.schema
    here: Any = error.instance
    patterns = schema.get("patternProperties", {})
    return [
        name
        for name in here
        if name not in schema.get("properties", {})
        and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _bound(word: str) -> Callable[[ValidationError], str]:
    return lambda error: f"is {word} {error.validator_value}"


_TEXTS: dict[str, Callable[[ValidationError], str]] = {
    "required": _lacking,
    "enum": lambda _: "is none of the values that the schema allows",
    "const": lambda _: "is not the value that the schema asks for",
    "pattern": lambda _: "does not match the schema's pattern",
    "minimum": _bound("below"),
    "maximum": _bound("above"),
    "exclusiveMinimum": _bound("not above"),
    "exclusiveMaximum": _bound("not below"),
    "minLength": _bound("shorter than"),
    "maxLength": _bound("longer than"),
    "minItems": _bound("a list with less items than"),
    "maxItems": _bound("a list with more items than"),
}
