"""Vault and OpenBao: what real servers answered, played again, word for word."""

import json

import pytest
from recorded_store import RecordedStore

from pyconfserve.adapters.vault import VaultStore
from pyconfserve.adapters.vault_client import VaultClient, parse_vault
from pyconfserve.adapters.vault_texts import VaultTexts
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    ValueTooLarge,
    VersionConflict,
)

VERSIONS = {"vault": "vault.json", "openbao": "vault-openbao.json"}
TOKENS = ["{{root-token}}", "{{token}}", "{{nonrenewable-token}}", "{{one-use-token}}"]
WRONG = ["hvs.wrong", "{{expired-token}}", "{{revoked-token}}"]


@pytest.fixture(params=VERSIONS)
def server(request):
    """It knows the tokens of the recording besides; changes may be of other values."""
    with RecordedStore(VERSIONS[request.param], compares_bodies=False) as server:
        server.version = request.param
        looks = []
        for token, answer in [*((token, "lookup-self") for token in TOKENS), *((token, "wrong-token") for token in WRONG)]:
            path = server.rows["lookup-self"]["request"]["path"]
            asked = {"method": "GET", "path": path, "headers": {"X-Vault-Token": token}, "body": None}
            looks.append(f"lookup {token}")
            server.rows[looks[-1]] = {"request": asked, "response": server.rows[answer]["response"]}
        server.rows["lookup {{one-use-token}}"]["response"] = server.rows["one-use-2"]["response"]
        server.serve(*looks)
        server.looks = looks
        yield server


@pytest.fixture
def connect(server):
    """Makes clients of it, and closes them in the end."""
    made = []

    def connect(mount="secret", **options):
        made.append(VaultClient(parse_vault(f"vault://{server.authority}/{mount}"), **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def ask(server, connect, id, **options):
    """What a client makes of the recorded request."""
    request = server.rows[id]["request"]
    headers = request["headers"]
    client = connect(token=headers.get("X-Vault-Token", ""), namespace=headers.get("X-Vault-Namespace", ""), **options)
    server.play(id)
    path = request["path"].removeprefix("/v1/")
    if request["method"] == "GET":
        return client.read(path, "k")
    return client.write(path, json.loads(request["body"]) if isinstance(request["body"], str) else request["body"], "k")


RIGHT = (BackendDenied, "the token has no right to it")
BAD = (BackendDenied, "the token is wrong, expired or revoked")
MOUNT = (BackendMisconfigured, "nothing is mounted there, or not yet")
LARGE = (ValueTooLarge, "it is too large")
SEALED = (BackendUnavailable, "it is sealed")
STANDBY = (BackendUnavailable, "it is a standby: ask the active one")
REFUSALS = {
    "get-uninit": SEALED,
    "get-sealed": SEALED,
    "put-sealed": SEALED,
    "get-unsealed-not-active": MOUNT,
    "get-no-mount": MOUNT,
    "mount-info-none": RIGHT,
    "cas-required": (BackendMisconfigured, "it wants a check-and-set for this key"),
    "put-no-data": (BackendMisconfigured, "it answered 400"),
    "put-data-string": (BackendMisconfigured, "it answered 400"),
    "put-key-dots": STANDBY,  # a redirect, which is not followed
    "put-key-nul": (BackendMisconfigured, "it answered 400"),
    "kv1-path-on-kv2": (BackendMisconfigured, "the mount secret is of KV version 2, expected 1"),
    "put-1.2MB": LARGE,
    "no-token": (BackendDenied, "it wants a token"),
    "wrong-token": BAD,
    "denied-get": RIGHT,
    "denied-missing": RIGHT,
    "denied-put": RIGHT,
    "denied-metadata": RIGHT,
    "one-use-2": BAD,
    "expired": BAD,
    "revoked": BAD,
    "renew-nonrenewable": (BackendMisconfigured, "it answered 400"),
    "get-sealed-2": SEALED,
    "renew-sealed": SEALED,
}


@pytest.mark.parametrize("id", REFUSALS)
def test_a_refusal_is_an_error_of_the_tree(server, connect, id):
    """It names the store and the key, in words of ours, and never the token."""
    kind, words = REFUSALS[id]
    if id == "get-uninit":
        server.rows["lookup {{root-token}}"] = server.rows["lookup x"] = {
            "request": {**server.rows["lookup-self"]["request"], "headers": {"X-Vault-Token": "x"}},
            "response": server.rows["wrong-token"]["response"],
        }
        server.serve(*server.looks, "lookup x")
    with pytest.raises(kind) as caught:
        ask(server, connect, id)
    assert type(caught.value) is kind
    assert str(caught.value) == f"vault://{server.authority}/secret: k: {words}"


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        (301, STANDBY), (302, STANDBY), (307, STANDBY), (308, STANDBY), (472, STANDBY), (473, STANDBY),
        (429, (BackendUnavailable, "it is a standby, or takes no more requests now")),
        (412, (BackendUnavailable, "it answered 412")),
        (500, (BackendUnavailable, "it answered 500")),
        (501, (BackendUnavailable, "it is not initialized")),
        (502, (BackendUnavailable, "it answered 502")),
        (503, (BackendUnavailable, "it answered 503")),
        (413, LARGE),
        (404, (BackendMisconfigured, "it does not answer as Vault does")),
        (405, (BackendMisconfigured, "it answered 405")),
        (200, (BackendMisconfigured, "it does not answer as Vault does")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", ["<html>", "[]", '{"errors": 1}'])
def test_what_was_not_recorded(server, connect, status, refusal, body):
    """A standby, a proxy between, or something else altogether."""
    if status == 200 and body.startswith("{"):
        return
    server.rows["get"]["response"] = {"status": status, "headers": {"Location": "http://other/"}, "body": body}
    with pytest.raises(refusal[0]) as caught:
        ask(server, connect, "get")
    assert str(caught.value) == f"vault://{server.authority}/secret: k: {refusal[1]}"


def test_a_connection_that_is_cut_is_no_answer(server, connect):
    """As Vault cuts it when 33 MB are sent; the store does not send so much."""
    server.rows["get"]["response"] = {"error": "cut"}
    with pytest.raises(BackendUnavailable) as caught:
        ask(server, connect, "get")
    assert str(caught.value) == f"vault://{server.authority}/secret: the connection was closed without an answer"
    assert VaultStore.limit < 1024 * 1024


class TestTexts:
    """Secrets of version 2."""

    @pytest.fixture
    def texts(self, connect):
        return VaultTexts(connect(token="{{root-token}}"), "app")

    @pytest.mark.parametrize(
        ("id", "found"),
        [("get-missing", (0, None)), ("get", (1, "")), ("get-deleted", (5, None)), ("get-metadata-deleted", (0, None))],
    )
    def test_a_version_and_a_text(self, server, texts, id, found):
        """A key that was deleted has a number; what others wrote is no text of ours."""
        server.play(id)
        assert texts.text("dev") == found

    def test_a_text_of_ours(self, server, texts):
        """It stands in one string."""
        body = server.rows["get"]["response"]["body"]
        server.rows["get"]["response"]["body"] = body.replace('{"a":"v1"', '{"body":"é\\u0000"')
        server.play("get")
        assert texts.stored("dev")[1].text == "é\0"

    @pytest.mark.parametrize(("id", "number"), [("cas-create", 1), ("cas", 2)])
    def test_a_change_that_holds(self, server, texts, id, number):
        """It tells its number."""
        server.play(id)
        assert texts.put("dev", "{}", number - 1) == number
        assert json.loads(server.asked[-1][3]) == {"options": {"cas": number - 1}, "data": {"body": "{}"}}

    @pytest.mark.parametrize("id", ["cas-create-conflict", "cas-conflict", "cas-0-after-delete"])
    def test_a_change_that_does_not(self, server, texts, id):
        """It is refused with a text alone."""
        server.play(id)
        assert texts.put("dev", "{}", 0) is None

    def test_a_conflict_tells_what_there_is(self, server, texts):
        """With the version of the store."""
        server.play("get")
        with pytest.raises(VersionConflict) as caught:
            texts.expected("dev", None)
        assert caught.value.version.startswith("1-")
        server.play("get-deleted")
        assert str(texts.conflict("dev")) == "the bundle is not stored"

    @pytest.mark.parametrize(
        ("id", "mount", "version"),
        [("mount-info", "secret", 2), ("kv2-path-on-kv1", "kv1", 1)],
    )
    def test_the_version_of_a_mount(self, server, connect, id, mount, version):
        """On one of version 1 a path of version 2 is as if nothing were stored."""
        client = connect(mount, token="{{root-token}}")
        if version == 1:
            server.play(id)
            assert client.read(client.data_path("foo,dev")) == {}
            response = {**server.rows["mount-info"]["response"]}
            response["body"] = response["body"].replace('"options":{"version":"2"}', '"options":null')
            request = {**server.rows["mount-info"]["request"], "path": "/v1/sys/internal/ui/mounts/kv1"}
            server.rows["mount-info"] = {"request": request, "response": response}
        server.play("mount-info")
        assert client.version() == client.version() == version

    @pytest.mark.parametrize(
        ("id", "names"),
        [("list-folder", ["er/"]), ("list-missing", [])],
    )
    def test_lists(self, server, connect, id, names):
        """One level; a slash at the end of the path changes nothing."""
        client = connect(token="{{root-token}}")
        server.rows[id]["request"]["path"] = server.rows[id]["request"]["path"].replace("?", "/?")
        server.play(id)
        assert client.names(f"secret/metadata/{server.rows[id]['request']['path'].split('/')[4]}") == names

    @pytest.mark.parametrize("key", ["app two/dev", "grün/profil,zwei", "é/日本/語", "a%b/c", "release%2F1.0/app", "a+b&c=d;e", "q?x", "h#x", "deep/er/est/key"])
    def test_keys_are_quoted_once(self, server, connect, key):
        """A comma need not be, and either is the same key."""
        client = connect(token="{{root-token}}")
        row = server.rows[f"get-key {key}"]
        row["request"]["path"] = row["request"]["path"].replace("%2C", ",")
        server.play(f"get-key {key}")
        assert client.read(client.data_path(key))["data"]["data"] == {"k": key}


class TestNamespaces:
    """X-Vault-Namespace, which Vault's community edition ignores."""

    @pytest.fixture
    def row(self, server):
        """The look with a namespace that nobody has, answered as it was recorded."""
        asked = server.rows["lookup-self"]["request"]
        headers = {"X-Vault-Token": "{{token}}", "X-Vault-Namespace": "team1/pyconfserve-asks-who-reads-this"}
        response = server.rows["namespace" if server.version == "openbao" else "lookup-self"]["response"]
        server.rows["nowhere"] = {"request": {**asked, "headers": headers}, "response": response}
        headers = {**headers, "X-Vault-Namespace": "team1"}
        server.rows["here"] = {"request": {**asked, "headers": headers}, "response": response}

    def test_one_that_is_ignored_is_an_error(self, server, connect, row):
        """Else another's secrets were served; OpenBao says that it has none."""
        client = connect(token="{{token}}", namespace="/team1/")
        if server.version == "vault":
            server.play("here", "nowhere")
            words = "it ignores namespaces: configure none"
        else:
            server.play("here", "nowhere", "namespace")
            words = "k: it has no such namespace"
        with pytest.raises(BackendMisconfigured) as caught:
            client.read("secret/data/application", "k")
        assert str(caught.value) == f"vault://{server.authority}/secret: {words}"


class TestRoles:
    """AppRole, recorded of OpenBao alone."""

    @pytest.fixture
    def server(self):
        with RecordedStore("vault-openbao.json") as server:
            server.version = "openbao"
            yield server

    def test_a_login(self, server, connect):
        """Its token is what asks."""
        client = connect(role_id="{{role-id}}", secret_id="{{secret-id}}")
        asked = {**server.rows["get"]["request"], "headers": {"X-Vault-Token": "{{approle-client_token}}"}}
        server.rows["get"]["request"] = asked
        server.play("approle-login", "get", "get")
        for _ in range(2):
            assert client.read("secret/data/app/dev")["data"]["metadata"]["version"] == 1

    def test_a_refused_login(self, server, connect):
        """Without the role or its secret."""
        client = connect(role_id="{{role-id}}", secret_id="no")
        server.play("approle-wrong")
        with pytest.raises(BackendDenied) as caught:
            client.read("secret/data/app/dev")
        assert str(caught.value) == f"vault://{server.authority}/secret: the role or its secret is wrong"


@pytest.mark.parametrize("id", ["seal-status"])
def test_whether_it_serves_requests(server, connect, id):
    """Asked without a token."""
    client = connect()
    server.play(id)
    assert client.is_ready() is False
    body = server.rows[id]["response"]["body"]
    server.rows[id]["response"]["body"] = body.replace('"sealed":true', '"sealed":false')
    server.play(id)
    assert client.is_ready() is True
