"""The two drivers: they take the steps that steps.py names, and know no rule.

One is for threads, one for event loops. Both close the generator when they are closed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from typing import Any

from ..errors import ExchangeError
from ..http.dialing import Line
from ..http.exchange import LARGEST_ANSWER, Exchange
from ..http.messages import Response
from .steps import Emit, Send, Steps, Wait, Warn, Work

__all__ = ["drive", "drive_async", "exchanged", "through"]


def drive(
    steps: Steps[None],
    exchange: Exchange,
    sleep: Callable[[float], object],
    line: Line | None = None,
) -> Generator[Any, None, None]:
    """Take *steps* in this thread; gives what they emit, and raises what they raise.

    *line* ends an exchange that runs, and the steps; so does what *sleep* raises.
    """

    def perform(step: Any) -> Any:
        if isinstance(step, Send):
            url, request, timeout = step
            return exchange.send(url, request, timeout=timeout, line=line)
        return _warn(step.text) if isinstance(step, Warn) else step.call()

    try:
        step = next(steps)
        while True:
            result = None
            if isinstance(step, Emit):
                yield step.value
            elif isinstance(step, Wait):
                sleep(step.seconds)
            else:
                try:
                    result = perform(step)
                except Exception as error:
                    if line is not None and line.is_cut:
                        return  # which is no failure of a server
                    step = steps.throw(error)
                    continue
            step = steps.send(result)
    except StopIteration:
        return
    finally:
        steps.close()


Sender = Callable[[Send], Any]  # gives an awaitable Response


async def drive_async(steps: Steps[None], send: Sender) -> AsyncGenerator[Any, None]:
    """Take *steps* on the running loop, `drive` in every other way."""
    import asyncio

    try:
        step = next(steps)
        while True:
            result = None
            if isinstance(step, Emit):
                yield step.value
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Warn):
                _warn(step.text)
            else:
                try:
                    doing = send(step) if isinstance(step, Send) else _work(step)
                    result = await doing
                except Exception as error:
                    step = steps.throw(error)
                    continue
            step = steps.send(result)
    except StopIteration:
        return
    finally:
        steps.close()


async def _work(step: Work) -> Any:
    """The result of a step in a thread, which is waited for even when cancelled.

    A lock that it takes must not outlive the steps.
    """
    import asyncio

    working = asyncio.ensure_future(asyncio.to_thread(step.call))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


def exchanged(exchange: Exchange) -> Sender:
    """Sending by *exchange*, each in a thread of its own; cancelling hangs up.

    Those of the loop's executor are few, and the application's.
    """

    async def send(step: Send) -> Response:
        import asyncio
        from threading import Thread

        line, loop = Line(), asyncio.get_running_loop()
        answered: asyncio.Future[Response] = loop.create_future()

        def settle(settle_it: Callable[[Any], None], result: Any) -> None:
            if not answered.done():
                settle_it(result)

        def work() -> None:
            url, request, timeout = step
            done: tuple[Callable[[Any], None], Any]
            try:
                response = exchange.send(url, request, timeout=timeout, line=line)
                done = answered.set_result, response
            except Exception as error:
                done = answered.set_exception, error
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, *done)

        Thread(target=work, name="pyconfserve-send", daemon=True).start()
        try:
            return await answered
        finally:
            line.hang_up()

    return send


def through(http_client: Any) -> Sender:
    """Sending by an httpx.AsyncClient, or what has its `request`; never closes it."""
    modules = [kind.__module__ for kind in type(http_client).__mro__]
    if any(module.partition(".")[0] == "httpx" for module in modules):
        from ..adapters.httpx import HttpxExchange

        exchange = HttpxExchange(http_client)
        return lambda step: exchange.send(step.url, step.request, timeout=step.timeout)
    return _requesting(http_client)


def _requesting(http_client: Any) -> Sender:
    """Sending by `request` as httpx has it; its answer is read before it is judged."""

    async def send(step: Send) -> Response:
        import asyncio

        url, request, timeout = step
        query = f"?{request.query}" if request.query else ""
        try:
            async with asyncio.timeout(timeout):
                answer = await http_client.request(
                    request.method,
                    f"{url}{request.path}{query}",
                    headers=dict(request.headers),
                    timeout=timeout,
                    follow_redirects=False,  # not to another host, with these headers
                )
        except TimeoutError as error:
            raise ExchangeError(f"no answer within {timeout:g} s") from error
        except Exception as error:  # of a library that is not known here
            raise ExchangeError(f"no answer ({type(error).__name__})") from error
        if len(answer.content) > LARGEST_ANSWER:
            raise ExchangeError(f"the answer is larger than {LARGEST_ANSWER} bytes")
        fields = tuple((str(k), str(v)) for k, v in answer.headers.items())
        return Response(answer.status_code, fields, answer.content)

    return send


def _warn(text: str) -> None:
    import logging  # costs the start, and few starts log anything

    logging.getLogger("pyconfserve.client").warning("%s", text)
