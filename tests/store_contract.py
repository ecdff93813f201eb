"""What every store keeps: a test file inherits StoreContract and gives `connect`.

`connect()` makes one more Store of the same, at first empty, place.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from statistics import median

import pytest

from pyconfserve.errors import (
    BackendError,
    ConfigNotFound,
    InvalidRequest,
    VersionConflict,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record

ORDERS = BundleName("orders", "prod", "main")
STRANGE = [
    BundleName("team/örders 東京", "größe.1", "feature/x+y"),
    BundleName("team", "örders", "feature"),
    BundleName("a" * 255, "b" * 255, "c" * 255),
    BundleName("a+b", "c@d", "100'\"$e"),
]
TEXTS = ['{"a":"\\u0000"}', "Zürich 東京 🙂 \U0010ffff", "%s %(a)s :a ? '\"\\", "x" * 2_000_000]  # fmt: skip
WRITERS, TIMES = 8, 20
SOON = 5.0  # seconds in which a store tells of a change, on any machine
LONG = 30.0  # seconds that nobody waits for


def texts(snapshot):
    """The text of each record, None for one that is gone."""
    return {
        name: None if record is None else record.text
        for name, record in snapshot.records.items()
    }


class StoreContract:
    """The tests; a subclass overrides the fixture `connect`."""

    @pytest.fixture
    def connect(self):
        """Makes a store over the same place each time it is called."""
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, connect):
        """`connect`, and all that it made is closed in the end."""
        opened = []

        def open_store():
            opened.append(connect())
            return opened[-1]

        yield open_store
        for store in opened:
            store.close()
            store.close()

    @pytest.fixture
    def store(self, open_store):
        return open_store()

    def test_an_empty_store_has_nothing(self, store):
        """It has a token all the same, which stays."""
        found = store.read()
        assert (found.token, found.records) == (store.token(), {})
        assert store.token() == found.token

    def test_what_is_written_is_read(self, store, open_store):
        """With its version, by all; each change gives another token."""
        tokens = [store.token()]
        first = store.write(ORDERS, "1", None)
        tokens.append(store.token())
        second = store.write(ORDERS, "2", first)
        tokens.append(store.token())
        other = open_store()
        assert other.read() == (tokens[-1], {ORDERS: Record("2", second)})
        assert store.write(ORDERS, None, second) is None
        tokens.append(other.token())
        assert other.read() == (tokens[-1], {})
        third = store.write(ORDERS, "1", None)
        assert len({first, second, third}) == 3
        assert len({*tokens, store.token()}) == 5

    @pytest.mark.parametrize("text", ["new", None], ids=["replace", "remove"])
    def test_another_version_is_refused(self, store, text):
        """Nothing changes, and the token stays."""
        names = {ORDERS: "1", BundleName("orders", "dev", "main"): "other"}
        versions = {name: store.write(name, one, None) for name, one in names.items()}
        before = store.read()
        elsewhere = versions[BundleName("orders", "dev", "main")]
        for version in (elsewhere, *([None] if text else [])):
            with pytest.raises(VersionConflict):
                store.write(ORDERS, text, version)
        with pytest.raises(VersionConflict):
            store.write(BundleName("absent", "prod", "main"), text, elsewhere)
        store.write(ORDERS, "2", versions[ORDERS])
        with pytest.raises(VersionConflict):
            store.write(ORDERS, text, versions[ORDERS])
        after = store.read()
        assert after.records.keys() == before.records.keys()
        assert after.records[ORDERS].text == "2"

    def test_names_and_texts_come_back_as_they_were(self, store):
        """Whatever characters and sizes they have."""
        texts = [text[: store.limit] for text in TEXTS]
        pairs = [*zip(STRANGE, texts, strict=True)]
        versions = [store.write(name, text, None) for name, text in pairs]
        expected = {
            name: Record(text, version)
            for (name, text), version in zip(pairs, versions, strict=True)
        }
        assert store.read().records == expected

    def test_no_increment_of_eight_writers_is_lost(self, open_store):
        """Each adds one twenty times, under the version it has read."""
        store = open_store()
        store.write(ORDERS, "0", None)

        def count(_):
            mine, done, refused = open_store(), 0, 0
            while done < TIMES:
                text, version = mine.read().records[ORDERS]
                try:
                    mine.write(ORDERS, str(int(text) + 1), version)
                    done += 1
                except VersionConflict:
                    refused += 1
            return refused

        with ThreadPoolExecutor(WRITERS) as threads:
            refused = sum(threads.map(count, range(WRITERS)))
        assert store.read().records[ORDERS].text == str(WRITERS * TIMES)
        assert refused > 0  # else they took turns, and nothing was shown

    def test_a_change_is_noticed(self, open_store):
        """By who waits for one, soon; a wait without one ends in time."""
        writer, reader = open_store(), open_store()
        delays, version = [], None
        written, noticed = threading.Event(), threading.Event()
        moment = [0.0]

        def follow():
            token = reader.token()
            for _ in range(20):
                noticed.set()
                while reader.token() == token:
                    reader.wait(token, 5.0)
                delays.append(time.monotonic() - moment[0])
                token = reader.token()
            written.set()

        thread = threading.Thread(target=follow)
        thread.start()
        for number in range(20):
            assert noticed.wait(5.0)
            noticed.clear()
            time.sleep(0.005)  # so that it waits
            moment[0] = time.monotonic()
            version = writer.write(ORDERS, str(number), version)
        assert written.wait(5.0)
        thread.join()
        assert median(delays) < 0.1

    def test_a_wait_ends_in_time(self, store):
        """After its seconds, whatever comes."""
        token = store.token()
        store.wait(token, 0.01)
        began = time.monotonic()
        store.wait(token, 0.05)
        assert 0.02 < time.monotonic() - began < 2.0

    def test_closing_ends_a_wait(self, open_store):
        """At once."""
        store = open_store()
        token = store.token()
        store.wait(token, 0.01)
        thread = threading.Thread(target=_wait_on, args=(store, token))
        thread.start()
        began = time.monotonic()
        store.close()
        thread.join(5.0)
        assert time.monotonic() - began < 2.0


def _wait_on(store, token):
    with suppress(BackendError):
        store.wait(token, 30.0)


class WaitingContract:
    """Waits that a store ends by itself; a test file gives `connect` and `store`."""

    @pytest.fixture
    def waiting(self, store):
        """Begins to wait for a change; gives what ends with the wait."""
        with ThreadPoolExecutor(1) as pool:
            yield lambda token, seconds=LONG: pool.submit(store.wait, token, seconds)

    @pytest.mark.parametrize("kind", ["added", "changed", "removed"])
    def test_a_change_ends_it(self, connect, store, waiting, kind):
        """By anybody, of any kind."""
        others = connect()
        version = None if kind == "added" else others.write(ORDERS, "1", None)
        wait = waiting(store.token())
        others.write(ORDERS, None if kind == "removed" else "2", version)
        wait.result(SOON)

    def test_a_change_before_it_began_ends_it(self, connect, store, waiting):
        """Nothing is missed between the token and the wait."""
        token = store.token()
        connect().write(ORDERS, "1", None)
        waiting(token).result(SOON)

    def test_a_token_that_it_has_not_seen_ends_it(self, connect, store, waiting):
        """There is something to look at."""
        token = store.token()
        connect().write(ORDERS, "1", None)
        store.token()
        waiting(token).result(SOON)


class SqlContract(StoreContract):
    """What stores in SQL keep besides."""

    def test_what_changed_is_told(self, store):
        """Since any token of this past, and what was removed."""
        tokens = [store.token()]
        first = store.write(ORDERS, "1", None)
        tokens.append(store.token())
        other = BundleName("other", "prod", "main")
        second = store.write(other, "2", None)
        third = store.write(ORDERS, "3", first)
        tokens.append(store.token())
        store.write(other, None, second)
        last = store.token()
        assert store.since(last) == (last, {})
        assert store.since(tokens[2]) == (last, {other: None})
        expected = {ORDERS: Record("3", third), other: None}
        assert store.since(tokens[1]) == (last, expected)

    @pytest.mark.parametrize(
        "token", ["", "x", "0" * 40, f"{1:016x}{'a' * 24}", f"{99:016x}{'a' * 24}", f"{(1 << 64) - 1:016x}{'a' * 24}"],
        ids=["empty", "other", "first", "another-past", "ahead", "beyond"],
    )  # fmt: skip
    def test_a_token_of_another_past_tells_nothing(self, store, token):
        """So that all is read."""
        store.write(ORDERS, "1", None)
        assert store.since(token) is None

    def test_a_past_that_is_gone_tells_nothing(self, store):
        """Rows may be removed by who wants the room."""
        version = store.write(ORDERS, "1", None)
        token = store.token()
        version = store.write(ORDERS, "2", version)
        store.write(ORDERS, "3", version)
        self.execute(store, "DELETE FROM pyconfserve_change WHERE revision = 2")
        assert store.since(token) is None

    def execute(self, store, statement):
        """Do what another tool would."""
        with store._session() as session:
            session.ask(statement)

    def test_what_was_is_kept(self, store):
        """Newest first, page by page, with the text of any time."""
        other = BundleName("other", "prod", "main")
        versions = [store.write(ORDERS, "1", None)]
        middle = store.write(other, "x", None)
        versions.append(store.write(ORDERS, "2", versions[0]))
        store.write(ORDERS, None, versions[1])
        found = store.changes([ORDERS], 10, None)
        assert [change.name for change in found] == [ORDERS] * 3
        assert [change.id for change in found][1:] == versions[::-1]
        assert [change.is_removal for change in found] == [True, False, False]
        assert {len(change.time) for change in found} == {len("2026-11-23T05:49:23Z")}
        assert store.changes([ORDERS, other], 2, None)[1:] == found[1:2]
        assert store.changes([ORDERS], 1, found[1].id) == found[2:]
        assert store.changes([ORDERS], 1, middle) == found[2:]
        assert store.changes([ORDERS], 10, found[2].id) == []
        then = [versions[0], middle, versions[1], found[0].id]
        assert [store.text_at(ORDERS, one) for one in then] == ["1", "1", "2", None]
        assert store.text_at(other, versions[0]) is None
        elsewhere = store.write(BundleName("orders", "prod", "feature/x"), "y", None)
        assert [store.label_of(one) for one in (middle, found[0].id, elsewhere)] == ["main", "main", "feature/x"]

    def test_a_change_that_never_was_is_unknown(self, store):
        """And what is no id at all is refused."""
        version = store.write(ORDERS, "1", None)
        unknown = version[:-1] + ("0" if version[-1] != "0" else "1")
        problem = f"^the commit {unknown} is not in this history$"
        with pytest.raises(ConfigNotFound, match=problem):
            store.text_at(ORDERS, unknown)
        with pytest.raises(ConfigNotFound, match=problem):
            store.changes([ORDERS], 1, unknown)
        with pytest.raises(ConfigNotFound, match=problem):
            store.label_of(unknown)
        with pytest.raises(InvalidRequest, match=r"^commit: expected the full id"):
            store.text_at(ORDERS, "main'; --")
        with pytest.raises(InvalidRequest, match=r"^before: expected the full id"):
            store.changes([ORDERS], 1, "")

    def test_a_row_that_went_away_is_made_again_at_a_start(self, open_store):
        """With a revision that none of the changes has."""
        store = open_store()
        version = store.write(ORDERS, "1", None)
        self.execute(store, "DELETE FROM pyconfserve_revision")
        other = open_store()
        assert other.read().records == {ORDERS: Record("1", version)}
        assert other.write(ORDERS, "2", version) > version

    def test_several_open_it_at_once(self, open_store):
        """One of them makes the tables."""
        with ThreadPoolExecutor(8) as threads:
            tokens = {*threads.map(lambda _: open_store().token(), range(8))}
        assert len(tokens) == 1
