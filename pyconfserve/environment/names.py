"""The one validator of applications, profiles, labels and paths.

Every route and every backend asks here, and nothing else decides what a name may be:
each of Spring Cloud Config's traversal advisories was the parameter or the route that
the fix before had missed. A raw target is split on `/` first, each segment is decoded
once as strict UTF-8, and only then judged (design: names).

Names come out canonical: `(_)` stands for `/` on the way in and is `/` in what is
returned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..errors import InvalidRequest, PathEscapes

__all__ = [
    "LONGEST_NAME",
    "MOST_ITEMS",
    "MOST_SEGMENTS",
    "application",
    "applications",
    "as_asked",
    "decode_segment",
    "is_reserved",
    "label",
    "labels",
    "path",
    "profile",
    "profiles",
]

LONGEST_NAME = 255  # bytes of UTF-8: NAME_MAX of every file system we know
MOST_ITEMS = 32  # of a comma list: an answer has a slot for each pair of them
MOST_SEGMENTS = 40  # of a path: far below PATH_MAX, far above any repository

_SLASH = "(_)"  # Spring's stand-in for a slash inside a name

# Letters and digits of any script are \w without the underscore.
_EDGE = r"[^\W_]"
_APPLICATION = re.compile(rf"(?:{_EDGE}|[_~])(?:[\w\-.+@~ ]*(?:{_EDGE}|[_~]))?")
_PROFILE = re.compile(rf"{_EDGE}(?:[\w\-.+@~]*{_EDGE})?")
_PATH_SEGMENT = re.compile(r"[\w\-.+@~ ,=&'()\[\]$]*[\w\-+@~,=&'()\[\]$]")

# git check-ref-format, without what could be an option, a fragment or an escape.
_LABEL_REFUSED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\#%;]|@\{|//|\.$")
_LABEL_PART_REFUSED = re.compile(r"^\.|\.lock$|^$")

_SEGMENT_REFUSED = re.compile(r"[\x00-\x1f\x7f/\\%#;?]|\.\.")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%(..)")


def decode_segment(raw: str) -> str:
    """The text of one raw segment of a request target, percent-decoded once.

    Raises PathEscapes for what could reach another file in any backend (a slash or a
    backslash, `..`, `.`, a second escape, `#`, `;`, `?`, control bytes), InvalidRequest
    for a broken escape or no UTF-8.
    """
    if _BAD_ESCAPE.search(raw):
        raise InvalidRequest("path", "a percent sign is followed by two hex digits")
    try:
        text = _unescape(raw.encode("utf-8")) if "%" in raw else raw
    except UnicodeError as error:  # undecodable bytes, or a lone surrogate
        raise InvalidRequest("path", "the decoded bytes are not UTF-8") from error
    if text == "." or _SEGMENT_REFUSED.search(text):
        raise PathEscapes(
            "path", "a segment holds '..', a slash, an escape or a control byte"
        )
    return text


def application(text: str) -> str:
    """The canonical name of one application.

    Raises InvalidRequest where design.md refuses it.
    """
    name = text.strip(" ").replace(_SLASH, "/")
    _check_text("application", name)
    for part in name.split("/"):
        if not _APPLICATION.fullmatch(part):
            raise InvalidRequest(
                "application",
                "expected letters, digits and -_.+@~, "
                "beginning and ending with a letter, a digit, _ or ~",
            )
    return name


def profile(text: str) -> str:
    """The name of one profile; raises InvalidRequest where design.md refuses it."""
    _check_text("profile", text)
    if not _PROFILE.fullmatch(text):
        raise InvalidRequest(
            "profile",
            "expected letters, digits and -_.+@~, "
            "beginning and ending with a letter or a digit",
        )
    return text


def label(text: str) -> str:
    """The canonical form of one label: what git allows for a branch or a tag.

    Raises InvalidRequest for what `git check-ref-format` refuses, `#`, `%`, `;` and a
    leading dash.
    """
    name = text.replace(_SLASH, "/")
    _check_length("label", name)
    _check_dots("label", name)
    parts = name.split("/")
    if name == "@" or name.startswith("-") or _LABEL_REFUSED.search(name):
        raise InvalidRequest(
            "label", "expected the name of a branch or a tag, without revision syntax"
        )
    if any(_LABEL_PART_REFUSED.search(part) for part in parts):
        raise InvalidRequest(
            "label", "a part is empty, begins with a dot or ends with .lock"
        )
    return name


def applications(text: str) -> tuple[str, ...]:
    """The applications of a comma list, in its order; empty items are skipped."""
    return _items("application", text.split(","), application, skip_empty=True)


def profiles(text: str) -> tuple[str, ...]:
    """The profiles of a comma list, in its order; an empty item is refused."""
    return _items("profile", text.split(","), profile, skip_empty=False)


def labels(text: str) -> tuple[str, ...]:
    """The labels of a comma list, in its order; empty items are skipped."""
    return _items("label", text.split(","), label, skip_empty=True)


def path(segments: Iterable[str]) -> str | None:
    """The path of a plain file below its location, from decoded segments.

    None means absent whatever is stored: a segment that begins with a dot is never
    served. Raises InvalidRequest for any segment that design.md refuses.
    """
    parts = list(segments)
    if not parts or len(parts) > MOST_SEGMENTS:
        raise InvalidRequest("path", f"expected 1 to {MOST_SEGMENTS} segments")
    for part in parts:
        _check_text("path", part)
        if not _PATH_SEGMENT.fullmatch(part):
            raise InvalidRequest(
                "path", "a segment holds a character that no path may hold"
            )
    return None if any(part.startswith(".") for part in parts) else "/".join(parts)


def is_reserved(name: str) -> bool:
    """Whether a name belongs to routes, so that no bundle of it is read or saved."""
    return name.startswith("_") or name == "actuator"


def as_asked(text: str) -> str:
    """The text of a list as an answer repeats it: only `(_)` is resolved."""
    return text.replace(_SLASH, "/")


def _unescape(raw: bytes) -> str:
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), raw).decode()


def _items(
    field: str, items: list[str], validate: Callable[[str], str], *, skip_empty: bool
) -> tuple[str, ...]:
    wanted = [item for item in items if item.strip(" ")] if skip_empty else items
    if not 0 < len(wanted) <= MOST_ITEMS:
        raise InvalidRequest(field, f"expected 1 to {MOST_ITEMS} names")
    return tuple(validate(item) for item in wanted)


def _check_text(field: str, name: str) -> None:
    _check_length(field, name)
    _check_dots(field, name)
    if name.isascii():
        return
    import unicodedata  # few names have need of it

    if not unicodedata.is_normalized("NFC", name):
        raise InvalidRequest(field, "expected Unicode in composed form (NFC)")


def _check_length(field: str, name: str) -> None:
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidRequest(field, "expected text without lone surrogates") from error
    if not 0 < length <= LONGEST_NAME:
        raise InvalidRequest(field, f"expected 1 to {LONGEST_NAME} bytes")


def _check_dots(field: str, name: str) -> None:
    if ".." in name:
        raise PathEscapes(field, "'..' is not allowed")
