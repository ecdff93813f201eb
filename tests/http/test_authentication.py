"""authentication: who gets in, what it costs, and what those who guess can learn."""

import asyncio
import base64
import gc
import os
import sys
import threading
import time

import pytest

from pyconfserve.errors import TooManyAttempts, Unauthenticated
from pyconfserve.http.authentication import Authentication
from pyconfserve.http.passwords import PasswordHash, hash_password, hash_token
from pyconfserve.http.users import User, Users

PATIENCE = 10  # seconds for what takes a fraction of one
READ = frozenset({"read"})
REFUSED = "these are no user's name and password, nor a token"
HERE, THERE = "192.0.2.1", "192.0.2.2"


def basic(name="orders", password="s3cret", scheme="Basic "):
    """The header of a name and a password."""
    return scheme + base64.b64encode(f"{name}:{password}".encode()).decode()


def encoded(data):
    return "Basic " + base64.b64encode(data).decode()


def cheap(password="s3cret"):
    """A hash of it that takes microseconds."""
    return PasswordHash.parse(hash_password(password, cost=1))


def users_of(*users, tokens=()):
    """Users by their names, and by tokens with theirs."""
    by_name = {user.name: user for user in users}
    by_token = {
        hash_token(token).removeprefix("sha256$"): by_name[name]
        for token, name in tokens
    }
    return Users(by_name, by_token)


ORDERS = User("orders", READ, secret=cheap())
BILLING = User("billing", READ, ("billing",), secret=cheap("pässwörd: ☃"))
ROBOT = User("robot", READ)
USERS = users_of(ORDERS, BILLING, ROBOT, tokens=[("t0ken-_.~+/=", "robot")])


class Held:
    """A secret that `s3cret` fits, whose check waits until it is let go."""

    price = (1, 1, 1)

    def __init__(self, right="s3cret"):
        self.right = right
        self.free = threading.Event()
        self.checked = []  # in the order of the checks
        self.together = self.most = 0
        self.lock = threading.Lock()

    def fits(self, password):
        with self.lock:
            self.checked.append(password)
            self.together += 1
            self.most = max(self.most, self.together)
        assert self.free.wait(PATIENCE)
        with self.lock:
            self.together -= 1
        return password == self.right

    def dummy(self):
        return self


class Gate:
    """An Authentication with a clock and users that are set by hand.

    `sleeps` are the waits that it was asked for; they take no time.
    """

    def __init__(self, users=USERS):
        self.users, self.now, self.sleeps = users, 1000.0, []
        self.authentication = Authentication(
            lambda: self.users, clock=lambda: self.now, sleep=self.sleep
        )
        self.remembered = self.authentication.remembered

    async def sleep(self, seconds):
        self.sleeps.append(seconds)
        await asyncio.sleep(0)

    async def ask(self, authorization, source=HERE):
        """The user, or what kept them out: a message, or the seconds until later."""
        try:
            return await self.authentication.verify(authorization, source)
        except Unauthenticated as error:
            return str(error)
        except TooManyAttempts as error:
            return error.retry_after

    async def fail(self, times, name="orders", source=HERE):
        """Fail with a password that is another each time."""
        for number in range(times):
            wrong = basic(name, f"wrong {number}")
            assert await self.ask(wrong, source) == REFUSED


def run(work):
    """What a coroutine gives, within a time."""

    async def limited():
        return await asyncio.wait_for(work, PATIENCE)

    return asyncio.run(limited())


async def until(condition):
    """Return when threads and tasks have made *condition* true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.001)


# who gets in


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (basic(), ORDERS),
        (basic(scheme="basic "), ORDERS),
        (basic(scheme="BASIC   "), ORDERS),
        (basic("billing", "pässwörd: ☃"), BILLING),
        (basic("billing", "pa\u0308sswo\u0308rd: ☃"), BILLING),
        ("Bearer t0ken-_.~+/=", ROBOT),
        ("bearer  t0ken-_.~+/=", ROBOT),
    ],
    ids=ascii,
)
def test_who_is_right_gets_in(authorization, expected):
    """And is remembered."""
    gate = Gate()
    assert expected is run(gate.ask(authorization))
    assert expected is gate.remembered(authorization)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(basic(password="wrong"), id="wrong password"),
        pytest.param(basic(password="s3cret "), id="a blank more"),
        pytest.param(basic(password="s3cret\0"), id="NUL at the end"),
        pytest.param(basic("orders\0", "s3cret"), id="NUL in the name"),
        pytest.param(basic(password="s3cret\n"), id="a line end"),
        pytest.param(basic(password="s3cre"), id="a letter less"),
        pytest.param(basic(password="S3CRET"), id="upper case"),
        pytest.param(basic(password=""), id="no password"),
        pytest.param(basic(name=""), id="no name"),
        pytest.param(basic("ORDERS"), id="upper-case name"),
        pytest.param(basic("nobody"), id="unknown name"),
        pytest.param(basic("billing"), id="another's password"),
        pytest.param(basic("robot", "t0ken-_.~+/="), id="a token as password"),
        pytest.param(basic("robot", ""), id="a name of a token"),
        pytest.param(basic(password=str(ORDERS.secret)), id="the hash"),
        pytest.param("", id="nothing"),
        pytest.param("Basic", id="scheme alone"),
        pytest.param("Basic ", id="scheme and blank"),
        pytest.param(encoded(b""), id="empty"),
        pytest.param(encoded(b":"), id="colon"),
        pytest.param(encoded(b"orders"), id="no colon"),
        pytest.param(encoded(b"orders:\xff\xfe"), id="no UTF-8"),
        pytest.param(encoded("orders:s3cret".encode("utf-16")), id="UTF-16"),
        pytest.param(encoded(b"orders:\xed\xa0\x80"), id="half a character"),
        pytest.param("Basic orders:s3cret", id="not encoded"),
        pytest.param("orders:s3cret", id="neither scheme nor encoding"),
        pytest.param("\0orders:s3cret", id="as it is kept"),
        pytest.param(basic().rstrip("="), id="no padding"),
        pytest.param(basic() + "====", id="more padding"),
        pytest.param(basic().replace("b3", "b\n3"), id="a line end in base64"),
        pytest.param(basic() + "!!", id="not base64"),
        pytest.param(basic() + " ", id="a blank at the end"),
        pytest.param(" " + basic(), id="a blank in front"),
        pytest.param(basic(scheme="Basic\t"), id="a tab"),
        pytest.param(basic(scheme="Digest "), id="another scheme"),
        pytest.param(basic(scheme="BasicBasic "), id="no scheme"),
        pytest.param(f"{basic()}, {basic()}", id="two headers"),
        pytest.param(f"{basic()}, Bearer t0ken-_.~+/=", id="two schemes"),
        pytest.param(f"Bearer x, {basic()}", id="the right one second"),
        pytest.param("Bearer t0ken-_.~+/=, Bearer t0ken-_.~+/=", id="two tokens"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer t0ken", id="wrong token"),
        pytest.param("Bearer T0KEN-_.~+/=", id="upper-case token"),
        pytest.param("Bearer " + hash_token("t0ken-_.~+/=").removeprefix("sha256$"), id="the digest"),
        pytest.param("Token t0ken-_.~+/=", id="a token of another scheme"),
        pytest.param("Bearer é☃\udcff", id="characters that no header has"),
        pytest.param(basic(password="s3cret" + "\u0307" * 400), id="many marks"),
        pytest.param(encoded(b"orders:" + b"x" * 1018), id="1025 bytes"),
        pytest.param(basic(password="x" * 1_000_000), id="a megabyte"),
        pytest.param("Bearer " + "x" * 1_000_000, id="a megabyte of token"),
        pytest.param("basic " + " " * 1_000_000, id="a megabyte of blanks"),
    ],
)  # fmt: skip
def test_who_is_wrong_stays_out(authorization):
    """By the same words, whatever is wrong; and nothing of it is remembered."""
    gate = Gate()
    assert (run(gate.ask(authorization)), gate.remembered(authorization)) == (REFUSED, None)  # fmt: skip
    memory = gate.authentication._memory
    assert (memory._passwords, memory._tokens) == ({}, {})


def test_the_longest_credentials_are_checked():
    """Up to a KiB."""
    password = "x" * (1024 - len("orders:"))
    gate = Gate(users_of(user := User("orders", READ, secret=cheap(password))))
    assert user is run(gate.ask(basic(password=password)))


@pytest.mark.parametrize("sign", ["\0", "\t", "\n", "\x1f", "\x7f"], ids=ascii)
def test_control_characters_are_no_credentials(sign):
    """RFC 7617 §2, whatever a hash of them says; nothing is hashed for them."""
    user = User("orders", READ, secret=cheap(f"a{sign}b"))
    gate = Gate(users_of(user))
    assert run(gate.ask(basic(password=f"a{sign}b"))) == REFUSED
    assert gate.authentication._hashing._threads is None


def test_no_secret_is_kept():
    """Neither a password that was right nor one that was wrong, in any object of ours."""
    gate = Gate()

    async def work():
        for header in (basic(), basic(password="wr0ng"), "Bearer t0ken-_.~+/="):
            await gate.ask(header)
        await until(lambda: not gate.authentication._checks)

    run(work())
    texts = {text for text in _reachable(gate.authentication) if isinstance(text, str | bytes)}  # fmt: skip
    secrets = ["s3cret", "wr0ng", "t0ken", basic()[6:], basic(password="wr0ng")[6:]]
    texts = [text if isinstance(text, str) else text.decode("latin-1") for text in texts]  # fmt: skip
    assert [text for text in texts if any(secret in text for secret in secrets)] == []


def _reachable(start):
    """All objects that *start* holds, those of modules and classes left out."""
    seen, pending = {}, [start]
    while pending:
        found = pending.pop()
        if id(found) in seen or isinstance(found, type | type(sys)) or (callable(found) and not isinstance(found, Authentication)):  # fmt: skip
            continue
        seen[id(found)] = found
        pending += gc.get_referents(found)
    return seen.values()


# what is remembered


@pytest.mark.parametrize("authorization", [basic(), "Bearer t0ken-_.~+/="])
def test_what_was_right_is_remembered_for_a_minute(authorization):
    """From the check on, however often it is used meanwhile."""
    gate = Gate()
    assert gate.remembered(authorization) is None
    user = run(gate.ask(authorization))
    seen = []
    for now in (1000, 1030, 1059.9, 1060, 1061):
        gate.now = now
        seen.append(gate.remembered(authorization))
    assert [user, user, user, None, None] == seen


def test_another_spelling_needs_no_second_check():
    """One password is one entry, so that no user drives out the others."""
    secret = Held()
    secret.free.set()
    gate = Gate(users_of(User("orders", READ, secret=secret)))
    spellings = [basic(scheme=scheme) for scheme in ("Basic ", "basic ", "BASIC  ")]

    async def work():
        return [await gate.ask(spelling) for spelling in spellings]

    assert len(set(run(work()))) == 1
    assert secret.checked == ["s3cret"]
    assert len(gate.authentication._memory._passwords) == 2


@pytest.mark.parametrize("authorization", [basic(), "Bearer t0ken-_.~+/="])
def test_a_change_of_users_is_seen_at_once(authorization):
    """Who was removed is out, and who has fewer rights has fewer."""
    gate = Gate()
    run(gate.ask(authorization))
    gate.users = users_of(User("x", READ, secret=cheap()))
    assert gate.remembered(authorization) is None
    assert run(gate.ask(authorization)) == REFUSED
    less = [User(user.name, frozenset(), secret=user.secret) for user in (ORDERS, ROBOT)]  # fmt: skip
    gate.users = users_of(*less, tokens=[("t0ken-_.~+/=", "robot")])
    assert frozenset() == run(gate.ask(authorization)).rights


def test_what_is_remembered_is_bounded():
    """By the oldest that goes; tokens drive out no passwords."""
    names = [f"u{number}" for number in range(1500)]
    tokens = [(name, name) for name in names]
    gate = Gate(users_of(ORDERS, *(User(name, READ) for name in names), tokens=tokens))

    async def work():
        await gate.ask(basic())
        for name in names:
            for scheme in ("Bearer", "BEARER"):
                await gate.ask(f"{scheme} {name}")

    run(work())
    kept = [gate.remembered(f"BEARER {name}") is not None for name in names]
    assert kept == [False] * 476 + [True] * 1024
    assert gate.remembered(basic()) is ORDERS


def test_a_remembered_header_is_found_fast():
    """Each request asks: two microseconds, with room for a busy machine."""
    if sys.gettrace():
        pytest.skip("coverage counts lines meanwhile")
    gate = Gate()
    for header in (basic(), "Bearer t0ken-_.~+/="):
        run(gate.ask(header))
        best = min(_seconds(gate.remembered, header) for _ in range(300))
        assert best < 2e-6


def _seconds(work, argument):
    """What one of a few runs takes: few, so that some are not disturbed by others."""
    start = time.perf_counter()
    for _ in range(200):
        work(argument)
    return (time.perf_counter() - start) / 200


# users that change while a hash runs


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        pytest.param([], REFUSED, id="removed"),
        pytest.param([User("orders", READ, secret=cheap())], REFUSED, id="another password"),
        pytest.param([User("orders", READ)], REFUSED, id="no password"),
        pytest.param("fewer rights", "the new user", id="fewer rights"),
    ],
)  # fmt: skip
def test_users_may_change_while_a_password_is_checked(later, expected):
    """An old success is neither answered nor remembered."""
    secret = Held()
    gate = Gate(users_of(User("orders", READ, secret=secret)))
    if later == "fewer rights":
        later = [expected := User("orders", frozenset(), secret=secret)]

    async def work():
        asking = asyncio.create_task(gate.ask(basic()))
        await until(lambda: secret.checked)
        gate.users = users_of(*later, BILLING)
        secret.free.set()
        return await asking

    assert expected == run(work())
    assert (expected if isinstance(expected, User) else None) == gate.remembered(basic())  # fmt: skip


def test_a_user_that_comes_while_a_hash_runs_is_not_let_in_by_it():
    """It was a stand-in that was checked."""
    stand_in = Held()
    gate = Gate(users_of(User("x", READ, secret=stand_in)))

    async def work():
        asking = asyncio.create_task(gate.ask(basic()))
        await until(lambda: stand_in.checked)
        gate.users = users_of(ORDERS)
        stand_in.free.set()
        return await asking

    assert (run(work()), gate.remembered(basic())) == (REFUSED, None)


# one check for many


def test_many_with_the_same_password_share_one_check():
    """As after a restart of the server; in any spelling, from anywhere."""
    secret = Held()
    gate = Gate(users_of(user := User("orders", READ, secret=secret)))

    async def work():
        asking = [
            asyncio.create_task(
                gate.ask(basic(scheme=f"{scheme} "), f"192.0.2.{number}")
            )
            for number in range(50)
            for scheme in ("Basic", "basic")
        ]
        await until(lambda: secret.checked)
        secret.free.set()
        return await asyncio.gather(*asking)

    assert [user] * 100 == run(work())
    assert (secret.checked, gate.sleeps) == (["s3cret"], [])


def test_who_leaves_does_not_stop_the_check():
    """Neither the first who asked nor all of them; what was found is remembered."""
    secret = Held()
    gate = Gate(users_of(user := User("orders", READ, secret=secret)))

    async def work():
        asking = [asyncio.create_task(gate.ask(basic())) for _ in range(3)]
        await until(lambda: secret.checked)
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        asking[1].cancel()
        secret.free.set()
        found = await asking[2]
        gate.users, secret.free = users_of(user), threading.Event()
        alone = asyncio.create_task(gate.ask(basic()))
        await until(lambda: len(secret.checked) == 2)
        alone.cancel()
        await asyncio.wait([alone])
        secret.free.set()
        await until(lambda: not gate.authentication._checks)
        return asking[0].cancelled(), asking[1].cancelled(), found

    assert (True, True, user) == run(work())
    assert user is gate.remembered(basic())


def test_a_failure_counts_when_who_failed_has_left():
    """Else who hangs up could guess for nothing."""
    secret = Held()
    gate = Gate(users_of(User("orders", READ, secret=secret)))

    async def work():
        for number in range(5):
            asking = asyncio.create_task(gate.ask(basic(password=f"{number}")))
            await until(lambda number=number: len(secret.checked) > number)
            asking.cancel()
            secret.free.set()
            await until(lambda: not gate.authentication._checks)
            secret.free.clear()
        secret.free.set()
        return await gate.ask(basic())

    assert isinstance(run(work()), User)
    assert gate.sleeps == [0.25]


# hashing


def held_gate(*further):
    """A gate whose passwords are all checked by one Held, unknown names' as well."""
    secret = Held()
    return secret, Gate(users_of(User("orders", READ, secret=secret), *further))


async def flood(gate, count, source, name="{}"):
    """*count* attempts under way, of a name and a password each."""
    tasks = [
        asyncio.create_task(gate.ask(basic(name.format(number), f"{source} {number}"), source.format(number)))
        for number in range(count)
    ]  # fmt: skip
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def test_two_are_hashed_at_a_time_and_few_wait():
    """A flood from many sources costs two threads; 32 wait, and more are told to."""
    secret, gate = held_gate()

    async def work():
        first = await flood(gate, 2, "10.0.1.{}")
        await until(lambda: len(secret.checked) == 2)
        tasks = first + await flood(gate, 100, "10.0.0.{}")
        await until(lambda: sum(task.done() for task in tasks) == 68)
        early = {task.result() for task in tasks if task.done()}
        secret.free.set()
        return early, await asyncio.gather(*tasks)

    early, outcomes = run(work())
    assert {2} == early
    assert (outcomes.count(REFUSED), outcomes.count(2)) == (34, 68)
    assert (len(secret.checked), secret.most) == (34, 2)


def test_one_source_leaves_room_for_others():
    """It takes half of the queue, whatever names it sends."""
    secret, gate = held_gate()

    async def work():
        first = await flood(gate, 2, HERE)
        await until(lambda: len(secret.checked) == 2)
        tasks = first + await flood(gate, 100, HERE, "n{}")
        right = asyncio.create_task(gate.ask(basic(), THERE))
        await until(lambda: sum(task.done() for task in tasks) == 84)
        secret.free.set()
        return await right, await asyncio.gather(*tasks)

    user, outcomes = run(work())
    assert user.name == "orders"
    assert (outcomes.count(REFUSED), outcomes.count(2)) == (18, 84)


def test_passwords_that_were_right_before_are_bounded():
    """The one that was right last the longest time ago waits again."""
    gate = Gate(users_of(*(User(f"u{number}", READ, secret=ORDERS.secret) for number in range(4097))))  # fmt: skip

    async def work():
        for number in range(4097):
            await gate.ask(basic(f"u{number}"))
        gate.now += 61
        await gate.fail(5, "u0")
        await gate.fail(5, "u1")
        return [(await gate.ask(basic(f"u{number}"))).name for number in (1, 0)]

    assert (run(work()), gate.sleeps) == (["u1", "u0"], [0.25])


def test_a_password_that_was_right_before_goes_first():
    """And finds a place in a full queue: no flood keeps out who was in."""
    secret, gate = held_gate()
    secret.free.set()

    async def work():
        assert (await gate.ask(basic())).name == "orders"
        gate.now += 61
        secret.free.clear()
        tasks = await flood(gate, 2, "10.0.1.{}")
        await until(lambda: len(secret.checked) == 3)
        tasks += await flood(gate, 100, "10.0.0.{}")
        right = asyncio.create_task(gate.ask(basic(), "10.0.0.1"))
        await until(lambda: gate.authentication._hashing._known)
        secret.free.set()
        await asyncio.gather(*tasks)
        return (await right).name

    assert run(work()) == "orders"
    assert "s3cret" in secret.checked[3:5]


def test_another_password_than_before_has_no_such_right():
    """Once it was changed, the old one waits like any."""
    gate = Gate()

    async def work():
        await gate.ask(basic())
        gate.users = users_of(User("orders", READ, secret=cheap("new")))
        await gate.fail(5)
        return await gate.ask(basic())

    assert (run(work()), gate.sleeps) == (REFUSED, [0.25])


def test_a_change_of_other_users_leaves_it_that_right():
    """Else an edit of the file during a flood would throw everyone out."""
    gate = Gate()

    async def work():
        await gate.ask(basic())
        await gate.fail(9)
        gate.users = users_of(ORDERS, BILLING)
        return await gate.ask(basic())

    before = [0.25, 0.5, 1.0, 2.0]
    assert (ORDERS, before) == (run(work()), gate.sleeps)


def test_without_passwords_nothing_is_hashed():
    """A server of tokens alone is not slowed by those who send passwords."""
    gate = Gate(users_of(ROBOT, tokens=[("t", "robot")]))

    async def work():
        await gate.fail(20)

    run(work())
    assert (gate.authentication._hashing._threads, gate.sleeps) == (None, [])


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority on Linux")
def test_answers_go_first():
    """The threads that hash have a lower priority than the one that answers."""
    found = []

    class Noting(Held):
        def fits(self, password):
            thread = threading.get_native_id()
            found.append(os.getpriority(os.PRIO_PROCESS, thread))
            return True

    gate = Gate(users_of(User("orders", READ, secret=Noting())))
    run(gate.ask(basic()))
    assert [min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)] == found


# what guessing costs


@pytest.mark.parametrize("name", ["orders", "nobody", "robot", "\U0001f511"], ids=ascii)
def test_the_fifth_failure_slows_the_name_from_there(name):
    """The waits double up to two seconds; whether the name is known makes no odds."""
    gate = Gate()
    run(gate.fail(12, name))
    assert gate.sleeps == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0]


def test_the_right_password_is_slowed_and_gets_in():
    """And ends the slowness."""
    gate = Gate()

    async def work():
        await gate.fail(7)
        user = await gate.ask(basic())
        await gate.fail(5)
        return user

    assert (run(work()), gate.sleeps) == (ORDERS, [0.25, 0.5, 1.0])


@pytest.mark.parametrize(
    ("name", "source"), [("billing", HERE), ("orders", THERE), ("orders", "")], ids=str
)
def test_others_are_not_slowed(name, source):
    """Neither another name from the same source nor the name from elsewhere."""
    gate = Gate()

    async def work():
        await gate.fail(6)
        await gate.fail(5, name, source)

    run(work())
    assert gate.sleeps == [0.25]


def test_failures_are_forgotten_after_a_quarter_of_an_hour():
    """Of peace: each new one makes it begin anew."""
    gate = Gate()

    async def work():
        await gate.fail(5)
        gate.now += 899
        await gate.fail(1)
        gate.now += 899
        await gate.fail(1)
        gate.now += 900
        await gate.fail(5)

    run(work())
    assert gate.sleeps == [0.25, 0.5]


def test_who_sends_a_hundred_at_once_waits_too():
    """Five are checked at once, eight wait, and the rest is told when to come again."""
    gate = Gate()

    async def work():
        return await asyncio.gather(
            *(gate.ask(basic(password=f"{number}")) for number in range(100))
        )

    outcomes = run(work())
    assert outcomes == [REFUSED] * 13 + [2] * 87
    assert (len(gate.sleeps), gate.sleeps[0], gate.sleeps[-1]) == (8, 0.25, 2.0)
    assert gate.sleeps == sorted(gate.sleeps)


def test_those_who_wait_are_checked_one_at_a_time():
    """Each after the one before it has failed."""
    secret, gate = held_gate()
    secret.free.set()

    async def work():
        await gate.fail(8)
        secret.free.clear()
        secret.most = 0
        tasks = await flood(gate, 8, HERE, "orders")
        await until(lambda: len(secret.checked) == 9)
        assert len(gate.sleeps) == 4
        too_many = await gate.ask(basic(password="one more"))
        from_elsewhere = asyncio.create_task(gate.ask(basic(), THERE))
        await until(lambda: len(secret.checked) == 10)
        secret.free.set()
        return too_many, await asyncio.gather(*tasks), (await from_elsewhere).name

    assert run(work()) == (16, [REFUSED] * 8, "orders")
    assert secret.most == 2  # one of them, and the one from elsewhere
    assert gate.sleeps == [0.25, 0.5, 1.0] + [2.0] * 8


def test_the_same_wrong_password_takes_one_place():
    """A program that was not told the new password keeps no one else out."""
    secret, gate = held_gate()
    secret.free.set()

    async def work():
        await gate.fail(5)
        secret.free.clear()
        old = [asyncio.create_task(gate.ask(basic(password="old"))) for _ in range(50)]
        await until(lambda: len(secret.checked) == 6)
        new = asyncio.create_task(gate.ask(basic()))
        await asyncio.sleep(0)
        secret.free.set()
        return (await new).name, await asyncio.gather(*old)

    assert run(work()) == ("orders", [REFUSED] * 50)
    assert gate.sleeps == [0.25, 0.5]


def test_nothing_is_left_of_attempts_that_are_over():
    """Whether they failed, got in, had no place or were left."""
    secret, gate = held_gate()

    async def work():
        tasks = await flood(gate, 200, HERE, "orders")
        tasks += await flood(gate, 100, THERE)
        tasks.append(asyncio.create_task(gate.ask(basic())))
        await until(lambda: len(secret.checked) == 2)
        for task in tasks[::2]:
            task.cancel()
        secret.free.set()
        await asyncio.wait(tasks)
        await until(lambda: not gate.authentication._checks)

    run(work())
    slowing, hashing = gate.authentication._slowing, gate.authentication._hashing
    assert (slowing._lines, slowing._waiting, dict(hashing._of_network)) == ({}, 0, {})
    assert (len(hashing._known), len(hashing._others)) == (0, 0)


def test_attempts_that_are_refused_leave_no_trace():
    """Only a hash buys a row of the table: refusals drive out none."""
    secret, gate = held_gate()

    async def work():
        tasks = await flood(gate, 1000, "10.0.0.1")
        await until(lambda: sum(task.done() for task in tasks) >= 980)
        assert len(gate.authentication._slowing._failures) == 0
        secret.free.set()
        await asyncio.gather(*tasks)

    run(work())
    assert len(gate.authentication._slowing._failures) == len(secret.checked) <= 20


def test_an_unknown_name_costs_what_a_known_one_costs():
    """Each cost of the users' hashes stands in for as many names as it has users."""

    class Priced(Held):
        def __init__(self, price):
            super().__init__()
            self.price = price
            self.free.set()

        def dummy(self):
            return self

    dear, plain = Priced((18, 8, 1)), Priced((15, 8, 1))
    users = [User("dear", READ, secret=dear)]
    users += [User(f"u{number}", READ, secret=plain) for number in range(3)]
    gate = Gate(users_of(*users))

    async def work():
        for number in range(400):
            await gate.ask(basic(f"unknown{number}"))

    run(work())
    assert len(dear.checked) + len(plain.checked) == 400
    assert 60 < len(dear.checked) < 140
    again = len(dear.checked)
    run(work())
    assert 2 * again == len(dear.checked)
