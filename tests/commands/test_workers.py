"""serve --workers: several processes that look like one."""

import json
import math
import os
import re
import select
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyconfserve import __version__
from pyconfserve.http.passwords import hash_token

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="workers are looked up in /proc"
)
STOPPED = "INFO pyconfserve.serve: stopped\n"
PATIENCE = 20  # seconds for what takes a fraction of one
GET = b"GET /orders/prod HTTP/1.1\r\nHost: localhost\r\n"


def workers_of(serving):
    """The processes that serve, in the order in which they began."""
    number = serving.process.pid
    text = Path(f"/proc/{number}/task/{number}/children").read_text()
    return [int(process) for process in text.split()]


def state_of(process):
    """A letter, as /proc has it; Z where there is nothing to come."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def is_running(process):
    """Whether it is there, and not merely unburied."""
    return state_of(process) != "Z"


def wait_until(is_so, seconds=PATIENCE):
    """Ask again and again until it is so."""
    end = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < end, "it did not come about in time"
    return found


def logged(serving):
    """The next line on standard error."""
    ready, _, _ = select.select([serving.process.stderr], [], [], PATIENCE)
    assert ready, "nothing was logged in time"
    return serving.process.stderr.readline().decode()


def worker_at(serving, connection):
    """The worker that has the other end of a connection."""
    sockets = {
        fields[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        for fields in [line.split()]
        if int(fields[1].rpartition(":")[2], 16) == serving.port
        and int(fields[2].rpartition(":")[2], 16) == connection.getsockname()[1]
    }
    for worker in workers_of(serving):
        for link in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
                if found and found[1] in sockets:
                    return worker
    return None


def ask(connection, request=GET + b"\r\n"):
    """(status, body) of one request on a connection that stays open."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), body


@contextmanager
def one_for_each(serving, count, status=200):
    """A connection to each of *count* workers, by worker; *status* is their answer.

    Those that have one are halted, so that another takes the next.
    """
    found = {}
    with ExitStack() as stack:
        try:
            for _ in range(count):
                connection = stack.enter_context(serving.connect())
                assert ask(connection)[0] == status
                worker = worker_at(serving, connection)
                found[worker] = connection
                os.kill(worker, signal.SIGSTOP)
                wait_until(lambda worker=worker: state_of(worker) == "T")
        finally:
            for worker in found:
                os.kill(worker, signal.SIGCONT)
        yield found


def save(connection, number):
    """(status, body) of saving another pool for orders/prod."""
    body = b'{"db": {"pool": %d}}' % number
    head = (
        b"POST /orders/prod HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    return ask(connection, head % len(body) + body)


def begin_save(connection):
    """Send all of a save but its body, `{"a": 1}`."""
    connection.sendall(
        b"POST /orders/stage HTTP/1.1\r\nHost: localhost\r\n"
        b"Expect: 100-continue\r\nContent-Length: 8\r\n\r\n"
    )
    assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"


def pool(body):
    """What is stored for orders/prod in an answer."""
    return json.loads(body)["propertySources"][0]["source"]["db.pool"]


class TestStart:
    """One line, whoever serves."""

    def test_one_line_says_where(self, serve, folder):
        """Port 0 is one port for all; each worker serves at it."""
        serving = serve("cfg", "--port", "0", "--workers", "3")
        expected = f"pyconfserve {__version__} serving cfg on http://127.0.0.1:{serving.port}\n"
        assert expected == serving.first_line
        with one_for_each(serving, 3) as found:
            assert sorted(found) == sorted(workers_of(serving))
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)
        assert not any(map(is_running, found))

    def test_one_worker_is_no_other_process(self, serve, folder):
        """The one that was started serves itself."""
        assert workers_of(serve("cfg", "--port", "0", "--workers", "1")) == []

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_to_all_is_one(self, serve, folder, number):
        """A terminal and systemd signal the workers beside their parent; what was
        begun is finished all the same.
        """
        serving = serve("cfg", "--port", "0", "--workers", "2")
        with one_for_each(serving, 2) as found:
            for connection in found.values():
                begin_save(connection)
            for process in (serving.process.pid, *found):
                os.kill(process, number)
            wait_until(serving.refuses)
            for connection in found.values():
                assert ask(connection, b'{"a": 1}') == (200, b'{"saved":true}')
        assert serving.end() == (0, "", STOPPED)


class TestRefusals:
    """What cannot work with workers, and what cannot work at all, once."""

    def test_a_memory_of_its_own_for_each(self, run, tmp_path):
        """The memory backend is for one process."""
        (tmp_path / "memory.json").write_text(
            '{"pyfly.config-server.backend.type": "memory"}'
        )
        message = (
            "pyconfserve: error: pyfly.config-server.workers: backend.type memory is "
            "for one: each would have a memory of its own\n"
        )
        arguments = ("--settings", "memory.json", "--port", "0", "--workers", "2")
        assert (2, "", message) == run(*arguments)

    @pytest.mark.parametrize("workers", ["1", "3"])
    def test_a_port_in_use(self, serve, run, folder, workers):
        """Also by other workers."""
        port = str(serve("cfg", "--port", "0", "--workers", "2").port)
        status, out, errors = run("cfg", "--port", port, "--workers", workers)
        assert (status, out) == (2, "")
        expected = f"pyconfserve: error: cannot listen on 127.0.0.1:{port}: "
        assert errors.startswith(expected)
        assert errors.count("\n") == 1

    def test_a_backend_that_cannot_begin(self, run, tmp_path):
        """With the exit status and the words that it has without workers."""
        (tmp_path / "own.py").write_text("from pyconfserve.backend import *\n")
        (tmp_path / "own.json").write_text(
            '{"pyfly.config-server.backend.type": "own:Absent"}'
        )
        arguments = ("--settings", "own.json", "--port", "0")
        alone = run(*arguments, PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path}")
        by_workers = run(
            *(*arguments, "--workers", "3"),
            PYTHONPATH=f"{Path(__file__).parents[2]}:{tmp_path}",
        )
        assert (alone[0], alone[1], alone[2].count("\n")) == (2, "", 1)
        assert alone == by_workers


class TestSaves:
    """What one worker saves, all serve."""

    def test_a_save_is_seen_at_once_by_every_worker(self, serve, folder):
        """Only the shared count can do it: files are looked at once a minute."""
        serving = serve(
            *("cfg", "--port", "0", "--workers", "4", "--refresh-interval", "60")
        )
        with one_for_each(serving, 4) as found:
            connections = [*found.values()]
            for turn in range(40):
                assert save(connections[turn % 4], turn) == (200, b'{"saved":true}')
                found = [pool(ask(connection)[1]) for connection in connections]
                assert found == [turn] * 4


class TestDeath:
    """Workers and parents that are killed."""

    def test_a_dead_worker_is_replaced_while_others_answer(self, serve, folder):
        """No request to the others fails meanwhile."""
        serving = serve("cfg", "--port", "0", "--workers", "2")
        with one_for_each(serving, 2) as found:
            dead, (_, alive) = found.items()
            os.kill(dead[0], signal.SIGKILL)

            def is_replaced():
                assert ask(alive)[0] == 200
                assert serving.ask("/orders/prod")[0] == 200
                workers = workers_of(serving)
                return len(workers) == 2 and dead[0] not in workers

            wait_until(is_replaced)
        with one_for_each(serving, 2) as found:
            assert set(found) == set(workers_of(serving))
        status, out, errors = serving.end(signal.SIGTERM)
        assert (status, out) == (0, "")
        assert re.fullmatch(
            r"WARNING pyconfserve\.workers: worker [01] was killed by SIGKILL: "
            rf"another takes its place\n{STOPPED}",
            errors,
        )

    def test_a_crash_loop_ends_it(self, serve, folder):
        """With an error, exit status 1 and no process left."""
        serving = serve("cfg", "--port", "0", "--workers", "2")
        seen = set()
        while serving.process.poll() is None and len(seen) < 5:
            [*workers] = set(workers_of(serving)) - seen
            for worker in workers[:1]:
                seen.add(worker)
                os.kill(worker, signal.SIGKILL)
        status, out, errors = serving.end()
        assert (status, out) == (1, "")
        assert errors.splitlines()[-1] == (
            "pyconfserve: error: 5 workers died within seconds of their beginning"
        )
        assert serving.refuses()

    def test_workers_end_with_their_parent(self, serve, folder):
        """One that is killed cannot tell them."""
        serving = serve("cfg", "--port", "0", "--workers", "3")
        workers = workers_of(serving)
        serving.end(signal.SIGKILL)
        assert len(workers) == 3
        wait_until(lambda: not any(map(is_running, workers)))
        assert serving.refuses()


class Client(threading.Thread):
    """Asks again and again until it is not answered; counts what it was given.

    One that *stays* uses its connection for all requests.
    """

    def __init__(self, serving, whole, *, stays):
        super().__init__(daemon=True)
        self.serving, self.whole, self.stays = serving, whole, stays
        self.answered, self.wrong, self.unanswered_at = 0, [], math.inf

    def run(self):
        try:
            while True:
                with self.serving.connect() as connection:
                    self.ask_on(connection)
        except ConnectionError:
            pass  # no place for another connection: the end

    def ask_on(self, connection):
        """Ask until the server says that it is the last time, or says nothing."""
        line = b"\r\n" if self.stays else b"Connection: close\r\n\r\n"
        is_last = False
        while not is_last:
            received, sent_at = b"", math.inf
            try:
                connection.sendall(GET + line)
                sent_at = time.monotonic()
                while not received.endswith(b"\r\n\r\n" + self.whole):
                    data = connection.recv(65536)
                    if not data:
                        break
                    received += data
            except ConnectionError:
                pass
            is_last = not received or b"\r\nConnection: close\r\n" in received
            if not received:
                self.unanswered_at = min(self.unanswered_at, sent_at)
            elif received.startswith(b"HTTP/1.1 200 "):
                self.answered += 1
            else:
                self.wrong.append(received)


class TestEnd:
    """SIGTERM under load."""

    @pytest.mark.parametrize("workers", ["1", "4"])
    def test_no_accepted_request_is_lost(self, serve, folder, workers):
        """What was sent before the signal is answered whole; what comes later is
        answered whole or not at all.
        """
        serving = serve("cfg", "--port", "0", "--workers", workers)
        whole = serving.ask("/orders/prod")[1].encode()
        clients = [
            Client(serving, whole, stays=number % 2 == 0) for number in range(8)
        ]
        for client in clients:
            client.start()
        wait_until(lambda: all(client.answered > 30 for client in clients))
        signalled_at = time.monotonic()
        ended = serving.end(signal.SIGTERM)
        for client in clients:
            client.join(PATIENCE)
        assert [answer for client in clients for answer in client.wrong] == []
        assert [
            client.unanswered_at - signalled_at
            for client in clients
            if client.unanswered_at < signalled_at
        ] == []
        assert ended == (0, "", STOPPED)

    @pytest.mark.parametrize("workers", ["1", "4"])
    def test_who_waits_to_be_accepted_is_answered(self, serve, folder, workers):
        """Three hundred who had sent their request when the signal came."""
        serving = serve("cfg", "--port", "0", "--workers", workers)
        processes = [serving.process.pid, *workers_of(serving)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        with ExitStack() as stack:
            clients = [stack.enter_context(serving.connect()) for _ in range(300)]
            for client in clients:
                client.sendall(GET + b"\r\n")
            serving.signal()
            for process in reversed(processes):
                os.kill(process, signal.SIGCONT)
            answers = [client.recv(12) for client in clients]
        assert answers == [b"HTTP/1.1 200"] * 300
        assert serving.end() == (0, "", STOPPED)

    def test_a_save_that_was_begun_is_finished(self, serve, folder):
        """By each worker; the others end meanwhile."""
        serving = serve("cfg", "--port", "0", "--workers", "2")
        with one_for_each(serving, 2) as found:
            for connection in found.values():
                begin_save(connection)
            serving.signal()
            wait_until(serving.refuses)
            for connection in found.values():
                assert ask(connection, b'{"a": 1}') == (200, b'{"saved":true}')
        assert serving.end() == (0, "", STOPPED)

    def test_a_second_signal_ends_it_at_once(self, serve, folder):
        """Whoever is impatient does not wait for slow clients."""
        serving = serve("cfg", "--port", "0", "--workers", "2")
        workers = workers_of(serving)
        with one_for_each(serving, 2) as found:
            for connection in found.values():
                connection.sendall(b"GET /health HTTP/1.1\r\nHost:")
            serving.signal()
            wait_until(serving.refuses)
            assert serving.process.poll() is None
            assert serving.end(signal.SIGTERM) == (1, "", "")
        wait_until(lambda: not any(map(is_running, workers)))


class TestObservation:
    """What is told of answers, whoever gave them."""

    def test_each_request_is_a_line_of_the_access_log(self, serve, folder):
        """Workers write whole lines; ids differ between them."""
        arguments = ("cfg", "--port", "0", "--workers", "2", "--access-log", "json")
        serving = serve(*arguments)
        with one_for_each(serving, 2) as found:
            for connection in found.values():
                for _ in range(50):
                    assert ask(connection, GET + b"X-Asked: x\r\n\r\n")[0] == 200
        status, out, errors = serving.end(signal.SIGTERM)
        lines = [json.loads(line) for line in errors.splitlines()[:-1]]
        assert (status, out, f"{errors.splitlines()[-1]}\n") == (0, "", STOPPED)
        assert len(lines) >= 100
        assert len({line["id"] for line in lines}) == len(lines)
        assert {(line["path"], line["status"]) for line in lines} == {
            ("/orders/prod", 200)
        }

    @pytest.mark.skipif(
        find_spec("prometheus_client") is None,
        reason="pip install 'pyconfserve[prometheus]'",
    )
    def test_metrics_are_those_of_all(self, serve, folder):
        """Whichever worker is asked, also what a dead one counted."""
        serving = serve("cfg", "--port", "0", "--workers", "2")

        def number(name):
            _, page = serving.ask("/metrics")
            found = re.search(rf"^{re.escape(name)} ([0-9.e+]+)$", page, re.MULTILINE)
            return float(found[1]) if found else 0.0

        total = 'pyconfserve_requests_total{method="POST",status="200"}'
        with one_for_each(serving, 2) as found:
            assert number("pyconfserve_workers") == 2
            for turn, connection in enumerate([*found.values()] * 5):
                assert save(connection, turn)[0] == 200
            wait_until(lambda: number(total) == 10)  # counted once it is on its way
            os.kill(next(iter(found)), signal.SIGKILL)
            wait_until(lambda: len(workers_of(serving)) == 2)
        assert number(total) == 10


class TestReload:
    """SIGHUP reaches all."""

    @pytest.fixture
    def write(self, tmp_path):
        """A function that writes the settings' file, of which no part may be seen."""

        def write_settings(token, **settings):
            users = [{"name": "anna", "token": hash_token(token), "applications": "*", "profiles": "*"}]
            given = {"users": users, "workers": 2, "port": 0, **settings}
            text = json.dumps({f"pyfly.config-server.{key}": given[key] for key in given})
            (tmp_path / "new.json").write_text(text)
            (tmp_path / "new.json").replace(tmp_path / "settings.json")

        return write_settings

    def test_users_change_in_every_worker(self, serve, folder, write):
        """In those that are there, and in one that comes later."""
        write("one")
        serving = serve("cfg", "--settings", "settings.json")

        def statuses(connections):
            return [
                ask(connection, GET + b"Authorization: Bearer two\r\n\r\n")[0]
                for connection in connections
            ]

        with one_for_each(serving, 2, status=401) as found:
            connections = [*found.values()]
            assert statuses(connections) == [401, 401]
            write("two")
            serving.signal(signal.SIGHUP)
            wait_until(lambda: statuses(connections) == [200, 200])
            os.kill(next(iter(found)), signal.SIGKILL)
            wait_until(lambda: len(workers_of(serving)) == 2)
        with one_for_each(serving, 2, status=401) as found:
            assert statuses(found.values()) == [200, 200]

    def test_a_broken_file_leaves_the_users_of_before(self, serve, folder, tmp_path):
        """Also those of a worker that comes later, and one line says so."""
        file = tmp_path / "users.json"
        for token in ("one", "two"):
            users = [{"name": "anna", "token": hash_token(token), "applications": "*", "profiles": "*"}]
            (tmp_path / token).write_text(json.dumps({"users": users}))
        (tmp_path / "one").replace(file)
        serving = serve(
            *("cfg", "--port", "0", "--workers", "2", "--users", str(file))
        )

        def statuses(connections):
            return {
                ask(connection, GET + b"Authorization: Bearer two\r\n\r\n")[0]
                for connection in connections
            }

        with one_for_each(serving, 2, status=401) as found:
            assert statuses(found.values()) == {401}
            (tmp_path / "two").replace(file)
            assert "changed" in logged(serving)
            wait_until(lambda: statuses(found.values()) == {200})
            file.write_text("{")
            assert "the users of before stay in force" in logged(serving)
            os.kill(next(iter(found)), signal.SIGKILL)
            assert "another takes its place" in logged(serving)
            wait_until(lambda: len(workers_of(serving)) == 2)
        with one_for_each(serving, 2, status=401) as found:
            assert statuses(found.values()) == {200}
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"port": "x"}, "ERROR pyconfserve.serve: the settings stay as they were"),
            ({"port": 1}, "WARNING pyconfserve.serve: a restart is needed for port"),
            (
                {"users": [{"name": "anna"}]},
                "ERROR pyconfserve.serve: users and certificates stay as they were",
            ),
        ],
        ids=["broken", "restart", "users"],
    )
    def test_it_is_said_once(self, serve, folder, write, settings, line):
        """Not by each."""
        write("one")
        serving = serve("cfg", "--settings", "settings.json")
        write("one", **settings)
        serving.signal(signal.SIGHUP)
        assert logged(serving).startswith(line)
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)


@pytest.mark.skipif(find_spec("git") is None, reason="pip install 'pyconfserve[git]'")
class TestClones:
    """A repository without --clone-dir."""

    @pytest.fixture
    def temporary(self, tmp_path):
        """A system's folder for what is temporary."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        return folder

    @pytest.fixture
    def work(self, tmp_path):
        """A repository `work` with one commit."""
        commands = [
            ["init", "--quiet", "--initial-branch=main", "."],
            ["add", "."],
            ["-c", "user.name=T", "-c", "user.email=t@x", "commit", "-qm", "one"],
        ]
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "orders-prod.json").write_text('{"db": {"pool": 20}}')
        for command in commands:
            subprocess.run(["git", "-C", tmp_path / "work", *command], check=True)

    @pytest.mark.parametrize(
        "where",
        [["git+work"], ["git+work", "--spring"], ["--settings", "java.properties"]],
        ids=["own", "spring", "a Java server's file"],
    )
    def test_all_workers_share_one_that_is_removed(
        self, serve, work, temporary, tmp_path, where
    ):
        """It is made once, and nothing is left at the end."""
        (tmp_path / "java.properties").write_text(
            f"spring.cloud.config.server.git.uri=file://{tmp_path}/work\n"
        )
        arguments = ("--port", "0", "--workers", "3")
        serving = serve(*where, *arguments, TMPDIR=str(temporary))
        with one_for_each(serving, 3):
            pass
        clones = [path for path in temporary.rglob("*") if (path / "objects").is_dir()]
        assert len(clones) == 1
        assert serving.end(signal.SIGTERM)[0] == 0
        assert [*temporary.iterdir()] == []

    def test_it_is_said_once_that_nobody_keeps_saves(self, serve, work, temporary):
        """By the parent."""
        arguments = ("git+work", "--port", "0", "--workers", "3")
        serving = serve(*arguments, TMPDIR=str(temporary))
        assert serving.end(signal.SIGTERM)[2] == (
            "WARNING pyconfserve.serve: pyfly.config-server.backend.git.clone-dir "
            "(--clone-dir) is not set: saves are kept until this server stops, and "
            f"then nobody has them\n{STOPPED}"
        )

    def test_a_save_is_seen_at_once_by_every_worker(self, serve, work, temporary):
        """Each is a commit in the one clone."""
        arguments = ("git+work", "--port", "0", "--workers", "3")
        serving = serve(*arguments, TMPDIR=str(temporary))
        with one_for_each(serving, 3) as found:
            connections = [*found.values()]
            for turn in range(6):
                assert save(connections[turn % 3], turn) == (200, b'{"saved":true}')
                found = [pool(ask(connection)[1]) for connection in connections]
                assert found == [turn] * 3

    def test_an_origin_that_is_away_is_said_once(self, run, temporary):
        """As without workers, and nothing is left."""
        arguments = ("git+absent", "--port", "0")
        alone = run(*arguments, TMPDIR=str(temporary))
        by_workers = run(*arguments, "--workers", "3", TMPDIR=str(temporary))
        status, out, errors = alone
        errors = errors.replace("pyconfserve.auto_configuration:", "pyconfserve.serve:")
        assert status == 1
        assert (status, out, errors) == by_workers
        assert [*temporary.iterdir()] == []
