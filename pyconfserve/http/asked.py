"""What a request asks for beside its path: parameters, media types, its body."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..environment.rendering import JSON, V2_JSON
from ..errors import DocumentError, InvalidRequest, UnsupportedMedia
from ..turns import turn
from .grammar import LARGEST_BODY
from .messages import Request
from .refusals import BodyTooLarge

Target = tuple[str, str, str, str, str]

_MOST = 100  # parameters of a query: no route knows more than three
_LONGEST_REMEMBERED = 256  # characters of an Accept or Accept-Encoding header
BYTES = "application/octet-stream"
GZIP = "gzip"
_OWN_SITE = ("none", "same-origin")

__all__ = [
    "BYTES",
    "GZIP",
    "Target",
    "accept_of",
    "body_of",
    "coding_of",
    "content_type_of",
    "json_body",
    "media_type_of",
    "parameters_of",
    "prefers_bytes",
    "resolves_placeholders",
    "target_of",
]


def accept_of(request: Request) -> str:
    """The Accept header; without one anything is taken."""
    return request.headers.get("accept", "*/*")


def target_of(request: Request) -> Target:
    """All of a request that decides which answer it gets."""
    accept, charset = accept_of(request), request.headers.get("accept-charset", "")
    return request.path, request.query, accept, coding_of(request), charset


def parameters_of(request: Request) -> dict[str, str]:
    """The parameters of the query, the last of each name; one without `=` is empty."""
    if not request.query:
        return {}
    from urllib.parse import parse_qsl

    try:
        return dict(
            parse_qsl(request.query, keep_blank_values=True, max_num_fields=_MOST)
        )
    except ValueError as error:
        raise InvalidRequest("query", f"more than {_MOST} parameters") from error


def resolves_placeholders(request: Request) -> bool:
    """Whether `resolvePlaceholders` asks for it, as Spring reads it: yes by default."""
    text = parameters_of(request).get("resolvePlaceholders", "").lower()
    if text in ("", "true", "1", "yes", "on"):
        return True
    if text in ("false", "0", "no", "off"):
        return False
    raise InvalidRequest("resolvePlaceholders", "expected true or false")


def prefers_bytes(request: Request) -> bool:
    """Whether a plain file is wanted as it is, by Accept, rather than as text."""
    for media_range in _ranked(accept_of(request)):
        if media_range == BYTES:
            return True
        if media_range in ("*/*", "text/*", "text/plain"):
            return False
    return False


def media_type_of(accept: str) -> str:
    """JSON or Spring's V2 JSON, by an Accept header; JSON where nothing fits, which
    helps curl and browsers.
    """
    return (_remembered if len(accept) <= _LONGEST_REMEMBERED else _media_type)(accept)


def _media_type(accept: str) -> str:
    for media_range in _ranked(accept):
        if media_range in ("*/*", "application/*", JSON):
            return JSON
        if media_range in ("application/*+json", V2_JSON):
            return V2_JSON
    return JSON


_remembered = lru_cache(1024)(_media_type)


def coding_of(request: Request) -> str:
    """GZIP where a request takes it no less gladly than what it is made from, else "".

    Names that a request chose stand in its answer beside secrets. A page of another
    site that makes a browser ask, and sees how long answers are, could try what gzip
    finds twice (BREACH): such a request gets none. Over https all browsers say it.
    """
    accepted = request.headers.get("accept-encoding")
    if not accepted or request.headers.get("sec-fetch-site", "none") not in _OWN_SITE:
        return ""
    is_short = len(accepted) <= _LONGEST_REMEMBERED
    takes_gzip = (_takes_gzip if is_short else _takes_gzip.__wrapped__)(accepted)
    return GZIP if takes_gzip else ""


@lru_cache(1024)
def _takes_gzip(accept_encoding: str) -> bool:
    """By the weights (RFC 9110 §12.5.3); `x-gzip` is the same (§8.4.1.3)."""
    weights = {coding: weight for weight, coding in _weighted(accept_encoding)}
    others = weights.get("*", 0.0)
    gzip = weights.get(GZIP, weights.get("x-gzip", others))
    return 0 < gzip >= weights.get("identity", others)


def _ranked(accept: str) -> list[str]:
    """The media ranges of an Accept header that are wanted at all, the best first."""
    wanted = [found for found in _weighted(accept) if found[0] > 0]
    return [
        media_range for _, media_range in sorted(wanted, key=lambda found: -found[0])
    ]


def _weighted(header: str) -> list[tuple[float, str]]:
    """The items of a header with their weights, 1 for an item that has none."""
    items = []
    for text in header.lower().split(","):
        item, *parameters = (part.strip() for part in text.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        items.append((_number(weight), item))
    return items


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def body_of(request: Request) -> bytes:
    """The body, by whatever edge it came; raises BodyTooLarge."""
    if len(request.body) > LARGEST_BODY:
        raise BodyTooLarge(f"a body is at most {LARGEST_BODY} bytes")
    return request.body


def content_type_of(request: Request, default: str = "") -> str:
    """The media type of the body, without parameters and in lower case."""
    content_type = request.headers.get("content-type", default)
    return content_type.partition(";")[0].strip().lower()


def json_body(request: Request) -> dict[str, Any]:
    """The map in a request's body, nested as sent; an empty body is an empty map."""
    body = body_of(request)
    media_type = content_type_of(request, JSON)
    if media_type != JSON and not media_type.endswith("+json"):
        raise UnsupportedMedia("expected a body of application/json")
    from ..environment.formats import json as json_format  # for saves only

    try:
        text = body.decode("utf-8").removeprefix("\ufeff")
        with turn(body):
            return json_format.read_tree(text) if text.strip() else {}
    except UnicodeDecodeError as error:
        raise InvalidRequest("body", "expected UTF-8") from error
    except DocumentError as error:
        place = f" at line {error.line}, column {error.column}" if error.line else ""
        raise InvalidRequest("body", f"{error.problem}{place}") from error
