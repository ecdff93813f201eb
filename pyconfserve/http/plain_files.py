"""Plain files as answers: as they are, or as text with placeholders filled in.

By the rules of spring.md 6, but never with a type that a browser would run.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib

from ..environment.overlay import Lookup
from ..environment.placeholders import fill_from
from ..environment.properties import merge
from ..errors import ConfigNotFound, VersionConflict
from ..server import ConfigServer
from .asked import BYTES, prefers_bytes, resolves_placeholders
from .dates import http_date, parse_http_date
from .messages import Request, Response
from .replies import TEXT

__all__ = ["answer_file"]

# By Python's names. Others of its codecs fail on some bytes, or take seconds.
_CHARSETS = frozenset(
    {"ascii", "utf-8", "utf-16", "utf-16-be", "utf-16-le", "cp1252", "koi8-r"}
    | {"iso8859-1", "iso8859-15", "shift_jis", "euc_jp", "euc_kr", "gbk", "big5"}
)

_LONG = 64 * 1024  # characters: to fill in more would keep the event loop


async def answer_file(
    server: ConfigServer, request: Request, lookup: Lookup, path: str | None
) -> Response:
    """The file at *path*, or 304; raises ConfigNotFound where there is none.

    No *path* is one that is never served.
    """
    found = await server.file(lookup, path) if path else None
    if found is None:
        raise ConfigNotFound("no such file")
    body, content_type = found.data, BYTES
    if not prefers_bytes(request):
        text = _decoded(request, body)
        if resolves_placeholders(request) and "${" in text:
            text = await _filled(server, lookup, text)
        body, content_type = text.encode("utf-8"), TEXT
    return _conditional(request, body, content_type, int(found.modified))


def _decoded(request: Request, data: bytes) -> str:
    """The file as text, by an Accept-Charset that names one charset we know."""
    charset = request.headers.get("accept-charset", "utf-8").strip()
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        name = "utf-8"
    return data.decode(name if name in _CHARSETS else "utf-8", "replace")


async def _filled(server: ConfigServer, lookup: Lookup, text: str) -> str:
    environment, _ = await server.environment(lookup)
    properties = merge([source.properties for source in environment.sources])
    if len(text) <= _LONG:
        return fill_from(text, properties)
    return await asyncio.to_thread(fill_from, text, properties)


def _conditional(
    request: Request, body: bytes, content_type: str, modified: int
) -> Response:
    """The answer, 304, or 412: If-None-Match counts before the dates (RFC 9110 §13)."""
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    about = (
        ("Cache-Control", "no-store"),
        ("ETag", etag),
        ("Last-Modified", http_date(modified)),
        ("Vary", "Accept, Accept-Charset"),
        ("X-Content-Type-Options", "nosniff"),
    )
    asked = request.headers
    limit = parse_http_date(asked.get("if-unmodified-since"))
    if limit is not None and modified > limit:
        raise VersionConflict("the file was modified since")
    since = parse_http_date(asked.get("if-modified-since"))
    if "if-none-match" in asked:
        is_known = etag in asked["if-none-match"]
    else:
        is_known = since is not None and modified <= since
    if is_known:
        return Response(304, about)
    return Response(200, (("Content-Type", content_type), *about), body)
