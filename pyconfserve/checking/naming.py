"""What is wrong with the names of files: which request reaches which file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from ..environment import names
from ..environment.overlay import DEFAULT_PROFILE, OWN, SHARED_APPLICATION, Dialect
from ..errors import InvalidRequest
from ..files import DictTree
from ..listing import list_folder
from .problems import Place, Problem

__all__ = [
    "SCHEMA",
    "Names",
    "Spot",
    "distance",
    "looks_like",
    "near_profiles",
    "reaches",
    "shadowed",
    "split_stems",
    "spots",
]

SCHEMA = ".schema.json"  # ends the name of a schema, which is no configuration
_OTHER = {"jsonl", "json5", "jsonc", "tml", "xml", "ml"}  # near ours, and not ours
_FAR_FEWER = 4  # times as many files has the profile that a near one is taken for
_MOST_COMPARED = 200  # profiles that others are taken for, the most used ones
_TOKEN = re.compile(r"\{application\}|\{profile\}|\{label\}|[*?]|[^*?{]+|\{")


class Names(NamedTuple):
    """What the stem of a file's name says."""

    application: str
    profile: str


class Spot(NamedTuple):
    """How a request gets to a folder: for which application and which label.

    None is any application, "" any label.
    """

    application: str | None
    label: str


def split_stems(stems: Collection[str]) -> dict[str, Names | None]:
    """Application and profile of each stem, judged by all; None where it is no name."""
    tree = DictTree({f"{stem}.yml": b"" for stem in stems})
    found: dict[str, Names | None] = {}
    for application, profile, _ in list_folder(tree, "", "main", {}):
        stem = f"{application}-{profile}"
        if profile == DEFAULT_PROFILE and stem not in stems:
            stem = application
        found[stem] = Names(application, profile)
        if profile == DEFAULT_PROFILE and application in stems:
            found.setdefault(application, Names(application, profile))
    for stem in stems:
        if stem not in found:
            found[stem] = next(filter(_is_servable, _splits(stem)), None)
    return found


def _splits(stem: str) -> Iterator[Names]:
    yield Names(stem, DEFAULT_PROFILE)
    for found in re.finditer("-", stem):
        yield Names(stem[: found.start()], stem[found.end() :])


def _is_servable(found: Names) -> bool:
    return (
        _is(names.application, found.application)
        and _is(names.profile, found.profile)
        and not names.is_reserved(found.application)
    )


def _is(validate: Callable[[str], str], name: str) -> bool:
    try:
        return validate(name) == name
    except InvalidRequest:
        return False


def spots(folder: str, pattern: str, *, label_folders: bool = True) -> list[Spot]:
    """How requests get to *folder* by the *pattern* of a search location."""
    found = _regex(pattern).match(f"{folder}/" if folder else "")
    if found is None:
        return []
    parts = found.groupdict()
    rest = found["rest"].rstrip("/")
    application, label = parts.get("application"), parts.get("label") or ""
    if label and not _is(names.label, label):
        return []
    if not rest:
        return [Spot(application, label)]
    if label_folders and label in ("", rest) and _is(names.label, rest):
        return [Spot(application, rest)]
    return []


def _regex(pattern: str) -> re.Pattern[str]:
    parts, named = [], set()
    for token in _TOKEN.findall(pattern):
        name = token.strip("{}")
        if name in named:
            parts.append(f"(?P={name})")
        elif token in ("{application}", "{label}"):
            named.add(name)
            parts.append(f"(?P<{name}>[^/]+(?:/[^/]+)*?)")
        else:
            parts.append(
                {"{profile}": "[^/]+", "*": "[^/]*", "?": "[^/]"}.get(
                    token, re.escape(token)
                )
            )
    return re.compile(f"{''.join(parts)}(?P<rest>.*)", re.DOTALL)


def reaches(spot: Spot, application: str) -> bool:
    """Whether a request that reads in *spot* may read a file of *application*."""
    return spot.application in (None, application) or application == SHARED_APPLICATION


def looks_like(suffix: str, dialect: Dialect) -> str:
    """What is wrong with the suffix of what looks like configuration, "" if nothing."""
    if suffix in dialect.suffixes:
        return ""
    if suffix in OWN.suffixes:
        return f"no answer has the keys of .{suffix} files under --spring"
    low = suffix.lower().rstrip("~")
    near = [
        known
        for known in OWN.suffixes
        if low == known
        or (
            low not in _OTHER
            and min(len(known), len(low)) > 3
            and distance(low, known) == 1
        )
        or (len(known) > 3 and sorted(low) == sorted(known))
    ]
    return f".{suffix} is no suffix of configuration: .{near[0]} is" if near else ""


def shadowed(
    files: Iterable[tuple[str, str]], application: str, dialect: Dialect
) -> Iterator[tuple[str, str]]:
    """Of (folder, file) with one application and one profile: those never read.

    Each with the file that is read instead.
    """
    if dialect.reads_every_format:
        return
    first: dict[str, str] = {}
    rank = {suffix: number for number, suffix in enumerate(dialect.suffixes)}

    def order(found: tuple[str, str]) -> tuple[bool, int]:
        stem, _, suffix = found[1].rpartition(".")
        return stem == application, rank[suffix]

    for folder, file in sorted(files, key=order):
        if folder in first:
            path = f"{folder}/{file}" if folder else file
            yield path, first[folder]
        else:
            first[folder] = file


def near_profiles(files: Mapping[str, list[str]]) -> Iterator[Problem]:
    """A warning for each file of a profile that another, far more used one is near.

    *files* are paths by profile. Names that differ in digits alone are series.
    """
    counts = Counter({profile: len(paths) for profile, paths in files.items()})
    used = counts.most_common(_MOST_COMPARED)
    for profile, paths in files.items():
        for other, count in used:
            if count < _FAR_FEWER * len(paths):
                break
            allowed = 1 if min(len(profile), len(other)) < 5 else 2
            if 0 < distance(profile, other) <= allowed and _letters(
                profile
            ) != _letters(other):
                text = f"profile {profile} has {_files(len(paths))}: is {other} meant, "
                text += f"which has {count}?"
                yield from (
                    Problem(Place(path), text, is_error=False) for path in paths
                )
                break


def _letters(name: str) -> str:
    return re.sub(r"\d+", "", name)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def distance(one: str, other: str, most: int = 3) -> int:
    """How many letters are wrong, missing, too many or swapped; at most *most*."""
    if abs(len(one) - len(other)) >= most:
        return most
    before: list[int] = []
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one):
        last, before, row = before, row, [index + 1]
        for at, wanted in enumerate(other):
            cost = min(before[at] + (letter != wanted), before[at + 1] + 1, row[at] + 1)
            swapped = (
                index and at and letter == other[at - 1] and one[index - 1] == wanted
            )
            row.append(min(cost, last[at - 1] + 1) if swapped else cost)
    return min(row[-1], most)
