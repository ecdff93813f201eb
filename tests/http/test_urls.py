"""urls: what a server's URL is made of, and where a redirect may lead."""

import pytest

from pyconfserve.http.urls import Origin, basic_auth, parse_url, redirected

HERE = Origin("http", "config", 8888)


@pytest.mark.parametrize(
    ("url", "origin", "base", "userinfo", "text"),
    [
        ("http://config", ("http", "config", 80), "", "", "http://config"),
        ("HTTP://Config:8888/", ("http", "config", 8888), "", "", "http://config:8888"),
        ("https://c/a/b/", ("https", "c", 443), "/a/b", "", "https://c/a/b"),
        ("https://c:443", ("https", "c", 443), "", "", "https://c"),
        ("https://c:80", ("https", "c", 80), "", "", "https://c:80"),
        ("http://[::1]:1/x", ("http", "::1", 1), "/x", "", "http://[::1]:1/x"),
        (" http://u:p%40@c ", ("http", "c", 80), "", "u:p@", "http://c"),
        ("http://bücher", ("http", "xn--bcher-kva", 80), "", "", "http://xn--bcher-kva"),
    ],
)  # fmt: skip
def test_a_url_has_its_parts(url, origin, base, userinfo, text):
    """Its text is without credentials and without the scheme's own port."""
    parts = parse_url(url)
    assert (Origin(*origin), base, userinfo, text) == (*parts, str(parts))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "a url begins with http:// or https://"),
        ("data:,canary", "a url begins with http:// or https://"),
        ("ftp://config", "a url begins with http:// or https://"),
        ("config:8888", "a url begins with http:// or https://"),
        ("", "a url begins with http:// or https://"),
        ("http://", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://c?x=canary", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://c#canary", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://c/a b", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://c/é", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://u:1/canary@c", "a url is scheme://host[:port][/path] and nothing else"),
        ("http://u:canary\ud800@c", "a url is malformed"),
        ("http://u:canary@c:port", "a url is malformed"),
        ("http://u:canary@c:99999", "a url is malformed"),
        ("http://[::1", "a url is malformed"),
        ("http://é" + "a" * 70, "a url is malformed"),
    ],
)  # fmt: skip
def test_another_url_is_refused_without_being_quoted(url, problem):
    """It may hold a password, which the cause would show as well."""
    with pytest.raises(ValueError, match="a url") as caught:
        parse_url(url)
    assert (problem, None) == (str(caught.value), caught.value.__cause__)


@pytest.mark.parametrize(
    ("userinfo", "value"),
    [
        ("u:p", "Basic dTpw"),
        ("u", "Basic dTo="),
        ("u:p:q", "Basic dTpwOnE="),
        ("é:ü", "Basic w6k6w7w="),
    ],
)
def test_basic_credentials_are_utf8(userinfo, value):
    """RFC 7617; a user without a password has an empty one."""
    assert value == basic_auth(userinfo)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other", "/other"),
        ("other?x=1", "/app/other?x=1"),
        ("http://config:8888", "/"),
        ("HTTP://CONFIG:8888/other#part", "/other"),
        ("//config:8888/x", "/x"),
        ("http://config/x", None),
        ("https://config:8888/x", None),
        ("http://other:8888/x", None),
        ("//other/x", None),
        ("http://u:p@config:8888/x", None),
        ("http://config:port/x", None),
        ("file:///etc/passwd", None),
        ("data:,x", None),
    ],
)
def test_a_redirect_stays_within_its_origin(location, target):
    """Scheme, host and port are the same, and it brings no credentials."""
    assert target == redirected(HERE, "/app/prod", location)


def test_ports_of_a_scheme_may_be_written_or_not():
    """Both are the same origin."""
    origin = Origin("https", "c", 443)
    assert redirected(origin, "/a", "https://c:443/b") == "/b"
    assert redirected(origin, "/a", "https://c/b") == "/b"
