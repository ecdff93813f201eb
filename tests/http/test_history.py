"""history: GET /_history over any store, with a past or without one."""

import asyncio
import json

import pytest

from pyconfserve import FilesystemConfigBackend, InMemoryConfigBackend
from pyconfserve.errors import BackendUnavailable, ConfigNotFound
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.past import Commit, History
from pyconfserve.server import ConfigServer

ID = "c" * 40


class Remembering(InMemoryConfigBackend):
    """A store whose past is one commit, and that notes how it was asked."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.asked = []

    @property
    def past(self):
        return self

    def look_again(self):
        self.asked.append("look")

    async def bundle_at(self, *asked):
        self.asked.append(asked)
        if self.error:
            raise self.error
        return {"db.pool": 1, "s": "{cipher}ab"}

    async def history(self, lookup, limit=50, before=None):
        self.asked.append((lookup.applications, lookup.profiles, lookup.labels, limit, before))
        if self.error:
            raise self.error
        commit = Commit(ID, "2026-11-23T05:49:23Z", "Zoë", "save \x1b[31m", ("orders.yml",))
        return History((commit,), ID)


def ask(backend, target, method="GET", **options):
    """The (status, headers, document) of a request."""
    path, _, query = target.partition("?")
    routes = Routes(ConfigServer(backend), **options)
    request = Request(method, path, query, {}, b"", "a")
    assert routes.ready(request) is None
    response = asyncio.run(routes.handle(request))
    return response.status, dict(response.headers), response.body and json.loads(response.body)


def test_a_history_is_json():
    """Of names as they were asked; nobody keeps it."""
    expected = {
        "name": "orders",
        "profiles": ["prod", "eu"],
        "label": "feature/x",
        "commits": [
            {
                "commit": ID,
                "time": "2026-11-23T05:49:23Z",
                "author": "Zoë",
                "message": "save \x1b[31m",
                "files": ["orders.yml"],
            }
        ],
        "next": ID,
    }
    headers = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    assert (200, headers, expected) == ask(Remembering(), "/_history/orders/prod,eu/feature(_)x")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/orders/prod", (("orders",), ("prod",), (), 50, None)),
        ("/orders/prod/main", (("orders",), ("prod",), ("main",), 50, None)),
        ("/team(_)orders,b/prod", (("team/orders", "b"), ("prod",), (), 50, None)),
        (f"/orders/prod?limit=1000&before={ID}", (("orders",), ("prod",), (), 1000, ID)),
        ("/orders/prod?limit=1&more=x", (("orders",), ("prod",), (), 1, None)),
    ],
)
def test_what_is_asked_reaches_the_store(target, expected):
    """Which looks first whether another worker saved."""
    backend = Remembering()
    assert ask(backend, f"/_history{target}")[0] == 200
    assert ["look", expected] == backend.asked


def test_a_bundle_of_then_is_json():
    """As a save takes it, never decrypted; another commit is another document."""
    backend = Remembering()
    status, headers, document = ask(backend, f"/_history/team(_)orders/prod/feature(_)x/{ID}")
    assert (status, document) == (200, {"db": {"pool": 1}, "s": "{cipher}ab"})
    assert (headers["Cache-Control"], "ETag" in headers) == ("no-store", False)
    assert backend.asked == ["look", ("team/orders", "prod", "feature/x", ID)]
    status, _, document = ask(Remembering(ConfigNotFound("not then")), f"/_history/a/b/c/{ID}")
    assert (status, document["message"]) == (404, "not then")


@pytest.mark.parametrize("names", ["a,b/prod", "a/b,c", "a..b/prod"])
def test_a_bundle_of_then_has_names_of_its_own(names):
    """No lists, which only answers have."""
    backend = Remembering()
    assert (ask(backend, f"/_history/{names}/main/{ID}")[0], backend.asked) == (400, [])


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "", "1e3", "+5", "٣", "0x10", "99999"])
def test_a_limit_is_a_number(limit):
    """Of one commit to a thousand; the store is not asked."""
    backend = Remembering()
    status, _, document = ask(backend, f"/_history/orders/prod?limit={limit}")
    assert (status, document["message"], backend.asked) == (400, "limit: expected 1 to 1000", [])


@pytest.mark.parametrize(
    "target",
    [
        "/_history/a..b/prod",
        "/_history/orders/-prod",
        "/_history/orders/prod/-x",
        "/_history/orders/prod/a%3Bb",
        "/_history/orders/prod/main~1",
    ],
)
def test_a_malformed_name_is_400(target):
    """Before anything is looked up."""
    backend = Remembering()
    assert (ask(backend, target)[0], backend.asked) == (400, [])


@pytest.mark.parametrize(
    "target",
    ["/_history", "/_history/orders", "/_history/_list/prod", "/_history/actuator/prod", "/_history/a/b/c/d", f"/_history/actuator/b/c/{ID}"],
)
def test_other_paths_are_404(target):
    """Two names or three; reserved ones have no history."""
    backend = Remembering()
    assert (ask(backend, target)[0], backend.asked) == (404, [])


@pytest.mark.parametrize("make", [FilesystemConfigBackend, lambda _: InMemoryConfigBackend()])
def test_a_store_without_a_past_says_so(make, tmp_path):
    """It is 404, and the reason is named."""
    status, _, document = ask(make(tmp_path), "/_history/orders/prod")
    expected = "no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL"
    assert (404, expected) == (status, document["message"])


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConfigNotFound("there is no such label"), 404), (BackendUnavailable("git log: away"), 503)],
)
def test_a_store_that_fails_is_told(error, status):
    """As on every route."""
    found, _, document = ask(Remembering(error), "/_history/orders/prod")
    assert (status, str(error)) == (found, document["message"])


def test_methods():
    """It is read only: a save of such a name is refused."""
    assert ask(Remembering(), "/_history/orders/prod", "HEAD")[0] == 200
    for method in ("PUT", "DELETE", "PATCH"):
        assert ask(Remembering(), "/_history/orders/prod", method)[0] == 405


def test_it_stands_below_the_base_path():
    """Beside the answers."""
    assert ask(Remembering(), "/base/_history/orders/prod", base_path="/base")[0] == 200
    assert ask(Remembering(), "/_history/orders/prod", base_path="/base")[0] == 404
