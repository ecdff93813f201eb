"""The YAML text of users: one more below it, or one less, and the rest as it is.

Text, because a tree that is written anew has lost its comments. Who changes a file so
parses it afterwards: other forms of YAML than block lists come out wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

__all__ = ["with_user", "without_user"]

_KEY = re.compile(r"^users:", re.MULTILINE)
_ITEM = re.compile(r"^( *)-(?=\s)", re.MULTILINE)


def with_user(text: str, item: Mapping[str, object]) -> str:
    """*text* with one more user at its end."""
    found = _ITEM.search(text)
    indent = found[1] if found else "  "
    if not _KEY.search(text):
        text = f"{_ended(text)}users:\n"
    # JSON is YAML, whatever is in the texts.
    fields = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in item.items()
    ]
    body = f"\n{indent}  ".join(fields)
    return f"{_ended(text)}{indent}- {body}\n"


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def without_user(text: str, position: int) -> str:
    """*text* without the user at *position*; comments in front of the next one stay."""
    found = _ITEM.search(text)
    indent = found[1] if found else ""
    starts = [item.start() for item in _ITEM.finditer(text) if item[1] == indent]
    if position >= len(starts):
        return text
    end = starts[position + 1] if position + 1 < len(starts) else len(text)
    item = text[starts[position] : end]
    after = re.search(rf"(?:^ {{0,{len(indent)}}}(?:#.*)?\r?\n)*\Z", item, re.MULTILINE)
    kept = after[0] if after else ""
    return text[: starts[position]] + kept + text[end:]
