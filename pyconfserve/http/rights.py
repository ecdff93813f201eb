"""The names of what somebody may do."""

from __future__ import annotations

__all__ = [
    "ALL_RIGHTS",
    "DECRYPT",
    "ENCRYPT",
    "LIST",
    "MONITOR",
    "READ",
    "READ_ONLY_RIGHTS",
    "WRITE",
]

READ, WRITE, LIST, MONITOR = "read", "write", "list", "monitor"
ENCRYPT, DECRYPT = "encrypt", "decrypt"
ALL_RIGHTS = frozenset({READ, WRITE, LIST, MONITOR, ENCRYPT, DECRYPT})
READ_ONLY_RIGHTS = frozenset({READ, MONITOR})  # a webhook brings its own signature
