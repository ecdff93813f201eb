"""POST /encrypt and /decrypt, GET /encrypt/status and /key, as Spring has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..environment.cipher import CannotDecrypt, Cipher, decrypt_text, encrypt_text
from ..environment.rendering import JSON
from ..errors import ConfigNotFound, InvalidRequest
from ..server import ConfigServer
from .asked import body_of
from .messages import Request, Response
from .replies import text_response
from .rights import DECRYPT, ENCRYPT, READ
from .table import Call, Route

__all__ = ["encryption_routes"]

_Work = Callable[[str, str | None, Cipher], str]


def encryption_routes(server: ConfigServer) -> tuple[Route, ...]:
    """The rows for *server*; without a key each answers 404 and says so."""

    async def encrypt(_: object, call: Call) -> Response:
        return await _answer(call.request, encrypt_text, _cipher(server))

    async def decrypt(_: object, call: Call) -> Response:
        return await _answer(call.request, decrypt_text, _cipher(server))

    async def status(_: object, call: Call) -> Response:
        _cipher(server)
        return text_response('{"status":"OK"}', JSON)

    async def key(_: object, call: Call) -> Response:
        public_key = _cipher(server).public_key()
        if public_key is None:
            raise ConfigNotFound("NOT_FOUND: no public key is there")
        return text_response(public_key)

    return (
        Route("POST", ("encrypt",), ENCRYPT, encrypt),
        Route("POST", ("encrypt", None, None), ENCRYPT, encrypt, _about),
        Route("POST", ("decrypt",), DECRYPT, decrypt),
        Route("POST", ("decrypt", None, None), DECRYPT, decrypt, _about),
        Route("GET", ("encrypt", "status"), ENCRYPT, status),
        Route("GET", ("key",), READ, key),
        Route("GET", ("key", None, None), READ, key, _about),
    )


def _about(server: ConfigServer, call: Call) -> Call:
    return call._replace(lookup=server.lookup(*call.segments[1:]))


def _cipher(server: ConfigServer) -> Cipher:
    if server.cipher is None:
        raise ConfigNotFound("NO_KEY: no key is set to encrypt with")
    return server.cipher


async def _answer(request: Request, work: _Work, cipher: Cipher) -> Response:
    octets = body_of(request)
    content_type = request.headers.get("content-type")
    try:
        body = octets.decode("utf-8")
        text = await asyncio.to_thread(work, body, content_type, cipher)
    except CannotDecrypt as error:
        raise InvalidRequest("body", f"INVALID: {error}") from None
    except UnicodeDecodeError:
        raise InvalidRequest("body", "expected UTF-8") from None
    return text_response(text)
