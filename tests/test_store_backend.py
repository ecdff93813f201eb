"""store_backend: any store as a backend, answered from memory."""

import asyncio
import json
import logging
import threading

import pytest
from backend_contract import (
    NAMES,
    VersionedContract,
    bundle,
    change,
    found_stored,
    properties,
)
from fake_store import DictPlace, DictStore

from pyconfserve.answers import Answers
from pyconfserve.backend import ConfigSource, TellingBackend
from pyconfserve.board import LocalBoard, SaveCount
from pyconfserve.environment.overlay import OWN, make_lookup
from pyconfserve.environment.rendering import V2_JSON
from pyconfserve.errors import (
    BackendUnavailable,
    Conflict,
    DocumentError,
    ValueTooLarge,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.past import HistoricBackend
from pyconfserve.server import ConfigServer
from pyconfserve.store import Record
from pyconfserve.store_backend import StoreBackend
from pyconfserve.versions import Changed, Expected

ORDERS = BundleName(*NAMES)
SOON = 5.0  # seconds for what should be at once


@pytest.fixture
def replica():
    """Makes backends, one a store, and closes them in the end."""
    made = []

    def replica(store=None, **options):
        backend = StoreBackend(store or DictStore(), **options)
        made.append(backend)
        return backend

    yield replica
    for backend in made:
        asyncio.run(backend.close())


def lookup(application="orders", profile="prod", label=None):
    return make_lookup(application, profile, label, OWN)


class TestStoreBackend(VersionedContract):
    """The contract, over a store in a dict."""

    @pytest.fixture
    def backend(self, replica):
        return replica()


class TestReplicas(VersionedContract):
    """The contract where changes are made by one replica and read by the same."""

    @pytest.fixture
    def backend(self, replica):
        place = DictPlace()
        deaf = DictStore(place)
        deaf.is_deaf = True
        replica(DictStore(place))
        return replica(deaf)


class TestReading:
    """Answers come from memory."""

    def test_reads_do_not_touch_the_store(self, replica):
        """Once it was read, the thread alone waits for notices."""
        store = DictStore()
        backend = replica(store)
        asyncio.run(backend.save(bundle({"a": 1})))
        store.calls.clear()
        for _ in range(10):
            assert properties(backend) == {"a": 1}
            assert len(asyncio.run(backend.sources(lookup())).sources) == 1
        assert {*store.calls} <= {"token", "read", "wait"}
        assert len(store.calls) <= 4  # what the thread still did for the save

    def test_sources_are_in_order_of_precedence(self, replica):
        """They are those that any backend's slots are filled with."""
        backend = replica()
        for application in ("orders", "application"):
            for profile in ("prod", "default"):
                asyncio.run(backend.save(bundle({"by": f"{application}-{profile}"}, application, profile)))  # fmt: skip
        found = asyncio.run(backend.sources(lookup()))
        expected = ["orders-prod", "orders-default", "application-prod", "application-default"]  # fmt: skip
        assert expected == [source.name for source in found.sources]
        assert expected == [source.properties["by"] for source in found.sources]
        assert found.label == "main"

    def test_a_request_without_a_label_gets_the_default_one(self, replica):
        """It is the backend's, told to all who ask."""
        backend = replica(label="v2")
        asyncio.run(backend.save(bundle({"a": 2}, label="v2")))
        found = asyncio.run(backend.sources(lookup()))
        assert [source.properties for source in found.sources] == [{"a": 2}]
        assert (found.label, backend.default_label) == ("v2", "v2")

    def test_a_stamp_is_that_of_the_bundles_of_an_answer(self, replica):
        """A change elsewhere leaves it, one of any of them does not."""
        backend = replica()
        asyncio.run(backend.save(bundle({"a": 1})))
        found = asyncio.run(backend.sources(lookup()))
        assert backend.stamp(found.seen) == found.stamp
        asyncio.run(backend.save(bundle({"a": 1}, "other")))
        assert backend.stamp(found.seen) == found.stamp
        asyncio.run(backend.save(bundle({"a": 1}, profile="default")))
        assert backend.stamp(found.seen) != found.stamp

    def test_a_bundle_that_does_not_parse_is_no_reason_to_lose_the_others(
        self, replica
    ):
        """Who asks for it is told where it is, and health names it."""
        store = DictStore()
        store.put(ORDERS, Record("{", "x"))
        store.put(BundleName("..", "prod", "main"), Record("{}", "y"))
        backend = replica(store)
        asyncio.run(backend.save(bundle({"a": 1}, "other")))
        problem = "main/orders/prod: the stored text is no JSON"
        with pytest.raises(DocumentError, match=f"^{problem}$"):
            properties(backend)
        with pytest.raises(DocumentError, match=f"^{problem}$"):
            found_stored(backend)
        assert properties(backend, "other", "prod") == {"a": 1}
        assert backend.health()["broken"] == [problem]
        assert len(asyncio.run(backend.list())) == 2
        with pytest.raises(Conflict, match=r"replace it whole$"):
            change(backend, lambda stored: stored())
        change(backend, {"a": 2})
        assert properties(backend) == {"a": 2}
        assert "broken" not in backend.health()

    def test_a_store_without_history_has_no_past(self, replica):
        """It is not taken for an empty one."""
        assert not isinstance(replica(), HistoricBackend)


class TestChanging:
    """Changes are judged by the store, not by memory."""

    def test_a_replica_that_is_behind_judges_by_the_store(self, replica):
        """A version that another replica gave is known here, too."""
        place = DictPlace()
        deaf = DictStore(place)
        deaf.is_deaf = True
        first, behind = replica(DictStore(place)), replica(deaf)
        asyncio.run(behind.open())
        version = change(first, {"a": 1}).version
        assert found_stored(behind).version == version
        later = change(first, {"a": 2}).version
        changed = change(behind, {"a": 3}, Expected(frozenset({later})))
        assert properties(behind) == {"a": 3}
        assert found_stored(first).version == changed.version

    def test_a_change_that_comes_between_is_met_again(self, replica):
        """An unconditional one is made on top, a guarded one is refused."""
        place = DictPlace()
        store = DictStore(place)
        first, second = replica(store), replica(DictStore(place))
        version = change(first, {"count": 0}).version

        def between():
            change(second, {"count": 10})

        def count(stored):
            return {"count": stored()["count"] + 1}

        store.before_write.append(between)
        change(first, count)
        assert properties(first) == {"count": 11}
        version = found_stored(first).version
        store.before_write.append(between)
        with pytest.raises(VersionConflict) as caught:
            change(first, count, Expected(frozenset({version})))
        assert caught.value.version == found_stored(first).version
        assert properties(first) == {"count": 10}

    @pytest.mark.parametrize("is_lost", [True, False], ids=["made", "not-made"])
    @pytest.mark.parametrize("before", [None, {"a": 0}], ids=["new", "replaced"])
    def test_a_write_without_an_answer_is_made_once(self, replica, is_lost, before):
        """Whether it was made is found out, and it is made if it was not."""
        store = DictStore()
        backend = replica(store)
        version = change(backend, before).version if before else None
        store.failures = [BackendUnavailable("cut")]
        store.is_lost = is_lost
        expected = Expected(frozenset({version})) if version else Expected(others=frozenset({"*"}))  # fmt: skip
        revision = store.place.revision
        changed = change(backend, {"a": 1}, expected)
        assert changed == Changed(found_stored(backend).version, is_new=before is None)
        assert (properties(backend), store.place.revision) == ({"a": 1}, revision + 1)

    def test_a_write_that_was_lost_and_replaced_is_no_conflict(self, replica):
        """Nobody can tell whether it was made: it says that the store failed."""
        place = DictPlace()
        store = DictStore(place)
        backend, other = replica(store), replica(DictStore(place))
        version = change(backend, {"a": 0}).version
        store.failures = [BackendUnavailable("cut")]
        store.before_write.append(lambda: change(other, {"a": 5}))
        with pytest.raises(BackendUnavailable, match=r"^cut$"):
            change(backend, {"a": 1}, Expected(frozenset({version})))
        assert properties(other) == {"a": 5}

    def test_a_store_that_fails_twice_is_not_asked_for_ever(self, replica):
        """What it raised is told."""
        store = DictStore()
        backend = replica(store)
        asyncio.run(backend.open())
        store.failures = [BackendUnavailable("second"), BackendUnavailable("first")]
        with pytest.raises(BackendUnavailable, match=r"^second$"):
            change(backend, {"a": 1})
        assert properties(backend) is None

    def test_more_than_the_store_takes_is_refused_before_it_is_sent(self, replica):
        """Nothing changes."""
        store = DictStore(limit=100)
        backend = replica(store)
        change(backend, {"a": "before"})
        store.calls.clear()
        expected = "^a bundle is at most 100 bytes as JSON in this store$"
        with pytest.raises(ValueTooLarge, match=expected):
            change(backend, {"a": "é" * 50})
        assert "write" not in store.calls
        assert properties(backend) == {"a": "before"}

    def test_where_it_is_is_told_to_nobody_who_saves(self, replica):
        """Also by what is no failure of the store."""
        store = DictStore()
        store.failures = [ValueTooLarge("dict:: main/orders/prod: it is too large")]
        with pytest.raises(ValueTooLarge) as caught:
            change(replica(store), {"a": 1})
        assert caught.value.public == "main/orders/prod: it is too large"


class TestAway:
    """A store that is away."""

    def test_the_last_good_state_is_served(self, replica, caplog):
        """Reads go on, saves and refreshes fail, and health says how old it is."""
        store = DictStore()
        backend = replica(store)
        version = change(backend, {"a": 1}).version
        with caplog.at_level(logging.WARNING, "pyconfserve.store"):
            store.go_away()
            with pytest.raises(BackendUnavailable, match=r"^dict: is away$"):
                change(backend, {"a": 2})
            with pytest.raises(BackendUnavailable, match=r"^dict: is away$"):
                asyncio.run(backend.refresh())
        assert "dict: is away" in caplog.text
        assert properties(backend) == {"a": 1}
        assert found_stored(backend).version == version
        backend.look_again()
        assert properties(backend) == {"a": 1}
        found = asyncio.run(backend.sources(lookup()))
        assert backend.stamp(found.seen) == found.stamp
        health = backend.health()
        assert health == {"store": "dict:", "bundles": 1, "read-seconds-ago": 0, "problem": "dict: is away"}  # fmt: skip
        store.come_back()
        change(backend, {"a": 3})
        assert properties(backend) == {"a": 3}
        assert "problem" not in backend.health()

    def test_a_store_that_is_away_at_the_start_is_an_error(self, replica):
        """It is never taken for an empty one."""
        store = DictStore()
        store.go_away()
        backend = replica(store)
        for ask in (backend.open(), backend.fetch(*NAMES), backend.sources(lookup()), backend.list()):  # fmt: skip
            with pytest.raises(BackendUnavailable, match=r"^dict: is away$"):
                asyncio.run(ask)
        with pytest.raises(BackendUnavailable, match=r"^dict: is away$"):
            backend.health()
        store.come_back()
        assert properties(backend) is None
        assert backend.health()["bundles"] == 0

    def test_a_start_from_the_snapshot_file(self, replica, tmp_path):
        """What was there when the store was last read is served, with its age."""
        file = tmp_path / "state"
        place = DictPlace()
        first = replica(DictStore(place), snapshot_file=file)
        asyncio.run(first.save(bundle({"a": 1}, "café/größe", label="feature/x")))
        asyncio.run(first.close())
        assert file.stat().st_mode & 0o777 == 0o600
        store = DictStore(place)
        store.go_away()
        second = replica(store, snapshot_file=file)
        asyncio.run(second.open())
        assert properties(second, "café/größe", "prod", "feature/x") == {"a": 1}
        assert second.health()["problem"] == "dict: is away"
        assert [*tmp_path.iterdir()] == [file]

    def test_health_bears_with_it_for_a_while(self, replica):
        """Then it fails, while answers are still given."""
        store = DictStore()
        backend = replica(store, stale_after=-1.0)
        change(backend, {"a": 1})
        assert backend.health()["bundles"] == 1
        store.go_away()
        with pytest.raises(BackendUnavailable):
            asyncio.run(backend.refresh())
        expected = "^dict: is away; what is served is 0 s old$"
        with pytest.raises(BackendUnavailable, match=expected):
            backend.health()
        assert properties(backend) == {"a": 1}


class TestNotices:
    """A change by another replica."""

    def test_it_is_told(self, replica):
        """With its names, until nobody wants to know any more."""
        place = DictPlace()
        first, second = replica(DictStore(place)), replica(DictStore(place))
        told, seen = [], threading.Event()

        def tell(source):
            told.append(source)
            seen.set()

        asyncio.run(second.open())
        end = second.on_change(tell)
        asyncio.run(first.save(bundle({"a": 1})))
        assert seen.wait(SOON)
        assert told == [ConfigSource(*NAMES)]
        assert properties(second) == {"a": 1}
        end()
        asyncio.run(first.save(bundle({"a": 2})))
        asyncio.run(second.refresh())
        assert (len(told), properties(second)) == (1, {"a": 2})
        assert isinstance(second, TellingBackend)

    def test_one_that_was_missed_is_found_by_asking(self, replica):
        """The token is read every *poll* seconds."""
        place = DictPlace()
        deaf = DictStore(place)
        deaf.is_deaf = True
        first, second = replica(DictStore(place)), replica(deaf, poll=0.01)
        asyncio.run(second.open())
        seen = threading.Event()
        second.on_change(lambda source: seen.set())
        asyncio.run(first.save(bundle({"a": 1})))
        assert seen.wait(SOON)
        assert properties(second) == {"a": 1}

    def test_what_one_worker_has_seen_no_other_answers_without(self, replica):
        """Neither from the store nor from what is cached: they share the count of saves."""
        place, board = DictPlace(), LocalBoard(1, rows=2)
        stores = [DictStore(place), DictStore(place)]
        for store in stores:
            store.is_deaf = True
        backends = [replica(store) for store in stores]
        workers = [Answers(ConfigServer(backend, saves=SaveCount(board, row))) for row, backend in enumerate(backends)]

        def answers():
            return [json.loads(asyncio.run(worker.get(lookup(), V2_JSON)).response.body) for worker in workers]

        writer = replica(DictStore(place))
        asyncio.run(writer.save(bundle({"a": 1})))
        answers()
        before = answers()  # the first of each looks for saves from before it began
        asyncio.run(writer.save(bundle({"a": 2})))
        assert answers() == before
        asyncio.run(backends[1].refresh())
        after = answers()
        assert after[0] == after[1] != before[0]
        count = board.rows()[1][0]
        assert count == 1
        asyncio.run(backends[1].refresh())
        assert board.rows()[1][0] == count  # nothing new was seen

    def test_after_look_again_nothing_older_is_served(self, replica):
        """Stamps do not hold, and a read waits for the store to be read."""
        place = DictPlace()
        deaf = DictStore(place)
        deaf.is_deaf = True
        first, second = replica(DictStore(place)), replica(deaf)
        found = asyncio.run(second.sources(lookup()))
        asyncio.run(first.save(bundle({"a": 1})))
        assert properties(second) is None
        second.look_again()
        assert backend_stamp(second, found) is None
        assert properties(second) == {"a": 1}
        assert backend_stamp(second, found) not in (None, found.stamp)

    def test_a_store_that_was_restored_is_read_anew(self, replica):
        """Its token goes back, and what is gone is gone."""
        place = DictPlace()
        store = DictStore(place)
        backend = replica(store)
        asyncio.run(backend.save(bundle({"a": 1}, "other")))
        old = dict(place.records)
        asyncio.run(backend.save(bundle({"a": 1})))
        place.records, place.revision = old, 1
        asyncio.run(backend.refresh())
        assert properties(backend) is None
        assert properties(backend, "other", "prod") == {"a": 1}

    def test_closing_ends_the_thread(self, replica):
        """At once, though it waits for a notice; a closed backend answers nobody new."""
        store = DictStore()
        backend = replica(store)
        asyncio.run(backend.open())
        asyncio.run(backend.close())
        asyncio.run(backend.close())
        names = [thread.name for thread in threading.enumerate()]
        assert "pyconfserve-store-follow" not in names


def backend_stamp(backend, found):
    """The present stamp of an answer."""
    return backend.stamp(found.seen)
