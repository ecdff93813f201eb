"""spring_backends: the backend that a Java server's settings name, or why none."""

import asyncio
import sqlite3
import subprocess

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend, Settings
from pyconfserve.auto_configuration import build_server
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import SPRING
from pyconfserve.errors import ConfigNotFound, ReadOnlyBackend, SettingsError
from pyconfserve.spring_backends import spring_backend, spring_options
from pyconfserve.spring_settings import read_spring

SERVER = "spring.cloud.config.server."
NATIVE = {"spring.profiles.active": "native"}


def read(flat, environ=None):
    return read_spring(flat, environ or {}, is_asked=True)


def of_server(**values):
    """Keys below SERVER, with their dashes."""
    return {SERVER + name.replace("_", "-"): value for name, value in values.items()}


def backend_of(flat, settings=None):
    return spring_backend(read(flat), settings or Settings())


def refused_backend(flat):
    spring = read(flat)
    with pytest.raises(SettingsError) as caught:
        spring_backend(spring, Settings())
    return str(caught.value)


def served(flat, label=None, settings=None):
    """The values of each source that these settings give to orders/prod, in order."""
    server = build_server(settings or Settings(), read(flat))

    async def run():
        document = await server.fetch("orders", "prod", label)
        await server.close()
        return [source["source"] for source in document["propertySources"]]

    return asyncio.run(run())


@pytest.fixture
def folders(tmp_path):
    """`one` and `two`, each with a file and with folders of the labels v1 and master."""
    for name in ("one", "two"):
        for label in (".", "v1", "master"):
            folder = tmp_path / name / label
            folder.mkdir(parents=True, exist_ok=True)
            text = f"who: {name} {label}\n"
            (folder / "orders.yml").write_text(text)
    return tmp_path


class TestProfiles:
    """spring.profiles.active names the backend."""

    def test_native_is_folders(self, folders):
        """The last location first, as recorded, label folders before all."""
        places = f"file:{folders}/one, file://{folders}/two,"
        flat = {**NATIVE, f"{SERVER}native.search-locations": places}
        assert isinstance(backend_of(flat), FilesystemConfigBackend)
        assert served(flat) == [
            {"who": "two master"},
            {"who": "one master"},
            {"who": "two ."},
            {"who": "one ."},
        ]

    def test_folders_are_not_made(self, tmp_path):
        """A missing one stays missing."""
        flat = {**NATIVE, f"{SERVER}native.search-locations": f"{tmp_path}/absent"}
        assert (served(flat), [*tmp_path.iterdir()]) == ([], [])

    @pytest.mark.parametrize("places", [None, "", " , "])
    def test_native_needs_folders(self, places):
        """There is no class path to look into."""
        given = {} if places is None else {f"{SERVER}native.search-locations": places}
        assert refused_backend({**NATIVE, **given}) == (
            f"{SERVER}native.search-locations: expected folders"
        )

    @pytest.mark.parametrize(
        "settings",
        [
            lambda folder: Settings(root=folder),
            lambda folder: Settings(search_locations=(folder,)),
            lambda folder: Settings(native_search_locations=(folder,)),
        ],
        ids=["root", "search-locations", "native.search-locations"],
    )
    @pytest.mark.parametrize("profiles", ["git", "native", "composite"])
    def test_root_wins(self, folders, settings, profiles):
        """What was said to us is served, whatever was said to Java."""
        flat = {
            "spring.profiles.active": profiles,
            f"{SERVER}native.search-locations": f"{folders}/one",
        }
        ours = settings(str(folders / "two"))
        assert served(flat, settings=ours) == [{"who": "two master"}, {"who": "two ."}]

    @pytest.mark.parametrize("name", ["mongodb", "credhub", "subversion"])
    @pytest.mark.parametrize("others", ["", "git,", "composite,"])
    def test_other_stores_are_refused(self, name, others):
        """What they hold would be missing, unseen."""
        flat = {"spring.profiles.active": f"{others}{name}"}
        assert refused_backend(flat) == (
            f"spring.profiles.active: backends of type {name} are not served yet"
        )


def git(folder, *arguments):
    user = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "-C", str(folder), *user, *arguments], check=True)


@pytest.fixture
def origin(tmp_path):
    """A repository with `who: git <branch>` and two plain files, on two branches."""
    pytest.importorskip("git")
    folder = tmp_path / "origin"
    (folder / "cfg").mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for branch in ("main", "stable"):
        (folder / "orders.yml").write_text(f"who: git {branch}\n")
        (folder / "a.txt").write_text("root")
        (folder / "cfg" / "a.txt").write_text("cfg")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=next")
        git(folder, "branch", "--quiet", "--force", "stable")
        git(folder, "checkout", "--quiet", "--detach")
    return f"file://{folder}"


class TestGit:
    """Repositories, which are the default."""

    @pytest.mark.parametrize("profiles", [None, "git", "prod", "git,prod"])
    def test_git_is_the_default(self, origin, profiles):
        """Whatever other profiles there are."""
        flat = {f"{SERVER}git.uri": origin}
        flat |= {"spring.profiles.active": profiles} if profiles else {}
        assert served(flat) == [{"who": "git main"}]

    def test_git_needs_a_repository(self):
        """Nothing else is served in its place."""
        for flat in ({}, {f"{SERVER}git.repos.team": "https://h/x"}):
            assert refused_backend(flat) == (
                f"{SERVER}git.uri: expected the URI of a repository"
            )

    @pytest.mark.parametrize(
        ("options", "settings", "expected"),
        [
            ({}, Settings(label="stable"), "stable"),
            ({"default-label": "stable"}, Settings(), "stable"),
            ({"default-label": "stable"}, Settings(label="main"), "stable"),
            ({"git.default-label": "stable"}, Settings(label="main"), "stable"),
            (
                {"git.default-label": "main", "default-label": "stable"},
                Settings(),
                "stable",
            ),
        ],
        ids=str,
    )
    def test_default_labels(self, origin, options, settings, expected):
        """The server's goes before git's, and ours is for want of both."""
        flat = {SERVER + name: text for name, text in options.items()}
        flat[f"{SERVER}git.uri"] = origin
        assert served(flat, settings=settings) == [{"who": f"git {expected}"}]

    @pytest.mark.parametrize(
        ("profiles", "orders", "expected"),
        [
            ("native,git", {}, ["one", "git"]),
            ("git,native", {}, ["one", "git"]),
            ("git,native", {"git.order": 1, "native.order": 2}, ["git", "one"]),
            ("git,native", {"git.order": 2, "native.order": 1}, ["one", "git"]),
            ("git,native", {"git.order": 1}, ["git", "one"]),
            ("native, git", {"native.order": -1, "git.order": -2}, ["git", "one"]),
        ],
        ids=str,
    )
    def test_native_and_git_are_in_order(
        self, origin, folders, profiles, orders, expected
    ):
        """As recorded in git-native and native-order."""
        flat = {
            "spring.profiles.active": profiles,
            f"{SERVER}git.uri": origin,
            f"{SERVER}native.search-locations": f"{folders}/one",
            f"{SERVER}native.add-label-locations": False,
            **{SERVER + name: order for name, order in orders.items()},
        }
        found = [source["who"].split()[0] for source in served(flat)]
        assert found == expected

    def test_an_order_is_a_number(self, folders):
        """Java would not start either."""
        flat = {
            "spring.profiles.active": "native,git",
            f"{SERVER}git.uri": "https://h/x",
            f"{SERVER}git.order": "first",
            f"{SERVER}native.search-locations": f"{folders}/one",
        }
        pytest.importorskip("git")
        assert refused_backend(flat) == f"{SERVER}git.order: expected a whole number"

    def test_members_of_a_composite_may_be_git(self, origin, folders):
        """With all of git's settings, in any spelling, and those of any member."""
        member = {
            "type": "git",
            "URI": "https://h/absent",
            "order": 1,
            "failOnError": True,
            "repos.one": origin,
            "repos.one.pattern": "orders",
            "repos.one.defaultLabel": "stable",
        }
        plain = {"add-label-locations": False}
        flat = composite(native(folders / "one", **plain), member)
        assert served(flat) == [{"who": "one ."}, {"who": "git stable"}]

    @pytest.mark.parametrize(
        ("name", "nearest"), [("url", "uri"), ("repos.a.url", "repos.a.uri")]
    )
    def test_what_a_git_member_does_not_know_is_an_error(self, name, nearest):
        """With the nearest key."""
        start = f"{SERVER}composite[0]."
        flat = composite({"type": "git", "uri": "https://h/x", name: "x"})
        assert refused_backend(flat) == (
            f"{start}{name}: unknown setting, the nearest known one is {start}{nearest}"
        )


class TestReversedLocations:
    """reverse-location-order: for plain files alone."""

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, b"root"),
            ({"reverse-location-order": True}, b"cfg"),
            ({"git.reverse-location-order": "true"}, b"cfg"),
            ({"reverse-location-order": "false"}, b"root"),
        ],
        ids=str,
    )
    def test_in_git(self, origin, given, expected):
        """The last search path first."""
        flat = {SERVER + name: value for name, value in given.items()}
        flat |= {f"{SERVER}git.uri": origin, f"{SERVER}git.search-paths": "cfg"}
        assert plain_file(flat) == expected

    @pytest.mark.parametrize(("is_on", "expected"), [(False, b"one"), (True, b"two")])
    @pytest.mark.parametrize("is_member", [False, True])
    def test_in_folders(self, folders, is_on, expected, is_member):
        """The last of them first, also as a member of a composite."""
        for name in ("one", "two"):
            (folders / name / "a.txt").write_text(name)
        places = native(f"{folders}/one,{folders}/two")
        below = {f"{SERVER}native.{name}": text for name, text in places.items()}
        flat = composite(places) if is_member else {**NATIVE, **below}
        flat.pop(f"{SERVER}native.type", None)
        flat[f"{SERVER}reverse-location-order"] = is_on
        assert plain_file(flat) == expected


def plain_file(flat):
    """The bytes of a.txt for orders/prod."""
    server = build_server(Settings(), read(flat))

    async def run():
        found = await server.file(server.lookup("orders", "prod"), "a.txt")
        await server.close()
        return found.data

    return asyncio.run(run())


class TestNativeOptions:
    """spring.cloud.config.server.native.*"""

    @pytest.mark.parametrize(
        ("options", "label", "expected"),
        [
            ({}, None, ["one master", "one ."]),
            ({}, "v1", ["one v1", "one ."]),
            ({"native.default-label": "v1"}, None, ["one v1", "one ."]),
            ({"default-label": "v1"}, None, ["one v1", "one ."]),
            (
                {"default-label": "absent", "native.default-label": "v1"},
                None,
                ["one v1", "one ."],
            ),
            ({"native.add-label-locations": False}, None, ["one ."]),
            ({"native.add-label-locations": "FALSE"}, "v1", ["one ."]),
            ({"native.add-label-locations": True}, "v1", ["one v1", "one ."]),
            ({"native.order": 3}, "v1", ["one v1", "one ."]),
        ],
        ids=str,
    )
    def test_labels_are_folders(self, folders, options, label, expected):
        """Unless they are switched off; native's default label is the nearer one."""
        flat = {
            **NATIVE,
            f"{SERVER}native.search-locations": f"{folders}/one",
            **{SERVER + name: value for name, value in options.items()},
        }
        assert served(flat, label) == [{"who": text} for text in expected]

    def test_our_default_label_stands_in_for_theirs(self, folders):
        """default-label of Settings, where Spring's is not set."""
        flat = {**NATIVE, f"{SERVER}native.search-locations": f"{folders}/one"}
        expected = [{"who": "one v1"}, {"who": "one ."}]
        assert served(flat, settings=Settings(label="v1")) == expected

    @pytest.mark.parametrize("word", ["no", "off", "0"])
    def test_every_word_for_false_is_understood(self, folders, word):
        """Spring takes them all, and so do our own settings."""
        flat = {
            **NATIVE,
            f"{SERVER}native.search-locations": f"{folders}/one",
            f"{SERVER}native.add-label-locations": word,
        }
        assert served(flat) == [{"who": "one ."}]

    def test_a_version_is_told_to_clients(self, folders):
        """As a text, however YAML reads it."""
        flat = {
            **NATIVE,
            f"{SERVER}native.search-locations": f"{folders}/one",
            f"{SERVER}native.version": 9.8,
        }
        server = build_server(Settings(), read(flat))
        assert asyncio.run(server.fetch("orders", "prod")) == {
            "name": "orders",
            "profiles": ["prod"],
            "label": None,
            "version": "9.8",
            "state": None,
            "propertySources": [
                {
                    "name": f"file:{folders}/one/master/orders.yml",
                    "source": {"who": "one master"},
                },
                {
                    "name": f"file:{folders}/one/orders.yml",
                    "source": {"who": "one ."},
                },
            ],
        }


def composite(*members, **options):
    """Settings of a composite; members are mappings or None for a gap."""
    return {
        "spring.profiles.active": "composite",
        **{SERVER + name.replace("_", "-"): value for name, value in options.items()},
        **{
            f"{SERVER}composite[{index}].{name}": value
            for index, member in enumerate(members)
            for name, value in (member or {}).items()
        },
    }


def native(place, **options):
    return {"type": "native", "search-locations": str(place), **options}


class Branchless(FilesystemConfigBackend):
    """A folder that has no label at all."""

    async def sources(self, lookup):
        raise ConfigNotFound("no such label")


class TestComposite:
    """Several backends at once."""

    def test_members_come_in_the_order_of_their_numbers(self, folders):
        """Not in that of the file, and ten comes after two."""
        plain = {"add-label-locations": "false"}
        one, two = (native(folders / name, **plain) for name in ("one", "two"))
        flat = composite(None, None, two, *[None] * 7, one)
        turned = dict(reversed(flat.items()))
        expected = [{"who": "two ."}, {"who": "one ."}]
        assert (served(flat), served(turned)) == (expected, expected)

    def test_members_have_their_own_options(self, folders):
        """Label folders and the default label of each."""
        flat = composite(
            native(folders / "one", **{"default-label": "v1"}),
            native(folders / "two", **{"add-label-locations": "false"}),
        )
        expected = [{"who": "one v1"}, {"who": "one ."}, {"who": "two ."}]
        assert served(flat) == expected

    @pytest.mark.parametrize("key", ["searchLocations", "search_locations"])
    def test_their_names_are_relaxed_too(self, folders, key):
        """Like all others."""
        flat = composite({"type": "native", key: str(folders / "one")})
        assert served(flat) == [{"who": "one master"}, {"who": "one ."}]

    def test_their_lists_are_read(self, folders):
        """As YAML flattens them."""
        places = {
            "search-locations[0]": str(folders / "one"),
            "search-locations[1]": str(folders / "two"),
            "add-label-locations": False,
        }
        flat = composite({"type": "native", **places})
        assert served(flat) == [{"who": "two ."}, {"who": "one ."}]

    def test_composite_goes_before_other_profiles(self, folders):
        """Beside native and git it is what counts."""
        flat = composite(native(folders / "one"))
        flat["spring.profiles.active"] = "native,composite,git"
        assert isinstance(backend_of(flat), CompositeConfigBackend)

    @pytest.mark.parametrize(
        ("given", "is_lenient"),
        [
            ({}, False),
            ({"fail_on_composite_error": True}, False),
            ({"fail_on_composite_error": "TRUE"}, False),
            ({"fail_on_composite_error": False}, True),
            ({"fail_on_composite_error": "False"}, True),
        ],
        ids=str,
    )
    def test_members_without_the_label_fail_unless_allowed(
        self, folders, given, is_lenient
    ):
        """fail-on-composite-error."""
        members = [native(folders / name) for name in ("one", "two")]
        backend = backend_of(composite(*members, **given))
        backend.members = (backend.members[0], Branchless(folders / "two"))
        server = ConfigServer(backend, dialect=SPRING)
        document = asyncio.run(server.fetch("orders", "prod"))
        found = document and [one["source"] for one in document["propertySources"]]
        expected = [{"who": "one master"}, {"who": "one ."}] if is_lenient else None
        assert found == expected

    @pytest.mark.parametrize(
        ("member", "problem"),
        [
            ({"type": "mongodb"}, "backends of type mongodb are not served yet"),
            ({"uri": "x"}, "backends of type none are not served yet"),
        ],
        ids=str,
    )
    def test_other_types_are_refused(self, folders, member, problem):
        """Never left out silently."""
        flat = composite(native(folders / "one"), member)
        assert refused_backend(flat) == f"{SERVER}composite: {problem}"

    def test_a_member_needs_folders(self):
        """As native does."""
        assert refused_backend(composite({"type": "native"})) == (
            f"{SERVER}native.search-locations: expected folders"
        )

    def test_what_a_member_does_not_know_is_an_error(self, folders):
        """A misspelled setting of it would change nothing, unseen."""
        member = {**native(folders / "one"), "search-location": "x"}
        assert refused_backend(composite(member)) == (
            f"{SERVER}composite[0].search-location: unknown setting, "
            f"the nearest known one is {SERVER}composite[0].search-locations"
        )

    def test_a_composite_needs_members(self):
        """None at all would be a failure at every request."""
        assert refused_backend(composite()) == f"{SERVER}composite: expected backends"


class TestJdbc:
    """A table of properties, as Java's server reads it; test_jdbc has its answers."""

    @pytest.fixture
    def database(self, tmp_path):
        """The settings of a table with two rows under the label master, one under v1."""
        path = tmp_path / "java.db"
        rows = [("orders", None, "master"), ("orders", "prod", "master"), ("orders", "prod", "v1")]
        database = sqlite3.connect(path)
        database.execute('CREATE TABLE PROPERTIES (APPLICATION, PROFILE, LABEL, "KEY", "VALUE")')
        for row in rows:
            database.execute("INSERT INTO PROPERTIES VALUES (?, ?, ?, 'who', ?)", (*row, f"row {row[1]} {row[2]}"))
        database.commit()
        database.close()
        return {"spring.profiles.active": "jdbc", "spring.datasource.url": f"jdbc:sqlite:{path}"}

    def test_the_profile_is_enough(self, database):
        """The default label is master."""
        assert served(database) == [{"who": "row prod master"}, {"who": "row None master"}]
        assert served(database, "v1") == [{"who": "row prod v1"}]

    def test_its_own_settings(self, database):
        """In any spelling: the queries, the label, what an incomplete request means."""
        flat = database | {
            f"{SERVER}jdbc.defaultLabel": "v1",
            f"{SERVER}jdbc.sql-without-profile": "SELECT 'who', 'label ' || ? || ?",
            f"{SERVER}JDBC.SQL": "SELECT 'n', ? || ? || ?",
        }
        assert served(flat) == [
            {"n": "ordersprodv1"}, {"n": "applicationprodv1"},
            {"who": "label ordersv1"}, {"who": "label applicationv1"},
        ]  # fmt: skip
        flat = database | {f"{SERVER}jdbc.config_incomplete": "true"}
        assert served(flat) == [{"who": "row prod master"}]

    def test_it_stands_before_folders_and_git(self, database, folders):
        """As Java orders them, unless settings say otherwise."""
        flat = database | {
            "spring.profiles.active": "native,jdbc",
            f"{SERVER}native.search-locations": str(folders / "one"),
            f"{SERVER}native.add-label-locations": "false",
        }
        table, native = [{"who": "row prod master"}, {"who": "row None master"}], [{"who": "one ."}]
        assert served(flat) == table + native
        assert served(flat | {f"{SERVER}native.order": 1}) == native + table
        assert served(flat | {f"{SERVER}jdbc.enabled": "false"}) == native

    def test_a_member_of_a_composite_may_be_one(self, database, folders):
        """The database is the one of all."""
        plain = {"add-label-locations": "false"}
        flat = composite(native(folders / "one", **plain), {"type": "jdbc", "default-label": "v1"})
        assert served(database | flat) == [{"who": "one ."}, {"who": "row prod v1"}]

    def test_variables_hold_what_is_secret(self, database):
        """As Java takes them."""
        environ = {"SPRING_DATASOURCE_URL": database.pop("spring.datasource.url"), "SPRING_DATASOURCE_PASSWORD": "x"}
        values = read(database, environ).values
        assert values["spring.datasource.url"].startswith("jdbc:sqlite:")
        assert values["spring.datasource.password"] == "x"

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"spring.datasource.url": ""}, "spring.datasource.url: expected the address of a database"),
            ({f"{SERVER}jdbc.fail-on-error": "x"}, f"{SERVER}jdbc.fail-on-error: expected true or false"),
            ({f"{SERVER}jdbc.order": "x"}, f"{SERVER}jdbc.order: expected a whole number"),
        ],
        ids=["no database", "no switch", "no number"],
    )
    def test_what_is_wrong_is_named(self, database, given, problem):
        """Its key, and never the password."""
        assert problem == refused_backend(database | given)

    def test_what_a_member_does_not_know_is_an_error(self, database):
        """As for the others."""
        flat = composite({"type": "jdbc", "sqll": "x"})
        assert refused_backend(database | flat) == (
            f"{SERVER}composite[0].sqll: unknown setting, the nearest known one is {SERVER}composite[0].sql"
        )

    def test_nothing_is_saved(self, database):
        """Java's server has no saves either."""
        server = build_server(Settings(), read(database))
        with pytest.raises(ReadOnlyBackend):
            asyncio.run(server.save("orders", "prod", {}))


class TestServer:
    """What build_server makes of them."""

    @pytest.mark.parametrize(
        ("given", "accept_empty"),
        [
            ({}, None),
            ({"accept_empty": True}, True),
            ({"accept_empty": "TRUE"}, True),
            ({"accept_empty": False}, False),
            ({"accept_empty": "false"}, False),
            ({"accept_empty": "yes"}, True),
            ({"accept_empty": "on"}, True),
            ({"accept_empty": "1"}, True),
        ],
        ids=str,
    )
    def test_options_are_those_of_the_server(self, given, accept_empty):
        """The dialect, accept-empty and the overrides."""
        flat = {**of_server(**given), f"{SERVER}overrides.a": "b"}
        assert spring_options(read(flat)) == {
            "dialect": SPRING,
            "accept_empty": accept_empty,
            "overrides": {"a": "b"},
        }

    def test_a_switch_is_on_or_off(self):
        """Anything else is an error with its key."""
        with pytest.raises(SettingsError) as caught:
            spring_options(read(of_server(accept_empty="maybe")))
        assert str(caught.value) == f"{SERVER}accept-empty: expected true or false"

    def test_it_speaks_spring_and_saves_nothing(self, folders):
        """SPRING implies read-only, and the folder is as before."""
        before = sorted(folders.rglob("*"))
        flat = {**NATIVE, f"{SERVER}native.search-locations": f"{folders}/one"}
        server = build_server(Settings(), read(flat))
        with pytest.raises(ReadOnlyBackend) as caught:
            asyncio.run(server.save("orders", "prod", {"a": 1}))
        assert str(caught.value) == "this server is read-only"
        assert (server.dialect, server.is_read_only) == (SPRING, True)
        assert sorted(folders.rglob("*")) == before

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, []),
            ({"accept_empty": False}, None),
            (
                {"accept_empty": False, "overrides.a": "b"},
                [{"name": "overrides", "source": {"a": "b"}}],
            ),
        ],
        ids=str,
    )
    def test_nothing_found_is_an_answer_unless_refused(self, tmp_path, given, expected):
        """With overrides it is not nothing."""
        flat = {
            **NATIVE,
            f"{SERVER}native.search-locations": str(tmp_path),
            **of_server(**given),
        }
        server = build_server(Settings(), read(flat))
        document = asyncio.run(server.fetch("unknown", "prod"))
        assert (document and document["propertySources"]) == expected

    def test_overrides_stand_above_all(self, folders):
        """One source before the folder's."""
        flat = {
            **NATIVE,
            f"{SERVER}native.search-locations": f"{folders}/one",
            f"{SERVER}native.add-label-locations": False,
            f"{SERVER}overrides.who": "me",
        }
        assert served(flat) == [{"who": "me"}, {"who": "one ."}]
