"""YAML that is lines of `key: value` below each other, as most files are.

What this module reads, it reads as yaml.py does, in a fifth of the time and without
PyYAML; whatever else stands in a text, that text is left to yaml.py.
"""

from __future__ import annotations

import re
from functools import partial

from .document import DEEPEST, LONGEST_KEY, Entry
from .yaml_scalars import resolve

__all__ = ["read_lines"]

_LONGEST = 256 * 1024  # characters: no text of so many is above the limits of yaml.py
_entry = partial(tuple.__new__, Entry)  # what Entry(*fields) gives, in half the time

# A plain value has no `: ` and no ` #`, and begins with what cannot mean anything else.
# What is not Latin is left to yaml.py: sets with more take a start 6 ms to compile.
_REST = r"[!-9;-~\xa1-\xff]"
_PLAIN = (
    rf"(?:[A-Za-z0-9_/.$+~(\xa1-\xff]|-(?={_REST}))"
    rf"(?:{_REST}++|:(?=[!-~\xa1-\xff])|\ +(?=[!\"$-~\xa1-\xff]))*+"
)
_LINE = re.compile(
    rf"""
    (?P<indent>\ *)
    (?:
        (?P<key>[A-Za-z_][A-Za-z0-9_.-]*):
        (?:
            (?P<blanks>\ +)
            (?:
                (?P<plain>{_PLAIN})
            |   "(?P<double>[ !#-\[\]-~\xa1-\xff]*)"
            |   '(?P<single>[ -&(-~\xa1-\xff]*)'
            )
        )?
        (?:\ +\#[ -~\xa1-\xff]*|\ *)
    |   (?:\#[ -~\xa1-\xff]*)?
    )
    \r?\n
    |   (?P<other>.*\n)
    """,
    re.VERBOSE,
)


def read_lines(text: str) -> dict[str, Entry] | None:
    """The flat entries of *text*, None where it holds anything but plain lines.

    They are maps of keys that are text, with values on the lines of their keys: no
    lists, anchors, tags, escapes, blocks or documents, nothing empty, no key twice and
    nothing that is above a limit or wrong.
    """
    if len(text) > _LONGEST:
        return None
    try:
        return _read(text if text.endswith("\n") else f"{text}\n")
    except (ValueError, _OtherText):
        return None


class _OtherText(Exception):
    """It is not of the kind that is read here."""


def _read(text: str) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    maps: list[tuple[int, str, set[str]]] = []  # those that the present one is in
    indent, prefix, names = 0, "", set[str]()
    opened = None  # the key whose map comes next
    for number, found in enumerate(_LINE.findall(text), 1):
        blanks_before, key, blanks, plain, double, single, other = found
        if not key:
            if other:
                raise _OtherText
            continue
        here = len(blanks_before)
        if opened is not None:
            if here <= indent or len(maps) + 2 > DEEPEST:
                raise _OtherText
            maps.append((indent, prefix, names))
            indent, prefix, names, opened = here, f"{opened}.", set(), None
        while here < indent and maps:
            indent, prefix, names = maps.pop()
        flat = prefix + key
        if (
            here != indent
            or key in names
            or resolve(key) is not key
            or len(flat) > LONGEST_KEY
        ):
            raise _OtherText
        names.add(key)
        if not blanks:
            opened = flat
            continue
        value = resolve(plain) if plain else double or single
        entries[flat] = _entry((value, number, here + len(key) + len(blanks) + 2))
    if opened is not None or not entries:
        raise _OtherText
    return entries
