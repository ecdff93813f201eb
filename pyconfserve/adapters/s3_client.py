"""The client of S3: which bucket, who asks, and one method for each kind of request.

Nothing is ever sent twice: whether a change was made whose answer was lost is found out
by whoever asked for it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..addresses import shown
from ..environment.formats.document import LARGEST_FILE
from ..errors import (
    BackendMisconfigured,
    BackendUnavailable,
    InvalidRequest,
    MissingDependency,
    SettingsError,
)
from ..http.exchange import Exchange
from .s3_problems import NO_S3, located, translated

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.loaders import create_loader
    from botocore.session import get_session
except ModuleNotFoundError as error:
    what = "an S3 store", "pyconfserve[s3]"
    raise MissingDependency.instead_of(error, "boto3", *what) from error

__all__ = ["TIMEOUT", "Bucket", "Content", "Object", "Place", "parse_place"]

TIMEOUT = 10.0  # seconds for a connection, and for each piece of an answer
_MOST_KEYS = 100_000  # of one prefix: a hundred requests for a look at it
_MOST_PAGES = 1000  # of a listing; some have few keys, or none
_LONGEST_KEY = 1024  # bytes
_WHOLE = 6  # times TIMEOUT for all of an object
_CONNECTIONS = 16  # at a time: a look fetches eight objects side by side
_CHANGE = "pyconfserve-change"  # the metadata that says who wrote an object
_URI = re.compile(
    r"s3://([a-z0-9][a-z0-9._-]{1,253}[a-z0-9])(?:/([^?#@\s]*))?",
    re.IGNORECASE | re.ASCII,
)
_LOADER = create_loader()  # of what boto3 knows of S3, once for all
_ENDPOINT = re.compile(r"https?://[^/?#@\s]+/?", re.IGNORECASE)


class Place(NamedTuple):
    """What a URI names: a bucket, and a prefix that is "" or ends in a slash."""

    address: str
    bucket: str
    prefix: str


class Object(NamedTuple):
    """What a listing tells of an object; `modified` is in seconds since the epoch."""

    etag: str
    size: int
    modified: float


class Content(NamedTuple):
    """What an object holds, and the change that wrote it, "" where it has no name."""

    data: bytes
    etag: str
    change: str


def parse_place(uri: str) -> Place:
    """The parts of `s3://bucket[/prefix]`; raises SettingsError."""
    found = _URI.fullmatch(uri.strip())
    path = (found[2] or "").strip("/") if found else ""
    segments = path.split("/") if path else []
    if found is None or not {"", ".", ".."}.isdisjoint(segments):
        raise SettingsError("expected s3://bucket or s3://bucket/prefix")
    prefix = "".join(f"{one}/" for one in segments)
    return Place(f"s3://{found[1]}/{prefix}".rstrip("/"), found[1], prefix)


class Bucket:
    """The objects below a prefix of a bucket, by their keys below it; thread-safe.

    *endpoint* is the URL of an S3 that is not Amazon's. Without *access_key* boto3
    finds one: in the environment, in its files, as the role of this machine. The
    `identity` has the endpoint, too. Raises SettingsError.
    """

    def __init__(
        self,
        uri: str,
        *,
        endpoint: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
        ca_file: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        place = parse_place(uri)
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise SettingsError("expected the endpoint as https://host[:port]")
        if bool(access_key) != bool(secret_key):
            raise SettingsError("expected an access key and its secret, or neither")
        if ca_file:
            Exchange(ca_file=ca_file)  # it looks at the file, and asks nobody
        self.address, self.name, self._prefix = place
        self._whole = timeout * _WHOLE
        self._client: Any = _client(
            endpoint, region, (access_key, secret_key), ca_file, timeout
        )
        where = shown(self._client.meta.endpoint_url)  # boto3 may have found it
        self.identity = f"{self.address} at {where}"

    def objects(self, start: str = "") -> Iterator[tuple[str, Object]]:
        """All that begin so; raises BackendError, also for 100,000 of them."""
        asked = {"Bucket": self.name, "Prefix": f"{self._prefix}{start}"}
        count = 0
        for _ in range(_MOST_PAGES):
            objects, token = self._page(asked)
            count += len(objects)
            if count > _MOST_KEYS:
                problem = f"more than {_MOST_KEYS} objects are there"
                raise BackendMisconfigured(f"{self.address}: {problem}")
            yield from objects
            if token is None:
                return
            if token in ("", asked.get("ContinuationToken")):
                break
            asked["ContinuationToken"] = token
        raise BackendMisconfigured(f"{self.address}: {NO_S3}")

    def _page(
        self, asked: Mapping[str, str]
    ) -> tuple[list[tuple[str, Object]], str | None]:
        """The objects of one page, and the token of the next one."""
        with translated(self.address):
            page = self._client.list_objects_v2(**asked)
            objects = [
                (
                    one["Key"].removeprefix(self._prefix),
                    Object(one["ETag"], one["Size"], one["LastModified"].timestamp()),
                )
                for one in page.get("Contents", ())
            ]
            has_more = page["IsTruncated"]  # else any XML would be an empty bucket
            return objects, page["NextContinuationToken"] if has_more else None

    def get(
        self, key: str, etag: str | None = None, limit: int = LARGEST_FILE
    ) -> Content:
        """What an object holds, while it has that ETag if one is named.

        Raises VersionConflict when it has another one, NoSuchObject, BackendError.
        """
        guard = {} if etag is None else {"IfMatch": etag}
        until = time.monotonic() + self._whole
        place = f"{self.address}: {key}"
        with translated(place):
            found = self._client.get_object(**guard, **self._named(key))
            body, parts, size = found["Body"], [], 0
            try:
                while part := body.read(1 << 16):
                    parts.append(part)
                    size += len(part)
                    if size > limit or time.monotonic() > until:
                        problem = "an object did not end in time"
                        raise located(BackendUnavailable, problem, place)
            finally:
                body.close()
            change = found["Metadata"].get(_CHANGE, "")
            return Content(b"".join(parts), f"{found['ETag']}", change)

    def put(self, key: str, data: bytes, etag: str | None, change: str = "") -> str:
        """Write an object that has that ETag, or None yet; gives its new one.

        *change* is kept with it. Raises VersionConflict, ValueTooLarge, InvalidRequest,
        BackendError.
        """
        if len(f"{self._prefix}{key}".encode()) > _LONGEST_KEY:
            raise InvalidRequest("application", "too long for a key, with its label")
        guard = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        with translated(f"{self.address}: {key}"):
            done = self._client.put_object(
                Body=data, Metadata={_CHANGE: change}, **guard, **self._named(key)
            )
            return f"{done['ETag']}"

    def delete(self, key: str, etag: str | None = None) -> None:
        """Remove an object, while it has that ETag if one is named.

        Raises VersionConflict, BackendError.
        """
        guard = {} if etag is None else {"IfMatch": etag}
        with translated(f"{self.address}: {key}"):
            self._client.delete_object(**guard, **self._named(key))

    def close(self) -> None:
        """Close the connections; calling this twice is fine."""
        self._client.close()

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.name, "Key": f"{self._prefix}{key}"}


def _client(
    endpoint: str,
    region: str,
    keys: tuple[str, str],
    ca_file: str | None,
    timeout: float,
) -> Any:
    """A client of boto3 that sends each request once; raises SettingsError."""
    # What is not required is left out, since other endpoints do not know it.
    config = Config(
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"total_max_attempts": 1, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=_CONNECTIONS,
        tcp_keepalive=True,
        s3={"addressing_style": "path"} if endpoint else None,
    )
    try:
        # Its own: a session is not for several threads, and its tables may be shared.
        core = get_session()
        core.register_component("data_loader", _LOADER)
        client = boto3.session.Session(botocore_session=core).client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=region or ("us-east-1" if endpoint else None),
            aws_access_key_id=keys[0] or None,
            aws_secret_access_key=keys[1] or None,
            verify=ca_file or None,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        problem = f"boto3 takes no such settings: {type(error).__name__}"
        raise SettingsError(problem) from error
    client.meta.events.register("before-call.s3.HeadBucket", _stay)
    return client


def _stay(context: dict[str, Any], **_: Any) -> None:
    """Follow no redirect of the question where a bucket is, which boto3 asks then."""
    context.setdefault("s3_redirect", {})["redirected"] = True
