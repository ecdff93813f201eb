"""history: the commits of an answer and saves of what was, over real repositories."""

import asyncio
import json
import os
import re
import time
from urllib.parse import quote

import pytest
from real_git import LINK, fake_git, fetch, save

from pyconfserve.adapters.git.patterns import Repository
from pyconfserve.adapters.git.repositories import GitRepositories
from pyconfserve.environment.overlay import SPRING, make_lookup
from pyconfserve.errors import (
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    DocumentError,
    InvalidRequest,
    ReadOnlyBackend,
)
from pyconfserve.http.access import Access
from pyconfserve.http.messages import Request
from pyconfserve.http.rights import READ
from pyconfserve.http.routes import Routes
from pyconfserve.http.users import User
from pyconfserve.server import ConfigServer

NOBODYS = "0123456789abcdef0123456789abcdef01234567"
FIRST = 1_700_000_001  # the second of the first commit of an Origin


def history(backend, *asked, limit=50, before=None, **options):
    """The page of commits for a lookup."""
    lookup = make_lookup(*asked, **options)
    return asyncio.run(backend.past.history(lookup, limit, before))


def ids(backend, *asked, **options):
    """The ids of the commits for a lookup, newest first."""
    return [one.id for one in history(backend, *asked, **options).commits]


def restore(backend, commit, application="orders", profile="prod", label="main"):
    """The id of the commit that a rollback made."""
    return asyncio.run(backend.past.restore(application, profile, label, commit))


def written(origin, files, message, *parents, author="A", branch="main"):
    """The id of a commit with this message and author, whose files are those of a tree."""
    tree = origin.git("rev-parse", f"{origin.commit(files, 'scratch', after=parents[0])}^{{tree}}")
    person = ("-c", f"user.name={author}", "-c", "user.email=a@b")
    lines = [word for parent in parents for word in ("-p", parent)]
    commit = origin.git(*person, "commit-tree", tree, *lines, data=message.encode())
    origin.git("update-ref", f"refs/heads/{branch}", commit)
    origin.delete("scratch")
    return commit


def bundle_at(backend, commit, application="orders", profile="prod", label="main"):
    """The flat properties of one bundle as it was."""
    return asyncio.run(backend.past.bundle_at(application, profile, label, commit))


@pytest.fixture
def known(origin):
    """The ids of commits after the first: of others' files, orders-prod, application."""
    origin.first = origin.head("main")
    origin.theirs = origin.commit({"theirs.yml": "b: 1\n", "orders.txt": "x"})
    origin.prod = origin.commit({"orders-prod.yml": "c: 1\n", "theirs.yml": "b: 2\n"})
    origin.shared = origin.commit({"application.json": '{"d": 1}'})
    return origin


def test_a_commit_says_when_by_whom_and_which_files(known, backend):
    """Those of the asked names alone, whatever else it changed."""
    page = history(backend, "orders", "prod")
    expected = [
        (known.shared, "2023-11-14T22:13:24Z", "A", "change", ("application.json",)),
        (known.prod, "2023-11-14T22:13:23Z", "A", "change", ("orders-prod.yml",)),
        (known.first, "2023-11-14T22:13:21Z", "A", "change", ("orders.yml",)),
    ]
    assert (expected, None) == ([*page.commits], page.next)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (("orders",), ["shared", "first"]),
        (("orders", "dev"), ["shared", "first"]),
        (("theirs", "prod"), ["shared", "prod", "theirs"]),
        (("orders,theirs", "prod"), ["shared", "prod", "theirs", "first"]),
        (("nobody", "prod"), ["shared"]),
        (("orders", "prod", "main,v1"), ["shared", "prod", "first"]),
        (("orders", "prod", "v1"), ["prod", "first"]),
    ],
    ids=["default", "profile", "other", "list", "unknown", "labels", "tag"],
)
def test_what_was_asked_for_decides(known, backend, asked, expected):
    """The files of all layers of the answer."""
    known.tag("v1", known.prod, is_annotated=True)
    assert [getattr(known, name) for name in expected] == ids(backend, *asked)


def test_no_commit_is_an_empty_page(make_origin, make_backend):
    """An application that never had a file, in an empty repository, too."""
    made = make_backend(make_origin(files={"x.txt": "x"}))
    assert history(made, "orders", "prod") == ((), None)
    assert history(make_backend(make_origin("empty", files={})), "orders") == ((), None)


def test_a_rename_ends_a_history(origin, backend):
    """A bundle's name is its identity: the old name ends there, the new one begins."""
    renamed = origin.commit({"orders.yml": None, "sales.yml": "a: 1\n"})
    assert [renamed] == ids(backend, "sales")
    assert [
        one.files for one in history(backend, "orders").commits
    ] == [("orders.yml",), ("orders.yml",)]


def test_other_formats_are_files_of_the_same_bundle(origin, backend):
    """Also one that a later format hides."""
    moved = origin.commit({"orders.yml": None, "orders-default.toml": "a = 2\n"})
    expected = ("orders-default.toml", "orders.yml")
    assert (moved, expected) == (history(backend, "orders").commits[0].id, history(backend, "orders").commits[0].files)


def test_both_sides_of_a_merge_are_told(origin, backend):
    """And the merge itself only where it chose something else than one of them."""
    first = origin.head("main")
    side = origin.commit({"orders-prod.yml": "b: 1\n"}, "side", after=first)
    main = origin.commit({"orders-prod.yml": "b: 2\n"})
    ours = written(origin, {}, "keep ours", main, side)
    assert {main, side, first} == set(ids(backend, "orders", "prod"))
    both = written(origin, {"orders-prod.yml": "b: 3\n"}, "by hand", ours, side)
    asyncio.run(backend.refresh())
    newest = history(backend, "orders", "prod").commits[0]
    assert (both, "by hand", ("orders-prod.yml",)) == (newest.id, newest.message, newest.files)
    assert {both, main, side, first} <= set(ids(backend, "orders", "prod"))


def test_search_paths_are_where_files_count(make_origin, make_backend):
    """With placeholders and wildcards filled in; the root is below them."""
    made = make_origin()
    one = made.commit({"teams/a/orders.yml": "a: 1\n", "elsewhere/orders.yml": "a: 0\n"})
    two = made.commit({"orders/orders-prod.yml": "a: 2\n"})
    three = made.commit({"orders.yml": "a: 3\n"})
    made.commit({"elsewhere/orders.yml": "a: 4\n"})
    backend = make_backend(made, search_paths=["{application}", "teams/*"])
    assert [three, two, one] == ids(backend, "orders", "prod")


def test_imported_files_count_under_spring(make_origin, make_backend):
    """And those of profiles that a file adds; a broken file is no obstacle."""
    made = make_origin()
    one = made.commit({"orders.yml": "spring.config.import: more.yml\n", "extra-more.yml": "x: 1\n"})
    two = made.commit({"more.yml": "a: 1\n"})
    backend = make_backend(made, verify_commits=False)
    assert [two, one] == ids(backend, "orders", "prod", dialect=SPRING)
    broken = made.commit({"orders.yml": "a: [\n"})
    asyncio.run(backend.refresh())
    assert broken == ids(backend, "orders", "prod", "main", dialect=SPRING)[0]


@pytest.mark.parametrize("label", ["feature/x", "feature(_)x"])
def test_a_label_with_a_slash(origin, backend, label):
    """Both ways to write it."""
    made = origin.commit({"orders.yml": "a: 2\n"}, "feature/x", after=origin.head("main"))
    assert [made, origin.head("main")] == ids(backend, "orders", "prod", label)


def test_a_commit_is_a_label_when_it_is_reached(known, backend):
    """One of nobody's branch is unknown, and nothing is told of it."""
    assert [known.prod, known.first] == ids(backend, "orders", "prod", known.prod)
    lost = known.commit({"orders.yml": "a: 9\n"}, "lost", after=known.prod)
    known.delete("lost")
    for commit in (lost, NOBODYS):
        with pytest.raises(ConfigNotFound, match=r"^there is no such label$"):
            history(backend, "orders", "prod", commit)


def test_pages_follow_each_other(known, backend):
    """Each commit stands in one of them, though newer ones come meanwhile."""
    pages = [history(backend, "orders", "prod", limit=1)]
    known.commit({"orders.yml": "a: 5\n"})
    asyncio.run(backend.refresh())
    while pages[-1].next and len(pages) < 9:
        pages.append(history(backend, "orders", "prod", limit=1, before=pages[-1].next))
    expected = [[known.shared], [known.prod], [known.first]]
    assert expected == [[one.id for one in page.commits] for page in pages]
    assert history(backend, "orders", "prod", before=known.first) == ((), None)


def test_a_clock_that_was_wrong_moves_no_commit_to_another_page(origin, backend):
    """A child that is older than its parent comes before it, on each page."""
    origin._seconds = 1_800_000_000
    two = origin.commit({"orders.yml": "a: 2\n"})
    origin._seconds = 1_600_000_000
    three = origin.commit({"orders.yml": "a: 3\n"})
    four = origin.commit({"orders.yml": "a: 4\n"})
    expected = ids(backend, "orders")
    assert expected[:3] == [four, three, two]
    assert expected[1:] == ids(backend, "orders", before=four)


def test_a_folder_named_like_a_pattern_is_a_folder(make_origin, make_backend):
    """What git takes for an exclusion is a name."""
    made = make_origin()
    made.commit({"orders.yml": "a: 1\n", "x/orders.yml": "a: 1\n"})
    two = made.commit({":!orders/orders.yml": "a: 2\n"})
    backend = make_backend(made, search_paths=[":!orders"])
    [newest, _] = history(backend, "orders").commits
    assert (two, (":!orders/orders.yml",)) == (newest.id, newest.files)


@pytest.mark.parametrize("before", ["", "main", "--all", "HEAD~1", "abc", "A" * 40, f"{NOBODYS}\n--all"])
def test_before_is_a_full_id(known, backend, before):
    """No revision syntax, and no option."""
    with pytest.raises(InvalidRequest, match=r"^before: expected the full id of a commit$"):
        history(backend, "orders", before=before)


def test_before_is_one_of_the_commits(known, backend):
    """Not one that changed other files, nor an unknown one."""
    for commit in (known.theirs, NOBODYS):
        with pytest.raises(ConfigNotFound, match=f"^the commit {commit} is not in this history$"):
            history(backend, "orders", before=commit)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_is_bounded(known, backend, limit):
    """One commit to a thousand."""
    with pytest.raises(InvalidRequest, match=r"^limit: expected 1 to 1000$"):
        history(backend, "orders", limit=limit)


def test_too_many_names_are_refused(known, backend):
    """Rather than compared in every commit."""
    names = [",".join(f"{kind}{number}" for number in range(30)) for kind in ("a", "p")]
    with pytest.raises(InvalidRequest, match=r"^application: too many names for one history$"):
        history(backend, *names)


@pytest.mark.parametrize("name", ["--all", "-n1", ":!orders", ":(glob)*", "*", "o?ders", "[a-z]*", "$(touch x)", "a;b"])
def test_names_are_no_options_and_no_patterns(known, backend, name):
    """What git would understand is a file's name here, or refused."""
    try:
        found = history(backend, name, "prod").commits
    except InvalidRequest:
        return
    assert [known.shared] == [one.id for one in found]


def test_texts_of_others_stay_as_they_are(origin, backend):
    """Shell's and git's words, controls, and a message as long as a book; no address."""
    message = "$(rm -rf /) `x` %H %x00 \x1b[31m\x01 --all\nsecond line\n\nbody"
    author = "Eve '$(x)' " + NOBODYS
    one = written(origin, {"orders.yml": "a: 2\n"}, message, origin.head("main"), author=author)
    two = written(origin, {"orders.yml": "a: 3\n"}, "x" * 100_000, one, author=NOBODYS)
    three = written(origin, {"orders.yml": "a: 4\n"}, "", two)
    found = history(backend, "orders").commits
    shown = "$(rm -rf /) `x` %H %x00 \x1b[31m\x01 --all second line"
    expected = [(three, "A", ""), (two, NOBODYS, "x" * 500), (one, author, shown)]
    assert expected == [(each.id, each.author, each.message) for each in found[:3]]
    assert {("orders.yml",)} == {each.files for each in found}


def test_files_below_a_folder_of_that_name_are_others(origin, backend):
    """A folder `orders-prod.yml` has none of the bundle's files."""
    origin.commit({f"orders-prod.yml/{NOBODYS}": "x", "orders-prod.yml/orders.yml": "a: 1\n"})
    assert [one.files for one in history(backend, "orders", "prod").commits] == [("orders.yml",)]


def test_a_thousand_commits(make_origin, make_backend, capsys):
    """In pages of a thousand, each in one run of git or two."""
    made = make_origin()
    parts = []
    for number in range(1001):
        text = f"a: {number}\n"
        parts.append(
            f"commit refs/heads/main\ncommitter A <a@b> {FIRST + number} +0000\ndata 1\nc\n"
            f"M 100644 inline orders-{'prod' if number % 2 else 'dev'}.yml\ndata {len(text)}\n{text}\n"
        )
    made.git("fast-import", "--quiet", data="".join(parts).encode())
    backend = make_backend(made)
    asyncio.run(backend.open())
    started = time.perf_counter()
    assert len(ids(backend, "orders", "prod", limit=1000)) == 500
    page = history(backend, "orders", "prod,dev", limit=1000)
    assert (1000, page.commits[-1].id) == (len(page.commits), page.next)
    last = history(backend, "orders", "prod,dev", limit=1000, before=page.next)
    took = time.perf_counter() - started
    assert (len(last.commits), last.next) == (1, None)
    with capsys.disabled():
        print(f" three pages of 1,001 commits in {took:.2f} s ", end="")


def test_a_save_is_a_commit_of_its_history(backend):
    """At once, with the author of the settings."""
    save(backend, {"a": 2})
    found = history(backend, "orders").commits[0]
    assert (found.author, found.message) == ("pyconfserve", "save orders/default")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.time)


def test_ids_of_sha_256(make_origin, make_backend):
    """Are twice as long, and nothing else."""
    made = make_origin(object_format="sha256", files={"orders.yml": "a: 1\n"})
    two = made.commit({"orders.yml": "a: 2\n"})
    backend = make_backend(made)
    page = history(backend, "orders", limit=1)
    assert ([two], two) == ([one.id for one in page.commits], page.next)
    [first] = history(backend, "orders", before=two).commits
    assert fetch(backend) == {"a": 2}
    assert len(restore(backend, first.id, profile="default")) == 64
    assert fetch(backend) == {"a": 1}


class TestRestore:
    """A bundle as it was, in a new commit."""

    def test_it_is_as_it_was_to_the_byte(self, origin, backend):
        """With comments; other files stay as they are."""
        text = b"# why\nb:   1   # this\r\n"
        one = origin.commit({"orders-prod.yml": text, "theirs.yml": "x: 1\n"})
        two = origin.commit({"orders-prod.yml": "b: 2\n", "theirs.yml": "x: 2\n"})
        made = restore(backend, one)
        assert (fetch(backend, profile="prod"), fetch(backend, "theirs")) == ({"b": 1}, {"x": 2})
        git = backend._repository.git
        assert text == git.output("cat-file", "blob", f"{made}:orders-prod.yml")
        assert two == git.word("rev-parse", f"{made}^")
        newest = history(backend, "orders", "prod").commits[0]
        assert (made, f"roll back orders/prod to {one}") == (newest.id, newest.message)

    def test_what_is_so_already_makes_no_commit(self, origin, backend):
        """Twice is as good as once."""
        one = origin.commit({"orders-prod.yml": "b: 1\n"})
        origin.commit({"orders-prod.yml": "b: 2\n"})
        made = restore(backend, one)
        assert (None, made) == (restore(backend, one), ids(backend, "orders", "prod")[0])

    def test_a_file_of_another_format_goes(self, origin, backend):
        """So that the old one is not hidden, nor hides it."""
        one = origin.commit({"orders-prod.properties": "b=1\n"})
        origin.commit({"orders-prod.properties": None, "orders-prod.yml": "b: 2\n"})
        made = restore(backend, one)
        names = backend._repository.git.output("ls-tree", "--name-only", made).split()
        assert names == [b"orders-prod.properties", b"orders.yml"]
        assert fetch(backend, profile="prod") == {"b": "1"}

    def test_a_bundle_that_went_comes_back(self, origin, backend):
        """On another branch, too, and listed by its own name."""
        one = origin.commit({"order-service-prod.yml": "b: 1\n"})
        origin.commit({"order-service-prod.yml": None}, "v2", after=one)
        restore(backend, one, "order", "service-prod", "v2")
        assert fetch(backend, "order", "service-prod", "v2") == {"b": 1}
        listed = asyncio.run(backend.list())
        assert ("order", "service-prod") in {(s.application, s.profile) for s in listed if s.label == "v2"}

    def test_search_paths_keep_their_files(self, make_origin, make_backend):
        """Each location gets what it had."""
        made = make_origin()
        one = made.commit({"teams/a/orders-prod.yml": "a: 1\n", "orders-prod.yml": "b: 1\n"})
        made.commit({"teams/a/orders-prod.yml": None, "teams/b/orders-prod.yml": "a: 2\n", "orders-prod.yml": "b: 2\n"})
        backend = make_backend(made, search_paths=["teams/*"])
        restore(backend, one)
        assert fetch(backend, profile="prod") == {"a": 1, "b": 1}

    def test_a_bundle_that_was_not_there_is_not_removed(self, origin, backend):
        """A rollback never deletes."""
        first = origin.head("main")
        origin.commit({"orders-prod.yml": "b: 1\n"})
        with pytest.raises(ConfigNotFound, match=f"^orders/prod was not there at {first}$"):
            restore(backend, first)
        assert fetch(backend, profile="prod") == {"b": 1}

    def test_a_file_that_did_not_parse_stays_where_it_was(self, origin, backend):
        """Nobody could read it again."""
        broken = origin.commit({"orders-prod.yml": "b: [\n"})
        origin.commit({"orders-prod.yml": "b: 1\n"})
        with pytest.raises(DocumentError, match=r"^orders-prod\.yml:2:1: "):
            restore(backend, broken)
        assert fetch(backend, profile="prod") == {"b": 1}

    def test_a_link_is_no_file(self, origin, backend):
        """It was absent then, as for every reader."""
        linked = origin.commit({"orders-prod.yml": (LINK, "orders.yml")})
        with pytest.raises(ConfigNotFound, match=f"^orders/prod was not there at {linked}$"):
            restore(backend, linked)

    def test_a_commit_that_nobody_reaches_is_unknown(self, origin, backend):
        """Though its objects are there; nor is one the name of a branch."""
        save(backend, {"b": 1}, profile="prod")
        lost = ids(backend, "orders", "prod")[0]
        backend._repository.git.output("update-ref", "refs/heads/main", origin.head("main"), lost)
        backend._repository.reload()
        for commit in (lost, NOBODYS):
            with pytest.raises(ConfigNotFound, match=f"^no branch and no tag reaches {commit}$"):
                restore(backend, commit)

    def test_the_bundle_of_then_may_be_read(self, origin, backend):
        """As it stood at the commit, whatever the label; nothing is saved."""
        save(backend, {"a": {"b": 1}}, profile="prod")
        save(backend, {"a": 2}, profile="prod")
        second, first = ids(backend, "orders", "prod")[:2]
        found = [bundle_at(backend, one, label="nope") for one in (first, second)]
        assert found == [{"a.b": 1}, {"a": 2}]
        for commit in (origin.head("main"), NOBODYS):
            with pytest.raises(ConfigNotFound, match=f"^orders/prod was not there at {commit}$"):
                bundle_at(backend, commit)
        with pytest.raises(InvalidRequest, match=r"^commit: expected the full id of a commit$"):
            bundle_at(backend, "main")

    def test_a_branch_named_like_a_commit_is_none(self, origin, backend):
        """An id stands for itself."""
        origin.git("update-ref", f"refs/heads/{NOBODYS}", origin.head("main"))
        with pytest.raises(ConfigNotFound, match=f"^no branch and no tag reaches {NOBODYS}$"):
            restore(backend, NOBODYS)

    @pytest.mark.parametrize("commit", ["main", "v1", "HEAD~1", "--help", "", NOBODYS[:12]])
    def test_a_commit_is_a_full_id(self, origin, backend, commit):
        """Nothing else is looked up."""
        with pytest.raises(InvalidRequest, match=r"^commit: expected the full id of a commit$"):
            restore(backend, commit)

    @pytest.mark.parametrize(
        ("label", "error", "message"),
        [
            ("nope", ConfigNotFound, "there is no such branch"),
            ("v1", Conflict, "a tag or a commit takes no saves, only a branch does"),
            ("-x", InvalidRequest, "label: expected the name of a branch or a tag, without revision syntax"),
        ],
    )
    def test_only_a_branch_takes_it(self, origin, backend, label, error, message):
        """As any save."""
        origin.tag("v1", origin.head("main"))
        with pytest.raises(error, match=f"^{message}$"):
            restore(backend, origin.head("main"), profile="default", label=label)

    def test_many_repositories_take_none(self, origin, make_backend):
        """They are read-only; but the one that answers tells its history."""
        many = GitRepositories(
            Repository(origin.uri), make=lambda uri, _: make_backend(uri)
        )
        with pytest.raises(ReadOnlyBackend, match=r"^many repositories as one are read-only$"):
            restore(many, origin.head("main"))
        with pytest.raises(ReadOnlyBackend, match=r"^many repositories as one are read-only$"):
            bundle_at(many, origin.head("main"))
        assert [origin.head("main")] == ids(many, "orders")


class Desk:
    """Knows users by their names as the whole header."""

    def __init__(self, *users):
        self.users = {user.name: user for user in users}

    def remembered(self, authorization):
        return self.users.get(authorization)


@pytest.fixture
def ask(known, backend):
    """`ask(user, target)`: the (status, document) of the routes over that repository."""
    desk = Desk(
        User("mine", frozenset([READ]), ("orders",), ("prod",)),
        User("all", frozenset([READ])),
        User("blind", frozenset(["write", "list"])),
    )
    routes = Routes(ConfigServer(backend), access=Access(authority=desk))

    def ask(user, target):
        path, _, query = target.partition("?")
        request = Request("GET", path, query, {"authorization": user}, b"", "a")
        response = routes.ready(request) or asyncio.run(routes.handle(request))
        return response.status, json.loads(response.body)

    return ask


def test_a_restricted_user_sees_commits_and_files_of_own_names(known, ask):
    """Not that a commit changed another's file, nor the commits of others."""
    status, found = ask("mine", "/_history/orders/prod")
    expected = [
        (known.shared, ["application.json"]),
        (known.prod, ["orders-prod.yml"]),
        (known.first, ["orders.yml"]),
    ]
    assert (200, expected) == (status, [(one["commit"], one["files"]) for one in found["commits"]])
    assert "theirs" not in json.dumps(found)


@pytest.mark.parametrize(
    ("user", "target", "status"),
    [
        ("mine", "/_history/theirs/prod", 403),
        ("mine", "/_history/nobody/prod", 403),
        ("mine", "/_history/orders/dev", 403),
        ("mine", "/_history/orders,theirs/prod", 403),
        ("mine", "/_history/theirs/prod/main", 403),
        ("mine", "/_history/theirs/prod/nope", 403),
        ("mine", f"/_history/theirs/prod/main/{NOBODYS}", 403),
        ("blind", "/_history/orders/prod", 403),
        ("blind", f"/_history/orders/prod/main/{NOBODYS}", 403),
        ("all", f"/_history/orders/prod/main/{NOBODYS}", 404),
        ("all", "/_history/theirs/prod", 200),
        ("all", "/_history/orders/prod/nope", 404),
        ("all", f"/_history/orders/prod/{NOBODYS}", 404),
        ("all", f"/_history/orders/prod?before={NOBODYS}", 404),
        ("all", "/_history/orders/prod?before=--all", 400),
        ("all", f"/_history/orders/prod/{quote('main;touch x', safe='')}", 400),
        ("all", f"/_history/orders/prod/{quote('main~1')}", 400),
        ("all", f"/_history/orders/prod/{quote('--all')}", 400),
        ("all", "/_history/_x/prod", 404),
    ],
)
def test_rights_are_judged_on_names_first(ask, user, target, status):
    """403 whether or not it exists; a malformed name is no look-up."""
    assert status == ask(user, target)[0]


def test_no_value_is_in_a_history(known, ask):
    """Names of files, and what a commit says of itself."""
    known.commit({"orders-prod.yml": "password: canary-7f3a\n"})
    assert "canary" not in json.dumps(ask("all", "/_history/orders/prod"))


def test_long_histories_are_in_no_readers_way(backend, tmp_path, monkeypatch):
    """A read is answered while as many histories last as one name has threads for."""
    begun, end = (os.path.join(tmp_path, name) for name in ("begun", "end"))
    for path in (begun, end):
        os.mkfifo(path)
    script = f'[ "$1" = log ] && {{ echo > {begun}; read _ < {end}; }}; exec $GIT "$@"'
    asyncio.run(backend.open())
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
    pipes = [os.open(path, os.O_RDWR) for path in (begun, end)]
    lookup = make_lookup("orders", "prod")

    async def read():
        held = [asyncio.create_task(backend.past.history(lookup)) for _ in range(4)]
        for _ in held:
            await asyncio.wait_for(asyncio.to_thread(os.read, pipes[0], 1), 20)
        try:
            return await asyncio.wait_for(backend.fetch("orders", "default"), 5)
        finally:
            os.write(pipes[1], b"\n" * len(held))
            await asyncio.gather(*held)

    assert asyncio.run(read()).properties == {"a": 1}
    for pipe in pipes:
        os.close(pipe)


def test_a_git_that_fails_is_an_error(origin, backend):
    """Never an empty history."""
    asyncio.run(backend.open())
    backend._repository.git.close()
    with pytest.raises(BackendUnavailable, match=r"^the repository was closed$"):
        history(backend, "orders")
