"""Every error of the package, in one tree.

    ConfigError                     500   root: catch this
      InvalidRequest                400   a name, label, body or value is malformed
        PathEscapes                 400   a segment would leave the root
      ConfigNotFound                404   no source, no such label, no such route
      MethodNotAllowed              405   the route exists, not for this method
        ReadOnlyBackend             405   a save where nothing may be saved
      Conflict                      409   what is stored does not allow this change
      VersionConflict               412   no longer what the change was made for
      ValueTooLarge                 413   above what may be stored
      UnsupportedMedia              415   a body that is not JSON
      WrongHost                     421   a Host this server does not answer for
      SchemaViolation               422   the format of the file cannot hold the value
      Unauthenticated               401   not by whom it says
      Forbidden                     403   not with these rights
      TooManyAttempts               429   too many passwords that were wrong
      DocumentError                 500   a stored document does not parse
      BackendError                  502   a store failed
        BackendUnavailable          503   … and trying again may help
        BackendDenied               502   … or does not take who asks
        BackendMisconfigured        500   … and only its owner can help
        BackendTimeout              504   … or did not answer in time
        StorageFull                 507   … because there is no room left
      ProtocolError                 400   not HTTP we speak; http/refusals.py has them
      ExchangeError                  -    a request of ours got no answer
      FetchError                     -    the client got no configuration
      SettingsError                  -    how the program was called; exit status 2
      MissingDependency              -    a library is missing; also an ImportError

Errors keep fields and one line of text: what was expected and what was got, lower case,
no full stop. It never quotes stored content, credentials or a path outside of a root.
"""

from __future__ import annotations

__all__ = [
    "BackendDenied", "BackendError", "BackendMisconfigured", "BackendTimeout",
    "BackendUnavailable", "ConfigError", "ConfigNotFound", "Conflict",
    "DocumentError", "ExchangeError", "FetchError", "Forbidden", "InvalidRequest",
    "MethodNotAllowed", "MissingDependency", "PathEscapes", "ProtocolError",
    "ReadOnlyBackend", "SchemaViolation", "SettingsError", "StorageFull",
    "TooManyAttempts", "Unauthenticated", "UnsupportedMedia", "ValueTooLarge",
    "VersionConflict", "WrongHost",
]  # fmt: skip


class ConfigError(Exception):
    """Root of all errors of this package; `status` says the same in HTTP.

    `place` is what the text begins with for the owner of the server, not for who asks
    it, if it does: the address of a store, maybe with a key there.
    """

    status = 500
    place = ""

    @property
    def public(self) -> str:
        """What is wrong, without the place."""
        return str(self).removeprefix(f"{self.place}: ") if self.place else str(self)

    @property
    def in_full(self) -> str:
        """What is wrong, and in more lines what the owner of the server can do."""
        return "\n".join((str(self), *getattr(self, "__notes__", ())))


class InvalidRequest(ConfigError):
    """A name, a label, a body or a value is malformed; `field` says which."""

    status = 400

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field, self.problem = field, problem


class PathEscapes(InvalidRequest):
    """A segment that would leave the root: `..`, a slash after decoding, their like."""


class ConfigNotFound(ConfigError):
    """Nothing is stored under this name."""

    status = 404


class MethodNotAllowed(ConfigError):
    """The route exists, but not for this method; `allowed` lists those it has."""

    status = 405

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class ReadOnlyBackend(MethodNotAllowed):
    """A save to a backend or a server that takes none."""

    def __init__(self, message: str = "this server is read-only") -> None:
        super().__init__(message, ("GET", "HEAD", "OPTIONS"))


class Conflict(ConfigError):
    """What is stored, or a reserved name, does not allow this change."""

    status = 409


class VersionConflict(ConfigError):
    """What is stored is not what the change was made for; `version` is what it has.

    None where nothing is stored, or nobody tells.
    """

    status = 412

    def __init__(self, message: str, version: str | None = None) -> None:
        super().__init__(message)
        self.version = version


class ValueTooLarge(ConfigError):
    """A bundle above what may be stored as one."""

    status = 413


class UnsupportedMedia(ConfigError):
    """A body of another type than JSON."""

    status = 415


class WrongHost(ConfigError):
    """A Host that this server does not answer for (RFC 9110 §15.5.20)."""

    status = 421


class SchemaViolation(ConfigError):
    """The format of the stored file cannot hold this value."""

    status = 422


class Unauthenticated(ConfigError):
    """The sender is not known, or not who the request says."""

    status = 401


class Forbidden(ConfigError):
    """The request is understood and refused."""

    status = 403


class TooManyAttempts(ConfigError):
    """Too many attempts to get in; `retry_after` is the seconds until the next."""

    status = 429

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many attempts, try again later")
        self.retry_after = retry_after


class DocumentError(ConfigError):
    """A stored document does not parse.

    `location` is the file relative to its root ("" until the reader of the file adds
    it), `line` and `column` count from 1 and are 0 where the format does not tell.
    """

    def __init__(
        self, problem: str, line: int = 0, column: int = 0, location: str = ""
    ) -> None:
        super().__init__(problem, line, column, location)
        self.problem, self.location = problem, location
        self.line, self.column = line, column

    def __str__(self) -> str:
        place = [self.location] if self.location else []
        if self.line:
            place += [str(self.line), str(self.column)]
        return f"{':'.join(place)}: {self.problem}" if place else self.problem

    def at(self, location: str) -> DocumentError:
        """The same error, with the file it was found in."""
        return DocumentError(self.problem, self.line, self.column, location)


class BackendError(ConfigError):
    """A store failed; the library's or the system's own error is the cause."""

    status = 502


class BackendUnavailable(BackendError):
    """A store failed in a way that may pass."""

    status = 503


class BackendDenied(BackendError):
    """A store does not take who asks: the wrong user, or without the right to it."""


class BackendMisconfigured(BackendError):
    """A store failed in a way that only its owner can mend."""

    status = 500


class BackendTimeout(BackendError):
    """A store did not answer in time."""

    status = 504


class StorageFull(BackendError):
    """No room is left to store this."""

    status = 507


class ProtocolError(ConfigError):
    """Bytes that are not HTTP as we speak it; `path` is the request's where known."""

    status = 400
    path = ""


class ExchangeError(ConfigError):
    """A request of ours got no answer; `reason` says why, without any credentials."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FetchError(ConfigError):
    """The client got no configuration from `url`, which holds no credentials.

    `status` is what was answered: None without an answer, 200 for no configuration.
    """

    def __init__(self, url: str, problem: str, status: int | None = None) -> None:
        super().__init__(url, problem, status)
        self.url, self.problem = url, problem
        self.status: int | None = status  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.url}: {self.problem}"


class SettingsError(ConfigError):
    """A setting that is unknown, malformed or impossible.

    `key` names it, `source` says where it stands.
    """

    def __init__(self, problem: str, key: str = "", source: str = "") -> None:
        super().__init__(problem, key, source)
        self.problem, self.key, self.source = problem, key, source

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.problem) if part)


class MissingDependency(ConfigError, ImportError):
    """An optional library is not installed; the message says how to install it."""

    @classmethod
    def instead_of(
        cls, error: ModuleNotFoundError, module: str, feature: str, install: str
    ) -> ImportError:
        """What to raise for *error*: itself unless *module* is what is missing."""
        if (error.name or "").partition(".")[0] != module:
            return error
        return cls(f"{feature} needs {module}: pip install '{install}'")
