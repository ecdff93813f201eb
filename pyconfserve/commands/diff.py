"""`diff`: in which keys two states of a configuration differ, without their values.

Both are whole answers, merged into flat keys, as they are stored: a `{cipher}` text is
compared and shown as such.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..client.configuration import Change, compare
from ..environment.overlay import Lookup, PropertySource
from ..errors import ConfigError, ConfigNotFound, SettingsError
from ..past import COMMIT, AnsweringPast, past_of
from ..server import ConfigServer
from .output import write
from .stores import add_flags, opened, shown

__all__ = ["run"]

_TROUBLE = 2  # as diff(1) has it: 0 the same, 1 different, 2 trouble
_MASK = "***"


class _Side(NamedTuple):
    """One of the two: a profile, and a label or a commit, None for the default one."""

    profile: str
    label: str | None

    def __str__(self) -> str:
        return shown(self.profile if self.label is None else "@".join((*self,)))  # type: ignore[arg-type]


def run(arguments: Sequence[str]) -> int:
    """Print the differences; gives 0 for none, 1 for some, 2 for trouble.

    Trouble is said on standard error: 1 would mean that something differs.
    """
    flags = _parser().parse_intermixed_args(arguments)
    try:
        sides = _sides(flags)
        change = asyncio.run(_compared(flags, *sides))
        if flags.json:
            status = write(_json(flags, sides, change))
        else:
            status = write(_text(sides, change, is_open=flags.show_values))
    except ConfigError as error:
        print(f"pyconfserve: error: {error.in_full}", file=sys.stderr)
        return _TROUBLE
    return status or (0 if change is None else 1)


def _parser() -> argparse.ArgumentParser:
    name = "python -m pyconfserve diff"
    parser = argparse.ArgumentParser(
        prog=name,
        usage=f"{name} ROOT APPLICATION PROFILE FROM TO [options]\n"
        f"       {name} ROOT APPLICATION --profiles A B [LABEL] [options]",
        description="Print which keys of an application's configuration differ "
        "between two labels or commits, or between two profiles.",
        epilog="The exit status is 0 where both are the same, 1 where they differ, 2 "
        "for trouble. A commit is its full id. Values are not decrypted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("root", metavar="ROOT", help="what is served, as for serve")
    add("application", metavar="APPLICATION")
    add("names", nargs="*", metavar="PROFILE FROM TO")
    add("--profiles", nargs=2, metavar=("A", "B"), help="compare two profiles")
    add("--show-values", action="store_true", help="show values instead of ***")
    add("--json", action="store_true", help="one document, for programs")
    add_flags(parser)
    return parser


def _sides(flags: argparse.Namespace) -> tuple[_Side, _Side]:
    names = flags.names
    if flags.profiles is None:
        if len(names) != 3:
            raise SettingsError("expected PROFILE FROM TO, or --profiles A B")
        return _Side(names[0], names[1]), _Side(names[0], names[2])
    if len(names) > 1:
        raise SettingsError("expected one LABEL at most with --profiles A B")
    label = names[0] if names else None
    return _Side(flags.profiles[0], label), _Side(flags.profiles[1], label)


async def _compared(flags: argparse.Namespace, old: _Side, new: _Side) -> Change | None:
    async with opened(flags) as server:
        before = await _merged(server, flags.application, old)
        after = await _merged(server, flags.application, new)
    if before is None and after is None:
        raise ConfigNotFound(
            f"nothing is stored for {flags.application}, neither {old} nor {new}"
        )
    return compare(before or {}, after or {})


async def _merged(
    server: ConfigServer, application: str, side: _Side
) -> dict[str, Any] | None:
    """The answer as flat keys, None for one without sources.

    Raises ConfigNotFound with the label or commit that is unknown.
    """
    lookup = server.lookup(application, side.profile, side.label)
    try:
        environment, _ = await server.environment(lookup)
        sources = environment.sources or await _then(server, lookup, side.label)
    except ConfigNotFound as error:
        raise ConfigNotFound(f"{side}: {error}") from error
    if not sources:
        return None
    merged: dict[str, Any] = {}
    for source in reversed(sources):
        merged |= source.properties
    return merged


async def _then(
    server: ConfigServer, lookup: Lookup, label: str | None
) -> Sequence[PropertySource]:
    """What there was at a commit that is no label; nothing for any other text.

    Raises ConfigNotFound for an unknown one: what nobody can tell is not nothing.
    """
    if label is None or not COMMIT.fullmatch(label):
        return ()
    if any(one.label == label for one in await server.backend.list()):
        return ()
    past = past_of(server.backend)
    if not isinstance(past, AnsweringPast):  # git's: a commit is a label there
        return ()
    return await past.answer_at(lookup, label)


def _text(sides: tuple[_Side, _Side], change: Change | None, *, is_open: bool) -> str:
    if change is None:
        return ""

    def said(value: object) -> str:
        return json.dumps(value, ensure_ascii=True) if is_open else _MASK

    lines = {key: f"- {shown(key)}: {said(old)}" for key, old in change.removed.items()}
    lines |= {key: f"+ {shown(key)}: {said(new)}" for key, new in change.added.items()}
    for key, (old, new) in change.changed.items():
        values = f"{said(old)} -> {said(new)}" if is_open else _MASK
        lines[key] = f"~ {shown(key)}: {values}"
    head = [f"--- {sides[0]}", f"+++ {sides[1]}"]
    return "".join(f"{line}\n" for line in [*head, *(lines[k] for k in sorted(lines))])


def _json(
    flags: argparse.Namespace, sides: tuple[_Side, _Side], change: Change | None
) -> str:
    def said(value: object) -> object:
        return value if flags.show_values else _MASK

    def all_said(values: Mapping[str, Any]) -> dict[str, object]:
        return {key: said(value) for key, value in sorted(values.items())}

    change = change or Change({}, {}, {})
    document = {
        "name": flags.application,
        "from": sides[0]._asdict(),
        "to": sides[1]._asdict(),
        "added": all_said(change.added),
        "removed": all_said(change.removed),
        "changed": {
            key: {"from": said(old), "to": said(new)}
            for key, (old, new) in sorted(change.changed.items())
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
