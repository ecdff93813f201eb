"""saving: a save is a commit, and nobody's is lost."""

import asyncio
import fcntl
import re
import shutil
import subprocess
import sys
import threading

import pytest
from real_git import (
    EXECUTABLE,
    FILE,
    LINK,
    PATIENCE,
    SUBMODULE,
    fake_git,
    fetch,
    find,
    refresh,
    run_git,
    save,
    wait_until,
)

from pyconfserve.adapters.git.locks import REFS_LOCK
from pyconfserve.backend import ConfigSource
from pyconfserve.errors import Conflict

SAVER = """
import asyncio, sys
from pyconfserve.adapters.git import GitConfigBackend
from pyconfserve.backend import ConfigSource

async def save(uri, clone, name, count):
    backend = GitConfigBackend(uri, "main", clone, refresh_rate=0)
    await backend.open()
    for number in range(int(count)):
        await backend.save(ConfigSource(f"{name}{number}", "prod", "main", {"a": number}))
        print(f"{name}{number}", flush=True)
    await backend.close()

asyncio.run(save(*sys.argv[1:]))
"""


@pytest.fixture
def clone(tmp_path):
    """The folder of the clone."""
    return tmp_path / "clone"


@pytest.fixture
def backend(origin, make_backend, clone):
    """A backend over *origin* whose clone is in *clone*."""
    return make_backend(origin, "main", str(clone))


def entries(folder, label="main"):
    """(mode, path) of all that is in a branch."""
    listed = run_git(folder, "ls-tree", "-r", "-z", "--format=%(objectmode) %(path)", label)  # fmt: skip
    return [tuple(line.split(" ", 1)) for line in listed.split("\0")[:-1]]


class TestCommit:
    """What a save makes."""

    def test_its_author_message_and_content(self, origin, make_backend, clone):
        """The message names application and profile; the branch has one commit more."""
        backend = make_backend(origin, "main", str(clone), author="Jo Éx <jo@x.org>")
        save(backend, {"a": {"b": "é"}}, "team/größe", "prod")
        shown = run_git(clone, "log", "-1", "--format=%an <%ae>|%cn <%ce>|%P|%B", "main")
        person = "Jo Éx <jo@x.org>"
        expected = f"{person}|{person}|{origin.head('main')}|save team/größe/prod"
        assert expected == shown
        assert run_git(clone, "show", "main:team/größe-prod.yaml") == "a:\n  b: é"
        assert run_git(clone, "diff", "--stat", "main~", "main", "--", "orders.yml") == ""

    def test_nothing_is_pushed(self, origin, backend):
        """Origin stays as it is, over saves and refreshes."""
        before = origin.git("for-each-ref")
        save(backend, {"a": 2})
        refresh(backend)
        assert before == origin.git("for-each-ref")
        assert fetch(backend) == {"a": 2}

    def test_a_save_of_what_is_there_makes_no_commit(self, backend, clone):
        """The history has only changes."""
        save(backend, {"a": 2})
        before = run_git(clone, "rev-parse", "main")
        save(backend, {"a": 2})
        assert before == run_git(clone, "rev-parse", "main")

    def test_the_rest_of_the_tree_survives(self, origin, backend, clone):
        """Links, submodules, executable files, names that are no text, empty names'
        neighbours, in the same folder and elsewhere."""
        head = origin.head("main")
        origin.commit(
            {
                "team/link": (LINK, "../orders.yml"),
                "team/module": (SUBMODULE, head),
                "team/run.sh": (EXECUTABLE, "#!/bin/sh\n"),
                b"team/\xff\xfe.yml": b"\xff",
                "team/a\nb\tc": (FILE, "x"),
                "team/orders-prod.yml": "a: 1\n",
                "team.d/x": (FILE, ""),
                "team-x": (FILE, ""),
                ".hidden": (FILE, ""),
            }
        )
        asyncio.run(backend.open())
        before = entries(clone)
        save(backend, {"a": 2}, "team/orders", "prod")
        save(backend, {"a": 2}, "team/new", "prod")
        assert sorted([*before, (FILE, "team/new-prod.yaml")]) == sorted(entries(clone))
        listed = ("--name-only", "--no-renames", "-r", "main~2", "main")
        expected = ["team/new-prod.yaml", "team/orders-prod.yml"]
        assert expected == run_git(clone, "diff-tree", *listed).split("\n")
        run_git(clone, "fsck", "--strict", "--no-dangling")

    def test_an_executable_bundle_stays_executable(self, origin, backend, clone):
        """As a file in a folder keeps its mode."""
        origin.commit({"orders.yml": (EXECUTABLE, "a: 1\n")})
        save(backend, {"a": 2})
        assert entries(clone) == [(EXECUTABLE, "orders.yml")]

    def test_a_link_in_the_place_of_a_bundle_is_replaced(self, origin, backend, clone):
        """It was absent to every reader."""
        origin.commit({"orders-prod.yaml": (LINK, "orders.yml")})
        save(backend, {"a": 2}, profile="prod")
        assert fetch(backend, profile="prod") == {"a": 2}
        assert fetch(backend) == {"a": 1}

    @pytest.mark.parametrize("there", [(FILE, "x"), (LINK, "orders.yml")])
    def test_what_is_no_folder_is_not_made_one(self, origin, backend, there):
        """That would delete it."""
        origin.commit({"team": there})
        with pytest.raises(Conflict):
            save(backend, {"a": 2}, "team/orders")

    def test_twins_in_other_formats_go_in_the_same_commit(self, origin, backend, clone):
        """Readers see both or neither."""
        origin.commit({"orders.json": "{}", "orders.properties": ""})
        save(backend, {"a": 2})
        assert entries(clone) == [(FILE, "orders.yml")]

    def test_what_only_has_the_name_of_a_twin_stays(self, origin, backend, clone):
        """A link or a submodule is not what a save made."""
        link, module = (LINK, "x"), (SUBMODULE, origin.head("main"))
        origin.commit({"orders.json": link, "orders.properties": module, "orders.toml/x": ""})  # fmt: skip
        save(backend, {"a": 2})
        expected = [(LINK, "orders.json"), (SUBMODULE, "orders.properties"), (FILE, "orders.toml/x"), (FILE, "orders.yml")]  # fmt: skip
        assert expected == entries(clone)

    def test_it_goes_to_the_first_search_path(self, origin, make_backend):
        """Unless that is a pattern."""
        backend = make_backend(origin, search_paths=["apps", "x*"])
        save(backend, {"a": 2}, "new")
        assert find(backend, "new").sources[0].properties == {"a": 2}
        assert [one.application for one in asyncio.run(backend.list())] == ["new"]
        for pattern in ("apps/*", "{application}"):
            with pytest.raises(Conflict):
                save(make_backend(origin, search_paths=[pattern]), {"a": 2})


def _bundle(application, value):
    return ConfigSource(application, "prod", "main", {"a": value})


@pytest.mark.skipif(not shutil.which("strace"), reason="apt-get install strace")
def test_all_is_on_the_disk_before_the_answer(origin, clone, tmp_path):
    """Each object, and the folder that has its name, before the ref names the commit;
    then the ref and its folder (hardening.md 5, row 2)."""
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-o", str(trace), "-e", "trace=fsync,link,rename,write"]  # fmt: skip
    saver = [sys.executable, "-c", SAVER, origin.uri, str(clone), "one", "1"]
    subprocess.run([*strace, *saver], check=True, capture_output=True, timeout=60)
    text = trace.read_text().partition("pyconfserve/origin/main.lock>) = 0")[2]  # the clone
    lines = [line.split(" ", 1)[1].strip() for line in text.split("\n") if " " in line]
    moved = [number for number, line in enumerate(lines) if re.search(r'rename\(.*"[^"]*refs/heads/main"\) += 0', line)][-1]  # fmt: skip
    said = next(number for number, line in enumerate(lines) if 'write(1' in line and '"one0' in line)  # fmt: skip
    before, after = "\n".join(lines[:moved]), "\n".join(lines[moved:said])
    linked = re.findall(r'link\("([^"]*)", "[^"]*/objects/(../[0-9a-f]+)"\) += 0', before)  # fmt: skip
    assert len(linked) == 3
    for _, name in linked:
        assert re.search(rf"fsync\(\d+<{clone}/objects/{name}>\) += 0", before)
        assert re.search(rf"fsync\(\d+<{clone}/objects/{name[:2]}>\) += 0", before)
    assert f"<{clone}/refs/heads/main.lock>) = 0" in before
    assert f"<{clone}/refs/heads>) = 0" in after


class TestSideBySide:
    """No save is lost to another one."""

    def test_threads_with_loops_of_their_own(self, backend):
        """All are there, each in its commit."""
        asyncio.run(backend.open())
        names = [f"app{number}" for number in range(24)]
        threads = [threading.Thread(target=save, args=(backend, {"a": name}, name)) for name in names]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert [{"a": name} for name in names] == [fetch(backend, name) for name in names]  # fmt: skip

    def test_two_processes_on_one_clone(self, origin, make_backend, clone, backend):
        """All are there, and a third process sees them."""
        asyncio.run(backend.open())
        command = [sys.executable, "-c", SAVER, origin.uri, str(clone)]
        savers = [
            subprocess.Popen([*command, name, "12"], stdout=subprocess.PIPE, text=True)
            for name in ("x", "y")
        ]
        said = [saver.communicate(timeout=30)[0].split() for saver in savers]
        assert [f"x{number}" for number in range(12)] == said[0]
        assert [f"y{number}" for number in range(12)] == said[1]
        assert run_git(clone, "rev-list", "--count", "main") == "25"
        refresh(backend)
        for name in said[0] + said[1]:
            assert fetch(backend, name, "prod") == {"a": int(name[1:])}

    def test_saves_during_refreshes_that_merge(self, origin, backend, clone):
        """Nothing of either side is lost."""
        asyncio.run(backend.open())

        async def save_all():
            for number in range(12):
                await backend.save(_bundle(f"here{number}", number))

        async def push_all():
            for number in range(4):
                files = {f"there{number}.yml": f"a: {number}\n"}
                await asyncio.to_thread(origin.commit, files)
                await backend.refresh()

        async def both():
            await asyncio.gather(save_all(), push_all())
            await backend.refresh()

        asyncio.run(both())
        assert all(fetch(backend, f"here{number}", "prod") == {"a": number} for number in range(12))  # fmt: skip
        assert all(fetch(backend, f"there{number}") == {"a": number} for number in range(4))  # fmt: skip

    def test_saves_that_wait_do_not_hold_up_readers(self, origin, backend, clone):
        """Another process keeps the branches; all are answered in the end."""
        origin.commit({"orders.yml": "a: v2\n"}, "v2")
        asyncio.run(backend.open())

        async def save_and_read(lock):
            saves = [asyncio.ensure_future(backend.save(_bundle(f"app{number}", 1))) for number in range(50)]  # fmt: skip
            await asyncio.sleep(0)
            reading = backend.fetch("orders", "default", "v2")
            found = await asyncio.wait_for(reading, PATIENCE / 2)
            assert not any(save.done() for save in saves)
            fcntl.flock(lock, fcntl.LOCK_UN)
            await asyncio.gather(*saves)
            return dict(found.properties)

        with open(clone / REFS_LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert asyncio.run(save_and_read(lock)) == {"a": "v2"}
        assert run_git(clone, "rev-list", "--count", "main") == "51"


class TestMerge:
    """Origin moved, and so did we."""

    def test_both_sides_are_kept(self, origin, backend, clone):
        """Three-way, in the same file too; parents are ours, then theirs."""
        origin.commit({"orders.yml": "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\n"})
        save(backend, {"a": 2, "b": 1, "c": 1, "d": 1, "e": 1})
        ours = run_git(clone, "rev-parse", "main")
        theirs = origin.commit({"orders.yml": "a: 1\nb: 1\nc: 1\nd: 1\ne: 2\n", "x.yml": "x: 1\n"})  # fmt: skip
        refresh(backend)
        assert fetch(backend) == {"a": 2, "b": 1, "c": 1, "d": 1, "e": 2}
        assert fetch(backend, "x") == {"x": 1}
        assert f"{ours} {theirs}" == run_git(clone, "log", "-1", "--format=%P", "main")
        before = run_git(clone, "rev-parse", "main")
        refresh(backend)
        assert before == run_git(clone, "rev-parse", "main")

    def test_what_origin_took_over_is_no_merge(self, origin, backend, clone):
        """Someone pushed our commit from the clone with plain git."""
        save(backend, {"a": 2})
        run_git(clone, "push", "-q", "origin", "main")
        origin.commit({"x.yml": "x: 1\n"})
        refresh(backend)
        assert origin.head("main") == run_git(clone, "rev-parse", "main")

    def test_a_conflict_leaves_the_branch_and_names_the_file(self, origin, make_backend, backend, clone):  # fmt: skip
        """Until origin and we agree again; a restart forgets nothing; other branches
        move."""
        save(backend, {"a": "here"})
        origin.commit({"orders.yml": "a: there\n"})
        origin.commit({"orders.yml": "a: v2\n"}, "v2")
        reason = "main: orders.yml: changed here and at origin"
        for _ in range(2):
            with pytest.raises(Conflict) as caught:
                refresh(backend)
            assert reason == str(caught.value)
        assert [reason] == backend.health()["conflicts"]
        assert fetch(backend) == {"a": "here"}
        assert fetch(backend, label="v2") == {"a": "v2"}
        asyncio.run(backend.close())
        again = make_backend(origin, "main", str(clone))
        assert fetch(again) == {"a": "here"}
        save(again, {"b": 1}, "other")
        with pytest.raises(Conflict):
            refresh(again)
        save(again, {"a": "there"})
        refresh(again)
        assert fetch(again) == {"a": "there"}
        assert fetch(again, "other") == {"b": 1}
        assert "conflicts" not in again.health()

    def test_a_clean_merge_that_does_not_parse_is_a_conflict(self, origin, backend):
        """Two keys of one name, far enough apart for git."""
        lines = "".join(f"k{number}: 0\n" for number in range(20))
        origin.commit({"orders.json": None, "orders.yml": lines})
        save(backend, {"new": 1, **{f"k{number}": 0 for number in range(20)}})
        origin.commit({"orders.yml": f"{lines}new: 2\n"})
        with pytest.raises(Conflict) as caught:
            refresh(backend)
        assert str(caught.value).startswith("main: orders.yml:")
        assert str(caught.value).endswith(", once merged with origin")
        assert fetch(backend)["new"] == 1

    def test_a_forced_push_and_a_save_have_no_common_history(self, origin, backend):
        """What was saved is there still, and what was pushed comes beside it."""
        save(backend, {"b": 1}, "new")
        origin.rewrite({"other.yml": "c: 1\n", "orders.yml": "a: 1\n"})
        refresh(backend)
        assert fetch(backend, "new") == {"b": 1}
        assert fetch(backend, "other") == {"c": 1}

    def test_a_branch_with_saves_that_origin_deleted_stays(self, origin, backend):
        """Its saves would be lost."""
        origin.commit({"orders.yml": "a: 1\n"}, "x")
        save(backend, {"a": 2}, label="x")
        origin.delete("x")
        for _ in range(2):
            refresh(backend)
            assert fetch(backend, label="x") == {"a": 2}
            kept = "x: origin deleted it, and it has saves that origin has not"
            assert [kept] == backend.health()["kept"]

    def test_commits_that_origin_took_back_are_taken_back_here(self, origin, backend, clone):  # fmt: skip
        """A rollback by a forced push is followed, and what was saved stays."""
        one = origin.head("main")
        origin.commit({"orders.yml": "a: 2\n", "x.yml": "x: 1\n"})
        save(backend, {"b": 1}, "new")
        origin.git("update-ref", "refs/heads/main", one)
        for _ in range(2):
            refresh(backend)
            assert fetch(backend) == {"a": 1}
            assert fetch(backend, "x") is None
            assert fetch(backend, "new") == {"b": 1}
            kept = "main: origin was rewritten, and merged with what was saved here"
            assert [kept] == backend.health()["kept"]
        origin.commit({"orders.yml": "a: 3\n"})
        refresh(backend)
        assert fetch(backend) == {"a": 3}
        assert fetch(backend, "new") == {"b": 1}
        assert "kept" not in backend.health()

    def test_a_rollback_of_what_a_save_changed_is_a_conflict(self, origin, backend):
        """Its text says what origin did."""
        one = origin.head("main")
        origin.commit({"orders.yml": "a: 2\n"})
        save(backend, {"a": 3})
        origin.git("update-ref", "refs/heads/main", one)
        with pytest.raises(Conflict) as caught:
            refresh(backend)
        expected = "main: origin was rewritten, orders.yml: changed here and at origin"
        assert expected == str(caught.value)
        assert fetch(backend) == {"a": 3}

    def test_a_rollback_of_what_was_not_saved_on_is_followed(self, origin, backend):
        """There is nothing to keep."""
        one = origin.head("main")
        origin.commit({"orders.yml": "a: 2\n"})
        assert fetch(backend) == {"a": 2}
        origin.git("update-ref", "refs/heads/main", one)
        refresh(backend)
        assert fetch(backend) == {"a": 1}
        assert "kept" not in backend.health()

    def test_a_merge_that_is_all_origins_is_origins_commit(self, origin, backend, clone):  # fmt: skip
        """So the branch gets back to origin, where somebody made the same change."""
        save(backend, {"a": 2})
        there = origin.commit({"orders.yml": "a: 2\n", "x.yml": "x: 1\n"})
        refresh(backend)
        assert there == run_git(clone, "rev-parse", "main")

    def test_a_branch_that_is_held_keeps_its_reason_over_a_save(self, origin, backend):
        """The commit at origin is to blame still."""
        assert fetch(backend) == {"a": 1}
        broken = origin.commit({"other.yml": "a: [\n"})
        refresh(backend)
        (held,) = backend.health()["held"]
        assert held.startswith(f"main: {broken[:12]}: other.yml:2:1: ")
        save(backend, {"b": 1}, "new")
        refresh(backend)
        assert [held] == backend.health()["held"]
        assert "conflicts" not in backend.health()
        assert fetch(backend, "new") == {"b": 1}

    def test_a_file_deleted_there_and_saved_here_is_a_conflict(self, origin, backend):
        """Neither side silently wins."""
        save(backend, {"a": 2})
        origin.commit({"orders.yml": None, "x.yml": ""})
        with pytest.raises(Conflict, match=r"main: orders\.yml: changed here and at origin"):  # fmt: skip
            refresh(backend)
        assert fetch(backend) == {"a": 2}


def test_a_save_of_another_process_is_seen_by_those_who_hold_an_answer(origin, make_backend, clone):  # fmt: skip
    """Soon, without a fetch."""
    one, two = (make_backend(origin, "main", str(clone)) for _ in range(2))
    found = find(one, "orders")
    save(two, {"a": 2})
    wait_until(lambda: one.stamp(found.seen) != found.stamp)
    assert fetch(one) == {"a": 2}


@pytest.mark.parametrize("has_origin", [True, False])
def test_objects_of_many_saves_are_packed(origin, make_backend, tmp_path, monkeypatch, has_origin):  # fmt: skip
    """Also where origin never moves, or is none; git is told after every hundredth."""
    told = tmp_path / "told"
    script = f'[ "$1" = gc ] && echo x >>{told}; exec $GIT "$@"'
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
    backend = make_backend(origin if has_origin else "", "main", str(tmp_path / "clone"))

    async def save_some(count):
        for number in range(count):
            await backend.save(_bundle("x", f"{count}-{number}"))

    asyncio.run(backend.open())
    told.unlink(missing_ok=True)
    asyncio.run(save_some(99))
    assert not told.exists()
    asyncio.run(save_some(1))
    wait_until(told.exists, "git gc")
    assert told.read_text() == "x\n"
