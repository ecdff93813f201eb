"""vault_paths: Spring's secrets, and who may see them.

What Spring answers from them is in test_spring_vault.py.
"""

import asyncio
import threading

import pytest
from vault_server import ALL, ROOT, Token, VaultServer

from pyconfserve.adapters.vault_paths import VaultConfigBackend
from pyconfserve.answers import Answers
from pyconfserve.backend import (
    ConfigSource,
    InMemoryConfigBackend,
    LookupBackend,
    RequestBackend,
)
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendTimeout,
    BackendUnavailable,
    DocumentError,
    Forbidden,
    InvalidRequest,
    ReadOnlyBackend,
    SettingsError,
)
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

PATIENCE = 5.0
MINE, YOURS = "s3cret-mine", "s3cret-yours"


@pytest.fixture
def server():
    with VaultServer() as server:
        for key in ("application", "application,dev", "foo", "foo,dev", "foo,dev,main"):
            server.put(key, {"k": key})
            server.put(key.replace(",", "/"), {"k": key.replace(",", "/")})
        for key in ("foo", "foo,dev"):
            server.put(key, {"k": f"v1 {key}"}, "kv1")
            server.put(f"base/{key}", {"k": f"base {key}"})
        yield server


def names(found):
    return {source.name: source.properties for source in found.sources}


def run(server, work, mount="secret", **options):
    """What *work* gives for a backend of the server, which is closed twice."""
    async def go():
        backend = VaultConfigBackend(f"{server.uri}/{mount}", **{"token": ROOT, **options})
        try:
            return await work(backend)
        finally:
            await backend.close()
            await backend.close()

    return asyncio.run(go())


def sources(server, *lookup, dialect=SPRING, **options):
    async def work(backend):
        return names(await backend.sources(make_lookup(*lookup, dialect=dialect)))

    return run(server, work, **options)


class TestKeys:
    """Which secrets make an answer."""

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, ["foo,dev", "application,dev", "foo", "application"]),
            ({"profile_separator": "/"}, ["foo/dev", "application/dev", "foo", "application"]),
            ({"default_key": ""}, ["foo,dev", "foo"]),
            ({"default_key": "foo"}, ["foo,dev", "foo"]),
            ({"path_to_key": "/base/"}, ["foo,dev", "foo"]),
            ({"enable_label": True}, ["foo,dev,main"]),
            ({"full_key_path": True}, ["secret/foo,dev", "secret/application,dev", "secret/foo", "secret/application"]),
            ({"mount": "kv1"}, ["foo,dev", "foo"]),
            ({"mount": "kv1", "kv_version": 1}, ["foo,dev", "foo"]),
            ({"mount": "secret/base"}, ["foo,dev", "foo"]),
        ],
        ids=["plain", "client", "nothing-shared", "shared-is-foo", "path", "label", "full", "kv1", "kv1-told", "path-in-uri"],
    )  # fmt: skip
    def test_spring_s_order(self, server, options, expected):
        """By profile, then application; what is not there is left out."""
        assert [*sources(server, "foo", "dev", **options)] == [f"vault:{key}" for key in expected]

    @pytest.mark.parametrize("path", ["a//b", "a/../b", ".."])
    def test_a_path_that_leads_nowhere(self, path):
        """It is told at the start: each answer would be empty."""
        with pytest.raises(SettingsError) as caught:
            VaultConfigBackend("vault://h", path_to_key=path)
        assert str(caught.value) == "path_to_key: expected names split by slashes"

    def test_labels_that_do_not_count_are_asked_once(self, server):
        """And their secrets are in the answer once."""
        assert [*sources(server, "foo", "dev", "a,b", dialect=OWN)] == ["foo-dev", "foo-default", "application-dev", "application-default"]
        asked = [path for _, path, _ in server.asked]
        assert asked.count("secret/data/foo,dev") == 1

    def test_own_bundles(self, server):
        """The same secrets, under our names and in our order; no label counts."""
        found = sources(server, "foo", "dev", "any", dialect=OWN)
        assert found == {
            "foo-dev": {"k": "foo,dev"}, "foo-default": {"k": "foo"},
            "application-dev": {"k": "application,dev"}, "application-default": {"k": "application"},
        }  # fmt: skip

    def test_one_bundle(self, server):
        """None where nothing is, and no name leads elsewhere."""
        async def work(backend):
            asked = [("foo", "dev"), ("foo", "default"), ("none", "dev"), ("application", "dev")]
            return [await backend.fetch(*one) for one in asked]

        dev, plain, none, shared = run(server, work)
        assert (dev, none) == (ConfigSource("foo", "dev", "main", {"k": "foo,dev"}), None)
        assert (plain.properties, shared.properties) == ({"k": "foo"}, {"k": "application,dev"})
        assert run(server, lambda backend: backend.fetch("foo", "dev", "main"), enable_label=True).properties == {"k": "foo,dev,main"}

    def test_values_keep_their_types(self, server):
        """Maps become keys with dots, null an empty text."""
        server.put("typed,dev", {"n": {"list": [1, 2.5, True, None], "big": 12345678901234567890}, "a.b": "x", "empty": []})
        assert sources(server, "typed", "dev", default_key="")["vault:typed,dev"] == {
            "n.list[0]": 1, "n.list[1]": 2.5, "n.list[2]": True, "n.list[3]": "", "n.big": 12345678901234567890, "a.b": "x", "empty": "",
        }  # fmt: skip

    @pytest.mark.parametrize("gone", [None, {}])
    def test_what_was_deleted_is_not_there(self, server, gone):
        """Nor what has no properties."""
        server.put("foo,dev", gone)
        assert [*sources(server, "foo", "dev", default_key="")] == ["vault:foo"]

    def test_a_secret_that_no_format_can_hold_is_told_of(self, server):
        """By its key, without its values."""
        server.put("foo,dev", {"k": {"\ud800": "x"}})
        with pytest.raises(DocumentError) as caught:
            sources(server, "foo", "dev")
        assert str(caught.value) == "foo,dev: the secret has wrong properties: text holds a lone surrogate"


class TestVersions:
    """A mount of another version of KV than it is told."""

    @pytest.mark.parametrize(("mount", "told", "has"), [("secret", 1, 2), ("kv1", 2, 1)])
    def test_the_other_one_is_an_error(self, server, mount, told, has):
        """Not an answer without anything."""
        with pytest.raises(BackendMisconfigured) as caught:
            sources(server, "foo", "dev", mount=mount, kv_version=told)
        assert str(caught.value).endswith(f"the mount {mount} is of KV version {has}, expected {told}")

    def test_who_may_not_see_the_mount_is_told_nothing_of_it(self, server):
        """With a version that is told, none is looked for."""
        server.tokens[MINE] = Token({"secret/data/fo": {"read"}, "elsewhere": ALL}, 3600)
        assert [*sources(server, "foo", "dev", token=MINE, kv_version=2, default_key="")] == ["vault:foo,dev", "vault:foo"]

    @pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)], ids=["upgraded", "mounted-anew"])
    def test_a_mount_that_has_another_one_by_now(self, server, before, after):
        """One answer fails, none is empty, and then it is as after a start."""
        async def work(backend):
            lookup = make_lookup("mine", "dev", None, SPRING)
            found = [names(await backend.sources(lookup))]
            server.mounts["kv1"] = after
            server.keys["kv1"].clear()
            with pytest.raises(BackendMisconfigured):
                await backend.sources(lookup)
            server.put("mine", {"k": 2}, "kv1")
            return [*found, names(await backend.sources(lookup))]

        server.mounts["kv1"] = before
        server.put("mine", {"k": 1}, "kv1")
        assert run(server, work, mount="kv1") == [{"vault:mine": {"k": 1}}, {"vault:mine": {"k": 2}}]

    def test_no_other_version(self):
        """There are two."""
        with pytest.raises(SettingsError):
            VaultConfigBackend("vault://h", kv_version=3)


class TestRequests:
    """X-Config-Token, where nobody else asks."""

    @pytest.fixture
    def server(self, server):
        server.tokens[MINE] = Token({"secret/data/mine": {"read"}}, 3600)
        server.tokens[YOURS] = Token({"secret/data/yours": {"read"}}, 3600)
        for whose in ("mine", "yours"):
            server.put(whose, {"of": whose})
        return server

    @pytest.fixture(autouse=True)
    def closed(self):
        self.made = []
        yield
        for backend in self.made:
            asyncio.run(backend.close())

    def routes(self, server, dialect=OWN, **options):
        backend = VaultConfigBackend(f"{server.uri}/secret", default_key="", **options)
        assert isinstance(backend, RequestBackend)
        assert isinstance(backend, LookupBackend)
        self.made.append(backend)
        return Routes(ConfigServer(backend, dialect=dialect))

    async def status(self, routes, path, token=None):
        headers = {} if token is None else {"x-config-token": token}
        answer = await routes.handle(Request("GET", path, "", headers))
        assert "s3cret" not in answer.body.decode()
        return answer.status

    @pytest.mark.parametrize("dialect", [OWN, SPRING], ids=["own", "spring"])
    @pytest.mark.parametrize(
        ("token", "status"),
        [(None, 400), ("", 400), (MINE, 200), (YOURS, 403), ("s3cret-wrong", 403), ("s3cret\xe9", 403), ("s3cret 1", 403)],
    )
    def test_a_token_is_wanted(self, server, dialect, token, status):
        """And one that has the right; the answer names none."""
        assert asyncio.run(self.status(self.routes(server, dialect), "/mine/default", token)) == status

    def test_what_one_may_see_is_never_another_s(self, server):
        """Many at once, also in one flight, and after answers that were good."""
        routes = self.routes(server)

        async def go():
            asked = [("/mine/default", MINE), ("/mine/default", YOURS), ("/mine/default", None), ("/yours/default", MINE), ("/yours/default", YOURS)]
            for _ in range(5):
                found = await asyncio.gather(*(self.status(routes, *one) for one in asked * 3))
                assert found == [200, 403, 400, 403, 200] * 3

        asyncio.run(go())

    def test_two_tokens_at_a_time_have_flights_of_their_own(self, server):
        """The second is not let in by the first, which Vault still works at."""
        routes, began, go_on = self.routes(server, SPRING), threading.Event(), threading.Event()
        answer = server.answer

        def slowly(method, path, query, headers, body):
            if headers["X-Vault-Token"] == MINE and path.endswith("mine"):
                began.set()
                server.lock.release()
                try:
                    assert go_on.wait(PATIENCE)
                finally:
                    server.lock.acquire()
            return answer(method, path, query, headers, body)

        server.answer = slowly

        async def go():
            first = asyncio.create_task(self.status(routes, "/mine/default", MINE))
            await asyncio.to_thread(began.wait, PATIENCE)
            second = await self.status(routes, "/mine/default", YOURS)
            third = await self.status(routes, "/mine/default")
            go_on.set()
            return await first, second, third

        assert asyncio.run(go()) == (200, 403, 400)

    def test_nothing_of_it_is_kept(self, server):
        """No answer is, and no last good one is given while Vault is away."""
        backend = VaultConfigBackend(f"{server.uri}/secret", default_key="")
        lookup = make_lookup("mine", "default", None, OWN)

        async def go():
            own = ConfigServer(backend)
            form = own.for_request(MINE, None)
            answers = Answers(own)
            for _ in range(2):
                assert await answers.of(form).get(lookup, "application/json") is not None
            assert len(answers._kept) == 0
            assert (await backend.for_request(MINE, None).sources(lookup)).seen is None
            server.is_sealed = True
            with pytest.raises(BackendUnavailable):
                await backend.for_request(MINE, None).sources(lookup)
            assert backend.health() == {"store": backend._client.address}
            await backend.close()

        asyncio.run(go())
        assert MINE not in repr(vars(backend)) + repr(vars(backend._client))

    @pytest.mark.parametrize("own", ["", ROOT], ids=["request", "own"])
    @pytest.mark.parametrize("status", [503, None], ids=["sealed", "cut"])
    def test_no_answer_tells_where_vault_is(self, server, own, status):
        """Whoever asks."""
        server.broken["GET", "secret/data/mine"] = status
        routes = self.routes(server, token=own, kv_version=2)
        answer = asyncio.run(routes.handle(Request("GET", "/mine/default", "", {"x-config-token": MINE})))
        assert answer.status == 503
        assert b"vault" not in answer.body
        assert server.authority.encode() not in answer.body

    def test_one_bundle_tells_it_to_nobody_either(self, server):
        """The error knows which part of its text is the place."""
        server.is_sealed = True

        async def work(backend):
            with pytest.raises(BackendUnavailable) as caught:
                await backend.fetch("mine", "default")
            return caught.value.public

        assert run(server, work, kv_version=2) == "mine: it is sealed"

    def test_an_optional_one_says_nothing_to_who_is_refused(self, server):
        """And what others get of it does not depend on that."""
        vault = VaultConfigBackend(f"{server.uri}/secret", default_key="")
        both = CompositeConfigBackend([InMemoryConfigBackend(), vault], optional=[1], pause=0.0)
        routes = Routes(ConfigServer(both, dialect=SPRING))

        async def has_it(token):
            answer = await routes.handle(Request("GET", "/mine/default", "", {"x-config-token": token}))
            assert answer.status == 200
            return b'"of"' in answer.body

        async def go():
            found = [await has_it(token) for token in (MINE, "s3cret-wrong")]
            server.is_sealed = True
            found.append(await has_it(MINE))
            server.is_sealed = False
            found += [await has_it(token) for token in ("s3cret-wrong", MINE)]
            await vault.close()
            return found

        assert asyncio.run(go()) == [True, False, False, False, True]

    def test_who_has_a_token_of_its_own_needs_none(self, server):
        """And asks with that, whatever a request brings."""
        routes = self.routes(server, token=MINE)

        async def go():
            return [await self.status(routes, "/mine/default", token) for token in (None, YOURS, "s3cret-wrong")]

        assert asyncio.run(go()) == [200, 200, 200]
        assert {token for _, _, token in server.asked} == {MINE}

    def test_a_form_does_what_a_backend_does(self, server):
        """It reads, and saves and lists nothing."""
        backend = VaultConfigBackend(f"{server.uri}/secret")

        async def go():
            form = backend.for_request(MINE, None)
            assert (await form.fetch("mine", "default")).properties == {"of": "mine"}
            with pytest.raises(Forbidden) as caught:
                await form.fetch("yours", "default")
            assert str(caught.value) == "X-Config-Token: Vault refuses the token"
            with pytest.raises(InvalidRequest):
                await backend.fetch("mine", "default")
            for one in (form, backend):
                with pytest.raises(ReadOnlyBackend):
                    await one.save(ConfigSource("a", "b"))
                with pytest.raises(BackendMisconfigured):
                    await one.list()
            await backend.close()

        asyncio.run(go())

    def test_it_starts_without_one(self, server):
        """As long as Vault serves requests."""
        run(server, lambda backend: backend.open(), token="")
        server.is_sealed = True
        with pytest.raises(BackendUnavailable) as caught:
            run(server, lambda backend: backend.open(), token="")
        assert str(caught.value) == f"{server.uri}/secret: it is sealed"


class TestFaults:
    """While Vault is away, and when it refuses."""

    def test_the_last_good_answer_is_given(self, server):
        """To the same request, and health tells since when; another one fails."""
        moment = [100.0]

        async def work(backend):
            lookup = make_lookup("foo", "dev", None, SPRING)
            first = await backend.sources(lookup)
            server.is_sealed, moment[0] = True, 107.0
            assert await backend.sources(lookup) == first
            with pytest.raises(BackendUnavailable):
                await backend.sources(make_lookup("bar", "dev", None, SPRING))
            sealed = f"{server.uri}/secret: foo,dev: it is sealed"
            return backend.health(), sealed

        health, sealed = run(server, work, now=lambda: moment[0])
        assert health == {"store": f"{server.uri}/secret", "problem": sealed.replace("foo", "bar"), "answered-seconds-ago": 7}

    def test_no_thread_works_on_when_nobody_waits(self, server, monkeypatch):
        """A request may name a thousand secrets, and Vault may be slow."""
        monkeypatch.setattr("pyconfserve.adapters.vault_reader._LONGEST", -1.0)
        with pytest.raises(BackendTimeout) as caught:
            sources(server, "foo", "dev")
        assert str(caught.value) == f"{server.uri}/secret: foo,dev: its answers take too long"

    def test_a_refusal_is_no_answer(self, server):
        """A token that was revoked sees nothing more."""
        server.tokens[MINE] = Token(None, 3600)

        async def work(backend):
            lookup = make_lookup("foo", "dev", None, SPRING)
            await backend.sources(lookup)
            del server.tokens[MINE]
            with pytest.raises(BackendDenied) as caught:
                await backend.sources(lookup)
            return caught.value

        error = run(server, work, token=MINE)
        assert error.public == "foo,dev: the token is wrong, expired or revoked"

    @pytest.mark.parametrize(
        ("options", "kind"),
        [({"token": "s3cret-wrong"}, BackendDenied), ({"mount": "none"}, BackendDenied), ({"mount": "none", "kv_version": 2}, BackendMisconfigured)],
    )
    def test_what_is_wrong_is_known_at_the_start(self, server, options, kind):
        """The token, or the mount."""
        with pytest.raises(kind):
            run(server, lambda backend: backend.open(), **options)

    @pytest.mark.parametrize(("token", "tree"), [("", {}), (ROOT, {}), (ROOT, {"data": 1}), (ROOT, {"data": {"data": [1]}})])
    def test_what_is_no_answer_of_vault(self, server, token, tree):
        """Who answers so is another server."""
        server.answer = lambda *_: (200, tree)
        with pytest.raises(BackendMisconfigured) as caught:
            run(server, lambda backend: backend.open(), token=token, kv_version=2)
        assert str(caught.value).endswith(": it does not answer as Vault does")

    def test_it_is_read_when_it_starts(self, server):
        """The shared one."""
        run(server, lambda backend: backend.open())
        assert server.asked[-1][1] == "secret/data/application"


def test_the_bodies_of_v1_and_v2_are_told_apart(server):
    """A secret of version 1 may have a key `data`."""
    server.put("foo,dev", {"data": {"x": 1}}, "kv1")
    server.put("foo,dev", {"data": {"x": 1}})
    assert sources(server, "foo", "dev", mount="kv1")["vault:foo,dev"] == {"data.x": 1}
    assert sources(server, "foo", "dev")["vault:foo,dev"] == {"data.x": 1}
