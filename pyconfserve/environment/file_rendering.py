"""An environment merged into one file: `orders-prod.yml`, `.json`, `.properties`.

The shapes are Spring's (EnvironmentController; cases alt-formats). Placeholders are
filled in from the answer's own properties, in the values, before they are written: so a
value never becomes two, whatever stands in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from json.encoder import encode_basestring as quote
from typing import Any

from .formats.properties import write as write_properties
from .nesting import nest
from .overlay import Environment
from .placeholders import fill_from
from .properties import Tree, merge
from .rendering import JSON, value_json
from .values import text_of
from .yaml_output import Filled, write_yaml

__all__ = ["FILE_RENDERERS", "SUFFIXES", "renderer_name"]

Fill = Callable[[Any, Mapping[str, Any]], Any]

SUFFIXES = {"yml": "yaml", "yaml": "yaml", "json": "nested", "properties": "raw"}


def renderer_name(suffix: str, *, resolves: bool, escapes: bool) -> str:
    """The renderer of an answer as a file `orders-prod.yml`: a key of FILE_RENDERERS.

    *resolves* says whether placeholders are filled in. *escapes* whether `.properties`
    are a file that reads back as it was, or raw as Spring writes them.
    """
    name = "escaped" if suffix == "properties" and escapes else SUFFIXES[suffix]
    return f"{name}, filled" if resolves else name


def _nested(environment: Environment, fill: Fill) -> dict[str, Any]:
    return nest(_merged(environment, fill))


def _nested_json(environment: Environment, fill: Fill) -> str:
    return _tree(_nested(environment, fill))


def _yaml(environment: Environment, fill: Fill) -> str:
    """Block YAML; what is no map stands under `document`, and comes bare."""
    tree = _nested(environment, fill)
    if list(tree) != ["document"]:
        return write_yaml(tree)
    bare = tree["document"]
    if isinstance(bare, dict):
        return f"!!str\n{write_yaml(bare)}"
    return write_yaml(bare if isinstance(bare, list | Filled) else text_of(bare))


def _properties(environment: Environment, fill: Fill) -> str:
    """Lines without any escape, which is how Spring writes them."""
    flat = _merged(environment, fill)
    return "\n".join(f"{key}: {text_of(_plain(value))}" for key, value in flat.items())


def _escaped_properties(environment: Environment, fill: Fill) -> str:
    flat = _merged(environment, fill)
    texts = {key: text_of(_plain(value)) for key, value in flat.items()}
    return write_properties(texts)


def _merged(environment: Environment, fill: Fill) -> dict[str, Any]:
    """The properties of all sources in Spring's order: those of lists at the end."""
    merged = merge([source.properties for source in environment.sources])
    merged.pop("spring.profiles", None)
    ordered = sorted(merged, key=lambda key: "[" in key)
    return {key: fill(merged[key], merged) for key in ordered}


def _keep(value: Any, properties: Mapping[str, Any]) -> Any:
    return value


def _fill_in(value: Any, properties: Mapping[str, Any]) -> Any:
    """A text with its placeholders filled in from *properties* alone."""
    if not isinstance(value, str) or "${" not in value:
        return value
    return Filled(fill_from(value, properties), value)


def _tree(node: Tree) -> str:
    if isinstance(node, dict):
        members = [f"{quote(key)}:{_tree(value)}" for key, value in node.items()]
        return f"{{{','.join(members)}}}"
    if isinstance(node, list):
        return f"[{','.join([_tree(item) for item in node])}]"
    return value_json(_plain(node))


def _plain(value: Any) -> Any:
    """The value in a property, as text where it has none of JSON's types."""
    return value.text if isinstance(value, Filled) else value


FILE_RENDERERS: dict[str, tuple[str, Callable[[Environment], str]]] = {
    f"{name}{suffix}": (content_type, partial(write, fill=fill_in))
    for name, content_type, write in (
        ("yaml", "text/plain", _yaml),
        ("nested", JSON, _nested_json),
        ("raw", "text/plain", _properties),
        ("escaped", "text/plain", _escaped_properties),
    )
    for suffix, fill_in in (("", _keep), (", filled", _fill_in))
}
