"""YAML 1.1 as SnakeYAML and Spring read it: plain lines here, all else by PyYAML.

PyYAML has to be there, whatever a file holds, but is loaded by the first text that is
more than plain lines: to load it takes longer than to read hundreds of those.
"""

from __future__ import annotations

from importlib.util import find_spec

from ...errors import MissingDependency
from ..properties import Tree
from .document import Document, make_document
from .yaml_lines import read_lines

__all__ = ["parse", "read_tree", "write"]

if find_spec("yaml") is None:
    raise MissingDependency("reading and writing YAML needs yaml: pip install 'PyYAML'")


def parse(text: str) -> tuple[Document, ...]:
    """The documents of a YAML text; those without content are left out.

    A list or a scalar at the top stands under the key `document`, as in Spring. Raises
    DocumentError with line and column for what is no YAML, for duplicate keys, foreign
    tags, circular aliases and the limits.
    """
    entries = read_lines(text)
    if entries is not None:
        return (make_document(entries),)
    from . import yaml_events

    return yaml_events.parse(text)


def read_tree(text: str) -> dict[str, Tree]:
    """The map of the first document, nested as written; `parse` has taken the text."""
    from . import yaml_events

    return yaml_events.read_tree(text)


def write(tree: dict[str, Tree]) -> str:
    """*tree* as block YAML that `parse` reads back to the same values."""
    from . import yaml_events

    return yaml_events.write(tree)
