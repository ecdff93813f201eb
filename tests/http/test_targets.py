"""targets: what requests mean, found out once."""

import pytest

from pyconfserve.environment.overlay import make_lookup
from pyconfserve.http.grammar import parse_head
from pyconfserve.http.targets import Meaning, Targets

MEANING = Meaning(("orders", ("prod",), None, "json"), make_lookup("orders", "prod"))


def parsed(*headers, method="GET", path="/orders/prod"):
    """A request as the parser gives it."""
    lines = (f"{method} {path} HTTP/1.1", "Host: a", *headers, "", "")
    return parse_head("\r\n".join(lines).encode())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (parsed(), MEANING),
        (parsed(method="HEAD"), MEANING),
        (parsed("Accept: */*"), MEANING),
        (parsed()._replace(peer="b"), MEANING),
        (parsed(method="OPTIONS"), None),
        (parsed(path="/orders/stage"), None),
        (parsed(path="/orders/prod?wait=1"), None),
        (parsed("Accept: text/plain"), None),
        (parsed("X-Config-Token: t"), None),
        (parsed("X-Config-State: s"), None),
    ],
    ids=["same", "head", "what no Accept is", "from elsewhere", "options", "other path", "other query", "other accept", "token", "state"],
)  # fmt: skip
def test_a_meaning_is_that_of_the_same_target(request_, expected):
    """However often the same head is met, and only for what may be kept."""
    targets = Targets()
    targets.keep(parsed(), MEANING)
    assert [targets.meaning_of(request_) for _ in range(2)] == [expected] * 2


def test_a_head_that_is_met_again_is_not_looked_up():
    """Its meaning stays with it, and goes with what is made of it for one sender."""
    targets = Targets()
    request = parsed()
    assert targets.meaning_of(request) is None
    targets.keep(request, MEANING)
    assert targets.meaning_of(request) is MEANING
    assert Targets().meaning_of(request) is MEANING
    assert Targets().meaning_of(request._replace(query="wait=1")) is None


def test_long_targets_are_not_remembered():
    """Only a thousand characters are."""
    targets = Targets()
    request = parsed(path=f"/{'a' * 1024}/prod")
    targets.keep(request, MEANING)
    assert targets.meaning_of(request) is None
