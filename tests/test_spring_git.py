"""What a Java server's git settings are to us: keyword arguments of backends."""

import asyncio
import logging
import subprocess
import sys

import pytest

pytest.importorskip("git")

from pyconfserve.adapters.git.backend import GitConfigBackend
from pyconfserve.adapters.git.origin import Access
from pyconfserve.adapters.git.pool import MOST_BACKENDS
from pyconfserve.environment.overlay import SPRING, make_lookup
from pyconfserve.errors import BackendMisconfigured, SettingsError
from pyconfserve.spring_git import GitDefaults, make_git_backend

START = "spring.cloud.config.server.git."
LOGGER = "pyconfserve.spring_git"
URI = "https://git.example/config"
KEYWORDS = {
    "label": "main",
    "search_paths": (),
    "refresh_rate": 30.0,
    "access": Access(),
    "verify_commits": False,
    "deletes_branches": False,
    "tries_master": True,
    "skips_unknown_labels": False,
    "reverses_plain_files": False,
}
NOTHING = GitDefaults()
KEY = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQ=="


class Recorder:
    """A `make` that notes what it was asked for, in order, and makes nothing."""

    default_label = "main"

    def __init__(self):
        self.asked = []

    def __call__(self, uri, options):
        self.asked.append((uri, options))
        return self


def recorded(given, defaults=NOTHING):
    """All that backends were made of, `(uri, name, basedir, keywords)`."""
    record = Recorder()
    make_git_backend(given, START, defaults, make=record)
    return [(uri, *options[:3]) for uri, options in record.asked]


def keywords(given, defaults=NOTHING):
    """What differs from KEYWORDS in the default repository's."""
    found = recorded({"uri": URI, **given}, defaults)[-1][3]
    assert found.keys() == KEYWORDS.keys()
    return {name: value for name, value in found.items() if value != KEYWORDS[name]}


def access(given):
    return keywords(given)["access"]


def refused(given):
    with pytest.raises(SettingsError) as caught:
        make_git_backend(given, START, GitDefaults(), make=Recorder())
    return str(caught.value)


class TestOptions:
    """One repository."""

    def test_a_uri_is_enough(self):
        """Everything else has Spring's default, or a safe one."""
        assert recorded({"uri": f" {URI} "}) == [(URI, "", "", KEYWORDS)]

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("default-label", "stable", {"label": "stable"}),
            ("default-label", "feature(_)x", {"label": "feature/x"}),
            ("default-label", "", {}),
            (
                "search-paths",
                "a, b/*,,{application}",
                {"search_paths": ("a", "b/*", "{application}")},
            ),
            ("search-paths", "/,/cfg,.,./", {"search_paths": ("/cfg",)}),
            ("refresh-rate", "60", {"refresh_rate": 60.0}),
            ("refresh-rate", "0", {}),
            ("refresh-rate", "-1", {"refresh_rate": 0.0}),
            ("delete-untracked-branches", "true", {"deletes_branches": True}),
            ("try-master-branch", "false", {"tries_master": False}),
            (
                "continue-on-multiple-label-failure",
                "yes",
                {"skips_unknown_labels": True},
            ),
            ("reverse-location-order", "TRUE", {"reverses_plain_files": True}),
            ("force-pull", "true", {}),
            ("order", "3", {}),
            ("clone-submodules", "false", {}),
        ],
    )
    def test_options_are_keyword_arguments(self, caplog, name, text, expected):
        """In Java's units; none of these is warned of."""
        assert keywords({name: text}) == expected
        assert caplog.messages == []

    @pytest.mark.parametrize(
        ("name", "text", "field"),
        [
            ("username", "me", {"username": "me"}),
            ("password", " word ", {"password": " word "}),
            ("passphrase", "open it", {"passphrase": "open it"}),
            ("private-key", "/keys/id", {"private_key": "/keys/id"}),
            ("known-hosts-file", "/keys/known", {"known_hosts_file": "/keys/known"}),
            ("strict-host-key-checking", "false", {"strict_host_key_checking": False}),
            ("ignore-local-ssh-settings", "true", {"ignore_local_ssh_settings": True}),
            ("skip-ssl-validation", "true", {"skip_ssl_validation": True}),
            ("timeout", "4", {"timeout": 4.0}),
        ],
    )
    def test_access_is_what_reaches_it(self, name, text, field):
        """Credentials keep their blanks."""
        assert access({name: text}) == Access(**field)

    def test_a_host_key_goes_with_its_algorithm(self):
        """For ssh."""
        given = {
            "uri": "git@git.example:x",
            "host-key": KEY,
            "host-key-algorithm": "ssh-rsa",
        }
        expected = Access(host_key=KEY, host_key_algorithm="ssh-rsa")
        assert access(given) == expected

    def test_proxies_are_urls(self):
        """User and password in them are escaped; the hosts of both go together."""
        start = {"proxy.https.host": "proxy", "proxy.https.port": "8080"}
        assert access(
            {**start, "proxy.http.non-proxy-hosts": "localhost|*.internal"}
        ) == Access(
            proxies={"https": "http://proxy:8080"}, no_proxy=("localhost", "*.internal")
        )
        named = {"proxy.https.username": "a:b", "proxy.https.password": "p@/"}
        assert access({**start, **named}).proxies == {
            "https": "http://a%3Ab:p%40%2F@proxy:8080"
        }

    @pytest.mark.parametrize(
        ("defaults", "given", "expected"),
        [
            (GitDefaults(label="ours"), {}, {"label": "ours"}),
            (GitDefaults(label="ours"), {"default-label": "x"}, {"label": "x"}),
            (GitDefaults("server"), {"default-label": "x"}, {"label": "server"}),
            (
                GitDefaults(reverses_plain_files=True),
                {},
                {"reverses_plain_files": True},
            ),
        ],
        ids=str,
    )
    def test_the_server_has_defaults(self, defaults, given, expected):
        """Its own default-label goes before git's, as in Java."""
        assert keywords(given, defaults) == expected

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("clone-submodules", "true", ""),
            ("preferred-authentications", "publickey", ""),
            ("force-pull", "false", ": what is served always follows origin"),
        ],
    )
    def test_what_has_no_effect_is_said(self, caplog, name, text, why):
        """Once."""
        assert keywords({name: text}) == {}
        message = f"{START}{name} has no effect here{why}"
        assert caplog.record_tuples == [(LOGGER, logging.WARNING, message)]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({}, "uri: expected the URI of a repository"),
            ({"uri": " "}, "uri: expected the URI of a repository"),
            (
                {"uri": "https://{label}/x"},
                "uri: a placeholder may stand in the path only, not in host, port or user",
            ),
            (
                {"uri": "https://h/{x}"},
                "uri: expected {application}, {profile} or {label} as placeholders",
            ),
            (
                {"uri": URI, "default-label": "a..b"},
                "default-label: '..' is not allowed",
            ),
            ({"uri": URI, "timeout": "soon"}, "timeout: expected a whole number"),
            ({"uri": URI, "timeout": "-1"}, "timeout: expected seconds"),
            (
                {"uri": URI, "refresh-rate": "1.5"},
                "refresh-rate: expected a whole number",
            ),
            (
                {"uri": URI, "clone-on-start": "maybe"},
                "clone-on-start: expected true or false",
            ),
            (
                {"uri": URI, "search-paths": "cfg, ../x"},
                "search-paths: expected a search path that is a folder below the root",
            ),
            (
                {"uri": URI, "search-paths": "{foo}"},
                "search-paths: expected {application}, {profile} or {label} as placeholders",
            ),
            (
                {"uri": URI, "repos.a.uri": URI, "repos.a.search-paths": "a\tb"},
                "repos.a.search-paths: expected a search path without control characters",
            ),
            ({"uri": URI, "force-pull": "maybe"}, "force-pull: expected true or false"),
            (
                {"uri": URI, "proxy.http.host": "p"},
                "proxy.http.port: expected a port from 1 to 65535",
            ),
            (
                {"uri": URI, "proxy.http.host": "p", "proxy.http.port": "x"},
                "proxy.http.port: expected a whole number",
            ),
            (
                {"uri": URI, "repos.a.uri": ""},
                "repos.a.uri: expected the URI of a repository",
            ),
            (
                {"uri": URI, "repos.a.pattern": "x"},
                "repos.a.uri: expected the URI of a repository",
            ),
            (
                {"uri": URI, "repos.a.uri": "https://{profile}"},
                "repos.a.uri: a placeholder may stand in the path only, not in host, port or user",
            ),
        ],
        ids=str,
    )
    def test_bad_settings_name_their_key(self, given, message):
        """And never their value."""
        assert refused(given) == START + message

    @pytest.mark.parametrize(
        "uri", ["ext::sh -c x", "--upload-pack=x", "ssh://me:secret@h/x"]
    )
    @pytest.mark.parametrize("start", ["", "repos.a."])
    def test_uris_are_vetted_at_the_start(self, uri, start):
        """Those with placeholders too, before a client comes."""
        for text in (uri, f"{uri}/{{application}}"):
            message = refused({"uri": URI, f"{start}uri": text})
            assert (
                message.startswith(f"{START}{start}uri: expected ")
                or "no password" in message
            )
            assert "secret" not in message

    def test_secrets_are_in_no_representation(self):
        """However the settings get into a log."""
        secret = {
            "password": "secret",
            "passphrase": "secret",
            "private-key": "/secret",
        }
        record = Recorder()
        make_git_backend({"uri": URI, **secret}, START, NOTHING, make=record)
        assert "secret" not in repr(record.asked)


class TestRepos:
    """repos.<name>."""

    def test_they_are_asked_in_the_order_of_the_file(self):
        """By their patterns, else by their names; with their own options."""
        given = {
            "uri": URI,
            "repos.b.uri": f"{URI}-b",
            "repos.a.uri": f"{URI}-a",
            "repos.b.pattern": "x, y*/dev",
            "repos.a.search-paths": "cfg",
            "repos.[team/app].uri": f"{URI}-team",
        }
        asked = recorded(given)
        changed = {**KEYWORDS, "search_paths": ("cfg",)}
        assert asked == [
            (f"{URI}-b", "b", "", KEYWORDS),
            (f"{URI}-a", "a", "", changed),
            (f"{URI}-team", "team/app", "", KEYWORDS),
            (URI, "", "", KEYWORDS),
        ]

    @pytest.mark.parametrize(
        ("application", "profile", "expected"),
        [("x", "dev", "b"), ("yes", "dev", "b"), ("yes", "eu", ""), ("a", "eu", "a")],
    )
    def test_patterns_choose(self, application, profile, expected):
        """The key stands in for a pattern that is not there."""
        given = {"repos.b.pattern": "x, y*/dev", "repos.b.uri": f"{URI}/b/{{label}}"}
        given |= {"uri": f"{URI}/{{label}}", "repos.a.uri": f"{URI}/a/{{label}}"}
        names = []

        def make(uri, options):
            names.append(options.name)
            raise SettingsError("only the first one is of interest")

        backend = make_git_backend(given, START, GitDefaults(), make=make)
        lookup = make_lookup(application, profile, "v1", SPRING)
        with pytest.raises(Exception, match="no such repository"):
            asyncio.run(backend.sources(lookup))
        assert names[0] == expected

    @pytest.mark.parametrize(
        ("top", "own", "expected"),
        [
            (
                {"username": "u", "password": "p"},
                {},
                {"username": "u", "password": "p"},
            ),
            ({"username": "u", "password": "p"}, {"username": "v"}, {"username": "v"}),
            (
                {"username": "u", "password": "p"},
                {"password": "q"},
                {"username": "u", "password": "q"},
            ),
            ({"passphrase": "x"}, {}, {"passphrase": "x"}),
            ({"private-key": "/k"}, {"private-key": "/m"}, {"private_key": "/m"}),
            (
                {"strict-host-key-checking": "false"},
                {},
                {"strict_host_key_checking": False},
            ),
            ({"skip-ssl-validation": "true"}, {}, {"skip_ssl_validation": True}),
            ({"skip-ssl-validation": "true"}, {"skip-ssl-validation": "false"}, {}),
            ({"timeout": "3"}, {"timeout": "0"}, {"timeout": 3.0}),
            ({"timeout": "3"}, {"timeout": "7"}, {"timeout": 7.0}),
            ({"proxy.http.host": "p", "proxy.http.port": "1"}, {}, {}),
        ],
        ids=str,
    )
    def test_they_inherit_what_reaches_them(self, top, own, expected):
        """As in Java; a user's password is not sent for another user."""
        own = {f"repos.a.{name}": text for name, text in own.items()}
        asked = recorded({"uri": URI, **top, "repos.a.uri": f"{URI}-a", **own})
        assert asked[0][3]["access"] == Access(**expected)

    def test_they_do_not_inherit_what_is_in_them(self):
        """Labels, folders and the like are each repository's own in Java."""
        top = {
            "uri": URI,
            "default-label": "stable",
            "search-paths": "cfg",
            "try-master-branch": "false",
            "delete-untracked-branches": "true",
            "refresh-rate": "7",
            "basedir": "/clones",
        }
        asked = recorded({**top, "repos.a.uri": f"{URI}-a"}, GitDefaults("server"))
        expected = {**KEYWORDS, "refresh_rate": 7.0}
        assert asked[0] == (f"{URI}-a", "a", "/clones", expected)


@pytest.fixture
def origin(tmp_path):
    """A repository with one file on `main`."""
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "application.yml").write_text("a: 1\n")
    commands = [
        "init --quiet --initial-branch=main",
        "add --all",
        "commit --quiet --message=first",
    ]
    user = ["-c", "user.name=t", "-c", "user.email=t@t"]
    for command in commands:
        subprocess.run(["git", "-C", str(folder), *user, *command.split()], check=True)
    return folder


class TestBackends:
    """The real ones."""

    def test_the_default_make_makes_git_backends(self, origin):
        """Which answer."""

        async def run():
            backend = make_git_backend(
                {"uri": f"file://{origin}"}, START, GitDefaults()
            )
            found = await backend.sources(make_lookup("orders", "dev", None, SPRING))
            await backend.close()
            return [(one.name, one.properties) for one in found.sources]

        expected = [(f"file://{origin}/application.yml", {"a": 1})]
        assert asyncio.run(run()) == expected

    def test_each_clone_has_a_folder_of_its_own(self, origin, tmp_path):
        """Below basedir, by a name that no client chose; what was there is left alone.

        A name that nobody has leaves nothing.
        """
        clones = tmp_path / "clones"
        clones.mkdir()
        (clones / "notes").write_text("mine")
        given = {
            "uri": f"file://{origin}",
            "basedir": f"file:{clones}",
            "repos.a.uri": f"file://{origin.parent}/{{application}}",
            "repos.a.pattern": "*",
        }

        async def run():
            backend = make_git_backend(given, START, NOTHING)
            for name in ("origin", "made-up", "another"):
                await backend.sources(make_lookup(name, "dev", None, SPRING))
            await backend.close()

        asyncio.run(run())
        names = sorted(path.name for path in clones.iterdir())
        fixed, named, notes = names
        assert (len(fixed), len(named), notes) == (32, len("named-") + 32, "notes")
        assert named.startswith("named-")
        asyncio.run(run())  # the clones are used again
        assert sorted(path.name for path in clones.iterdir()) == names

    def test_clones_of_names_are_bounded(self, origin, tmp_path):
        """Each new one takes the place of the one used longest ago, of those that an
        earlier server left first.
        """
        clones = tmp_path / "clones"
        uri = f"file://{origin.parent}/{{application}}"
        given = {"uri": uri, "basedir": str(clones)}
        for number in range(MOST_BACKENDS + 3):
            (origin.parent / f"copy{number}").symlink_to(origin)

        async def run(numbers):
            backend = make_git_backend(given, START, NOTHING)
            await backend.open()
            started = len([*clones.iterdir()]) if clones.exists() else 0
            lookups = [make_lookup(f"copy{one}", "dev", None, SPRING) for one in numbers]
            found = await asyncio.gather(*map(backend.sources, lookups))
            assert [one.sources[0].properties for one in found] == [{"a": 1}] * len(found)
            await backend.close()
            return started, len([*clones.iterdir()])

        assert asyncio.run(run(range(MOST_BACKENDS + 2))) == (0, MOST_BACKENDS)
        assert asyncio.run(run([MOST_BACKENDS + 2])) == (MOST_BACKENDS, MOST_BACKENDS)

    def test_invented_names_are_no_warnings(self, origin, tmp_path, caplog):
        """Also where a certificate is not verified: the start has said so."""
        caplog.set_level(logging.INFO)
        uri = f"file://{origin}-{{application}}"

        async def run():
            backend = make_git_backend({"uri": uri}, START, NOTHING)
            with pytest.raises(BackendMisconfigured):
                await backend.sources(make_lookup("x", "dev", None, SPRING))
            await backend.close()

        asyncio.run(run())
        problem = "origin cannot be fetched: there is no such repository"
        expected = [("pyconfserve.git", logging.INFO, f"file://{origin}-x: {problem}")]
        assert caplog.record_tuples == expected

    def test_a_clone_that_has_something_is_not_removed(self, origin, tmp_path):
        """Whatever is wrong with it: somebody may want to look."""
        given = {
            "uri": f"file://{origin.parent}/{{application}}",
            "basedir": str(tmp_path / "clones"),
        }

        async def run():
            backend = make_git_backend(given, START, NOTHING)
            try:
                await backend.sources(make_lookup("origin", "dev", None, SPRING))
            finally:
                await backend.close()

        asyncio.run(run())
        (clone,) = (tmp_path / "clones").iterdir()
        config = ["config", "remote.origin.url", "file:///elsewhere"]
        subprocess.run(["git", "-C", str(clone), *config], check=True)
        with pytest.raises(BackendMisconfigured):
            asyncio.run(run())
        assert (clone / "HEAD").exists()

    def test_clone_on_start_is_for_open(self, origin):
        """A repository that is not there is noticed at the start."""
        absent = f"file://{origin}-absent"

        async def run(given):
            backend = make_git_backend(given, START, NOTHING)
            try:
                await backend.open()
            finally:
                await backend.close()

        asyncio.run(run({"uri": absent}))
        asyncio.run(run({"uri": f"file://{origin}", "clone-on-start": "true"}))
        with pytest.raises(Exception, match="no such repository"):
            asyncio.run(run({"uri": absent, "clone-on-start": "true"}))

    def test_every_keyword_is_one_of_the_backend(self):
        """Nothing is dropped on the way."""
        import inspect

        known = inspect.signature(GitConfigBackend).parameters
        assert KEYWORDS.keys() <= known.keys()


def test_without_gitpython_the_error_says_how_to_install_it():
    """A git URI in Spring's settings is explicit: nothing else is served instead."""
    script = (
        "import sys; sys.modules['git'] = None\n"
        "from pyconfserve.spring_git import GitDefaults, make_git_backend\n"
        f"make_git_backend({{'uri': {URI!r}}}, '', GitDefaults())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        "pyconfserve.errors.MissingDependency: "
        "the git backend needs git: pip install 'pyconfserve[git]'"
    )
