"""Plain files as answers: as they are, or as text with placeholders filled in.

By the rules of spring.md 6, but never with a type that a browser would run. They are
kept like all answers, while the stamps of the file and of what filled it hold.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from ..answers import Answer, Answers, answer_key, zipped
from ..backend import FoundFile, PlainFile
from ..environment.overlay import Lookup
from ..environment.placeholders import fill_from
from ..environment.properties import merge
from ..errors import ConfigNotFound
from ..server import ConfigServer
from .asked import BYTES, coding_of, prefers_bytes, resolves_placeholders
from .dates import http_date
from .messages import Request, Response
from .replies import TEXT, conditional
from .table import Call
from .targets import Meaning, Targets

__all__ = ["answer_file"]

# By Python's names. Others of its codecs fail on some bytes, or take seconds.
_CHARSETS = frozenset(
    {"ascii", "utf-8", "utf-16", "utf-16-be", "utf-16-le", "cp1252", "koi8-r"}
    | {"iso8859-1", "iso8859-15", "shift_jis", "euc_jp", "euc_kr", "gbk", "big5"}
)

_NO_FILE = "no such file"
_LONG = 64 * 1024  # bytes or characters: to work on more would keep the event loop

Value = TypeVar("Value")


async def answer_file(
    answers: Answers, targets: Targets | None, call: Call
) -> Response:
    """The file that *call* is about, or 304; *targets* remember what it meant.

    A path "" is one that is never served. Raises ConfigNotFound where there is no file,
    VersionConflict, InvalidRequest for placeholders that lead back to themselves,
    BackendError.
    """
    request, lookup, path = call.request, call.lookup, call.path
    charset = "" if prefers_bytes(request) else _charset_of(request)
    fills = bool(charset) and resolves_placeholders(request)
    if lookup is None or not path:
        raise ConfigNotFound(_NO_FILE)
    form = f"file in {charset or BYTES}{', filled' if fills else ''}: {path}"
    key = answer_key(lookup, zipped(form) if coding_of(request) else form)
    making = partial(_make, answers.server, lookup, path, charset, fills)
    answer = await answers.made(key, making)
    if answer is None:
        raise ConfigNotFound(_NO_FILE)
    if targets is not None:
        targets.keep(request, Meaning(key, lookup, path=path))
    return conditional(request, answer)


def _charset_of(request: Request) -> str:
    """Which charset a file is in, by an Accept-Charset that names one we know."""
    charset = request.headers.get("accept-charset", "utf-8").strip()
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        name = "utf-8"
    return name if name in _CHARSETS else "utf-8"


async def _make(
    server: ConfigServer, lookup: Lookup, path: str, charset: str, fills: bool
) -> Answer | None:
    """The answer with the file at *path*, text if it has a *charset*; None for 404."""
    found = await server.file(lookup, path)
    if found is None:
        return None
    size = len(found.data)
    if not charset:
        return await _worked(size, _answer_with, found, found.data, BYTES)
    text = await _worked(size, found.data.decode, charset, "replace")
    filled = None
    if fills and "${" in text:
        environment, of = await server.environment(lookup)
        properties = merge([source.properties for source in environment.sources])
        text = await _worked(size, fill_from, text, properties)
        filled = of.seen, of.stamp
    body = text.encode("utf-8")
    return await _worked(len(body), _answer_with, found, body, TEXT, filled)


async def _worked(size: int, work: Callable[..., Value], *arguments: Any) -> Value:
    """What *work* makes of *arguments*, off the loop where their *size* is large."""
    if size > _LONG:
        return await asyncio.to_thread(work, *arguments)
    return work(*arguments)


def _answer_with(
    found: PlainFile | FoundFile,
    body: bytes,
    content_type: str,
    filled: tuple[Hashable, Hashable] | None = None,
) -> Answer:
    seen, stamp = found[2:] if isinstance(found, FoundFile) else (None, None)
    etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    about = (
        ("Cache-Control", "no-store"),
        ("ETag", etag),
        ("Last-Modified", http_date(int(found.modified))),
        ("Vary", "Accept, Accept-Charset, Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Answer(
        etag=etag,
        response=Response(200, (("Content-Type", content_type), *about), body),
        not_modified=Response(304, about),
        seen=None if filled and filled[0] is None else seen,
        stamp=stamp,
        modified=int(found.modified),
        filled=filled,
    )
