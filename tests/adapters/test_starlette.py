"""The Starlette adapter: byte for byte the answers of our own listener."""

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, NoMatchFound, Route

from pyconfserve import ConfigServer, ConfigSource, InMemoryConfigBackend
from pyconfserve.adapters import starlette as adapter
from pyconfserve.adapters.starlette import make_starlette_config_server_routes
from pyconfserve.http.access import Access
from pyconfserve.http.listener import Listener
from pyconfserve.http.routes import Routes

PROJECT = Path(__file__).parents[2]
V2 = "application/vnd.spring-cloud.config-server.v2+json"
JSON = {"Content-Type": "application/json"}
BUNDLES = [
    ("orders", "prod", "main", {"db": {"pool": 20}, "greeting": "grüße"}),
    ("orders", "default", "main", {"db.pool": 5, "list": ["a", "b"]}),
    ("orders", "prod", "v2", {"db.pool": 40}),
    ("team/orders", "prod", "main", {"a": 1}),
    ("größe", "prod", "main", {"a": 2}),
    ("my app", "prod", "main", {"a": 3}),
    ("application", "default", "main", {"shared": True}),
    ("large", "prod", "main", {f"key-{number}": number for number in range(100)}),
]
# What differs by nature: an application server adds its own of these.
EDGE_HEADERS = {"date", "connection"}

TABLE = [
    ("get", "GET", "/orders/prod", {}, b""),
    ("get with label", "GET", "/orders/prod/v2", {}, b""),
    ("get with query", "GET", "/orders/prod?wait=0&x=%20", {}, b""),
    ("profiles", "GET", "/orders/prod,default", {}, b""),
    ("applications", "GET", "/orders,team(_)orders/prod", {}, b""),
    ("slash in a name", "GET", "/team(_)orders/prod", {}, b""),
    ("letters of any script", "GET", "/gr%C3%B6%C3%9Fe/prod", {}, b""),
    ("blank in a name", "GET", "/my%20app/prod", {}, b""),
    ("escaped letters", "GET", "/%6Frders/pr%6fd", {}, b""),
    ("accept anything", "GET", "/orders/prod", {"Accept": "*/*"}, b""),
    ("accept V2", "GET", "/orders/prod", {"Accept": V2}, b""),
    (
        "accept V2 for nothing stored",
        "GET",
        "/absent/prod/nolabel",
        {"Accept": V2},
        b"",
    ),
    (
        "accept of a browser",
        "GET",
        "/orders/prod",
        {"Accept": "text/html,*/*;q=0.8"},
        b"",
    ),
    (
        "accept twice",
        "GET",
        "/orders/prod",
        [("Accept", "text/plain"), ("Accept", V2)],
        b"",
    ),
    ("in gzip", "GET", "/large/prod", {"Accept-Encoding": "gzip"}, b""),
    ("head in gzip", "HEAD", "/large/prod", {"Accept-Encoding": "gzip"}, b""),
    ("too small for gzip", "GET", "/orders/prod", {"Accept-Encoding": "gzip"}, b""),
    ("known by star", "GET", "/orders/prod", {"If-None-Match": "*"}, b""),
    ("known", "GET", "/orders/prod", {"If-None-Match": "{etag}"}, b""),
    (
        "known, weakly",
        "GET",
        "/orders/prod",
        {"If-None-Match": 'W/{etag}, "other"'},
        b"",
    ),
    (
        "known, of two headers",
        "GET",
        "/orders/prod",
        [("If-None-Match", '"other"'), ("If-None-Match", "{etag}")],
        b"",
    ),
    ("not known", "GET", "/orders/prod", {"If-None-Match": '"other"'}, b""),
    ("head", "HEAD", "/orders/prod", {}, b""),
    ("head known", "HEAD", "/orders/prod", {"If-None-Match": "*"}, b""),
    ("head of nothing", "HEAD", "/orders/prod/a/b", {}, b""),
    ("options", "OPTIONS", "/orders/prod", {}, b""),
    ("options of a fixed route", "OPTIONS", "/health", {}, b""),
    ("options of no route", "OPTIONS", "/a", {}, b""),
    ("list", "GET", "/_list", {}, b""),
    ("health", "GET", "/health", {}, b""),
    ("nothing stored", "GET", "/absent/prod/a..b", {}, b""),
    ("reserved", "GET", "/_secret/prod", {}, b""),
    ("root", "GET", "/", {}, b""),
    ("one segment", "GET", "/orders", {}, b""),
    ("four segments", "GET", "/orders/prod/main/more", {}, b""),
    ("41 segments", "GET", "/a" * 41, {}, b""),
    ("empty segment", "GET", "/orders//prod", {}, b""),
    ("slash at the end", "GET", "/orders/prod/", {}, b""),
    ("slashes in front", "GET", "//orders/prod", {}, b""),
    ("encoded slash", "GET", "/orders%2Fprod/main", {}, b""),
    ("encoded backslash", "GET", "/orders%5Cprod/main", {}, b""),
    ("dots", "GET", "/../prod", {}, b""),
    ("encoded dots", "GET", "/%2e%2e/prod", {}, b""),
    ("encoded twice", "GET", "/%252e%252e/prod", {}, b""),
    ("newline", "GET", "/orders%0A/prod", {}, b""),
    ("newline at the end", "GET", "/orders/prod%0A", {}, b""),
    ("zero", "GET", "/orders%00/prod", {}, b""),
    ("semicolon", "GET", "/orders;x=1/prod", {}, b""),
    ("encoded hash", "GET", "/orders%23/prod", {}, b""),
    ("encoded question mark", "GET", "/orders%3F/prod", {}, b""),
    ("not UTF-8", "GET", "/%FF/prod", {}, b""),
    ("broken escape", "GET", "/%zz/prod", {}, b""),
    ("leading (_)", "GET", "/(_)etc/prod", {}, b""),
    ("name of 256 bytes", "GET", f"/{'a' * 256}/prod", {}, b""),
    ("option as label", "GET", "/orders/prod/--help", {}, b""),
    ("save", "POST", "/orders/stage", JSON, b'{"db": {"pool": 1}}'),
    ("save with label", "POST", "/orders/stage/v2", JSON, b'{"a": [1, null]}'),
    ("save nothing", "POST", "/orders/stage", {}, b""),
    ("save a list", "POST", "/orders/stage", JSON, b"[1]"),
    ("save half a map", "POST", "/orders/stage", JSON, b'{"a": '),
    ("save what is not UTF-8", "POST", "/orders/stage", JSON, b'{"a": "\xff"}'),
    (
        "save as a form",
        "POST",
        "/orders/stage",
        {"Content-Type": "application/x-www-form-urlencoded"},
        b"a=1",
    ),
    ("save for a list", "POST", "/orders/a,b", JSON, b"{}"),
    ("save reserved", "POST", "/_secret/prod", JSON, b"{}"),
    (
        "save from this site",
        "POST",
        "/orders/stage",
        JSON | {"Origin": "http://config.example"},
        b"{}",
    ),
    (
        "save from another site",
        "POST",
        "/orders/stage",
        JSON | {"Origin": "http://evil.example"},
        b"{}",
    ),
    ("save from null", "POST", "/orders/stage", JSON | {"Origin": "null"}, b"{}"),
    (
        "save across sites",
        "POST",
        "/orders/stage",
        JSON | {"Sec-Fetch-Site": "cross-site"},
        b"{}",
    ),
    ("save to a fixed route", "POST", "/health", JSON, b"{}"),
    (
        "save too much",
        "POST",
        "/orders/stage",
        JSON,
        b'{"a": "' + b"x" * 1024 * 1024 + b'"}',
    ),
    ("put", "PUT", "/orders/prod", JSON, b"{}"),
    ("delete", "DELETE", "/orders/prod", {}, b""),
    ("patch of no route", "PATCH", "/a", JSON, b"{}"),
    ("other host", "GET", "/orders/prod", {"Host": "other.example"}, b""),
]
BELOW_A_BASE = [
    ("get", "GET", "/conf/v1/orders/prod", {}, b""),
    ("base alone", "GET", "/conf/v1", {}, b""),
    ("base with slash", "GET", "/conf/v1/", {}, b""),
    ("escaped base", "GET", "/c%6Fnf/v1/orders/prod", {}, b""),
    ("nothing stored", "GET", "/conf/v1/absent/prod/nolabel", {}, b""),
    ("dots", "GET", "/conf/v1/%2e%2e/prod", {}, b""),
    ("newline", "GET", "/conf/v1/orders%0A/prod", {}, b""),
    ("save", "POST", "/conf/v1/orders/stage", JSON, b"{}"),
    ("options", "OPTIONS", "/conf/v1/orders/prod", {}, b""),
]


async def filled_server():
    """A server with a few bundles, the same every time."""
    backend = InMemoryConfigBackend()
    for bundle in BUNDLES:
        await backend.save(ConfigSource(*bundle))
    return ConfigServer(backend)


def with_host(headers, body):
    """Header lines as a client sends them."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    if "Host" not in dict(pairs):
        pairs.insert(0, ("Host", "config.example"))
    return [*pairs, ("Content-Length", str(len(body)))]


async def ask_listener(routes, method, target, headers, body):
    """(status, headers, body) from our own listener, over a socket."""
    listener = Listener(routes)
    reader, writer = await asyncio.open_connection(
        *await listener.start("127.0.0.1", 0)
    )
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in with_host(headers, body)),
    ]
    writer.write(
        "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    await listener.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    found = [tuple(line.split(": ", 1)) for line in rest]
    return (
        int(first.split()[1]),
        [(name.lower(), value) for name, value in found],
        content,
    )


def make_scope(method, target, headers, body=b"", **more):
    """The scope an application server makes for a request."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in with_host(headers, body)
        ],
        **more,
    }


async def ask(app, scope, body=b""):
    """(status, headers, body) from an ASGI application; the body goes in two parts."""
    parts = [
        {"type": "http.request", "body": body[:10], "more_body": True},
        {"type": "http.request", "body": body[10:], "more_body": False},
    ]
    sent = []

    async def receive():
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in sent[0]["headers"]
    ]
    return (
        sent[0]["status"],
        headers,
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


async def ask_starlette(server, base_path, method, target, headers, body):
    app = Starlette(routes=make_starlette_config_server_routes(server, base_path))
    return await ask(app, make_scope(method, target, headers, body), body)


def ask_mounted(routes, target, **more):
    """The answer of an application with these routes to a plain GET."""
    return asyncio.run(
        ask(Starlette(routes=routes), make_scope("GET", target, {}, **more))
    )


def comparable(answer):
    status, headers, body = answer
    return status, [pair for pair in headers if pair[0] not in EDGE_HEADERS], body


async def both_answers(base_path, method, target, headers, body):
    own = await filled_server()
    routes = Routes(own, base_path=base_path, access=Access())
    if "{etag}" in str(headers):
        _, found, _ = await ask_listener(routes, "GET", target, {}, b"")
        etag = dict(found)["etag"]
        pairs = headers.items() if isinstance(headers, dict) else headers
        headers = [(name, value.replace("{etag}", etag)) for name, value in pairs]
    expected = await ask_listener(routes, method, target, headers, body)
    actual = await ask_starlette(
        await filled_server(), base_path, method, target, headers, body
    )
    return comparable(expected), comparable(actual)


def rows(table):
    return [pytest.param(*row, id=name) for name, *row in table]


class TestSameAnswers:
    """One table of requests, sent to both edges."""

    @pytest.mark.parametrize(("method", "target", "headers", "body"), rows(TABLE))
    def test_the_answers_are_those_of_our_listener(self, method, target, headers, body):
        """Status, headers in their order, and body are identical."""
        expected, actual = asyncio.run(both_answers("", method, target, headers, body))
        assert expected == actual

    @pytest.mark.parametrize(
        ("method", "target", "headers", "body"), rows(BELOW_A_BASE)
    )
    def test_below_a_base_path_as_well(self, method, target, headers, body):
        """The base path is part of the request's path in both."""
        expected, actual = asyncio.run(
            both_answers("/conf/v1", method, target, headers, body)
        )
        assert expected == actual

    def test_the_table_is_no_table_of_errors(self):
        """What is compared holds answers of every kind."""
        statuses = {
            asyncio.run(both_answers("", method, target, headers, body))[0][0]
            for _, method, target, headers, body in TABLE
        }
        assert {200, 304, 400, 403, 404, 405, 409, 413, 415} <= statuses

    def test_an_answer_is_given_twice_alike(self):
        """The second comes by the short cut for what is kept."""

        async def twice():
            server = await filled_server()
            app = Starlette(routes=make_starlette_config_server_routes(server))
            scope = make_scope("GET", "/orders/prod", {})
            return [await ask(app, dict(scope)) for _ in range(2)]

        first, second = asyncio.run(twice())
        assert first == second

    def test_a_save_is_served(self):
        """What was posted is what the next request gets."""

        async def save_and_fetch():
            server = await filled_server()
            app = Starlette(routes=make_starlette_config_server_routes(server))
            body = b'{"db": {"pool": 99}}'
            await ask(app, make_scope("POST", "/orders/stage", JSON, body), body)
            return await server.backend.fetch("orders", "stage")

        assert asyncio.run(save_and_fetch()).properties == {"db.pool": 99}


class TestPlacing:
    """Where the routes stand in an application."""

    def test_below_a_mount(self):
        """Starlette's own way to put routes below a path."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        expected = ask_mounted(routes, "/orders/prod")
        assert expected == ask_mounted(
            [Mount("/config", routes=routes)], "/config/orders/prod"
        )

    @pytest.mark.parametrize(
        ("place", "target"),
        [
            ("/größe", "/gr%C3%B6%C3%9Fe/orders/prod"),
            ("/config", "/c%6Fnfig/orders/prod"),
            ("/a/b", "/a/b/orders/prod"),
        ],
        ids=["other script", "needlessly", "not at all"],
    )
    def test_below_a_mount_that_is_escaped(self, place, target):
        """The mount's path is decoded in its scope and escaped in the request."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted([Mount(place, routes=routes)], target)[0] == 200

    def test_behind_a_proxy_that_strips_its_prefix(self):
        """A root_path that is not in the path is not cut out of a name."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted(routes, "/orders/prod", root_path="/or")[0] == 200

    def test_behind_a_server_that_adds_the_prefix(self):
        """As uvicorn --root-path does."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted(routes, "/api/orders/prod", root_path="/api")[0] == 200

    def test_own_routes_before_stay_reachable(self):
        """The application's routes win where they come first."""

        async def hello(request):
            return PlainTextResponse("hello")

        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted([Route("/hello", hello), *routes], "/hello")[2] == b"hello"

    def test_own_routes_behind_a_base_path_stay_reachable(self):
        """Below a base path nothing else is taken."""

        async def hello(request):
            return PlainTextResponse("hello")

        routes = make_starlette_config_server_routes(
            asyncio.run(filled_server()), "config"
        )
        answers = [
            ask_mounted([*routes, Route(path, hello)], path)[2]
            for path in ("/a/b", "/configs/b")
        ]
        assert answers == [b"hello", b"hello"]

    def test_names_of_routes_still_resolve(self):
        """url_path_for goes on to later routes, and says when there is none."""

        async def hello(request):
            return PlainTextResponse("hello")

        routes = make_starlette_config_server_routes(
            asyncio.run(filled_server()), "/config"
        )
        app = Starlette(routes=[*routes, Route("/hello", hello, name="hello")])
        assert app.url_path_for("hello") == "/hello"
        with pytest.raises(NoMatchFound):
            app.url_path_for("absent")


class TestEdge:
    """What application servers may do."""

    @pytest.mark.parametrize("raw", [{}, {"raw_path": None}], ids=["absent", "none"])
    @pytest.mark.parametrize("path", ["/orders/prod", "/größe/prod", "/my app/prod"])
    def test_the_raw_path_is_optional(self, raw, path):
        """ASGI lets a server leave it out."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        scope = make_scope("GET", "/", {}) | {"path": path}
        del scope["raw_path"]
        assert asyncio.run(ask(Starlette(routes=routes), scope | raw))[0] == 200

    def test_a_query_of_any_bytes_is_no_failure(self):
        """What is not text is answered like any other request, or refused."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted(routes, "/orders/prod", query_string=b"x=\xff")[0] in (
            200,
            400,
        )

    def test_a_path_of_any_bytes_is_refused(self):
        """Not text: no name."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        answer = ask_mounted(
            routes, "/x/prod", path="/\ufffd/prod", raw_path=b"/\xff/prod"
        )
        assert answer[0] == 400

    @pytest.mark.parametrize("parts", [[], [b'{"a": 1}']], ids=["nothing", "a part"])
    def test_a_save_that_breaks_off_saves_nothing(self, parts):
        """A client that goes away in the middle of a body leaves what was stored."""

        async def break_off():
            server = await filled_server()
            app = Starlette(routes=make_starlette_config_server_routes(server))
            messages = [
                {"type": "http.request", "body": part, "more_body": True}
                for part in parts
            ]

            async def receive():
                return messages.pop(0) if messages else {"type": "http.disconnect"}

            async def send(message):
                """Nobody is there to take it."""

            with pytest.raises(ClientDisconnect):
                await app(make_scope("POST", "/orders/prod", JSON), receive, send)
            return await server.backend.fetch("orders", "prod")

        assert asyncio.run(break_off()).properties == {
            "db.pool": 20,
            "greeting": "grüße",
        }

    @pytest.mark.parametrize(
        ("allow_hosts", "host", "status"),
        [
            (None, "any.example", 200),
            (["config.example"], "config.example:8000", 200),
            (["config.example"], "localhost", 200),
            (["config.example"], "evil.example", 421),
            (["*"], "any.example", 200),
        ],
    )
    def test_the_host_rule_is_off_unless_asked_for(self, allow_hosts, host, status):
        """The framework has its own; allow_hosts switches ours on."""
        server = asyncio.run(filled_server())
        app = Starlette(
            routes=make_starlette_config_server_routes(server, allow_hosts=allow_hosts)
        )
        answer = asyncio.run(
            ask(app, make_scope("GET", "/orders/prod", {"Host": host}))
        )
        assert status == answer[0]

    def test_health_tells_no_details(self):
        """Who may see them is for the framework to say."""
        routes = make_starlette_config_server_routes(asyncio.run(filled_server()))
        assert ask_mounted(routes, "/health")[2] == b'{"status":"UP"}'


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
try:
    import pyconfserve.adapters.starlette
except ImportError as error:
    print(type(error).__name__, error, sep=": ")
"""


def without(library):
    """What an import of the adapter raises where *library* is not installed."""
    script = BLOCKED.format(library=library)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def test_a_missing_starlette_is_named():
    """With the line that installs it."""
    found = without("starlette")
    assert found.startswith("MissingDependency: ")
    assert found.endswith(" needs starlette: pip install 'pyconfserve[starlette]'")


def test_a_fault_inside_starlette_is_its_own():
    """What Starlette misses is not taken for Starlette."""
    assert without("anyio") == "ModuleNotFoundError: No module named 'anyio'"


def test_the_adapter_is_small():
    """At most 80 lines: unwrap, call, wrap."""
    assert len(inspect.getsource(adapter).splitlines()) <= 80
