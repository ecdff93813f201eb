"""The settings source for pydantic-settings, with the real library."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings

from pyconfserve.adapters.pydantic_settings import ConfigServerSettingsSource
from pyconfserve.errors import FetchError, InvalidRequest

pytest_plugins = ["pyconfserve.testing"]
PROJECT = Path(__file__).parents[2]


class Pool(BaseModel):
    max_size: int = 1
    idle_time: float = 0.0


class Database(BaseModel):
    host: str
    pool: Pool = Pool()


class Node(BaseModel):
    node_name: str


class Base(BaseSettings):
    """Settings from `source` alone, which each test sets."""

    @classmethod
    def settings_customise_sources(cls, settings_cls, init_settings, *others, **more):
        return init_settings, ConfigServerSettingsSource(settings_cls, *cls.where[0], **cls.where[1])


def settings_of(fields, *where, **options):
    """A settings class of the annotations and defaults in *fields*."""
    annotations = {name: kind for name, (kind, *_) in fields.items()}
    defaults = {name: rest[0] for name, (_, *rest) in fields.items() if rest}
    content = {"__annotations__": {**annotations}, **defaults, "__module__": __name__}
    made = type("Settings", (Base,), content)
    made.where = (where, options)
    return made


def values(fields, flat, **options):
    """What the settings hold that are made from these dotted keys."""
    return settings_of(fields, flat, **options)().model_dump()


def test_nested_models_from_a_server(config_server):
    """As the documentation of this module has it."""
    served = config_server({"orders/prod": {"db": {"host": "a", "pool": {"max-size": 20}}}})
    made = settings_of({"db": (Database,)}, served.url, "orders", "prod")
    assert made().db == Database(host="a", pool=Pool(max_size=20))
    assert [request.path for request in served.requests] == ["/orders/prod"]


def test_settings_made_again_ask_again(config_server):
    """So that they are those of now."""
    served = config_server({"orders/prod": {"port": 1}})
    made = settings_of({"port": (int,)}, served.url, "orders", "prod")
    assert made().port == 1
    served.set("orders", "prod", {"port": 2})
    assert made().port == 2


def test_label_and_options_go_to_the_client(config_server):
    """A label of one's own, a short time-out, several servers."""
    served = config_server({"orders/prod/v2": {"port": 2}})
    made = settings_of({"port": (int,)}, [served.url], "orders", "prod", "v2", timeout=5.0)
    assert made().port == 2


def test_a_server_without_the_configuration_is_an_error(config_server):
    """The client's own, so that it says whom it asked."""
    served = config_server()
    with pytest.raises(FetchError) as caught:
        settings_of({"port": (int, 1)}, served.url, "absent")()
    assert caught.value.status == 404


def test_names_are_relaxed():
    """At every depth."""
    fields = {"pool_size": (int,), "data_base": (Database,)}
    flat = {"poolSize": 3, "data-base.HOST": "a", "data-base.pool.maxSize": 4}
    assert values(fields, flat) == {
        "pool_size": 3,
        "data_base": {"host": "a", "pool": {"max_size": 4, "idle_time": 0.0}},
    }


def test_of_two_spellings_the_first_counts():
    """In the order of the configuration."""
    assert values({"pool_size": (int,)}, {"pool-size": 1, "poolSize": 2}) == {"pool_size": 1}


@pytest.mark.parametrize(
    ("kind", "flat", "expected"),
    [
        (list[int], {"v[0]": 1, "v[1]": "2"}, [1, 2]),
        (list[str], {"v": "a, b"}, ["a", "b"]),
        (list[str], {"v": ""}, []),
        (list[str] | None, {"v": ""}, []),
        (list[str] | str, {"v": "a,b"}, "a,b"),
        (tuple[int, ...], {"v": "1,2"}, (1, 2)),
        (list[Node], {"v[0].node-name": "a"}, [{"node_name": "a"}]),
        (dict[str, Node], {"v.x-y.nodeName": "a"}, {"x-y": {"node_name": "a"}}),
        (dict[str, int], {"v.a": 1}, {"a": 1}),
        (dict, {"v.a.b": 1}, {"a": {"b": 1}}),
        (Node | None, {"v.node-name": "a"}, {"node_name": "a"}),
        (Annotated[Node, "x"], {"v.node-name": "a"}, {"node_name": "a"}),
        (int | None, {"v": ""}, None),
        (str | None, {"v": ""}, ""),
        (int, {"v": "20"}, 20),
        (bool, {"v": "true"}, True),
    ],
    ids=lambda value: str(value) if not isinstance(value, dict) else None,
)
def test_values_take_the_shape_of_their_field(kind, flat, expected):
    """As far as pydantic does not see to it itself."""
    assert values({"v": (kind,)}, flat) == {"v": expected}


def test_only_keys_below_the_prefix_count():
    """In any spelling of it; the prefix may have several parts."""
    flat = {"port": 1, "myShop.web.port": 2}
    assert values({"port": (int,)}, flat, prefix="my-shop.web") == {"port": 2}
    assert values({"port": (int, 7)}, flat, prefix="absent") == {"port": 7}
    assert values({"port": (int, 7)}, flat, prefix="port") == {"port": 7}


def test_what_no_field_takes_is_left_out():
    """A configuration has more in it than one class asks for."""
    assert values({"port": (int,)}, {"port": 1, "other.key": 2}) == {"port": 1}


def test_aliases_are_names_too():
    """By which pydantic takes the value."""
    fields = {
        "port": (int, Field(alias="listen-port")),
        "host": (str, Field(validation_alias=AliasChoices("bind_to", "address"))),
    }
    assert values(fields, {"listenPort": 1, "address": "a"}) == {"port": 1, "host": "a"}


def test_a_strict_nested_model_sees_unknown_keys():
    """It is for the model to say what it takes."""

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        host: str

    with pytest.raises(ValidationError) as caught:
        values({"db": (Strict,)}, {"db.host": "a", "db.hots": "b"})
    assert [error["loc"] for error in caught.value.errors()] == [("db", "hots")]


def test_other_sources_stand_above_key_by_key(config_server):
    """The environment can replace one value of a nested model."""
    made = settings_of({"db": (Database,)}, {"db.host": "a", "db.pool.max-size": 20})
    assert made(db={"pool": {"max_size": 5}}).db == Database(host="a", pool=Pool(max_size=5))


def test_secrets_stay_out_of_repr():
    """Of the source, which pydantic may show."""
    source = ConfigServerSettingsSource(Base, {"password": "hunter2"}, prefix="hunter2")
    assert repr(source) == "ConfigServerSettingsSource(Base)"
    assert values({"key": (SecretStr,)}, {"key": "x"})["key"] == SecretStr("x")


def test_keys_that_are_no_tree_are_refused():
    """A list with an index far above its end."""
    with pytest.raises(InvalidRequest):
        values({"v": (list[int],)}, {"v[999999999]": 1})


def test_one_field_can_be_asked_for():
    """As pydantic's own sources can."""
    made = settings_of({"port": (int, Field(alias="p"))}, {"p": 1})
    source = ConfigServerSettingsSource(made, {"p": 1})
    assert source.get_field_value(made.model_fields["port"], "port") == (1, "p", False)


@pytest.mark.parametrize("missing", ["pydantic", "pydantic_settings"])
def test_without_the_library_the_error_says_so(missing):
    """With the line that installs it."""
    script = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == {missing!r}:
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Absent())
try:
    import pyconfserve.adapters.pydantic_settings
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60)
    message = f"this adapter needs {missing}: pip install 'pyconfserve[pydantic]'"
    assert done.stdout == f"MissingDependency {message}\n"
