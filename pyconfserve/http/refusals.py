"""What is refused on the wire: one error a limit, each a ProtocolError."""

from __future__ import annotations

from ..errors import ProtocolError

__all__ = [
    "BodyTooLarge",
    "ExpectationFailed",
    "HeadersTooLarge",
    "LengthRequired",
    "RequestTimeout",
    "TargetTooLong",
    "TooManyConnections",
    "UnknownMethod",
    "UnknownTransferCoding",
    "UnknownVersion",
]


class RequestTimeout(ProtocolError):
    """The head or the body of a request did not arrive in time."""

    status = 408


class LengthRequired(ProtocolError):
    """A method that carries a body, without saying how long it is."""

    status = 411


class BodyTooLarge(ProtocolError):
    """A body above its limit, refused before it is read."""

    status = 413


class TargetTooLong(ProtocolError):
    """A request line above its limit."""

    status = 414


class ExpectationFailed(ProtocolError):
    """An `Expect` other than `100-continue`."""

    status = 417


class HeadersTooLarge(ProtocolError):
    """Header lines above one of their limits."""

    status = 431


class UnknownMethod(ProtocolError):
    """A method that no route of any server of this kind has."""

    status = 501


class UnknownTransferCoding(ProtocolError):
    """A transfer coding other than `chunked`."""

    status = 501


class TooManyConnections(ProtocolError):
    """All places for connections are taken."""

    status = 503


class UnknownVersion(ProtocolError):
    """A version of HTTP other than 1.0 and 1.1."""

    status = 505
