"""Block YAML in the style of SnakeYAML, which Spring's answers are written with.

Width 80, lists not indented, a style for each text by SnakeYAML's own analysis
(org.yaml.snakeyaml.emitter.Emitter), so that a YAML 1.1 reader gets every value back as
it was. A text that was filled in from placeholders keeps the style of its template
where that is safe, as clients of Spring know it: `port: ${p}` gives `port: 8080`.
"""

from __future__ import annotations

import base64
import math
import re
from typing import Any, NamedTuple

from .formats.yaml_scalars import resolve
from .properties import Tree
from .values import number_text

__all__ = ["Filled", "write_yaml"]

_WIDTH = 80
_STEP = 2  # blanks of one level
_LONGEST_SIMPLE_KEY = 128  # characters; longer ones stand behind a question mark

_SIMPLE = re.compile(r"[A-Za-z_][\w./-]*(?: [\w./-]+)*", re.ASCII)
_UNPRINTABLE = re.compile(
    "[^\\x20-\\x7e\t\n\r\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)
# SnakeYAML writes the last four raw; readers take them for line ends, or for nothing.
_SPECIAL = re.compile("[\t\r\ufeff\x85\u2028\u2029]")
_INDICATORS = re.compile(
    r"""---|\.\.\.|[#,\[\]{}&*!|>'"%@`]|[?:-](?:\s|$)|.*?(?::(?:\s|$)|\s\#)""",
    re.DOTALL,
)
# What SnakeYAML takes for another type beyond what resolve() does: dates, octal-likes.
_LOOKS_TYPED = re.compile(
    r"\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?"
    r"(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?|[-+]?0[\d_]+|=|<<"
)
_ESCAPES = {
    "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\",
    "\x85": "\\N", "\xa0": "\\_", "\u2028": "\\L", "\u2029": "\\P", "\ufeff": "\\uFEFF",
}  # fmt: skip


class Filled(NamedTuple):
    """A text with its placeholders filled in, and the template it was made from."""

    text: str
    template: str


def write_yaml(tree: Tree) -> str:
    """*tree*, of maps, lists, Filled and scalars, as one YAML document."""
    lines: list[str] = []
    if isinstance(tree, dict) and tree:
        _write_map(tree, 0, "", lines)
    elif isinstance(tree, list) and tree:
        _write_list(tree, 0, "", lines)
    else:
        lines.append(_scalar(tree, "", _STEP))
    return "\n".join(lines) + "\n"


def _write_map(tree: dict[str, Tree], indent: int, lead: str, lines: list[str]) -> None:
    """The members of a map; *lead* stands before the first in place of its indent."""
    for key, value in tree.items():
        before = lead or " " * indent
        lead = ""
        shown = _scalar(key, before, indent + _STEP, is_key=True)
        if len(key) >= _LONGEST_SIMPLE_KEY or "\n" in key:
            lines.append(f"{before}? {shown}")
            shown, before = "", " " * indent
        if isinstance(value, dict) and value:
            lines.append(f"{before}{shown}:")
            _write_map(value, indent + _STEP, "", lines)
        elif isinstance(value, list) and value:
            lines.append(f"{before}{shown}:")
            _write_list(value, indent, "", lines)
        else:
            head = f"{before}{shown}: "
            lines.append(head + _scalar(value, head, indent + _STEP))


def _write_list(items: list[Tree], indent: int, lead: str, lines: list[str]) -> None:
    for item in items:
        before = f"{lead or ' ' * indent}- "
        lead = ""
        if isinstance(item, dict) and item:
            _write_map(item, indent + _STEP, before, lines)
        elif isinstance(item, list) and item:
            _write_list(item, indent + _STEP, before, lines)
        else:
            lines.append(before + _scalar(item, before, indent + _STEP))


def _scalar(value: Any, before: str, indent: int, *, is_key: bool = False) -> str:
    """A scalar as it stands after *before*; its further lines are indented."""
    if isinstance(value, Filled):
        return _filled(value, before, indent)
    if isinstance(value, str):
        return _text(value, before, indent, is_key=is_key)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value):
            return number_text(value)
        return ".NaN" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return "[]" if value == [] else "{}" if value == {} else str(value)


def _filled(value: Filled, before: str, indent: int) -> str:
    if _is_plain(value.template) and not value.text:
        return ""
    if _is_plain(value.template) and _may_be_plain(value.text):
        return _folded_plain(value.text, before, indent)
    return _text(value.text, before, indent)


def _text(text: str, before: str, indent: int, *, is_key: bool = False) -> str:
    if _SIMPLE.fullmatch(text) and resolve(text) == text:  # as most texts are
        return text if is_key else _folded_plain(text, before, indent)
    if _UNPRINTABLE.search(text):
        packed = base64.b64encode(text.encode("utf-8")).decode("ascii")
        return f"!!binary |-\n{' ' * indent}{packed}"
    has_breaks = "\n" in text
    if not has_breaks and _is_plain(text):
        return text if is_key else _folded_plain(text, before, indent)
    is_odd = " \n" in text or bool(_SPECIAL.search(text))
    if has_breaks and not is_key and not is_odd and not text.endswith(" "):
        return _literal(text, indent)
    may_be_single = not (is_odd or "\n " in text)
    if may_be_single and not (is_key and has_breaks):
        return _single_quoted(text, before, indent, folds=not is_key)
    return _double_quoted(text, before, indent, folds=not is_key)


def _is_plain(text: str) -> bool:
    """Whether a plain scalar is this very text to any reader of YAML 1.1."""
    if not _may_be_plain(text) or _LOOKS_TYPED.fullmatch(text):
        return False
    try:
        return bool(resolve(text) == text)
    except ValueError:
        return False


def _may_be_plain(text: str) -> bool:
    """Whether a plain scalar on one line can hold this text at all."""
    return bool(
        text
        and not text.startswith(" ")
        and not text.endswith(" ")
        and not _INDICATORS.match(text)
        and "\n" not in text
        and not _SPECIAL.search(text)
        and not _UNPRINTABLE.search(text)
    )


def _folded_plain(text: str, before: str, indent: int) -> str:
    if len(before) + len(text) <= _WIDTH:
        return text
    return _fold(re.split("( +)", text), len(before), indent)


def _fold(parts: list[str], column: int, indent: int) -> str:
    """Words and the blanks between them; a single blank past the width ends a line."""
    written = []
    for position, part in enumerate(parts):
        if part == " " and column > _WIDTH and 0 < position < len(parts) - 1:
            written.append("\n" + " " * indent)
            column = indent
        else:
            written.append(part)
            column += len(part)
    return "".join(written)


def _single_quoted(text: str, before: str, indent: int, *, folds: bool) -> str:
    quoted = text.replace("'", "''")
    if "\n" in text:
        quoted = re.sub("\n+", lambda found: f"\n{found[0]}{' ' * indent}", quoted)
        return f"'{quoted}'"
    if not folds or len(before) + len(quoted) < _WIDTH:
        return f"'{quoted}'"
    parts = re.split("( +)", quoted)
    if parts[0] == "":  # blanks at an end are not between words
        parts[:2] = ["".join(parts[:2])]
    return f"'{_fold(parts, len(before) + 1, indent)}'"


def _double_quoted(text: str, before: str, indent: int, *, folds: bool) -> str:
    """Escapes for what no other style holds; lines past the width go on below."""
    written, line = ['"'], len(before) + 1
    for position, character in enumerate(text):
        shown = _ESCAPES.get(character, character)
        if (
            folds
            and character == " "
            and line > _WIDTH
            and 0 < position < len(text) - 1
        ):
            written.append("\\\n" + " " * indent + "\\")
            line = indent + 1
        written.append(shown)
        line += len(shown)
    return "".join([*written, '"'])


def _literal(text: str, indent: int) -> str:
    hint = str(_STEP) if text[0] in " \n" else ""
    if not text.endswith("\n"):
        chomp = "-"
    else:
        chomp = "+" if len(text) == 1 or text[-2] == "\n" else ""
    lines = text.removesuffix("\n").split("\n")
    shown = [f"{' ' * indent}{line}" if line else "" for line in lines]
    return "\n".join([f"|{hint}{chomp}", *shown])
