"""Webhooks of git servers: whether a delivery is signed, and which applications it is
about.

Values in, values out: no I/O and no clock here. A delivery is verified first, over its
raw body, and only then read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ..environment.formats.json import read_tree
from ..environment.names import LONGEST_NAME
from ..errors import DocumentError, InvalidRequest, Unauthenticated, UnsupportedMedia
from .asked import content_type_of
from .messages import Request

__all__ = ["ALL_APPLICATIONS", "Replays", "applications_of", "verify"]

ALL_APPLICATIONS = "*"

_OLDEST = 3600  # seconds that a Gitee timestamp may be off: Gitee's own rule
_MILLISECONDS = re.compile(r"[0-9]{1,15}")
_MOST_DELIVERIES = 1024  # ids remembered: far more than a server sends while it retries
_MOST_FIELDS = 1000  # of a form
_MOST_NAMES = 4096  # in an answer, so that it stays near 1 MiB

_Headers = Mapping[str, str]
_Content = Mapping[str, Any]
_Paths = list[str] | None  # None where the next rule is asked


def verify(request: Request, secrets: Collection[str], *, now: float) -> None:
    """Return when the sender that this delivery claims to be has signed it with one of
    *secrets*; *now* is in seconds since 1970.

    Blank secrets match nothing, nor does a signature that stands there twice. Raises
    Unauthenticated.
    """
    sender = _claimed_sender(request.headers)
    if sender is None:
        raise Unauthenticated("a delivery is signed in the way of a known sender")
    given = request.headers.get(sender.signature, "")
    keys = [secret.encode("utf-8") for secret in secrets if secret.strip()]
    # Every secret is tried, so that the time taken does not tell which one fits.
    fits = [_is_equal(given, sender.sign(request, key, now)) for key in keys]
    if not any(fits) or ", " in given:
        raise Unauthenticated(f"{sender.signature} is not the signature expected")


def _claimed_sender(headers: _Headers) -> _Sender | None:
    """Who sends, by the name of its event, else by that of its signature."""
    claims = [sender for sender in _SENDERS if sender.event in headers]
    claims += [sender for sender in _SENDERS if sender.signature in headers]
    return claims[0] if claims else None


def _is_equal(given: str, expected: bytes) -> bool:
    """In constant time, whatever the lengths are; headers arrive as Latin-1."""
    found = given.encode("latin-1", "backslashreplace")
    return hmac.compare_digest(
        hashlib.sha256(found).digest(), hashlib.sha256(expected).digest()
    )


def _hex_of_body(request: Request, key: bytes, now: float) -> bytes:
    return hmac.digest(key, request.body, "sha256").hex().encode("ascii")


def _prefixed_hex_of_body(request: Request, key: bytes, now: float) -> bytes:
    return b"sha256=" + _hex_of_body(request, key, now)


def _secret_itself(request: Request, key: bytes, now: float) -> bytes:
    return key


def _base64_of_time(request: Request, key: bytes, now: float) -> bytes:
    """Gitee signs its clock and not the body, which is why the time is bounded."""
    stamp = request.headers.get("x-gitee-timestamp", "")
    is_stamp = _MILLISECONDS.fullmatch(stamp)
    if not is_stamp or abs(now * 1000 - int(stamp)) > _OLDEST * 1000:
        raise Unauthenticated("x-gitee-timestamp is not a time within one hour of now")
    signed = stamp.encode("ascii") + b"\n" + key
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


class _Sender(NamedTuple):
    """A kind of git server: its headers of event and signature, and the signature."""

    event: str
    signature: str
    sign: Callable[[Request, bytes, float], bytes]


# Forgejo, Gitea and Gogs also send the event headers of those they descend from, Gogs
# without a signature of GitHub's kind: the most particular claim comes first. GitHub's
# own X-Hub-Signature is SHA-1 and counts for nothing.
_SENDERS = (
    _Sender("x-forgejo-event", "x-forgejo-signature", _hex_of_body),
    _Sender("x-gitea-event", "x-gitea-signature", _hex_of_body),
    _Sender("x-gogs-event", "x-gogs-signature", _hex_of_body),
    _Sender("x-github-event", "x-hub-signature-256", _prefixed_hex_of_body),
    _Sender("x-event-key", "x-hub-signature", _prefixed_hex_of_body),  # Bitbucket
    _Sender("x-gitlab-event", "x-gitlab-token", _secret_itself),
    _Sender("x-git-oschina-event", "x-gitee-token", _base64_of_time),  # Gitee
)


# Those that stay the same when a delivery is sent again. X-Gitlab-Event-UUID is none of
# them: events that lead to one another share it.
_IDS = (
    "x-github-delivery",
    "x-forgejo-delivery",
    "x-gitea-delivery",
    "x-gogs-delivery",
    "x-request-uuid",  # Bitbucket Cloud
    "idempotency-key",  # GitLab
    "x-request-id",  # Bitbucket Server
)


class Replays:
    """The ids of the last *most* deliveries; the one unseen for longest goes first."""

    def __init__(self, *, most: int = _MOST_DELIVERIES) -> None:
        self._most = most
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def is_replay(self, request: Request) -> bool:
        """Whether this delivery was here before; from now on it was.

        For deliveries that are verified and read: a sender may repeat what was refused.
        One without an id is never a replay.
        """
        name = next((name for name in _IDS if request.headers.get(name)), None)
        if name is None:
            return False
        key = hashlib.sha256(f"{name}: {request.headers[name]}".encode()).digest()
        was_here = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return was_here


def applications_of(request: Request) -> list[str]:
    """The applications that a delivery is about, `*` being all of them.

    Each file gives its name without folders and last extension, then every prefix cut
    at a `-`: `a/b-c.yml` is `b-c`, `b` (measured: monitor/*). An event that is no push
    is about none. Raises InvalidRequest, and UnsupportedMedia for a body that is
    neither JSON nor a form.
    """
    found: dict[str, None] = {}
    for path in _paths_of(request.headers, _content(request)):
        found.update(dict.fromkeys(_names(path)))
        if len(found) > _MOST_NAMES:
            return [ALL_APPLICATIONS]
    return list(found)


def _names(path: str) -> list[str]:
    """The longest first; none for what is too long for a file, and an empty one for
    `.gitignore`, as in Spring.
    """
    file_name = path.replace("\\", "/").rpartition("/")[2]
    stem = file_name.rpartition(".")[0] if "." in file_name else file_name
    if len(stem) > LONGEST_NAME:
        return []
    parts = stem.split("-")
    names = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return [ALL_APPLICATIONS if name == "application" else name for name in names]


def _content(request: Request) -> dict[str, Any]:
    """The map in the body of a delivery; that of a form has a `path` only."""
    media_type = content_type_of(request)
    if media_type == "application/x-www-form-urlencoded":
        return {"path": _form_paths(request.body)}
    if re.fullmatch(r"application/(?:.+\+)?json", media_type):
        return _json_map(request.body)
    raise UnsupportedMedia("expected a body of application/json, or a form")


def _json_map(body: bytes) -> dict[str, Any]:
    try:
        return read_tree(body.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise InvalidRequest("body", "expected UTF-8") from error
    except DocumentError as error:
        place = f"line {error.line}, column {error.column}"
        raise InvalidRequest("body", f"{error.problem} at {place}") from error


def _form_paths(body: bytes) -> list[str]:
    """The items of every `path=a,b` of a form, not of a query: that is not signed."""
    try:
        fields = parse_qsl(
            body.decode("utf-8"), True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError as error:  # UnicodeDecodeError is one
        problem = f"expected a form of at most {_MOST_FIELDS} fields in UTF-8"
        raise InvalidRequest("body", problem) from error
    values = [value for name, value in fields if name == "path"]
    if not values and "payload" in dict(fields):  # GitHub's, which Spring never read
        raise UnsupportedMedia("expected a webhook with content type application/json")
    if not values:
        raise InvalidRequest("path", "expected a form with this field")
    return [item.strip() for value in values if value for item in value.split(",")]


def _paths_of(headers: _Headers, content: _Content) -> list[str]:
    """What the first row of the table finds that finds anything."""
    found = (find(headers, content) for find in _FINDERS)
    return next((paths for paths in found if paths is not None), [])


def _texts(field: str, value: Any) -> list[str]:
    """The texts of a list, in which null stands for none."""
    found = [] if value is None else value
    if isinstance(found, list) and all(isinstance(one, str | None) for one in found):
        return [one for one in found if one is not None]
    raise InvalidRequest(field, "expected a list of texts")


def _asked(headers: _Headers, content: _Content) -> _Paths:
    """The `path` of a delivery that someone wrote by hand."""
    value = content.get("path")
    if not isinstance(value, str | list):
        return None
    paths = [value] if isinstance(value, str) else _texts("path", value)
    if any("*" in path or ".." in path for path in paths):
        raise InvalidRequest("path", "expected the path of a file, without '*' or '..'")
    return paths


def _pushed(event: str, push: str, headers: _Headers, content: _Content) -> _Paths:
    """The files of all commits, in their order; None when there are none."""
    commits = content.get("commits")
    if headers.get(event) != push or not isinstance(commits, list):
        return None
    return [path for commit in commits for path in _committed(commit)] or None


def _committed(commit: Any) -> Iterable[str]:
    if not isinstance(commit, dict):
        raise InvalidRequest("commits", "expected a list of maps")
    for change in ("added", "removed", "modified"):
        yield from _texts(change, commit.get(change))


def _gitea(headers: _Headers, content: _Content) -> _Paths:
    """All, as Spring has it from the days when Gitea did not name the files."""
    events = (headers.get("x-gitea-event"), headers.get("x-forgejo-event"))
    is_push = "push" in events and isinstance(content.get("commits"), list)
    return ["application"] if is_push else None


# Bitbucket's events, Cloud's and then Server's, with the header that comes along.
_BITBUCKET = {
    "repo:push": "x-hook-uuid",
    "pullrequest:fulfilled": "x-hook-uuid",
    "repo:refs_changed": "x-request-id",
    "pr:merged": "x-request-id",
}


def _bitbucket(headers: _Headers, content: _Content) -> _Paths:
    """All, as Bitbucket does not name the files."""
    event = headers.get("x-event-key", "")
    sender = _BITBUCKET.get(event, "")
    push = content.get("push") if sender == "x-hook-uuid" else content
    has_changes = isinstance(push, dict) and isinstance(push.get("changes"), list)
    is_push = has_changes or event == "pr:merged"
    return ["application"] if headers.get(sender) and is_push else None


# In Spring's order: a `path` comes before all senders but GitHub.
_FINDERS: tuple[Callable[[_Headers, _Content], _Paths], ...] = (
    partial(_pushed, "x-github-event", "push"),
    _asked,
    partial(_pushed, "x-gitlab-event", "Push Hook"),
    _bitbucket,
    _gitea,
    partial(_pushed, "x-git-oschina-event", "Push Hook"),
    partial(_pushed, "x-gogs-event", "push"),
)
