"""vault_server: it answers what real Vault and OpenBao servers were recorded to answer."""

import http.client
import json
from pathlib import Path

import pytest
from vault_server import ALL, ROOT, Token, VaultServer

CASES = Path(__file__).parent / "cases" / "stores"
VERSIONS = {"vault": "vault.json", "openbao": "vault-openbao.json"}
TIMES = ("created_time", "deletion_time")
RIGHTS = {"secret/data/app": {"read"}, "secret/data/pyconfserve/": ALL, "secret/metadata/pyconfserve/": {"list", "read"}}
# What is asked in the order of the recording, of a server that has what that had.
IDS = [
    "get-no-mount", "get-right-after-mount", "mount-info-none", "get-missing", "cas-create", "cas-create-conflict", "get", "cas",
    "cas-conflict", "put", "put-put", "put-no-data", "put-empty", "get-empty", "delete", "get-deleted", "cas-0-after-delete",
    "delete-missing", "put-key app two/dev", "get-key app two/dev", "put-key grün/profil,zwei", "get-key grün/profil,zwei",
    "put-key é/日本/語", "get-key é/日本/語", "put-key a%b/c", "get-key a%b/c", "put-key release%2F1.0/app", "get-key release%2F1.0/app",
    "put-key a+b&c=d;e", "get-key a+b&c=d;e", "put-key q?x", "get-key q?x", "put-key h#x", "get-key h#x", "put-key deep/er/est/key",
    "get-key deep/er/est/key", "put-key-%2F", "put-key-dots", "put-key-dots-inside", "put-key-double", "put-key-slash-end",
    "list-folder", "list-missing", "spring-put application", "spring-get application", "spring-put foo,dev", "spring-get foo,dev",
    "spring-get-quoted", "spring-kv1-put", "spring-kv1-get", "spring-kv1-missing", "kv1-path-on-kv2", "kv2-path-on-kv1", "put-900KB",
    "put-1.2MB", "no-token", "wrong-token", "get-allowed", "denied-get", "denied-missing", "denied-put", "denied-list",
    "missing-allowed", "renew-wrong", "renew-nonrenewable", "one-use-1", "one-use-2", "expired", "namespace", "get-sealed-2", "renew-sealed",
]  # fmt: skip


def ask(server, request):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    body = request["body"]
    if isinstance(body, dict):
        body = body["$prefix"] + body["$repeat"] * body["$count"] + body["$suffix"]
    connection.request(request["method"], request["path"], body, request["headers"])
    answer = connection.getresponse()
    found = answer.status, told(answer.read())
    connection.close()
    return found


def told(body):
    """What counts in an answer: errors, data without its times, and warnings."""
    tree = json.loads(body) if body else {}
    data = tree.get("data")
    for about in (data, (data or {}).get("metadata")):
        if isinstance(about, dict):
            about.update({key: bool(about[key]) for key in TIMES if key in about})
    return tree.get("errors"), data, [str(one)[:90] for one in tree.get("warnings") or ()]


@pytest.mark.parametrize("version", VERSIONS)
def test_it_answers_as_the_real_one(version):
    """To what is asked of it in these tests, and to much that is wrong."""
    rows = {row["id"]: row for row in json.loads((CASES / VERSIONS[version]).read_text("utf-8"))}
    with VaultServer(version == "openbao") as server:
        server.tokens = {
            "{{root-token}}": Token(),
            "{{token}}": Token(RIGHTS, 3600),
            "{{nonrenewable-token}}": Token(RIGHTS, 3600, renewable=False),
            "{{one-use-token}}": Token(RIGHTS, 3600, uses=1),
            "{{expired-token}}": Token(RIGHTS, 1e-9),
        }
        del server.mounts["secret"]
        differing = []
        for id in IDS:
            request, response = rows[id]["request"], rows[id]["response"]
            if id == "delete":
                server.put("app/dev", {"b": "new"})  # as a PATCH did
            server.is_sealed = "sealed" in id
            recorded = response["status"], told(response["body"])
            found = ask(server, request)
            server.mounts["secret"] = 2
            if found != recorded:
                differing.append((id, found, recorded))
    assert differing == []


def test_it_logs_roles_in():
    """With a token that is known from then on; recorded of OpenBao alone."""
    rows = {row["id"]: row for row in json.loads((CASES / VERSIONS["openbao"]).read_text("utf-8"))}
    with VaultServer(is_openbao=True) as server:
        server.roles = {"{{role-id}}": "{{secret-id}}"}
        assert ask(server, rows["approle-wrong"]["request"]) == (400, (["invalid role or secret ID"], None, []))
        assert ask(server, rows["approle-login"]["request"])[0] == 200
        assert server.tokens.keys() == {ROOT, "s3cret-of-login-1"}
