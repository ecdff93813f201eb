"""Settings to the backend of a store."""

import asyncio
import subprocess

import pytest
from vault_server import ROOT, VaultServer

from pyconfserve import ConfigServer, ConfigSource, Settings
from pyconfserve.addresses import STORES
from pyconfserve.auto_configuration import build_backend
from pyconfserve.composite import CompositeConfigBackend
from pyconfserve.errors import BackendUnavailable, SettingsError
from pyconfserve.store_backend import StoreBackend
from pyconfserve.stores import password_of, postgresql_uri

OF_STORES = f"it is for a store, backend.type one of {', '.join(sorted({*STORES.values()}))}"
PREFIX = "pyfly.config-server."
SECRET = "s3cret-of-a-store"


def settings(**backend):
    return {"pyfly": {"config-server": {"backend": backend}}}


def refused(**backend):
    with pytest.raises(SettingsError) as caught:
        build_backend(settings(**backend))
    return str(caught.value)


def test_each_kind_is_a_store_of_its_own(tmp_path):
    """By type and address; the address in messages has no credentials and no options."""
    pytest.importorskip("psycopg")
    addresses = {
        "sqlite": f"sqlite://{tmp_path}/a%20b.db",
        "postgresql": f"postgresql://me:{SECRET}@h:1234/db?sslmode=require",
        "etcd": f"etcd://me:{SECRET}@h:2379/cfg",
    }
    shown = {}
    for kind, uri in addresses.items():
        backend = build_backend(settings(type=kind, uri=uri))
        assert type(backend) is StoreBackend
        shown[kind] = backend.store.address
        assert SECRET not in f"{shown[kind]}{backend.store!r}"
        asyncio.run(backend.close())
    assert shown["sqlite"] == f"sqlite://{tmp_path}/a b.db"
    assert ("h:1234" in shown["postgresql"], "h:2379" in shown["etcd"]) == (True, True)


@pytest.mark.parametrize("others", [None, [], ["memory:"]], ids=["alone", "member", "not writable"])
def test_no_file_is_made_where_nothing_is_saved(tmp_path, others):
    """Alone, as a member of a composite, and as one that saves do not go to."""
    given = {"type": "sqlite", "uri": f"sqlite://{tmp_path}/x.db"}
    tree = settings(**given) if others is None else settings(type="composite", members=[*others, given])
    tree["pyfly"]["config-server"]["read-only"] = not others
    backend = build_backend(tree)

    async def use():
        try:
            await backend.open()
        finally:
            await backend.close()

    with pytest.raises(BackendUnavailable, match=r"x\.db: it cannot be opened: No such file or directory$"):
        asyncio.run(use())
    assert [*tmp_path.iterdir()] == []


def test_a_store_has_the_label_of_the_settings(tmp_path):
    """Else main."""
    uri = f"sqlite://{tmp_path}/x.db"
    tree = settings(type="sqlite", uri=uri)
    labels = [build_backend(tree).default_label]
    tree["pyfly"]["config-server"]["default-label"] = "v2"
    labels.append(build_backend(tree).default_label)
    assert labels == ["main", "v2"]


@pytest.mark.parametrize(
    ("backend", "problem"),
    [
        ({"type": "sqlite"}, "uri: backend.type sqlite needs an address that begins with sqlite://"),
        ({"type": "etcd", "uri": "sqlite:///x"}, "uri: backend.type etcd needs an address that begins with etcd:// or etcds://"),
        (
            {"type": "postgresql", "uri": f"mysql://me:{SECRET}@h"},
            "uri: backend.type postgresql needs an address that begins with postgresql:// or postgres://",
        ),
        ({"type": "sqlite", "uri": "sqlite://"}, "uri: expected sqlite:// and the path of a file"),
        ({"type": "sqlite", "uri": "sqlite:///x.db?mode=ro"}, "uri: expected sqlite:// and the path of a file"),
        ({"type": "filesystem", "uri": "sqlite:///x.db"}, f"uri: {OF_STORES}"),
        ({"type": "memory", "snapshot": "x"}, f"snapshot: {OF_STORES}"),
        ({"type": "etcd", "uri": "etcd://h", "password-file": "/absent"}, "password-file: cannot be read: No such file or directory"),
        ({"type": "consul", "uri": "consul://h", "layout": "xml"}, "layout: expected key-value or yaml or properties or files for consul"),
        ({"type": "vault", "uri": "vault://h", "layout": "yaml"}, "layout: expected spring for vault"),
        ({"type": "redis", "uri": "redis://h", "layout": "spring"}, "layout: there is none for redis"),
        ({"type": "consul", "uri": "consul://h", "layout": "yaml", "options": {"key": "x"}}, "options.key: expected profile-separator or data-key"),
        ({"type": "vault", "uri": "vault://h", "layout": "spring", "options": {"enable-label": "x"}}, "options.enable-label: expected true or false"),
        ({"type": "s3", "uri": "s3://b", "layout": "spring"}, "layout: there is none for s3"),
        ({"type": "vault", "uri": "vault://h/secret", "layout": "spring", "snapshot": "x"}, "snapshot: the secrets of others are never kept in a file"),
    ],
)
def test_what_is_wrong_names_the_setting(backend, problem):
    """And never the password that stands in it."""
    assert f"{PREFIX}backend.{problem}" == refused(**backend)


def test_a_password_stands_in_settings_or_in_a_file(tmp_path):
    """Its first line, as an editor or a Kubernetes secret leaves it."""
    path = tmp_path / "password"
    path.write_text(f" {SECRET} \r\nnot this\n")
    file = str(path)
    found = [
        password_of(Settings(store_password_file=file)),
        password_of(Settings(store_password="x", store_password_file=file)),
        password_of(Settings()),
    ]
    assert found == [f" {SECRET} ", "x", ""]
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="it is not UTF-8"):
        password_of(Settings(store_password_file=file))


@pytest.mark.parametrize(
    ("uri", "given", "expected"),
    [
        ("postgresql://h/db", {}, "postgresql://h/db"),
        ("postgresql://h/db", {"store_username": "a@b"}, "postgresql://a%40b@h/db"),
        ("postgres://u:p@h/db?x=a@b", {"store_username": "me"}, "postgres://me@h/db?x=a@b"),
        ("postgresql:///db?host=/run", {"store_username": "me"}, "postgresql://me@/db?host=/run"),
        (
            "postgresql://h/db",
            {"store_ca_file": "/a b.pem"},
            "postgresql://h/db?sslrootcert=%2Fa%20b.pem&sslmode=verify-full",
        ),
        (
            "postgresql://h/db?sslmode=require",
            {"store_ca_file": "/a", "store_client_cert": "/c", "store_client_key": "/k"},
            "postgresql://h/db?sslmode=require&sslrootcert=%2Fa&sslcert=%2Fc&sslkey=%2Fk",
        ),
    ],
)
def test_settings_complete_the_address_of_postgresql(uri, given, expected):
    """A user and files; a named authority is asked, unless the address says otherwise."""
    assert expected == postgresql_uri(uri, Settings(**given))


def test_options_of_a_layout():
    """Names of their own, as others gave them to their secrets."""
    with VaultServer() as vault:
        vault.put("cfg/shop::dev", {"a": "of dev"})
        vault.put("cfg/shared", {"a": "of all", "b": "of all"})
        tree = settings(
            type="vault",
            uri=f"{vault.uri}/secret",
            token=ROOT,
            layout="spring",
            options={"profile-separator": "::", "default-key": "shared", "path-to-key": "cfg", "enable-label": "no"},
        )

        async def use():
            server = ConfigServer(build_backend(tree))
            try:
                return await server.fetch("shop", "dev")
            finally:
                await server.close()

        found = asyncio.run(use())
    assert [one["source"] for one in found["propertySources"]] == [{"a": "of dev"}, {"a": "of all", "b": "of all"}]


class TestComposite:
    """A composite of the settings."""

    def test_folder_over_repository_over_store(self, tmp_path):
        """In this order, and saves go where settings say."""
        (tmp_path / "orders.json").write_text('{"a": "folder"}')
        members = [
            str(tmp_path),
            {"type": "memory", "required": False},
            {"type": "sqlite", "uri": f"sqlite://{tmp_path}/x.db", "writable": True},
        ]
        backend = build_backend(settings(type="composite", members=members))

        async def use():
            await backend.open()
            await backend.save(ConfigSource("orders", "default", "main", {"a": "store"}))
            document = await ConfigServer(backend).fetch("orders")
            await backend.close()
            return [source["source"] for source in document["propertySources"]]

        assert asyncio.run(use()) == [{"a": "folder"}, {"a": "store"}]
        assert type(backend) is CompositeConfigBackend
        assert [type(one).__name__ for one in backend.members] == ["FilesystemConfigBackend", "InMemoryConfigBackend", "StoreBackend"]

    def test_folder_over_git_over_sql_has_a_version_of_all(self, tmp_path):
        """The commit stands in it, and a change of any member changes it."""
        pytest.importorskip("git")

        def git(*arguments):
            command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(tmp_path / "repo"), *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        for name in ("cfg", "repo"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "orders.json").write_text(f'{{"a": "{name}", "{name}": 1}}')
        git("init", "--quiet", "--initial-branch=main", ".")
        git("add", ".")
        git("commit", "--quiet", "--message=first")
        members = [
            str(tmp_path / "cfg"),
            f"git+{tmp_path}/repo",
            {"type": "sqlite", "uri": f"sqlite://{tmp_path}/x.db", "writable": True},
        ]

        async def use():
            server = ConfigServer(build_backend(settings(type="composite", members=members)))
            await server.open()
            found = [await server.fetch("orders")]
            await server.save("orders", "default", {"a": "sql", "sql": 1})
            found.append(await server.fetch("orders"))
            await server.close()
            return found

        first, second = asyncio.run(use())
        assert [source["source"] for source in second["propertySources"]] == [
            {"a": "cfg", "cfg": 1},
            {"a": "repo", "repo": 1},
            {"a": "sql", "sql": 1},
        ]
        assert first["version"].split(",")[1] == second["version"].split(",")[1] == git("rev-parse", "HEAD")
        assert first["version"] != second["version"]

    def test_a_member_that_is_not_required_may_be_away(self, tmp_path):
        """From the start on; one that is required may not."""
        (tmp_path / "orders.json").write_text('{"a": "folder"}')
        for is_required in (False, True):
            store = {"type": "etcd", "uri": "etcd://127.0.0.1:1/x", "required": is_required}
            backend = build_backend(settings(type="composite", members=[str(tmp_path), store]))

            async def use(backend=backend):
                try:
                    await backend.open()
                    return (await backend.fetch("orders", "default")).properties
                except Exception as error:
                    return type(error).__name__
                finally:
                    await backend.close()

            expected = "BackendUnavailable" if is_required else {"a": "folder"}
            assert asyncio.run(use()) == expected
