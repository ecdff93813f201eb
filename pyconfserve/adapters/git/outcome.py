"""How a git process ended, and what a failure means.

What git writes to its standard error may quote URLs with credentials and is never
handed on: a failure is named by the table below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    StorageFull,
)
from .mistakes import SERIOUS

__all__ = ["Outcome", "closed", "damaged"]

_DAMAGE = re.compile(
    r"missing (object|commit|tree|blob) |bad object |unable to (read|find) [0-9a-f]{40}"
    r"|did not send all necessary objects|unable to parse object"
)
_FSCK = re.compile(r"object [0-9a-f]{40,64}: (?:fsck error: )?([A-Za-z0-9]+)")

_AWAY, _WRONG = BackendUnavailable, BackendMisconfigured
# What git says, the first that fits; what kind of error it is; what we say.
_REASONS: Sequence[tuple[str, type[BackendError], str]] = (
    (r"No space left on device|Disk quota", StorageFull, "no room is left"),
    (r"Could not resolve host|Name or service not known",
     _AWAY, "its host is not known"),
    (r"Connection refused|Failed to connect|Couldn't connect",
     _AWAY, "the connection was refused"),
    (r"No route to host|Network is unreachable", _AWAY, "its host cannot be reached"),
    (r"error: 30\d", _WRONG, "it moved: credentials are not sent to where it leads"),
    (r"timed out|Operation too slow|Timeout", _AWAY, "it did not answer in time"),
    (r"Host key verification", _WRONG, "its host key is not known"),
    (r"Authentication failed|could not read (Username|Password)|Permission denied \("
     r"|error: 40[13]|Access denied|HTTP Basic", _WRONG, "authentication failed"),
    (r"insufficient permission|Unable to create|Read-only file system",
     _AWAY, "its clone is read-only"),
    (r"dubious ownership", _WRONG, "another user owns it"),
    (r"not allowed|strange (host|path)name|blocked",
     _WRONG, "the protocol or the host's name is not allowed"),
    (r"certificate", _WRONG, "its certificate is not valid"),
    (r"SSL|TLS", _AWAY, "no encrypted connection could be made"),
    (r"does not appear to be a git|repository .* not found|not a git repository"
     r"|Repository not found|error: 404|access denied or repository not exported",
     _WRONG, "there is no such repository"),
    (r"fsck error|inflate|bad (object|tree)|corrupt|missing (blob|tree|commit)",
     _AWAY, "an object is corrupt"),
    (r"early EOF|hung up|disconnect|reset by peer|Empty reply|RPC failed|index-pack",
     _AWAY, "the connection broke off"),
    (r"error: (429|5\d\d)", _AWAY, "it answered with an error"),
    (r"error: \d\d\d", _WRONG, "it answered with an error"),
)  # fmt: skip


class Outcome(NamedTuple):
    """How a process ended; *errors* is for `reason` alone, as it may quote URLs."""

    code: int
    output: bytes
    errors: str

    @property
    def clashes(self) -> bool:
        """Whether a ref's name is in the way of another's, as `a` is of `a/b`."""
        return self.code != 0 and "; cannot create" in self.errors

    @property
    def has_other_ids(self) -> bool:
        """Whether origin has SHA-256 ids and the clone has not."""
        return self.code != 0 and "mismatched algorithms" in self.errors

    @property
    def is_damaged(self) -> bool:
        """Whether an object was missed that has to be there."""
        return self.code != 0 and bool(_DAMAGE.search(self.errors))

    def reason(self, what: str) -> BackendError:
        """The failure in our words.

        No word of git's own goes into it but the names of mistakes in objects.
        """
        refused = _FSCK.search(self.errors)
        if refused and refused[1] in SERIOUS:
            return BackendUnavailable(f"{what}: an object has the mistake {refused[1]}")
        for pattern, kind, text in _REASONS:
            if re.search(pattern, self.errors):
                return kind(f"{what}: {text}")
        return BackendUnavailable(f"{what}: git failed with status {self.code}")


def damaged() -> BackendMisconfigured:
    """What is said when the clone lost objects that origin cannot bring back."""
    return BackendMisconfigured(
        "the clone-dir is damaged: mend or remove it, but saves lie in it"
    )


def closed() -> BackendUnavailable:
    """What is said by what was ended meanwhile."""
    return BackendUnavailable("the repository was closed")
