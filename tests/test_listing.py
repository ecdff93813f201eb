"""listing: the names of the bundles, told from the names of the files."""

import pytest

from pyconfserve.files import BundleName, DictTree
from pyconfserve.listing import list_bundles


def listed(*paths, saved=None):
    """(application, profile) of the bundles that files on top are listed as, sorted."""
    bundles = list_bundles(DictTree(dict.fromkeys(paths, b"")), "main", saved or {})
    assert {"main"} >= {bundle.label for bundle in bundles}
    return sorted((bundle.application, bundle.profile) for bundle in bundles)


@pytest.mark.parametrize(
    ("files", "bundles"),
    [
        ([], []),
        (["orders.yml"], [("orders", "default")]),
        (["orders-prod.yml"], [("orders", "prod")]),
        (["orders-default.yml"], [("orders", "default")]),
        (["order-service-prod.yml"], [("order-service", "prod")]),
        (["order-service.yml"], [("order", "service")]),
        (["order-service.yml", "order-service-prod.yml"], [("order-service", "default"), ("order-service", "prod")]),
        (["order-service-a.yml", "order-service-b.yml"], [("order-service", "a"), ("order-service", "b")]),
        (["orders.yml", "orders-eu-west.yml"], [("orders", "default"), ("orders", "eu-west")]),
        (["orders-dev.yml", "orders-eu-west.yml"], [("orders", "dev"), ("orders", "eu-west")]),
        (["a.yml", "a-b.yml", "a-b-c.yml"], [("a", "default"), ("a-b", "c"), ("a-b", "default")]),
        (["a-b.yml", "a-b-c-d.yml"], [("a", "b"), ("a-b", "c-d")]),
        (["a.json", "a-b.toml", "a-c.properties", "a-d.yaml"], [("a", "b"), ("a", "c"), ("a", "d"), ("a", "default")]),
    ],
    ids=["none", "no-dash", "last-dash", "default", "last-of-two-dashes", "alone", "sibling-without-profile",
         "other-profiles", "profile-with-dash", "profile-with-dash-beside-another", "longest-sibling", "two-cuts", "formats"],
)  # fmt: skip
def test_a_name_is_cut_where_a_sibling_shows_it(files, bundles):
    """At a bundle of the same application beside it, else at the last dash."""
    assert bundles == listed(*files)


def test_saved_names_are_remembered():
    """A pair that this process saved is told by its path, not guessed."""
    saved = {"order-service.yaml": BundleName("order-service", "default", "main")}
    assert listed("order-service.yaml", saved=saved) == [("order-service", "default")]
    assert listed("order-service.yml", saved=saved) == [("order", "service")]


@pytest.mark.parametrize(
    "path",
    [".hidden.yml", ".orders.yml.swp", "readme.md", "orders.yml.bak", "orders", "orders.YML", "orders.xml",
     ".git/orders.yml", "a#b.yml", "orders-.yml", "-prod.yml", "a..b.yml", "a;b.yml",
     ".lock/orders.yml", "-v/orders.yml", "v 1/orders.yml"],
)  # fmt: skip
def test_what_nobody_could_ask_for_is_not_listed(path):
    """Hidden files, other formats, and names that the validator refuses."""
    assert listed(path) == []


def test_folders_are_labels():
    """The default label's folder and the top are one label; deeper folders have slashes."""
    paths = ["a.yml", "main/b.yml", "v2/c.yml", "feature/x/d.yml", "v2/.hidden/e.yml"]
    tree = DictTree(dict.fromkeys(paths, b""))
    expected = [
        ("a", "default", "main"),
        ("b", "default", "main"),
        ("c", "default", "v2"),
        ("d", "default", "feature/x"),
    ]
    assert expected == sorted(list_bundles(tree, "main", {}))


def test_the_top_has_the_default_label():
    """Whatever the backend calls it."""
    tree = DictTree({"orders.yml": b""})
    expected = [BundleName("orders", "default", "trunk")]
    assert expected == list_bundles(tree, "trunk", {})


def test_siblings_are_looked_for_in_the_same_folder():
    """Another label's files say nothing about this one's."""
    tree = DictTree(dict.fromkeys(["order-service.yml", "v2/order-service-prod.yml"], b""))  # fmt: skip
    expected = [("order", "service", "main"), ("order-service", "prod", "v2")]
    assert expected == sorted(list_bundles(tree, "main", {}))


def test_a_label_is_at_most_eight_folders_deep():
    """Deeper trees are not configuration."""
    tree = DictTree({"/".join("abcdefg") + "/x.yml": b"", "/".join("abcdefgh") + "/y.yml": b""})  # fmt: skip
    expected = [BundleName("x", "default", "a/b/c/d/e/f/g")]
    assert expected == list_bundles(tree, "main", {})


def test_a_missing_folder_has_no_bundles():
    """It is listed as empty."""
    assert list_bundles(DictTree(), "main", {}, "nowhere") == []


def test_ten_thousand_files_are_listed_in_linear_time():
    """A second would be a hundred times what it takes per thousand."""
    files = [f"app{number}-prod.yml" for number in range(10_000)]
    assert len(listed(*files)) == 10_000
