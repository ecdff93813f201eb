"""kept: what was used last, within a number of bytes."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pyconfserve.kept import LastUsed

OVERHEAD = 200  # bytes that a value costs beside its own


def kept(store, keys):
    """The keys that have a value; asking counts as use, in this order."""
    return [key for key in keys if store.get(key) is not None]


@pytest.mark.parametrize(
    ("limit", "sizes", "expected"),
    [
        pytest.param(4 * (OVERHEAD + 50), [50, 50, 50, 50], [0, 1, 2, 3], id="all fit"),
        pytest.param(4 * (OVERHEAD + 50), [50] * 5, [1, 2, 3, 4], id="the oldest goes"),
        pytest.param(4 * OVERHEAD, [0, 1, 0], [0, 2], id="one takes more than a quarter"),
        pytest.param(4 * (OVERHEAD + 50), [0, 0, 0, 0, 0, 50], [2, 3, 4, 5], id="two go for one"),
    ],
)
def test_what_is_kept_stays_below_the_limit(limit, sizes, expected):
    """What goes is what was not used for the longest time."""
    store = LastUsed(limit)
    for key, size in enumerate(sizes):
        store.keep(key, "value", size)
    assert expected == kept(store, range(len(sizes)))


def test_a_use_is_a_reason_to_stay():
    """The value that was asked for outlives the one that was kept after it."""
    store = LastUsed(4 * OVERHEAD)
    for key in "abcd":
        store.keep(key, key.upper(), 0)
    assert store.get("a") == "A"
    store.keep("e", "E", 0)
    assert kept(store, "abcde") == ["a", "c", "d", "e"]


def test_the_first_value_of_a_key_stays():
    """Of two threads that found nothing both keep what they made, and one wins."""
    store = LastUsed(10_000)
    store.keep("a", "first", 10)
    store.keep("a", "second", 10)
    assert store.get("a") == "first"


def test_threads_share_it():
    """None meets a half-made state."""
    store = LastUsed(100 * OVERHEAD)

    def work(thread):
        for number in range(2000):
            key = (thread * number) % 300
            assert store.get(key) in (None, key + 1)
            store.keep(key, key + 1, 0)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(1, 5)))
    assert len(kept(store, range(300))) == 100
