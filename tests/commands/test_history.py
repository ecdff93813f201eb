"""history, diff and rollback: the past of a repository, as a user runs them."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("git") is None, reason="pip install 'pyconfserve[git]'"
)
CANARY = "canary-7f3a"
DATES = {"GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}
NOBODYS = "0123456789abcdef0123456789abcdef01234567"


class Work:
    """A working folder with commits, and its bare clone `bare.git`."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments):
        """What git prints in it, by a user of its own."""
        user = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com")
        done = subprocess.run(
            ["git", *user, *arguments],
            cwd=self.folder,
            env=os.environ | DATES,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, message, **files):
        """The id of a commit of {stem: text} as JSON files."""
        for stem, text in files.items():
            (self.folder / f"{stem.replace('_', '-')}.json").write_text(text)
        self.git("add", ".")
        self.git("commit", "--quiet", f"--message={message}")
        return self.git("rev-parse", "HEAD")

    def share(self):
        """Make the bare clone that others ask."""
        bare = self.folder.with_name("bare.git")
        self.git("clone", "--quiet", "--bare", ".", str(bare))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository with two commits on main, a tag and a branch."""
    work = Work(tmp_path_factory.mktemp("history") / "work")
    work.one = work.commit("first", orders_prod='{"db": {"pool": 1, "old": "a"}, "n": 1}')
    work.git("tag", "v1")
    work.two = work.commit("second \x1b[31m red", orders_prod=f'{{"db": {{"pool": 2, "password": "{CANARY}"}}, "n": 1}}')
    work.git("checkout", "--quiet", "-b", "feature/x")
    work.three = work.commit("dev", orders_dev='{"db": {"pool": 3}, "n": true, "s": "{cipher}abc"}')
    work.git("checkout", "--quiet", "main")
    work.share()
    return work


@pytest.fixture
def work(made, tmp_path):
    """Its working folder and `bare.git`, copied to where commands run."""
    shutil.copytree(made.folder.with_name("bare.git"), tmp_path / "bare.git")
    return made


class TestHistory:
    def test_text(self, run, work):
        """A line for a commit and one for each file, without what a terminal obeys."""
        expected = (
            f"{work.two} 2026-01-02T03:04:05Z Tester: second \\x1b[31m red\n"
            "    orders-prod.json\n"
            f"{work.one} 2026-01-02T03:04:05Z Tester: first\n"
            "    orders-prod.json\n"
        )
        assert (0, expected, "") == run("history", "bare.git", "orders", "prod")

    def test_json(self, run, work):
        """The document of the route."""
        status, out, errors = run("history", "bare.git", "orders", "prod", "v1", "--json")
        commit = {
            "commit": work.one,
            "time": "2026-01-02T03:04:05Z",
            "author": "Tester",
            "message": "first",
            "files": ["orders-prod.json"],
        }
        expected = {"name": "orders", "profiles": ["prod"], "label": "v1", "commits": [commit], "next": None}
        assert (0, expected, "") == (status, json.loads(out), errors)

    def test_pages(self, run, work):
        """Standard error says how to go on."""
        status, out, errors = run("history", "bare.git", "orders", "prod", "--limit", "1")
        assert (0, work.two, f"pyconfserve: for more: --before {work.two}\n") == (status, out[:40], errors)
        status, out, errors = run("history", "bare.git", "orders", "prod", "--before", work.two)
        assert (0, work.one, "") == (status, out[:40], errors)

    def test_nothing_is_said_of_nothing(self, run, work):
        """On standard error; it is no failure."""
        expected = (0, "", "pyconfserve: no commit has changed nobody/default\n")
        assert expected == run("history", "bare.git", "nobody")

    def test_a_label_with_a_slash(self, run, work):
        """As in a URL or as git has it; Spring's files are no JSON."""
        found = [run("history", "bare.git", "orders", "dev", label) for label in ("feature/x", "feature(_)x")]
        assert [(0, work.three, "")] * 2 == [(status, out[:40], errors) for status, out, errors in found]
        expected = (0, "", "pyconfserve: no commit has changed orders/dev\n")
        assert expected == run("history", "bare.git", "orders", "dev", "feature/x", "--spring")

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (("bare.git", "orders", "prod", "nope"), 1, "nope: there is no such label"),
            (("bare.git", "orders", "prod", NOBODYS), 1, f"{NOBODYS}: there is no such label"),
            (("bare.git", "orders", "prod", "--before", NOBODYS), 1, f"orders: the commit {NOBODYS} is not in this history"),
            (("bare.git", "orders", "--before", "main"), 1, "before: expected the full id of a commit"),
            (("bare.git", "a..b"), 1, "application: '..' is not allowed"),
            (("cfg", "orders"), 1, "no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL"),
            (("bare.git", "orders", "--username", "u"), 2, "--username: it is for a server, and this is a folder or a repository"),
            (("http://127.0.0.1:9", "orders", "--clone-dir", "c"), 2, "--clone-dir: it is for a folder or a repository, and this is a server"),
            (("mongodb://x", "orders"), 2, "no store has addresses that begin with mongodb://"),
            (("http://127.0.0.1:9/", "orders"), 1, "http://127.0.0.1:9/: the connection was refused"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, work, folder, arguments, status, message):
        """In one line, without a traceback."""
        assert (status, "", f"pyconfserve: error: {message}\n") == call("history", *arguments)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("history", "nope", "orders"),
            ("diff", "nope", "orders", "--profiles", "a", "b"),
            ("explain", "nope", "orders"),
            ("rollback", "nope", "orders", "prod", "main", NOBODYS),
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_a_folder_that_is_missing_is_not_made(self, call, tmp_path, arguments):
        """Nobody is told that there is nothing in a folder that they did not mean."""
        expected = (2, "", "pyconfserve: error: nope is not a folder\n")
        assert (expected, []) == (call(*arguments), [*tmp_path.iterdir()])

    @pytest.mark.parametrize("limit", ["0", "1001", "x"])
    def test_a_limit_is_a_number(self, call, work, limit):
        """Exit 2: it is how it was called."""
        status, out, errors = call("history", "bare.git", "orders", "--limit", limit)
        assert (status, out) == (2, "")
        assert errors.endswith("error: argument --limit: expected 1 to 1000\n")

    def test_credentials_do_not_stand_on_the_command_line(self, run):
        """Everyone on the machine could read them."""
        status, out, errors = run("history", f"http://u:{CANARY}@127.0.0.1:9", "orders")
        assert (status, out, CANARY in errors) == (2, "", False)

    def test_of_a_server(self, run, serve, work):
        """What /_history answers, printed alike; its refusals are errors."""
        serving = serve("bare.git", "--port", "0", "--base-path", "/base")
        url = f"{serving.url}/base"
        local = run("history", "bare.git", "orders", "dev", "feature/x", "--json")
        assert local == run("history", url, "orders", "dev", "feature/x", "--json")
        assert run("history", "bare.git", "orders", "prod", "--limit", "1") == run("history", url, "orders", "prod", "--limit", "1")
        status, out, errors = run("history", url, "orders", "prod", "nope")
        assert (1, "", f"pyconfserve: error: {url}: it answered 404: there is no such label\n") == (status, out, errors)

    def test_a_server_with_users(self, run, serve, work, environ, tmp_path):
        """Name and password come from the environment or a file; names are judged."""
        subprocess.run(
            [sys.executable, "-m", "pyconfserve", "user", "add", "users.yml", "ann", "--application", "orders"],
            cwd=tmp_path, env=environ, input=b"a long password\n", check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        (tmp_path / "password").write_text("a long password\n")
        url = serve("bare.git", "--port", "0", "--users", "users.yml").url
        known = {"CONFIG_CLIENT_USERNAME": "ann", "CONFIG_CLIENT_PASSWORD": "a long password"}
        expected = run("history", "bare.git", "orders", "prod")
        assert expected == run("history", url, "orders", "prod", **known)
        flags = ("--username", "ann", "--password-file", "password")
        assert expected == run("history", url, "orders", "prod", *flags)
        status, out, errors = run("history", url, "theirs", "prod", **known)
        message = "it answered 403: this user may not read what has these names"
        assert (1, "", f"pyconfserve: error: {url}: {message}\n") == (status, out, errors)
        assert run("history", url, "orders")[2].startswith(f"pyconfserve: error: {url}: it answered 401: ")


class TestDiff:
    def test_labels(self, run, work):
        """Keys in order, no values; exit 1 says that something differs."""
        expected = "--- prod@v1\n+++ prod@main\n- db.old: ***\n+ db.password: ***\n~ db.pool: ***\n"
        assert (1, expected, "") == run("diff", "bare.git", "orders", "prod", "v1", "main")

    def test_values_are_shown_when_asked_for(self, run, work):
        """As JSON has them, so that no terminal obeys one."""
        lines = ["--- prod@main", "+++ prod@v1", '+ db.old: "a"', f'- db.password: "{CANARY}"', "~ db.pool: 2 -> 1"]
        expected = (1, "\n".join([*lines, ""]), "")
        assert expected == run("diff", "bare.git", "orders", "prod", "main", "v1", "--show-values")

    def test_json(self, run, work):
        """For programs: masked, or with values."""
        status, out, errors = run("diff", "bare.git", "orders", "prod", "v1", work.two, "--json")
        expected = {
            "name": "orders",
            "from": {"profile": "prod", "label": "v1"},
            "to": {"profile": "prod", "label": work.two},
            "added": {"db.password": "***"},
            "removed": {"db.old": "***"},
            "changed": {"db.pool": {"from": "***", "to": "***"}},
        }
        assert (1, expected, "") == (status, json.loads(out), errors)
        shown = json.loads(run("diff", "bare.git", "orders", "prod", "v1", "main", "--json", "--show-values")[1])
        assert (shown["added"], shown["changed"]) == ({"db.password": CANARY}, {"db.pool": {"from": 1, "to": 2}})

    def test_the_same_is_exit_0(self, run, work):
        """A branch and its commit; in JSON, too."""
        assert run("diff", "bare.git", "orders", "prod", "main", work.two) == (0, "", "")
        status, out, _ = run("diff", "bare.git", "orders", "prod", "main", work.two, "--json")
        found = json.loads(out)
        assert (status, found["added"], found["removed"], found["changed"]) == (0, {}, {}, {})

    def test_profiles(self, run, work):
        """Of one label; 1 and true are different values, a cipher text is one, too."""
        sealed = {"PYCONFSERVE_ENCRYPT_KEY": "k"}
        flags = ("--profiles", "prod", "dev", "--show-values")
        status, out, errors = run("diff", "bare.git", "orders", "feature(_)x", *flags, **sealed)
        expected = [
            "--- prod@feature(_)x",
            "+++ dev@feature(_)x",
            f'- db.password: "{CANARY}"',
            "~ db.pool: 2 -> 3",
            "~ n: 1 -> true",
            '+ s: "{cipher}abc"',
        ]
        assert (1, expected, "") == (status, out.splitlines(), errors)
        assert run("diff", "bare.git", "orders", "--profiles", "prod", "dev")[1][:17] == "--- prod\n+++ dev\n"

    def test_a_side_without_anything_is_empty(self, run, work):
        """All that the other has was added."""
        expected = (1, "--- dev@main\n+++ dev@feature/x\n+ db.pool: ***\n+ n: ***\n+ s: ***\n", "")
        assert expected == run("diff", "bare.git", "orders", "dev", "main", "feature/x")

    def test_folders_have_labels_too(self, run, folder):
        """A diff needs no history."""
        (folder / "v2").mkdir()
        (folder / "v2" / "orders-prod.json").write_text('{"db": {"pool": 30}}')
        expected = (1, "--- prod@main\n+++ prod@v2\n~ db.pool: ***\n", "")
        assert expected == run("diff", "cfg", "orders", "prod", "main", "v2")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("bare.git", "orders", "prod", "main", "nope"), "prod@nope: there is no such label"),
            (("bare.git", "orders", "prod", NOBODYS, "main"), f"prod@{NOBODYS}: there is no such label"),
            (("bare.git", "nobody", "prod", "v1", "main"), "nothing is stored for nobody, neither prod@v1 nor prod@main"),
            (("bare.git", "orders", "prod", "--output=x", "main"), None),
            (("bare.git", "orders", "prod", "main~1", "main"), "label: expected the name of a branch or a tag, without revision syntax"),
            (("bare.git", "orders", "prod", "main"), "expected PROFILE FROM TO, or --profiles A B"),
            (("bare.git", "orders", "a", "b", "--profiles", "a", "b"), "expected one LABEL at most with --profiles A B"),
            (("http://127.0.0.1:9", "orders", "prod", "a", "b"), "expected a folder or a repository, and this is a server"),
        ],
    )
    def test_trouble_is_exit_2(self, call, work, arguments, message):
        """1 would mean that something differs."""
        status, out, errors = call("diff", *arguments)
        assert (status, out) == (2, "")
        assert message is None or f"pyconfserve: error: {message}\n" == errors


class TestRollback:
    def test_a_rollback_is_a_commit_that_a_server_serves(self, run, serve, work):
        """In the clone that it keeps, at once; nothing is pushed."""
        where = ("bare.git", "--clone-dir", "clone")
        serving = serve(*where, "--port", "0")
        status, out, errors = run("rollback", "bare.git", "orders", "prod", "main", work.one, "--clone-dir", "clone", "--json")
        document = json.loads(out)
        made = document.pop("commit")
        expected = {"application": "orders", "profile": "prod", "label": "main", "from": work.one, "saved": True}
        assert (0, expected, "") == (status, document, errors)
        status, found = serving.ask(f"/_history/orders/prod/{made}?limit=1")
        assert (200, made) == (status, json.loads(found)["commits"][0]["commit"])
        assert run("diff", *where, "orders", "prod", "v1", made) == (0, "", "")
        again = run("rollback", *where, "orders", "prod", "main", work.one)
        assert (0, f"orders/prod on main is as it was at {work.one} already\n", "") == again
        back = run("rollback", *where, "orders", "prod", "main", work.two)
        text = f"orders/prod on main is as it was at {work.two}: commit "
        assert (0, text, "") == (back[0], back[1][:-41], back[2])
        assert work.two == run("history", "bare.git", "orders", "prod")[1][:40]

    @pytest.mark.parametrize(
        ("names", "status", "message"),
        [
            (("orders", "dev", "main", "{one}"), 1, "main: orders/dev was not there at {one}"),
            (("orders", "prod", "main", NOBODYS), 1, f"main: no branch and no tag reaches {NOBODYS}"),
            (("orders", "prod", "nope", "{one}"), 1, "nope: there is no such branch"),
            (("orders", "prod", "v1", "{one}"), 1, "v1: a tag or a commit takes no saves, only a branch does"),
            (("orders", "prod", "main", "v1"), 1, "commit: expected the full id of a commit"),
            (("orders", "prod", "main", "HEAD;x"), 1, "commit: expected the full id of a commit"),
        ],
    )
    def test_what_is_wrong_is_named(self, call, work, names, status, message):
        """And nothing is saved."""
        names = [name.format(one=work.one) for name in names]
        expected = (status, "", f"pyconfserve: error: {message.format(one=work.one)}\n")
        assert expected == call("rollback", "bare.git", *names, "--clone-dir", "clone")
        assert work.two == call("history", "bare.git", "orders", "prod", "--clone-dir", "clone")[1][:40]

    @pytest.mark.parametrize(
        ("root", "flags", "status", "message"),
        [
            ("bare.git", (), 2, "--clone-dir: what is saved in a temporary clone is lost: name the one that the server keeps"),
            ("http://127.0.0.1:9", (), 1, "http://127.0.0.1:9: the connection was refused"),
            ("http://127.0.0.1:9", ("--clone-dir", "clone"), 2, "--clone-dir: it is for a folder or a repository, and this is a server"),
            ("cfg", (), 1, "no history is kept here: a git repository named by its URI keeps one, and so do SQLite and PostgreSQL"),
            ("bare.git", ("--settings", "s.yml"), 1, "these settings say read-only"),
        ],
    )
    def test_where_nothing_can_be_saved(self, call, work, folder, tmp_path, root, flags, status, message):
        """It is said before anything is tried."""
        (tmp_path / "s.yml").write_text("pyfly.config-server: {read-only: true, backend.git.clone-dir: clone}\n")
        expected = (status, "", f"pyconfserve: error: {message}\n")
        assert expected == call("rollback", root, "orders", "prod", "main", work.one, *flags)

    def test_through_a_server(self, run, call, serve, work, tmp_path):
        """By a save under a condition; what is encrypted stays so."""
        (tmp_path / "s.yml").write_text("pyfly.config-server.encrypt.key: a-long-secret-key\n")
        sealed = run("encrypt", "secret", "--settings", "s.yml")[1].strip()
        url = serve("bare.git", "--port", "0", "--clone-dir", "clone", "--settings", "s.yml").url
        where = ("bare.git", "--clone-dir", "clone")
        names = ("orders", "prod", "main")
        done = call("rollback", url, *names, work.one)
        assert (0, f"orders/prod on main is as it was at {work.one}\n", "") == done
        assert call("diff", *where, "orders", "prod", work.one, "main") == (0, "", "")
        again = call("rollback", url, *names, work.one)
        assert (0, f"orders/prod on main is as it was at {work.one} already\n", "") == again
        save(url, "/orders/prod/main", {"password": sealed})
        commit = call("history", url, *names, "--limit", "1")[1][:40]
        save(url, "/orders/prod/main", {"password": "other"})
        assert call("rollback", url, *names, commit)[0] == 0
        shown = call("diff", *where, "orders", "prod", work.two, "main", "--show-values")[1]
        assert f"+ password: {json.dumps(sealed)}" in shown.splitlines()
        status, out, errors = call("rollback", url, "orders", "prod", "main", NOBODYS)
        assert (status, out, errors.startswith(f"pyconfserve: error: {url}: it answered 404: ")) == (1, "", True)
        status, out, errors = call("rollback", url, "orders", "prod", "v1", work.two)
        assert (status, out, "it answered 409: " in errors) == (1, "", True)


def save(url, path, properties):
    """Save by the server's own route."""
    request = urllib.request.Request(url + path, json.dumps(properties).encode(), {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
