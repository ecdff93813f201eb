"""Vault: tokens that expire, are revoked and are renewed, and faults in the middle."""

import asyncio
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from backend_contract import change
from store_contract import ORDERS
from vault_server import ALL, ROOT, Refused, Token, VaultServer

from pyconfserve.adapters.vault import VaultStore
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
)
from pyconfserve.store import Record, Snapshot
from pyconfserve.store_backend import StoreBackend

RIGHTS = {"secret/data/pyconfserve/": ALL, "secret/metadata/pyconfserve/": {"list"}}
SOON = 5.0  # seconds in which something happens, on any machine
RENEW = ("POST", "auth/token/renew-self")
LOGIN = ("POST", "auth/approle/login")
LOOK = ("GET", "auth/token/lookup-self")
JOURNAL = "pyconfserve/.rev"
SECRET = "s3cret"  # what all tokens and secrets here begin with
ROLE = {"role_id": "reader", "secret_id": f"{SECRET}-of-role"}


@pytest.fixture(params=[False, True], ids=["vault", "openbao"])
def server(request):
    with VaultServer(request.param) as server:
        server.roles = {"reader": f"{SECRET}-of-role"}
        server.tokens["s3cret-1"] = Token(RIGHTS, 3600)
        server.tokens["s3cret-2"] = Token(RIGHTS, 3600)
        yield server


@pytest.fixture
def connect(server, caplog):
    """Makes stores, and closes them; no secret is in any log."""
    caplog.set_level(logging.DEBUG)
    made = []

    def connect(**options):
        made.append(VaultStore(f"{server.uri}/secret/pyconfserve", look=0.01, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()
    assert SECRET not in caplog.text


def asked(server, what):
    with server.lock:
        return sum((method, path) == what for method, path, _ in server.asked)


def until(claim):
    """Wait until *claim* holds."""
    end = time.monotonic() + SOON
    while not claim():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


class TestFiles:
    """A token that stands in a file, as an agent of Vault writes it."""

    def test_it_is_read_again_when_it_is_refused(self, server, connect, tmp_path):
        """Once, and what was asked is asked again: a change too."""
        path = tmp_path / "token"
        path.write_text("s3cret-1\n")
        store = connect(token_file=str(path))
        version = store.write(ORDERS, "1", None)
        del server.tokens["s3cret-1"]
        path.write_text("s3cret-2\n")
        assert store.write(ORDERS, "2", version).startswith("2-")
        assert [token for _, _, token in server.asked][-1] == "s3cret-2"

    def test_it_is_the_next_one_though_nobody_can_look_at_it(self, server, connect, tmp_path):
        """Who read it once does not hold on to the one that was refused."""
        path = tmp_path / "token"
        path.write_text("s3cret-1")
        store = connect(token_file=str(path))
        store.token()
        del server.tokens["s3cret-1"]
        path.write_text("s3cret-2")
        server.broken[LOOK] = None
        assert store.token() == ""
        server.broken = {}
        assert store.token() == ""

    def test_the_same_again_is_a_refusal(self, server, connect, tmp_path):
        """Which tells what is wrong, and not with which."""
        path = tmp_path / "token"
        path.write_text("s3cret-1\n")
        store = connect(token_file=str(path))
        store.token()
        del server.tokens["s3cret-1"]
        with pytest.raises(BackendDenied) as caught:
            store.token()
        assert str(caught.value) == f"{store.address}: .rev: the token is wrong, expired or revoked"

    @pytest.mark.parametrize(("text", "problem"), [(None, "No such file or directory"), ("", "holds no token"), ("a b", "holds no token")])
    def test_a_file_without_one(self, connect, tmp_path, text, problem):
        """Its owner is told."""
        path = tmp_path / "token"
        if text is not None:
            path.write_text(text)
        with pytest.raises(BackendMisconfigured) as caught:
            connect(token_file=str(path)).token()
        assert problem in str(caught.value)


class TestRoles:
    """A role logs in, again and again."""

    def test_one_that_is_refused_logs_in_again(self, server, connect):
        """Once for all who ask at once."""
        store = connect(**ROLE)
        store.write(ORDERS, "1", None)
        server.tokens.pop("s3cret-of-login-1")
        with ThreadPoolExecutor(8) as threads:
            tokens = {*threads.map(lambda _: store.token(), range(16))}
        assert len(tokens) == 1
        assert server.logins == 2

    def test_a_right_that_it_has_not_is_no_reason(self, server, connect):
        """It is known by a look at the token."""
        server.role_rights = {"secret/data/elsewhere": ALL}
        store = connect(**ROLE)
        for _ in range(3):
            with pytest.raises(BackendDenied) as caught:
                store.token()
            assert str(caught.value) == f"{store.address}: .rev: the token has no right to it"
        assert server.logins == 1

    def test_one_that_may_not_look_at_its_token_logs_in_rarely(self, server, connect, monkeypatch):
        """Each login would be a token more; a token that is revoked is replaced yet."""
        monkeypatch.setattr("pyconfserve.adapters.vault_login._RARELY", 0.5)
        server.role_rights, answer = {"secret/data/elsewhere": ALL}, server.answer

        def no_looks(method, path, *rest):
            if (method, path) == LOOK:
                raise Refused(403, "permission denied")
            return answer(method, path, *rest)

        server.answer = no_looks
        store = connect(**ROLE)
        for _ in range(5):
            with pytest.raises(BackendDenied):
                store.token()
        assert server.logins == 2
        server.tokens, server.role_rights = {}, None

        def is_in():
            with suppress(BackendDenied):
                return store.token() == ""

        until(is_in)

    def test_a_look_that_fails_is_no_reason(self, server, connect):
        """Whether the token is known, nobody can tell."""
        server.role_rights = {"secret/data/elsewhere": ALL}
        server.broken[LOOK] = 429
        store = connect(**ROLE)
        with pytest.raises(BackendDenied) as caught:
            store.token()
        assert str(caught.value) == f"{store.address}: .rev: the token has no right to it"
        assert server.logins == 1

    def test_one_that_is_refused_is_not_tried_by_each_request(self, server, connect, monkeypatch):
        """Vault locks out who does; it is in soon after the role is right."""
        store = connect(role_id="reader", secret_id="s3cret-other")
        for _ in range(20):
            with pytest.raises(BackendDenied):
                store.token()
        assert asked(server, LOGIN) == 1
        server.roles["reader"] = "s3cret-other"
        store._client._login._again = 0.0
        assert store.token() == ""

    def test_who_waits_for_a_login_shares_its_failure(self):
        """Else the last of many would wait for all before it."""
        together = threading.Barrier(8)
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            store = VaultStore(f"vault://127.0.0.1:{silent.getsockname()[1]}/secret", timeout=0.4, **ROLE)

            def ask(_):
                together.wait(SOON)
                with pytest.raises(BackendUnavailable):
                    store.token()

            with ThreadPoolExecutor(8) as threads:
                list(threads.map(ask, range(8)))
            store.close()
            silent.setblocking(False)
            logins = 0
            with suppress(BlockingIOError):
                while True:
                    silent.accept()[0].close()
                    logins += 1
        assert 1 <= logins <= 4

    @pytest.mark.parametrize("token", [None, "", 1])
    def test_a_login_without_a_token(self, server, connect, token):
        """Who answers so is no Vault."""
        server.answer = lambda *_: (200, {"auth": {"client_token": token}})
        store = connect(**ROLE)
        with pytest.raises(BackendMisconfigured) as caught:
            store.token()
        assert str(caught.value) == f"{store.address}: it does not answer as Vault does"

    def test_a_wrong_secret_is_told(self, connect):
        """Without it."""
        store = connect(role_id="reader", secret_id="s3cret-wrong")
        with pytest.raises(BackendDenied) as caught:
            store.token()
        assert str(caught.value) == f"{store.address}: the role or its secret is wrong"

    def test_a_token_that_cannot_be_renewed_is_replaced_in_time(self, server, connect):
        """By a new login, before it expires."""
        server.role_ttl = 0.6
        store = connect(**ROLE)
        store.token()
        server.tokens["s3cret-of-login-1"].renewable = False
        until(lambda: server.logins >= 2)
        began = time.monotonic()
        while time.monotonic() < began + 0.5:
            store.token()


class TestRenewals:
    """A token that expires."""

    def test_it_is_renewed_before_it_does(self, server, connect):
        """While nobody asks for anything, again and again."""
        server.tokens["s3cret-1"] = Token(RIGHTS, 0.6)
        store = connect(token="s3cret-1")
        store.token()
        until(lambda: asked(server, RENEW) >= 3)
        assert store.token() == ""

    @pytest.mark.parametrize("status", [503, None], ids=["sealed", "cut"])
    def test_one_that_failed_is_tried_again(self, server, connect, caplog, monkeypatch, status):
        """As long as Vault is away."""
        monkeypatch.setattr("pyconfserve.adapters.vault_login._AGAIN", 0.05)
        server.tokens["s3cret-1"] = Token(RIGHTS, 0.6)
        server.broken[RENEW] = status
        store = connect(token="s3cret-1")
        store.token()
        until(lambda: asked(server, RENEW) >= 3)
        server.broken = {}
        server.tokens["s3cret-1"].renew()
        until(lambda: asked(server, RENEW) >= 4)
        assert "the token was not renewed: vault" in caplog.text

    @pytest.mark.parametrize("status", [503, None], ids=["sealed", "cut"])
    def test_one_that_nobody_could_look_at_is_renewed_yet(self, server, connect, monkeypatch, status):
        """A start while Vault is away is not the last time that it is thought of."""
        monkeypatch.setattr("pyconfserve.adapters.vault_login._AGAIN", 0.05)
        server.tokens["s3cret-1"] = Token(RIGHTS, 0.6)
        server.broken[LOOK] = status
        store = connect(token="s3cret-1")
        store.token()
        until(lambda: asked(server, LOOK) >= 3)
        server.tokens["s3cret-1"].renew()
        server.broken = {}
        until(lambda: asked(server, RENEW) >= 1)
        assert store.token() == ""

    def test_the_time_of_one_is_not_that_of_the_next(self, server, connect, tmp_path, caplog):
        """One for ever is not renewed because another would have been."""
        path = tmp_path / "token"
        path.write_text("s3cret-1")
        store = connect(token_file=str(path))
        store.token()
        timer = store._client._login._timer
        del server.tokens["s3cret-1"]
        path.write_text(ROOT)
        store.token()
        timer.join(SOON)
        assert not timer.is_alive()

    def test_one_that_cannot_be_is_told_of(self, server, connect, caplog):
        """At the start, to who reads logs."""
        server.tokens["s3cret-1"] = Token(RIGHTS, 60, renewable=False)
        connect(token="s3cret-1").token()
        assert "cannot be renewed" in caplog.text

    def test_one_that_is_refused_for_good_is_told_of(self, server, connect, caplog):
        """And asked for no more."""
        server.tokens["s3cret-1"] = Token(RIGHTS, 0.3)
        server.broken[RENEW] = 403
        connect(token="s3cret-1").token()
        until(lambda: "the token cannot be renewed" in caplog.text)

    def test_one_for_ever_is_not_renewed(self, server, connect):
        """As that of the root."""
        store = connect(token=ROOT)
        store.token()
        assert store._client._login._timer is None

    def test_closing_ends_it(self, server, connect):
        """No thread is left that waits for its time."""
        store = connect(token="s3cret-1")
        store.token()
        timer = store._client._login._timer
        assert timer.is_alive()
        store.close()
        timer.join(SOON)
        assert not timer.is_alive()


class TestFaults:
    """What happens to a mount, a server or a token in the middle."""

    @pytest.mark.parametrize(
        ("mounts", "words"),
        [({"secret": 1}, "the mount secret is of KV version 1, expected 2"), ({}, ".rev: nothing is mounted there, or not yet")],
        ids=["version-1", "no-mount"],
    )
    def test_an_empty_answer_is_no_empty_store(self, server, connect, mounts, words):
        """A mount of version 1 says the same as one with nothing in it."""
        server.mounts, server.keys = mounts, {name: {} for name in mounts}
        store = connect(token=ROOT)
        for _ in range(2):
            with pytest.raises(BackendMisconfigured) as caught:
                store.read()
            assert str(caught.value) == f"{store.address}: {words}"

    def test_a_refused_list_is_no_empty_store(self, server, connect):
        """It is refused, not shortened."""
        connect(token=ROOT).write(ORDERS, "1", None)
        server.tokens["s3cret-1"].rights = {"secret/data/pyconfserve/": ALL}
        with pytest.raises(BackendDenied):
            connect(token="s3cret-1").read()

    def test_no_token_at_all(self, connect):
        """It is told that one is wanted."""
        store = connect()
        with pytest.raises(BackendDenied) as caught:
            store.token()
        assert str(caught.value) == f"{store.address}: .rev: it wants a token"

    @pytest.mark.parametrize("fault", ["revoked", "sealed", "unmounted", "remounted", "journal-refused"])
    def test_what_was_served_is_served(self, server, connect, fault):
        """Whatever goes wrong in the middle of a watch; afterwards all is well again."""
        writer = connect(token=ROOT)
        version = writer.write(ORDERS, '{"properties":{"a":1}}', None)

        def begin():
            if fault == "revoked":
                server.tokens.pop("s3cret-1")
            elif fault == "sealed":
                server.is_sealed = True
            elif fault == "journal-refused":
                server.tokens["s3cret-1"].rights = {}
            else:
                server.kept = server.mounts, server.keys
                version = {"remounted": {"secret": 1}, "unmounted": {}}[fault]
                server.mounts, server.keys = version, {name: {} for name in version}

        def end():
            server.is_sealed = False
            server.tokens["s3cret-1"] = Token(RIGHTS, 3600)
            if hasattr(server, "kept"):
                server.mounts, server.keys = server.kept

        async def run():
            backend = StoreBackend(connect(token="s3cret-1"), poll=0.05)
            await backend.open()
            with server.lock:
                begin()
            with pytest.raises((BackendDenied, BackendMisconfigured, BackendUnavailable)):
                await backend.refresh()
            assert "problem" in backend.health()
            found = [(await backend.fetch("orders", "prod")).properties]
            with server.lock:
                end()
            await asyncio.to_thread(writer.write, ORDERS, '{"properties":{"a":2}}', version)
            await backend.refresh()
            found.append((await backend.fetch("orders", "prod")).properties)
            assert "problem" not in backend.health()
            await backend.close()
            return found

        assert asyncio.run(run()) == [{"a": 1}, {"a": 2}]

    def test_one_that_is_down_is_away(self, server, connect):
        """And another of the address is asked."""
        with VaultServer() as other:
            version = VaultStore(f"{other.uri}/secret", token=ROOT).write(ORDERS, "1", None)
            store = VaultStore(f"vault://127.0.0.1:1,{other.authority}/secret", token=ROOT)
            assert store.read().records == {ORDERS: Record("1", version)}
            store.close()
        store = VaultStore("vault://127.0.0.1:1/secret", token=ROOT)
        with pytest.raises(BackendUnavailable):
            store.read()
        store.close()

    def test_one_that_serves_nothing_is_left(self, server, connect):
        """What comes next is another's, a change too."""
        with VaultServer() as sealed:
            sealed.is_sealed = True
            store = VaultStore(f"vault://{sealed.authority},{server.authority}/secret", token=ROOT)
            assert store.read() == Snapshot("", {})
            asked = len(sealed.asked)
            store.write(ORDERS, "1", None)
            assert len(sealed.asked) == asked
            store.close()

    @pytest.mark.parametrize(
        ("path", "tree"),
        [
            (f"secret/data/{JOURNAL}", {"data": 1}),
            (f"secret/data/{JOURNAL}", {"data": {"data": {}}}),
            (f"secret/data/{JOURNAL}", {"data": {"data": "x", "metadata": {"version": 1}}}),
            (f"secret/data/{JOURNAL}", {"data": {"data": {}, "metadata": {"version": "1"}}}),
        ],
        ids=["number", "no-version", "text", "version-as-text"],
    )
    def test_what_is_no_answer_of_vault(self, server, connect, path, tree):
        """Who answers so is another server."""
        answer = server.answer
        server.answer = lambda method, asked, *rest: (200, tree) if asked == path else answer(method, asked, *rest)
        store = connect(token=ROOT)
        with pytest.raises(BackendMisconfigured) as caught:
            store.read()
        assert str(caught.value) == f"{store.address}: .rev: it does not answer as Vault does"

    @pytest.mark.parametrize("tree", [{"data": None}, {"data": {"keys": "x"}}, {"x": 1}], ids=["null", "text", "other"])
    def test_what_is_no_list_is_no_empty_store(self, server, connect, tree):
        """Else all would seem to be gone."""
        answer = server.answer
        server.answer = lambda method, path, query, *rest: (200, tree) if query.get("list") else answer(method, path, query, *rest)
        with pytest.raises(BackendMisconfigured) as caught:
            connect(token=ROOT).read()
        assert str(caught.value) == f"{server.uri}/secret/pyconfserve: it does not answer as Vault does"

    def test_a_change_that_tells_no_version(self, server, connect):
        """Nobody knows whether it was made."""
        store = connect(token=ROOT)
        store.read()
        answer = server.answer
        server.answer = lambda method, *rest: (200, {"data": {}}) if method == "POST" else answer(method, *rest)
        with pytest.raises(BackendMisconfigured):
            store.write(ORDERS, "1", None)

    def test_a_journal_that_others_always_write_first(self, server, connect, monkeypatch):
        """Some attempts are enough; nothing is written."""
        monkeypatch.setattr("pyconfserve.adapters.vault._MOST_ATTEMPTS", 3)
        store, answer = connect(token=ROOT), server.answer

        def another_is_first(method, path, *rest):
            if method == "POST":
                server.put(JOURNAL, {"body": "{}"})
            return answer(method, path, *rest)

        server.answer = another_is_first
        with pytest.raises(BackendUnavailable) as caught:
            store.write(ORDERS, "1", None)
        assert str(caught.value) == f"{store.address}: too many write to it at once"
        assert server.keys["secret"].keys() == {JOURNAL}

    def test_a_note_that_is_refused_after_the_change(self, server, connect):
        """The change was made, and that is what is told; others look at the key yet."""
        store, answer = connect(token=ROOT), server.answer
        store.read()

        def too_large(method, path, *rest):
            if method == "POST" and path.endswith(JOURNAL) and len(server.keys["secret"]) > 1:
                raise Refused(413)
            return answer(method, path, *rest)

        server.answer = too_large
        version = store.write(ORDERS, "1", None)
        assert connect(token=ROOT).read().records == {ORDERS: Record("1", version)}

    def test_a_renewed_look_at_a_sealed_one(self, server, connect):
        """It is away, and comes back."""
        store = connect(token="s3cret-1")
        server.is_sealed = True
        with pytest.raises(BackendUnavailable) as caught:
            store.read()
        assert str(caught.value) == f"{store.address}: .rev: it is sealed"
        server.is_sealed = False
        assert store.read() == Snapshot("", {})

    def test_the_journal_is_for_the_owner(self, server, connect):
        """A client is told what is wrong, and no key that it did not ask for."""
        backend = StoreBackend(connect(token=ROOT))
        asyncio.run(backend.open())
        words = "the token has no right to it"
        server.broken["POST", f"secret/data/{JOURNAL}"] = 403
        with pytest.raises(BackendDenied) as caught:
            change(backend, {"a": 1})
        assert (str(caught.value), caught.value.public) == (f"{backend.store.address}: .rev: {words}", words)
        server.broken = {}
        server.is_sealed = True
        with pytest.raises(BackendUnavailable) as caught:
            change(backend, {"a": 1})
        assert (str(caught.value), caught.value.public) == (f"{backend.store.address}: .rev: it is sealed", "it is sealed")
        server.broken["GET", f"secret/data/{JOURNAL}"] = None
        with pytest.raises(BackendUnavailable) as caught:
            change(backend, {"a": 1})
        assert str(caught.value) == f"{backend.store.address}: {caught.value.public}"
        asyncio.run(backend.close())


class TestNamespaces:
    """Where the mount is."""

    def test_one_that_counts(self, server, connect):
        """OpenBao has them; Vault's community edition ignores the header."""
        server.namespaces.add("team1")
        store = connect(token=ROOT, namespace="team1")
        if server.is_openbao:
            assert store.read() == Snapshot("", {})
            assert asked(server, LOOK) == 2
        else:
            with pytest.raises(BackendMisconfigured) as caught:
                store.read()
            assert str(caught.value) == f"{store.address}: it ignores namespaces: configure none"

    def test_a_wrong_token_does_not_hide_that_it_is_ignored(self, server, connect, tmp_path):
        """What is refused for the token tells nothing of namespaces."""
        if server.is_openbao:
            return
        path = tmp_path / "token"
        path.write_text("s3cret-wrong")
        store = connect(token_file=str(path), namespace="team1")
        with pytest.raises(BackendDenied):
            store.read()
        path.write_text(ROOT)
        with pytest.raises(BackendMisconfigured):
            store.read()

    def test_a_look_that_fails_does_not_hide_it_either(self, server, connect, tmp_path):
        """What nobody could tell is asked again."""
        if server.is_openbao:
            return
        path, answer = tmp_path / "token", server.answer
        path.write_text("s3cret-wrong")

        def no_looks(method, asked, query, headers, body):
            if (method, asked) == LOOK and headers["X-Vault-Namespace"] == "team1":
                raise Refused(503, "it is busy")
            return answer(method, asked, query, headers, body)

        server.answer = no_looks
        store = connect(token_file=str(path), namespace="team1")
        with pytest.raises(BackendDenied):
            store.read()
        server.answer = answer
        path.write_text(ROOT)
        with pytest.raises(BackendMisconfigured):
            store.read()
