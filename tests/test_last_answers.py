"""last_answers: what a store said last, for as long as it is away."""

import logging

import pytest

from pyconfserve.backend import Found
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnavailable,
)
from pyconfserve.last_answers import LastAnswers

ORDERS = make_lookup("orders", "prod")
OTHER = make_lookup("other", "prod")
FOUND = Found((), "main")
LOGGER = logging.getLogger("pyconfserve.test")


@pytest.fixture
def clock():
    """Seconds, which a test sets."""
    return [100.0]


@pytest.fixture
def answers(clock):
    return LastAnswers("store://h", LOGGER, now=lambda: clock[0])


@pytest.mark.parametrize("kind", [BackendUnavailable, BackendTimeout])
def test_while_it_is_away_the_last_good_answer_counts(answers, clock, kind):
    """To the same request, with its age, until it answers again."""
    assert answers.health() == {"store": "store://h"}
    assert answers.kept(ORDERS, FOUND) is FOUND
    clock[0] += 9.6
    assert answers.instead(ORDERS, kind("it is away")) is FOUND
    expected = {
        "store": "store://h",
        "problem": "it is away",
        "answered-seconds-ago": 10,
    }
    assert expected == answers.health()
    clock[0] = 0.0
    assert answers.health()["answered-seconds-ago"] == 0
    answers.kept(OTHER, FOUND)
    assert answers.health() == {"store": "store://h"}


def test_to_another_request_none_is_made_up(answers):
    """It gets the error."""
    answers.kept(ORDERS, FOUND)
    error = BackendUnavailable("it is away")
    with pytest.raises(BackendUnavailable) as caught:
        answers.instead(OTHER, error)
    assert caught.value is error


@pytest.mark.parametrize("kind", [BackendDenied, BackendMisconfigured])
def test_what_does_not_pass_is_told(answers, kind):
    """Who is not let in gets nothing, not even what was read before."""
    answers.kept(ORDERS, FOUND)
    with pytest.raises(kind, match=r"^no$"):
        answers.instead(ORDERS, kind("no"))
    assert answers.health()["problem"] == "no"


def test_health_fails_while_nothing_is_known(answers):
    """Each time anew, by an error of its own."""
    error = BackendUnavailable("it is away")
    with pytest.raises(BackendUnavailable):
        answers.instead(ORDERS, error)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r"^it is away$") as caught:
            answers.health()
        assert caught.value is not error
        assert len(caught.traceback) == 2


def test_a_problem_is_logged_once(answers, caplog):
    """Again when it is another one, or came back."""
    answers.kept(ORDERS, FOUND)
    for text in ("a", "a", "b", "b"):
        answers.instead(ORDERS, BackendUnavailable(text))
    answers.kept(ORDERS, FOUND)
    answers.instead(ORDERS, BackendUnavailable("b"))
    expected = [("pyconfserve.test", logging.WARNING, text) for text in ("a", "b", "b")]
    assert expected == caplog.record_tuples


def test_only_so_many_are_kept(answers):
    """Those of the requests that came last."""
    lookups = [make_lookup(f"app{number}") for number in range(1001)]
    for lookup in [*lookups[:1000], lookups[0], lookups[1000]]:
        answers.kept(lookup, FOUND)
    error = BackendUnavailable("it is away")
    assert answers.instead(lookups[0], error) is FOUND
    with pytest.raises(BackendUnavailable):
        answers.instead(lookups[1], error)
    assert all(answers.instead(lookup, error) is FOUND for lookup in lookups[2:])
