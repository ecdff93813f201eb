"""The names of a Java server's git settings, in all their spellings."""

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.spring_git_names import GIT_NAMES, canonical, variable_names

START = "spring.cloud.config.server.git."


@pytest.mark.parametrize("name", GIT_NAMES)
def test_every_name_is_known(name):
    """At the top and of a repository with patterns, as written and in camel case."""
    first, *others = name.replace("non-proxy", "nonProxy").split("-")
    camel = first + "".join(word[0].upper() + word[1:] for word in others)
    assert [canonical(text, START) for text in (name, camel)] == [name, name]
    assert canonical(f"repos.team.{camel}", START) == f"repos.team.{name}"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("searchPaths", "search-paths"),
        ("SEARCH_PATHS", "search-paths"),
        ("cloneonstart", "clone-on-start"),
        ("Proxy.HTTPS.nonProxyHosts", "proxy.https.non-proxy-hosts"),
        ("repos.team", "repos.team.uri"),
        ("Repos.Team", "repos.Team.uri"),
        ("repos.my-team.searchPaths", "repos.my-team.search-paths"),
        ("repos[team/app].uri", "repos.[team/app].uri"),
        ("repos.[team/app].uri", "repos.[team/app].uri"),
        ("repos[a.b]", "repos.[a.b].uri"),
        ("repos.uri.pattern", "repos.uri.pattern"),
        ("repos.team.name", "repos.team.name"),
    ],
)
def test_names_are_relaxed(written, name):
    """A repository's own name keeps its spelling, and a text alone is its URI."""
    assert canonical(written, START) == name


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("url", "uri"),
        ("search-path", "search-paths"),
        ("clone-at-start", "clone-on-start"),
        ("pattern", "basedir"),  # for those with patterns only
        ("repos.team.url", "repos.team.uri"),
        ("repos.team.patterns", "repos.team.pattern"),
        ("repos.team.sub.uri", "repos.team.uri"),
        ("proxy.http.user", "proxy.http.username"),
        ("proxy.socks.host", "proxy.https.host"),
    ],
)
def test_others_are_errors(written, nearest):
    """With the nearest key."""
    with pytest.raises(SettingsError) as caught:
        canonical(written, START)
    assert str(caught.value) == (
        f"{START}{written}: unknown setting, the nearest known one is {START}{nearest}"
    )


def test_variables_may_set_what_is_there():
    """Any name at the top, and those of repositories that the file has."""
    found = variable_names(["uri", "repos.team.uri", "repos.[a.b].uri", "repos.x.name"])
    assert found[: len(GIT_NAMES)] == [*GIT_NAMES]
    rest = [
        f"repos.{repo}.{name}"
        for repo in ("team", "x")
        for name in (*GIT_NAMES, "pattern", "name")
    ]
    assert found[len(GIT_NAMES) :] == rest
