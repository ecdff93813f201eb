"""Bounds: what many ask for, and what never answers, takes neither memory nor places.

PYCONFSERVE_BOUNDS=1000000 asks for a million names of each store.
"""

import asyncio
import gc
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from hanging import HangingBackend, HangingTree

from pyconfserve.backend import InMemoryConfigBackend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.environment.rendering import V2_JSON
from pyconfserve.files import DictTree
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

NAMES = int(os.environ.get("PYCONFSERVE_BOUNDS", "4000"))  # of each of five stores
SOON = 15  # seconds in which what should happen does
FLAT = 150_000  # blocks of memory, some 10 MB, that may come and go
BUSY = "too many requests wait for this application"
LATE = "the store did not answer in time"


def run(scenario):
    """Run a coroutine function to its end, which comes soon."""

    async def in_time():
        async with asyncio.timeout(2 * SOON):
            return await scenario()

    return asyncio.run(in_time())


def message(response):
    """What an error says."""
    return json.loads(response.body)["message"]


def values(response):
    """The properties of the first source of an answer."""
    return json.loads(response.body)["propertySources"][0]["source"]


# A million names


def folder(tmp_path):
    """A folder with a bundle and a file for all."""
    (tmp_path / "orders-prod.json").write_text('{"a": 1}')
    (tmp_path / "application.json").write_text('{"b": 1}')
    # Stamps are believed for so long that none is forgotten for its age.
    return FilesystemConfigBackend(tmp_path, refresh_interval=3600)


def git(tmp_path):
    """A repository with the same files."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from pyconfserve.adapters.git import GitConfigBackend

    folder(tmp_path)
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=no"]
    for arguments in (["init", "-b", "main"], ["add", "."], ["commit", "-m", "a"]):
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        subprocess.run(command, check=True, capture_output=True)
    return GitConfigBackend(f"file://{tmp_path}", clone_dir=f"{tmp_path}-clone")


def memory(tmp_path):
    """A dict."""
    return InMemoryConfigBackend()


STORES = {
    "folder": (folder, OWN),
    "folder-spring": (folder, SPRING),
    "git": (git, OWN),
    "git-spring": (git, SPRING),
    "memory": (memory, OWN),
}


def asked(number):
    """The requests for one name, in one of the forms that there are."""
    name, form = f"app-{number}", number % 6
    path = (
        f"/{name}/prod",
        f"/orders/{name}",
        f"/orders/prod/{name}",
        f"/{name}-prod.properties",
        f"/{name}/prod/main/{name}.txt",
        f"/orders,{name}/prod,{name}",
    )[form]
    headers = {"accept": V2_JSON} if number % 5 == 0 else {}
    return Request("GET", path, f"q={number}" if number % 7 == 0 else "", headers)


def blocks():
    """The pieces of memory that Python holds."""
    gc.collect()
    return sys.getallocatedblocks()


def resident():
    """The bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def shrink(monkeypatch, routes):
    """Make the caches so small that what is left of them is not what is looked for."""
    monkeypatch.setattr("pyconfserve.http.targets._MOST", 100)
    monkeypatch.setattr("pyconfserve.folder._MOST_STAMPS", 100)
    monkeypatch.setattr("pyconfserve.readings._met._limit", 20_000)
    monkeypatch.setattr(routes._answers, "_limit", 100 * 4096)


@pytest.mark.parametrize("store", STORES)
def test_names_that_nobody_has_leave_nothing(store, tmp_path, monkeypatch):
    """The second half of them takes no more memory than the first, in any form."""
    make, dialect = STORES[store]
    server = ConfigServer(make(tmp_path), dialect=dialect)
    routes = Routes(server)
    shrink(monkeypatch, routes)

    async def ask(numbers):
        counts = Counter()
        for number in numbers:
            request = asked(number)
            response = routes.ready(request) or await routes.handle(request)
            counts[response.status] += 1
            again = routes.ready(request)  # what is kept may be looked at
            counts[again.status if again else None] += 1
        return counts

    async def scenario():
        await ask(range(0, NAMES // 2))
        before, rss = blocks(), resident()
        counts = await ask(range(NAMES // 2, NAMES))
        grown = blocks() - before, resident() - rss
        await server.close()
        return counts, grown

    counts, grown = asyncio.run(scenario())
    assert set(counts) <= {200, 404, None}, counts
    assert counts[404] > NAMES // 20
    assert grown[0] < max(2_000, NAMES // 100), grown
    if NAMES >= 200_000:
        assert grown[1] < 32 * 1024 * 1024, grown


# What hangs


def hanging_folder():
    """A folder's backend, which reads in threads."""
    files = {
        f"{name}.json": b'{"a": "%s"}' % name.encode() for name in ("slow", "fast")
    }
    files |= {f"app{number}.json": b'{"a": %d}' % number for number in range(50)}
    tree = HangingTree(files)
    return FilesystemConfigBackend(tree), tree.go_on


def hanging_tasks():
    """A backend of three methods, which waits in tasks."""
    files = {name: {"a": name} for name in ("slow", "fast")}
    files |= {f"app{number}": {"a": number} for number in range(50)}
    backend = HangingBackend(files)
    return backend, backend.go_on


def hanging_member():
    """A folder that hangs and one that does not, as one backend."""
    hung, go_on = hanging_folder()
    healthy = FilesystemConfigBackend(DictTree({"fast.json": b"{}"}))
    return CompositeConfigBackend([hung, healthy]), go_on


@pytest.mark.parametrize(
    "make",
    [hanging_folder, hanging_tasks, hanging_member],
    ids=["threads", "tasks", "composite"],
)
def test_an_application_that_hangs_slows_no_other(make):
    """A thousand ask for it: each gets 504 in time or 503 at once, and others get their
    answers, cold ones too; once it goes on, so does all.
    """

    async def ask(routes, path):
        began = time.monotonic()
        response = await routes.handle(Request("GET", path))
        return response, time.monotonic() - began

    async def scenario():
        backend, go_on = make()
        routes = Routes(ConfigServer(backend, timeout=1.0))
        await routes.handle(Request("GET", "/fast/default"))
        threads, before = threading.active_count(), blocks()
        slow = [
            asyncio.ensure_future(ask(routes, f"/slow{other}/p{number}"))
            for number in range(500)
            for other in ("", ",fast")
        ]
        await asyncio.sleep(0.1)  # until they are all under way
        fast = []
        for number in range(50):
            fast.append(await ask(routes, "/fast/default"))
            fast.append(await ask(routes, f"/app{number}/default"))
        assert not any(task.done() and task.result()[0].status == 504 for task in slow)
        assert threading.active_count() - threads <= 64
        ends = Counter()
        for response, seconds in await asyncio.gather(*slow):
            ends[response.status, message(response)] += 1
            assert seconds < 5
        late = await asyncio.gather(
            *(ask(routes, f"/slow/q{number}") for number in range(50))
        )
        assert blocks() - before < FLAT
        go_on.set()
        await recovered(routes)
        return fast, ends, late

    async def recovered(routes):
        while True:
            response, _ = await ask(routes, "/slow/default")
            if response.status == 200:
                break
            await asyncio.sleep(0.01)
        assert values(response) == {"a": "slow"}

    fast, ends, late = run(scenario)
    assert [response.status for response, _ in fast] == [200] * 100
    expected = [{"a": "fast"}, *({"a": number} for number in range(50))]
    assert expected == [values(fast[0][0]), *(values(one) for one, _ in fast[1::2])]
    assert max(seconds for _, seconds in fast) < 0.5  # of the second that slow ones had
    assert ends[504, LATE] + ends[503, BUSY] == 1000
    assert 16 <= ends[504, LATE] <= 256
    # Threads that hang are not given up for: no more is begun. Tasks ended with theirs.
    statuses = {response.status for response, _ in late}
    assert statuses == ({504} if make is hanging_tasks else {503})


def test_a_store_that_hangs_holds_up_no_other():
    """Each has threads of its own, saves have theirs, and health answers."""

    async def scenario():
        hung, _ = hung_backend = hanging_folder()
        healthy = FilesystemConfigBackend(DictTree({"fast.json": b'{"a": 1}'}))
        loop_threads = [asyncio.ensure_future(asyncio.to_thread(int, "1"))]
        both = Routes(ConfigServer(hung, timeout=0.2)), Routes(ConfigServer(healthy))
        slow = [
            asyncio.ensure_future(both[0].handle(Request("GET", f"/slow/p{number}")))
            for number in range(300)
        ]
        await asyncio.sleep(0)
        saved = await both[0].handle(Request("POST", "/new/prod", body=b'{"a": 2}'))
        found = await both[1].handle(Request("GET", "/fast/default"))
        health = await both[0].handle(Request("GET", "/health"))
        assert await asyncio.gather(*loop_threads) == [1]
        await asyncio.gather(*slow)
        hung_backend[1].set()
        return saved.status, found.status, values(found), health.status

    assert run(scenario) == (200, 200, {"a": 1}, 200)


# Many at once


def test_a_thousand_who_ask_at_once_cause_one_read(tmp_path):
    """Whatever form they ask in; nobody gets an error, and all get the same."""

    class Counting(DictTree):
        def __init__(self, files):
            super().__init__(files)
            self.reads = Counter()

        def read(self, path, limit=1 << 20):
            self.reads[path] += 1
            return super().read(path, limit)

    tree = Counting(
        {"orders-prod.json": b'{"a": 1}', "application.json": b"{}", "a.txt": b"a"}
    )
    routes = Routes(ConfigServer(FilesystemConfigBackend(tree)))
    forms = [
        Request("GET", "/orders/prod"),
        Request("GET", "/orders/prod", headers={"accept": V2_JSON}),
        Request("GET", "/orders-prod.properties"),
        Request("GET", "/orders/prod/main/a.txt"),
    ]

    async def scenario():
        requests = itertools.islice(itertools.cycle(forms), 1000)
        return await asyncio.gather(*(routes.handle(request) for request in requests))

    responses = run(scenario)
    assert [response.status for response in responses] == [200] * 1000
    assert len({response.body for response in responses}) == 4
    assert tree.reads.pop("a.txt") == 1
    # The two JSON forms share one; that of a file has a label of its own.
    assert set(tree.reads.values()) == {1}, tree.reads


# Never another's answer

NAMES_ALIKE = [
    "a",
    "b",
    "A",
    "a,b",
    "b,a",
    "a,a",
    "a-b",
    "a(_)b",
    "a.b",
    "ab",
    "application",
]
PROFILES_ALIKE = ["default", "p", "P", "p,q", "q,p", "p,p", "p-q", "p.q"]
LABELS_ALIKE = [None, "main", "Main", "x", "x,main", "main,x", "a(_)b", "a-b"]


def contents():
    """A tree in which each file says where it is."""
    names = {
        name for item in NAMES_ALIKE for name in item.split(",") if "(" not in name
    }
    profiles = {name for item in PROFILES_ALIKE for name in item.split(",")}
    labels = ["", "main/", "Main/", "x/", "a-b/", "a/b/"]
    paths = [
        f"{label}{name}-{profile}.json"
        for label in labels
        for name in names
        for profile in profiles
    ]
    return {path: json.dumps({"from": path}).encode() for path in paths}


def random_request(chance):
    """One of some thousand that are told apart by little."""
    application, profile = chance.choice(NAMES_ALIKE), chance.choice(PROFILES_ALIKE)
    label = chance.choice(LABELS_ALIKE)
    place = "" if label is None else f"/{label}"
    path = chance.choice(
        [
            f"/{application}/{profile}{place}",
            f"{place}/{application}-{profile}.properties",
            f"{place}/{application}-{profile}.json",
        ]
    )
    query = chance.choice(["", "", "resolvePlaceholders=false", "useDefaultLabel"])
    accept = chance.choice([{}, {"accept": "*/*"}, {"accept": V2_JSON}])
    return Request("GET", path, query, accept)


@pytest.mark.parametrize("dialect", [OWN, SPRING], ids=lambda dialect: dialect.name)
def test_an_answer_is_never_anothers(dialect):
    """From a cache that thousands of like requests have filled, each gets what a server
    that has never answered gives.
    """
    files = contents()
    if dialect is SPRING:
        files = {
            path.replace(".json", ".properties"): f"from={path}".encode()
            for path in files
        }
    backend = FilesystemConfigBackend(DictTree(files))
    routes = Routes(ConfigServer(backend, dialect=dialect))
    chance = random.Random(7)

    async def scenario():
        for _ in range(500):
            request = random_request(chance)
            found = routes.ready(request) or await routes.handle(request)
            fresh = Routes(ConfigServer(backend, dialect=dialect))
            assert found == await fresh.handle(request), request
            if found.status == 200 and request.path.endswith(("/p", "/P")):
                assert json.loads(found.body)["name"] == request.path.split("/")[
                    1
                ].replace("(_)", "/")

    run(scenario)
