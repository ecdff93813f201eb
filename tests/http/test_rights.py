"""Rights over all routes: every way to the same data passes the one check."""

import asyncio
import json
from urllib.parse import quote

import pytest

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.errors import Unauthenticated
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request
from pyconfserve.http.monitor import Monitor
from pyconfserve.http.rights import (
    ALL_RIGHTS,
    DECRYPT,
    ENCRYPT,
    LIST,
    MONITOR,
    READ,
    WRITE,
)
from pyconfserve.http.routes import Routes
from pyconfserve.http.users import User
from pyconfserve.server import ConfigServer


class Desk:
    """Knows users by their names as the whole header, some only after a look."""

    def __init__(self, *users, slow=()):
        self.users = {user.name: user for user in users}
        self.slow = slow

    def remembered(self, authorization):
        return None if authorization in self.slow else self.users.get(authorization)

    async def verify(self, authorization, source):
        await asyncio.sleep(0)
        if authorization in self.users:
            return self.users[authorization]
        raise Unauthenticated("these are no user's name and password, nor a token")


MINE = User("mine", frozenset(ALL_RIGHTS), ("mine", "mine-*"), ("dev",))
DESK = Desk(
    MINE,
    User("slow", frozenset([READ]), ("mine",), ("dev",)),
    User("all", frozenset(ALL_RIGHTS)),
    User("reader", frozenset([READ])),
    User("writer", frozenset([WRITE])),
    User("lister", frozenset([LIST])),
    User("sender", frozenset([MONITOR])),
    User("sealer", frozenset([ENCRYPT])),
    User("opener", frozenset([DECRYPT])),
    slow=("slow",),
)


@pytest.fixture
def root(tmp_path):
    """A folder with one application that is mine and one that is not."""
    for name in ("mine", "mine-dev", "theirs", "theirs-dev", "application"):
        (tmp_path / f"{name}.yml").write_text(f"name: {name}\n", "utf-8")
    (tmp_path / "nginx.conf").write_text("listen ${name}\n", "utf-8")
    (tmp_path / "nginx-prod.conf").write_text("listen 2\n", "utf-8")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/key.pem").write_text("secret\n", "utf-8")
    return tmp_path


@pytest.fixture
def ask(root):
    """`ask(user, target, method=…, body=…)`: the response of all routes over that folder."""
    server = ConfigServer(FilesystemConfigBackend(root))
    access = Access(authority=DESK)
    routes = Routes(server, access=access, monitor=Monitor(server, ["s"]), all_routes=True)

    def ask(user, target, method="GET", body=b"", headers=()):
        path, _, query = target.partition("?")
        sent = {"authorization": user, **dict(headers)} if user else dict(headers)
        request = Request(method, path, query, sent, body, "a")
        return routes.ready(request) or asyncio.run(routes.handle(request))

    ask.routes = routes
    return ask


ENVIRONMENT = ["/{name}/dev", "/{name}/dev/main", "/{name}/dev/v2"]
MERGED = ["/{name}-dev.yml", "/{name}-dev.json", "/main/{name}-dev.properties"]
FILES = ["/{name}/dev/main/nginx.conf", "/{name}/dev/nginx.conf?useDefaultLabel"]
ALL_READING = ENVIRONMENT + MERGED + FILES


@pytest.mark.parametrize("target", ALL_READING)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine", 200),
        ("theirs", 403),
        ("nobodys", 403),
        ("mine,theirs", 403),
        ("theirs,mine", 403),
        ("mine,nobodys", 403),
        ("Mine", 403),
        ("application", 403),
        ("%6Dine", 200),
        ("%74heirs", 403),
        ("mine%2Ctheirs", 403),
        ("team(_)mine", 403),
    ],
)
def test_each_way_to_read_judges_each_name(ask, target, method, name, expected):
    """403 whether or not there is anything, on each form of the URL."""
    assert expected == ask("mine", target.format(name=name), method).status


@pytest.mark.parametrize("target", ALL_READING)
@pytest.mark.parametrize(
    ("profile", "expected"), [("dev", 200), ("prod", 403), ("dev,prod", 403), ("none", 403)]
)
def test_each_way_to_read_judges_each_profile(ask, target, profile, expected):
    """As it does with applications."""
    asked = target.format(name="mine")
    asked = asked.replace("/dev", f"/{profile}").replace("-dev.", f"-{profile}.")
    assert expected == ask("mine", asked).status


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nginx.conf", 200),
        ("none.conf", 404),
        ("theirs-dev.yml", 403),
        ("mine-dev.yml", 403),
        ("theirs/key.pem", 403),
        ("theirs/none.pem", 403),
        ("nginx-prod.conf", 403),
        (".git/config", 404),
    ],
)
def test_a_plain_file_is_no_way_round(ask, path, expected):
    """Files of bundles, of other applications' folders and of other profiles are refused."""
    assert expected == ask("mine", f"/mine/dev/main/{path}").status
    if "/" not in path:
        assert expected == ask("mine", f"/mine/dev/{path}?useDefaultLabel").status


@pytest.mark.parametrize(
    ("target", "method", "user"),
    [
        *((target.format(name="theirs"), "GET", "reader") for target in ALL_READING),
        ("/theirs/dev", "POST", "writer"),
        ("/theirs/dev/main", "POST", "writer"),
        ("/_list", "GET", "lister"),
        ("/encrypt", "POST", "sealer"),
        ("/encrypt/theirs/dev", "POST", "sealer"),
        ("/encrypt/status", "GET", "sealer"),
        ("/decrypt", "POST", "opener"),
        ("/decrypt/theirs/dev", "POST", "opener"),
        ("/key", "GET", "reader"),
        ("/key/theirs/dev", "GET", "reader"),
    ],
)
def test_each_route_needs_its_right(ask, target, method, user):
    """Who has that one right is let in; who has all others is not, and a stranger never."""
    wrong = {"reader", "writer", "lister", "sender", "sealer", "opener"} - {user}
    assert ask(user, target, method).status not in (401, 403)
    assert {other: 403 for other in wrong} == {other: ask(other, target, method).status for other in wrong}
    for stranger in ("", "wrong", "Mine"):
        response = ask(stranger, target, method)
        assert response.status == 401
        assert dict(response.headers)["WWW-Authenticate"] == 'Basic realm="pyconfserve", charset="UTF-8"'


@pytest.mark.parametrize(
    "target", ["/encrypt/theirs/dev", "/decrypt/theirs/dev", "/key/theirs/dev", "/theirs/dev"]
)
def test_names_count_where_a_route_changes_or_opens_something(ask, target):
    """Also for who has the right over other names."""
    method = "GET" if target.startswith("/key") else "POST"
    assert ask("mine", target, method).status == 403
    assert ask("mine", target.replace("theirs", "mine"), method).status in (200, 404)


@pytest.mark.parametrize("target", ["/health", "/actuator/health", "/actuator/health/liveness", "/actuator/info"])
def test_health_is_public(ask, target):
    """Probes have no password; who sends a wrong one is told."""
    assert [ask(user, target).status for user in ("", "reader", "wrong")] == [200, 200, 401]


def test_health_tells_details_to_who_may_list_all(ask):
    """Others, and users of some names, learn up or down."""
    answers = {user: sorted(json.loads(ask(user, "/health").body)) for user in ("", "reader", "mine", "lister")}
    short = ["status"]
    assert answers == {"": short, "reader": short, "mine": short, "lister": ["backend", "locations", "problems", "status"]}


def test_a_list_has_what_its_reader_may_see(ask):
    """Bundles of other names are left out, and their number with them."""
    everything = json.loads(ask("all", "/_list").body)
    mine = json.loads(ask("mine", "/_list").body)
    assert {(bundle["application"], bundle["profile"]) for bundle in mine} == {("mine", "dev")}
    assert len(everything) > len(mine)


@pytest.mark.parametrize(
    ("user", "headers", "expected"),
    [
        ("sender", {}, 200),
        ("all", {}, 200),
        ("reader", {}, 401),
        ("", {}, 401),
        ("wrong", {}, 401),
        ("", {"x-gitlab-event": "Push Hook", "x-gitlab-token": "s"}, 200),
        ("", {"x-gitlab-event": "Push Hook", "x-gitlab-token": "t"}, 401),
    ],
)
def test_a_webhook_brings_a_signature_or_a_user(ask, user, headers, expected):
    """Either of them will do, neither is needed beside the other."""
    sent = {"content-type": "application/json", **headers}
    assert expected == ask(user, "/monitor", "POST", b'{"path": ["mine.yml"]}', sent).status


def test_a_refusal_is_the_same_for_what_is_there_and_what_is_not(ask):
    """Byte by byte, but for the path that was asked."""
    there, absent = ask("mine", "/theirs/dev"), ask("mine", "/nobody/dev")
    assert there.body.replace(b"theirs", b"nobody") == absent.body
    assert (there.status, there.headers) == (absent.status, absent.headers)


def test_a_refusal_takes_as_long_where_an_answer_is_kept(ask):
    """The short cut is for who may read: a quicker refusal would tell what is there."""
    for _ in range(2):
        ask("all", "/theirs/dev")
    headers = {"authorization": "mine"}
    assert ask.routes.ready(Request("GET", "/theirs/dev", "", headers, b"", "a")) is None


def test_a_kept_answer_is_only_for_who_may_read_it(ask):
    """What one user was answered is not ready for the next one."""
    assert ask("all", "/theirs/dev").status == 200
    assert ask("all", "/theirs/dev").status == 200
    assert [ask(user, "/theirs/dev").status for user in ("mine", "lister", "", "wrong")] == [403, 403, 401, 401]
    assert ask("mine", "/mine/dev").status == ask("slow", "/mine/dev").status == 200


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%2fb", "%00"])
def test_a_malformed_name_is_refused_for_all(ask, name):
    """Before it can be compared with any pattern."""
    assert {ask(user, f"/{name}/dev").status for user in ("all", "mine")} == {400}


def test_who_waits_is_judged_again(ask):
    """Rights that are taken away while a client waits hold when it is woken."""
    etag = dict(ask("mine", "/mine/dev").headers)["ETag"]
    sent = {"authorization": "mine", "if-none-match": etag}
    request = Request("GET", "/mine/dev", "wait=30", sent, b"", "a")

    async def wait_and_save(access):
        waiting = asyncio.ensure_future(ask.routes.handle(request))
        while not ask.routes.watchers:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)
        DESK.users["mine"] = access
        save = Request("POST", "/mine/dev", "", {"authorization": "all"}, b'{"a": 1}', "a")
        assert (await ask.routes.handle(save)).status == 200
        return (await asyncio.wait_for(waiting, 10)).status

    try:
        assert asyncio.run(wait_and_save(User("mine", frozenset([LIST])))) == 403
    finally:
        DESK.users["mine"] = MINE


def test_a_save_is_no_way_to_decrypt(ask):
    """Each read opens what is encrypted: who may not decrypt saves it only unread."""
    rights = {"half": [READ, WRITE], "deaf": [WRITE], "full": [READ, WRITE, DECRYPT]}
    DESK.users |= {name: User(name, frozenset(given)) for name, given in rights.items()}
    body = json.dumps({"a": [{"b": "{cipher}00"}]}).encode()
    statuses = {name: ask(name, "/mine/dev", "POST", body).status for name in rights}
    assert statuses == {"half": 403, "deaf": 200, "full": 200}
    assert ask("half", "/mine/dev", "POST", b'{"a": "cipher"}').status == 200


@pytest.mark.parametrize(
    ("label", "path", "expected"),
    [
        ("theirs", "key.pem", 403),
        ("main,theirs", "key.pem", 403),
        ("theirs(_)sub", "key.pem", 403),
        ("none", "key.pem", 403),
        ("mine", "nginx.conf", 200),
        ("main", "nginx.conf", 200),
    ],
)
def test_a_label_is_no_way_into_another_folder(ask, label, path, expected):
    """A label is a folder, and so is judged as the first part of a path."""
    assert expected == ask("mine", f"/mine/dev/{label}/{path}").status
    assert ask("all", f"/mine/dev/{label}/{path}").status in (200, 404)


def test_files_patterns_count_with_the_label(ask):
    """Who may have some files has them in a label's folder by a pattern of that."""
    DESK.users["filer"] = User("filer", frozenset([READ]), files=("nginx*", "v2/nginx*"))
    targets = ("/mine/dev/v2/nginx.conf", "/mine/dev/theirs/nginx.conf")
    assert [ask("filer", target).status for target in targets] == [200, 403]


@pytest.mark.parametrize("dialect", [OWN, SPRING], ids=["own", "spring"])
@pytest.mark.parametrize("is_composite", [False, True], ids=["alone", "composite"])
def test_a_label_is_no_way_to_the_bundles_of_a_folder(tmp_path, dialect, is_composite):
    """Where a location is one application's, a label with its name leads into it."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/application.yml").write_text("secret: 1\n", "utf-8")
    (tmp_path / "application-dev.yml").write_text("a: 1\n", "utf-8")
    backend = FilesystemConfigBackend(tmp_path, [tmp_path, tmp_path / "{application}"])
    if is_composite:
        backend = CompositeConfigBackend([InMemoryConfigBackend(), backend])
    routes = Routes(ConfigServer(backend, dialect=dialect), access=Access(authority=DESK))

    def status(user, target):
        request = Request("GET", target, "", {"authorization": user}, b"", "a")
        return asyncio.run(routes.handle(request)).status

    usual = f"/mine/dev/{dialect.default_label}"
    targets = ("/mine/dev", usual, "/mine/dev/theirs", "/theirs/mine-dev.yml")
    assert [status("mine", target) for target in targets] == [200, 200, 403, 403]
    assert {200} == {status("all", target) for target in targets}


@pytest.mark.parametrize("user", ["mine", "all"])
def test_a_save_of_too_many_values_is_the_senders_mistake(ask, user):
    """For a user of some names as for others."""
    response = ask(user, "/mine/dev", "POST", json.dumps({"a": [0] * 200_001}).encode())
    message = "properties: more than 200000 values"
    assert (400, message) == (response.status, json.loads(response.body)["message"])


def test_a_user_of_some_names_saves_nothing_that_brings_in_others(ask):
    """Or `include` would have another profile's values read under one's own names."""
    body = json.dumps({"spring": {"profiles": {"include": "prod"}}}).encode()
    response = ask("mine", "/mine/dev", "POST", body)
    assert response.status == 403
    assert ask("all", "/mine/dev", "POST", body).status == 200
    assert ask("mine", "/mine/dev", "POST", b'{"a": 1}').status == 200


@pytest.mark.parametrize("target", ["/theirs/dev", "/_list", f"/{quote('theirs')}-dev.yml"])
def test_options_tells_what_anybody_may_know(ask, target):
    """The methods of a route, without a look at any name."""
    assert ask("", target, "OPTIONS").status == 200
