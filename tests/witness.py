"""What this process does while a test looks: the judge over attacks.

An audit hook cannot be taken off again, so there is one, and it notes nothing while
nobody looks. It sees the deed before it is done, whoever does it, in every thread.
"""

import os
import re
import sys
import tempfile
from contextlib import contextmanager

# What an event's arguments are paths of, by their index; the rest is noted whole.
PATHS = {
    "open": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (0, 1),
    "os.listdir": (0,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.scandir": (0,),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.utime": (0,),
}
PROCESSES = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
    "subprocess.Popen",
}  # fmt: skip
CONNECTIONS = {
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
    "urllib.Request", "http.client.connect",
}  # fmt: skip
_COMMIT = re.compile(r"[0-9a-f]{40}")
# All that git is told while requests are answered; ids come from git itself.
_TOLD = {
    "cat-file", "--batch", "for-each-ref", "--count=1", "refs/heads/", "refs/tags/", "hash-object", "-w", "--stdin",
    "mktree", "-z", "commit-tree", "-p", "update-ref", "refs/remotes/origin/", "refs/pyconfserve/tags/",
    "refs/pyconfserve/origin/",
    "--format=%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)",
}  # fmt: skip

_looking = []
_changing = []


def _note(event, arguments):
    if event == "open":
        for change in tuple(_changing):
            change(arguments[0])
    if not _looking:
        return
    for index in PATHS.get(event, ()):
        if not isinstance(arguments[index], int):  # a descriptor, of what was opened
            _looking[-1].append((event, os.fsdecode(arguments[index])))
    if event == "subprocess.Popen":
        _looking[-1].append((event, tuple(arguments[1])))
    elif event in PROCESSES or event in CONNECTIONS:
        _looking[-1].append((event, repr(arguments)))


sys.addaudithook(_note)


@contextmanager
def witnessed():
    """A list of (event, path or arguments), which fills while this is entered."""
    deeds = []
    _looking.append(deeds)
    try:
        yield deeds
    finally:
        _looking.remove(deeds)


def misdeeds(deeds, roots, *, below=False):
    """Those of *deeds* that are none of a server of *roots*.

    A name without a slash is opened in a folder that was opened before. All else is a
    root itself, or a path *below* one, and what git needs: its fixed commands, and
    temporary files without a name.
    """
    known = [str(root) for root in roots]
    return [deed for deed in deeds if not _is_fine(*deed, known, below)]


def _is_fine(event, what, roots, below):
    if event == "subprocess.Popen":
        return below and what[0] == "git" and all(map(_is_told, what[1:]))
    if event not in PATHS:
        return False
    if "/" not in what:
        return what not in ("", ".", "..")
    if below and event == "open" and what == tempfile.gettempdir():
        return True  # with O_TMPFILE: a file without a name
    path = os.path.normpath(what)
    return path in roots or (below and any(path.startswith(f"{one}/") for one in roots))


def _is_told(argument):
    text = argument.removeprefix("--contains=")
    return text in _TOLD or bool(_COMMIT.fullmatch(text))


def content(folder):
    """Everything below *folder*: {path: (mode, bytes of a file, target of a link)}."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            data = None
            if os.path.islink(path):
                data = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
            found[os.path.relpath(path, folder)] = (status.st_mode, data)
    return found


@contextmanager
def before_it_opens(name, act):
    """Run *act* right before the first open of *name*, in the thread that opens it.

    It gives a list that has a 1 once that was done. So what lies there changes at the
    worst moment, every time.
    """
    done = []

    def change(path):
        if path == name and not done:
            done.append(1)
            act()

    _changing.append(change)
    try:
        yield done
    finally:
        _changing.remove(change)
