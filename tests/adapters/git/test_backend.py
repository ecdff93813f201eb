"""backend: labels, bundles and plain files of one repository, in both dialects."""

import asyncio
import shutil

import pytest
from backend_contract import VersionedContract
from real_git import (
    EXECUTABLE,
    LINK,
    SUBMODULE,
    Origin,
    fetch,
    file,
    find,
    refresh,
    save,
    sources,
)

from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.backend import (
    ClosingBackend,
    ConfigSource,
    HealthBackend,
    LabelledBackend,
    LookupBackend,
    PlainFileBackend,
    RefreshingBackend,
    StampedBackend,
)
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import (
    BackendMisconfigured,
    ConfigNotFound,
    Conflict,
    DocumentError,
    SettingsError,
)

SECRET = "canary-7f3a"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A repository whose branches `main` and `v2` have no files."""
    made = Origin(tmp_path_factory.mktemp("contract") / "origin", files={})
    made.commit({}, "v2")
    backend = GitConfigBackend(made.uri, "main", f"{made.uri}-clone", refresh_rate=0)
    asyncio.run(backend.open())
    asyncio.run(backend.close())
    return made


class TestContract(VersionedContract):
    """A repository keeps what all backends keep."""

    @pytest.fixture
    def backend(self, empty, make_backend, tmp_path):
        """One over branches without files, in a copy of a clone."""
        clone = tmp_path / "clone"
        shutil.copytree(f"{empty.uri}-clone", clone)
        return make_backend(empty, "main", str(clone))


@pytest.mark.parametrize(
    "protocol",
    [LookupBackend, StampedBackend, LabelledBackend, HealthBackend, ClosingBackend, PlainFileBackend, RefreshingBackend],
)  # fmt: skip
def test_what_the_backend_can_do_beyond_the_interface(backend, protocol):
    """All but taking the credentials of a single request."""
    assert isinstance(backend, protocol)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """A repository with branches and tags of many kinds, and a backend over it."""
    origin = Origin(tmp_path_factory.mktemp("tagged") / "origin")
    origin.one = origin.commit({"orders.yml": "a: 1\n"})
    origin.two = origin.commit({"orders.yml": "a: 2\n"})
    origin.three = origin.commit({"orders.yml": "a: 3\n"}, "feature/x")
    origin.both = origin.commit({"orders.yml": "a: 3\n"}, "both")
    origin.tag("v1", origin.one)
    origin.tag("v2", origin.two, is_annotated=True)
    origin.tag("v3", "v2", is_annotated=True)
    origin.tag("both", origin.one)
    origin.tag("of-a-blob", "main:orders.yml")
    origin.tag("of-a-tree", "main^{tree}", is_annotated=True)
    backend = GitConfigBackend(origin.uri, refresh_rate=0)
    yield origin, backend
    asyncio.run(backend.close())


class TestLabels:
    """A label is a branch, a tag, or the full id of a commit that one of them reaches."""

    @pytest.mark.parametrize(
        ("label", "value"),
        [("main", "two"), ("feature/x", "three"), ("feature(_)x", "three"), ("v1", "one"), ("v2", "two"), ("v3", "two"), ("both", "both")],
    )  # fmt: skip
    def test_a_name_is_a_branch_or_a_tag(self, tagged, label, value):
        """Tags are light, annotated, or tags of tags; a branch hides a tag."""
        origin, backend = tagged
        values = {"a": {"one": 1, "two": 2}.get(value, 3)}
        assert values == fetch(backend, label=label)
        found = find(backend, "orders", "default", label)
        expected = ([("orders-default", values)], getattr(origin, value))
        assert expected == ([(one.name, one.properties) for one in found.sources], found.version)  # fmt: skip

    def test_every_commit_of_the_history_is_a_label(self, origin, backend):
        """By its full id alone."""
        one = origin.head("main")
        origin.commit({"orders.yml": "a: 2\n"})
        assert fetch(backend, label=one) == {"a": 1}
        found = find(backend, "orders", "default", one)
        assert (one, one) == (found.version, next(iter(found.seen)))

    @pytest.mark.parametrize(
        "make_label",
        [
            pytest.param(lambda origin: "unknown", id="unknown"),
            pytest.param(lambda origin: "HEAD", id="head"),
            pytest.param(lambda origin: "MAIN", id="case"),
            pytest.param(lambda origin: "refs/heads/main", id="ref"),
            pytest.param(lambda origin: "heads/main", id="half-a-ref"),
            pytest.param(lambda origin: "origin/main", id="remote"),
            pytest.param(lambda origin: origin.head("main")[:12], id="short"),
            pytest.param(lambda origin: origin.head("main").upper(), id="upper"),
            pytest.param(lambda origin: "0" * 40, id="zero"),
            pytest.param(lambda origin: "0" * 64, id="long-zero"),
            pytest.param(lambda origin: origin.git("rev-parse", "main^{tree}"), id="tree"),
            pytest.param(lambda origin: origin.git("rev-parse", "main:orders.yml"), id="blob"),
            pytest.param(lambda origin: origin.git("rev-parse", "v2"), id="tag-object"),
            pytest.param(lambda origin: "of-a-blob", id="tag-of-a-blob"),
            pytest.param(lambda origin: "of-a-tree", id="tag-of-a-tree"),
        ],
    )  # fmt: skip
    def test_nothing_else_is_one(self, tagged, make_label):
        """It is not found, for bundles, plain files and saves."""
        origin, backend = tagged
        label = make_label(origin)
        for dialect in (OWN, SPRING):
            with pytest.raises(ConfigNotFound):
                find(backend, "orders", "default", label, dialect=dialect)
        with pytest.raises(ConfigNotFound):
            file(backend, "orders.yml", "orders", "default", label)
        assert fetch(backend, label=label) is None
        with pytest.raises(ConfigNotFound):
            save(backend, {"a": 2}, label=label)

    def test_a_commit_that_a_forced_push_took_away_is_none(self, origin, backend):
        """Its secrets do not come back by its id, though its objects are still here."""
        leaked = origin.commit({"orders.yml": f"password: {SECRET}\n"})
        assert fetch(backend, label=leaked) == {"password": SECRET}
        origin.rewrite({"orders.yml": "a: 3\n"})
        refresh(backend)
        assert fetch(backend, label=leaked) is None
        with pytest.raises(ConfigNotFound):
            find(backend, "orders", "default", leaked)

    def test_a_commit_is_reached_by_a_branch_of_another_name(self, origin, backend):
        """And while a tag holds it."""
        one = origin.commit({"orders.yml": "a: x\n"}, "x")
        assert fetch(backend, label=one) == {"a": "x"}
        origin.tag("kept", one)
        origin.delete("x")
        refresh(backend)
        assert fetch(backend, label=one) == {"a": "x"}
        origin.git("tag", "-d", "kept")
        refresh(backend)
        assert fetch(backend, label=one) is None

    def test_labels_have_values_of_their_own(self, origin, backend):
        """No file of another branch is served in place of one that is missing."""
        origin.commit({"other.yml": "b: 1\n"}, "v2")
        assert sources(backend, "orders", "default", "v2") == []
        assert sources(backend, "other", "default", "main") == []


class TestDefaultLabel:
    """What answers when nobody asked for a label."""

    @pytest.mark.parametrize(
        ("branches", "label", "answers"),
        [
            (["main", "trunk"], "trunk", "trunk"),
            (["main", "trunk"], "main", "main"),
            (["main", "master"], "trunk", "main"),
            (["master", "x"], "trunk", "master"),
            (["master"], "main", "master"),
        ],
    )
    def test_it_is_the_configured_one_else_main_else_master(self, make_origin, make_backend, branches, label, answers):  # fmt: skip
        """And the answer says which."""
        origin = make_origin()
        for branch in branches:
            origin.commit({"orders.yml": f"a: {branch}\n"}, branch)
        backend = make_backend(origin, label)
        found = find(backend, "orders")
        assert answers == found.label == backend.default_label
        assert [("orders-default", {"a": answers})] == sources(backend, "orders")

    def test_without_any_of_them_there_is_no_answer(self, make_origin, make_backend):
        """Nor from master, when that is not to be tried."""
        origin = make_origin(files={})
        origin.commit({"orders.yml": "a: 1\n"}, "other")
        origin.commit({"orders.yml": "a: 1\n"}, "master")
        origin.delete("main")
        backend = make_backend(origin, tries_master=False)
        with pytest.raises(ConfigNotFound):
            find(backend, "orders")
        assert backend.default_label == "main"

    def test_an_explicit_main_becomes_master_for_spring_alone(self, make_origin, make_backend):  # fmt: skip
        """As Java does it (cases git-master); in ours another label is another answer."""
        origin = make_origin(branch="master", files={"orders.yml": "a: 1\n"})
        backend = make_backend(origin)
        name = f"{origin.uri}/orders.yml"
        assert [(name, {"a": 1})] == sources(backend, "orders", "default", "main", dialect=SPRING)  # fmt: skip
        assert [(name, {"a": 1})] == sources(backend, "orders", dialect=SPRING)
        with pytest.raises(ConfigNotFound):
            find(backend, "orders", "default", "main")
        with pytest.raises(ConfigNotFound):
            find(backend, "orders", "default", "trunk", dialect=SPRING)

    def test_an_origin_whose_head_is_elsewhere(self, make_origin, make_backend):
        """Its HEAD says nothing about what is served."""
        origin = make_origin(branch="trunk", files={"orders.yml": "a: 1\n"})
        backend = make_backend(origin)
        with pytest.raises(ConfigNotFound):
            find(backend, "orders")
        assert fetch(backend, label="trunk") == {"a": 1}


class TestSeveralLabels:
    """A comma list of labels."""

    def test_the_last_named_comes_first(self, origin, backend):
        """In both dialects, and the versions are listed as asked."""
        origin.commit({"orders.yml": "a: 2\n"}, "v2")
        found = find(backend, "orders", "default", "main,v2")
        assert f"{origin.head('main')},{origin.head('v2')}" == found.version
        assert [source.properties for source in found.sources] == [{"a": 2}, {"a": 1}]
        spring = sources(backend, "orders", "default", "main,,v2", dialect=SPRING)
        assert [values for _, values in spring] == [{"a": 2}, {"a": 1}]

    def test_one_unknown_is_not_found_unless_it_may_be_skipped(self, origin, backend, make_backend):  # fmt: skip
        """Spring's `continue-on-multiple-label-failure`; one alone is never skipped."""
        with pytest.raises(ConfigNotFound):
            find(backend, "orders", "default", "main,unknown")
        other = make_backend(origin, skips_unknown_labels=True)
        expected = [("orders-default", {"a": 1})]
        assert expected == sources(other, "orders", "default", "main,unknown")
        for label in ("unknown", "unknown,none"):
            with pytest.raises(ConfigNotFound):
                find(other, "orders", "default", label)


class TestBundles:
    """Files of a commit as sources."""

    FILES = {  # noqa: RUF012
        "orders.yml": "a: 1\nb: 1\n",
        "orders-prod.properties": "a=2\n",
        "application.yml": "c: 1\n---\nspring.config.activate.on-profile: prod\nc: 2\n",
        "application-prod.json": '{"d": 1}',
    }

    def test_own_order_names_and_formats(self, make_origin, make_backend):
        """Application first; names by bundle."""
        backend = make_backend(make_origin(files=self.FILES))
        expected = [
            ("orders-prod", {"a": "2"}),
            ("orders-default", {"a": 1, "b": 1}),
            ("application-prod", {"d": 1}),
            ("application-default", {"c": 2, "spring.config.activate.on-profile": "prod"}),
        ]
        assert expected == sources(backend, "orders", "prod")

    def test_spring_order_and_names(self, make_origin, make_backend):
        """Profile first; names by the repository's URI; no JSON."""
        origin = make_origin(files=self.FILES)
        uri = origin.uri
        expected = [
            (f"{uri}/orders-prod.properties", {"a": "2"}),
            (f"{uri}/orders.yml", {"a": 1, "b": 1}),
            (f"{uri}/application.yml (document #1)", {"spring.config.activate.on-profile": "prod", "c": 2}),
            (f"{uri}/application.yml (document #0)", {"c": 1}),
        ]  # fmt: skip
        found = sources(make_backend(origin), "orders", "prod", dialect=SPRING)
        assert expected == found

    def test_search_paths_lie_beside_the_root(self, make_origin, make_backend):
        """Placeholders and wildcards; the first wins, and the root comes last."""
        files = {
            "orders.yml": "a: root\nz: 1\n",
            "shared/orders.yml": "a: shared\ny: 1\n",
            "orders/orders.yml": "a: own\nx: 1\n",
            "team-a/orders.yml": "w: 1\n",
            "deep/er/orders.yml": "v: 1\n",
        }
        paths = ["{application}", "shared/", "/team-*"]
        backend = make_backend(make_origin(files=files), search_paths=paths)
        expected = {"a": "own", "x": 1, "y": 1, "w": 1, "z": 1}
        assert [("orders-default", expected)] == sources(backend, "orders")
        assert expected == fetch(backend)

    def test_a_link_and_a_submodule_are_absent(self, make_origin, make_backend):
        """As bundles, as plain files and as folders; an executable is a file."""
        origin = make_origin(files={"real.yml": "a: 1\n", "folder/x.yml": "a: 1\n"})
        origin.commit(
            {
                "orders.yml": (LINK, "real.yml"),
                "outside.yml": (LINK, "/etc/passwd"),
                "linked": (LINK, "folder"),
                "module": (SUBMODULE, origin.head("main")),
                "run.yml": (EXECUTABLE, "a: 2\n"),
            }
        )
        backend = make_backend(origin, search_paths=["linked", "module"])
        assert fetch(backend) is None
        assert fetch(backend, "outside") is None
        assert fetch(backend, "x") is None
        assert fetch(backend, "run") == {"a": 2}
        for path in ("orders.yml", "outside.yml", "linked/x.yml", "module/x.yml", "module", "folder"):  # fmt: skip
            assert file(backend, path) is None

    def test_a_file_above_the_limit_is_not_read(self, origin, backend):
        """The error names it, and the others are served."""
        origin.commit({"big.yml": "#" * (3 * 1024 * 1024 + 1), "most.yml": "#" * (3 * 1024 * 1024)})  # fmt: skip
        with pytest.raises(DocumentError) as caught:
            find(backend, "big")
        assert str(caught.value) == "big.yml: larger than 3145728 bytes"
        assert fetch(backend, "most") == {}
        assert fetch(backend) == {"a": 1}
        origin.commit({"blob.bin": b"\0" * (16 * 1024 * 1024 + 1)})
        refresh(backend)
        with pytest.raises(DocumentError):
            file(backend, "blob.bin")

    def test_a_broken_file_is_named_with_its_line(self, make_origin, make_backend):
        """Those beside it are served."""
        files = {"orders.yml": "a: 1\nb: [\n", "other.yml": "a: 1\n"}
        backend = make_backend(make_origin(files=files))
        with pytest.raises(DocumentError) as caught:
            find(backend, "orders")
        assert (caught.value.location, caught.value.line) == ("orders.yml", 3)
        assert fetch(backend, "other") == {"a": 1}


class TestPlainFiles:
    """Files that are no bundles."""

    FILES = {  # noqa: RUF012
        "nginx.conf": "root",
        "nginx-prod.conf": "prod",
        "a/b.txt": "deep",
        "paths/nginx.conf": "path",
    }

    def test_their_stamp_is_that_of_their_label(self, make_origin, make_backend):
        """It changes when the label moves, and only then."""
        origin = make_origin(files=self.FILES)
        origin.commit({"nginx.conf": "two"}, "v2", is_root=True)
        backend = make_backend(origin)
        lookups = [make_lookup("orders"), make_lookup("orders", label="v2")]
        found = [asyncio.run(backend.file(one, "nginx.conf")) for one in lookups]
        assert [one.stamp for one in found] == [backend.stamp(one.seen) for one in found]
        origin.commit({"other.txt": "new"}, "v2")
        refresh(backend)
        holds = [one.stamp == backend.stamp(one.seen) for one in found]
        assert holds == [True, False]

    def test_they_are_found_by_label_and_profile(self, make_origin, make_backend):
        """The variant of a profile comes before the file itself."""
        origin = make_origin(files=self.FILES)
        origin.commit({"nginx.conf": "two"}, "v2", is_root=True)
        backend = make_backend(origin)
        assert file(backend, "nginx.conf") == b"root"
        assert file(backend, "nginx.conf", "orders", "prod") == b"prod"
        assert file(backend, "nginx.conf", "orders", "prod", "v2") == b"two"
        assert file(backend, "a/b.txt") == b"deep"
        assert file(backend, "a/none.txt") is None
        assert file(backend, "nginx.conf/x") is None

    @pytest.mark.parametrize(
        ("is_reversed", "expected"), [(False, b"path"), (True, b"root")]
    )
    def test_the_first_location_wins_or_the_last(self, make_origin, make_backend, is_reversed, expected):  # fmt: skip
        """Spring's `reverse-location-order`."""
        backend = make_backend(make_origin(files=self.FILES), search_paths=["paths"], reverses_plain_files=is_reversed)  # fmt: skip
        assert expected == file(backend, "nginx.conf")


class TestStamps:
    """What makes an answer invalid."""

    def asked(self, origin, backend, label, change):
        """Whether an answer to *label* is still valid after *change* and a fetch."""
        found = find(backend, "orders", *(("default", label) if label else ()))
        assert found.stamp == backend.stamp(found.seen)
        change()
        refresh(backend)
        return found.stamp == backend.stamp(found.seen)

    @pytest.mark.parametrize("label", [None, "main", "main,v2", "v1"])
    def test_a_fetch_that_brings_nothing_leaves_answers_valid(self, origin, backend, label):  # fmt: skip
        """Nothing is parsed again."""
        origin.commit({}, "v2")
        origin.tag("v1", "main")
        assert self.asked(origin, backend, label, lambda: None)

    @pytest.mark.parametrize("label", [None, "main", "v1"])
    @pytest.mark.parametrize("branch", ["v2", "new"])
    def test_so_does_the_move_of_another_branch(self, origin, backend, label, branch):
        """Or a new one."""
        origin.commit({}, "v2")
        origin.tag("v1", "main")
        assert self.asked(origin, backend, label, lambda: origin.commit({"x": ""}, branch))  # fmt: skip

    def test_a_default_label_does_not_depend_on_what_comes_after_it(self, origin, backend):  # fmt: skip
        """`master` is not looked at while there is `main`."""
        assert self.asked(origin, backend, None, lambda: origin.commit({}, "master"))

    def test_it_does_on_what_comes_before_it(self, origin, make_backend):
        """A branch of the configured name is what was meant."""
        backend = make_backend(origin, "trunk")
        assert not self.asked(origin, backend, None, lambda: origin.commit({}, "trunk"))

    @pytest.mark.parametrize("label", [None, "main", "v2,main"])
    def test_the_move_of_its_own_branch_makes_it_invalid(self, origin, backend, label):
        """One of the branches, when it has several."""
        origin.commit({}, "v2")
        assert not self.asked(origin, backend, label, lambda: origin.commit({"x": ""}))

    def test_so_do_a_forced_push_and_a_deletion(self, origin, backend):
        """Of the branch, or of what holds a commit."""
        one = origin.head("main")
        for label in (one, "main"):
            change = lambda: origin.rewrite({"orders.yml": "a: 2\n"})  # noqa: E731
            assert not self.asked(origin, backend, label, change)
            origin.commit({}, after=one)
            refresh(backend)
        origin.commit({}, "x")
        refresh(backend)
        assert not self.asked(origin, backend, "x", lambda: origin.delete("x"))

    def test_a_save_of_our_own_is_seen_at_once(self, origin, backend):
        """Also by those who hold an answer."""
        found = find(backend, "orders")
        save(backend, {"a": 2})
        assert found.stamp != backend.stamp(found.seen)
        assert sources(backend, "orders") == [("orders-default", {"a": 2})]


class TestList:
    """The names of the bundles."""

    def test_all_branches_are_listed_and_no_tags(self, make_origin, make_backend):
        """By the names of the files at the root."""
        origin = make_origin(files={"orders.yml": "", "orders-prod.yml": "", "a/b.yml": "", "x.txt": ""})  # fmt: skip
        origin.commit({"orders-prod.yml": None}, "feature/x", after=origin.head("main"))
        origin.tag("v1", "main")
        expected = [
            ConfigSource("orders", "default", "feature/x"),
            ConfigSource("orders", "default", "main"),
            ConfigSource("orders", "prod", "main"),
        ]
        backend = make_backend(origin)
        found = asyncio.run(backend.list())
        assert expected == sorted(found, key=lambda one: (one.label, one.profile))

    def test_two_thousand_branches(self, make_origin, make_backend):
        """Are fetched, served and listed."""
        origin = make_origin(files={"orders.yml": "a: 1\n"})
        head = origin.head("main")
        origin.git("update-ref", "--stdin", data="".join(f"create refs/heads/b/{number} {head}\n" for number in range(2000)).encode())  # fmt: skip
        backend = make_backend(origin)
        assert fetch(backend, label="b/1999") == {"a": 1}
        assert len(asyncio.run(backend.list())) == 2001
        origin.commit({"orders.yml": "a: 2\n"}, "b/7")
        refresh(backend)
        assert fetch(backend, label="b/7") == {"a": 2}


class TestStore:
    """A repository without origin: clone_dir is the store itself."""

    def test_a_fresh_one_takes_a_save_on_its_default_label(self, make_backend, tmp_path):  # fmt: skip
        """And has it after a restart."""
        store = str(tmp_path / "store")
        backend = make_backend("", "trunk", store)
        assert fetch(backend, label="trunk") is None
        assert sources(backend, "orders") == []
        save(backend, {"a": 1}, label="trunk")
        refresh(backend)
        asyncio.run(backend.close())
        assert fetch(make_backend("", "trunk", store), label="trunk") == {"a": 1}
        assert make_backend("", "trunk", store).health() == {"repository": "git"}

    def test_an_existing_repository_is_one(self, origin, make_backend):
        """Its branches stay as they are."""
        backend = make_backend("", "main", origin.uri)
        before = origin.head("main")
        assert fetch(backend) == {"a": 1}
        refresh(backend)
        assert before == origin.head("main")
        save(backend, {"a": 2})
        assert origin.git("show", "main:orders.yml") == "a: 2"

    def test_an_unknown_branch_takes_no_save(self, make_backend, tmp_path):
        """Only the default label's is made."""
        backend = make_backend("", "main", str(tmp_path / "store"))
        with pytest.raises(ConfigNotFound):
            save(backend, {"a": 1}, label="v2")


def test_an_empty_origin_has_no_labels_until_it_has_one(make_origin, make_backend):
    """It is no error, and the first push is served."""
    origin = make_origin()
    backend = make_backend(origin)
    with pytest.raises(ConfigNotFound):
        find(backend, "orders")
    assert asyncio.run(backend.list()) == []
    with pytest.raises(ConfigNotFound):
        save(backend, {"a": 1})
    origin.commit({"orders.yml": "a: 1\n"})
    refresh(backend)
    assert sources(backend, "orders") == [("orders-default", {"a": 1})]


def test_there_is_no_repository(tmp_path, make_backend):
    """The owner has to help, and is told without the path."""
    backend = make_backend(str(tmp_path / "none"))
    with pytest.raises(BackendMisconfigured) as caught:
        find(backend, "orders")
    assert str(caught.value) == "origin cannot be fetched: there is no such repository"
    with pytest.raises(BackendMisconfigured):
        backend.health()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"uri": ""}, "expected the URI of a repository"),
        ({"label": "--output=x"}, "label: "),
        ({"author": "nobody"}, "expected an author as Name <address>"),
        ({"author": "a <b>\nx <y>"}, "expected an author as Name <address>"),
    ],
)
def test_what_is_no_setting_is_refused_at_once(tmp_path, options, problem):
    """Before anything is made."""
    uri = options.pop("uri", str(tmp_path))
    with pytest.raises(SettingsError) as caught:
        GitConfigBackend(uri, **options)
    assert problem in str(caught.value)


def test_one_backend_serves_two_loops(origin, backend):
    """One after the other, and side by side."""
    assert [fetch(backend) for _ in range(3)] == [{"a": 1}] * 3
    asyncio.run(backend.open())

    async def all_at_once():
        found = await asyncio.gather(*(backend.fetch("orders", "default") for _ in range(20)))  # fmt: skip
        return [dict(source.properties) for source in found]

    assert asyncio.run(all_at_once()) == [{"a": 1}] * 20


def test_a_cancelled_request_does_not_harm_the_others(origin, make_backend):
    """Neither one that waits for the first clone nor one that waits for a fetch."""

    async def cancelled(work):
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    backend = make_backend(origin)
    asyncio.run(cancelled(backend.open()))
    asyncio.run(cancelled(backend.refresh()))
    assert fetch(backend) == {"a": 1}
    origin.commit({"orders.yml": "a: 2\n"})
    refresh(backend)
    assert fetch(backend) == {"a": 2}


def test_what_was_closed_answers_no_more(origin, backend):
    """Closing twice is fine, also before it was opened."""
    asyncio.run(backend.open())
    asyncio.run(backend.close())
    asyncio.run(backend.close())
    with pytest.raises(Exception, match="the repository was closed"):
        refresh(backend)


def test_a_tag_takes_no_save(origin, backend):
    """Nor does a commit."""
    origin.tag("v1", "main")
    for label in ("v1", origin.head("main")):
        with pytest.raises(Conflict) as caught:
            save(backend, {"a": 2}, label=label)
        assert caught.value.status == 409
    assert fetch(backend) == {"a": 1}


class TestFullIds:
    """A full id is its commit, whatever else has that name."""

    def test_a_commit_wins_over_a_branch_and_a_tag_of_that_name(self, origin, backend):
        """Else whoever may push a branch says what a pinned client gets."""
        one = origin.head("main")
        origin.commit({"orders.yml": "a: 2\n"})
        origin.git("update-ref", f"refs/heads/{one}", "main")
        origin.git("update-ref", f"refs/tags/{one}", "main")
        assert fetch(backend, label=one) == {"a": 1}
        with pytest.raises(Conflict):
            save(backend, {"a": 3}, label=one)

    def test_a_branch_of_that_name_answers_where_no_commit_does(self, origin, backend):
        """And its answers hold until the refs move."""
        absent = "1" * 40
        origin.git("update-ref", f"refs/heads/{absent}", "main")
        found = find(backend, "orders", "default", absent)
        assert found.sources[0].properties == {"a": 1}
        assert backend.stamp(found.seen) == found.stamp

    def test_an_answer_holds_until_the_commit_is_reached(self, origin, backend):
        """A branch of the name of a commit that comes later is that commit then."""
        one = origin.head("main")
        later = origin.commit({"orders.yml": "a: later\n"}, "later", is_root=True)
        origin.delete("later")
        origin.git("update-ref", f"refs/heads/{later}", one)
        found = find(backend, "orders", "default", later)
        assert found.sources[0].properties == {"a": 1}
        origin.git("update-ref", "refs/heads/later", later)
        refresh(backend)
        assert backend.stamp(found.seen) != found.stamp
        assert fetch(backend, label=later) == {"a": "later"}
