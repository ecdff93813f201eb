"""Redis as it is: a real server on a free port of this machine, for tests.

    def test_it(redis_url): ...          # redis://127.0.0.1:PORT/DB, an empty database
    with RedisServer() as server: ...    # one of its own, to be killed, paused, started again

A test is skipped with the line that installs a missing server; with CI=true it fails.
"""

import itertools
import socket
from contextlib import suppress

import pytest
from store_servers import StoreServer, program, until

_databases = itertools.count()


class RedisServer(StoreServer):
    """One server that keeps nothing when it ends; *options* are further ones of its
    command line.

    *tls* is a certificate and its key, in PEM; `call` asks it as `redis-cli` would.
    """

    def __init__(self, *options, tls=None):
        super().__init__()
        self.options, self.tls = options, tls
        self.password = None  # that `call` logs in with

    def arguments(self):
        listens = ("--port", str(self.port))
        if self.tls is not None:
            files = ("--tls-cert-file", self.tls[0], "--tls-key-file", self.tls[1], "--tls-auth-clients", "no")
            listens = ("--port", "0", "--tls-port", str(self.port), *map(str, files))
        return [
            program("redis-server", "redis-server"),
            *listens, "--bind", "127.0.0.1", "--dir", self.folder, "--databases", "1000",
            "--save", "", "--appendonly", "no", "--logfile", self.folder / "log",
            "--repl-diskless-sync-delay", "0",
            *self.options,
        ]  # fmt: skip

    def is_ready(self):
        """Whether it answers, and be it with a refusal."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
            if self.tls is not None:
                return True
            client.sendall(b"PING\r\n")
            return not client.recv(100).startswith(b"-LOADING")
        return False

    def client(self, database=0):
        """A client of redis-py, for whoever writes there as others would."""
        import redis.backoff  # a bare install has none
        import redis.retry

        return redis.Redis(
            port=self.port, db=database, password=self.password, decode_responses=True, protocol=2,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )  # fmt: skip

    def call(self, *words, database=0):
        """What is answered to one command."""
        with self.client(database) as client:
            return client.execute_command(*words)

    def url_of(self, database=0, user=""):
        """The address of a database, as the command line takes it."""
        scheme = "redis" if self.tls is None else "rediss"
        return f"{scheme}://{user}127.0.0.1:{self.port}/{database}"

    def loaded(self):
        """Wait until it has read what it kept."""
        until(lambda: self.call("INFO", "persistence")["loading"] == 0)


@pytest.fixture(scope="session")
def redis_server():
    """A Redis that all tests share: nobody stops it or changes its settings."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server):
    """The address of an empty database in Redis."""
    return redis_server.url_of(next(_databases) + 1)
