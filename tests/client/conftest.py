"""A scripted server, a client for it, and a way to take steps with a clock that is not real."""

import asyncio
import threading

import pytest
from scripted import PATIENCE, ScriptedServer, environment, reply

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.client import ConfigClient
from pyconfserve.client.steps import Emit, Patience, Send, Wait, Warn, Work
from pyconfserve.errors import ExchangeError
from pyconfserve.http.listener import Listener
from pyconfserve.http.messages import Response
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer


@pytest.fixture
def server():
    """A server that answers `{"a": 1}` until it is told otherwise."""
    server = ScriptedServer(reply(environment({"a": 1})))
    yield server
    server.stop()


@pytest.fixture
def client(server):
    """`client(…)` is a ConfigClient for the scripted server that never tries again."""

    def make(**options):
        given = {"url": server.url, "application": "orders", "retries": 0, "timeout": PATIENCE}  # fmt: skip
        return ConfigClient(**{**given, **options})

    return make


@pytest.fixture
def run():
    """`run(coroutine)` gives its result, and fails rather than waits for ever."""
    return lambda coroutine: asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


class Taken:
    """What became of steps: `sent`, `waits`, `warnings`, `emitted`, and an `error`."""

    def __init__(self):
        self.sent, self.waits, self.warnings, self.emitted = [], [], [], []
        self.times, self.error, self.time = [], None, 0.0


class Stepper:
    """Takes steps by a clock of its own.

    An answer is a Response, an ExchangeError, or a pair of one and the seconds it takes.
    """

    def __init__(self):
        self.taken = Taken()
        self.epoch = 1_800_000_000.0

    def patience(self, timeout=10.0, retries=3, poll_interval=30.0, chance=1.0):
        clock = self.taken
        return Patience(
            timeout,
            retries,
            poll_interval,
            lambda: clock.time,
            lambda: self.epoch + clock.time,
            lambda: chance,
        )

    def take(self, steps, answers, emissions=1):
        """Take *steps* until so many emissions, an error, or the end of the answers."""
        taken, answers = self.taken, iter(answers)
        try:
            step = next(steps)
            while True:
                step = self._perform(steps, step, answers)
                if len(taken.emitted) >= emissions:
                    break
        except (StopIteration, EndOfAnswers):
            pass
        except Exception as error:
            taken.error = error
        steps.close()
        return taken

    def _perform(self, steps, step, answers):
        taken = self.taken
        if isinstance(step, Send):
            taken.sent.append(step)
            taken.times.append(taken.time)
            try:
                answer = next(answers)
            except StopIteration:
                raise EndOfAnswers from None
            seconds = 0.01
            if isinstance(answer, tuple) and not isinstance(answer, Response):
                answer, seconds = answer
            taken.time += min(seconds, step.timeout)
            if callable(answer):
                answer = answer(step)
            if isinstance(answer, ExchangeError):
                return steps.throw(answer)
            return steps.send(answer)
        if isinstance(step, Wait):
            taken.waits.append(step.seconds)
            taken.time += step.seconds
        elif isinstance(step, Warn):
            taken.warnings.append(step.text)
        elif isinstance(step, Emit):
            taken.emitted.append(step.value)
        else:
            assert isinstance(step, Work)
            try:
                result = step.call()
            except Exception as error:
                return steps.throw(error)
            return steps.send(result)
        return steps.send(None)


class EndOfAnswers(Exception):
    """A test has no answer left to give."""


@pytest.fixture
def stepper():
    """Takes steps without sockets, threads or time."""
    return Stepper()


@pytest.fixture
def leftover_threads():
    """Fails a test that leaves a thread of ours behind."""
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert "pyconfserve-follow" not in names


class Ours:
    """Our own server on a free port, in a thread; `save` changes what it serves."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = ConfigServer(InMemoryConfigBackend())
        self._listener = self._run(self._listen())
        self.url = "http://{}:{}".format(*self._run(self._listener.start("127.0.0.1", 0)))  # fmt: skip

    async def _listen(self):
        return Listener(Routes(self._server))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def save(self, properties, profile="default"):
        self._run(self._server.save("orders", profile, properties))

    def stop(self):
        self._run(self._listener.close())
        self._run(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


@pytest.fixture
def ours():
    """Our own server, with `{"a": 1}` for orders/default."""
    ours = Ours()
    ours.save({"a": 1})
    yield ours
    ours.stop()
