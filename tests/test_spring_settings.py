"""spring_settings: a Java server's own settings are read as they are, or refused."""

import asyncio
import logging

import pytest

from pyconfserve import ConfigServer, FilesystemConfigBackend, Settings
from pyconfserve.auto_configuration import build_server
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.overlay import SPRING
from pyconfserve.errors import ConfigNotFound, ReadOnlyBackend, SettingsError
from pyconfserve.settings_sources import read_file
from pyconfserve.spring_settings import (
    SpringSettings,
    read_spring,
    spring_backend,
    spring_options,
)

SERVER = "spring.cloud.config.server."
NATIVE = {"spring.profiles.active": "native"}
LOGGER = "pyconfserve.spring_settings"
NOT_SET = "a placeholder names nothing that is set"


def read(flat, environ=None):
    return read_spring(flat, environ or {}, is_asked=True)


def of_server(**values):
    """Keys below SERVER, with their dashes."""
    return {SERVER + name.replace("_", "-"): value for name, value in values.items()}


def refused(flat, environ=None):
    """The message of the SettingsError that *flat* is refused with."""
    with pytest.raises(SettingsError) as caught:
        read(flat, environ)
    return str(caught.value)


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
    document = asyncio.run(server.fetch("orders", "prod", label))
    return [source["source"] for source in document["propertySources"]]


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


class TestWhoseSettings:
    """What makes settings a Java server's."""

    @pytest.mark.parametrize(
        "flat",
        [
            {},
            {"pyfly.config-server.port": 1},
            {"server.port": 1, "spring.profiles.active": "native"},
            {"spring.cloud.config.uri": "http://x"},
            {"spring.security.user.name": "u", "server.ssl.enabled": True},
        ],
        ids=str,
    )
    def test_none_where_nothing_is_the_servers(self, flat):
        """An application's own settings do not make it one, nor do variables."""
        environ = {"SERVER_PORT": "1", "SPRING_CLOUD_CONFIG_SERVER_PREFIX": "x"}
        assert read_spring(flat, environ, is_asked=False) is None

    @pytest.mark.parametrize(
        "key",
        [f"{SERVER}prefix", f"{SERVER.upper()}PREFIX", f"{SERVER}git.uri"],
    )
    def test_one_key_is_enough(self, key):
        """However it is spelled."""
        assert read_spring({key: "x"}, {}, is_asked=False) is not None

    def test_asked_for_nothing_is_enough(self):
        """--spring without any settings."""
        assert read({}) == SpringSettings({}, {}, {})

    def test_keys_of_others_are_left_alone(self):
        """Neither read nor refused, and their placeholders may be anything."""
        flat = {"my.key": "${nothing}", "pyfly.config-server.port": 1, "spring": "x"}
        assert read(flat) == SpringSettings({}, {}, {})


class TestNames:
    """Keys as people write them."""

    def test_every_field_has_its_key(self):
        """What Settings takes over, as texts."""
        flat = {
            "server.port": 9000,
            "server.address": "127.0.0.2",
            "encrypt.key": "k",
            "encrypt.salt": "beef",
            "encrypt.key-store.location": "file:/k.p12",
            "encrypt.key-store.password": "p",
            "encrypt.key-store.alias": "a",
            f"{SERVER}encrypt.enabled": False,
        }
        fields = {
            "port": "9000",
            "host": "127.0.0.2",
            "encrypt_key": "k",
            "encrypt_salt": "beef",
            "encrypt_key_store": "file:/k.p12",
            "encrypt_key_store_password": "p",
            "encrypt_key_store_alias": "a",
            "encrypt_enabled": "false",
        }
        values = {**flat, "server.port": "9000", f"{SERVER}encrypt.enabled": "false"}
        assert read(flat) == SpringSettings(fields, values, {})

    @pytest.mark.parametrize(
        ("written", "key"),
        [
            (f"{SERVER}native.searchLocations", f"{SERVER}native.search-locations"),
            (f"{SERVER}native.search_locations", f"{SERVER}native.search-locations"),
            (f"{SERVER}NATIVE.SEARCH-LOCATIONS", f"{SERVER}native.search-locations"),
            ("SPRING.Cloud.config.server.acceptEmpty", f"{SERVER}accept-empty"),
            ("server.servlet.contextPath", "server.servlet.context-path"),
            ("encrypt.keyStore.location", "encrypt.key-store.location"),
        ],
    )
    def test_names_are_relaxed(self, written, key):
        """Dashes, underscores and capitals make no difference."""
        assert read({written: "x"}).values == {key: "x"}

    def test_lists_are_texts_with_commas(self):
        """Whatever their items are; a list's neighbours are not touched."""
        flat = {
            f"{SERVER}native.searchLocations[0]": "file:/a",
            f"{SERVER}native.searchLocations[1]": "file:/b",
            "spring.profiles.active[0]": "native",
            f"{SERVER}git.depths[0]": 1,
            f"{SERVER}git.depths[1]": True,
            f"{SERVER}composite[0].type": "native",
        }
        assert read(flat).values == {
            f"{SERVER}native.search-locations": "file:/a,file:/b",
            "spring.profiles.active": "native",
            f"{SERVER}git.depths": "1,true",
            f"{SERVER}composite[0].type": "native",
        }

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            (
                "application.yml",
                "server.port: 9000\n"
                "spring:\n"
                "  profiles: {active: native}\n"
                "  cloud.config.server:\n"
                "    native:\n"
                "      searchLocations:\n"
                "        - file:/a\n"
                "        - ${HOME_OF_B:/b}\n"
                "---\n"
                "spring:\n"
                "  cloud.config.server.prefix: /config\n",
            ),
            (
                "application.properties",
                "server.port=9000\n"
                "spring.profiles.active=native\n"
                "spring.cloud.config.server.native.searchLocations=file:/a,${HOME_OF_B:/b}\n"
                "#---\n"
                "spring.cloud.config.server.prefix=/config\n",
            ),
        ],
    )
    def test_files_say_the_same(self, tmp_path, name, text):
        """YAML or properties, in several documents."""
        path = tmp_path / name
        path.write_text(text)
        found = read_spring(read_file(str(path)), {}, is_asked=False)
        values = {
            "server.port": "9000",
            "spring.profiles.active": "native",
            f"{SERVER}native.search-locations": "file:/a,/b",
            f"{SERVER}prefix": "/config",
        }
        fields = {"port": "9000", "base_path": "config"}
        assert found == SpringSettings(fields, values, {})


class TestVariables:
    """Spring's names in the environment."""

    @pytest.mark.parametrize(
        ("variable", "key"),
        [
            (
                "SPRING_CLOUD_CONFIG_SERVER_NATIVE_SEARCHLOCATIONS",
                f"{SERVER}native.search-locations",
            ),
            (
                "SPRING_CLOUD_CONFIG_SERVER_NATIVE_SEARCH_LOCATIONS",
                f"{SERVER}native.search-locations",
            ),
            ("SPRING_CLOUD_CONFIG_SERVER_ACCEPTEMPTY", f"{SERVER}accept-empty"),
            ("SPRING_PROFILES_ACTIVE", "spring.profiles.active"),
            ("SERVER_PORT", "server.port"),
            ("SERVER_ADDRESS", "server.address"),
            ("SERVER_SERVLET_CONTEXT_PATH", "server.servlet.context-path"),
            ("ENCRYPT_KEY", "encrypt.key"),
            ("ENCRYPT_KEYSTORE_LOCATION", "encrypt.key-store.location"),
            ("ENCRYPT_KEY_STORE_LOCATION", "encrypt.key-store.location"),
        ],
    )
    def test_a_variable_is_its_key(self, variable, key):
        """With dashes left out, or as underscores."""
        assert read({}, {variable: "x"}).values == {key: "x"}

    @pytest.mark.parametrize(
        "key", ["server.port", "server.Port", "SERVER.PORT", "server.port[0]"]
    )
    def test_a_variable_wins_over_the_file(self, key):
        """Whatever the file's spelling."""
        found = read({key: 1, f"{SERVER}prefix": "x"}, {"SERVER_PORT": "2"})
        assert found.fields == {"port": "2", "base_path": "x"}

    def test_other_variables_are_left_alone(self):
        """Only known names count."""
        environ = {"SPRING_CLOUD_CONFIG_SERVER_PREFX": "x", "PATH": "/bin"}
        assert read({}, environ) == SpringSettings({}, {}, {})


class TestPlaceholders:
    """`${NAME:default}` in values."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("${HOME_OF}/a", "/home/a"),
            ("${ABSENT:/d}/a", "/d/a"),
            ("${ABSENT:https://x.example/y}", "https://x.example/y"),
            ("${my.folder}", "/mine"),
            ("${my.number}", "7"),
            ("${both}", "of the environment"),
            ("${my.list}", "a,b"),
            ("${my.chain}", "/mine"),
            ("${ABSENT:${my.folder}}", "/mine"),
        ],
    )
    def test_placeholders_are_filled_in(self, text, expected):
        """From the environment, from other keys, from their defaults."""
        flat = {
            f"{SERVER}git.uri": text,
            "my.folder": "/mine",
            "my.number": 7,
            "my.chain": "${my.folder}",
            "my.list[0]": "a",
            "my.list[1]": "b",
            "both": "of the file",
        }
        environ = {"HOME_OF": "/home", "both": "of the environment"}
        assert read(flat, environ).values == {f"{SERVER}git.uri": expected}

    def test_variables_are_filled_in_too(self):
        """Like any other value."""
        found = read({"my.port": 9}, {"SERVER_PORT": "${my.port}"})
        assert found.fields == {"port": "9"}

    @pytest.mark.parametrize(
        ("flat", "message"),
        [
            ({f"{SERVER}prefix": "${ABSENT}"}, f"{SERVER}prefix: {NOT_SET}"),
            ({"encrypt.key": "a${ABSENT}b"}, f"encrypt.key: {NOT_SET}"),
            (
                {"server.port": "${a}", "a": "${b}", "b": "${a}"},
                "server.port: a placeholder leads back to itself",
            ),
        ],
        ids=str,
    )
    def test_what_names_nothing_is_an_error(self, flat, message):
        """Neither the text nor a value is in the message."""
        assert refused(flat) == message

    def test_overrides_keep_theirs(self):
        """The clients fill them in, whatever is set here."""
        key = f"{SERVER}overrides.one"
        found = read({key: "${HOME_OF} ${ABSENT}"}, {"HOME_OF": "/home"})
        assert found.overrides == {"one": "${HOME_OF} ${ABSENT}"}


class TestPaths:
    """Where the routes stand."""

    @pytest.mark.parametrize(
        ("context_path", "prefix", "fields", "outer_path"),
        [
            (None, None, {}, ""),
            (None, "/config", {"base_path": "config"}, ""),
            (None, "config", {"base_path": "config"}, ""),
            ("/java", None, {"base_path": "java"}, "/java"),
            ("/java", "/config/", {"base_path": "java/config"}, "/java"),
            ("/a/b", "c/d", {"base_path": "a/b/c/d"}, "/a/b"),
            ("/", "/", {}, "/"),
            ("", "", {}, ""),
        ],
    )
    def test_a_prefix_stands_below_the_context_path(
        self, context_path, prefix, fields, outer_path
    ):
        """/monitor and /actuator are below the context path alone."""
        given = {"server.servlet.context-path": context_path, f"{SERVER}prefix": prefix}
        found = read({key: text for key, text in given.items() if text is not None})
        assert (found.fields, found.outer_path) == (fields, outer_path)


class TestOverrides:
    """What stands above all sources."""

    @pytest.mark.parametrize(
        ("key", "name"),
        [("overrides[a/b]", "a/b"), ("Overrides.l[0]", "l[0]"), ("overrides.A", "A")],
    )
    def test_overrides_keep_their_names(self, key, name):
        """Lists stay one key for each item; brackets guard other characters."""
        assert read({f"{SERVER}{key}": "x"}).overrides == {name: "x"}

    def test_overrides_are_in_the_order_of_java(self):
        """As recorded in overrides/default, whatever the order of the file."""
        flat = {
            f"{SERVER}overrides.company.name": "Override Ltd",
            f"{SERVER}overrides.server.port": 9999,
            f"{SERVER}overrides.esc": "\\${x} and \\{y}",
            f"{SERVER}overrides.one": "${company.region}",
        }
        expected = [
            ("server.port", "9999"),
            ("company.name", "Override Ltd"),
            ("esc", "${x} and {y}"),
            ("one", "${company.region}"),
        ]
        found = [
            [*read(dict(order)).overrides.items()]
            for order in (flat.items(), [*flat.items()][::-1])
        ]
        assert found == [expected, expected]

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            (["b", "a"], ["a", "b"]),  # 97 and 98, of 4 buckets
            (["BB", "Aa"], ["BB", "Aa"]),  # the same hash: as they came
            (["Aa", "BB"], ["Aa", "BB"]),
            (["c", "h"], ["h", "c"]),  # 99 is 3 of 4, 104 is 0
            (["ü", "a", "😀"], ["😀", "a", "ü"]),  # of UTF-16: 0, 1 and 4 of 8
            ([*"abcdefgh"], [*"abcdefgh"]),  # 8 keys have 16 buckets
            ([*"abcdefghijklmnop"], [*"abcdefghijklmnop"]),  # and 16 have 32
        ],
        ids=str,
    )
    def test_keys_are_in_the_buckets_of_java(self, keys, expected):
        """Those of a copied HashMap, worked out by hand."""
        flat = {f"{SERVER}overrides.{key}": key for key in keys}
        assert [*read(flat).overrides] == expected

    def test_keys_keep_their_spelling(self):
        """They are the clients' names, and relaxed by nobody."""
        flat = {f"{SERVER}overrides.My_Key-a": "x", f"{SERVER}overrides.prefix": "y"}
        assert read(flat).overrides == {"My_Key-a": "x", "prefix": "y"}


class TestUnknownKeys:
    """A setting is never silently ignored."""

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("prefx", "prefix"),
            ("native.search-location", "native.search-locations"),
            ("default-lable", "default-label"),
            ("acceptempties", "accept-empty"),
            ("overrides", "native.order"),
        ],
    )
    def test_the_nearest_name_is_said(self, name, nearest):
        """For anything else below the server's keys."""
        assert refused({SERVER + name: "x"}) == (
            f"{SERVER}{name}: unknown setting, "
            f"the nearest known one is {SERVER}{nearest}"
        )

    def test_relaxed_keys_that_are_unknown_are_errors_too(self):
        """A capital does not hide a misspelled key."""
        key = "spring.cloud.config.Server.prefx"
        assert refused({key: "x"}) == (
            f"{key}: unknown setting, the nearest known one is {SERVER}prefix"
        )

    @pytest.mark.parametrize(
        "name",
        [
            "git.uri",
            "git.repos.team.pattern",
            "health.repositories.a.name",
            "composite[3].type",
            "encrypt.plainTextEncrypt",
            "overrides.anything",
        ],
    )
    def test_what_is_below_free_names_is_known(self, name):
        """Git's keys and their like are parsed."""
        assert read({SERVER + name: "x"}).values == {SERVER + name: "x"}

    @pytest.mark.parametrize(
        "key",
        [
            "encrypt.fail-on-error",
            f"{SERVER}bootstrap",
            f"{SERVER}default-application-name",
            f"{SERVER}default-profile",
            f"{SERVER}strip-document-from-yaml",
            f"{SERVER}reverse-location-order",
            f"{SERVER}native.fail-on-error",
        ],
    )
    def test_keys_without_effect_are_warned_of(self, caplog, key):
        """Once each, by their own name, however it was spelled."""
        with caplog.at_level(logging.DEBUG, LOGGER):
            read({key.replace("-", "_").upper(): True})
        assert caplog.record_tuples == [
            (LOGGER, logging.WARNING, f"{key} has no effect here")
        ]

    def test_keys_with_effect_are_not(self, caplog):
        """Nothing is said where nothing is amiss."""
        with caplog.at_level(logging.DEBUG, LOGGER):
            read({**NATIVE, **of_server(prefix="x", accept_empty=False)})
        assert caplog.messages == []


USERS = "users are not there yet, and this would protect nothing"
TLS = "TLS is not there yet, and this would encrypt nothing"


class TestProtection:
    """What protects something in Java is refused where it would not."""

    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("spring.security.user.name", USERS),
            ("spring.security.user.password", USERS),
            ("spring.security.user.roles[0]", USERS),
            ("server.ssl.enabled", TLS),
            ("server.ssl.key-store", TLS),
        ],
    )
    def test_users_and_tls_are_refused(self, key, reason):
        """By a line that says so, without the value."""
        assert refused({key: "secret"}) == f"{key.partition('[')[0]}: {reason}"

    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("spring.security.User.password", USERS),
            ("Spring.Security.user.name", USERS),
            ("server.SSL.keyStore", TLS),
            ("SERVER.SSL.ENABLED", TLS),
        ],
    )
    def test_relaxed_spellings_are_refused_too(self, key, reason):
        """Spring would read them, and protect."""
        assert refused({key: "secret"}) == f"{key}: {reason}"

    @pytest.mark.parametrize(
        ("variable", "reason"),
        [
            ("SPRING_SECURITY_USER_NAME", USERS),
            ("SPRING_SECURITY_USER_PASSWORD", USERS),
            ("SERVER_SSL_ENABLED", TLS),
            ("SERVER_SSL_KEYSTORE", TLS),
            ("SERVER_SSL_KEY_STORE_PASSWORD", TLS),
        ],
    )
    def test_variables_are_refused_too(self, variable, reason):
        """Passwords stand in the environment more often than in files."""
        assert refused({}, {variable: "secret"}) == f"{variable}: {reason}"


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
        "flat",
        [
            {},
            {"spring.profiles.active": "git"},
            {"spring.profiles.active": ""},
            {"spring.profiles.active": "native, git"},
            {"spring.profiles.active": "prod"},
            {f"{SERVER}git.uri": "https://git.example/x"},
        ],
        ids=str,
    )
    def test_git_is_refused_for_now(self, flat):
        """It is the default, and never left out beside native."""
        assert refused_backend(flat) == (
            "spring.profiles.active: git repositories are not served yet"
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
        backend = backend_of(composite(native(folders / "one"), **given))
        backend.members = (*backend.members, Branchless(folders / "two"))
        server = ConfigServer(backend, dialect=SPRING)
        document = asyncio.run(server.fetch("orders", "prod"))
        found = document and [one["source"] for one in document["propertySources"]]
        expected = [{"who": "one master"}, {"who": "one ."}] if is_lenient else None
        assert found == expected

    @pytest.mark.parametrize(
        ("member", "problem"),
        [
            ({"type": "git"}, "backends of type git are not served yet"),
            ({"type": "vault"}, "backends of type vault are not served yet"),
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
            f"{SERVER}composite[].search-location: unknown setting"
        )

    def test_a_composite_needs_members(self):
        """None at all would be a failure at every request."""
        assert refused_backend(composite()) == f"{SERVER}composite: expected backends"


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
