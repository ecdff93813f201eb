"""GET /_explain: for each key the source that wins, where it is, and what it hides."""

from __future__ import annotations

from ..answers import NOTHING_STORED
from ..backend import Found
from ..environment.overlay import Lookup
from ..environment.rendering import JSON
from ..errors import ConfigNotFound
from ..server import ConfigServer
from .asked import parameters_of
from .messages import Response
from .replies import text_response
from .rights import READ
from .table import Call, Route

__all__ = ["explain_routes"]


def explain_routes(server: ConfigServer) -> tuple[Route, ...]:
    """The rows for *server*: `/_explain/{application}/{profile}[/{label}][?key=…]`.

    Who may read the answer may see where it comes from. Values are those stored,
    `{cipher}…` too; nothing is decrypted and nothing is kept. The answer is

        {"name": "orders", "profiles": ["prod"], "label": "main",
         "properties": {"db.pool": {
            "value": 20,
            "from": {"source": "orders-prod", "file": "orders-prod.yml",
                     "document": null, "profile": "prod", "line": 3, "column": 5,
                     "version": "…"},
            "hides": [{"key": "db.pool", "value": 10, "from": {…}}]}}}

    with the keys in the order of the merged answer; `environment.explaining` says what
    each part means. `label` is the one that counted. A `key` that is not there is 404.
    """

    async def explained(_: object, call: Call) -> Response:
        lookup, headers = call.lookup, call.request.headers
        assert lookup is not None  # the row is about names
        key = parameters_of(call.request).get("key")
        token, state = headers.get("x-config-token"), headers.get("x-config-state")
        found = await server.for_request(token, state).stored(lookup)
        if not found.sources and not server.accepts_empty():
            raise ConfigNotFound(NOTHING_STORED)
        text = await server.work_on(found.sources, _text, lookup, found, key)
        return text_response(text, JSON)

    return (
        Route("GET", ("_explain", None, None), READ, explained, _about),
        Route("GET", ("_explain", None, None, None), READ, explained, _about),
    )


def _about(server: ConfigServer, call: Call) -> Call:
    return call._replace(lookup=server.lookup(*call.segments[1:]))


def _text(lookup: Lookup, found: Found, key: str | None) -> str:
    import json

    from ..environment.explaining import explanation  # few ask why

    document = explanation(lookup, found.sources, found.label, key)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
