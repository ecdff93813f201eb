"""spring_settings: a Java server's own settings are read as they are, or refused."""

import logging

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.http.passwords import PasswordHash
from pyconfserve.settings_sources import read_file
from pyconfserve.spring_settings import SpringSettings, read_spring

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
            {"spring.profiles.active": "prod", "spring.datasource.url": "jdbc:h2:x"},
            {"spring.profiles.active": "redis", "spring.datasource.url": "jdbc:h2:x"},
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

    @pytest.mark.parametrize(
        "flat",
        [
            {"spring.profiles.active": "redis", "spring.data.redis.url": "redis://h"},
            {"spring.profiles.active": "native, jdbc", "spring.datasource.URL": "x"},
            {"spring.profiles.active[0]": "a", "spring.profiles.active[1]": "jdbc", "spring.datasource.url": "x"},
            {"SPRING.PROFILES.ACTIVE": "redis", "spring.data.redis.sentinel.master": "m"},
        ],
        ids=str,
    )  # fmt: skip
    def test_the_profile_of_a_store_and_where_it_is_are_enough(self, flat):
        """A Java server needs no more for Redis and for a table."""
        assert read_spring(flat, {}, is_asked=False) is not None

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
            (f"{SERVER}GIT.SearchPaths", f"{SERVER}git.search-paths"),
            (f"{SERVER}git.repos.Team", f"{SERVER}git.repos.Team.uri"),
            (
                f"{SERVER}git.repos[a/b].cloneOnStart",
                f"{SERVER}git.repos.[a/b].clone-on-start",
            ),
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
            f"{SERVER}git.searchPaths[0]": 1,
            f"{SERVER}git.searchPaths[1]": True,
            f"{SERVER}composite[0].type": "native",
        }
        assert read(flat).values == {
            f"{SERVER}native.search-locations": "file:/a,file:/b",
            "spring.profiles.active": "native",
            f"{SERVER}git.search-paths": "1,true",
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
            ("SPRING_CLOUD_CONFIG_SERVER_GIT_URI", f"{SERVER}git.uri"),
            (
                "SPRING_CLOUD_CONFIG_SERVER_GIT_DEFAULTLABEL",
                f"{SERVER}git.default-label",
            ),
            ("SPRING_CLOUD_CONFIG_SERVER_GIT_SEARCHPATHS", f"{SERVER}git.search-paths"),
            (
                "SPRING_CLOUD_CONFIG_SERVER_GIT_CLONEONSTART",
                f"{SERVER}git.clone-on-start",
            ),
            (
                "SPRING_CLOUD_CONFIG_SERVER_GIT_CLONE_ON_START",
                f"{SERVER}git.clone-on-start",
            ),
            (
                "SPRING_CLOUD_CONFIG_SERVER_GIT_PROXY_HTTPS_HOST",
                f"{SERVER}git.proxy.https.host",
            ),
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

    @pytest.mark.parametrize(
        ("key", "variable"),
        [
            ("git.repos.my-team.uri", "GIT_REPOS_MYTEAM_PASSWORD"),
            ("git.repos.my-team.uri", "GIT_REPOS_MY_TEAM_PASSWORD"),
            ("git.repos.Team", "GIT_REPOS_TEAM_PASSWORD"),
            ("composite[1].uri", "COMPOSITE_1_PASSWORD"),
            ("composite[0].repos.team.uri", "COMPOSITE_0_REPOS_TEAM_PASSWORD"),
        ],
    )
    def test_repositories_of_the_file_have_variables_too(self, key, variable):
        """Passwords are kept there; others than the file's have none."""
        names = {key: "x", "git.uri": "y"}
        flat = {SERVER + name: text for name, text in names.items()}
        environ = {"SPRING_CLOUD_CONFIG_SERVER_" + variable: "p"}
        added = {*read(flat, environ).values} - {*read(flat).values}
        start = key.removesuffix(".uri")
        assert added == {f"{SERVER}{start}.password"}
        assert read({SERVER + "git.uri": "y"}, environ).values == {
            f"{SERVER}git.uri": "y"
        }

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
            ("git.search-path", "git.search-paths"),
            ("git.repos.team.patern", "git.repos.team.pattern"),
            ("gitt.uri", "git.uri"),
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
            "health.repositories.a.name",
            "composite[3].type",
            "encrypt.plainTextEncrypt",
            "overrides.anything",
        ],
    )
    def test_what_is_below_free_names_is_known(self, name):
        """Their owners know them, or nobody needs them."""
        assert read({SERVER + name: "x"}).values == {SERVER + name: "x"}

    @pytest.mark.parametrize(
        "key",
        [
            "encrypt.fail-on-error",
            f"{SERVER}bootstrap",
            f"{SERVER}default-application-name",
            f"{SERVER}default-profile",
            f"{SERVER}strip-document-from-yaml",
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


class TestProtection:
    """What protects something in Java does so here, or is refused."""

    def test_the_user_is_the_one_user(self):
        """With all rights, whatever its roles, and with its password hashed."""
        [user] = read(
            {
                **NATIVE,
                "spring.security.user.name": "java",
                "spring.security.user.password": "${PASSWORD}",
                "spring.security.user.roles[0]": "ADMIN",
            },
            {"PASSWORD": "hunter2"},
        ).fields["users"]
        assert PasswordHash.parse(user.pop("password")).fits("hunter2")
        assert user == {
            "name": "java",
            "applications": ["*"],
            "profiles": ["*"],
            "rights": ["decrypt", "encrypt", "list", "monitor", "read", "write"],
        }

    @pytest.mark.parametrize(
        ("values", "environ", "name", "password"),
        [
            ({"password": "a"}, {}, "user", "a"),
            ({"password": "{noop}a{b}"}, {}, "user", "a{b}"),
            ({"password": "a{bcrypt}"}, {}, "user", "a{bcrypt}"),
            ({"name": "x"}, {"SPRING_SECURITY_USER_PASSWORD": "b"}, "x", "b"),
            ({}, {"SPRING_SECURITY_USER_NAME": "y", "SPRING_SECURITY_USER_PASSWORD": "c"}, "y", "c"),
        ],
        ids=str,
    )  # fmt: skip
    def test_a_password_is_as_java_reads_it(self, values, environ, name, password):
        """Plain, with or without the mark that says so; `user` is the name by default."""
        flat = {f"spring.security.user.{key}": value for key, value in values.items()}
        [user] = read(flat, environ).fields["users"]
        assert user["name"] == name
        assert PasswordHash.parse(user["password"]).fits(password)

    def test_relaxed_spellings_name_the_user_too(self):
        """As Spring binds them."""
        flat = {"Spring.Security.User.NAME": "x", "spring.security.user.passWord": "p"}
        [user] = read(flat).fields["users"]
        assert user["name"] == "x"

    @pytest.mark.parametrize(
        ("flat", "problem"),
        [
            ({"spring.security.user.name": "x"}, "spring.security.user.password: is not set, and no password is made up here"),
            ({"spring.security.user.password": ""}, "spring.security.user.password: is not set, and no password is made up here"),
            (
                {"spring.security.user.password": "{bcrypt}$2a$secret"},
                "spring.security.user.password: a password that begins with the way it is kept, in braces, cannot be read here: set the password itself, or --users",
            ),
            (
                {"spring.security.user.password": "{s3cret}x"},
                "spring.security.user.password: a password that begins with the way it is kept, in braces, cannot be read here: set the password itself, or --users",
            ),
            ({"spring.security.user.password": "{noop}"}, "spring.security.user.password: is empty"),
            (
                {"spring.security.user.pasword": "secret"},
                "spring.security.user.pasword: unknown setting, the nearest known one is spring.security.user.password; it would protect nothing",
            ),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_would_protect_nothing_is_refused(self, flat, problem):
        """By a line that does not quote the value."""
        assert problem == refused(flat)

    @pytest.mark.parametrize(
        "key",
        ["spring.security.oauth2.resourceserver.jwt.issuer-uri", "Spring.Security.filter.order"],
    )  # fmt: skip
    def test_other_protection_is_refused(self, key):
        """Nothing of it is there, and nobody would notice."""
        problem = refused({key: "secret"})
        assert problem.startswith(f"{key}: unknown setting, the nearest known one is ")
        assert problem.endswith("; it would protect nothing")

    @pytest.mark.parametrize(
        "variable", ["SPRING_SECURITY_USER_PASWORD", "SERVER_SSL_BUNDEL", "SPRING_SECURITY_OAUTH2_CLIENT"]
    )  # fmt: skip
    def test_variables_are_refused_too(self, variable):
        """Passwords stand in the environment more often than in files."""
        assert refused({}, {variable: "secret"}).startswith(f"{variable}: unknown setting, ")

    def test_tls_is_read(self):
        """In PEM, as its own module has it."""
        flat = {"Server.SSL.certificate": "c.pem", "server.ssl.certificate-private-key": "${KEY}"}
        fields = read(flat, {"KEY": "k.pem", "SERVER_SSL_TRUSTCERTIFICATE": "ca.pem", "SERVER_SSL_CLIENT_AUTH": "need"}).fields
        assert fields == {"tls_cert": "c.pem", "tls_key": "k.pem", "tls_client_ca": "ca.pem"}

    @pytest.mark.parametrize(
        ("key", "problem"),
        [
            ("server.ssl.key-store", "server.ssl.key-store: key stores are not read, PEM is"),
            ("server.SSL.keyStore", "server.ssl.key-store: key stores are not read, PEM is"),
            ("server.ssl.certifikate", "server.ssl.certifikate: unknown setting, the nearest known one is server.ssl.certificate"),
        ],
    )
    def test_tls_that_would_not_be_there_is_refused(self, key, problem):
        """With what to do instead, and without the value."""
        found = refused({key: "secret"})
        assert found.startswith(problem)
        assert "secret" not in found
