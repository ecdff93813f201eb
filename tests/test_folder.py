"""folder: a folder as a tree of files; its faults are real ones."""

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pyconfserve.errors import (
    BackendError,
    BackendMisconfigured,
    BackendUnavailable,
    DocumentError,
    StorageFull,
    VersionConflict,
)
from pyconfserve.files import Folder
from pyconfserve.folder import FolderTree, reported

LIMIT = 3 * 1024 * 1024


@pytest.fixture
def root(tmp_path):
    """A folder with a few files, all of them settled long ago."""
    root = tmp_path / "root"
    (root / "v2").mkdir(parents=True)
    (root / "orders.yml").write_text("a: 1")
    (root / "v2" / "orders.yml").write_text("a: 2")
    return root


def content(root):
    """All files below *root*, hidden ones too, as {path: text}."""
    files = (path for path in root.rglob("*") if not path.is_dir())
    return {str(path.relative_to(root)): path.read_text() for path in files}


def test_a_tree_names_its_place(root, monkeypatch):
    """As an absolute path, and as Spring's sources begin."""
    monkeypatch.chdir(root.parent)
    tree = FolderTree("root")
    assert (str(root), f"file:{root}/") == (tree.root, tree.uri)


def test_a_file_has_its_bytes_and_time(root):
    """The time in seconds since the epoch."""
    os.utime(root / "orders.yml", (5, 1234.5))
    assert FolderTree(root).read("orders.yml") == (b"a: 1", 1234.5)


def test_a_file_is_read_up_to_the_limit(root):
    """One byte more is an error that names the file."""
    (root / "large.yml").write_bytes(b"x" * LIMIT)
    assert FolderTree(root).read("large.yml").data == b"x" * LIMIT
    (root / "large.yml").write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(DocumentError) as caught:
        FolderTree(root).read("large.yml")
    assert f"large.yml: larger than {LIMIT} bytes" == str(caught.value)


def test_a_folder_is_listed_in_order(root):
    """Hidden names and those that are no text are left out; a link to a folder is none."""
    for name in ("b.yml", "A.yml", ".hidden", "bell\x07.yml", "é.yml"):
        (root / name).write_text("")
    os.close(os.open(os.fsencode(root) + b"/\xff.yml", os.O_CREAT | os.O_WRONLY))
    (root / ".git").mkdir()
    (root / "link.yml").symlink_to("orders.yml")
    (root / "linked").symlink_to("v2")
    found = FolderTree(root).list("")
    files = ("A.yml", "b.yml", "link.yml", "orders.yml", "é.yml")
    assert found.folders == ("v2",)
    assert files == tuple(name for name in found.files if name.endswith(".yml"))
    assert Folder(("orders.yml",), ()) == FolderTree(root).list("v2")


@pytest.mark.parametrize("path", ["absent", "orders.yml", "v2/absent", "out"])
def test_what_is_no_folder_is_not_listed(root, path):
    """None, also for a link out of the root."""
    (root / "out").symlink_to("..")
    assert FolderTree(root).list(path) is None


# stamps


def edit(root):
    (root / "orders.yml").write_text("a: 2")


def replace(root):
    (root / "new").write_text("a: 1")
    os.rename(root / "new", root / "orders.yml")


def touch(root):
    os.utime(root / "orders.yml", (1, 1))


def remove(root):
    (root / "orders.yml").unlink()


def change_mode(root):
    (root / "orders.yml").chmod(0o600)


def create(root):
    (root / "new.yml").write_text("")


def rename(root):
    os.rename(root / "orders.yml", root / "other.yml")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("orders.yml", edit),
        ("orders.yml", replace),
        ("orders.yml", touch),
        ("orders.yml", change_mode),
        ("orders.yml", remove),
        ("", create),
        ("", remove),
        ("", rename),
        ("new.yml", create),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_stamp_changes_with_what_it_names(root, path, change):
    """A file's with its content, a folder's with its names; at once without an interval."""
    tree = FolderTree(root, refresh_interval=0)
    before = tree.stamp((path, "v2"))
    change(root)
    after = tree.stamp((path, "v2"))
    assert before[0] != after[0]
    assert (before[1] is None) is (after[1] is None)


def test_a_stamp_stays_while_nothing_changes(root):
    """Reading is no change; what is absent has none."""
    for path in (root / "orders.yml", root):
        os.utime(path, (1, 1))
    tree = FolderTree(root, refresh_interval=0)
    settled = threading.Event()
    settled.wait(0.06)  # until the change is old enough to show in the times
    before = tree.stamp(("orders.yml", "", "absent", "orders.yml/x", "a\0b"))
    tree.read("orders.yml")
    tree.list("")
    assert before == tree.stamp(("orders.yml", "", "absent", "orders.yml/x", "a\0b"))
    assert before[2:] == (None, None, None)
    assert None not in before[:2]


def test_a_file_changed_just_now_is_not_settled(root):
    """Its stamp changes once more by itself, so that whoever read it reads again."""
    edit(root)
    tree = FolderTree(root, refresh_interval=0)
    before = tree.stamp(("orders.yml",))
    threading.Event().wait(0.06)
    after = tree.stamp(("orders.yml",))
    assert before[0][:-1] == after[0][:-1]
    assert (before[0][-1], after[0][-1]) == (False, True)


def test_a_stamp_is_believed_for_the_interval(root):
    """Unless a fresh one is asked for; paths not seen before are looked up."""
    tree = FolderTree(root, refresh_interval=3600)
    before = tree.stamp(("orders.yml",))
    edit(root)
    assert before == tree.stamp(("orders.yml",))
    fresh = tree.stamp(("orders.yml",), fresh=True)
    assert before != fresh
    assert before == tree.stamp(("orders.yml", "v2"))[:1]


def test_a_stamp_is_looked_up_again_after_the_interval(root):
    """The interval is in seconds."""
    tree = FolderTree(root, refresh_interval=0.02)
    before = tree.stamp(("orders.yml",))
    edit(root)
    threading.Event().wait(0.03)
    assert before != tree.stamp(("orders.yml",))


def test_a_stamp_is_looked_up_again_when_it_must_be(root):
    """Before the interval is over."""
    tree = FolderTree(root, refresh_interval=60)
    before = tree.stamp(("orders.yml",))
    (root / "orders.yml").write_text("a: 2")
    assert before == tree.stamp(("orders.yml",))
    tree.look_again()
    assert before != tree.stamp(("orders.yml",))


def test_stamps_that_are_believed_have_an_end(root, monkeypatch):
    """Of however many paths, for however long."""
    monkeypatch.setattr("pyconfserve.folder._MOST_STAMPS", 100)
    tree = FolderTree(root, refresh_interval=3600)
    sizes = []
    for number in range(250):
        tree.stamp((f"{number}",))
        sizes.append(len(tree._stamps))
    assert max(sizes) == 101


def test_a_change_made_here_is_seen_within_the_interval(root):
    """The tree does not wait to see its own writes."""
    tree = FolderTree(root, refresh_interval=3600)
    before = tree.stamp(("orders.yml",))
    tree.change({"orders.yml": b"a: 2"}, "edit")
    assert before != tree.stamp(("orders.yml",))


# changes


def test_a_change_writes_and_removes(root):
    """Several files at once, folders made as needed, nothing else left behind."""
    changes = {"orders.yml": b"a: 3", "a/b/new.yml": b"", "v2/orders.yml": None}
    FolderTree(root).change(changes, "edit")
    assert content(root) == {"orders.yml": "a: 3", "a/b/new.yml": ""}


@pytest.mark.parametrize("path", ["orders.yml", "main/orders.yml", "a/b/orders.yml"])
def test_a_change_without_a_root_is_an_error(root, path):
    """What vanished, such as a volume, is not made anew by a save."""
    tree = FolderTree(root)
    shutil.rmtree(root)
    with pytest.raises(BackendUnavailable) as caught:
        tree.change({path: b""}, "edit")
    assert str(caught.value) == "the root is not there"
    assert not root.exists()


def test_a_change_of_another_state_changes_nothing(root):
    """All its files are as before when one of the expected stamps is another."""
    tree = FolderTree(root)
    paths = ("orders.yml", "v2/orders.yml", "absent.yml")
    expected = dict(zip(paths, tree.stamp(paths, fresh=True), strict=True))
    (root / "v2" / "orders.yml").write_text("a: theirs")
    before = content(root)
    with pytest.raises(VersionConflict):
        tree.change({"orders.yml": b"mine", "absent.yml": b"mine"}, "edit", expected)
    assert before == content(root)


def test_a_change_of_the_expected_state_is_made(root):
    """An expected absence as well."""
    threading.Event().wait(0.06)
    tree = FolderTree(root)
    paths = ("orders.yml", "absent.yml")
    expected = dict(zip(paths, tree.stamp(paths, fresh=True), strict=True))
    tree.change({"absent.yml": b"mine"}, "edit", expected)
    assert (root / "absent.yml").read_text() == "mine"
    with pytest.raises(VersionConflict):
        tree.change({"absent.yml": b"again"}, "edit", expected)


def test_what_a_file_hid_never_shows(root):
    """Of removals the first named comes last: one that fails leaves it where it is."""
    (root / "orders.yaml").write_text("a: 0")
    with pytest.raises(BackendMisconfigured):
        FolderTree(root).change({"orders.yaml": None, "v2": None}, "delete")
    assert (root / "orders.yaml").read_text() == "a: 0"


def test_a_change_goes_through_links_inside_the_root(root):
    """A linked folder is written to, a linked file is replaced by a file."""
    (root / "linked").symlink_to("v2")
    (root / "link.yml").symlink_to("orders.yml")
    changes = {"linked/orders.yml": b"a: 3", "link.yml": b"a: 4"}
    FolderTree(root).change(changes, "edit")
    expected = {"orders.yml": "a: 1", "link.yml": "a: 4", "v2/orders.yml": "a: 3", "linked": "linked"}  # fmt: skip
    files = {path: "linked" if path == "linked" else (root / path).read_text() for path in expected}  # fmt: skip
    assert expected == files
    assert (root / "linked").is_symlink()
    assert not (root / "link.yml").is_symlink()


@pytest.mark.parametrize("target", ["..", "../outside", "/tmp"])
def test_a_change_does_not_leave_the_root(root, target):
    """A linked folder outside of it is refused, and so is a path upwards."""
    (root.parent / "outside").mkdir()
    (root / "out").symlink_to(target)
    for path in ("out/orders.yml", "out/a/orders.yml", "../outside/orders.yml"):
        with pytest.raises(BackendMisconfigured):
            FolderTree(root).change({path: b"x"}, "edit")
    assert os.listdir(root.parent / "outside") == []
    assert sorted(os.listdir(root.parent)) == ["outside", "root"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("orders.yml/x.yml", "orders.yml/x.yml: not a directory"),
        ("orders.yml/a/x.yml", "orders.yml/a/x.yml: not a directory"),
        ("x" * 300, f"{'x' * 300}: file name too long"),
        ("v2", "v2: is a directory"),
    ],
    ids=["file-as-folder", "file-as-upper-folder", "long-name", "folder-as-file"],
)
def test_what_cannot_be_written_is_the_owners_to_mend(root, path, message):
    """The error names the path below the root and what the system says."""
    before = content(root)
    with pytest.raises(BackendMisconfigured) as caught:
        FolderTree(root).change({path: b"x"}, "edit")
    assert (message, 500) == (str(caught.value), caught.value.status)
    assert isinstance(caught.value.__cause__, OSError)
    assert before == content(root)


def test_the_removal_of_what_is_absent_is_an_error(root):
    """Someone else removed it meanwhile."""
    with pytest.raises(BackendMisconfigured) as caught:
        FolderTree(root).change({"absent.yml": None}, "edit")
    assert str(caught.value) == "absent.yml: no such file or directory"


def test_no_descriptor_left_may_pass(root):
    """503, for reading and for writing."""
    tree = FolderTree(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    caught = []
    try:
        for attempt in (
            lambda: tree.read("orders.yml"),
            lambda: tree.list(""),
            lambda: tree.change({"orders.yml": b"x"}, "edit"),
        ):
            with pytest.raises(BackendUnavailable) as error:
                attempt()
            caught.append(str(error.value))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    places = ("orders.yml", "the root", "the root")
    assert [f"{place}: too many open files" for place in places] == caught
    assert (root / "orders.yml").read_text() == "a: 1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EFBIG, StorageFull),
        (errno.EROFS, BackendUnavailable),
        (errno.EMFILE, BackendUnavailable),
        (errno.ENFILE, BackendUnavailable),
        (errno.ENOMEM, BackendUnavailable),
        (errno.EAGAIN, BackendUnavailable),
        (errno.EINTR, BackendUnavailable),
        (errno.EIO, BackendMisconfigured),
        (errno.EACCES, BackendMisconfigured),
        (errno.EPERM, BackendMisconfigured),
        (errno.ENOTDIR, BackendMisconfigured),
        (None, BackendMisconfigured),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else "",
)
def test_an_error_of_the_system_is_told_by_what_helps(code, kind):
    """No room left, trouble that may pass, and what only the owner can mend; the text is
    the path below the root and the system's word, nothing else of the error.
    """
    error = OSError(code, "secret", "/secret/path")
    with pytest.raises(BackendError) as caught, reported("v2/orders.yml"):
        raise error
    text = f"v2/orders.yml: {os.strerror(code or 0).lower()}"
    assert (kind, text) == (type(caught.value), str(caught.value))
    assert error is caught.value.__cause__
    with pytest.raises(BackendError, match=r"^the root: "), reported(""):
        raise error


def test_other_errors_are_not_the_systems():
    """They pass as they are."""
    with pytest.raises(KeyError), reported("x"):
        raise KeyError


def test_changes_side_by_side_are_made_one_after_the_other(root):
    """What they expect is judged together with the change, so only one of them wins."""
    tree = FolderTree(root)
    threading.Event().wait(0.06)
    expected = {"orders.yml": tree.stamp(("orders.yml",), fresh=True)[0]}
    won, lost = [], []

    def change(number):
        try:
            tree.change({"orders.yml": f"a: {number}".encode()}, "edit", expected)
            won.append(number)
        except VersionConflict:
            lost.append(number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(won), len(lost)) == (1, 19)
    assert f"a: {won[0]}" == (root / "orders.yml").read_text()


# faults that take another process: its limits, its rights, its mounts

CHILD = """
import sys
from pyconfserve.errors import BackendError
from pyconfserve.folder import FolderTree

def attempt(what, *arguments):
    try:
        return what(*arguments)
    except BackendError as error:
        return f"{type(error).__name__} {error.status} {error}"

root = sys.argv[1]
tree = FolderTree(root)
"""


def run_child(program, root, *, before=()):
    """The lines that a Python program prints, started by the command *before*; the test
    is skipped where that is not to be had.
    """
    if before and not shutil.which(before[0]):
        pytest.skip(f"{before[0]} is not installed (util-linux)")
    command = [*before, sys.executable, "-c", CHILD + program, str(root)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    if before and not done.stdout:
        pytest.skip(f"not permitted here: {' '.join(before[:2])}: {done.stderr[-200:]}")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def in_own_mounts(mount):
    """The command that runs a program after *mount*, which only it can see."""
    return ("unshare", "--mount", "--map-root-user", "sh", "-c", f'{mount} && exec "$@"', "sh")  # fmt: skip


def test_a_file_above_the_limit_of_the_process_is_storage_full(root):
    """507 with the old value intact and no temporary file; a smaller save works again."""
    program = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
print(attempt(tree.change, {"orders.yml": b"x" * 20_000}, "edit"))
print(attempt(tree.change, {"new.yml": b"x" * 20_000}, "edit"))
print(attempt(tree.change, {"v2/orders.yml": b"x" * 10_000}, "edit"))
"""
    expected = [
        "StorageFull 507 orders.yml: file too large",
        "StorageFull 507 new.yml: file too large",
        "None",
    ]
    assert expected == run_child(program, root)
    assert content(root) == {"orders.yml": "a: 1", "v2/orders.yml": "x" * 10_000}


def test_a_full_disk_is_storage_full(root):
    """A real one of 1 MB: 507, the old value intact, and room again after a removal."""
    program = """
import os
tree.change({"orders.yml": b"a: 1"}, "edit")
print(attempt(tree.change, {"large.yml": b"x" * 700_000}, "edit"))
print(attempt(tree.change, {"orders.yml": b"x" * 700_000}, "edit"))
print(tree.read("orders.yml").data.decode(), sorted(os.listdir(root)))
print(attempt(tree.change, {"large.yml": None, "orders.yml": b"x" * 700_000}, "edit"))
print(len(tree.read("orders.yml").data), os.listdir(root))
"""
    before = in_own_mounts(f"mount -t tmpfs -o size=1m none '{root}'")
    expected = [
        "None",
        "StorageFull 507 orders.yml: no space left on device",
        "a: 1 ['large.yml', 'orders.yml']",
        "None",
        "700000 ['orders.yml']",
    ]
    assert expected == run_child(program, root, before=before)


def test_a_read_only_file_system_is_read(root):
    """Saves are 503: the system may be writable again soon."""
    program = """
print(tree.read("orders.yml").data.decode())
print(attempt(tree.change, {"orders.yml": b"x"}, "edit"))
print(attempt(tree.change, {"v2/orders.yml": None}, "edit"))
print(attempt(tree.change, {"a/b/new.yml": b"x"}, "edit"))
"""
    mount = f"mount --bind '{root}' '{root}' && mount -o remount,bind,ro '{root}'"
    expected = [
        "a: 1",
        "BackendUnavailable 503 orders.yml: read-only file system",
        "BackendUnavailable 503 v2/orders.yml: read-only file system",
        "BackendUnavailable 503 a/b/new.yml: read-only file system",
    ]
    assert expected == run_child(program, root, before=in_own_mounts(mount))
    assert content(root) == {"orders.yml": "a: 1", "v2/orders.yml": "a: 2"}


def test_what_may_not_be_read_or_written_is_the_owners_to_mend(root):
    """500, and never taken for absent."""
    program = """
print(attempt(tree.read, "orders.yml"))
print(attempt(tree.read, "v2/orders.yml"))
print(attempt(tree.list, "v2"))
print(attempt(tree.change, {"new.yml": b"x"}, "edit"))
print(attempt(tree.change, {"new/new.yml": b"x"}, "edit"))
"""
    (root / "orders.yml").chmod(0o200)
    (root / "v2").chmod(0o000)
    root.chmod(0o500)
    before = () if os.getuid() else ("setpriv", "--bounding-set=-all", "--inh-caps=-all")  # fmt: skip
    try:
        lines = run_child(program, root, before=before)
    finally:
        root.chmod(0o700)
        (root / "v2").chmod(0o700)
        (root / "orders.yml").chmod(0o600)
    places = ("orders.yml", "v2/orders.yml", "v2", "new.yml", "new/new.yml")
    expected = [
        f"BackendMisconfigured 500 {place}: permission denied" for place in places
    ]
    assert expected == lines
    assert content(root) == {"orders.yml": "a: 1", "v2/orders.yml": "a: 2"}


def test_new_files_do_not_depend_on_the_umask(root):
    """A generous one does not open them to others."""
    program = """
import os
os.umask(0)
tree.change({"a/new.yml": b"x"}, "edit")
print("done")
"""
    assert run_child(program, root) == ["done"]
    modes = [stat.S_IMODE((root / path).stat().st_mode) for path in ("a", "a/new.yml")]
    assert modes == [0o700, 0o600]


def test_a_link_to_nothing_has_a_stamp(tmp_path):
    """What it leads to may come without a trace in any folder that was looked at."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "orders.yml").symlink_to("shared/orders.yml")
    tree = FolderTree(tmp_path)
    before = tree.stamp(("", "orders.yml"), fresh=True)
    (tmp_path / "shared/orders.yml").write_text("a: 1\n")
    after = tree.stamp(("", "orders.yml"), fresh=True)
    assert before[1] is not None
    assert before[1] != after[1]
