"""What Vault and OpenBao say when something went wrong, in errors of the package.

A refusal has no code: it is known by its status and their words, which are never
repeated. This module does no input or output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnavailable,
    ValueTooLarge,
    VersionConflict,
)
from ..http.messages import Response
from .json_answers import Problem, meaning_of, parsed

__all__ = [
    "CONFLICT",
    "DENIED",
    "IGNORES_NAMESPACES",
    "LATE",
    "NO_TOKEN",
    "STRANGE",
    "WRONG_LOGIN",
    "WRONG_TOKEN",
    "map_of",
    "opened",
    "version_problem",
]

CONFLICT = Problem(VersionConflict, "it was changed meanwhile")
DENIED = Problem(BackendDenied, "the token has no right to it")
NO_TOKEN = Problem(BackendDenied, "it wants a token")
WRONG_TOKEN = Problem(BackendDenied, "the token is wrong, expired or revoked")
WRONG_LOGIN = Problem(BackendDenied, "the role or its secret is wrong")
LATE = Problem(BackendTimeout, "its answers take too long")
STRANGE = Problem(BackendMisconfigured, "it does not answer as Vault does")
IGNORES_NAMESPACES = Problem(
    BackendMisconfigured, "it ignores namespaces: configure none"
)
_NO_NAMESPACE = Problem(BackendMisconfigured, "it has no such namespace")
_NO_MOUNT = Problem(BackendMisconfigured, "nothing is mounted there, or not yet")
_NO_CAS = Problem(BackendMisconfigured, "it wants a check-and-set for this key")
_UPGRADING = Problem(BackendUnavailable, "the mount is being upgraded")
_TOO_LARGE = Problem(ValueTooLarge, "it is too large")
_SEALED = Problem(BackendUnavailable, "it is sealed")
_NEW = Problem(BackendUnavailable, "it is not initialized")
_STANDBY = Problem(BackendUnavailable, "it is a standby: ask the active one")
_BUSY = Problem(BackendUnavailable, "it is a standby, or takes no more requests now")
# A status and words of Vault's, the first that fits.
_MEANINGS = (
    (400, "did not match the current version", CONFLICT),
    (400, "check-and-set parameter required", _NO_CAS),
    (400, "pgrading", _UPGRADING),
    (400, "invalid role or secret id", WRONG_LOGIN),
    (403, "", DENIED),
    (404, "no handler for route", _NO_MOUNT),
    (404, "namespace not found", _NO_NAMESPACE),
    (413, "", _TOO_LARGE),
    (429, "", _BUSY),
    (472, "", _STANDBY),
    (473, "", _STANDBY),
    (500, "too large", _TOO_LARGE),
    (500, "exceeds allowed length", _TOO_LARGE),
    (501, "", _NEW),
    (503, "sealed", _SEALED),
)  # fmt: skip
_MEANT_FOR_V2 = "Invalid path for a versioned"


def version_problem(mount: str, expected: int) -> Problem:
    """What is wrong with a mount of another version of KV than *expected*."""
    other = 3 - expected
    problem = f"the mount {mount} is of KV version {other}, expected {expected}"
    return Problem(BackendMisconfigured, problem)


def opened(response: Response, mount: str) -> tuple[dict[str, Any], Problem | None]:
    """The tree of an answer, and what it says that went wrong.

    What is missing is an empty tree; what was deleted has `data` with its metadata.
    """
    tree = _tree(response)
    if response.status == 204:
        return {}, None
    if response.status == 200:
        return (tree, None) if tree else ({}, STRANGE)
    problem = _meaning(response.status, tree or {})
    if problem is not None:
        return {}, problem
    if response.status != 404:
        return {}, _by_status(response.status)
    if tree is None:
        return {}, STRANGE
    return _missing(tree, mount)


def _missing(
    tree: Mapping[str, Any], mount: str
) -> tuple[dict[str, Any], Problem | None]:
    """The four meanings of 404, those with words of their own left out."""
    if _MEANT_FOR_V2 in str(tree.get("warnings")):
        return {}, version_problem(mount, 1)
    if isinstance(tree.get("data"), dict):
        return dict(tree), None
    return ({}, None) if tree.get("errors") == [] else ({}, STRANGE)


def map_of(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The map that a tree has under *name*, empty for anything else."""
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _tree(response: Response) -> dict[str, Any] | None:
    try:
        tree = parsed(response.body)
    except ValueError:
        return None
    return tree if isinstance(tree, dict) else None


def _meaning(status: int, tree: Mapping[str, Any]) -> Problem | None:
    errors = tree.get("errors")
    said = " ".join(map(str, errors)) if isinstance(errors, list) else ""
    return meaning_of(_MEANINGS, status, said.lower())


def _by_status(status: int) -> Problem:
    """Who answers so may be a proxy; a standby sends who asks to the active one."""
    if status in (301, 302, 307, 308):
        return _STANDBY
    if status == 412 or status >= 500:
        return Problem(BackendUnavailable, f"it answered {status}")
    return Problem(BackendMisconfigured, f"it answered {status}")
