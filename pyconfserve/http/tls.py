"""Certificates: what TLS is served with, read again when the files change.

TLS 1.2 and later, without renegotiation and compression. Each new handshake takes the
present context; connections that are open keep theirs. This module holds no socket.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
import threading
import time
from collections.abc import Callable

from ..errors import SettingsError

__all__ = ["Certificates"]

_logger = logging.getLogger("pyconfserve.tls")
_INTERVAL = 1.0  # seconds between looks at the files
_LARGEST = 4 * 1024 * 1024  # bytes of a file; a system's bundle of CAs has some 200 KB
_UNSETTLED = 50_000_000  # ns in which a file system may not tell two changes apart
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

Stamps = tuple[tuple[int, ...] | None, ...]


class Certificates:
    """The certificate of a server with its key, and whose clients it takes.

    *cert* is a PEM file of the certificate and those between it and the root; *key* is
    that of its private key, where it does not stand in *cert*, and *password* opens it.
    With *client_ca*, a PEM file of authorities, clients must show a certificate by one
    of them. Raises SettingsError, which names the file.
    """

    def __init__(
        self,
        cert: str,
        key: str | None = None,
        client_ca: str | None = None,
        password: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cert, self._key, self._client_ca = cert, key or cert, client_ca
        self._password = password or ""
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._problem = ""
        self._stamps, self._is_settled = self._look()
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """The context for a new handshake; looks at the files at most once a second."""
        is_due = self._clock() - self._looked >= _INTERVAL
        if is_due and self._lock.acquire(blocking=False):  # else another thread does
            try:
                self._reload()
            finally:
                self._lock.release()
        return self._context

    def reload(self) -> None:
        """Look at the files now; broken new ones leave the old in force, with one log.

        It takes the time of reading them, where they have changed, and may be called
        in another thread.
        """
        with self._lock:
            self._reload()

    def _reload(self) -> None:
        self._looked = self._clock()
        stamps, is_settled = self._look()
        if stamps == self._stamps and self._is_settled and not self._problem:
            return  # else what is broken may only have been out of reach
        before = (self._stamps, self._problem)
        try:
            self._context = self._load()
            self._problem = ""
        except SettingsError as error:
            self._problem = str(error)
        self._stamps, self._is_settled = stamps, is_settled
        if (self._stamps, self._problem) == before:
            return
        if self._problem:
            _logger.error("the TLS files in use are kept: %s", self._problem)
        else:
            _logger.info("the TLS files were read again")

    def _look(self) -> tuple[Stamps, bool]:
        """The files' stamps, and whether a later change is sure to show in them."""
        stamps: list[tuple[int, ...] | None] = []
        newest = 0
        for path in (self._cert, self._key, self._client_ca):
            try:
                at = os.stat(path) if path else None
            except OSError:
                at = None
            if at is None:
                stamps.append(None)
                continue
            newest = max(newest, at.st_mtime_ns, at.st_ctime_ns)
            times = (at.st_mtime_ns, at.st_ctime_ns, at.st_mode)
            stamps.append((at.st_dev, at.st_ino, at.st_size, *times))
        return tuple(stamps), abs(time.time_ns() - newest) > _UNSETTLED

    def _load(self) -> ssl.SSLContext:
        """A context of the files as they are now; raises SettingsError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Where the system's own policy is stricter, that stays.
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        # A trial: what goes wrong after it is the key's fault.
        trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _trust(trial, self._cert, _read(self._cert)[0])
        key, mode = _read(self._key, is_guarded=True)
        if "PRIVATE KEY-----" not in key:
            raise SettingsError("holds no private key in PEM", source=self._key)
        self._load_pair(context, is_encrypted="ENCRYPTED" in key)
        if self._client_ca is not None:
            _trust(context, self._client_ca, _read(self._client_ca, is_guarded=True)[0])
            context.verify_mode = ssl.CERT_REQUIRED
        if mode & stat.S_IROTH:
            _logger.warning("others may read the key of TLS: chmod o-r %s", self._key)
        return context

    def _load_pair(self, context: ssl.SSLContext, *, is_encrypted: bool) -> None:
        try:
            # Without a password given, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self._cert, self._key, lambda: self._password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            reason = getattr(error, "reason", None) or ""
            if reason == "KEY_VALUES_MISMATCH":
                problem = f"is not the key of the certificate in {self._cert}"
            elif reason.endswith(("TOO_SMALL", "TOO_WEAK")):
                raise SettingsError(_refusal(reason), source=self._cert) from error
            elif is_encrypted and not self._password:
                problem = "is encrypted, and no password for it is set"
            elif is_encrypted:
                problem = "is not opened by the password that is set"
            else:
                problem = _refusal(reason)
            raise SettingsError(problem, source=self._key) from error


def _trust(context: ssl.SSLContext, path: str, text: str) -> None:
    """Let *context* trust the certificates in *text*; raises SettingsError for none."""
    try:
        context.load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError("holds no certificate in PEM", source=path) from error


def _refusal(reason: str | None) -> str:
    words = (reason or "not what it should be").replace("_", " ").lower()
    return f"is refused by OpenSSL: {words}"


def _read(path: str, *, is_guarded: bool = False) -> tuple[str, int]:
    """The text and the mode of a PEM file.

    One that *is_guarded* is refused when others than its owner may write it. Raises
    SettingsError.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # to open a pipe could wait for ever
            raise SettingsError("is no regular file", source=path)
        with open(path, "rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        reason = str(error.strerror).lower()
        raise SettingsError(f"cannot be read: {reason}", source=path) from error
    if is_guarded and mode & _OTHERS_WRITE:
        raise SettingsError("others than its owner may write it", source=path)
    # What stands around the PEM may be any text.
    return data.decode("ascii", "ignore"), mode
