"""following: changes in a thread of their own, until it is stopped."""

import threading

import pytest
from scripted import PATIENCE

from pyconfserve.client.following import Follower


class Source:
    """Gives what it is told to, then sleeps until it is stopped."""

    def __init__(self, *items):
        self.items, self.asleep = items, threading.Event()

    def __call__(self, sleep, line):
        self.line = line
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item
        self.asleep.set()
        sleep(PATIENCE)
        yield "never"


@pytest.mark.usefixtures("leftover_threads")
def test_changes_reach_the_callback_until_it_is_stopped():
    """At once, though the thread sleeps; twice is fine."""
    heard, source = [], Source(1, 2)
    follower = Follower(source, heard.append)
    assert source.asleep.wait(PATIENCE)
    assert (heard, follower.is_running) == ([1, 2], True)
    follower.stop()
    follower.stop()
    assert (heard, follower.is_running, source.line.is_cut) == ([1, 2], False, True)


@pytest.mark.usefixtures("leftover_threads")
def test_it_is_stopped_at_the_end_of_a_block():
    """As any resource."""
    source = Source()
    with Follower(source, print) as follower:
        assert source.asleep.wait(PATIENCE)
    assert not follower.is_running


def test_an_error_of_the_callback_ends_nothing(caplog):
    """It is logged with its traceback."""

    def callback(change):
        heard.append(change)
        raise LookupError("broken")

    heard, source = [], Source(1, 2)
    with Follower(source, callback):
        assert source.asleep.wait(PATIENCE)
    assert heard == [1, 2]
    assert [record.message for record in caplog.records] == ["a callback of follow has failed"] * 2  # fmt: skip


def test_an_error_that_ends_it_is_logged(caplog):
    """It should not happen; nobody waits for it."""
    follower = Follower(Source(LookupError("broken")), print)
    follower.stop()
    assert [record.message for record in caplog.records] == ["following changes has ended"]  # fmt: skip


@pytest.mark.usefixtures("leftover_threads")
def test_a_callback_may_stop_it():
    """It does not wait for itself, and hears nothing more."""
    heard, stopped = [], threading.Event()

    def callback(change):
        heard.append(change)
        ready.wait(PATIENCE)
        follower.stop()
        stopped.set()

    ready = threading.Event()
    follower = Follower(Source(1, 2), callback)
    ready.set()
    assert stopped.wait(PATIENCE)
    follower.stop()
    assert (heard, follower.is_running) == ([1], False)
