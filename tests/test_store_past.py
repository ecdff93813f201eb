"""store_past: the past of a store that keeps one."""

import asyncio

import pytest
from backend_contract import bundle, change, stored

from pyconfserve.adapters.sqlite import SqliteStore
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import ConfigNotFound, Conflict, DocumentError, InvalidRequest
from pyconfserve.files import BundleName
from pyconfserve.past import HistoricBackend, past_of
from pyconfserve.store_backend import StoreBackend

NAMES = ("orders", "prod", "main")


@pytest.fixture
def backend(tmp_path):
    backend = StoreBackend(SqliteStore(tmp_path / "c.db"))
    yield backend
    asyncio.run(backend.close())


def history(backend, *asked, limit=50, before=None):
    lookup = make_lookup(*(asked or ("orders", "prod")))
    return asyncio.run(past_of(backend).history(lookup, limit, before))


def restore(backend, commit, names=NAMES):
    return asyncio.run(past_of(backend).restore(*names, commit))


def test_a_store_that_keeps_its_past_has_one(backend):
    """It is found by the capability."""
    assert isinstance(backend, HistoricBackend)
    assert history(backend).commits == ()


def test_the_changes_of_an_answer(backend):
    """All bundles that it is made from count, newest first, and no others."""
    asyncio.run(backend.save(bundle({"a": 1})))
    asyncio.run(backend.save(bundle({"a": 1}, "other")))
    asyncio.run(backend.save(bundle({"a": 1}, label="feature/x")))
    asyncio.run(backend.save(bundle({"a": 1}, "application", "default")))
    change(backend, lambda _: None)
    found = history(backend)
    expected = [
        ("delete orders/prod", ("main/orders/prod",)),
        ("save application/default", ("main/application/default",)),
        ("save orders/prod", ("main/orders/prod",)),
    ]
    assert [(one.message, one.files) for one in found.commits] == expected
    assert {(one.author, len(one.id)) for one in found.commits} == {("", 40)}
    (one,) = history(backend, "orders", "prod", "feature/x").commits
    assert one.files == ("feature%2Fx/orders/prod",)


def test_pages(backend):
    """Each names the one behind it."""
    for number in range(5):
        change(backend, {"a": number})
    whole = history(backend)
    assert whole.next is None
    page = history(backend, limit=2)
    assert page.commits == whole.commits[:2]
    rest = history(backend, limit=3, before=page.next)
    assert (rest.commits, rest.next) == (whole.commits[2:], None)


@pytest.mark.parametrize("limit", [0, 1001], ids=["none", "many"])
def test_a_page_has_a_size(backend, limit):
    """As in git."""
    with pytest.raises(InvalidRequest, match=r"^limit: expected 1 to 1000$"):
        history(backend, limit=limit)


def test_a_way_back(backend):
    """Is a new change, whose id is told; one that changes nothing is none."""
    first = change(backend, {"a": {"b": 1}, "c": "x"}).version
    other = asyncio.run(backend.change("other", "prod", "main", lambda _: {})).version
    second = change(backend, {"a": 2}).version
    assert restore(backend, second) is None
    made = restore(backend, other)
    assert stored(backend, *NAMES) == {"a.b": 1, "c": "x"}
    assert made == history(backend).commits[0].id not in (first, second)
    assert restore(backend, first) is None
    change(backend, lambda _: None)
    assert restore(backend, second)
    assert stored(backend, *NAMES) == {"a": 2}
    assert len(history(backend).commits) == 5


def test_a_bundle_of_then(backend):
    """Just after a change, which may be one of another bundle."""
    first = change(backend, {"a": {"b": 1}}).version
    other = asyncio.run(backend.change("other", "prod", "main", lambda _: {})).version
    change(backend, {"a": 2})
    past = past_of(backend)
    found = [asyncio.run(past.bundle_at(*NAMES, commit)) for commit in (first, other)]
    assert found == [{"a.b": 1}, {"a.b": 1}]
    with pytest.raises(ConfigNotFound, match=r"^the bundle was not stored then$"):
        asyncio.run(past.bundle_at("other", "prod", "main", first))
    with pytest.raises(InvalidRequest):
        asyncio.run(past.bundle_at("a,b", "prod", "main", first))


def test_there_is_no_way_back_to_nothing(backend):
    """Before its first change, after a removal, or at a change that never was."""
    other = asyncio.run(backend.change("other", "prod", "main", lambda _: {})).version
    change(backend, {"a": 1})
    change(backend, lambda _: None)
    removal = history(backend).commits[0].id
    for commit in (other, removal):
        with pytest.raises(ConfigNotFound, match=r"^the bundle was not stored then$"):
            restore(backend, commit)
    with pytest.raises(ConfigNotFound, match=r"is not in this history$"):
        restore(backend, "a" * 40)
    with pytest.raises(InvalidRequest):
        restore(backend, other, ("..", "prod", "main"))


def test_a_text_that_does_not_parse(backend):
    """Neither hinders a way back nor is one."""
    good = change(backend, {"a": 1}).version
    bad = backend.store.write(BundleName(*NAMES), "{", good)
    with pytest.raises(DocumentError):
        restore(backend, bad)
    assert restore(backend, good)
    assert stored(backend, *NAMES) == {"a": 1}
    backend.store.write(BundleName(*NAMES), "{", history(backend).commits[0].id)
    with pytest.raises(Conflict):
        change(backend, lambda stored: {**stored(), "b": 1})
