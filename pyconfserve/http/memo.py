"""Heads that were parsed before: parsing is a pure function of them.

Credentials are never kept. A head with an Authorization is remembered without that
line, which is put back into what is found: the sender is looked at each time.
"""

from __future__ import annotations

import re

from .grammar import LONGEST_LINE, MOST_HEADERS
from .messages import Request

__all__ = ["HeadMemo"]

_OVERHEAD = 1100  # bytes of a parsed request, and of what it means, beside its head
_HEADER = 96  # and of each header
_LARGEST_HEAD = 2 * 1024  # bytes of a head that is remembered
_LARGEST = 16 * 1024 * 1024  # bytes of all of them: ten thousand applications
_NAMES = (b"\r\nAuthorization: ", b"\r\nauthorization: ")
_VALUE = re.compile(rb"[!-~]+(?: [!-~]+)*")


class HeadMemo:
    """Requests without a body by their heads, within *limit* bytes."""

    def __init__(self, limit: int = _LARGEST) -> None:
        self._limit = limit
        self._size = 0
        self._requests: dict[bytes, Request] = {}

    def get(self, head: bytes) -> Request | None:
        """The request of exactly these bytes, None when it is not remembered."""
        request = self._requests.get(head)
        if request is not None or len(head) > LONGEST_LINE:
            return request
        bare, authorization = _without_credentials(head)
        request = self._requests.get(bare) if authorization else None
        if request is None:
            return None
        headers = {**request.headers, "authorization": authorization}
        fields = (*request[:3], headers, *request[4:])  # made sooner than by _replace
        return Request._make(fields)

    def keep(self, head: bytes, request: Request) -> None:
        """Remember *head* if it may be; all is forgotten when the memo is full."""
        if "authorization" in request.headers:
            head, authorization = _without_credentials(head)
            headers = {**request.headers}
            if not authorization or headers.pop("authorization") != authorization:
                return
            request = request._replace(headers=headers)
        if not _may_be_kept(head, request) or head in self._requests:
            return
        size = len(head) + _OVERHEAD + _HEADER * len(request.headers)
        if self._size + size > self._limit:
            self._requests.clear()
            self._size = 0
        self._requests[head] = request
        self._size += size


def _may_be_kept(head: bytes, request: Request) -> bool:
    return (
        len(head) <= _LARGEST_HEAD
        and request.method in ("GET", "HEAD")
        and "x-config-token" not in request.headers
        and head.count(b"\n") - 2 < MOST_HEADERS  # one more may be put back
    )


def _without_credentials(head: bytes) -> tuple[bytes, str]:
    """*head* without its first Authorization line, and the value of that.

    The value is empty for a line that is none or is not of one simple form. A blank
    line is the end of a head: what comes after one is no line of it.
    """
    for name in _NAMES:
        start = head.find(name)
        if start < 0 or head.endswith(b"\r\n", 0, start):
            continue
        end = head.find(b"\r\n", start + len(name))
        value = head[start + len(name) : end]
        if end > 0 and _VALUE.fullmatch(value):
            return head[:start] + head[end:], value.decode("ascii")
    return head, ""
