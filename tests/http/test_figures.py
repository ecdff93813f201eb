"""figures: what a server counts, in one row a process, added over all rows."""

import asyncio
import os
import threading

import pytest

from pyconfserve.board import Board, LocalBoard
from pyconfserve.errors import BackendError
from pyconfserve.http.figures import BOUNDS, COLUMNS, Figures, Gauges, Sums, age_of
from pyconfserve.http.messages import Request, Response
from pyconfserve.http.observing import Exchange

NOTHING = Sums({}, (0,) * (len(BOUNDS) + 1), 0.0, 0, 0, 0, 0, 0, 0, None)


def exchange(method="GET", status=200, seconds=0.0, has_waited=False):
    """One answer."""
    return Exchange(Request(method, "/a/b"), Response(status), seconds, has_waited=has_waited)


def test_nothing_is_counted_at_first():
    """All is 0, and no age is known."""
    assert Figures().sums() == NOTHING


@pytest.mark.parametrize(
    ("method", "status", "label"),
    [
        ("GET", 200, "GET"),
        ("HEAD", 304, "HEAD"),
        ("POST", 100, "POST"),
        ("OPTIONS", 599, "OPTIONS"),
        ("DELETE", 405, "other"),
        ("-", 400, "other"),
        ("x" * 1000, 501, "other"),
        ("", 100, "other"),
        ("get", 599, "other"),
    ],
)
def test_requests_are_counted_by_method_and_status(method, status, label):
    """A method that no route has makes no label of its own."""
    figures = Figures()
    for _ in range(3):
        figures.answered(exchange(method, status))
    assert {(label, status): 3} == figures.sums().requests


def test_the_labels_are_bounded():
    """Whatever is asked and answered, there are no more numbers than columns."""
    figures = Figures()
    for number in range(5_000):
        figures.answered(exchange(f"M{number}", 100 + number % 500))
    requests = figures.sums().requests
    assert {"other"} == {method for method, _ in requests}
    assert [*requests.values()] == [10] * 500


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [
        (0.0, 0),
        (0.0005, 0),
        (0.00051, 1),
        (0.001, 1),
        (0.9, 10),
        (1.0, 10),
        (9.99, 13),
        (10.0, 13),
        (10.01, 14),
        (86_400.0, 14),
    ],
)
def test_seconds_fall_into_buckets(seconds, bucket):
    """A bucket has what took up to its bound, the last what took longer than all."""
    figures = Figures()
    figures.answered(exchange(seconds=seconds))
    sums = figures.sums()
    expected = [0] * (len(BOUNDS) + 1)
    expected[bucket] = 1
    assert (tuple(expected), pytest.approx(seconds)) == (sums.buckets, sums.seconds)


def test_a_wait_for_a_change_takes_no_time():
    """It is counted as a request, and its seconds are not."""
    figures = Figures()
    figures.answered(exchange(seconds=30.0, has_waited=True))
    assert NOTHING._replace(requests={("GET", 200): 1}) == figures.sums()


def test_answers_are_counted_by_where_they_are_from():
    """Kept, made, saved."""
    figures = Figures()
    for count in (figures.kept, figures.kept, figures.kept, figures.made, figures.made):
        count()
    figures.saved("source")
    assert NOTHING._replace(kept=3, made=2, saves=1) == figures.sums()


def test_threads_may_tell_of_saves():
    """None is lost."""
    figures = Figures()
    together = threading.Barrier(4)

    def save():
        together.wait(5)
        for _ in range(5_000):
            figures.saved()

    threads = [threading.Thread(target=save) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert figures.sums().saves == 20_000


def test_an_observer_without_ids():
    """Counting asks for no header."""
    assert Figures().new_id(Request("GET", "/")) == ""


# several processes


def test_rows_are_added():
    """Whoever is asked answers for all."""
    board = LocalBoard(COLUMNS, 3)
    first, second, third = [Figures(board, row) for row in range(3)]
    first.answered(exchange(seconds=0.25))
    second.answered(exchange(seconds=0.5))
    second.answered(exchange("POST", 500, 20.0))
    second.kept()
    third.made()
    third.saved()
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[8] = buckets[9] = buckets[14] = 1
    expected = NOTHING._replace(
        requests={("GET", 200): 2, ("POST", 500): 1},
        buckets=tuple(buckets),
        seconds=20.75,
        kept=1,
        made=1,
        saves=1,
    )
    assert [expected] * 3 == [figures.sums() for figures in (first, second, third)]


def test_processes_share_a_board():
    """What a forked process counts is in the sums of the other."""
    board = Board(2, COLUMNS)
    ours = Figures(board, 0)
    child = os.fork()
    if not child:
        Figures(board, 1).answered(exchange("HEAD", 304, 0.0))
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    ours.kept()
    assert (ours.sums().requests, ours.sums().kept) == ({("HEAD", 304): 1}, 1)


def test_a_row_that_is_taken_over():
    """Counts go on where the dead process left them; what it held is gone."""
    board = LocalBoard(COLUMNS)

    async def die():
        dead = Figures(board)
        dead.start(Gauges(lambda: 5, lambda: 6, lambda: {"fetched-seconds-ago": 7}))
        dead.answered(exchange())
        return dead.sums()

    before = asyncio.run(die())
    assert (before.workers, before.connections, before.watchers, before.age) == (1, 5, 6, 7.0)  # fmt: skip
    new = Figures(board)
    new.answered(exchange())
    sums = new.sums()
    assert sums.requests == {("GET", 200): 2}
    assert (sums.workers, sums.connections, sums.watchers, sums.age) == (0, 0, 0, None)


# what is read


def test_gauges_are_read_when_asked():
    """By the process that is asked, as of now; `stop` takes them back."""

    async def ask():
        connections = [1, 2]
        figures = Figures()
        figures.start(Gauges(lambda: len(connections), lambda: 40, lambda: {"fetched-seconds-ago": 0}))  # fmt: skip
        connections.append(3)
        running = figures.sums()
        figures.stop()
        figures.stop()
        return running, figures.sums()

    running, stopped = asyncio.run(ask())
    assert NOTHING._replace(connections=3, watchers=40, workers=1, age=0.0) == running
    assert stopped == NOTHING


def test_other_processes_see_gauges_soon():
    """Each writes its own in its row again and again, also after one that failed."""
    board = LocalBoard(COLUMNS, 2)
    reads = []
    third = asyncio.Event()

    def connections():
        reads.append(None)
        if len(reads) == 2:
            raise ValueError("once")
        if len(reads) == 3:
            third.set()
        return len(reads)

    async def watch():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        working, asked = Figures(board, 0), Figures(board, 1)
        working.start(Gauges(connections))
        await asyncio.wait_for(third.wait(), 5)
        seen = asked.sums().connections
        working.stop()
        return seen, asked.sums()

    assert asyncio.run(watch()) == (3, NOTHING)


def test_ages_are_not_added():
    """Of several processes the oldest counts, and one that has none says nothing."""
    board = LocalBoard(COLUMNS, 3)

    async def ask():
        rows = [Figures(board, row) for row in range(3)]
        for figures, report in zip(rows, ({"fetched-seconds-ago": 3}, {"fetched-seconds-ago": 90}, {}), strict=True):  # fmt: skip
            figures.start(Gauges(report=lambda report=report: report))
        sums = rows[2].sums()
        for figures in rows:
            figures.stop()
        return sums

    sums = asyncio.run(ask())
    assert (sums.age, sums.workers) == (90.0, 3)


def test_a_backend_that_cannot_say():
    """Its age is unknown, and all else is read."""

    def fail():
        raise BackendError("down")

    async def ask():
        figures = Figures()
        figures.start(Gauges(watchers=lambda: 2, report=fail))
        sums = figures.sums()
        figures.stop()
        return sums

    assert NOTHING._replace(watchers=2, workers=1) == asyncio.run(ask())


@pytest.mark.parametrize(
    ("report", "age"),
    [
        ({}, None),
        ({"backend": "FilesystemConfigBackend"}, None),
        ({"fetched-seconds-ago": 12, "repository": "x"}, 12),
        ({"fetched-seconds-ago": "12"}, None),
        ({"members": [{"fetched-seconds-ago": 1}, {"problem": "x"}, {"fetched-seconds-ago": 5}]}, 5),
        ({"repositories": [{"parts": {"fetched-seconds-ago": 0}}]}, 0),
        ([], None),
        (None, None),
    ],
    ids=["empty", "local", "one", "text", "members", "deep", "list", "nothing"],
)  # fmt: skip
def test_the_age_in_a_report(report, age):
    """The oldest of all parts that are copies of something remote."""
    assert age == age_of(report)
