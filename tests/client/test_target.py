"""target: names in URLs, credentials in headers, servers in order."""

import pytest

from pyconfserve.client.target import Credentials, Target, make_servers
from pyconfserve.errors import InvalidRequest, SettingsError

URL = "http://config"


def target(application="orders", profile="prod", label="main", **options):
    servers = make_servers(options.pop("url", URL), Credentials(*options.pop("credentials", ())))  # fmt: skip
    return Target(servers, application, profile, label, options.pop("headers", {}), **options)  # fmt: skip


def request(target, *arguments, number=0):
    return target.environment(target.servers[number], *arguments)


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("orders", "prod", "main"), "/orders/prod/main"),
        (("orders", "prod", None), "/orders/prod"),
        (("orders,payments", "prod,eu", "main,v2"), "/orders,payments/prod,eu/main,v2"),
        (("orders", "prod", "feature/x"), "/orders/prod/feature(_)x"),
        (("shop/orders", "prod", "main"), "/shop(_)orders/prod/main"),
        (("a b", "p?x=1#y", "l%2F;\\"), "/a%20b/p%3Fx%3D1%23y/l%252F%3B%5C"),
        (("größe", "日本", "ü"), "/gr%C3%B6%C3%9Fe/%E6%97%A5%E6%9C%AC/%C3%BC"),
        (("../../etc", "prod", "main"), "/..(_)..(_)etc/prod/main"),
        (("a\r\nX: 1", "prod", "main"), "/a%0D%0AX%3A%201/prod/main"),
    ],
)
def test_names_are_quoted(names, path):
    """No name reaches another route, and a slash inside of one is `(_)`."""
    assert path == request(target(*names)).path


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (("", "prod", "main"), "application"),
        (("..", "prod", "main"), "application"),
        (("orders", ".", "main"), "profile"),
        (("orders", "prod", ""), "label"),
        (("orders", "prod", ".."), "label"),
        (("orders", "\ud800", "main"), "profile"),
    ],
)
def test_names_that_quoting_does_not_make_safe_are_refused(names, field):
    """Whatever stands on the way may resolve dots."""
    with pytest.raises(InvalidRequest) as caught:
        request(target(*names))
    assert field == caught.value.field


def test_plain_json_is_asked_for():
    """So that an unknown application is told from an empty one; V2 only for origins."""
    assert request(target()).headers == {"accept": "application/json", "user-agent": "pyconfserve"}  # fmt: skip
    accept = request(target(wants_origins=True)).headers["accept"]
    assert accept == "application/vnd.spring-cloud.config-server.v2+json, application/json;q=0.9"  # fmt: skip


def test_a_long_poll_has_an_etag_and_a_time():
    """Without an ETag the server answers at once, and is not asked to wait."""
    asked = request(target(), '"x"', 30.0)
    assert (asked.headers["if-none-match"], asked.query) == ('"x"', "wait=30")
    asked = request(target(), None, 30.0)
    assert ("if-none-match" in asked.headers, asked.query) == (False, "")


def test_a_file_is_asked_for_as_bytes_or_text():
    """Without a label by Spring's parameter, which knows no folders."""
    main, none = target(), target(label=None)
    (server,) = main.servers
    raw = main.file(server, "conf/nginx a.conf", resolve=False)
    assert (raw.path, raw.query) == ("/orders/prod/main/conf/nginx%20a.conf", "")
    assert raw.headers["accept"] == "application/octet-stream"
    text = none.file(server, "nginx.conf", resolve=True)
    assert (text.path, text.query) == ("/orders/prod/nginx.conf", "useDefaultLabel")
    assert text.headers["accept"] == "*/*"
    with pytest.raises(InvalidRequest, match="a path with folders needs a label"):
        none.file(server, "conf/nginx.conf", resolve=False)


@pytest.mark.parametrize("path", ["", "/", "a//b", "../x", "a/../b", "a/."])
def test_a_path_of_dots_or_nothing_is_refused(path):
    """Before it is sent."""
    with pytest.raises(InvalidRequest, match="path: expected a name"):
        target().file(target().servers[0], path, resolve=False)


def test_credentials_are_headers():
    """Basic or bearer; those of a URL count for it alone."""
    urls = "http://a, http://me:p%40ss@b"
    both = target(url=urls, credentials=("user", "pass"))
    assert both.urls == ("http://a", "http://b")
    headers = [request(both, number=number).headers["authorization"] for number in (0, 1)]  # fmt: skip
    assert headers == ["Basic dXNlcjpwYXNz", "Basic bWU6cEBzcw=="]
    assert request(target(credentials=("user",))).headers["authorization"] == "Basic dXNlcjo="  # fmt: skip
    token = target(credentials=(None, None, "abc"))
    assert request(token).headers["authorization"] == "Bearer abc"


def test_headers_of_the_caller_come_first():
    """Such as a token of another kind."""
    headers = {"x-config-token": "t", "authorization": "Own", "accept": "x"}
    sent = request(target(headers=headers, credentials=("user", "pass"))).headers
    assert sent == {**headers, "user-agent": "pyconfserve"}


def test_urls_may_be_a_sequence():
    """In their order; a trailing slash is no matter."""
    assert target(url=["http://b/", "http://a/x/"]).urls == ("http://b", "http://a/x")


@pytest.mark.parametrize(
    ("url", "credentials", "problem"),
    [
        ("file:///etc/passwd", (), "url: a url begins with http:// or https://"),
        ("http://a,data:,canary", (), "url: a url begins with http:// or https://"),
        ("", (), "url: a url begins with http:// or https://"),
        ([], (), "url: expected at least one url"),
        ("http://u:canary@c:port", (), "url: a url is malformed"),
        (URL, ("user", "canary", "canary"), "token: expected a username or a token, got both"),
        (URL, (None, None, "canary\r\nX: 1"), "token: expected printable ASCII characters"),
        (URL, (None, None, ""), "token: expected printable ASCII characters"),
        (URL, ("canary:x", "y"), "username: a username holds no colon"),
        (URL, (None, "canary"), "password: expected a username as well"),
        (URL, ("canary\ud800", "y"), "username: expected text without lone surrogates"),
        (URL, ("user", "canary\ud800"), "password: expected text without lone surrogates"),
        ("http://u:canary\ud800@c", (), "url: a url is malformed"),
        ("http://u:1/canary@c", (), "url: a url is scheme://host[:port][/path] and nothing else"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(url, credentials, problem):
    """At once, and without quoting it."""
    with pytest.raises(SettingsError) as caught:
        target(url=url, credentials=credentials)
    assert problem == str(caught.value)
