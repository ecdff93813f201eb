"""looks: what other processes moved is seen at once where it has to be."""

import asyncio
import threading

import pytest

from pyconfserve.adapters.git.looks import Looks
from pyconfserve.answers import Answers, answer_key
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.environment.rendering import JSON
from pyconfserve.saves import OwnSaves
from pyconfserve.server import ConfigServer

SOON = 10  # seconds in which what should happen does
ORDERS = make_lookup("orders")
KEY = answer_key(ORDERS, JSON)


def test_a_wish_is_due_until_a_look_begins_after_it():
    """One that was under way does not count."""
    begun, go_on, looks = threading.Semaphore(0), threading.Semaphore(0), []

    def look():
        begun.release()
        assert go_on.acquire(timeout=SOON)
        looks.append(1)

    wished = Looks(look)
    assert not wished.is_due
    wished.wish()
    assert begun.acquire(timeout=SOON)
    wished.wish()  # while the first look is under way
    go_on.release()
    while not looks:
        pass
    assert wished.is_due
    go_on.release()
    wished.take()
    assert (wished.is_due, len(looks)) == (False, 2)


def test_a_look_that_fails_is_not_due_any_more():
    """What is served then is what was known."""

    def fail():
        raise OSError("no")

    looks = Looks(fail)
    looks._wanted = 1
    with pytest.raises(OSError, match="no"):
        looks.take()
    assert not looks.is_due


@pytest.mark.parametrize("is_composite", [False, True], ids=["git", "composite"])
def test_a_save_by_another_server_shows_at_once(
    origin, make_backend, tmp_path, is_composite
):
    """Over one clone, without a fetch and before the refs are looked at for their age:
    kept answers, those that were never made, fetches and lists.
    """

    async def scenario():
        saves, clone = OwnSaves(), str(tmp_path / "clone")
        one, two = (make_backend(origin, "main", clone) for _ in range(2))
        await one.open()
        await two.open()
        two._repository._look_at = float("inf")  # only when it is told to look
        served = CompositeConfigBackend([two]) if is_composite else two
        saving = ConfigServer(one, saves=saves)
        answers = Answers(ConfigServer(served, saves=saves))
        for value in range(3):
            await saving.save("orders", "default", {"a": f"v{value}"})
            answer = await answers.get(ORDERS, JSON)
            assert f'"v{value}"' in answer.response.body.decode()
            assert answers.ready(KEY) is answer
            await saving.save("orders", f"p{value}", {"a": value})
            assert answers.ready(KEY) is None
            other = await answers.get(make_lookup("orders", f"p{value}"), JSON)
            assert f'"orders-p{value}"' in other.response.body.decode()
        await saving.save("orders", "last", {"a": 1})
        server = ConfigServer(served, saves=saves)
        names = [bundle["profile"] for bundle in await server.list()]
        assert names == ["default", "last", "p0", "p1", "p2"]

    asyncio.run(scenario())
