"""Every target of the shared cases, at every backend, in every spelling and method.

The judge is what the process does: nothing outside of the root is opened or written,
no program runs but git with a fixed command, nothing connects anywhere.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from witness import content, misdeeds, witnessed

from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.http.listener import Listener
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "adapters/git"))  # real_git
TARGETS = json.loads((HERE / "cases/paths.json").read_text("utf-8"))
LABELS = json.loads((HERE / "cases/labels.json").read_text("utf-8"))
SECRET = b"what nobody may read"
VALUES = "a: 1\n"
BUNDLES = ("app", "foo/app", "café")  # what the legal targets ask for
BODY = b'{"a": 1}'
JSON = {"content-type": "application/json"}
METHODS = ("GET", "HEAD", "POST")


# backends


class ThreeMethods:
    """A backend that has no more than the interface, and notes what it was asked."""

    def __init__(self):
        self.bundles = {}
        self.asked = set()

    async def fetch(self, application, profile, label="main"):
        self.asked.add((application, profile, label))
        return self.bundles.get((application, profile, label))

    async def save(self, source):
        self.asked.add((source.application, source.profile, source.label))
        self.bundles[source.application, source.profile, source.label] = source

    async def list(self):
        return [*self.bundles.values()]


class Attacked:
    """One server under attack: its routes, what belongs to it, and what it stores."""

    def __init__(self, backend, dialect, stored, roots=(), *, below=False, saves=200):
        self.backend = backend
        self.server = ConfigServer(backend, dialect=dialect)
        self.routes = Routes(self.server, all_routes=True)
        self.stored = stored  # a function of all that a save could have changed
        self.roots = roots
        self.below = below
        self.saves = 405 if dialect.is_read_only else saves  # the status of a legal one
        self.runner = asyncio.Runner()

    def ask(self, method, target, headers=None, routes=None):
        """The answer to one request, and all that was done for it."""
        path, _, query = target.partition("?")
        is_save = method == "POST"
        given = (JSON if is_save else {}) | (headers or {})
        request = Request(method, path, query, given, BODY if is_save else b"", "a")
        asked = (routes or self.routes).handle(request)
        with witnessed() as deeds:
            answer = self.runner.run(asked)
        return answer, deeds

    def misdeeds(self, deeds):
        """Those that are none of a server of these roots."""
        return misdeeds(deeds, self.roots, below=self.below)

    def warm_up(self):
        """Have threads, modules and a git that reads objects, as any server has."""
        for target in ("/app/default", "/app-default.yml", "/app/default/main/foo.txt", "/app/a/main/b.properties", "/encrypt/a/b"):  # fmt: skip
            for method in METHODS:
                self.ask(method, target)

    def close(self):
        if hasattr(self.backend, "close"):
            self.runner.run(self.backend.close())
        self.runner.close()


def make_files(root):
    """A root with a bundle for each legal target and links, and secrets around it."""
    outside = root.parent
    for place in ("etc/passwd", "secret", "secret.yml", "foo.txt", "foo.properties", "development", "app.yml", "x"):  # fmt: skip
        (outside / place).parent.mkdir(parents=True, exist_ok=True)
        (outside / place).write_bytes(SECRET)
    for bundle in BUNDLES:
        (root / bundle).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{bundle}.yml").write_text(VALUES, "utf-8")
    (root / "foo.txt").write_text("plain", "utf-8")
    (root / ".git").mkdir()
    (root / ".git/config").write_bytes(SECRET)
    (root / "lnk.yml").symlink_to(outside / "secret")
    (root / "dl").symlink_to("..")
    (root / "loop.yml").symlink_to("loop.yml")
    return root


def saved(backend):
    """*backend* with the bundles of the legal targets saved."""

    async def save():
        for bundle in BUNDLES:
            await backend.save(ConfigSource(bundle, "default", "main", {"a": 1}))

    asyncio.run(save())
    return backend


def in_memory(folder, dialect):
    backend = saved(InMemoryConfigBackend())
    return Attacked(backend, dialect, lambda: dict(backend._bundles))


def three_methods(folder, dialect):
    backend = saved(ThreeMethods())
    return Attacked(backend, dialect, lambda: dict(backend.bundles))


def of_folder(folder, dialect):
    root = make_files(folder / "cfg")
    backend = FilesystemConfigBackend(root)
    return Attacked(backend, dialect, lambda: content(folder), [root])


def two_tiers(folder, dialect):
    """The second has the links again, and nothing else."""
    tiers = [make_files(folder / "cfg"), make_files(folder / "core")]
    for bundle in BUNDLES:
        (tiers[1] / f"{bundle}.yml").unlink()
    backend = FilesystemConfigBackend(folder, tiers)
    return Attacked(backend, dialect, lambda: content(folder), tiers)


def label_folders(folder, dialect):
    """The bundles lie in a folder of their label, and nowhere else."""
    root = make_files(folder / "cfg")
    label = root / dialect.default_label
    label.mkdir()
    for entry in [*root.iterdir()]:
        if entry != label:
            entry.rename(label / entry.name)
    backend = FilesystemConfigBackend(root)
    return Attacked(backend, dialect, lambda: content(folder), [root])


def patterns(folder, dialect):
    """Names become names of folders."""
    root = make_files(folder / "cfg")
    places = [root, f"{root}/{{application}}", f"{root}/{{label}}/{{profile}}/*"]
    backend = FilesystemConfigBackend(root, places)
    return Attacked(backend, dialect, lambda: content(folder), [root])


def composite(folder, dialect):
    attacked = of_folder(folder, dialect)
    members = [attacked.backend, saved(InMemoryConfigBackend())]
    backend = CompositeConfigBackend(members)
    return Attacked(backend, dialect, attacked.stored, attacked.roots)


def of_git(folder, dialect, search_paths=(), saves=200):
    """A clone of a bare repository that real git made."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from real_git import LINK, Origin, run_git

    from pyconfserve.adapters.git import GitConfigBackend

    make_files(folder / "cfg")
    origin, clone = Origin(folder / "origin"), folder / "clone"
    files = {f"{bundle}.yml": VALUES for bundle in BUNDLES} | {"foo.txt": "plain"}
    links = {"lnk.yml": "../secret", "dl": "..", "loop.yml": "loop.yml"}
    origin.commit(files | {path: (LINK, target) for path, target in links.items()})
    backend = GitConfigBackend(
        origin.uri, clone_dir=str(clone), search_paths=search_paths, refresh_rate=0
    )

    def stored():
        refs = run_git(clone, "for-each-ref"), run_git(clone, "ls-tree", "-r", "main")
        beside = [path.name for path in folder.iterdir()]
        return refs, sorted(beside), content(folder / "cfg")

    return Attacked(backend, dialect, stored, [clone], below=True, saves=saves)


def git_patterns(folder, dialect):
    """Names become names of folders; a pattern takes no save."""
    return of_git(folder, dialect, ["{application}", "{label}/{profile}/*"], 409)


BUILDERS = {
    "memory": (in_memory, OWN),
    "memory, spring": (in_memory, SPRING),
    "three methods": (three_methods, OWN),
    "folder": (of_folder, OWN),
    "two tiers": (two_tiers, OWN),
    "two tiers, spring": (two_tiers, SPRING),
    "label folders": (label_folders, OWN),
    "label folders, spring": (label_folders, SPRING),
    "patterns": (patterns, OWN),
    "patterns, spring": (patterns, SPRING),
    "composite": (composite, OWN),
    "git": (of_git, OWN),
    "git, patterns": (git_patterns, OWN),
    "git, spring": (git_patterns, SPRING),
}


@pytest.fixture(scope="module")
def attacked(request, tmp_path_factory):
    """The server that a test names, warmed up; one for all its tests in a row."""
    build, dialect = BUILDERS[request.param]
    made = build(tmp_path_factory.mktemp("attacked"), dialect)
    made.warm_up()
    yield made
    made.close()


at_every_backend = pytest.mark.parametrize("attacked", BUILDERS, indirect=True)


# spellings


def escaped(parts, escape):
    """The bytes of each part of a path, each escaped."""
    return "/".join("".join(escape.format(byte) for byte in part) for part in parts)


def upper(path):
    """Another spelling of the same."""
    return escaped(map(unquote_to_bytes, path.split("/")), "%{:02X}")


def lower(path):
    return escaped(map(unquote_to_bytes, path.split("/")), "%{:02x}")


def again(path):
    """The text of the path escaped, its escapes too."""
    return escaped((part.encode() for part in path.split("/")), "%{:02X}")


def percents(path):
    """Escaped percent signs: what a filter that decodes once takes for text."""
    return upper(path).replace("%", "%25")


def doubled(path):
    return again(upper(path))


def tripled(path):
    return again(doubled(path))


def joined(path):
    """One segment, with escaped slashes."""
    return "/" + path[1:].replace("/", "%2F")


SPELLINGS = {spell.__name__: spell for spell in (upper, lower, again, percents, doubled, tripled, joined)} | {"raw": str}  # fmt: skip
SAME = ("raw", "upper", "lower")


def spelled(target, spelling):
    path, question, query = target.partition("?")
    return f"{SPELLINGS[spelling](path)}{question}{query}"


def expected(row, method, spelling, saves):
    """The statuses that an answer to one spelling of a case may have."""
    found = row["expect"]
    statuses = set(found if isinstance(found, list) else [found])
    is_same = spelling in SAME or (spelling == "again" and "%" not in row["target"])
    if not is_same:
        return {400}  # it takes more than one decoding to mean anything
    if method != "POST":
        return statuses
    return {saves} if statuses == {200} else {400, 404, 405}


def ids(rows):
    return [f"{number}-{row['target'][:40]}" for number, row in enumerate(rows)]


@at_every_backend
@pytest.mark.parametrize("row", TARGETS, ids=ids(TARGETS))
def test_a_target_is_answered_as_its_case_says(attacked, row):
    """In each method and spelling; nothing outside of the root is touched for it.

    What is 400 touches nothing at all, what is refused changes nothing, and no answer
    holds what lies outside.
    """
    before = attacked.stored()
    wrong, done, leaks = {}, [], []
    for method in METHODS:
        for spelling in SPELLINGS:
            answer, deeds = attacked.ask(method, spelled(row["target"], spelling))
            name = f"{method} {spelling}"
            if answer.status not in expected(row, method, spelling, attacked.saves):
                wrong[name] = answer.status
            done += deeds if answer.status == 400 else attacked.misdeeds(deeds)
            leaks += [name] * (SECRET in answer.body or b"root:" in answer.body)
    assert (wrong, done, leaks) == ({}, [], [])
    if row["expect"] != 200:
        assert before == attacked.stored()


@pytest.mark.parametrize("attacked", ["three methods"], indirect=True)
def test_no_backend_is_asked_for_a_hostile_name(attacked):
    """What reaches one was judged before."""
    attacked.backend.asked.clear()
    for row in TARGETS:
        for method in METHODS:
            for spelling in SPELLINGS:
                attacked.ask(method, spelled(row["target"], spelling))
    asked = {name for bundle in attacked.backend.asked for name in bundle}
    assert asked == {"app", "foo/app", "café", "application", "default", "main"}


# slots

ANYWHERE = (
    "..", ".", "%2e%2e", "%2E%2E", "..%2Fspam", "..%5Cspam", "%252e%252e", "%2e%2e%2fspam", "foo%23", "foo%00", "foo%0A",
    "foo%3Bx", "foo%3Fx", "foo%7F", "%C0%AE%C0%AE", "%E2%80%A5%FF", "..(_)..", "..%28_%29spam", "%2E%2E%28%5F%29%2E%2E",
    "%zz", "a%", "x" * 256, "a%20%00", "%ED%A0%80", "%EF%BC%8E%EF%BC%8E%2Fx",
)  # fmt: skip
NAMES = {
    "application": ("(_)spam", "spam(_)", "a(_)(_)b", "-x", "a*b", "a{b}", "${{PATH}}", "a:b", "a%22b", "cafe%CC%81", "%E2%84%AB", ",", "*"),
    "profile": ("(_)spam", "bar,..,foo", "bar,%2e%2e,foo", "bar(_)foo", "%E2%84%AB", "-x", "x-", "a,", ",a", "a,,b", "a%20b", "*", "a:b"),
    "label": ("(_)spam", "spam(_)", "-x", "--output=x", "a%20b", "main~1", "HEAD%5E", "a@{{b", "a:b", "a*", "@", "x.lock", ","),
    "path": ("a.yml::$DATA", "C:", "a.", "a%20", "a*b", "a%7Cb", "a%3Cb", "a%22b", "e%CC%81.txt", "%E2%84%AB.txt", "a!b", "a^b", "a`b"),
}  # fmt: skip
SLOTS = {
    "application": (
        "GET /{}/default", "HEAD /{}/default", "GET /{}/default/main", "GET /{}/default/main/foo.txt",
        "GET /{}/default/foo.txt?useDefaultLabel", "GET /{}-default.yml", "GET /{}-default.properties",
        "GET /main/{}-default.json", "GET /app,{}/default", "POST /{}/default", "POST /{}/default/main",
    ),
    "profile": (
        "GET /app/{}", "HEAD /app/{}", "GET /app/{}/main", "GET /app/{}/main/foo.txt", "GET /app/{}/foo.txt?useDefaultLabel",
        "GET /app-{}.yml", "GET /main/app-{}.properties", "GET /app/default,{}", "POST /app/{}", "POST /app/{}/main",
    ),
    "label": (
        "GET /app/default/{}", "HEAD /app/default/{}", "GET /app/default/{}/foo.txt", "GET /{}/app-default.yml",
        "GET /{}/app-default.json", "GET /app/default/v1,{}", "POST /app/default/{}",
    ),
    "path": (
        "GET /app/default/main/{}", "HEAD /app/default/main/{}", "GET /app/default/main/sub/{}",
        "GET /app/default/main/{}/foo.txt", "GET /app/default/{}?useDefaultLabel",
    ),
}  # fmt: skip
# A name with a comma is a list of names, of which an empty one is left out.
LISTS = {("GET /app,{}/default", ","), ("GET /app/default/v1,{}", ",")}
KEYS = {
    "application": ("POST /encrypt/{}/default", "POST /decrypt/{}/default", "GET /key/{}/default"),
    "profile": ("POST /encrypt/app/{}", "POST /decrypt/app/{}", "GET /key/app/{}"),
}  # fmt: skip


def refusals(attacked, slots, texts):
    """What was not answered with 400, and all that was done meanwhile."""
    wrong, done = [], []
    for slot in slots:
        method, target = slot.split()
        for text in texts:
            text = text.replace("{{", "{").replace("}}", "}")
            if (slot, text) in LISTS:
                continue
            answer, deeds = attacked.ask(method, target.replace("{}", text))
            wrong += [(slot, text, answer.status)] * (answer.status != 400)
            done += deeds
    return wrong, done


@pytest.mark.parametrize("attacked", ["memory", "patterns", "git"], indirect=True)
@pytest.mark.parametrize("kind", SLOTS)
def test_every_slot_of_every_route_has_the_one_validator(attacked, kind):
    """Each published fix missed a slot or a route: 400, before anything is looked for."""
    before = attacked.stored()
    found = refusals(attacked, SLOTS[kind], ANYWHERE + NAMES[kind])
    assert (found, attacked.stored()) == (([], []), before)


@pytest.mark.parametrize("attacked", ["memory"], indirect=True)
@pytest.mark.parametrize("kind", KEYS)
def test_names_beside_a_key_are_judged_like_others(attacked, kind):
    """Though one key serves all of them (CVE-2026-40982 was about those, too)."""
    assert refusals(attacked, KEYS[kind], ANYWHERE + NAMES[kind]) == ([], [])


@pytest.mark.parametrize("attacked", ["two tiers"], indirect=True)
def test_each_slot_takes_what_is_legal(attacked):
    """So that it is the name which is refused above, and not the route."""
    legal = {"application": "app", "profile": "default", "label": "main", "path": "foo.txt"}  # fmt: skip
    statuses = {
        slot: attacked.ask(slot.split()[0], slot.split()[1].replace("{}", legal[kind]))[0].status
        for kind, slots in SLOTS.items()
        for slot in slots
    }  # fmt: skip
    assert {slot: status for slot, status in statuses.items() if status != 200} == {
        "GET /app/default/main/sub/{}": 404,
        "GET /app/default/main/{}/foo.txt": 404,
    }


# labels


def label_target(label):
    """A label as a client sends it."""
    return "".join(f"%{byte:02X}" for byte in label.replace("/", "(_)").encode())


def label_slots(label):
    text = label_target(label)
    return f"/app/default/{text}", f"/{text}/app-default.yml", f"/app/default/{text}/x.txt"  # fmt: skip


def label_names():
    """Those of the cases that a folder can have, as folders are named."""
    rows = (row["label"] for row in LABELS if row["require"].startswith("resolve"))
    return [label.replace("(_)", "/") for label in rows if not label.startswith("<")]


@pytest.fixture(scope="module", params=[OWN, SPRING], ids=["own", "spring"])
def labelled(request, tmp_path_factory):
    """A folder that has a folder for each label which the cases want resolved."""
    folder = tmp_path_factory.mktemp("labelled")
    root = make_files(folder / "cfg")
    backend = FilesystemConfigBackend(root, label="main")
    made = Attacked(backend, request.param, lambda: content(folder), [root])
    made.warm_up()
    (root / "app.yml").unlink()
    for label in label_names():
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / "app.yml").write_text(f"a: {label}\n")
        (root / label / "x.txt").write_text(label)
    yield made
    made.close()


@pytest.mark.parametrize("row", LABELS, ids=[str(number) for number in range(len(LABELS))])  # fmt: skip
def test_a_label_of_the_cases_in_folders_of_labels(labelled, row):
    """It is its own folder's name or nothing, and never a way to another place."""
    label = row["label"].replace("(_)", "/")
    before = labelled.stored()
    asked = [labelled.ask("GET", target) for target in label_slots(label)]
    saved, deeds = labelled.ask("POST", label_slots(label)[0].replace("app", "other"))
    statuses = {answer.status for answer, _ in asked}
    assert [labelled.misdeeds(done) for _, done in (*asked, (saved, deeds))] == [[]] * 4
    if label in label_names():
        assert statuses == {200}
        environment, file, plain = (answer.body.decode() for answer, _ in asked)
        sources = json.loads(environment)["propertySources"]
        assert [source["source"]["a"] for source in sources] == [label]
        assert (file, plain) == (f"a: {label}\n", label)
        return
    assert SECRET not in b"".join(answer.body for answer, _ in asked)
    if row["require"] == "400":
        assert (statuses, [done for _, done in asked]) == ({400}, [[]] * 3)
        assert saved.status in (400, labelled.saves if labelled.saves != 200 else 400)
        assert before == labelled.stored()
    elif labelled.server.dialect is OWN:  # SPRING answers without sources
        assert statuses <= {400, 404}
    else:
        assert all(b'"source"' not in answer.body for answer, _ in asked)


# edges

PREFIX = "/config/v1"
STRANGE_PREFIXES = (
    "/config/../config/v1/app/default", "/config/./v1/app/default", "/config//v1/app/default", "/config%2Fv1/app/default",
    "/config/v1%2Fapp/default", "/config/v1%2F..%2Fapp/default", "/config/v1;x/app/default", "/CONFIG/v1/app/default",
    "//config/v1/app/default", "/x/v1/app/default", "/config/v1/%2e%2e/v1/app/default", "/config%252Fv1/app/default",
)  # fmt: skip


@pytest.mark.parametrize("attacked", ["two tiers", "label folders, spring"], indirect=True)  # fmt: skip
def test_below_a_base_path_targets_are_the_same(attacked):
    """And no spelling of the base path leads below it."""
    routes = Routes(attacked.server, base_path=PREFIX)
    wrong, done = [], []
    for row in TARGETS:
        for spelling in SPELLINGS:
            target = spelled(row["target"], spelling)
            if spelling == "joined":
                target = f"/{target}"  # an empty segment is no route
            answer, deeds = attacked.ask("GET", PREFIX + target, routes=routes)
            allowed = expected(row, "GET", spelling, attacked.saves)
            wrong += [(target, answer.status)] * (answer.status not in allowed)
            done += attacked.misdeeds(deeds)
    assert (wrong, done) == ([], [])
    found = {target: attacked.ask("GET", target, routes=routes) for target in STRANGE_PREFIXES}  # fmt: skip
    assert {answer.status for answer, _ in found.values()} <= {400, 404}
    assert [deeds for _, deeds in found.values()] == [[]] * len(found)


def starlette_ask(app, method, target):
    """A coroutine of the status: what an application server makes of a raw target."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"a"), (b"content-type", b"application/json")],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": BODY if method == "POST" else b""}

    async def send(message):
        sent.append(message)

    async def ask():
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:])

    return ask()


@pytest.fixture(scope="module")
def starlette_apps():
    """`starlette_apps(server)`: by prefix, one at the top, one with a base path, one mounted."""
    pytest.importorskip("starlette", reason="pip install 'pyconfserve[starlette]'")
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from pyconfserve.adapters.starlette import make_starlette_config_server_routes

    def make(server):
        plain = make_starlette_config_server_routes(server)
        below = make_starlette_config_server_routes(server, PREFIX)
        return {
            "": Starlette(routes=plain),
            PREFIX: Starlette(routes=below),
            "/mounted/here": Starlette(routes=[Mount("/mounted/here", routes=plain)]),
        }

    return make


@pytest.mark.parametrize("attacked", ["two tiers"], indirect=True)
def test_under_starlette_targets_are_the_same(attacked, starlette_apps):
    """Judged by the raw path, wherever the routes stand."""
    wrong, done = [], []
    for prefix, app in starlette_apps(attacked.server).items():
        attacked.runner.run(starlette_ask(app, "GET", f"{prefix}/app/default"))
        for row in TARGETS:
            for method in METHODS:
                for spelling in ("raw", "lower", "again", "doubled"):
                    target = prefix + spelled(row["target"], spelling)
                    with witnessed() as deeds:
                        asked = starlette_ask(app, method, target)
                        status, body = attacked.runner.run(asked)
                    allowed = expected(row, method, spelling, attacked.saves)
                    is_wrong = status not in allowed or SECRET in body
                    wrong += [(method, target, status)] * is_wrong
                    done += attacked.misdeeds(deeds)
    assert (wrong, done) == ([], [])


@pytest.mark.parametrize("attacked", ["two tiers"], indirect=True)
@pytest.mark.parametrize(
    "target",
    [
        "{}%2Fx/app/default", "{}%2fapp/default", "{}/x%2F..%2Fapp/default", "{}/..%2Fhere/app/default",
        "/x%2F..{}/app/default", "/x/..{}/app/default", "{}%252Fx/app/default",
    ],
)  # fmt: skip
@pytest.mark.parametrize("prefix", [PREFIX, "/mounted/here"])
def test_under_starlette_no_spelling_hides_a_name(attacked, starlette_apps, prefix, target):  # fmt: skip
    """What stands in front and judges the decoded path must not see another name."""
    app = starlette_apps(attacked.server)[prefix]
    asked = starlette_ask(app, "GET", target.format(prefix))
    status, _ = attacked.runner.run(asked)
    assert status in (400, 404)


@pytest.mark.parametrize("attacked", ["two tiers", "label folders, spring", "git"], indirect=True)  # fmt: skip
def test_over_a_socket_targets_are_the_same(attacked):
    """What a target may not hold on the wire is refused there, with the same status."""

    async def statuses(host, port):
        found = {}
        for number, row in enumerate(TARGETS):
            for method in METHODS:
                body = BODY if method == "POST" else b""
                head = f"{method} {row['target']} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"  # fmt: skip
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(head.encode() + body)
                found[number, method] = int((await reader.read()).split()[1])
                writer.close()
        return found

    async def ask():
        listener = Listener(attacked.routes)
        host, port = await listener.start("127.0.0.1", 0)
        async with asyncio.timeout(20):
            found = await statuses(host, port)
        await listener.close()
        return found

    wrong = {
        (TARGETS[number]["target"], method): status
        for (number, method), status in attacked.runner.run(ask()).items()
        if status not in expected(TARGETS[number], method, "raw", attacked.saves)
    }
    assert wrong == {}


# the judge


def test_the_judge_sees_what_is_done(tmp_path):
    """In every thread, and only while it looks."""
    (tmp_path / "file").write_text("a: 1\n")

    def read():
        (tmp_path / "file").read_bytes()
        os.listdir(tmp_path)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").rename(tmp_path / "folder/file")

    with witnessed() as deeds:
        reader = threading.Thread(target=read)
        reader.start()
        reader.join()
    (tmp_path / "folder/file").read_bytes()
    file, folder = str(tmp_path / "file"), str(tmp_path / "folder")
    assert deeds == [
        ("open", file),
        ("os.listdir", str(tmp_path)),
        ("os.mkdir", folder),
        ("os.rename", file),
        ("os.rename", f"{folder}/file"),
    ]


@pytest.mark.parametrize(
    ("event", "what", "is_fine", "is_fine_for_git"),
    [
        ("open", "/srv/cfg", True, True),
        ("open", "app.yml", True, True),
        ("open", "..", False, False),
        ("open", "/srv/cfg/app.yml", False, True),
        ("open", "/srv/cfg/../secret", False, False),
        ("open", "/srv/cfg2/app.yml", False, False),
        ("os.rename", "/etc/passwd", False, False),
        ("subprocess.Popen", ("git", "cat-file", "--batch"), False, True),
        ("subprocess.Popen", ("git", "for-each-ref", f"--contains={'ab' * 20}"), False, True),
        ("subprocess.Popen", ("git", "cat-file", "--output=x"), False, False),
        ("subprocess.Popen", ("git", "show", "main:app.yml"), False, False),
        ("subprocess.Popen", ("sh", "-c"), False, False),
        ("os.system", "id", False, False),
        ("socket.connect", "127.0.0.1", False, False),
    ],
)  # fmt: skip
def test_the_judge_knows_a_misdeed(event, what, is_fine, is_fine_for_git):
    """A folder is entered by its root alone; git has files below it and fixed commands."""
    found = [misdeeds([(event, what)], ["/srv/cfg"], below=below) == [] for below in (False, True)]  # fmt: skip
    assert found == [is_fine, is_fine_for_git]
