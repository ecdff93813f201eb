"""`get`: what a server gives for an application, in a format for people or programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..environment.formats.properties import write as write_properties
from ..environment.nesting import nest
from ..environment.values import text_of
from ..environment.yaml_output import write_yaml
from ..errors import ConfigNotFound
from .asking import ask, make_parser
from .variables import to_variables

__all__ = ["FORMATS", "run"]


def run(arguments: Sequence[str]) -> int:
    """Print a configuration, or one value of it.

    Raises SettingsError for how it was called, FetchError when the server gives none,
    ConfigNotFound when it does not have the key, InvalidRequest for keys that make no
    tree, which JSON and YAML need.
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
        raise ConfigNotFound(f"there is no {options.key}")
    # UTF-8 wherever it goes; half a surrogate pair is `\ud800`, in JSON its escape.
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
    return 0


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
