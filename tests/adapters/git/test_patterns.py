"""Which repository a lookup is for, and what names may make of a URI."""

import pytest

from pyconfserve.adapters.git.patterns import (
    Repository,
    check_uri,
    host_of,
    matches,
    sample,
    search_folder,
    uris,
)
from pyconfserve.environment.overlay import SPRING, make_lookup
from pyconfserve.errors import SettingsError

PLACEHOLDERS = "expected {application}, {profile} or {label} as placeholders"
NOT_IN_PATH = "a placeholder may stand in the path only, not in host, port or user"
BELOW = "expected a search path that is a folder below the root"
PRINTABLE = "expected a search path without control characters"
HTTPS = "https://git.example/team"


def lookup_of(application, profile="default", label=None):
    return make_lookup(application, profile, label, SPRING)


class TestCheckUri:
    """CVE-2026-22739: where a placeholder may stand."""

    @pytest.mark.parametrize(
        "uri",
        [
            "https://git.example/team/config",
            "https://git.example/{application}",
            "https://user:word@git.example/{application}/{profile}.git",
            "ssh://git@git.example:22/{label}/x",
            "git@git.example:{application}",
            "git@git.example:team/{application}.git",
            "git.example:/srv/{application}",
            "file:///srv/{application}-config",
            "file:/srv/{application}",
            "/srv/{application}",
            "repos/{application}",
            "git@[::1]:{application}",
        ],
    )
    def test_a_path_may_hold_placeholders(self, uri):
        """Of every form of a URI."""
        check_uri(uri)

    @pytest.mark.parametrize(
        "uri",
        [
            "{application}",
            "{application}://git.example/x",
            "https://{application}",
            "https://{application}/x",
            "https://{profile}.git.example/x",
            "https://git.example{label}/x",
            "https://git.example:{application}/x",
            "https://{application}:word@git.example/x",
            "https://user:{label}@git.example/{application}",
            "ssh://{application}@git.example/x",
            "{application}@git.example:x",
            "git@{application}:x",
            "git@[::{application}]:x",
            "git{application}:x",
            "{application}/x",
            "ext{application}::x",
            "git@git.example{label}",
        ],
    )
    def test_other_parts_may_not(self, uri):
        """A client would choose who gets the password."""
        with pytest.raises(SettingsError) as caught:
            check_uri(uri)
        assert str(caught.value) == NOT_IN_PATH

    @pytest.mark.parametrize(
        "uri",
        [
            "https://git.example/{app}",
            "https://git.example/{Application}",
            "https://git.example/{application",
            "https://git.example/application}",
            "https://git.example/{{application}}",
            "https://git.example/{}",
        ],
    )
    def test_other_placeholders_are_refused(self, uri):
        """None of them would ever be filled in."""
        with pytest.raises(SettingsError) as caught:
            check_uri(uri)
        assert str(caught.value) == PLACEHOLDERS

    def test_a_sample_is_checked_and_filled(self):
        """So that the rest of the URI can be vetted before any client comes."""
        assert sample("https://h/{application}/{label}.git") == "https://h/x/x.git"
        with pytest.raises(SettingsError):
            sample("https://{label}/x")


class TestMatches:
    """As recorded in git-patterns, and as Java's PatternMatchUtils has it."""

    @pytest.mark.parametrize(
        ("pattern", "application", "profile", "expected"),
        [
            ("orders", "orders", "default", True),
            ("orders", "orders", "dev,eu", True),
            ("orders", "orders,payments", "default", True),
            ("orders", "payments,orders", "default", False),
            ("orders*", "orders,payments", "default", True),
            ("payments*", "payments", "default", True),
            ("payments*", "my-payments", "default", False),
            ("*payments", "my-payments", "default", True),
            ("*/dev", "inventory", "dev", True),
            ("*/dev", "inventory", "dev,eu", True),
            ("*/dev", "inventory", "eu,dev", False),
            ("*/dev*", "inventory", "dev-cluster", True),
            ("special*/prod*", "special-a", "prod", True),
            ("special*/prod*", "special-a", "dev", False),
            ("a*/d*eu", "app", "dev,eu", False),  # neither profile does by itself
            ("team/app", "team(_)app", "default", False),
            ("team/app/*", "team(_)app", "default", True),
            ("*", "anything", "default", True),
            ("ord?rs", "orders", "default", False),
            ("ord[e]rs", "orders", "default", False),
            ("Orders", "orders", "default", False),
        ],
    )
    def test_patterns_of_a_fixed_repository(
        self, pattern, application, profile, expected
    ):
        """The whole text of the profiles counts, and only `*` is special."""
        one = Repository(HTTPS, patterns=("no/match", pattern))
        assert matches(one, lookup_of(application, profile)) is expected

    @pytest.mark.parametrize(
        ("profile", "expected"), [("eu,dev", True), ("dev,eu", True), ("eu,us", False)]
    )
    def test_one_profile_is_enough_where_names_are_filled_in(self, profile, expected):
        """Each profile has a repository of its own there."""
        one = Repository(f"{HTTPS}/{{profile}}", patterns=("*/dev",))
        assert matches(one, lookup_of("orders", profile)) is expected

    def test_without_patterns_nothing_matches(self):
        """The default repository is never asked in its turn."""
        assert not matches(Repository(HTTPS), lookup_of("orders"))


class TestUris:
    """What is tried for a lookup."""

    @pytest.mark.parametrize(
        ("uri", "names", "expected"),
        [
            (HTTPS, ("orders", "dev,eu", "a,b"), [HTTPS]),
            ("https://h/{application}", ("orders",), ["https://h/orders"]),
            ("https://h/{application}", ("team(_)app",), ["https://h/team/app"]),
            ("https://h/{application}", ("my app",), ["https://h/my%20app"]),
            ("https://h/{application}", ("bücher",), ["https://h/b%C3%BCcher"]),
            ("https://h/{application}", ("a+b@c~",), ["https://h/a+b@c~"]),
            ("HTTPS://h/{application}", ("my app",), ["HTTPS://h/my%20app"]),
            ("file:///{application}.git", ("my app",), ["file:///my app.git"]),
            (
                "https://h/{profile}/{application}/{label}",
                ("orders", "eu,dev,eu", "v1"),
                ["https://h/dev/orders/v1", "https://h/eu/orders/v1"],
            ),
            ("https://h/{label}", ("orders", "dev", None), ["https://h/stable"]),
            ("https://h/{label}", ("o", "dev", "feature(_)x"), ["https://h/feature/x"]),
        ],
    )
    def test_names_are_filled_in(self, uri, names, expected):
        """One URI for each profile, the last first."""
        one = Repository(uri, patterns=("*",), default_label="stable")
        assert uris(one, lookup_of(*names)) == expected

    @pytest.mark.parametrize(
        ("uri", "names"),
        [
            ("https://h/{application}", ("orders,special",)),
            ("https://h/{label}", ("orders", "dev", "a,b")),
            ("https://h/team-{application}", ("evil(_)repo",)),
            ("git@h:team{application}", ("x(_)y",)),
            ("git@h:{application}", ("~root(_)x",)),
            ("ssh://h/{application}", ("~root",)),
            ("h:/{application}", ("~root",)),
            ("https://h/{label}", ("orders", "dev", "$(id)")),
            ("https://h/{label}", ("orders", "dev", "a'b")),
            ("https://h/{label}", ("orders", "dev", "a&b=c")),
            ("https://h/{label}", ("orders", "dev", "{application}")),
            ("https://h/{application}{label}", ("orders", "dev", "x/y")),
        ],
    )
    def test_some_names_lead_to_no_repository(self, uri, names):
        """Lists, what would change the folder before it, homes, what shells read."""
        one = Repository(uri, patterns=("*",))
        assert uris(one, lookup_of(*names)) == [None]

    def test_a_home_below_a_folder_is_a_name(self):
        """And on the web it always is."""
        for uri in ("ssh://h/scm/{application}", "https://h/{application}"):
            found = uris(Repository(uri), lookup_of("~me(_)x"))
            assert found == [uri.replace("{application}", "~me/x")]

    @pytest.mark.parametrize(
        ("profile", "expected"), [("dev", ["https://h/dev"]), ("eu,dev", [None])]
    )
    def test_the_default_repository_takes_the_whole_list(self, profile, expected):
        """Only those with patterns try each profile."""
        assert (
            uris(Repository("https://h/{profile}"), lookup_of("a", profile)) == expected
        )


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://user:word@Git.Example/team/{application}", "git.example"),
        ("https://git.example:8443/{application}", "git.example:8443"),
        ("ssh://a@git.example/{application}", "git.example"),
        ("b@git.example:{application}", "git.example"),
        ("git@[::1]:x", "[::1]"),
        ("https://git.example", "git.example"),
        ("file:///srv/{application}", ""),
        ("/srv/{application}", ""),
    ],
)
def test_a_host_is_the_same_for_all_who_ask_it(uri, expected):
    """Whatever the scheme and the user."""
    assert host_of(uri) == expected


class TestSearchFolder:
    """Search paths as patterns."""

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("a", "a/"),
            ("/a/b/", "a/b/"),
            ("./a//b/.", "a/b/"),
            ("{application}", "{application}/"),
            ("x-{profile}/{label}*", "x-{profile}/{label}*/"),
            ("a?/*", "a?/*/"),
            ("...", ".../"),
        ],
    )
    def test_a_folder_below_the_root(self, path, expected):
        """It ends in one slash, without what says nothing."""
        assert search_folder(path) == expected

    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("../x", BELOW),
            ("a/../b", BELOW),
            ("a/..", BELOW),
            ("", BELOW),
            ("/", BELOW),
            (".", BELOW),
            ("{foo}", PLACEHOLDERS),
            ("a/{Application}", PLACEHOLDERS),
            ("a{", PLACEHOLDERS),
            ("a}b", PLACEHOLDERS),
            ("a\nb", PRINTABLE),
            ("a\0", PRINTABLE),
            ("a\x7f", PRINTABLE),
        ],
    )
    def test_what_no_folder_can_match_is_refused(self, path, problem):
        """It would be passed by in silence, with every request."""
        with pytest.raises(SettingsError) as caught:
            search_folder(path)
        assert str(caught.value) == problem
