"""layers: what stands above a server's values."""

import pytest

from pyconfserve.client.documents import Document
from pyconfserve.client.layers import Layers, variables_of
from pyconfserve.errors import InvalidRequest, SettingsError


def document(**values):
    values = {key.replace("__", "."): value for key, value in values.items()}
    return Document("orders", ("prod",), "main", "1", values, dict.fromkeys(values, "remote"))  # fmt: skip


def build(answer, override_file=None, environ=None, *, resolves=False):
    path = None if override_file is None else str(override_file)
    return Layers(path, environ, resolves, "prod").build(answer)


def test_without_layers_it_is_the_answer():
    """With all that is known about it."""
    configuration = build(document(a=1))
    assert configuration == {"a": 1}
    assert configuration.origins == {"a": "remote"}
    known = (configuration.name, configuration.profiles, configuration.label, configuration.version)  # fmt: skip
    assert known == ("orders", ("prod",), "main", "1")


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("db", ("DB",)),
        ("db.url", ("DB_URL",)),
        ("db.pool-size", ("DB_POOL_SIZE", "DB_POOLSIZE")),
        ("servers[0].host", ("SERVERS_0_HOST",)),
        ("list[1]", ("LIST_1",)),
        ("a..b", ("A_B",)),
    ],
)
def test_variables_of_a_key(key, names):
    """With underscores, and as Spring has them."""
    assert names == variables_of(key)


def test_variables_stand_above_the_answer():
    """Those that are named like one of its keys; the first spelling wins."""
    environ = {"DB_URL": "own", "OTHER": "x", "POOL_SIZE": "1", "POOLSIZE": "2"}
    answer = Document("o", (), None, None, {"db.url": "theirs", "pool-size": 5, "z": 0}, {"db.url": "r", "z": "r"})  # fmt: skip
    configuration = build(answer, environ=environ)
    assert configuration == {"db.url": "own", "pool-size": "1", "z": 0}
    assert configuration.origins["db.url"] == "environment variable DB_URL"
    assert list(configuration) == ["db.url", "pool-size", "z"]


def test_an_override_file_stands_above_all(tmp_path):
    """Merged as any source: key by key, a list as a whole."""
    path = tmp_path / "emergency.json"
    path.write_text('{"db": {"url": "emergency"}, "list": ["x"], "new": 1}')
    answer = document(db__url="theirs", **{"list[0]": "a", "list[1]": "b"})
    configuration = build(answer, path, {"DB_URL": "own"})
    assert configuration == {"db.url": "emergency", "list[0]": "x", "new": 1}
    assert configuration.origins == dict.fromkeys(configuration, str(path))


def test_an_override_file_may_have_documents_for_profiles(tmp_path):
    """As any file of Spring's."""
    path = tmp_path / "emergency.properties"
    path.write_text("a=1\n#---\nspring.config.activate.on-profile=prod\na=2\n#---\nspring.config.activate.on-profile=dev\na=3\n")  # fmt: skip
    assert build(document(), path)["a"] == "2"


def test_an_override_file_may_be_absent(tmp_path):
    """It is for emergencies."""
    assert build(document(a=1), tmp_path / "absent.yml") == {"a": 1}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("x.json", '{"a": canary', "{path}: 1:7: expected a value"),
        ("x.txt", "canary", "{path}: expected a file of one of .yaml, .yml, .json, .toml, .properties"),
        ("x.properties", "spring.profiles=canary", "{path}: 1:17: spring.profiles is no longer read: use spring.config.activate.on-profile"),
    ],
)  # fmt: skip
def test_a_broken_override_file_is_an_error(tmp_path, name, text, problem):
    """It names the file and the place."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        build(document(), path)
    assert str(caught.value).startswith(problem.format(path=path)[:-5])
    assert "canary" not in str(caught.value)


def test_an_override_file_that_cannot_be_read_is_an_error(tmp_path):
    """Such as a folder."""
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        build(document(), tmp_path)


def test_placeholders_are_filled_in_from_all_layers(tmp_path):
    """And from nothing else; other types than text stay."""
    path = tmp_path / "emergency.json"
    path.write_text('{"host": "emergency"}')
    answer = document(url="http://${host}:${port}/${PATH:none}/${absent}", host="x", port=80)  # fmt: skip
    configuration = build(answer, path, resolves=True)
    assert configuration["url"] == "http://emergency:80/none/${absent}"
    assert configuration["port"] == 80
    assert build(answer, path)["url"] == answer.values["url"]


def test_placeholders_in_circles_are_an_error():
    """They have no value."""
    with pytest.raises(InvalidRequest, match="a placeholder leads back to itself"):
        build(document(a="${b}", b="${a}"), resolves=True)
