"""walk: a walk through a folder that cannot leave it."""

import errno
import os
import resource
import socket

import pytest

from pyconfserve.folder import FolderTree
from pyconfserve.walk import Walk


@pytest.fixture
def root(tmp_path):
    """A folder with a file on top and one below, and a secret outside of it."""
    (tmp_path / "secret.yml").write_text("secret")
    root = tmp_path / "root"
    (root / "folder" / "below").mkdir(parents=True)
    (root / "file.yml").write_text("file")
    (root / "folder" / "inner.yml").write_text("inner")
    (root / "folder" / "below" / "deep.yml").write_text("deep")
    return root


@pytest.fixture(autouse=True)
def descriptors():
    """No test leaves a descriptor open."""
    before = os.listdir("/dev/fd")
    yield
    assert before == os.listdir("/dev/fd")


def read(root, path):
    """The text of the regular file at *path*, None for anything else."""
    file = FolderTree(root).read(path)
    return None if file is None else file.data.decode()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("file.yml", "file"),
        ("folder/inner.yml", "inner"),
        ("folder/below/deep.yml", "deep"),
        ("/file.yml", "file"),
        ("folder//inner.yml", "inner"),
        ("./file.yml", "file"),
        ("", None),
        ("folder", None),
        ("absent.yml", None),
        ("absent/file.yml", None),
        ("file.yml/inner.yml", None),
        ("File.yml", None),
        ("x" * 300, None),
    ],
)  # fmt: skip
def test_a_file_is_found_by_its_path(root, path, text):
    """Folders, and what is not there, are absent."""
    assert text == read(root, path)


@pytest.mark.parametrize(
    "path", ["../secret.yml", "folder/../../secret.yml", "folder/.."]
)
def test_a_path_does_not_leave_the_root(root, path):
    """Not even one that no name could make."""
    assert read(root, path) is None


@pytest.mark.parametrize(
    ("links", "text"),
    [
        ({"link": "file.yml"}, "file"),
        ({"link": "./file.yml"}, "file"),
        ({"link": "folder/inner.yml"}, "inner"),
        ({"link": "folder//./inner.yml"}, "inner"),
        ({"link": "folder/../file.yml"}, "file"),
        ({"link": "folder/below/../../folder/inner.yml"}, "inner"),
        ({"link": "one", "one": "two", "two": "file.yml"}, "file"),
        ({"link": "way/inner.yml", "way": "folder"}, "inner"),
        ({"link": "way/../file.yml", "way": "folder"}, "file"),
        ({"link": "folder/up", "folder/up": "../file.yml"}, "file"),
        ({"link": "..data/file.yml", "..data": "..2024", "..2024": "folder", "folder/file.yml": "inner.yml"}, "inner"),
        ({"link": "f39", **{f"f{n}": f"f{n - 1}" for n in range(2, 40)}, "f1": "file.yml"}, "file"),
        ({"link": "f40", **{f"f{n}": f"f{n - 1}" for n in range(2, 41)}, "f1": "file.yml"}, None),
        ({"link": "absent.yml"}, None),
        ({"link": "folder"}, None),
        ({"link": "."}, None),
        ({"link": "folder/.."}, None),
        ({"link": "file.yml/x"}, None),
        ({"link": "../secret.yml"}, None),
        ({"link": "../root/file.yml"}, None),
        ({"link": "folder/../../secret.yml"}, None),
        ({"link": "folder/../../root/file.yml"}, None),
        ({"link": "out/secret.yml", "out": ".."}, None),
        ({"link": "folder/up", "folder/up": "../../secret.yml"}, None),
        ({"link": "{root}/file.yml"}, None),
        ({"link": "{root}/../secret.yml"}, None),
        ({"link": "way/inner.yml", "way": "{root}/folder"}, None),
        ({"link": "/etc/passwd"}, None),
        ({"link": "/dev/null"}, None),
        ({"link": "/proc/self/environ"}, None),
        ({"link": "link"}, None),
        ({"link": "one", "one": "link"}, None),
        ({"link": "loop/inner.yml", "loop": "loop"}, None),
    ],
    ids=[
        "file", "dot", "below", "slashes", "up-and-down", "far-up", "chain", "folder", "up-from-linked-folder",
        "up-from-below", "kubernetes", "40-links", "41-links", "dangling", "to-folder", "to-root", "to-root-by-up",
        "through-file", "out", "out-and-in", "out-by-folder", "out-and-in-by-folder", "out-by-folder-link",
        "out-from-below", "absolute-inside", "absolute-outside", "through-absolute", "passwd", "device", "proc",
        "loop", "loop-of-two", "loop-of-folder",
    ],
)  # fmt: skip
def test_a_link_is_followed_inside_the_root(root, links, text):
    """Relative ones that stay inside, at most 40; all others are absent."""
    for name, target in links.items():
        (root / name).symlink_to(target.format(root=root))
    assert text == read(root, "link")


def test_a_link_to_a_folder_is_a_way(root):
    """Files behind it are found by a path through it."""
    (root / "way").symlink_to("folder/below")
    assert read(root, "way/deep.yml") == "deep"


def test_up_from_a_linked_folder_is_up_from_where_it_is(root):
    """As the kernel does it, not as the text of the path reads."""
    (root / "way").symlink_to("folder/below")
    (root / "folder" / "below" / "up").symlink_to("../inner.yml")
    assert read(root, "way/up") == "inner"


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)  # an address of a socket is at most 107 bytes
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


def make_device(path):
    try:
        os.mknod(path, 0o20600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device takes the rights of root")


@pytest.mark.parametrize(
    "make",
    [make_fifo, make_socket, make_device, os.mkdir],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "linked"])
def test_what_is_no_regular_file_is_absent(root, make, is_linked):
    """It is not waited for, and nothing is read from it."""
    make(root / "odd.yml")
    (root / "link.yml").symlink_to("odd.yml")
    assert read(root, "link.yml" if is_linked else "odd.yml") is None


def test_a_root_may_be_reached_by_a_link(root, tmp_path):
    """Its place is the owner's choice; only what is below is judged."""
    (tmp_path / "link").symlink_to("root")
    assert read(tmp_path / "link", "folder/inner.yml") == "inner"


def test_a_root_that_is_absent_or_a_file_has_nothing(root):
    """Both are like an empty folder."""
    assert read(root / "absent", "file.yml") is None
    assert read(root / "file.yml", "file.yml") is None
    assert read(root / "file.yml", "") is None


def test_a_walk_ends_at_a_descriptor_of_what_is_there(root):
    """A file's, or a folder's; closing twice is fine."""
    for path, place in (("file.yml", "file.yml"), ("folder", "folder"), ("", "")):
        walk = Walk(str(root))
        descriptor = walk.to(path)
        assert os.path.samestat(os.fstat(descriptor), os.stat(root / place))
        walk.close()
        walk.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_other_errors_are_told(root):
    """Only what means absence is taken for it: here no descriptor is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    walk = Walk(str(root))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            walk.to("file.yml")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        walk.close()
    assert caught.value.errno == errno.EMFILE
