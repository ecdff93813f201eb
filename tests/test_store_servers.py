"""The servers that tests of stores run on: they start, keep what is stored, fail as told."""

import json
import socket
import threading
import urllib.error
from pathlib import Path

import pytest
from store_servers import (
    EtcdServer,
    PostgresqlServer,
    Relay,
    etcd_cluster,
    program,
    until,
)

KEY = {"key": "YQ=="}  # "a"


def stored(server, **options):
    """The value of the key that these tests put, as etcd has it."""
    (found,) = server.call("kv/range", KEY, **options)["kvs"]
    return found["value"]


def test_etcd_keeps_what_is_stored_when_it_is_killed():
    """It comes back on its port with what it had, and waits while it is paused."""
    with EtcdServer() as server:
        server.call("kv/put", KEY | {"value": "MQ=="})
        server.kill()
        with pytest.raises(urllib.error.URLError):
            server.call("kv/range", KEY)
        server.start()
        assert stored(server) == "MQ=="
        server.pause()
        with pytest.raises(OSError, match="timed out"):
            server.call("kv/range", KEY, timeout=0.2)
        server.resume()
        assert stored(server) == "MQ=="


def test_a_paused_server_stands_still_with_every_thread():
    """At once, however busy it is."""
    with EtcdServer() as server:
        for _ in range(30):
            server.call("kv/put", KEY | {"value": "MQ=="})
            server.pause()
            threads = Path(f"/proc/{server.process.pid}/task").glob("*/status")
            states = {thread.read_text().split("State:\t")[1][0] for thread in threads}
            server.resume()
            assert states == {"T"}


def test_two_members_of_three_go_on():
    """What was put at one is read at another when the third is gone."""
    with etcd_cluster(3) as (first, second, third):
        first.call("kv/put", KEY | {"value": "MQ=="})
        third.kill()
        until(second.is_ready)
        assert stored(second) == "MQ=="


def test_postgresql_keeps_what_is_stored_when_it_is_killed():
    """It comes back on its port with what it had."""
    with PostgresqlServer("max_connections=10") as server:
        url = server.new_database()
        server.execute("CREATE TABLE t (a int)", "INSERT INTO t VALUES (7)", url=url)
        server.kill()
        with pytest.raises(AssertionError, match="refused"):
            server.execute("SELECT 1", url=url)
        server.start()
        assert server.execute("SELECT a FROM t", "SHOW max_connections", url=url) == "7\n10"
        server.pause()
        server.resume()
        assert server.execute("SELECT a FROM t", url=url) == "7"


def test_each_test_has_a_store_of_its_own(etcd_server, etcd_url, postgresql_server):
    """A prefix of keys, a database."""
    assert etcd_url != etcd_server.url_of("test")
    databases = {postgresql_server.new_database() for _ in range(2)}
    assert len(databases) == 2


@pytest.mark.parametrize(("ci", "kind"), [("true", "Failed"), ("", "Skipped")])
def test_a_missing_server_is_skipped_but_in_ci(monkeypatch, ci, kind):
    """With the line that installs it."""
    monkeypatch.setenv("CI", ci)
    line = "etcd4 is not installed: apt-get update && apt-get install -y --no-install-recommends etcd-server"
    with pytest.raises(BaseException, match=line) as caught:
        program("etcd4", "etcd-server")
    assert caught.typename == kind


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets."""
    def answer():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[client], daemon=True).start()

    def serve(client):
        with client:
            while data := client.recv(100):
                client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_a_relay_is_a_cable_that_fails(echo):
    """Cut, it refuses; frozen, it holds what is sent; mended, it does neither."""
    with Relay(echo) as relay:
        client = socket.create_connection(("127.0.0.1", relay.port), 10)
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        relay.freeze()
        client.sendall(b"two")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(10)
        client.settimeout(10)
        relay.mend()
        assert client.recv(10) == b"two"
        relay.cut()
        assert client.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", relay.port), 10)
        relay.mend()
        with socket.create_connection(("127.0.0.1", relay.port), 10) as again:
            again.sendall(json.dumps([1]).encode())
            assert again.recv(10) == b"[1]"
        client.close()
