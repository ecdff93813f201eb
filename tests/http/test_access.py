"""access: which Hosts are answered, and who may do what."""

import asyncio

import pytest

from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import Forbidden, Unauthenticated, WrongHost
from pyconfserve.http.access import Access, check_content, is_loopback
from pyconfserve.http.messages import Request
from pyconfserve.http.rights import (
    ALL_RIGHTS,
    DECRYPT,
    ENCRYPT,
    LIST,
    MONITOR,
    READ,
    READ_ONLY_RIGHTS,
    WRITE,
)
from pyconfserve.http.users import EVERYONE, User

NOT_READ = "this user may not read what has these names"
FOREIGN_ORIGIN = "a change may not come from a page of another site (Origin)"
FOREIGN_SITE = "a change may not come from a page of another site (Sec-Fetch-Site)"
WRONG_HOST = "this server does not answer for that Host: allow it with --allow-host"


def request(method="GET", host="a", **headers):
    """A request with these headers, `_` in their names being a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, "/app/default", "", named, b"", host)


def refusal(check, *arguments):
    """The message that *check* refuses with, None when it does not."""
    try:
        check(*arguments)
    except (Forbidden, WrongHost) as error:
        return str(error)
    return None


def test_rights_are_what_a_request_does():
    """Who is read-only reads; a webhook brings its signature."""
    everything = {READ, WRITE, LIST, MONITOR, ENCRYPT, DECRYPT}
    assert (everything, {READ, MONITOR}) == (ALL_RIGHTS, READ_ONLY_RIGHTS)


# hosts


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.255.1.254:8888", "[::1]", "[::1]:8888"],
)  # fmt: skip
def test_loopback_names_are_always_known(host):
    """This machine, seen from itself, is answered whatever hosts are allowed."""
    assert refusal(Access(allow_hosts=[]).check_host, request(host=host)) is None


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("config.example", True),
        ("config.example:8888", True),
        ("CONFIG.example.", True),
        ("config.example.:80", True),
        ("10.0.0.1", True),
        ("other.example", False),
        ("config.example.evil", False),
        ("xconfig.example", False),
        ("localhost.evil", False),
        ("127.0.0.1.evil", False),
        ("127.0.0", False),
        ("10.0.0.2", False),
        ("[::2]", False),
        ("", False),
    ],
)
def test_other_hosts_are_known_by_name(host, is_known):
    """An allowed host is known with any port, in any case, with the dot of a full name."""
    access = Access(allow_hosts=["Config.Example", "10.0.0.1:80"])
    expected = None if is_known else WRONG_HOST
    assert expected == refusal(access.check_host, request(host=host))
    assert expected == refusal(access.check_host, request(host=host))


@pytest.mark.parametrize("allowed", [None, ["*"], ["a", "*"]], ids=str)
@pytest.mark.parametrize("host", ["evil.example", ""])
def test_the_rule_can_be_switched_off(allowed, host):
    """Without a list, or with `*` in it, every Host is answered."""
    assert refusal(Access(allow_hosts=allowed).check_host, request(host=host)) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("localhost", True), ("127.1.2.3", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False), ("::", False), ("128.0.0.1", False), ("127.0.0.1.", False)],
)  # fmt: skip
def test_loopback_is_this_machine(name, expected):
    """`localhost`, 127.0.0.0/8 and ::1 are loopback names."""
    assert expected is is_loopback(name)


# rights


@pytest.mark.parametrize("right", [READ, WRITE, LIST, ""])
def test_everything_is_allowed_unless_said_otherwise(right):
    """Without users and rights, whoever reaches the server may do everything."""
    assert refusal(Access().check, request(), EVERYONE(ALL_RIGHTS), right) is None


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (READ, None),
        ("", None),
        (WRITE, "the right to write is not given to everyone here"),
        (LIST, "the right to list is not given to everyone here"),
    ],
)
def test_a_right_that_is_not_given_is_refused(right, expected):
    """What needs no right is allowed; the refusal names the right and nothing else."""
    access = Access(rights=READ_ONLY_RIGHTS)
    sender = access.sender(request())
    assert expected == refusal(access.check, request(), sender, right)


# changes from other sites


@pytest.mark.parametrize(
    ("headers", "host", "expected"),
    [
        ({}, "a", None),
        ({"origin": "http://a"}, "a", None),
        ({"origin": "HTTPS://A:8888"}, "a:8888", None),
        ({"origin": "http://b"}, "a", FOREIGN_ORIGIN),
        ({"origin": "http://a:1"}, "a:2", FOREIGN_ORIGIN),
        ({"origin": "http://a.b"}, "a", FOREIGN_ORIGIN),
        ({"origin": "null"}, "a", FOREIGN_ORIGIN),
        ({"origin": ""}, "a", FOREIGN_ORIGIN),
        ({"origin": "http://a/"}, "a", FOREIGN_ORIGIN),
        ({"origin": "ftp://a"}, "a", FOREIGN_ORIGIN),
        ({"origin": "http://a, http://a"}, "a", FOREIGN_ORIGIN),
        ({"sec_fetch_site": "same-origin"}, "a", None),
        ({"sec_fetch_site": "none"}, "a", None),
        ({"sec_fetch_site": "cross-site"}, "a", FOREIGN_SITE),
        ({"origin": "http://a", "sec_fetch_site": "cross-site"}, "a", FOREIGN_SITE),
    ],
    ids=str,
)
def test_a_change_comes_from_our_own_pages(headers, host, expected):
    """A change whose Origin is another host, or which says it is cross-site, is refused."""
    sent = request("POST", host, **headers)
    assert expected == refusal(Access().check, sent, EVERYONE([WRITE]), WRITE)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_does_not_look_at_the_origin(method):
    """A page of another site cannot read an answer; that it asks does no harm."""
    sent = request(method, origin="http://evil", sec_fetch_site="cross-site")
    assert refusal(Access().check, sent, EVERYONE([READ]), READ) is None


def test_details_are_hidden_unless_shown():
    """What /health tells strangers is the owner's choice."""
    stranger = EVERYONE(ALL_RIGHTS)
    assert not Access().may_see_details(stranger, LIST)
    assert Access(shows_details=True).may_see_details(stranger, LIST)


# users


class Desk:
    """Knows two users: one at once, the other after a look; and nobody else."""

    known = User("known", frozenset([READ, LIST]))
    orders = User("orders", frozenset([READ, WRITE, LIST]), ("orders", "orders-*"), ("*",))

    def remembered(self, authorization):
        return self.known if authorization == "known" else None

    async def verify(self, authorization, source):
        if (authorization, source) == ("orders", "10.0.0.7"):
            return self.orders
        raise Unauthenticated("no")


def sender_of(sent, **options):
    """Who sends it, by Access.authenticate; the message of an error."""
    try:
        return asyncio.run(Access(authority=Desk()).authenticate(sent, **options)).name
    except Unauthenticated as error:
        return str(error)


def test_a_sender_is_found_out_once_it_takes_time():
    """Who is remembered is known at once; others by a look that needs their address."""
    access = Access(authority=Desk(), rights=ALL_RIGHTS)
    assert [access.sender(request(authorization=text)) for text in ("known", "orders")] == [Desk.known, None]
    assert access.sender(request()) is None
    assert sender_of(request(authorization="known")) == "known"
    assert sender_of(request(authorization="orders")._replace(peer="10.0.0.7")) == "orders"
    assert sender_of(request(authorization="orders")._replace(peer="10.0.0.8")) == "no"


@pytest.mark.parametrize(
    ("headers", "is_public", "expected"),
    [
        ({}, False, "send the name and the password of a user, or a token"),
        ({}, True, ""),
        ({"authorization": "wrong"}, False, "no"),
        ({"authorization": "wrong"}, True, "no"),
        ({"authorization": ""}, True, "no"),
    ],
)
def test_who_says_nothing_is_nobody(headers, is_public, expected):
    """For what is public that is enough; who says something wrong is refused there, too."""
    assert expected == sender_of(request(**headers), is_public=is_public)


def test_nobody_may_do_nothing():
    """Who is nobody has none of the rights that strangers have elsewhere."""
    access = Access(authority=Desk(), rights=ALL_RIGHTS)
    nobody = asyncio.run(access.authenticate(request(), is_public=True))
    refused = [refusal(access.check, request(), nobody, right) is not None for right in sorted(ALL_RIGHTS)]
    assert all(refused)
    assert refusal(access.check, request(), nobody, "") is None


@pytest.mark.parametrize(
    ("right", "application", "path", "expected"),
    [
        (READ, "orders", None, None),
        (READ, "orders-eu", None, None),
        (READ, "orders,orders-eu", None, None),
        (READ, "payments", None, NOT_READ),
        (READ, "orders,payments", None, NOT_READ),
        (READ, "payments,orders", None, NOT_READ),
        (READ, "application", None, NOT_READ),
        (READ, "Orders", None, NOT_READ),
        (READ, "team(_)orders", None, NOT_READ),
        (WRITE, "orders", None, None),
        (WRITE, "payments", None, NOT_READ.replace("read", "write")),
        (DECRYPT, "orders", None, "the right to decrypt is not given to this user"),
        (READ, "orders", "nginx.conf", None),
        (READ, "orders", "payments.yml", NOT_READ),
        (READ, "orders", "payments/key.pem", NOT_READ),
        (READ, "orders", "", None),
    ],
)
def test_rights_are_for_names(right, application, path, expected):
    """Each name of a list counts; the shared application is one like any other."""
    lookup = make_lookup(application, "prod")
    assert expected == refusal(Access(authority=Desk()).check, request(), Desk.orders, right, lookup, path)


def test_details_are_for_who_may_list_all():
    """A user of some names is not told about the others."""
    access = Access(authority=Desk(), shows_details=True)
    assert [access.may_see_details(user, LIST) for user in (Desk.known, Desk.orders, EVERYONE(()))] == [True, False, False]


@pytest.mark.parametrize(
    ("properties", "is_refused"),
    [
        ({"spring": {"profiles": {"include": "prod"}}}, True),
        ({"spring.profiles.include": "prod"}, True),
        ({"spring.profiles.group.dev": ["prod"]}, True),
        ({"spring.config.import": "payments.yml"}, True),
        ({"Spring.Config.Activate.on-profile": "x"}, True),
        ({"spring": {"config.import": "x"}}, True),
        ({"spring.datasource.url": "x"}, False),
        ({"my.spring.profiles": "x"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_who_may_some_names_brings_in_no_others(properties, is_refused):
    """Keys that would have other profiles or files read under one's own names are refused."""
    assert is_refused is (refusal(check_content, Desk.orders, properties) is not None)
    assert refusal(check_content, Desk.known, properties) is None
