"""What etcd's JSON gateway says when something went wrong, in errors of the package.

It is known by gRPC's code and etcd's words, as statuses of HTTP differ between 3.4 and
3.6. This module does no input or output.
"""

from __future__ import annotations

from typing import Any

from ..errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
    ValueTooLarge,
)
from ..http.messages import Response
from .json_answers import Problem, meaning_of, parsed

__all__ = [
    "AWAY",
    "OLD_TOKEN",
    "opened",
    "refusal_of",
    "says_nothing",
]

AWAY = Problem(BackendUnavailable, "it has no leader, no quorum, or is about to end")
_TOO_LARGE = Problem(ValueTooLarge, "it is too large")
_NOBODY = Problem(BackendDenied, "it wants a user and a password")
_WRONG = Problem(BackendDenied, "the user or the password is wrong")
_NO_RIGHT = Problem(BackendDenied, "the user has no right to it")
_NO_LOGINS = Problem(BackendMisconfigured, "it knows no users: configure none")
_FULL = Problem(StorageFull, "its database is as large as it may be")
_COMPACTED = Problem(BackendUnavailable, "it was compacted meanwhile")
OLD_TOKEN = Problem(BackendDenied, "it does not know the token of the login")
_STRANGE = Problem(BackendMisconfigured, "it does not answer as etcd 3.4 or newer")
# The code of gRPC and words of etcd, the first that fits.
_MEANINGS = (
    (2, "deadline exceeded", AWAY),
    (3, "user name is empty", _NOBODY),
    (3, "authentication failed", _WRONG),
    (3, "revision of auth store is old", OLD_TOKEN),
    (3, "too large", _TOO_LARGE),
    (4, "", AWAY),
    (7, "", _NO_RIGHT),
    (8, "space exceeded", _FULL),
    (8, "larger than max", _TOO_LARGE),
    (9, "authentication is not enabled", _NO_LOGINS),
    (11, "compacted", _COMPACTED),
    (14, "", AWAY),
    (16, "", OLD_TOKEN),
)
_CODES = {"InvalidArgument": 3, "PermissionDenied": 7, "Unauthenticated": 16}


def opened(response: Response) -> tuple[dict[str, Any], Problem | None]:
    """The tree of an answer, and what it says that went wrong."""
    try:
        tree = parsed(response.body)
        if response.status == 200:
            return tree, None if "header" in tree else _STRANGE
        problem = meaning_of(_MEANINGS, int(tree["code"]), str(tree["message"]))
    except (ValueError, LookupError, TypeError):
        problem = None
    return {}, problem or _by_status(response.status)


def _by_status(status: int) -> Problem:
    """Who answers so may be a proxy."""
    if status == 413:
        return _TOO_LARGE
    if status >= 500 or status == 429:
        return Problem(BackendUnavailable, f"it answered {status}")
    if status in (200, 404):
        return _STRANGE
    return Problem(BackendMisconfigured, f"it answered {status}")


def says_nothing(line: bytes) -> bool:
    """Whether a line of a watch only says that it began, or goes on."""
    try:
        result = parsed(line)["result"]
        return "events" not in result and not result.get("canceled")
    except (ValueError, LookupError, TypeError, AttributeError):
        return False


def refusal_of(line: bytes) -> Problem | None:
    """Why a watch ended; None when events did it, or a compaction."""
    try:
        tree = parsed(line)
        reason = str(tree["result"].get("cancel_reason", ""))
    except ValueError:
        return None  # events, cut off
    except (LookupError, TypeError, AttributeError):
        return AWAY  # it says "error" instead
    if not reason:
        return None
    code = next((code for name, code in _CODES.items() if name in reason), 0)
    return meaning_of(_MEANINGS, code, reason) or AWAY
