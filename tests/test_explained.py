"""ConfigServer.stored: what an answer is made from, file by file, of every backend."""

import asyncio
import random
import subprocess
from importlib.util import find_spec

import pytest

from pyconfserve import (
    ConfigServer,
    ConfigSource,
    FilesystemConfigBackend,
    InMemoryConfigBackend,
)
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.environment.explaining import explain
from pyconfserve.environment.overlay import OWN, SPRING
from pyconfserve.environment.properties import merge
from pyconfserve.errors import DocumentError

FILES = {
    "application.yml": "a: 1\nlist: [x, y]\n",
    "orders.yml": "a: 2\n---\nspring.config.activate.on-profile: prod\nb: 3\na: 4\n---\nspring.config.activate.on-profile: dev\na: 5\n",
    "orders-prod.properties": "a = 6\nlist[0]=z\n",
}


class NeverOpened:
    """A cipher that counts how often it is asked to open anything."""

    calls = 0

    def decrypt(self, ciphertext, key=""):
        self.calls += 1
        return "opened"


class ThreeMethods:
    """A backend that can do no more than it must."""

    def __init__(self, backend):
        self.fetch, self.save, self.list = backend.fetch, backend.save, backend.list


def folder(root, files):
    """A folder with these texts in it."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def memory(bundles):
    """A backend in memory with these bundles, by application and profile."""
    backend = InMemoryConfigBackend()
    for (application, profile), properties in bundles.items():
        asyncio.run(backend.save(ConfigSource(application, profile, "main", properties)))
    return backend


def found(server, *names):
    """What is stored, and the sources of the answer before anything is opened."""

    async def ask():
        lookup = server.lookup(*names)
        stored = await server.stored(lookup)
        environment, _ = await server.environment(lookup)
        await server.close()
        return stored.sources, environment.sources

    return asyncio.run(ask())


def told(sources):
    """`{key: [where it is, then where what it hides is]}`, `file:line (document)`."""

    def text(stated):
        place = stated.place
        where = place.source if place.file is None else f"{place.file}:{place.line}:{place.column}"
        return where if place.document is None else f"{where} #{place.document}"

    return {key: [text(reason.winner), *map(text, reason.hides)] for key, reason in explain(sources).items()}


ACTIVE = "spring.config.activate.on-profile"
IN_FILES = {
    "a": ["orders-prod.properties:1:5", "orders.yml:5:4 #1", "orders.yml:1:4 #0", "application.yml:1:4"],
    "list[0]": ["orders-prod.properties:2:9", "application.yml:2:8", "application.yml:2:11"],
    "b": ["orders.yml:4:4 #1"],
    ACTIVE: ["orders.yml:3:36 #1"],
}


@pytest.mark.parametrize("dialect", [OWN, SPRING], ids=lambda dialect: dialect.name)
def test_a_folder(tmp_path, dialect):
    """Each document by its file, line and number, in both dialects."""
    server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, FILES)), dialect=dialect)
    stored, sources = found(server, "orders", "prod")
    assert told(stored) == IN_FILES
    assert merge([one.properties for one in stored]) == merge([one.properties for one in sources])


def test_the_profile_is_that_of_the_slot(tmp_path):
    """None where a dialect has files without one."""
    for dialect, expected in ((OWN, ["prod", "default", "default", "default"]), (SPRING, ["prod", None, None, None])):
        server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, FILES)), dialect=dialect)
        stored, _ = found(server, "orders", "prod")
        assert [one.part.profile for one in stored] == expected


def test_what_a_file_imports_goes_by_its_own_name(tmp_path):
    """Under SPRING, which follows imports; OWN serves the key as any other."""
    files = {"orders.yml": "spring.config.import: more.yml\na: 1\n", "more.yml": "a: 2\n"}
    expected = {OWN: ["orders.yml:2:4"], SPRING: ["more.yml:1:4", "orders.yml:2:4"]}
    for dialect, places in expected.items():
        server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, files)), dialect=dialect)
        assert told(found(server, "orders")[0])["a"] == places


def test_several_locations_and_a_label(tmp_path):
    """Each file with as much of its location as tells it from the others."""
    one = folder(tmp_path / "one", {"v2/orders.yml": "a: 1\n", "orders.yml": "a: 2\n"})
    two = folder(tmp_path / "two", {"orders.yml": "a: 3\nb: 4\n"})
    server = ConfigServer(FilesystemConfigBackend(one, [one, two]))
    assert told(found(server, "orders", "default", "v2")[0]) == {
        "a": ["one/v2/orders.yml:1:4", "two/orders.yml:1:4"],
        "b": ["two/orders.yml:2:4"],
    }


@pytest.mark.parametrize("form", [lambda backend: backend, ThreeMethods], ids=["memory", "three methods"])
def test_bundles_that_are_no_files(form):
    """Go by the names of their sources."""
    backend = memory({("orders", "prod"): {"a": 1}, ("application", "default"): {"a": 2, "b": 3}})
    stored, sources = found(ConfigServer(form(backend)), "orders", "prod")
    assert stored == sources
    assert told(stored) == {"a": ["orders-prod", "application-default"], "b": ["application-default"]}


def test_a_composite(tmp_path):
    """Each member as by itself."""
    backend = CompositeConfigBackend(
        [memory({("orders", "prod"): {"a": 1}}), FilesystemConfigBackend(folder(tmp_path, FILES))]
    )
    stored, _ = found(ConfigServer(backend), "orders", "prod")
    assert told(stored) == {**IN_FILES, "a": ["orders-prod", *IN_FILES["a"]]}


@pytest.mark.skipif(not find_spec("git"), reason="needs GitPython")
def test_a_repository(tmp_path):
    """Each file with the commit of its label."""
    from pyconfserve.adapters.git import GitConfigBackend

    root = folder(tmp_path / "work", FILES)
    run = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(root)]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "m"]):
        subprocess.run([*run, *words], check=True, timeout=20)
    head = subprocess.run([*run, "rev-parse", "HEAD"], check=True, timeout=20, capture_output=True, text=True).stdout.strip()
    server = ConfigServer(GitConfigBackend(f"file://{root}", refresh_rate=0))
    stored, _ = found(server, "orders", "prod")
    assert told(stored) == IN_FILES
    assert {reason.winner.place.version for reason in explain(stored).values()} == {head}


def test_nothing_is_decrypted(tmp_path):
    """The text stands as it is stored, and no cipher is asked."""
    cipher = NeverOpened()
    files = {"orders.yml": "a: '{cipher}0f'\n", "application.yml": "a: '{cipher}0e'\n"}
    server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, files)), cipher=cipher)
    stored, sources = found(server, "orders")
    assert [one.properties for one in stored] == [{"a": "{cipher}0f"}, {"a": "{cipher}0e"}]
    assert ([one.properties for one in sources], cipher.calls) == ([{"a": "opened"}, {"a": "opened"}], 2)
    asyncio.run(ConfigServer(FilesystemConfigBackend(tmp_path), cipher=cipher).stored(server.lookup("orders")))
    assert cipher.calls == 2


def test_overrides_stand_above_all():
    """Under their own name."""
    server = ConfigServer(memory({("orders", "default"): {"a": 1}}), overrides={"a": "over"})
    stored, _ = found(server, "orders")
    assert told(stored) == {"a": ["overrides", "orders-default"]}


def test_an_empty_file_is_a_source_all_the_same(tmp_path):
    """So that who explains it finds what who reads it does."""
    for dialect, count in ((OWN, 1), (SPRING, 0)):
        server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, {"orders.yml": ""})), dialect=dialect)
        stored, sources = found(server, "orders")
        assert (len(stored), len(sources)) == (count, count)


def test_a_file_that_does_not_parse_is_named(tmp_path):
    """As it is to who reads."""
    server = ConfigServer(FilesystemConfigBackend(folder(tmp_path, {"orders.yml": "a: [\n"})))
    with pytest.raises(DocumentError) as error:
        asyncio.run(server.stored(server.lookup("orders")))
    assert error.value.location == "orders.yml"


@pytest.mark.parametrize("dialect", [OWN, SPRING], ids=lambda dialect: dialect.name)
def test_by_file_is_the_same_configuration(tmp_path, dialect):
    """For random folders: no key, no value and no list differs from the answer's."""
    chance = random.Random(9)
    keys = ["a", "a[0]", "a[1]", "b.c", "b.c[0]", "d"]
    names = ["application", "orders", "orders-prod", "orders-eu", "application-prod"]

    def text(number):
        documents = []
        for _ in range(chance.randrange(1, 4)):
            lines = [f"'{key}': {number * 1000 + chance.randrange(999)}" for key in chance.sample(keys, chance.randrange(1, 6))]
            if chance.random() < 0.4:
                lines.append(f"{ACTIVE}: {chance.choice(['prod', 'eu', 'dev'])}")
            documents.append("\n".join(lines))
        return "\n---\n".join(documents)

    for round_ in range(25):
        roots = []
        for place in ("one", "two"):
            files = chance.sample([f"{label}{name}" for name in names for label in ("", "v1/", "v2/")], 6)
            roots.append(folder(tmp_path / f"{round_}{place}", {f"{file}.yml": text(number) for number, file in enumerate(files)}))
        server = ConfigServer(FilesystemConfigBackend(roots[0], roots), dialect=dialect)
        stored, sources = found(server, "orders", "prod,eu", chance.choice(["v1", "v1,v2"]))
        expected = merge([one.properties for one in sources])
        assert merge([one.properties for one in stored]) == expected
        assert {key: reason.winner.value for key, reason in explain(stored).items()} == expected
