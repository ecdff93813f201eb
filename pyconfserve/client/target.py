"""What is asked of whom: servers in order, and the requests for each of them.

Names are quoted, so that no name reaches another route; credentials are headers, and
never part of a URL that is shown. This module does no input or output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from ..errors import InvalidRequest, SettingsError
from ..http.messages import Request
from ..http.urls import basic_auth, parse_url

__all__ = ["JSON", "V2_JSON", "Credentials", "Server", "Target", "make_servers"]

JSON = "application/json"
V2_JSON = "application/vnd.spring-cloud.config-server.v2+json"
_BYTES = "application/octet-stream"


class Credentials(NamedTuple):
    """Who asks: a name and a password, or a token."""

    username: str | None = None
    password: str | None = None
    token: str | None = None


class Server(NamedTuple):
    """One server: its URL without credentials, and the header for them, "" for none."""

    url: str
    authorization: str


class Target(NamedTuple):
    """The configuration that a client is for, and where it is asked for, in order."""

    servers: tuple[Server, ...]
    application: str
    profile: str
    label: str | None
    headers: Mapping[str, str]
    wants_origins: bool = False

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers' URLs, without credentials."""
        return tuple(server.url for server in self.servers)

    def environment(
        self, server: Server, etag: str | None = None, wait: float = 0
    ) -> Request:
        """The request for the whole answer; with *etag*, for one that differs.

        With *wait* the server may take so many seconds until it does. Raises
        InvalidRequest for names that no URL can hold.
        """
        # An unknown application is 404 for who takes JSON, but 200 for who takes V2.
        accept = f"{V2_JSON}, {JSON};q=0.9" if self.wants_origins else JSON
        more = {} if etag is None else {"if-none-match": etag}
        query = f"wait={wait:g}" if wait and etag is not None else ""
        return self._request(server, self._path(), accept, more, query)

    def file(self, server: Server, path: str, *, resolve: bool) -> Request:
        """The request for a plain file.

        It is asked for as it is stored or, with *resolve*, as text whose placeholders
        the server fills in. Raises InvalidRequest for a path that no URL can hold.
        """
        segments = path.split("/")
        query = ""
        if self.label is None:
            query = "useDefaultLabel"
            if len(segments) > 1:
                raise InvalidRequest("path", "a path with folders needs a label")
        whole = "/".join([self._path(), *(_segment("path", part) for part in segments)])
        return self._request(server, whole, "*/*" if resolve else _BYTES, {}, query)

    def _path(self) -> str:
        """`/application/profile[/label]`, `(_)` for a slash inside a name."""
        segments = [("application", self.application), ("profile", self.profile)]
        if self.label is not None:
            segments.append(("label", self.label))
        return "".join(f"/{_segment(field, name)}" for field, name in segments)

    def _request(
        self,
        server: Server,
        path: str,
        accept: str,
        more: Mapping[str, str],
        query: str,
    ) -> Request:
        headers = {"accept": accept, "user-agent": "pyconfserve", **self.headers}
        if server.authorization:
            headers.setdefault("authorization", server.authorization)
        return Request("GET", path, query, {**headers, **more})


def make_servers(
    url: str | Iterable[str], credentials: Credentials
) -> tuple[Server, ...]:
    """The servers of a comma list of URLs, or of several URLs.

    Credentials of a URL count for it alone, and before *credentials*. Raises
    SettingsError, which quotes nothing.
    """
    if credentials.token is not None and credentials.username is not None:
        raise SettingsError("expected a username or a token, got both", "token")
    urls = url.split(",") if isinstance(url, str) else list(url)
    if not urls:
        raise SettingsError("expected at least one url", "url")
    return tuple(_server(each, _authorization(credentials)) for each in urls)


def _server(url: str, authorization: str) -> Server:
    try:
        parts = parse_url(url)
        return Server(
            str(parts), basic_auth(parts.userinfo) if parts.userinfo else authorization
        )
    except ValueError as error:
        raise SettingsError(str(error), "url") from None


def _authorization(credentials: Credentials) -> str:
    username, password, token = credentials
    if password is not None and username is None:
        raise SettingsError("expected a username as well", "password")
    for key, text in (("username", username), ("password", password)):
        if text is not None and not _is_unicode(text):
            raise SettingsError("expected text without lone surrogates", key)
    if token is not None:
        if not token.isascii() or not token.isprintable() or not token:
            raise SettingsError("expected printable ASCII characters", "token")
        return f"Bearer {token}"
    if username is None:
        return ""
    if ":" in username:
        raise SettingsError("a username holds no colon", "username")
    return basic_auth(f"{username}:{password or ''}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _segment(field: str, name: str) -> str:
    """One name as a segment of a path; raises InvalidRequest where quoting is no help.

    Whatever stands on the way may take `%2E%2E` for `..`.
    """
    try:
        quoted = quote(name.replace("/", "(_)"), safe="(),@+~")
    except UnicodeEncodeError as error:
        raise InvalidRequest(field, "expected text without lone surrogates") from error
    if not name or name in (".", ".."):
        raise InvalidRequest(field, "expected a name, not nothing or dots")
    return quoted
