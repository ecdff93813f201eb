"""The text of a YAML key: what is no text stands in brackets, in Java's spelling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from ..values import text_of
from .document import LONGEST_KEY, Entry

__all__ = ["key_of"]


def key_of(node: Any) -> tuple[Any, str]:
    """What tells a key from others, and its text.

    What is no text stands in brackets, in Java's spelling.
    """
    if isinstance(node, Entry) and isinstance(node.value, str):
        return node.value, node.value
    text = "".join(islice(_java_text(node), 2 * LONGEST_KEY + 2))
    return (
        type(node.value) if isinstance(node, Entry) else type(node),
        text,
    ), f"[{text}]"


def _java_text(node: Any) -> Iterator[str]:
    """The pieces of a text, lazily: aliases can make it longer than any key may be."""
    if isinstance(node, Entry):
        text = "null" if node.value is None else text_of(node.value)
        yield text[: LONGEST_KEY + 1]
    elif isinstance(node, list):
        yield "["
        for index, item in enumerate(node):
            yield ", " if index else ""
            yield from _java_text(item)
        yield "]"
    else:
        yield "{"
        for index, (name, value) in enumerate(node.items()):
            yield f", {name}=" if index else f"{name}="
            yield from _java_text(value)
        yield "}"
