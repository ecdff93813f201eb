"""`get`: what a server gives for an application, in a format for people or programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..environment.formats.properties import write as write_properties
from ..environment.nesting import nest
from ..environment.values import text_of
from ..environment.yaml_output import write_yaml
from ..errors import ConfigNotFound
from .asking import ask, make_parser
from .output import write
from .variables import to_variables

__all__ = ["FORMATS", "absence", "run"]

_MOST_NAMED = 5  # keys in an error, which is one line


def run(arguments: Sequence[str]) -> int:
    """Print a configuration, or one value of it.

    Raises SettingsError for how it was called, FetchError when the server gives none,
    ConfigNotFound when it does not have the key, InvalidRequest for keys that make no
    tree, which JSON and YAML need, ConfigError for output that cannot be written.
    """
    parser = make_parser("get", "Print the configuration of an application.")
    parser.add_argument("label", nargs="?", metavar="LABEL")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--format", choices=FORMATS, default="json")
    what.add_argument("--key", metavar="KEY", help="print this value alone")
    options = parser.parse_intermixed_args(arguments)
    flat = dict(ask(options))
    if options.key is None:
        text = FORMATS[options.format](flat)
    elif options.key in flat:
        text = f"{text_of(flat[options.key])}\n"
    else:
        raise ConfigNotFound(absence(options.key, flat))
    return write(text)


def absence(key: str, flat: Iterable[str]) -> str:
    """That there is no *key*, and which keys lie below it: it may be half of one."""
    below = [repr(other) for other in flat if other.startswith((f"{key}.", f"{key}["))]
    if not below:
        return f"there is no {key}"
    named, further = ", ".join(below[:_MOST_NAMED]), len(below) - _MOST_NAMED
    more = f" and {further} more" if further > 0 else ""
    return f"there is no {key}, but below it are {named}{more}"


def _json(flat: Mapping[str, Any]) -> str:
    return json.dumps(nest(flat), ensure_ascii=False, indent=2) + "\n"


def _yaml(flat: Mapping[str, Any]) -> str:
    return write_yaml(nest(flat))


def _properties(flat: Mapping[str, Any]) -> str:
    return write_properties({key: text_of(value) for key, value in flat.items()})


def _variables(flat: Mapping[str, Any]) -> str:
    """`NAME='value'` lines for a shell; what cannot be one is said on stderr."""
    variables = to_variables(flat)
    for problem in variables.problems:
        print(f"pyconfserve: {problem}", file=sys.stderr)
    lines = [f"{name}={shlex.quote(text)}" for name, text in variables.values.items()]
    return "".join(f"{line}\n" for line in lines)


FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "json": _json,
    "yaml": _yaml,
    "properties": _properties,
    "env": _variables,
}
