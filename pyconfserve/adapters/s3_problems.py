"""What the errors of boto3 mean in ours, with what to do in words for people.

Errors never hold what the endpoint says, as it repeats what it got.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import (
    BackendDenied,
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    ConfigError,
    MissingDependency,
    ValueTooLarge,
    VersionConflict,
)

try:
    import boto3  # noqa: F401  # the one to be named where both are missing
    from botocore import exceptions
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError as error:
    what = "an S3 store", "pyconfserve[s3]"
    raise MissingDependency.instead_of(error, "boto3", *what) from error

__all__ = ["NO_S3", "NoSuchObject", "located", "translated"]

NO_S3 = "what answers there is no S3"
_LATE = "it did not answer in time"
_AWAY = "it is away"
_TLS = "TLS failed: is its certificate to be trusted?"
_KEYS = "no access key was found: set one, or give this machine a role"
_EXPIRED = "the credentials have expired"
_REGION = "the bucket is elsewhere: set its region, or the right endpoint"
_LACKS = "it lacks what is asked, such as conditional writes"
_RIGHTS = (
    "the access key has no right to it: it needs s3:ListBucket and s3:GetObject, and "
    "to save s3:PutObject and s3:DeleteObject"
)
_CLOCK = "the clock of this machine is wrong: set it, or have it set by NTP"
# What an error of botocore means, the first that fits.
_KINDS: tuple[tuple[type[Exception], type[BackendError], str], ...] = (
    (exceptions.NoCredentialsError, BackendDenied, _KEYS),
    (exceptions.PartialCredentialsError, BackendDenied, _KEYS),
    (exceptions.CredentialRetrievalError, BackendDenied, _KEYS),
    (exceptions.TokenRetrievalError, BackendDenied, _EXPIRED),
    (exceptions.SSOError, BackendDenied, _EXPIRED),
    (exceptions.SSLError, BackendMisconfigured, _TLS),
    (ResponseParserError, BackendMisconfigured, NO_S3),
    (exceptions.ConnectTimeoutError, BackendUnavailable, _LATE),
    (exceptions.ReadTimeoutError, BackendUnavailable, _LATE),
    (exceptions.ConnectionError, BackendUnavailable, _AWAY),
    (exceptions.HTTPClientError, BackendUnavailable, _AWAY),
    (exceptions.IncompleteReadError, BackendUnavailable, _AWAY),
    (exceptions.NoRegionError, BackendMisconfigured, "it needs a region"),
)  # fmt: skip
# What a code of S3 means, where the endpoint tells one.
_CODES: dict[str, tuple[type[BackendError], str]] = {
    "NoSuchBucket": (BackendMisconfigured, "there is no such bucket"),
    "InvalidBucketName": (BackendMisconfigured, "no bucket can have this name"),
    "InvalidAccessKeyId": (BackendDenied, "the access key is not known"),
    "SignatureDoesNotMatch": (BackendDenied, "the secret of the access key is wrong"),
    "ExpiredToken": (BackendDenied, _EXPIRED),
    "InvalidToken": (BackendDenied, _EXPIRED),
    "TokenRefreshRequired": (BackendDenied, _EXPIRED),
    "RequestTimeTooSkewed": (BackendMisconfigured, _CLOCK),
    "RequestExpired": (BackendMisconfigured, _CLOCK),
    "PermanentRedirect": (BackendMisconfigured, _REGION),
    "TemporaryRedirect": (BackendUnavailable, "the bucket is being moved"),
    "AuthorizationHeaderMalformed": (BackendMisconfigured, _REGION),
    "IllegalLocationConstraintException": (BackendMisconfigured, _REGION),
    "NotImplemented": (BackendMisconfigured, _LACKS),
    "SlowDown": (BackendUnavailable, "it asks for fewer requests"),
    "RequestTimeout": (BackendUnavailable, _LATE),
}
# Else its status.
_STATUSES: dict[int, tuple[type[BackendError], str]] = {
    301: (BackendMisconfigured, _REGION),
    307: (BackendUnavailable, "the bucket is being moved"),
    401: (BackendDenied, _RIGHTS),
    403: (BackendDenied, _RIGHTS),
    404: (BackendMisconfigured, "there is no such bucket"),
    429: (BackendUnavailable, "it asks for fewer requests"),
    501: (BackendMisconfigured, _LACKS),
}
_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict")
_TOO_LARGE = ("EntityTooLarge", "MaxMessageLengthExceeded")


class NoSuchObject(VersionConflict):
    """Nothing is stored under this key any more."""


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise errors of ours, which begin with *place*, for those of boto3.

    A condition that does not hold is VersionConflict, an object that is not there
    NoSuchObject.
    """
    try:
        yield
    except exceptions.ClientError as error:
        raise _answered(place, error) from error
    except (exceptions.BotoCoreError, ResponseParserError) as error:
        raise located(*_failed(error), place) from error
    except (KeyError, ValueError) as error:  # an answer lacks what all have
        raise located(BackendMisconfigured, NO_S3, place) from error


def _failed(error: Exception) -> tuple[type[BackendError], str]:
    """What it means that there was no answer."""
    for kind, ours, words in _KINDS:
        if isinstance(error, kind):
            return ours, words
    return BackendMisconfigured, f"boto3 refused the request: {type(error).__name__}"


def _answered(place: str, error: exceptions.ClientError) -> ConfigError:
    """What a refusal means."""
    code = f"{error.response.get('Error', {}).get('Code', '')}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED or status == 412:
        words = "the files were changed by someone else meanwhile"
        return located(VersionConflict, words, place)
    if code == "NoSuchKey":
        words = "the file was removed by someone else meanwhile"
        return located(NoSuchObject, words, place)
    if code in _TOO_LARGE or status == 413:
        words = "the file is larger than the bucket takes"
        return located(ValueTooLarge, words, place)
    if code in _CODES:
        return located(*_CODES[code], place)
    if status in _STATUSES:
        return located(*_STATUSES[status], place)
    if status >= 500:
        return located(BackendUnavailable, "it failed, and may recover", place)
    return located(BackendError, f"it refused the request ({status})", place)


def located(kind: type[ConfigError], words: str, place: str) -> ConfigError:
    """An error that says where it is to the owner of the server alone."""
    error = kind(f"{place}: {words}")
    error.place = place
    return error
