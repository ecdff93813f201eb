"""attempts: two hashes at a time, and the lines of those who failed before."""

import asyncio
import threading

import pytest

from pyconfserve.errors import TooManyAttempts
from pyconfserve.http.attempts import Hashing, Pair, Slowing, network_of

PATIENCE = 10  # seconds for what takes a fraction of one
PAIR = Pair(b"x", "192.0.2.1")


class Held:
    """A secret whose check waits until it is let go."""

    def __init__(self):
        self.free = threading.Event()
        self.checked = []

    def fits(self, password):
        self.checked.append(password)
        assert self.free.wait(PATIENCE)
        if password == "broken":
            raise MemoryError("no room for a hash")
        return password == "right"


def run(work):
    """What a coroutine gives, within a time."""

    async def limited():
        return await asyncio.wait_for(work, PATIENCE)

    return asyncio.run(limited())


async def until(condition):
    """Return when threads have made *condition* true."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "20010db800010002::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "20010db800010002::/64"),
        ("2001:db8:1:3::1", "20010db800010003::/64"),
        ("::1", "0::/64"),
        ("fe80::1%eth0", "fe80000000000000::/64"),
        ("", ""),
        ("unix:", "unix:"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_source_is_a_network(source, expected):
    """Who has one IPv6 address has 2**64."""
    assert expected == network_of(source)


# hashing


def test_a_check_says_whether_the_password_fits():
    """Or fails as the check failed: the next one is not kept from its place."""
    secret, hashing = Held(), Hashing()
    secret.free.set()

    async def work():
        passwords = ["right", "wrong", "broken", "right"]
        checks = [hashing.submit(secret, password, "n", is_known=False) for password in passwords]  # fmt: skip
        return await asyncio.gather(*checks, return_exceptions=True)

    first, second, third, fourth = run(work())
    assert (first, second, fourth) == (True, False, True)
    assert isinstance(third, MemoryError)


def test_a_check_that_is_cancelled_before_it_began_is_left_out():
    """As at the end of a server: no thread works for nobody."""
    secret, hashing = Held(), Hashing()

    async def work():
        checks = [hashing.submit(secret, f"{number}", "n", is_known=False) for number in range(5)]  # fmt: skip
        await until(lambda: len(secret.checked) == 2)
        checks[2].cancel()
        checks[3].cancel()
        await asyncio.sleep(0)  # which is when the threads learn of it
        secret.free.set()
        return await asyncio.gather(*checks, return_exceptions=True)

    found = run(work())
    assert [type(item) for item in found] == [bool, bool, asyncio.CancelledError, asyncio.CancelledError, bool]  # fmt: skip
    assert sorted(secret.checked) == ["0", "1", "4"]
    assert not hashing._of_network


def test_the_queue_is_short_and_known_passwords_go_first():
    """A source has half of its places; who is known is in front of all."""
    secret, hashing = Held(), Hashing()

    def submit(password, network, *, is_known=False):
        return hashing.submit(secret, password, network, is_known=is_known)

    async def work():
        checks = [submit(f"{number}", f"{number}") for number in range(2)]
        await until(lambda: len(secret.checked) == 2)
        checks += [submit("a", "a") for _ in range(16)]
        with pytest.raises(TooManyAttempts) as of_a_source:
            submit("a", "a")
        checks += [submit("b", f"{number}") for number in range(16)]
        with pytest.raises(TooManyAttempts) as of_all:
            submit("c", "c")
        checks += [submit("known", "a", is_known=True) for _ in range(10)]
        secret.free.set()
        await asyncio.gather(*checks)
        checks = [submit("a", "a") for _ in range(16)]  # there is room again
        await asyncio.gather(*checks)
        return of_a_source.value.retry_after, of_all.value.retry_after

    assert run(work()) == (2, 2)
    assert secret.checked[2:12] == ["known"] * 10
    assert (len(secret.checked), secret.checked.count("a")) == (60, 32)
    assert not hashing._of_network


def test_no_thread_is_made_before_there_is_a_password():
    """So that a process may fork after it has made its server."""
    assert Hashing()._threads is None


# lines


def test_failures_are_bounded():
    """The pair that had none for the longest time goes, not the one that goes on."""
    slowing = Slowing(lambda: 0.0, asyncio.sleep)
    for number in range(30_000):
        slowing.fail((b"x", f"{number}"))
        slowing.fail((b"x", "goes on"))
    assert (len(slowing._failures), slowing.failures((b"x", "goes on"))) == (10_000, 30_000)  # fmt: skip
    assert (slowing.wait((b"x", "goes on")), slowing.failures((b"x", "1"))) == (2.0, 0)


def test_those_who_wait_are_bounded_in_all():
    """However many names are guessed at: no flood of waits takes the memory."""
    slowing = Slowing(lambda: 0.0, asyncio.sleep)
    refused = []
    places = []
    for number in range(200):
        pair = (b"x", f"{number}")
        for _ in range(5):
            slowing.fail(pair)
        for _ in range(8):
            try:
                places.append(slowing.join(pair, is_known=False))
            except TooManyAttempts:
                refused.append(number)
    assert (len(places), len(refused), refused[0]) == (1024, 576, 128)
    assert len(slowing._lines) == 128
    for place in places:
        place.leave()
    assert (slowing._lines, slowing._waiting) == ({}, 0)


def test_who_leaves_while_they_wait_gives_the_turn_to_the_next():
    """As when a server ends: nobody waits for who is gone."""

    async def work():
        asleep, forever = asyncio.Event(), asyncio.Event()

        async def sleep(seconds):
            asleep.set()
            await forever.wait()

        slowing = Slowing(lambda: 0.0, sleep)
        for _ in range(5):
            slowing.fail(PAIR)

        async def attempt(place):
            async with place:
                return "in"

        first, second = (asyncio.create_task(attempt(slowing.join(PAIR, is_known=False))) for _ in range(2))  # fmt: skip
        await asleep.wait()
        first.cancel()
        await asyncio.wait([first])
        forever.set()
        return await second

    assert run(work()) == "in"


def test_an_attempt_that_is_known_never_waits():
    """Whatever failed before."""

    async def sleep(seconds):
        raise AssertionError("it waited")

    async def work():
        slowing = Slowing(lambda: 0.0, sleep)
        for _ in range(50):
            slowing.fail(PAIR)
        places = [slowing.join(PAIR, is_known=True) for _ in range(100)]
        for place in places:
            async with place:
                pass
            place.leave()
        return slowing._lines

    assert run(work()) == {}


def test_who_gets_in_is_forgiven():
    """The failures of the pair, and of no other."""
    slowing, other = Slowing(lambda: 0.0, asyncio.sleep), Pair(b"y", PAIR.network)
    for pair in (PAIR, other):
        slowing.fail(pair)
    slowing.forgive(PAIR)
    slowing.forgive(PAIR)
    assert (slowing.failures(PAIR), slowing.failures(other)) == (0, 1)
