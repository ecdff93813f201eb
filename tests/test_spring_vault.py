"""spring_vault: what a Java server's settings say of Vault, and what it answers then."""

import asyncio
import json
from pathlib import Path

import pytest
from vault_server import ROOT, Token, VaultServer

from pyconfserve.auto_configuration import build_server
from pyconfserve.errors import SettingsError
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.settings import Settings
from pyconfserve.spring_settings import SERVER, read_spring

CASE = json.loads(
    (Path(__file__).parent / "cases/stores/spring-vault.json").read_text("utf-8")
)
VAULT = f"{SERVER}vault."
SECRET = "s3cret-of-vault"


def server_of(flat, environ=None):
    """A server by the settings of a Java server."""
    spring = read_spring(flat, environ or {}, is_asked=True)
    return build_server(Settings(**spring.fields), spring)


def backend_of(flat, environ=None):
    """Its backend, which has asked nobody anything yet."""
    return server_of({"spring.profiles.active": "vault", **flat}, environ).backend


def answer(server, path, token=None):
    """The status and the body, with no version, as Spring has none."""
    headers = {} if token is None else {"x-config-token": token}

    async def ask():
        response = await Routes(server).handle(Request("GET", path, "", headers, b""))
        await server.close()
        return response

    response = asyncio.run(ask())
    text = response.body.decode("utf-8")
    if not text.startswith("{"):
        return response.status, text.rstrip("\n")
    tree = json.loads(text)
    return response.status, {**tree, "version": None} if "propertySources" in tree else tree


@pytest.fixture
def vault():
    """OpenBao, as it was recorded with."""
    with VaultServer(is_openbao=True) as server:
        yield server


def recorded(name, vault):
    """The settings of the recorded server, with the port of ours."""
    pairs = (one.split("=", 1) for one in CASE[name]["props"])
    return {key: str(vault.server_port) if key.endswith("port") else text for key, text in pairs}


def rows(name):
    """The recorded exchanges with a token that was right, of a run."""
    found = [one for one in CASE[name]["exchanges"] if one["status"] == 200]
    return [pytest.param(name, one, id=f"{name}{one['path']}") for one in found]


@pytest.mark.parametrize(("name", "exchange"), [*rows("vault"), *rows("vault-label")])
def test_the_answer_is_the_recorded_one(vault, name, exchange):
    """With the settings of the server that was recorded, and a token in the request."""
    from vault_server import shortened

    for key, data in CASE["vault"]["data"].items():
        vault.put(key, shortened(data))
    status, found = answer(server_of(recorded(name, vault)), exchange["path"], ROOT)
    assert status == exchange["status"]
    assert json.dumps(found) == json.dumps(exchange["body"])


def test_a_token_that_is_missing_or_wrong(vault):
    """Without one 400, as recorded; for a wrong one Spring has 500, and we 403."""
    refused = [one for one in CASE["vault"]["exchanges"] if one["status"] != 200]
    assert [(one["status"], [*one["headers"]]) for one in refused] == [(400, []), (500, ["X-Config-Token"])]
    flat = recorded("vault", vault)
    assert [answer(server_of(flat), one["path"], "s3cret" if one["headers"] else None)[0] for one in refused] == [400, 403]


@pytest.mark.parametrize("fails", ["true", "false"])
def test_a_member_of_a_composite_that_is_away(tmp_path, fails):
    """It fails the answer, or is left out without a word, as recorded."""
    for name in ("application", "foo", "foo-dev"):
        (tmp_path / f"{name}.yml").write_text(f"k: native {name}\n")
    name = "composite-failing" if fails == "true" else "composite-failing-tolerant"
    flat = dict(one.split("=", 1) for one in CASE[name]["props"])
    flat[f"{SERVER}composite[1].search-locations"] = f"file:{tmp_path}/"
    flat[f"{SERVER}composite[0].token"] = SECRET
    (exchange,) = CASE[name]["exchanges"]
    status, found = answer(server_of(flat), exchange["path"])
    if fails == "true":
        assert (exchange["status"], status) == (500, 503)
        return
    expected = json.dumps(exchange["body"]).replace("{folder}", str(tmp_path))
    assert json.dumps(found) == expected


@pytest.mark.parametrize("exchange", CASE["composite"]["exchanges"], ids=lambda one: one["path"])
def test_a_member_of_a_composite(vault, tmp_path, exchange):
    """As recorded, without the member behind that is another store."""
    for key in ("application", "foo", "foo,dev"):
        vault.put(key, {"k": f"vault {key}"})
    for name in ("application", "foo", "foo-dev"):
        (tmp_path / f"{name}.yml").write_text(f"k: native {name}\n")
    flat = {key: text for key, text in recorded("composite", vault).items() if "redis" not in text and "redis" not in key}
    flat[f"{SERVER}composite[0].search-locations"] = f"file:{tmp_path}/"
    sources = [one for one in exchange["body"]["propertySources"] if not one["name"].startswith("redis:")]
    expected = json.dumps({**exchange["body"], "propertySources": sources}).replace("{folder}", str(tmp_path))
    assert json.dumps(answer(server_of(flat), exchange["path"], ROOT)[1]) == expected


PLACES = {
    "none": ({}, "vault://127.0.0.1:8200/secret"),
    "parts": ({"host": "h", "port": "1", "scheme": "https", "backend": "kv"}, "vaults://h:1/kv"),
    "mount": ({"host": "::1", "backend": "/team/kv/"}, "vault://[::1]:8200/team%2Fkv"),
    "camel": ({"defaultKey": "x", "kvVersion": "2", "profileSeparator": "/", "skipSslValidation": "false"}, "vault://127.0.0.1:8200/secret"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "address"), PLACES.values(), ids=PLACES)
def test_whom_it_asks(given, address):
    """By the parts of an address."""
    flat = {VAULT + name: text for name, text in given.items()}
    assert backend_of(flat).health() == {"store": address}


def paths(vault, **given):
    """What is asked for `/foo/dev`."""
    given = {"port": vault.server_port, "token": ROOT, **given}
    flat = {VAULT + name.replace("_", "-"): text for name, text in given.items()}
    answer(server_of({"spring.profiles.active": "vault", **flat}), "/foo/dev")
    return [path for _, path, _ in vault.asked if not path.startswith(("sys/", "auth/"))]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"backend": "kv1"}, ["kv1/foo,dev", "kv1/application,dev", "kv1/foo", "kv1/application"]),
        ({"backend": "kv1", "kv_version": "1", "default_key": "all"}, ["kv1/foo,dev", "kv1/all,dev", "kv1/foo", "kv1/all"]),
        ({"backend": "kv1", "kv_version": "auto", "default_key": ""}, ["kv1/foo,dev", "kv1/foo"]),
        ({"kv_version": "auto", "default_key": "", "path_to_key": "a/b", "profile_separator": "/"}, ["secret/data/a/b/foo/dev", "secret/data/a/b/foo"]),
        ({"kv_version": "2", "default_key": "", "enable_label": "true", "default_label": "x"}, ["secret/data/foo,dev,x", "secret/data/foo,default,x"]),
    ],
    ids=["version-1-is-usual", "version-1", "found-out", "paths", "labels"],
)  # fmt: skip
def test_what_it_asks_for(vault, given, expected):
    """By the settings of keys."""
    assert paths(vault, **given) == expected


class TestWhoAsks:
    """A token, a role, or each request."""

    def test_a_token(self, vault):
        """With or without `authentication`, and from a variable."""
        vault.put("foo", {"k": 1}, "kv1")
        flat = {f"{VAULT}port": vault.server_port, f"{VAULT}backend": "kv1"}
        given = [({f"{VAULT}token": ROOT}, {}), ({f"{VAULT}token": ROOT, f"{VAULT}authentication": "token"}, {}), ({}, {"SPRING_CLOUD_CONFIG_SERVER_VAULT_TOKEN": ROOT})]
        for more, environ in given:
            server = server_of({"spring.profiles.active": "vault", **flat, **more}, environ)
            assert answer(server, "/foo/default")[1]["propertySources"] == [{"name": "vault:foo", "source": {"k": 1}}]

    def test_a_role(self, vault):
        """By its id and secret."""
        vault.roles = {"reader": SECRET}
        paths(vault, token="", backend="kv1", authentication="APPROLE", **{"app-role.role-id": "reader", "app-role.secret-id": SECRET})
        assert vault.logins == 1
        assert vault.asked[-1][2] == "s3cret-of-login-1"

    def test_a_role_without_a_secret(self, vault):
        """Where Vault wants none."""
        vault.roles = {"reader": None}
        paths(vault, token="", backend="kv1", authentication="APPROLE", **{"app-role.role-id": "reader"})
        assert vault.logins == 1

    def test_a_namespace(self, vault):
        """Where the mount is."""
        vault.namespaces.add("team")
        vault.tokens = {ROOT: Token()}
        assert paths(vault, backend="kv1", namespace="team") != []


WRONG = {
    "port": ({"port": "x"}, "port: expected a whole number"),
    "port-too-large": ({"port": "99999"}, "host: vault: a url is malformed"),
    "scheme": ({"scheme": "ftp"}, "scheme: expected http or https"),
    "version": ({"kv-version": "3"}, "kv-version: expected 1, 2 or auto"),
    "switch": ({"enable-label": "x"}, "enable-label: expected true or false"),
    "way": ({"authentication": "KUBERNETES"}, "authentication: expected TOKEN or APPROLE"),
    "no-token": ({"authentication": "TOKEN"}, "token: expected a token"),
    "no-role": ({"authentication": "APPROLE"}, "app-role.role-id: expected the id of a role"),
    "token": ({"token": f"{SECRET} x"}, "token: it has characters that no token has"),
    "namespace": ({"namespace": "a b"}, "namespace: it has characters that no namespace has"),
    "path": ({"path-to-key": "a//b"}, "path-to-key: expected names split by slashes"),
    "no-tls": ({"skip-ssl-validation": "true"}, "skip-ssl-validation: the server's certificate is always looked at"),
    "keys": ({"ssl.trust-store": "x.jks"}, "ssl.trust-store: stores of keys are not read: those whom this machine trusts are trusted"),
    "role": ({"app-role.role": "x"}, "app-role.role: a role is not looked up: set its role-id and set authentication to TOKEN or APPROLE"),
    "unknown": ({"kv-versio": "1"}, f"kv-versio: unknown setting, the nearest known one is {VAULT}kv-version"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(given, problem):
    """Its key, and never a secret."""
    with pytest.raises(SettingsError) as caught:
        backend_of({VAULT + name: text for name, text in given.items()})
    assert str(caught.value) == VAULT + problem


def test_what_a_member_does_not_know_is_an_error():
    """As for the others."""
    flat = {"spring.profiles.active": "composite", f"{SERVER}composite[0].type": "vault", f"{SERVER}composite[0].ordr": 1}
    with pytest.raises(SettingsError) as caught:
        backend_of(flat)
    assert str(caught.value) == f"{SERVER}composite[0].ordr: unknown setting, the nearest known one is {SERVER}composite[0].order"
