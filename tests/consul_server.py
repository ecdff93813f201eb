"""Consul as it is: a real agent on a free port of this machine, for tests.

    def test_it(consul_url): ...         # consul://127.0.0.1:PORT/PREFIX, an empty prefix
    with ConsulServer() as server: ...   # one of its own, to be killed, paused, started again

PYCONFSERVE_TEST_CONSUL is the path of its binary: Debian has none, and tests are skipped
without it, in CI too.
"""

import itertools
import json
import os
import ssl
import urllib.error
import urllib.request
from urllib.parse import quote

import pytest
from store_servers import StoreServer, free_ports

MANAGEMENT = "11111111-1111-1111-1111-111111111111"
_names = itertools.count(1)


def consul_program():
    """The path of the binary."""
    path = os.environ.get("PYCONFSERVE_TEST_CONSUL")
    if not path:
        pytest.skip("PYCONFSERVE_TEST_CONSUL does not name a binary of Consul")
    return path


class ConsulServer(StoreServer):
    """One agent that is a server; with *acl* nobody may do anything without a token.

    `call` is a request of its HTTP API, by who may do everything. *tls* is a
    certificate and its key, in PEM.
    """

    def __init__(self, acl=False, tls=None):
        super().__init__()
        self.acl, self.tls = acl, tls
        self.lan, self.raft = free_ports(2)
        self.authority = f"127.0.0.1:{self.port}"

    def arguments(self):
        settings = {
            "server": True, "bootstrap_expect": 1, "node_name": "n1", "log_level": "error",
            "data_dir": str(self.folder / "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
            "ports": {"https" if self.tls else "http": self.port, "dns": -1, "grpc": -1, "grpc_tls": -1,
                      "serf_lan": self.lan, "serf_wan": -1, "server": self.raft},
            "performance": {"raft_multiplier": 1}, "disable_update_check": True,
        }  # fmt: skip
        if self.acl:
            tokens = {"initial_management": MANAGEMENT}
            settings["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if self.tls:
            settings["ports"]["http"] = -1
            files = dict(zip(("cert_file", "key_file"), map(str, self.tls), strict=True))
            settings["tls"] = {"https": {**files, "verify_incoming": False}}
        path = self.folder / "settings.json"
        path.write_text(json.dumps(settings))
        return [consul_program(), "agent", "-config-file", path]

    def is_ready(self):
        """Whether it has a leader that takes writes."""
        try:
            return self.call("PUT", "kv/ready", b"1") is True
        except OSError:
            return False

    def call(self, method, path, body=b"", timeout=10, headers=None):
        """The tree of one answer; None for a 404."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = {"X-Consul-Token": MANAGEMENT} if self.acl else {}
        url = f"{'https' if self.tls else 'http'}://{self.authority}/v1/{path}"
        request = urllib.request.Request(url, body or None, token | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._trust()) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        return json.loads(content) if content else None

    def _trust(self):
        return ssl.create_default_context(cafile=self.tls[0]) if self.tls else None

    def put(self, key, value=""):
        """Store a value, as others would."""
        assert self.call("PUT", f"kv/{quote(key, safe='/')}", value.encode() if isinstance(value, str) else value) is True

    def token_for(self, rules):
        """A new token that has these rights: (its secret, its accessor)."""
        name = f"policy-{next(_names)}"
        self.call("PUT", "acl/policy", {"Name": name, "Rules": rules})
        made = self.call("PUT", "acl/token", {"Policies": [{"Name": name}]})
        return made["SecretID"], made["AccessorID"]

    def revoke(self, accessor):
        """Take a token away."""
        self.call("DELETE", f"acl/token/{accessor}")

    def url_of(self, prefix):
        """The address of a prefix of keys, as the command line takes it."""
        return f"{'consuls' if self.tls else 'consul'}://{self.authority}/{prefix}"


@pytest.fixture(scope="session")
def consul_server():
    """A Consul that all tests share: nobody stops it."""
    with ConsulServer() as server:
        yield server


@pytest.fixture(scope="session")
def guarded_consul():
    """One that wants tokens, which all tests share."""
    with ConsulServer(acl=True) as server:
        yield server


@pytest.fixture
def consul_url(consul_server):
    """The address of an empty prefix of keys in Consul."""
    return consul_server.url_of(f"test-{os.getpid()}-{next(_names)}")
