"""Consul: the four formats of Spring Cloud Consul's clients, on a real server."""

import asyncio
import json

import pytest
from consul_server import ConsulServer
from store_servers import Relay, until

from pyconfserve.adapters.consul_layouts import ConsulConfigBackend
from pyconfserve.backend import ConfigSource
from pyconfserve.capabilities import VersionedBackend
from pyconfserve.environment.overlay import make_lookup
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    DocumentError,
    InvalidRequest,
    ReadOnlyBackend,
    SettingsError,
)
from pyconfserve.http.messages import Request
from pyconfserve.http.routes import Routes
from pyconfserve.server import ConfigServer


@pytest.fixture
def put(consul_server, consul_url):
    """Stores a value below the prefix, as others would."""
    prefix = consul_url.rpartition("/")[2]
    return lambda key, value="": consul_server.put(f"{prefix}/{key}", value)


@pytest.fixture
def remove(consul_server, consul_url):
    """Takes it away."""
    prefix = consul_url.rpartition("/")[2]
    return lambda key: consul_server.call("DELETE", f"kv/{prefix}/{key}")


@pytest.fixture
def connect(consul_url):
    """Makes backends over one prefix, and closes them in the end."""
    made = []

    def connect(layout, uri=consul_url, **options):
        made.append(ConsulConfigBackend(uri, layout=layout, **options))
        asyncio.run(made[-1].open())
        return made[-1]

    yield connect
    for backend in made:
        asyncio.run(backend.close())
        asyncio.run(backend.close())


def found(backend, *asked):
    """The names of the sources of an answer, and their properties."""
    sources = asyncio.run(backend.sources(make_lookup(*asked))).sources
    return [(source.name, source.properties) for source in sources]


def fetched(backend, *names):
    source = asyncio.run(backend.fetch(*names))
    return None if source is None else dict(source.properties)


KEYS = {
    "key-value": {
        "foo/a": "foo", "foo/server/port": "8080", "foo/list[0]": "x", "foo/data": "a: b",
        "foo,dev/a": "foo,dev", "foo,prod/a": "foo,prod", "foo/deep/er/": "", "foo/empty": "",
        "application/a": "application", "application,dev/a": "application,dev", "alone": "no",
        "bar/a": "bar",
    },
    "yaml": {
        "foo/data": "a: foo\nn: 1\nmap:\n  b: true\n---\nn: 2\n", "foo,dev/data": "a: foo,dev",
        "foo,prod/data": "a: foo,prod", "application/data": "a: application", "foo/other": "a: x",
        "application,dev/data": "a: application,dev", "foo/deep/data": "a: x", "data": "a: x",
    },
    "properties": {
        "foo/data": "a=foo\nn: 1", "foo,dev/data": "a=foo,dev", "foo,prod/data": "a=foo,prod",
        "application/data": "a=application", "application,dev/data": "a=application,dev",
    },
    "files": {
        "foo.yml": "a: foo\nfrom: yml\nyml: 1", "foo.properties": "from=properties", "foo.yaml": "from: yaml\nyaml: 1",
        "foo-dev.yml": "a: foo,dev", "foo-prod.properties": "a=foo,prod", "application.yml": "a: application",
        "application-dev.yaml": "a: application,dev", "foo.json": "{}", "foo": "x", "sub/foo.yml": "a: x",
    },
}  # fmt: skip
PLAIN = {
    "key-value": {"a": "foo", "server.port": "8080", "list[0]": "x", "data": "a: b", "empty": ""},
    "yaml": {"a": "foo", "n": 2, "map.b": True},
    "properties": {"a": "foo", "n": "1"},
    "files": {"a": "foo", "from": "properties", "yml": 1, "yaml": 1},
}


@pytest.fixture(params=KEYS)
def layout(request, put):
    """A format, in which a prefix has what KEYS says."""
    for key, value in KEYS[request.param].items():
        put(key, value)
    return request.param


def test_the_order_of_an_answer(layout, connect):
    """By application, then profile; what has no profile is that of `default`."""
    expected = [
        ("foo-prod", {"a": "foo,prod"}), ("foo-dev", {"a": "foo,dev"}), ("foo-default", PLAIN[layout]),
        ("application-dev", {"a": "application,dev"}), ("application-default", {"a": "application"}),
    ]  # fmt: skip
    assert found(connect(layout), "foo", "dev,prod") == expected


def test_labels_are_ignored(layout, connect):
    """There are none: each has all, and it has it once."""
    backend = connect(layout)
    expected = found(backend, "foo", "dev")
    assert expected == found(backend, "foo", "dev", "other,main")
    assert asyncio.run(backend.fetch("foo", "dev", "any")) == ConfigSource("foo", "dev", "any", {"a": "foo,dev"})
    assert asyncio.run(backend.fetch("foo", "dev", "a(_)b")) == ConfigSource("foo", "dev", "a/b", {"a": "foo,dev"})
    with pytest.raises(InvalidRequest):
        asyncio.run(backend.fetch("foo", "dev", "../b"))
    assert fetched(backend, "nobody", "dev") is None
    assert found(backend, "nobody", "none") == [("application-default", {"a": "application"})]


def test_what_is_there_is_listed(layout, connect):
    """Files are told apart by those beside them, as in a folder."""
    names = {(one.application, one.profile, one.label) for one in asyncio.run(connect(layout).list())}
    expected = {("foo", one, "main") for one in ("default", "dev", "prod")}
    expected |= {("application", one, "main") for one in ("default", "dev")}
    more = {
        "key-value": {("bar", "default", "main")},
    }  # fmt: skip
    assert names == expected | more.get(layout, set())


def test_a_server_answers_from_it(layout, connect):
    """As from any backend."""
    routes = Routes(ConfigServer(connect(layout)))
    response = asyncio.run(routes.handle(Request("GET", "/foo/dev", "", {}, b"")))
    assert response.status == 200
    sources = json.loads(response.body)["propertySources"]
    assert [one["name"] for one in sources] == ["foo-dev", "foo-default", "application-dev", "application-default"]


def test_nothing_is_saved(layout, connect):
    """The keys are another's."""
    backend = connect(layout)
    assert not isinstance(backend, VersionedBackend)
    with pytest.raises(ReadOnlyBackend):
        asyncio.run(backend.save(ConfigSource("foo", "dev", "main", {})))


def test_the_default_profile_lies_above_none(put, connect):
    """Key by key."""
    put("foo/a", "plain")
    put("foo/b", "plain")
    put("foo,default/a", "default")
    assert fetched(connect("key-value"), "foo", "default") == {"a": "default", "b": "plain"}


def test_names_that_nobody_can_ask_for(put, connect):
    """They are left alone, and hinder nobody."""
    for key in ("foo,a,b/k", ",dev/k", "foo,/k", "..x/k", "-/k", "foo/k"):
        put(key, "v")
    assert [one.application for one in asyncio.run(connect("key-value").list())] == ["foo"]


def test_a_dash_may_be_a_part_of_a_name(put, connect):
    """A file is that of each application that it may mean, as clients would find it."""
    put("my-app-dev.yml", "a: 1")
    backend = connect("files")
    assert found(backend, "my-app", "dev") == [("my-app-dev", {"a": 1})]
    assert found(backend, "my-app-dev") == [("my-app-dev-default", {"a": 1})]
    assert found(backend, "my", "app-dev") == [("my-app-dev", {"a": 1})]
    assert found(backend, "my-app") == []


def test_another_separator_and_key(put, connect):
    """As Spring's clients are told."""
    put("foo::dev/config", "a: 1")
    put("foo/data", "a: 2")
    backend = connect("yaml", profile_separator="::", data_key="config")
    assert found(backend, "foo", "dev") == [("foo-dev", {"a": 1})]


def test_bytes_that_are_no_text(put, connect):
    """A property is shown as Java shows it; a document is told not to parse."""
    put("foo/a", b"a\xff")
    assert fetched(connect("key-value"), "foo", "default") == {"a": "a\ufffd"}
    put("foo/data", b"a: \xff")
    with pytest.raises(DocumentError, match=r"foo/data:1:4: not UTF-8 text$"):
        fetched(connect("yaml"), "foo", "default")


def test_a_document_that_does_not_parse(put, connect, consul_url):
    """It is told with its key, and in the health; others are served."""
    prefix = consul_url.rpartition("/")[2]
    put("foo/data", "a: [1")
    put("bar/data", "a: 1")
    backend = connect("yaml")
    with pytest.raises(DocumentError) as caught:
        found(backend, "foo", "dev")
    assert str(caught.value).startswith(f"{prefix}/foo/data:2:1: ")
    with pytest.raises(DocumentError) as again:
        fetched(backend, "foo", "default")
    assert str(again.value) == str(caught.value)
    assert fetched(backend, "bar", "default") == {"a": 1}
    assert backend.health()["broken"] == [str(caught.value)]
    put("bar/data", "a: 2")
    asyncio.run(backend.refresh())
    assert backend.health()["broken"] == [str(caught.value)]
    put("foo/data", "a: [1]")
    asyncio.run(backend.refresh())
    assert (fetched(backend, "foo", "default"), "broken" in backend.health()) == ({"a[0]": 1}, False)


def test_what_no_format_can_hold(put, connect, consul_url):
    """It is told with its context."""
    put(f"foo/{'x' * 1025}", "1")
    backend = connect("key-value")
    with pytest.raises(DocumentError, match=f"^{consul_url.rpartition('/')[2]}/foo: .*longer than 1024"):
        fetched(backend, "foo", "default")


class TestFollowing:
    """Changes by others."""

    def test_a_change_is_told(self, put, remove, connect):
        """It is in the next answers, and stamps are others."""
        put("foo/a", "1")
        put("bar/a", "1")
        backend, told = connect("key-value"), []
        end = backend.on_change(lambda source: told.append((source.application, source.profile)))
        answers = [asyncio.run(backend.sources(make_lookup(name))) for name in ("foo", "bar")]
        put("foo/a", "2")
        until(lambda: told == [("foo", "default")])
        assert fetched(backend, "foo", "default") == {"a": "2"}
        assert [backend.stamp(one.seen) == one.stamp for one in answers] == [False, True]
        remove("foo/a")
        until(lambda: len(told) == 2)
        assert fetched(backend, "foo", "default") is None
        end()
        put("foo/a", "3")
        until(lambda: fetched(backend, "foo", "default") == {"a": "3"})
        assert len(told) == 2

    def test_what_is_as_it_was_is_not_read_again(self, put, connect):
        """A change of one bundle leaves the others as they are."""
        put("foo/data", "a: 1")
        put("bar/data", "a: 1")
        backend = connect("yaml")
        before = backend._layout.read().records
        put("foo/data", "a: 2")
        after = backend._layout.read().records
        assert [before[name] is after[name] for name in sorted(before)] == [True, False]

    def test_a_file_of_several_bundles_is_read_once(self, put, connect):
        """However many dashes its name has."""
        put("my-own-app-dev.yml", "a: 1")
        records = connect("files")._layout.read().records
        assert len(records) == 4
        assert len({id(record) for record in records.values()}) == 1

    def test_an_empty_prefix(self, connect, put):
        """It answers with nothing, until there is something."""
        backend = connect("files")
        assert found(backend, "foo", "dev") == []
        put("foo.yml", "a: 1")
        until(lambda: found(backend, "foo", "dev") == [("foo-default", {"a": 1})])

    def test_the_last_good_state_is_served_while_consul_is_away(self):
        """Its health says so; what changed meanwhile is there when it is back."""
        with ConsulServer() as server:
            server.put("config/foo/a", "1")
            backend = ConsulConfigBackend(f"consul://{server.authority}", timeout=1.0, poll=0.2)
            try:
                assert fetched(backend, "foo", "default") == {"a": "1"}
                server.kill()
                until(lambda: "problem" in backend.health())
                assert fetched(backend, "foo", "default") == {"a": "1"}
                assert backend.health()["problem"].startswith(f"consul://{server.authority}/config: the connection ")
                server.start()
                server.put("config/foo/a", "2")
                until(lambda: fetched(backend, "foo", "default") == {"a": "2"})
                assert "problem" not in backend.health()
            finally:
                asyncio.run(backend.close())

    def test_a_start_while_it_is_away(self, connect):
        """It is told at once."""
        with pytest.raises(BackendUnavailable, match="the connection was refused"):
            connect("yaml", uri="consul://127.0.0.1:1")

    def test_a_start_from_the_snapshot_file(self, connect, put, consul_server, consul_url, tmp_path):
        """What was there is served, and all is read anew when Consul is back."""
        file = tmp_path / "state"
        put("my-app.yml", "a: 1")
        put("my-app-dev.yml", "a: [")
        with Relay(consul_server.port) as relay:
            url = consul_url.replace(f":{consul_server.port}/", f":{relay.port}/")
            first = connect("files", url, snapshot_file=file)
            asyncio.run(first.close())
            relay.cut()
            backend = connect("files", url, snapshot_file=file)
            assert fetched(backend, "my-app", "default") == {"a": 1}
            with pytest.raises(BackendMisconfigured, match="is of another store"):
                connect("yaml", url, snapshot_file=file)
            relay.mend()
            asyncio.run(backend.refresh())
            with pytest.raises(DocumentError, match=r"my-app-dev\.yml"):
                fetched(backend, "my-app", "dev")
            names = [(one.application, one.profile) for one in asyncio.run(backend.list())]
            assert sorted(names) == [("my-app", "default"), ("my-app", "dev")]


HIDDEN = "the token may not read all below the prefix: it needs key_prefix, policy read"


class TestRights:
    """Tokens."""

    def test_a_token_that_may_read_the_prefix(self, guarded_consul, connect):
        """It needs no other right."""
        guarded_consul.put("config/foo/a", "1")
        token, _ = guarded_consul.token_for('key_prefix "config/" { policy = "read" }')
        backend = connect("key-value", f"consul://{guarded_consul.authority}", token=token)
        assert fetched(backend, "foo", "default") == {"a": "1"}

    @pytest.mark.parametrize(
        ("rules", "words"),
        [("", HIDDEN), ('key_prefix "config/foo/" { policy = "read" }', HIDDEN), (None, "it wants a token")],
        ids=["nothing", "a-part", "no-token"],
    )
    def test_a_list_that_is_filtered_is_not_believed(self, guarded_consul, connect, rules, words):
        """Whatever it shows is not all that there is."""
        guarded_consul.put("config/foo/a", "1")
        guarded_consul.put("config/bar/a", "1")
        token = "" if rules is None else guarded_consul.token_for(rules)[0]
        with pytest.raises(BackendDenied) as caught:
            connect("key-value", f"consul://{guarded_consul.authority}", token=token)
        assert str(caught.value) == f"consul://{guarded_consul.authority}/config: {words}"


OPTIONS = {
    "layout": ({"layout": "xml"}, "layout: expected key-value, yaml, properties, files"),
    "separator": ({"profile_separator": ""}, "profile_separator: expected some characters but /"),
    "slash": ({"profile_separator": "/"}, "profile_separator: expected some characters but /"),
    "both-tokens": ({"token": "a", "token_file": "b"}, "token: expected a token or a file that holds it"),
}  # fmt: skip


@pytest.mark.parametrize("id", OPTIONS)
def test_options_that_are_none(id):
    """They are refused before anything is sent."""
    options, words = OPTIONS[id]
    with pytest.raises(SettingsError) as caught:
        ConsulConfigBackend("consul://127.0.0.1", **options)
    assert str(caught.value) == words


def test_the_place_is_that_of_springs_clients():
    """8500, and `config`."""
    backend = ConsulConfigBackend("consul://host")
    assert backend._layout.address == "consul://host:8500/config"
