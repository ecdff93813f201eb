"""drivers: both take the same steps to the same end, and close what they are given."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from scripted import PATIENCE, hang, reply

from pyconfserve.client.drivers import drive, drive_async, exchanged, through
from pyconfserve.client.steps import Emit, Send, Wait, Warn, Work
from pyconfserve.errors import ExchangeError
from pyconfserve.http.dialing import Line
from pyconfserve.http.exchange import Exchange
from pyconfserve.http.messages import Request


def get(url, path="/orders/prod"):
    return Send(url, Request("GET", path, "x=1", {"x-own": "1"}), PATIENCE)


class Log(list):
    """What steps were sent back; `is_closed` when they were closed."""

    is_closed = False

    def steps(self, *steps):
        try:
            for step in steps:
                try:
                    self.append((yield step))
                except (ExchangeError, OSError) as error:
                    self.append(error)
        finally:
            self.is_closed = True


class Sleeps(list):
    """A sleep that takes no time."""

    def __call__(self, seconds):
        self.append(seconds)


async def all_of(steps, send):
    return [emitted async for emitted in drive_async(steps, send)]


def test_a_thread_takes_steps(server, caplog):
    """Results are sent back, and what is emitted is given."""
    log, sleeps = Log(), Sleeps()
    steps = log.steps(Emit(1), get(server.url), Wait(7.5), Warn("warned"), Work(lambda: 5), Emit(2))  # fmt: skip
    assert list(drive(steps, Exchange(), sleeps)) == [1, 2]
    assert (log[1].status, log[4], sleeps) == (200, 5, [7.5])
    assert [log[0], log[2], log[3], log[5]] == [None] * 4
    assert caplog.record_tuples == [("pyconfserve.client", 30, "warned")]
    assert log.is_closed


def test_a_loop_takes_the_same_steps(server, run, caplog):
    """In other threads, where they take time."""
    log = Log()
    steps = log.steps(Emit(1), get(server.url), Wait(0.0), Warn("warned"), Work(lambda: 5), Emit(2))  # fmt: skip
    assert run(all_of(steps, exchanged(Exchange()))) == [1, 2]
    assert (log[1].status, log[4], log.is_closed) == (200, 5, True)
    assert caplog.record_tuples == [("pyconfserve.client", 30, "warned")]
    (asked,) = server.asked
    assert (asked.target, asked.headers["x-own"]) == ("/orders/prod?x=1", "1")


def failing():
    raise OSError("no")


def test_errors_are_thrown_into_the_steps(server, run):
    """Of an exchange and of work; the steps go on."""
    server.stop()
    for take in ("thread", "loop"):
        log = Log()
        steps = log.steps(get(server.url), Work(failing), Emit(1))
        if take == "thread":
            assert list(drive(steps, Exchange(), Sleeps())) == [1]
        else:
            assert run(all_of(steps, exchanged(Exchange()))) == [1]
        assert [type(each) for each in log[:2]] == [ExchangeError, OSError]


def test_other_errors_end_them(run):
    """They are raised where the steps are taken."""

    def broken():
        yield Emit(1)
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        list(drive(broken(), Exchange(), Sleeps()))
    with pytest.raises(LookupError, match="broken"):
        run(all_of(broken(), exchanged(Exchange())))


def test_what_sleep_raises_ends_the_steps():
    """They are closed."""

    def stop(seconds):
        raise InterruptedError

    log = Log()
    with pytest.raises(InterruptedError):
        list(drive(log.steps(Wait(1)), Exchange(), stop))
    assert log.is_closed


def test_who_takes_the_first_only_closes_the_rest(run):
    """In a thread and on a loop."""

    async def first():
        emitted = drive_async(loop_log.steps(Emit(1), Emit(2)), exchanged(Exchange()))
        found = await anext(emitted)
        await emitted.aclose()
        return found

    log, loop_log = Log(), Log()
    with closing(drive(log.steps(Emit(1), Emit(2)), Exchange(), Sleeps())) as emitted:
        assert next(emitted) == 1
    assert run(first()) == 1
    assert (log.is_closed, loop_log.is_closed) == (True, True)


def test_a_line_ends_an_exchange(server):
    """And the steps, which do not take it for an outage."""
    server.play(hang(server))
    line, log = Line(), Log()
    threading.Thread(target=lambda: (server.wait_for(1), line.hang_up())).start()
    assert list(drive(log.steps(get(server.url)), Exchange(), Sleeps(), line)) == []
    assert (log, log.is_closed) == ([], True)


def test_cancelling_hangs_up(server, run):
    """The thread ends as well, and at once."""

    async def go():
        taking = asyncio.ensure_future(all_of(log.steps(get(server.url)), exchanged(Exchange())))  # fmt: skip
        await asyncio.to_thread(server.wait_for, 1)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    log = Log()
    server.play(hang(server))
    run(go())
    for thread in threading.enumerate():
        if thread.name == "pyconfserve-send":
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert log.is_closed


def test_exchanges_take_no_thread_of_the_loop(server, run):
    """Those are the application's: for names, for files, for to_thread."""

    async def go():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        sends = [asyncio.ensure_future(send(get(server.url))) for _ in range(5)]
        assert await loop.run_in_executor(None, lambda: server.wait_for(5)) is None
        for each in sends:
            each.cancel()
        return await asyncio.gather(*sends, return_exceptions=True)

    send = exchanged(Exchange())
    server.play(hang(server))
    assert [type(each) for each in run(go())] == [asyncio.CancelledError] * 5


def test_an_answer_for_a_loop_that_has_ended_is_dropped(server):
    """Nobody hears of it, and nothing is raised in its thread."""
    loop = asyncio.new_event_loop()
    server.play(lambda sock, asked: (closed.wait(PATIENCE), sock.sendall(reply({}))))
    closed = threading.Event()
    sending = loop.create_task(exchanged(Exchange())(get(server.url)))
    sending.add_done_callback(lambda _: None)
    loop.run_until_complete(asyncio.wait([sending], timeout=0.05))
    (thread,) = (each for each in threading.enumerate() if each.name == "pyconfserve-send")  # fmt: skip
    sending.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    closed.set()
    thread.join(PATIENCE)
    assert (thread.is_alive(), sending.cancelled() or sending.cancelling()) == (False, 1)  # fmt: skip


def test_work_is_waited_for_when_cancelled(run):
    """A lock that it takes is released by the steps, which end after it."""
    begun, ended = threading.Event(), threading.Event()

    def work():
        begun.set()
        assert ended.wait(PATIENCE)
        order.append("work")

    def steps():
        try:
            yield Work(work)
        finally:
            order.append("closed")

    async def go():
        taking = asyncio.ensure_future(all_of(steps(), exchanged(Exchange())))
        await asyncio.to_thread(begun.wait, PATIENCE)
        taking.cancel()
        await asyncio.sleep(0)
        ended.set()
        with pytest.raises(asyncio.CancelledError):
            await taking

    order = []
    run(go())
    assert order == ["work", "closed"]


class Answered:
    """An answer, as httpx has it as far as it is used."""

    def __init__(self, content):
        self.status_code, self.headers, self.content = 200, {"ETag": '"1"'}, content


class Answering:
    """Answers what it is told to, as httpx does."""

    def __init__(self, answer=None, error=None):
        self._answer, self._error = answer, error

    async def request(self, method, url, *, headers, timeout, follow_redirects):  # noqa: ASYNC109 - of httpx
        assert (method, follow_redirects) == ("GET", False)
        if self._error is not None:
            raise self._error
        if self._answer is None:
            await asyncio.Event().wait()
        return self._answer


@pytest.mark.parametrize(
    ("http_client", "problem"),
    [
        (Answering(error=OSError("canary")), "no answer (OSError)"),
        (Answering(error=TimeoutError("canary")), "no answer within 0.05 s"),
        (Answering(), "no answer within 0.05 s"),
        (Answering(Answered(b"x" * (1 << 24) + b"x")), "the answer is larger than 16777216 bytes"),
    ],
)  # fmt: skip
def test_what_a_client_of_another_kind_does_is_an_exchange_error(run, http_client, problem):  # fmt: skip
    """Whatever it raises, however long it takes."""
    log = Log()
    step = get("http://config")._replace(timeout=0.05)
    run(all_of(log.steps(step), through(http_client)))
    assert [str(error) for error in log] == [problem]
    assert isinstance(log[0], ExchangeError)


def test_a_client_of_another_kind_may_be_used(run):
    """One that has the request of httpx."""
    log = Log()
    run(all_of(log.steps(get("http://config")), through(Answering(Answered(b"x")))))
    assert log == [(200, (("ETag", '"1"'),), b"x")]
