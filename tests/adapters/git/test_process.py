"""process and outcome: what reaches git, how it ends, and what is said of it."""

import asyncio
import os
import time

import pytest
from real_git import (
    Origin,
    fake_git,
    fetch,
    find,
    is_running,
    refresh,
    save,
    wait_until,
)

from pyconfserve.adapters.git.outcome import Outcome
from pyconfserve.adapters.git.process import Git
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    Conflict,
    StorageFull,
)

SECRET = "canary-7f3a"


@pytest.fixture
def repository(tmp_path):
    """A bare repository with a commit."""
    return Origin(tmp_path / "repository", files={"orders.yml": "a: 1\n"})


class TestEnvironment:
    """Nothing of the server's own environment decides what git does."""

    def test_only_what_is_known_is_handed_on(self, tmp_path, monkeypatch):
        """No GIT_*, no secrets of the server, no configuration of the machine."""
        hostile = {
            "GIT_DIR": "/elsewhere",
            "GIT_WORK_TREE": "/",
            "GIT_INDEX_FILE": "/tmp/x",
            "GIT_OBJECT_DIRECTORY": "/elsewhere",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/elsewhere",
            "GIT_NAMESPACE": "x",
            "GIT_EXEC_PATH": "/elsewhere",
            "GIT_SSH": "/elsewhere",
            "GIT_SSH_COMMAND": "touch /tmp/x",
            "GIT_PROXY_COMMAND": "touch /tmp/x",
            "GIT_CONFIG": "/elsewhere",
            "GIT_CONFIG_PARAMETERS": "'core.pager=touch'",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.fsmonitor",
            "GIT_CONFIG_VALUE_0": "touch /tmp/x",
            "GIT_TRACE": str(tmp_path / "trace"),
            "GIT_TRACE_CURL": str(tmp_path / "curl"),
            "GIT_TEMPLATE_DIR": "/elsewhere",
            "GIT_ALLOW_PROTOCOL": "ext",
            "GIT_ASKPASS": "/elsewhere",
            "GIT_REPLACE_REF_BASE": "refs/x",
            "LD_PRELOAD": "",
            "PYCONFSERVE_ENCRYPT_KEY": SECRET,
            "HOME": "/elsewhere",
            "XDG_CONFIG_HOME": "/elsewhere",
        }
        for name, value in hostile.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("https_proxy", "http://proxy")
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "env"))
        said = Git("/the/clone").output("anything").decode()
        given = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        pairs = {name: value for name, value in given.items() if name.startswith(("GIT_CONFIG_KEY", "GIT_CONFIG_VALUE"))}  # fmt: skip
        config = {
            given[f"GIT_CONFIG_KEY_{number}"]: given[f"GIT_CONFIG_VALUE_{number}"]
            for number in range(int(given["GIT_CONFIG_COUNT"]))
        }
        assert len(pairs) == 2 * len(config)
        assert (config["core.hooksPath"], config["core.fsmonitor"]) == ("/dev/null", "false")  # fmt: skip
        assert (config["core.fsync"], config["protocol.ext.allow"]) == ("all", "never")
        expected = {
            "GIT_DIR": "/the/clone",
            "HOME": "/the/clone",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "LC_ALL": "C",
            "https_proxy": "http://proxy",
            "PATH": os.environ["PATH"],
        }
        own = {"PWD", "OLDPWD", "SHLVL", "_", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"}  # fmt: skip
        own |= {"http_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "GIT_CONFIG_COUNT"}
        left = {name: value for name, value in given.items() if name not in own | {*pairs}}  # fmt: skip
        assert expected == left

    def test_it_reads_its_own_repository_all_the_same(self, repository, monkeypatch):
        """With a hostile environment around it."""
        monkeypatch.setenv("GIT_DIR", "/elsewhere")
        monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'a.b=c'")
        git = Git(repository.uri)
        assert git.output("rev-parse", "main").decode().strip() == repository.head("main")  # fmt: skip
        asked = git.run("config", "a.b")
        assert (asked.code, asked.output) == (1, b"")

    def test_a_proxy_for_plain_http_is_taken_from_lower_case_alone(self, tmp_path, monkeypatch):  # fmt: skip
        """HTTP_PROXY may be a client's header in a CGI (httpoxy)."""
        monkeypatch.setenv("HTTP_PROXY", "http://evil")
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "env"))
        assert b"evil" not in Git("/x").output("anything")

    def test_no_hook_runs(self, origin, make_backend, tmp_path):
        """Neither over a fetch nor over a save, in whatever folder it lies."""
        clone, told = tmp_path / "clone", tmp_path / "told"
        backend = make_backend(origin, "main", str(clone))
        asyncio.run(backend.open())
        (clone / "hooks").mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-update", "update", "pre-auto-gc", "post-merge"):  # fmt: skip
            (clone / "hooks" / name).write_text(f"#!/bin/sh\ntouch {told}\n")
            (clone / "hooks" / name).chmod(0o755)
        origin.commit({"orders.yml": "a: 2\n"})
        refresh(backend)
        save(backend, {"a": 3})
        assert fetch(backend) == {"a": 3}
        assert not told.exists()

    def test_a_replaced_object_is_not_believed(self, origin, make_backend, tmp_path):
        """What a commit says is what is served."""
        clone = tmp_path / "clone"
        backend = make_backend(origin, "main", str(clone))
        asyncio.run(backend.open())
        one = origin.head("main")
        two = origin.commit({"orders.yml": "a: 2\n"}, "other", is_root=True)
        origin.git("push", "-q", str(clone), f"{two}:refs/replace/{one}")
        assert fetch(backend, label=one) == {"a": 1}


class TestDeadline:
    """A process is given its time, and no more."""

    def test_its_whole_group_is_ended(self, tmp_path, monkeypatch):
        """Also what it started itself."""
        children = tmp_path / "children"
        script = f"sleep 60 & echo $! $$ > {children}; wait"
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
        started = time.monotonic()
        with pytest.raises(BackendUnavailable) as caught:
            Git("/x").run("anything", deadline=0.3)
        assert str(caught.value) == "git anything took longer than 0.3 s"
        assert time.monotonic() - started < 5
        pids = [int(word) for word in children.read_text().split()]
        wait_until(lambda: not any(map(is_running, pids)), "their end")

    def test_one_that_closed_its_output_is_ended_too(self, tmp_path, monkeypatch):
        """Nothing more is read, and it does not end."""
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "exec >&- 2>&-; sleep 60"))  # fmt: skip
        with pytest.raises(BackendUnavailable):
            Git("/x").run("anything", deadline=0.3)

    def test_one_that_says_too_much_for_its_pipe_is_read(self, tmp_path, monkeypatch):
        """On both of its outputs, while it does not read its input."""
        script = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero; cat >/dev/null"  # fmt: skip
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
        done = Git("/x").run("anything", data=bytes(1_000_000))
        assert (done.code, len(done.output)) == (0, 3_000_000)

    def test_closing_ends_what_runs_and_starts_nothing(self, tmp_path, monkeypatch):
        """Calling it twice is fine."""
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "exec sleep 60"))
        git = Git("/x")
        process = git.start("anything")
        git.close()
        assert process.read(time.monotonic() + 10) == b""
        git.stop(process)
        git.close()
        with pytest.raises(BackendUnavailable, match="the repository was closed"):
            git.run("anything")


class TestProgram:
    """git itself."""

    def test_it_is_not_installed(self, origin, make_backend, tmp_path, monkeypatch):
        """The owner has to help."""
        backend = make_backend(origin)
        (tmp_path / "empty").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        with pytest.raises(BackendMisconfigured) as caught:
            find(backend, "orders")
        assert str(caught.value) == "git is not installed"

    @pytest.mark.parametrize("said", ["git version 2.30.9", "git version 1.8.3.1", "what"])  # fmt: skip
    def test_it_is_too_old(self, origin, make_backend, tmp_path, monkeypatch, said):
        """Such a git would ignore our configuration."""
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", f"echo {said}"))
        with pytest.raises(BackendMisconfigured) as caught:
            find(make_backend(origin), "orders")
        assert str(caught.value) == "git 2.31 or later is needed"

    def test_one_that_cannot_merge_refuses_saves_once_origin_moved(self, origin, make_backend, tmp_path, monkeypatch):  # fmt: skip
        """With that reason; until then it takes them, and reads go on."""
        script = '[ "$1" = version ] && echo "git version 2.37.1" || exec $GIT "$@"'
        monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
        backend = make_backend(origin)
        origin.commit({"orders.yml": "a: v2\n"}, "v2")
        save(backend, {"a": 2})
        refresh(backend)
        save(backend, {"a": 3})
        origin.commit({"x.yml": "x: 1\n"})
        with pytest.raises(Conflict) as caught:
            refresh(backend)
        expected = "main: origin moved, and git before 2.38 cannot merge it with what was saved"  # fmt: skip
        assert expected == str(caught.value)
        with pytest.raises(Conflict) as caught:
            save(backend, {"a": 4})
        expected = "origin moved, and git before 2.38 cannot merge a save with it"
        assert expected == str(caught.value)
        assert fetch(backend) == {"a": 3}
        save(backend, {"a": 5}, label="v2")
        assert fetch(backend, label="v2") == {"a": 5}


URL = f"https://user:{SECRET}@example.org/x.git"


@pytest.mark.parametrize(
    ("errors", "kind", "text"),
    [
        (f"fatal: unable to access '{URL}/': Could not resolve host: example.org", BackendUnavailable, "its host is not known"),
        ("ssh: Could not resolve hostname x: Name or service not known", BackendUnavailable, "its host is not known"),
        (f"fatal: unable to access '{URL}/': Failed to connect to x port 443: Connection refused", BackendUnavailable, "the connection was refused"),
        ("ssh: connect to host x port 22: No route to host\nfatal: Could not read from remote repository.", BackendUnavailable, "its host cannot be reached"),
        ("ssh: connect to host x port 22: Connection timed out\nfatal: Could not read from remote repository.", BackendUnavailable, "it did not answer in time"),
        (f"fatal: unable to access '{URL}/': Operation too slow. Less than 1000 bytes/sec", BackendUnavailable, "it did not answer in time"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", BackendMisconfigured, "its host key is not known"),
        ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", BackendMisconfigured, "authentication failed"),
        (f"fatal: Authentication failed for '{URL}/'", BackendMisconfigured, "authentication failed"),
        (f"fatal: could not read Username for '{URL}': terminal prompts disabled", BackendMisconfigured, "authentication failed"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 403", BackendMisconfigured, "authentication failed"),
        (f"fatal: unable to access '{URL}/': The requested URL returned error: 503", BackendUnavailable, "it answered with an error"),
        (f"fatal: repository '{URL}/' not found", BackendMisconfigured, "there is no such repository"),
        ("fatal: '/x' does not appear to be a git repository\nfatal: Could not read from remote repository.", BackendMisconfigured, "there is no such repository"),
        (f"fatal: unable to access '{URL}/': SSL certificate problem: self-signed certificate", BackendMisconfigured, "its certificate is not valid"),
        (f"fatal: unable to access '{URL}/': OpenSSL SSL_connect: SSL_ERROR_SYSCALL", BackendUnavailable, "no encrypted connection could be made"),
        ("fatal: transport 'ext' not allowed", BackendMisconfigured, "the protocol or the host's name is not allowed"),
        ("fatal: strange hostname '-oProxyCommand=x' blocked", BackendMisconfigured, "the protocol or the host's name is not allowed"),
        ("fatal: detected dubious ownership in repository at '/x'", BackendMisconfigured, "another user owns it"),
        ("error: inflate: data stream error (incorrect data check)\nfatal: early EOF", BackendUnavailable, "an object is corrupt"),
        ("error: object abc: fsck error: zeroPaddedFilemode\nfatal: fetch-pack: invalid index-pack output", BackendUnavailable, "an object is corrupt"),
        ("error: RPC failed; curl 18 transfer closed\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output", BackendUnavailable, "the connection broke off"),
        ("fatal: the remote end hung up unexpectedly", BackendUnavailable, "the connection broke off"),
        ("fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output", StorageFull, "no room is left"),
        ("error: insufficient permission for adding an object to repository database ./objects", BackendUnavailable, "its clone is read-only"),
        ("fatal: Unable to create '/x/refs/heads/main.lock': Permission denied", BackendUnavailable, "its clone is read-only"),
        ("fatal: Unable to create '/x/refs/heads/main.lock': No space left on device", StorageFull, "no room is left"),
        (f"fatal: something new about '{URL}'", BackendUnavailable, "git failed with status 128"),
        ("", BackendUnavailable, "git failed with status 128"),
    ],
)  # fmt: skip
def test_a_failure_is_named_in_our_words(errors, kind, text):
    """By its kind; no word of git's, and so no URL, goes into it."""
    problem = Outcome(128, b"", errors).reason("origin cannot be fetched")
    assert (kind, f"origin cannot be fetched: {text}") == (type(problem), str(problem))


def test_a_message_of_git_is_never_shown(repository):
    """What it says about a ref that is not there is not ours to hand on."""
    with pytest.raises(BackendUnavailable) as caught:
        Git(repository.uri).output("rev-parse", "--verify", SECRET)
    assert str(caught.value) == "git rev-parse: git failed with status 128"


def test_git_of_the_version_here_is_found(repository):
    """And remembered."""
    git = Git(repository.uri)
    assert git.version() >= (2, 31)
    assert git.version() == git.version()
