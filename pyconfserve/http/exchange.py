"""The one door to the standard library's HTTP client: a Request out, a Response in.

It stands on http.client, the floor below urllib, whose opener would also follow
`file:` and `data:` URLs, hand `Authorization` to other hosts and ask the environment
for proxies. Each exchange has a connection of its own, so that nothing is shared
between threads or after a fork; one absolute deadline for all of it; and a cap on what
is read. What an error says holds no credentials.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ExchangeError, SettingsError
from .dialing import Deadline, Line, addresses_of, dial
from .messages import Request, Response
from .urls import Origin, Url, basic_auth, parse_url, redirected

if TYPE_CHECKING:
    import ssl

__all__ = ["LARGEST_ANSWER", "Exchange"]

LARGEST_ANSWER = 16 * 1024 * 1024  # bytes of a body: as large as a plain file may be
_LARGEST_HEAD = 1024 * 1024  # bytes beside the body: heads, and the sizes of chunks
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CUT_OFF = "the connection was closed in the middle of the answer"
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ConnectionRefusedError, "the connection was refused"),
    (socket.gaierror, "the name of the host is not known"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (http.client.IncompleteRead, _CUT_OFF),
    (http.client.InvalidURL, "the url is malformed"),
    (http.client.HTTPException, "the answer is not HTTP"),
)


class Exchange:
    """Sends requests over connections of its own; it may be shared between threads.

    *timeout* is in seconds, for one exchange from its name look-up to the last byte;
    *limit* in bytes of a body. TLS certificates are verified, against *ca_file* instead
    of the system's where given; *client_cert* and *client_key* are files in PEM.
    *proxy* is `http://[user:password@]host:port`, and no proxy is used without it.

    Raises ValueError for a proxy that is none, SettingsError for files that are none.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        ca_file: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        proxy: str | None = None,
        limit: int = LARGEST_ANSWER,
    ) -> None:
        self.timeout = timeout
        self.limit = limit
        self._tls_files = (ca_file, client_cert, client_key)
        self._tls: ssl.SSLContext | None = None
        if client_key is not None and client_cert is None:
            raise SettingsError("it needs a client_cert", "client_key")
        if ca_file is not None or client_cert is not None:
            self._context()  # what is wrong with them is no failure of a server
        self._proxy = None if proxy is None else parse_url(proxy)
        if self._proxy is not None and self._proxy.origin.scheme != "http":
            raise ValueError("a proxy is http://host:port")

    def send(
        self,
        url: str,
        request: Request,
        *,
        timeout: float | None = None,
        line: Line | None = None,
    ) -> Response:
        """The answer to *request*, whose path and query are put behind *url*.

        A redirect is followed within its origin, five times; any other is the answer.
        Raises ExchangeError when there is none by *timeout* seconds, or none that is
        HTTP, whole and within the limit, or when another thread hung up *line*.
        """
        seconds = self.timeout if timeout is None else timeout
        line = line or Line()
        try:
            return self._send(url, request, Deadline(seconds), line)
        except TimeoutError as error:
            raise ExchangeError(f"no answer within {seconds:g} s") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = "hung up" if line.is_cut else _reason(error)
            # Texts of the library's own errors quote answers, URLs and headers.
            raise ExchangeError(reason) from (
                error if isinstance(error, OSError) else None
            )

    def _send(
        self, url: str, request: Request, deadline: Deadline, line: Line
    ) -> Response:
        origin, base, _ = parse_url(url)
        target = base + request.path + (f"?{request.query}" if request.query else "")
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._once(origin, target, request, deadline, line)
            further = _further(origin, target, request, response)
            if further is None:
                break
            target = further
        return response

    def _once(
        self,
        origin: Origin,
        target: str,
        request: Request,
        deadline: Deadline,
        line: Line,
    ) -> Response:
        fixed = {"host": origin.authority, "connection": "close"}
        headers = {**request.headers, **fixed}
        if self._proxy is not None and origin.scheme == "http":
            target = f"http://{origin.authority}{target}"
            headers |= _proxy_headers(self._proxy)
        sock = self._connect(origin, deadline, line)
        try:
            connection = http.client.HTTPConnection(origin.host, origin.port)
            wire = _wire(sock, deadline, self.limit + _LARGEST_HEAD)
            connection.sock = wire
            connection.request(request.method, target, request.body or None, headers)
            with connection.getresponse() as answer:
                if wire.has_ended:  # http.client takes that for the end of the head
                    raise ExchangeError(_CUT_OFF)
                body = self._body(answer)
                return Response(answer.status, tuple(answer.getheaders()), body)
        finally:
            line.hold(None)
            sock.close()

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.length is not None and answer.length > self.limit:
            raise _too_large(self.limit)
        # With a length, read() sees what is cut off; without, its argument is the end.
        is_bounded = answer.length is not None and not answer.chunked
        body = answer.read() if is_bounded else answer.read(self.limit + 1)
        if len(body) > self.limit:
            raise _too_large(self.limit)
        return body

    def _connect(self, origin: Origin, deadline: Deadline, line: Line) -> socket.socket:
        """A connection to *origin*, with TLS where it wants it, held by *line*."""
        proxy = self._proxy
        first = origin if proxy is None else proxy.origin
        sock = dial(addresses_of(first, deadline, line), deadline, line)
        if origin.scheme == "http":
            return sock
        try:
            if proxy is not None:
                _tunnel(sock, origin, proxy, deadline)
            secured = self._context().wrap_socket(
                sock, server_hostname=origin.host, do_handshake_on_connect=False
            )
            sock = secured
            line.hold(sock)
            sock.settimeout(deadline.left())
            secured.do_handshake()
        except BaseException:
            line.hold(None)
            sock.close()
            raise
        return sock

    def _context(self) -> ssl.SSLContext:
        """Made once, as it reads hundreds of certificates; two threads may both do."""
        if self._tls is None:
            import ssl

            ca_file, certificate, key = self._tls_files
            with _file_of("ca_file", ca_file, "certificate in PEM"):
                context = ssl.create_default_context(cafile=ca_file)
            if certificate is not None:
                both = "certificate and key in PEM"
                with _file_of("client_cert", certificate, both):
                    if key is None:
                        context.load_cert_chain(certificate, password=_no_passphrase)
                ours = f"key in PEM of the certificate in {certificate}"
                with _file_of("client_key", key, ours):
                    if key is not None:
                        context.load_cert_chain(certificate, key, _no_passphrase)
            self._tls = context
        return self._tls


@contextmanager
def _file_of(option: str, path: str | None, kind: str) -> Iterator[None]:
    try:
        if path is not None:
            with open(path, "rb"):
                pass
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", option) from None
    try:
        yield
    except (OSError, ValueError):  # of TLS, too
        raise SettingsError(f"{path}: it holds no {kind}", option) from None


def _no_passphrase() -> str:
    return ""  # without this, OpenSSL would ask at the terminal


class _Wire(io.RawIOBase):
    """A socket as http.client wants one, that keeps a deadline and a cap in bytes."""

    def __init__(self, sock: socket.socket, deadline: Deadline, cap: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._cap = cap
        self._left = cap
        self.has_ended = False

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        count = self._sock.recv_into(buffer)
        self._left -= count
        self.has_ended = count == 0
        if self._left < 0:
            raise _too_large(self._cap)
        return count

    def close(self) -> None:
        """Nothing: http.client closes what it is still to read the answer from."""


def _wire(sock: socket.socket, deadline: Deadline, cap: int) -> Any:
    return _Wire(sock, deadline, cap)


def _too_large(limit: int) -> ExchangeError:
    return ExchangeError(f"the answer is larger than {limit} bytes")


def _tunnel(
    sock: socket.socket, origin: Origin, proxy: Url, deadline: Deadline
) -> None:
    """Ask *proxy* for a way to *origin* (RFC 9110 §9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    target = f"{host}:{origin.port}"
    fields = {"Host": target, **_proxy_headers(proxy)}
    head = [f"CONNECT {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    wire = _wire(sock, deadline, _LARGEST_HEAD)
    wire.sendall("\r\n".join([*head, "", ""]).encode("ascii"))
    answer = http.client.HTTPResponse(wire, method="CONNECT")
    answer.begin()
    if answer.status != 200:
        raise ExchangeError(f"the proxy answered {answer.status}")


def _proxy_headers(proxy: Url) -> dict[str, str]:
    if not proxy.userinfo:
        return {}
    return {"Proxy-Authorization": basic_auth(proxy.userinfo)}


def _further(
    origin: Origin, target: str, request: Request, response: Response
) -> str | None:
    """The target of a redirect to follow: that of a GET or HEAD, within its origin."""
    if response.status not in _REDIRECTS or request.method not in ("GET", "HEAD"):
        return None
    for name, value in response.headers:
        if name.lower() == "location":
            return redirected(origin, target, value)
    return None


def _reason(error: Exception) -> str:
    """An error in words of ours: those of libraries quote URLs and headers."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    if not isinstance(error, OSError):
        return "the request or the answer is malformed"
    detail = getattr(error, "verify_message", "") or error.strerror
    return f"the connection failed: {detail or type(error).__name__}"
