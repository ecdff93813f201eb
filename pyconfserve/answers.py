"""Rendered answers: bytes with a strong ETag, kept while their stamp holds.

An answer depends on the stamp of what it was made from. While that is valid, an answer
costs a look at it: nothing is parsed, rendered, packed or awaited.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

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
    "Key",
    "answer_key",
    "zipped",
]

LARGEST_CACHE = 96 * 1024 * 1024  # bytes: ten thousand answers of 6 KB
NOTHING_STORED = "no configuration is stored under these names"
_ZIPPED = "gzip of "  # before the name of a renderer
_SMALL = 1024  # bytes: up to these an answer is one packet anyhow
_LONG = 64 * 1024  # bytes: to pack more takes milliseconds
_GZIP_WINDOW = 31  # zlib's largest, with the head and the tail of gzip
_OVERHEAD = 3072  # bytes beside the body and the names: headers, stamps of its files

Key = tuple[str, tuple[str, ...], str | None, str]


class Answer(NamedTuple):
    """An answer ready to send, whole or as 304, and what it depends on.

    `seen` and `stamp` are those of Found, and `filled` are both of what placeholders
    were filled in from. `modified` is when its file was, in whole seconds since the
    epoch. `others` are the 304 responses of its other forms that a client who takes
    this one may hold, by ETag.
    """

    etag: str
    response: Response
    not_modified: Response
    seen: Hashable
    stamp: Hashable
    others: Mapping[str, Response] = MappingProxyType({})
    modified: int | None = None
    filled: tuple[Hashable, Hashable] | None = None

    def known(self) -> Answer:
        """Itself as it is kept for a wait: without its body, which may be large."""
        return self._replace(response=self.not_modified)


Making = Callable[[], Coroutine[Any, Any, Answer | None]]


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
        self.server = server
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
        """These for their own server; for another one such that are never kept."""
        if server is self.server:
            return self
        return Answers(server, limit=0, counter=self._counter)

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
        if self._stamp(answer.seen) != answer.stamp:
            return False
        return (
            answer.filled is None or self._stamp(answer.filled[0]) == answer.filled[1]
        )

    async def get(self, lookup: Lookup, renderer: str) -> Answer | None:
        """The answer to *lookup*, None for 404; raises DocumentError, BackendError."""
        plain = renderer.removeprefix(_ZIPPED)
        key = answer_key(lookup, renderer)
        return await self.made(key, partial(self._render, lookup, plain))

    async def made(self, key: Key, making: Making) -> Answer | None:
        """The answer under *key*, made by *making* unless it is there, None for 404.

        Many who ask for it at once share one making of it. Under a key of `zipped` it
        comes in gzip.
        """
        answer = self.ready(key)
        if answer is not None:
            return answer
        # Whoever asks after a save must not join a making that began before it.
        return await self._flights.join(
            (key, self._saves()), lambda: self._make(key, making)
        )

    async def _make(self, key: Key, making: Making) -> Answer | None:
        plain = key[-1].removeprefix(_ZIPPED)
        if plain != key[-1]:
            answer = await self._zip((*key[:-1], plain), making)
        else:
            if self._counter is not None:
                self._counter.made()
            answer = await making()
        if answer is not None and answer.seen is not None:
            self._keep(key, answer)
        return answer

    async def _zip(self, key: Key, making: Making) -> Answer | None:
        """The answer under *key*, in gzip where it is kept: else it were done often."""
        answer = await self.made(key, making)
        if answer is None or answer is not self._kept.get(key):
            return answer
        size = len(answer.response.body)
        if size > _LONG:
            return await asyncio.to_thread(_packed, answer)
        return _packed(answer) if size > _SMALL else answer

    async def _render(self, lookup: Lookup, renderer: str) -> Answer | None:
        environment, found = await self.server.environment(lookup)
        # Whoever accepts V2 is Spring: it asks for `default` first and dies on 404.
        accepts_empty = self.server.accepts_empty(True if renderer == V2_JSON else None)
        if not environment.sources and not accepts_empty:
            return None
        return await self.server.work_on(
            environment.sources, _rendered, environment, renderer, found
        )

    def _keep(self, key: Key, answer: Answer) -> None:
        self._drop(key)
        if len(answer.response.body) > self._limit:
            return
        self._kept[key] = answer
        self._size += _size_of(key, answer)
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        answer = self._kept.pop(key, None)
        if answer is not None:
            self._size -= _size_of(key, answer)


def answer_key(lookup: Lookup, renderer: str) -> Key:
    """What tells the answers of one server apart."""
    return (lookup.name, lookup.profiles, lookup.label, renderer)


def _size_of(key: Key, answer: Answer) -> int:
    """The bytes that an answer takes, about; a request may have kilobytes of names."""
    name, profiles, _, form = key
    names = len(name) + sum(map(len, profiles)) + len(form)
    return len(answer.response.body) + names + _OVERHEAD


def zipped(renderer: str) -> str:
    """The name of a renderer whose answers are those of *renderer* in gzip."""
    return f"{_ZIPPED}{renderer}"


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
        ("Vary", "Accept, Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Answer(
        etag=etag,
        response=Response(200, (("Content-Type", content_type), *about), body),
        not_modified=Response(304, about),
        seen=found.seen,
        stamp=found.stamp,
    )


def _packed(plain: Answer) -> Answer:
    """An answer in gzip, or as it is where that gains nothing.

    Its ETag is told from the plain one's, so that no process has to pack before it
    knows what a client holds. A client that takes gzip may hold either.
    """
    import zlib  # few servers have clients that ask for it

    body = zlib.compress(plain.response.body, wbits=_GZIP_WINDOW)
    if len(body) >= len(plain.response.body):
        return plain
    etag = f'{plain.etag[:-1]}-gzip"'
    content_type, *about = [
        (name, etag if name == "ETag" else value)
        for name, value in plain.response.headers
    ]
    coding = ("Content-Encoding", "gzip")
    return plain._replace(
        etag=etag,
        response=Response(200, (content_type, coding, *about), body),
        not_modified=Response(304, tuple(about)),
        others={plain.etag: plain.not_modified},
    )
