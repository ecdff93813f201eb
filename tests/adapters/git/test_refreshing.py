"""refreshing: what a fetch changes, what it leaves, and what is said of it."""

import asyncio
import logging
import socket
import threading
import time

import pytest
from real_git import (
    FILE,
    PATIENCE,
    children,
    fake_git,
    fetch,
    find,
    hanging_port,
    refresh,
    run_git,
    save,
    sources,
    wait_until,
)

from pyconfserve.adapters.git.origin import Access
from pyconfserve.errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    DocumentError,
)

SECRET = "canary-7f3a"
LOGGER = "pyconfserve.git"


@pytest.fixture
def hanging():
    """A port that takes connections and never says a word; and who came."""
    with hanging_port() as found:
        yield found


@pytest.fixture
def refusing():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return port


def point_at(clone, uri):
    """Make the clone in *clone* one of *uri*."""
    run_git(clone, "config", "remote.origin.url", uri)


def warnings(caplog):
    """What was logged as a warning or worse."""
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


def test_the_background_brings_what_is_new(origin, make_backend):
    """Without a request that waits for it."""
    backend = make_backend(origin, refresh_rate=0.05)
    assert fetch(backend) == {"a": 1}
    origin.commit({"orders.yml": "a: 2\n"})
    wait_until(lambda: fetch(backend) == {"a": 2})


def test_a_refresh_without_news_reads_the_refs_once(origin, make_backend, tmp_path, monkeypatch):  # fmt: skip
    """What was planned for them holds."""
    reads = tmp_path / "reads"
    script = f'[ "$1" = for-each-ref ] && echo >> {reads}; exec $GIT "$@"'
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
    backend = make_backend(origin)
    refresh(backend)
    reads.unlink()
    refresh(backend)
    assert reads.read_text() == "\n"


def test_a_kept_clone_is_served_before_it_is_fetched_and_then_catches_up(origin, make_backend, tmp_path):  # fmt: skip
    """A first answer waits for no network."""
    clone = str(tmp_path / "clone")
    asyncio.run(make_backend(origin, "main", clone).open())
    origin.commit({"orders.yml": "a: 2\n"})
    idle = make_backend(origin, "main", clone)
    assert fetch(idle) == {"a": 1}
    busy = make_backend(origin, "main", clone, refresh_rate=60)
    asyncio.run(busy.open())
    wait_until(lambda: fetch(busy) == {"a": 2})
    wait_until(lambda: fetch(idle) == {"a": 2})


def test_without_a_rate_only_a_wish_fetches(origin, backend):
    """A refresh that was begun after the push has it."""
    assert fetch(backend) == {"a": 1}
    for value in range(2, 5):
        origin.commit({"orders.yml": f"a: {value}\n"})
        assert fetch(backend) == {"a": value - 1}
        refresh(backend)
        assert fetch(backend) == {"a": value}


def test_refreshes_side_by_side_all_have_what_was_pushed_before_them(origin, backend):
    """One that is under way may be too old for a later wish."""

    async def push_and_refresh(value):
        await asyncio.to_thread(origin.commit, {f"x{value}.yml": "a: 1\n"}, f"b{value}")
        await backend.refresh()
        return await backend.fetch(f"x{value}", "default", f"b{value}")

    async def all_of_them():
        return await asyncio.gather(*(push_and_refresh(value) for value in range(8)))

    assert None not in asyncio.run(all_of_them())


def test_a_clock_that_was_set_back_does_not_stop_fetches(origin, make_backend, tmp_path):  # fmt: skip
    """A fetch in the future was not begun after we asked."""
    clone = tmp_path / "clone"
    backend = make_backend(origin, "main", str(clone))
    asyncio.run(backend.open())
    (clone / "pyconfserve-state").write_text('{"fetched": 99999999999}')
    origin.commit({"orders.yml": "a: 2\n"})
    refresh(backend)
    assert fetch(backend) == {"a": 2}


class TestOriginAway:
    """The last good commit is served, and that is said."""

    def check(self, backend, caplog, problem, kind=BackendUnavailable):
        """Two refreshes fail alike, are logged once, and change no answer."""
        caplog.clear()
        for _ in range(2):
            with pytest.raises(kind) as caught:
                refresh(backend)
            assert f"origin cannot be fetched: {problem}" == str(caught.value)
        assert fetch(backend) == {"a": 1}
        (said,) = warnings(caplog)
        assert said.endswith(str(caught.value))
        health = backend.health()
        assert str(caught.value) == health["problem"]
        assert 0 <= health["fetched-seconds-ago"] < 60
        assert SECRET not in f"{said} {health}"

    def test_it_disappeared_and_comes_back(self, origin, backend, caplog):
        """And what came meanwhile is served then."""
        assert fetch(backend) == {"a": 1}
        come_back = origin.vanish()
        self.check(backend, caplog, "there is no such repository", BackendMisconfigured)
        come_back()
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(backend)
        assert fetch(backend) == {"a": 2}
        assert "problem" not in backend.health()

    @pytest.mark.parametrize("user", ["", f"user:{SECRET}@"])
    def test_it_refuses(self, origin, make_backend, tmp_path, caplog, refusing, user):
        """Its host is there, its server is not."""
        self.moved(origin, make_backend, tmp_path, f"http://{user}127.0.0.1:{refusing}/x.git")  # fmt: skip
        backend = make_backend(f"http://{user}127.0.0.1:{refusing}/x.git", "main", str(tmp_path / "clone"))  # fmt: skip
        self.check(backend, caplog, "the connection was refused")

    def test_it_hangs(self, origin, make_backend, tmp_path, caplog, hanging):
        """It is given up after the timeout, and requests do not wait at all."""
        uri = f"http://127.0.0.1:{hanging[0]}/x.git"
        self.moved(origin, make_backend, tmp_path, uri)
        backend = make_backend(uri, "main", str(tmp_path / "clone"), access=Access("user", SECRET, timeout=1))  # fmt: skip

        async def ask_meanwhile():
            fetching = asyncio.ensure_future(backend.refresh())
            await asyncio.to_thread(hanging[1].wait, 10)
            found = await backend.fetch("orders", "default")
            assert not fetching.done()
            with pytest.raises(BackendUnavailable, match="it did not answer in time"):
                await fetching
            return dict(found.properties)

        assert asyncio.run(ask_meanwhile()) == {"a": 1}
        said = f"{warnings(caplog)} {backend.health()}"
        assert "it did not answer in time" in said
        assert SECRET not in said

    def moved(self, origin, make_backend, tmp_path, uri):
        """A clone of *origin* that is then one of *uri*, as it is written there."""
        clone = tmp_path / "clone"
        asyncio.run(make_backend(origin, "main", str(clone)).open())
        point_at(clone, uri.replace(f"user:{SECRET}@", ""))

    def test_closing_in_the_middle_of_a_fetch_is_quick_and_leaves_nothing(self, make_backend, caplog, hanging):  # fmt: skip
        """No process, no word in the log; who waits is told."""
        backend = make_backend(f"http://127.0.0.1:{hanging[0]}/x.git")

        async def close_meanwhile():
            opening = asyncio.ensure_future(backend.open())
            await asyncio.to_thread(hanging[1].wait, 10)
            await asyncio.wait_for(backend.close(), 2)
            with pytest.raises(BackendError):
                await opening

        asyncio.run(close_meanwhile())
        assert warnings(caplog) == []
        wait_until(lambda: children() == [], "the end of git")


def test_a_first_clone_that_failed_is_tried_again(origin, make_backend):
    """Those who ask just after it have its error at once; a refresh tries anew."""
    come_back = origin.vanish()
    backend = make_backend(origin)
    for _ in range(2):
        with pytest.raises(BackendMisconfigured):
            find(backend, "orders")
    come_back()
    refresh(backend)
    assert sources(backend, "orders") == [("orders-default", {"a": 1})]


class TestBranches:
    """Branches follow origin."""

    def test_a_forced_push_is_followed(self, origin, backend):
        """As nobody saved anything here."""
        origin.commit({"orders.yml": "a: 2\n"})
        assert fetch(backend) == {"a": 2}
        origin.rewrite({"orders.yml": "a: 3\n"})
        refresh(backend)
        assert fetch(backend) == {"a": 3}
        origin.git("update-ref", "refs/heads/main", origin.commit({"orders.yml": "a: 4\n"}, "x", is_root=True))  # fmt: skip
        refresh(backend)
        assert fetch(backend) == {"a": 4}

    def test_a_moved_tag_and_a_deleted_one(self, origin, backend):
        """Tags follow too."""
        one, two = origin.head("main"), origin.commit({"orders.yml": "a: 2\n"})
        origin.tag("v1", one)
        origin.tag("v2", two, is_annotated=True)
        assert (fetch(backend, label="v1"), fetch(backend, label="v2")) == ({"a": 1}, {"a": 2})  # fmt: skip
        origin.git("tag", "-d", "v1", "v2")
        origin.tag("v1", two)
        refresh(backend)
        assert (fetch(backend, label="v1"), fetch(backend, label="v2")) == ({"a": 2}, None)  # fmt: skip

    @pytest.mark.parametrize("deletes", [True, False])
    def test_a_deleted_branch_goes_unless_it_shall_stay(self, origin, make_backend, deletes):  # fmt: skip
        """Spring's `delete-untracked-branches`."""
        origin.commit({"orders.yml": "a: x\n"}, "x")
        backend = make_backend(origin, deletes_branches=deletes)
        assert fetch(backend, label="x") == {"a": "x"}
        origin.delete("x")
        refresh(backend)
        if deletes:
            with pytest.raises(ConfigNotFound):
                find(backend, "orders", "default", "x")
        else:
            assert fetch(backend, label="x") == {"a": "x"}
        origin.commit({"orders.yml": "a: y\n"}, "x", is_root=True)
        refresh(backend)
        assert fetch(backend, label="x") == {"a": "y"}

    def test_all_branches_deleted(self, origin, backend):
        """The server goes on and knows none."""
        assert fetch(backend) == {"a": 1}
        origin.delete("main")
        refresh(backend)
        with pytest.raises(ConfigNotFound):
            find(backend, "orders")

    @pytest.mark.parametrize(("old", "new"), [("a", "a/b"), ("a/b", "a")])
    def test_a_name_that_was_in_the_way_of_another(self, origin, backend, old, new):
        """One goes and the other comes in one push, of branches and of tags."""
        origin.commit({"orders.yml": "a: old\n"}, old)
        origin.tag(f"t{old}", "main")
        assert fetch(backend, label=old) == {"a": "old"}
        origin.delete(old)
        origin.git("tag", "-d", f"t{old}")
        origin.commit({"orders.yml": "a: new\n"}, new)
        origin.tag(f"t{new}", "main")
        refresh(backend)
        assert fetch(backend, label=new) == {"a": "new"}
        assert fetch(backend, label=f"t{new}") == {"a": 1}
        assert fetch(backend, label=old) is None

    def test_a_kept_branch_stands_in_the_way_of_a_new_one_alone(self, origin, backend):
        """Its saves are not lost, the others are followed, and it is said."""
        origin.commit({"orders.yml": "a: a\n"}, "a")
        save(backend, {"a": "saved"}, label="a")
        origin.delete("a")
        origin.commit({"orders.yml": "a: b\n"}, "a/b")
        origin.commit({"orders.yml": "a: 2\n"})
        with pytest.raises(Conflict) as caught:
            refresh(backend)
        expected = "a/b: a, which stays, leaves no room for the name"
        assert expected == str(caught.value)
        assert [expected] == backend.health()["conflicts"]
        assert fetch(backend) == {"a": 2}
        assert fetch(backend, label="a") == {"a": "saved"}

    def test_a_branch_whose_name_is_no_text(self, origin, backend):
        """It is followed, nobody asks for it, and the others are served."""
        origin.git("update-ref", "--stdin", data=b"create refs/heads/\xff %s\n" % origin.head("main").encode())  # fmt: skip
        origin.commit({"orders.yml": "a: [\n"}, "broken")
        assert fetch(backend) == {"a": 1}
        assert {one.label for one in asyncio.run(backend.list())} == {"main", "broken"}


def test_names_of_files_and_branches_forge_no_line_of_the_log(origin, backend, caplog):
    """Whoever pushes chooses them."""
    assert fetch(backend) == {"a": 1}
    origin.commit({"x\nERROR all is lost.yml": "a: [\n"})
    refresh(backend)
    (held,) = backend.health()["held"]
    assert "x?ERROR all is lost.yml:2:1: " in held
    assert [f"{origin.uri}: not served: {held}"] == warnings(caplog)


class TestVerification:
    """A branch moves only to a commit whose changed files parse."""

    def test_a_broken_file_holds_the_branch_back_until_it_is_mended(self, origin, make_backend, tmp_path, caplog):  # fmt: skip
        """Also over a restart; the other branches move."""
        clone = str(tmp_path / "clone")
        backend = make_backend(origin, "main", clone)
        assert fetch(backend) == {"a": 1}
        broken = origin.commit({"orders.yml": "a: 2\n", "other.yml": "a: 1\nb: [\n"})
        origin.commit({"orders.yml": "a: v2\n"}, "v2")
        refresh(backend)
        refresh(backend)
        held = f"main: {broken[:12]}: other.yml:3:1: did not find expected node content"
        assert [held] == backend.health()["held"]
        assert [f"{origin.uri}: not served: {held}"] == warnings(caplog)
        assert fetch(backend) == {"a": 1}
        assert fetch(backend, label="v2") == {"a": "v2"}
        asyncio.run(backend.close())
        again = make_backend(origin, "main", clone)
        assert fetch(again) == {"a": 1}
        refresh(again)
        assert fetch(again) == {"a": 1}
        assert [held] == again.health()["held"]
        origin.commit({"other.yml": "a: 1\n"})
        refresh(again)
        assert fetch(again) == {"a": 2}
        assert "held" not in again.health()

    def test_only_changed_files_where_bundles_can_be_are_judged(self, origin, make_backend):  # fmt: skip
        """A template in a folder that nobody serves holds nothing back, nor does a link,
        nor what was broken before."""
        origin.commit({"broken.yml": "a: [\n"})
        backend = make_backend(origin, search_paths=["apps/{application}", "shared*"])
        assert fetch(backend) == {"a": 1}
        held = ["apps/x/y.yml", "shared/y.json", "shared-too/y.toml", "top.properties"]
        served = ["charts/templates/y.yml", "apps/y.yml", "apps/x/deep/y.yml", "y.txt", "y.yml.j2"]  # fmt: skip
        for number, path in enumerate(served):
            content = "a=\\u00" if path.endswith("properties") else "{{ [ }"
            origin.commit({path: content, "orders.yml": f"a: {number}\n"})
            refresh(backend)
            assert fetch(backend) == {"a": number}, path
        origin.commit({"link.yml": ("120000", "{{ [ }"), "orders.yml": "a: link\n"})
        refresh(backend)
        assert fetch(backend) == {"a": "link"}
        for path in held:
            content = "a=\\u00" if path.endswith("properties") else "{{ [ }"
            origin.commit({path: (FILE, content), "orders.yml": "a: held\n"})
            refresh(backend)
            assert fetch(backend) == {"a": "link"}, path
            origin.commit({path: None, "orders.yml": "a: link\n"})
            refresh(backend)

    def test_it_can_be_turned_off(self, origin, make_backend):
        """Then the file is what is broken, not the branch."""
        backend = make_backend(origin, verify_commits=False)
        assert fetch(backend) == {"a": 1}
        origin.commit({"orders.yml": "a: [\n", "other.yml": "b: 2\n"})
        refresh(backend)
        assert fetch(backend, "other") == {"b": 2}
        with pytest.raises(DocumentError):
            fetch(backend)

    def test_a_forced_push_to_a_broken_commit_is_held_back_too(self, origin, backend):
        """And a new branch is served as it is: there is nothing else to serve."""
        assert fetch(backend) == {"a": 1}
        origin.rewrite({"orders.yml": "a: [\n"})
        origin.commit({"orders.yml": "a: [\n", "other.yml": "b: 2\n"}, "new")
        refresh(backend)
        assert fetch(backend) == {"a": 1}
        assert fetch(backend, "other", label="new") == {"b": 2}

    def test_what_a_first_clone_brings_is_verified_for_health(self, origin, make_backend, caplog):  # fmt: skip
        """It is served, as there is nothing else; once it is mended all is well."""
        broken = origin.commit({"a.yml": "a: 1\n", "b.yml": "a: [\n", "c.txt": "a: ["})
        origin.commit({"orders.yml": "a: [\n"}, "other")
        backend = make_backend(origin)
        assert fetch(backend) == {"a": 1}
        wait_until(lambda: "unverified" in backend.health())
        (said,) = backend.health()["unverified"]
        assert said.startswith(f"main: {broken[:12]}: b.yml:2:1: ")
        wait_until(lambda: warnings(caplog))
        assert [f"{origin.uri}: served unverified: {said}"] == warnings(caplog)
        origin.commit({"b.yml": "a: 1\n"})
        refresh(backend)
        assert "unverified" not in backend.health()


    def test_a_branch_that_answers_nobody_is_not_judged(self, make_origin, make_backend):
        """As `master` where it stands in for nothing."""
        origin = make_origin("old", branch="master", files={"a.yml": "a: [\n"})
        backend = make_backend(origin, tries_master=False)
        refresh(backend)
        assert "unverified" not in backend.health()


class TestMistakes:
    """What git fsck says of old repositories."""

    def test_harmless_ones_of_the_past_are_fetched(self, origin, backend):
        """A mode with a zero, a person without an address, a date glued to it."""
        blob = origin.git("hash-object", "-w", "--stdin", data=b"a: 2\n")
        tree = b"0100644 orders.yml\0" + bytes.fromhex(blob)
        tree = origin.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", data=tree)  # fmt: skip
        people = [b"author a <a@b>1 +0000\ncommitter a 1 +0000\n", b"author <a@b> 1 +0000\ncommitter a <a@b> 01 +00\n"]  # fmt: skip
        for number, person in enumerate(people):
            commit = f"tree {tree}\n".encode() + person + b"\nx\n"
            id = origin.git("hash-object", "-t", "commit", "--literally", "-w", "--stdin", data=commit)  # fmt: skip
            origin.git("update-ref", f"refs/heads/old{number}", id)
        asyncio.run(backend.open())
        refresh(backend)
        assert [fetch(backend, label=f"old{number}") for number in (0, 1)] == [{"a": 2}] * 2  # fmt: skip

    @pytest.mark.parametrize(("name", "mistake"), [(".git", "hasDotgit"), ("..", "hasDotdot"), ("a/b", "fullPathname")])  # fmt: skip
    def test_those_that_mislead_are_refused_by_name(self, origin, backend, name, mistake):  # fmt: skip
        """Whoever looks for it finds it in git's own words."""
        assert fetch(backend) == {"a": 1}
        blob = origin.git("hash-object", "-w", "--stdin", data=b"x")
        tree = f"100644 {name}".encode() + b"\0" + bytes.fromhex(blob)
        tree = origin.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", data=tree)  # fmt: skip
        person = b"author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n"
        commit = f"tree {tree}\n".encode() + person + b"\nx\n"
        id = origin.git("hash-object", "-t", "commit", "--literally", "-w", "--stdin", data=commit)  # fmt: skip
        origin.git("update-ref", "refs/heads/main", id)
        with pytest.raises(BackendUnavailable) as caught:
            refresh(backend)
        expected = f"origin cannot be fetched: an object has the mistake {mistake}"
        assert expected == str(caught.value)
        assert fetch(backend) == {"a": 1}


def catching_up():
    """The threads that read refs which others moved."""
    name = "pyconfserve-git-catch-up"
    return [thread for thread in threading.enumerate() if thread.name == name]


class TestCatchingUp:
    """Refs that others moved are read by one thread."""

    @pytest.fixture
    def slow(self, tmp_path, monkeypatch):
        """The program `git`, whose for-each-ref waits while there is a file `wait`."""
        script = f'[ "$1" = for-each-ref ] && {{ touch {tmp_path}/read; while [ -e {tmp_path}/wait ]; do sleep 0.01; done; }}; exec $GIT "$@"'  # fmt: skip
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
        return tmp_path

    def ask_for_a_while(self, backend):
        """Ask for longer than refs of others may be missed; how many threads ran."""
        until, most = time.monotonic() + 0.5, 0
        while time.monotonic() < until:
            assert fetch(backend) == {"a": 1}
            most = max(most, len(catching_up()))
        return most

    def test_one_thread_reads_however_many_ask(self, origin, make_backend, slow):
        """Each mark of another process was a thread more."""
        clone = str(slow / "clone")
        backend, other = (make_backend(origin, "main", clone) for _ in range(2))
        assert fetch(backend) == fetch(other) == {"a": 1}
        (slow / "wait").touch()
        for _ in range(3):
            other._repository._clone.mark()
            assert self.ask_for_a_while(backend) == 1
        (slow / "wait").unlink()
        save(other, {"a": 2})
        wait_until(lambda: fetch(backend) == {"a": 2})
        wait_until(lambda: not catching_up())

    def test_our_own_fetch_starts_none(self, origin, make_backend, slow):
        """Who fetches reads the refs anyway."""
        backend = make_backend(origin, "main", str(slow / "clone"))
        assert fetch(backend) == {"a": 1}
        (slow / "read").unlink()
        (slow / "wait").touch()
        refreshing = threading.Thread(target=refresh, args=(backend,))
        refreshing.start()
        wait_until((slow / "read").exists)
        assert self.ask_for_a_while(backend) == 0
        (slow / "wait").unlink()
        refreshing.join(PATIENCE)
        assert self.ask_for_a_while(backend) == 0
