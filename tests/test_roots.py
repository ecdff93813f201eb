"""roots: what ROOT on the command line means."""

import subprocess

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.roots import settings_of

REPOSITORIES = {
    "https": "https://example.com/org/repo.git",
    "https-with-user": "https://user:secret@example.com/org/repo",
    "ssh": "ssh://git@example.com/org/repo.git",
    "scp": "git@example.com:org/repo.git",
    "file": "file:///srv/repo.git",
    "file-one-slash": "file:/srv/repo.git",
    "large-letters": "HTTPS://user:secret@example.com/org/repo",
}
STORES = {
    "sqlite": ("sqlite:///var/lib/cfg.db", "sqlite"),
    "postgresql": ("postgresql://user:secret@h/db?sslmode=require", "postgresql"),
    "postgres": ("postgres://h/db", "postgresql"),
    "etcd": ("etcd://h:2379/prefix", "etcd"),
    "etcds": ("etcds://h", "etcd"),
    "redis": ("redis://:secret@h:6379/0", "redis"),
    "rediss": ("rediss://h", "redis"),
    "large-letters": ("SQLITE:///x.db", "sqlite"),
}
FOLDERS = {
    "absolute": "/etc/cfg",
    "relative": "cfg",
    "dots": "../cfg",
    "with-a-colon": "a:b",
    "with-an-at": "me@home",
    "windows-like": "C:/cfg",
}


@pytest.mark.parametrize("root", REPOSITORIES.values(), ids=REPOSITORIES)
def test_an_address_is_a_git_repository(root):
    """Those that are encrypted, and files."""
    assert {"backend_type": "git", "git_uri": root} == settings_of(root)


@pytest.mark.parametrize(("root", "kind"), STORES.values(), ids=STORES)
def test_an_address_with_its_scheme_is_a_store(root, kind):
    """It is kept as it is: it may hold a password, and options."""
    assert {"backend_type": kind, "store_uri": root} == settings_of(root)


def test_memory_is_a_store_without_an_address():
    """It is for trying things out."""
    assert settings_of("memory:") == {"backend_type": "memory"}


@pytest.mark.parametrize("root", FOLDERS.values(), ids=FOLDERS)
def test_all_else_is_a_folder(root):
    """Whether it is there or not."""
    assert {"root": root} == settings_of(root)


def test_git_in_front_makes_any_path_a_repository():
    """A working folder is served as files without it."""
    expected = {"backend_type": "git", "git_uri": "/work/repo"}
    assert expected == settings_of("git+/work/repo")
    assert expected | {"git_uri": "https://a.b/c"} == settings_of("git+https://a.b/c")


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "working"])
def test_a_bare_repository_is_served_as_one(tmp_path, bare):
    """A working folder is not."""
    command = ["git", "init", "--quiet", *(["--bare"] if bare else []), str(tmp_path)]
    subprocess.run(command, check=True)
    root = str(tmp_path)
    repository = {"backend_type": "git", "git_uri": root}
    assert (repository if bare else {"root": root}) == settings_of(root)


@pytest.mark.parametrize(
    "root", ["http://a.b/c", "HTTP://a.b/c", "git://a.b/c", "git+http://a.b/c"]
)
def test_what_is_not_encrypted_stands_in_settings_only(root):
    """It is refused with what to do instead."""
    scheme = root.removeprefix("git+").partition(":")[0].lower()
    with pytest.raises(SettingsError) as caught:
        settings_of(root)
    assert (
        f"{scheme}:// is not encrypted: if that is wanted, set backend.git.uri "
        "in a --settings file"
    ) == str(caught.value)


@pytest.mark.parametrize("root", ["ftp://user:s3cret@a.b/c", "gs://bucket", "mongodb://a.b"])
def test_an_address_of_nothing_we_know_is_refused(root):
    """It is no folder either, and may hold a password."""
    with pytest.raises(SettingsError) as caught:
        settings_of(root)
    scheme = root.partition(":")[0]
    expected = f"no store has addresses that begin with {scheme}://"
    assert expected == str(caught.value)
