"""users: rights, and the names and files that they are for."""

import copy
import sys
import time

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.http.passwords import PasswordHash, hash_password, hash_token
from pyconfserve.http.rights import ALL_RIGHTS, MONITOR, READ, WRITE
from pyconfserve.http.users import EVERYONE, User, Users, parse_users

HASH = hash_password("s3cret", cost=1)
OTHER_HASH = hash_password("other", cost=1)
TOKEN = hash_token("t")
DIGEST = TOKEN.removeprefix("sha256$")


def user(applications=("*",), profiles=("*",), files=None):
    """A user of these patterns."""
    return User("u", frozenset({READ}), applications, profiles, files)


# rights


def test_rights_are_those_of_the_user():
    """And no others."""
    sender = User("u", frozenset({READ, MONITOR}))
    assert [*map(sender.may, [READ, WRITE, MONITOR, ""])] == [True, False, True, False]


def test_everyone_is_a_user_without_name_and_limits():
    """Of a server that has no users."""
    everyone = EVERYONE([READ])
    assert User("", frozenset({READ})) == everyone
    assert (
        everyone.is_restricted,
        everyone.covers(("a",), ("b",)),
        everyone.covers_file(("a",), ("b",), "orders.yml"),
    ) == (False, True, True)


def test_a_user_shows_no_secret():
    """Neither does its repr in a log."""
    secret = PasswordHash.parse(HASH)
    shown = repr(User("u", frozenset({READ}), secret=secret))
    assert shown == "User(name='u', rights=frozenset({'read'}), applications=('*',), profiles=('*',), files=None)"  # fmt: skip


# names


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "", True),
        ("*", "a/b\nc", True),
        ("**", "a", True),
        ("orders", "orders", True),
        ("orders", "order", False),
        ("orders", "orders2", False),
        ("orders", "xorders", False),
        ("orders", "Orders", False),
        ("orders", "orders\n", False),
        ("orders", "", False),
        ("orders-*", "orders-", True),
        ("orders-*", "orders-a/b", True),
        ("orders-*", "orders-a\n", True),
        ("orders-*", "orders", False),
        ("*-prod", "a-prod", True),
        ("*-prod", "a-prod2", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a1b2b3c", True),
        ("a*b*c", "acb", False),
        ("a**c", "ac", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", True),
        ("a?c", "ac", False),
        ("a?c", "abbc", False),
        ("?", "é", True),
        ("a.c", "abc", False),
        ("a|b", "a", False),
        ("a|b", "a|b", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("[!a]", "b", False),
        ("a[", "a[", True),
        ("\\d", "1", False),
        ("(a)", "a", False),
        ("a+", "aa", False),
        ("^a$", "a", False),
    ],
)
def test_a_pattern_is_a_whole_name(pattern, name, expected):
    """With `*` for any characters and `?` for one; nothing else is special."""
    first, second = user((pattern, "x")), user(profiles=("x", pattern))
    decisions = [first.covers((name,), ("p",)) for _ in range(2)]
    decisions += [second.covers(("a",), (name,)) for _ in range(2)]
    assert [expected] * 4 == decisions


@pytest.mark.parametrize(
    ("applications", "profiles", "expected"),
    [
        (("orders",), ("prod",), True),
        (("orders", "billing-eu"), ("prod",), True),
        (("orders", "other"), ("prod",), False),
        (("other", "orders"), ("prod",), False),
        (("orders",), ("prod", "dev"), True),
        (("orders",), ("prod", "test"), False),
        (("orders",), ("test",), False),
        (("prod",), ("orders",), False),
        (("orders,other",), ("prod",), False),
        ((), (), True),
    ],
    ids=str,
)
def test_every_name_is_covered(applications, profiles, expected):
    """One that is not is enough for a no."""
    sender = user(("orders", "billing-*"), ("prod", "dev"))
    assert expected is sender.covers(applications, profiles)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        (user(), False),
        (user(("orders", "*")), False),
        (user(("**",), ("*",)), False),
        (user(("orders",)), True),
        (user(profiles=("dev",)), True),
        (user(("?*",)), True),
        (user(("",)), True),
        (user(files=("*",)), True),
    ],
    ids=str,
)
def test_who_may_not_have_everything_is_restricted(sender, expected):
    """By names or by files."""
    assert expected is sender.is_restricted


def test_a_decision_is_fast():
    """Each cached answer needs one: half a microsecond, with room for a busy machine."""
    if sys.gettrace():
        pytest.skip("coverage counts lines meanwhile")
    sender = user(("orders", "orders-*"), ("prod", "dev"))
    names = ("orders", "orders-a"), ("prod", "dev")
    best = min(_seconds(lambda: sender.covers(*names), 200) for _ in range(300))
    assert best < 0.5e-6


def _seconds(work, times):
    """What one of *times* runs takes."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def test_decisions_are_bounded():
    """A user who asks for a hundred thousand names takes no memory for each."""
    sender = user(("a*",))
    for number in range(100_000):
        assert sender.covers((f"a{number}",), ("p",))
    info = sender._decide.cache_info()
    assert (info.maxsize, info.currsize) == (1024, 1024)


def test_no_pattern_takes_long():
    """Of many stars, on a name that nearly fits: not exponential, and not cubic."""
    sender = user(("*a" * 100 + "b",))
    start = time.perf_counter()
    assert not sender.covers(("a" * 8000,), ("p",))
    assert time.perf_counter() - start < 1


# files


ORDERS_PROD = user(("orders", "o-*"), ("prod", "prod-eu", "eu"))


@pytest.mark.parametrize(
    ("sender", "path", "expected"),
    [
        # who has everything
        (user(), "orders.yml", True),
        (user(), "any/thing-dev.conf", True),
        # patterns of files
        (user(files=("nginx*.conf",)), "nginx.conf", True),
        (user(files=("nginx*.conf",)), "nginx/a-dev.conf", True),
        (user(files=("nginx*.conf",)), "xnginx.conf", False),
        (user(files=("nginx*.conf",)), "nginx.conf.bak", False),
        (user(files=("a", "*.yml")), "orders.yml", True),
        (user(("orders",), ("prod",), ("*",)), "billing/x-dev.yml", True),
        (user(("billing",), ("*",), ("*",)), "a", False),
        # files of bundles
        *[(ORDERS_PROD, f"orders{suffix}", False) for suffix in (".yml", ".yaml", ".json", ".toml", ".properties", ".xml", ".YML", ".Properties")],
        (ORDERS_PROD, "orders/orders-prod.yml", False),
        (ORDERS_PROD, ".yml", False),
        # folders
        (ORDERS_PROD, "nginx.conf", True),
        (ORDERS_PROD, "orders/nginx.conf", True),
        (ORDERS_PROD, "o-1/a/b/nginx.conf", True),
        (ORDERS_PROD, "billing/nginx.conf", False),
        (ORDERS_PROD, "billing/orders/nginx.conf", False),
        (ORDERS_PROD, "Orders/nginx.conf", False),
        (ORDERS_PROD, "/nginx.conf", False),
        # profiles
        (ORDERS_PROD, "nginx-prod.conf", True),
        (ORDERS_PROD, "nginx-dev.conf", False),
        (ORDERS_PROD, "nginx-prod", True),
        (ORDERS_PROD, "nginx-dev", False),
        (ORDERS_PROD, "nginx-prod-eu.conf", True),
        (ORDERS_PROD, "nginx-dev-eu.conf", False),
        (ORDERS_PROD, "nginx-eu-prod.conf", False),
        (ORDERS_PROD, "nginx-.conf", False),
        (ORDERS_PROD, "-dev.conf", False),
        (ORDERS_PROD, ".nginx-dev", False),
        (ORDERS_PROD, "nginx-prod.tar.gz", False),
        (ORDERS_PROD, "orders/x-dev/nginx.conf", True),
        (ORDERS_PROD, "", True),
        # one side restricted
        (user(("orders",)), "nginx-dev.conf", True),
        (user(("orders",)), "billing/nginx.conf", False),
        (user(profiles=("prod",)), "billing/nginx.conf", True),
        (user(profiles=("prod",)), "orders/nginx-prod.conf", True),
    ],
    ids=str,
)  # fmt: skip
def test_files_are_judged_by_their_names(sender, path, expected):
    """A file that may hold another's configuration is not given out."""
    assert expected is sender.covers_file(("orders",), ("prod",), path)


def test_a_file_is_asked_for_names_that_are_covered():
    """Whatever its own name is."""
    assert not ORDERS_PROD.covers_file(("orders", "x"), ("prod",), "nginx.conf")
    assert not ORDERS_PROD.covers_file(("orders",), ("dev",), "nginx.conf")


# a file's content


def one(**changes):
    """The tree of one user; None takes a key away."""
    fields = {"name": "orders", "password": HASH} | changes
    return {"users": [{key: value for key, value in fields.items() if value is not None}]}  # fmt: skip


def problem(tree):
    """What parse_users says about *tree*."""
    with pytest.raises(SettingsError) as caught:
        parse_users(tree, "users.yml")
    assert HASH not in str(caught.value)
    return str(caught.value)


def test_users_as_they_are_written():
    """With defaults, lists, texts with commas, and both secrets."""
    tree = {
        "users": [
            {"name": "a", "password": HASH},
            {"name": "b@c.d", "token": TOKEN, "rights": "read, write", "applications": "orders,orders-*", "profiles": ["dev", "p*"], "files": ["n*.conf"]},
            {"name": "c", "password": OTHER_HASH, "token": hash_token("c"), "rights": sorted(ALL_RIGHTS)},
        ]
    }  # fmt: skip
    before = copy.deepcopy(tree)
    a = User("a", frozenset({READ}), secret=PasswordHash.parse(HASH))
    b = User("b@c.d", frozenset({READ, WRITE}), ("orders", "orders-*"), ("dev", "p*"), ("n*.conf",))  # fmt: skip
    c = User("c", ALL_RIGHTS, secret=PasswordHash.parse(OTHER_HASH))
    digest = hash_token("c").removeprefix("sha256$")
    expected = Users({"a": a, "b@c.d": b, "c": c}, {DIGEST: b, digest: c})
    assert (expected, before) == (parse_users(tree, "users.yml"), tree)


NAME = "users.yml: users[0].name: expected letters, digits, or -_.@+ (in quotes)"
LIST = "users.yml: users: expected a list of users"
A_HASH = "users.yml: users[0].password: expected a hash, scrypt$…: python -m pyconfserve user add makes one"  # fmt: skip
A_DIGEST = "users.yml: users[0].token: expected a hash, sha256$…: python -m pyconfserve user add makes one"  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param({}, LIST, id="nothing"),
        pytest.param({"users": []}, LIST, id="empty list"),
        pytest.param({"users": ""}, LIST, id="null"),
        pytest.param({"users": {"name": "a"}}, LIST, id="a map"),
        pytest.param({"user": []}, "users.yml: user: unknown key, the nearest known one is users", id="another key"),
        pytest.param(one() | {"spring": {}}, "users.yml: spring: unknown key, the nearest known one is users", id="a further key"),
        pytest.param({"users": ["a"]}, "users.yml: users[0]: expected a user with a name", id="a text"),
        pytest.param({"users": [None]}, "users.yml: users[0]: expected a user with a name", id="null user"),
        pytest.param(one(pasword=HASH), "users.yml: users[0].pasword: unknown key, the nearest known one is password", id="typing error"),
        pytest.param(one(name=None), NAME, id="no name"),
        *[pytest.param(one(name=name), NAME, id=f"name {name!a:.12}") for name in ("", " ", "a:b", "a b", "a\n", "é", "a/b", "x" * 129, 12, True, ["a"], {"a": "b"})],
        pytest.param(one(password=None), "users.yml: users[0]: expected a password or a token: python -m pyconfserve user add makes one", id="no secret"),
        *[pytest.param(one(password=value), A_HASH, id=f"password {value!a:.12}") for value in ("s3cret", "", "{bcrypt}$2a$10$x", "sha256$" + "a" * 64, 12345, ["a"], {"a": "b"})],
        pytest.param(one(password="scrypt$15$8$1$s3cret"), "users.yml: users[0].password: expected scrypt$15$8$1$SALT$HASH", id="half a hash"),
        pytest.param(one(password=HASH.replace("$1$", "$30$", 1)), "users.yml: users[0].password: a hash costs at most scrypt$18$8$4, which is 256 MiB", id="a dear hash"),
        *[pytest.param(one(token=value), A_DIGEST, id=f"token {value!a:.12}") for value in ("t0ken", "", 1, HASH)],
        pytest.param(one(token="sha256$zz"), "users.yml: users[0].token: expected sha256$ and 64 hex digits in lower case", id="half a digest"),
        *[pytest.param(one(rights=value), "users.yml: users[0].rights: expected some of decrypt, encrypt, list, monitor, read, write", id=f"rights {value!a:.12}") for value in ("all", "*", ["read", "Write"], "read;write")],
        *[pytest.param(one(**{key: value}), f"users.yml: users[0].{key}: expected a list without empty texts", id=f"{key} {value!a:.12}") for key in ("applications", "profiles", "rights", "files") for value in ("", [], ["a", " "], "a,,b", ",")],
        *[pytest.param(one(**{key: value}), f"users.yml: users[0].{key}: expected a list of texts", id=f"{key} {value!a:.12}") for key in ("applications", "profiles", "rights", "files") for value in (1, ["a", 1], {"a": "b"}, [["a"]], True)],
        pytest.param({"users": [*one()["users"], *one()["users"]]}, "users.yml: users[1].name: is there twice", id="a name twice"),
        pytest.param({"users": [{"name": "a", "token": TOKEN}, {"name": "b", "token": TOKEN}]}, "users.yml: users[1].token: is another user's, too", id="a token twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error(tree, expected):
    """That says where, and quotes no secret."""
    assert expected == problem(tree)
