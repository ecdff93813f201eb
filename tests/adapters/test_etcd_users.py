"""etcd: who may do what, and who is who over TLS."""

import shutil
import subprocess

import pytest
from store_servers import USERS, EtcdServer

from pyconfserve.adapters.etcd import EtcdStore
from pyconfserve.errors import (
    BackendDenied,
    BackendMisconfigured,
    BackendUnavailable,
    SettingsError,
)
from pyconfserve.files import BundleName
from pyconfserve.store import Record

ORDERS = BundleName("orders", "prod", "main")
SOON = 10.0  # seconds in which a watch tells of a change


@pytest.fixture
def connect():
    """Makes stores, and closes them in the end."""
    made = []

    def connect(uri, **options):
        made.append(EtcdStore(uri, **options))
        return made[-1]

    yield connect
    for store in made:
        store.close()


def texts(store):
    return {name: record.text for name, record in store.read().records.items()}


@pytest.fixture(scope="module")
def guarded():
    """A server that lets `conf` change, and `ro` read, what is below `mine`."""
    with EtcdServer() as server:
        server.allow_only("mine")
        yield server


class TestUsers:
    """Authentication."""

    @pytest.fixture
    def server(self, guarded):
        return guarded

    def uri(self, server, user, password=None, prefix="mine"):
        return f"etcd://{user}:{password or USERS[user]}@127.0.0.1:{server.port}/{prefix}"

    def test_a_user_with_the_rights(self, connect, server):
        """Reads, writes and waits; the address has no password."""
        store = connect(self.uri(server, "conf"))
        version = store.write(ORDERS, "1", None)
        assert store.read().records == {ORDERS: Record("1", version)}
        store.wait(store.token(), 0.1)
        store.write(ORDERS, None, version)
        assert store.address == server.url_of("mine")

    @pytest.mark.parametrize("user", ["nobody", "conf"])
    def test_a_wrong_password(self, connect, server, user):
        """Is refused as an unknown user is, and not told."""
        store = connect(self.uri(server, user, "wr0ng"))
        for call in (store.token, store.read, lambda: store.write(ORDERS, "1", None)):
            with pytest.raises(BackendDenied) as caught:
                call()
            assert str(caught.value) == f"{server.url_of('mine')}: the user or the password is wrong"

    def test_nobody(self, connect, server):
        """Who does not log in is refused; so is a wait."""
        store = connect(server.url_of("mine"))
        store._seen = ("a", 0)
        for call in (store.read, lambda: store.wait("a", SOON)):
            with pytest.raises(BackendDenied, match="it wants a user and a password"):
                call()

    def test_a_user_without_the_rights(self, connect, server):
        """The prefix of others can be neither read nor watched nor changed."""
        store = connect(self.uri(server, "conf", prefix="other"))
        store._seen = ("a", 0)
        for call in (store.read, store.token, lambda: store.wait("a", SOON)):
            with pytest.raises(BackendDenied, match="the user has no right to it"):
                call()
        with pytest.raises(BackendDenied, match="main/orders/prod: the user has no right to it"):
            store.write(ORDERS, "1", None)

    def test_a_user_who_may_read(self, connect, server):
        """Reads and waits, and changes nothing."""
        store = connect(self.uri(server, "ro"))
        assert store.read().records == {}
        store.wait(store.token(), 0.1)
        with pytest.raises(BackendDenied):
            store.write(ORDERS, "1", None)

    def test_a_login_that_is_forgotten_is_made_again(self, connect, server):
        """The server forgets them when it starts; changes and waits go on too."""
        stores = [connect(self.uri(server, "conf"), username="conf", password=USERS["conf"]) for _ in range(3)]
        tokens = [store.token() for store in stores]
        server.stop()
        server.start()
        version = stores[0].write(ORDERS, "1", None)
        stores[1].wait(tokens[1], SOON)
        assert texts(stores[2]) == {ORDERS: "1"}
        stores[0].write(ORDERS, None, version)

    def test_rights_that_change_are_taken_in(self, connect, server):
        """A login from before goes on, or is made again."""
        store = connect(self.uri(server, "conf"))
        store.token()
        root = server.call("auth/authenticate", {"name": "root", "password": USERS["root"]})["token"]
        server.call("auth/role/add", {"name": "later"}, root)
        version = store.write(ORDERS, "1", None)
        server.call("auth/user/revoke", {"name": "conf", "role": "conf"}, root)
        with pytest.raises(BackendDenied):
            store.read()
        server.call("auth/user/grant", {"user": "conf", "role": "conf"}, root)
        store.write(ORDERS, None, version)

    def test_a_user_where_there_are_none(self, connect, etcd_server):
        """Is a mistake in the settings."""
        store = connect(etcd_server.url_of("a"), username="conf", password="s3cret")
        with pytest.raises(BackendMisconfigured) as caught:
            store.read()
        assert str(caught.value) == f"{etcd_server.url_of('a')}: it knows no users: configure none"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A certificate of this machine, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=etcd -addext"
    names = "subjectAltName=IP:127.0.0.1"
    subprocess.run(["openssl", *words.split(), names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


class TestTls:
    """`etcds:`."""

    def test_a_certificate_is_checked(self, connect, pair):
        """Who is not known is not asked."""
        with EtcdServer(tls=pair) as server:
            known = connect(server.url_of("tls"), ca_file=pair[0])
            version = known.write(ORDERS, "1", None)
            assert known.read().records == {ORDERS: Record("1", version)}
            known.wait(known.token(), 0.1)
            with pytest.raises(BackendUnavailable, match=r"certificate|self-signed"):
                connect(server.url_of("tls")).read()
            with pytest.raises(BackendUnavailable):
                connect(f"etcd://127.0.0.1:{server.port}/tls").read()

    def test_a_server_may_want_one_too(self, connect, pair):
        """Of who asks."""
        options = "--client-cert-auth", "--trusted-ca-file", pair[0]
        with EtcdServer(*options, tls=pair) as server:
            ours = {"ca_file": pair[0], "client_cert": pair[0], "client_key": pair[1]}
            store = connect(server.url_of("tls"), **ours)
            version = store.write(ORDERS, "1", None)
            assert store.read().records == {ORDERS: Record("1", version)}
            store.wait(store.token(), 0.1)
            with pytest.raises(BackendUnavailable):
                connect(server.url_of("tls"), ca_file=pair[0]).read()
            with pytest.raises(SettingsError):
                connect(server.url_of("tls"), client_key=pair[1])
