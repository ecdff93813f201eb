"""What Consul says when something went wrong, in errors of the package.

It says so in plain text, and with 409 for a transaction that was refused for whatever
reason. This module does no input or output.
"""

from __future__ import annotations

from ..errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    ValueTooLarge,
)
from ..http.messages import Response
from .json_answers import Problem, meaning_of

__all__ = ["HIDDEN", "STRANGE", "TOO_MUCH", "problem_of"]

STRANGE = Problem(BackendMisconfigured, "it does not answer as Consul's KV store")
TOO_MUCH = Problem(BackendMisconfigured, "there is more than 64 MiB below the prefix")
HIDDEN = Problem(
    BackendDenied,
    "the token may not read all below the prefix: it needs key_prefix, policy read",
)
_NO_TOKEN = Problem(BackendDenied, "it wants a token")
_UNKNOWN = Problem(BackendDenied, "it does not know the token")
_NO_RIGHT = Problem(BackendDenied, "the token has no right to it")
_TOO_LARGE = Problem(ValueTooLarge, "it is too large")
_NO_LEADER = Problem(BackendUnavailable, "it has no leader")
_BUSY = Problem(BackendUnavailable, "it is asked too often")
_LOST = Problem(BackendUnavailable, "its servers do not answer")
_DATACENTER = Problem(BackendMisconfigured, "it knows no such datacenter")
_TLS = Problem(BackendMisconfigured, "it speaks TLS: its address begins with consuls:")
_REFUSED = b"Permission denied"
# A status and words of Consul, the first that fits.
_MEANINGS = (
    (400, b"HTTP request to an HTTPS server", _TLS),
    (403, b"anonymous token", _NO_TOKEN),
    (403, _REFUSED, _NO_RIGHT),
    (403, b"ACL not found", _UNKNOWN),
    (403, b"", _NO_RIGHT),
    (409, _REFUSED, _NO_RIGHT),
    (413, b"", _TOO_LARGE),
    (429, b"", _BUSY),
    (500, b"No cluster leader", _NO_LEADER),
    (500, b"rate limit", _BUSY),
    (500, b"rpc error", _LOST),
    (500, b"No path to datacenter", _DATACENTER),
)


def problem_of(response: Response) -> Problem | None:
    """What an answer says that went wrong; None for 200, 404 and a conflict."""
    status = response.status
    problem = meaning_of(_MEANINGS, status, response.body)
    if problem is not None or status in (200, 404, 409):
        return problem
    kind = BackendUnavailable if status >= 500 else BackendMisconfigured
    return Problem(kind, f"it answered {status}")
