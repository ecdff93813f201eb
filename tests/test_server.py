"""server: ConfigServer over any backend."""

import asyncio
import logging

import pytest

from pyconfserve.backend import ConfigSource, InMemoryConfigBackend
from pyconfserve.environment.overlay import SPRING
from pyconfserve.errors import (
    BackendTimeout,
    BackendUnavailable,
    ConfigNotFound,
    Conflict,
    DocumentError,
    InvalidRequest,
    ReadOnlyBackend,
)
from pyconfserve.filesystem import FilesystemConfigBackend
from pyconfserve.server import ConfigServer


class ThreeMethods:
    """As little as a backend can be: a dict."""

    def __init__(self):
        self.bundles = {}

    async def fetch(self, application, profile, label="main"):
        return self.bundles.get((application, profile, label))

    async def save(self, source):
        self.bundles[source.application, source.profile, source.label] = source

    async def list(self):
        return list(self.bundles.values())


class Failing(ThreeMethods):
    """A backend whose store is down."""

    async def fetch(self, application, profile, label="main"):
        raise BackendUnavailable("the store is down")


class Closing(ThreeMethods):
    """A backend that counts how often it was closed."""

    closed = 0

    async def close(self):
        self.closed += 1


def server_of(*bundles, backend=None, **options):
    """A server over these bundles, given as (application, profile, label, properties)."""
    server = ConfigServer(backend or InMemoryConfigBackend(), **options)
    for bundle in bundles:
        asyncio.run(server.backend.save(ConfigSource(*bundle)))
    return server


def fetch(server, *asked):
    """The document for what was asked."""
    return asyncio.run(server.fetch(*asked))


def source_names(document):
    """The names of a document's sources, in order."""
    return [source["name"] for source in document["propertySources"]]


def layered(label="main"):
    """The four bundles of an answer, lowest first."""
    return [
        (application, profile, label, {"from": f"{application}-{profile}"})
        for application in ("application", "orders")
        for profile in ("default", "prod")
    ]


BACKENDS = pytest.mark.parametrize(
    "make_backend",
    [InMemoryConfigBackend, ThreeMethods, None],
    ids=["memory", "three-methods", "filesystem"],
)


@BACKENDS
def test_an_answer_is_a_plain_document(make_backend, tmp_path):
    """Spring's shape; sources by application, then profile; keys flat."""
    backend = make_backend() if make_backend else FilesystemConfigBackend(tmp_path)
    server = server_of(*layered(), backend=backend)
    asyncio.run(server.save("orders", "prod", {"a.b": [1, {"c": None}], "d": True}))
    document = fetch(server, "orders", "prod")
    version = document["version"]
    expected = {
        "name": "orders",
        "profiles": ["prod"],
        "label": "main",
        "version": version,
        "state": None,
        "propertySources": [
            {"name": "orders-prod", "source": {"a.b[0]": 1, "a.b[1].c": "", "d": True}},
            {"name": "orders-default", "source": {"from": "orders-default"}},
            {"name": "application-prod", "source": {"from": "application-prod"}},
            {"name": "application-default", "source": {"from": "application-default"}},
        ],
    }
    assert expected == document
    assert list(expected) == list(document)
    assert isinstance(version, str)
    assert version


@BACKENDS
def test_only_what_is_stored_is_a_source(make_backend, tmp_path):
    """An absent bundle leaves no gap, an empty one is a source without keys."""
    backend = make_backend() if make_backend else FilesystemConfigBackend(tmp_path)
    server = server_of(("application", "prod", "main", {}), backend=backend)
    expected = [{"name": "application-prod", "source": {}}]
    assert expected == fetch(server, "orders", "prod")["propertySources"]


@BACKENDS
def test_nothing_stored_is_none(make_backend, tmp_path):
    """None only when every slot is empty."""
    backend = make_backend() if make_backend else FilesystemConfigBackend(tmp_path)
    server = server_of(("orders", "dev", "main", {"a": 1}), backend=backend)
    assert fetch(server, "orders", "prod") is None
    assert fetch(server, "other", "dev") is None
    assert fetch(server, "orders", "dev", "other") is None or make_backend is None


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (("orders",), ["orders-default", "application-default"]),
        (("orders", "default"), ["orders-default", "application-default"]),
        (("orders", "prod"), ["orders-prod", "orders-default", "application-prod", "application-default"]),
        (("orders", "prod,prod"), ["orders-prod", "orders-default", "application-prod", "application-default"]),
        (("orders", "prod,default"), ["orders-prod", "orders-default", "application-prod", "application-default"]),
        (("application", "prod"), ["application-prod", "application-default"]),
        (("application,orders",), ["orders-default", "application-default"]),
        (("orders,application",), ["orders-default", "application-default"]),
        (("orders,other",), ["other-default", "orders-default", "application-default"]),
        (("orders", "prod,eu"), ["orders-eu", "orders-prod", "orders-default", "application-prod", "application-default"]),
        (("orders", "eu,prod"), ["orders-prod", "orders-eu", "orders-default", "application-prod", "application-default"]),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_the_order_of_sources(asked, names):
    """Application first; the last named profile and application win, `default` and
    `application` are lowest wherever they are named, and nothing is there twice.
    """
    more = [("other", "default", "main", {}), ("orders", "eu", "main", {})]
    assert names == source_names(fetch(server_of(*layered(), *more), *asked))


def test_lists_stand_in_the_document_as_they_were_asked():
    """`name` and `label` repeat the text, `profiles` is a list."""
    server = server_of(*layered("v1"), ("orders", "prod", "v2", {"from": "v2"}))
    document = fetch(server, "orders, application", "prod,default", "v1,v2")
    expected = {
        "name": "orders, application",
        "profiles": ["prod", "default"],
        "label": "v1,v2",
    }
    assert expected == {key: document[key] for key in expected}
    expected = ["orders-prod", "orders-prod", "orders-default", "application-prod"]
    assert [*expected, "application-default"] == source_names(document)
    assert document["propertySources"][0]["source"] == {"from": "v2"}


def test_a_slash_in_a_name_is_shown_as_a_slash():
    """`(_)` is Spring's way to ask for it."""
    server = server_of(("team/orders", "default", "feature/x", {"a": 1}))
    document = fetch(server, "team(_)orders", "default", "feature(_)x")
    expected = ("team/orders", "feature/x", ["team/orders-default"])
    assert expected == (document["name"], document["label"], source_names(document))


@pytest.mark.parametrize(
    ("label", "shown", "value"),
    [(None, "main", "main"), ("main", "main", "main"), ("v2", "v2", "v2")],
)
def test_a_label_counts_and_is_shown(label, shown, value):
    """None is the backend's default label."""
    server = server_of(
        ("orders", "default", "main", {"label": "main"}),
        ("orders", "default", "v2", {"label": "v2"}),
    )
    document = fetch(server, "orders", "default", label)
    expected = (shown, [{"name": "orders-default", "source": {"label": value}}])
    assert expected == (document["label"], document["propertySources"])


def test_the_default_label_is_the_backends(tmp_path):
    """Backends that do not say have `main`."""
    assert ConfigServer(ThreeMethods()).default_label == "main"
    backend = FilesystemConfigBackend(tmp_path, label="trunk")
    server = server_of(("orders", "default", "trunk", {}), backend=backend)
    assert server.default_label == "trunk"
    assert fetch(server, "orders")["label"] == "trunk"


@pytest.mark.parametrize(
    "asked",
    [
        ("../app", "prod"),
        ("orders", "a,,b"),
        ("orders", ""),
        ("orders", "prod", "main~1"),
        (",", "prod"),
        ("orders", "prod", ","),
        ("a," * 33, "prod"),
    ],
)
def test_malformed_names_are_refused(asked):
    """Before any look-up."""
    with pytest.raises(InvalidRequest):
        fetch(server_of(backend=Failing()), *asked)


@pytest.mark.parametrize("name", ["_list", "_", "_bundle", "actuator"])
def test_reserved_names_are_not_found_and_not_saved(name):
    """They belong to routes, whatever is stored; also as an item of a list."""
    server = server_of((name, "default", "main", {"a": 1}), *layered())
    assert fetch(server, name) is None
    assert fetch(server, f"orders,{name}") is None
    with pytest.raises(ConfigNotFound):
        server.lookup(name)
    with pytest.raises(Conflict) as caught:
        asyncio.run(server.save(name, "default", {"a": 2}))
    assert f"applications named {name!r} are reserved" == str(caught.value)
    expected = ConfigSource(name, "default", "main", {"a": 1})
    assert expected == asyncio.run(server.backend.fetch(name, "default"))


@pytest.mark.parametrize("name", ["health", "encrypt", "actuators", "a_list"])
def test_other_routes_names_are_names(name):
    """They win only at their exact path."""
    server = server_of()
    assert asyncio.run(server.save(name, "default", {"a": 1})) == {"saved": True}
    assert [f"{name}-default"] == source_names(fetch(server, name))


def test_a_save_is_told_when_it_counts():
    """With its names, to all who asked for it, once stored; a refused one is not."""
    server = ConfigServer(InMemoryConfigBackend())
    told = []
    for _ in range(2):
        server.after_save.add(
            lambda source: told.append((source, server.saves.value()))
        )
    asyncio.run(server.save("orders", "prod", {"a": 1}))
    with pytest.raises(InvalidRequest):
        asyncio.run(server.save("a,b", "prod", {"a": 1}))
    source = told[0][0]
    assert (source.application, source.profile, source.label) == (
        "orders",
        "prod",
        "main",
    )
    assert told == [(source, 1)] * 2


def test_a_save_replaces_one_bundle_and_counts():
    """The answer says so; properties may be nested."""
    server = server_of(("orders", "prod", "main", {"a": 1, "b": 1}))
    saved = asyncio.run(server.save("orders", "prod", {"a": {"b": [2]}}, "main"))
    assert (saved, server.saves.value()) == ({"saved": True}, 1)
    expected = [{"name": "orders-prod", "source": {"a.b[0]": 2}}]
    assert expected == fetch(server, "orders", "prod")["propertySources"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a,b", "prod"), "application: a save takes one name, not a list"),
        (("orders", "prod,dev"), "profile: a save takes one name, not a list"),
        (("orders", "prod", "v1,v2"), "label: a save takes one name, not a list"),
        (("orders", ","), "profile: a save takes one name, not a list"),
        *(
            (("orders", f"prod{ending}"), "profile: a name that ends in .yml, .yaml, .json, .properties is not saved")
            for ending in (".yml", ".yaml", ".json", ".properties")
        ),
        (("orders", "prod", "a..b"), "label: '..' is not allowed"),
        (("orders#", "prod"), "application: expected letters, digits and -_.+@~, beginning and ending with a letter, a digit, _ or ~"),
    ],
    ids=lambda value: "/".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_save_takes_one_well_formed_name_of_each_kind(arguments, message):
    """No lists, and nothing that a read would take for a format."""
    application, profile, *label = arguments
    server = server_of(backend=ThreeMethods())
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(server.save(application, profile, {"a": 1}, *label))
    assert (message, {}, 0) == (
        str(caught.value),
        server.backend.bundles,
        server.saves.value(),
    )


def test_profiles_with_a_dot_are_saved():
    """Only the formats' endings are refused."""
    server = server_of()
    asyncio.run(server.save("orders", "v1.2", {"a": 1}))
    assert source_names(fetch(server, "orders", "v1.2")) == ["orders-v1.2"]


@pytest.mark.parametrize(
    "options", [{"read_only": True}, {"dialect": SPRING}], ids=["setting", "spring"]
)
def test_a_read_only_server_saves_nothing(options):
    """By setting, and always in Spring's dialect."""
    server = server_of(*layered(), **options)
    assert server.is_read_only
    with pytest.raises(ReadOnlyBackend) as caught:
        asyncio.run(server.save("orders", "new", {"a": 1}))
    assert (str(caught.value), caught.value.status) == ("this server is read-only", 405)
    assert asyncio.run(server.backend.fetch("orders", "new")) is None


def test_bundles_are_listed_in_order():
    """By application, profile and label, without properties."""
    server = server_of(
        ("b", "prod", "main", {"a": 1}),
        ("b", "default", "v2", {}),
        ("b", "default", "main", {}),
        ("a", "default", "main", {}),
    )
    names = [("a", "default", "main"), ("b", "default", "main"), ("b", "default", "v2"), ("b", "prod", "main")]  # fmt: skip
    fields = ("application", "profile", "label")
    expected = [dict(zip(fields, name, strict=True)) for name in names]
    assert expected == asyncio.run(server.list())


@BACKENDS
def test_the_version_changes_with_the_content(make_backend, tmp_path):
    """Equal content has an equal version, whatever was saved in between."""
    backend = make_backend() if make_backend else FilesystemConfigBackend(tmp_path)
    server = server_of(*layered(), backend=backend)

    def version_after(properties):
        asyncio.run(server.save("orders", "prod", properties))
        return fetch(server, "orders", "prod")["version"]

    contents = [{"a": 1}, {"a": 2}, {"a": "1"}, {"a": True}, {"b": 1}, {}]
    versions = [version_after(properties) for properties in contents]
    assert len(contents) == len(set(versions))
    assert versions[0] == version_after({"a": 1})


def test_the_version_does_not_depend_on_other_bundles():
    """What is not in an answer does not change it."""
    server = server_of(*layered())
    version = fetch(server, "orders", "prod")["version"]
    asyncio.run(server.save("other", "prod", {"a": 1}))
    assert version == fetch(server, "orders", "prod")["version"]


def test_a_store_that_fails_is_an_error_not_an_absence():
    """Never an empty answer in its place."""
    with pytest.raises(BackendUnavailable) as caught:
        fetch(server_of(backend=Failing()), "orders")
    assert str(caught.value) == "the store is down"


def test_spring_over_a_folder(tmp_path):
    """Profiles are one text, the label is null when none was asked, sources are files
    and the last profile comes first.
    """
    for name in (
        "orders.yml",
        "orders-prod.yml",
        "orders-eu.yml",
        "application-prod.yml",
    ):
        (tmp_path / name).write_text(f"from: {name}")
    server = ConfigServer(FilesystemConfigBackend(tmp_path), dialect=SPRING)
    document = fetch(server, "orders", "prod,eu")
    order = ("orders-eu.yml", "orders-prod.yml", "application-prod.yml", "orders.yml")
    expected = {
        "name": "orders",
        "profiles": ["prod,eu"],
        "label": None,
        "version": document["version"],
        "state": None,
        "propertySources": [
            {"name": f"file:{tmp_path}/{name}", "source": {"from": name}}
            for name in order
        ],
    }
    assert expected == document
    assert fetch(server, "orders", "prod", "v2")["label"] == "v2"


@pytest.mark.parametrize(
    ("accept_empty", "is_answered"), [(None, True), (True, True), (False, False)]
)
def test_spring_accepts_an_empty_answer(tmp_path, accept_empty, is_answered):
    """Unless the setting says otherwise."""
    backend = FilesystemConfigBackend(tmp_path)
    server = ConfigServer(backend, dialect=SPRING, accept_empty=accept_empty)
    document = fetch(server, "orders", "prod")
    if not is_answered:
        assert document is None
        return
    expected = {"name": "orders", "profiles": ["prod"], "label": None}
    assert {**expected, "state": None, "propertySources": []} == {
        key: value for key, value in document.items() if key != "version"
    }


@pytest.mark.parametrize(
    ("accept_empty", "default", "accepts"),
    [
        (None, None, False),
        (None, True, True),
        (True, None, True),
        (True, False, True),
        (False, True, False),
    ],
)
def test_whether_nothing_is_an_answer(accept_empty, default, accepts):
    """The setting beats what the media type asks for, which beats the dialect."""
    server = server_of(accept_empty=accept_empty)
    assert accepts is server.accepts_empty(default)
    if default is None:
        assert accepts is (fetch(server, "orders") is not None)


def test_a_broken_file_is_logged_once_and_a_problem_until_it_is_mended(
    tmp_path, caplog
):
    """Health names the file and line for whoever owns it; other answers still work."""
    (tmp_path / "orders.yml").write_text("a: secret\n\tb: 1\n")
    (tmp_path / "other.yml").write_text("a: 1\n")
    server = ConfigServer(FilesystemConfigBackend(tmp_path, refresh_interval=0))
    for _ in range(3):
        with pytest.raises(DocumentError) as caught:
            fetch(server, "orders")
    problem = str(caught.value)
    assert problem.startswith("orders.yml:2:1: ")
    assert source_names(fetch(server, "other")) == ["other-default"]
    locations = {f"file:{tmp_path}/": "UP"}
    expected = {"backend": "FilesystemConfigBackend", "locations": locations}
    assert {**expected, "problems": [problem]} == asyncio.run(server.health())
    (tmp_path / "orders.yml").write_text("a: 1\n")
    assert source_names(fetch(server, "orders")) == ["orders-default"]
    assert {**expected, "problems": []} == asyncio.run(server.health())
    logged = [
        ("pyconfserve.server", logging.ERROR, f"a file does not parse: {problem}")
    ]
    assert logged == caplog.record_tuples
    assert "secret" not in caplog.text


def test_a_file_broken_again_is_logged_again(tmp_path, caplog):
    """Once it worked in between."""
    server = ConfigServer(FilesystemConfigBackend(tmp_path, refresh_interval=0))
    for text in ("a: [", "a: 1", "a: ["):
        (tmp_path / "orders.yml").write_text(text)
        if text == "a: 1":
            fetch(server, "orders")
        else:
            with pytest.raises(DocumentError):
                fetch(server, "orders")
    assert len(caplog.records) == 2


def test_a_broken_file_is_one_problem_however_many_ask_for_it(tmp_path, caplog):
    """What is kept is bounded, and one line is logged for the file."""
    (tmp_path / "application.yml").write_text("a: [")
    server = ConfigServer(FilesystemConfigBackend(tmp_path))
    for number in range(150):
        with pytest.raises(DocumentError):
            fetch(server, f"app{number}")
    assert len(asyncio.run(server.health())["problems"]) == 1
    assert len(caplog.records) == 1


def test_health_of_a_backend_that_does_not_say():
    """Its type, and no problems."""
    expected = {"backend": "ThreeMethods", "problems": []}
    assert expected == asyncio.run(server_of(backend=ThreeMethods()).health())


def test_closing_closes_the_backend_that_can():
    """Others have nothing to release."""
    server = server_of(backend=Closing())
    asyncio.run(server.close())
    assert server.backend.closed == 1
    assert asyncio.run(server_of(backend=ThreeMethods()).close()) is None


def test_a_mended_file_is_no_problem_though_nobody_asks_again(tmp_path):
    """Health looks again: who met the problem may never come back."""
    (tmp_path / "application.yml").write_text("a: [")
    server = ConfigServer(FilesystemConfigBackend(tmp_path, refresh_interval=0))
    with pytest.raises(DocumentError):
        fetch(server, "orders")
    (tmp_path / "application.yml").write_text("a: 1")
    assert asyncio.run(server.health())["problems"] == []


class Hanging(ThreeMethods):
    """A backend whose store never answers, with files and credentials."""

    def __init__(self, asked=None):
        super().__init__()
        self.asked = [] if asked is None else asked

    async def fetch(self, application, profile, label="main"):
        self.asked.append(application)
        await asyncio.Event().wait()

    async def file(self, lookup, path):
        await asyncio.Event().wait()

    async def save(self, source):
        await asyncio.Event().wait()

    async def list(self):
        await asyncio.Event().wait()

    def for_request(self, token, state):
        return Hanging(self.asked)


@pytest.mark.parametrize(
    ("ask", "more"),
    [
        (lambda server: server.fetch("orders"), ""),
        (lambda server: server.environment(server.lookup("orders")), ""),
        (lambda server: server.file(server.lookup("orders"), "a.txt"), ""),
        (lambda server: server.list(), ""),
        (lambda server: server.save("orders", "prod", {}), "; the save may still happen"),
        (lambda server: server.for_request("token", None).fetch("orders"), ""),
    ],
    ids=["fetch", "environment", "file", "list", "save", "credentials"],
)  # fmt: skip
def test_a_store_that_does_not_answer_is_a_timeout(ask, more):
    """Of the time that the server was given."""
    with pytest.raises(BackendTimeout) as caught:
        asyncio.run(ask(ConfigServer(Hanging(), timeout=0.01)))
    assert f"the store did not answer in time{more}" == str(caught.value)


def test_answers_for_credentials_are_not_shared():
    """Each request with its own asks for itself."""

    async def scenario():
        server = ConfigServer(Hanging(), timeout=0.05)
        forms = [server.for_request(token, None) for token in ("a", "b")]
        asks = [form.fetch("orders") for form in (server, server, *forms)]
        await asyncio.gather(*asks, return_exceptions=True)
        return server.backend.asked

    assert asyncio.run(scenario()) == ["orders", "application"] * 3


def test_health_does_not_wait_for_what_hangs(tmp_path, monkeypatch):
    """What was broken is told as it was last seen."""
    monkeypatch.setattr("pyconfserve.server._LOOK", 0.05)

    class Broken(Hanging):
        is_hung = False

        async def fetch(self, application, profile, label="main"):
            if self.is_hung:
                await super().fetch(application, profile, label)
            raise DocumentError("no", 1, 2, "a.yml")

    async def scenario():
        server = ConfigServer(Broken())
        with pytest.raises(DocumentError):
            await server.fetch("orders")
        server.backend.is_hung = True
        return await server.health()

    expected = {"backend": "Broken", "problems": ["a.yml:1:2: no"]}
    assert expected == asyncio.run(scenario())
