"""replica: a whole store in memory, and the thread that keeps up with it."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_store import DictPlace, DictStore

from pyconfserve.errors import BackendMisconfigured, BackendUnavailable
from pyconfserve.files import BundleName
from pyconfserve.followed_store import FollowedStore
from pyconfserve.last_state import LastState
from pyconfserve.replica import Replica
from pyconfserve.state import state_of
from pyconfserve.store import Record, Snapshot

ORDERS = BundleName("orders", "prod", "main")
OTHER = BundleName("other", "prod", "main")
SOON = 5.0


class Counting(DictStore):
    """A store that tells what changed, and whose token may be held up."""

    def __init__(self, place=None):
        super().__init__(place)
        self.flows = threading.Event()
        self.flows.set()
        self.is_asked = threading.Semaphore(0)
        self.deltas = []  # what the next calls of `since` give

    def token(self):
        self.is_asked.release()
        assert self.flows.wait(SOON)
        return super().token()

    def since(self, token):
        self._call("since")
        return self.deltas.pop() if self.deltas else None


class HungUp(Counting):
    """A store that is closed while it is asked."""

    def token(self):
        token = super().token()
        if self.is_closed:
            raise BackendUnavailable("dict: hung up")
        return token

    def close(self):
        super().close()
        self.flows.set()


class Breaking(DictStore):
    """A store whose next wait fails when it `breaks`, on a connection that is lost."""

    breaks = False

    def wait(self, token, seconds):
        if self.breaks:
            self.breaks = False
            raise BackendUnavailable("dict: it cannot be reached")
        super().wait(token, seconds)


def until(condition):
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def follow():
    """Makes replicas, and closes them in the end."""
    made, stores = [], []

    def follow(store, **options):
        made.append(Replica(FollowedStore(store), **options))
        stores.append(store)
        return made[-1]

    yield follow
    for replica, store in zip(made, stores, strict=True):
        store.flows.set() if isinstance(store, Counting) else None
        replica.close()


def record(value, version):
    return Record(f'{{"properties":{{"a":{value}}}}}', version)


def value(state, name=ORDERS):
    return state.bundles[name].opened().properties["a"]


def deaf(place=None, kind=DictStore):
    store = kind(place)
    store.is_deaf = True
    return store


class TestLooking:
    """What a look does."""

    def test_only_the_token_is_read_when_nothing_changed(self, follow):
        """And all of it when something did."""
        store = deaf()
        replica = follow(store)
        replica.open()
        replica.look()
        calls = [call for call in store.calls if call != "wait"]
        assert calls[0] == "read"
        assert {*calls[1:]} == {"token"}
        store.put(ORDERS, record(1, "1"))
        assert value(replica.look()) == 1
        assert store.calls[-2:] == ["token", "read"]

    def test_what_changed_is_enough(self, follow):
        """Where the store tells that."""
        store = deaf(kind=Counting)
        replica = follow(store)
        store.put(ORDERS, record(1, "1"))
        before = replica.open()
        store.put(OTHER, record(2, "2"))
        store.deltas = [Snapshot("2", {OTHER: record(2, "2")})]
        after = replica.look()
        assert (after.token, value(after, OTHER)) == ("2", 2)
        assert after.bundles[ORDERS] is before.bundles[ORDERS]
        assert store.calls[-2:] == ["token", "since"]
        store.put(ORDERS, None)
        assert [*replica.look().bundles] == [OTHER]
        assert store.calls[-3:] == ["token", "since", "read"]

    def test_many_who_look_share_one_that_began_after_them(self, follow):
        """One that is under way already would be too old."""
        store = deaf(kind=Counting)
        replica = follow(store)
        store.put(ORDERS, record(1, "1"))
        replica.open()
        store.calls.clear()
        store.flows.clear()
        with ThreadPoolExecutor(9) as threads:
            first = threads.submit(replica.look)
            assert store.is_asked.acquire(timeout=SOON)
            others = [threads.submit(replica.look) for _ in range(8)]
            store.put(ORDERS, record(2, "2"))
            store.flows.set()
            assert value(first.result(SOON)) in (1, 2)
            assert {value(one.result(SOON)) for one in others} == {2}
        assert store.calls.count("token") <= 3

    def test_a_failure_is_shared_as_well(self, follow):
        """By those who would have met it."""
        store = deaf()
        replica = follow(store)
        replica.open()
        store.away = BackendMisconfigured("dict: is another")
        with ThreadPoolExecutor(4) as threads:
            looks = [threads.submit(replica.look) for _ in range(4)]
            for look in looks:
                with pytest.raises(BackendMisconfigured, match=r"^dict: is another$"):
                    look.result(SOON)

    def test_one_failure_may_be_that_of_a_connection(self, follow, caplog):
        """It is asked once more, and then nobody hears of it."""
        store = deaf(kind=Counting)
        replica = follow(store)
        store.put(ORDERS, record(1, "1"))
        replica.open()
        store.put(ORDERS, record(2, "2"))
        since = store.since

        def fail(token):
            store.since = since
            raise BackendUnavailable("dict: the connection was cut")

        store.since = fail
        assert value(replica.look()) == 2
        assert caplog.text == ""

    def test_an_unforeseen_failure_is_no_end(self, follow, caplog):
        """It is logged, and the next look is made."""
        store = deaf()
        replica = follow(store)
        replica.open()
        store.away = RuntimeError("what was stored")
        with pytest.raises(BackendUnavailable, match=r"^dict:: RuntimeError$"):
            replica.look()
        assert "a look at dict: failed" in caplog.text
        store.come_back()
        assert replica.look().token == "0"

    def test_changes_are_told_by_name(self, follow):
        """What is new, another or gone; not what was there at the start."""
        store = deaf()
        replica = follow(store)
        told = []
        replica.tells.add(told.append)
        store.put(ORDERS, record(1, "1"))
        replica.open()
        assert told == []
        store.put(OTHER, record(2, "2"))
        store.put(ORDERS, None)
        replica.look()
        replica.look()
        assert sorted(told) == [ORDERS, OTHER]


class TestDue:
    """A change that somebody knows of."""

    def test_it_is_due_until_the_next_look(self, follow):
        """One that began before does not count."""
        replica = follow(deaf())
        replica.open()
        assert not replica.is_due
        replica.look_again()
        assert replica.is_due
        replica.look()
        assert not replica.is_due

    def test_nothing_is_due_from_a_store_that_is_away(self, follow):
        """Who asks would wait for what does not come."""
        store = deaf()
        replica = follow(store)
        replica.open()
        store.go_away()
        with pytest.raises(BackendUnavailable):
            replica.look()
        replica.look_again()
        assert not replica.is_due


    def test_a_save_in_the_middle_of_a_look_that_lasts_is_waited_for(self, follow):
        """The patience is with what is due, however long a look before it takes."""
        store = deaf(kind=Counting)
        replica = follow(store)
        replica.open()
        store.flows.clear()
        with ThreadPoolExecutor(1) as threads:
            look = threads.submit(replica.look)
            assert store.is_asked.acquire(timeout=SOON)
            began = time.monotonic()
            until(lambda: time.monotonic() > began + 1.1)
            replica.look_again()
            assert replica.is_due
            until(lambda: not replica.is_due)
            replica.look_again()
            assert not replica.is_due
            store.flows.set()
            look.result(SOON)

    def test_a_look_that_lasts_is_waited_for_by_some(self, follow):
        """Who asks while it is late already is answered at once."""
        store = deaf(kind=Counting)
        replica = follow(store)
        replica.open()
        replica.look()
        store.flows.clear()
        with ThreadPoolExecutor(1) as threads:
            look = threads.submit(replica.look)
            replica.look_again()
            began = time.monotonic()
            assert replica.is_due
            until(lambda: not replica.is_due)
            assert 0.5 < time.monotonic() - began < 3
            store.flows.set()
            look.result(SOON)
        replica.look_again()
        assert replica.is_due


class TestFollowing:
    """The thread."""

    def test_it_begins_once(self, follow):
        """However many open it at once."""
        replica = follow(DictStore())
        with ThreadPoolExecutor(8) as threads:
            states = {id(state) for state in threads.map(lambda _: replica.open(), range(8))}  # fmt: skip
        assert len(states) == 1
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("pyconfserve-store-follow") == 1

    def test_it_sees_what_a_notice_tells_of(self, follow):
        """Soon, without being asked."""
        place = DictPlace()
        replica, seen = follow(DictStore(place)), threading.Event()
        replica.tells.add(lambda name: seen.set())
        replica.open()
        DictStore(place).put(ORDERS, record(1, "1"))
        assert seen.wait(SOON)
        assert value(replica.state) == 1

    def test_it_outlives_a_store_that_goes_away(self, follow, caplog):
        """It asks again, and says both once."""
        place = DictPlace()
        store, other = DictStore(place), DictStore(place)
        replica, seen = follow(store), threading.Event()
        replica.tells.add(lambda name: seen.set())
        with caplog.at_level(logging.INFO, "pyconfserve.store"):
            replica.open()
            store.go_away()
            with pytest.raises(BackendUnavailable):
                replica.look()
            other.put(ORDERS, record(1, "1"))
            store.come_back()
            assert seen.wait(SOON)
            until(lambda: "up to date again" in caplog.text)
        texts = [entry.message for entry in caplog.records]
        assert texts.count("dict: is away") == 1
        assert texts.count("dict:: up to date again") == 1

    def test_it_goes_on_when_another_look_has_found_the_store(self, follow):
        """It does not wait for the next attempt, which may be half a minute away."""
        place = DictPlace()
        store = DictStore(place)
        replica, seen = follow(store), threading.Event()
        replica.open()
        store.go_away()
        with pytest.raises(BackendUnavailable):
            replica.look()
        store.come_back()
        store.calls.clear()
        replica.look()
        began = time.monotonic()
        replica.tells.add(lambda name: seen.set())
        place_of_another = DictStore(place)
        place_of_another.put(ORDERS, record(1, "1"))
        assert seen.wait(SOON)
        assert time.monotonic() - began < 0.9

    def test_a_store_that_gives_no_notices_is_asked(self, follow, caplog):
        """That is said once, and health says so."""
        store = DictStore()
        store.deafness = BackendUnavailable("dict: no notices here")
        replica, seen = follow(store), threading.Event()
        replica.tells.add(lambda name: seen.set())
        replica.open()
        store.put(ORDERS, record(1, "1"))
        assert seen.wait(SOON)
        until(lambda: "no notices" in caplog.text)
        assert replica.health()["no-notices"] == "dict: no notices here"
        assert caplog.text.count("no notices here") == 1

    def failed(self, replica, store):
        """Let the thread fail so often that its pauses are long."""
        store.go_away()
        with pytest.raises(BackendUnavailable):
            replica.look()
        store.calls.clear()

        def is_enough():
            replica.look_again()
            return store.calls.count("token") > 8

        until(is_enough)

    def test_a_save_elsewhere_says_that_the_store_is_back(self, follow):
        """The thread does not wait for its next attempt."""
        store = DictStore()
        replica = follow(store)
        replica.open()
        self.failed(replica, store)
        store.put(ORDERS, record(1, "1"))
        store.come_back()
        replica.look_again()
        until(lambda: ORDERS in replica.state.bundles)

    def test_an_old_connection_costs_no_pause(self, follow, caplog):
        """That a wait fails once after a long absence is nothing to tell."""
        place = DictPlace()
        store, seen = Breaking(place), threading.Event()
        replica = follow(store)
        replica.open()
        self.failed(replica, store)
        store.breaks = True
        store.come_back()
        replica.look()
        until(lambda: not store.breaks)
        replica.tells.add(lambda name: seen.set())
        DictStore(place).put(ORDERS, record(1, "1"))
        assert seen.wait(1.0)
        assert "no notices" not in caplog.text

    def test_it_is_asked_as_often_as_agreed_without_notices(self, follow):
        """However often a wait has failed."""
        store = DictStore()
        store.deafness = BackendUnavailable("dict: no notices here")
        replica = follow(store, poll=0.01)
        replica.open()
        until(lambda: store.calls.count("token") > 20)

    def test_a_start_that_fails_is_told_once(self, follow, caplog):
        """To who made it."""
        store = DictStore()
        store.go_away()
        with pytest.raises(BackendUnavailable, match=r"^dict: is away$"):
            follow(store).open()
        assert caplog.text == ""

    def test_an_end_is_no_failure(self, follow, caplog):
        """What it hangs up on is not told."""
        store = HungUp()
        replica = follow(store)
        replica.open()
        until(lambda: "wait" in store.calls)
        store.flows.clear()
        store.put(ORDERS, record(1, "1"))
        assert store.is_asked.acquire(timeout=SOON)
        replica.close()
        assert caplog.text == ""

    def test_a_closed_one_opens_no_more(self, follow):
        """What it has is still there."""
        store = DictStore()
        replica = follow(store)
        store.put(ORDERS, record(1, "1"))
        replica.open()
        replica.close()
        with pytest.raises(BackendUnavailable, match=r"^dict:: it was closed here$"):
            replica.open()
        assert value(replica.state) == 1


class TestLastState:
    """The file."""

    def test_it_holds_what_was_seen_last(self, follow, tmp_path):
        """Also what changed just before the end."""
        file = tmp_path / "state"
        store = DictStore()
        replica = follow(store, last=LastState(file, "dict:"), now=lambda: 100.0)
        replica.open()
        store.put(ORDERS, record(1, "1"))
        store.put(OTHER, record(2, "2"))
        state = replica.look()
        replica.close()
        assert LastState(file, "dict:").read(FollowedStore(store).unpacked) == (state, 100.0)

    def test_a_start_from_it_is_as_old_as_it_is(self, follow, tmp_path, caplog):
        """And what the store has since is taken in when it is back."""
        file = tmp_path / "state"
        store = DictStore()
        kept = state_of(Snapshot("0", {ORDERS: record(1, "1")}))
        LastState(file, "dict:").keep("0", FollowedStore(store).packed(kept), 100.0)
        store.put(ORDERS, record(2, "2"))
        store.go_away()
        replica, seen = follow(store, last=LastState(file, "dict:"), now=lambda: 190.0), threading.Event()  # fmt: skip
        replica.tells.add(lambda name: seen.set())
        assert value(replica.open()) == 1
        assert "dict: is away: its last state is served" in caplog.text
        assert replica.health()["read-seconds-ago"] == 90
        store.come_back()
        assert seen.wait(SOON)
        assert value(replica.state) == 2
        assert replica.health()["read-seconds-ago"] == 0

    def test_a_file_that_cannot_be_written_is_no_end(self, follow, tmp_path, caplog):
        """It is said."""
        last = LastState(tmp_path / "absent" / "state", "dict:")
        replica = follow(DictStore(), last=last)
        replica.open()
        replica.close()
        expected = "the snapshot file is not written: No such file or directory"
        assert expected in caplog.text
