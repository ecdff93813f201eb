"""serve: a folder over HTTP, from its first line to its last."""

import contextlib
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from pyconfserve import __version__
from pyconfserve.http.passwords import hash_token

PROJECT = Path(__file__).parents[2]
STOPPED = "INFO pyconfserve.serve: stopped\n"
DOCUMENT = {
    "name": "orders",
    "profiles": ["prod"],
    "label": "main",
    "state": None,
    "propertySources": [{"name": "orders-prod", "source": {"db.pool": 20}}],
}


def document(serving, target="/orders/prod", **options):
    """The answer to a fetch, without its version."""
    status, content = serving.ask(target, **options)
    assert status == 200, content
    found = json.loads(content)
    del found["version"]
    return found


def wait_until(is_so, seconds=10):
    """Ask again and again, without a pause, until it is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come about in time"


def logged(serving, seconds=10):
    """The next line on standard error."""
    ready, _, _ = select.select([serving.process.stderr], [], [], seconds)
    assert ready, "nothing was logged in time"
    return serving.process.stderr.readline().decode()


def listed(**tokens):
    """Users as the settings have them, who may read, by their tokens."""
    return [
        {"name": name, "token": hash_token(token), "applications": "*", "profiles": "*"}
        for name, token in tokens.items()
    ]


def read_all(connection):
    """What the server sends until it closes; an answer that breaks off is an error."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionError:
        assert not received, "an answer broke off"
        raise
    return received


class TestStart:
    """The first line, and what it promises."""

    def test_the_first_line_says_what_is_served_where(self, serve, folder):
        """Whole, and flushed once connections are accepted."""
        serving = serve("cfg", "--port", "0")
        assert serving.port > 0
        expected = f"pyconfserve {__version__} serving cfg on http://127.0.0.1:{serving.port}\n"
        assert expected == serving.first_line
        assert document(serving) == DOCUMENT

    def test_nothing_else_is_printed(self, serve, folder):
        """One line at the start, one at the end, whatever was asked."""
        serving = serve("cfg", "--port", "0")
        for target in ("/orders/prod", "/absent/prod", "/%00/x", "/_list", "/health"):
            serving.ask(target)
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    def test_search_locations_in_the_first_line(self, serve, folder, tmp_path):
        """All of them, the highest first."""
        (tmp_path / "top").mkdir()
        (tmp_path / "top" / "orders-prod.json").write_text('{"db": {"pool": 99}}')
        serving = serve(
            "--search-location", "top", "--search-location", "cfg", "--port", "0"
        )
        assert (
            f"pyconfserve {__version__} serving top, cfg on {serving.url}\n"
            == serving.first_line
        )
        assert document(serving)["propertySources"][0]["source"] == {"db.pool": 99}

    def test_an_address_of_ipv6_is_in_brackets(self, serve, folder):
        """So that the line can be pasted."""
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        serving = serve("cfg", "--host", "::1", "--port", "0")
        assert f"http://[::1]:{serving.port}" == serving.url
        assert serving.ask("/orders/prod")[0] == 200

    def test_base_path(self, serve, folder):
        """All routes stand below it."""
        serving = serve("cfg", "--port", "0", "--base-path", "/config")
        assert [
            serving.ask(target)[0]
            for target in (
                "/config/orders/prod",
                "/config/health",
                "/orders/prod",
                "/health",
            )
        ] == [200, 200, 404, 404]

    def test_label(self, serve, folder):
        """The label of requests that name none."""
        (folder / "stable").mkdir()
        (folder / "stable" / "orders-prod.json").write_text('{"db": {"pool": 7}}')
        found = document(serve("cfg", "--port", "0", "--label", "stable"))
        assert found["propertySources"][0]["source"] == {"db.pool": 7}

    def test_an_edit_shows_at_once_without_an_interval(self, serve, folder):
        """--refresh-interval 0 looks at every request."""
        serving = serve("cfg", "--port", "0", "--refresh-interval", "0")
        before = document(serving)["propertySources"][0]["source"]
        (folder / "orders-prod.json").write_text('{"db": {"pool": 21}}')
        assert [before, document(serving)["propertySources"][0]["source"]] == [
            {"db.pool": 20},
            {"db.pool": 21},
        ]

    def test_saves_are_allowed_from_this_machine(self, serve, folder):
        """On loopback without users everything is allowed."""
        serving = serve("cfg", "--port", "0")
        assert serving.ask("/orders/stage", "POST", body=b'{"a": 1}') == (
            200,
            '{"saved":true}',
        )
        assert serving.ask("/orders/stage")[0] == 200
        assert serving.ask("/_list")[0] == 200
        assert "locations" in json.loads(serving.ask("/health")[1])

    def test_read_only(self, serve, folder):
        """Saves are 405, reads as ever."""
        serving = serve("cfg", "--port", "0", "--read-only")
        expected = {
            "status": 405,
            "error": "Method Not Allowed",
            "message": "this server is read-only",
            "path": "/orders/prod",
        }
        status, content = serving.ask("/orders/prod", "POST", body=b"{}")
        assert (405, expected) == (status, json.loads(content))
        assert document(serving) == DOCUMENT


class TestSources:
    """A flag beats the environment, which beats the file."""

    @pytest.mark.parametrize(
        ("flags", "variables", "base"),
        [
            (["--base-path", "/flag"], {"PYCONFSERVE_BASE_PATH": "/variable"}, "/flag"),
            ([], {"PYCONFSERVE_BASE_PATH": "/variable"}, "/variable"),
            ([], {}, "/file"),
        ],
        ids=["flag", "environment", "file"],
    )
    def test_the_order_of_precedence(
        self, serve, folder, tmp_path, flags, variables, base
    ):
        """With all that is below it set too."""
        (tmp_path / "settings.properties").write_text(
            "pyfly.config-server.base-path=/file\npyfly.config-server.port=0\n"
        )
        serving = serve("cfg", "--settings", "settings.properties", *flags, **variables)
        assert serving.ask(f"{base}/orders/prod")[0] == 200

    def test_settings_may_say_it_all(self, serve, folder, tmp_path):
        """ROOT is left out when the settings say where configuration is."""
        (tmp_path / "settings.yaml").write_text(
            "pyfly:\n  config-server:\n    port: 0\n    backend:\n      search-locations: ['${WHERE:cfg}']\n"
        )
        serving = serve("--settings", "settings.yaml")
        assert (
            f"pyconfserve {__version__} serving cfg on {serving.url}\n"
            == serving.first_line
        )

    def test_the_environment_may_say_it_all(self, serve, folder):
        """As a container has it."""
        serving = serve(PYCONFSERVE_ROOT="cfg", PYCONFSERVE_PORT="0")
        assert document(serving) == DOCUMENT

    @pytest.mark.parametrize(
        "key", ["backend.search-locations", "native.search-locations", "backend.root"]
    )
    def test_root_beats_the_locations_of_the_file(self, serve, folder, tmp_path, key):
        """What is said on the command line is what is served."""
        (tmp_path / "other").mkdir()
        (tmp_path / "settings.properties").write_text(
            f"pyfly.config-server.{key}=other\n"
        )
        serving = serve("cfg", "--port", "0", "--settings", "settings.properties")
        assert (
            f"pyconfserve {__version__} serving cfg on {serving.url}\n"
            == serving.first_line
        )

    def test_a_backend_of_another_type(self, serve, tmp_path):
        """It has no folder: the first line has its type."""
        (tmp_path / "settings.json").write_text(
            '{"pyfly.config-server.backend.type": "memory"}'
        )
        serving = serve("--settings", "settings.json", "--port", "0")
        assert (
            f"pyconfserve {__version__} serving memory on {serving.url}\n"
            == serving.first_line
        )


class TestRefusals:
    """Exit status 2, and one line that names the thing."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "say what to serve: python -m pyconfserve ROOT"),
            (("absent",), "absent is not a folder"),
            (("cfg/orders-prod.json",), "cfg/orders-prod.json is not a folder"),
            (
                ("--search-location", "cfg", "--search-location", "absent"),
                "absent is not a folder",
            ),
            (
                ("cfg", "--port", "x"),
                "--port: pyfly.config-server.port: expected a port from 0 to 65535",
            ),
            (
                ("cfg", "--refresh-interval", "-1"),
                "--refresh-interval: pyfly.config-server.refresh-interval: expected seconds from 0 to 86400",
            ),
            (
                ("cfg", "--log-format", "xml"),
                "--log-format: pyfly.config-server.log-format: expected text or json",
            ),
            (
                ("cfg", "--settings", "absent.yaml"),
                "absent.yaml: cannot be read: No such file or directory",
            ),
            (
                ("cfg", "--settings", "unknown.json"),
                "unknown.json: pyfly.config-server.prot: unknown setting, the nearest known one is pyfly.config-server.port",
            ),
            (
                ("cfg", "--settings", "malformed.json"),
                "malformed.json: pyfly.config-server.port: expected a port from 0 to 65535",
            ),
            (
                ("cfg", "--host", "0.0.0.0"),
                "--host 0.0.0.0 would let anyone who reaches this machine read the configuration: "
                "add --users FILE, or, if that is wanted, --insecure --allow-host NAME, the name clients use",
            ),
            (
                ("cfg", "--host", "0.0.0.0", "--insecure"),
                "--host 0.0.0.0 would let anyone who reaches this machine read the configuration: "
                "add --users FILE, or, if that is wanted, --insecure --allow-host NAME, the name clients use",
            ),
            (
                ("cfg", "--host", "::", "--allow-host", "x"),
                "--host :: would let anyone who reaches this machine read the configuration: "
                "add --users FILE, or, if that is wanted, --insecure --allow-host NAME, the name clients use",
            ),
            (
                ("cfg", "--users", "absent.yaml"),
                "absent.yaml: cannot be read: No such file or directory",
            ),
            (
                ("cfg", "--users", "nobody.json"),
                "nobody.json: holds a map where a list or a text is expected",
            ),
            (
                ("cfg", "--tls-cert", "cert.pem"),
                "cert.pem: cannot be read: no such file or directory",
            ),
            (
                ("cfg", "--tls-key", "key.pem"),
                "pyfly.config-server.tls.key: is for TLS: add --tls-cert",
            ),
            (
                ("cfg", "--tls-client-ca", "ca.pem"),
                "pyfly.config-server.tls.client-ca: is for TLS: add --tls-cert",
            ),
            (
                ("cfg", "--workers", "0"),
                "--workers: pyfly.config-server.workers: expected a number from 1 to 256",
            ),
            (
                ("cfg", "--access-log", "loud"),
                "--access-log: pyfly.config-server.access-log: expected off or common or json",
            ),
        ],
        ids=[
            "no root",
            "missing folder",
            "a file",
            "missing location",
            "port",
            "interval",
            "log format",
            "missing settings",
            "unknown setting",
            "malformed setting",
            "all addresses",
            "insecure without hosts",
            "hosts without insecure",
            "missing users",
            "no users",
            "missing certificate",
            "key alone",
            "authorities alone",
            "no workers",
            "another access log",
        ],
    )
    def test_a_call_that_cannot_work_is_refused(
        self, run, folder, tmp_path, arguments, message
    ):
        """The whole message; nothing on standard output."""
        (tmp_path / "unknown.json").write_text('{"pyfly.config-server.prot": 1}')
        (tmp_path / "nobody.json").write_text("{}")
        (tmp_path / "malformed.json").write_text('{"pyfly.config-server.port": "x"}')
        assert (2, "", f"pyconfserve: error: {message}\n") == run(*arguments)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("cfg", "--nope"), "unrecognized arguments: --nope"),
            (("cfg", "other"), "unrecognized arguments: other"),
            (("cfg", "--port"), "argument --port: expected one argument"),
            (("cfg", "--read", "--port", "absent"), "unrecognized arguments: --read"),
        ],
        ids=["unknown flag", "two roots", "flag without value", "half a flag"],
    )
    def test_unknown_arguments_are_refused(self, run, folder, arguments, message):
        """After the usage, the last line names them; half a flag is not guessed."""
        status, out, errors = run(*arguments)
        assert (status, out) == (2, "")
        assert f"python -m pyconfserve: error: {message}" == errors.splitlines()[-1]

    def test_a_malformed_variable_is_refused(self, run, folder):
        """With its name."""
        message = "PYCONFSERVE_PORT: pyfly.config-server.port: expected a port from 0 to 65535"
        assert (2, "", f"pyconfserve: error: {message}\n") == run(
            "cfg", PYCONFSERVE_PORT="x"
        )

    def test_a_port_in_use_is_refused(self, run, folder):
        """With the address, in one line; the system's words follow."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, out, errors = run("cfg", "--port", str(port))
        assert (status, out) == (2, "")
        [line] = errors.splitlines()
        assert line.startswith(
            f"pyconfserve: error: cannot listen on 127.0.0.1:{port}: "
        )
        assert "address already in use" in line.lower()

    def test_a_root_that_would_not_be_served_is_refused(self, run, folder, tmp_path):
        """The first line never names a folder while another backend answers."""
        (tmp_path / "memory.json").write_text(
            '{"pyfly.config-server.backend.type": "memory"}'
        )
        arguments = ("cfg", "--settings", "memory.json", "--host", "203.0.113.1")
        exposed = ("--insecure", "--allow-host", "x", "--port", "0")
        status, out, errors = run(*arguments, *exposed)
        assert (status, out, errors.count("\n")) == (2, "", 1)
        assert "cannot listen" not in errors

    def test_the_folder_is_not_made(self, run, tmp_path):
        """The command line refuses a missing root, where the library makes it."""
        run("absent")
        assert not (tmp_path / "absent").exists()


class TestInsecure:
    """Beyond this machine, in so many words."""

    HERE = ("Host: x",)

    @pytest.fixture
    def serving(self, serve, folder):
        """On all addresses, for the Host x."""
        return serve(
            "cfg", "--insecure", "--host", "0.0.0.0", "--allow-host", "x", "--port", "0"
        )

    def test_what_everyone_may_do(self, serving):
        """Read what they can name: no saves, no lists, no details."""
        asked = [
            serving.ask("/orders/prod", headers=self.HERE),
            serving.ask("/orders/prod", headers=["Host: evil.example"]),
            serving.ask("/orders/prod", "POST", self.HERE, b"{}"),
            serving.ask("/_list", headers=self.HERE),
        ]
        assert [status for status, _ in asked] == [200, 421, 403, 403]
        assert serving.ask("/health", headers=self.HERE) == (200, '{"status":"UP"}')

    def test_the_first_line_has_the_address(self, serving):
        """As it was given."""
        expected = (
            f"pyconfserve {__version__} serving cfg on http://0.0.0.0:{serving.port}\n"
        )
        assert expected == serving.first_line

    @pytest.mark.parametrize("absent", ["orders", "absent"])
    def test_a_refusal_does_not_tell_what_exists(self, serving, absent):
        """403 on the name alone."""
        assert serving.ask(f"/{absent}/prod", "POST", self.HERE, b"not json")[0] == 403

    def test_any_host(self, serve, folder):
        """With --allow-host '*'."""
        serving = serve(
            "cfg", "--insecure", "--host", "0.0.0.0", "--allow-host", "*", "--port", "0"
        )
        assert serving.ask("/orders/prod", headers=["Host: any.example"])[0] == 200


class TestUsers:
    """Whoever is known by name."""

    @pytest.fixture
    def users(self, tmp_path):
        """A function that writes a file of users, by their tokens."""

        def write(**tokens):
            path = tmp_path / "users.json"
            path.write_text(json.dumps({"users": listed(**tokens)}))
            path.chmod(0o600)
            return str(path)

        return write

    def test_only_users_are_answered(self, serve, folder, users):
        """As far as their rights go; /health says to anyone that it is up."""
        serving = serve("cfg", "--port", "0", "--users", users(anna="secret"))
        anna = ["Authorization: Bearer secret"]
        assert [
            serving.ask("/orders/prod")[0],
            serving.ask("/orders/prod", headers=["Authorization: Bearer wrong"])[0],
            serving.ask("/orders/prod", headers=anna)[0],
            serving.ask("/orders/prod", "POST", anna, b"{}")[0],
            serving.ask("/health"),
        ] == [401, 401, 200, 403, (200, '{"status":"UP"}')]
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    def test_any_host_is_answered(self, serve, folder, users):
        """A page of another site has no password to send."""
        serving = serve("cfg", "--port", "0", "--users", users(anna="secret"))
        headers = ["Host: any.example", "Authorization: Bearer secret"]
        assert serving.ask("/orders/prod", headers=headers)[0] == 200

    def test_beyond_this_machine_without_tls_is_warned_of(self, serve, folder, users):
        """Passwords can be read on the way."""
        arguments = ("cfg", "--port", "0", "--host", "0.0.0.0", "--users")
        serving = serve(*arguments, users(anna="secret"))
        assert serving.ask("/orders/prod")[0] == 401
        warning = (
            "WARNING pyconfserve.serve: passwords and values cross the network in the "
            "clear: add --tls-cert and --tls-key, unless something in front of this "
            "server has TLS\n"
        )
        assert (0, "", warning + STOPPED) == serving.end(signal.SIGTERM)

    def test_insecure_opens_nothing_to_strangers(self, serve, folder, users):
        """It is for servers without users, and said so."""
        arguments = ("cfg", "--port", "0", "--insecure", "--users")
        serving = serve(*arguments, users(anna="secret"))
        assert serving.ask("/orders/prod")[0] == 401
        warning = "WARNING pyconfserve.serve: --insecure has no effect with users\n"
        assert (0, "", warning + STOPPED) == serving.end(signal.SIGTERM)

    def test_a_user_may_deliver_webhooks(self, serve, folder, tmp_path):
        """With the right to, and no signature; /monitor is there for that."""
        found = [{**user, "rights": ["monitor"]} for user in listed(hook="secret")]
        settings = {"pyfly.config-server.users": found}
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        serving = serve("cfg", "--port", "0", "--settings", "settings.json")
        kind = "Content-Type: application/json"
        body = b'{"path": ["orders.yml"]}'
        asked = [
            serving.ask("/monitor", "POST", [kind, *headers], body)
            for headers in ([], ["Authorization: Bearer secret"])
        ]
        assert asked[0][0] == 401
        assert asked[1] == (200, '["orders"]')


class TestReload:
    """SIGHUP."""

    @pytest.fixture
    def write(self, tmp_path):
        """A function that writes the settings' file, of which no part may be seen."""

        def write_settings(**settings):
            given = {f"pyfly.config-server.{key}": settings[key] for key in settings}
            (tmp_path / "new.json").write_text(json.dumps(given))
            (tmp_path / "new.json").replace(tmp_path / "settings.json")

        return write_settings

    def test_settings_are_read_again(self, serve, folder, write):
        """Users of before are users no more, those of now are."""
        write(users=listed(anna="one"), port=0)
        serving = serve("cfg", "--settings", "settings.json")

        def statuses():
            return [
                serving.ask("/orders/prod", headers=[f"Authorization: Bearer {token}"])[0]
                for token in ("one", "two")
            ]

        assert statuses() == [200, 401]
        write(users=listed(anna="two"), port=0)
        serving.signal(signal.SIGHUP)
        wait_until(lambda: statuses() == [401, 200])
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    def test_what_needs_a_restart_is_said(self, serve, folder, write):
        """All of it in one line; users cannot go while it serves."""
        write(users=listed(anna="one"), port=0)
        serving = serve("cfg", "--settings", "settings.json")
        write(port=0, **{"base-path": "/x", "workers": 4})
        serving.signal(signal.SIGHUP)
        line = "a restart is needed for base-path, users, workers"
        assert f"WARNING pyconfserve.serve: {line}\n" == logged(serving)
        assert serving.ask("/orders/prod")[0] == 401

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            (
                {"port": "x"},
                "the settings stay as they were: settings.json: "
                "pyfly.config-server.port: expected a port from 0 to 65535",
            ),
            (
                {"users": [{"name": "anna"}], "port": 0},
                "users and certificates stay as they were: pyfly.config-server: "
                "users[0]: expected a password or a token: "
                "python -m pyconfserve user add makes one",
            ),
        ],
        ids=["settings", "users"],
    )
    def test_what_is_broken_changes_nothing(self, serve, folder, write, settings, line):
        """One line says what it is, and the next signal finds it mended."""
        write(users=listed(anna="one"), port=0)
        serving = serve("cfg", "--settings", "settings.json")
        one = ["Authorization: Bearer one"]
        write(**settings)
        serving.signal(signal.SIGHUP)
        assert f"ERROR pyconfserve.serve: {line}\n" == logged(serving)
        assert serving.ask("/orders/prod", headers=one)[0] == 200
        write(users=listed(anna="two"), port=0)
        serving.signal(signal.SIGHUP)
        wait_until(lambda: serving.ask("/orders/prod", headers=one)[0] == 401)
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    def test_the_form_of_the_log_changes(self, serve, folder, write):
        """From the next line on."""
        write(port=0)
        serving = serve("cfg", "--settings", "settings.json")
        write(port=1, **{"log-format": "json"})
        serving.signal(signal.SIGHUP)
        assert logged(serving) == (
            "WARNING pyconfserve.serve: a restart is needed for port\n"
        )
        wait_until(lambda: serving.ask("/orders/prod")[0] == 200)
        serving.signal(signal.SIGHUP)
        assert json.loads(logged(serving))["message"] == "a restart is needed for port"


class TestObservation:
    """What is told of requests."""

    def test_the_access_log_has_no_values(self, serve, folder, tmp_path):
        """A line a request: who, when, what, how it ended, its id; no query."""
        users = json.dumps({"users": listed(anna="secret")})
        (tmp_path / "users.json").write_text(users)
        serving = serve(
            *("cfg", "--port", "0", "--access-log", "common"),
            *("--users", "users.json"),
        )
        known = ["Authorization: Bearer secret", "X-Request-Id: one"]
        assert serving.ask("/orders/prod?password=hunter2", headers=known)[0] == 200
        assert serving.ask("/orders/prod", headers=["X-Request-Id: two"])[0] == 401
        first, second = logged(serving), logged(serving)
        shape = r'127\.0\.0\.1 - {} \[.+\] "GET /orders/prod HTTP/1\.1" {} \d+ {} [\d.]+\n'
        assert re.fullmatch(shape.format("anna", 200, "one"), first)
        assert re.fullmatch(shape.format("-", 401, "two"), second)
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    def test_it_is_off_unless_asked_for(self, serve, folder):
        """Nothing is logged of a request."""
        serving = serve("cfg", "--port", "0")
        assert serving.ask("/orders/prod")[0] == 200
        assert serving.end(signal.SIGTERM) == (0, "", STOPPED)

    @pytest.mark.skipif(
        find_spec("prometheus_client") is None,
        reason="pip install 'pyconfserve[prometheus]'",
    )
    def test_metrics_are_for_those_who_may_list(self, serve, folder):
        """Strangers from other machines may not; the library makes the page."""
        here = serve("cfg", "--port", "0")
        assert here.ask("/orders/prod")[0] == 200
        status, page = here.ask("/metrics")
        line = 'pyconfserve_requests_total{method="GET",status="200"} 1.0'
        assert (status, page.splitlines().count(line)) == (200, 1)
        arguments = ("--insecure", "--host", "0.0.0.0", "--allow-host", "*")
        assert serve("cfg", "--port", "0", *arguments).ask("/metrics")[0] == 403


def test_a_backend_has_its_time(serve, tmp_path):
    """A store that does not answer in --backend-timeout is a 504; the end does not
    wait for it either.
    """
    (tmp_path / "stuck.py").write_text(
        "import asyncio, threading\nclass Stuck:\n"
        "    async def fetch(self, application, profile, label='main'):\n"
        "        await asyncio.to_thread(threading.Event().wait)\n"
        "    async def save(self, source): ...\n"
        "    async def list(self): return []\n"
    )
    (tmp_path / "settings.json").write_text(
        '{"pyfly.config-server.backend.type": "stuck:Stuck"}'
    )
    serving = serve(
        *("--settings", "settings.json", "--port", "0", "--backend-timeout", "0.1"),
        PYTHONPATH=f"{PROJECT}{os.pathsep}{tmp_path}",
    )
    assert serving.ask("/orders/prod")[0] == 504
    status, out, errors = serving.end(signal.SIGTERM)
    assert (status, out) == (0, "")
    left = "WARNING pyconfserve.serve: work that did not end is left undone\n"
    assert errors.endswith(left)


def test_a_host_that_is_not_ours_is_misdirected(serve, folder):
    """A page of another site that was rebound to 127.0.0.1 gets nothing."""
    serving = serve("cfg", "--port", "0", "--allow-host", "config.example")
    found = [
        serving.ask("/orders/prod", headers=[f"Host: {host}"])[0]
        for host in (
            "localhost:1",
            "127.0.0.1",
            "[::1]:80",
            "config.example",
            "CONFIG.example.:80",
            "evil.example",
        )
    ]
    assert found == [200, 200, 200, 200, 200, 421]


class TestStop:
    """An end that loses nothing."""

    @pytest.mark.parametrize(
        "number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"]
    )
    def test_a_signal_ends_it_calmly(self, serve, folder, number):
        """Exit status 0 and one line on standard error."""
        assert serve("cfg", "--port", "0").end(number) == (0, "", STOPPED)

    def test_what_was_begun_is_finished(self, serve, folder):
        """A save whose body arrives after the signal is answered and durable."""
        serving = serve("cfg", "--port", "0")
        body = b'{"a": 1}'
        with serving.connect() as connection:
            connection.sendall(
                b"POST /orders/stage HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
            serving.signal()
            wait_until(serving.refuses)
            connection.sendall(body)
            head, _, content = read_all(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close" in head.split(b"\r\n")
        assert content == b'{"saved":true}'
        assert serving.end() == (0, "", STOPPED)
        assert [path.name for path in folder.rglob("orders-stage.*")]

    def test_idle_connections_do_not_hold_it_up(self, serve, folder):
        """They are closed."""
        serving = serve("cfg", "--port", "0")
        with serving.connect() as silent, serving.connect() as answered:
            answered.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answered.recv(4096)
            serving.signal()
            assert [silent.recv(1), answered.recv(1)] == [b"", b""]
        assert serving.end() == (0, "", STOPPED)

    def test_a_signal_under_load_loses_no_request(self, serve, folder):
        """What was sent before the signal is answered; later ones are, or are refused
        as a whole.
        """
        serving = serve("cfg", "--port", "0")
        request = (
            b"GET /orders/prod HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        whole = serving.ask("/orders/prod")[1].encode()
        answered, signalled = threading.Semaphore(0), [math.inf]
        wrong = []

        def ask():
            """When the request was sent, and the answer, empty without one."""
            sent_at = math.inf
            try:
                with serving.connect() as connection:
                    connection.sendall(request)
                    sent_at = time.monotonic()
                    return sent_at, read_all(connection)
            except ConnectionError:
                return sent_at, b""
            except AssertionError as broken_off:
                return 0, repr(broken_off).encode()

        def hammer():
            answer = b"any"
            while answer:
                sent_at, answer = ask()
                is_whole = answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(
                    b"\r\n\r\n" + whole
                )
                if not is_whole and (answer or sent_at < signalled[0]):
                    wrong.append(answer)
                answered.release()

        threads = [threading.Thread(target=hammer) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            assert answered.acquire(timeout=10)
        signalled[0] = time.monotonic()
        ended = serving.end(signal.SIGTERM)
        for thread in threads:
            thread.join(10)
        assert (wrong, ended) == ([], (0, "", STOPPED))

    def test_pipelined_requests_are_all_answered(self, serve, folder):
        """What has arrived with the signal belongs to what was accepted."""
        serving = serve("cfg", "--port", "0")
        with serving.connect() as connection:
            connection.sendall(
                b"GET /orders/prod HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50
            )
            serving.signal()
            answers = read_all(connection)
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 50
        assert serving.end() == (0, "", STOPPED)

    def test_a_second_signal_ends_it_at_once(self, serve, folder):
        """Whoever is impatient does not wait for a slow client."""
        serving = serve("cfg", "--port", "0")
        with serving.connect() as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost:")
            assert serving.ask("/health")[0] == 200
            serving.signal()
            wait_until(serving.refuses)
            assert serving.process.poll() is None
            assert serving.end(signal.SIGTERM) == (1, "", "")


SERVE = [sys.executable, "-m", "pyconfserve", "cfg"]


def status(port, target):
    """The beginning of an answer."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return client.recv(12)


class TestStreams:
    """What becomes of those who do not read what a server says."""

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_full_log_holds_up_nobody(self, folder, environ, workers):
        """What cannot be written is left out; a signal ends the server as ever."""
        (folder / "broken-prod.json").write_text("{")
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, bytes(4096)):
                pass
        os.set_blocking(writing, True)
        process = subprocess.Popen(
            [*SERVE, "--port", "0", "--workers", workers],
            cwd=folder.parent,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=writing,
        )
        try:
            port = int(process.stdout.readline().rpartition(b":")[2])
            assert status(port, "/broken/prod") == b"HTTP/1.1 500"
            assert status(port, "/orders/prod") == b"HTTP/1.1 200"
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.communicate()
            os.close(reading)
            os.close(writing)

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_first_line_that_nobody_reads(self, folder, environ, workers):
        """It is said in the log, and whoever asks is answered."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with open("/dev/full", "wb") as full:
            process = subprocess.Popen(
                [*SERVE, "--port", str(port), "--workers", workers],
                cwd=folder.parent,
                env=environ,
                stdout=full,
                stderr=subprocess.PIPE,
            )
        try:
            line = process.stderr.readline()
            assert line == (
                b"WARNING pyconfserve.serve: standard output: no space left on device\n"
            )
            assert status(port, "/orders/prod") == b"HTTP/1.1 200"
            process.terminate()
            assert process.communicate(timeout=10)[1].decode() == STOPPED
            assert process.returncode == 0
        finally:
            process.kill()
            process.communicate()
