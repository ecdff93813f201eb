"""What else a folder may hold where a file is looked for, through every route.

Links, devices, pipes, sockets, folders; files that change while they are read; and what
a git tree has in their place. Only regular files below the root are served, a link is
what it leads to, and nothing is waited for. The walk itself is in test_walk.
"""

import asyncio
import faulthandler
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import unicodedata
from contextlib import contextmanager
from pathlib import Path

import pytest
from witness import before_it_opens, content, misdeeds, witnessed

from pyconfserve.environment.formats.document import LARGEST_FILE
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.errors import DocumentError
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.folder import FolderTree
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "adapters/git"))  # real_git
PATIENCE = 20  # seconds after which a test hangs: a pipe was waited for
LIMIT = 100_000
INSIDE, OUTSIDE = "inside: 1\n", "outside: canary-91ce\n"
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def never_hangs():
    """Nobody can free a thread that waits for a pipe: then all ends, and says where."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def root(tmp_path):
    """A root with a file to lead to, and one beside it that nobody may read."""
    root = tmp_path / "cfg"
    (root / "real").mkdir(parents=True)
    for name in ("real.yml", "real/app-prod.yml", "real/foo.txt"):
        (root / name).write_text(INSIDE)
    (tmp_path / "outside").mkdir()
    for name in ("outside.yml", "outside/app-prod.yml", "outside/foo.txt"):
        (tmp_path / name).write_text(OUTSIDE)
    return root


def ask(root, method, target, dialect=OWN, body=b'{"saved": 1}'):
    """The answer to one request, of a server that was just started."""
    return asyncio.run(answer(server_of(root, dialect), method, target, body))


def server_of(root, dialect=OWN):
    backend = FilesystemConfigBackend(root, label="main", refresh_interval=0)
    return Routes(ConfigServer(backend, dialect=dialect))


async def answer(routes, method, target, body=b'{"saved": 1}'):
    path, _, query = target.partition("?")
    given = (JSON, body) if method == "POST" else ({}, b"")
    return await routes.handle(Request(method, path, query, *given, "a"))


# what there may be in the place of a file


def way(path):
    """The way from the folder of *path* up to the root."""
    depth = len(path.parts) - path.parts.index("cfg") - 2
    return "../" * depth


def link(path):
    path.symlink_to(f"{way(path)}real.yml")


def chain_of_40(path, length=40):
    names = [f"{path.name}-{number}" for number in range(1, length)]
    for name, target in zip([path.name, *names], [*names, f"{way(path)}real.yml"], strict=True):  # fmt: skip
        (path.parent / name).symlink_to(target)


def chain_of_41(path):
    chain_of_40(path, 41)


def link_out(path):
    path.symlink_to(f"{way(path)}../outside.yml")


def link_out_and_in(path):
    path.symlink_to(f"{way(path)}../cfg/real.yml")


def absolute_link(path):
    path.symlink_to(Path(*path.parts[: path.parts.index("cfg") + 1]) / "real.yml")


def absolute_link_out(path):
    path.symlink_to(Path(*path.parts[: path.parts.index("cfg")]) / "outside.yml")


def absolute_link_below_the_root(path):
    path.symlink_to("/real.yml")


def link_to_passwd(path):
    path.symlink_to("/etc/passwd")


def link_to_processes(path):
    path.symlink_to("/proc/self/environ")


def link_to_zeros(path):
    path.symlink_to("/dev/zero")


def link_to_a_folder(path):
    path.symlink_to(f"{way(path)}real")


def loop(path):
    path.symlink_to(path.name)


def loop_of_two(path):
    path.symlink_to("other")
    (path.parent / "other").symlink_to(path.name)


def dangling(path):
    path.symlink_to("nowhere")


def pipe(path):
    os.mkfifo(path)


def link_to_a_pipe(path):
    os.mkfifo(path.parent / "pipe")
    path.symlink_to("pipe")


def unix_socket(path):
    here = os.getcwd()
    os.chdir(path.parent)  # an address of a socket is at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def device(path):
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
        os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        pytest.skip("making a device takes the rights of root")


def folder(path):
    path.mkdir()


def full_folder(path):
    path.mkdir()
    (path / "app-prod.yml").write_text(INSIDE)


def hard_link(path):
    os.link(Path(*path.parts[: path.parts.index("cfg") + 1]) / "real.yml", path)


def other_case(path):
    path.with_name(path.name.swapcase()).write_text(OUTSIDE)


def dotted(path):
    path.with_name(f".{path.name}").write_text(OUTSIDE)


READABLE = (link, chain_of_40, hard_link)
ABSENT = (
    chain_of_41, link_out, link_out_and_in, absolute_link, absolute_link_out, absolute_link_below_the_root, link_to_passwd, link_to_processes,
    link_to_zeros, link_to_a_folder, loop, loop_of_two, dangling, pipe, link_to_a_pipe, unix_socket, device, folder,
    full_folder, other_case, dotted,
)  # fmt: skip
# A save replaces a file or what only has its name, never a folder.
KEPT = (folder, full_folder)

ENVIRONMENTS = ("/app/prod", "/app/prod/main", "/x,app/y,prod")
FILES = ("/app-prod.yml", "/app-prod.json", "/app-prod.properties", "/main/app-prod.yml")  # fmt: skip
PLAIN = ("/x/default/main/app-prod.yml", "/x/prod/main/app.yml", "/x/default/app-prod.yml?useDefaultLabel")  # fmt: skip
PLACES = ("app-prod.yml", "main/app-prod.yml")  # on top, and in the label's folder

kinds = pytest.mark.parametrize("make", READABLE + ABSENT, ids=lambda make: make.__name__)  # fmt: skip
places = pytest.mark.parametrize("place", PLACES)


def put(root, place, make):
    (root / place).parent.mkdir(exist_ok=True)
    make(root / place)


def answers(root, targets, dialect=OWN):
    """The (status, body) of each, by GET; HEAD has the same status."""
    routes = server_of(root, dialect)

    async def all_of_them():
        with witnessed() as deeds:
            found = [await answer(routes, "GET", target) for target in targets]
            heads = [await answer(routes, "HEAD", target) for target in targets]
        assert [one.status for one in found] == [one.status for one in heads]
        return found, misdeeds(deeds, [root])

    # Modules that few requests need are read when they are needed.
    asyncio.run(answer(server_of(root / "real"), "GET", "/app-prod.yml"))
    asyncio.run(answer(server_of(root / "real"), "GET", "/a/b/main/foo.txt"))
    found, done = asyncio.run(all_of_them())
    assert done == []
    assert b"canary" not in b"".join(one.body for one in found)
    return [(one.status, b"inside" in one.body) for one in found]


@kinds
@places
def test_a_bundle_is_a_regular_file(root, make, place):
    """Or a link to one below the root; all else is absent, at once, on every route."""
    put(root, place, make)
    targets = (*ENVIRONMENTS, *FILES, *PLAIN)
    expected = (200, True) if make in READABLE else (404, False)
    assert answers(root, targets) == [expected] * len(targets)


@kinds
def test_the_same_for_spring(root, make):
    """Where nothing is an answer without sources."""
    put(root, "app-prod.yml", make)
    targets, is_there = (*ENVIRONMENTS, *FILES), make in READABLE
    assert answers(root, targets, SPRING) == [(200, is_there)] * len(targets)
    expected = (200, True) if is_there else (404, False)
    assert answers(root, PLAIN, SPRING) == [expected] * len(PLAIN)


@kinds
@places
def test_a_list_has_what_can_be_fetched(root, make, place):
    """And works beside whatever else is there."""
    put(root, place, make)
    got = ask(root, "GET", "/_list")
    assert got.status == 200
    listed = [one for one in json.loads(got.body) if one["application"] == "app" and one["label"] != "real"]  # fmt: skip
    bundle = {"application": "app", "profile": "prod", "label": "main"}
    inner = [{**bundle, "label": place}] if make is full_folder else []
    assert listed == ([bundle] if make in READABLE else inner)


@kinds
def test_a_save_replaces_what_has_the_name_and_nothing_else(root, make):
    """No link is written through, no pipe is written to; a folder is left alone."""
    put(root, "main/app-prod.yaml", make)
    before = content(root.parent)
    routes = server_of(root)

    async def save():
        with witnessed() as deeds:
            saved = await answer(routes, "POST", "/app/prod")
            read = await answer(routes, "GET", "/app/prod")
        return saved.status, read, misdeeds(deeds, [root])

    asyncio.run(answer(server_of(root / "real"), "POST", "/warm/up"))
    shutil.rmtree(root / "real/main")
    status, read, done = asyncio.run(save())
    after = content(root.parent)
    assert done == []
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    if make in KEPT:
        assert (status, changed) == (500, set())
    else:
        assert (status, changed) == (200, {"cfg/main/app-prod.yaml"})
        assert json.loads(read.body)["propertySources"][0]["source"] == {"saved": 1}
        assert (root / "main/app-prod.yaml").lstat().st_mode & ~0o777 == 0o100000
        assert (root / "main/app-prod.yaml").lstat().st_nlink == 1


def test_what_lies_outside_gives_a_new_file_no_mode(root):
    """A link to what all may write to, with the rights of its owner, is just a name."""
    (root / "main").mkdir()
    (root.parent / "outside.yml").chmod(0o4666)
    link_out(root / "main/app-prod.yaml")
    assert ask(root, "POST", "/app/prod").status == 200
    assert (root / "main/app-prod.yaml").stat().st_mode == 0o100600


# folders


@pytest.mark.parametrize("make", [link_to_a_folder, *ABSENT], ids=lambda make: make.__name__)  # fmt: skip
@pytest.mark.parametrize("targets", [("/app/prod/v2", "/v2/app-prod.yml", "/x/y/v2/foo.txt"), ("/x/y/main/v2/foo.txt", "/x/y/main/v2/app-prod.yml")], ids=["label", "path"])  # fmt: skip
def test_a_folder_is_one_below_the_root(root, make, targets):
    """That of a label, and one in the path of a plain file; a link is its folder."""
    put(root, "v2", make)
    found = answers(root, targets)
    if make is link_to_a_folder:
        assert found == [(200, True)] * len(targets)
    elif make is full_folder:
        has = (200, True), (404, False)  # it holds app-prod.yml and nothing else
        assert found == [has[target.endswith("foo.txt")] for target in targets]
    else:
        assert found == [(404, False)] * len(targets)


LINKED_OUT = (link_out, absolute_link_out, loop, dangling, pipe, unix_socket, device)


@pytest.mark.parametrize("make", LINKED_OUT, ids=lambda make: make.__name__)
def test_a_save_goes_to_no_folder_that_is_none(root, make):
    """It is refused, and nothing is made or removed, here or outside."""
    put(root, "v2", make)
    before = content(root.parent)
    assert ask(root, "POST", "/app/prod/v2").status == 500
    assert before == content(root.parent)


def linked_folder_out(path):
    path.symlink_to("../outside")


def linked_folder_absolute(path):
    path.symlink_to(path.parent.parent / "outside")


def linked_folder_upwards(path):
    path.symlink_to("real/../..")


@pytest.mark.parametrize("make", [linked_folder_out, linked_folder_absolute, linked_folder_upwards], ids=lambda make: make.__name__)  # fmt: skip
def test_a_linked_folder_leads_nowhere_else(root, make):
    """For readers, for lists and for saves."""
    make(root / "v2")
    (root / "v2-saved").mkdir()
    before = content(root.parent)
    targets = ("/app/prod/v2", "/v2/app-prod.yml", "/x/y/v2/foo.txt", "/x/y/main/v2/foo.txt", "/x/y/main/v2/outside.yml", "/x/y/v2/outside/foo.txt")  # fmt: skip
    assert answers(root, targets) == [(404, False)] * len(targets)
    assert "v2" not in {one["label"] for one in json.loads(ask(root, "GET", "/_list").body)}  # fmt: skip
    assert [ask(root, "POST", f"/app/prod/v2{below}").status for below in ("", "(_)deep", "(_)outside")] == [500] * 3  # fmt: skip
    assert before == content(root.parent)


# names


def test_a_name_has_one_case_and_one_form(root):
    """`App` is not `app`; what was composed is not what was not, in either direction."""
    composed = "caf\u00e9"
    names = {"App-prod.yml": "upper", f"{unicodedata.normalize('NFD', composed)}-prod.yml": "decomposed", "ﬁn-prod.yml": "ligature"}  # fmt: skip
    for name, text in names.items():
        (root / name).write_text(f"a: {text}\n")
    targets = ("/app/prod", "/APP/prod", "/caf%C3%A9/prod", "/fin/prod", "/x/y/main/app-prod.yml", "/x/y/main/caf%C3%A9-prod.yml", "/x/y/main/fin-prod.yml", "/App/PROD")  # fmt: skip
    assert [ask(root, "GET", target).status for target in targets] == [404] * len(targets)  # fmt: skip
    refused = ("/cafe%CC%81/prod", "/x/y/main/cafe%CC%81-prod.yml")
    assert [ask(root, "GET", target).status for target in refused] == [400, 400]
    listed = [one["application"] for one in json.loads(ask(root, "GET", "/_list").body) if one["label"] == "main"]  # fmt: skip
    assert listed == ["App", "real", "ﬁn"]
    (root / f"{composed}-prod.yml").write_text("a: composed\n")
    got = json.loads(ask(root, "GET", "/caf%C3%A9/prod").body)
    assert got["propertySources"][0]["source"] == {"a": "composed"}


def test_names_that_are_no_text_are_passed_by(root):
    """Nobody can ask for them, and no list fails for them."""
    for name in (b"\xff-prod.yml", b"bell\x07-prod.yml", b"line\nend-prod.yml", b"-prod.yml", b"a b -prod.yml"):  # fmt: skip
        os.close(os.open(os.fsencode(root) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    (root / "app-prod.yml").write_text(INSIDE)
    got = ask(root, "GET", "/_list")
    assert (got.status, ask(root, "GET", "/app/prod").status) == (200, 200)
    assert [one["application"] for one in json.loads(got.body)].count("app") == 2


UNREADABLE = """
import asyncio, sys
from pyconfserve import ConfigServer, FilesystemConfigBackend
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes

routes = Routes(ConfigServer(FilesystemConfigBackend(sys.argv[1])))
for line in sys.argv[2:]:
    method, path = line.split()
    got = asyncio.run(routes.handle(Request(method, path, "", {}, b"{}" * (method == "POST"))))
    print(got.status, got.body.decode())
"""


def test_what_may_not_be_read_is_500_for_its_own_application_alone(root):
    """It is not absent, which would be a guess; lists and others are as always."""
    (root / "app-prod.yml").write_text(OUTSIDE)
    (root / "other-prod.yml").write_text(INSIDE)
    (root / "v2").mkdir()
    (root / "linked-prod.yml").symlink_to("app-prod.yml")
    (root / "app-prod.yml").chmod(0)
    (root / "v2").chmod(0)
    command = [sys.executable, "-c", UNREADABLE, str(root)]
    asked = ["/app/prod", "/app-prod.yml", "/x/y/main/app-prod.yml", "/linked/prod", "/other/prod/v2", "/other/prod"]  # fmt: skip
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root reads everything, and setpriv is not installed (util-linux)")  # fmt: skip
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    try:
        done = subprocess.run([*command, *(f"GET {path}" for path in asked)], cwd=HERE.parent, capture_output=True, text=True, timeout=30)  # fmt: skip
    finally:
        (root / "v2").chmod(0o700)
    if not done.stdout:
        pytest.skip(f"not permitted here: {done.stderr[-200:]}")
    lines = done.stdout.splitlines()
    assert [line[:3] for line in lines] == ["500", "500", "500", "500", "500", "200"]
    assert json.loads(lines[0][4:])["message"] == "app-prod.yml: permission denied"
    assert "canary" not in done.stdout
    assert str(root) not in done.stdout


# what changes while it is read


def swap_for_a_link(root, target):
    """Put a link in the place of app-prod.yml, in one step."""
    (root / "new").symlink_to(target)
    os.rename(root / "new", root / "app-prod.yml")


@pytest.mark.parametrize("target", ["../outside.yml", "/etc/passwd", "/dev/zero"])
@pytest.mark.parametrize("asked", ["/app/prod", "/app-prod.yml", "/x/y/main/app-prod.yml"])  # fmt: skip
def test_a_file_that_becomes_a_link_before_it_is_opened(root, target, asked):
    """It was looked at as a file, and is a link when it is opened: it is not followed."""
    (root / "app-prod.yml").write_text(INSIDE)
    with before_it_opens("app-prod.yml", lambda: swap_for_a_link(root, target)) as swaps:  # fmt: skip
        got = ask(root, "GET", asked)
    assert swaps == [1]
    assert got.status in (200, 404)
    assert b"canary" not in got.body
    assert b"root:" not in got.body
    assert ask(root, "GET", asked).status == 404


def test_a_file_that_becomes_a_pipe_before_it_is_opened(root):
    """Nobody writes to it, and nobody waits."""
    (root / "app-prod.yml").write_text(INSIDE)

    def swap():
        (root / "app-prod.yml").unlink()
        os.mkfifo(root / "app-prod.yml")

    for asked in ("/app/prod", "/x/y/main/app-prod.yml"):
        with before_it_opens("app-prod.yml", swap) as swaps:
            assert ask(root, "GET", asked).status == 404
        assert swaps == [1]
        (root / "app-prod.yml").unlink()
        (root / "app-prod.yml").write_text(INSIDE)


def test_a_label_folder_that_becomes_a_link_before_it_is_opened(root):
    """The folder outside is not entered, and nothing is written there."""
    for method, expected in (("GET", {404}), ("POST", {500})):
        (root / "v2").mkdir()
        (root / "v2/app-prod.yml").write_text(INSIDE)

        def swap():
            os.rename(root / "v2", root / "aside")
            (root / "v2").symlink_to("../outside")

        before = content(root.parent / "outside")
        with before_it_opens("v2", swap) as swaps:
            got = ask(root, method, "/app/prod/v2")
        assert (swaps, got.status in expected, b"canary" in got.body) == ([1], True, False)  # fmt: skip
        assert before == content(root.parent / "outside")
        (root / "v2").unlink()
        shutil.rmtree(root / "aside")


def test_a_file_that_grows_above_the_limit_while_it_is_read(root):
    """It is refused like any other that large; a part of it is no answer."""
    tree, is_over = FolderTree(root), threading.Event()
    (root / "big.bin").write_bytes(b"x" * LIMIT)

    def grow_and_shrink():
        while not is_over.is_set():
            os.truncate(root / "big.bin", LIMIT + 1)
            os.truncate(root / "big.bin", LIMIT)

    def read():
        try:
            return len(tree.read("big.bin", LIMIT).data)
        except DocumentError as error:
            return str(error)

    writer = threading.Thread(target=grow_and_shrink)
    writer.start()
    try:
        found = {read() for _ in range(3000)}
    finally:
        is_over.set()
        writer.join()
    assert found == {LIMIT, f"big.bin: larger than {LIMIT} bytes"}


def test_a_bundle_that_is_rewritten_while_it_is_read_is_whole(root):
    """By writers that rename, and by those that write in place: an answer is of one."""
    path = root / "app-prod.json"
    texts = [json.dumps({f"key-{number}": value for number in range(500)}) for value in (1, 2)]  # fmt: skip
    path.write_text(texts[0])
    is_over = threading.Event()

    def rewrite():
        number = 0
        while not is_over.is_set():
            number += 1
            (root / "new").write_text(texts[number % 2])
            os.rename(root / "new", path)

    async def read():
        routes, found = server_of(root), []
        for _ in range(150):
            got = await answer(routes, "GET", "/app/prod")
            assert got.status == 200
            found.append(json.loads(got.body)["propertySources"][0]["source"])
        return found

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        found = asyncio.run(read())
    finally:
        is_over.set()
        writer.join()
    assert {len(source) for source in found} == {500}
    assert [source for source in found if len(set(source.values())) != 1] == []


def test_a_file_of_the_size_of_the_limit_and_one_of_holes(root):
    """Size is judged before it is read: a file of a terabyte of nothing costs nothing."""
    (root / "app-prod.yml").write_text(f"a: 1\n{'#' * (LARGEST_FILE - 5)}")
    assert ask(root, "GET", "/app/prod").status == 200
    (root / "app-prod.yml").write_text(f"a: 1\n{'#' * (LARGEST_FILE - 4)}")
    assert ask(root, "GET", "/app/prod").status == 500
    for size in (1 << 40, 1 << 30):
        try:
            os.truncate(root / "app-prod.yml", size)
        except OSError:
            continue  # more than this file system has
        for target in ("/app/prod", "/x/y/main/app-prod.yml"):
            assert ask(root, "GET", target).status == 500


# git


MODES = {
    "link": ("120000", "real.yml"),
    "link out": ("120000", "../../outside.yml"),
    "absolute link": ("120000", "/etc/passwd"),
    "link to a device": ("120000", "/dev/zero"),
    "loop": ("120000", "app-prod.yml"),
    "dangling": ("120000", "nowhere"),
    "link to a folder": ("120000", "real"),
    "link with nothing in it": ("120000", ""),
    "link with a nul": ("120000", b"real.yml\0x"),
    "submodule": ("160000", "ab" * 20),
}


USUAL = {"real.yml": INSIDE, "real/app-prod.yml": INSIDE, "real/foo.txt": INSIDE}


@contextmanager
def git_server(folder):
    """`make(files)`: routes over a commit of these files, and those to lead to, alone."""
    pytest.importorskip("git", reason="pip install 'pyconfserve[git]'")
    from real_git import Origin

    from pyconfserve.adapters.git import GitConfigBackend

    origin = Origin(folder / "origin", files={"x": ""})
    backend = GitConfigBackend(origin.uri, clone_dir=str(folder / "clone"), refresh_rate=0)  # fmt: skip
    routes = Routes(ConfigServer(backend))

    def make(files):
        origin.rewrite(USUAL | files)
        asyncio.run(backend.refresh())
        return routes

    yield make
    asyncio.run(backend.close())


@pytest.fixture(scope="module")
def git_routes(tmp_path_factory):
    """One clone for all tests that read."""
    with git_server(tmp_path_factory.mktemp("git")) as make:
        yield make


@pytest.fixture
def git_routes_for_saves(tmp_path):
    """One for each test, as origin would be in conflict with a save."""
    with git_server(tmp_path) as make:
        yield make


def git_ask(routes, targets, method="GET"):
    async def all_of_them():
        return [await answer(routes, method, target) for target in targets]

    found = asyncio.run(all_of_them())
    assert b"root:" not in b"".join(one.body for one in found)
    return [(one.status, b"inside" in one.body) for one in found]


@pytest.mark.parametrize("name", MODES)
def test_in_git_a_bundle_is_a_regular_file(git_routes, name):
    """No link is followed, not even one inside; a submodule is no folder."""
    routes = git_routes({"app-prod.yml": MODES[name], "v2": MODES[name]})
    folders = ("/x/y/main/v2/foo.txt", "/x/y/main/v2/app-prod.yml", "/x/y/main/v2")
    targets = (*ENVIRONMENTS, *FILES, *PLAIN, *folders)
    assert git_ask(routes, targets) == [(404, False)] * len(targets)
    listed = json.loads(asyncio.run(answer(routes, "GET", "/_list")).body)
    assert [one["application"] for one in listed] == ["real"]


def test_in_git_a_folder_has_the_name_of_a_bundle(git_routes):
    """It is absent as one, and what lies in it is a plain file."""
    routes = git_routes({"app-prod.yml/foo.txt": INSIDE})
    targets = (*ENVIRONMENTS, *FILES, *PLAIN)
    assert git_ask(routes, targets) == [(404, False)] * len(targets)
    assert git_ask(routes, ["/x/y/main/app-prod.yml/foo.txt"]) == [(200, True)]


def test_in_git_names_have_one_case_and_one_form(git_routes):
    """Whatever file system the clone is on."""
    routes = git_routes({"App-prod.yml": OUTSIDE, "cafe\u0301-prod.yml": OUTSIDE, "PROD.txt": OUTSIDE})  # fmt: skip
    targets = ("/app/prod", "/caf%C3%A9/prod", "/x/y/main/prod.txt", "/x/y/main/caf%C3%A9-prod.yml")  # fmt: skip
    assert git_ask(routes, targets) == [(404, False)] * len(targets)


@pytest.mark.parametrize(
    ("there", "status"),
    [
        ({"app-prod.yaml": MODES["link"]}, 200),
        ({"app-prod.yaml": MODES["absolute link"]}, 200),
        ({"app-prod.yaml": MODES["submodule"]}, 409),
        ({"app-prod.yaml/precious.txt": INSIDE}, 409),
    ],
    ids=["link", "absolute link", "submodule", "folder"],
)
def test_in_git_a_save_replaces_files_and_links_alone(git_routes_for_saves, there, status):  # fmt: skip
    """What else has the name stays, with all that is in it."""
    routes = git_routes_for_saves(there)
    assert git_ask(routes, ["/app/prod/main"], "POST")[0][0] == status
    [path] = there
    if status == 200:
        assert git_ask(routes, ["/app/prod"])[0][0] == 200
    elif "/" in path:
        assert git_ask(routes, [f"/x/y/main/{path}"]) == [(200, True)]
