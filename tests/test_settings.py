"""settings: every setting named once, its default, and how its text is read."""

from dataclasses import asdict, fields

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.settings import PREFIX, Settings, flag_of, help_of, variable_of
from pyconfserve.settings_sources import read_settings


def read(key, value):
    """Settings from one flat key below the prefix."""
    return read_settings({PREFIX + key: value}, {})


def test_the_defaults():
    """Nothing is enabled, only this machine is served, and no folder is guessed."""
    expected = {
        "enabled": False,
        "root": None,
        "search_locations": (),
        "native_search_locations": (),
        "backend_type": "filesystem",
        "backend_options": {},
        "members": (),
        "store_uri": None,
        "store_username": "",
        "store_password": "",
        "store_password_file": "",
        "store_token": "",
        "store_token_file": "",
        "store_namespace": "",
        "store_endpoint": "",
        "store_region": "",
        "store_layout": "",
        "store_ca_file": "",
        "store_client_cert": "",
        "store_client_key": "",
        "store_poll": 30.0,
        "snapshot": "",
        "git_uri": None,
        "git_label": "main",
        "git_clone_dir": None,
        "git_search_paths": (),
        "git_refresh_rate": 30.0,
        "git_verify_commits": True,
        "git_author": "pyconfserve <pyconfserve@localhost>",
        "git_username": "",
        "git_password": "",
        "git_private_key": "",
        "git_passphrase": "",
        "git_known_hosts_file": "",
        "git_skip_ssl_validation": False,
        "git_timeout": 10.0,
        "label": None,
        "base_path": "",
        "host": "127.0.0.1",
        "port": 8888,
        "refresh_interval": 0.1,
        "read_only": False,
        "allow_hosts": (),
        "insecure": False,
        "users": None,
        "tls_cert": "",
        "tls_key": "",
        "tls_key_password": "",
        "tls_client_ca": "",
        "workers": 1,
        "backend_timeout": 30.0,
        "access_log": "off",
        "encrypt_key": "",
        "encrypt_salt": "deadbeef",
        "encrypt_key_store": None,
        "encrypt_key_store_password": "",
        "encrypt_key_store_alias": "",
        "encrypt_enabled": True,
        "monitor_secret": (),
        "unsigned_monitor": False,
        "log_format": "text",
    }
    assert expected == asdict(Settings())


def test_a_key_in_a_list_of_users_has_an_index():
    """What is written like one and is none is refused by the setting's name."""
    with pytest.raises(SettingsError, match=r"\Apyfly.config-server.users: a key has"):
        read("users[0]name", "ci")


def test_settings_are_frozen():
    """A value that was validated stays as it is."""
    with pytest.raises(AttributeError):
        Settings().port = 1  # type: ignore[misc]


def test_defaults_are_not_shared():
    """Options added to one Settings are not those of the next."""
    assert Settings().backend_options is not Settings().backend_options


@pytest.mark.parametrize(
    ("key", "value", "field", "expected"),
    [
        ("enabled", True, "enabled", True),
        ("enabled", "TRUE", "enabled", True),
        ("enabled", " yes ", "enabled", True),
        ("enabled", "on", "enabled", True),
        ("enabled", 1, "enabled", True),
        ("enabled", "false", "enabled", False),
        ("enabled", "Off", "enabled", False),
        ("enabled", "no", "enabled", False),
        ("enabled", 0, "enabled", False),
        ("enabled", "", "enabled", False),
        ("backend.root", " /etc/cfg ", "root", "/etc/cfg"),
        ("backend.search-locations", ["/a", "/b"], "search_locations", ("/a", "/b")),
        ("backend.search-locations", ("/a", "/b"), "search_locations", ("/a", "/b")),
        ("backend.search-locations", "/a, /b,", "search_locations", ("/a", "/b")),
        ("backend.search-locations", [], "search_locations", ()),
        (
            "backend.search-locations",
            "file:/a,file:///b",
            "search_locations",
            ("/a", "/b"),
        ),
        (
            "native.search-locations",
            "file:./cfg",
            "native_search_locations",
            ("./cfg",),
        ),
        ("backend.type", "memory", "backend_type", "memory"),
        ("backend.options", {"url": "x"}, "backend_options", {"url": "x"}),
        (
            "backend.git.uri",
            "https://git.example/cfg",
            "git_uri",
            "https://git.example/cfg",
        ),
        ("backend.git.label", "release/1", "git_label", "release/1"),
        ("backend.git.clone-dir", "/var/clone", "git_clone_dir", "/var/clone"),
        ("default-label", "stable", "label", "stable"),
        ("base-path", "/config", "base_path", "/config"),
        ("host", "::1", "host", "::1"),
        ("port", 0, "port", 0),
        ("port", " 65535 ", "port", 65535),
        ("refresh-interval", "0", "refresh_interval", 0.0),
        ("refresh-interval", 1.5, "refresh_interval", 1.5),
        ("refresh-interval", 86400, "refresh_interval", 86400.0),
        ("read-only", "true", "read_only", True),
        ("users", " users.yml ", "users", "users.yml"),
        ("users", [{"name": "ci"}], "users", ({"name": "ci"},)),
        ("users[0].name", "ci", "users", ({"name": "ci"},)),
        ("users[0].rights[0]", "read", "users", ({"rights": ["read"]},)),
        ("tls.cert", "cert.pem", "tls_cert", "cert.pem"),
        ("tls.key", "key.pem", "tls_key", "key.pem"),
        ("tls.key-password", "secret", "tls_key_password", "secret"),
        ("tls.client-ca", "ca.pem", "tls_client_ca", "ca.pem"),
        ("workers", "4", "workers", 4),
        ("backend.timeout", 2.5, "backend_timeout", 2.5),
        ("access-log", "json", "access_log", "json"),
        (
            "allow-hosts",
            "a.example,b.example",
            "allow_hosts",
            ("a.example", "b.example"),
        ),
        ("insecure", "true", "insecure", True),
        ("log-format", "json", "log_format", "json"),
    ],
)
def test_a_value_is_read_as_its_type(key, value, field, expected):
    """Texts and the types of YAML give the same setting, and only that one."""
    assert asdict(Settings()) | {field: expected} == asdict(read(key, value))


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("enabled", "maybe", "expected true or false"),
        ("enabled", 2, "expected true or false"),
        ("users", "", "expected a file or a list of users"),
        ("users", [], "expected a file or a list of users"),
        ("workers", 0, "expected a number from 1 to 256"),
        ("workers", "-1", "expected a number from 1 to 256"),
        ("workers", 257, "expected a number from 1 to 256"),
        ("backend.timeout", "soon", "expected seconds from 0 to 86400"),
        ("access-log", "loud", "expected off or common or json"),
        ("port", "65536", "expected a port from 0 to 65535"),
        ("port", "-1", "expected a port from 0 to 65535"),
        ("port", "8_888", "expected a port from 0 to 65535"),
        ("port", "٨٨٨٨", "expected a port from 0 to 65535"),
        ("port", "", "expected a port from 0 to 65535"),
        ("port", True, "expected a port from 0 to 65535"),
        ("refresh-interval", "soon", "expected seconds from 0 to 86400"),
        ("refresh-interval", "-0.1", "expected seconds from 0 to 86400"),
        ("refresh-interval", "nan", "expected seconds from 0 to 86400"),
        ("refresh-interval", "inf", "expected seconds from 0 to 86400"),
        ("refresh-interval", 86401, "expected seconds from 0 to 86400"),
        ("backend.poll-interval", 0, "expected seconds from 0.1 to 86400"),
        ("backend.poll-interval", "soon", "expected seconds from 0.1 to 86400"),
        ("log-format", "xml", "expected text or json"),
        ("backend.options", "url=x", "expected names and values"),
    ],
)
def test_a_malformed_value_is_refused(key, value, problem):
    """The message has the whole key and what was expected."""
    with pytest.raises(SettingsError) as caught:
        read(key, value)
    assert f"{PREFIX}{key}: {problem}" == str(caught.value)


@pytest.mark.parametrize("key", ["backend.git.label", "default-label"])
@pytest.mark.parametrize("label", ["--help", "a..b", "a b"])
def test_a_label_follows_the_one_rule_of_labels(key, label):
    """A label that no request could name is refused at the start."""
    with pytest.raises(SettingsError) as caught:
        read(key, label)
    assert str(caught.value).startswith(f"{PREFIX}{key}: ")


@pytest.mark.parametrize(
    ("given", "locations"),
    [
        ({}, ()),
        ({"native_search_locations": ("/n",)}, ("/n",)),
        ({"native_search_locations": ("/n",), "root": "/r"}, ("/r",)),
        (
            {
                "native_search_locations": ("/n",),
                "root": "/r",
                "search_locations": ("/a", "/b"),
            },
            ("/a", "/b"),
        ),
        ({"native_search_locations": ("/n",), "search_locations": ("/a",)}, ("/a",)),
        ({"root": ""}, ()),
    ],
    ids=["nothing", "native", "root over native", "all three", "no root", "empty root"],
)
def test_search_locations_beat_root_and_root_beats_native(given, locations):
    """The most particular setting that is there names the folders."""
    assert locations == Settings(**given).locations


@pytest.mark.parametrize(
    ("name", "flag", "variable"),
    [
        ("root", "", "PYCONFSERVE_ROOT"),
        ("search_locations", "--search-location", "PYCONFSERVE_SEARCH_LOCATIONS"),
        ("label", "--label", "PYCONFSERVE_LABEL"),
        ("base_path", "--base-path", "PYCONFSERVE_BASE_PATH"),
        ("host", "--host", "PYCONFSERVE_HOST"),
        ("port", "--port", "PYCONFSERVE_PORT"),
        ("refresh_interval", "--refresh-interval", "PYCONFSERVE_REFRESH_INTERVAL"),
        ("read_only", "--read-only", "PYCONFSERVE_READ_ONLY"),
        ("allow_hosts", "--allow-host", "PYCONFSERVE_ALLOW_HOSTS"),
        ("insecure", "--insecure", "PYCONFSERVE_INSECURE"),
        ("log_format", "--log-format", "PYCONFSERVE_LOG_FORMAT"),
    ],
)
def test_a_setting_has_a_flag_and_a_variable(name, flag, variable):
    """The fixed names of the design; ROOT is the argument, so it has no flag."""
    setting = next(setting for setting in fields(Settings) if setting.name == name)
    assert (flag, variable) == (flag_of(setting), variable_of(setting))


def test_every_setting_has_a_key_and_help():
    """Keys are unique and a help is one line."""
    keys = [setting.metadata["key"] for setting in fields(Settings)]
    assert len(keys) == len(set(keys))
    assert all(
        help_of(setting) and "\n" not in help_of(setting)
        for setting in fields(Settings)
    )
