"""Servers that fail in every way: each has its outcome, in time, and leaks nothing."""

import asyncio
import json
import logging
import time
import traceback

import pytest
from scripted import ScriptedServer, drip, environment, flood, hang, reply

from pyconfserve.client import ConfigClient
from pyconfserve.errors import FetchError, SettingsError

TIMEOUT = 0.4  # seconds for one exchange
SLACK = 1.5  # seconds beyond it that a busy machine may take
CANARY = "canary"
BASIC = "bWU6Y2FuYXJ5"  # me:canary
OK = b"HTTP/1.1 200 OK\r\n"


def always(data):
    return lambda server: data


def shaped(tree):
    return always(reply(tree))


# What is played, and what its FetchError has as status: None for no answer, 200 for one
# that is no configuration; these two are errors of fetch(), other statuses give {}.
FAULTS = {
    "hangs": (hang, None),
    "drips-head": (lambda server: drip(server, OK * 1000), None),
    "drips-body": (lambda server: drip(server, reply(b"x" * 1000)), None),
    "closes-at-once": (always(b""), None),
    "closes-in-the-head": (always(OK + b"Content-"), None),
    "closes-in-the-body": (always(OK + b"Content-Length: 100\r\n\r\n{" + CANARY.encode()), None),
    "closes-in-a-chunk": (always(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{" + CANARY.encode()), None),
    "another-protocol": (always(b"220 canary ESMTP\r\n"), None),
    "100-MB-announced": (lambda server: flood(OK + b"Content-Length: 104857600\r\n\r\n"), None),
    "100-MB-in-chunks": (lambda server: flood(OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"), None),
    "html": (always(reply(b"<html>canary</html>", Content_Type="text/html")), 200),
    "no-json": (always(reply(b'{"propertySources": [canary')), 200),
    "empty": (always(reply(b"")), 200),
    "not-utf8": (always(reply(b'{"name": "\xff"}')), 200),
    "bomb": (always(reply(b"[" * 1_000_000)), 200),
    "null": (shaped(None), 200),
    "list": (shaped([CANARY]), 200),
    "null-sources": (shaped({"propertySources": None}), 200),
    "nested-source": (shaped(environment({"a": {"b": CANARY}})), 200),
    "list-in-a-source": (shaped(environment({"a": [CANARY]})), 200),
    "number-as-key": (always(reply(b'{"propertySources": [{"source": {1: 2}}]}')), 200),
    "text-as-source": (shaped({"propertySources": [CANARY]}), 200),
    "401": (always(reply(status=401, WWW_Authenticate="Basic")), 401),
    "403": (always(reply({"message": CANARY}, 403)), 403),
    "404": (always(reply({"message": CANARY}, 404)), 404),
    "500": (always(reply({"message": CANARY}, 500)), 500),
    "503": (always(reply(status=503, Retry_After="3600")), 503),
    "503-by-date": (always(reply(status=503, Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")), 503),
    "304": (always(b"HTTP/1.1 304 Not Modified\r\n\r\n"), 304),
    "redirect-to-a-file": (always(reply(status=302, Location="file:///etc/passwd")), 302),
    "redirect-to-data": (always(reply(status=302, Location="data:,%7B%7D")), 302),
    "redirect-in-circles": (always(reply(status=302, Location="/orders/default/main")), 302),
}  # fmt: skip
SPOKEN = (302, 304, 401, 403, 404)  # the snapshot does not serve


class Outcome:
    """What a call gave: `value` or `error`, and the `seconds` it took."""

    def __init__(self, call):
        began = time.monotonic()
        self.value = self.error = None
        try:
            self.value = call()
        except FetchError as error:
            self.error = error
        self.seconds = time.monotonic() - began

    def text(self):
        """All that could be shown of it."""
        if self.error is None:
            return ""
        return "".join(traceback.format_exception(self.error)) + repr(self.error)


@pytest.fixture
def logged(caplog):
    """All that was logged, at any level, by anybody."""
    caplog.set_level(logging.DEBUG)
    return caplog


def make(server, **options):
    return ConfigClient(
        url=server.url.replace("//", "//me:canary@"),
        application="orders",
        headers={"X-Config-Token": CANARY},
        timeout=TIMEOUT,
        **{"retries": 0, **options},
    )


def fetched(client):
    return Outcome(lambda: asyncio.run(client.fetch()))


@pytest.mark.parametrize(("act", "status"), FAULTS.values(), ids=FAULTS)
def test_a_fault_has_its_outcome_in_time(server, logged, act, status):
    """fetch() is empty for a status and an error for no answer; load() is an error."""
    server.play(act(server))
    client = make(server)
    fetch, load = fetched(client), Outcome(client.load)
    assert load.error.status == status
    if status in (None, 200):
        assert fetch.error.status == status
    else:
        assert (fetch.value, len(logged.records) > 0) == ({}, True)
        assert fetched(make(server, fail_fast=True)).error.status == status
    for outcome in (fetch, load):
        assert outcome.seconds < TIMEOUT + SLACK
        assert CANARY not in outcome.text()
    assert load.error.url == server.url
    assert CANARY not in logged.text
    assert BASIC not in logged.text


@pytest.mark.parametrize(("act", "status"), FAULTS.values(), ids=FAULTS)
def test_a_fault_leaves_the_snapshot_as_it_is(server, logged, act, status, tmp_path):
    """It serves, unless the server has spoken."""
    path = tmp_path / "orders.json"
    make(server, snapshot=path).load()
    before = path.read_bytes()
    server.play(act(server))
    load = Outcome(make(server, snapshot=path).load)
    if status in SPOKEN:
        assert load.error.status == status
    else:
        assert (load.value, load.value.stale_since is not None) == ({"a": 1}, True)
    assert (before, [path.name]) == (path.read_bytes(), [each.name for each in tmp_path.iterdir()])  # fmt: skip
    assert CANARY not in path.read_text() + logged.text
    assert load.seconds < TIMEOUT + SLACK


@pytest.mark.parametrize("act", [hang, lambda server: drip(server, OK * 1000)])
def test_all_attempts_together_are_bounded(server, act):
    """Three timeouts, however many attempts."""
    server.play(act(server))
    outcome = Outcome(make(server, retries=50).load)
    assert outcome.error.status is None
    assert outcome.seconds < 3 * TIMEOUT + SLACK


def test_retry_after_does_not_hold_a_start(server):
    """For longer than three timeouts."""
    server.play(reply(status=503, Retry_After="3600"))
    outcome = Outcome(make(server, retries=50).load)
    assert (outcome.error.status, outcome.seconds < 3 * TIMEOUT + SLACK) == (503, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_credentials_reach_another_host(server, status, logged):
    """It is not asked at all."""
    other = ScriptedServer(reply(environment({"a": 2})))
    try:
        server.play(reply(status=status, Location=f"{other.url}/orders/default/main"))
        assert fetched(make(server)).value == {}
        assert other.asked == []
        assert server.asked[0].headers["authorization"] == f"Basic {BASIC}"
        assert CANARY not in logged.text
    finally:
        other.stop()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:application/json,%7B%7D", "http://ok,file:///x"])  # fmt: skip
def test_files_and_data_are_no_servers(url):
    """They are refused before anything is read."""
    with pytest.raises(SettingsError, match=r"^url: a url begins with http:// or https://$"):  # fmt: skip
        ConfigClient(url=url, application="orders")


def test_a_fault_in_a_watch_changes_nothing(server, client, run, tmp_path, logged):
    """Neither the view nor the snapshot; it goes on until a change comes."""
    path = tmp_path / "orders.json"
    short = [act(server) for act, status in FAULTS.values() if act(server).__class__ is bytes]  # fmt: skip
    last = reply(environment({"a": 2}))

    async def go():
        made = client(snapshot=path, poll_interval=0.001, timeout=2, token=CANARY)
        await made.configuration()
        before = path.read_bytes()
        server.play(*short, last)
        changes = [change async for change in limited(made.watch())]
        return before, changes

    async def limited(watching):
        async for change in watching:
            yield change
            break
        await watching.aclose()

    before, (change,) = run(go())
    assert change.changed == {"a": (1, 2)}
    assert len(server.asked) >= len(short)
    assert json.loads(path.read_bytes())["document"] != json.loads(before)["document"]
    assert CANARY not in logged.text + path.read_text()
