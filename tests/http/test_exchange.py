"""exchange: what a request gets from servers that behave and from those that do not."""

import shutil
import ssl
import subprocess
import threading
import time
import traceback

import pytest
from scripted import PATIENCE, ScriptedServer, drip, flood, hang, reply

from pyconfserve.errors import ConfigError, ExchangeError, SettingsError
from pyconfserve.http.dialing import Line
from pyconfserve.http.exchange import Exchange
from pyconfserve.http.messages import Request, Response

SHORT = 0.3  # seconds for an exchange that is to be cut off
SECRETS = {"authorization": "Bearer canary", "x-config-token": "canary"}


@pytest.fixture
def server():
    """A server that answers 200 with `{}` until it is told otherwise."""
    server = ScriptedServer(reply({}))
    yield server
    server.stop()


@pytest.fixture
def other():
    """Another server, another origin."""
    server = ScriptedServer(reply({"from": "other"}))
    yield server
    server.stop()


def get(path="/orders/prod", query="", **headers):
    return Request("GET", path, query, headers)


def refused(exchange, url, request=None, **options):
    """The reason that an exchange gives, and the seconds it took."""
    began = time.monotonic()
    with pytest.raises(ExchangeError) as caught:
        exchange.send(url, request or get(), **options)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value) == caught.value.reason
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return caught.value.reason, time.monotonic() - began


def test_a_request_arrives_as_it_is(server):
    """Path and query stand behind the URL's own path; headers are handed on."""
    server.play(reply(b"body", 404, X_Own="1"))
    response = Exchange().send(f"{server.url}/base/", get("/a%2Fb/c", "x=1", accept="y"))  # fmt: skip
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("GET", "/base/a%2Fb/c?x=1")
    assert asked.headers == {
        "host": server.authority,
        "accept": "y",
        "accept-encoding": "identity",
        "connection": "close",
    }
    assert isinstance(response, Response)
    assert (response.status, response.body) == (404, b"body")
    assert ("X-Own", "1") in response.headers


def test_a_body_is_sent(server):
    """With its length."""
    Exchange().send(server.url, Request("POST", "/encrypt", body=b"secret"))
    assert (server.asked[0].method, server.asked[0].headers["content-length"]) == ("POST", "6")  # fmt: skip


def test_a_body_may_come_in_chunks_or_until_the_end(server):
    """Both are taken whole."""
    server.play(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(b"abcde"),
    )
    bodies = [Exchange().send(server.url, get()).body for _ in range(4)]
    assert bodies == [b"abcde", b"abcde", b"", b"abcde"]


def test_a_redirect_within_the_origin_is_followed(server):
    """Absolute or relative, with all headers."""
    server.play(
        reply(status=301, Location="/new/place?x=1"),
        reply(status=307, Location=f"{server.url}/last"),
        reply(b"there"),
    )
    response = Exchange().send(server.url, get(authorization="Bearer x"))
    assert (response.status, response.body) == (200, b"there")
    assert [asked.target for asked in server.asked] == ["/orders/prod", "/new/place?x=1", "/last"]  # fmt: skip
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer x"}


def test_five_redirects_are_followed(server):
    """The sixth is the answer."""
    server.play(reply(status=302, Location="/again"))
    response = Exchange().send(server.url, get())
    assert (response.status, len(server.asked)) == (302, 6)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_to_another_origin(server, other, status):
    """It is the answer: the other host sees no request, and so no credentials."""
    server.play(reply(status=status, Location=f"{other.url}/orders/prod"))
    response = Exchange().send(server.url, get(**SECRETS))
    assert (status, []) == (response.status, other.asked)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "data:,x", "//[", "http://u:p@127.0.0.1/"]
)
def test_no_redirect_leads_to_a_file(server, location):
    """Nor to data, nor anywhere by a URL that is none."""
    server.play(reply(status=302, Location=location))
    assert Exchange().send(server.url, get()).status == 302


def test_host_and_connection_are_ours(server):
    """A request cannot say otherwise."""
    Exchange().send(server.url, get(host="canary", connection="keep-alive"))
    headers = server.asked[0].headers
    assert (headers["host"], headers["connection"]) == (server.authority, "close")


def test_a_redirect_without_a_place_is_the_answer(server):
    """As is one of a POST, which must not be sent twice."""
    server.play(reply(status=302), reply(status=307, Location="/other"))
    assert Exchange().send(server.url, get()).status == 302
    assert Exchange().send(server.url, Request("POST", "/")).status == 307


def test_a_redirect_to_a_path_that_is_none_is_refused(server):
    """It is not sent."""
    server.play(reply(status=302, Location="/\xe9"))
    reason, _ = refused(Exchange(), server.url)
    assert reason == "the request or the answer is malformed"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "data:,canary", "ftp://canary/", "http://u:canary@"]
)
def test_only_http_and_https_are_spoken(url):
    """The URL is not quoted."""
    reason, _ = refused(Exchange(), url)
    assert reason == "the request or the answer is malformed"


def test_what_would_break_the_head_is_refused(server):
    """A line break in a path or a header is not sent, and not quoted."""
    malformed = "the request or the answer is malformed"
    header = refused(Exchange(), server.url, get(authorization="canary\r\nX: 1"))
    assert malformed == header[0]
    path = refused(Exchange(), server.url, get("/canary\r\nX: 1"))
    assert path[0] == "the url is malformed"


def test_nobody_listens(server):
    """The reason is in words."""
    server.stop()
    assert refused(Exchange(), server.url)[0] == "the connection was refused"


def test_a_host_that_is_not_known():
    """RFC 6761 reserves the name; a resolver may also take too long to say so."""
    reason, seconds = refused(Exchange(timeout=2), "http://absent.invalid")
    assert reason in ("the name of the host is not known", "no answer within 2 s")
    assert seconds < 3


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "act",
    [
        hang,
        lambda server: drip(server, HEAD * 1000),
        lambda server: drip(server, HEAD + b"X: " + b"x" * 1000),
        lambda server: drip(server, reply(b"x" * 1000)),
        lambda server: drip(server, HEAD + b"\r\n" + b"x" * 1000),
        lambda server: flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["hangs", "drips-head", "drips-header", "drips-body", "drips-open-end", "continues"],
)  # fmt: skip
def test_one_deadline_ends_it_all(server, act):
    """However often a byte arrives."""
    server.play(act(server))
    exchange = Exchange(timeout=SHORT, limit=1 << 30)
    reason, seconds = refused(exchange, server.url)
    assert reason in (f"no answer within {SHORT:g} s", "the answer is larger than 1074790400 bytes")  # fmt: skip
    assert SHORT * 0.9 < seconds < SHORT + 1


def test_a_request_may_have_a_deadline_of_its_own(server):
    """As a long poll has."""
    server.play(hang(server))
    reason, seconds = refused(Exchange(timeout=PATIENCE), server.url, timeout=SHORT)
    assert (reason, seconds < SHORT + 1) == (f"no answer within {SHORT:g} s", True)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 2", "the answer is not HTTP"),
        (b"SSH-2.0-x\r\n", "the answer is not HTTP"),
        (HEAD + b"Content-Length: 9\r\n\r\ncanary", "the connection was closed in the middle of the answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\ncanary", "the connection was closed in the middle of the answer"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\ncanary\r\n", "the connection was closed in the middle of the answer"),
        (HEAD, "the connection was closed in the middle of the answer"),
        (HEAD + b"X: canary\r\n", "the connection was closed in the middle of the answer"),
        (b"220 canary\r\n\r\n", "the answer is not HTTP"),
        (HEAD + b"X: 1\r\n" * 200 + b"\r\n", "the answer is not HTTP"),
        (HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "the answer is not HTTP"),
    ],
    ids=["nothing", "half-a-line", "another-protocol", "short", "short-chunk", "bad-chunk", "no-head", "half-a-head", "mail", "many-headers", "long-header"],
)  # fmt: skip
def test_what_is_not_whole_is_no_answer(server, act, reason):
    """Nothing of it is quoted."""
    server.play(act)
    assert reason == refused(Exchange(timeout=PATIENCE), server.url)[0]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 104857600\r\n\r\n",
        b"Content-Length: 1001\r\n\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Content-Length: -1\r\n\r\n",
    ],
    ids=["length", "one-more", "open-end", "chunk", "negative-chunk", "negative-length"],
)
def test_a_body_above_the_limit_is_not_read(server, head):
    """A length that is too large ends it at once; what has none is cut off."""
    server.play(flood(HEAD + head))
    reason, seconds = refused(Exchange(timeout=PATIENCE, limit=1000), server.url)
    assert reason in ("the answer is larger than 1000 bytes", "the answer is larger than 1049576 bytes")  # fmt: skip
    assert seconds < PATIENCE


def test_a_body_at_the_limit_is_taken(server):
    """With a length and without."""
    server.play(reply(b"x" * 1000), HEAD + b"\r\n" + b"x" * 1000)
    exchange = Exchange(limit=1000)
    assert [len(exchange.send(server.url, get()).body) for _ in range(2)] == [1000] * 2


def test_another_thread_hangs_up(server):
    """The exchange that runs ends at once, and so do those to come."""
    server.play(hang(server))
    line = Line()
    threading.Thread(target=lambda: (server.wait_for(1), line.hang_up())).start()
    exchange = Exchange(timeout=PATIENCE)
    reason, seconds = refused(exchange, server.url, line=line)
    assert (reason, seconds < PATIENCE / 2) == ("hung up", True)
    line.hang_up()
    assert refused(exchange, server.url, line=line)[0] == "hung up"


def test_no_proxy_of_the_environment_is_used(server, other, monkeypatch):
    """Only one that is asked for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, other.url)
    Exchange().send(server.url, get())
    assert (len(server.asked), len(other.asked)) == (1, 0)


def test_a_proxy_is_asked_for_the_whole_url(server):
    """With its own credentials, and the request's for the server behind it."""
    proxy = f"http://me:canary@{server.authority}"
    Exchange(proxy=proxy).send("http://config:8888/base", get(authorization="Bearer x"))
    (asked,) = server.asked
    assert asked.target == "http://config:8888/base/orders/prod"
    assert asked.headers["host"] == "config:8888"
    assert asked.headers["proxy-authorization"] == "Basic bWU6Y2FuYXJ5"
    assert asked.headers["authorization"] == "Bearer x"


def test_a_proxy_is_asked_for_a_tunnel(server):
    """For https; one that refuses it is no way."""
    server.play(reply(status=407))
    proxy = f"http://me:canary@{server.authority}"
    reason, _ = refused(Exchange(proxy=proxy), "https://config/base")
    assert reason == "the proxy answered 407"
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("CONNECT", "config:443")
    assert asked.headers["proxy-authorization"] == "Basic bWU6Y2FuYXJ5"
    assert "authorization" not in asked.headers


def test_a_tunnel_ends_at_the_server(server, secure, certificate):
    """TLS goes through it, and the proxy sees nothing of the request."""

    def act(client, asked):
        client.sendall(b"HTTP/1.1 200 Connected\r\nX-Proxy: 1\r\n\r\n")
        with secure.wrap_socket(client, server_side=True) as inner:
            heads.append(inner.recv(65536))
            inner.sendall(reply(b"secret"))
            inner.recv(1)

    heads = []
    server.play(act)
    exchange = Exchange(proxy=server.url, ca_file=certificate[0])
    response = exchange.send("https://localhost:8888", get(authorization="Bearer x"))
    assert response.body == b"secret"
    assert heads[0].startswith(b"GET /orders/prod HTTP/1.1\r\n")
    assert (server.asked[0].target, "authorization" in server.asked[0].headers) == ("localhost:8888", False)  # fmt: skip


@pytest.mark.parametrize("proxy", ["https://proxy", "proxy:3128", "socks5://proxy"])
def test_a_proxy_of_another_kind_is_refused(proxy):
    """At once."""
    with pytest.raises(ValueError, match=r"^a (proxy|url) "):
        Exchange(proxy=proxy)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `localhost` and 127.0.0.1 that nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]  # fmt: skip
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", names]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)  # fmt: skip
    return str(cert), str(key)


@pytest.fixture
def secure(certificate):
    """TLS of a server that wants a certificate where a client has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(certificate[0])
    return context


@pytest.fixture
def secure_server(secure):
    """A server behind TLS."""
    server = ScriptedServer(reply(b"secret"), tls=secure)
    yield server
    server.stop()


def test_a_certificate_is_verified(secure_server):
    """Against the system's authorities; nothing is sent before."""
    reason, _ = refused(Exchange(), secure_server.url)
    assert reason == "the connection failed: self-signed certificate"
    assert secure_server.asked == []


def test_an_authority_may_be_given(secure_server, certificate):
    """And a certificate and key of the client's own."""
    cert, key = certificate
    exchange = Exchange(ca_file=cert, client_cert=cert, client_key=key)
    assert exchange.send(secure_server.url, get()).body == b"secret"
    assert exchange.send(secure_server.url, get()).body == b"secret"


def test_the_name_of_a_certificate_is_verified(secure_server, certificate):
    """The server's address is not enough."""
    url = secure_server.url.replace("127.0.0.1", "127.0.0.2")
    reason, _ = refused(Exchange(ca_file=certificate[0]), url)
    assert reason.startswith(("the connection failed: IP address mismatch", "the connection was refused"))  # fmt: skip


def test_a_handshake_has_the_same_deadline(server):
    """A server that is silent, or speaks no TLS, is no answer."""
    url = server.url.replace("http:", "https:")
    server.play(hang(server))
    reason, seconds = refused(Exchange(timeout=SHORT), url)
    assert (reason, seconds < SHORT + 1) == (f"no answer within {SHORT:g} s", True)


@pytest.mark.parametrize("option", ["ca_file", "client_cert", "client_key"])
def test_files_of_tls_that_are_absent(certificate, tmp_path, option):
    """A setting that is wrong is no outage; it names the option and the file."""
    absent = str(tmp_path / "absent.pem")
    options = {"client_cert": certificate[0], option: absent}
    with pytest.raises(SettingsError) as caught:
        Exchange(**options)
    assert str(caught.value) == f"{option}: {absent}: No such file or directory"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ca_file": "bad"}, "ca_file: bad: it holds no certificate in PEM"),
        ({"client_cert": "bad"}, "client_cert: bad: it holds no certificate and key in PEM"),
        ({"client_cert": "cert"}, "client_cert: cert: it holds no certificate and key in PEM"),
        ({"client_cert": "cert", "client_key": "bad"}, "client_key: bad: it holds no key in PEM of the certificate in {cert}"),
        ({"client_cert": "cert", "client_key": "other"}, "client_key: other: it holds no key in PEM of the certificate in {cert}"),
        ({"client_cert": "cert", "client_key": "locked"}, "client_key: locked: it holds no key in PEM of the certificate in {cert}"),
        ({"client_key": "key"}, "client_key: it needs a client_cert"),
    ],
)  # fmt: skip
def test_files_of_tls_that_are_none(certificate, tmp_path, options, problem):
    """No passphrase is asked for, and nothing of them is quoted."""
    files = {name: str(tmp_path / name) for name in ("bad", "other", "locked")}
    files |= dict(zip(("cert", "key"), certificate, strict=True))
    (tmp_path / "bad").write_text("canary")
    command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]  # fmt: skip
    subprocess.run([*command, "-out", files["other"]], check=True, capture_output=True)
    command = ["openssl", "pkcs8", "-topk8", "-in", files["key"], "-passout", "pass:canary"]  # fmt: skip
    subprocess.run([*command, "-out", files["locked"]], check=True, capture_output=True)
    with pytest.raises(SettingsError) as caught:
        Exchange(**{option: files[name] for option, name in options.items()})
    expected = problem.partition(": ")[2].replace("{cert}", files["cert"])
    for name in options.values():
        expected = expected.replace(f"{name}: ", f"{files[name]}: ", 1)
    assert (caught.value.key, caught.value.problem) == (problem.partition(": ")[0], expected)  # fmt: skip
