"""`/_bundle/{application}/{profile}/{label}`: the one stored bundle, under conditions.

GET gives it with an ETag of its own, PUT replaces it, PATCH changes some of its keys,
DELETE removes it. `If-Match` and `If-None-Match` are judged together with the change,
so that nobody overwrites what they have not seen.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from ..backend import ConfigSource
from ..environment.overlay import make_lookup
from ..environment.rendering import JSON
from ..errors import (
    ConfigNotFound,
    InvalidRequest,
    ReadOnlyBackend,
    UnsupportedMedia,
    VersionConflict,
)
from ..server import ConfigServer
from ..stored import StoredBundles, nested
from ..versions import ANY, NOT_STORED, Changed, Expected, Stored
from .access import check_content
from .asked import content_type_of, json_body
from .messages import Request, Response
from .replies import json_response
from .rights import READ, WRITE
from .table import Call, Route

__all__ = ["bundle_routes", "check_save"]

_MERGE_PATCH = "application/merge-patch+json"
_ETAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ETAGS = re.compile(rf"[ \t,]*{_ETAG}[ \t]*(?:,[ \t]*(?:{_ETAG}[ \t]*)?)*")
_ONE = re.compile(r'(W/)?"([^"]*)"')
_BY_TIME = "if-unmodified-since"  # no bundle has a time of its own
_CONDITIONS = ("if-match", "if-none-match", _BY_TIME)


def bundle_routes(server: ConfigServer) -> tuple[Route, ...]:
    """The rows for *server*; 405 where its backend knows no versions."""
    bundles = StoredBundles(server)

    async def get(_: object, call: Call) -> Response:
        expected = _expected(call.request)
        found = await bundles.get(*_names(call))
        if found is None:
            raise ConfigNotFound(NOT_STORED)
        Expected(expected.versions).check(found.version)
        if not expected.allows(found.version):
            about = (("Cache-Control", "no-store"), ("ETag", f'"{found.version}"'))
            return Response(304, about)
        response = await asyncio.to_thread(_document, found)
        return _with_etag(response, found.version)

    async def put(_: object, call: Call) -> Response:
        expected, properties = await _asked(server, call)
        check_content(call.sender, properties)
        with _hidden(call):
            changed = await bundles.replace(_source(call, properties), expected)
        return _saved(call, changed)

    async def patch(_: object, call: Call) -> Response:
        if content_type_of(call.request, JSON) not in (JSON, _MERGE_PATCH):
            raise UnsupportedMedia(f"expected a body of {_MERGE_PATCH}")
        expected, properties = await _asked(server, call)
        with _hidden(call):
            changed = await bundles.patch(
                _source(call, properties),
                expected,
                lambda result: check_content(call.sender, result),
            )
        return _saved(call, changed)

    async def delete(_: object, call: Call) -> Response:
        expected = _expected(call.request)
        with _hidden(call):
            await bundles.delete(*_names(call), expected)
        return Response(204, (("Cache-Control", "no-store"),))

    pattern = ("_bundle", None, None, None)
    return (
        Route("GET", pattern, READ, get, _about_read),
        Route("PUT", pattern, WRITE, put, _about_change),
        Route("PATCH", pattern, WRITE, patch, _about_change),
        Route("DELETE", pattern, WRITE, delete, _about_change),
    )


def check_save(server: ConfigServer, call: Call) -> None:
    """Raise what speaks against a save to `/{application}/{profile}[/{label}]`.

    InvalidRequest for a condition, which it does not take, names the URL that does.
    Raises ReadOnlyBackend.
    """
    if server.is_read_only:
        raise ReadOnlyBackend
    for name in _CONDITIONS:
        if name in call.request.headers:
            raise InvalidRequest(
                name, f"this save takes no condition: PUT {_url(server, call)} does"
            )


def _url(server: ConfigServer, call: Call) -> str:
    """Where the bundle is that a call to `/{application}/{profile}[/{label}]` names."""
    parts = call.request.path.split("/")
    count = len(call.segments)
    label = quote(server.default_label.replace("/", "(_)"), safe="()")
    names = [*parts[-count:], label][:3]
    return "/".join([*parts[:-count], "_bundle", *names])


def _about_read(server: ConfigServer, call: Call) -> Call:
    return call._replace(lookup=server.lookup(*_names(call)))


def _about_change(server: ConfigServer, call: Call) -> Call:
    lookup = make_lookup(
        *_names(call), server.dialect
    )  # reserved ones are judged later
    return call._replace(lookup=lookup)


async def _asked(server: ConfigServer, call: Call) -> tuple[Expected, dict[str, Any]]:
    """The condition and the body of a change."""
    if server.is_read_only:
        raise ReadOnlyBackend
    expected = _expected(call.request)
    return expected, await asyncio.to_thread(json_body, call.request)


def _source(call: Call, properties: dict[str, Any]) -> ConfigSource:
    return ConfigSource(*_names(call), properties)


def _names(call: Call) -> tuple[str, str, str]:
    _, application, profile, label = call.segments
    return application, profile, label


def _expected(request: Request) -> Expected:
    """The condition of a request (RFC 9110 §13.1); raises InvalidRequest."""
    if _BY_TIME in request.headers:
        raise InvalidRequest(_BY_TIME, "expected If-Match or If-None-Match")
    return Expected(
        _etags(request, "if-match", is_strong=True),
        _etags(request, "if-none-match", is_strong=False),
    )


def _etags(request: Request, name: str, *, is_strong: bool) -> frozenset[str] | None:
    """The versions in a header, None without it; *is_strong* leaves weak ones out."""
    text = request.headers.get(name)
    if text is None:
        return None
    if text.strip() == ANY:
        return frozenset((ANY,))
    if not _ETAGS.fullmatch(text):
        raise InvalidRequest(name, "expected * or a list of ETags in double quotes")
    found = _ONE.findall(text)
    versions = {version for weak, version in found if not (weak and is_strong)}
    return frozenset(versions - {ANY})  # in quotes it is the name of one version


def _saved(call: Call, changed: Changed) -> Response:
    response = json_response({"saved": True}, 201 if changed.is_new else 200)
    if READ not in call.sender.rights:
        return response
    return _with_etag(response, changed.version)


def _document(found: Stored) -> Response:
    return json_response(nested(found.properties))


def _with_etag(response: Response, version: str | None) -> Response:
    return response._replace(headers=(("ETag", f'"{version}"'), *response.headers))


@contextmanager
def _hidden(call: Call) -> Iterator[None]:
    """Versions are made from what is stored: who may not read it gets none."""
    try:
        yield
    except VersionConflict as error:
        if READ not in call.sender.rights:
            error.version = None
        raise
