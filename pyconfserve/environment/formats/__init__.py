"""Text to documents and back, one module a format, found by a file's suffix.

A new format is one module with `parse(text)` and `write(tree)`, and a row in FORMATS.
The modules are imported when a file of their kind is first met, so that YAML alone
needs PyYAML.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from ...errors import DocumentError
from .document import LARGEST_FILE, Document

__all__ = ["FORMATS", "parse", "read_tree", "write"]

FORMATS = {
    "yaml": "yaml",
    "yml": "yaml",
    "json": "json",
    "toml": "toml",
    "properties": "properties",
}
_NESTED = ("yaml", "json")  # what has a `read_tree(text)` too


def parse(data: bytes, suffix: str, charset: str = "utf-8") -> tuple[Document, ...]:
    """The documents of a file's bytes; those without any content are left out.

    `parse(b"a: {b: 1}", "yml")` has one entry, `a.b`. *suffix* is a key of FORMATS,
    *charset* the encoding of the bytes (YAML, JSON and TOML are always UTF-8). A byte
    order mark is skipped.

    Raises DocumentError, with the line and column where the format tells them, and
    MissingDependency for YAML without PyYAML.
    """
    documents: tuple[Document, ...] = _module(suffix).parse(
        _text(data, suffix, charset)
    )
    return documents


def read_tree(data: bytes, suffix: str, charset: str = "utf-8") -> dict[str, Any]:
    """What a file of one document holds, nested as it is written, to be written again.

    The arguments and errors are those of `parse`. TOML and `.properties` come flat.
    """
    documents = parse(data, suffix, charset)  # by its limits
    if not documents:
        return {}
    if FORMATS[suffix] in _NESTED:
        tree: dict[str, Any] = _module(suffix).read_tree(_text(data, suffix, charset))
        return tree
    return {key: entry.value for key, entry in documents[0].entries.items()}


def _text(data: bytes, suffix: str, charset: str) -> str:
    if len(data) > LARGEST_FILE:
        raise DocumentError(f"larger than {LARGEST_FILE} bytes")
    encoding = charset if suffix == "properties" else "utf-8"
    try:
        return data.decode(encoding).removeprefix(
            "\ufeff" if encoding == "utf-8" else ""
        )
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise DocumentError(f"not {encoding.upper()} text", line, column) from error


def write(tree: dict[str, Any], suffix: str) -> bytes:
    """*tree* (flat or nested) as the bytes of a file.

    `parse` reads them back to the same flat properties. Raises SchemaViolation for a
    value and Conflict for a format that cannot be written, MissingDependency for YAML
    without PyYAML.
    """
    text: str = _module(suffix).write(tree)
    return text.encode("utf-8")


def _module(suffix: str) -> ModuleType:
    return import_module(f".{FORMATS[suffix]}", __package__)
