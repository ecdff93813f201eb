"""A server that does what Vault and OpenBao do with KV, tokens and roles, in memory.

Neither can be installed here. test_vault_server.py holds it to what the real ones were
recorded to answer, so that what a replay cannot show, such as eight writers, is shown.
"""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

ROOT = "s3cret-root-of-vault"
NO_HANDLER = 'no handler for route "%s". route entry not found.'
REFUSED = "1 error occurred:\n\t* permission denied\n\n"
INVALID = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
FOR_V2 = (
    "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
    "If using the Vault CLI, use 'vault kv get' for this operation."
)
CAS = "check-and-set parameter did not match the current version"
LONGEST = 1024 * 1024
OPEN = ("sys/health", "sys/seal-status", "auth/approle/login")
ALL = {"read", "create", "update", "delete", "list"}


class Refused(Exception):
    """A status and the texts of `errors`, or a whole tree."""

    def __init__(self, status, *errors, tree=None):
        super().__init__(status, errors)
        self.status, self.tree = status, tree if tree is not None else {"errors": list(errors)}


class Token:
    """What a token may do: *rights* by the beginning of a path, None for all."""

    def __init__(self, rights=None, ttl=0.0, renewable=True, uses=0):
        self.rights, self.ttl, self.renewable, self.uses = rights, ttl, renewable, uses
        self.end = time.monotonic() + ttl if ttl else None

    def renew(self):
        self.end = time.monotonic() + self.ttl


class VaultServer(ThreadingHTTPServer):
    """Vault's answers, or OpenBao's with *is_openbao*; use it in a `with` block.

    `mounts` has versions by name and `keys` what is in them: by path a list of versions,
    each a map, or None when it was deleted. `asked` has method, path and token of each
    request; a request whose method and path are in `broken` gets that status, or no
    answer where that is None.
    """

    daemon_threads = True
    request_queue_size = 128  # else who connects waits for a second

    def __init__(self, is_openbao=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.is_openbao, self.is_sealed = is_openbao, False
        self.mounts = {"secret": 2, "kv1": 1}
        self.keys = {"secret": {}, "kv1": {}}
        self.tokens = {ROOT: Token()}
        self.roles, self.logins = {}, 0
        self.role_ttl, self.role_rights = 1200.0, None
        self.namespaces = set()
        self.asked, self.broken = [], {}
        self.lock = threading.RLock()
        self.authority = f"127.0.0.1:{self.server_port}"
        self.uri = f"vault://{self.authority}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join(10)
        self.server_close()

    def handle_error(self, request, client_address):
        """Who hangs up is no error here."""

    def put(self, key, data, mount="secret"):
        """Add a version, as another tool would."""
        with self.lock:
            self.keys[mount].setdefault(key, []).append(data)

    def answer(self, method, path, query, headers, body):
        """The status and the tree, None for no body."""
        if self.is_sealed and path not in OPEN[:2]:
            raise Refused(503, "Vault is sealed")
        if "//" in path or "/../" in path:
            raise Refused(307, tree="")
        if path in OPEN[:2]:
            health = {"initialized": True, "sealed": self.is_sealed, "standby": self.is_sealed}
            return (503 if self.is_sealed and path == OPEN[0] else 200), health
        namespace = headers.get("X-Vault-Namespace", "")
        if self.is_openbao and namespace and namespace not in self.namespaces:
            raise Refused(404, "namespace not found")
        if path == OPEN[2]:
            return 200, self.log_in(body)
        name = headers.get("X-Vault-Token", "")
        token = self.known(name)
        if path.startswith("auth/token/"):
            return 200, self.about(path, name, token)
        if path.startswith("sys/internal/ui/mounts/"):
            return 200, self.mount(path.removeprefix("sys/internal/ui/mounts/"), token)
        mount, _, rest = path.partition("/")
        action = {"GET": "read", "LIST": "list", "DELETE": "delete"}.get(method, "update")
        if query.get("list") == ["true"]:
            action = "list"
        self.check(token, path, action)
        if mount not in self.mounts:
            raise Refused(404, NO_HANDLER % path)
        if self.mounts[mount] == 1:
            return self.first(self.keys[mount], action, rest, body)
        return self.second(self.keys[mount], action, rest, body)

    # who asks

    def known(self, name):
        token = self.tokens.get(name)
        if token is None or (token.end is not None and time.monotonic() > token.end):
            raise Refused(403, INVALID if name and not self.is_openbao else "permission denied")
        if token.uses:
            token.uses -= 1
            if not token.uses:
                del self.tokens[name]
        return token

    def check(self, token, path, action):
        if token.rights is None:
            return
        if not any(path.startswith(start) and action in rights for start, rights in token.rights.items()):
            raise Refused(403, REFUSED)

    def about(self, path, name, token):
        if path == "auth/token/lookup-self":
            left = 0 if token.end is None else max(0, round(token.end - time.monotonic(), 3))
            return self.whole({"id": name, "ttl": left, "renewable": token.end is not None and token.renewable})
        if not token.renewable or token.end is None:
            raise Refused(400, "lease is not renewable")
        token.renew()
        return self.whole(None, auth={"client_token": name, "lease_duration": token.ttl, "renewable": True})

    def log_in(self, body):
        if self.roles.get(body.get("role_id")) != body.get("secret_id") or not self.roles:
            raise Refused(400, "invalid role or secret ID")
        self.logins += 1
        name = f"s3cret-of-login-{self.logins}"
        self.tokens[name] = Token(self.role_rights, self.role_ttl)
        return self.whole(None, auth={"client_token": name, "lease_duration": self.role_ttl, "renewable": True})

    def mount(self, name, token):
        starts = token.rights if token.rights is not None else [name]
        if name not in self.mounts or not any(start.startswith(name) for start in starts):
            problem = f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{name}/"'
            raise Refused(403, problem)
        return self.whole({"type": "kv", "options": {"version": str(self.mounts[name])}, "path": f"{name}/"})

    def whole(self, data, **more):
        tree = {"request_id": "x", "lease_id": "", "renewable": False, "lease_duration": 0, "data": data}
        return {**tree, "wrap_info": None, "warnings": None, "auth": None, **more}

    # keys

    def first(self, keys, action, path, body):
        if action == "update":
            keys[path] = [body]
            return 204, None
        if path not in keys:
            raise Refused(404)
        return 200, {**self.whole(keys[path][-1]), "lease_duration": 2764800}

    def second(self, keys, action, path, body):
        part, _, key = path.partition("/")
        if part == "metadata" and action == "list":
            return 200, self.whole({"keys": self.below(keys, key)})
        if part != "data":
            raise Refused(404, tree={**self.whole(None), "warnings": [FOR_V2]})
        versions = keys.get(key, [])
        if action == "update":
            return 200, self.whole(self.add(keys, key, versions, body))
        if action == "delete":
            if versions:
                versions[-1] = None
            return 204, None
        if not versions:
            raise Refused(404)
        about = self.metadata(len(versions), versions[-1] is None)
        tree = self.whole({"data": versions[-1], "metadata": about})
        if versions[-1] is None:
            raise Refused(404, tree=tree)
        return 200, tree

    def add(self, keys, key, versions, body):
        if key.endswith("/"):
            raise Refused(400, "cannot write to a path ending in '/'")
        if "data" not in body:
            raise Refused(400, "no data provided")
        if any(isinstance(one, str) and len(one.encode()) > LONGEST for one in body["data"].values()):
            problem = "put failed due to value being too large; got 156 bytes, max 1048576 bytes"
            raise Refused(500, f"1 error occurred:\n\t* {problem}\n\n" if self.is_openbao else "JSON string value exceeds allowed length")
        if body.get("options", {}).get("cas", len(versions)) != len(versions):
            raise Refused(400, CAS)
        keys[key] = [*versions, shortened(body["data"])]
        return self.metadata(len(versions) + 1)

    def metadata(self, version, is_deleted=False):
        deletion = "2026-11-22T21:15:52.689322358Z" if is_deleted else ""
        about = {"created_time": "2026-11-22T21:15:52.678048459Z", "custom_metadata": None, "deletion_time": deletion}
        return {**about, "destroyed": False, "version": version}

    def below(self, keys, folder):
        start = f"{folder.strip('/')}/" if folder.strip("/") else ""
        rest = [key.removeprefix(start) for key in keys if key.startswith(start)]
        found = sorted({f"{one.partition('/')[0]}/" if "/" in one else one for one in rest})
        if not found:
            raise Refused(404)
        return found


def shortened(tree):
    """What comes back: a number has 17 digits, keys are in order."""
    if isinstance(tree, dict):
        return {key: shortened(tree[key]) for key in sorted(tree)}
    if isinstance(tree, list):
        return [shortened(one) for one in tree]
    if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) > 2**53:
        return _rounded(tree)
    return tree


def _rounded(number):
    """The shortest digits that tell a float from others, and zeros."""
    digits = repr(float(number)).partition("e")[0].replace(".", "").rstrip("0")
    return int(digits.ljust(len(str(number)), "0"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        server = self.server
        parts = urlsplit(self.path)
        path = unquote(parts.path.removeprefix("/v1/"))
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server.lock:
            server.asked.append((self.command, path, self.headers.get("X-Vault-Token", "")))
            if (self.command, path) in server.broken:
                status, tree = server.broken[self.command, path], {"errors": ["it is broken"]}
            else:
                try:
                    body = json.loads(raw) if raw else {}
                    status, tree = server.answer(self.command, path, parse_qs(parts.query), self.headers, body)
                except Refused as refused:
                    status, tree = refused.status, refused.tree
        if status is None:
            self.close_connection = True
            return
        content = json.dumps(tree).encode() if tree else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_LIST = do_DELETE = _answer

    def log_message(self, *_):
        """Nothing."""


@contextmanager
def vault_server(is_openbao=False):
    """A server that runs."""
    with VaultServer(is_openbao) as server:
        yield server
