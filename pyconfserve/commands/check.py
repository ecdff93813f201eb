"""`check`: what is wrong with a folder of configuration, for people and for CI."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..addresses import no_folder
from ..checking.check import Rules, check
from ..checking.inventory import Listed, list_root
from ..checking.problems import Problem
from ..checking.schemas import Schema
from ..environment.overlay import OWN, SPRING
from ..errors import SettingsError
from ..locations import Place, split_pattern
from ..roots import settings_of
from .output import write
from .progress import Bar

__all__ = ["FORMATS", "run"]

_OF_FOLDERS = (
    *("search_location", "ignore", "ignore_placeholder"),
    *("label", "spring", "strict"),
)


def run(arguments: Sequence[str]) -> int:
    """Print what is wrong; gives 1 where an error is, 0 for warnings unless strict.

    With --race it prints what became of a race at a bucket of S3 instead. Raises
    SettingsError for how it was called, MissingDependency for a schema without its
    library, ConfigError for output that cannot be written, BackendError of a bucket.
    """
    options = _parser().parse_args(arguments)
    if options.race:
        return _race(options)
    places, problems = _places(options)
    dialect = SPRING if options.spring else OWN
    rules = Rules(
        dialect,
        options.label or dialect.default_label,
        _make_schema,
        options.ignore,
        options.ignore_placeholder,
    )
    progress = Bar("files")
    try:
        count, found = check(places, rules, progress.show)
    finally:
        progress.clear()
    every = sorted({*problems, *found})
    closed = write(FORMATS[options.format](every))
    if closed:
        return closed
    errors = sum(problem.is_error for problem in every)
    print(f"pyconfserve: {_summary(count, errors, len(every))}", file=sys.stderr)
    return 1 if errors or (options.strict and every) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve check",
        description="Find what is wrong with a folder of configuration.",
        epilog="It reads folders, a checkout of a repository too. A name in capitals "
        "in ${…} is the client's environment and no error. With --race, ROOT is "
        "s3://BUCKET/PREFIX: 8 writers count up one object there, 20 times each, and "
        "remove it; the exit status is 0 where no count is lost. The endpoint and the "
        "keys are settings, in the environment or in the --settings file.",
        allow_abbrev=False,
    )
    parser.add_argument("root", nargs="?", metavar="ROOT", help="the folder to check")
    for flag, metavar, text in (
        ("--search-location", "FOLDER", "in the place of ROOT; may be repeated"),
        ("--ignore", "PATTERN", "say nothing of files of this name or path"),
        ("--ignore-placeholder", "PATTERN", "names that the client fills in"),
    ):
        parser.add_argument(
            flag, action="append", default=[], metavar=metavar, help=text
        )
    parser.add_argument("--label", metavar="LABEL", help="the default label")
    parser.add_argument(
        "--spring", action="store_true", help="by the rules of Spring Cloud Config"
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit status 1 for warnings too"
    )
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument(
        "--race",
        action="store_true",
        help="tell whether the S3 at ROOT keeps the promise of If-Match",
    )
    parser.add_argument("--settings", metavar="FILE", help="of a race: a server's")
    return parser


def _race(options: argparse.Namespace) -> int:
    """What run_race gives; raises SettingsError for flags that say nothing to it."""
    given = {name: getattr(options, name) for name in _OF_FOLDERS}
    if any(given.values()) or options.format != "text":
        raise SettingsError("--race is told no more than ROOT and --settings")
    if not options.root:
        raise SettingsError(
            "say what to race: python -m pyconfserve check s3://BUCKET --race"
        )
    from .race import run_race

    return run_race(options.root, options.settings)


def _places(options: argparse.Namespace) -> tuple[list[Place], list[Problem]]:
    """The places to look in, listed; raises SettingsError for what is no folder."""
    if options.settings:
        raise SettingsError("--settings is for --race")
    given = options.search_location or ([options.root] if options.root else [])
    if not given:
        raise SettingsError("say what to check: python -m pyconfserve check ROOT")
    trees: dict[str, Listed] = {}
    places: list[Place] = []
    problems: list[Problem] = []
    for text in given:
        # As Spring's own settings write a folder; without the flag it is a repository.
        location = text.removeprefix("file:") if options.spring else text
        if "root" not in settings_of(location):
            raise SettingsError("check reads folders: give it a checkout instead")
        root, pattern = split_pattern(location)
        if root not in trees:
            if not os.path.isdir(root or "."):
                raise SettingsError(no_folder(root))
            trees[root], found = list_root(root or ".")
            problems += found
        places.append(Place(trees[root], pattern))
    return places, problems


def _make_schema(schema: Mapping[str, Any]) -> Schema:
    from ..adapters.jsonschema import JsonSchema

    return JsonSchema(schema)


def _summary(files: int, errors: int, problems: int) -> str:
    counted = "1 file" if files == 1 else f"{files} files"
    if not problems:
        return f"{counted}, no problems"
    warnings = problems - errors
    parts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return f"{counted}, {' and '.join(parts)}"


def _severity(problem: Problem) -> str:
    return "error" if problem.is_error else "warning"


def _printable(text: str) -> str:
    """*text* without what a terminal or a line would obey."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode()
        for one in text
    )


def _text(problems: Iterable[Problem]) -> str:
    return "".join(
        f"{_printable(f'{problem.place}: {_severity(problem)}: {problem.text}')}\n"
        for problem in problems
    )


def _json(problems: Iterable[Problem]) -> str:
    content = [
        {
            **problem.place._asdict(),
            "severity": _severity(problem),
            "text": problem.text,
        }
        for problem in problems
    ]
    return json.dumps({"problems": content}, indent=2) + "\n"


def _github(problems: Iterable[Problem]) -> str:
    """Workflow commands, which show each problem beside its line."""
    lines = []
    for problem in problems:
        place = problem.place
        path = _escaped(place.path).replace(":", "%3A").replace(",", "%2C")
        where = f"file={path},line={place.line},col={place.column}"
        lines.append(f"::{_severity(problem)} {where}::{_escaped(problem.text)}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return _printable(
        text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    )


FORMATS: dict[str, Callable[[Iterable[Problem]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}
