"""Real repositories, and what the tests ask of a backend over them."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

from pyconfserve.backend import ConfigSource
from pyconfserve.environment.overlay import OWN, make_lookup

PATIENCE = 10.0  # seconds after which a test that waits has failed
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
LINK, SUBMODULE, EXECUTABLE, FILE = "120000", "160000", "100755", "100644"


def run_git(folder, *arguments, data=b""):
    """What plain git says about the repository in *folder*."""
    done = subprocess.run(
        ["git", f"--git-dir={folder}", *arguments],
        input=data,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip()


class Origin:
    """A bare repository that others push to; HEAD is at *branch*."""

    def __init__(self, folder, branch="main", files=None, object_format="sha1"):
        self.folder = folder
        self.uri = str(folder)
        self.branch = branch
        self._seconds = 1_700_000_000
        subprocess.run(
            ["git", "init", "-q", "--bare", "--template=", "-b", branch, f"--object-format={object_format}", self.uri],
            env=ENVIRONMENT,
            check=True,
        )
        if files is not None:
            self.commit(files)

    def git(self, *arguments, data=b""):
        """What plain git says about it."""
        return run_git(self.folder, *arguments, data=data)

    def commit(self, files, branch=None, *, after=None, is_root=False):
        """The id of a new commit: {path: text, bytes, (mode, text) or None to delete}.

        It follows the branch's last one, or *after*, or nothing.
        """
        branch = branch or self.branch
        ref = f"refs/heads/{branch}"
        parent = after or ("" if is_root else self.head(branch))
        self._seconds += 1
        parts = [f"commit {ref}\ncommitter A <a@b> {self._seconds} +0000\n".encode()]
        parts.append(b"data 6\nchange\n")
        parts += [f"from {parent}\n".encode()] if parent else []
        parts += [_change(path, content) for path, content in files.items()]
        self.git("fast-import", "--quiet", "--force", data=b"".join([b"reset " + ref.encode() + b"\n\n", *parts]))  # fmt: skip
        return self.head(branch)

    def rewrite(self, files, branch=None):
        """The id of a commit without history that a forced push puts in its place."""
        return self.commit(files, branch, is_root=True)

    def head(self, branch):
        """The id of the branch's commit, "" when there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def tag(self, name, target, *, is_annotated=False):
        """A tag of *target*, light or annotated."""
        person = ("-c", "user.name=a", "-c", "user.email=a@b")
        options = ("-a", "-m", "a tag") if is_annotated else ()
        self.git(*person, "tag", *options, name, target)

    def delete(self, *branches):
        """Delete branches."""
        for branch in branches:
            self.git("update-ref", "-d", f"refs/heads/{branch}")

    def vanish(self):
        """Take it away; gives what brings it back."""
        aside = self.folder.with_name("aside")
        self.folder.rename(aside)
        return lambda: aside.rename(self.folder)


def _change(path, content):
    path = path if isinstance(path, bytes) else path.encode()
    if b"\n" in path:
        path = b'"%s"' % path.replace(b"\n", b"\\n").replace(b"\t", b"\\t")
    if content is None:
        return b"D " + path + b"\n"
    mode, content = content if isinstance(content, tuple) else (FILE, content)
    if mode == SUBMODULE:
        return f"M {mode} {content} ".encode() + path + b"\n"
    data = content if isinstance(content, bytes) else content.encode()
    return f"M {mode} inline ".encode() + path + b"\ndata %d\n" % len(data) + data + b"\n"


def fetch(backend, application="orders", profile="default", label="main"):
    """The properties of one bundle, None when it is absent."""
    source = asyncio.run(backend.fetch(application, profile, label))
    return None if source is None else dict(source.properties)


def save(backend, properties, application="orders", profile="default", label="main"):
    """Save one bundle."""
    asyncio.run(backend.save(ConfigSource(application, profile, label, properties)))


def find(backend, *asked, dialect=OWN):
    """What the backend has for a lookup."""
    return asyncio.run(backend.sources(make_lookup(*asked, dialect=dialect)))


def sources(backend, *asked, dialect=OWN):
    """The (name, properties) of each source for a lookup."""
    found = find(backend, *asked, dialect=dialect)
    return [(source.name, source.properties) for source in found.sources]


def file(backend, path, *asked, dialect=OWN):
    """The bytes of a plain file, None when it is absent."""
    lookup = make_lookup(*(asked or ("orders",)), dialect=dialect)
    found = asyncio.run(backend.file(lookup, path))
    return None if found is None else found.data


def refresh(backend):
    """Fetch now."""
    asyncio.run(backend.refresh())


def wait_until(holds, what="what was waited for"):
    """Wait until *holds()* is true, and give what it gave."""
    give_up, pause = time.monotonic() + PATIENCE, threading.Event()
    while not (found := holds()):
        assert time.monotonic() < give_up, f"{what} did not happen"
        pause.wait(0.01)
    return found


def children(pid="self"):
    """The ids of the processes that *pid* started and that still run."""
    pid = os.getpid() if pid == "self" else pid
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                    state, parent = stat.read().rpartition(") ")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry))
    return found


def is_running(pid):
    """Whether there is such a process that is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
            return stat.read().rpartition(") ")[2].split()[0] != "Z"
    except OSError:
        return False


def gits(folder):
    """The ids of the git processes that run over the repository in *folder*."""
    wanted = f"GIT_DIR={folder}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as environ:
                    if wanted in environ.read().split(b"\0") and is_running(entry):
                        found.append(int(entry))
            except OSError:
                continue
    return found


@contextmanager
def hanging_port():
    """A port that takes connections and never says a word; and who came."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        came = threading.Event()
        kept = []

        def take():
            with suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])
                    came.set()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield listener.getsockname()[1], came
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        for connection in kept:
            connection.close()


def fake_git(folder, script):
    """A folder for PATH in which `git` is *script*; the real one is $GIT."""
    folder.mkdir()
    real = shutil.which("git")
    (folder / "git").write_text(f"#!/bin/sh\nGIT={real}\n{script}\n")
    (folder / "git").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
