"""The members of a composite, as settings name them."""

import pytest

from pyconfserve import Settings
from pyconfserve.errors import SettingsError
from pyconfserve.members import Member, read_members, whole_of

KEY = "pyfly.config-server.backend.members"


def composite(*members, **options):
    return Settings(backend_type="composite", members=members, **options)


def refused(*members):
    with pytest.raises(SettingsError) as caught:
        read_members(composite(*members))
    return str(caught.value)


def test_a_text_stands_where_root_does():
    """A folder, a repository or a store; saves go to the first."""
    found = read_members(composite("cfg", "git+/srv/repo", "sqlite:///x.db"))
    git = Settings(backend_type="git", git_uri="/srv/repo", read_only=True)
    sqlite = Settings(backend_type="sqlite", store_uri="sqlite:///x.db", read_only=True)
    assert found == (
        Member("backend.members[0]", Settings(root="cfg"), is_writable=True),
        Member("backend.members[1]", git),
        Member("backend.members[2]", sqlite),
    )


def test_a_mapping_has_what_stands_below_backend():
    """In any spelling, nested or flat, and what is the composite's."""
    found = read_members(
        composite(
            {"type": "git", "git": {"uri": "https://h/r", "cloneDir": "/c"}, "required": "no"},
            {"TYPE": "etcd", "uri": "etcd://h", "git.label": "x", "Writable": True, "default_label": "v1"},
        )
    )
    git = Settings(backend_type="git", git_uri="https://h/r", git_clone_dir="/c", read_only=True)
    etcd = Settings(backend_type="etcd", store_uri="etcd://h", git_label="x", label="v1")
    assert found == (
        Member("backend.members[0]", git, is_required=False),
        Member("backend.members[1]", etcd, is_writable=True),
    )


def test_a_member_takes_what_holds_for_all():
    """The label, the interval, and that nothing is saved; and nothing else."""
    shared = {"label": "v2", "refresh_interval": 0, "read_only": True}
    found = read_members(composite("cfg", {"root": "cfg"}, **shared, port=1))
    expected = Settings(root="cfg", **shared)
    assert [member.settings for member in found] == [expected, expected]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ((), f"{KEY}: expected backends"),
        (("gs://x",), f"{KEY}[0]: no store has addresses that begin with gs://"),
        (("a", {"typ": "git"}), f"{KEY}[1].typ: unknown setting, the nearest known one is {KEY}[1].type"),
        (({"requird": True},), f"{KEY}[0].requird: unknown setting, the nearest known one is {KEY}[0].required"),
        (({"port": 1},), f"{KEY}[0].port: unknown setting, the nearest known one is {KEY}[0].root"),
        (({"required": "maybe"},), f"{KEY}[0].required: expected true or false"),
        (({"default-label": "a..b"},), f"{KEY}[0].default-label: '..' is not allowed"),
        (({"git": {"timeout": "x"}},), f"{KEY}[0].git.timeout: expected seconds from 0 to 86400"),
        (
            ({"root": "a", "writable": True}, "b", {"root": "c", "writable": True}),
            f"{KEY}[2].writable: saves go to one member, and another is writable, too",
        ),
    ],
    ids=["none", "no store", "unknown", "unknown own", "of the server", "switch", "label", "value", "two writable"],
)
def test_what_is_wrong_names_the_member(members, expected):
    """Never a setting that is left out silently."""
    assert expected == refused(*members)


def test_members_may_be_composites():
    """All that is in them counts."""
    inner = {"type": "composite", "members": ["b", "c"]}
    roots = [one.root for one in whole_of(composite("a", inner))]
    assert roots == ["a", "b", "c"]
    assert whole_of(Settings(root="a")) == (Settings(root="a"),)
