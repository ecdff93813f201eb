"""settings_sources: every way in gives the same settings, and nothing is ignored."""

import json
from collections import UserDict
from types import MappingProxyType

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.settings import Settings
from pyconfserve.settings_sources import collect, collect_variables, read_settings

EXPECTED = Settings(
    enabled=True,
    search_locations=("/etc/a", "/etc/b"),
    base_path="/config",
    port=9000,
)

NESTED = {
    "pyfly": {
        "config-server": {
            "enabled": True,
            "base-path": "/config",
            "port": 9000,
            "backend": {"search-locations": ["/etc/a", "/etc/b"]},
        }
    }
}
FLAT = {
    "pyfly.config-server.enabled": "true",
    "pyfly.config-server.base-path": "/config",
    "pyfly.config-server.port": "9000",
    "pyfly.config-server.backend.search-locations": "/etc/a, /etc/b",
}
INDEXED = {
    "pyfly.config-server.enabled": "true",
    "pyfly.config-server.base-path": "/config",
    "pyfly.config-server.port": 9000,
    "pyfly.config-server.backend.search-locations[0]": "/etc/a",
    "pyfly.config-server.backend.search-locations[1]": "/etc/b",
}
MIXED = {
    "pyfly.config-server": {"enabled": True, "base-path": "/config"},
    "pyfly": {
        "config-server.port": 9000,
        "config-server": {"backend.search-locations": ["/etc/a", "/etc/b"]},
    },
}
RELAXED = {
    "pyfly": {
        "configServer": {
            "ENABLED": True,
            "basePath": "/config",
            "Port": 9000,
            "backend": {"SEARCH_LOCATIONS": ["/etc/a", "/etc/b"]},
        }
    }
}
YAML = """\
pyfly:
  config-server:
    enabled: true
    base-path: /config
    port: 9000
    backend:
      search-locations:
        - /etc/a
        - /etc/b
"""
PROPERTIES = """\
pyfly.config-server.enabled=true
pyfly.config-server.base-path=/config
pyfly.config-server.port=9000
pyfly.config-server.backend.search-locations=/etc/a,/etc/b
"""
TOML = """\
[pyfly.config-server]
enabled = true
base-path = "/config"
port = 9000
backend.search-locations = ["/etc/a", "/etc/b"]
"""


class Getter:
    """A configuration that can only be asked for one key at a time."""

    def __init__(self, values):
        self.values = values

    def get(self, key, default=None):
        return self.values.get(key, default)


class TestWaysIn:
    """The same settings from whatever holds them."""

    @pytest.mark.parametrize(
        "source",
        [
            EXPECTED,
            NESTED,
            FLAT,
            INDEXED,
            MIXED,
            RELAXED,
            MappingProxyType(FLAT),
            UserDict(NESTED),
            Getter(FLAT),
            Getter(
                FLAT
                | {"pyfly.config-server.backend.search-locations": ["/etc/a", "/etc/b"]}
            ),
        ],
        ids=[
            "Settings",
            "nested",
            "flat",
            "indexed",
            "mixed",
            "relaxed",
            "proxy",
            "user dict",
            "get",
            "get list",
        ],
    )
    def test_settings_come_from_an_object(self, source):
        """Settings, mappings of every shape, and anything with get."""
        assert read_settings(source, {}) == EXPECTED

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("settings.yaml", YAML),
            ("settings.yml", YAML),
            ("settings.properties", PROPERTIES),
            ("settings.json", json.dumps(NESTED)),
            ("settings.toml", TOML),
        ],
    )
    def test_settings_come_from_a_file(self, tmp_path, name, text):
        """A path as text or as Path, in each format."""
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        assert [read_settings(path, {}), read_settings(str(path), {})] == [
            EXPECTED,
            EXPECTED,
        ]

    def test_inner_mappings_need_not_be_dicts(self):
        """Settings below any kind of mapping are found, not ignored."""
        source = {
            "pyfly": MappingProxyType(
                {"config-server": MappingProxyType({"port": 9000})}
            )
        }
        assert Settings(port=9000) == read_settings(source, {})

    def test_the_rest_of_a_configuration_is_left_alone(self):
        """An application's whole configuration may be given, with keys of any type."""
        source = {
            "pyfly": {"config-server": {"port": 1}, "web": {"port": 2}},
            "ports": {8080: "a"},
            7: None,
        }
        assert Settings(port=1) == read_settings(source, {})

    def test_settings_given_are_settings_taken(self):
        """A Settings is taken as it is."""
        assert read_settings(EXPECTED) is EXPECTED

    def test_nothing_set_is_all_defaults(self):
        """An empty source names no setting."""
        assert [Settings(), Settings()] == [
            read_settings({}, {}),
            read_settings(Getter({}), {}),
        ]

    @pytest.mark.parametrize("source", [None, 7, object()])
    def test_something_else_is_refused(self, source):
        """The message says what can be given."""
        with pytest.raises(SettingsError) as caught:
            read_settings(source, {})
        assert (
            str(caught.value)
            == "expected Settings, a mapping, a file's path or an object with get"
        )

    def test_collect_gives_only_what_is_set(self):
        """Fields that the source does not name are absent, so that others may fill them."""
        assert collect({"pyfly.config-server.port": "9000"}, {}) == {"port": 9000}


class TestUnknownKeys:
    """A setting is never silently ignored."""

    @pytest.mark.parametrize(
        ("key", "nearest"),
        [
            ("pyfly.config-server.prot", "pyfly.config-server.port"),
            ("pyfly.config-server.basepaths", "pyfly.config-server.base-path"),
            ("pyfly.config-server.backend.rot", "pyfly.config-server.backend.root"),
            (
                "pyfly.config-server.backend.git.url",
                "pyfly.config-server.backend.git.uri",
            ),
            (
                "pyfly.config-server.search-locations",
                "pyfly.config-server.native.search-locations",
            ),
            ("pyfly.config-server.port.number", "pyfly.config-server.port"),
            ("pyfly.configServer.readonlyy", "pyfly.config-server.read-only"),
        ],
    )
    def test_an_unknown_key_names_the_nearest_known_one(self, key, nearest):
        """The whole message: the key as written, and what it might have meant."""
        with pytest.raises(SettingsError) as caught:
            read_settings({key: "x"}, {})
        assert f"{key}: unknown setting, the nearest known one is {nearest}" == str(
            caught.value
        )

    def test_a_value_in_place_of_all_settings_is_refused(self):
        """`config-server: true` sets nothing, so it is a mistake."""
        with pytest.raises(SettingsError) as caught:
            read_settings({"pyfly": {"config-server": True}}, {})
        assert str(caught.value).startswith("pyfly.config-server: ")

    def test_the_message_names_the_file(self, tmp_path):
        """In a file, the file comes first."""
        path = tmp_path / "settings.properties"
        path.write_text("pyfly.config-server.prot=1\n")
        with pytest.raises(SettingsError) as caught:
            read_settings(path, {})
        expected = f"{path}: pyfly.config-server.prot: unknown setting, the nearest known one is pyfly.config-server.port"
        assert expected == str(caught.value)

    def test_a_malformed_value_names_file_and_key(self, tmp_path):
        """Where it stands, what it is, what was expected."""
        path = tmp_path / "settings.json"
        path.write_text('{"pyfly": {"config-server": {"port": "http"}}}')
        with pytest.raises(SettingsError) as caught:
            read_settings(path, {})
        assert (
            f"{path}: pyfly.config-server.port: expected a port from 0 to 65535"
            == str(caught.value)
        )


class TestFiles:
    """What a settings file may be."""

    def test_another_suffix_is_refused(self, tmp_path):
        """The formats are named."""
        path = tmp_path / "settings.ini"
        with pytest.raises(SettingsError) as caught:
            read_settings(path, {})
        assert (
            f"{path}: expected a file of one of .yaml, .yml, .json, .toml, .properties"
            == str(caught.value)
        )

    def test_a_missing_file_is_an_error(self, tmp_path):
        """Not a set of defaults."""
        path = tmp_path / "absent.yaml"
        with pytest.raises(SettingsError) as caught:
            read_settings(path, {})
        assert f"{path}: cannot be read: No such file or directory" == str(caught.value)

    def test_a_file_that_does_not_parse_is_an_error(self, tmp_path):
        """With its name, line and column."""
        path = tmp_path / "settings.json"
        path.write_text('{\n  "a": }')
        with pytest.raises(SettingsError) as caught:
            read_settings(path, {})
        assert str(caught.value).startswith(f"{path}: 2:8: ")

    def test_conditional_documents_are_ignored(self, tmp_path):
        """A server has no profile of its own, so only documents for all of them count."""
        path = tmp_path / "settings.yaml"
        path.write_text(
            "pyfly.config-server.port: 1\n"
            "---\n"
            "spring.config.activate.on-profile: prod\n"
            "pyfly.config-server.port: 2\n"
            "---\n"
            "spring.config.activate.on-profile: '!prod'\n"
            "pyfly.config-server.host: localhost\n"
        )
        assert collect(path, {}) == {"port": 1, "host": "localhost"}

    def test_a_later_document_wins(self, tmp_path):
        """As in every other file of several documents."""
        path = tmp_path / "settings.yaml"
        path.write_text(
            "pyfly.config-server.port: 1\n---\npyfly.config-server.port: 2\n"
        )
        assert Settings(port=2) == read_settings(path, {})


class TestPlaceholders:
    """`${NAME:default}` in settings comes from the environment."""

    @pytest.mark.parametrize(
        ("value", "environ", "root"),
        [
            ("${CFG}", {"CFG": "/srv"}, "/srv"),
            ("${CFG:/etc/cfg}", {"CFG": "/srv"}, "/srv"),
            ("${CFG:/etc/cfg}", {}, "/etc/cfg"),
            ("${CFG:${BASE:/opt}/cfg}", {"BASE": "/base"}, "/base/cfg"),
            ("/a/${CFG}/b", {"CFG": "x"}, "/a/x/b"),
        ],
    )
    def test_a_placeholder_is_filled_in(self, value, environ, root):
        """The variable, else the default."""
        assert Settings(root=root) == read_settings(
            {"pyfly.config-server.backend.root": value}, environ
        )

    def test_placeholders_stand_for_numbers_too(self, tmp_path):
        """They are filled in before the value is read as its type."""
        path = tmp_path / "settings.yaml"
        path.write_text("pyfly.config-server.port: ${PORT:9000}\n")
        assert [
            read_settings(path, environ).port for environ in ({}, {"PORT": "7"})
        ] == [9000, 7]

    def test_items_of_lists_are_filled_in(self):
        """Each on its own."""
        source = {"pyfly.config-server.backend.search-locations": ["${A}", "${B:/b}"]}
        assert read_settings(source, {"A": "/a"}).search_locations == ("/a", "/b")

    def test_options_are_filled_in(self):
        """A store's password comes from the environment like every other setting."""
        source = {"pyfly.config-server.backend.options": {"url": "${STORE_URL}"}}
        assert read_settings(source, {"STORE_URL": "db://x"}).backend_options == {
            "url": "db://x"
        }

    def test_a_getter_is_filled_in(self):
        """From an object with get as from a file."""
        source = Getter({"pyfly.config-server.backend.root": "${CFG}"})
        assert read_settings(source, {"CFG": "/srv"}).root == "/srv"

    def test_the_process_environment_is_the_default(self):
        """Without a mapping of one's own."""
        source = {
            "pyfly.config-server.backend.root": "${PYCONFSERVE_TEST_IS_NOT_SET:/d}"
        }
        assert read_settings(source).root == "/d"

    @pytest.mark.parametrize(
        ("value", "environ", "problem"),
        [
            (
                "${CFG}",
                {},
                "a placeholder names a variable that is not set and has no default",
            ),
            (
                "${CFG",
                {},
                "a placeholder names a variable that is not set and has no default",
            ),
            ("${A}", {"A": "${B}", "B": "${A}"}, "a placeholder leads back to itself"),
        ],
    )
    def test_a_placeholder_that_means_nothing_is_an_error(
        self, tmp_path, value, environ, problem
    ):
        """With the file; the value is not repeated, it may hold a secret."""
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"pyfly.config-server.backend.root": value}))
        with pytest.raises(SettingsError) as caught:
            read_settings(path, environ)
        assert f"{path}: {problem}" == str(caught.value)

    def test_other_keys_are_not_filled_in(self):
        """What is not a setting of ours may hold placeholders of others."""
        assert Settings() == read_settings({"app.url": "${NOT_SET}"}, {})


class TestOptions:
    """backend.options are keyword arguments for one's own class."""

    @pytest.mark.parametrize(
        "source",
        [
            {
                "pyfly": {
                    "config-server": {
                        "backend": {"options": {"pool-size": 3, "url": "x"}}
                    }
                }
            },
            {
                "pyfly.config-server.backend.options.pool-size": 3,
                "pyfly.config-server.backend.options.url": "x",
            },
            {"pyfly.configServer.backend.OPTIONS": {"pool_size": 3, "url": "x"}},
            Getter(
                {"pyfly.config-server.backend.options": {"pool-size": 3, "url": "x"}}
            ),
        ],
        ids=["nested", "flat", "relaxed", "get"],
    )
    def test_options_are_arguments(self, source):
        """Dashes become underscores, types stay."""
        assert read_settings(source, {}).backend_options == {"pool_size": 3, "url": "x"}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"hosts": ["a", "b"]}, {"hosts": ["a", "b"]}),
            ({"retry": {"times": 3}}, {"retry": {"times": 3}}),
        ],
        ids=["list", "map"],
    )
    def test_options_keep_their_shape(self, options, expected):
        """A list stays a list and a map a map: `hosts[0]` is no argument."""
        source = {"pyfly": {"config-server": {"backend": {"options": options}}}}
        assert expected == read_settings(source, {}).backend_options


class TestVariables:
    """The environment as a source of its own."""

    def test_variables_are_read_as_their_type(self):
        """By the names the help shows; others are not looked at."""
        environ = {
            "PYCONFSERVE_PORT": "9000",
            "PYCONFSERVE_READ_ONLY": "true",
            "PYCONFSERVE_SEARCH_LOCATIONS": "/a,/b",
            "PYCONFSERVE_BENCHMARK": "x",
            "PORT": "1",
        }
        expected = {"port": 9000, "read_only": True, "search_locations": ("/a", "/b")}
        assert expected == collect_variables(environ)

    def test_what_kubernetes_sets_beside_a_service_is_no_setting(self):
        """A Service named pyconfserve would otherwise keep every pod from starting."""
        environ = {"PYCONFSERVE_PORT": "tcp://10.0.0.1:8888", "PYCONFSERVE_HOST": "::"}
        assert collect_variables(environ) == {"host": "::"}

    def test_no_variables_no_settings(self):
        """An empty environment says nothing."""
        assert collect_variables({}) == {}

    def test_a_malformed_variable_is_named(self):
        """The variable, the key, what was expected."""
        with pytest.raises(SettingsError) as caught:
            collect_variables({"PYCONFSERVE_PORT": "x"})
        assert (
            str(caught.value)
            == "PYCONFSERVE_PORT: pyfly.config-server.port: expected a port from 0 to 65535"
        )


def test_the_address_of_a_store_says_its_type():
    """In a file or in a variable; a type that is given beside it stands."""
    uri = {"pyfly.config-server.backend.uri": "etcd://h/x"}
    found = [
        read_settings(uri, {}).backend_type,
        collect_variables({"PYCONFSERVE_STORE_URI": "postgres://h/x"})["backend_type"],
        read_settings({**uri, "pyfly.config-server.backend.type": "memory"}, {}).backend_type,
        read_settings({"pyfly.config-server.backend.uri": "x"}, {}).backend_type,
    ]
    assert found == ["etcd", "postgresql", "memory", "filesystem"]
