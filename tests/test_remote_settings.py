"""remote_settings: what a service's settings say about its configuration server."""

import logging

import pytest

from pyconfserve.errors import SettingsError
from pyconfserve.remote_settings import read_local, remote_options

URL = "http://config:8888"
PYFLY = {"pyfly.cloud.config.uri": URL}
IMPORT = {"spring.config.import": f"configserver:{URL}"}
# What ConfigClient is made with when nothing more is said.
OURS = {"url": URL, "application": "application", "fail_fast": False}
SPRINGS = {**OURS, "label": None}


def options(settings, environ=None):
    """What ConfigClient is made with."""
    _, find = read_local(settings)
    return remote_options(find, environ or {})


ROWS = [
    ("nothing", {}, {}, None),
    ("pyfly's uri", PYFLY, {}, OURS),
    ("nested", {"pyfly": {"cloud": {"config": {"uri": URL}}}}, {}, OURS),
    ("Spring's uri", {"spring.cloud.config.uri": URL}, {}, SPRINGS),
    ("Spring's import", IMPORT, {}, SPRINGS),
    ("an optional import", {"spring.config.import": f"optional:configserver:{URL}"}, {}, SPRINGS),
    ("pyfly's import", {"pyfly.config.import": f"configserver:{URL}"}, {}, OURS),
    ("pyfly's optional import", {"pyfly.config.import": f"optional:configserver:{URL}"}, {}, OURS),
    ("pyfly's import, an address", {"pyfly.config.import": URL}, {}, OURS),
    ("an import without an address", {"spring.config.import": "configserver:"}, {}, {**SPRINGS, "url": "http://localhost:8888"}),
    ("whose address is elsewhere", {"spring.config.import": "optional:configserver:", "spring.cloud.config.uri": URL}, {}, SPRINGS),
    ("an import above the uri", {**IMPORT, "spring.cloud.config.uri": "http://other"}, {}, SPRINGS),
    ("imports of files", {"spring.config.import": "optional:file:./x.yml,classpath:y.yml"}, {}, None),
    ("among imports of files", {"spring.config.import": f"file:x.yml, configserver:{URL}"}, {}, SPRINGS),
    ("imports as a list", {"spring": {"config": {"import": ["file:x.yml", f"configserver:{URL}"]}}}, {}, SPRINGS),
    ("several addresses", {"spring.config.import": "configserver:http://a,http://b;configserver:http://c"}, {}, {**SPRINGS, "url": "http://a,http://b,http://c"}),
    ("several uris", {"pyfly.cloud.config.uri": "http://a,http://b"}, {}, {**OURS, "url": "http://a,http://b"}),
    ("disabled", {**PYFLY, "pyfly.cloud.config.enabled": False}, {}, None),
    ("disabled as text", {**PYFLY, "pyfly.cloud.config.enabled": "off"}, {}, None),
    ("disabled, Spring's", {**IMPORT, "spring.cloud.config.enabled": "false"}, {}, None),
    ("disabled, with a variable", {"pyfly.cloud.config.enabled": False}, {"CONFIG_CLIENT_URL": URL}, None),
    ("enabled", {**PYFLY, "pyfly.cloud.config.enabled": "true"}, {}, OURS),
    ("enabled without an address", {"pyfly.cloud.config.enabled": True}, {}, None),
    ("fail-fast", {**PYFLY, "pyfly.cloud.config.fail-fast": True}, {}, {**OURS, "fail_fast": True}),
    ("fail-fast, Spring's", {**IMPORT, "spring.cloud.config.failFast": "true"}, {}, {**SPRINGS, "fail_fast": True}),
    ("pyfly's above Spring's", {**PYFLY, **IMPORT, "spring.application.name": "a", "pyfly.app.name": "b"}, {}, {**OURS, "application": "b"}),
    ("application, Spring's", {**PYFLY, "spring.application.name": "orders"}, {}, {**OURS, "application": "orders"}),
    ("application, for this alone", {**PYFLY, "spring.application.name": "a", "spring.cloud.config.name": "b"}, {}, {**OURS, "application": "b"}),
    ("profiles as text", {**PYFLY, "pyfly.profiles.active": "prod,eu"}, {}, {**OURS, "profile": "prod,eu"}),
    ("profiles as list", {**PYFLY, "pyfly": {"profiles": {"active": ["prod", "eu"]}}}, {}, {**OURS, "profile": "prod,eu"}),
    ("profiles flat", {**PYFLY, "spring.profiles.active[0]": "prod", "spring.profiles.active[1]": "eu"}, {}, {**OURS, "profile": "prod,eu"}),
    ("no profiles", {**PYFLY, "pyfly.profiles.active": []}, {}, OURS),
    ("label", {**PYFLY, "pyfly.cloud.config.label": "v2"}, {}, {**OURS, "label": "v2"}),
    ("label, Spring's", {**IMPORT, "spring.cloud.config.label": "v2"}, {}, {**OURS, "label": "v2"}),
    ("credentials", {**PYFLY, "pyfly.cloud.config.username": "u", "pyfly.cloud.config.password": 123}, {}, {**OURS, "username": "u", "password": "123"}),
    ("a token", {**IMPORT, "spring.cloud.config.token": "t"}, {}, {**SPRINGS, "headers": {"X-Config-Token": "t"}}),
    ("a snapshot", {**PYFLY, "pyfly.cloud.config.snapshot": "/tmp/s"}, {}, {**OURS, "snapshot": "/tmp/s"}),
    ("other spellings", {"PYFLY_CLOUD.config.URI": "x", "pyfly.cloud.CONFIG.uri": URL, "pyfly.app_name": "x"}, {}, OURS),
    ("a variable alone", {}, {"CONFIG_CLIENT_URL": URL}, OURS),
    ("an empty variable", PYFLY, {"CONFIG_CLIENT_URL": "", "CONFIG_CLIENT_LABEL": " "}, OURS),
    ("a placeholder for a variable", {"pyfly.cloud.config.uri": "${CONFIG:http://x}"}, {"CONFIG": URL}, OURS),
    ("a placeholder with a default", {"spring.config.import": "optional:configserver:${CONFIG:http://config:8888}"}, {}, SPRINGS),
    ("a placeholder for a setting", {**PYFLY, "pyfly.app.name": "${shop.name}-x", "shop": {"name": "a"}}, {}, {**OURS, "application": "a-x"}),
    ("settings of others", {**PYFLY, "a": "${nowhere}", "pyfly.web.port": 1}, {}, OURS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "environ", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_what_settings_say(settings, environ, expected):
    """Highest precedence first: variables, pyfly's names, Spring's."""
    assert options(settings, environ) == expected


def test_variables_stand_above_settings():
    """Each of the seven."""
    names = ("url", "application", "profile", "label", "username", "password", "snapshot")
    settings = {f"pyfly.cloud.config.{name}": "setting" for name in names[3:]}
    settings |= {"pyfly.cloud.config.uri": "setting", "pyfly.app.name": "setting", "pyfly.profiles.active": "setting"}
    environ = {f"CONFIG_CLIENT_{name.upper()}": f"the {name}" for name in names}
    expected = {name: f"the {name}" for name in names}
    assert options(settings, environ) == {**expected, "fail_fast": False}


ERRORS = [
    ("unknown", {"pyfly.cloud.config.ur": "x"}, "pyfly.cloud.config.ur: unknown setting, the nearest known one is pyfly.cloud.config.uri"),
    ("unknown and nested", {"pyfly": {"cloud": {"config": {"failfast2": 1}}}}, "pyfly.cloud.config.failfast2: unknown setting, the nearest known one is pyfly.cloud.config.fail-fast"),
    ("no switch", {**PYFLY, "pyfly.cloud.config.fail-fast": "perhaps"}, "fail-fast: expected true or false"),
    ("neither on nor off", {**PYFLY, "pyfly.cloud.config.enabled": "perhaps"}, "enabled: expected true or false"),
    ("a query", {"spring.config.import": f"configserver:{URL}?fail-fast=true"}, "spring.config.import: an address here has no query: use settings"),
    ("a placeholder without a value", {"pyfly.cloud.config.uri": "${NOWHERE}"}, "pyfly.cloud.config.uri: a placeholder names what is not set, with no default"),
    ("a circle", {**PYFLY, "pyfly.app.name": "${pyfly.app.name}"}, "pyfly.app.name: a placeholder leads back to itself"),
    ("no settings", 7, "expected a mapping, a file's path or an object with get"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_what_is_not_understood_is_an_error(settings, message):
    """That names the setting, and never its value."""
    with pytest.raises(SettingsError) as caught:
        options(settings)
    assert str(caught.value) == message


def test_an_object_with_get():
    """It is asked for each key, and a list is as good as a text."""

    class Source:
        def get(self, key, default=None):
            known = {"pyfly.cloud.config.uri": URL, "pyfly.profiles.active": ["prod", "eu"]}
            return known.get(key, default)

    assert read_local(Source())[0] == {}
    assert options(Source()) == {**OURS, "profile": "prod,eu"}


def test_a_file(tmp_path):
    """YAML and its like; documents with a condition are not of its values."""
    (tmp_path / "app.properties").write_text("pyfly.cloud.config.uri=http://config:8888\na.b=1\n")
    local, _ = read_local(tmp_path / "app.properties")
    assert local == {"pyfly.cloud.config.uri": URL, "a.b": "1"}
    assert options(str(tmp_path / "app.properties")) == OURS
    with pytest.raises(SettingsError) as caught:
        read_local(str(tmp_path / "absent.json"))
    assert str(caught.value) == f"{tmp_path}/absent.json: cannot be read: No such file or directory"


def test_settings_of_springs_clients_without_a_use_here(caplog):
    """One warning names them, without their values; those of a server are another's."""
    settings = {
        **IMPORT,
        "spring.cloud.config.discovery.enabled": "secret",
        "spring.cloud.config.retry.max-attempts": 3,
        "spring.cloud.config.server.git.uri": "x",
    }
    with caplog.at_level(logging.WARNING):
        assert options(settings) == SPRINGS
    assert caplog.messages == [
        "settings without an effect here: spring.cloud.config.discovery.enabled, spring.cloud.config.retry.max-attempts"
    ]


def test_local_values_are_flat():
    """Of whatever mappings and lists they were made."""
    from types import MappingProxyType

    settings = MappingProxyType({"a": MappingProxyType({"b": (1, {"c": True})}), "d.e": None, 8080: "x"})
    assert read_local(settings)[0] == {"a.b[0]": 1, "a.b[1].c": True, "d.e": "", "8080": "x"}
