"""remote_import: the configuration of a service at its start, from real servers."""

import asyncio
import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyconfserve.errors import ConfigError, FetchError
from pyconfserve.remote_import import import_remote

pytest_plugins = ["pyconfserve.testing"]
PROJECT = Path(__file__).parents[1]


@pytest.fixture
def served(config_server):
    """A server with one configuration."""
    return config_server({"orders/prod": {"db": {"pool": 20}, "tags": ["x"]}})


@pytest.fixture
def nowhere():
    """The URL of a port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def of(url, **more):
    """Nested settings of a service with its server at *url*."""
    config = {"uri": url, **more}
    return {
        "pyfly": {
            "app": {"name": "orders"},
            "profiles": {"active": ["prod"]},
            "cloud": {"config": config},
        }
    }


def test_remote_values_stand_above_local_ones(served):
    """Key by key; a list is replaced whole."""
    local = {"db": {"pool": 1, "host": "a"}, "tags": ["a", "b"]}
    found = import_remote({**of(served.url), **local}, {})
    assert found == {
        "pyfly.app.name": "orders",
        "pyfly.profiles.active[0]": "prod",
        "pyfly.cloud.config.uri": served.url,
        "db.pool": 20,
        "db.host": "a",
        "tags[0]": "x",
    }
    assert [request.path for request in served.requests] == ["/orders/prod/main"]


def test_springs_names(served):
    """The label is the server's own unless it is named."""
    settings = {
        "spring.config.import": f"optional:configserver:{served.url}",
        "spring.application.name": "orders",
        "spring.profiles.active": "prod",
    }
    assert import_remote(settings, {})["db.pool"] == 20
    assert [request.path for request in served.requests] == ["/orders/prod"]


def test_several_profiles_are_asked_for_at_once(served):
    """Joined by commas."""
    served.set("orders", "eu", {"region": "eu"})
    found = import_remote({**of(served.url), "pyfly.profiles.active": "prod,eu"}, {})
    assert (found["db.pool"], found["region"]) == (20, "eu")


def test_the_environment_is_read_when_it_is_called(served, monkeypatch):
    """Not at import."""
    for name, value in (("URL", served.url), ("APPLICATION", "orders"), ("PROFILE", "prod")):
        monkeypatch.setenv(f"CONFIG_CLIENT_{name}", value)
    assert import_remote({"a": 1}) == {"a": 1, "db.pool": 20, "tags[0]": "x"}
    monkeypatch.delenv("CONFIG_CLIENT_URL")
    assert import_remote({"a": 1}) == {"a": 1}


def test_credentials_are_sent(served):
    """As basic authorization."""
    import_remote(of(served.url, username="u", password="p"), {})
    expected = base64.b64encode(b"u:p").decode()
    assert served.requests[0].headers["authorization"] == f"Basic {expected}"


def test_springs_token_is_sent(served):
    """In the header that Spring's clients send it in."""
    settings = {**of(served.url), "spring.cloud.config.token": "t"}
    import_remote(settings, {})
    assert served.requests[0].headers["x-config-token"] == "t"


@pytest.mark.parametrize("settings", [{}, {"a": {"b": 1}}], ids=["empty", "others"])
def test_without_an_import_the_values_are_the_local_ones(settings):
    """And nobody is asked."""
    assert import_remote(settings, {}) == ({"a.b": 1} if settings else {})


def test_a_disabled_import_asks_nobody(served):
    """Whatever else is said."""
    found = import_remote({"a": 1, **of(served.url, enabled=False)}, {"CONFIG_CLIENT_URL": served.url})
    assert (found["a"], "db.pool" in found, served.requests) == (1, False, [])


def test_a_server_that_is_away_leaves_the_local_values(nowhere, caplog):
    """With one warning of ours, which has no credentials in it."""
    url = nowhere.replace("http://", "http://u:hunter2@")
    with caplog.at_level(logging.WARNING):
        found = import_remote({**of(url), "a": 1}, {})
    assert found["a"] == 1
    ours = [record for record in caplog.records if record.name == "pyconfserve.remote_import"]
    assert [record.getMessage()[:24] for record in ours] == ["local settings only: htt"]
    assert "hunter2" not in caplog.text


def test_an_answer_that_is_none_leaves_the_local_values(config_server):
    """Of a server that does not know the application."""
    assert import_remote({**of(config_server().url), "a": 1}, {})["a"] == 1


@pytest.mark.parametrize("server", ["away", "without it"])
def test_fail_fast_is_the_clients_own_error(config_server, nowhere, server):
    """For no answer and for one without configuration."""
    url = nowhere if server == "away" else config_server().url
    with pytest.raises(FetchError) as caught:
        import_remote(of(url, **{"fail-fast": True}), {})
    assert caught.value.status == (None if server == "away" else 404)


def test_a_malformed_address_is_an_error():
    """Of whoever wrote it, not of a server."""
    with pytest.raises(ConfigError):
        import_remote(of("file:///etc/passwd", **{"fail-fast": True}), {})


def test_inside_a_running_event_loop(served):
    """It blocks that loop, and gives the same."""

    async def main():
        return import_remote(of(served.url), {})

    assert asyncio.run(main())["db.pool"] == 20


@pytest.mark.parametrize("wrapped", ["", "async "], ids=["plain", "inside a loop"])
def test_an_interruption_ends_it_at_once(wrapped):
    """However long the server is silent, and so does the process end."""
    script = f"""
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pyconfserve.remote_import import import_remote
{wrapped}def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        import_remote({{"pyfly.cloud.config.uri": sys.argv[1], "pyfly.app.name": "o"}}, {{}})
    except KeyboardInterrupt:
        print("interrupted")
asyncio.run(main()) if {bool(wrapped)} else main()
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen([sys.executable, "-c", script, url], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                server.settimeout(20)
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    process.send_signal(signal.SIGINT)
                    assert process.communicate(timeout=5) == ("interrupted\n", "")
            finally:
                process.kill()


def test_a_snapshot_stands_in(served, tmp_path):
    """For a server that has gone away since."""
    environ = {"CONFIG_CLIENT_SNAPSHOT": str(tmp_path / "snapshot")}
    assert import_remote(of(served.url), environ)["db.pool"] == 20
    served.close()
    assert import_remote(of(served.url), environ)["db.pool"] == 20


def test_a_file_of_settings(served, tmp_path):
    """By its path."""
    (tmp_path / "app.json").write_text(json.dumps({**of(served.url), "a": 1}))
    found = import_remote(tmp_path / "app.json", {})
    assert (found["a"], found["db.pool"]) == (1, 20)


def test_an_object_with_get_has_no_local_values(served):
    """It cannot be asked for all of them."""

    class Source:
        def get(self, key, default=None):
            known = {"pyfly.cloud.config.uri": served.url, "pyfly.app.name": "orders"}
            return {**known, "pyfly.profiles.active": "prod"}.get(key, default)

    assert import_remote(Source(), {}) == {"db.pool": 20, "tags[0]": "x"}


def test_without_an_import_no_client_is_loaded():
    """Nor a thread started."""
    script = (
        "import sys, threading\nfrom pyconfserve.remote_import import import_remote\n"
        "import_remote({'a': 1}, {})\n"
        "print('pyconfserve.client' in sys.modules, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert done.stdout == "False 1\n"
