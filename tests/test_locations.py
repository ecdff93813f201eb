"""Patterns of folders, filled in for a lookup."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend
from pyconfserve.backend import ConfigSource
from pyconfserve.environment.overlay import OWN, SPRING, make_lookup
from pyconfserve.errors import Conflict
from pyconfserve.files import DictTree
from pyconfserve.locations import Place, find_locations, split_pattern

TREE = DictTree({f"team/{name}/x.yml": b"a: 1" for name in ("b", "a", "c")})


@pytest.mark.parametrize(
    ("path", "root", "pattern"),
    [
        ("/etc/cfg", "/etc/cfg", ""),
        ("/etc/cfg/{application}", "/etc/cfg", "{application}/"),
        ("/etc/team-*/x/", "/etc", "team-*/x/"),
        ("/{label}", "/", "{label}/"),
    ],
)
def test_a_path_is_a_folder_and_a_pattern(path: str, root: str, pattern: str) -> None:
    """All that a pattern can reach lies below its folder."""
    assert (root, pattern) == split_pattern(path)


def folders(pattern: str, dialect=OWN, label=None, **options) -> list[tuple[str, ...]]:
    lookup = make_lookup("orders,payments", "prod,eu", label, dialect)
    found = find_locations([Place(TREE, pattern)], lookup, "main", **options)
    return [location.folders for block in found.blocks for location in block]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", [("main/", "")]),
        ("{application}/", [("orders/main/", "orders/"), ("payments/main/", "payments/")]),
        ("{profile}/", [("prod/main/", "prod/"), ("eu/main/", "eu/")]),
        ("{label}/", [("main/main/", "main/")]),
        ("team/*/", [("team/a/main/", "team/a/"), ("team/b/main/", "team/b/"), ("team/c/main/", "team/c/")]),
        ("team/[ab]?/", []),
        ("none/*/", []),
    ],
)  # fmt: skip
def test_patterns_are_filled_in(pattern: str, expected: list[tuple[str, ...]]) -> None:
    """Names in their order, wildcards in the alphabet's."""
    assert expected == folders(pattern)


def test_without_label_folders_a_label_has_none() -> None:
    """The same folder is read for every label."""
    assert folders("", label="v1,v2", label_folders=False) == [("",), ("",)]


def test_spring_puts_label_folders_behind_all() -> None:
    """The first label of a list last, so that it wins."""
    expected = [("orders/",), ("payments/",), ("orders/v2/",), ("payments/v2/",), ("orders/v1/",), ("payments/v1/",)]  # fmt: skip
    assert expected == folders("{application}/", SPRING, "v1,v2")


def test_a_new_folder_of_a_wildcard_shows(tmp_path: Path) -> None:
    """The folder that a wildcard lists is part of what an answer was made from."""
    (tmp_path / "team/a").mkdir(parents=True)
    (tmp_path / "team/a/x.json").write_text('{"a": 1}')
    backend = FilesystemConfigBackend(f"{tmp_path}/team/*", refresh_interval=0)
    found = asyncio.run(backend.sources(make_lookup("x")))
    before = backend.stamp(found.seen)
    (tmp_path / "team/b").mkdir()
    assert before != backend.stamp(found.seen)


def test_nothing_is_saved_to_a_pattern(tmp_path: Path) -> None:
    """Which of its folders would it be?"""
    backend = FilesystemConfigBackend(f"{tmp_path}/{{application}}")
    with pytest.raises(Conflict) as caught:
        asyncio.run(backend.save(ConfigSource("x", "y")))
    expected = "the first search location is a pattern: nothing is saved"
    assert expected == str(caught.value)


def test_missing_folders_are_not_made_when_told_so(tmp_path: Path) -> None:
    """They contribute nothing, and so does a file."""
    (tmp_path / "file.yml").write_text("a: 1")
    places = [tmp_path / "none", tmp_path / "file.yml"]
    backend = FilesystemConfigBackend(places[0], places, makes_folders=False, version="9")
    found = asyncio.run(backend.sources(make_lookup("file", dialect=SPRING)))
    assert (found.sources, found.version) == ((), "9")
    assert not (tmp_path / "none").exists()
    assert asyncio.run(ConfigServer(backend).fetch("file")) is None
