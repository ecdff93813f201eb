"""routes: every request to its answer, and every error to its one body."""

import asyncio
import json
import logging
import re
import shutil
import time
from hashlib import blake2b

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.environment.overlay import SPRING
from pyconfserve.errors import (
    BackendUnavailable,
    ConfigError,
    ProtocolError,
    ValueTooLarge,
)
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.access import Access
from pyconfserve.http.grammar import LARGEST_BODY
from pyconfserve.http.messages import Request, Response, reason
from pyconfserve.http.replies import error_response
from pyconfserve.http.rights import READ_ONLY_RIGHTS
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

JSON = "application/json"
V2 = "application/vnd.spring-cloud.config-server.v2+json"
PRIVATE = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))

BUNDLES = {
    ("application", "default", "main"): {"level": 1, "shared": True},
    ("application", "default", "v2"): {"level": 1, "shared": True},
    ("orders", "default", "main"): {"level": 2, "a": {"b": ["x", None]}},
    ("orders", "default", "v2"): {"level": 2, "a": {"b": ["x", None]}},
    ("orders", "prod", "main"): {"level": 3},
    ("orders", "prod", "v2"): {"level": 4},
    ("café", "default", "main"): {"naïve": "é"},
    ("team/app", "default", "main"): {"slash": "yes"},
}
SHARED = {"name": "application-default", "source": {"level": 1, "shared": True}}
DEFAULT = {"name": "orders-default", "source": {"level": 2, "a.b[0]": "x", "a.b[1]": ""}}  # fmt: skip
PROD = {"name": "orders-prod", "source": {"level": 3}}
PROD_V2 = {"name": "orders-prod", "source": {"level": 4}}

BAD_APPLICATION = (
    "application: expected letters, digits and -_.+@~, "
    "beginning and ending with a letter, a digit, _ or ~"
)
BAD_PROFILE = (
    "profile: expected letters, digits and -_.+@~, "
    "beginning and ending with a letter or a digit"
)
ESCAPES = "path: a segment holds '..', a slash, an escape or a control byte"
NOT_STORED = "no configuration is stored under these names"
NO_ROUTE = "no such route"
FOREIGN = "a change may not come from a page of another site"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder that holds BUNDLES."""
    root = tmp_path_factory.mktemp("stored")
    asyncio.run(save_bundles(FilesystemConfigBackend(root)))
    return root


@pytest.fixture(params=["memory", "folder"])
def backend(request, stored, tmp_path):
    """A backend that holds BUNDLES."""
    if request.param == "memory":
        backend = InMemoryConfigBackend()
        asyncio.run(save_bundles(backend))
        return backend
    root = shutil.copytree(stored, tmp_path / "root")
    return FilesystemConfigBackend(root, refresh_interval=0)


async def save_bundles(backend):
    """Put BUNDLES into *backend*."""
    for (application, profile, label), properties in BUNDLES.items():
        await ConfigServer(backend).save(application, profile, properties, label)


@pytest.fixture
def routes(backend):
    """The routes of a server of BUNDLES."""
    return Routes(ConfigServer(backend))


def ask(routes, method, target, body=b"", host="a", **headers):
    """The response of `handle`; `_` in the names of headers is a dash."""
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, path, query, named, body, host)
    return asyncio.run(routes.handle(request))


def answer_of(response):
    """The document of an answer without its version, which is 32 hex digits."""
    document = json.loads(response.body)
    assert re.fullmatch("[0-9a-f]{32}", document.pop("version"))
    return document


def environment(name, profiles, label, *sources):
    """An answer without its version."""
    return {
        "name": name,
        "profiles": profiles,
        "label": label,
        "state": None,
        "propertySources": list(sources),
    }


def refused(status, message, path, *headers):
    """The whole response of an error."""
    body = {
        "status": status,
        "error": reason(status),
        "message": message,
        "path": path,
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(status, (*headers, ("Content-Type", JSON), *PRIVATE), text.encode())


def allowing(*methods):
    """An Allow header."""
    return ("Allow", ", ".join(methods))


# environments


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/orders/prod", environment("orders", ["prod"], "main", PROD, DEFAULT, SHARED)),
        ("/orders/default", environment("orders", ["default"], "main", DEFAULT, SHARED)),
        ("/orders/prod/main", environment("orders", ["prod"], "main", PROD, DEFAULT, SHARED)),
        ("/orders/prod/v2", environment("orders", ["prod"], "v2", PROD_V2, DEFAULT, SHARED)),
        ("/orders/none", environment("orders", ["none"], "main", DEFAULT, SHARED)),
        ("/unknown/prod", environment("unknown", ["prod"], "main", SHARED)),
        ("/%6Frders/prod?x=/../../etc", environment("orders", ["prod"], "main", PROD, DEFAULT, SHARED)),
        ("/orders/default,prod", environment("orders", ["default", "prod"], "main", PROD, DEFAULT, SHARED)),
        (
            "/caf%C3%A9/default",
            environment("café", ["default"], "main", {"name": "café-default", "source": {"naïve": "é"}}, SHARED),
        ),
        (
            "/team(_)app/default",
            environment("team/app", ["default"], "main", {"name": "team/app-default", "source": {"slash": "yes"}}, SHARED),
        ),
        ("/health/default", environment("health", ["default"], "main", SHARED)),
    ],
)  # fmt: skip
def test_an_environment_is_all_that_is_stored(routes, target, expected):
    """The answer has the sources of the names asked for, highest precedence first."""
    response = ask(routes, "GET", target)
    assert (200, expected) == (response.status, answer_of(response))


def test_an_answer_has_these_headers(routes):
    """An answer is private, typed, told apart by Accept, and named by its content."""
    response = ask(routes, "GET", "/orders/prod")
    etag = blake2b(response.body, digest_size=16, key=JSON.encode()).hexdigest()
    expected = (
        ("Content-Type", JSON),
        ("Cache-Control", "no-store"),
        ("ETag", f'"{etag}"'),
        ("Vary", "Accept, Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    )
    assert expected == response.headers


def test_a_head_is_answered_as_the_get(routes):
    """Edges leave the body out; all else is the same."""
    expected = ask(routes, "GET", "/orders/prod")
    assert expected == ask(routes, "HEAD", "/orders/prod")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("application/json", JSON),
        ("application/*", JSON),
        ("APPLICATION/JSON ; q=0.5", JSON),
        (V2, V2),
        (f"{V2}, application/json", V2),
        (f"application/json, {V2}", JSON),
        (f"application/json;q=0.5, {V2};q=0.6", V2),
        (f"application/json;q=0.5, {V2};q=0.4;x=y", JSON),
        (f"{V2};q=0, application/json", JSON),
        (f"application/json;q=0, {V2}", V2),
        (f"{V2};q=0", JSON),
        ("application/*+json", V2),
        (f"{V2};q=many, application/json;q=0.9", V2),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
    ],
)
def test_accept_chooses_the_media_type(routes, accept, media_type):
    """JSON unless Spring's V2 is preferred; what we do not have is no error."""
    headers = {} if accept is None else {"accept": accept}
    response = ask(routes, "GET", "/orders/prod", **headers)
    assert (200, media_type) == (response.status, dict(response.headers)["Content-Type"])  # fmt: skip


def test_v2_has_values_with_their_origin():
    """In V2 what was not written in a file stands as it is, as Spring shows it."""
    backend = InMemoryConfigBackend()
    asyncio.run(ConfigServer(backend).save("app", "default", {"a": 1}))
    response = ask(Routes(ConfigServer(backend)), "GET", "/app/default", accept=V2)
    source = {"a": 1}
    expected = environment("app", ["default"], "main", {"name": "app-default", "source": source})  # fmt: skip
    assert expected == answer_of(response)


# nothing found


@pytest.fixture(params=["memory", "folder"])
def empty(request, tmp_path):
    """A backend that holds nothing."""
    if request.param == "memory":
        return InMemoryConfigBackend()
    return FilesystemConfigBackend(tmp_path)


@pytest.mark.parametrize("target", ["/app/default", "/app/default/main"])
def test_nothing_stored_is_404(empty, target):
    """Names that are well-formed and unknown are not found."""
    response = ask(Routes(ConfigServer(empty)), "GET", target)
    assert refused(404, NOT_STORED, target) == response


def test_nothing_stored_is_an_answer_for_spring(empty):
    """Who accepts V2 is a Spring client: it gets an answer without sources."""
    response = ask(Routes(ConfigServer(empty)), "GET", "/app/default", accept=V2)
    expected = (200, environment("app", ["default"], "main"))
    assert expected == (response.status, answer_of(response))


def test_nothing_stored_is_404_when_settings_say_so(empty):
    """`accept-empty: false` counts for every media type and dialect."""
    for dialect in ({}, {"dialect": SPRING}):
        routes = Routes(ConfigServer(empty, accept_empty=False, **dialect))
        response = ask(routes, "GET", "/app/default", accept=V2)
        assert refused(404, NOT_STORED, "/app/default") == response


def test_nothing_stored_is_an_answer_in_springs_dialect():
    """Under SPRING an unknown application has an answer without sources."""
    routes = Routes(ConfigServer(InMemoryConfigBackend(), dialect=SPRING))
    response = ask(routes, "GET", "/app/a,b")
    assert (200, environment("app", ["a,b"], None)) == (
        response.status,
        answer_of(response),
    )


# refused reads


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", refused(404, NO_ROUTE, "/")),
        ("GET", "/app", refused(404, NO_ROUTE, "/app")),
        ("GET", "/app/", refused(404, NO_ROUTE, "/app/")),
        ("GET", "//app/default", refused(404, NO_ROUTE, "//app/default")),
        ("GET", "/app/default/", refused(404, NO_ROUTE, "/app/default/")),
        ("GET", "/app/default/main/file.txt", refused(404, "no such file", "/app/default/main/file.txt")),
        ("GET", "/_list/default", refused(404, NO_ROUTE, "/_list/default")),
        ("GET", "/_other/default/main", refused(404, NO_ROUTE, "/_other/default/main")),
        ("GET", "/app,_other/default", refused(404, NO_ROUTE, "/app,_other/default")),
        ("GET", "/actuator/health", refused(404, NO_ROUTE, "/actuator/health")),
        ("GET", "/%61ctuator/health", refused(404, NO_ROUTE, "/%61ctuator/health")),
        ("PUT", "/app", refused(404, NO_ROUTE, "/app")),
        ("TRACE", "/app", refused(404, NO_ROUTE, "/app")),
        ("GET", "/app/..", refused(400, ESCAPES, "/app/..")),
        ("GET", "/..%2Fapp/x", refused(400, ESCAPES, "/..%2Fapp/x")),
        ("GET", "/app/%252e%252e", refused(400, ESCAPES, "/app/%252e%252e")),
        ("GET", "/app/%", refused(400, "path: a percent sign is followed by two hex digits", "/app/%")),
        ("GET", "/app/%FF", refused(400, "path: the decoded bytes are not UTF-8", "/app/%FF")),
        ("GET", "/app/..//", refused(400, ESCAPES, "/app/..//")),
        ("GET", "/" + "a/" * 40, refused(400, "path: more than 40 segments", "/" + "a/" * 40)),
        ("GET", "/app*/default", refused(400, BAD_APPLICATION, "/app*/default")),
        ("GET", "/(_)app/default", refused(400, BAD_APPLICATION, "/(_)app/default")),
        ("GET", "/app/-x", refused(400, BAD_PROFILE, "/app/-x")),
        ("GET", "/app/default,", refused(400, "profile: expected 1 to 255 bytes", "/app/default,")),
        (
            "GET",
            "/app/default/-u",
            refused(400, "label: expected the name of a branch or a tag, without revision syntax", "/app/default/-u"),
        ),
        ("GET", "/,/default", refused(400, "application: expected 1 to 32 names", "/,/default")),
        *[
            (method, path, refused(405, f"this route takes {', '.join(allowed)}", path, allowing(*allowed)))
            for method, path, allowed in [
                ("PUT", "/app/default", ("GET", "HEAD", "POST", "OPTIONS")),
                ("DELETE", "/app/default/main", ("GET", "HEAD", "POST", "OPTIONS")),
                ("TRACE", "/app/default", ("GET", "HEAD", "POST", "OPTIONS")),
                ("POST", "/_list", ("GET", "HEAD", "OPTIONS")),
                ("PATCH", "/health", ("GET", "HEAD", "OPTIONS")),
            ]
        ],
    ],
)  # fmt: skip
def test_a_bad_request_has_the_one_error_body(routes, method, path, expected):
    """No route, a malformed name, a wrong method: the whole body says which."""
    assert expected == ask(routes, method, path)


def test_the_error_phrase_of_a_head_is_that_of_the_get(routes):
    """HEAD fails as GET does."""
    expected = refused(404, NO_ROUTE, "/app")
    assert expected == ask(routes, "HEAD", "/app")


# options


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("*", Response(204, (allowing("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT", "OPTIONS"),))),
        ("/app/default", Response(200, (allowing("GET", "HEAD", "POST", "OPTIONS"),))),
        ("/app/default/main", Response(200, (allowing("GET", "HEAD", "POST", "OPTIONS"),))),
        ("/_list", Response(200, (allowing("GET", "HEAD", "OPTIONS"),))),
        ("/health", Response(200, (allowing("GET", "HEAD", "OPTIONS"),))),
        ("/app", refused(404, NO_ROUTE, "/app")),
    ],
)  # fmt: skip
def test_options_lists_the_methods(routes, path, expected):
    """OPTIONS says what a route takes, and that of `*` what the server takes."""
    assert expected == ask(routes, "OPTIONS", path)


# saving


@pytest.mark.parametrize("content_type", [None, JSON, "Application/JSON; charset=utf-8", "application/x+json"])  # fmt: skip
def test_a_save_replaces_the_bundle(routes, content_type):
    """What is saved is fetched next, flat, and nothing of the old bundle is left."""
    headers = {} if content_type is None else {"content_type": content_type}
    body = '\ufeff{"a": {"b": [1, {"c": null}]}, "é": "ü"}'.encode()
    saved = ask(routes, "POST", "/orders/prod", body, **headers)
    expected = Response(200, (("Content-Type", JSON), *PRIVATE), b'{"saved":true}')
    assert expected == saved
    answer = answer_of(ask(routes, "GET", "/orders/prod"))
    source = {"a.b[0]": 1, "a.b[1].c": "", "é": "ü"}
    assert {"name": "orders-prod", "source": source} == answer["propertySources"][0]


def test_a_save_goes_to_its_label(routes):
    """A save under one label leaves the other labels as they were."""
    ask(routes, "POST", "/orders/prod/v3", b'{"level": 5}')
    levels = [
        answer_of(ask(routes, "GET", f"/orders/prod{label}"))["propertySources"][0]
        for label in ("", "/main", "/v2", "/v3")
    ]
    saved = {"name": "orders-prod", "source": {"level": 5}}
    assert [PROD, PROD, PROD_V2, saved] == levels


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}"])
def test_an_empty_body_is_an_empty_bundle(routes, body):
    """A bundle may be stored without properties."""
    assert ask(routes, "POST", "/new/prod", body).status == 200
    answer = answer_of(ask(routes, "GET", "/new/prod"))
    expected = [{"name": "new-prod", "source": {}}, SHARED]
    assert expected == answer["propertySources"]


UNSAVED = "a name that ends in .yml, .yaml, .json, .properties is not saved"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/a,b/default", b"{}", 400, "application: a save takes one name, not a list"),
        ("/app/a,b", b"{}", 400, "profile: a save takes one name, not a list"),
        ("/app/prod/a,b", b"{}", 400, "label: a save takes one name, not a list"),
        ("/app/x.yml", b"{}", 400, f"profile: {UNSAVED}"),
        ("/app/x.properties", b"{}", 400, f"profile: {UNSAVED}"),
        ("/app*/default", b"{}", 400, BAD_APPLICATION),
        ("/app/-x", b"{}", 400, BAD_PROFILE),
        ("/app/..", b"{}", 400, ESCAPES),
        ("/app/default", b"[]", 400, "body: expected a map at the top at line 1, column 1"),
        ("/app/default", b'{"a":\n 1,}', 400, "body: expected a key in double quotes at line 2, column 4"),
        ("/app/default", b'{"a": NaN}', 400, "body: expected a value at line 1, column 7"),
        ("/app/default", b'{"secret": 1, "secret": 2}', 400, "body: a key is there twice at line 1, column 15"),
        ("/app/default", b"\xff\xfe{\0", 400, "body: expected UTF-8"),
        ("/_list/default", b"{}", 409, "applications named '_list' are reserved"),
        ("/actuator/health", b"{}", 409, "applications named 'actuator' are reserved"),
        ("/_a/b/main", b"{}", 409, "applications named '_a' are reserved"),
    ],
)  # fmt: skip
def test_a_bad_save_has_the_one_error_body(routes, path, body, status, message):
    """Lists, reserved and malformed names and bodies that are no JSON map change nothing."""
    before = ask(routes, "GET", "/_list").body
    assert refused(status, message, path) == ask(routes, "POST", path, body)
    assert before == ask(routes, "GET", "/_list").body


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/yaml", "", "jsonx/json"],
)  # fmt: skip
def test_a_body_of_another_type_is_415(routes, media_type):
    """What a form of another page can send is not JSON, and is not read."""
    response = ask(routes, "POST", "/app/default", b"{}", content_type=media_type)
    expected = refused(415, "expected a body of application/json", "/app/default")
    assert expected == response


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY, 200), (LARGEST_BODY + 1, 413)])  # fmt: skip
def test_a_body_has_a_limit_at_every_edge(empty, size, status):
    """A framework's own server may let more through than our listener does."""
    body = b"{}".ljust(size)
    response = ask(Routes(ConfigServer(empty)), "POST", "/app/default", body)
    assert status == response.status


@pytest.mark.parametrize(
    "server",
    [
        ConfigServer(InMemoryConfigBackend(), read_only=True),
        ConfigServer(InMemoryConfigBackend(), dialect=SPRING),
    ],
    ids=["read-only", "spring"],
)
def test_a_read_only_server_takes_no_save(server):
    """A save is 405 before its body is looked at, and a read says nothing is there."""
    response = ask(Routes(server), "POST", "/app/default", b"no JSON")
    allow = allowing("GET", "HEAD", "OPTIONS")
    expected = refused(405, "this server is read-only", "/app/default", allow)
    assert expected == response


# listing and health


def test_a_list_names_every_bundle(empty):
    """`_list` gives the application, profile and label of all that was saved."""
    asyncio.run(save_bundles(empty))
    response = ask(Routes(ConfigServer(empty)), "GET", "/_list")
    assert (200, (("Content-Type", JSON), *PRIVATE)) == response[:2]
    listed = [tuple(bundle.items()) for bundle in json.loads(response.body)]
    fields = ("application", "profile", "label")
    expected = [tuple(zip(fields, names, strict=True)) for names in BUNDLES]
    assert sorted(expected) == sorted(listed)


def test_health_is_up(routes):
    """Everyone may ask whether the server is up, and hears nothing else."""
    expected = Response(200, (("Content-Type", JSON), *PRIVATE), b'{"status":"UP"}')
    assert expected == ask(routes, "GET", "/health")
    assert expected == ask(routes, "HEAD", "/health")


def test_health_shows_details_where_they_may_be_seen():
    """With details, /health names the backend."""
    routes = Routes(
        ConfigServer(InMemoryConfigBackend()), access=Access(shows_details=True)
    )
    expected = {"status": "UP", "backend": "InMemoryConfigBackend", "problems": []}
    assert expected == json.loads(ask(routes, "GET", "/health").body)


# conditions


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ("*", 304),
        ('"x", {etag}', 304),
        ('"x" ,W/{etag},"y"', 304),
        ('"x", *', 304),
        ('"x"', 200),
        ("", 200),
        ('"{etag}"', 200),
        ("w/{etag}", 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_known_etag_is_304(routes, method, condition, status):
    """Who has the content gets 304 with the headers that a 200 would have, but its type."""
    answer = ask(routes, "GET", "/orders/prod")
    etag = dict(answer.headers)["ETag"]
    condition = condition.replace("{etag}", etag)
    response = ask(routes, method, "/orders/prod", if_none_match=condition)
    expected = answer if status == 200 else Response(304, answer.headers[1:])
    assert expected == response


def test_another_media_type_has_another_etag(routes):
    """The ETag of JSON says nothing about V2."""
    etag = dict(ask(routes, "GET", "/orders/prod").headers)["ETag"]
    response = ask(routes, "GET", "/orders/prod", if_none_match=etag, accept=V2)
    assert response.status == 200


def test_a_save_changes_the_etag(routes):
    """After a save the old ETag is no longer known, and saving back makes it so again."""
    etag = dict(ask(routes, "GET", "/orders/prod").headers)["ETag"]
    statuses = []
    for level in (b'{"level": 9}', b'{"level": 3}'):
        ask(routes, "POST", "/orders/prod", level)
        response = ask(routes, "GET", "/orders/prod", if_none_match=etag)
        statuses.append(response.status)
    assert statuses == [200, 304]


# the base path


@pytest.mark.parametrize("base_path", ["/config/v1", "config/v1/", "/config//v1"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/config/v1/orders/prod", 200),
        ("/config/%761/orders/prod", 200),
        ("/config/v1/_list", 200),
        ("/config/v1/health", 200),
        ("/config/v1/" + "a/" * 39 + "a", 404),
        ("/config/v1/" + "a/" * 40 + "a", 400),
        ("/orders/prod", 404),
        ("/config/v1", 404),
        ("/config/v2/orders/prod", 404),
        ("/config/orders/prod", 404),
        ("/config/v1/../v1/orders/prod", 400),
    ],
)
def test_routes_lie_below_the_base_path(backend, base_path, path, status):
    """Below the base path all routes are as they are without it; outside is nothing."""
    routes = Routes(ConfigServer(backend), base_path=base_path)
    assert status == ask(routes, "GET", path).status


# access


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("POST", "/orders/prod", "the right to write is not given to everyone here"),
        ("POST", "/unknown/prod", "the right to write is not given to everyone here"),
        ("POST", "/_list/prod", "the right to write is not given to everyone here"),
        ("GET", "/_list", "the right to list is not given to everyone here"),
        ("HEAD", "/_list", "the right to list is not given to everyone here"),
    ],
)
def test_rights_are_judged_before_any_look_up(backend, method, path, message):
    """A refusal is the same whether or not there is what was asked for."""
    routes = Routes(ConfigServer(backend), access=Access(rights=READ_ONLY_RIGHTS))
    assert refused(403, message, path) == ask(routes, method, path, b"no JSON")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"origin": "http://evil"}, f"{FOREIGN} (Origin)"),
        ({"origin": "null"}, f"{FOREIGN} (Origin)"),
        ({"sec_fetch_site": "cross-site"}, f"{FOREIGN} (Sec-Fetch-Site)"),
    ],
    ids=str,
)
def test_a_save_from_another_site_is_403(routes, headers, message):
    """A page of another site changes nothing."""
    response = ask(routes, "POST", "/orders/prod", b"{}", **headers)
    assert refused(403, message, "/orders/prod") == response
    answer = answer_of(ask(routes, "GET", "/orders/prod"))
    assert answer["propertySources"][0] == PROD


def test_a_save_from_our_own_page_is_taken(routes):
    """An Origin that is the Host is ours."""
    headers = {"origin": "http://a", "sec_fetch_site": "same-origin"}
    assert ask(routes, "POST", "/orders/prod", b"{}", **headers).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/orders/prod"), ("POST", "/orders/prod"), ("GET", "/health"), ("OPTIONS", "*"), ("GET", "/../x")],
)  # fmt: skip
def test_another_host_is_421(backend, method, path):
    """The Host is judged before everything else."""
    routes = Routes(ConfigServer(backend), access=Access(allow_hosts=["a"]))
    message = "this server does not answer for that Host: allow it with --allow-host"
    response = ask(routes, method, path, host="evil.example")
    assert refused(421, message, path) == response


# the short cut


def request_for(method="GET", host="a", **headers):
    """A request for orders/prod."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/orders/prod", "", named, b"", host)


def kept(routes, request):
    """The kept response to *request*: a file is read again until it has settled."""
    give_up = time.monotonic() + 5
    while (response := routes.ready(request)) is None:
        assert time.monotonic() < give_up, "nothing is kept"
        asyncio.run(routes.handle(request))
    return response


@pytest.mark.parametrize(
    "request_",
    [
        request_for(),
        request_for("HEAD"),
        request_for(accept=V2),
        request_for(if_none_match="*"),
        request_for(if_none_match='"x"'),
        request_for(origin="http://evil"),
    ],
    ids=["get", "head", "v2", "304", "not 304", "origin"],
)
def test_ready_gives_what_handle_gives(request_, tmp_path):
    """An answer that is kept is the answer that would be made, after the same checks."""
    for backend in (InMemoryConfigBackend(), FilesystemConfigBackend(tmp_path)):
        asyncio.run(ConfigServer(backend).save("orders", "prod", {"level": 3}))
        routes = Routes(ConfigServer(backend), access=Access(allow_hosts=["a"]))
        assert routes.ready(request_) is None
        for accept in ({"accept": V2}, {}):
            kept(routes, request_for(**accept))
        response = kept(routes, request_)
        assert asyncio.run(routes.handle(request_)) == response


def test_nothing_is_kept_for_who_may_not_read(backend):
    """Without the right to read there is no answer, made or kept."""
    routes = Routes(ConfigServer(backend), access=Access(rights=[]))
    message = "the right to read is not given to everyone here"
    expected = refused(403, message, "/orders/prod")
    assert expected == asyncio.run(routes.handle(request_for()))
    assert routes.ready(request_for()) is None


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE"])
def test_ready_is_for_reading(routes, method):
    """Every other method on the path of a kept answer is left to `handle`."""
    kept(routes, request_for())
    assert routes.ready(request_for(method)) is None


def test_ready_sees_a_save(routes):
    """After a save the kept answer is not given any more."""
    kept(routes, request_for())
    ask(routes, "POST", "/orders/prod", b'{"level": 9}')
    assert routes.ready(request_for()) is None
    answer = answer_of(kept(routes, request_for()))
    assert answer["propertySources"][0]["source"] == {"level": 9}


def test_what_is_not_found_is_not_kept(empty):
    """A 404 is made anew each time."""
    routes = Routes(ConfigServer(empty))
    for _ in range(2):
        asyncio.run(routes.handle(request_for()))
        assert routes.ready(request_for()) is None


def test_the_remembered_targets_are_bounded():
    """However many targets are asked for, the number remembered has an end."""
    routes = Routes(ConfigServer(InMemoryConfigBackend()))
    first = Request("GET", "/app/p0", "", {"accept": V2}, b"", "a")

    async def ask_until_forgotten(most):
        for number in range(most):
            request = first._replace(path=f"/app/p{number}")
            assert (await routes.handle(request)).status == 200
            assert routes.ready(request) is not None
            if routes.ready(first) is None:
                return True
        return False

    assert asyncio.run(ask_until_forgotten(20_000))


@pytest.mark.parametrize("length", [200, 7000])
def test_a_long_target_is_not_remembered(length):
    """A target of many names is answered each time, and takes no room in between."""
    routes = Routes(ConfigServer(InMemoryConfigBackend()))
    path = "/" + ",".join(["a" * (length // 28)] * 28) + "/default"
    request = Request("GET", path, "", {"accept": V2}, b"", "a")
    for _ in range(2):
        assert asyncio.run(routes.handle(request)).status == 200
        assert (routes.ready(request) is None) is (length > 1024)


# failures


class FailingBackend(InMemoryConfigBackend):
    """A backend that raises what it is told to, from the next call on."""

    failure = None

    async def fetch(self, application, profile, label="main"):
        """Nothing, unless it fails."""
        if self.failure is not None:
            raise self.failure
        return await super().fetch(application, profile, label)

    def stamp(self, seen):
        """A stamp, unless it fails."""
        if isinstance(self.failure, ConfigError):
            raise self.failure
        return super().stamp(seen)


@pytest.fixture
def failing():
    """A backend with one bundle that does not fail yet."""
    backend = FailingBackend()
    asyncio.run(ConfigServer(backend).save("orders", "prod", {"level": 3}))
    return backend


def test_a_failing_store_has_its_own_status(failing):
    """The status of a store's error is the answer's, also where an answer is kept."""
    routes = Routes(ConfigServer(failing))
    assert asyncio.run(routes.handle(request_for())).status == 200
    failing.failure = BackendUnavailable("the store is away")
    assert routes.ready(request_for()) is None
    expected = refused(503, "the store is away", "/orders/prod")
    assert expected == asyncio.run(routes.handle(request_for()))


def test_an_unforeseen_failure_tells_nothing(failing, caplog):
    """What no one foresaw is logged with its place and answered without it."""
    failing.failure = RuntimeError("secret")
    with caplog.at_level(logging.ERROR, "pyconfserve"):
        response = ask(Routes(ConfigServer(failing)), "GET", "/orders/prod")
    assert refused(500, "this server has failed", "/orders/prod") == response
    assert [record.message for record in caplog.records] == ["a request failed in an unforeseen way"]  # fmt: skip


def test_a_broken_file_is_500_for_its_application_alone(tmp_path):
    """A file that does not parse is named relative to its root; others are served."""
    (tmp_path / "bad.json").write_text('{"secret', "utf-8")
    (tmp_path / "good.json").write_text('{"a": 1}', "utf-8")
    routes = Routes(ConfigServer(FilesystemConfigBackend(tmp_path)))
    message = "bad.json:1:2: a text does not end, or holds a bad escape or a control byte"  # fmt: skip
    expected = refused(500, message, "/bad/default")
    assert expected == ask(routes, "GET", "/bad/default")
    assert ask(routes, "GET", "/good/default").status == 200
    assert ask(routes, "GET", "/_list").status == 200


def test_an_error_becomes_a_response():
    """Edges turn their own errors into the same body; the path is theirs to give."""
    expected = refused(400, "not HTTP", "")
    assert expected == error_response(ProtocolError("not HTTP"), "")


def test_an_error_does_not_tell_where_a_store_is():
    """That is for logs and for the health of the server."""
    error = ValueTooLarge("etcd://db:2379/x: main/a/b: it is too large")
    error.place = "etcd://db:2379/x"
    assert refused(413, "main/a/b: it is too large", "/a") == error_response(error, "/a")
