"""bundle: `/_bundle/…`, the one stored bundle, read and changed under conditions."""

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import SPRING
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request
from pyconfserve.http.rights import READ, WRITE
from pyconfserve.http.routes import Routes
from pyconfserve.http.users import User
from pyconfserve.server import ConfigServer

URL = "/_bundle/orders/prod/main"
MERGE_PATCH = "application/merge-patch+json"
STORED = {"a": {"b": [1, {"c": True}], "d": "x"}, "e": 1.5}


class ThreeMethods:
    """A backend that knows no versions."""

    async def fetch(self, application, profile, label="main"):
        return None

    async def save(self, source):
        raise NotImplementedError

    async def list(self):
        return []


class Known:
    """Users by what they send as Authorization."""

    def __init__(self, **users):
        self.users = users

    def remembered(self, authorization):
        return self.users.get(authorization)


@pytest.fixture(params=["memory", "folder"])
def backend(request, tmp_path):
    """An empty one."""
    if request.param == "memory":
        return InMemoryConfigBackend()
    return FilesystemConfigBackend(tmp_path / "root", refresh_interval=0)


@pytest.fixture
def routes(backend):
    """The routes of a server of it."""
    return Routes(ConfigServer(backend))


def ask(routes, method, path, content=None, **headers):
    """The response of `handle`; `_` in the names of headers is a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = b"" if content is None else json.dumps(content).encode()
    return asyncio.run(routes.handle(Request(method, path, "", named, body, "a")))


def etag_of(response):
    return dict(response.headers).get("ETag")


def message_of(response):
    return json.loads(response.body)["message"]


def put(routes, content=STORED, path=URL, **headers):
    """The ETag of what was stored."""
    response = ask(routes, "PUT", path, content, **headers)
    assert response.status in (200, 201), response.body
    return etag_of(response)


def stored(routes, path=URL):
    response = ask(routes, "GET", path)
    return json.loads(response.body) if response.status == 200 else response.status


def test_put_creates_and_replaces(routes):
    """201, then 200, each with the ETag that GET gives."""
    first = ask(routes, "PUT", URL, {"a": 1})
    assert (first.status, first.body) == (201, b'{"saved":true}')
    assert etag_of(first) == etag_of(ask(routes, "GET", URL))
    second = ask(routes, "PUT", URL, STORED)
    assert (second.status, second.body) == (200, b'{"saved":true}')
    assert etag_of(second) == etag_of(ask(routes, "GET", URL)) != etag_of(first)


def test_what_get_gives_put_stores_unchanged(routes):
    """Nested, with its types; the ETag of the merged answer is another."""
    put(routes)
    response = ask(routes, "GET", URL)
    assert json.loads(response.body) == STORED
    assert put(routes, json.loads(response.body), "/_bundle/orders/dev/main")
    assert stored(routes, "/_bundle/orders/dev/main") == STORED
    assert etag_of(ask(routes, "GET", "/orders/prod/main")) != etag_of(response)
    assert dict(response.headers)["Cache-Control"] == "no-store"


def test_a_version_in_quotes_is_no_wildcard(routes):
    """`"*"` names one version, which is nobody's; only `*` is any."""
    etag = put(routes)
    refused = ask(routes, "PUT", URL, {"a": 1}, if_match='"*"')
    assert (refused.status, etag_of(refused), stored(routes)) == (412, etag, STORED)
    assert ask(routes, "GET", URL, if_match='"*"').status == 412
    assert ask(routes, "GET", URL, if_none_match='"*"').status == 200
    assert put(routes, {"a": 1}, if_none_match='"x", "*"')


def test_a_patch_above_the_limits_is_refused(routes):
    """What was stored and what comes are one bundle; then it is as it was."""
    etag = put(routes, {"a": [1] * 150_000})
    refused = ask(routes, "PATCH", URL, {"b": [1] * 150_000})
    assert (refused.status, message_of(refused)) == (
        400,
        "properties: more than 200000 values",
    )
    assert etag_of(ask(routes, "GET", URL)) == etag


def test_what_cannot_be_nested_is_given_flat(routes):
    """A key with an empty part has no place in a tree."""
    put(routes, {".a": 1, "b": {"c": 2}})
    assert stored(routes) == {".a": 1, "b.c": 2}


def test_what_is_too_much_once_it_is_nested_is_given_flat(routes):
    """Maps count as values; what a save took, a read gives."""
    content = {f"k{number}{'.x' * 16}": number for number in range(15_000)}
    put(routes, content)
    assert stored(routes) == content


def test_a_bundle_is_apart_from_what_shines_through(routes):
    """The merged answer has shared properties, the stored bundle has not."""
    put(routes, {"shared": 1}, "/_bundle/application/default/main")
    assert ask(routes, "GET", URL).status == 404
    put(routes, {"a": 1})
    assert stored(routes) == {"a": 1}
    put(routes, {"b": 2}, "/_bundle/team(_)app/prod/feature(_)x")
    assert stored(routes, "/_bundle/team(_)app/prod/feature(_)x") == {"b": 2}
    assert stored(routes, "/_bundle/team(_)app/prod/main") == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_absent_bundle_is_404(routes, method):
    """With a condition, too (RFC 9110 §13.2.1); only PUT makes one."""
    for headers in ({}, {"if_match": '"x"'}, {"if_none_match": "*"}):
        response = ask(
            routes, method, URL, {} if method == "PATCH" else None, **headers
        )
        assert response.status == 404
        assert message_of(response) == "no bundle is stored under these names"


def test_patch_changes_named_keys(routes):
    """Null removes, a list is replaced whole, all else stays."""
    before = put(routes)
    patch = {"a.b": [9], "a": {"d": None}, "f": {"g": "new"}}
    response = ask(
        routes, "PATCH", URL, patch, content_type=MERGE_PATCH, if_match=before
    )
    assert (response.status, response.body) == (200, b'{"saved":true}')
    assert stored(routes) == {"a": {"b": [9]}, "e": 1.5, "f": {"g": "new"}}
    assert etag_of(response) == etag_of(ask(routes, "GET", URL)) != before
    again = ask(routes, "PATCH", URL, patch, content_type="application/json")
    assert etag_of(again) == etag_of(response)


def test_a_patch_of_an_item_of_a_list_is_refused(routes):
    """Which items come after it would be a guess."""
    before = put(routes)
    response = ask(routes, "PATCH", URL, {"a.b[0]": None})
    assert (response.status, message_of(response)) == (
        400,
        "properties: a list is patched whole: name it without an index",
    )
    assert etag_of(ask(routes, "GET", URL)) == before


@pytest.mark.parametrize("media", ["text/plain", "application/json-patch+json"])
def test_a_patch_of_another_kind_is_415(routes, media):
    """Only a merge patch is understood."""
    before = put(routes)
    assert ask(routes, "PATCH", URL, {"a": 1}, content_type=media).status == 415
    assert etag_of(ask(routes, "GET", URL)) == before


def test_delete_removes(routes):
    """204 without a body, then it is absent."""
    etag = put(routes)
    response = ask(routes, "DELETE", URL, if_match=etag)
    assert (response.status, response.body) == (204, b"")
    assert stored(routes) == 404
    assert ask(routes, "GET", "/_list").body == b"[]"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("make", "is_made"),
    [
        (lambda etag: {"if_match": etag}, True),
        (lambda etag: {"if_match": f'"x", {etag}'}, True),
        (lambda etag: {"if_match": "*"}, True),
        (lambda etag: {"if_none_match": '"x"'}, True),
        (lambda etag: {"if_match": '"x"'}, False),
        (lambda etag: {"if_match": f"W/{etag}"}, False),
        (lambda etag: {"if_none_match": "*"}, False),
        (lambda etag: {"if_none_match": f"W/{etag}"}, False),
        (lambda etag: {"if_match": etag, "if_none_match": etag}, False),
    ],
    ids=[
        "same",
        "list",
        "any",
        "not-that",
        "other",
        "weak",
        "none",
        "not-this",
        "both",
    ],
)
def test_a_condition_is_kept(routes, method, make, is_made):
    """Else 412 with the present ETag, and nothing changes."""
    etag = put(routes)
    content = None if method == "DELETE" else {"new": 1}
    response = ask(routes, method, URL, content, **make(etag))
    if is_made:
        assert response.status in (200, 204)
        assert etag_of(ask(routes, "GET", URL)) != etag
    else:
        assert (response.status, etag_of(response)) == (412, etag)
        assert message_of(response) == "the bundle has another version"
        assert (stored(routes), etag_of(ask(routes, "GET", URL))) == (STORED, etag)


def test_a_put_expects_what_is_not_there(routes):
    """412 without an ETag, and 201 for who expects nothing."""
    response = ask(routes, "PUT", URL, {"a": 1}, if_match="*")
    assert (response.status, etag_of(response)) == (412, None)
    assert message_of(response) == "the bundle is not stored"
    assert ask(routes, "PUT", URL, {"a": 1}, if_none_match="*").status == 201


def test_get_under_conditions(routes):
    """304 for who has it, 412 for who wants another."""
    etag = put(routes)
    known = ask(routes, "GET", URL, if_none_match=etag)
    assert (known.status, known.body, etag_of(known)) == (304, b"", etag)
    other = ask(routes, "GET", URL, if_match='"x"')
    assert (other.status, etag_of(other)) == (412, etag)
    assert ask(routes, "HEAD", URL, if_none_match='"x"').status == 200


@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
@pytest.mark.parametrize("text", ["", "x", '"x', '"a" "b"', '*, "a"', "'a'", '"a"b'])
def test_a_malformed_condition_is_refused(routes, name, text):
    """A condition that is not understood is not ignored."""
    etag = put(routes)
    response = ask(routes, "PUT", URL, {}, **{name: text})
    assert response.status == 400
    assert etag_of(ask(routes, "GET", URL)) == etag


def test_a_condition_by_time_is_refused(routes):
    """No bundle has a time, and nobody is to believe that one was compared."""
    response = ask(routes, "PUT", URL, {}, if_unmodified_since="Mon, 23 Nov 2026 00:00:00 GMT")  # fmt: skip
    assert response.status == 400
    assert stored(routes) == 404


@pytest.mark.parametrize("header", ["if_match", "if_none_match", "if_unmodified_since"])
@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("", "/orders/prod", "/_bundle/orders/prod/main"),
        ("", "/team%28_%29a/prod/v2", "/_bundle/team%28_%29a/prod/v2"),
        ("/config", "/config/orders/prod", "/config/_bundle/orders/prod/main"),
    ],
)
def test_a_condition_on_a_plain_save_names_the_other_url(backend, header, base, path, url):  # fmt: skip
    """The seed's POST stays last writer wins, and says so."""
    routes = Routes(ConfigServer(backend), base_path=base)
    response = ask(routes, "POST", path, {"a": 1}, **{header: "*"})
    name = header.replace("_", "-")
    assert (response.status, message_of(response)) == (
        400,
        f"{name}: this save takes no condition: PUT {url} does",
    )
    assert ask(routes, "GET", f"{base}/_list").body == b"[]"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/_bundle/a,b/prod/main", 400),
        ("/_bundle/orders/a,b/main", 400),
        ("/_bundle/orders/prod/a,b", 400),
        ("/_bundle/orders/prod.yml/main", 400),
        ("/_bundle/..%2fa/prod/main", 400),
        ("/_bundle/_list/prod/main", 409),
        ("/_bundle/actuator/prod/main", 409),
        ("/_bundle/orders//main", 404),
    ],
)
def test_names_are_judged(routes, method, path, status):
    """One name each; reserved ones are not stored, so they are not found."""
    expected = 404 if (method, status) == ("GET", 409) else status
    content = {} if method in ("PUT", "PATCH") else None
    assert ask(routes, method, path, content).status == expected


def test_the_methods_of_the_route(routes):
    """OPTIONS and 405 name them all."""
    allowed = "DELETE, GET, HEAD, PATCH, PUT, OPTIONS"
    for method, status in (("OPTIONS", 200), ("POST", 405)):
        response = ask(routes, method, URL)
        assert (response.status, dict(response.headers)["Allow"]) == (status, allowed)
    assert ask(routes, "PUT", "/orders/prod").status == 405


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("options", [{"read_only": True}, {"dialect": SPRING}], ids=["read-only", "spring"])  # fmt: skip
def test_a_server_that_is_read_only_takes_no_changes(backend, method, options):
    """405, and reading goes on."""
    put(Routes(ConfigServer(backend)))
    routes = Routes(ConfigServer(backend, **options))
    response = ask(routes, method, URL, {})
    assert (response.status, message_of(response)) == (405, "this server is read-only")
    assert dict(response.headers)["Allow"] == "GET, HEAD, OPTIONS"
    assert stored(routes) == STORED


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("wrap", [lambda one: one, lambda one: CompositeConfigBackend([one])])  # fmt: skip
def test_a_backend_without_versions_says_so(method, wrap):
    """405 rather than a save without its condition."""
    response = ask(Routes(ConfigServer(wrap(ThreeMethods()))), method, URL, {})
    assert (response.status, message_of(response)) == (
        405,
        "this store knows no versions of its bundles: it takes whole saves only",
    )


# rights


@pytest.mark.parametrize(
    ("user", "statuses"),
    [
        (User("a", frozenset({READ})), [200, 403, 403, 403]),
        (User("a", frozenset({WRITE})), [403, 200, 200, 204]),
        (User("a", frozenset({READ, WRITE}), ("orders",)), [200, 200, 200, 204]),
        (User("a", frozenset({READ, WRITE}), ("other",)), [403] * 4),
        (User("a", frozenset({READ, WRITE}), profiles=("dev",)), [403] * 4),
    ],
    ids=["reader", "writer", "own-application", "other-application", "other-profile"],
)
def test_rights(backend, user, statuses):
    """To read is one right, to change another, both for the user's names."""
    put(Routes(ConfigServer(backend)))
    routes = Routes(ConfigServer(backend), access=Access(authority=Known(me=user)))
    asked = [("GET", None), ("PUT", {"a": 1}), ("PATCH", {"a": 2}), ("DELETE", None)]
    answers = [ask(routes, *one[:1], URL, one[1], authorization="me") for one in asked]
    assert statuses == [answer.status for answer in answers]


def test_who_may_not_read_gets_no_version(backend):
    """It is made from what is stored, and could be compared with guesses."""
    put(Routes(ConfigServer(backend)))
    writer = User("a", frozenset({WRITE}))
    routes = Routes(ConfigServer(backend), access=Access(authority=Known(me=writer)))
    for headers in ({}, {"if_match": '"x"'}):
        response = ask(routes, "PATCH", URL, {"z": 1}, authorization="me", **headers)
        assert etag_of(response) is None


def test_a_restricted_user_saves_no_controls(backend):
    """Neither by PUT nor in what a PATCH would leave; who removes them may."""
    owner = Routes(ConfigServer(backend))
    user = User("a", frozenset({READ, WRITE}), ("orders",))
    routes = Routes(ConfigServer(backend), access=Access(authority=Known(me=user)))
    controls = {"spring": {"config": {"import": "other.yml"}}}
    etag = put(owner, {**controls, "a": 1})
    for method, content in (
        ("PUT", controls),
        ("PATCH", controls),
        ("PATCH", {"a": 2}),
    ):
        response = ask(routes, method, URL, content, authorization="me")
        assert (response.status, etag_of(ask(owner, "GET", URL))) == (403, etag)
    response = ask(routes, "PATCH", URL, {"spring": None}, authorization="me")
    assert (response.status, stored(owner)) == (200, {"a": 1})


def test_a_change_from_another_site_is_refused(routes):
    """A browser that knows a password may be made to send it."""
    for method in ("PUT", "PATCH", "DELETE"):
        assert ask(routes, method, URL, {}, origin="http://evil").status == 403


# files


def in_folder(tmp_path, files):
    """The routes over a folder of these files."""
    root = tmp_path / "root"
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, newline="")
    return root, Routes(ConfigServer(FilesystemConfigBackend(root)))


@pytest.mark.parametrize(
    ("path", "text", "patch", "status"),
    [
        ("orders-prod.yml", "a: 1\n---\nb: 2\n", {"a": 2}, 409),
        ("orders-prod.yml", "a: 1\n---\nb: [\n", {"a": 2}, 409),
        ("orders-prod.yml", "a: [\n", {"a": 2}, 409),
        ("orders-prod.toml", "a = 1\n", {"a": 2}, 409),
        ("orders-prod.properties", "a=1\n", {"a": [None]}, 422),
        ("orders-prod.properties", "a=1\n#---\nb=2\n", {"a": "2"}, 409),
    ],
    ids=["documents", "broken-documents", "broken", "toml", "null", "properties-documents"],
)  # fmt: skip
def test_a_file_that_cannot_be_patched_stays(tmp_path, path, text, patch, status):
    """Byte for byte."""
    root, routes = in_folder(tmp_path, {path: text})
    assert ask(routes, "PATCH", URL, patch).status == status
    assert (root / path).read_text() == text
    assert [entry.name for entry in root.iterdir()] == [path]


def test_a_broken_file_is_replaced_whole(tmp_path):
    """Under its ETag, which a refusal tells; a read says what is wrong."""
    root, routes = in_folder(tmp_path, {"orders-prod.yml": "a: [\n"})
    assert ask(routes, "GET", URL).status == 500
    etag = etag_of(ask(routes, "PUT", URL, {}, if_match='"x"'))
    assert ask(routes, "PUT", URL, {"a": 1}, if_match=etag).status == 200
    assert (root / "orders-prod.yml").read_text() == "a: 1\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("orders-prod.yml", "z: {y: 1, x: 017}\nkeep: 2024-01-01\nnone: null\nl:\n- {a: 1}\n", "z:\n  y: 2\n  x: 15\nkeep: '2024-01-01'\nnone: null\nl:\n- a: 1\nnew:\n  key: v\n"),
        ("orders-prod.yml", "z.y: 1\na.b: 2\n", "z.y: 2\na.b: 2\nnew.key: v\n"),
        ("orders-prod.json", '{"z": {"y": 1, "n": null}, "e": 1.0}', '{\n  "z": {\n    "y": 2,\n    "n": null\n  },\n  "e": 1.0,\n  "new": {\n    "key": "v"\n  }\n}\n'),
        ("orders-prod.properties", "# c\nz.y = 1\nb=  x\n", "z.y=2\nb=x\nnew.key=v\n"),
        ("main/orders-prod.yaml", "z:\n  y: 1\n", "z:\n  y: 2\nnew:\n  key: v\n"),
    ],
    ids=["nested", "flat", "json", "properties", "label"],
)  # fmt: skip
def test_a_patched_file_keeps_its_format_its_nesting_and_its_rest(tmp_path, path, text, expected):  # fmt: skip
    """Comments are lost, and nothing else is."""
    root, routes = in_folder(tmp_path, {path: text})
    assert ask(routes, "PATCH", URL, {"z.y": 2, "new.key": "v"}).status == 200
    assert (root / path).read_text() == expected


def test_delete_removes_twins_and_no_other_file(tmp_path):
    """What another format hid does not come back; what lies below shines through."""
    files = {"main/orders-prod.yaml": "a: 1\n", "main/orders-prod.json": "{}", "orders-prod.yaml": "a: 2\n"}  # fmt: skip
    root, routes = in_folder(tmp_path, files)
    assert ask(routes, "DELETE", URL).status == 204
    assert [one.name for one in (root / "main").iterdir()] == []
    assert stored(routes) == {"a": 2}


def test_an_edit_by_hand_changes_the_etag(tmp_path):
    """Also one that changes no value: the file is another."""
    root, routes = in_folder(tmp_path, {"orders-prod.yml": "a: 1\n"})
    etag = etag_of(ask(routes, "GET", URL))
    (root / "orders-prod.yml").write_text("a: 1 # mine\n")
    assert ask(routes, "PUT", URL, {}, if_match=etag).status == 412


# over real sockets


def exchange(address, method, content=None, **headers):
    """(status, ETag, body) of one request on a connection of its own."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    body = None if content is None else json.dumps(content)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, URL, body, named)
    response = connection.getresponse()
    found = response.status, response.headers["ETag"], response.read()
    connection.close()
    return found


def test_of_a_hundred_that_create_over_sockets_one_does(backend, serve):
    """One 201, and 99 times 412 with its ETag."""
    address = serve(ConfigServer(backend)).address
    with ThreadPoolExecutor(16) as threads:
        done = [threads.submit(exchange, address, "PUT", {"by": number}, If_None_Match="*") for number in range(100)]  # fmt: skip
        answers = [one.result() for one in done]
    assert sorted(status for status, _, _ in answers) == [201] + [412] * 99
    assert {etag for _, etag, _ in answers} == {exchange(address, "GET")[1]}


def test_a_counter_over_sockets_counts_every_success(backend, serve):
    """Its value is the number of 200s."""
    address = serve(ConfigServer(backend)).address
    exchange(address, "PUT", {"count": 0})

    def count_up():
        successes = 0
        for _ in range(20):
            _, etag, body = exchange(address, "GET")
            new = {"count": json.loads(body)["count"] + 1}
            status = exchange(address, "PATCH", new, If_Match=etag)[0]
            assert status in (200, 412)
            successes += status == 200
        return successes

    with ThreadPoolExecutor(4) as threads:
        counts = [one.result() for one in [threads.submit(count_up) for _ in range(4)]]
    assert json.loads(exchange(address, "GET")[2]) == {"count": sum(counts)}
    status, etag, body = exchange(address, "HEAD")
    assert (status, body) == (200, b"")
    assert exchange(address, "DELETE", If_Match=etag) == (204, None, b"")
    assert exchange(address, "DELETE", If_Match=etag)[0] == 404


# over one store from two processes

COUNTER = """
import asyncio, sys
from pyconfserve.errors import VersionConflict
from pyconfserve.versions import Expected
if sys.argv[1] == "git":
    from pyconfserve.adapters.git import GitConfigBackend
    backend = GitConfigBackend("", "main", sys.argv[2], refresh_rate=0)
else:
    from pyconfserve.filesystem import FilesystemConfigBackend
    backend = FilesystemConfigBackend(sys.argv[2])

async def count():
    successes = 0
    for _ in range(int(sys.argv[3])):
        backend.look_again()
        found = await backend.stored("orders", "prod")
        new = {"count": found.properties["count"] + 1}
        expected = Expected(versions=frozenset({found.version}))
        try:
            await backend.change("orders", "prod", "main", lambda _: new, expected)
            successes += 1
        except VersionConflict:
            pass
    await backend.close()
    print(successes)

asyncio.run(count())
"""


@pytest.mark.parametrize(("kind", "times"), [("folder", 200), ("git", 15)])
def test_a_counter_of_two_processes_counts_every_success(tmp_path, kind, times):
    """Over one folder and over one clone."""
    if kind == "git":
        git = pytest.importorskip("pyconfserve.adapters.git")
        assert shutil.which("git")
        backend = git.GitConfigBackend(
            "", "main", str(tmp_path / "store"), refresh_rate=0
        )
    else:
        backend = FilesystemConfigBackend(tmp_path / "store")
    asyncio.run(backend.save(ConfigSource("orders", "prod", "main", {"count": 0})))
    asyncio.run(backend.close())
    command = [sys.executable, "-c", COUNTER, kind, str(tmp_path / "store"), str(times)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    counts = [int(one.communicate(timeout=60)[0]) for one in running]
    again = type(backend)(*(("", "main", str(tmp_path / "store")) if kind == "git" else (tmp_path / "store",)))  # fmt: skip
    found = asyncio.run(again.stored("orders", "prod"))
    asyncio.run(again.close())
    assert min(counts) > 0
    assert dict(found.properties) == {"count": sum(counts)}
