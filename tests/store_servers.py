"""Stores as they are: real servers on free ports of this machine, for tests.

    def test_it(etcd_url): ...           # etcd://127.0.0.1:PORT/PREFIX, an empty prefix
    def test_it(postgresql_url): ...     # postgresql://postgres:PASSWORD@…, an empty database
    with EtcdServer() as server: ...     # one of its own, to be killed, paused, started again
    with etcd_cluster(3) as servers: ...
    with PostgresqlServer() as server: ...
    with Relay(server.port) as relay: ...   # a cable to it that can be cut, frozen, slowed

A test is skipped with the line that installs a missing server; with CI=true it fails.
The servers die with the thread that started them: start them in that of the test.
"""

import base64
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PATIENCE = 30  # seconds after which a server that did not start has failed
INSTALL = "apt-get update && apt-get install -y --no-install-recommends"
PASSWORD = "s3cret-of-the-store"  # of PostgreSQL; look for it where it must not be
USERS = {"root": "root-s3cret", "conf": "conf-s3cret", "ro": "ro-s3cret"}  # of etcd
_names = itertools.count(1)


def program(name, package, *places):
    """The path of an installed program; PYCONFSERVE_TEST_ETCD names another etcd."""
    path = os.environ.get(f"PYCONFSERVE_TEST_{name.upper()}") or shutil.which(name)
    path = path or next((str(place) for place in places if place.is_file()), None)
    if path is not None:
        return path
    reason = f"{name} is not installed: {INSTALL} {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_ports(count):
    """Ports that are free now, none of them twice."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def until(condition, seconds=PATIENCE):
    """Ask again and again until *condition* holds; a test that waits longer fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} within {seconds} s"
        time.sleep(0.02)


def _take(path, owner):
    """Give a folder to a user, and others the right to pass through."""
    path.chmod(0o755)
    if owner is not None:
        shutil.chown(path, owner)


def _base64(text):
    return base64.b64encode(text.encode()).decode()


def _is_known(user):
    with suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


class StoreServer:
    """A server process with a folder of its own: `start`, `stop`, `kill`, `pause`.

    A started one answers. What was stored is kept until the `with` block ends.
    """

    stopping = signal.SIGTERM  # ends it as its owner would
    killing = signal.SIGKILL  # ends it at once, nothing tidied up
    user = None  # who runs it; None for who runs the tests
    is_paused = False
    is_alone = True  # else it answers only when others run, too

    def __init__(self):
        self.port = free_ports(1)[0]
        self.process = None

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="pyconfserve-store-")
        self.folder = Path(self._folder.name)
        try:
            self.prepare()
            self.start(is_waited_for=self.is_alone)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end(signal.SIGKILL if self.is_paused else self.stopping)
        self._folder.cleanup()

    def prepare(self):
        """What is done once, before the first start."""

    def arguments(self):
        raise NotImplementedError

    def is_ready(self):
        raise NotImplementedError

    def start(self, is_waited_for=True):
        """Run it, on the same port over the same folder each time."""
        dies_too = ["setpriv", "--pdeathsig", "KILL", "--"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(dies_too if shutil.which("setpriv") else []), *self.arguments()],
                cwd="/",
                user=self.user,
                extra_groups=None if self.user is None else [],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        if is_waited_for:
            until(self._is_up)

    def _is_up(self):
        log = (self.folder / "log").read_text(errors="replace")[-2000:]
        assert self.process.poll() is None, f"{self.process.args}: {log}"
        return self.is_ready()

    def end(self, number):
        """Send a signal, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)
        self.is_paused = False

    def stop(self):
        """End it as its owner would."""
        self.end(self.stopping)

    def kill(self):
        """End it at once."""
        self.end(self.killing)

    def pause(self):
        """Let it hold its connections and answer none; back when its last thread stands still."""
        self.is_paused = True
        self._signal_all(signal.SIGSTOP)
        until(self._stands_still)

    def resume(self):
        """Let it answer again."""
        self._signal_all(signal.SIGCONT)
        self.is_paused = False

    def _signal_all(self, number):
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def _processes(self):
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _stands_still(self):
        """Whether each thread is stopped: a signal is sent at once, and obeyed a little later."""
        with suppress(FileNotFoundError, ProcessLookupError):  # one ended in between: look again
            return all(
                thread.read_text().rpartition(")")[2].split()[0] in "TZ"
                for process in self._processes()
                for thread in Path(f"/proc/{process}/task").glob("*/stat")
            )
        return False


class EtcdServer(StoreServer):
    """One member of etcd; *options* are further ones of its command line.

    `call` is a request of its JSON gateway. *tls* is a certificate and its key, in PEM.
    """

    def __init__(self, *options, name="n1", tls=None):
        super().__init__()
        self.name, self.options, self.tls = name, options, tls
        self.peer = f"http://127.0.0.1:{free_ports(1)[0]}"
        self.scheme = "http" if tls is None else "https"
        self.address = f"{self.scheme}://127.0.0.1:{self.port}"
        self.cluster = f"{name}={self.peer}"
        self.beat = (20, 200)  # milliseconds: of a heartbeat, of an election

    def arguments(self):
        pair = () if self.tls is None else ("--cert-file", self.tls[0], "--key-file", self.tls[1])
        return [
            program("etcd", "etcd-server"),
            *("--name", self.name, "--data-dir", self.folder / "data"),
            *("--listen-client-urls", self.address, "--advertise-client-urls", self.address),
            *("--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer),
            *("--initial-cluster", self.cluster, "--logger", "zap", "--log-level", "error"),
            *("--heartbeat-interval", str(self.beat[0]), "--election-timeout", str(self.beat[1])),
            *pair,
            *self.options,
        ]  # fmt: skip

    def is_ready(self):
        """Whether it has a leader, and the disk has what it wrote."""
        if self.tls is not None:  # nobody's certificate is checked by a mere connection
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False
        try:
            return self.call("kv/range", {"key": "AA=="}) is not None
        except urllib.error.HTTPError as error:
            return error.code in (400, 401)  # who asks has to log in
        except OSError:
            return False

    def call(self, path, tree, token=None, timeout=10):
        """What the gateway answers to one POST of *tree*, as a tree."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = token
        request = urllib.request.Request(
            f"{self.address}/v3/{path}", json.dumps(tree).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)

    def allow_only(self, prefix):
        """Turn authentication on: `conf` may change keys below *prefix*, `ro` read them.

        USERS has the passwords, also that of `root`.
        """
        start, end = (_base64(f"/{prefix}{one}") for one in "/0")
        for user, right in {"root": None, "conf": "READWRITE", "ro": "READ"}.items():
            self.call("auth/role/add", {"name": user})
            self.call("auth/user/add", {"name": user, "password": USERS[user]})
            self.call("auth/user/grant", {"user": user, "role": user})
            if right is not None:
                keys = {"permType": right, "key": start, "range_end": end}
                self.call("auth/role/grant", {"name": user, "perm": keys})
        self.call("auth/enable", {})

    def url_of(self, prefix):
        """The address of a prefix of keys, as the command line takes it."""
        return f"{'etcd' if self.tls is None else 'etcds'}://127.0.0.1:{self.port}/{prefix}"


@contextmanager
def etcd_cluster(count=3):
    """Members of one etcd that know each other; two of three are a quorum."""
    servers = [EtcdServer(name=f"n{number}") for number in range(1, count + 1)]
    everyone = ",".join(server.cluster for server in servers)
    with ExitStack() as stack:
        for server in servers:
            server.cluster, server.beat, server.is_alone = everyone, (50, 500), False
            stack.enter_context(server)
        for server in servers:
            until(server._is_up)
        yield servers


class PostgresqlServer(StoreServer):
    """A PostgreSQL with the user `postgres` and PASSWORD; `url` is its first database.

    *options* are settings of the server, as `max_connections=20`.
    """

    stopping = signal.SIGINT  # "fast": who is connected is sent away
    killing = signal.SIGQUIT  # "immediate": as after a crash, with no process left over

    def __init__(self, *options):
        super().__init__()
        self.options = options
        self.url = self.url_of("postgres")
        if os.geteuid() == 0:  # it refuses to be run by root
            self.user = next(one for one in ("postgres", "nobody") if _is_known(one))

    def program(self, name):
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
        return program(name, "postgresql", *places)

    def prepare(self):
        initdb = self.program("initdb")
        _take(self.folder, self.user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        _take(secret, self.user)
        options = ["-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run(initdb, "-D", self.folder / "data", "--pwfile", secret, *options)

    def arguments(self):
        mine = [
            "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off",
        ]  # fmt: skip
        settings = [word for one in [*mine, *self.options] for word in ("-c", one)]
        return [self.program("postgres"), "-D", self.folder / "data", "-p", str(self.port), *settings]

    def is_ready(self):
        ready = self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)
        return subprocess.run(ready, check=False, timeout=PATIENCE).returncode == 0

    def url_of(self, database, user="postgres", password=PASSWORD):
        """The address of a database, as the command line and psycopg take it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self):
        """The address of an empty database that nobody else has."""
        name = f"test_{os.getpid()}_{next(_names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def execute(self, *statements, url=None):
        """What psql prints for *statements*, without any decoration."""
        words = [word for one in statements for word in ("-c", one)]
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return self._run(self.program("psql"), url or self.url, *options, *words).strip()

    def _run(self, *arguments):
        user = None if arguments[0].endswith("psql") else self.user
        groups = None if user is None else []
        done = subprocess.run(
            arguments, cwd="/", user=user, extra_groups=groups, check=False,
            capture_output=True, text=True, timeout=2 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


class Relay:
    """A cable to a port of this machine: what arrives at `port` goes there and back.

    `cut` ends all connections and refuses new ones; `freeze` leaves them open and takes
    new ones, but nothing gets through; `mend` ends both. `delay` is the seconds that
    each piece of an answer takes longer.
    """

    def __init__(self, port, delay=0.0):
        self.target, self.delay = port, delay
        self.opened = 0  # connections, in all
        self.port = free_ports(1)[0]
        self._flows = threading.Event()
        self._flows.set()
        self._sockets = set()
        self._threads = []
        self._listener = None

    def __enter__(self):
        self._listen()
        return self

    def __exit__(self, *_):
        self.cut()
        self._flows.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def cut(self):
        """End all connections, and refuse new ones."""
        listener, self._listener = self._listener, None
        for one in [listener, *self._sockets]:
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            listener.close()

    def freeze(self):
        """Let nothing through, and leave all connections open."""
        self._flows.clear()

    def mend(self):
        """Let all through again."""
        self._flows.set()
        if self._listener is None:
            self._listen()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._begin(self._accept, self._listener)

    def _begin(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), PATIENCE)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.opened += 1
            self._sockets |= {near, far}
            self._begin(self._serve, near, far)

    def _serve(self, near, far):
        with near, far:
            back = self._begin(self._carry, far, near, self.delay)
            self._carry(near, far, 0.0)
            back.join()
        self._sockets -= {near, far}

    def _carry(self, source, target, delay):
        with suppress(OSError):
            while piece := source.recv(65536):
                time.sleep(delay)
                self._flows.wait()
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="session")
def etcd_server():
    """An etcd that all tests share: nobody stops it or turns authentication on."""
    with EtcdServer() as server:
        yield server


@pytest.fixture
def etcd_url(etcd_server):
    """The address of an empty prefix of keys in etcd."""
    return etcd_server.url_of(f"test-{os.getpid()}-{next(_names)}")


@pytest.fixture(scope="session")
def postgresql_server():
    """A PostgreSQL that all tests share: nobody stops it."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server):
    """The address of an empty database in PostgreSQL."""
    return postgresql_server.new_database()
