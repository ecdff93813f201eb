"""GET /_history: which commits changed an answer, and a bundle as it was at one."""

from __future__ import annotations

import asyncio
import re

from ..backend import LookingBackend
from ..bulkhead import Bulkhead
from ..errors import InvalidRequest
from ..past import COMMIT, MOST_COMMITS, USUAL_COMMITS, Past, past_of
from ..saveable import saveable
from ..server import ConfigServer
from ..stored import nested
from ..timely import TIMEOUT
from .asked import parameters_of
from .messages import Request, Response
from .replies import json_response
from .rights import READ
from .table import Call, Route

__all__ = ["history_routes"]

_NUMBER = re.compile(r"[0-9]{1,4}")


def history_routes(server: ConfigServer) -> tuple[Route, ...]:
    """The rows for *server*; without a history each answers 404 and says so.

    Who may read the answer may see which commits made it: its names are all that the
    commits are looked for by.
    """
    places = Bulkhead(TIMEOUT)  # of its own: a long history is in no reader's way

    def present() -> Past:
        backend = server.backend
        past = past_of(backend)
        if isinstance(backend, LookingBackend):
            backend.look_again()  # another worker may have saved just now
        return past

    async def bundle(_: object, call: Call) -> Response:
        application, profile, label, commit = call.segments[1:]
        source = saveable(application, profile, {}, label)
        names = source.application, source.profile, source.label
        past = present()
        found = await places.run(names[:1], lambda: past.bundle_at(*names, commit))
        return await asyncio.to_thread(json_response, nested(found))

    async def history(_: object, call: Call) -> Response:
        lookup = call.lookup
        assert lookup is not None  # the row is about names
        limit, before = _limit(call.request), _before(call.request)
        past = present()
        found = await places.run(
            lookup.applications, lambda: past.history(lookup, limit, before)
        )
        return json_response(
            {
                "name": lookup.name,
                "profiles": list(lookup.profiles),
                "label": lookup.label,
                "commits": [commit.as_dict() for commit in found.commits],
                "next": found.next,
            }
        )

    return (
        Route("GET", ("_history", None, None), READ, history, _about),
        Route("GET", ("_history", None, None, None), READ, history, _about),
        Route("GET", ("_history", None, None, None, COMMIT), READ, bundle, _about),
    )


def _about(server: ConfigServer, call: Call) -> Call:
    return call._replace(lookup=server.lookup(*call.segments[1:4]))


def _limit(request: Request) -> int:
    text = parameters_of(request).get("limit", str(USUAL_COMMITS))
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MOST_COMMITS:
        raise InvalidRequest("limit", f"expected 1 to {MOST_COMMITS}")
    return int(text)


def _before(request: Request) -> str | None:
    return parameters_of(request).get("before")
