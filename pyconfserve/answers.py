"""Rendered answers: bytes with a strong ETag, kept while their stamp holds.

An answer depends on the stamp of what it was made from. While that is valid, an answer
costs a look at it: nothing is parsed, rendered or awaited.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, Protocol

from .backend import Found, LookingBackend, StampedBackend
from .environment.overlay import Environment, Lookup
from .environment.rendering import RENDERERS, V2_JSON
from .flights import Flights
from .http.messages import Response
from .server import ConfigServer

__all__ = [
    "LARGEST_CACHE",
    "NOTHING_STORED",
    "Answer",
    "Answers",
    "Counter",
    "answer_key",
]

LARGEST_CACHE = 64 * 1024 * 1024  # bytes: ten thousand answers of 6 KB
NOTHING_STORED = "no configuration is stored under these names"
_OVERHEAD = 4096  # bytes beside the body: headers, key, the stamps of its files

Key = tuple[str, tuple[str, ...], str | None, str]


class Answer(NamedTuple):
    """An answer ready to send, whole or as 304, and what it depends on.

    `seen` and `stamp` are those of Found.
    """

    etag: str
    response: Response
    not_modified: Response
    seen: Hashable
    stamp: Hashable

    def known(self) -> Answer:
        """Itself as it is kept for a wait: without its body, which may be large."""
        return self._replace(response=self.not_modified)


class Counter(Protocol):
    """Who counts where answers come from."""

    def kept(self) -> None:
        """One was there already."""
        ...

    def made(self) -> None:
        """One was made from what the backend has."""
        ...


class Answers:
    """The answers of one server, those asked for last, at most *limit* bytes."""

    def __init__(
        self,
        server: ConfigServer,
        limit: int = LARGEST_CACHE,
        *,
        counter: Counter | None = None,
    ) -> None:
        self._server = server
        self._limit = limit
        self._counter = counter
        self._size = 0
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._flights: Flights[Answer | None] = Flights()
        backend = server.backend
        self._stamp = backend.stamp if isinstance(backend, StampedBackend) else None
        self._look_again = (
            backend.look_again if isinstance(backend, LookingBackend) else None
        )
        self._saves = server.saves.value
        self._counted: Hashable = None  # the saves after which stamps were looked at

    def of(self, server: ConfigServer) -> Answers:
        """These for their own server; for another one new ones, which share nothing."""
        return (
            self if server is self._server else Answers(server, counter=self._counter)
        )

    def ready(self, key: Key) -> Answer | None:
        """The answer kept under *key* if it is still valid; never waits."""
        answer = self._kept.get(key)
        if answer is None:
            return None
        if not self.is_valid(answer):
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        if self._counter is not None:
            self._counter.kept()
        return answer

    def is_valid(self, answer: Answer) -> bool | None:
        """Whether its stamp holds, None when it has none; raises what stamps raise."""
        if self._stamp is None or answer.seen is None:
            return None
        saves = self._saves()
        if saves != self._counted:  # by any process: stamps may be older
            if self._look_again is not None:
                self._look_again()
            self._counted = saves
        return self._stamp(answer.seen) == answer.stamp

    async def get(self, lookup: Lookup, renderer: str) -> Answer | None:
        """The answer to *lookup*, None for 404.

        Many who ask for it at once share one making of it. Raises DocumentError,
        BackendError.
        """
        key = answer_key(lookup, renderer)
        answer = self.ready(key)
        if answer is not None:
            return answer
        # Whoever asks after a save must not join a making that began before it.
        return await self._flights.join(
            (key, self._saves()), lambda: self._make(key, lookup, renderer)
        )

    async def _make(self, key: Key, lookup: Lookup, renderer: str) -> Answer | None:
        if self._counter is not None:
            self._counter.made()
        environment, found = await self._server.environment(lookup)
        # Whoever accepts V2 is Spring: it asks for `default` first and dies on 404.
        accepts_empty = self._server.accepts_empty(
            True if renderer == V2_JSON else None
        )
        if not environment.sources and not accepts_empty:
            return None
        answer = await self._server.work_on(
            environment.sources, _rendered, environment, renderer, found
        )
        if found.seen is not None:
            self._keep(key, answer)
        return answer

    def _keep(self, key: Key, answer: Answer) -> None:
        self._drop(key)
        if len(answer.response.body) > self._limit:
            return
        self._kept[key] = answer
        self._size += len(answer.response.body) + _OVERHEAD
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        answer = self._kept.pop(key, None)
        if answer is not None:
            self._size -= len(answer.response.body) + _OVERHEAD


def answer_key(lookup: Lookup, renderer: str) -> Key:
    """What tells the answers of one server apart."""
    return (lookup.name, lookup.profiles, lookup.label, renderer)


def _renderer(name: str) -> tuple[str, Callable[[Environment], str]]:
    """The content type and the function behind the name of a renderer."""
    if name in RENDERERS:
        return name, RENDERERS[name]
    from .environment.file_rendering import FILE_RENDERERS  # few ask for these

    return FILE_RENDERERS[name]


def _rendered(environment: Environment, renderer: str, found: Found) -> Answer:
    content_type, write = _renderer(renderer)
    body = write(environment).encode("utf-8")
    kind = content_type.encode("ascii")  # the same bytes as another type are another
    digest = hashlib.blake2b(body, digest_size=16, key=kind).hexdigest()
    etag = f'"{digest}"'
    about = (
        ("Cache-Control", "no-store"),  # values may be secrets
        ("ETag", etag),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Answer(
        etag=etag,
        response=Response(200, (("Content-Type", content_type), *about), body),
        not_modified=Response(304, about),
        seen=found.seen,
        stamp=found.stamp,
    )
