"""/_explain: where each value comes from, over real sockets, and who may see it."""

import asyncio
import http.client
import json
from typing import ClassVar

import pytest

from pyconfserve import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
)
from pyconfserve.environment.formats.document import Entry
from pyconfserve.environment.overlay import SPRING, PropertySource
from pyconfserve.environment.rendering import content_version
from pyconfserve.errors import Unauthenticated
from pyconfserve.http.access import Access
from pyconfserve.http.rights import LIST, READ, WRITE
from pyconfserve.http.users import User

FILES = {
    "application.yml": "db:\n  pool: 10\n  key: '{cipher}0f'\n",
    "orders.yml": "x: 1\n---\ndb.pool: 15\n",
    "orders-prod.yml": "db:\n  pool: 20\n",
}


class NeverOpened:
    """A cipher that counts how often it is asked to open anything."""

    calls = 0

    def decrypt(self, ciphertext, key=""):
        self.calls += 1
        return "opened"


class Desk:
    """Knows users by their names as the whole header."""

    users: ClassVar = {
        user.name: user
        for user in (
            User("mine", frozenset([READ]), ("mine",), ("dev",)),
            User("reader", frozenset([READ])),
            User("writer", frozenset([WRITE, LIST])),
        )
    }

    def remembered(self, authorization):
        return self.users.get(authorization)

    async def verify(self, authorization, source):
        raise Unauthenticated("these are no user's name and password, nor a token")


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def ask(root, serve):
    """`ask(target, …)`: status, headers and document of a server over that folder."""
    cipher = NeverOpened()

    def ask(target, method="GET", headers=(), access=None, **options):
        given = {"backend": FilesystemConfigBackend(root), "cipher": cipher, **options}
        served = serve(ConfigServer(**given), access=access)
        connection = http.client.HTTPConnection(*served.address, timeout=10)
        try:
            connection.request(method, target, headers=dict(headers))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        return response.status, response.headers, json.loads(body) if body else None

    ask.cipher = cipher
    return ask


def place(source, file, line, column, value, key="db.pool", document=None, profile="default"):
    """A place in a file that holds one value, or the value of another *key*."""
    values = value if isinstance(value, dict) else {key: value}
    layer = PropertySource(source, {key: Entry(one) for key, one in values.items()})
    return {
        "source": source, "file": file, "document": document, "profile": profile,
        "line": line, "column": column, "version": content_version([layer]),
    }  # fmt: skip


STORED = {"db.pool": 10, "db.key": "{cipher}0f"}
POOL = {
    "value": 20,
    "from": place("orders-prod", "orders-prod.yml", 2, 9, 20, profile="prod"),
    "hides": [
        {"key": "db.pool", "value": 15, "from": place("orders-default", "orders.yml", 3, 10, 15, document=1)},
        {"key": "db.pool", "value": 10, "from": place("application-default", "application.yml", 2, 9, STORED)},
    ],
}
EXPLAINED = {
    "name": "orders",
    "profiles": ["prod"],
    "label": "main",
    "properties": {
        "db.pool": POOL,
        "db.key": {"value": "{cipher}0f", "from": place("application-default", "application.yml", 3, 8, STORED), "hides": []},
        "x": {"value": 1, "from": place("orders-default", "orders.yml", 1, 4, 1, "x", document=0), "hides": []},
    },
}


def test_a_whole_explanation(ask):
    """All keys in the order of the merged answer; nothing is opened, nothing kept."""
    status, headers, document = ask("/_explain/orders/prod")
    assert (status, document) == (200, EXPLAINED)
    assert list(document["properties"]) == list(EXPLAINED["properties"])
    assert (headers["Content-Type"], headers["Cache-Control"], headers["ETag"]) == ("application/json", "no-store", None)
    assert ask.cipher.calls == 0


@pytest.mark.parametrize(
    ("target", "label", "keys"),
    [
        ("/_explain/orders/prod/main", "main", ["db.pool", "db.key", "x"]),
        ("/_explain/orders/prod/v(_)2", "v/2", ["db.pool", "db.key", "x"]),
        ("/_explain/orders/prod?key=db.pool", "main", ["db.pool"]),
        ("/_explain/orders/prod/main?key=db.pool", "main", ["db.pool"]),
    ],
)
def test_a_label_and_a_key(ask, target, label, keys):
    """Each form of the URL; a key alone is as it is among the others."""
    properties = {key: EXPLAINED["properties"][key] for key in keys}
    assert ask(target)[::2] == (200, {**EXPLAINED, "label": label, "properties": properties})


def test_head_is_as_get(ask):
    """Without the body."""
    status, headers, document = ask("/_explain/orders/prod", "HEAD")
    assert (status, document) == (200, None)
    assert int(headers["Content-Length"]) == len(json.dumps(EXPLAINED, separators=(",", ":")))


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        ("/_explain/orders/prod?key=db.pol", 404, "there is no such key in this configuration"),
        ("/_explain/orders/prod?key=", 404, "there is no such key in this configuration"),
        ("/_explain/orders/prod?key=db", 404, "there is no such key in this configuration"),
        ("/_explain/_list/prod", 404, "no such route"),
        ("/_explain/orders", 404, "no such route"),
    ],
)
def test_what_is_not_there(ask, target, status, message):
    """404, and neither keys nor values in the reason."""
    answered, _, document = ask(target)
    assert (answered, document["message"]) == (status, message)


def test_a_malformed_name(ask):
    """400, as on every route."""
    assert ask("/_explain/orders/-prod")[0] == 400


def test_nothing_stored_is_as_for_reads(serve, ask):
    """404 in our own dialect; a document without properties where that is an answer."""
    status, _, document = ask("/_explain/orders/prod", backend=InMemoryConfigBackend())
    assert (status, document["message"]) == (404, "no configuration is stored under these names")
    nothing = {"name": "orders", "profiles": ["prod"], "label": None, "properties": {}}
    for options in ({"dialect": SPRING}, {"accept_empty": True}):
        asked = ask("/_explain/orders/prod", backend=InMemoryConfigBackend(), **options)
        assert asked[::2] == (200, {**nothing, "label": "main"})


def test_a_file_that_does_not_parse(ask, root):
    """Is named with its place, as to who reads."""
    (root / "orders-prod.yml").write_text("a: [\n")
    read, explained = ask("/orders/prod")[::2], ask("/_explain/orders/prod")[::2]
    assert read[0] == explained[0] == 500
    assert read[1]["message"] == explained[1]["message"]


def test_overrides_and_infinities(ask):
    """Overrides are a source of their own; an infinity is a text, as in answers."""
    backend = InMemoryConfigBackend()
    asyncio.run(backend.save(ConfigSource("orders", "prod", "main", {"a": 1})))
    _, _, document = ask("/_explain/orders/prod", backend=backend, overrides={"a": "over"})
    over, below = (
        {**place(name, None, None, None, value, "a"), "profile": None} for name, value in (("overrides", "over"), ("orders-prod", 1))
    )
    assert document["properties"] == {
        "a": {"value": "over", "from": over, "hides": [{"key": "a", "value": 1, "from": below}]}
    }


@pytest.mark.parametrize(
    ("user", "target", "status"),
    [
        ("mine", "/_explain/mine/dev", 404),
        ("mine", "/_explain/mine/prod", 403),
        ("mine", "/_explain/orders/dev", 403),
        ("mine", "/_explain/mine,orders/dev", 403),
        ("mine", "/_explain/nobodys/dev", 403),
        ("mine", "/_explain/%6Fr%64ers/dev/main?key=x", 403),
        ("reader", "/_explain/orders/prod", 200),
        ("writer", "/_explain/orders/prod", 403),
        ("nobody", "/_explain/orders/prod", 401),
        (None, "/_explain/orders/prod", 401),
    ],
)
def test_rights_are_those_of_the_answer(ask, root, user, target, status):
    """Judged on names, whether or not there is anything."""
    (root / "application.yml").unlink()
    headers = {"Authorization": user} if user else {}
    assert ask(target, headers=headers, access=Access(authority=Desk()))[0] == status


class OfRequests(InMemoryConfigBackend):
    """A backend that answers each request's credentials with themselves."""

    def __init__(self, text=None):
        super().__init__()
        self.text = text

    def for_request(self, token, state):
        return OfRequests(f"{token} {state}")

    async def fetch(self, application, profile, label="main"):
        is_there = self.text and (application, profile) == ("orders", "prod")
        return ConfigSource("orders", "prod", label, {"for": self.text}) if is_there else None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Config-Token": "t"}, (200, "t None")),
        ({"X-Config-Token": "u", "X-Config-State": "s"}, (200, "u s")),
        ({}, (404, None)),
    ],
)
def test_credentials_of_a_request_are_its_own(ask, headers, expected):
    """The explanation is that of what they open."""
    status, _, document = ask("/_explain/orders/prod", headers=headers, backend=OfRequests())
    value = document["properties"]["for"]["value"] if status == 200 else None
    assert (status, value) == expected


def test_a_save_is_seen_at_once(serve):
    """Nothing is kept between two explanations."""
    server = ConfigServer(InMemoryConfigBackend())
    served = serve(server)
    for value in (1, 2):
        served.run(server.save("orders", "prod", {"a": value}))
        connection = http.client.HTTPConnection(*served.address, timeout=10)
        connection.request("GET", "/_explain/orders/prod?key=a")
        assert json.loads(connection.getresponse().read())["properties"]["a"]["value"] == value
        connection.close()
