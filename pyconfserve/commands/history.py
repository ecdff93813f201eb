"""`history`: which commits changed the configuration of an application."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from ..errors import ConfigNotFound, FetchError
from ..past import MOST_COMMITS, USUAL_COMMITS, past_of
from .output import write
from .stores import (
    add_flags,
    add_server_flags,
    ask_server,
    check_flags,
    is_url,
    opened,
    shown,
)

__all__ = ["run"]

_MOST = f"at most {MOST_COMMITS}, and {USUAL_COMMITS} without it"


def run(arguments: Sequence[str]) -> int:
    """Print the commits, newest first.

    Raises SettingsError for how it was called, ConfigNotFound for a store without a
    history and for an unknown label or commit, FetchError, BackendError.
    """
    flags = _parser().parse_intermixed_args(arguments)
    check_flags(flags)
    found = _asked(flags) if is_url(flags.root) else asyncio.run(_read(flags))
    commits = found["commits"]
    status = write(_json(found) if flags.json else "".join(map(_text, commits)))
    if not flags.json and not commits:
        names = f"{flags.application}/{flags.profile}"
        print(f"pyconfserve: no commit has changed {names}", file=sys.stderr)
    elif not flags.json and found["next"]:
        print(f"pyconfserve: for more: --before {found['next']}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve history",
        description="Print the commits that changed the configuration of an "
        "application, newest first; no values.",
        epilog="ROOT is as for serve; http:// and https:// are servers, and "
        "git+https:// a repository. Credentials for a server: CONFIG_CLIENT_USERNAME "
        "and CONFIG_CLIENT_PASSWORD.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("root", metavar="ROOT|URL")
    add("application", metavar="APPLICATION")
    add("profile", nargs="?", metavar="PROFILE", default="default")
    add("label", nargs="?", metavar="LABEL")
    add("--limit", metavar="N", type=_limit, default=USUAL_COMMITS, help=_MOST)
    add("--before", metavar="COMMIT", help="those behind this one")
    add("--json", action="store_true", help="one document, for programs")
    add_flags(parser)
    add_server_flags(parser)
    return parser


def _limit(text: str) -> int:
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= MOST_COMMITS:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected 1 to {MOST_COMMITS}")


async def _read(flags: argparse.Namespace) -> dict[str, Any]:
    """What /_history would answer for the store at ROOT."""
    async with opened(flags) as server:
        past = past_of(server.backend)
        lookup = server.lookup(flags.application, flags.profile, flags.label)
        try:
            found = await past.history(lookup, flags.limit, flags.before)
        except ConfigNotFound as error:
            raise ConfigNotFound(f"{lookup.label or lookup.name}: {error}") from error
    return {
        "name": lookup.name,
        "profiles": list(lookup.profiles),
        "label": lookup.label,
        "commits": [commit.as_dict() for commit in found.commits],
        "next": found.next,
    }


def _asked(flags: argparse.Namespace) -> dict[str, Any]:
    label = [] if flags.label is None else [flags.label]
    before = {} if flags.before is None else {"before": flags.before}
    found = ask_server(
        flags,
        ["_history", flags.application, flags.profile, *label],
        urlencode({"limit": flags.limit, **before}),
    )
    if not isinstance(found, dict) or not {"commits", "next"} <= found.keys():
        raise FetchError(flags.root, "what it answered is no history", 200)
    return found


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _text(commit: Mapping[str, Any]) -> str:
    """A line for the commit, and one for each file."""
    head = " ".join(shown(commit[name]) for name in ("commit", "time", "author"))
    files = "".join(f"    {shown(file)}\n" for file in commit["files"])
    return f"{head}: {shown(commit['message'])}\n{files}"
