"""client: ConfigClient and load, over real sockets, against scripts and our own server."""

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from scripted import PATIENCE, ScriptedServer, environment, hang, reply

import pyconfserve
from pyconfserve.client import Change, ConfigClient, Configuration, load
from pyconfserve.errors import FetchError, InvalidRequest, SettingsError

PROJECT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:1"  # where nobody listens


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def test_fetch_gives_flat_values(server, client, run):
    """The first source wins; the default label is main."""
    server.play(reply(environment({"db.url": "x", "n": 1}, {"n": 2, "list[0]": True})))
    assert run(client().fetch()) == {"db.url": "x", "n": 1, "list[0]": True}
    assert [asked.target for asked in server.asked] == ["/orders/default/main"]


def test_names_and_credentials_reach_the_server(server, client, run):
    """Quoted, and as headers."""
    options = {"profile": "prod,eu", "label": "feature/x", "username": "me", "password": "pä:ss"}  # fmt: skip
    run(client(**options, headers={"X-Own": "1"}).fetch())
    (asked,) = server.asked
    assert asked.target == "/orders/prod,eu/feature(_)x"
    assert asked.headers["authorization"] == "Basic bWU6cMOkOnNz"
    assert asked.headers["x-own"] == "1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 500, 503, 302, 304])
def test_another_status_is_a_warning_and_nothing(server, client, run, caplog, status):
    """As documented; with fail_fast it is an error."""
    server.play(reply(status=status))
    options = {"username": "me", "password": "canary"}
    assert run(client(**options).fetch()) == {}
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{server.url}: answered {status}")
    assert "canary" not in warning
    with pytest.raises(FetchError) as caught:
        run(client(**options, fail_fast=True).fetch())
    assert (caught.value.url, caught.value.status) == (server.url, status)


@pytest.mark.parametrize("take", ["configuration", "load"])
def test_others_raise_on_every_failure(server, client, run, take):
    """For a start that must not go on without."""
    server.play(reply(status=404))
    with pytest.raises(FetchError, match="answered 404: nothing is stored"):
        client().load() if take == "load" else run(client().configuration())


def test_no_connection_is_an_error(client, run):
    """With a URL that shows no credentials."""
    url = NOBODY.replace("//", "//me:canary@")
    with pytest.raises(FetchError) as caught:
        run(client(url=url).fetch())
    assert str(caught.value) == f"{NOBODY}: the connection was refused"
    assert (caught.value.url, caught.value.status) == (NOBODY, None)
    assert "canary" not in repr(caught.value) + repr(caught.value.__cause__)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_page_is_no_configuration(server, client, run):
    """It is an error, though its status is 200."""
    server.play(reply(b"<html>"))
    with pytest.raises(FetchError, match="the answer is no configuration: expected JSON"):  # fmt: skip
        run(client().fetch())


def test_servers_are_asked_in_order(server, client, run):
    """A comma list or a sequence."""
    for url in (f"{NOBODY},{server.url}", [NOBODY, server.url]):
        assert run(client(url=url).fetch()) == {"a": 1}


def test_a_server_that_comes_up_is_waited_for(server, client, run):
    """Failures that may pass are tried again."""
    server.play(reply(status=503, Retry_After="0"), reply(environment({"a": 2})))
    assert run(client(retries=1).fetch()) == {"a": 2}


def test_load_takes_all_by_position(server):
    """Synchronous, with no label unless one is named, and a Configuration."""
    configuration = load(server.url, "orders", "prod")
    assert isinstance(configuration, Configuration)
    assert (configuration, configuration.version) == ({"a": 1}, "1")
    pyconfserve.load(server.url, "orders", "prod", "v2", timeout=PATIENCE)
    assert [asked.target for asked in server.asked] == ["/orders/prod", "/orders/prod/v2"]  # fmt: skip


def test_load_works_while_a_loop_runs(server, run):
    """As in a notebook."""

    async def go():
        return load(server.url, "orders")

    assert run(go()) == {"a": 1}


def test_origins_are_kept(server, client):
    """V2 is asked for, and either kind of document understood."""
    server.play(reply(environment({"a": {"value": 1, "origin": "3:5"}, "b": 2})))
    configuration = client(origins=True).load()
    assert configuration == {"a": 1, "b": 2}
    assert configuration.origins == {"a": "source-0:3:5", "b": "source-0"}
    assert "v2+json" in server.asked[0].headers["accept"]


def test_placeholders_and_layers(server, client, tmp_path, monkeypatch):
    """When they are asked for."""
    server.play(reply(environment({"url": "http://${host}", "host": "x", "port": 80})))
    path = tmp_path / "emergency.properties"
    path.write_text("port=81")
    monkeypatch.setenv("HOST", "own")
    assert client().load() == {"url": "http://${host}", "host": "x", "port": 80}
    layered = client(environment=True, override_file=path, resolve=True).load()
    assert layered == {"url": "http://own", "host": "own", "port": "81"}
    assert client(environment={"PORT": "7"}).load()["port"] == "7"


def test_it_binds(server, client):
    """From the wire to a dataclass."""

    @dataclass
    class Pool:
        max_size: int

    server.play(reply(environment({"db.pool.max-size": 5})))
    assert client().load().at("db").bind(Pool, prefix="pool") == Pool(5)


def test_a_plain_file(server, client, run):
    """Its bytes; every failure is an error."""
    server.play(reply(b"\xff\x00"), reply(status=404))
    assert run(client().file("nginx.conf")) == b"\xff\x00"
    assert server.asked[0].target == "/orders/default/main/nginx.conf"
    with pytest.raises(FetchError, match="answered 404"):
        run(client().file("absent"))
    with pytest.raises(InvalidRequest):
        run(client().file("../x"))


def test_a_snapshot_survives_a_dead_server(server, client, run, caplog, tmp_path):
    """One warning, and since when it is stale; credentials are not in the file."""
    path = tmp_path / "orders.json"
    options = {"snapshot": path, "username": "me", "password": "canary"}
    fresh = client(**options)
    assert run(fresh.configuration()).stale_since is None
    server.stop()
    assert run(client(**options).fetch()) == {"a": 1}
    stale = client(**options, fail_fast=True).load()
    assert (stale, stale.stale_since.tzinfo is not None) == ({"a": 1}, True)
    assert len(warnings(caplog)) == 2
    assert "canary" not in path.read_text() + str(warnings(caplog))
    with pytest.raises(FetchError):
        client(**options, profile="prod").load()
    with pytest.raises(FetchError):
        client(**options, max_stale=0).load()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"url": "file:///etc/passwd"}, "url: a url begins with http:// or https://"),
        ({"url": "data:,canary"}, "url: a url begins with http:// or https://"),
        ({"timeout": 0}, "timeout: expected more than 0 seconds, at most 86400"),
        ({"timeout": 86400.1}, "timeout: expected more than 0 seconds, at most 86400"),
        ({"timeout": float("inf")}, "timeout: expected more than 0 seconds, at most 86400"),
        ({"timeout": float("nan")}, "timeout: expected more than 0 seconds, at most 86400"),
        ({"poll_interval": float("nan")}, "poll_interval: expected more than 0 seconds, at most 86400"),
        ({"poll_interval": float("inf")}, "poll_interval: expected more than 0 seconds, at most 86400"),
        ({"ca_file": "/absent/ca"}, "ca_file: /absent/ca: No such file or directory"),
        ({"password": "canary"}, "password: expected a username as well"),
        ({"retries": -1}, "retries: expected 0 or more"),
        ({"poll_interval": 0}, "poll_interval: expected more than 0 seconds, at most 86400"),
        ({"proxy": "socks5://u:canary@p"}, "proxy: a url begins with http:// or https://"),
        ({"headers": {"X": "canary\r\nY: 1"}}, "headers: expected names and printable ASCII values"),
        ({"headers": {"X Y": "canary"}}, "headers: expected names and printable ASCII values"),
        ({"token": "a", "username": "b"}, "token: expected a username or a token, got both"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_at_once(client, options, problem):
    """Without quoting it."""
    with pytest.raises(SettingsError) as caught:
        client(**options)
    assert problem == str(caught.value)


def test_its_text_shows_no_credentials(client):
    """Names and URLs only."""
    made = client(url="http://me:canary@config:8888/x", password="canary", username="me")  # fmt: skip
    assert repr(made) == "<ConfigClient orders/default/main at http://config:8888/x>"


def test_an_http_client_is_for_loops(client):
    """What is synchronous refuses it."""
    made = client(http_client=object())
    for call in (made.load, lambda: made.follow(print)):
        with pytest.raises(SettingsError, match="http_client: it is asynchronous"):
            call()


async def changes_of(made, count, begin):
    """So many changes of a watch, begun after the first view; *begin* makes them."""
    found = []
    await made.configuration()
    watching = made.watch()
    first = asyncio.ensure_future(anext(watching))
    await asyncio.to_thread(begin)
    for number in range(count):
        found.append(await (first if number == 0 else anext(watching)))
    await watching.aclose()
    return found


def test_changes_of_our_server_are_watched(ours, client, run):
    """By long polls; the whole view swaps before a change is given."""
    made = client(url=ours.url)
    changes = run(changes_of(made, 1, lambda: ours.save({"b": 2})))
    assert (changes, made.current) == ([Change({"b": 2}, {}, {"a": 1})], {"b": 2})


def test_changes_of_a_server_without_etags_are_watched(server, client, run):
    """By polls: the Java server."""

    def begin():
        server.wait_for(3)
        server.play(reply(environment({"a": 2})))

    made = client(poll_interval=0.02)
    assert run(changes_of(made, 1, begin)) == [Change({}, {"a": (1, 2)}, {})]


def test_failures_do_not_end_a_watch(server, client, run, caplog):
    """They are logged once."""

    def begin():
        server.play(b"", reply(status=500), reply(b"<"), reply(environment({"c": 1})))

    made = client(poll_interval=0.02)
    assert run(changes_of(made, 1, begin)) == [Change({"c": 1}, {}, {"a": 1})]
    assert len(warnings(caplog)) == 3


def test_a_watch_begins_with_what_is_there(ours, client, run):
    """Which is no change."""

    async def go():
        made = client(url=ours.url)
        first = asyncio.ensure_future(anext(made.watch()))
        while made.current is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
        await asyncio.to_thread(ours.save, {"a": 2})
        return await first

    assert run(go()) == Change({}, {"a": (1, 2)}, {})


@pytest.mark.usefixtures("leftover_threads")
def test_a_watch_is_cancelled_at_once(server, client, run):
    """Its long poll is hung up on."""

    async def go():
        made = client(timeout=100)
        await made.configuration()
        server.play(hang(server))
        watching = asyncio.ensure_future(anext(made.watch()))
        await asyncio.to_thread(server.wait_for, 2)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching

    run(go())


@pytest.mark.usefixtures("leftover_threads")
def test_changes_are_followed_in_a_thread(ours, client):
    """Until it is stopped, which cuts off its long poll."""
    heard, called = [], threading.Event()

    def callback(change):
        heard.append((change, dict(made.current)))
        called.set()

    made = client(url=ours.url)
    made.load()
    with made.follow(callback) as following:
        ours.save({"a": 2})
        assert called.wait(PATIENCE)
    assert heard == [(Change({}, {"a": (1, 2)}, {}), {"a": 2})]
    assert not following.is_running


@pytest.mark.usefixtures("leftover_threads")
def test_following_stops_while_a_server_hangs(server, client, caplog):
    """In the middle of a long poll, which is no outage."""
    made = client(timeout=100)
    made.load()
    server.play(hang(server))
    following = made.follow(print)
    server.wait_for(2)
    following.stop(PATIENCE)
    assert (following.is_running, warnings(caplog)) == (False, [])


def test_nothing_is_begun_before_it_is_asked_for(client):
    """Neither a thread nor a connection nor a file."""
    before = threading.active_count()
    client(url=NOBODY, snapshot="/absent/x")
    assert before == threading.active_count()


FOLLOWER = (
    "import sys, threading\n"
    "from pyconfserve.client import ConfigClient\n"
    "client = ConfigClient(url=sys.argv[1], application='orders', snapshot=sys.argv[2], poll_interval=0.1)\n"
    "client.load()\n"
    "changed = threading.Event()\n"
    "with client.follow(lambda change: (print(client.current['a'], flush=True), changed.set())):\n"
    "    print('following', flush=True)\n"
    "    assert changed.wait(10)\n"
    "    sys.stdin.readline()\n"
)


def test_one_of_several_processes_asks_the_server(server, tmp_path):
    """The others read the snapshot that they share."""

    def hold(sock, asked):
        held.set()
        server.ended.wait(PATIENCE)

    held, answers = threading.Event(), reply(environment({"a": 1}), ETag='"1"')
    server.play(answers)
    command = [sys.executable, "-c", FOLLOWER, server.url, str(tmp_path / "shared.json")]  # fmt: skip
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout.readline() == "following\n"
        server.wait_for(4)  # three starts, and a poll of the one that leads
        server.play(reply(environment({"a": 2}), ETag='"2"'), hold)
        for process in processes:
            assert process.stdout.readline() == "2\n"
        assert held.wait(PATIENCE)
        polls = [asked for asked in server.asked if "if-none-match" in asked.headers]
        assert [asked.headers["if-none-match"] for asked in polls][-1] == '"2"'
        assert len([asked for asked in polls if '"2"' in asked.headers["if-none-match"]]) == 1  # fmt: skip
    finally:
        for process in processes:
            process.communicate("\n", PATIENCE)
    assert [process.returncode for process in processes] == [0, 0, 0]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of 3.12 on
def test_it_can_be_used_after_a_fork(server, client):
    """It holds no connection; a follower stays with its parent."""
    made = client()
    made.load()
    server.play(hang(server), reply(environment({"a": 2})))
    with made.follow(print) as following:
        server.wait_for(2)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            following.stop()
            text = json.dumps([dict(made.load()), following.is_running])
            os.write(writing, text.encode())
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert following.is_running
    assert json.loads(os.read(reading, 1000)) == [{"a": 2}, False]
    os.close(reading)
    os.close(writing)


def test_our_server_tells_an_unknown_application_from_an_empty_one(ours, client):
    """404, which a start must not take for nothing to configure."""
    with pytest.raises(FetchError) as caught:
        client(url=ours.url, application="unknown").load()
    assert caught.value.status == 404
    assert client(url=ours.url, application="unknown", origins=True).load() == {}


def test_two_servers_on_one_line_do_not_mix(server, client, run):
    """Clients hold no state of each other."""
    other = ScriptedServer(reply(environment({"b": 2})))

    async def go():
        both = client(), client(url=other.url)
        return await asyncio.gather(*(made.fetch() for made in both * 5))

    try:
        assert run(go()) == [{"a": 1}, {"b": 2}] * 5
    finally:
        other.stop()


def test_the_class_of_the_package_is_this_one():
    """Lazily."""
    assert (pyconfserve.ConfigClient, pyconfserve.load) == (ConfigClient, load)


def test_a_start_loads_little(server):
    """What a start by threads does not need is not loaded: it costs more than the rest."""
    code = (
        "import sys\nfrom pyconfserve.client import load\n"
        "load(sys.argv[1], 'orders')\nprint(*sys.modules, sep='\\n')"
    )
    command = [sys.executable, "-c", code, server.url]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=True)  # fmt: skip
    unwanted = {"asyncio", "dataclasses", "httpx", "inspect", "logging", "threading", "urllib.request", "yaml"}  # fmt: skip
    assert set(done.stdout.split()) & unwanted == set()


def test_no_watch_takes_a_change_from_another(ours, client):
    """Nor does a fetch: each compares with what it gave last, or was given."""
    made = client(url=ours.url)
    made.load()
    watching = made.watch()  # from `{"a": 1}`
    heard, called = [[], []], [threading.Event(), threading.Event()]

    def callback(number):
        return lambda change: (heard[number].append(change), called[number].set())

    with made.follow(callback(0)), made.follow(callback(1)):
        ours.save({"a": 2})
        assert [each.wait(PATIENCE) for each in called] == [True, True]
    assert made.load() == {"a": 2}

    async def first():
        change = await asyncio.wait_for(anext(watching), PATIENCE)
        await watching.aclose()
        return change

    expected = Change({}, {"a": (1, 2)}, {})
    assert ([[expected]] * 2, expected) == (heard, asyncio.run(first()))
