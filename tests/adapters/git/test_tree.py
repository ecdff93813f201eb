"""tree: the files of one commit, whatever the branch does meanwhile."""

import pytest
from real_git import EXECUTABLE, LINK, SUBMODULE

from pyconfserve.adapters.git.objects import Objects
from pyconfserve.adapters.git.process import Git
from pyconfserve.adapters.git.tree import GitTree
from pyconfserve.backend import PlainFile
from pyconfserve.errors import BackendUnavailable, DocumentError
from pyconfserve.files import Folder

URI = "https://git.example/config/"
FILES = {
    "orders.yml": "a: 1\n",
    "empty.yml": "",
    "with space.yml": "b: 2\n",
    "größe-€.yml": "c: 3\n",
    ".hidden": "d",
    "run.sh": (EXECUTABLE, "#!/bin/sh\n"),
    "link.yml": (LINK, "orders.yml"),
    "away.yml": (LINK, "/etc/passwd"),
    "up": (LINK, ".."),
    "linked": (LINK, "folder"),
    "module": (SUBMODULE, "ab" * 20),
    "folder/orders.yml": "e: 5\n",
    "folder/inner/deep.yml": "f: 6\n",
    "folder/inner/link.yml": (LINK, "../../orders.yml"),
    ".git-like/a.yml": "g: 7\n",
    "links-only/link": (LINK, "x"),
    b"\xff.yml": "h: 8\n",
    b"line\nend.yml": "i: 9\n",
}


@pytest.fixture
def objects(origin):
    made = Objects(Git(str(origin.folder)))
    yield made
    made.close()


@pytest.fixture
def make_tree(origin, objects):
    """`make_tree(files)` gives the tree of a new commit of nothing else."""
    return lambda files: GitTree(objects, origin.commit(files, is_root=True), URI)


@pytest.fixture
def tree(make_tree):
    return make_tree(FILES)


def test_a_tree_knows_its_commit_and_its_place(origin, tree):
    """The names of sources begin with the place."""
    expected = origin.head("main"), origin.git("rev-parse", "main^{tree}"), URI
    assert expected == (tree.commit, tree.root, tree.uri)


def test_a_commit_that_is_missing_is_an_error(objects):
    """It is no tree without files."""
    with pytest.raises(BackendUnavailable, match=r"^an object of the repository is missing$"):
        GitTree(objects, "ab" * 20, URI)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("orders.yml", b"a: 1\n"),
        ("empty.yml", b""),
        ("with space.yml", b"b: 2\n"),
        ("größe-€.yml", b"c: 3\n"),
        (".hidden", b"d"),
        ("run.sh", b"#!/bin/sh\n"),
        ("folder/orders.yml", b"e: 5\n"),
        ("folder/inner/deep.yml", b"f: 6\n"),
        (".git-like/a.yml", b"g: 7\n"),
    ],
)
def test_regular_files_are_read(origin, tree, path, data):
    """Executable ones too; each was modified when the commit was made."""
    time = float(origin.git("log", "-1", "--format=%ct", "main"))
    assert PlainFile(data, time) == tree.read(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/", "folder", "folder/", "folder/inner", "absent.yml", "folder/absent.yml", "absent/a.yml"),
        *("link.yml", "away.yml", "folder/inner/link.yml", "linked", "linked/orders.yml", "up", "up/orders.yml"),
        *("module", "module/a.yml", "orders.yml/a.yml", "orders.yml/"),
        *("/orders.yml", "./orders.yml", "folder//orders.yml", "folder/../orders.yml", "folder/inner/../orders.yml"),
        *("ORDERS.YML", "orders.yml ", "orders.yml\n", "�.yml", "--help", "HEAD:orders.yml"),
    ],
)
def test_all_else_is_absent(tree, path):
    """Folders, links, submodules, what lies below them, and other spellings of a path."""
    assert tree.read(path) is None


@pytest.mark.parametrize(
    ("folder", "content"),
    [
        ("", Folder(("empty.yml", "größe-€.yml", "orders.yml", "run.sh", "with space.yml"), ("folder", "links-only"))),
        ("folder", Folder(("orders.yml",), ("inner",))),
        ("folder/inner", Folder(("deep.yml",), ())),
        (".git-like", Folder(("a.yml",), ())),
        ("links-only", Folder((), ())),
        *((path, None) for path in ("absent", "orders.yml", "linked", "up", "module", "folder/absent", "..", "folder/")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_lists_files_and_folders(tree, folder, content):
    """In alphabetical order, without links, submodules, and names that nobody can ask for."""
    assert content == tree.list(folder)


def test_a_stamp_is_the_id_of_what_is_there(origin, tree):
    """Of a folder too; None where nothing is."""
    paths = ("orders.yml", "", "folder", "folder/inner/deep.yml", "absent", "folder/absent", "orders.yml/a")
    listed = origin.git("rev-parse", "main:orders.yml", "main:", "main:folder", "main:folder/inner/deep.yml").split()
    assert (*listed, None, None, None) == tree.stamp(paths) == tree.stamp(paths, fresh=True)


@pytest.mark.parametrize(
    ("changed", "differing"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"folder/b.yml": "2"}, ["", "folder", "folder/b.yml"], id="content"),
        pytest.param({"folder/c.yml": "1"}, ["", "folder"], id="a name that comes"),
        pytest.param({"folder/b.yml": None}, ["", "folder", "folder/b.yml"], id="a name that goes"),
        pytest.param({"folder": "1"}, ["", "folder", "folder/b.yml"], id="a file in a folder's place"),
        pytest.param({"a.yml": (EXECUTABLE, "1")}, [""], id="a permission"),
    ],
)
def test_stamps_differ_where_commits_do(make_tree, changed, differing):
    """And nowhere else, so that what did not change is not read again."""
    files = {"a.yml": "1", "folder/b.yml": "1"}
    paths = ["", "a.yml", "folder", "folder/b.yml"]
    before, after = make_tree(files).stamp(paths), make_tree(files | changed).stamp(paths)
    assert differing == [path for path, old, new in zip(paths, before, after, strict=True) if old != new]


@pytest.mark.parametrize("path", ["folder/large.yml", "large.yml"])
def test_a_file_above_the_limit_is_refused_by_its_path(make_tree, path):
    """One of just the limit is read."""
    tree = make_tree({path: "12345"})
    assert tree.read(path, 5).data == b"12345"
    for _ in range(2):
        with pytest.raises(DocumentError) as caught:
            tree.read(path, 4)
        assert (caught.value.location, caught.value.problem) == (path, "larger than 4 bytes")


def test_a_tree_stays_as_it_was(origin, tree):
    """When its branch moves, is rewritten or goes."""
    before = tree.list(""), tree.read("orders.yml"), tree.stamp([""])
    origin.commit({"orders.yml": "a: 2\n", "new.yml": ""})
    origin.rewrite({"other.yml": ""})
    assert before == (tree.list(""), tree.read("orders.yml"), tree.stamp([""]))
    origin.delete("main")
    assert tree.read("folder/orders.yml").data == b"e: 5\n"


def test_a_missing_object_is_an_error_and_no_absence(origin, objects):
    """A clone that lost a file must not serve a default in its place."""
    commit = origin.commit({"orders.yml": "lost: 1\n", "folder/a.yml": "lost: 2\n"}, is_root=True)
    for path in ("main:orders.yml", "main:folder"):
        id = origin.git("rev-parse", path)
        (origin.folder / "objects" / id[:2] / id[2:]).unlink()
    tree = GitTree(objects, commit, URI)
    for path in ("orders.yml", "folder/a.yml"):
        with pytest.raises(BackendUnavailable, match=r"^an object of the repository is missing$"):
            tree.read(path)
    with pytest.raises(BackendUnavailable, match=r"^an object of the repository is missing$"):
        tree.list("folder")
    assert tree.list("") == Folder(("orders.yml",), ("folder",))
