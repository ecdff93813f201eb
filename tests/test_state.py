"""state: what a store held, and what changed since."""

import pytest

from pyconfserve.errors import DocumentError
from pyconfserve.files import BundleName
from pyconfserve.state import State, state_of
from pyconfserve.store import Record, Snapshot

ORDERS = BundleName("orders", "prod", "main")
OTHER = BundleName("other", "prod", "main")


def record(value, version):
    return Record(f'{{"properties":{{"a":{value}}}}}', version)


def test_a_state_is_read_from_a_snapshot():
    """And leads back to it; what nobody can ask for is left out."""
    snapshot = Snapshot("t", {ORDERS: record(1, "1"), OTHER: record(2, "2")})
    strange = {BundleName("a", "b/c", "main"): record(3, "3"), BundleName("cafe\u0301", "a", "b"): record(3, "3")}  # fmt: skip
    state = state_of(Snapshot("t", {**snapshot.records, **strange}))
    assert state.snapshot() == snapshot
    assert state.bundles[ORDERS].opened().properties == {"a": 1}
    assert state.problems() == []


def test_what_did_not_change_is_the_same_object():
    """It is not parsed again; what has the same version and another text is."""
    before = state_of(Snapshot("t", {ORDERS: record(1, "1"), OTHER: record(2, "2")}))
    after = state_of(Snapshot("u", {ORDERS: record(1, "1"), OTHER: record(3, "2")}), before)  # fmt: skip
    assert after.bundles[ORDERS] is before.bundles[ORDERS]
    assert after.bundles[OTHER].opened().properties == {"a": 3}
    assert after.changed(before) == [OTHER]


def test_changes_are_taken_in():
    """What is new, what is another, what is gone, and what never was."""
    before = state_of(Snapshot("t", {ORDERS: record(1, "1"), OTHER: record(2, "2")}))
    new = BundleName("new", "prod", "main")
    delta = {OTHER: None, new: record(3, "3"), BundleName("x", "y", "z"): None}
    after = before.with_changes(Snapshot("u", delta))
    assert after.snapshot() == ("u", {ORDERS: record(1, "1"), new: record(3, "3")})
    assert sorted(after.changed(before)) == [new, OTHER]
    assert sorted(after.changed(before, delta)) == [new, OTHER]
    assert before.snapshot().token == "t"
    assert [*before.bundles] == [ORDERS, OTHER]


def test_a_bundle_that_does_not_parse_says_where():
    """Each time it is asked for, and without the traceback of the last time."""
    state = state_of(Snapshot("t", {ORDERS: Record("{", "1")}))
    problem = "main/orders/prod: the stored text is no JSON"
    for _ in range(2):
        with pytest.raises(DocumentError, match=rf"^{problem}$") as caught:
            state.bundles[ORDERS].opened()
        assert len(caught.traceback) == 2
    assert state.problems() == [problem]
    assert State("t", {}).changed(state) == [ORDERS]


class Unwalked(dict):
    """Bundles that may be looked up, and never gone through."""

    def _walked(self):
        raise AssertionError("they were gone through")

    __iter__ = keys = values = items = _walked


def problems_of(state):
    return state._replace(bundles=Unwalked(state.bundles)).problems()


def test_what_is_broken_is_known_when_it_is_read():
    """A few are named, and how many more there are, whatever changes."""
    names = [BundleName(f"app{number:02}", "prod", "main") for number in range(14)]
    told = [f"main/{name.application}/prod: the stored text is no JSON" for name in names]
    records = {name: Record("{", "1") for name in reversed(names)}
    state = state_of(Snapshot("t", {**records, ORDERS: record(1, "1")}))
    assert problems_of(state) == [*told[:10], "and 4 more"]
    delta = {names[0]: record(1, "2"), names[1]: None, names[2]: Record("{", "2")}
    after = state.with_changes(Snapshot("u", {**delta, ORDERS: Record("{", "2")}))
    assert problems_of(after) == [*told[2:12], "and 3 more"]
    assert after.broken == (*names[2:], ORDERS)
    assert after == state_of(after.snapshot(), after)
    rest = after.with_changes(Snapshot("v", dict.fromkeys(after.broken[1:])))
    assert problems_of(rest) == [told[2]]
    assert problems_of(state_of(Snapshot("w", {}), after)) == []
