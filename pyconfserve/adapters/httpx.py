"""Exchanges over an httpx.AsyncClient: for pooling, HTTP/2, or a server in-process.

`ConfigClient(http_client=…)` uses one as it is and never closes it. What httpx raises
stops here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..errors import ExchangeError, MissingDependency

try:
    import httpx
except ModuleNotFoundError as error:
    what = "httpx", "this adapter", "pyconfserve[httpx]"
    raise MissingDependency.instead_of(error, *what) from error

from ..http.exchange import LARGEST_ANSWER
from ..http.messages import Request, Response

__all__ = ["HttpxExchange", "make_http_client"]

_MOST_REDIRECTS = 5
_PARTS = 64  # of a body in one turn of the loop: where parts never wait, no timer runs
# The first class that an error is of; httpx's own texts may quote a URL.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.TimeoutException, "no answer within {seconds:g} s"),
    (TimeoutError, "no answer within {seconds:g} s"),
    (httpx.UnsupportedProtocol, "a url begins with http:// or https://"),
    (httpx.InvalidURL, "a url is malformed"),
    (httpx.ProxyError, "the proxy failed"),
    (httpx.RemoteProtocolError, "the answer is not HTTP, or was cut off"),
    (httpx.NetworkError, "the connection failed"),
    (Exception, "the request failed ({name})"),
)
# The texts of all others may quote what the server sent.
_QUOTING_NOTHING = (httpx.TimeoutException, TimeoutError, httpx.NetworkError)


def make_http_client(*, http2: bool = False, **options: Any) -> httpx.AsyncClient:
    """An httpx.AsyncClient that asks the environment for nothing.

    *options* are httpx's own (`verify`, `cert`, `proxy`, `limits`, `transport`); there
    are no proxies and certificates but those named. Whoever makes it closes it. Raises
    MissingDependency for *http2* without the library h2.
    """
    try:
        return httpx.AsyncClient(http2=http2, **{"trust_env": False, **options})
    except ImportError as error:
        problem = "http2 needs h2: pip install 'httpx[http2]'"
        raise MissingDependency(problem) from error


class HttpxExchange:
    """Sends requests through *client*, with the rules of http.exchange.

    *limit* is in bytes of a body.
    """

    def __init__(
        self, client: httpx.AsyncClient, *, limit: int = LARGEST_ANSWER
    ) -> None:
        self._client = client
        self._limit = limit

    async def send(  # the whole exchange has one deadline, as http.exchange has it
        self,
        url: str,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Response:
        """The answer to *request*, whose path and query are put behind *url*.

        A redirect is followed within its origin, five times; any other is the answer.
        Raises ExchangeError when there is none by *timeout* seconds, or none that is
        HTTP, whole and within the limit.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._send(url, request, timeout)
        except ExchangeError:
            raise
        except Exception as error:  # of httpx, of its transport, of a header's text
            reason = next(text for kind, text in _REASONS if isinstance(error, kind))
            name = type(error).__name__
            cause = error if isinstance(error, _QUOTING_NOTHING) else None
            raise ExchangeError(reason.format(seconds=timeout, name=name)) from cause

    async def _send(self, url: str, request: Request, seconds: float) -> Response:
        target = f"{url.rstrip('/')}{request.path}"
        if request.query:
            target += f"?{request.query}"
        # Neither of the client's own: five seconds end a long poll, gzip may be a bomb.
        texts = {"Accept-Encoding": "identity", **request.headers}
        headers = [
            (name.encode("ascii"), text.encode("latin-1"))
            for name, text in texts.items()
        ]
        content = request.body or None
        sent = self._client.build_request(
            request.method, target, headers=headers, content=content, timeout=seconds
        )
        response, further = await self._once(sent)
        for _ in range(_MOST_REDIRECTS):
            if further is None:
                break
            response, further = await self._once(further)
        return response

    async def _once(
        self, request: httpx.Request
    ) -> tuple[Response, httpx.Request | None]:
        """An answer, and the request that it leads to within its origin."""
        client = self._client
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            body = await self._body(answer)
        finally:
            await answer.aclose()
        # As http.exchange has them: an ETag that is no ASCII goes back as it came.
        headers = tuple(
            (name.decode("latin-1").lower(), text.decode("latin-1"))
            for name, text in answer.headers.raw
        )
        further = answer.next_request
        if further is None or _origin(further) != _origin(request):
            further = None
        return Response(answer.status_code, headers, body), further

    async def _body(self, answer: httpx.Response) -> bytes:
        body, number = bytearray(), 0
        async for part in answer.aiter_raw():
            body += part
            if len(body) > self._limit:
                raise ExchangeError(f"the answer is larger than {self._limit} bytes")
            number += 1
            if number % _PARTS == 0:
                await asyncio.sleep(0)
        return bytes(body)


def _origin(request: httpx.Request) -> tuple[str, str, int | None]:
    url = request.url
    return url.scheme, url.host, url.port
