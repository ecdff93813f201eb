"""`rollback`: a bundle as it was at a commit, saved as a new one.

In a clone the files come back to the byte. Through a server it is a save like any
other, under the condition that nobody else saves meanwhile: the values come back, and
comments do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import Any

from ..errors import (
    ConfigNotFound,
    Conflict,
    InvalidRequest,
    ReadOnlyBackend,
)
from ..past import COMMIT, past_of
from .output import write
from .stores import (
    add_flags,
    add_server_flags,
    check_flags,
    is_url,
    opened,
    parsed,
    refused,
    send,
    shown,
)

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Make the commit and say so.

    Raises SettingsError for how it was called, ConfigNotFound for a store without a
    history, an unknown label or commit, and a bundle that was not there then; Conflict
    for a label that is no branch, ReadOnlyBackend, BackendError; FetchError for what a
    server refuses.
    """
    flags = _parser().parse_args(arguments)
    check_flags(flags)
    if not COMMIT.fullmatch(flags.commit):
        raise InvalidRequest("commit", "expected the full id of a commit")
    if is_url(flags.root):
        made, is_new = None, _put(flags)
    else:
        made = asyncio.run(_restore(flags))
        is_new = made is not None
    document = {
        "application": flags.application,
        "profile": flags.profile,
        "label": flags.label,
        "from": flags.commit,
        "saved": is_new,
        "commit": made,
    }
    return write(_json(document) if flags.json else _text(document))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pyconfserve rollback",
        description="Save one bundle as it was at a commit: a new commit on a branch, "
        "in the clone that a server keeps, or through the server. Like any save it is "
        "not pushed.",
        epilog="COMMIT is a full id, as history prints it. Credentials for a server: "
        "CONFIG_CLIENT_USERNAME and CONFIG_CLIENT_PASSWORD.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("root", metavar="ROOT|URL", help="a repository or a store, or a server")
    add("application", metavar="APPLICATION")
    add("profile", metavar="PROFILE")
    add("label", metavar="LABEL", help="a branch, in a store any")
    add("commit", metavar="COMMIT")
    add("--json", action="store_true", help="one document, for programs")
    add_flags(parser)
    add_server_flags(parser)
    return parser


async def _restore(flags: argparse.Namespace) -> str | None:
    """The id of the new commit, None where nothing had to change."""
    async with opened(flags, saves=True) as server:
        past = past_of(server.backend)
        if server.is_read_only:
            raise ReadOnlyBackend("these settings say read-only")
        asked = flags.application, flags.profile, flags.label
        try:
            return await past.restore(*asked, flags.commit)
        except (ConfigNotFound, Conflict) as error:
            raise type(error)(f"{shown(flags.label)}: {error}") from error


def _put(flags: argparse.Namespace) -> bool:
    """Save by a server what it says was there; gives whether that was needed."""
    names = [flags.application, flags.profile, flags.label]
    then = send(flags, "GET", ["_history", *names, flags.commit])
    now = send(flags, "GET", ["_bundle", *names])
    if then.status != 200:
        raise refused(flags, then)
    if now.status not in (200, 404):
        raise refused(flags, now)
    if now.status == 200 and _same(parsed(now), parsed(then)):
        return False
    etag = next((text for name, text in now.headers if name.lower() == "etag"), None)
    condition = {"if-none-match": "*"} if etag is None else {"if-match": etag}
    headers = {"content-type": "application/json", **condition}
    done = send(flags, "PUT", ["_bundle", *names], headers=headers, body=then.body)
    if done.status not in (200, 201):
        raise refused(flags, done)
    return True


def _same(one: Any, other: Any) -> bool:
    """Whether two documents are the same, types too: 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _text(document: dict[str, Any]) -> str:
    names = f"{document['application']}/{document['profile']} on {document['label']}"
    end = "" if document["saved"] else " already"
    commit = f": commit {document['commit']}" if document["commit"] else ""
    return f"{shown(names)} is as it was at {document['from']}{end}{commit}\n"
