"""Many repositories as one: which answers, and what becomes of those that do not."""

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager

import pytest

from pyconfserve import ConfigServer
from pyconfserve.adapters.git.repositories import GitRepositories, Repository
from pyconfserve.backend import ConfigSource, Found, FoundFile
from pyconfserve.environment.overlay import SPRING, PropertySource, make_lookup
from pyconfserve.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    DocumentError,
    ReadOnlyBackend,
    SettingsError,
)

AWAY = BackendUnavailable("origin is away")
ABSENT = BackendMisconfigured("no such repository")
NO_LABEL = ConfigNotFound("there is no such label")


class Fake:
    """A backend of one URI whose answers name it; `errors` are raised by method."""

    def __init__(self, uri, errors):
        self.uri = uri
        self.errors = errors
        self.calls = []
        self.state = 0
        self.default_label = f"label of {uri}"

    def _do(self, what):
        self.calls.append(what)
        if error := self.errors.get(what) or self.errors.get("all"):
            raise error

    async def open(self):
        self._do("open")

    async def close(self):
        self._do("close")

    async def refresh(self):
        self._do("refresh")

    async def sources(self, lookup):
        self._do("sources")
        return Found((PropertySource(self.uri, {}),), seen="seen", stamp=self.state)

    async def file(self, lookup, path):
        self._do("file")
        return FoundFile(f"{self.uri} {path}".encode(), 0.0, "seen", self.state)

    async def fetch(self, application, profile, label):
        self._do("fetch")
        if self.errors.get("none"):
            return None
        return ConfigSource(application, profile, label, {"from": self.uri})

    async def list(self):
        self._do("list")
        return [ConfigSource("shared", "dev"), ConfigSource(self.uri, "dev")]

    def stamp(self, seen):
        assert seen == "seen"
        return self.state

    def health(self):
        if error := self.errors.get("health"):
            raise error
        return {"of": self.uri}


class World:
    """All backends by URI, and a clock."""

    def __init__(self, **errors):
        self.errors = {uri: of_uri for uri, of_uri in errors.items()}
        self.made = {}
        self.options = {}
        self.now = 0.0

    def __call__(self, uri, options):
        name = uri.rpartition("/")[2]
        self.made[name] = fake = Fake(name, self.errors.get(name, {}))
        self.options[name] = options
        return fake

    def backend(self, default, *repositories, **options):
        return GitRepositories(
            default, repositories, make=self, clock=lambda: self.now, **options
        )


def of(name, *patterns, **fields):
    return Repository(f"https://h/{name}", patterns=patterns, **fields)


def lookup_of(application="orders", profile="default", label=None):
    return make_lookup(application, profile, label, SPRING)


async def answering(backend, *names):
    """Who answers a lookup, and whether the answer can be kept."""
    found = await backend.sources(lookup_of(*names))
    return found.sources[0].name, found.seen is not None


DEFAULT, APPS = of("default"), of("{application}", "*")


class TestChoice:
    """Who answers."""

    def test_the_first_with_a_pattern_answers(self):
        """In the order of the settings; none matches: the default one."""
        world = World()
        backend = world.backend(DEFAULT, of("one", "*/dev"), of("two", "orders"))

        async def run():
            asked = [("orders", "dev"), ("orders", "eu"), ("x", "dev"), ("x", "eu")]
            return [await answering(backend, *names) for names in asked]

        expected = [("one", True), ("two", True), ("one", True), ("default", True)]
        assert asyncio.run(run()) == expected

    def test_options_go_to_the_backends_of_their_repository(self):
        """Of fixed ones at once, of others when they are asked for."""
        world = World()
        one = of("{application}", "*", options="own")
        backend = world.backend(of("default", options="default"), one)
        before = dict(world.options)
        asyncio.run(answering(backend, "orders"))
        assert (before, world.options) == (
            {"default": "default"},
            {"default": "default", "orders": "own"},
        )

    def test_each_profile_has_its_repository(self):
        """The last of the list is tried first."""
        world = World(eu={"open": ABSENT})
        backend = world.backend(DEFAULT, of("{profile}", "*"))

        async def run():
            lists = ("dev,us", "dev,eu")
            return [await answering(backend, "orders", names) for names in lists]

        assert asyncio.run(run()) == [("us", True), ("dev", True)]

    @pytest.mark.parametrize(
        ("errors", "expected"),
        [
            ({"sources": NO_LABEL}, ("default", False)),
            ({"sources": AWAY}, ("default", False)),
            ({"sources": ABSENT}, ("default", False)),
        ],
        ids=str,
    )
    def test_what_fails_is_passed_by(self, errors, expected):
        """Its answer may be another one at the next request: this one is not kept."""
        backend = World(one=errors).backend(DEFAULT, of("one", "*"))
        assert asyncio.run(answering(backend)) == expected

    def test_a_broken_file_is_not_passed_by(self):
        """The values of another repository would be served in its place."""
        broken = {"sources": DocumentError("bad", location="orders.yml")}
        backend = World(one=broken).backend(DEFAULT, of("one", "*"))
        with pytest.raises(DocumentError):
            asyncio.run(answering(backend))

    @pytest.mark.parametrize("error", [AWAY, ABSENT, NO_LABEL], ids=str)
    def test_the_default_repository_has_the_last_word(self, error):
        """Its error is the answer, whatever the others said."""
        errors = {"one": {"all": NO_LABEL}, "default": {"all": error}}
        backend = World(**errors).backend(DEFAULT, of("one", "*"))
        for asked in (
            backend.sources(lookup_of()),
            backend.file(lookup_of(), "a.txt"),
        ):
            with pytest.raises(type(error)) as caught:
                asyncio.run(asked)
            assert str(caught.value) == str(error)

    def test_a_list_of_applications_is_no_repository(self):
        """Nothing is run for it."""
        world = World()
        backend = world.backend(of("{application}"))
        with pytest.raises(BackendMisconfigured) as caught:
            asyncio.run(answering(backend, "orders,payments"))
        assert (str(caught.value), world.made) == ("no such repository", {})

    def test_files_come_from_who_answers(self):
        """Also when it has none of that name."""
        backend = World(one={"file": NO_LABEL}).backend(
            DEFAULT, of("one", "*/dev"), of("two", "orders")
        )

        async def run():
            asked = [lookup_of("x", "dev"), lookup_of("orders", "dev"), lookup_of("x")]
            return [(await backend.file(one, "a"))[0] for one in asked]

        assert asyncio.run(run()) == [b"default a", b"two a", b"default a"]

    def test_placeholders_outside_of_the_path_are_refused(self):
        """At the start, for any of them."""
        for repositories in (
            [Repository("https://{label}/x")],
            [DEFAULT, Repository("https://{label}/x", patterns=("*",))],
        ):
            with pytest.raises(SettingsError):
                World().backend(*repositories)


class TestKeeping:
    """How long an answer holds."""

    def test_it_holds_while_its_repository_is_as_it_was(self):
        """The stamp is that of the one that answered."""
        world = World()
        backend = world.backend(DEFAULT, APPS)
        found = asyncio.run(backend.sources(lookup_of()))
        before = backend.stamp(found.seen)
        world.made["orders"].state = 1
        assert (before, backend.stamp(found.seen)) == (found.stamp, 1)

    def test_a_file_has_one_as_an_answer_has(self):
        """That of the repository it comes from, while no other comes before that."""
        world = World(orders={"open": ABSENT})
        backend = world.backend(DEFAULT, APPS)

        async def run():
            found = await backend.file(lookup_of(), "a.txt")
            stamps = [found.stamp, backend.stamp(found.seen)]
            world.made["default"].state = 1
            stamps.append(backend.stamp(found.seen))
            world.now = 60.0
            return [*stamps, backend.stamp(found.seen)]

        assert asyncio.run(run()) == [0, 0, 1, None]

    def test_it_holds_while_another_is_known_to_be_absent(self):
        """After that, or when that is forgotten, the other one is looked for again."""
        world = World(orders={"open": ABSENT})
        backend = world.backend(DEFAULT, APPS)

        async def run():
            found = await backend.sources(lookup_of())
            stamps = [backend.stamp(found.seen)]
            world.now = 59.0
            stamps.append(backend.stamp(found.seen))
            world.now = 60.0
            stamps.append(backend.stamp(found.seen))
            again = await backend.sources(lookup_of())
            stamps += [backend.stamp(found.seen), backend.stamp(again.seen)]
            await backend.refresh()
            return [*stamps, backend.stamp(again.seen)]

        assert asyncio.run(run()) == [0, 0, None, None, 0, None]

    def test_it_goes_with_its_repository(self):
        """One that was closed to make room knows nothing any more."""
        world = World()
        backend = world.backend(DEFAULT, APPS, limit=2)

        async def run():
            one = await backend.sources(lookup_of("one"))
            two = await backend.sources(lookup_of("two"))
            backend.stamp(one.seen)  # a use of it
            await backend.sources(lookup_of("three"))
            stamps = [backend.stamp(one.seen), backend.stamp(two.seen)]
            await backend.sources(lookup_of("two"))
            return [*stamps, backend.stamp(two.seen)]  # of the one before

        assert asyncio.run(run()) == [0, None, None]

    def test_it_is_not_kept_where_its_repository_would_not(self):
        """As with any other backend."""
        world = World()
        backend = world.backend(DEFAULT)

        async def nothing(lookup):
            return Found(())

        world.made["default"].sources = nothing
        assert asyncio.run(backend.sources(lookup_of())).seen is None


class TestOfAll:
    """What concerns all repositories at once."""

    def test_some_are_opened_first(self):
        """Those with clone-on-start and one URI; all of them before an error."""
        first = {"is_opened_first": True}
        world = World(one={"open": AWAY})
        backend = world.backend(
            of("default", **first),
            of("one", "a", **first),
            of("two", "b", **first),
            of("three", "c"),
            of("{label}", "d", **first),
        )
        with pytest.raises(BackendUnavailable):
            asyncio.run(backend.open())
        calls = {name: fake.calls for name, fake in world.made.items()}
        opened = {name: ["open"] for name in ("default", "one", "two")}
        assert calls == {**opened, "three": []}

    def test_what_is_open_is_refreshed(self):
        """All of it before the first error; unused ones are not even cloned."""
        world = World(one={"refresh": Conflict("saved here")})
        backend = world.backend(DEFAULT, of("one", "a"), of("two", "b"), APPS)

        async def run():
            for names in (("a",), ("x",)):
                await backend.sources(lookup_of(*names))
            with pytest.raises(Conflict):
                await backend.refresh()

        asyncio.run(run())
        calls = {name: fake.calls[1:] for name, fake in world.made.items()}
        assert calls == {
            "default": [],
            "one": ["refresh"],
            "two": [],
            "x": ["sources", "refresh"],
        }

    def test_health_is_that_of_the_open_ones(self):
        """One that is away is a problem among others, without its password."""
        world = World(one={"health": AWAY})
        one = Repository("https://me:secret@h/one", patterns=("a",))
        backend = world.backend(DEFAULT, one, of("two", "b"), APPS)

        async def run():
            await backend.sources(lookup_of("a"))
            await backend.sources(lookup_of("x"))
            return backend.health()

        assert asyncio.run(run()) == {
            "repositories": [
                {"repository": "https://h/default", "of": "default"},
                {"repository": "https://h/one", "problem": "origin is away"},
                {"repository": "https://h/x", "of": "x"},
            ]
        }

    def test_only_the_default_repository_is_down_for_all(self):
        """There is none where names are filled into its URI."""
        with pytest.raises(BackendUnavailable):
            World(default={"health": AWAY}).backend(DEFAULT).health()
        assert World().backend(of("{application}")).health() == {"repositories": []}

    def test_close_closes_all(self):
        """Twice is fine."""
        world = World()
        backend = world.backend(DEFAULT, of("one", "a"), APPS)

        async def run():
            await backend.sources(lookup_of("x"))
            await backend.close()
            await backend.close()

        asyncio.run(run())
        calls = {name: fake.calls for name, fake in world.made.items()}
        assert calls == {
            "default": ["close", "close"],
            "one": ["close", "close"],
            "x": ["open", "sources", "close"],
        }

    def test_the_default_label_is_that_of_the_default_repository(self):
        """The backend knows it, where there is one."""
        label = {"default_label": "stable"}
        labels = [
            World().backend(of(name, **label)).default_label
            for name in ("default", "{application}")
        ]
        assert labels == ["label of default", "stable"]


class TestFolders:
    """What clones leave on disk."""

    def test_the_folders_of_templates_are_tidied_at_the_start(self):
        """An earlier server may have left more than the limit."""
        told = []
        backend = World().backend(
            DEFAULT,
            of("{label}", "a", options="of a"),
            of("one", "b"),
            tidy=lambda *what: told.append(what),
            limit=7,
        )
        asyncio.run(backend.open())
        assert told == [("https://h/{label}", "of a", 7)]

    def test_so_are_they_with_each_repository(self):
        """By its own URI and options."""
        told = []
        backend = World().backend(
            DEFAULT,
            of("{application}", "*", options="own"),
            tidy=lambda *what: told.append(what),
        )

        async def run():
            await backend.sources(lookup_of("orders"))
            await backend.close()

        asyncio.run(run())
        assert told == [("https://h/orders", "own", 100)] * 2


class TestBundles:
    """Single ones."""

    def test_a_bundle_comes_from_the_first_that_has_it(self):
        """What has none, or no such label, is passed by."""
        world = World(one={"none": True}, two={"fetch": NO_LABEL})
        backend = world.backend(DEFAULT, of("one", "*"), of("two", "*"), of("3", "a"))

        async def run():
            return [(await backend.fetch(name, "dev", "v1")) for name in "ab"]

        assert asyncio.run(run()) == [
            ConfigSource("a", "dev", "v1", {"from": "3"}),
            ConfigSource("b", "dev", "v1", {"from": "default"}),
        ]

    def test_no_bundle_is_none(self):
        """As of any backend; a store that is away is an error."""
        backend = World(default={"none": True}).backend(DEFAULT)
        assert asyncio.run(backend.fetch("a", "dev")) is None
        backend = World(default={"fetch": AWAY}).backend(DEFAULT)
        with pytest.raises(BackendUnavailable):
            asyncio.run(backend.fetch("a", "dev"))

    def test_bundles_of_all_are_listed_once(self):
        """Of the default repository and of those that are open."""
        backend = World().backend(DEFAULT, of("one", "a"), of("two", "b"), APPS)

        async def run():
            await backend.sources(lookup_of("a"))
            await backend.sources(lookup_of("x"))
            return [source.application for source in await backend.list()]

        assert sorted(asyncio.run(run())) == ["default", "one", "shared", "x"]
        assert asyncio.run(World().backend(of("{application}")).list()) == []

    def test_a_list_of_all_is_bounded(self):
        """A part of it would be taken for all."""
        world = World()
        backend = world.backend(DEFAULT, of("one", "*"))
        sources = [ConfigSource(f"app{number}", "dev") for number in range(100_000)]

        async def many():
            return sources

        async def run():
            await backend.sources(lookup_of())
            world.made["default"].list = many
            with pytest.raises(BackendMisconfigured) as caught:
                await backend.list()
            return str(caught.value), world.made["one"].calls

        problem = "more than 100000 bundles are stored: no list of them"
        assert asyncio.run(run()) == (problem, ["sources", "list"])

    def test_one_that_was_closed_meanwhile_is_not_listed(self):
        """And none is closed while its list is made."""
        world = World()
        backend = world.backend(DEFAULT, APPS, limit=1)

        async def run():
            await backend.sources(lookup_of("a"))
            started, gate = asyncio.Event(), asyncio.Event()

            async def held():
                started.set()
                await gate.wait()
                return []

            world.made["default"].list = held
            listing = asyncio.create_task(backend.list())
            await started.wait()
            await backend.sources(lookup_of("b"))
            gate.set()
            return await listing, world.made["a"].calls

        found, calls = asyncio.run(run())
        assert (found, "list" in calls) == ([], False)

    def test_nothing_is_saved(self):
        """As in Spring."""
        with pytest.raises(ReadOnlyBackend):
            asyncio.run(World().backend(DEFAULT).save(ConfigSource("a", "dev")))


def git(folder, *arguments):
    environ = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{role}_NAME": "t" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "t@t" for role in ("AUTHOR", "COMMITTER")},
    }
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def origins(tmp_path):
    """Repositories `default`, `orders` and `team/app`, each with one file."""
    pytest.importorskip("git")
    for name in ("default", "orders", "team/app"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")
        (folder / "application.yml").write_text(f"who: {name}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=first")
    return tmp_path


@asynccontextmanager
async def serving(origins, limit=100):
    from pyconfserve.adapters.git.backend import GitConfigBackend

    def make(uri, options):
        return GitConfigBackend(uri, refresh_rate=0)

    backend = GitRepositories(
        Repository(f"file://{origins}/default"),
        [Repository(f"file://{origins}/{{application}}", patterns=("*",))],
        make=make,
        limit=limit,
    )
    try:
        yield ConfigServer(backend, dialect=SPRING)
    finally:
        await backend.close()


async def who(server, *names):
    document = await server.fetch(*names)
    return document and [one["source"]["who"] for one in document["propertySources"]]


class TestReal:
    """With real repositories."""

    def test_names_lead_to_their_repositories(self, origins):
        """What has none gets the default one; an unknown label is not found."""

        async def run():
            async with serving(origins) as server:
                found = [
                    await who(server, name)
                    for name in ("orders", "team(_)app", "team", "orders,team")
                ]
                assert found == [["orders"], ["team/app"], ["default"], ["default"]]
                assert await server.fetch("orders", "default", "absent") is None

        asyncio.run(run())

    def test_a_repository_that_comes_later_is_found(self, origins):
        """After a refresh at once."""

        async def run():
            async with serving(origins) as server:
                assert await who(server, "new") == ["default"]
                (origins / "orders").rename(origins / "new")
                assert await who(server, "new") == ["default"]
                await server.backend.refresh()
                assert await who(server, "new") == ["orders"]

        asyncio.run(run())

    def test_more_repositories_than_may_be_open_are_served(self, origins):
        """Side by side, each request with its own values."""

        async def run():
            async with serving(origins, limit=1) as server:
                names = ["orders", "team(_)app", "absent"] * 4
                found = await asyncio.gather(*(who(server, name) for name in names))
                assert found == [["orders"], ["team/app"], ["default"]] * 4

        asyncio.run(run())
