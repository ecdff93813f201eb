"""Labels of clients through the routes: what resolves, what is refused, what is absent."""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from real_git import Origin

from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

CASES = json.loads((Path(__file__).parents[2] / "cases/labels.json").read_text())
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
watched = []  # lists that take what this process does, while there are any


def watch(event, arguments):
    """Note what is started and what is opened for writing."""
    if not watched:
        return
    if event == "subprocess.Popen":
        watched[-1].append(("run", tuple(arguments[1])))
    elif event in ("os.fork", "os.exec", "os.posix_spawn", "os.system"):
        watched[-1].append((event, arguments))
    elif event == "open" and isinstance(arguments[2], int):
        is_unnamed = isinstance(arguments[0], int) or os.path.isdir(arguments[0])
        if arguments[2] & WRITING and not is_unnamed:
            watched[-1].append(("write", str(arguments[0])))


sys.addaudithook(watch)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A repository with the branches and tags of the cases, and more than that."""
    made = Origin(tmp_path_factory.mktemp("labels") / "origin")
    one = made.commit({"app.yml": "a: v1\n", "x.txt": "v1"})
    made.tag("v1", one, is_annotated=True)
    made.commit({"app.yml": "a: main\n", "x.txt": "main"})
    for branch in ("release-1.0", "feature/x"):
        made.commit({"app.yml": f"a: {branch}\n", "x.txt": branch}, branch)
    made.git("update-ref", "refs/stash", one)
    made.main = made.head("main")
    return made


@pytest.fixture(scope="module")
def routes(origin):
    """Routes over a backend that has opened its clone."""
    backend = GitConfigBackend(origin.uri, refresh_rate=0)
    asyncio.run(backend.open())
    asyncio.run(backend.refresh())  # what was cloned first is verified by then
    yield Routes(ConfigServer(backend))
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def routes_for_saves(origin):
    """The same, for saves."""
    backend = GitConfigBackend(origin.uri, refresh_rate=0)
    yield Routes(ConfigServer(backend))
    asyncio.run(backend.close())


@pytest.fixture
def done(routes):
    """What the process does during the test, to be looked at in it."""
    ask(routes, "/app/default/main")  # a git that reads objects is there, as always
    watched.append([])
    yield watched[-1]
    watched.clear()


def ask(routes, path, method="GET", body=b""):
    """The answer to a request."""
    request = Request(method, path, "", {"host": "localhost"}, body)
    return asyncio.run(routes.handle(request))


def paths(label):
    """Every route that has a label, with this one."""
    text = quote(label.replace("/", "(_)"), safe="()~!$'*,;:@&=+")
    return f"/app/default/{text}", f"/{text}/app-default.yml", f"/app/default/{text}/x.txt"  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])  # fmt: skip
def test_a_label_of_the_cases(routes, origin, done, case):
    """As the case says, on every route; no file is written, and no git is run but to
    find out whether a commit is reachable."""
    label, expected = case["label"], case["require"]
    if label.startswith("<"):
        label = origin.main
    answers = [ask(routes, path) for path in paths(label)]
    if expected in ("400", "404"):
        allowed = {400, 404} if "400" in case["note"] else {int(expected)}
        assert {answer.status for answer in answers} <= allowed
    else:
        value = {origin.main: "main", "feature(_)x": "feature/x"}.get(label, label)  # fmt: skip
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert json.loads(answers[0].body)["propertySources"][0]["source"] == {"a": value}  # fmt: skip
        assert answers[1].body == f"a: {value}\n".encode()
        assert answers[2].body == value.encode()
    contains = f"--contains={label}"
    places = ("refs/heads/", "refs/tags/")
    known = {
        ("run", ("git", "cat-file", "--batch")),
        ("run", ("git", "for-each-ref", contains, "--count=1", *places)),
    }
    assert [one for one in done if one not in known] == []


@pytest.mark.parametrize("case", CASES, ids=[str(number) for number in range(len(CASES))])  # fmt: skip
def test_a_save_under_a_label_of_the_cases(routes_for_saves, origin, case):
    """Only a branch takes it."""
    label = case["label"]
    if label.startswith("<"):
        label = origin.main
    answer = ask(routes_for_saves, paths(label)[0].replace("/app/", "/other/"), "POST", b"{}")
    if case["require"] in ("400", "404"):
        assert answer.status in ({400, 404} if "400" in case["note"] else {int(case["require"])})  # fmt: skip
    else:
        is_branch = label in ("main", "release-1.0", "feature(_)x")
        assert answer.status == (200 if is_branch else 409)


def test_the_version_of_an_answer_is_its_commit(routes, origin):
    """A tag's is the commit that it names."""
    found = [json.loads(ask(routes, f"/app/default/{label}").body) for label in ("feature(_)x", "v1")]  # fmt: skip
    assert [origin.head("feature/x"), origin.git("rev-parse", "v1^{commit}")] == [one["version"] for one in found]  # fmt: skip
    assert [one["label"] for one in found] == ["feature/x", "v1"]
