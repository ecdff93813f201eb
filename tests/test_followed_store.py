"""followed_store: a store as what a replica keeps up with; replica has the rest."""

import json

import pytest
from fake_store import DictStore

from pyconfserve.errors import InvalidRequest
from pyconfserve.files import BundleName
from pyconfserve.followed_store import FollowedStore
from pyconfserve.state import state_of
from pyconfserve.store import Record, Snapshot

NAME = BundleName("team/örders", "prod", "feature/x")


def test_what_is_packed_is_unpacked():
    """Through JSON, a bundle that does not parse included."""
    followed = FollowedStore(DictStore())
    whole, broken = Record('{"properties":{"a":"…"}}', "1"), Record("{", "2")
    state = state_of(Snapshot("t", {NAME: whole, NAME._replace(profile="dev"): broken}))
    packed = json.dumps(followed.packed(state))
    assert json.loads(packed)["records"]["feature%2Fx/team%2F%C3%B6rders/prod"] == [*whole]
    found = followed.unpacked(json.loads(packed))
    assert found.snapshot() == state.snapshot()
    assert (found.token, found.bundles[NAME], found.broken) == ("t", state.bundles[NAME], state.broken)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        (None, TypeError),
        ({"token": "t"}, LookupError),
        ({"token": "t", "records": None}, AttributeError),
        ({"token": "t", "records": {"a": ["x", "1"]}}, InvalidRequest),
        ({"token": "t", "records": {"a/b/c": ["x"]}}, ValueError),
    ],
)
def test_a_wrong_document_is_none(document, error):
    """last_state turns these into one error."""
    with pytest.raises(error):
        FollowedStore(DictStore()).unpacked(document)
