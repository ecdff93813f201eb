"""A fleet: servers as processes over one store give the same answers soon after a change."""

import os
import threading
import time

import pytest
from fleet import Client, Fleet
from redis_server import RedisServer
from store_servers import EtcdServer

CHANGES = int(os.environ.get("PYCONFSERVE_TEST_CHANGES", "200"))  # 1000 take a minute
APPLICATIONS = ["orders", "shop", "users", "mail"]
STORES = ["sqlite", "etcd", "postgresql", "redis", "consul"]
PATH = "/_bundle/orders/default/main"
PATIENCE = 20  # seconds for what takes a fraction of one


@pytest.fixture
def url(request, tmp_path):
    """The address of an empty store of a kind."""
    kind = request.param
    if kind == "postgresql":
        pytest.importorskip("psycopg")
    if kind == "redis":
        pytest.importorskip("redis")
    if kind == "sqlite":
        return f"sqlite://{tmp_path}/cfg.db"
    return request.getfixturevalue(f"{kind}_url")


@pytest.fixture
def fleet(serve):
    """A function that starts three servers of what it is given."""
    return lambda *arguments: [serve(*arguments, "--port", "0") for _ in range(3)]


@pytest.mark.parametrize("url", STORES, indirect=True)
def test_all_see_every_change_soon_and_none_goes_back(fleet, url):
    """Hundreds of changes through all three, under readers and watchers of all three."""
    load = Fleet(fleet(url), APPLICATIONS, CHANGES)
    seconds = load.run()
    assert (load.errors, load.stale) == ([], [])
    assert load.last == load.finals
    print(f"\n{url[:6]}: {CHANGES} changes in {seconds:.1f} s, {load.reads} reads, median {load.median * 1000:.1f} ms")
    assert load.median < 0.1
    tags = []
    for serving in load.servers:
        with Client(serving) as client:
            tags.append([(client.value(name), client.headers["etag"]) for name in APPLICATIONS])
    assert tags[0] == tags[1] == tags[2]


@pytest.mark.parametrize("url", STORES, indirect=True)
def test_no_worker_goes_back_behind_another(serve, url):
    """Whoever asks one server over many connections sees nothing older after something newer."""
    writing, reading = serve(url, "--port", "0"), serve(url, "--port", "0", "--workers", "3")
    seen = []
    with Client(writing) as writer:
        for value in range(1, CHANGES // 4):
            assert writer.ask("POST", "/orders/default", {"value": value})[0] == 200
            while seen[-6:] != [value] * 6:
                with Client(reading) as reader:
                    seen.append(reader.value("orders"))
                assert seen == sorted(seen)


@pytest.mark.parametrize("url", STORES, indirect=True)
def test_guarded_changes_through_all_lose_none(fleet, url):
    """Who reads at one server and writes under If-Match at another is never wrong."""
    servers, tries = fleet(url), 12

    def count(number):
        for step in range(tries):
            with Client(servers[(number + step) % 3]) as reads, Client(servers[number]) as writes:
                while True:
                    status, tree = reads.ask("GET", PATH)
                    held = {"if_match": reads.headers["etag"]} if status == 200 else {"if_none_match": "*"}
                    value = tree["n"] + 1 if status == 200 else 1
                    if writes.ask("PUT", PATH, {"n": value}, **held)[0] in (200, 201):
                        break

    threads = [threading.Thread(target=count, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    found = []
    for serving in servers:
        with Client(serving) as client:
            found.append(client.ask("GET", PATH)[1])
    assert found == [{"n": 3 * tries}] * 3


@pytest.mark.parametrize("url", STORES, indirect=True)
def test_a_version_of_one_server_is_known_to_all(fleet, url):
    """Read-your-writes: who was told of a version may build on it anywhere at once."""
    servers = fleet(url)
    with Client(servers[0]) as one, Client(servers[1]) as two, Client(servers[2]) as three:
        for value in range(1, 20):
            assert one.ask("PUT", PATH, {"n": value})[0] in (200, 201)
            tag = one.headers["etag"]
            assert two.ask("PUT", PATH, {"n": -value}, if_match=tag)[0] == 200
            assert three.ask("GET", PATH)[1] == {"n": -value}
            assert three.ask("PUT", PATH, {"n": 0}, if_match=tag)[0] == 412


def test_a_store_that_is_away_leaves_the_last_good_state(fleet, tmp_path):
    """With its age in /health; a save is 503, and all goes on when the store is back."""
    with EtcdServer() as etcd:
        servers = fleet(etcd.url_of("away"))
        with Client(servers[0]) as one, Client(servers[1]) as two:
            one.ask("POST", "/orders/default", {"value": 1})
            assert two.ask("GET", "/_bundle/orders/default/main")[1] == {"value": 1}
            etcd.kill()
            status, document = two.ask("POST", "/orders/default", {"value": 2})
            assert (status, document["error"]) == (503, "Service Unavailable")
            assert [one.value("orders"), two.value("orders")] == [1, 1]
            status, health = two.ask("GET", "/health")
            assert (status, health["status"], "problem" in str(health)) == (200, "UP", True)
            etcd.start()
            assert two.ask("POST", "/orders/default", {"value": 3})[0] == 200
            assert two.value("orders") == 3
            tag = ""
            while one.value("orders") != 3:
                tag = one.headers["etag"]
                one.ask("GET", "/orders/default?wait=30", if_none_match=tag)


def test_a_replica_starts_from_its_snapshot(serve, run, tmp_path):
    """While the store is down; without one it does not start."""
    arguments = ["--port", "0", "--snapshot", str(tmp_path / "snapshot")]
    with EtcdServer() as etcd:
        url = etcd.url_of("snapshot")
        serving = serve(url, *arguments)
        with Client(serving) as client:
            client.ask("POST", "/orders/default", {"value": 1})
        assert serving.end(15)[0] == 0
        etcd.kill()
        again = serve(url, *arguments)
        with Client(again) as client:
            assert client.value("orders") == 1
            assert client.ask("POST", "/orders/default", {"value": 2})[0] == 503
        status, out, errors = run(url, "--port", "0")
        assert (status, out, "refused" in errors) == (1, "", True), errors


def test_an_optional_member_may_come_later(serve, folder, tmp_path):
    """Until then answers are made without it; saves go to it as soon as it is there."""
    (folder / "orders.json").write_text('{"value": 1}')
    with EtcdServer() as etcd:
        etcd.kill()
        (tmp_path / "settings.yml").write_text(
            "pyfly.config-server.backend:\n  type: composite\n  members:\n  - cfg\n"
            f"  - {{type: etcd, uri: '{etcd.url_of('later')}', required: false, writable: true}}\n"
        )
        serving = serve("--settings", "settings.yml", "--port", "0")
        with Client(serving) as client:
            assert client.value("orders") == 1
            assert client.ask("POST", "/orders/default", {"later": 2})[0] == 503
            etcd.start()
            assert client.ask("POST", "/orders/default", {"later": 2})[0] == 200
            tag = ""
            while True:
                document = client.ask("GET", "/orders/default?wait=5", if_none_match=tag)[1]
                if document and len(document["propertySources"]) == 2:
                    break
                tag = client.headers["etag"]
            assert [one["source"] for one in document["propertySources"]] == [{"value": 1}, {"later": 2}]
        errors = serving.end(15)[2]
        assert errors.count("going on without a member, StoreBackend") == 1


def test_an_optional_member_that_hangs_from_the_start_holds_nobody_up(serve, folder, tmp_path):
    """The start has ten seconds, each request a moment; it joins when it answers again."""
    pytest.importorskip("redis")
    (folder / "orders.json").write_text('{"value": 1}')
    with RedisServer() as redis:
        (tmp_path / "settings.yml").write_text(
            "pyfly.config-server.backend:\n  type: composite\n  members:\n  - cfg\n"
            f"  - {{type: redis, uri: '{redis.url_of()}', required: false}}\n"
        )
        redis.pause()
        began = time.monotonic()
        serving = serve("--settings", "settings.yml", "--port", "0")
        with Client(serving) as client:
            assert [client.value("orders") for _ in range(3)] == [1, 1, 1]
            assert time.monotonic() - began < 18  # two looks at this store take 20 s
            redis.resume()
            end = time.monotonic() + PATIENCE
            while "read-seconds-ago" not in str(client.ask("GET", "/health")[1]):
                assert time.monotonic() < end
        errors = serving.end(15)[2]
        assert errors.count("going on without a member, StoreBackend") == 1
