"""The folder of a clone: whose it is, and the files in it that say what git does.

A repository's `config` can name programs that git runs, so none is believed: what has
to stay is read from it, and it is written anew.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, NamedTuple

from ...errors import BackendMisconfigured
from .process import Git
from .refs import BRANCHES

__all__ = [
    "Kept",
    "check_content",
    "own_folder",
    "quoted",
    "read_config",
    "replacing",
    "write_files",
]

_OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH
# Files that make git read another folder's objects, or another repository.
_ELSEWHERE = ("objects/info/alternates", "commondir")
_FOLDERS = ("objects/info", "objects/pack", "refs/heads", "refs/tags")
_FORMATS = ("sha1", "sha256")
_SHORT_ID = 40  # digits of a SHA-1 id
_ANOTHERS = "the clone's folder is a link or another user's"
_ANOTHERS_FILES = "the clone's folder has links or another user's files in it"
_OPEN = "others can write to the clone's folder: mend its mode, or remove it"


class Kept(NamedTuple):
    """What a clone's `config` said that stays."""

    url: str  # of `origin`, "" for none
    object_format: str


def own_folder(folder: str) -> None:
    """Make *folder*, or see that it is ours alone (CVE-2026-41002).

    Raises BackendMisconfigured, OSError.
    """
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise BackendMisconfigured(_ANOTHERS)
    if _is_open(found):
        if not os.listdir(folder):
            os.chmod(folder, 0o700)
        if os.listdir(folder):  # whoever could write may have put it there
            raise BackendMisconfigured(_OPEN)
    is_entered = bool(found.st_mode & _OTHERS_ENTER)
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # another process of ours was just using it
            _check_entry(os.lstat(f"{folder}/{name}"), is_entered=is_entered)


def _check_entry(found: os.stat_result, *, is_entered: bool) -> None:
    if found.st_uid != os.geteuid() or stat.S_ISLNK(found.st_mode):
        raise BackendMisconfigured(_ANOTHERS_FILES)
    if is_entered and _is_open(found):
        raise BackendMisconfigured(_OPEN)


def _is_open(found: os.stat_result) -> bool:
    """Whether others may write it: not those of a group of ours.

    Kubernetes makes a volume writable for the pod's own group at each start (fsGroup).
    """
    is_foreign = found.st_gid not in {os.getegid(), *os.getgroups()}
    open_to = stat.S_IWOTH | (stat.S_IWGRP if is_foreign else 0)
    return bool(found.st_mode & open_to)


def check_content(folder: str) -> None:
    """Raise BackendMisconfigured for a clone that borrows from another one."""
    if any(os.path.lexists(f"{folder}/{name}") for name in _ELSEWHERE):
        raise BackendMisconfigured("the clone borrows objects of another repository")


def read_config(git: Git, noted: str | None = None) -> Kept | None:
    """What the clone's `config` says, None for a folder that is no clone.

    Files that it includes are not read. Where it is lost or names no origin, *noted* is
    what we know of that.
    """
    if not os.path.isdir(f"{git.folder}/objects"):
        return None
    path = f"{git.folder}/config"
    done = git.run("config", "--file", path, "--no-includes", "--null", "--list")
    lines = done.output.decode("utf-8", "replace").split("\0")
    said = dict(line.partition("\n")[::2] for line in lines)
    url = said.get("remote.origin.url") or noted
    if url is None and done.code and os.path.lexists(path):
        return None
    has_long = _has_long_ids(git.folder)
    found = said.get("extensions.objectformat", _FORMATS[has_long]).lower()
    return Kept(url or "", found) if found in _FORMATS else None


def _has_long_ids(folder: str) -> bool:
    """Whether the first ref that is found has the id of a SHA-256 repository."""
    for place, _, names in os.walk(f"{folder}/refs"):
        for name in names:
            with open(f"{place}/{name}", "rb") as file:
                return len(file.read(100).strip()) > _SHORT_ID
    with suppress(OSError), open(f"{folder}/packed-refs", "rb") as file:
        lines = (line for line in file if line[:1] not in b"#^")
        return len(next(lines, b"").partition(b" ")[0]) > _SHORT_ID
    return False


def write_files(folder: str, kept: Kept, branch: str, refspec: str) -> None:
    """Write what makes *folder* a repository, with HEAD at *branch*; raises OSError.

    Its `config` has nothing in it but what is *kept*.
    """
    for name in _FOLDERS:
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    is_long = kept.object_format != _FORMATS[0]
    text = f"[core]\n\trepositoryformatversion = {int(is_long)}\n\tbare = true\n"
    if is_long:
        text += f"[extensions]\n\tobjectformat = {kept.object_format}\n"
    if kept.url:
        text += f'[remote "origin"]\n\turl = {quoted(kept.url)}\n'
        text += f"\tfetch = {quoted(refspec)}\n"
    _replace(folder, "config", text)
    _replace(folder, "HEAD", f"ref: {BRANCHES}{branch}\n")


def quoted(value: str) -> str:
    """A value as git's configuration takes it (git-config, Syntax)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _replace(folder: str, name: str, text: str) -> None:
    """Have *text* in the file *name*, at once and on the disk; raises OSError."""
    data = text.encode("utf-8", "surrogateescape")
    with suppress(OSError), open(f"{folder}/{name}", "rb") as file:
        if file.read(len(data) + 1) == data:
            return
    with replacing(folder, name) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(folder: str, name: str) -> Iterator[BinaryIO]:
    """A new file, ours alone, that replaces *name* at the end; raises OSError."""
    descriptor, path = tempfile.mkstemp(prefix=".tmp-", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(path, f"{folder}/{name}")
    except OSError:
        with suppress(OSError):
            os.unlink(path)
        raise
