"""observing: what is told of each answer, and the ids of requests."""

import re

import pytest

from pyconfserve.http.messages import Request, Response
from pyconfserve.http.observing import Exchange, Observers, RequestIds

EXCHANGE = Exchange(Request("GET", "/a/b"), Response(200), 0.1)


class Listed:
    """An observer with one id, "" for none, that lists what it is told."""

    def __init__(self, id_=""):
        self.told = []
        self.new_id = lambda request: id_

    def answered(self, exchange):
        """Keep it."""
        self.told.append(exchange)


def test_several_observe_as_one():
    """Each is told, in their order; the first that has an id gives it."""
    members = [Listed(), Listed("a"), Listed("b")]
    observers = Observers(members)
    observers.answered(EXCHANGE)
    assert [member.told for member in members] == [[EXCHANGE]] * 3
    assert observers.new_id(EXCHANGE.request) == "a"


def test_without_ids_there_is_none():
    """Observers that need no id ask for no header."""
    assert Observers([Listed(), Listed()]).new_id(EXCHANGE.request) == ""


@pytest.mark.parametrize(
    "given",
    ["a", "0", "A-b_c.9", "x" * 64, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"],
)
def test_a_harmless_id_is_the_clients_own(given):
    """Letters, digits, dot, dash and underscore, 64 at most."""
    request = Request("GET", "/", headers={"x-request-id": given})
    assert given == RequestIds("p").id_of(request)


@pytest.mark.parametrize(
    "given",
    ["", "x" * 65, "a b", "a,b", "a\n", "a\r\nX: y", '"', "ä", "a/b", "a:b", "<a>"],
    ids=repr,
)
def test_any_other_id_is_replaced(given):
    """Nothing that could mean something to a log or a header comes back."""
    request = Request("GET", "/", headers={"x-request-id": given})
    assert RequestIds("p").id_of(request) == "p-1"


def test_new_ids_differ():
    """By number within a process, by prefix between two."""
    one, other = RequestIds(), RequestIds()
    request = Request("GET", "/")
    found = [ids.id_of(request) for ids in (one, one, other)]
    assert len(set(found)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{12}-[12]", id_) for id_ in found)
