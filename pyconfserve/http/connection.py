"""One client's connection: bytes in, requests to the routes, answers out.

An answer that is ready is written in the call that brought the request, without a task,
and in one piece with those to what came together with it. A request is answered before
the next of its connection is looked at, so that pipelined answers keep their order. Who
sends many at once waits in between for the others.
"""

from __future__ import annotations

import asyncio
import math
import socket
from time import perf_counter
from typing import cast

from ..errors import ProtocolError
from .http11 import CONTINUE, Parser, serialize
from .messages import Request, Response
from .observing import NO_HTTP, Exchange
from .owner import Deadlines, Owner
from .refusals import RequestTimeout, TooManyConnections
from .replies import error_response
from .sockets import host_of
from .watching import asks_to_wait, without_wait

__all__ = ["Connection", "Deadlines"]

_LARGEST_BACKLOG = 64 * 1024  # bytes taken from a client while it is being answered
_MOST_AT_ONCE = 32  # requests, some 5 ms, before other clients have their turn
_LARGEST_WRITE = 64 * 1024  # bytes of answers that wait for each other
_LARGEST_COPY = 512 * 1024  # bytes of a body: to copy more takes longer than a write


class Connection(asyncio.Protocol):
    """One client: bytes in, requests to the routes, answers out."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._routes = owner.routes
        self._observer = owner.observer
        self._parser = Parser(owner.memo)
        self._clock = asyncio.get_running_loop().time
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._waiting: Request | None = None  # may be answered late, by the task
        self._unwritten: list[bytes] = []  # answers that go out together
        self._gathers = False
        self._is_paused = False  # the client does not take what was written
        self._is_over = False  # no request is read any more
        self._has_ended = False  # the client sends no more
        self._phase = ""
        self._peer = ""
        self._began = 0.0  # when the request that is answered was there, if it counts
        self.deadline = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, but do all that they do.
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer = host_of(transport.get_extra_info("peername"))
        self._enter("idle")
        if not self._owner.opened(self):
            self._refuse(TooManyConnections("all places for connections are taken"))
            if self._owner.is_crowded:
                self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        if self._phase == "idle" and not self._is_paused:
            request = self._owner.memo.get(data)
            if request is not None:
                self._began = perf_counter()
                response = self._routes.ready(request)
                if response is not None:
                    self._send(request, response)
                    if self._phase == "idle":
                        self._enter("idle")
                    return
        self._parser.feed(data)
        if self._task is None:
            self._pump()
        self._steer()

    def eof_received(self) -> bool:
        """Answer what came before the end: a client may still read."""
        self._has_ended = True
        if self._task is None:
            self._pump()
        elif self._waiting is not None:  # for one who may have gone
            self._task.cancel()
            self._began = perf_counter()  # what it waited for is no time of ours
            self._begin(without_wait(self._waiting))
        return not self._is_over

    def pause_writing(self) -> None:
        self._is_paused = True
        self._enter("writing")

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._is_over:
            self._enter("linger")
        elif self._task is None:
            self._pump()
        else:
            self._enter("answering")
        self._steer()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_over = True
        self._owner.lost(self)
        if self._task is not None and self._waiting is not None:
            self._task.cancel()

    def end_when_answered(self) -> None:
        """Take part in a drain: answer what has arrived, then close."""
        if self._task is None:
            self._pump()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        if self._phase in ("head", "body"):
            problem = f"the {self._phase} of the request did not arrive in time"
            self._refuse(RequestTimeout(problem))
        elif self._phase == "idle":
            self._transport.close()
            self._enter("linger")  # for what is unsent
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        self._transport.abort()

    def _pump(self) -> None:
        """Answer the requests that are complete, in few writes."""
        self._gathers = True
        try:
            self._answer_complete()
        finally:
            self._gathers = False
            self._flush()

    def _answer_complete(self) -> None:
        """Answer one after the other, until one has to be waited for."""
        for _ in range(_MOST_AT_ONCE):
            if self._is_over or self._is_paused:
                return
            try:
                event = self._parser.next_event()
            except ProtocolError as error:
                self._refuse(error)
                return
            if event is None:
                self._wait_for_more()
                return
            if isinstance(event, Response):
                self._write(serialize(CONTINUE, date=""))
                continue
            self._enter("answering")  # the next head has a deadline of its own
            self._began = perf_counter()
            response = self._routes.ready(event)
            if response is None:
                self._begin(without_wait(event) if self._has_ended else event)
                return
            self._send(event, response)
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def _go_on(self) -> None:
        self._task = None
        if not self._transport.is_closing():
            self._pump()
            self._steer()

    def _steer(self) -> None:
        """Read on, unless what came and is not answered is too much already."""
        is_waiting = self._task is not None or self._is_paused
        if is_waiting and self._parser.buffered > _LARGEST_BACKLOG:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _begin(self, request: Request) -> None:
        request = request._replace(peer=self._peer)
        self._waiting = request if asks_to_wait(request) else None
        if self._waiting is not None:  # thousands may, for long, and need no looks
            self._owner.timed.discard(self)
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self._routes.handle(request)
        has_waited = self._waiting is not None
        self._task = self._waiting = None
        if self._transport.is_closing():
            self._tell(request, response, self._new_id(request), has_waited)
            return  # what was done, was done
        self._owner.timed.add(self)
        self._send(request, response, has_waited)
        await self._go_on()

    def _wait_for_more(self) -> None:
        """No request is complete: wait for the rest of one, or end."""
        if self._has_ended:
            self._end()
        elif self._owner.is_draining and self._parser.is_idle:
            self._flush()
            self._is_over = True
            self._transport.close()
        elif self._parser.is_in_body:
            self._enter("body", keep=True)
        elif self._parser.is_idle:
            self._enter("idle")
        else:
            self._enter("head", keep=True)

    def _send(
        self, request: Request, response: Response, has_waited: bool = False
    ) -> None:
        keep_alive = request.keep_alive and not (
            self._owner.is_draining and self._parser.is_idle
        )
        id_ = self._new_id(request)
        with_body = request.method != "HEAD"
        is_large = len(response.body) > _LARGEST_COPY
        self._write(
            serialize(
                response,
                date=self._owner.date(),
                keep_alive=keep_alive,
                says_keep_alive="connection" in request.headers and keep_alive,
                with_body=with_body and not is_large,
                extra=f"X-Request-Id: {id_}\r\n" if id_ else "",
            )
        )
        if with_body and is_large:
            self._flush()
            self._transport.write(response.body)
        self._tell(request, response, id_, has_waited)
        if not keep_alive:
            self._end()

    def _write(self, data: bytes) -> None:
        """Write *data*, together with other answers to what has arrived already."""
        if not self._gathers:
            self._transport.write(data)
            return
        self._unwritten.append(data)
        if sum(map(len, self._unwritten)) >= _LARGEST_WRITE:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._unwritten)
        self._unwritten.clear()
        if data:
            self._transport.write(data)

    def _new_id(self, request: Request) -> str:
        return "" if self._observer is None else self._observer.new_id(request)

    def _tell(
        self, request: Request, response: Response, id_: str, has_waited: bool
    ) -> None:
        if self._observer is not None:
            seconds = perf_counter() - self._began
            self._observer.answered(
                Exchange(request, response, seconds, id_, self._peer, has_waited)
            )

    def _refuse(self, error: ProtocolError) -> None:
        """Answer an error after which the rest of the stream means nothing."""
        request = Request(NO_HTTP, error.path, keep_alive=False)
        self._began = perf_counter()
        self._send(request, error_response(error, error.path))

    def _end(self) -> None:
        """Close once the answer is read: a reset before that would destroy it."""
        self._flush()
        self._is_over = True
        if self._has_ended or not self._transport.can_write_eof():
            self._transport.close()
        else:
            try:
                self._transport.write_eof()
            except OSError:  # the client reset it since, and reads no more
                self.abort()
        self._enter("writing" if self._transport.get_write_buffer_size() else "linger")

    def _enter(self, phase: str, *, keep: bool = False) -> None:
        """Begin a phase, a field of Deadlines or `answering`, which has no deadline.

        With *keep*, a phase that goes on keeps the deadline it has.
        """
        if keep and phase == self._phase:
            return
        self._phase = phase
        self.deadline = self._clock() + getattr(self._owner.deadlines, phase, math.inf)
